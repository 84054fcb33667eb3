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
            raise Fault(FaultCode.MAX_MESSAGE_LENGTH_EXCEEDED, "Your request was too big.")
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
