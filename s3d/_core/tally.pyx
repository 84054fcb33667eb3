"""What a load generator counts: latencies in a histogram of fixed size, answers, bytes and errors by class."""

from cython cimport final
from libc.math cimport ceil
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset


cdef inline int bucket_of(int64_t value) noexcept nogil:
    cdef int shift = 0
    cdef uint64_t rest
    if value < STEPS * 2:
        return <int>value
    if value >= (<int64_t>1 << TOP_BIT):
        return BUCKETS - 1
    rest = <uint64_t>value
    while rest >= STEPS * 2 << 8:
        rest >>= 8
        shift += 8
    while rest >= STEPS * 2:
        rest >>= 1
        shift += 1
    return shift * STEPS + <int>rest


cdef inline int64_t bucket_low(int bucket) noexcept nogil:
    cdef int shift
    if bucket < STEPS * 2:
        return bucket
    shift = bucket // STEPS - 1
    return <int64_t>(bucket - shift * STEPS) << shift


@final
cdef class Histogram:
    """Latencies in nanoseconds, counted in log-linear buckets of less than 1 % width (as HdrHistogram does).

    Its size is fixed (36 KiB) whatever is recorded. ``min_ns``, ``max_ns`` and ``total_ns`` are exact.
    """
    def __cinit__(self):
        memset(self.counts, 0, sizeof(self.counts))

    cdef void add(self, int64_t value) noexcept:
        if value < 0:
            value = 0
        self.counts[bucket_of(value)] += 1
        if self.count == 0 or value < self.min_ns:
            self.min_ns = value
        if value > self.max_ns:
            self.max_ns = value
        self.count += 1
        self.total_ns += value

    def record(self, int64_t value_ns, /):
        """Count one latency; a negative one counts as 0."""
        self.add(value_ns)

    def merge(self, Histogram other not None, /):
        """Add all that ``other`` has counted, as if it had been recorded here."""
        cdef int index
        if other.count == 0:
            return
        for index in range(BUCKETS):
            self.counts[index] += other.counts[index]
        if self.count == 0 or other.min_ns < self.min_ns:
            self.min_ns = other.min_ns
        if other.max_ns > self.max_ns:
            self.max_ns = other.max_ns
        self.count += other.count
        self.total_ns += other.total_ns

    def percentile(self, double percent, /):
        """The least latency, in ns, that ``percent`` % of those recorded do not exceed; 0 when none was.

        It is rounded up to its bucket's end, by less than 1 %, and never exceeds ``max_ns``.
        """
        cdef int64_t wanted
        cdef int64_t seen = 0
        cdef int index
        if not 0 <= percent <= 100:
            raise ValueError(f"a percentile lies between 0 and 100, not at {percent}")
        if self.count == 0:
            return 0
        wanted = max(<int64_t>1, <int64_t>ceil(percent / 100 * self.count))
        for index in range(BUCKETS):
            seen += self.counts[index]
            if seen >= wanted:
                if index == BUCKETS - 1:
                    break
                return max(self.min_ns, min(bucket_low(index + 1) - 1, self.max_ns))
        return self.max_ns

    def buckets(self):
        """``[(low_ns, high_ns, count), …]`` of the buckets that are not empty; ``high_ns`` is the last value inside."""
        cdef int index
        return [
            (bucket_low(index), bucket_low(index + 1) - 1, self.counts[index])
            for index in range(BUCKETS) if self.counts[index]
        ]

    @property
    def mean_ns(self):
        """The exact mean in ns, 0.0 when nothing was recorded."""
        return self.total_ns / self.count if self.count else 0.0


@final
cdef class Tally:
    """What one run of a `Load` has counted.

    ``requests``, ``bytes_in``, ``bytes_out`` (of bodies) and ``latency`` count the requests that were answered as
    expected; every other ends in exactly one of the error counters. ``started_ns`` and ``ended_ns`` are
    CLOCK_MONOTONIC, the latter at the last answer.
    """

    def __cinit__(self):
        self.latency = Histogram()
        self.sample = b""

    @property
    def errors(self):
        """The requests, and attempts to connect, that failed in any way."""
        return (self.wrong_status + self.wrong_length + self.malformed + self.disconnects + self.timeouts
                + self.connect_failures)

    @property
    def elapsed_s(self):
        """Seconds from the start to the last answer."""
        return max(0, self.ended_ns - self.started_ns) / 1e9
