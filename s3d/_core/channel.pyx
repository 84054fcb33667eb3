"""The socket side that server and client connections share: reading into one buffer, sending without a copy.

Reading. uvloop's buffered protocol asks for a buffer, reads into it and reports, all within one callback; nothing else
runs in between, so every connection of the process shares one buffer. A head is read in pieces of `HEAD_READ_SIZE`, a
body in pieces of `BODY_READ_SIZE`: what a connection must keep while its consumer is not ready is at most one piece.

Sending. When the transport holds nothing, bytes go straight to sendmsg(2) from where they lie; only what the kernel
does not take is copied and handed to the transport. Its limits are the least possible, so it says `pause_writing` as
soon as it holds bytes and `resume_writing` once it has sent them all; the kernel's own buffer keeps the link busy
meanwhile.

Small pieces are corked: they wait for the end of the loop's turn and then go out in one burst for all connections.
Heads and bodies, and pipelined answers, share a segment that way. Above all it wakes the peers once: a send to a
sleeping process costs an interrupt of its core, and while we work through thirty requests in a turn it would be asleep
again before each send (measured: a third of the CPU of a small forwarded GET).
"""

import logging
import os
import socket
import struct
from asyncio import get_running_loop

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport (
    EAGAIN, ECONNABORTED, ECONNRESET, EINTR, ENETDOWN, ENETUNREACH, ENOTCONN, EPIPE, ETIMEDOUT, errno,
)
from libc.stdint cimport uint8_t
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from s3d._core.octets cimport Octets
from s3d._core.stage cimport Stage

_log = logging.getLogger("s3d.core")

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len

cdef extern from "<sys/socket.h>" nogil:
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    ssize_t c_recv "recv"(int fd, void *data, size_t size, int flags)
    ssize_t c_sendmsg "sendmsg"(int fd, const msghdr *message, int flags)
    int MSG_NOSIGNAL
    int MSG_DONTWAIT
    int MSG_MORE

cdef extern from "<sys/sendfile.h>" nogil:
    ctypedef long off_t
    ssize_t c_sendfile "sendfile"(int out_fd, int in_fd, off_t *offset, size_t size)

cdef extern from "<unistd.h>" nogil:
    int c_dup "dup"(int fd)
    int c_close "close"(int fd)

cdef extern from "<sys/ioctl.h>" nogil:
    int ioctl(int fd, unsigned long request, int *value)

cdef extern from "<linux/sockios.h>" nogil:
    unsigned long SIOCOUTQ

# 64 KiB holds any head we accept and most small bodies with it; 256 KiB is where larger reads stop paying
# (one read of a saturated loopback fills it, and it stays in the second-level cache on its way through).
HEAD_READ_SIZE = 65536
BODY_READ_SIZE = 262144

cdef bytes _RESET_ON_CLOSE = struct.pack("ii", 1, 0)

# A piece up to this size is corked; a copy of 16 KiB costs less than a system call.
cdef Py_ssize_t _CORK_SIZE = 16384
cdef Py_ssize_t _CORK_LIMIT = 65536
# More than this is not copied for a slow reader, but kept as it is.
cdef Py_ssize_t _COPY_LIMIT = 65536

# What a connection reads of a body that is spliced: its transport says that there are bytes only by reading some.
cdef Py_ssize_t _NOTICE_SIZE = 4096

cdef bytearray _buffer = bytearray(BODY_READ_SIZE)
cdef object _body_view = memoryview(_buffer)
cdef object _head_view = _body_view[:HEAD_READ_SIZE]
cdef object _splice_view = _body_view[:_NOTICE_SIZE]


cdef double monotonic() noexcept nogil:
    """CLOCK_MONOTONIC in seconds."""
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <double>now.tv_sec + <double>now.tv_nsec * 1e-9


cdef class Channel:
    """One connection's bytes. Subclasses give meaning to them; see the method groups in ``channel.pxd``.

    Lifetime: uvloop's transport owns the socket and holds this object until `connection_lost`; after that `transport`
    is None, `lost` is set and every sending method does nothing.
    """

    def __cinit__(self):
        self.fd = -1
        self.watched_fd = -1
        self.spare_fd = -1
        self.corked = Octets()

    def __dealloc__(self):
        if self.spare_fd >= 0:
            c_close(self.spare_fd)

    # What the transport calls.

    def connection_made(self, transport):
        self.transport = transport
        self.progress_s = monotonic()
        endpoint = transport.get_extra_info("socket")
        if endpoint is not None:
            self.watched_fd = endpoint.fileno()
        if transport.get_extra_info("ssl_object") is None:
            self.fd = self.watched_fd
        # Say stop at the first byte that waits, go when none does. (uvloop's TLS transport takes a high mark of 0 for
        # "stop when empty as well", and then never says go.)
        transport.set_write_buffer_limits(0 if self.fd >= 0 else 1, 0)
        self.opened()

    def connection_lost(self, error):
        cdef bint cut = self.lost  # by ourselves
        self.lost = True
        self.fd = -1
        self.watched_fd = -1
        self.transport = None
        if self.spare_fd >= 0:
            try:
                if error is not None and not cut:
                    self._hear_last_words()
            except Exception:
                _log.exception("what a peer said last could not be taken in")  # and `closed` tells who waits
            finally:
                c_close(self.spare_fd)
                self.spare_fd = -1
        self.closed(error)

    cdef int _hear_last_words(self) except -1:
        """Take in what had arrived when the transport failed to send, and closed its socket without reading it.

        A server that refuses an upload answers and closes with bytes of it unread, which resets the connection (RFC
        9112 §9.6); its answer may be in our receive buffer by then.
        """
        cdef Py_ssize_t size = c_recv(self.spare_fd, <char *>_buffer, BODY_READ_SIZE, MSG_DONTWAIT)
        if size > 0:
            self.received_bytes += size
            self.received(<const uint8_t *><char *>_buffer, size)
        return 0

    def get_buffer(self, Py_ssize_t hint):
        if self.splices:
            return _splice_view
        return _body_view if self.wants_body else _head_view

    def buffer_updated(self, Py_ssize_t size):
        if self.lost:
            return
        self.progress_s = monotonic()
        self.received_bytes += size
        self.received(<const uint8_t *><char *>_buffer, size)

    def eof_received(self):
        if self.lost:
            return False
        # Over TLS the transport closes whatever we answer, and warns about it.
        stays = self.half_closed() and self.fd >= 0
        if not stays:
            self.uncork()  # the transport closes now
        return stays

    def pause_writing(self):
        self.write_paused = True
        if self.heeds_last_words and self.fd >= 0 and self.spare_fd < 0:
            self.spare_fd = c_dup(self.fd)
        self.unsent_seen = -1
        self.unwritable()

    def resume_writing(self):
        self.write_paused = False
        if self.spare_fd >= 0:
            c_close(self.spare_fd)
            self.spare_fd = -1
        self.progress_s = monotonic()
        if not self.lost:
            self.writable()

    # For subclasses.

    cdef int opened(self) except -1:
        return 0

    cdef int received(self, const uint8_t *data, Py_ssize_t size) except -1:
        """Bytes arrived; ``data`` is valid until this returns."""
        return 0

    cdef bint half_closed(self) except -1:
        return False

    cdef int writable(self) except -1:
        return 0

    cdef int unwritable(self) except -1:
        return 0

    cdef int closed(self, object error) except -1:
        return 0

    cdef int send_failed(self) except -1:
        """The peer takes nothing any more. Unless a subclass knows better, that is the end."""
        return self.abort()

    cdef int body_connected(self, Stage body) except -1:
        """The chain below ``body``, which arrives on this channel, is complete and takes bytes now."""
        return 0

    cdef int body_ended(self, Stage body) except -1:
        """The chain of ``body`` has ended, by whichever of its three ends."""
        return 0

    cdef int body_sent(self, bint whole, bint delimited) except -1:
        """The outgoing body has ended; ``delimited``: its head tells where that is, and not the connection's end."""
        return 0

    cdef int body_refused(self, object error) except -1:
        """The outgoing body failed with nothing of it sent, not even its head."""
        return 0

    cdef int send(self, const uint8_t *data, Py_ssize_t size) except -1:
        """Send or queue ``data``, which may be reused when this returns."""
        if self.lost or self.mute or size == 0:
            return 0
        self.sent_bytes += size
        if size <= _CORK_SIZE and self._direct():
            if self.corked.size == 0:
                _cork(self)
            self.corked.put(data, size)
            return self.uncork() if self.corked.size > _CORK_LIMIT else 0
        return self._transmit(data, size, 0, None)

    cdef int send_bytes(self, bytes data) except -1:
        """Send or queue ``data``, of which the channel keeps what the kernel does not take, without a copy."""
        cdef Py_ssize_t size = len(data)
        if size <= _CORK_SIZE or self.lost or self.mute:
            return self.send(<const uint8_t *><char *>data, size)
        self.sent_bytes += size
        return self._transmit(<const uint8_t *><char *>data, size, 0, data)

    cdef int send_at_once(self, const uint8_t *data, Py_ssize_t size, bint more) except -1:
        """As `send`, not waiting for the end of the loop's turn; ``more``: the caller sends on in the same call."""
        if self.lost or self.mute or size == 0:
            return 0
        self.sent_bytes += size
        return self._transmit(data, size, MSG_MORE if more else 0, None)

    cdef bint sends_at_once(self) except -1:
        """Send what is corked; says whether `fd` may be written to past us now. The caller then counts the bytes."""
        if self.corked.size:
            self._transmit(NULL, 0, MSG_MORE, None)
        return not self.lost and not self.mute and self._direct()

    cdef Py_ssize_t send_file(self, int fd, int64_t offset, Py_ssize_t size) except -1:
        """Send what is corked and then up to ``size`` bytes of a file from ``offset``, without a copy through us.

        How many of these bytes the socket took: `SOCKET_FULL` if it takes none now (it may be gone, too),
        `FILE_ENDED` if there are none. `OSError` if the file cannot be read. Only for a channel with an ``fd``.
        """
        cdef off_t at = offset
        cdef ssize_t sent
        if not self.sends_at_once():
            return SOCKET_FULL
        while True:
            sent = c_sendfile(self.fd, fd, &at, size)
            if sent >= 0:
                self.sent_bytes += sent
                return sent if sent else FILE_ENDED
            if errno == EAGAIN:
                return SOCKET_FULL
            if errno in (EPIPE, ECONNRESET, ECONNABORTED, ENOTCONN, ETIMEDOUT, ENETDOWN, ENETUNREACH):
                self.send_failed()
                return SOCKET_FULL
            if errno != EINTR:
                raise OSError(errno, os.strerror(errno))

    cdef double unsent_for(self, double now) except -1:
        """For how many seconds the peer has not taken a byte of what waits for it.

        Counted is what the peer has acknowledged: the kernel says that a socket is writable again only when a third of
        its buffer of several MB has gone, which over a slow link takes longer than any time limit.
        """
        cdef int in_kernel = 0
        cdef int64_t unsent
        if self.lost:
            return 0
        if self.watched_fd >= 0:
            ioctl(self.watched_fd, SIOCOUTQ, &in_kernel)
        unsent = <int64_t>self.transport.get_write_buffer_size() + in_kernel
        if unsent != self.unsent_seen:
            self.unsent_seen = unsent
            self.unsent_since_s = now
        return now - self.unsent_since_s

    cdef int uncork(self) except -1:
        """Send what was kept for the end of the loop's turn."""
        return self._transmit(NULL, 0, 0, None)

    cdef int _transmit(self, const uint8_t *data, Py_ssize_t size, int flags, bytes owner) except -1:
        """Send what is corked and then ``data``, as one segment where the socket allows it.

        ``flags`` are those of send(2); ``owner`` is the object that ``data`` is, if that may be kept.
        """
        cdef iovec spans[2]
        cdef msghdr message
        cdef ssize_t sent = 0
        cdef Octets corked = self.corked
        cdef Py_ssize_t first = corked.size
        corked.size = 0
        if self.lost or self.mute or first + size == 0:
            return 0
        if self._direct():
            memset(&message, 0, sizeof(message))
            spans[0].iov_base = corked.data
            spans[0].iov_len = first
            spans[1].iov_base = <void *>data
            spans[1].iov_len = size
            message.msg_iov = &spans[0] if first else &spans[1]
            message.msg_iovlen = 2 if first and size else 1
            while True:
                sent = c_sendmsg(self.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT | flags)
                if sent >= 0 or errno != EINTR:
                    break
            if sent < 0:
                if errno != EAGAIN:
                    return self.send_failed()
                sent = 0
        if sent < first:
            self.leave_to_transport(PyBytes_FromStringAndSize(<char *>corked.data + sent, first - sent))
            sent = first
        sent -= first
        if owner is not None and size - sent > _COPY_LIMIT:
            self.leave_to_transport(memoryview(owner)[sent:] if sent else owner)
        elif sent < size:
            self.leave_to_transport(PyBytes_FromStringAndSize(<char *>data + sent, size - sent))
        if corked.capacity > 2 * _CORK_SIZE:
            self.corked = Octets()
        return 0

    cdef bint _direct(self) except -1:
        """Whether send(2) keeps the order: the transport has nothing of ours left to send."""
        if self.fd < 0:
            return False
        if self.queued:
            if self.transport.get_write_buffer_size() != 0:
                return False
            self.queued = False
        return True

    cdef int leave_to_transport(self, object data) except -1:
        """Leave ``data``, bytes or a view of them, to the transport, which keeps it."""
        if self.lost:
            return 0
        self.queued = True
        self.transport.write(data)
        return 0

    cdef int pause_for_turn(self) except -1:
        """Read no more in this turn of the loop: much was moved at once, and the other connections are due."""
        if not self.lost:
            if self.loop is None:
                self.loop = get_running_loop()
            self.hold(HOLD_TURN)
            self.loop.call_soon(self._next_turn)
        return 0

    def _next_turn(self):
        self.release(HOLD_TURN)

    cdef int hold(self, int reason) except -1:
        """Stop reading until ``reason`` is released; other reasons may hold as well."""
        if self.holds == 0 and not self.lost:
            self.transport.pause_reading()
        self.holds |= reason
        return 0

    cdef int release(self, int reason) except -1:
        if self.holds & reason:
            self.holds &= ~reason
            if self.holds == 0 and not self.lost:
                self.progress_s = monotonic()
                self.transport.resume_reading()
        return 0

    cdef int close(self) except -1:
        """Close once everything queued has been sent; `closed` is called later, from the loop."""
        if not self.lost:
            self.uncork()
            self.fd = -1  # what is still to be sent goes through the transport, which now owns the order
            if not self.lost:
                self.transport.close()
        return 0

    cdef int shut(self) except -1:
        """Say that nothing more will be sent, once everything queued has been; the peer may go on sending."""
        if not self.lost:
            self.uncork()
            self.fd = -1
            if not self.lost:
                self.transport.write_eof()
        return 0

    cdef int reset(self) except -1:
        """Close at once with a reset, for a peer that would take an orderly end for the end of the data."""
        endpoint = None if self.lost else self.transport.get_extra_info("socket")
        if endpoint is not None:
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        return self.abort()

    cdef int abort(self) except -1:
        """Close at once, dropping what is queued; `closed` is called later, from the loop."""
        if not self.lost:
            self.lost = True
            self.fd = -1
            self.transport.abort()
        return 0


# Channels with something corked, in the order in which they came, until the loop's next turn.
cdef list _corked = []
cdef list _spare = []
cdef object _cork_loop = None


cdef int _cork(Channel channel) except -1:
    global _cork_loop
    if channel.loop is None:
        channel.loop = get_running_loop()  # once: it asks the kernel for the process's id
    if not _corked or channel.loop is not _cork_loop:
        _cork_loop = channel.loop  # another one than before: that has ended with something left to send
        _cork_loop.call_soon(uncork_all)
    _corked.append(channel)
    return 0


def uncork_all():
    """Send what all channels have kept in this turn of the loop; it schedules this itself."""
    global _corked, _spare
    cdef list channels = _corked
    cdef Channel channel
    _corked, _spare = _spare, None
    try:
        for channel in channels:
            try:
                channel.uncork()
            except Exception:
                _log.exception("sending on a connection failed; it is closed")
                channel.abort()
    finally:
        channels.clear()
        _spare = channels
