"""The middle of a body from one socket to another, within the kernel."""

from libc.stdint cimport int64_t

from s3d._core.channel cimport Channel

# With less to come, a body is not worth it.
cdef enum:
    SPLICE_LEAST = 65536


cdef int64_t move_on(Channel source, Channel to, int64_t size) except -1
