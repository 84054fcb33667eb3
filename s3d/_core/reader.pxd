"""Requests out of bytes: one parser for one client connection."""

from libc.stdint cimport int64_t, uint8_t

from s3d._core.channel cimport Channel
from s3d._core.fault cimport Fault, FaultCode
from s3d._core.incoming cimport Incoming


cdef class RequestReader:
    cdef Channel channel             # whose bytes these are: the bodies hold it
    cdef object parser               # httptools.HttpRequestParser; None when the next request needs a new one
    cdef readonly object requests    # deque of Request: complete heads nobody has taken yet
    cdef readonly Fault fault        # set once: the bytes after the last request make no sense; nothing more is read
    cdef readonly bint last          # the last request asked to close: what follows it is ignored
    cdef Incoming body               # the body that is arriving, None between bodies
    cdef int64_t body_left           # > 0: so many bytes of `body` go past the parser
    cdef bint upgraded               # llhttp passes over the body of the request being read
    cdef bint in_head                # between a head's first and last byte
    cdef double head_started_s       # when that first byte came
    cdef Py_ssize_t max_head_size

    # The head being read.
    cdef Py_ssize_t head_size        # bytes fed since it began (give or take one read), also of what has no end yet
    cdef Py_ssize_t head_parsed      # bytes of its target and headers
    cdef bytes url
    cdef list headers
    cdef int64_t content_length      # -1: none given
    cdef bint chunked
    cdef bint expects_continue
    cdef bint names_connection       # it has a Connection header
    cdef bytes host
    cdef int hosts
    cdef bint secure
    cdef object peer
    cdef object local

    cdef int feed(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef int64_t _scan(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef int _add_request(self, bytes method, bint http_1_0, bint keep_alive) except -1
    cdef int64_t _parse(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef Fault _fault_of(self, object error)
    cdef int _refuse(self, FaultCode code, str detail) except -1
    cdef int _refuse_size(self) except -1
    cdef int _on_trailer(self, Py_ssize_t size) except -1
