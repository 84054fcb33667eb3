"""The ends of a chain of stages for bodies that are in memory."""

from s3d._core.stage cimport Stage


cdef class Collector(Stage):
    cdef readonly Py_ssize_t limit
    cdef readonly Py_ssize_t size      # bytes gathered
    cdef bytearray _data
    cdef object _done


cdef class Beginning(Stage):
    cdef readonly Py_ssize_t limit
    cdef readonly bint whole           # the body ended within the limit
    cdef bytearray _data               # what has come; None once it has gone on
    cdef object _seen
    cdef bint _held                    # more than the limit has come, and the source is paused until we are connected
    cdef bint _paused                  # whoever is below asked for a pause
    cdef bint _ended                   # the body was whole before we were connected
    cdef object _error                 # it broke off before that

    cdef int _tell(self, bytes data, object error) except -1


cdef class Source(Stage):
    cdef readonly bint paused
    cdef readonly object cancelled     # what the chain was cancelled with, None while it was not
