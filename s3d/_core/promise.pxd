"""A result that is to come, told at once to the one who waits for it."""


cdef class Observer:
    """Who waits for a promise from C: told exactly once, in the call that settles it."""

    cdef int settled(self, Promise promise) except -1


cdef class Promise:
    cdef readonly bint done
    cdef object value             # once done, when error is None
    cdef object error             # BaseException, once done
    cdef Observer observer        # at most one; None until somebody waits
    cdef object transform         # maps the value before it is told, may raise or return a promise; None: none
    cdef object recover           # maps an error likewise; None: none
    cdef object canceller         # called without arguments by cancel(), at most once; None: nothing to stop

    cdef int observe(self, Observer observer) except -1
    cdef int follow(self, Promise inner) except -1
    cpdef int resolve(self, object value) except -1
    cpdef int reject(self, object error) except -1
    cpdef object result(self)
    cdef int _settle(self) except -1
    cdef int _apply(self, object transform, object outcome) except -1
