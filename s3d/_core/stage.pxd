"""Message bodies as chains of stages.

A body flows *down* a chain from where it comes from (a client's connection, the remote's) to where it goes (the other
connection, a file, memory); control flows *up*. Each stage is one `Stage`; a stage that does nothing of its own
inherits the pass-through. Everything happens on the event loop's thread, inside the callback that brought the bytes:
no task and no queue between two stages.

    source ──write──► stage ──write──► sink
           ◄─pause───       ◄─pause───

Rules, which every stage keeps:

- `write` borrows its span: the pointer is valid until the call returns. Who must keep bytes copies them.
- A source may still write what it has already read after `pause`; the amount is bounded by one read.
- A chain ends exactly once: `finish` (the body was whole), `fail` (from above: it will never be) or `cancel` (from
  below: it is not wanted any more). A stage that ends unlinks itself, so that no cycle outlives the body.
- Bytes may also go past the stages, from the first channel's socket to the last one's within the kernel: where
  `passage` finds that nobody on the way wants to see them, and with `passed` telling everybody how many they were.
- An exception out of `write` or `finish` is the stage's refusal; the source answers it by ending the chain with
  `fail(error)` itself. Stages below the raiser thus learn of it, and those above need not.
"""

from libc.stdint cimport int64_t, uint8_t


cdef class Stage:
    cdef Stage up        # who writes to us; None at the source, and after the end
    cdef Stage down      # whom we write to; None at the sink, and after the end

    cdef int connect(self, Stage down) except -1

    # Down the chain.
    cdef int write(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef int finish(self) except -1
    cdef int fail(self, object error) except -1

    # Past the chain.
    cdef object passage(self)
    cdef int passed(self, int64_t size) except -1

    # Up the chain.
    cdef int pause(self) except -1
    cdef int resume(self) except -1
    cdef int cancel(self, object error) except -1
