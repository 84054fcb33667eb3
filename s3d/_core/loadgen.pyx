"""An HTTP load generator that is light enough not to be what it measures.

A `Load` keeps N connections to one server busy with requests that were prepared, and signed, beforehand: its hot loop
writes ready bytes, counts the bytes that come back, and records one latency. It runs on a uvloop loop, on one thread.

Two ways to pace it:

- *closed loop* (``rate`` 0): each connection sends its next request when the last one is answered;
- *open loop* (``rate`` > 0): requests are due at fixed intervals whatever the server does, and latency counts from
  the moment a request was due, so that a stall shows in every request that it delayed (no coordinated omission).

What is owed to the server under test is bytes, not attention: bodies are counted and dropped, and a body to send is
read again and again from one buffer, whatever its length.
"""

import asyncio
import os

from cython cimport final
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, itimerspec, timespec
from posix.unistd cimport close as close_fd, read as read_fd

from s3d._core.answer cimport AnswerReader
from s3d._core.tally cimport Tally

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len

cdef extern from "<sys/socket.h>" nogil:
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    ssize_t sendmsg(int fd, const msghdr *message, int flags)
    int MSG_NOSIGNAL
    int MSG_DONTWAIT

cdef extern from "<sys/timerfd.h>" nogil:
    int timerfd_create(int clock, int flags)
    int timerfd_settime(int fd, int flags, const itimerspec *new_value, itimerspec *old_value)
    int TFD_TIMER_ABSTIME
    int TFD_NONBLOCK
    int TFD_CLOEXEC

cdef enum:
    INBOX = 262144             # bytes; half an L2, shared by all connections of a Load
    SEND_BURST = 16            # sends of one connection before the others have their turn
    SEND_SPAN = 262144         # bytes of a body given to the transport at once when the socket is full
    SAMPLE_MAX = 1024          # bytes kept of the first unexpected answer


cdef inline int64_t now_ns() noexcept nogil:
    cdef timespec moment
    clock_gettime(CLOCK_MONOTONIC, &moment)
    return moment.tv_sec * <int64_t>1000000000 + moment.tv_nsec


@final
cdef class Load:
    """N connections to one server that send prepared requests, in turn, and time the answers.

    ``heads`` are whole request heads, each with its empty line, and with a Content-Length of ``body_size`` when that
    is not 0; ``body`` is the buffer (borrowed for the Load's life) that bodies are read from, over and over.
    ``expected_status`` and ``expected_bytes`` (-1: any) say which answers are right; ``bodiless`` says that they are
    answers to HEAD. ``rate`` is in requests per second over all connections, 0 for a closed loop. A request whose
    connection moves no byte for ``timeout_s`` is given up and its connection replaced.

    Use: ``open``, then any number of ``begin`` … ``end`` or ``run_once``, then ``close``. Connections stay open
    between runs. Everything must be called on the loop's own thread.
    """
    cdef object loop
    cdef str host
    cdef int port
    cdef object tls
    cdef list heads
    cdef Py_ssize_t cursor
    cdef Py_buffer body
    cdef bint has_body
    cdef object body_view
    cdef int64_t body_size
    cdef int expected_status
    cdef int64_t expected_bytes
    cdef bint bodiless
    cdef double timeout_s
    cdef list connections
    cdef bytearray inbox
    cdef object inbox_view
    cdef uint8_t *inbox_data
    cdef Tally tally
    cdef bint running
    cdef bint closed
    cdef int64_t remaining        # requests left to send in this run, -1: no limit
    cdef Py_ssize_t in_flight
    cdef object drained
    cdef object sweeper
    cdef double interval_ns       # open loop: between two due times; 0 in a closed loop
    cdef int64_t paced            # requests taken from the schedule so far
    cdef list idle
    cdef int timer
    cdef bint armed
    cdef set tasks

    def __cinit__(self):
        self.timer = -1

    def __init__(
        self,
        loop,
        str host not None,
        int port,
        list heads not None,
        *,
        tls=None,
        body=None,
        int64_t body_size=0,
        int expected_status=200,
        int64_t expected_bytes=-1,
        bint bodiless=False,
        int connections=1,
        double rate=0.0,
        double timeout_s=30.0,
    ):
        if self.inbox is not None:
            raise RuntimeError("a Load is initialized once")
        if connections < 1:
            raise ValueError("a load needs at least one connection")
        if body_size < 0 or rate < 0 or timeout_s <= 0:
            raise ValueError("sizes, rates and time limits are not negative")
        self.replace(heads)
        if body_size:
            if body is None or len(body) == 0:
                raise ValueError("a body size needs a buffer that is not empty")
            PyObject_GetBuffer(body, &self.body, PyBUF_SIMPLE)
            self.has_body = True
            self.body_view = memoryview(body).cast("B")
        self.loop = loop
        self.host = host
        self.port = port
        self.tls = tls
        self.body_size = body_size
        self.expected_status = expected_status
        self.expected_bytes = expected_bytes
        self.bodiless = bodiless
        self.timeout_s = timeout_s
        self.interval_ns = 1e9 / rate if rate else 0.0
        self.inbox = bytearray(INBOX)
        self.inbox_data = <uint8_t *><char *>self.inbox
        self.inbox_view = memoryview(self.inbox)
        self.tally = Tally()
        self.idle = []
        self.tasks = set()
        self.remaining = -1
        self.connections = [Connection(self) for _ in range(connections)]

    def __dealloc__(self):
        if self.has_body:
            PyBuffer_Release(&self.body)
        if self.timer >= 0:
            close_fd(self.timer)

    def replace(self, list heads not None):
        """Send these heads from the next request on, such as the same ones with newer signatures."""
        if not heads or not all(type(head) is bytes and head.endswith(b"\r\n\r\n") for head in heads):
            raise ValueError("heads are bytes that end in an empty line, and there is at least one")
        self.heads = list(heads)
        self.cursor = 0

    async def open(self):
        """Connect every connection. Raises OSError when one cannot, and closes the others."""
        try:
            for connection in self.connections:
                await connect(self, connection)
        except BaseException:
            self.close()
            raise
        if self.interval_ns:
            self.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
            if self.timer < 0:
                raise OSError(errno, os.strerror(errno))
            self.loop.add_reader(self.timer, self._due)
        self.sweeper = self.loop.call_later(self.timeout_s / 4, self._sweep)

    def begin(self):
        """Start sending, and counting from zero; returns at once."""
        self._begin(-1)

    async def end(self):
        """Send no more, wait for the answers under way, and return the `Tally` of this run."""
        if self.interval_ns and self.running:
            self.tally.backlog = max(0, <int64_t>((now_ns() - self.tally.started_ns) / self.interval_ns) - self.paced)
        self.running = False
        await self._wait()
        return self.tally

    async def run_once(self):
        """Send each head exactly once, in order, and return the `Tally`; a request that fails is not repeated.

        The run ends early when the server cannot be connected to.
        """
        self.cursor = 0
        self._begin(len(self.heads))
        await self._wait()
        self.running = False
        return self.tally

    def close(self):
        """Drop every connection; what was in flight is not counted. Can be called again."""
        cdef Connection connection
        self.closed = True
        self.running = False
        if self.sweeper is not None:
            self.sweeper.cancel()
            self.sweeper = None
        if self.timer >= 0:
            self.loop.remove_reader(self.timer)
            close_fd(self.timer)
            self.timer = -1
        for task in list(self.tasks):
            task.cancel()
        for connection in self.connections:
            connection.drop()

    async def _wait(self):
        if self.in_flight == 0 and (not self.running or self.remaining == 0):
            return
        self.drained = self.loop.create_future()
        try:
            await self.drained
        finally:
            self.drained = None

    def _begin(self, int64_t limit):
        cdef Connection connection
        if self.running or self.in_flight:
            raise RuntimeError("the last run has not ended")
        if self.closed:
            raise RuntimeError("the load is closed")
        self.tally = Tally()
        self.tally.started_ns = self.tally.ended_ns = now_ns()
        self.remaining = limit
        self.paced = 0
        self.idle = []
        self.running = True
        for connection in self.connections:
            if connection.transport is not None and not connection.busy:
                self.next(connection, now_ns())

    cdef int next(self, Connection connection, int64_t now) except -1:
        """The connection is free: give it its next request, let it wait for one, or see that the run is over."""
        cdef int64_t due
        if not self.running or self.remaining == 0:
            if self.in_flight == 0 and self.drained is not None and not self.drained.done():
                self.drained.set_result(None)
            return 0
        if self.remaining > 0:
            self.remaining -= 1
        elif self.interval_ns:
            due = self.tally.started_ns + <int64_t>(self.paced * self.interval_ns)
            if due > now:
                self.idle.append(connection)
                if not self.armed:
                    self.arm(due)
                return 0
            self.paced += 1
            return connection.start(due)
        return connection.start(now)

    cdef int arm(self, int64_t due) except -1:
        cdef itimerspec when
        memset(&when, 0, sizeof(when))
        when.it_value.tv_sec = due // 1000000000
        when.it_value.tv_nsec = due % 1000000000
        if timerfd_settime(self.timer, TFD_TIMER_ABSTIME, &when, NULL) < 0:
            raise OSError(errno, os.strerror(errno))
        self.armed = True
        return 0

    def _due(self):
        cdef uint64_t expirations
        cdef list waiting = self.idle
        cdef Connection connection
        read_fd(self.timer, &expirations, sizeof(expirations))
        self.armed = False
        self.idle = []
        # Those for which nothing is due yet go back to `idle`, and the first of them arms the timer again.
        for connection in waiting:
            if connection.transport is not None and not connection.busy:
                self.next(connection, now_ns())

    def _sweep(self):
        cdef Connection connection
        for connection in self.connections:
            if not connection.busy:
                continue
            if connection.moved:
                connection.moved = False
                connection.quiet = 0
            else:
                connection.quiet += 1
                if connection.quiet >= 4:
                    self.tally.timeouts += 1
                    connection.give_up()
        self.sweeper = self.loop.call_later(self.timeout_s / 4, self._sweep)

    cdef int reconnect(self, Connection connection) except -1:
        if self.closed:
            return 0
        task = self.loop.create_task(connect_again(self, connection))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return 0

    def _connect_failed(self):
        self.tally.connect_failures += 1
        if self.remaining >= 0:
            # A run of each head once cannot wait for a server that may never come back.
            self.running = False
            if self.in_flight == 0 and self.drained is not None and not self.drained.done():
                self.drained.set_result(None)


async def connect(Load load, Connection connection):
    await load.loop.create_connection(lambda: connection, load.host, load.port, ssl=load.tls)


async def connect_again(Load load, Connection connection):
    delay_s = 0.05
    while not load.closed:
        try:
            return await asyncio.wait_for(connect(load, connection), load.timeout_s)
        except (OSError, asyncio.TimeoutError):
            load._connect_failed()
        await asyncio.sleep(delay_s)
        delay_s = min(1.0, delay_s * 2)


@final
cdef class Connection:
    """One connection of a `Load`, as an asyncio BufferedProtocol; at most one request is in flight."""
    cdef Load load
    cdef object transport
    cdef int fd                   # to send on past the transport, -1 under TLS
    cdef bint busy
    cdef bint paused
    cdef bint moved               # bytes came or went since the last sweep
    cdef int quiet                # sweeps without any
    cdef int64_t started_ns
    # The request.
    cdef bytes head
    cdef Py_ssize_t head_sent
    cdef int64_t body_sent
    cdef AnswerReader answer

    def __init__(self, Load load not None):
        self.load = load
        self.fd = -1
        self.answer = AnswerReader()

    # What uvloop calls.

    def connection_made(self, transport):
        if self.load.closed:
            transport.abort()
            return
        self.transport = transport
        self.paused = False
        self.busy = False
        if self.load.tls is None:
            # 0: pause_writing() comes whenever the transport holds anything back, so that while it has not come, the
            # socket itself is where the stream stands and may be written to. (uvloop's TLS would pause at 0 itself.)
            transport.set_write_buffer_limits(high=0)
            self.fd = transport.get_extra_info("socket").fileno()
        else:
            transport.set_write_buffer_limits(high=SEND_SPAN)
        if self.load.running:
            self.load.next(self, now_ns())

    def connection_lost(self, error):
        cdef Load load = self.load
        self.transport = None
        self.fd = -1
        if self.busy:
            if error is None and self.answer.ended():
                self.complete()
            else:
                load.tally.disconnects += 1
                self.release()
        load.reconnect(self)

    def get_buffer(self, hint):
        return self.load.inbox_view

    def buffer_updated(self, Py_ssize_t size):
        if self.transport is not None:
            self.feed(self.load.inbox_data, size)

    def eof_received(self):
        return False

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False
        if self.busy and self.transport is not None:
            self.pump()

    def _pump_later(self):
        if self.busy and not self.paused and self.transport is not None:
            self.pump()

    # Sending.

    cdef int start(self, int64_t started_ns) except -1:
        cdef Load load = self.load
        self.head = <bytes>load.heads[load.cursor]
        load.cursor += 1
        if load.cursor == len(load.heads):
            load.cursor = 0
        load.in_flight += 1
        self.busy = True
        self.moved = True
        self.started_ns = started_ns
        self.head_sent = 0
        self.body_sent = 0
        self.answer.reset(load.bodiless)
        return self.pump()

    cdef bint unsent(self) noexcept:
        return self.head_sent < len(self.head) or self.body_sent < self.load.body_size

    cdef int pump(self) except -1:
        """Send until the request is out or the socket is full; resume_writing() goes on."""
        cdef Load load = self.load
        cdef iovec parts[2]
        cdef msghdr message
        cdef ssize_t sent
        cdef Py_ssize_t head_size = len(self.head)
        cdef Py_ssize_t offset = 0
        cdef int64_t span = 0
        cdef int burst = 0
        memset(&message, 0, sizeof(message))
        while self.head_sent < head_size or self.body_sent < load.body_size:
            if burst == SEND_BURST:
                load.loop.call_soon(self._pump_later)
                return 0
            burst += 1
            if load.body_size:
                offset = self.body_sent % load.body.len
                span = min(load.body.len - offset, load.body_size - self.body_sent)
            if self.fd >= 0:
                parts[0].iov_base = <char *>self.head + self.head_sent
                parts[0].iov_len = head_size - self.head_sent
                parts[1].iov_base = <char *>load.body.buf + offset
                parts[1].iov_len = span
                message.msg_iov = parts
                message.msg_iovlen = 2 if span else 1
                sent = sendmsg(self.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
                if sent < 0:
                    if errno == EINTR:
                        continue
                    if errno != EAGAIN:
                        # The answer, if the server has sent one, is still to be read: let the loop find the end.
                        return 0
                    sent = 0
                if sent:
                    self.moved = True
                if sent <= head_size - self.head_sent:
                    self.head_sent += sent
                    sent = 0
                else:
                    sent -= head_size - self.head_sent
                    self.head_sent = head_size
                self.body_sent += sent
                if sent == span and self.head_sent == head_size:
                    continue
            # Full, or TLS: the transport takes the next piece, and says when it has gone.
            if self.head_sent < head_size:
                piece = self.head[self.head_sent:]
                self.head_sent = head_size
            else:
                offset = self.body_sent % load.body.len
                span = min(load.body.len - offset, load.body_size - self.body_sent)
                span = min(span, SEND_SPAN)
                piece = load.body_view[offset:offset + span]
                self.body_sent += span
            self.moved = True
            self.transport.write(piece)
            if self.paused or self.transport is None:
                return 0
        return 0

    # Receiving.

    cdef int feed(self, const uint8_t *data, Py_ssize_t size) except -1:
        cdef AnswerReader answer = self.answer
        cdef Py_ssize_t used
        self.moved = True
        while size > 0 and self.transport is not None:
            if not self.busy:
                # An answer nobody asked for: what follows on this connection cannot be told apart from it.
                self.load.tally.malformed += 1
                return self.drop()
            used = answer.take(data, size)
            if used < 0:
                self.load.tally.malformed += 1
                return self.give_up()
            if answer.status and answer.status != self.load.expected_status:
                self.keep(data, used)
            if answer.complete:
                self.complete()
            data += used
            size -= used
        return 0

    cdef int keep(self, const uint8_t *data, Py_ssize_t size) except -1:
        """Remember how the first unexpected answer of the run began, to be shown to whoever wonders."""
        cdef Tally tally = self.load.tally
        if tally.wrong_status == 0 and len(tally.sample) < SAMPLE_MAX:
            tally.sample += data[:min(size, SAMPLE_MAX - len(tally.sample))]
        return 0

    # Ends.

    cdef int complete(self) except -1:
        cdef Load load = self.load
        cdef Tally tally = load.tally
        cdef int64_t now = now_ns()
        cdef bint whole = not self.unsent()
        tally.ended_ns = now
        if self.answer.status != load.expected_status:
            tally.wrong_status += 1
        elif not whole:
            tally.malformed += 1
        elif load.expected_bytes >= 0 and self.answer.body_bytes != load.expected_bytes:
            tally.wrong_length += 1
        else:
            tally.latency.add(now - self.started_ns)
            tally.requests += 1
            tally.bytes_in += self.answer.body_bytes
            tally.bytes_out += load.body_size
        self.busy = False
        self.quiet = 0
        load.in_flight -= 1
        if self.answer.last or not whole:
            self.drop()
            if load.in_flight == 0 and not load.running or load.remaining == 0:
                load.next(self, now)
            return 0
        return load.next(self, now)

    cdef int release(self) except -1:
        """The request in flight is lost and was counted as an error."""
        self.busy = False
        self.quiet = 0
        self.load.in_flight -= 1
        self.load.tally.ended_ns = now_ns()
        if not self.load.running or self.load.remaining == 0:
            self.load.next(self, self.load.tally.ended_ns)
        return 0

    cdef int give_up(self) except -1:
        if self.busy:
            self.release()
        return self.drop()

    cdef int drop(self) except -1:
        """Close at once; connection_lost() follows, and connects again unless the load is closed."""
        transport = self.transport
        self.transport = None
        self.fd = -1
        if transport is not None:
            transport.abort()
        return 0
