"""The connections to the remote: one request at a time, its body streamed up, its answer streamed down.

`RemoteConnection.start` sends a head and returns a `Promise` of the answer's `Response`, whose body is a source stage.
A pool owns the connections; it is told `released(connection)` when an exchange is over and the next may start, and
`lost(connection, error)` when there will be none.

Nothing of an answer is trusted: bytes past its announced end break the answer off, bytes missing do too, and a success
that arrives before our body was sent is no success. Where the bytes of two answers could be confused, the connection is
closed.
"""

import httptools
import logging

from cpython.buffer cimport PyBUF_READ
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport INT64_MAX, int64_t, uint8_t
from libc.string cimport memcmp
from posix.strings cimport strncasecmp

from s3d._core.channel cimport Channel, monotonic
from s3d._core.failure cimport RemoteError, RemoteFailure
from s3d._core.fields cimport may_be_hop_by_hop, trimmed, without_named
from s3d._core.head cimport (
    S3D_CONNECTION, S3D_CONTENT_LENGTH, S3D_HOST, S3D_KEEP_ALIVE, S3D_MAX_FIELDS, S3D_PLAIN,
    s3d_field, s3d_field_is, s3d_field_kind, s3d_field_number, s3d_scan_fields,
)
from s3d._core.incoming cimport Incoming
from s3d._core.octets cimport Octets
from s3d._core.promise cimport Promise
from s3d._core.response cimport LENGTH_NONE, LENGTH_UNKNOWN, Response
from s3d._core.stage cimport Stage

_log = logging.getLogger("s3d.remote")

cdef object _ResponseParser = httptools.HttpResponseParser
cdef object _ParserError = httptools.HttpParserError

# How long to wait for 100 Continue before sending the body all the same (RFC 9110 §10.1.1 leaves it to the client).
cdef double _CONTINUE_TIMEOUT_S = 1.0
# How long an answer may take that the remote had sent before it stopped listening.
cdef double _LAST_WORDS_S = 2.0
cdef Py_ssize_t _MAX_HEAD_SIZE = 262144

# Header lines on their way into one `Response`, within one call.
cdef Octets _lines = Octets()
# Fields that belong to the connection and not to the message (RFC 9110 §7.6.1).
cdef frozenset _HOP_BY_HOP = frozenset((
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade", b"content-length",
))


cdef class RemoteConnection(Channel):
    """One connection to the remote.

    ``first_byte_timeout_s`` runs from the request's last byte to the answer's first, ``stall_timeout_s`` between bytes
    of a body in either direction while we are ready for them, ``total_timeout_s`` (0: none) over a whole exchange;
    `check` enforces them.
    """

    def __init__(self, owner, double first_byte_timeout_s, double stall_timeout_s, double total_timeout_s=0.0):
        self.owner = owner
        self.heeds_last_words = True
        self.first_byte_timeout_s = first_byte_timeout_s
        self.stall_timeout_s = stall_timeout_s
        self.total_timeout_s = total_timeout_s

    @property
    def attached(self):
        """Whether the transport has introduced itself."""
        return self.transport is not None

    @property
    def usable(self):
        """Whether a request may be started now."""
        return not self.lost and not self.busy and self.transport is not None

    def start(self, bytes head not None, *, bint head_only=False, Incoming source=None, Stage stage=None,
              int64_t length=0, bint expect=False, Promise promise=None):
        """Send a request; returns the `Promise` of its `Response`, which is ``promise`` if that is given.

        ``head`` is complete, with the empty line. A body comes from ``source`` through ``stage`` (or directly) and must
        bring exactly ``length`` bytes; with ``expect`` it starts to flow when the remote says 100 Continue. Cancelling
        the promise closes the connection.
        """
        if promise is None:
            promise = Promise()
        self.launch(head, head_only, source, stage, length, expect, promise)
        return promise

    cdef int launch(self, bytes head, bint head_only, Incoming source, Stage stage, int64_t length, bint expect,
                    Promise promise) except -1:
        """`start` for callers in C."""
        if self.busy:
            raise RuntimeError("the connection is in use")
        if self.lost:
            raise RemoteError(RemoteFailure.DISCONNECTED, "the remote closed the connection before it was used")
        promise.canceller = self.abandon
        self.busy = True
        self.promise = promise
        self.exchanges += 1
        self.head_only = head_only
        self.response = None
        self.body = None
        self.body_left = 0
        self.headers = []
        self.content_length = -1
        self.chunked = self.parsed = self.complete = self.overrun = self.interim = False
        self.framing_size = 0
        self.reusable = True
        self.connection_names = None
        self.received_bytes = 0
        self.wants_body = False
        self.started_s = self.progress_s = monotonic()
        if source is None:
            self.send(<const uint8_t *><char *>head, len(head))
            return 0
        self.outgoing = _Outgoing.__new__(_Outgoing)
        self.outgoing.connection = self
        self.outgoing.left = length
        self.source = source
        self.stage = stage
        if expect:
            self.send(<const uint8_t *><char *>head, len(head))
            self.continue_since_s = self.progress_s
        else:
            # The head goes with the first bytes of the body: there are servers that store an empty object when an
            # upload ends behind its head, and a body that is refused early should never have been heard of there.
            self.outgoing.head = head
            self._begin_body()
        return 0

    def abandon(self):
        """The answer is not wanted any more: close the connection."""
        self._fail(ConnectionAbortedError("the request was abandoned"))

    cdef int _begin_body(self) except -1:
        cdef Stage source = self.source
        cdef Stage stage = self.stage
        cdef _Outgoing outgoing = self.outgoing
        self.continue_since_s = 0
        self.source = self.stage = None
        self.progress_s = monotonic()
        if source is None or outgoing is None:
            return 0
        if self.write_paused:
            outgoing.paused = True
            source.pause()
        if stage is not None:
            stage.connect(outgoing)
        return source.connect(outgoing if stage is None else stage)

    # The wire.

    cdef int received(self, const uint8_t *data, Py_ssize_t size) except -1:
        cdef Incoming body
        if not self.busy:
            _log.warning("the remote sent %d bytes that nobody asked for; the connection is closed", size)
            return self._fail(RemoteError(RemoteFailure.PROTOCOL, "the remote spoke out of turn"))
        if self.body_left > 0:
            body = self.body
            if size > self.body_left:
                return self._fail(RemoteError(
                    RemoteFailure.PROTOCOL, "the remote sent more bytes than it had announced", True))
            self.body_left -= size
            if self.body_left == 0:
                body.mark_complete()
            self.splices = False
            body.arrive(data, size)
            self.body_left -= body.splice()
            return body.flush() if body.complete else 0
        if self.received_bytes == size and self._scan(data, size):
            return 0
        self.parsed = True
        self.framing_size += size
        if self.parser is None:
            self.parser = _ResponseParser(self)
        try:
            self.parser.feed_data(PyMemoryView_FromMemory(<char *>data, size, PyBUF_READ))
        except _ParserError as error:
            self.parser = None
            if self.complete:
                self.overrun = True
            elif not self.overrun:
                return self._fail(RemoteError(
                    RemoteFailure.PROTOCOL, f"the remote's answer could not be parsed as HTTP/1.1: {error}", True))
        return self._act()

    cdef bint _scan(self, const uint8_t *data, Py_ssize_t size) except -1:
        """Take an answer with a simple head that lies in ``data`` whole; False if it is for the parser.

        As for requests (see `RequestReader`), what needs a decision is llhttp's. The header lines are kept as they
        are: most answers are passed on without anybody looking at them.
        """
        cdef s3d_field fields[S3D_MAX_FIELDS]
        cdef s3d_field *field
        cdef int count, i, kind, status
        cdef Py_ssize_t at = 12, used
        cdef int64_t length = -1
        cdef bint bodiless, dated = False
        cdef Response response
        cdef Incoming body
        if size < 17 or memcmp(data, b"HTTP/1.1 ", 9) != 0:
            return False
        for i in range(9, 12):
            if not c"0" <= data[i] <= c"9":
                return False
        status = 100 * (data[9] - 48) + 10 * (data[10] - 48) + data[11] - 48
        if status < 200 or data[12] != c" ":
            return False
        while at < size and 0x20 <= data[at] < 0x7F:
            at += 1
        if size - at < 4 or data[at] != 13 or data[at + 1] != 10:
            return False
        used = s3d_scan_fields(data + at + 2, size - at - 2, fields, &count)
        if used == 0:
            return False
        bodiless = self.head_only or status == 204 or status == 304
        _lines.size = 0
        for i in range(count):
            field = &fields[i]
            kind = s3d_field_kind(field)
            if kind == S3D_PLAIN or kind == S3D_HOST:
                dated = dated or s3d_field_is(field, b"date", 4)
                _lines.put(field.name, field.name_size)
                _lines.put(<const uint8_t *>b": ", 2)
                _lines.put(field.value, field.value_size)
                _lines.put(<const uint8_t *>b"\r\n", 2)
            elif kind == S3D_CONTENT_LENGTH and length < 0:
                length = s3d_field_number(field)
                if length < 0:
                    return False
            elif kind == S3D_CONNECTION:
                if field.value_size != 10 or strncasecmp(<const char *>field.value, b"keep-alive", 10) != 0:
                    return False
            elif kind != S3D_KEEP_ALIVE:
                return False
        if length < 0 and not bodiless:
            return False
        at += 2 + used
        size -= at
        response = Response.__new__(Response)
        response.status = status
        response.raw = PyBytes_FromStringAndSize(<char *>_lines.data, _lines.size)
        response.raw_dated = dated
        response.content_length = LENGTH_NONE if status == 204 or status == 304 or length < 0 else length
        if bodiless:
            length = 0
        if length > 0:
            body = Incoming.__new__(Incoming, self, length)
            self.body = body
            response.body = body
        else:
            body = None
        self.response = response
        self.complete = True
        if size > length:
            self.overrun = True
            self._act()
            return True
        self.body_left = length - size
        self._deliver()
        # Whoever took the answer has connected its body, or gone; only then do its bytes flow.
        if size > 0 and self.body is body:
            if size == length:
                body.mark_complete()
            body.arrive(data + at, size)
            if body.complete:
                body.flush()
        return True

    cdef int _act(self) except -1:
        """Act on what the parser stored."""
        cdef Incoming body
        if self.overrun:
            # Deliver what is unambiguous of it, the head, so that the client sees its answer break off.
            if self.promise is not None and self.response is not None and self.body is not None:
                self.body.spoil()
                self._deliver()
            return self._fail(RemoteError(
                RemoteFailure.PROTOCOL, "the remote sent more bytes than it had announced", True))
        if self.interim:
            self.interim = False
            if self.response is None:
                return self._begin_body() if self.continue_since_s > 0 else 0
        if self.response is None:
            if self.received_bytes > _MAX_HEAD_SIZE:
                return self._fail(RemoteError(RemoteFailure.PROTOCOL, "the remote's answer has too large a head", True))
            return 0
        body = self.body
        if not self.complete and self.framing_size > _MAX_HEAD_SIZE:
            return self._fail(RemoteError(RemoteFailure.PROTOCOL, "the remote's answer is all framing", True))
        if body is not None and body.length >= 0 and not body.complete:
            self.body_left = body.length - body.arrived
            self.parser = None
        if self.promise is not None:
            self._deliver()
        if body is not None:
            body.flush()
        return 0

    cdef int _deliver(self) except -1:
        """The head of the answer has arrived: tell who waits."""
        cdef Promise promise = self.promise
        cdef Response response = self.response
        cdef _Outgoing outgoing = self.outgoing
        self.promise = None
        if outgoing is None and self.mute and response.status < 300:
            error = RemoteError(RemoteFailure.PROTOCOL, "the remote answered before it had the whole request", True)
            self._fail(error)
            promise.reject(error)
            return 0
        if outgoing is not None:
            # The remote answers without the rest of our body.
            self.outgoing = None
            self.reusable = False
            outgoing.connection = None
            if response.status < 300:
                error = RemoteError(
                    RemoteFailure.PROTOCOL, "the remote answered before it had the whole request", True)
                outgoing.cancel(error)
                self._fail(error)
                promise.reject(error)
                return 0
            outgoing.cancel(ConnectionAbortedError("the remote answered before it had the whole request"))
            self.source = self.stage = None
        if self.body is None:
            self._release()
        else:
            self.wants_body = True
        return promise.resolve(response)

    cdef int _release(self) except -1:
        """The exchange is over; the connection is free, or closed where it cannot be used again."""
        self.response = None
        self.body = None
        if self.parsed and (self.head_only or not self.complete):
            self.parser = None
        self.continue_since_s = 0
        if not self.reusable or self.lost:
            return self.abort()
        self.busy = False
        self.wants_body = False
        self.idle_since_s = monotonic()
        self.owner.released(self)
        return 0

    cdef int _fail(self, object error) except -1:
        """End the exchange and the connection with ``error``."""
        cdef Promise promise = self.promise
        cdef Incoming body = self.body
        cdef _Outgoing outgoing = self.outgoing
        cdef Stage source = self.source
        self.promise = None
        self.outgoing = None
        self.source = self.stage = None
        self.parser = None
        self.reusable = False
        self.abort()
        if outgoing is not None:
            outgoing.connection = None
            if source is None:
                outgoing.cancel(error)
        if body is not None:
            body.break_off(error)
        if promise is not None:
            promise.reject(error)
        return 0

    cdef int send_failed(self) except -1:
        # A server that refuses an upload answers and closes; its answer may lie in our receive buffer. Send no more,
        # read on: the answer comes now, or the end of the connection does.
        self.mute = True
        self.muted_since_s = monotonic()
        self.reusable = False
        return 0

    cdef bint half_closed(self) except -1:
        if self.busy and self.body is not None and self.body.length < 0 and not self.chunked:
            # Such an answer ends with its connection.
            self.reusable = False
            self.body.mark_complete()
            self.body.flush()
            return False
        self._fail(self._disconnected())
        return False

    cdef int closed(self, object error) except -1:
        if self.body is not None and self.body.complete:
            self.body = None  # all of it is here, for whoever reads it
        if self.promise is not None or self.body is not None or self.outgoing is not None:
            self._fail(self._disconnected())
        self.parser = None
        owner = self.owner
        self.owner = None
        if owner is not None:
            owner.lost(self, error)
        return 0

    cdef object _disconnected(self):
        return RemoteError(
            RemoteFailure.DISCONNECTED,
            "the remote closed the connection " + (
                "before it answered" if self.response is None else "in the middle of its answer"),
            self.received_bytes > 0,
        )

    cdef int writable(self) except -1:
        if self.outgoing is not None and self.outgoing.paused:
            self.outgoing.paused = False
            self.outgoing.resume()
        return 0

    cdef int unwritable(self) except -1:
        if self.outgoing is not None and not self.outgoing.paused:
            self.outgoing.paused = True
            self.outgoing.pause()
        return 0

    cdef int body_connected(self, Stage body) except -1:
        self.progress_s = monotonic()
        return 0

    cdef int body_ended(self, Stage body) except -1:
        if self.body is not body:
            return 0
        self.body = None
        if (<Incoming>body).complete and self.promise is None:
            return self._release()
        self.reusable = False
        return self.abort()

    # What llhttp calls: these only store.

    def on_message_begin(self):
        if self.complete:
            self.overrun = True
        self.headers = []
        self.content_length = -1
        self.chunked = False
        self.connection_names = None

    def on_header(self, bytes name not None, bytes value not None):
        cdef bytes lower
        if self.response is not None:
            return  # a trailer field: S3 has none that a client reads
        value = trimmed(value)
        if may_be_hop_by_hop(name) and (lower := name.lower()) in _HOP_BY_HOP:
            if lower == b"content-length":
                length = int(value)
                if length > INT64_MAX:
                    raise ValueError("the Content-Length is larger than any body can be")
                self.content_length = length
            elif lower == b"transfer-encoding":
                if value.lower() != b"chunked":
                    raise ValueError(f"the transfer coding {value!r} is not known")
                self.chunked = True
            elif lower == b"connection":
                self.connection_names = value.lower()
            return
        self.headers.append((name, value))

    def on_headers_complete(self):
        cdef int status = self.parser.get_status_code()
        cdef Response response
        cdef bint bodiless
        if self.complete or self.overrun:
            self.overrun = True
            return
        if status < 200:
            if status == 101:
                raise ValueError("the remote changed the protocol")
            return
        self.headers = without_named(self.headers, self.connection_names)
        response = Response.__new__(Response)
        response.status = status
        response.headers = self.headers
        bodiless = self.head_only or status == 204 or status == 304
        if not self.parser.should_keep_alive() and not (
            # llhttp does not know of HEAD: it takes an answer without a length for one that ends with its connection.
            bodiless and self.parser.get_http_version() == "1.1" and b"close" not in (self.connection_names or b"")
        ):
            self.reusable = False
        if self.content_length >= 0:
            response.content_length = self.content_length if status != 204 and status != 304 else LENGTH_NONE
        else:
            response.content_length = LENGTH_NONE if bodiless else LENGTH_UNKNOWN
        if not bodiless and response.content_length != 0:
            self.body = Incoming.__new__(Incoming, self, response.content_length)
            response.body = self.body
            if not self.chunked and self.content_length < 0:
                self.reusable = False
        self.response = response
        if self.head_only:
            self.complete = True

    def on_body(self, bytes data not None):
        self.framing_size = 0
        if self.complete or self.body is None:
            self.overrun = True
        else:
            self.body.keep(data)

    def on_message_complete(self):
        if self.response is None:
            self.interim = True  # 100 Continue, or another answer that only announces one
            return
        self.complete = True
        if self.body is not None:
            self.body.mark_complete()

    # Time limits.

    def check(self, double now):
        """Enforce the time limits; the owner calls this a few times a second."""
        if not self.busy or self.lost:
            return
        if self.total_timeout_s > 0 and now - self.started_s > self.total_timeout_s:
            self._fail(RemoteError(
                RemoteFailure.TIMED_OUT, f"the exchange with the remote took longer than {self.total_timeout_s:g} s",
                self.response is not None))
        elif self.mute and self.promise is not None:
            if now - self.muted_since_s > _LAST_WORDS_S:
                self._fail(self._disconnected())
        elif self.continue_since_s > 0:
            if now - self.continue_since_s > _CONTINUE_TIMEOUT_S:
                self._begin_body()
        elif self.write_paused:
            if self.unsent_for(now) > self.stall_timeout_s:
                self._fail(RemoteError(
                    RemoteFailure.TIMED_OUT,
                    f"the remote took no byte of the body for {self.stall_timeout_s:g} s"))
        elif self.outgoing is not None:
            pass  # we wait for our client, whose own time limit runs
        elif self.promise is not None:
            idle_s = self.unsent_for(now)
            if self.unsent_seen > 0:
                # The kernel is still sending what we have handed over; the remote's time begins when it has it all.
                self.progress_s = now
                if idle_s > self.stall_timeout_s:
                    self._fail(RemoteError(
                        RemoteFailure.TIMED_OUT, f"the remote took no byte for {self.stall_timeout_s:g} s"))
            elif now - self.progress_s > self.first_byte_timeout_s:
                self._fail(RemoteError(
                    RemoteFailure.TIMED_OUT, f"the remote did not answer within {self.first_byte_timeout_s:g} s"))
        elif self.body is not None and (self.holds == 0 or not self.body.connected):
            if now - self.progress_s > self.stall_timeout_s:
                self._fail(RemoteError(
                    RemoteFailure.TIMED_OUT,
                    f"the remote sent no byte of its answer for {self.stall_timeout_s:g} s", True))


cdef class _Outgoing(Stage):
    """The sink of a request's body."""

    cdef int write(self, const uint8_t *data, Py_ssize_t size) except -1:
        cdef RemoteConnection connection = self.connection
        if connection is None or connection.lost:
            return 0
        if size > self.left:
            raise RuntimeError("a request's body is longer than its head announced")
        self.left -= size
        connection.progress_s = monotonic()
        if self.head is not None:
            connection.send(<const uint8_t *><char *>self.head, len(self.head))
            self.head = None
        return connection.send(data, size)

    cdef object passage(self):
        return None if self.paused or self.head is not None else self.connection

    cdef int passed(self, int64_t size) except -1:
        self.left -= size
        return 0

    cdef int finish(self) except -1:
        cdef RemoteConnection connection = self.connection
        self.up = None
        if connection is None:
            return 0
        self.connection = None
        connection.outgoing = None
        if self.left > 0:
            # Once the connection is lost, writes are not counted any more.
            connection._fail(
                connection._disconnected() if connection.lost
                else RuntimeError("a request's body is shorter than its head announced")
            )
        return 0

    cdef int fail(self, object error) except -1:
        cdef RemoteConnection connection = self.connection
        self.up = None
        if connection is None:
            return 0
        self.connection = None
        connection.outgoing = None
        return connection._fail(error)
