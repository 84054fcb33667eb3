"""What the hot path counts: plain C fields, read when somebody asks."""

from libc.math cimport log2
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free


cdef class Meter:
    """Counters and latency histograms by operation index; the row after the last counts requests without operation.

    Written on the event loop's thread only. Nothing is allocated, locked or looked up for a request.
    """

    def __cinit__(self, int operations):
        if operations < 0:
            raise ValueError("operations must not be negative")
        self.counts = <OperationCounts *>calloc(operations + 1, sizeof(OperationCounts))
        if self.counts is NULL:
            raise MemoryError()
        self.operations = operations

    def __dealloc__(self):
        free(self.counts)

    cdef int record(self, int operation, int status, double latency_s, int64_t received_bytes, int64_t sent_bytes,
                    bint aborted) noexcept:
        cdef OperationCounts *row
        cdef int bucket = 0
        if operation < 0 or operation >= self.operations:
            operation = self.operations
        row = &self.counts[operation]
        row.requests += 1
        if 400 <= status < 500:
            row.client_errors += 1
        elif status >= 500:
            row.server_errors += 1
        if aborted:
            row.aborted += 1
        row.received_bytes += received_bytes
        row.sent_bytes += sent_bytes
        row.latency_sum_s += latency_s
        if latency_s > 16e-6:
            bucket = <int>(4.0 * log2(latency_s / 16e-6)) + 1
            if bucket >= LATENCY_BUCKETS:
                bucket = LATENCY_BUCKETS - 1
        row.latency[bucket] += 1
        return 0

    def read(self, int operation):
        """The counts of one operation as a dict; ``operations`` itself asks for requests without any."""
        cdef OperationCounts *row
        cdef int bucket
        if not 0 <= operation <= self.operations:
            raise IndexError(f"no operation {operation}")
        row = &self.counts[operation]
        return {
            "requests": row.requests,
            "client_errors": row.client_errors,
            "server_errors": row.server_errors,
            "aborted": row.aborted,
            "received_bytes": row.received_bytes,
            "sent_bytes": row.sent_bytes,
            "latency_sum_s": row.latency_sum_s,
            "latency": [row.latency[bucket] for bucket in range(LATENCY_BUCKETS)],
        }

    @staticmethod
    def bucket_limits_s():
        """Upper limits of the latency buckets in seconds; the last one is infinite."""
        return [16e-6 * 2.0 ** (bucket / 4.0) for bucket in range(LATENCY_BUCKETS - 1)] + [float("inf")]
