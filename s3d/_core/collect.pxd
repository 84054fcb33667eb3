"""The ends of a chain of stages for bodies that are in memory."""

from s3d._core.stage cimport Stage


cdef class Collector(Stage):
    cdef readonly Py_ssize_t limit
    cdef readonly Py_ssize_t size      # bytes gathered
    cdef bytearray _data
    cdef object _done


cdef class Source(Stage):
    cdef readonly bint paused
    cdef readonly object cancelled     # what the chain was cancelled with, None while it was not
