"""Faults on purpose: the proof that the sanitized build and its environment would show them."""

from libc.stdint cimport uint8_t
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE


def read_past_end(bytes data not None):
    """Reads one byte past the terminating NUL of ``data``: the smallest overread that there is."""
    cdef const uint8_t *start = <const uint8_t *>PyBytes_AS_STRING(data)
    return start[PyBytes_GET_SIZE(data) + 1]


def shift(int count):
    """One, shifted left; undefined from 32 on."""
    cdef int one = 1
    return one << count
