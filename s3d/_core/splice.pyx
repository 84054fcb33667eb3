"""The middle of a body from one socket to another, within the kernel.

A body that nobody on the way has to see (nothing to decode, to hash or to hold back) need not be copied out of the
kernel and into it again: splice(2) moves the pages of one socket's receive queue into a pipe, and from there into the
other socket's send queue. Of s3d's CPU for such a body, nine tenths were those two copies.

The pipe is the process's only one and empty between two calls. What the other socket does not take is therefore read
out of it and left with that socket's transport, as with `Channel.send`, which then says when it is writable again:
order, deadlines and back-pressure are as for copied bytes. So that a slow link does not have us copy nearly everything
in larger pieces than before, the size that is offered follows what the other side takes.

The source's transport notices bytes only by reading some. It is given a small buffer while this goes on, and what is in
that goes down the chain first.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, EINTR, EINVAL, errno

from s3d._core.channel cimport Channel, monotonic

cdef extern from "<fcntl.h>" nogil:
    """
    #include <stdint.h>
    """
    int O_CLOEXEC
    int O_NONBLOCK
    int F_SETPIPE_SZ
    int c_fcntl "fcntl"(int fd, int command, long value)
    unsigned int SPLICE_F_MOVE
    unsigned int SPLICE_F_NONBLOCK
    ssize_t c_splice "splice"(int source, int64_t *source_at, int to, int64_t *to_at, size_t size, unsigned int flags)

cdef extern from "<unistd.h>" nogil:
    int pipe2(int *ends, int flags)
    int c_close "close"(int fd)
    ssize_t c_read "read"(int fd, void *data, size_t size)

# Offered at a time: little at first, then as much as pays (beyond 1 MiB, others wait for nothing gained), which is also
# as much as a user without privileges gets into a pipe (/proc/sys/fs/pipe-max-size).
cdef Py_ssize_t _FIRST = 262144
cdef Py_ssize_t _MOST = 1048576

cdef int _output = -1
cdef int _input = -1
# The system gave us no pipe, or does not splice these sockets: all bytes are copied from then on.
cdef bint _refused = False


cdef bint _open_pipe() noexcept:
    global _output, _input, _refused
    cdef int ends[2]
    if _output < 0 and not _refused:
        if pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0:
            _refused = True
        else:
            _output, _input = ends[0], ends[1]
            # Without it, it takes 16 pieces of the size that the network brought them in; that still is correct.
            c_fcntl(_input, F_SETPIPE_SZ, _MOST)
    return not _refused


cdef Py_ssize_t _move(int source, int to, Py_ssize_t size) noexcept nogil:
    """splice(2) until something else than EINTR."""
    cdef ssize_t moved
    while True:
        moved = c_splice(source, NULL, to, NULL, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
        if moved >= 0 or errno != EINTR:
            return moved


cdef int _drop_pipe() except -1:
    """With what is in it: nobody else may ever get that. The next body makes another."""
    global _output, _input
    c_close(_output)
    c_close(_input)
    _output = _input = -1
    return 0


cdef bytes _take_out(Py_ssize_t size):
    """The ``size`` bytes that are in the pipe."""
    cdef bytes data = PyBytes_FromStringAndSize(NULL, size)
    cdef Py_ssize_t got, at = 0
    while at < size:
        got = c_read(_output, PyBytes_AS_STRING(data) + at, size - at)
        if got > 0:
            at += got
        elif got == 0 or errno != EINTR:
            raise OSError(errno, "the pipe between two sockets lost bytes")
    return data


cdef int64_t move_on(Channel source, Channel to, int64_t size) except -1:
    """Move up to ``size`` bytes that wait in the socket of ``source`` to that of ``to``; returns how many.

    0 where that is not possible now, or none wait. The source pauses for the rest of the loop's turn after some.
    """
    global _refused
    cdef Py_ssize_t offered = source.splice_size if source.splice_size else _FIRST
    cdef Py_ssize_t moved, left, sent = 0
    cdef bint failed
    if size < SPLICE_LEAST or source.fd < 0 or source.lost or not to.sends_at_once() or not _open_pipe():
        return 0
    moved = _move(source.fd, _input, min(<int64_t>offered, size))
    if moved <= 0:
        if moved < 0 and errno == EINVAL:
            _refused = True
        return 0  # the end, or an error: the source's transport meets it next
    left = moved
    while left:
        sent = _move(_output, to.fd, left)
        if sent <= 0:
            break
        left -= sent
    failed = sent < 0 and errno != EAGAIN
    source.received_bytes += moved
    to.sent_bytes += moved
    source.progress_s = to.progress_s = monotonic()
    if left:
        try:
            data = _take_out(left)
        except BaseException:
            _drop_pipe()
            raise  # out of the source's callback, which ends its connection, and the body with it
        if failed:
            to.send_failed()
        else:
            to.leave_to_transport(data)
        source.splice_size = max(offered // 2, SPLICE_LEAST)
    else:
        source.splice_size = min(2 * offered, _MOST)
        source.splices = True
    source.pause_for_turn()
    return moved
