"""Who signed a request, by AWS Signature Version 4: in its Authorization header or in its query.

Sources: "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API reference, its pages "Using the
Authorization Header", "Using Query Parameters" and "Signature Calculations"; the wording of refusals is S3's own.

What is accepted: any region, since clients name the region of the bucket they believe to talk to; only the service
``s3``. A scope for ``s3express`` is refused like any other service: such requests are signed with session
credentials that the remote hands out, which cannot be known here.
"""

from email.utils import parsedate_to_datetime
from time import gmtime, strftime

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memchr, memcmp

from s3d._core.canonical cimport (
    Canonical,
    s3d_format_time,
    s3d_header_order,
    s3d_pair,
    s3d_parse_time,
    s3d_sort_pairs,
    s3d_span,
    s3d_span_begins,
    s3d_span_compare,
    s3d_span_is,
    span_of,
    text_of,
)
from s3d._core.fault cimport Fault, FaultCode
from s3d._core.percent cimport percent_decode
from s3d._core.request cimport Request
from s3d._core.sigv4 cimport Credentials, SigningContext, put_string_to_sign, s3d_equal_constant_time

cdef extern from "Python.h":
    const char *bytes_data "PyBytes_AS_STRING"(bytes value) noexcept

cdef int64_t MAX_SKEW_S = 900        # "Requests must be made within 15 minutes" (RequestTimeTooSkewed)
cdef int64_t MAX_EXPIRES_S = 604800  # seven days
cdef bytes UNSIGNED_PAYLOAD = b"UNSIGNED-PAYLOAD"
cdef str VERSION_2 = (
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256. (Signature Version "
    "2 was used: configure the client for Signature Version 4, for example signature_version='s3v4' or "
    "signature_v2=False.)"
)
cdef str ONE_MECHANISM = (
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or "
    "the Authorization header should be specified"
)
cdef tuple ONE_MECHANISM_FIELDS = (("ArgumentName", "Authorization"),)
cdef str THREE_COMPONENTS = (
    "the authorization header requires three components: Credential, SignedHeaders, and Signature."
)
cdef str SIX_PARAMETERS = (
    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
    "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
)
cdef str MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)


cdef object header_fault(str what):
    return Fault(FaultCode.AUTHORIZATION_HEADER_MALFORMED, f"The authorization header is malformed; {what}")


cdef object query_fault(str what):
    return Fault(FaultCode.AUTHORIZATION_QUERY_PARAMETERS_ERROR, what)


cdef object credential_fault(bint presigned, str what):
    if presigned:
        return query_fault(f"Error parsing the X-Amz-Credential parameter; {what}")
    return header_fault(what)


cdef class SignatureMismatch(Fault):
    """SIGNATURE_DOES_NOT_MATCH, with what we made of the client's request, as S3 shows it to the client.

    Holds nothing secret: neither key nor the signature that would have been right.
    """


cdef class Verifier:
    """Tells which of ``credentials`` signed a request. One per event loop: its buffers are used for every request."""

    def __init__(self, credentials=()):
        cdef Credentials known
        self._credentials = {}
        self._canonical = Canonical.__new__(Canonical)
        for known in credentials:
            self._credentials[known.access_key] = known

    cpdef SigningContext verify(self, Request request, int64_t now_s):
        """Check the signature of ``request`` at ``now_s``, seconds since 1970; None if the request bears none.

        Raises Fault with S3's code and words; SignatureMismatch if everything is in order but the signature. The
        body is not looked at: `SigningContext.payload_hash` says what it must be.
        """
        cdef Canonical canonical = self._canonical
        cdef s3d_span authorization
        cdef s3d_pair *pair
        cdef Py_ssize_t i
        cdef bint version_4 = False, access_key_2 = False, signature_2 = False
        authorization.data = NULL
        authorization.size = 0
        canonical.load_headers(request.headers)
        canonical.load_query(request.query)
        for i in range(canonical.header_count):
            pair = &canonical.headers[i]
            if s3d_span_is(&pair.name, b"authorization", 13) and pair.value.size:
                if authorization.size:
                    raise Fault(FaultCode.INVALID_ARGUMENT, ONE_MECHANISM, ONE_MECHANISM_FIELDS)
                authorization = pair.value
        for i in range(canonical.param_count):
            pair = &canonical.params[i]
            if (
                s3d_span_is(&pair.name, b"X-Amz-Algorithm", 15)
                or s3d_span_is(&pair.name, b"X-Amz-Credential", 16)
                or s3d_span_is(&pair.name, b"X-Amz-Signature", 15)
            ):
                version_4 = True
            elif s3d_span_is(&pair.name, b"AWSAccessKeyId", 14):
                access_key_2 = True
            elif s3d_span_is(&pair.name, b"Signature", 9):
                signature_2 = True
        if authorization.size:
            if version_4 or (access_key_2 and signature_2):
                raise Fault(FaultCode.INVALID_ARGUMENT, ONE_MECHANISM, ONE_MECHANISM_FIELDS)
            if s3d_span_begins(&authorization, b"AWS4-HMAC-SHA256 ", 17):
                return self._verify_header(request, authorization, now_s)
            if s3d_span_begins(&authorization, b"AWS ", 4):
                raise Fault(FaultCode.SIGNATURE_VERSION_NOT_SUPPORTED, VERSION_2)
            if s3d_span_begins(&authorization, b"AWS4-HMAC-SHA256", 16):
                raise header_fault(THREE_COMPONENTS)
            if s3d_span_begins(&authorization, b"AWS4-ECDSA-P256-SHA256", 22):
                raise Fault(FaultCode.NOT_IMPLEMENTED, "Signature Version 4A (ECDSA) is not supported.")
            raise Fault(
                FaultCode.INVALID_ARGUMENT,
                "Unsupported Authorization Type",
                (("ArgumentName", "Authorization"), ("ArgumentValue", text_of(authorization))),
            )
        if version_4:
            if access_key_2 and signature_2:
                raise Fault(FaultCode.INVALID_ARGUMENT, ONE_MECHANISM, ONE_MECHANISM_FIELDS)
            return self._verify_query(request, now_s)
        if access_key_2 and signature_2:
            raise Fault(FaultCode.SIGNATURE_VERSION_NOT_SUPPORTED, VERSION_2)
        return None

    cdef SigningContext _verify_header(self, Request request, s3d_span authorization, int64_t now_s):
        cdef Canonical canonical = self._canonical
        cdef SigningContext context = SigningContext.__new__(SigningContext)
        cdef s3d_span part, credential, signed_headers, signature, access_key, scope
        cdef s3d_pair *header
        cdef const uint8_t *start = authorization.data + 17
        cdef const uint8_t *end = authorization.data + authorization.size
        cdef const uint8_t *stop
        cdef Py_ssize_t i, date = -1, amz_date = -1, hashed = -1, token = -1
        cdef int64_t signed_s
        cdef bytes time
        credential.data = signed_headers.data = signature.data = NULL
        while start < end:
            stop = <const uint8_t *>memchr(start, c",", end - start)
            if stop is NULL:
                stop = end
            part = trim(start, stop)
            if s3d_span_begins(&part, b"Credential=", 11) and credential.data is NULL:
                credential = after(part, 11)
            elif s3d_span_begins(&part, b"SignedHeaders=", 14) and signed_headers.data is NULL:
                signed_headers = after(part, 14)
            elif s3d_span_begins(&part, b"Signature=", 10) and signature.data is NULL:
                signature = after(part, 10)
            else:
                raise header_fault(f'the authorization component "{text_of(part)}" is malformed.')
            start = stop + 1
        if credential.data is NULL or signed_headers.data is NULL or signature.data is NULL:
            raise header_fault(THREE_COMPONENTS)
        for i in range(canonical.header_count):
            header = &canonical.headers[i]
            if header.name.size == 20:
                if s3d_span_is(&header.name, b"x-amz-content-sha256", 20):
                    hashed = i if hashed < 0 else hashed
                elif s3d_span_is(&header.name, b"x-amz-security-token", 20):
                    token = i if token < 0 else token
            elif s3d_span_is(&header.name, b"x-amz-date", 10):
                amz_date = i if amz_date < 0 else amz_date
            elif s3d_span_is(&header.name, b"date", 4):
                date = i if date < 0 else date
        scope = split_credential(credential, &access_key, False)
        if hashed < 0:
            raise Fault(FaultCode.INVALID_REQUEST, "Missing required header for this request: x-amz-content-sha256")
        context.payload_hash = value_of(request, hashed)
        signed_s = -1
        if amz_date >= 0:
            part = canonical.headers[amz_date].value
            signed_s = s3d_parse_time(part.data, part.size)
        elif date >= 0:
            part = canonical.headers[date].value
            signed_s = s3d_parse_time(part.data, part.size)
            if signed_s < 0:
                signed_s = http_date(value_of(request, date))
        if signed_s < 0:
            raise Fault(FaultCode.ACCESS_DENIED, "AWS authentication requires a valid Date or x-amz-date header")
        s3d_format_time(signed_s, context.time)
        if memcmp(scope.data, context.time, 8) != 0:
            part = scope
            part.size = 8
            time = PyBytes_FromStringAndSize(<const char *>context.time, 8)
            raise header_fault(
                f'Invalid credential date "{text_of(part)}". This date is not the same as X-Amz-Date: '
                f'"{time.decode()}".'
            )
        context.credentials = self._find(&access_key, value_of(request, token) if token >= 0 else None)
        self._check(request, context, scope, signed_headers, signature)
        # After the signature, as S3 does: only who holds the key learns that clocks differ.
        if signed_s > now_s + MAX_SKEW_S or signed_s < now_s - MAX_SKEW_S:
            raise Fault(
                FaultCode.REQUEST_TIME_TOO_SKEWED,
                "The difference between the request time and the current time is too large.",
                (
                    ("RequestTime", value_of(request, amz_date if amz_date >= 0 else date)),
                    ("ServerTime", iso_time(now_s)),
                    ("MaxAllowedSkewMilliseconds", str(MAX_SKEW_S * 1000)),
                ),
            )
        return context

    cdef SigningContext _verify_query(self, Request request, int64_t now_s):
        cdef Canonical canonical = self._canonical
        cdef SigningContext context = SigningContext.__new__(SigningContext)
        cdef s3d_span credential, signed_headers, access_key, scope, time
        cdef s3d_pair *header
        cdef Py_ssize_t i
        cdef int64_t signed_s, expires_s
        cdef bytes algorithm = parameter(canonical, b"X-Amz-Algorithm")
        cdef bytes credential_text = parameter(canonical, b"X-Amz-Credential")
        cdef bytes signature = parameter(canonical, b"X-Amz-Signature")
        cdef bytes date = parameter(canonical, b"X-Amz-Date")
        cdef bytes names = parameter(canonical, b"X-Amz-SignedHeaders")
        cdef bytes expires = parameter(canonical, b"X-Amz-Expires")
        cdef bytes token = parameter(canonical, b"X-Amz-Security-Token")
        cdef bytes payload_hash = parameter(canonical, b"X-Amz-Content-Sha256")
        if not algorithm or not credential_text or not signature or not date or not names or not expires:
            raise query_fault(SIX_PARAMETERS)
        if algorithm == b"AWS4-ECDSA-P256-SHA256":
            raise Fault(FaultCode.NOT_IMPLEMENTED, "Signature Version 4A (ECDSA) is not supported.")
        if algorithm != b"AWS4-HMAC-SHA256":
            raise query_fault('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"')
        credential = span_of(credential_text)
        scope = split_credential(credential, &access_key, True)
        time = span_of(date)
        signed_s = s3d_parse_time(time.data, time.size)
        if signed_s < 0:
            raise query_fault('X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd\'T\'HHmmss\'Z\'"')
        s3d_format_time(signed_s, context.time)
        if memcmp(scope.data, time.data, 8) != 0:
            scope.size = 8
            raise query_fault(
                f'Invalid credential date "{text_of(scope)}". This date is not the same as X-Amz-Date: '
                f'"{date[:8].decode()}".'
            )
        expires_s = parse_expires(expires)
        context.presigned = True
        context.payload_hash = payload_hash
        if payload_hash is None:
            for i in range(canonical.header_count):
                header = &canonical.headers[i]
                if s3d_span_is(&header.name, b"x-amz-content-sha256", 20) and names_header(names, header.name):
                    context.payload_hash = value_of(request, i)
                    break
            else:
                context.payload_hash = UNSIGNED_PAYLOAD
        context.credentials = self._find(&access_key, token)
        if signed_s > now_s + MAX_SKEW_S:
            raise Fault(
                FaultCode.ACCESS_DENIED,
                "Request is not valid yet",
                (("X-Amz-Date", date), ("ServerTime", iso_time(now_s))),
            )
        if now_s > signed_s + expires_s or expires_s == 0:
            raise Fault(
                FaultCode.REQUEST_EXPIRED,
                "Request has expired",
                (
                    ("X-Amz-Expires", expires),
                    ("Expires", iso_time(signed_s + expires_s)),
                    ("ServerTime", iso_time(now_s)),
                ),
            )
        signed_headers = span_of(names)
        self._check(request, context, scope, signed_headers, span_of(signature))
        return context

    cdef Credentials _find(self, const s3d_span *access_key, bytes token):
        """The credentials of an access key, if ``token`` is their session token (None: none was sent)."""
        cdef bytes name = PyBytes_FromStringAndSize(<const char *>access_key.data, access_key.size)
        found = self._credentials.get(name)
        cdef Credentials credentials
        if found is None:
            raise Fault(
                FaultCode.INVALID_ACCESS_KEY_ID,
                "The AWS Access Key Id you provided does not exist in our records.",
                (("AWSAccessKeyId", name),),
            )
        credentials = <Credentials>found
        if token is None and credentials.session_token is None:
            return credentials
        if (
            token is None
            or credentials.session_token is None
            or len(token) != len(credentials.session_token)
            or not s3d_equal_constant_time(
                <const uint8_t *>bytes_data(token),
                <const uint8_t *>bytes_data(credentials.session_token),
                len(token),
            )
        ):
            raise Fault(FaultCode.INVALID_TOKEN, "The provided token is malformed or otherwise invalid.")
        return credentials

    cdef int _check(
        self, Request request, SigningContext context, s3d_span scope, s3d_span signed_headers, s3d_span signature
    ) except -1:
        """Compare ``signature`` with the one that ``context.credentials`` gives the loaded request."""
        cdef Canonical canonical = self._canonical
        cdef s3d_span name, previous
        cdef const uint8_t *start = signed_headers.data
        cdef const uint8_t *end = start + signed_headers.size
        cdef const uint8_t *stop
        cdef Py_ssize_t i, first, at = 0, text_start
        cdef Py_ssize_t room = 4 * signed_headers.size + len(context.payload_hash) + 8
        cdef bint host = False
        s3d_sort_pairs(canonical.headers, canonical.header_count, s3d_header_order)
        for i in range(canonical.header_count):
            room += canonical.headers[i].name.size + canonical.headers[i].value.size + 2
        canonical.begin(request.method, request.path, not context.presigned, room)
        previous.data = NULL
        previous.size = 0
        # Both lists ascend, so one walk over both finds every signed header.
        while start < end:
            stop = <const uint8_t *>memchr(start, c";", end - start)
            if stop is NULL:
                stop = end
            name.data = start
            name.size = stop - start
            if previous.data is not NULL and s3d_span_compare(&previous, &name) >= 0:
                raise Fault(
                    FaultCode.SIGNATURE_DOES_NOT_MATCH, f"{MISMATCH} SignedHeaders must list each name once, in order."
                )
            previous = name
            while at < canonical.header_count and s3d_span_compare(&canonical.headers[at].name, &name) < 0:
                at += 1
            first = at
            while at < canonical.header_count and s3d_span_compare(&canonical.headers[at].name, &name) == 0:
                canonical.headers[at].is_signed = 1
                at += 1
            if at > first:
                canonical.put_headers(first, at)
            else:
                canonical.put(name.data, name.size)
                canonical.put(b":\n", 2)
            host = host or s3d_span_is(&name, b"host", 4)
            start = stop + 1
        self._refuse_unsigned(context.presigned, host)
        canonical.put(b"\n", 1)
        canonical.put(signed_headers.data, signed_headers.size)
        canonical.put(b"\n", 1)
        canonical.put(<const char *>context.payload_hash, len(context.payload_hash))
        text_start = canonical.size
        context.key = context.credentials.key_for(&scope)
        put_string_to_sign(canonical, context.time, &scope)
        context.key.sign(canonical.text + text_start, canonical.size - text_start, context.seed)
        if signature.size == 64 and s3d_equal_constant_time(signature.data, context.seed, 64):
            return 0
        raise mismatch_of(
            context.credentials.access_key,
            (<const char *>signature.data)[:signature.size],
            (<const char *>canonical.text)[:text_start],
            (<const char *>canonical.text)[text_start:canonical.size],
        )

    cdef int _refuse_unsigned(self, bint presigned, bint host) except -1:
        """Refuse a request whose signature leaves out a header that it must cover.

        A presigned request may add x-amz-content-sha256: HTTP stacks do so by themselves, and it only makes the
        request stricter.
        """
        cdef Canonical canonical = self._canonical
        cdef s3d_pair *header
        cdef Py_ssize_t i
        cdef list names = [] if host else ["host"]
        for i in range(canonical.header_count):
            header = &canonical.headers[i]
            if header.is_signed or not s3d_span_begins(&header.name, b"x-amz-", 6):
                continue
            if presigned and s3d_span_is(&header.name, b"x-amz-content-sha256", 20):
                continue
            names.append(text_of(header.name))
        if names:
            raise Fault(
                FaultCode.ACCESS_DENIED,
                f"There were headers present in the request which were not signed: {', '.join(names)}",
                (("HeadersNotSigned", ", ".join(names)),),
            )
        return 0


cdef SignatureMismatch mismatch_of(bytes access_key, bytes provided, bytes canonical_request, bytes string_to_sign):
    cdef SignatureMismatch mismatch = SignatureMismatch(
        FaultCode.SIGNATURE_DOES_NOT_MATCH,
        MISMATCH,
        (
            ("AWSAccessKeyId", access_key),
            ("StringToSign", string_to_sign),
            ("SignatureProvided", provided),
            ("StringToSignBytes", string_to_sign.hex(" ")),
            ("CanonicalRequest", canonical_request),
            ("CanonicalRequestBytes", canonical_request.hex(" ")),
        ),
    )
    mismatch.access_key = access_key
    mismatch.signature_provided = provided
    mismatch.canonical_request = canonical_request
    mismatch.string_to_sign = string_to_sign
    return mismatch


cdef str iso_time(int64_t time_s):
    """A time as error documents have it; the number of seconds where it is past what a calendar holds."""
    try:
        return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(time_s))
    except (OverflowError, OSError, ValueError):
        return str(time_s)


cdef s3d_span trim(const uint8_t *start, const uint8_t *stop) noexcept:
    cdef s3d_span span
    while start < stop and (start[0] == c" " or start[0] == c"\t"):
        start += 1
    while stop > start and (stop[-1] == c" " or stop[-1] == c"\t"):
        stop -= 1
    span.data = start
    span.size = stop - start
    return span


cdef s3d_span after(s3d_span span, Py_ssize_t size) noexcept:
    span.data += size
    span.size -= size
    return span


cdef bytes value_of(Request request, Py_ssize_t index):
    return <bytes>(<tuple>request.headers[index])[1]


cdef int64_t http_date(bytes value):
    """Seconds since 1970 of an HTTP date (RFC 9110 §5.6.7), -1 if it is none."""
    try:
        return <int64_t>parsedate_to_datetime(value.decode("ascii")).timestamp()
    except (ValueError, OverflowError):
        return -1


cdef s3d_span split_credential(s3d_span credential, s3d_span *access_key, bint presigned):
    """Cut ``access key/day/region/s3/aws4_request``; returns the scope. The access key may contain slashes."""
    cdef Py_ssize_t cuts[4]
    cdef Py_ssize_t at = credential.size, found = 4
    cdef Py_ssize_t i
    cdef s3d_span day, service, terminal, scope
    while found and at:
        at -= 1
        if credential.data[at] == c"/":
            found -= 1
            cuts[found] = at
    if found or cuts[0] == 0:
        raise credential_fault(
            presigned,
            'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
        )
    access_key.data = credential.data
    access_key.size = cuts[0]
    scope = after(credential, cuts[0] + 1)
    day.data = scope.data
    day.size = cuts[1] - cuts[0] - 1
    service.data = credential.data + cuts[2] + 1
    service.size = cuts[3] - cuts[2] - 1
    terminal = after(credential, cuts[3] + 1)
    for i in range(day.size):
        if day.data[i] < c"0" or day.data[i] > c"9":
            day.size = -1
            break
    if day.size != 8:
        day.size = cuts[1] - cuts[0] - 1
        raise credential_fault(
            presigned,
            f'incorrect date format "{text_of(day)}". This date in the credential must be in the format "yyyyMMdd".',
        )
    if not s3d_span_is(&service, b"s3", 2):
        raise credential_fault(
            presigned, f'incorrect service "{text_of(service)}". This endpoint belongs to "s3".'
        )
    if not s3d_span_is(&terminal, b"aws4_request", 12):
        raise credential_fault(
            presigned, f'incorrect terminal "{text_of(terminal)}". This endpoint uses "aws4_request".'
        )
    return scope


cdef bytes parameter(Canonical canonical, bytes name):
    """The decoded value of a query parameter, None if absent; Fault if given twice."""
    cdef s3d_span wanted = span_of(name)
    cdef Py_ssize_t i
    for i in range(canonical.param_count):
        if s3d_span_compare(&canonical.params[i].name, &wanted) == 0:
            if i + 1 < canonical.param_count and s3d_span_compare(&canonical.params[i + 1].name, &wanted) == 0:
                raise query_fault(f"{name.decode()} must be given only once.")
            return percent_decode(canonical.params[i].value.data, canonical.params[i].value.size, False)
    return None


cdef int64_t parse_expires(bytes value) except -1:
    if value.startswith(b"-") and value[1:].isdigit():
        raise query_fault("X-Amz-Expires must be non-negative")
    if not value.isdigit() or len(value) > 15:
        raise query_fault("X-Amz-Expires should be a number")
    cdef int64_t seconds = int(value)
    if seconds > MAX_EXPIRES_S:
        raise query_fault(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            "604800 seconds"
        )
    return seconds


cdef bint names_header(bytes names, s3d_span name):
    return (<const char *>name.data)[:name.size] in names.split(b";")


def refuse_signature_v2(Request request not None) -> None:
    """Raise Fault SIGNATURE_VERSION_NOT_SUPPORTED if ``request`` bears a Signature Version 2, in header or query.

    For servers that check no signatures: such a client would go wrong later, in ways that are harder to read.
    """
    cdef bytes authorization = request.header(b"authorization")
    if authorization is not None and authorization.startswith(b"AWS "):
        raise Fault(FaultCode.SIGNATURE_VERSION_NOT_SUPPORTED, VERSION_2)
    if b"AWSAccessKeyId=" in request.query and b"Signature=" in request.query:
        names = {part.partition(b"=")[0] for part in request.query.split(b"&")}
        if b"AWSAccessKeyId" in names and b"Signature" in names:
            raise Fault(FaultCode.SIGNATURE_VERSION_NOT_SUPPORTED, VERSION_2)
