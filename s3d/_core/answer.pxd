"""Reads HTTP/1.1 responses of which only status and length matter."""

from cython cimport final
from libc.stdint cimport int64_t, uint8_t

cdef enum:
    ANSWER_HEAD_MAX = 16384    # bytes of one response head; longer is malformed


@final
cdef class AnswerReader:
    cdef readonly int status           # of the final response, 0 before its head is complete
    cdef readonly bint complete
    cdef readonly bint last            # the server will close the connection after it
    cdef readonly int64_t body_bytes   # of its body so far, without chunk framing
    cdef bint bodiless
    cdef int state
    cdef int64_t left
    cdef Py_ssize_t carried
    cdef uint8_t carry[ANSWER_HEAD_MAX]

    cdef void reset(self, bint bodiless) noexcept
    cdef Py_ssize_t take(self, const uint8_t *data, Py_ssize_t size) noexcept
    cdef bint ended(self) noexcept
    cdef Py_ssize_t take_head(self, const uint8_t *data, Py_ssize_t size) noexcept
    cdef bint parse_head(self, const uint8_t *head, Py_ssize_t size) noexcept
    cdef Py_ssize_t take_chunk(self, const uint8_t *data, Py_ssize_t size) noexcept
