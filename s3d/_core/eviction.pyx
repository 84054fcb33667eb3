"""Which cached generation goes next: S3-FIFO over resident bytes and files.

The algorithm is S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP '23):

- What comes is the newest of SMALL, which keeps about a tenth of the cache. Its oldest moves to MAIN if it was read
  since it came, and otherwise goes; its name is remembered as a ghost.
- What comes while its name is a ghost becomes the newest of MAIN. MAIN's oldest goes if it has no visits left, and
  otherwise loses one and becomes the newest.
- There are as many ghosts as MAIN has residents.

So a scan passes through a tenth of the cache, and what is asked for again is kept. Departures from the paper, with
their reasons:

- One read while in SMALL is enough to move to MAIN (the paper: two). That changed no hit ratio of a Zipf distribution
  by more than 0.2 %, and was better by 0.5 % where popularity moves.
- Until the first eviction MAIN takes what SMALL has no share left for, as in the authors' simulator (libCacheSim,
  S3FIFO.c): a loop over one and a half times the cache hits 36 % of the time instead of never.
- SMALL's share is that of what could go, not of the whole cache: most of it may be pinned. It is counted in bytes or
  in files, whichever is nearer to its limit.
- One call spares `SWEEP` visited residents at most, and then takes the next: after a long time without an eviction
  all of a million may be visited, and sparing them all at once would hold up the event loop for tens of milliseconds.
  Even a sweep of 100 changed no hit ratio of a Zipf distribution by more than 0.2 %.

SIEVE (Zhang et al., "SIEVE is simpler than LRU", NSDI '24) was the alternative: one queue, no ghosts, and nearly as
good where popularity stands still. But it falls behind LRU where popularity moves, and a loop larger than the cache
never hits. Requests that hit, in %, of 200,000 for 20,000 objects of 1 KiB to 16 MiB, in a cache of 10 % of their bytes
(`python -m bench eviction`; bench/README.md has the rest, bytes and a cache of 1 % among it):

    ======================  ====  =====  =======
    requests                LRU   SIEVE  S3-FIFO
    ======================  ====  =====  =======
    Zipf 0.6                24.8   32.8     33.9
    Zipf 0.8                44.7   54.5     53.8
    Zipf 1.0                69.8   74.8     75.4
    Zipf 0.8, scans         33.0   43.4     43.3
    Zipf 0.8, moving        43.9   41.3     47.1
    loop, 1.5 x the cache    0.0    0.0     36.3
    ======================  ====  =====  =======

A million residents take 88 bytes each: 80 for the object, 8 for its bucket. Ghosts add 8 to 16 per resident of MAIN.

Everything here belongs to the event loop's thread. Nothing waits, does I/O or calls back.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cython cimport final
from libc.stdint cimport INT32_MAX, INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    SMALL = 0
    MAIN = 1
    SHARE = 10               # SMALL has 1 / SHARE, as in the paper
    SWEEP = 1000             # visited residents spared in one call: up to 83 µs
    FIRST_BUCKETS = 64
    FIRST_GHOST_BUCKETS = 64


cdef inline uint64_t mixed(uint64_t value) noexcept:
    """The finalizer of splitmix64."""
    value ^= value >> 30
    value *= 0xBF58476D1CE4E5B9ULL
    value ^= value >> 27
    value *= 0x94D049BB133111EBULL
    return value ^ (value >> 31)


cdef inline uint64_t hash_of(uint64_t number) noexcept:
    """Eight consecutive numbers have their buckets in one cache line: what came together is often read together."""
    return mixed(number >> 3) << 3 | (number & 7)


cdef inline void shift(Weight *weight, int64_t delta_bytes, int64_t delta_files, int delta_count) noexcept:
    weight.bytes += delta_bytes
    weight.files += delta_files
    weight.count += delta_count


@final
cdef class Resident:
    """A generation with bytes in the cache, as `EvictionQueue` knows it; made by `EvictionQueue.add` alone.

    ``number`` is the generation's, ``bytes`` and ``files`` what it takes up, ``visits`` how often it was read since it
    came or was last spared (3 at most), ``in_use`` how many reads and fills are under way. It holds no reference to its
    queue, nor to anything else.
    """

    def touch(self):
        """Count a read. It may have been removed meanwhile; then this means nothing.

        A client that reads an object range by range reads it once: to count each range would make a scan popular.
        """
        touch(self)

    @property
    def pinned(self):
        return self.kept_out & PINNED != 0

    @property
    def dirty(self):
        return self.kept_out & DIRTY != 0

    @property
    def removed(self):
        """Whether it is in no queue any more."""
        return self.owner == NULL

    def __repr__(self):
        return f"<Resident {self.number}: {self.bytes} bytes, {self.files} files, {self.visits} visits>"


@final
cdef class EvictionQueue:
    """The generations in the cache, in the order in which they leave it; each operation is O(1).

    ``max_bytes`` and ``max_files`` are what `over` compares with; nothing is ever refused or removed for their sake.
    ``bytes`` and ``files`` count all that is clean, pinned or not; what is dirty counts against the write queue's
    limits, here in ``dirty_bytes`` and ``dirty_files`` only. ``len()`` counts all. A resident that takes up neither
    bytes nor files would be free of any limit: let its row count as bytes.

    Pinned and dirty residents are outside the order. So is what was found in use when its turn came, until `release`:
    the time that `victim` takes does not depend on how many there are.

    Raises ValueError where a limit is not positive.
    """

    def __cinit__(self):
        self.max_bytes = self.max_files = 1
        self.base = FIRST_BUCKETS
        self.capacity = 2 * FIRST_BUCKETS
        self.buckets = <PyObject **>PyMem_Calloc(self.capacity, sizeof(PyObject *))
        if self.buckets == NULL:
            raise MemoryError

    def __init__(self, int64_t max_bytes, int64_t max_files):
        self.limit(max_bytes, max_files)

    def __dealloc__(self):
        cdef Py_ssize_t index
        cdef PyObject *at
        cdef PyObject *following
        if self.buckets != NULL:
            for index in range(self.base + self.split):
                at = self.buckets[index]
                while at != NULL:
                    following = (<Resident>at).chained
                    (<Resident>at).owner = NULL
                    Py_DECREF(<Resident>at)
                    at = following
        PyMem_Free(self.buckets)
        PyMem_Free(self.ghosts)

    def __len__(self):
        return self.clean.count + self.dirty.count

    @property
    def bytes(self):
        return self.clean.bytes

    @property
    def files(self):
        return self.clean.files

    @property
    def pinned_bytes(self):
        return self.pinned.bytes

    @property
    def pinned_files(self):
        return self.pinned.files

    @property
    def dirty_bytes(self):
        return self.dirty.bytes

    @property
    def dirty_files(self):
        return self.dirty.files

    def limit(self, int64_t max_bytes, int64_t max_files):
        """Set both limits, at any time. Raises ValueError where one is not positive."""
        if max_bytes <= 0 or max_files <= 0:
            raise ValueError(f"a cache of {max_bytes} bytes and {max_files} files holds nothing")
        self.max_bytes = max_bytes
        self.max_files = max_files

    def over(self, int64_t extra_bytes=0, int64_t extra_files=0):
        """Whether what is clean, and as much more, exceeds a limit."""
        return (self.clean.bytes > self.max_bytes - extra_bytes) or (self.clean.files > self.max_files - extra_files)

    # Coming and going.

    def add(self, uint64_t number, uint64_t name_hash, int64_t size_bytes, int64_t files, bint pinned=False,
            bint dirty=False):
        """A generation has come into the cache: it is the newest, unread.

        ``name_hash`` is any good 64-bit hash of bucket and key (xxh3), the same for all generations of an object: by it
        an object that was evicted and comes back is known. A collision only makes a newcomer look known. Returns the
        `Resident`, for as long as the caller likes. Raises ValueError where the number is there already or a size is
        negative, OverflowError where a sum would exceed 64 bits, MemoryError; nothing has changed then.
        """
        cdef Resident resident
        if self.get(number) is not None:
            raise ValueError(f"generation {number} is in the queue already")
        resident = Resident.__new__(Resident)
        resident.number = number
        resident.fingerprint = <uint32_t>(mixed(name_hash) >> 32) or 1
        resident.kept_out = (PINNED if pinned else 0) | (DIRTY if dirty else 0)
        self.grown(resident, size_bytes, files)
        self.insert(resident)
        self.weigh(resident, 1)
        # The ghost is used up whether or not the room was: the name is a resident's again.
        if self.recall(resident.fingerprint) or (not self.filled and self.small_has_its_share()):
            resident.place = MAIN
        if not resident.kept_out:
            self.push(resident)
        return resident

    def remove(self, Resident resident not None):
        """It has left the cache for another reason than want of room: deleted, overwritten, changed at the remote.

        Raises ValueError if it is not in this queue.
        """
        cdef PyObject **at
        self.own(resident)
        at = self.place_of(resident.number)
        at[0] = resident.chained
        if not resident.kept_out:
            self.unlink(resident)
        self.weigh(resident, -1)
        resident.owner = resident.chained = NULL
        if self.clean.count + self.dirty.count == 0:
            self.filled = False
        # The table's own reference; the caller still has one.
        Py_DECREF(resident)

    def evict(self, Resident resident not None):
        """It has left the cache for want of room, be it as the `victim` or not: `remove`, and remember its name.

        Raises ValueError if it is not in this queue, or is pinned, dirty or in use; MemoryError, with nothing changed.
        """
        self.own(resident)
        if resident.kept_out or resident.in_use:
            raise ValueError(f"generation {resident.number} is pinned, dirty or in use")
        if resident.place == SMALL:
            self.remember(resident.fingerprint)
        self.filled = True
        self.remove(resident)

    def victim(self):
        """The resident to evict next, never one that is pinned, dirty or in use; None when there is no other.

        It stays where it is until the caller says `evict`, and may then be another one's turn if it was touched, held
        or pinned meanwhile. Spares at most `SWEEP` visited residents.
        """
        cdef Resident resident
        cdef PyObject *oldest
        cdef int left = SWEEP
        while True:
            oldest = self.queues[SMALL if self.small_is_next() else MAIN].oldest
            if oldest == NULL:
                return None
            resident = <Resident>oldest
            if resident.in_use:
                # Each is met once, however long it is in use: release() brings it back.
                self.keep_out(resident, ASIDE)
            elif resident.visits and left:
                left -= 1
                self.unlink(resident)
                if resident.place == SMALL:
                    resident.place = MAIN
                    resident.visits = 0
                else:
                    resident.visits -= 1
                self.push(resident)
            else:
                return resident

    # Use.

    cpdef Resident get(self, uint64_t number):
        """The resident of a generation, None if there is none."""
        cdef PyObject *at = self.place_of(number)[0]
        return None if at == NULL else <Resident>at

    def touch(self, uint64_t number):
        """Count a read of a generation. Returns whether it is here."""
        cdef PyObject *at = self.place_of(number)[0]
        if at == NULL:
            return False
        touch(<Resident>at)
        return True

    def hold(self, Resident resident not None):
        """A read or fill begins: it is not to be evicted before as many `release`. Raises ValueError as `remove`."""
        self.own(resident)
        if resident.in_use == INT32_MAX:
            raise OverflowError("held too often")
        resident.in_use += 1

    def release(self, Resident resident not None):
        """A read or fill has ended, also of what was removed meanwhile.

        Raises ValueError if none was under way, or if the resident is another queue's.
        """
        if resident.in_use == 0:
            raise ValueError(f"generation {resident.number} is not in use")
        if resident.owner != NULL:
            self.own(resident)
        resident.in_use -= 1
        if resident.in_use == 0 and resident.owner != NULL:
            self.let_in(resident, ASIDE)

    def grow(self, Resident resident not None, int64_t delta_bytes, int64_t delta_files=0):
        """Its blocks were filled, or dropped where a delta is negative. It keeps its place in the order.

        Raises ValueError as `remove`, or where less than nothing would be left; OverflowError; nothing changed then.
        """
        self.own(resident)
        self.weigh(resident, -1)
        if not resident.kept_out:
            shift(&self.queues[resident.place].weight, -resident.bytes, -resident.files, 0)
        try:
            self.grown(resident, delta_bytes, delta_files)
        finally:
            self.weigh(resident, 1)
            if not resident.kept_out:
                shift(&self.queues[resident.place].weight, resident.bytes, resident.files, 0)

    def pin(self, Resident resident not None):
        """It is not to be evicted until `unpin`; pinning twice is as once. Raises ValueError as `remove`."""
        self.keep_out(resident, PINNED)

    def unpin(self, Resident resident not None):
        """It may be evicted again, as the newest of its queue if it was pinned. Raises ValueError as `remove`."""
        self.let_in(resident, PINNED)

    def mark_dirty(self, Resident resident not None):
        """The remote lacks it: not to be evicted until `mark_clean`. Raises ValueError as `remove`."""
        self.keep_out(resident, DIRTY)

    def mark_clean(self, Resident resident not None):
        """The remote has it: it counts against the limits from now on. Raises ValueError as `remove`."""
        self.let_in(resident, DIRTY)

    def oldest(self, Py_ssize_t limit):
        """Up to ``limit`` residents in the order in which their turns come, as far as that can be told: a list.

        First SMALL, whose turns come soonest, then MAIN, each from its oldest; those with visits will be spared. What
        is pinned, dirty or set aside because it is in use is not among them.
        """
        cdef list found = []
        cdef PyObject *at
        cdef int place
        for place in range(2):
            at = self.queues[place].oldest
            while at != NULL and len(found) < limit:
                found.append(<Resident>at)
                at = (<Resident>at).newer
        return found

    # The two queues.

    cdef int own(self, Resident resident) except -1:
        if resident.owner != <PyObject *>self:
            raise ValueError(f"generation {resident.number} is not in this queue")
        return 0

    cdef void push(self, Resident resident) noexcept:
        """Make it the newest of its queue."""
        cdef Fifo *queue = &self.queues[resident.place]
        resident.older = queue.newest
        resident.newer = NULL
        if queue.newest == NULL:
            queue.oldest = <PyObject *>resident
        else:
            (<Resident>queue.newest).newer = <PyObject *>resident
        queue.newest = <PyObject *>resident
        shift(&queue.weight, resident.bytes, resident.files, 1)

    cdef void unlink(self, Resident resident) noexcept:
        """Take it out of its queue, which it is in."""
        cdef Fifo *queue = &self.queues[resident.place]
        if resident.older == NULL:
            queue.oldest = resident.newer
        else:
            (<Resident>resident.older).newer = resident.newer
        if resident.newer == NULL:
            queue.newest = resident.older
        else:
            (<Resident>resident.newer).older = resident.older
        resident.older = resident.newer = NULL
        shift(&queue.weight, -resident.bytes, -resident.files, -1)

    cdef int keep_out(self, Resident resident, uint8_t why) except -1:
        """Take it out of its queue, if no other reason has, until `let_in` for the same reason."""
        self.own(resident)
        if not resident.kept_out:
            self.unlink(resident)
        self.weigh(resident, -1)
        resident.kept_out |= why
        self.weigh(resident, 1)
        return 0

    cdef int let_in(self, Resident resident, uint8_t why) except -1:
        """Make it the newest of its queue, if this was the only reason to be outside."""
        self.own(resident)
        if not resident.kept_out & why:
            return 0
        self.weigh(resident, -1)
        resident.kept_out &= ~why
        self.weigh(resident, 1)
        if not resident.kept_out:
            self.push(resident)
        return 0

    cdef void weigh(self, Resident resident, int sign) noexcept:
        """Count it, or no longer."""
        cdef int64_t size = sign * resident.bytes
        cdef int64_t files = sign * resident.files
        if resident.kept_out & DIRTY:
            shift(&self.dirty, size, files, sign)
            return
        shift(&self.clean, size, files, sign)
        if resident.kept_out & PINNED:
            shift(&self.pinned, size, files, sign)

    cdef int grown(self, Resident resident, int64_t delta_bytes, int64_t delta_files) except -1:
        """Change the sizes of what is not counted at the moment."""
        if delta_bytes > INT64_MAX - self.clean.bytes - self.dirty.bytes - resident.bytes:
            raise OverflowError("the bytes of the cache exceed 64 bits")
        if delta_files > INT32_MAX - resident.files:
            raise OverflowError("the files of a generation exceed 32 bits")
        if delta_bytes < -resident.bytes or delta_files < -resident.files:
            raise ValueError(f"generation {resident.number} would have less than nothing")
        resident.bytes += delta_bytes
        resident.files += delta_files
        return 0

    cdef bint small_is_next(self) noexcept:
        """Whether SMALL has more than its share of what could be evicted, of the kind that is nearer to its limit."""
        cdef Weight *small = &self.queues[SMALL].weight
        cdef Weight *main = &self.queues[MAIN].weight
        if main.count == 0 or small.count == 0:
            return main.count == 0
        if <double>self.clean.files / self.max_files > <double>self.clean.bytes / self.max_bytes:
            return small.files > (small.files + main.files) // SHARE
        return small.bytes > (small.bytes + main.bytes) // SHARE

    cdef bint small_has_its_share(self) noexcept:
        cdef Weight *small = &self.queues[SMALL].weight
        return small.bytes > self.max_bytes // SHARE or small.files > self.max_files // SHARE

    # Residents by number (Litwin: "Linear hashing", VLDB '80).

    cdef PyObject **place_of(self, uint64_t number) noexcept:
        """Where the pointer to the resident is, or would be. Valid until the next insertion or removal."""
        cdef uint64_t hashed = hash_of(number)
        cdef Py_ssize_t index = <Py_ssize_t>(hashed & <uint64_t>(2 * self.base - 1))
        cdef PyObject **at
        if index >= self.base + self.split:
            index -= self.base
        at = &self.buckets[index]
        while at[0] != NULL and (<Resident>at[0]).number != number:
            at = &(<Resident>at[0]).chained
        return at

    cdef int insert(self, Resident resident) except -1:
        """Take ownership. Raises MemoryError, with nothing changed."""
        cdef PyObject **at
        if self.clean.count + self.dirty.count >= self.base + self.split:
            self.divide()
        at = self.place_of(resident.number)
        at[0] = <PyObject *>resident
        Py_INCREF(resident)
        resident.owner = <PyObject *>self
        return 0

    cdef int divide(self) except -1:
        """Add a bucket, and move half of another's residents into it."""
        cdef Py_ssize_t added = self.base + self.split
        cdef PyObject **enlarged
        cdef PyObject **stays = &self.buckets[self.split]
        cdef PyObject **goes
        cdef PyObject *at
        if added == self.capacity:
            enlarged = <PyObject **>PyMem_Realloc(self.buckets, 2 * self.capacity * sizeof(PyObject *))
            if enlarged == NULL:
                raise MemoryError
            self.buckets = enlarged
            self.capacity *= 2
            stays = &self.buckets[self.split]
        goes = &self.buckets[added]
        at = stays[0]
        while at != NULL:
            if hash_of((<Resident>at).number) & <uint64_t>self.base:
                goes[0] = at
                goes = &(<Resident>at).chained
            else:
                stays[0] = at
                stays = &(<Resident>at).chained
            at = (<Resident>at).chained
        goes[0] = stays[0] = NULL
        self.split += 1
        if self.split == self.base:
            self.base *= 2
            self.split = 0
        return 0

    # Ghosts: fingerprints and when they were evicted, in buckets; one dies of age where it lies, as the paper proposes.

    cdef int remember(self, uint32_t fingerprint) except -1:
        """Make a ghost, at the cost of the oldest one in its bucket if that is full."""
        cdef Ghost *bucket
        cdef int way, oldest = 0
        if self.queues[MAIN].weight.count > self.ghost_buckets * WAYS or self.ghosts == NULL:
            self.enlarge_ghosts()
        bucket = &self.ghosts[(fingerprint & <uint32_t>(self.ghost_buckets - 1)) * WAYS]
        self.evictions += 1
        for way in range(WAYS):
            if bucket[way].fingerprint == fingerprint or bucket[way].fingerprint == 0:
                oldest = way
                break
            # Ages, not moments: the counter may have begun again.
            if self.evictions - bucket[way].evicted_at > self.evictions - bucket[oldest].evicted_at:
                oldest = way
        bucket[oldest].fingerprint = fingerprint
        bucket[oldest].evicted_at = self.evictions
        return 0

    cdef int enlarge_ghosts(self) except -1:
        """Make room for as many as MAIN has residents. 2^27 buckets are as many as a fingerprint can tell apart."""
        cdef Py_ssize_t buckets = max(self.ghost_buckets, FIRST_GHOST_BUCKETS)
        cdef Py_ssize_t wanted = self.queues[MAIN].weight.count
        cdef Py_ssize_t index
        cdef Ghost *old = self.ghosts
        cdef Ghost *at
        while buckets * WAYS < wanted and buckets < 1 << 27:
            buckets *= 2
        if buckets == self.ghost_buckets:
            return 0
        self.ghosts = <Ghost *>PyMem_Calloc(buckets * WAYS, sizeof(Ghost))
        if self.ghosts == NULL:
            self.ghosts = old
            raise MemoryError
        for index in range(self.ghost_buckets * WAYS):
            if old[index].fingerprint:
                at = &self.ghosts[(old[index].fingerprint & <uint32_t>(buckets - 1)) * WAYS]
                # There is room: a new bucket takes from one old bucket only.
                while at.fingerprint:
                    at += 1
                at[0] = old[index]
        self.ghost_buckets = buckets
        PyMem_Free(old)
        return 0

    cdef bint recall(self, uint32_t fingerprint) noexcept:
        """Whether this is a ghost; it is none any more."""
        cdef Ghost *bucket
        cdef int way
        if self.ghosts == NULL:
            return False
        bucket = &self.ghosts[(fingerprint & <uint32_t>(self.ghost_buckets - 1)) * WAYS]
        for way in range(WAYS):
            if bucket[way].fingerprint == fingerprint:
                bucket[way].fingerprint = 0
                return self.evictions - bucket[way].evicted_at < <uint64_t>self.queues[MAIN].weight.count
        return False
