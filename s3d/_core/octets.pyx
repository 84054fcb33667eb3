"""A growing buffer of bytes that is written once and read once, many times over."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memchr


cdef class Octets:
    """Bytes put one after the other into memory that is kept for the next use.

    One owner, one user at a time: whoever puts must be done with `data` before anything else may put. Set ``size`` to
    zero to start again.
    """

    def __cinit__(self):
        self.data = NULL
        self.size = 0
        self.capacity = 0
        self.grow(1024)

    def __dealloc__(self):
        free(self.data)

    cdef int grow(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t capacity = max(2 * self.capacity, self.size + more)
        cdef uint8_t *data = <uint8_t *>realloc(self.data, capacity)
        if data is NULL:
            raise MemoryError()
        self.data = data
        self.capacity = capacity
        return 0

    cdef int put_int(self, int64_t value) except -1:
        cdef uint8_t digits[20]
        cdef int at = 20
        cdef uint64_t rest = <uint64_t>value if value >= 0 else 0 - <uint64_t>value
        while True:
            at -= 1
            digits[at] = <uint8_t>(48 + rest % 10)
            rest //= 10
            if rest == 0:
                break
        if value < 0:
            at -= 1
            digits[at] = c"-"
        return self.put(digits + at, 20 - at)

    cdef int put_header(self, bytes name, bytes value) except -1:
        """``name: value CRLF``; a value that would break out of its line is refused (response splitting)."""
        cdef Py_ssize_t size = len(value)
        cdef const char *start = value
        if memchr(start, 13, size) or memchr(start, 10, size) or memchr(start, 0, size):
            raise ValueError(f"header {name!r} has a value with a line break or NUL: {value!r}")
        self.put_bytes(name)
        self.put(<const uint8_t *>b": ", 2)
        self.put(<const uint8_t *>start, size)
        return self.put(<const uint8_t *>b"\r\n", 2)
