"""How the remote can fail to answer."""

cpdef enum RemoteFailure:
    CONNECT = 0           # no connection could be made
    DISCONNECTED          # the connection ended before the answer was whole
    TIMED_OUT             # no answer, or no further byte of it, within the limit
    PROTOCOL              # the answer was not HTTP, or contradicted itself


cdef class RemoteError(Exception):
    cdef readonly RemoteFailure failure
    cdef readonly str detail
    cdef readonly bint answered         # at least one byte of the answer had arrived
