"""The ends of a chain of stages for bodies that are in memory: a sink that gathers one, a source that is fed one."""

from libc.stdint cimport uint8_t

from s3d._core.fault cimport Fault, FaultCode
from s3d._core.stage cimport Stage


cdef class Collector(Stage):
    """A sink that gathers a whole body of up to ``limit`` bytes.

    Calls ``done(body, None)`` once when the body was whole, or ``done(None, error)`` once when it will never be. A
    body above the limit is refused with Fault MAX_MESSAGE_LENGTH_EXCEEDED as soon as it is seen to be.
    """

    def __init__(self, Py_ssize_t limit, done not None):
        self.limit = limit
        self._done = done
        self._data = bytearray()

    cdef int write(self, const uint8_t *data, Py_ssize_t size) except -1:
        if size > self.limit - self.size:
            raise Fault(
                FaultCode.MAX_MESSAGE_LENGTH_EXCEEDED,
                "Your request was too big.",
                (("MaxMessageLengthBytes", str(self.limit)),),
            )
        self._data.extend((<const char *>data)[:size])
        self.size += size
        return 0

    cdef int finish(self) except -1:
        self.up = None
        done, self._done = self._done, None
        if done is not None:
            done(bytes(self._data), None)
        return 0

    cdef int fail(self, object error) except -1:
        self.up = None
        done, self._done = self._done, None
        if done is not None:
            done(None, error)
        return 0

    def abandon(self, error) -> None:
        """Cancel the body from below: it is not wanted any more. ``done`` is not called."""
        self._done = None
        self.cancel(error)


cdef class Beginning(Stage):
    """A body that is looked at before it goes on: the sink of its beginning, then the source of all of it.

    Calls ``seen(data, None)`` once: with the body when that ended within ``limit`` bytes (`whole`), else with what has
    come of it, a read's worth beyond the limit at most. The rest is held back until somebody connects. Calls
    ``seen(None, error)`` instead when the body broke off before.
    """

    def __init__(self, Py_ssize_t limit, seen not None):
        self.limit = limit
        self._seen = seen
        self._data = bytearray()

    cdef int connect(self, Stage down) except -1:
        cdef Stage up
        cdef bytes data = bytes(self._data)
        self._data = None
        Stage.connect(self, down)
        try:
            if data:
                down.write(<const uint8_t *><const char *>data, len(data))
            if self.down is None:
                return 0
            if self._error is not None:
                Stage.fail(self, self._error)
            elif self._ended:
                Stage.finish(self)
            else:
                self._held = False
                if not self._paused:
                    Stage.resume(self)
        except BaseException as error:
            up = self.up
            if self.down is not None:
                Stage.fail(self, error)
            else:
                down.fail(error)
            if up is not None:
                up.cancel(error)
        return 0

    cdef int write(self, const uint8_t *data, Py_ssize_t size) except -1:
        if self._data is None:
            return self.down.write(data, size)
        self._data.extend((<const char *>data)[:size])
        if len(self._data) > self.limit and not self._held:
            self._held = True
            Stage.pause(self)
            self._tell(bytes(self._data), None)
        return 0

    cdef int finish(self) except -1:
        if self._data is None:
            return Stage.finish(self)
        self.up = None
        self._ended = True
        if not self._held:
            self.whole = True
            self._tell(bytes(self._data), None)
        return 0

    cdef int fail(self, object error) except -1:
        if self._data is None:
            return Stage.fail(self, error)
        self.up = None
        self._error = error
        self._tell(None, error)
        return 0

    cdef int pause(self) except -1:
        self._paused = True
        return 0 if self._held else Stage.pause(self)

    cdef int resume(self) except -1:
        self._paused = False
        return 0 if self._held else Stage.resume(self)

    cdef int _tell(self, bytes data, object error) except -1:
        seen, self._seen = self._seen, None
        if seen is not None:
            seen(data, error)
        return 0


cdef class Source(Stage):
    """A source that Python code feeds. Keeps the rule that a refused write ends the chain with ``fail``."""

    cdef int pause(self) except -1:
        self.paused = True
        return 0

    cdef int resume(self) except -1:
        self.paused = False
        return 0

    cdef int cancel(self, object error) except -1:
        self.cancelled = error
        self.down = None
        return 0

    def feed(self, bytes data not None) -> None:
        """Write ``data`` down the chain; no effect after its end. What a stage raises ends the chain and is raised."""
        cdef Stage down = self.down
        if down is None or not data:
            return
        try:
            down.write(<const uint8_t *><const char *>data, len(data))
        except BaseException as error:
            self.abort(error)
            raise

    def end(self) -> None:
        """The body was whole."""
        cdef Stage down = self.down
        if down is None:
            return
        try:
            down.finish()
        except BaseException as error:
            self.abort(error)
            raise
        self.down = None

    def abort(self, error) -> None:
        """The body will never be whole."""
        Stage.fail(self, error)


def chain(*stages) -> None:
    """Connect ``stages``, given from source to sink, from the sink upwards."""
    cdef Stage upper, lower
    for i in range(len(stages) - 1, 0, -1):
        upper, lower = stages[i - 1], stages[i]
        upper.connect(lower)
