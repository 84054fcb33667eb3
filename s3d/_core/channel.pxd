"""The socket side that server and client connections share: reading into one buffer, sending without a copy."""

from libc.stdint cimport int64_t, uint8_t

from s3d._core.octets cimport Octets
from s3d._core.stage cimport Stage

# Why a channel does not read. It reads while no reason holds.
cdef enum:
    HOLD_BODY = 1                 # the consumer of the body under way takes no more
    HOLD_QUEUE = 2                # requests wait for the one that is being answered
    HOLD_TURN = 4                 # it moved much in this turn of the loop; the others are due

# What `send_file` returns where no byte went out.
cdef enum:
    FILE_ENDED = 0
    SOCKET_FULL = -2


cdef double monotonic() noexcept nogil


cdef class Channel:
    cdef object loop              # the one it lives on; None before it first corked something
    cdef object transport         # uvloop's; None before connection_made and after connection_lost
    cdef int fd                   # for send(2) past the transport; -1 where that is not possible (TLS)
    cdef int watched_fd           # the same socket also then, to ask the kernel about it; -1 when there is none
    cdef int64_t unsent_seen      # bytes that the peer had not acknowledged at the last look, …
    cdef double unsent_since_s    # … and since when it was that many
    cdef bint queued              # the transport may hold bytes that are not sent yet
    cdef Octets corked            # sent at the end of the loop's turn
    cdef bint write_paused        # those bytes are there: nothing more should be written
    cdef int holds                # HOLD_* that keep us from reading
    cdef bint wants_body          # read in large pieces: a body is under way
    cdef bint splices             # more of the body under way is about to be spliced: read just enough to notice it
    cdef Py_ssize_t splice_size   # how much of it to offer at a time; 0: not known yet
    cdef bint mute                # the peer takes nothing any more, but may still have something to say
    cdef bint lost                # connection_lost was called, or we aborted
    cdef bint heeds_last_words    # what the peer said before its end counts also when sending failed; set by subclasses
    cdef int spare_fd             # the same socket while the transport has bytes to send, for those; -1
    cdef double progress_s        # when bytes last moved in the direction we wait for, CLOCK_MONOTONIC
    cdef int64_t received_bytes
    cdef int64_t sent_bytes

    # For subclasses: what happens on the wire.
    cdef int opened(self) except -1
    cdef int received(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef bint half_closed(self) except -1    # returns whether to keep the sending side open
    cdef int writable(self) except -1
    cdef int unwritable(self) except -1
    cdef int closed(self, object error) except -1
    cdef int send_failed(self) except -1

    # For subclasses: what happens to the body that arrives here.
    cdef int body_connected(self, Stage body) except -1
    cdef int body_ended(self, Stage body) except -1

    # For subclasses: what happens to the body that leaves here.
    cdef int body_sent(self, bint whole, bint delimited) except -1
    cdef int body_refused(self, object error) except -1

    # For subclasses: what to do on the wire.
    cdef int send(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef int send_bytes(self, bytes data) except -1
    cdef int send_at_once(self, const uint8_t *data, Py_ssize_t size, bint more) except -1
    cdef Py_ssize_t send_file(self, int fd, int64_t offset, Py_ssize_t size) except -1
    cdef bint sends_at_once(self) except -1
    cdef int _hear_last_words(self) except -1
    cdef int leave_to_transport(self, object data) except -1
    cdef int pause_for_turn(self) except -1
    cdef int uncork(self) except -1
    cdef double unsent_for(self, double now) except -1
    cdef int hold(self, int reason) except -1
    cdef int release(self, int reason) except -1
    cdef int close(self) except -1           # after what is queued has been sent
    cdef int shut(self) except -1            # our sending side, likewise
    cdef int abort(self) except -1           # at once
    cdef int reset(self) except -1           # at once, and the peer cannot take it for an orderly end

    cdef int _transmit(self, const uint8_t *data, Py_ssize_t size, int flags, bytes owner) except -1
    cdef bint _direct(self) except -1
