"""The sink of a request's body that stays here: bytes in memory or in a data file to be, and their digests.

A body is gathered in blocks of `BLOCK_SIZE`. One that fits into a single block never has a file before it is published:
`publish` then opens, writes, syncs and links it in one go without the GIL. A larger one gets a file without a name
(O_TMPFILE), to which full blocks are written, inline while the page cache takes them and in the worker when the disk
blocks (`Pace`), while the worker computes the MD5 of the blocks in their order. MD5 bounds everything (0.5 to
0.8 GB/s), so it overlaps with receiving and writing; at most `MAX_QUEUED` blocks wait for it, then the chain pauses.
Memory: one block per body and `MAX_QUEUED_ALL` for all together.

Threads: everything runs on the event loop's thread but `_work`, of which at most one runs per spool. The worker alone
touches the MD5 and, while it runs, the blocks it has taken; it looks at `closed` between two batches, after each of
which it waits for the GIL, up to 5 ms behind a busy loop. Who closes a spool under it leaves it file and blocks.
"""

import os
import time
from collections import deque

import xxhash

from cpython.buffer cimport PyBUF_READ
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.errno cimport EISDIR, ENOENT, EOPNOTSUPP, ETIMEDOUT
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, strerror

from s3d._core.digest cimport CONTENT_MD5, Algorithm, digest_fault
from s3d._core.stage cimport Stage

cdef extern from "native_file.h":
    int64_t s3d_clock_ns() nogil
    int s3d_open_anonymous(const char *directory) nogil
    int s3d_open_named(const char *path) nogil
    int s3d_write_all(int fd, const uint8_t *data, size_t size, int64_t offset) nogil
    int s3d_datasync(int fd) nogil
    int s3d_name_file(int fd, const char *temporary, const char *path) nogil
    void s3d_directory_init(s3d_directory *directory) nogil
    void s3d_directory_destroy(s3d_directory *directory) nogil
    void s3d_begin_writeback(int fd, int64_t offset, int64_t size) nogil
    int s3d_directory_sync(s3d_directory *directory, const char *path) nogil
    int s3d_unlink "unlink"(const char *path) nogil
    int s3d_close "close"(int fd) nogil

cdef extern from "native_md5.h":
    void s3d_md5_init(s3d_md5 *md5) nogil
    void s3d_md5_update(s3d_md5 *md5, const uint8_t *data, size_t size) nogil
    void s3d_md5_final(s3d_md5 *md5, uint8_t *digest) nogil

BLOCK_SIZE = 262144       # what one read of a body brings at most (channel.pyx)
HASHED_SIZE = 1048576     # of which there is a hash of its own, so that a range can be proved without the rest
TURN_LIMIT_S = 60.0       # for one turn of a body's worker, its wait included: a client waits no longer (botocore)
TEMPORARY_PREFIX = f".{time.time_ns():x}-"   # of this process's files that need a name; a pid may come again
cdef Py_ssize_t _BLOCK_SIZE = BLOCK_SIZE
cdef Py_ssize_t _HASHED_SIZE = HASHED_SIZE
cdef enum:
    MAX_QUEUED = 8                         # blocks that wait for one spool's worker
    BATCH = 4                              # of them that it takes at once: 1 MiB, 1.5 ms of MD5 without the GIL
cdef Py_ssize_t MAX_QUEUED_ALL = 128       # of all spools, 32 MiB; above it each may have one
cdef Py_ssize_t HASHED_INLINE = 65536      # MD5 of it takes 100 µs, to a thread and back 60
cdef Py_ssize_t MAX_SPARE = 32             # 8 MiB kept for the next bodies
cdef int64_t WRITEBACK_SIZE = 8388608

cdef object _xxh3_of = xxhash.xxh3_64_intdigest
cdef list _spare = []                      # blocks that nobody uses, last used last; guarded by the GIL
cdef int64_t _named_count = 0
cdef Py_ssize_t _queued = 0                # blocks in the queues of all spools; guarded by the GIL


cdef class Block:
    def __cinit__(self):
        self.data = <uint8_t *>malloc(_BLOCK_SIZE)
        if self.data is NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.data)


cdef Block take_block(int64_t offset):
    cdef Block block
    block = <Block>_spare.pop() if _spare else Block.__new__(Block)
    block.used = 0
    block.offset = offset
    block.written = False
    return block


cdef Py_ssize_t queue_limit() noexcept:
    return MAX_QUEUED if _queued < MAX_QUEUED_ALL else 1


cdef int give_block(Block block) except -1:
    if len(_spare) < MAX_SPARE:
        _spare.append(block)
    return 0


cdef object os_error(int code, object path):
    """The OSError of ``-errno`` with the path."""
    return OSError(-code, (<bytes>strerror(-code)).decode(), os.fsdecode(path))


cdef class Pace:
    """How fast a volume takes writes: shared by the spools of one volume.

    The page cache takes a block of 256 KiB in 0.1 ms. A write that took longer than `SLOW_NS` for one was held up by
    the kernel's throttling of dirty pages or by the disk itself, so the next ones go to threads, until `QUICK_ENOUGH`
    of them in a row were quick again. (RWF_NOWAIT would tell before, but ext4 refuses it on buffered writes.)

    ``early``: whether bodies will be synced, so that large ones had better begin to be written back as they come.
    """

    def __init__(self, bint early=True):
        self.early = early

    cpdef int note(self, int64_t took_ns) except -1:
        """The write of a block took that long."""
        if took_ns > SLOW_NS:
            self.slow = True
            self._quick = 0
        elif self.slow:
            self._quick += 1
            if self._quick >= QUICK_ENOUGH:
                self.slow = False
        return 0


cdef int64_t SLOW_NS = 5_000_000
cdef int QUICK_ENOUGH = 16


cdef class Directory:
    """A directory of data files; any thread.

    All files that got their names in it while one fsync ran share the next one, so the number of fsyncs falls as the
    load rises. After a failed one the directory takes no more files: the kernel forgets what it could not write, and
    the next fsync would succeed for nothing.
    """

    def __cinit__(self, str path not None):
        self.path = path
        self._encoded = os.fsencode(path)
        s3d_directory_init(&self._native)

    def __dealloc__(self):
        s3d_directory_destroy(&self._native)

    @property
    def syncs(self):
        """How many fsyncs there were."""
        return self._native.started

    def sync(self):
        """Wait until an fsync that begins from now on has ended; raises OSError with the path."""
        cdef const char *path = PyBytes_AS_STRING(self._encoded)
        cdef int result
        with nogil:
            result = s3d_directory_sync(&self._native, path)
        if result < 0:
            raise os_error(result, self._encoded)


cdef class Spool(Stage):
    """Takes one body in; made by `s3d.store.Store.spool`.

    ``directory``: where the file comes to be, on the file system where it will be published. ``inline_limit``: bytes
    up to which a body is kept as `body`, at most `BLOCK_SIZE`. ``done(spool, None)`` is called once, on the loop, when
    the body was whole and its digests are made; ``done(spool, error)`` once when it will never be: what the chain
    failed with, or an OSError that names the path; the spool is closed then. The owner calls `close` when it is done
    with it, at any time: before ``done``, it cancels the body, and ``done`` is not called.
    """

    def __cinit__(self):
        self.fd = -1

    def __init__(self, directory, Py_ssize_t inline_limit, done not None, loop, executor, Pace pace=None):
        self._directory = os.fsencode(directory)
        self.inline_limit = min(inline_limit, _BLOCK_SIZE)
        self._done = done
        self._loop = loop
        self._executor = executor
        self._pace = pace if pace is not None else Pace()

    def __dealloc__(self):
        global _queued
        _queued -= self._waiting
        if self.fd >= 0:
            os.close(self.fd)
            if self.temporary is not None:
                remove_quietly(self.temporary)

    @property
    def xxh3(self):
        """XXH3 (64 bits, seed 0) of the body; None until it is whole."""
        return self._xxh3 if self.whole else None

    @property
    def block_hashes(self):
        """XXH3 of each `HASHED_SIZE` bytes, 8 bytes little-endian each; empty for a body of one such block or less.

        To be asked of a body that is whole.
        """
        if not self.whole or self.size_bytes <= _HASHED_SIZE:
            return b""
        return bytes(self._part_hashes)

    # The chain.

    cdef int write(self, const uint8_t *data, Py_ssize_t size) except -1:
        cdef Py_ssize_t taken
        if self.closed:
            return 0
        if self._error is not None:
            raise self._error
        while size:
            if self._block is None:
                self._block = take_block(self.size_bytes)
            elif self._block.used == _BLOCK_SIZE:
                self._flush()
                continue
            taken = min(size, _BLOCK_SIZE - self._block.used)
            memcpy(self._block.data + self._block.used, data, taken)
            self._block.used += taken
            self.size_bytes += taken
            data += taken
            size -= taken
        return 0

    cdef int finish(self) except -1:
        self.up = None
        if self.closed:
            return 0
        if self._error is not None:
            raise self._error
        self._ending = True
        if self._xxh3_hasher is None and self.size_bytes <= HASHED_INLINE:
            return self._conclude()
        self._flush()
        return 0

    cdef int fail(self, object error) except -1:
        self.up = None
        return 0 if self.whole else self._end(error)

    # On the loop's thread.

    cdef int _flush(self) except -1:
        """Hand the block on: to the file, if the body has one by now or needs one, and to the worker."""
        global _queued
        cdef Block block = self._block
        if self._xxh3_hasher is None:
            s3d_md5_init(&self._md5)
            self._xxh3_hasher = xxhash.xxh3_64()
            self._queue = deque()
        if self._ending and self.size_bytes <= _BLOCK_SIZE:
            block.written = True    # `publish` does, with everything else
        else:
            self._block = None
            # The file is made by whoever comes first, so not while a worker may be about to.
            if not self._pace.slow and (self.fd >= 0 or not self._busy):
                self._write_block(block)
        self._hash_block(block)
        self._queue.append(block)
        _queued += 1
        self._waiting += 1
        self._start()
        if not self._ending and not self._paused and len(self._queue) >= queue_limit():
            self._paused = True
            Stage.pause(self)
        return 0

    cdef int _hash_block(self, Block block) except -1:
        """XXH3 of the body so far, and of the hash block that this block belongs to.

        Here and not in the worker: 20 µs each, and the worker would want the GIL for it.
        """
        cdef object data = PyMemoryView_FromMemory(<char *>block.data, block.used, PyBUF_READ)
        cdef int64_t end = block.offset + block.used
        cdef object hasher
        self._xxh3_hasher.update(data)
        if self._part_hasher is not None:
            self._part_hasher.update(data)
        # Blocks never straddle: all but the last are full.
        if end % _HASHED_SIZE and not (self._ending and end > _HASHED_SIZE):
            return 0
        # Up to the end of the first one the hash is that of the body so far.
        hasher = self._xxh3_hasher if self._part_hasher is None else self._part_hasher
        if self._part_hashes is None:
            self._part_hashes = bytearray()
        self._part_hashes += (<object>hasher.intdigest()).to_bytes(8, "little")
        self._part_hasher = xxhash.xxh3_64()
        return 0

    cdef int _start(self) except -1:
        if not self._busy:
            self._turn = self._executor.submit(self._work)
            self._busy = True
            self._timer = self._loop.call_later(TURN_LIMIT_S, self._overdue)
        return 0

    def _worked(self):
        """The worker has gone through its queue."""
        self._busy = False
        self._turn = None
        self._timer.cancel()
        if self.closed:
            self._drop()
            return
        if self._error is not None:
            self._end(self._error)
            return
        if self._queue:
            self._start()
            return
        if self._ending:
            self._conclude()
        else:
            self._drained()

    def _overdue(self):
        """The disk hangs, or too many others come first."""
        if not self.closed:
            what = f"the disk has taken no more of a body for {TURN_LIMIT_S:g} s"
            self._end(OSError(ETIMEDOUT, what, os.fsdecode(self._directory)))

    def _drained(self):
        """There is room in the queue again."""
        if self._paused and not self.closed and len(self._queue) < queue_limit():
            self._paused = False
            Stage.resume(self)

    cdef int _conclude(self) except -1:
        """The body is whole: make its digests known."""
        cdef Block block = self._block
        cdef const uint8_t *data = b""
        cdef Py_ssize_t size = 0
        cdef uint8_t digest[16]
        if self._xxh3_hasher is None:
            if block is not None:
                data = block.data
                size = block.used
            s3d_md5_init(&self._md5)
            s3d_md5_update(&self._md5, data, size)
            self._xxh3 = _xxh3_of(PyMemoryView_FromMemory(<char *>data, size, PyBUF_READ))
        else:
            self._xxh3 = self._xxh3_hasher.intdigest()
        s3d_md5_final(&self._md5, digest)
        self.md5 = PyBytes_FromStringAndSize(<const char *>digest, 16)
        if self.expected_md5 is not None and self.expected_md5 != self.md5:
            return self._end(digest_fault(CONTENT_MD5, Algorithm.MD5, self.expected_md5, self.md5))
        if self.size_bytes <= self.inline_limit:
            self.body = b"" if block is None else PyBytes_FromStringAndSize(<const char *>block.data, block.used)
        self.whole = True
        done, self._done = self._done, None
        done(self, None)
        return 0

    cdef int _end(self, object error) except -1:
        """It will never be whole."""
        Stage.cancel(self, error)
        done, self._done = self._done, None
        self.close()
        if done is not None:
            done(self, error)
        return 0

    def close(self):
        """Drop everything: the body that is still coming, the blocks, the file unless it was published. Idempotent."""
        if not self.closed:
            self.closed = True
            self._done = None
            if not self.whole and self.up is not None:
                Stage.cancel(self, ConnectionAbortedError("the body is not wanted"))
            self.up = None
            if self._turn is not None:
                self._timer.cancel()
                # One whose turn has not come: on a disk that hangs it might never.
                if self._turn.cancel():
                    self._busy = False
            self._drop()

    def lease(self):
        """A thread is about to `publish`: `close` leaves file and block to it until `release`."""
        self._busy = True

    def release(self):
        """The thread is done. Loop's thread, as `lease`."""
        self._busy = False
        if self.closed:
            self._drop()

    cdef int _drop(self) except -1:
        """Let go of file and blocks, unless a worker is at them; it comes by again."""
        global _queued
        if self._busy:
            return 0
        self.body = None
        _queued -= self._waiting
        self._waiting = 0
        self._queue = None
        if self._block is not None:
            block, self._block = self._block, None
            give_block(block)
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            temporary, self.temporary = self.temporary, None
            # Freeing the pages of a large file takes long.
            if self.size_bytes > 16 * _BLOCK_SIZE:
                try:
                    self._executor.submit(discard_file, fd, temporary)
                    return 0
                except (RuntimeError, OSError):
                    pass    # shut down, nobody waits for this thread either; or too many wait for theirs
            discard_file(fd, temporary)
        return 0

    # On either thread.

    cdef int _open(self) except -1:
        global _named_count
        cdef const char *directory = PyBytes_AS_STRING(self._directory)
        cdef int fd
        with nogil:
            fd = s3d_open_anonymous(directory)
        if fd == -EOPNOTSUPP or fd == -EISDIR or fd == -ENOENT:
            _named_count += 1
            path = self._directory + b"/" + TEMPORARY_PREFIX.encode() + b"%x" % _named_count
            fd = s3d_open_named(PyBytes_AS_STRING(path))
            if fd < 0:
                raise os_error(fd, path)
            self.temporary = os.fsdecode(path)
        if fd < 0:
            raise os_error(fd, self._directory)
        self.fd = fd
        return 0

    cdef int _write_block(self, Block block) except -1:
        cdef int64_t began, ended
        cdef int result
        if self.fd < 0:
            self._open()
        with nogil:
            began = s3d_clock_ns()
            result = s3d_write_all(self.fd, block.data, block.used, block.offset)
            ended = s3d_clock_ns()
        if result < 0:
            raise os_error(result, self.temporary or self._directory)
        block.written = True
        self._pace.note(ended - began)
        return 0

    # The worker.

    def _work(self):
        """Write what has to be written and hash, a batch at a time, until the queue is empty or others had to wait."""
        try:
            for _ in range(MAX_QUEUED // BATCH):
                if self.closed or not self._queue:
                    break
                self._work_batch([self._queue[i] for i in range(min(len(self._queue), BATCH))])
                if self._paused and len(self._queue) <= MAX_QUEUED // 2:
                    self._loop.call_soon_threadsafe(self._drained)
        except BaseException as error:
            self._error = error
        try:
            self._loop.call_soon_threadsafe(self._worked)
        except RuntimeError:
            # The loop is closed: nobody is left to tell.
            self._busy = False
            self.closed = True
            self._drop()

    cdef int _work_batch(self, list blocks) except -1:
        """The first ``blocks`` of the queue."""
        global _queued
        cdef const uint8_t *data[BATCH]
        cdef Py_ssize_t used[BATCH]
        cdef int64_t offsets[BATCH]
        cdef bint unwritten[BATCH]
        cdef Py_ssize_t count = len(blocks), i
        cdef int64_t took = 0, began, end = 0
        cdef int fd, result = 0
        cdef bint early = self._pace.early
        cdef Block block
        for i in range(count):
            block = <Block>blocks[i]
            data[i] = block.data
            used[i] = block.used
            offsets[i] = block.offset
            unwritten[i] = not block.written
            end = block.offset + block.used
            if unwritten[i] and self.fd < 0:
                self._open()
        fd = self.fd
        with nogil:
            for i in range(count):
                if unwritten[i]:
                    began = s3d_clock_ns()
                    result = s3d_write_all(fd, data[i], used[i], offsets[i])
                    took = max(took, s3d_clock_ns() - began)
                    if result < 0:
                        break
                s3d_md5_update(&self._md5, data[i], used[i])
            if early and result == 0 and fd >= 0 and end - self._writing_back >= WRITEBACK_SIZE:
                s3d_begin_writeback(fd, self._writing_back, end - self._writing_back)
                self._writing_back = end
        if result < 0:
            raise os_error(result, self.temporary or self._directory)
        if took:
            self._pace.note(took)
        for block in blocks:
            self._queue.popleft()
            _queued -= 1
            self._waiting -= 1
            if block is not self._block:
                give_block(block)
        return 0

    def publish(self, Directory directory not None, str name not None, bytes trailer not None, bint sync, step=None):
        """Append ``trailer``, sync the file, give it the ``name`` in ``directory``, which must be free, and sync that.

        Blocking, in a thread, between `lease` and `release`; afterwards `fd` is closed.
        Raises OSError with the path; the file is then given up, and nothing that failed is tried again: after a failed
        fdatasync the kernel may have dropped what it could not write, and the next one would succeed.

        ``step``: called with the number of each step taken, for tests that end the process there: 0 written, 1 synced,
        2 named, 3 directory synced.
        """
        cdef bytes path = directory._encoded + b"/" + os.fsencode(name)
        cdef const char *final = PyBytes_AS_STRING(path)
        cdef const char *parent = PyBytes_AS_STRING(directory._encoded)
        cdef s3d_directory *native = &directory._native
        cdef bytes temporary_bytes = None
        cdef const char *temporary = NULL
        cdef const uint8_t *end = <const uint8_t *>PyBytes_AS_STRING(trailer)
        cdef Py_ssize_t end_size = len(trailer)
        cdef const uint8_t *data = NULL
        cdef Py_ssize_t data_size = 0
        cdef int64_t size = self.size_bytes
        cdef int fd, taken = 0, last = 0, result = 0
        if self.closed or not self.whole:
            raise RuntimeError("only a whole body can be published")
        if self._error is not None:
            raise self._error
        if self.fd < 0:
            self._open()
            if self._block is not None:
                data = self._block.data
                data_size = self._block.used
        if self.temporary is not None:
            temporary_bytes = os.fsencode(self.temporary)
            temporary = PyBytes_AS_STRING(temporary_bytes)
        fd = self.fd
        while taken < 4:
            last = 4 if step is None else taken + 1
            with nogil:
                if taken == 0:
                    result = s3d_write_all(fd, data, data_size, 0)
                    if result == 0:
                        result = s3d_write_all(fd, end, end_size, size)
                    taken = 1
                if result == 0 and taken == 1 and last > 1:
                    result = s3d_datasync(fd) if sync else 0
                    taken = 2
                if result == 0 and taken == 2 and last > 2:
                    result = s3d_name_file(fd, temporary, final)
                    taken = 3
                if result == 0 and taken == 3 and last > 3:
                    result = s3d_directory_sync(native, parent) if sync else 0
                    if result < 0:
                        s3d_unlink(final)
                    else:
                        s3d_close(fd)
                    taken = 4
            if result < 0:
                self._error = os_error(result, path)
                raise self._error
            if taken >= 3:
                self.temporary = None
            if taken == 4:
                self.fd = -1
            if step is not None:
                step(taken - 1)


def discard_file(int fd, temporary):
    """Close ``fd`` and remove ``temporary``, its name if it has one."""
    os.close(fd)
    if temporary is not None:
        remove_quietly(temporary)


cdef int remove_quietly(object path) except -1:
    try:
        os.unlink(path)
    except OSError:
        pass    # the sweep of the next start removes it
    return 0
