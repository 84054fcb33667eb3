"""Rewrites one element of an XML answer on its way through."""

from libc.stdint cimport uint8_t

from s3d._core.stage cimport Stage


cdef class Relocation(Stage):
    cdef Stage source            # connected when we are; None afterwards
    cdef bytes location          # XML text of the element's new content
    cdef bytearray document      # what has not been passed on yet
    cdef bint holding            # its first element has begun
    cdef bint passing            # the document is too large to be kept: the rest of it passes

    cdef Py_ssize_t _prologue(self) except -1
    cdef bytes _relocated(self)
