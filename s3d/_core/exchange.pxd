"""A forwarded request under way: the promise of its answer, and what it takes to send it again."""

from s3d._core.forward cimport Target
from s3d._core.promise cimport Promise
from s3d._core.remote cimport RemoteConnection
from s3d._core.request cimport Request


cdef class Pulse:
    cdef public bint well              # the last request was answered: nothing to report of the next one that is


cdef class Exchange(Promise):
    cdef object owner                  # asked `answered(exchange, response)` and `failed(exchange, error)`; then None
    cdef Pulse pulse
    cdef readonly Request request
    cdef readonly object upload
    cdef readonly Target target
    cdef readonly RemoteConnection connection

    cdef int _ask(self, object decide, object outcome) except -1
