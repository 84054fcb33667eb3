"""Percent-decoding of request targets, and the percent-encoding that signatures and keys need."""

from libc.stdint cimport uint8_t


cdef extern from "percent.h" nogil:
    # The kernels; their contracts stand in the header.
    int s3d_hex_value(uint8_t byte) noexcept
    Py_ssize_t s3d_percent_decode(const uint8_t *data, Py_ssize_t size, uint8_t *out, bint plus_is_space) noexcept
    Py_ssize_t s3d_percent_encoded_size(const uint8_t *data, Py_ssize_t size, bint keep_slash) noexcept
    Py_ssize_t s3d_percent_encode(const uint8_t *data, Py_ssize_t size, uint8_t *out, bint keep_slash) noexcept


# Both borrow their input until they return, and return owned bytes. `data` may be NULL only when `size` is 0.
cdef bytes percent_decode(const uint8_t *data, Py_ssize_t size, bint plus_is_space)
cdef bytes percent_encode(const uint8_t *data, Py_ssize_t size, bint keep_slash)
