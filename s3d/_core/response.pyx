"""One HTTP response: ours to a client, or the remote's to us."""

from http import HTTPStatus

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t

from s3d._core.octets cimport Octets
from s3d._core.stage cimport Stage

cdef dict _REASONS = {int(status): status.phrase.encode() for status in HTTPStatus}

cdef dict _STATUS_LINES = {status: b"HTTP/1.1 %d %b\r\n" % (status, reason) for status, reason in _REASONS.items()}


cdef bytes reason_of(int status):
    """The standard reason phrase (RFC 9110 §15), b"" for a status without one."""
    cdef object reason = _REASONS.get(status)
    return b"" if reason is None else <bytes>reason


def head_block(list headers not None):
    """The lines of ``headers``, [(name, value), …], for `Response.prebuilt`.

    ``ValueError`` for a value that would break out of its line.
    """
    cdef Octets lines = Octets()
    cdef tuple pair
    for pair in headers:
        lines.put_header(<bytes?>pair[0], <bytes?>pair[1])
    return PyBytes_FromStringAndSize(<char *>lines.data, lines.size)


cdef class Response:
    """One HTTP response.

    ``body`` is bytes (sent whole), a `Stage` that is the source of the body (then ``content_length`` says how many
    bytes it will bring, -1 if only its end will tell), or None. A response to HEAD has no body; its ``content_length``
    is what a GET would have brought. ``headers`` hold neither Content-Length nor any hop-by-hop field: framing belongs
    to the connection that sends it.
    """

    def __init__(self, int status, list headers not None, object body=None, int64_t content_length=LENGTH_NONE,
                 bint close=False):
        if body is not None and not isinstance(body, (bytes, Stage)):
            raise TypeError(f"a response body is bytes, a Stage or None, not {type(body).__name__}")
        self.status = status
        self._headers = headers
        self.body = body
        self.content_length = len(body) if isinstance(body, bytes) else content_length
        self.close = close

    @staticmethod
    def prebuilt(int status, bytes raw not None, object body=None, int64_t content_length=LENGTH_NONE,
                 list headers=None):
        """A response whose head was made before by `head_block`, for what is answered many times.

        ``headers`` are further fields, of this answer only. Neither holds Date, nor what the constructor excludes.
        """
        cdef Response response = Response.__new__(Response)
        if body is not None and not isinstance(body, (bytes, Stage)):
            raise TypeError(f"a response body is bytes, a Stage or None, not {type(body).__name__}")
        response.status = status
        response.raw = raw
        response._headers = headers
        response.body = body
        response.content_length = len(<bytes>body) if type(body) is bytes else content_length
        return response

    @property
    def headers(self):
        """The header fields as a list of pairs, which may be changed."""
        cdef bytes line, name, value
        cdef list fields
        if self.raw is not None:
            fields = []
            for line in self.raw.split(b"\r\n")[:-1]:
                name, _, value = line.partition(b": ")
                fields.append((name, value))
            if self._headers:
                fields += self._headers
            self._headers = fields
            self.raw = None
        return self._headers

    @headers.setter
    def headers(self, list headers not None):
        self._headers = headers
        self.raw = None
        self.raw_dated = False

    def header(self, bytes name not None):
        """The first value of the header ``name`` (any case), or None."""
        cdef tuple pair
        cdef bytes wanted = name.lower()
        for pair in self.headers:
            if (<bytes>pair[0]).lower() == wanted:
                return pair[1]
        return None

    def discard(self):
        """Let go of the body, unread, and of what brings it."""
        if isinstance(self.body, Stage):
            (<Stage>self.body).discard()

    cdef int put_head(self, Octets out, bint http_1_0, bint close, bytes date) except -1:
        """Write status line and headers with the framing that `content_length` and the client's version ask for."""
        cdef tuple pair
        cdef bytes name
        cdef bint dated = False
        cdef object line = _STATUS_LINES.get(self.status)
        if line is None:
            line = b"HTTP/1.1 %d \r\n" % self.status
        out.put_bytes(<bytes>line)
        if self.raw is not None:
            out.put_bytes(self.raw)
            dated = self.raw_dated
        for pair in self._headers or ():
            name = <bytes>pair[0]
            if len(name) == 4 and (name == b"date" or name == b"Date"):
                dated = True
            out.put_header(name, <bytes>pair[1])
        if not dated:
            out.put_header(b"Date", date)
        if self.content_length >= 0:
            out.put(<const uint8_t *>b"Content-Length: ", 16)
            out.put_int(self.content_length)
            out.put(<const uint8_t *>b"\r\n", 2)
        elif self.content_length == LENGTH_UNKNOWN and not http_1_0:
            out.put(<const uint8_t *>b"Transfer-Encoding: chunked\r\n", 28)
        if close:
            out.put(<const uint8_t *>b"Connection: close\r\n", 19)
        elif http_1_0:
            out.put(<const uint8_t *>b"Connection: keep-alive\r\n", 24)
        return out.put(<const uint8_t *>b"\r\n", 2)

    def __repr__(self):
        return f"<Response {self.status} length={self.content_length}>"
