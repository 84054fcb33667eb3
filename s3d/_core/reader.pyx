"""Requests out of bytes: one parser for one client connection.

Framing is llhttp's, in its strict mode, through httptools: it refuses a message that has both Content-Length and
Transfer-Encoding, repeated or malformed lengths, bare line feeds, folded headers, white space before a colon
(RFC 9112 §5.1, §6.3, §11.2). What it lets pass and S3 has no use for is refused here: transfer codings other than
chunked, HTTP/0.9 and HTTP/2 prefaces, none or several Host headers.

llhttp cannot pause, so the callbacks only store; the connection acts on what was stored after `feed` has returned.

Each of its callbacks makes two objects and a call, which for twenty headers is a third of what a small request costs.
So a head that lies in the buffer whole and has nothing to decide about (origin-form target, HTTP/1.1, one Host, one
plain length or none, no transfer coding, no expectation, no other protocol) is split here, in C; everything else,
every error included, goes through llhttp. A test holds that both say the same of all that the short way takes.
"""

import httptools
from collections import deque

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.buffer cimport PyBUF_READ
from libc.stdint cimport INT64_MAX, int64_t, uint8_t
from libc.string cimport memchr, memcmp

from s3d._core.channel cimport Channel, monotonic
from s3d._core.fault cimport Fault, FaultCode
from s3d._core.fields cimport trimmed
from s3d._core.head cimport (
    S3D_CONTENT_LENGTH,
    S3D_HOST,
    S3D_MAX_FIELDS,
    S3D_PLAIN,
    s3d_field,
    s3d_field_kind,
    s3d_field_number,
    s3d_scan_fields,
)
from s3d._core.incoming cimport Incoming
from s3d._core.request cimport Request

cdef object _RequestParser = httptools.HttpRequestParser
cdef object _ParserError = httptools.HttpParserError
cdef object _ParserUpgrade = httptools.HttpParserUpgrade

# Requests that one read may bring: as many as fit a read of a head. 256 KiB, as bodies are read, would bring more.
cdef Py_ssize_t _MAX_QUEUED = 4096
# A trailer section larger than this is not a checksum any more.
cdef Py_ssize_t _MAX_TRAILER_SIZE = 8192


cdef inline void _put_lower(uint8_t *out, const uint8_t *name, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        out[i] = name[i] | 0x20 if c"A" <= name[i] <= c"Z" else name[i]


cdef class RequestReader:
    """Parses one connection's bytes into `requests` and their bodies.

    After `feed`: take what stands in ``requests``; ``fault`` says that no further request can be read (answer it after
    the requests before it, then close); ``last`` that none will follow. Bytes of a body go to the request's `Incoming`,
    which the caller must flush.
    """

    def __cinit__(self, Channel channel, Py_ssize_t max_head_size, bint secure=False, object peer=None,
                  object local=None):
        self.channel = channel
        self.max_head_size = max_head_size
        self.secure = secure
        self.peer = peer
        self.local = local
        self.requests = deque()

    cdef int feed(self, const uint8_t *data, Py_ssize_t size) except -1:
        """Parse ``size`` bytes; never raises for what a client sent."""
        cdef int64_t taken
        cdef Incoming body
        while size > 0 and self.fault is None:
            if self.body_left > 0:
                body = self.body
                taken = min(<int64_t>size, self.body_left)
                self.body_left -= taken
                if self.body_left == 0:
                    self.body = None
                    body.mark_complete()
                body.arrive(data, taken)
                if body.complete:
                    body.flush()
            elif self.last:
                return 0
            else:
                taken = 0
                if not self.in_head and self.body is None:
                    taken = self._scan(data, size)
                if taken == 0:
                    taken = self._parse(data, size)
            data += taken
            size -= taken
        return 0

    cdef int64_t _scan(self, const uint8_t *data, Py_ssize_t size) except -1:
        """Take a simple head that begins at ``data``; returns its size, 0 if it is for the parser."""
        cdef s3d_field fields[S3D_MAX_FIELDS]
        cdef int count, i, kind
        cdef Py_ssize_t at, start, used
        cdef int64_t length = -1
        cdef list headers
        cdef bytes method, host = None, name
        if size > self.max_head_size:
            size = self.max_head_size
        if size < 16:
            return 0
        if data[0] == c"G" and memcmp(data, b"GET ", 4) == 0:
            method = b"GET"
        elif data[0] == c"P" and memcmp(data, b"PUT ", 4) == 0:
            method = b"PUT"
        elif data[0] == c"H" and memcmp(data, b"HEAD ", 5) == 0:
            method = b"HEAD"
        elif data[0] == c"P" and memcmp(data, b"POST ", 5) == 0:
            method = b"POST"
        elif data[0] == c"D" and memcmp(data, b"DELETE ", 7) == 0:
            method = b"DELETE"
        else:
            return 0
        start = at = len(method) + 1
        if data[at] != c"/":
            return 0
        while at < size and 0x20 < data[at] < 0x7F and data[at] != c"#":
            at += 1
        if size - at < 11 or memcmp(data + at, b" HTTP/1.1\r\n", 11) != 0:
            return 0
        used = s3d_scan_fields(data + at + 11, size - at - 11, fields, &count)
        if used == 0:
            return 0
        for i in range(count):
            kind = s3d_field_kind(&fields[i])
            if kind == S3D_PLAIN:
                continue
            if kind == S3D_HOST and host is None:
                host = (<const char *>fields[i].value)[:fields[i].value_size]
            elif kind == S3D_CONTENT_LENGTH and length < 0:
                length = s3d_field_number(&fields[i])
                if length < 0:
                    return 0
            else:
                return 0
        if host is None:
            return 0
        headers = []
        for i in range(count):
            name = PyBytes_FromStringAndSize(NULL, fields[i].name_size)
            _put_lower(<uint8_t *><char *>name, fields[i].name, fields[i].name_size)
            headers.append((name, PyBytes_FromStringAndSize(<const char *>fields[i].value, fields[i].value_size)))
        self.url = (<const char *>data + start)[:at - start]
        self.headers = headers
        self.host = host
        self.chunked = False
        self.content_length = length
        self.expects_continue = False
        self._add_request(method, False, True)
        if self.body is not None:
            self.body_left = self.body.length
        return at + 11 + used

    cdef int64_t _parse(self, const uint8_t *data, Py_ssize_t size) except -1:
        """Feed the parser; returns how many bytes it used up."""
        cdef int64_t used = size
        if self.parser is None:
            self.parser = _RequestParser(self)
        self.head_size += size
        self.upgraded = False
        try:
            self.parser.feed_data(PyMemoryView_FromMemory(<char *>data, size, PyBUF_READ))
        except _ParserUpgrade as upgrade:
            # The client offers another protocol (h2c); we stay with HTTP/1.1, as RFC 9110 §7.8 allows. llhttp thinks
            # the message over at its head: the body is ours to count, or it would be read as the next request.
            used = upgrade.args[0]
            self.parser = None
        except _ParserError as error:
            if not self.last and self.fault is None:
                self.fault = self._fault_of(error)
        if self.fault is not None or self.last:
            self.parser = None
            return size
        if self.in_head:
            if self.head_size > self.max_head_size:
                self._refuse_size()
        elif self.body is not None and self.body.length >= 0:
            # The rest of a body of known length needs no parser: it goes on without a copy.
            self.body_left = self.body.length - self.body.arrived
            self.parser = None
        elif self.body is not None and self.head_size > self.max_head_size:
            # A chunked body that is all framing: an extension (RFC 9112 §7.1.1) that does not end.
            self._refuse(FaultCode.BAD_REQUEST, "The framing of the chunked body is too large.")
            self.parser = None
        return used

    cdef int _refuse_size(self) except -1:
        return self._refuse(FaultCode.REQUEST_HEADER_SECTION_TOO_LARGE,
                            f"Your request header section exceeds the maximum of {self.max_head_size} bytes.")

    cdef Fault _fault_of(self, object error):
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            return Fault(FaultCode.BAD_REQUEST, "The request line does not begin with an HTTP method.")
        if isinstance(error, httptools.HttpParserInvalidURLError):
            return Fault(FaultCode.INVALID_URI, "Couldn't parse the specified URI: percent-encode its special bytes.")
        return Fault(FaultCode.BAD_REQUEST, f"The request could not be parsed as HTTP/1.1: {error}.")

    cdef int _refuse(self, FaultCode code, str detail) except -1:
        if self.fault is None:
            self.fault = Fault(code, detail)
        return 0

    # What llhttp calls. Each may run many times within one `feed`.

    def on_message_begin(self):
        if self.last:
            # llhttp itself refuses what follows a request that asked to close; the flag in between covers us.
            raise Fault(FaultCode.BAD_REQUEST, "data after the last request")
        self.in_head = True
        self.head_started_s = monotonic()
        self.head_parsed = 0
        self.url = b""
        self.headers = []
        self.content_length = -1
        self.chunked = False
        self.expects_continue = False
        self.names_connection = False
        self.host = b""
        self.hosts = 0

    def on_url(self, bytes piece not None):
        self.head_parsed += len(piece)
        self.url = piece if not self.url else self.url + piece

    def on_header(self, bytes name not None, bytes value not None):
        cdef bytes lower
        cdef Py_ssize_t size = len(name)
        if not self.in_head:
            self._on_trailer(size + len(value))
            return
        self.head_parsed += size + len(value) + 4
        lower = name.lower()
        value = trimmed(value)
        self.headers.append((lower, value))
        if size == 4 and lower == b"host":
            self.hosts += 1
            self.host = value
        elif size == 6 and lower == b"expect":
            # S3 ignores any other expectation; a server may (RFC 9110 §10.1.1).
            if value.lower() == b"100-continue":
                self.expects_continue = True
        elif size == 10 and lower == b"connection":
            self.names_connection = True
        elif size == 14 and lower == b"content-length":
            length = int(value)
            if length > INT64_MAX:
                self._refuse(FaultCode.BAD_REQUEST, "The Content-Length is larger than any body can be.")
            else:
                self.content_length = length
        elif size == 17 and lower == b"transfer-encoding":
            if value.lower() == b"chunked":
                self.chunked = True
            else:
                self._refuse(FaultCode.NOT_IMPLEMENTED,
                             "A header you provided implies functionality that is not implemented: "
                             f"Transfer-Encoding {value.decode('latin-1')}; only chunked is.")

    cdef int _on_trailer(self, Py_ssize_t size) except -1:
        # HTTP's own trailer fields carry nothing that S3 reads (aws-chunked has its own, inside the body).
        self.head_size += size
        if self.head_size > self.max_head_size + _MAX_TRAILER_SIZE:
            raise Fault(FaultCode.REQUEST_HEADER_SECTION_TOO_LARGE, "The trailer section is too large.")
        return 0

    def on_headers_complete(self):
        cdef bytes method
        cdef bint http_1_0 = False
        cdef bint keep_alive = self.parser.should_keep_alive()
        self.in_head = False
        self.head_size = 0
        if self.names_connection or not keep_alive or self.hosts != 1:
            version = self.parser.get_http_version()
            if version == "1.0":
                http_1_0 = True
            elif version != "1.1":
                self._refuse(FaultCode.HTTP_VERSION_NOT_SUPPORTED,
                             f"HTTP/{version} is not supported on this connection; use HTTP/1.1.")
        if self.head_parsed > self.max_head_size:
            self._refuse_size()
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(FaultCode.METHOD_NOT_ALLOWED, "s3d is no proxy: CONNECT is not allowed.")
        if self.chunked and self.parser.should_upgrade():
            self._refuse(FaultCode.BAD_REQUEST, "A request that offers another protocol cannot have a chunked body.")
        if self.hosts > 1 or (self.hosts == 0 and not http_1_0):
            self._refuse(FaultCode.BAD_REQUEST, "A request must have exactly one Host header.")
        if self.chunked and http_1_0:
            self._refuse(FaultCode.BAD_REQUEST, "Transfer-Encoding is not part of HTTP/1.0.")
        if self.fault is not None:
            raise self.fault
        self._add_request(method, http_1_0, keep_alive)
        if self.fault is not None:
            raise self.fault
        self.upgraded = self.body is not None and self.parser.should_upgrade()

    cdef int _add_request(self, bytes method, bint http_1_0, bint keep_alive) except -1:
        """The head is complete: make its request, and the body that will arrive."""
        cdef Incoming body
        cdef Py_ssize_t mark
        cdef Request request
        if len(self.requests) >= _MAX_QUEUED:
            self._refuse(FaultCode.SLOW_DOWN, f"More than {_MAX_QUEUED} requests wait on this connection.")
            return 0
        if memchr(<const char *>self.url, c"#", len(self.url)):
            self._refuse(FaultCode.INVALID_URI, "A request target has no fragment: write # in a key as %23.")
            return 0
        request = Request.__new__(Request)
        request.method = method
        request.target = self.url
        mark = self.url.find(b"?")
        if mark < 0:
            request.path = self.url
            request.query = b""
        else:
            request.path = self.url[:mark]
            request.query = self.url[mark + 1:]
        request.headers = self.headers
        request.host = self.host
        request.secure = self.secure
        request.peer = self.peer
        request.local = self.local
        request.http_1_0 = http_1_0
        request.keep_alive = keep_alive
        request.expects_continue = self.expects_continue and not http_1_0
        request.operation = -1
        request.bucket = ""
        request.key = b""
        request.started_s = monotonic()
        if self.chunked:
            request.content_length = -1
        else:
            request.content_length = max(self.content_length, 0)
        if request.content_length != 0:
            body = Incoming.__new__(Incoming, self.channel, request.content_length)
            request.body = body
            self.body = body
        self.requests.append(request)
        return 0

    def on_body(self, bytes data not None):
        self.head_size = 0
        self.body.keep(data)

    def on_message_complete(self):
        self.head_size = 0
        if self.upgraded:
            return
        if self.body is not None:
            self.body.mark_complete()
            self.body = None
        if not self.parser.should_keep_alive():
            self.last = True
