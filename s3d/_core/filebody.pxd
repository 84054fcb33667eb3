"""A body that lies in data files: the source stage of what is read from the disk."""

from libc.stdint cimport int64_t

from s3d._core.outgoing cimport Outgoing
from s3d._core.stage cimport Stage


cdef class FileBody(Stage):
    cdef readonly int64_t size_bytes   # of the whole body
    cdef readonly int64_t left_bytes   # not handed over yet
    cdef readonly bint ended           # by finish, fail or cancel

    # Where it comes from.
    cdef list extents                  # of (file number, offset, size); None after the end
    cdef Py_ssize_t following          # index of the extent after the current one
    cdef object file                   # number of the current extent's file
    cdef int fd                        # of that file, owned; -1: not open
    cdef int64_t offset                # of the next byte in that file
    cdef int64_t extent_left           # bytes of the current extent that are still to come
    cdef object opener                 # (file number) -> fd
    cdef object verifier               # proves bytes before they go out; None: nothing to prove
    cdef object done                   # () -> object; None once it was called
    cdef object loop
    cdef object executor

    # Where it stands. While `working`, `fd` belongs to the thread and nothing else may touch it.
    cdef Outgoing answer               # the sink, if that is the answer of a server's connection
    cdef bint pumping                  # `_pump` runs further up the stack
    cdef bint paused                   # the sink takes no more for now
    cdef bint working                  # a thread opens or reads the file
    cdef bint waiting                  # the loop will call `_turn`
    cdef int64_t read_until            # a thread has just read the file to here
    cdef int64_t verified_until        # the current extent is proved up to this offset of the file
    cdef int64_t verify_size           # to be proved at a time

    cdef int _pump(self) except -1
    cdef int _flow(self) except -1
    cdef Py_ssize_t _read_span(self, Py_ssize_t size) except -1
    cdef int _moved(self, int64_t size) except -1
    cdef int _next_extent(self) except -1
    cdef bint _open(self) except -1
    cdef bint _is_verified(self) except -1
    cdef bint _cached(self, int64_t size) except -1
    cdef int _prepare_in_thread(self, int64_t size) except -1
    cdef object _too_short(self)
    cdef int _fail(self, object error) except -1
    cdef int _finish(self) except -1
    cdef int _end(self) except -1
    cdef int _release(self) except -1
    cdef int _close_file(self) except -1
