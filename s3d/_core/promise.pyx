"""A result that is to come, told at once to the one who waits for it.

asyncio's future tells its callbacks through the event loop, one turn later: two to three microseconds and a turn of
latency on each forwarded request. A `Promise` tells its one observer inside the call that settles it. Coroutines can
await it as well.
"""

import asyncio


cdef class Observer:
    """Who waits for a promise from C; subclasses override `settled`."""

    cdef int settled(self, Promise promise) except -1:
        return 0


cdef class _FutureObserver(Observer):
    cdef object future

    cdef int settled(self, Promise promise) except -1:
        if self.future.done():
            return 0
        if promise.error is not None:
            self.future.set_exception(promise.error)
        else:
            self.future.set_result(promise.value)
        return 0


cdef class Promise:
    """A value or an error that comes later, for exactly one observer.

    Settled once by `resolve` or `reject`; later calls are ignored, because the loser of a race (a time limit against an
    answer) has nobody left to tell. `cancel` tells the maker that nobody waits any more.
    """

    def __init__(self, canceller=None):
        self.canceller = canceller

    cdef int observe(self, Observer observer) except -1:
        """Register the one observer; it is told at once if the promise is settled already."""
        if self.observer is not None:
            raise RuntimeError("a promise has one observer")
        self.observer = observer
        if self.done:
            self.observer = None
            observer.settled(self)
        return 0

    cdef int _settle(self) except -1:
        cdef Observer observer = self.observer
        self.done = True
        self.canceller = None
        self.transform = None
        if observer is not None:
            self.observer = None
            observer.settled(self)
        return 0

    cpdef int resolve(self, object value) except -1:
        """Settle with ``value``, after the transform of `then` if there is one."""
        if self.done:
            return 0
        if self.transform is not None:
            try:
                value = self.transform(value)
            except BaseException as error:
                self.error = error
                self._settle()
                return 0
        self.value = value
        return self._settle()

    cpdef int reject(self, object error) except -1:
        """Settle with ``error``, an exception instance."""
        if self.done:
            return 0
        self.error = error
        return self._settle()

    def then(self, transform):
        """Map the value by ``transform`` before it is told; returns this promise. Only before it is settled."""
        if self.done:
            if self.error is None:
                try:
                    self.value = transform(self.value)
                except BaseException as error:
                    self.error = error
        else:
            self.transform = transform
        return self

    def on_cancel(self, canceller):
        """Replace what `cancel` calls: the work behind the promise has passed to somebody else."""
        if not self.done:
            self.canceller = canceller

    def cancel(self):
        """Nobody waits any more: stop the work behind this promise and settle it with `asyncio.CancelledError`."""
        cdef object canceller = self.canceller
        if self.done:
            return
        self.canceller = None
        self.reject(asyncio.CancelledError())
        if canceller is not None:
            canceller()

    cpdef object result(self):
        """The value, or raise the error; only once `done`."""
        if not self.done:
            raise asyncio.InvalidStateError("the promise is not settled")
        if self.error is not None:
            raise self.error
        return self.value

    def __await__(self):
        cdef _FutureObserver observer
        if self.done:
            return self.result()
        future = asyncio.get_running_loop().create_future()
        observer = _FutureObserver.__new__(_FutureObserver)
        observer.future = future
        self.observe(observer)
        try:
            return (yield from future.__await__())
        except asyncio.CancelledError:
            self.cancel()
            raise
