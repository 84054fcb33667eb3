"""AWS Signature Version 4 for S3: credentials, the keys derived from them, and signing our own requests.

Source: "Signature Calculations for the Authorization Header" in the Amazon S3 API reference. Whose signature a
request bears is told by `verify.pyx`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t

from s3d._core.canonical cimport (
    Canonical,
    s3d_format_time,
    s3d_header_order,
    s3d_pair,
    s3d_put,
    s3d_sort_pairs,
    s3d_span,
    s3d_span_begins,
    s3d_span_compare,
    s3d_span_is,
    span_of,
    text_of,
)

cdef extern from "Python.h":
    const char *bytes_data "PyBytes_AS_STRING"(bytes value) noexcept

cdef Py_ssize_t MAX_KEYS = 32        # derived keys kept per credential; clients choose the region, so it is bounded


cdef class SigningKey:
    """The key that signs for one credential, day, region and service, as HMAC states; never shown."""

    cdef int sign(self, const uint8_t *text, Py_ssize_t size, uint8_t *signature) noexcept:
        """Write the 64 hexadecimal digits of ``text``'s signature."""
        cdef uint8_t digest[32]
        s3d_hmac_sha256(&self.key, text, size, digest)
        s3d_hex32(digest, signature)
        return 0

    def signature(self, bytes text not None) -> bytes:
        """The hexadecimal signature of a string to sign."""
        cdef uint8_t signature[64]
        self.sign(<const uint8_t *><const char *>text, len(text), signature)
        return PyBytes_FromStringAndSize(<const char *>signature, 64)


cdef class Credentials:
    """An access key, its secret and session token, and the signing keys derived from them.

    `owner` is anything the caller wants back when a request proves these credentials. The secret cannot be read
    back, and `repr` shows the access key alone.
    """

    def __init__(
        self, bytes access_key not None, bytes secret not None, bytes session_token=None, object owner=None
    ):
        self.access_key = access_key
        self._secret = secret
        self.session_token = session_token
        self.owner = owner
        self._keys = {}

    def __repr__(self):
        return f"<Credentials {self.access_key.decode('utf-8', 'replace')}>"

    cdef SigningKey key_for(self, const s3d_span *scope):
        """The signing key of a scope ``day/region/service/aws4_request``, derived once."""
        cdef SigningKey key = self._last
        cdef s3d_span known
        cdef bytes name
        if key is not None:
            known = span_of(key.scope)
            if s3d_span_compare(&known, scope) == 0:
                return key
        name = PyBytes_FromStringAndSize(<const char *>scope.data, scope.size)
        found = self._keys.get(name)
        if found is None:
            if len(self._keys) >= MAX_KEYS:
                del self._keys[next(iter(self._keys))]
            found = self._derive(name)
            self._keys[name] = found
        self._last = <SigningKey>found
        return self._last

    def _derive(self, bytes scope) -> SigningKey:
        cdef SigningKey key = SigningKey.__new__(SigningKey)
        cdef uint8_t digest[32]
        cdef bytes start = b"AWS4" + self._secret
        cdef bytes part
        day, rest = scope.split(b"/", 1)
        region, service, terminal = rest.rsplit(b"/", 2)
        s3d_hmac_key_init(&key.key, <const uint8_t *><const char *>start, len(start))
        for part in (day, region, service, terminal):
            s3d_hmac_sha256(&key.key, <const uint8_t *><const char *>part, len(part), digest)
            s3d_hmac_key_init(&key.key, digest, 32)
        key.scope = scope
        return key

    def signing_key(self, bytes scope not None) -> SigningKey:
        """The signing key of ``scope``, b"day/region/service/aws4_request"; ValueError on any other shape."""
        cdef s3d_span span = span_of(scope)
        if scope.count(b"/") < 3:
            raise ValueError("a scope is day/region/service/aws4_request")
        return self.key_for(&span)


cdef class SigningContext:
    """A verified request's signature: what the signatures of its body's chunks are chained to."""

    @property
    def signature(self) -> bytes:
        """The request's own signature, 64 hexadecimal digits."""
        return PyBytes_FromStringAndSize(<const char *>self.seed, 64)

    @property
    def timestamp(self) -> bytes:
        """When it was signed, as yyyyMMdd'T'HHmmss'Z'."""
        return PyBytes_FromStringAndSize(<const char *>self.time, 16)

    @property
    def scope(self) -> bytes:
        """b"day/region/service/aws4_request"."""
        return self.key.scope


cdef class Signer:
    """Signs requests with ``credentials`` for one region and service. One per event loop, like `Verifier`."""

    def __init__(self, Credentials credentials not None, bytes region not None, bytes service not None=b"s3"):
        self.credentials = credentials
        self.region = region
        self.service = service
        self._canonical = Canonical.__new__(Canonical)
        self._now_s = -1

    cpdef list sign(
        self, bytes method, bytes path, bytes query, list headers, bytes payload_hash, int64_t now_s
    ):
        """The headers that sign a request: x-amz-date, x-amz-content-sha256, x-amz-security-token, authorization.

        ``path`` and ``query`` are what goes into the request target; `canonical_path` gives the encoding that every
        server reads alike. ``headers`` are pairs of lower-case name and value and must include ``host``. Signed are
        ``host``, ``content-type``, ``content-md5`` and ``x-amz-*``: proxies on the way may change any other.
        ``payload_hash`` is the hexadecimal SHA-256 of the body or one of S3's words for it. Returns new pairs to be
        sent beside ``headers``. ValueError if ``headers`` already has one of them: two of a kind never verify.
        """
        cdef Canonical canonical = self._canonical
        cdef Py_ssize_t i, first, room = len(payload_hash) + 8, kept = 0, names_start, names_end, text_start
        cdef s3d_span scope
        cdef s3d_pair *header
        cdef SigningKey key
        cdef uint8_t time[16]
        cdef uint8_t signature[64]
        if now_s != self._now_s:
            s3d_format_time(now_s, time)
            self._time = PyBytes_FromStringAndSize(<const char *>time, 16)
            self._scope = b"%b/%b/%b/aws4_request" % (self._time[:8], self.region, self.service)
            self._now_s = now_s
        scope = span_of(self._scope)
        key = self.credentials.key_for(&scope)
        canonical.load_query(query)
        canonical.load_headers(headers)
        for i in range(canonical.header_count):
            header = &canonical.headers[i]
            if s3d_span_begins(&header.name, b"x-amz-", 6):
                if (
                    s3d_span_is(&header.name, b"x-amz-date", 10)
                    or s3d_span_is(&header.name, b"x-amz-content-sha256", 20)
                    or s3d_span_is(&header.name, b"x-amz-security-token", 20)
                ):
                    raise ValueError(f"{text_of(header.name)} is the signer's to set")
            elif s3d_span_is(&header.name, b"authorization", 13):
                raise ValueError("authorization is the signer's to set")
            elif not (
                s3d_span_is(&header.name, b"host", 4)
                or s3d_span_is(&header.name, b"content-type", 12)
                or s3d_span_is(&header.name, b"content-md5", 11)
            ):
                continue
            canonical.headers[kept] = header[0]
            kept += 1
        own = [(b"x-amz-date", self._time), (b"x-amz-content-sha256", payload_hash)]
        if self.credentials.session_token is not None:
            own.append((b"x-amz-security-token", self.credentials.session_token))
        for name, value in own:  # load_headers left room for four more
            header = &canonical.headers[kept]
            header.name = span_of(<bytes>name)
            header.value = span_of(<bytes>value)
            header.index = <int>kept
            kept += 1
        canonical.header_count = kept
        s3d_sort_pairs(canonical.headers, kept, s3d_header_order)
        for i in range(kept):
            room += 2 * canonical.headers[i].name.size + canonical.headers[i].value.size + 3
        canonical.begin(method, path, True, room)
        first = 0
        for i in range(1, kept + 1):
            if i == kept or s3d_span_compare(&canonical.headers[first].name, &canonical.headers[i].name) != 0:
                canonical.put_headers(first, i)
                first = i
        canonical.put(b"\n", 1)
        names_start = canonical.size
        for i in range(kept):
            if i and s3d_span_compare(&canonical.headers[i - 1].name, &canonical.headers[i].name) == 0:
                continue
            if i:
                canonical.put(b";", 1)
            canonical.put(canonical.headers[i].name.data, canonical.headers[i].name.size)
        names_end = canonical.size
        canonical.put(b"\n", 1)
        canonical.put(<const char *>payload_hash, len(payload_hash))
        text_start = canonical.size
        put_string_to_sign(canonical, <const uint8_t *><const char *>self._time, &scope)
        key.sign(canonical.text + text_start, canonical.size - text_start, signature)
        own.append((
            b"authorization",
            authorization_value(
                self.credentials.access_key, scope, canonical.text + names_start, names_end - names_start, signature
            ),
        ))
        return own


cdef bytes authorization_value(
    bytes access_key, s3d_span scope, const uint8_t *names, Py_ssize_t names_size, const uint8_t *signature
):
    cdef bytes value = PyBytes_FromStringAndSize(
        NULL, 28 + len(access_key) + 1 + scope.size + 16 + names_size + 12 + 64
    )
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(value)  # nobody else has seen it yet
    out = s3d_put(out, b"AWS4-HMAC-SHA256 Credential=", 28)
    out = s3d_put(out, bytes_data(access_key), len(access_key))
    out = s3d_put(out, b"/", 1)
    out = s3d_put(out, scope.data, scope.size)
    out = s3d_put(out, b", SignedHeaders=", 16)
    out = s3d_put(out, names, names_size)
    out = s3d_put(out, b", Signature=", 12)
    s3d_put(out, signature, 64)
    return value


cdef int put_string_to_sign(Canonical canonical, const uint8_t *time, const s3d_span *scope) except -1:
    """Append the string to sign of the canonical request that the buffer holds."""
    cdef uint8_t digest[32]
    cdef uint8_t digits[64]
    s3d_sha256_of(canonical.text, canonical.size, digest)
    s3d_hex32(digest, digits)
    canonical.reserve(17 + 17 + scope.size + 1 + 64)
    canonical.put(b"AWS4-HMAC-SHA256\n", 17)
    canonical.put(time, 16)
    canonical.put(b"\n", 1)
    canonical.put(scope.data, scope.size)
    canonical.put(b"\n", 1)
    canonical.put(digits, 64)
    return 0
