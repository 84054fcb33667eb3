"""A body on its way out: the sink stage of every answer's body."""

import logging

from libc.stdint cimport int64_t, uint8_t

from s3d._core.channel cimport Channel
from s3d._core.stage cimport Stage

_log = logging.getLogger("s3d.server")


cdef class Outgoing(Stage):
    """The sink of an answer's body: frames it, and never lets it end short or long.

    A body that brings other bytes than its head announced ends as a broken connection, which a client cannot mistake
    for a whole answer (RFC 9112 §8). Each end calls the channel's `body_sent` exactly once, unless the channel let go
    of this stage before (``channel`` is None then).
    """

    cdef int send_head(self) except -1:
        """Send the head if it still waits for the body's first span."""
        cdef bytes head = self.head
        self.head = None
        if head is None:
            return 0
        return self.channel.send(<const uint8_t *><char *>head, len(head))

    cdef int send_head_ahead(self) except -1:
        """As `send_head`, for a source that sends on past this stage in the same call."""
        cdef bytes head = self.head
        self.head = None
        if head is None:
            return 0
        return self.channel.send_at_once(<const uint8_t *><char *>head, len(head), True)

    cdef int write(self, const uint8_t *data, Py_ssize_t size) except -1:
        cdef Channel channel = self.channel
        cdef bytes head
        if channel is None or channel.lost or size == 0:
            return 0
        if self.left >= 0:
            if size > self.left:
                raise ConnectionError("the body of an answer is longer than announced")
            self.left -= size
        if self.chunked:
            self.send_head()
            self._send_chunk(data, size)
        elif self.head is not None:
            head = self.head
            self.head = None
            channel.send(<const uint8_t *><char *>head, len(head))
            channel.send(data, size)
        else:
            channel.send(data, size)
        return 0

    cdef object passage(self):
        return None if self.paused or self.chunked or self.left < 0 or self.head is not None else self.channel

    cdef int passed(self, int64_t size) except -1:
        self.left -= size
        return 0

    cdef int _send_chunk(self, const uint8_t *data, Py_ssize_t size) except -1:
        cdef bytes frame = b"%x\r\n" % size
        self.channel.send(<const uint8_t *><char *>frame, len(frame))
        self.channel.send(data, size)
        return self.channel.send(<const uint8_t *>b"\r\n", 2)

    cdef int finish(self) except -1:
        cdef Channel channel = self.channel
        if channel is None:
            return 0
        self.send_head()
        self.up = None
        self.channel = None
        if self.left > 0:
            _log.warning("an answer ended %d bytes short of its announced length; its connection is cut", self.left)
            return channel.body_sent(False, True)
        if self.chunked:
            channel.send(<const uint8_t *>b"0\r\n\r\n", 5)
        return channel.body_sent(True, self.left >= 0 or self.chunked)

    cdef int fail(self, object error) except -1:
        cdef Channel channel = self.channel
        self.up = None
        self.channel = None
        if channel is None:
            return 0
        if self.head is not None:
            return channel.body_refused(error)
        _log.warning("an answer broke off: %s", error)
        return channel.body_sent(False, self.left >= 0 or self.chunked)
