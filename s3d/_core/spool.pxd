"""The sink of a request's body that stays here: bytes in memory or in a data file to be, and their digests."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from s3d._core.stage cimport Stage

cdef extern from "native_file.h":
    ctypedef struct s3d_directory:
        uint64_t started


cdef extern from "native_md5.h":
    ctypedef struct s3d_md5:
        pass


cdef class Pace:
    """How fast a volume takes writes: shared by the spools of one volume, loop's thread and workers."""
    cdef readonly bint slow          # writes block: they belong in a thread
    cdef readonly bint early         # begin to write large bodies back before they are whole
    cdef int _quick                  # quick writes in a row since the last slow one

    cpdef int note(self, int64_t took_ns) except -1


cdef class Block:
    """One buffer of a body; owns its memory."""
    cdef uint8_t *data
    cdef Py_ssize_t used             # bytes filled, from the start
    cdef int64_t offset              # in the body, of its first byte
    cdef bint written                # in the file already, only to be hashed


cdef class Directory:
    """A directory of data files, whose fsync is shared by all that get a name in it at about the same time."""
    cdef readonly str path
    cdef bytes _encoded
    cdef s3d_directory _native


cdef class Spool(Stage):
    cdef readonly int64_t size_bytes     # of the body so far
    cdef readonly bytes md5              # 16 bytes; None until the body is whole
    cdef readonly bytes body             # the whole body if it is small enough to be inline; else None
    cdef readonly int fd                 # of the data file to be, owned; -1 while there is none
    cdef readonly bint whole             # the body has come and its digests are made
    cdef readonly bint closed
    cdef readonly str temporary          # name of the file where it has to have one, else None
    cdef readonly Py_ssize_t inline_limit
    cdef bytes expected_md5              # what Content-MD5 said; None: nothing

    cdef uint64_t _xxh3
    cdef bytes _directory
    cdef object _done, _executor, _loop
    cdef Pace _pace
    cdef s3d_md5 _md5                    # the worker's
    cdef object _xxh3_hasher             # None until the body goes to the worker
    cdef object _part_hasher             # of the hash block that is coming; None within the first
    cdef bytearray _part_hashes          # of those that have come, 8 bytes each; None before the first has
    cdef Block _block                    # being filled; None before the first byte and after the last
    cdef object _queue                   # deque of blocks for the worker
    cdef Py_ssize_t _waiting             # its length
    cdef object _turn, _timer            # of the worker: its Future, and what ends the wait for it
    cdef object _error                   # why it failed, for the loop's thread to tell
    cdef int _busy                       # a worker runs or is about to
    cdef bint _paused, _ending           # up the chain; the last byte has come
    cdef int64_t _writing_back           # bytes of the file, from its start, that are on their way to the disk

    cdef int _flush(self) except -1
    cdef int _open(self) except -1
    cdef int _write_block(self, Block block) except -1
    cdef int _hash_block(self, Block block) except -1
    cdef int _start(self) except -1
    cdef int _work_batch(self, list blocks) except -1
    cdef int _conclude(self) except -1
    cdef int _end(self, object error) except -1
    cdef int _drop(self) except -1
