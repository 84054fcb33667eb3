"""Which cached generation goes next: S3-FIFO over resident bytes and files."""

from cpython.object cimport PyObject
from cython cimport final
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    PINNED = 1
    DIRTY = 2
    ASIDE = 4                # in use when its turn came
    # Two bits, as in the paper: with one, Zipf 0.6 in a cache of 10 % hits 32.4 % of the time instead of 33.8 %.
    MOST_VISITS = 3
    WAYS = 8                 # ghosts in a bucket: 64 bytes, one cache line


@final
cdef class Resident:
    cdef readonly uint64_t number    # of the generation
    cdef readonly int64_t bytes      # resident ones
    cdef readonly int32_t files
    cdef readonly int32_t in_use     # reads and fills under way
    cdef readonly uint8_t visits     # reads since it came or was last spared, at most MOST_VISITS
    cdef uint8_t place               # SMALL or MAIN: the queue it is in or goes back to
    cdef uint8_t kept_out            # PINNED | DIRTY | ASIDE: why it is not in that queue now, 0 if it is
    cdef uint32_t fingerprint        # of its name, never 0
    cdef PyObject *owner             # borrowed: the EvictionQueue, NULL once removed
    cdef PyObject *older             # borrowed: neighbours in the queue
    cdef PyObject *newer
    cdef PyObject *chained           # borrowed: the next one in the same bucket of EvictionQueue.buckets


cdef inline void touch(Resident resident) noexcept:
    """Count a read: one load and at most one store."""
    if resident.visits < MOST_VISITS:
        resident.visits += 1


cdef struct Weight:
    int64_t bytes
    int64_t files
    Py_ssize_t count


cdef struct Fifo:
    PyObject *oldest
    PyObject *newest
    Weight weight


cdef struct Ghost:
    uint32_t fingerprint             # 0: empty
    uint32_t evicted_at              # EvictionQueue.evictions then


@final
cdef class EvictionQueue:
    cdef readonly int64_t max_bytes
    cdef readonly int64_t max_files
    cdef Fifo queues[2]              # SMALL, MAIN
    cdef Weight clean                # all that counts against the limits
    cdef Weight pinned               # of it, what is pinned
    cdef Weight dirty                # beside it
    cdef bint filled                 # something had to go since the queue was last empty
    # Residents by number: linear hashing, so that no insertion ever moves more than one bucket. Owns the residents.
    cdef PyObject **buckets
    cdef Py_ssize_t capacity         # room of ``buckets``
    cdef Py_ssize_t base             # a power of two; the buckets before ``split`` have been divided over twice of it
    cdef Py_ssize_t split
    # Names of those evicted from SMALL: allocated with the first of them.
    cdef Ghost *ghosts
    cdef Py_ssize_t ghost_buckets    # a power of two, or 0
    cdef uint32_t evictions

    cpdef Resident get(self, uint64_t number)
    cdef int insert(self, Resident resident) except -1
    cdef int divide(self) except -1
    cdef PyObject **place_of(self, uint64_t number) noexcept
    cdef void push(self, Resident resident) noexcept
    cdef void unlink(self, Resident resident) noexcept
    cdef void weigh(self, Resident resident, int sign) noexcept
    cdef int grown(self, Resident resident, int64_t delta_bytes, int64_t delta_files) except -1
    cdef int own(self, Resident resident) except -1
    cdef int keep_out(self, Resident resident, uint8_t why) except -1
    cdef int let_in(self, Resident resident, uint8_t why) except -1
    cdef bint small_is_next(self) noexcept
    cdef bint small_has_its_share(self) noexcept
    cdef int remember(self, uint32_t fingerprint) except -1
    cdef int enlarge_ghosts(self) except -1
    cdef bint recall(self, uint32_t fingerprint) noexcept
