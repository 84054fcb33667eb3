"""One HTTP request, as the connection parsed it and the router understood it."""

from libc.stdint cimport int64_t


cdef class Request:
    """One HTTP request.

    The connection makes it when the head is complete; the router fills in operation, bucket, key and query
    parameters. The public constructor serves tests and tools: it takes the head as values and has no body.

    `headers` and `params` must not be changed once a signature was checked over them.
    """

    def __init__(
        self,
        bytes method not None,
        bytes target not None,
        list headers not None,
        *,
        int64_t content_length=0,
        bint secure=False,
        object peer=None,
        object local=None,
    ):
        cdef Py_ssize_t mark = target.find(b"?")
        self.method = method
        self.target = target
        if mark < 0:
            self.path = target
            self.query = b""
        else:
            self.path = target[:mark]
            self.query = target[mark + 1:]
        self.headers = headers
        self.content_length = content_length
        self.keep_alive = True
        self.secure = secure
        self.peer = peer
        self.local = local
        self.operation = -1
        self.bucket = ""
        self.key = b""
        self.params = None
        self.request_id = ""
        cdef bytes host = self.header(b"host")
        self.host = b"" if host is None else host

    cpdef bytes header(self, bytes name):
        """The first value of the header called ``name`` (lower case), or None."""
        cdef tuple pair
        for pair in self.headers:
            if <bytes>pair[0] == name:
                return <bytes>pair[1]
        return None

    cpdef bytes param(self, bytes name):
        """The first value of the query parameter ``name``, b"" when it has none, or None when it is absent."""
        cdef tuple pair
        if self.params is None:
            return None
        for pair in self.params:
            if <bytes>pair[0] == name:
                return <bytes>pair[1]
        return None

    def __repr__(self):
        return f"<Request {self.method.decode()} {self.path!r} id={self.request_id}>"
