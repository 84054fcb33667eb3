"""From a request's head to operation, bucket and key."""

from s3d._core.request cimport Request


cdef class _Line:
    cdef int operation
    cdef tuple queries          # query keys (bytes) that must be there
    cdef tuple headers          # header names (bytes, lower case) that must be there
    cdef tuple hints            # query keys (bytes) of which one must be there, unless hint_id or scope fits
    cdef bytes hint_id          # value of x-id; b"" when the line needs no hint
    cdef bytes scope            # b"/s3express/aws4_request", or b""
    cdef tuple strays           # query keys (bytes) that must not be there
    cdef bint fallback

    cdef bint fits(self, Request request) except -1


cdef class _Selector:
    cdef bytes name
    cdef bint strong            # the bare key selects
    cdef dict values            # value → name of the cell entry that the pair selects; None when no pair does


cdef class Router:
    cdef dict methods           # method (bytes) → row
    cdef list cells             # 3 * row + target → {entry name (bytes): [_Line, …]}
    cdef list selectors         # target → {query key (bytes): _Selector}
    cdef list write_selectors   # the same, with those of the other targets
    cdef dict literals          # path (bytes) → [(method, _Line), …]
    cdef list domains           # lower-case bytes, longest first
    cdef int preflight          # index of the operation that OPTIONS always is, -1 if there is none

    # The routed operation's index, or an exception; the contract stands at the definition.
    cpdef int route(self, Request request) except -1

    cdef int _enter_absolute(self, Request request) except -1
    cdef Py_ssize_t _virtual_size(self, bytes host) except -2
    cdef int _select(self, Request request, dict cell, bytes entry) except -1
    cdef int _literal(self, Request request) except -2
    cdef bytes _read_query(self, Request request, int target)
