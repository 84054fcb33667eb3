"""A body on its way out: the sink stage of every answer's body."""

from libc.stdint cimport int64_t, uint8_t

from s3d._core.channel cimport Channel
from s3d._core.stage cimport Stage


cdef class Outgoing(Stage):
    cdef Channel channel         # where the bytes go; None after the end
    cdef int64_t left            # bytes still to come, -1: unknown
    cdef bint chunked
    cdef bytes head              # to be sent with the first span; None once it was
    cdef bint holds_head         # the source says when the head goes, by the first span or `send_head_ahead`
    cdef bint paused             # the channel takes no more for now

    cdef int send_head(self) except -1
    cdef int send_head_ahead(self) except -1
    cdef int _send_chunk(self, const uint8_t *data, Py_ssize_t size) except -1
