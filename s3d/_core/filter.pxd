"""The filter evaluator: a compiled list of clauses, and what is asked about. Contracts stand in native_filter.h."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t


cdef extern from "native_filter.h" nogil:
    enum:
        S3D_MAX_PREFIX
        S3D_GLOB_TEXT, S3D_GLOB_BYTES, S3D_GLOB_ONE, S3D_GLOB_ANY
        S3D_NO_AMOUNT, S3D_NUMBER, S3D_SIZE, S3D_DURATION, S3D_DATE
        S3D_BUCKET_TAGS, S3D_OBJECT_TAGS, S3D_METADATA, S3D_GROUPS
        S3D_KNOWN, S3D_NOT_LOADED, S3D_UNKNOWABLE
        S3D_BUCKET_TAG, S3D_OBJECT_TAG, S3D_HEADER, S3D_CONTENT_LENGTH_HEADER, S3D_LAST_MODIFIED_HEADER
        S3D_OBJECT_SIZE, S3D_AGE, S3D_OPERATION, S3D_USER, S3D_ATTRIBUTES
        S3D_PRESENT, S3D_EQUAL, S3D_NOT_EQUAL, S3D_LESS, S3D_AT_MOST, S3D_MORE, S3D_AT_LEAST, S3D_OPERATORS
        S3D_QUEUE, S3D_CACHE, S3D_SYNC, S3D_PURPOSES
        S3D_INCLUDED, S3D_PINNED, S3D_IMMUTABLE, S3D_BY_TAG, S3D_BY_SETTING, S3D_NEEDS_SHIFT, S3D_CLAUSE_SHIFT

    ctypedef struct s3d_amount:  # a 128-bit integer, which Cython need not know
        pass
    ctypedef struct s3d_field:
        const uint8_t *name
        const uint8_t *value
        uint32_t name_size
        uint32_t value_size
    ctypedef struct s3d_glob_op:
        uint32_t offset
        uint16_t size
        uint16_t kind
    ctypedef struct s3d_condition:
        uint32_t first_op, op_count
        uint32_t name, name_size
        uint8_t attribute, operator_, kind
        s3d_amount amount
    ctypedef struct s3d_clause:
        uint32_t bucket_op, bucket_op_count
        uint32_t key_op, key_op_count
        uint32_t condition, condition_count
        uint32_t prefix_size
        int32_t bucket_size
        uint8_t excludes
    ctypedef struct s3d_node:
        uint32_t label, label_size
        uint32_t child, child_count
        uint32_t entry, entry_count
    ctypedef struct s3d_program:
        const uint8_t *bytes
        const s3d_glob_op *ops
        const s3d_condition *conditions
        const s3d_clause *clauses
        const s3d_node *nodes
        const uint8_t *first_bytes
        const uint32_t *entries
        uint32_t clause_count
        uint8_t included_by_default, included_if_unknowable, purpose
    ctypedef struct s3d_subject:
        const uint8_t *path
        size_t path_size, bucket_size
        const s3d_field *bucket_tags
        const s3d_field *object_tags
        const s3d_field *headers
        size_t bucket_tag_count, object_tag_count, header_count
        uint8_t states[3]
        int64_t size_bytes
        int64_t modified_ms, now_ms
        const uint8_t *operation
        const uint8_t *user
        size_t operation_size, user_size

    int s3d_read_amount(const uint8_t *text, size_t size, s3d_amount *amount) noexcept
    uint32_t s3d_decide(const s3d_program *program, const s3d_subject *subject) noexcept


# Grown as the largest list so far needs, and kept.
cdef struct Fields:
    s3d_field *data
    Py_ssize_t capacity


cdef class Subject:
    cdef s3d_subject about               # what the evaluator sees; it points into what follows
    cdef uint8_t *path                   # owned, `bucket/key`
    cdef Py_ssize_t path_capacity
    cdef Fields bucket_tags, object_tags, headers
    cdef object held_bucket_tags, held_object_tags, held_headers, held_operation, held_user


cdef class Program:
    cdef s3d_program program             # its tables are owned, and never change
    cdef readonly Py_ssize_t nodes       # of the tree, the root among them
    cdef readonly unsigned long long unknown

    # The decision's bits, as `decide` returns them. Needs the GIL for its counter alone.
    cdef uint32_t verdict(self, Subject subject) noexcept

    cdef int _take_bytes(self, bytes text) except -1
    cdef int _take_ops(self, ops, Py_ssize_t text_size) except -1
    cdef int _take_conditions(self, conditions, Py_ssize_t text_size, Py_ssize_t op_count) except -1
    cdef int _take_clauses(self, clauses, Py_ssize_t op_count, Py_ssize_t condition_count) except -1
    cdef int _take_tree(self, nodes, entries, bytes text, Py_ssize_t clause_count) except -1
