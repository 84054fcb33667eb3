"""Message bodies as chains of stages; the rules stand in ``stage.pxd``."""

from libc.stdint cimport int64_t, uint8_t


cdef class Stage:
    """One step of a body's way; passes everything through until a subclass does better."""

    cdef int connect(self, Stage down) except -1:
        """Link ``down`` below this stage. A source starts to flow here, so connect from the sink upwards."""
        self.down = down
        down.up = self
        return 0

    cdef int write(self, const uint8_t *data, Py_ssize_t size) except -1:
        return self.down.write(data, size)

    cdef int finish(self) except -1:
        cdef Stage down = self.down
        self.up = None
        self.down = None
        return down.finish()

    cdef int fail(self, object error) except -1:
        cdef Stage down = self.down
        self.up = None
        self.down = None
        if down is not None:
            down.fail(error)
        return 0

    cdef object passage(self):
        """The `Channel` that the next bytes go to as they come and that can take some now; None if there is none.

        A stage that does nothing but count bytes for a while passes the question on, and the answer.
        """
        return None

    cdef int passed(self, int64_t size) except -1:
        """``size`` bytes went by the `passage`, in their place among those that were written. Counts only."""
        return self.down.passed(size)

    # Upwards through a reference of our own: the chain may end within the call, and let go of who is being called.

    cdef int pause(self) except -1:
        cdef Stage up = self.up
        if up is not None:
            up.pause()
        return 0

    cdef int resume(self) except -1:
        cdef Stage up = self.up
        if up is not None:
            up.resume()
        return 0

    cdef int cancel(self, object error) except -1:
        cdef Stage up = self.up
        self.up = None
        self.down = None
        if up is not None:
            up.cancel(error)
        return 0

    def discard(self):
        """For a source that nobody will read: let go of it and of what brings it."""
        self.cancel(ConnectionAbortedError("the body is not wanted"))
