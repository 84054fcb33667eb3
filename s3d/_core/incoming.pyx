"""A body on its way in: the source stage of every request body and of every answer of the remote."""

from collections import deque

from libc.stdint cimport int64_t, uint8_t

from s3d._core.channel cimport HOLD_BODY, Channel
from s3d._core.splice cimport SPLICE_LEAST, move_on
from s3d._core.stage cimport Stage


cdef class Incoming(Stage):
    """The bytes of one message body as they arrive on a channel.

    Bytes go down the chain in the callback that read them. What arrives before a chain is connected, or after it said
    `pause`, is kept, and the channel stops reading, so that at most one read's worth is kept.

    The three ends: `finish` goes down when the last byte was taken; `break_off` is the channel's way to fail the chain
    (the peer left, a time limit passed); `cancel` comes up when the bytes are not wanted any more. Each calls the
    channel's `body_ended` exactly once.
    """

    def __cinit__(self, Channel channel, int64_t length):
        self.channel = channel
        self.length = length
        self.pending = deque()

    cdef int keep(self, bytes data) except -1:
        self.arrived += len(data)
        if not self.ended:
            self.pending.append(data)
        return 0

    cdef int arrive(self, const uint8_t *data, Py_ssize_t size) except -1:
        self.arrived += size
        if self.ended:
            return 0
        if self.connected and not self.paused and not self.pending:
            self._write(data, size)
        else:
            self.pending.append(data[:size])
            self.channel.hold(HOLD_BODY)
        return 0

    cdef int mark_complete(self) except -1:
        """The last byte has arrived; the caller runs `flush` once it is safe to run other code."""
        self.complete = True
        return 0

    cdef int spoil(self) except -1:
        """What has arrived cannot be told from what has not: none of it goes down, and `break_off` follows."""
        self.complete = False
        self.pending.clear()
        return 0

    cdef int break_off(self, object error) except -1:
        """The rest of the body will never arrive: fail the chain with ``error``."""
        if self.ended:
            return 0
        return self._fail(error)

    cdef int flush(self) except -1:
        """Pass on what is kept, and the end if it has come; ask for more if all was taken."""
        cdef bytes data
        if self.flushing or self.ended:
            return 0
        if not self.connected:
            if self.pending:
                self.channel.hold(HOLD_BODY)
            return 0
        self.flushing = True
        try:
            while self.pending and not self.paused and not self.ended:
                data = <bytes>self.pending.popleft()
                self._write(<const uint8_t *><char *>data, len(data))
        finally:
            self.flushing = False
        if self.ended:
            return 0
        if self.pending:
            self.channel.hold(HOLD_BODY)
        elif self.complete:
            self._finish()
        elif not self.paused:
            self.channel.release(HOLD_BODY)
        return 0

    cdef int connect(self, Stage down) except -1:
        """Start to flow into ``down``. A body that has ended already (its client left) fails the chain at once."""
        self.down = down
        down.up = self
        self.connected = True
        if self.ended:
            self.down = None
            down.fail(ConnectionResetError("the body broke off before it was read"))
            return 0
        self.channel.body_connected(self)
        return self.flush()

    cdef int pause(self) except -1:
        self.paused = True
        if not self.ended:
            self.channel.hold(HOLD_BODY)
        return 0

    cdef int resume(self) except -1:
        self.paused = False
        return self.flush()

    cdef int cancel(self, object error) except -1:
        """The consumer wants no more; what still arrives is counted and dropped."""
        if not self.ended:
            self._end()
        return 0

    cdef int64_t splice(self) except -1:
        """Let bytes that wait in the channel's socket go past the chain; returns how many did, which count as arrived.

        Only the middle of a body of known length goes that way; its last `SPLICE_LEAST` bytes come as any others do.
        """
        cdef Channel to
        cdef int64_t moved
        if not self.connected or self.paused or self.ended or self.pending:
            return 0
        to = <Channel>self.down.passage()
        if to is None:
            return 0
        moved = move_on(self.channel, to, self.length - self.arrived - SPLICE_LEAST)
        if moved:
            self.arrived += moved
            self.down.passed(moved)
        return moved

    cdef int drop(self) except -1:
        """Forget a body that nobody will read, as `cancel` does."""
        cdef Stage down = self.down
        if self.ended:
            return 0
        self._end()
        if down is not None:
            down.fail(ConnectionAbortedError("the body is not read any further"))
        return 0

    cdef int _write(self, const uint8_t *data, Py_ssize_t size) except -1:
        try:
            self.down.write(data, size)
        except BaseException as error:
            if not self.ended:
                self._fail(error)
        return 0

    cdef int _fail(self, object error) except -1:
        cdef Stage down = self.down
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
        cdef Channel channel = self.channel
        self.ended = True
        self.up = None
        self.down = None
        self.channel = None
        self.pending.clear()
        # The channel learns first: a finished answer frees its connection before its consumer asks for the next one.
        channel.body_ended(self)
        return channel.release(HOLD_BODY)

    def __repr__(self):
        return f"<Incoming {self.arrived}/{self.length} complete={self.complete} ended={self.ended}>"
