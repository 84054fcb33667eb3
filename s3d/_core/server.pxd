"""The server's connections: requests in order, one answer at a time, limits and time limits."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from s3d._core.channel cimport Channel
from s3d._core.meter cimport Meter
from s3d._core.outgoing cimport Outgoing
from s3d._core.promise cimport Observer, Promise
from s3d._core.reader cimport RequestReader
from s3d._core.request cimport Request
from s3d._core.response cimport Response


cdef class Service:
    """What all connections of a server share."""
    cdef object loop
    cdef object dispatch             # (Request) -> Response | Promise | awaitable of Response
    cdef object refuse               # (Request | None, BaseException) -> Response
    cdef readonly Meter meter
    cdef set connections             # of ServerConnection, open ones
    cdef readonly bint closing
    cdef Py_ssize_t lingering        # of the connections, those that only wait for their client to notice
    cdef Py_ssize_t max_connections
    cdef Py_ssize_t max_head_size
    cdef double head_timeout_s
    cdef double idle_timeout_s
    cdef double body_timeout_s
    cdef object sweeper              # timer handle of the next sweep, None when stopped
    cdef object drained              # future of `close`, None before
    cdef bytes date                  # value for Date, of second `date_second`
    cdef int64_t date_second
    cdef uint64_t ids                # state of the request id generator

    cdef bytes today(self)
    cdef str next_id(self)
    cdef int _check_drained(self) except -1


cdef class ServerConnection(Channel):
    cdef Service service
    cdef bint secure
    cdef RequestReader reader
    cdef Request active              # the request being answered, None between requests
    cdef object pending_result       # Promise or Task that will bring its answer
    cdef Outgoing answer             # the body being sent, None otherwise
    cdef bint advancing              # `advance` runs further up the stack
    cdef bint close_after            # nothing follows the answer under way
    cdef double idle_since_s         # when the last answer was handed over, or the connection made
    cdef int64_t answers             # handed over so far
    cdef double lingering_since_s    # > 0: the answer is sent, we only wait for the client to have read it
    cdef int64_t answer_sent_mark    # `sent_bytes` before the answer under way
    cdef int active_status

    cdef int advance(self) except -1
    cdef int respond(self, Response response) except -1
    cdef int answered(self, bint whole) except -1
    cdef int check(self, double now) except -1

    cdef int _close_after_last(self) except -1
    cdef int _begin(self, Request request) except -1
    cdef int _take(self, object result) except -1
    cdef int _refuse(self, object error) except -1
    cdef int _leave_body(self, Request request) except -1
    cdef int _linger(self) except -1
    cdef int _record(self, bint aborted) except -1
