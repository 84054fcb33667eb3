"""One HTTP response: ours to a client, or the remote's to us."""

from libc.stdint cimport int64_t

from s3d._core.octets cimport Octets
from s3d._core.stage cimport Stage

# Response.content_length when there is no such number.
cdef enum:
    LENGTH_UNKNOWN = -1          # the body is a stage that says when it ends
    LENGTH_NONE = -2             # no body is implied: HEAD without a length, 204, 304


cdef class Response:
    cdef public int status
    cdef list _headers                   # [(name, value), …] without those that frame the message; may be None if …
    cdef bytes raw                       # … they, or the first of them, stand here as lines "name: value CRLF"
    cdef bint raw_dated                  # one of those lines is, or was, the Date
    cdef public object body              # bytes, Stage (a source), or None
    cdef public int64_t content_length   # bytes of the body, or LENGTH_*; taken from the body where that is bytes
    cdef public bint close               # close the connection after it

    cdef int put_head(self, Octets out, bint http_1_0, bint close, bytes date) except -1


cdef bytes reason_of(int status)
