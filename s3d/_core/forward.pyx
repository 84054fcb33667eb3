"""A client's request as the remote gets it: same operation, other address, other signature.

The target is written anew from bucket and key in S3's canonical encoding, which every server reads and signs alike; the
query goes as it came, without what signed it. Headers go on in their order except those that belong to the connection
(RFC 9110 §7.6.1), to the client's signature, or to us.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memchr

from s3d._core.octets cimport Octets
from s3d._core.percent cimport percent_encode
from s3d._core.request cimport Request
from s3d._core.sigv4 cimport Signer

cdef frozenset _NOT_FORWARDED = frozenset((
    # the connection's
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
    b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings", b"expect", b"content-length",
    # the client's signature's
    b"authorization", b"host", b"date", b"x-amz-date", b"x-amz-content-sha256", b"x-amz-security-token",
))
# Query keys of a presigned request, lower case (AWS, "Authenticating Requests: Using Query Parameters").
cdef frozenset _AUTH_PARAMS = frozenset((
    b"x-amz-algorithm", b"x-amz-credential", b"x-amz-date", b"x-amz-expires", b"x-amz-signedheaders",
    b"x-amz-signature", b"x-amz-security-token", b"x-amz-content-sha256",
))

# One head is built at a time, within one call.
cdef Octets _head = Octets()


cdef class Target:
    """Where requests for one bucket go: address and style, and who signs them.

    ``host`` is the Host header's value, ``base`` a path prefix of the endpoint (no slash at its end), ``origin``
    anything hashable that names the server to connect to.
    """

    def __init__(self, bytes host not None, object origin, Signer signer=None, *, bytes base not None=b"",
                 bint bucket_in_host=False):
        self.host = host
        self.origin = origin
        self.signer = signer
        self.base = base
        self.bucket_in_host = bucket_in_host


cdef bytes target_path(Request request, Target target):
    """The path of the forwarded target, canonically encoded."""
    cdef bytes key = request.key
    cdef bytes path = target.base
    cdef bytes bucket
    if request.bucket and not target.bucket_in_host:
        bucket = request.bucket.encode()
        path = path + b"/" + percent_encode(<const uint8_t *><char *>bucket, len(bucket), True)
        if not key:
            return path
    return path + b"/" + percent_encode(<const uint8_t *><char *>key, len(key), True)


cdef bytes forwarded_query(bytes query):
    """``query`` without the parameters of a presigned request; the others keep bytes and order."""
    cdef bytes part
    # Every key of that kind has X-Amz- in it; most queries do not even have the letter.
    if not query or (not memchr(<const char *>query, 88, len(query)) and not memchr(<const char *>query, 120,
                                                                                    len(query))):
        return query
    if b"x-amz-" not in query.lower():
        return query
    return b"&".join([
        part for part in query.split(b"&") if part.partition(b"=")[0].lower() not in _AUTH_PARAMS
    ])


cpdef bytes forward_head(Request request, Target target, bytes payload_hash, int64_t length, list changes, bint expect,
                         int64_t now_s):
    """The head of the request to send to ``target``, complete with the empty line.

    ``payload_hash`` is the value for x-amz-content-sha256, ``length`` the Content-Length (-1: no body and no such
    header), ``changes`` are pairs of lower-case name and value, None to leave a header out, that replace the client's.
    """
    cdef Octets out = _head
    cdef list headers = [(b"host", target.host)]
    cdef set left_out = None
    cdef tuple pair
    cdef bytes name, value
    cdef bytes path = target_path(request, target)
    cdef bytes query = forwarded_query(request.query)
    if changes:
        left_out = {pair[0] for pair in changes}
    for pair in request.headers:
        name = <bytes>pair[0]
        if name in _NOT_FORWARDED:
            if len(name) == 10 and name == b"connection":
                value = (<bytes>pair[1]).lower()
                if value != b"keep-alive" and value != b"close":
                    left_out = (left_out or set()) | {token.strip() for token in value.split(b",")}
            continue
        headers.append(pair)
    if left_out:
        headers = [pair for pair in headers if pair[0] not in left_out or pair[0] == b"host"]
    if changes:
        headers.extend([pair for pair in changes if pair[1] is not None])
    headers.extend(target.signer.sign(request.method, path, query, headers, payload_hash, now_s))
    out.size = 0
    out.put_bytes(request.method)
    out.put(<const uint8_t *>b" ", 1)
    out.put_bytes(path)
    if query:
        out.put(<const uint8_t *>b"?", 1)
        out.put_bytes(query)
    out.put(<const uint8_t *>b" HTTP/1.1\r\n", 11)
    for pair in headers:
        out.put_header(<bytes>pair[0], <bytes>pair[1])
    if length >= 0:
        out.put(<const uint8_t *>b"content-length: ", 16)
        out.put_int(length)
        out.put(<const uint8_t *>b"\r\n", 2)
    if expect:
        out.put(<const uint8_t *>b"expect: 100-continue\r\n", 22)
    out.put(<const uint8_t *>b"\r\n", 2)
    return (<char *>out.data)[:out.size]
