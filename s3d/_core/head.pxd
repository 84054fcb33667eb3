"""The plain C scanner of simple heads; its contract stands in ``native_head.h``."""

from libc.stdint cimport int64_t, uint8_t, uint32_t


cdef extern from "native_head.h" nogil:
    ctypedef struct s3d_field:
        const uint8_t *name
        const uint8_t *value
        uint32_t name_size
        uint32_t value_size

    enum:
        S3D_MAX_FIELDS
        S3D_PLAIN
        S3D_CONTENT_LENGTH
        S3D_HOST
        S3D_CONNECTION
        S3D_KEEP_ALIVE
        S3D_NOT_SIMPLE

    Py_ssize_t s3d_scan_fields(const uint8_t *data, Py_ssize_t size, s3d_field *fields, int *count) noexcept
    bint s3d_field_is(const s3d_field *field, const char *name, uint32_t size) noexcept
    int64_t s3d_field_number(const s3d_field *field) noexcept
    int s3d_field_kind(const s3d_field *field) noexcept
