"""A body that lies in data files: the source stage of what is read from the disk.

Bytes leave in one of two ways:

- Into an answer over a plaintext socket, by sendfile(2) from the loop's thread, as far as the socket takes them. When
  it takes no more, one small span (`_SLIVER_SIZE`) is read and left with the transport, which waits until the socket is
  writable again, sends it, and says so in `resume`. So the transport keeps order, deadlines and the end of the
  connection as for any other bytes; a slow reader holds that span and an open file, and no thread. (`add_writer` on a
  dup of the socket also works, and needs all of that a second time.)
- Into anything else (TLS, a chain of stages), and when few bytes are left: by reading spans of `_SPAN_SIZE`.

The loop's thread never waits for the disk. Before it touches a range it asks the kernel whether all of it is in the
page cache (`_cached`); if not, a thread of the executor reads it through first. Between that and the sending, memory
pressure may evict pages again; they are not asked about a second time, so that a body always gets on.

With a verifier no byte goes out before it was proved. What is not proved yet is, in the same thread and instead of
reading it through, in windows that grow from `_VERIFY_FIRST` to `_VERIFY_MOST`.
"""

import errno as errors
import logging
import os

from libc.errno cimport EAGAIN, EINTR, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, errno
from libc.stdint cimport int64_t, uint8_t, uint64_t

from s3d._core.channel cimport FILE_ENDED, Channel
from s3d._core.outgoing cimport Outgoing
from s3d._core.stage cimport Stage

_log = logging.getLogger("s3d.core")

cdef extern from "<sys/types.h>" nogil:
    ctypedef long off_t

cdef extern from "<unistd.h>" nogil:
    int c_close "close"(int fd)
    ssize_t c_pread "pread"(int fd, void *data, size_t size, off_t offset)
    long sysconf(int name)
    int _SC_PAGESIZE
    long syscall(long number, ...)

cdef extern from "<fcntl.h>" nogil:
    int posix_fadvise(int fd, off_t offset, off_t size, int advice)
    int POSIX_FADV_WILLNEED
    int O_RDONLY
    int O_CLOEXEC
    int AT_FDCWD

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t preadv2(int fd, const iovec *spans, int count, off_t offset, int flags)
    int RWF_NOWAIT

cdef extern from *:
    """
    #include <stdint.h>
    #ifndef __NR_cachestat
    #define __NR_cachestat 451  /* the same on every architecture; Linux 6.5 */
    #endif
    #ifndef __NR_openat2
    #define __NR_openat2 437  /* likewise; Linux 5.6 */
    #endif
    struct s3d_open_how { uint64_t flags, mode, resolve; };
    #define S3D_RESOLVE_CACHED 0x20  /* from <linux/openat2.h>, Linux 5.12 */
    struct s3d_range { uint64_t offset, size; };
    struct s3d_pages { uint64_t cached, dirty, writeback, evicted, recently_evicted; };
    """
    const long NR_cachestat "__NR_cachestat"
    const long NR_openat2 "__NR_openat2"
    const uint64_t RESOLVE_CACHED "S3D_RESOLVE_CACHED"
    struct OpenHow "s3d_open_how":
        uint64_t flags
        uint64_t mode
        uint64_t resolve
    struct PageRange "s3d_range":
        uint64_t offset
        uint64_t size
    struct PageCounts "s3d_pages":
        uint64_t cached

# One read.
cdef enum:
    _SPAN_SIZE = 65536
# Up to here one read and one send cost less than what sendfile does around its pages.
cdef int64_t _SENDFILE_SIZE = 16384
# For one body in one turn of the loop: 0.1–0.2 ms of copying, after which the other connections have their turn.
cdef int64_t _TURN_SIZE = 1048576
# What a thread reads ahead of the loop at a time, and what it asks the disk for meanwhile.
cdef int64_t _READ_THROUGH_SIZE = 1048576
cdef int64_t _WILLNEED_SIZE = 4194304
# What a thread proves at a time: little before the first byte goes out, then enough to be worth its way.
cdef int64_t _VERIFY_FIRST = 1048576
cdef int64_t _VERIFY_MOST = 8388608
# Held by a transport whose socket is full.
cdef Py_ssize_t _SLIVER_SIZE = 4096
# Where the kernel does not count cached pages, every so many bytes are probed: the least that it reads ahead.
cdef int64_t _PROBE_STEP = 131072
cdef uint64_t _PAGE_SIZE = sysconf(_SC_PAGESIZE)

# Filled and handed down within one call, on the loop's thread.
cdef uint8_t _span[_SPAN_SIZE]

# Whether cachestat(2) is there: not before Linux 6.5, nor under a seccomp filter that does not know it.
cdef bint _counts_pages = True
# Whether openat2(2) knows RESOLVE_CACHED.
cdef bint _opens_cached = True


cdef Py_ssize_t _pread(int fd, uint8_t *data, Py_ssize_t size, int64_t offset, int flags) noexcept nogil:
    """preadv2(2) until something else than EINTR."""
    cdef iovec span
    cdef Py_ssize_t got
    span.iov_base = data
    span.iov_len = size
    while True:
        got = preadv2(fd, &span, 1, offset, flags) if flags else c_pread(fd, data, size, offset)
        if got >= 0 or errno != EINTR:
            return got


cdef int64_t _read_through(int fd, int64_t offset, int64_t size) noexcept nogil:
    """Bring a range into the page cache; how much of it there is, or a negative errno. For a thread."""
    cdef uint8_t scratch[_SPAN_SIZE]
    cdef int64_t seen = 0
    cdef Py_ssize_t got
    posix_fadvise(fd, offset, max(size, _WILLNEED_SIZE), POSIX_FADV_WILLNEED)
    while seen < size:
        got = _pread(fd, scratch, min(size - seen, <int64_t>_SPAN_SIZE), offset + seen, 0)
        if got <= 0:
            return -errno if got < 0 else seen
        seen += got
    return seen


def open_to_read(path, bint may_wait=True):
    """A descriptor of the file at ``path``, for reading; the caller's to close.

    Without ``may_wait`` it is opened only if nothing on the path has to be read from the disk, else `BlockingIOError`;
    where the kernel cannot tell (openat2(2) with RESOLVE_CACHED, Linux 5.12) it is opened in any case.
    """
    global _opens_cached
    cdef OpenHow how
    cdef bytes name
    cdef int fd
    if may_wait or not _opens_cached:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    name = os.fsencode(path)
    if 0 in name:
        raise ValueError("embedded null byte")
    how.flags = O_RDONLY | O_CLOEXEC
    how.mode = 0
    how.resolve = RESOLVE_CACHED
    fd = syscall(NR_openat2, AT_FDCWD, <const char *>name, &how, sizeof(how))
    if fd >= 0:
        return fd
    if errno in (ENOSYS, EPERM, EINVAL):
        _opens_cached = False
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    raise OSError(errno, os.strerror(errno), path)


def extents_of_range(list extents not None, int64_t start, int64_t size):
    """The extents of ``size`` bytes from ``start`` of a body that lies in ``extents``.

    All are lists of (file number, offset, size). ``ValueError`` if the body does not have that range.
    """
    cdef list wanted = []
    cdef int64_t offset, extent_size, taken
    cdef tuple extent
    if start < 0 or size < 0:
        raise ValueError(f"a range starts at {start} and has {size} bytes")
    for extent in extents:
        if size == 0:
            break
        extent_size = extent[2]
        if start >= extent_size:
            start -= extent_size
            continue
        offset = extent[1]
        taken = min(extent_size - start, size)
        wanted.append((extent[0], offset + start, taken))
        start = 0
        size -= taken
    if size:
        raise ValueError(f"a range reaches {size} bytes past the end of its body")
    return wanted


cdef class FileBody(Stage):
    """The bytes of ``extents``, one after the other: (file number, offset, size) each.

    ``opener(number)`` returns a descriptor that this stage owns and closes; a file is opened when its first byte is
    due, and once for successive extents in it. It is called on the loop's thread; if that would wait for the disk it
    may raise `BlockingIOError`, and is then called again from a thread of ``executor``. ``done()`` is called exactly
    once, when the body has ended in whichever way and all its descriptors are closed: at once, or when the thread that
    works on one returns. That is on the loop's thread, unless the loop has closed by then.

    A file that ends before its extent does, or cannot be read, fails the chain: before the first byte of an answer the
    client is told so, after it the connection breaks.

    ``verifier``, if not None, has two methods. ``verified(number, offset)``, on the loop's thread: the offset up to
    which the bytes of a file from ``offset`` on are known to be right, ``offset`` or less if that is unknown.
    ``verify(number, fd, offset, size)``, in a thread of ``executor``: proves the bytes from ``offset`` on, at least the
    first of them and about ``size``, and returns the offset up to which it did; it raises for bytes that are not what
    was written, which fails the chain as above.
    """

    def __cinit__(self):
        self.fd = -1

    def __init__(self, list extents not None, opener, done, loop, executor, verifier=None):
        cdef tuple extent
        cdef int64_t offset, size
        self.ended = True  # until all is well: what raises here has not taken over `done`
        for extent in extents:
            _, offset, size = extent
            if offset < 0 or size < 0:
                raise ValueError(f"an extent starts at {offset} and has {size} bytes")
            self.size_bytes += size
        self.left_bytes = self.size_bytes
        self.extents = extents
        self.opener = opener
        self.done = done
        self.loop = loop
        self.executor = executor
        self.verifier = verifier
        self.verify_size = _VERIFY_FIRST
        self.ended = False

    def __dealloc__(self):
        if self.fd >= 0:
            c_close(self.fd)

    def __del__(self):
        # Nobody connected or discarded it, or the loop ended before it heard from a thread.
        self.ended = True
        self._release()

    # The chain.

    cdef int connect(self, Stage down) except -1:
        if self.ended:
            down.fail(ConnectionAbortedError("the body was let go of before it was read"))
            return 0
        self.down = down
        down.up = self
        if isinstance(down, Outgoing):
            self.answer = <Outgoing>down
            if self.answer.left >= 0 and self.answer.left != self.size_bytes:
                return self._fail(ValueError(
                    f"an answer of {self.answer.left} bytes was given a body of {self.size_bytes}"
                ))
            # Not before the first bytes are at hand: until then an error has an answer of its own.
            self.answer.holds_head = True
            self.paused = self.answer.paused
        return self._pump()

    cdef int pause(self) except -1:
        self.paused = True
        return 0

    cdef int resume(self) except -1:
        self.paused = False
        return self._pump()

    cdef int cancel(self, object error) except -1:
        return 0 if self.ended else self._end()

    # The flow.

    def _turn(self):
        """Go on in another turn of the loop."""
        self.waiting = False
        self._pump()

    cdef int _pump(self) except -1:
        cdef FileBody kept = self  # the end of the chain may drop the last reference from elsewhere
        if self.pumping or self.paused or self.working or self.waiting or self.ended or self.down is None:
            return 0
        self.pumping = True
        try:
            self._flow()
        except BaseException as error:
            self._fail(error)
        finally:
            kept.pumping = False
            kept.read_until = 0
        return 0

    cdef int _flow(self) except -1:
        """Hand over bytes until there are none, nobody takes them, the disk must be waited for, or others are due."""
        cdef Stage down = self.down
        cdef Outgoing answer = self.answer
        cdef Channel channel = answer.channel if answer is not None else None
        cdef bint direct = channel is not None and channel.fd >= 0 and not answer.chunked
        cdef int64_t budget = _TURN_SIZE
        cdef int64_t size
        cdef Py_ssize_t moved
        while not self.paused and not self.ended:
            if self.left_bytes == 0:
                return self._finish()
            if channel is not None and channel.lost:
                return 0  # `cancel` is on its way
            if budget <= 0:
                self.waiting = True
                self.loop.call_soon(self._turn)
                return 0
            while self.extent_left == 0:
                self._next_extent()
            if self.verifier is not None and self.offset >= self.verified_until and not self._is_verified():
                return 0
            if self.fd < 0 and not self._open():
                return 0
            # A turn may be a little longer, lest a few bytes be left for the next.
            size = self.extent_left if self.extent_left <= budget + _SENDFILE_SIZE else budget
            if self.verifier is not None:
                size = min(size, self.verified_until - self.offset)
            if not direct or size <= _SENDFILE_SIZE:
                moved = self._read_span(min(size, <int64_t>_SPAN_SIZE))
                if moved == 0:
                    return 0
                self._moved(moved)
                budget -= moved
                down.write(_span, moved)
                continue
            if self.offset < self.read_until:
                size = min(size, self.read_until - self.offset)
            elif not self._cached(size):
                return self._prepare_in_thread(size)
            answer.send_head_ahead()
            moved = channel.send_file(self.fd, self.offset, size)
            if moved == FILE_ENDED:
                raise self._too_short()
            if moved < 0:
                if self.paused or channel.lost:
                    continue
                if not channel._direct():
                    budget = 0  # what the transport has left goes out by the end of this turn
                    continue
                moved = self._read_span(min(size, <int64_t>_SLIVER_SIZE))
                if moved == 0:
                    return 0
                channel.send_at_once(_span, moved, False)
            budget -= moved
            self._moved(moved)
            if answer.left >= 0:
                answer.left -= moved
        return 0

    cdef int _moved(self, int64_t size) except -1:
        self.offset += size
        self.extent_left -= size
        self.left_bytes -= size
        return 0

    # The files.

    cdef int _next_extent(self) except -1:
        cdef tuple extent = <tuple>self.extents[self.following]
        self.following += 1
        if self.fd >= 0 and extent[0] != self.file:
            self._close_file()
        self.read_until = 0
        self.verified_until = 0
        self.file = extent[0]
        self.offset = extent[1]
        self.extent_left = extent[2]
        return 0

    cdef bint _open(self) except -1:
        """Open the current file; False if a thread has to."""
        try:
            self.fd = self.opener(self.file)
        except BlockingIOError:
            self._prepare_in_thread(min(self.extent_left, _READ_THROUGH_SIZE))
            return False
        return True

    cdef bint _is_verified(self) except -1:
        """Whether the next bytes are proved; if not, a thread is at it."""
        self.verified_until = self.verifier.verified(self.file, self.offset)
        if self.offset < self.verified_until:
            return True
        self._prepare_in_thread(self.extent_left)
        return False

    cdef Py_ssize_t _read_span(self, Py_ssize_t size) except -1:
        """Read up to ``size`` bytes into `_span`; 0 if a thread has to bring them in first."""
        cdef Py_ssize_t got
        cdef bint at_hand = self.offset < self.read_until
        if not at_hand:
            got = _pread(self.fd, _span, size, self.offset, RWF_NOWAIT)
            if got > 0:
                return got
            if got == 0:
                raise self._too_short()
            if errno == EOPNOTSUPP:
                at_hand = self._cached(size)
            elif errno != EAGAIN:
                raise OSError(errno, f"reading data file {self.file:#x} failed")
        if not at_hand:
            self._prepare_in_thread(min(self.extent_left, _READ_THROUGH_SIZE))
            return 0
        got = _pread(self.fd, _span, size, self.offset, 0)
        if got < 0:
            raise OSError(errno, f"reading data file {self.file:#x} failed")
        if got == 0:
            raise self._too_short()
        return got

    cdef bint _cached(self, int64_t size) except -1:
        """Whether the next ``size`` bytes are in the page cache."""
        global _counts_pages
        cdef PageRange pages
        cdef PageCounts counts
        cdef uint64_t first = <uint64_t>self.offset // _PAGE_SIZE
        cdef uint64_t last = <uint64_t>(self.offset + size - 1) // _PAGE_SIZE
        cdef int64_t at = self.offset
        cdef uint8_t probe
        cdef Py_ssize_t got
        cdef bint counted = False
        if _counts_pages:
            pages.offset = self.offset
            pages.size = size
            counted = syscall(NR_cachestat, self.fd, &pages, &counts, 0) == 0
            if counted:
                if counts.cached < last - first + 1:
                    return False
                # Pages that are still being read count as well; the last one arrives last.
                at = self.offset + size - 1
            elif errno == ENOSYS or errno == EPERM:
                _counts_pages = False
        while True:
            got = _pread(self.fd, &probe, 1, at, RWF_NOWAIT)
            if got < 0:
                # A filesystem that cannot be asked this way has been asked the other way, or is read by threads.
                return counted and errno == EOPNOTSUPP
            if got == 0:
                raise self._too_short()
            if at == self.offset + size - 1:
                return True
            at = min(at + _PROBE_STEP, self.offset + size - 1)

    # The thread.

    cdef int _prepare_in_thread(self, int64_t size) except -1:
        """Open the file if need be, and prove the next bytes or read ``size`` of them into the page cache, in a thread.

        Then go on.
        """
        self.working = True
        try:
            future = self.executor.submit(self._prepare, min(size, _READ_THROUGH_SIZE))
        except BaseException:
            self.working = False
            raise
        future.add_done_callback(self._prepared_soon)
        return 0

    def _prepare(self, int64_t size):
        """In a thread, which has the file to itself meanwhile."""
        cdef int fd = self.fd
        cdef int64_t offset = self.offset
        cdef int64_t seen
        if fd < 0:
            fd = self.opener(self.file)
            self.fd = fd
        if self.verifier is not None and offset >= self.verified_until:
            seen = self.verifier.verify(self.file, fd, offset, min(self.extent_left, self.verify_size))
            if seen <= offset:
                raise RuntimeError(f"a verifier proved nothing of data file {self.file:#x}")
            self.verify_size = min(2 * self.verify_size, _VERIFY_MOST)
            self.verified_until = seen
            self.read_until = seen
            return
        with nogil:
            seen = _read_through(fd, offset, size)
        if seen < 0:
            raise OSError(-seen, f"reading data file {self.file:#x} failed")
        if seen < size:
            raise self._too_short()
        self.read_until = offset + size

    def _prepared_soon(self, future):
        """In a thread, or wherever the executor drops what it has not begun."""
        try:
            self.loop.call_soon_threadsafe(self._prepared, future)
        except RuntimeError:
            # The loop has closed: nobody waits any more.
            self._prepared(future)

    def _prepared(self, future):
        self.working = False
        if self.ended:
            self._release()
        elif future.cancelled():
            self._fail(ConnectionAbortedError("the server is shutting down"))
        elif future.exception() is not None:
            self._fail(future.exception())
        elif self.paused:
            self.read_until = 0  # it may be long until somebody wants these bytes
        else:
            self._pump()

    # The end.

    cdef object _too_short(self):
        return OSError(errors.EIO, f"data file {self.file:#x} is shorter than the object that lies in it")

    cdef int _fail(self, object error) except -1:
        cdef Stage down = self.down
        if self.ended:
            return 0
        self._end()
        if down is not None:
            down.fail(error)
        return 0

    cdef int _finish(self) except -1:
        cdef Stage down = self.down
        self._end()
        try:
            down.finish()
        except BaseException as error:
            down.fail(error)
        return 0

    cdef int _end(self) except -1:
        self.ended = True
        self.up = None
        self.down = None
        self.answer = None
        return 0 if self.working else self._release()

    cdef int _release(self) except -1:
        cdef object done = self.done
        self._close_file()
        self.extents = None
        self.opener = None
        self.verifier = None
        self.done = None
        if done is not None:
            try:
                done()
            except Exception:
                _log.exception("letting go of the data files of a body failed")
        return 0

    cdef int _close_file(self) except -1:
        cdef int fd = self.fd
        self.fd = -1
        if fd >= 0:
            c_close(fd)
        return 0

    def __repr__(self):
        return f"<FileBody {self.size_bytes - self.left_bytes}/{self.size_bytes} ended={self.ended}>"
