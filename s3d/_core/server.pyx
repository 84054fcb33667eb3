"""The server's connections: requests in order, one answer at a time, limits and time limits.

One `ServerConnection` for each client. Its life, all on the event loop's thread:

    bytes → RequestReader → requests ─advance─► dispatch(request) ─► Response, now or later ─respond─► bytes
                                 └ bodies flow down the chains that the operations connect

``dispatch`` answers with a finished `Response` (sent in the same call: no task, no turn of the loop), with a `Promise`
(its answer is sent in the call that settles it) or with any awaitable (run as a task). It must not raise; what it
raises all the same is answered by ``refuse``.

Time limits cost nothing per request: `Service.sweep` looks at each connection four times a second.
"""

import asyncio
import inspect
import logging
import os
from email.utils import formatdate

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport int64_t, uint8_t, uint64_t
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

from s3d._core.channel cimport HOLD_QUEUE, Channel, monotonic
from s3d._core.fault cimport Fault, FaultCode
from s3d._core.incoming cimport Incoming
from s3d._core.meter cimport Meter
from s3d._core.octets cimport Octets
from s3d._core.outgoing cimport Outgoing
from s3d._core.promise cimport Observer, Promise
from s3d._core.reader cimport RequestReader
from s3d._core.request cimport Request
from s3d._core.response cimport LENGTH_NONE, LENGTH_UNKNOWN, Response
from s3d._core.stage cimport Stage

_log = logging.getLogger("s3d.server")

cdef double _SWEEP_INTERVAL_S = 0.25
# A request body that nobody reads is taken off the wire up to this size to save the connection; past it, closing is
# cheaper for both sides.
cdef int64_t _DISCARD_LIMIT = 262144
# How long a closed connection waits for its client to read the answer (a reset would destroy it, RFC 9112 §9.6).
cdef double _LINGER_S = 2.0

# Heads are built here and sent within the same callback.
cdef Octets _head = Octets()


cdef class Service:
    """What all connections of a server share: the dispatcher, limits, counters, and their end.

    ``dispatch(request)`` and ``refuse(request | None, error)`` are described in the module's docstring; ``refuse`` must
    return a `Response` for any exception. Time limits are in seconds: ``head_timeout_s`` from a head's first byte to
    its last, ``idle_timeout_s`` between requests, ``body_timeout_s`` without any byte of a body, in either direction.
    """

    def __init__(self, dispatch, refuse, *, loop, int operations, Py_ssize_t max_connections=1000,
                 Py_ssize_t max_head_size=32768, double head_timeout_s=10.0, double idle_timeout_s=75.0,
                 double body_timeout_s=60.0):
        self.loop = loop
        self.dispatch = dispatch
        self.refuse = refuse
        self.meter = Meter(operations)
        self.connections = set()
        self.max_connections = max_connections
        self.max_head_size = max_head_size
        self.head_timeout_s = head_timeout_s
        self.idle_timeout_s = idle_timeout_s
        self.body_timeout_s = body_timeout_s
        self.date_second = -1
        self.ids = int.from_bytes(os.urandom(8), "little")
        self.sweeper = loop.call_later(_SWEEP_INTERVAL_S, self.sweep)

    def connection(self, secure=False):
        """A protocol for one accepted connection."""
        return ServerConnection(self, secure)

    @property
    def open_connections(self):
        return len(self.connections)

    @property
    def active_requests(self):
        """Connections that are answering a request now."""
        cdef ServerConnection connection
        cdef int count = 0
        for connection in self.connections:
            if connection.active is not None:
                count += 1
        return count

    def sweep(self):
        """Enforce the time limits on every connection, and come back."""
        cdef double now = monotonic()
        cdef ServerConnection connection
        self.sweeper = self.loop.call_later(_SWEEP_INTERVAL_S, self.sweep)
        for connection in list(self.connections):
            try:
                connection.check(now)
            except Exception:
                _log.exception("checking the time limits of a connection failed; it is closed")
                connection.abort()

    def close(self):
        """Finish: close idle connections now and the others after their answer.

        Returns a future that is done when the last connection has gone. `abort` cuts it short.
        """
        cdef ServerConnection connection
        if self.drained is None:
            self.closing = True
            self.drained = self.loop.create_future()
            for connection in list(self.connections):
                connection.close_after = True
                if connection.active is None and not connection.reader.in_head and connection.lingering_since_s == 0:
                    connection.close()
            self._check_drained()
        return self.drained

    def abort(self):
        """Cut every connection."""
        cdef ServerConnection connection
        for connection in list(self.connections):
            connection.abort()

    cdef int _check_drained(self) except -1:
        if self.drained is not None and not self.connections:
            if self.sweeper is not None:
                self.sweeper.cancel()
                self.sweeper = None
            if not self.drained.done():
                self.drained.set_result(None)
        return 0

    cdef bytes today(self):
        cdef timespec now
        cdef int64_t second
        clock_gettime(CLOCK_REALTIME, &now)
        second = now.tv_sec
        if second != self.date_second:
            self.date_second = second
            self.date = formatdate(second, usegmt=True).encode()
        return self.date

    cdef str next_id(self):
        # splitmix64: unique within the process for 2^64 requests, and not to be guessed from one another by eye.
        cdef uint64_t z
        cdef char digits[16]
        cdef int i
        self.ids += 0x9E3779B97F4A7C15ULL
        z = self.ids
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL
        z ^= z >> 31
        for i in range(16):
            digits[15 - i] = b"0123456789ABCDEF"[z >> 4 * i & 15]
        return PyUnicode_DecodeASCII(digits, 16, NULL)


cdef class _Responder(Observer):
    """Brings a promise's answer back to its connection, if that still waits for it."""
    cdef ServerConnection connection
    cdef Request request

    cdef int settled(self, Promise promise) except -1:
        cdef ServerConnection connection = self.connection
        if connection.active is not self.request:
            if promise.value is not None:
                promise.value.discard()
            return 0
        connection.pending_result = None
        if promise.error is not None:
            connection._refuse(promise.error)
        else:
            connection._take(promise.value)
        return connection.advance()


cdef class ServerConnection(Channel):
    """One client's connection; the module's docstring says how it works."""

    def __init__(self, Service service, bint secure=False):
        self.service = service
        self.secure = secure

    # The wire.

    cdef int opened(self) except -1:
        cdef Service service = self.service
        peer = self.transport.get_extra_info("peername") or None
        local = self.transport.get_extra_info("sockname") or None
        self.reader = RequestReader.__new__(
            RequestReader, self, service.max_head_size, self.secure,
            peer if isinstance(peer, tuple) else None, local if isinstance(local, tuple) else None,
        )
        self.idle_since_s = monotonic()
        service.connections.add(self)
        service.meter.connections_accepted += 1
        if len(service.connections) - service.lingering > service.max_connections or service.closing:
            service.meter.connections_refused += 1
            self._refuse(Fault(FaultCode.SLOW_DOWN, "Too many connections are open. Please reduce your request rate."))
        return 0

    cdef int received(self, const uint8_t *data, Py_ssize_t size) except -1:
        if self.lingering_since_s > 0:
            return 0
        cdef Incoming body
        self.splices = False
        self.reader.feed(data, size)
        if self.lost:
            return 0
        body = self.reader.body
        if self.reader.fault is not None and body is not None:
            # The framing of a body under way turned out to be wrong: its request fails, and nothing follows it.
            self._close_after_last()
            body.break_off(self.reader.fault)
        elif self.reader.body_left > 0:
            self.reader.body_left -= body.splice()
        return self.advance()

    cdef bint half_closed(self) except -1:
        cdef Incoming body = self.reader.body
        self._close_after_last()
        if self.lingering_since_s > 0:
            return False
        if body is not None and not body.complete:
            body.break_off(Fault(FaultCode.INCOMPLETE_BODY, "The connection ended before the whole body had arrived."))
        # Requests in full are answered: a client may say by half-closing that it has no more to ask.
        return self.active is not None or bool(self.reader.requests)

    cdef int _close_after_last(self) except -1:
        # Those that wait before the last one are whole, and are answered as if nothing were wrong.
        if self.reader.requests:
            (<Request>self.reader.requests[-1]).keep_alive = False
        else:
            self.close_after = True
        return 0

    cdef int writable(self) except -1:
        cdef Outgoing answer = self.answer  # which may end within the call
        if answer is not None and answer.paused:
            answer.paused = False
            answer.resume()
        # Requests wait while answers do: a client that asks without reading is not served ahead.
        return self.advance()

    cdef int unwritable(self) except -1:
        cdef Outgoing answer = self.answer
        if answer is not None and not answer.paused:
            answer.paused = True
            answer.pause()
        return 0

    cdef int closed(self, object error) except -1:
        cdef Incoming body = self.reader.body
        cdef Request request
        cdef object pending = self.pending_result
        cdef Outgoing answer = self.answer
        self.close_after = True
        if answer is not None:
            answer.channel = None
            self.answer = None
            answer.cancel(ConnectionResetError("the client has gone"))
        if body is not None:
            body.break_off(Fault(FaultCode.INCOMPLETE_BODY, "The connection ended before the whole body had arrived."))
        if self.active is not None:
            request = self.active
            self._record(True)
            self.active = None
            self.pending_result = None
            if pending is not None:
                pending.cancel()
            if request.body is not None:
                request.body.drop()
        self.reader.requests.clear()
        self.service.connections.discard(self)
        if self.lingering_since_s > 0:
            self.service.lingering -= 1
        return self.service._check_drained()

    # Requests.

    cdef int advance(self) except -1:
        """Take requests in order as long as their answers are complete at once."""
        cdef Request request
        cdef RequestReader reader = self.reader
        if self.advancing:
            return 0
        self.advancing = True
        try:
            while self.active is None and not self.lost and not self.write_paused and self.lingering_since_s == 0:
                if not reader.requests:
                    if reader.fault is not None:
                        self.service.meter.malformed_requests += 1
                        self._refuse(reader.fault)
                    elif self.close_after and not reader.in_head:
                        self.close()
                    break
                request = <Request>reader.requests.popleft()
                self._begin(request)
        finally:
            self.advancing = False
        if self.lost:
            return 0
        if self.active is not None and self.active.body is not None:
            # What arrived together with the head waited until no parser was on the stack.
            self.active.body.flush()
        if reader.requests:
            self.hold(HOLD_QUEUE)
        else:
            self.release(HOLD_QUEUE)
        self.wants_body = reader.body is not None
        return 0

    cdef int _begin(self, Request request) except -1:
        cdef object result
        self.active = request
        self.active_status = 0
        self.answer_sent_mark = self.sent_bytes
        request.request_id = self.service.next_id()
        if not request.keep_alive or self.service.closing:
            self.close_after = True
        try:
            result = self.service.dispatch(request)
        except Exception as error:
            return self._refuse(error)
        if type(result) is Response:
            return self.respond(<Response>result)
        return self._take(result)

    cdef int _take(self, object result) except -1:
        """Send an answer, or wait for it."""
        cdef _Responder responder
        if isinstance(result, Response):
            return self.respond(<Response>result)
        if isinstance(result, Promise):
            responder = _Responder.__new__(_Responder)
            responder.connection = self
            responder.request = self.active
            self.pending_result = result
            (<Promise>result).observe(responder)
            return 0
        if inspect.isawaitable(result):
            task = asyncio.ensure_future(result, loop=self.service.loop)
            request = self.active
            self.pending_result = task
            task.add_done_callback(lambda done: self._task_done(request, done))
            return 0
        return self._refuse(TypeError(f"dispatch returned {type(result).__name__}, not a response"))

    def _task_done(self, Request request, task):
        if self.active is not request:
            if not task.cancelled() and task.exception() is None:
                task.result().discard()
            return
        self.pending_result = None
        if task.cancelled():
            self._refuse(Fault(FaultCode.SERVICE_UNAVAILABLE, "The server is shutting down. Please try again."))
        elif task.exception() is not None:
            self._refuse(task.exception())
        else:
            self._take(task.result())
        self.advance()

    cdef int _refuse(self, object error) except -1:
        """Answer ``error``; without a request being answered, the connection cannot go on."""
        cdef Response response
        if self.active is None:
            self.close_after = True
        try:
            response = self.service.refuse(self.active, error)
        except Exception:
            _log.exception("making an error response failed")
            response = Response(500, [], b"")
            self.close_after = True
        return self.respond(response)

    # Answers.

    cdef int respond(self, Response response) except -1:
        """Send ``response`` to the request being answered."""
        cdef Request request = self.active
        cdef bint head_only = request is not None and request.method == b"HEAD"
        cdef bint http_1_0 = request is not None and request.http_1_0
        cdef object body = response.body
        cdef Outgoing answer
        if self.lost:
            return response.discard() or 0
        self.active_status = response.status
        self._leave_body(request)
        if response.close or (isinstance(body, Stage) and response.content_length == LENGTH_UNKNOWN and http_1_0):
            self.close_after = True
        if head_only and isinstance(body, bytes):
            if response.status >= 400:
                response.content_length = LENGTH_NONE  # S3 sends no length with an error to HEAD
            body = None
        elif body is None and response.content_length == LENGTH_NONE and not head_only and (
            response.status >= 200 and response.status != 204 and response.status != 304
        ):
            response.content_length = 0
        _head.size = 0
        try:
            response.put_head(_head, http_1_0, self.close_after, None if response.raw_dated else self.service.today())
        except Exception as error:
            _log.exception("a response has a head that cannot be sent")
            response.discard()
            _head.size = 0
            self.close_after = True
            Response(500, [], None, 0).put_head(_head, http_1_0, True, self.service.today())
            self.send(_head.data, _head.size)
            return self.answered(True)
        if isinstance(body, Stage) and not head_only:
            answer = Outgoing.__new__(Outgoing)
            answer.channel = self
            answer.chunked = response.content_length == LENGTH_UNKNOWN and not http_1_0
            answer.left = response.content_length if response.content_length >= 0 else -1
            answer.head = PyBytes_FromStringAndSize(<char *>_head.data, _head.size)
            self.answer = answer
            if self.write_paused:
                answer.paused = True
            (<Stage>body).connect(answer)
            if answer.channel is not None and not answer.holds_head:
                answer.send_head()
            return 0
        if isinstance(body, Stage):
            response.discard()
            body = None
        self.send(_head.data, _head.size)
        if body:
            self.send_bytes(<bytes>body)
        return self.answered(True)

    cdef int _leave_body(self, Request request) except -1:
        """The answer is known: whatever of the request's body nobody has read will not be read."""
        cdef Incoming body
        if request is None or request.body is None:
            return 0
        body = request.body
        if not body.complete:
            if request.expects_continue and body.arrived == 0:
                # The client may or may not send the body now; only closing is unambiguous (RFC 9110 §10.1.1).
                self.close_after = True
            elif body.length < 0 or body.length - body.arrived > _DISCARD_LIMIT:
                self.close_after = True
        body.drop()
        return 0

    cdef int body_sent(self, bint whole, bint delimited) except -1:
        if not delimited:
            # Closing is how such an answer ends; only a reset says that it did not.
            if whole:
                self.close_after = True
            else:
                self.reset()
        return self.answered(whole)

    cdef int body_refused(self, object error) except -1:
        self.answer = None
        return self._refuse(error)

    cdef int answered(self, bint whole) except -1:
        """The answer has been handed over, or broke off; go on to the next request, or end."""
        cdef Incoming body
        if self.active is not None:
            self._record(not whole)
            self.answers += 1
        self.active = None
        self.answer = None
        self.pending_result = None
        self.idle_since_s = monotonic()
        if not whole:
            return self.abort()
        if self.close_after:
            body = self.reader.body
            self.reader.requests.clear()
            if body is not None or self.reader.fault is not None or self.received_bytes == 0:
                return self._linger()
            return self.close()
        return 0 if self.advancing else self.advance()

    cdef int _linger(self) except -1:
        """Say that we are done and wait for the client to notice, reading on and dropping it."""
        cdef Service service = self.service
        self.holds = 0
        if not self.lost:
            if self.fd < 0 or service.lingering >= service.max_connections:
                return self.close()
            self.lingering_since_s = monotonic()
            service.lingering += 1
            self.transport.resume_reading()
            self.shut()
        return 0

    cdef int _record(self, bint aborted) except -1:
        cdef Request request = self.active
        cdef int64_t received = request.body.arrived if request.body is not None else 0
        self.service.meter.record(
            request.operation, self.active_status, monotonic() - request.started_s, received,
            self.sent_bytes - self.answer_sent_mark, aborted,
        )
        return 0

    # Bodies of requests.

    cdef int body_connected(self, Stage body) except -1:
        cdef Request request = self.active
        if request is not None and request.body is body and request.expects_continue:
            if (<Incoming>body).arrived == 0:
                self.send(<const uint8_t *>b"HTTP/1.1 100 Continue\r\n\r\n", 25)
            request.expects_continue = False
        self.progress_s = monotonic()
        return 0

    # Time limits.

    cdef int check(self, double now) except -1:
        """Enforce the time limits; called four times a second."""
        cdef Service service = self.service
        cdef RequestReader reader = self.reader
        cdef Incoming body
        if self.lost:
            return 0
        if self.lingering_since_s > 0:
            if now - self.lingering_since_s > _LINGER_S:
                self.abort()
            return 0
        if self.write_paused:
            if self.unsent_for(now) > service.body_timeout_s:
                self.abort()
            return 0
        if self.active is None:
            if reader.in_head:
                if now - reader.head_started_s > service.head_timeout_s:
                    reader._refuse(FaultCode.REQUEST_TIMEOUT, "The request's head did not arrive in time.")
                    self.advance()
            elif now - self.idle_since_s > (
                service.idle_timeout_s if self.answers else service.head_timeout_s
            ):
                self.close()
            return 0
        body = self.active.body
        if body is not None and body.connected and not body.ended and not body.complete and self.holds == 0:
            if now - self.progress_s > service.body_timeout_s:
                self.close_after = True
                body.break_off(Fault(
                    FaultCode.REQUEST_TIMEOUT,
                    "Your socket connection to the server was not read from or written to within the timeout period.",
                ))
        return 0
