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


cdef int _drop(object value) except -1:
    """Nobody is left for ``value``: let it go of what it holds, such as the connection that brings its body."""
    discard = getattr(value, "discard", None)
    if discard is not None:
        discard()
    return 0


cdef class _FutureObserver(Observer):
    cdef object future

    cdef int settled(self, Promise promise) except -1:
        if self.future.done():
            _drop(promise.value)
            return 0
        if promise.error is not None:
            self.future.set_exception(promise.error)
        else:
            self.future.set_result(promise.value)
        return 0


cdef class _Adopter(Observer):
    """Settles one promise as another was."""
    cdef Promise outer

    cdef int settled(self, Promise promise) except -1:
        if promise.error is not None:
            return self.outer.reject(promise.error)
        if self.outer.done:
            return _drop(promise.value)
        return self.outer.resolve(promise.value)


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
        if observer is not None:
            self.observer = None
            observer.settled(self)
        return 0

    cdef int _apply(self, object transform, object outcome) except -1:
        """Settle with what ``transform`` makes of ``outcome``."""
        self.transform = None
        self.recover = None
        self.canceller = None
        try:
            value = transform(outcome)
        except BaseException as error:
            _drop(outcome)
            self.error = error
            return self._settle()
        if isinstance(value, Promise):
            return self.follow(<Promise>value)
        self.value = value
        return self._settle()

    cdef int follow(self, Promise inner) except -1:
        """Settle as ``inner`` will; cancelling this one then cancels it."""
        cdef _Adopter adopter = _Adopter.__new__(_Adopter)
        adopter.outer = self
        self.canceller = inner.cancel
        return inner.observe(adopter)

    cpdef int resolve(self, object value) except -1:
        """Settle with ``value``, or with what `then` makes of it."""
        if self.done:
            return 0
        if self.transform is not None:
            return self._apply(self.transform, value)
        self.value = value
        return self._settle()

    cpdef int reject(self, object error) except -1:
        """Settle with ``error``, an exception instance, or with what the second half of `then` makes of it."""
        if self.done:
            return 0
        if self.recover is not None:
            return self._apply(self.recover, error)
        self.error = error
        return self._settle()

    def then(self, transform, recover=None):
        """Settle later with ``transform(value)`` or ``recover(error)``; returns the promise to wait for.

        Either may raise, or return another promise whose outcome becomes this one's.
        """
        cdef Promise outer
        if not self.done and self.transform is None and self.recover is None:
            self.transform = transform
            self.recover = recover
            return self
        if not self.done:
            outer = Promise()
            outer.transform = transform
            outer.recover = recover
            outer.follow(self)
            return outer
        outer = Promise()
        if self.error is None:
            outer._apply(transform, self.value)
        elif recover is not None:
            outer._apply(recover, self.error)
        else:
            outer.reject(self.error)
        return outer

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
        self.transform = None
        self.recover = None
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
            # Too late to cancel a promise that was settled while we waited for our turn: its value has no owner now.
            if self.done:
                _drop(self.value)
            self.cancel()
            raise
