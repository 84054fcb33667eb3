"""What a load generator counts: latencies in a histogram of fixed size, answers, bytes and errors by class."""

from cython cimport final
from libc.stdint cimport int64_t, uint64_t

cdef enum:
    # 128 steps per power of two: a recorded value is off by less than 1 %, from 1 ns to 2^42 ns (73 minutes).
    STEP_BITS = 7
    STEPS = 128
    TOP_BIT = 42
    BUCKETS = (TOP_BIT - STEP_BITS + 1) * STEPS


@final
cdef class Histogram:
    cdef readonly int64_t count
    cdef readonly int64_t min_ns
    cdef readonly int64_t max_ns
    cdef readonly int64_t total_ns
    cdef uint64_t counts[BUCKETS]

    cdef void add(self, int64_t value) noexcept


@final
cdef class Tally:
    cdef readonly int64_t requests
    cdef readonly int64_t bytes_in
    cdef readonly int64_t bytes_out
    cdef readonly int64_t wrong_status       # answered, with another status
    cdef readonly int64_t wrong_length       # answered, with a body of another length
    cdef readonly int64_t malformed          # not HTTP, or an answer before the request was sent
    cdef readonly int64_t disconnects        # the connection ended between request and answer
    cdef readonly int64_t timeouts           # no byte moved for the time limit
    cdef readonly int64_t connect_failures   # attempts to connect, not requests
    cdef readonly int64_t backlog            # open loop: requests due, never sent because all connections were busy
    cdef readonly int64_t started_ns
    cdef readonly int64_t ended_ns
    cdef readonly Histogram latency
    cdef readonly bytes sample               # how the first unexpected answer began, b"" when there was none
