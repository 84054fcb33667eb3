"""Canonical requests of AWS Signature Version 4, built in buffers that are used again for the next request."""

from libc.stdint cimport int64_t, uint8_t


cdef extern from "sigv4.h" nogil:
    ctypedef struct s3d_span:
        const uint8_t *data
        Py_ssize_t size

    ctypedef struct s3d_pair:
        s3d_span name
        s3d_span value
        int index
        int is_signed

    int s3d_span_compare(const s3d_span *a, const s3d_span *b) noexcept
    bint s3d_span_is(const s3d_span *span, const char *text, Py_ssize_t size) noexcept
    bint s3d_span_begins(const s3d_span *span, const char *text, Py_ssize_t size) noexcept
    int s3d_query_order(const void *a, const void *b) noexcept
    int s3d_header_order(const void *a, const void *b) noexcept
    void s3d_sort_pairs(s3d_pair *pairs, Py_ssize_t count, int (*order)(const void *, const void *) noexcept) noexcept
    uint8_t *s3d_put(uint8_t *out, const void *data, Py_ssize_t size) noexcept
    uint8_t *s3d_put_value(uint8_t *out, const s3d_span *value) noexcept
    int64_t s3d_parse_time(const uint8_t *text, Py_ssize_t size) noexcept
    void s3d_format_time(int64_t seconds, uint8_t *out) noexcept


cdef inline s3d_span span_of(bytes value):
    """Borrows ``value``: valid as long as the object is."""
    cdef s3d_span span
    span.data = <const uint8_t *><const char *>value
    span.size = len(value)
    return span


cdef inline str text_of(s3d_span span):
    """For messages: what is not UTF-8 is replaced."""
    return (<const char *>span.data)[:span.size].decode("utf-8", "replace")


cdef class Canonical:
    # The headers and query parameters of the request last loaded. Header spans borrow from the request, parameter
    # spans from `_query`; both hold until the next load.
    cdef s3d_pair *headers
    cdef Py_ssize_t header_count
    cdef s3d_pair *params            # canonical encoding, sorted
    cdef Py_ssize_t param_count
    # The text under construction. `text` has room for what `reserve` was asked for.
    cdef uint8_t *text
    cdef Py_ssize_t size             # bytes written

    cdef Py_ssize_t _header_room, _param_room, _text_room, _query_room, _decoded_room
    cdef uint8_t *_query             # what the parameters' spans point into
    cdef uint8_t *_decoded           # a component between decoding and encoding

    cdef int load_headers(self, list headers) except -1
    cdef int load_query(self, bytes query) except -1
    cdef int begin(self, bytes method, bytes path, bint with_signature, Py_ssize_t more) except -1
    cdef int reserve(self, Py_ssize_t size) except -1
    cdef int put(self, const void *data, Py_ssize_t size) noexcept
    cdef int put_headers(self, Py_ssize_t first, Py_ssize_t last) noexcept
    cdef Py_ssize_t encode(self, const uint8_t *data, Py_ssize_t size, uint8_t *out, bint is_path) except -1
