"""The way of a request that an idle connection takes at once."""

from libc.stdint cimport int64_t

from s3d._core.forward cimport Target
from s3d._core.promise cimport Promise
from s3d._core.remote cimport RemoteConnection
from s3d._core.request cimport Request
from s3d._core.upload cimport Upload


cdef class Idle:
    cdef readonly list idle            # RemoteConnection, the one used last at the end
    cdef readonly object waiting       # a deque of futures of a connection, first come first served

    cpdef RemoteConnection take(self, bint sure)
    cpdef int released(self, RemoteConnection connection) except -1


cpdef Promise send(RemoteConnection connection, Target target, Request request, Upload upload, int64_t now_s,
                   Promise promise=*)
