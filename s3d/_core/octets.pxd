"""A growing buffer of bytes that is written once and read once, many times over."""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy


cdef class Octets:
    cdef uint8_t *data           # owned; valid until the next put
    cdef Py_ssize_t size         # bytes in use
    cdef Py_ssize_t capacity

    cdef int grow(self, Py_ssize_t more) except -1

    cdef inline int put(self, const uint8_t *data, Py_ssize_t size) except -1:
        if size > self.capacity - self.size:
            self.grow(size)
        memcpy(self.data + self.size, data, size)
        self.size += size
        return 0

    cdef inline int put_bytes(self, bytes value) except -1:
        return self.put(<const uint8_t *><char *>value, len(value))

    cdef int put_int(self, int64_t value) except -1
    cdef int put_header(self, bytes name, bytes value) except -1
