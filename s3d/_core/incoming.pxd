"""A body on its way in: the source stage of every request body and of every answer of the remote."""

from libc.stdint cimport int64_t, uint8_t

from s3d._core.channel cimport Channel
from s3d._core.stage cimport Stage


cdef class Incoming(Stage):
    cdef Channel channel             # where the bytes arrive; None after the end
    cdef object pending              # deque of bytes that arrived before their consumer took them
    cdef readonly int64_t length     # bytes announced, -1 if only the end will tell
    cdef readonly int64_t arrived    # bytes so far
    cdef readonly bint complete      # the last byte has arrived
    cdef readonly bint connected     # a chain stands below
    cdef readonly bint ended         # by finish, fail or cancel
    cdef bint paused                 # the consumer takes no more for now
    cdef bint flushing

    # The channel's side. `keep` only stores, for parser callbacks that must not run anybody else's code.
    cdef int keep(self, bytes data) except -1
    cdef int arrive(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef int mark_complete(self) except -1
    cdef int break_off(self, object error) except -1
    cdef int spoil(self) except -1
    cdef int flush(self) except -1
    cdef int drop(self) except -1
    cdef int64_t splice(self) except -1

    cdef int _write(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef int _fail(self, object error) except -1
    cdef int _finish(self) except -1
    cdef int _end(self) except -1
