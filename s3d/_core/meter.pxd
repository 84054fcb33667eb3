"""What the hot path counts: plain C fields, read when somebody asks."""

from libc.stdint cimport int64_t

cdef enum:
    # Latency buckets: four to each doubling from 16 µs on; bucket 0 holds what is faster, the last what is slower
    # than 16 µs · 2^(95/4) ≈ 225 s.
    LATENCY_BUCKETS = 96

cdef struct OperationCounts:
    int64_t requests
    int64_t client_errors            # answered 4xx
    int64_t server_errors            # answered 5xx
    int64_t aborted                  # the answer did not reach the client whole
    int64_t received_bytes           # request bodies as they came over the wire
    int64_t sent_bytes               # heads and bodies of answers
    double latency_sum_s             # from the head's last byte to the answer's last
    int64_t latency[LATENCY_BUCKETS]


cdef class Meter:
    cdef OperationCounts *counts     # owned, one for each operation and one more for requests without any
    cdef readonly int operations
    cdef readonly int64_t connections_accepted
    cdef readonly int64_t connections_refused
    cdef readonly int64_t malformed_requests

    cdef int record(self, int operation, int status, double latency_s, int64_t received_bytes, int64_t sent_bytes,
                    bint aborted) noexcept
