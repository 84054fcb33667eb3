"""The socket side that server and client connections share: reading into one buffer, sending without a copy.

Reading. uvloop's buffered protocol asks for a buffer, reads into it and reports, all within one callback; nothing else
runs in between, so every connection of the process shares one buffer. A head is read in pieces of `HEAD_READ_SIZE`, a
body in pieces of `BODY_READ_SIZE`: what a connection must keep while its consumer is not ready is at most one piece.

Sending. When the transport holds nothing, bytes go straight to send(2) from where they lie; only what the kernel does
not take is copied and handed to the transport. Its limits are set to zero, so it says `pause_writing` as soon as it
holds a byte and `resume_writing` once it has sent them all; the kernel's own buffer keeps the link busy meanwhile.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from s3d._core.stage cimport Stage

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len

cdef extern from "<sys/socket.h>" nogil:
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    ssize_t c_send "send"(int fd, const void *data, size_t size, int flags)
    ssize_t c_sendmsg "sendmsg"(int fd, const msghdr *message, int flags)
    int MSG_NOSIGNAL
    int MSG_DONTWAIT
    int MSG_MORE

# 64 KiB holds any head we accept and most small bodies with it; 256 KiB is where larger reads stop paying
# (one read of a saturated loopback fills it, and it stays in the second-level cache on its way through).
HEAD_READ_SIZE = 65536
BODY_READ_SIZE = 262144

cdef bytearray _buffer = bytearray(BODY_READ_SIZE)
cdef object _body_view = memoryview(_buffer)
cdef object _head_view = _body_view[:HEAD_READ_SIZE]


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

    # What the transport calls.

    def connection_made(self, transport):
        self.transport = transport
        self.progress_s = monotonic()
        transport.set_write_buffer_limits(0)
        if transport.get_extra_info("ssl_object") is None:
            self.fd = transport.get_extra_info("socket").fileno()
        self.opened()

    def connection_lost(self, error):
        self.lost = True
        self.fd = -1
        self.transport = None
        self.closed(error)

    def get_buffer(self, Py_ssize_t hint):
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
        return self.half_closed() and self.fd >= 0

    def pause_writing(self):
        self.write_paused = True
        self.progress_s = monotonic()
        self.unwritable()

    def resume_writing(self):
        self.write_paused = False
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

    cdef int body_connected(self, Stage body) except -1:
        """The chain below ``body``, which arrives on this channel, is complete and takes bytes now."""
        return 0

    cdef int body_ended(self, Stage body) except -1:
        """The chain of ``body`` has ended, by whichever of its three ends."""
        return 0

    cdef int send(self, const uint8_t *data, Py_ssize_t size, bint more) except -1:
        """Send or queue ``data``, which may be reused when this returns. ``more``: the rest follows at once."""
        cdef ssize_t sent = 0
        if self.lost or size == 0:
            return 0
        self.sent_bytes += size
        if self._direct():
            while True:
                sent = c_send(self.fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT | (MSG_MORE if more else 0))
                if sent >= 0 or errno != EINTR:
                    break
            if sent == size:
                return 0
            if sent < 0:
                if errno != EAGAIN:
                    # The peer is gone. connection_lost follows and tells whoever uses this connection.
                    return self.abort()
                sent = 0
        self._queue(PyBytes_FromStringAndSize(<char *>data + sent, size - sent))
        return 0

    cdef int send_pair(self, const uint8_t *first, Py_ssize_t first_size, const uint8_t *second,
                       Py_ssize_t second_size) except -1:
        """Send two spans as one segment where the socket allows it."""
        cdef iovec spans[2]
        cdef msghdr message
        cdef ssize_t sent = 0
        if self.lost:
            return 0
        if self._direct():
            memset(&message, 0, sizeof(message))
            spans[0].iov_base = <void *>first
            spans[0].iov_len = first_size
            spans[1].iov_base = <void *>second
            spans[1].iov_len = second_size
            message.msg_iov = spans
            message.msg_iovlen = 2
            while True:
                sent = c_sendmsg(self.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
                if sent >= 0 or errno != EINTR:
                    break
            if sent < 0:
                if errno != EAGAIN:
                    return self.abort()
                sent = 0
            self.sent_bytes += first_size + second_size
            if sent < first_size:
                self._queue(PyBytes_FromStringAndSize(<char *>first + sent, first_size - sent))
                self._queue(PyBytes_FromStringAndSize(<char *>second, second_size))
            elif sent < first_size + second_size:
                sent -= first_size
                self._queue(PyBytes_FromStringAndSize(<char *>second + sent, second_size - sent))
            return 0
        self.sent_bytes += first_size + second_size
        self._queue(
            PyBytes_FromStringAndSize(<char *>first, first_size)
            + PyBytes_FromStringAndSize(<char *>second, second_size)
        )
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

    cdef int _queue(self, bytes data) except -1:
        if self.lost or not data:
            return 0
        self.queued = True
        self.transport.write(data)
        return 0

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
            self.fd = -1  # what is still to be sent goes through the transport, which now owns the order
            self.transport.close()
        return 0

    cdef int abort(self) except -1:
        """Close at once, dropping what is queued; `closed` is called later, from the loop."""
        if not self.lost:
            self.lost = True
            self.fd = -1
            self.transport.abort()
        return 0
