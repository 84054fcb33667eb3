"""Canonical requests of AWS Signature Version 4, built in buffers that are used again for the next request.

Source: "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk" in the Amazon S3
API reference. S3 differs from the other services: the path is encoded once and never normalized.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memcpy

from s3d._core.fault cimport Fault, FaultCode
from s3d._core.percent cimport s3d_percent_decode, s3d_percent_encode, s3d_percent_encoded_size


cdef int grow(void **buffer, Py_ssize_t *room, Py_ssize_t count, Py_ssize_t unit) except -1:
    """Make ``buffer`` hold at least ``count`` items of ``unit`` bytes; its content is kept."""
    cdef Py_ssize_t wanted = room[0]
    cdef void *grown
    if count <= wanted:
        return 0
    while wanted < count:
        wanted = wanted * 2 if wanted else 1024 // unit
    grown = realloc(buffer[0], wanted * unit)
    if grown is NULL:
        raise MemoryError
    buffer[0] = grown
    room[0] = wanted
    return 0


cdef class Canonical:
    """Scratch space for one canonical request at a time.

    The buffers grow to the largest request seen, about six times the size of a request's head, which the connection
    bounds. Not reentrant: load, write and read without running other Python code in between.
    """

    def __dealloc__(self):
        free(self.headers)
        free(self.params)
        free(self.text)
        free(self._query)
        free(self._decoded)

    cdef int load_headers(self, list headers) except -1:
        """Point `headers` at the request's, in the order received; none is signed yet."""
        cdef Py_ssize_t count = len(headers), i
        cdef tuple pair
        grow(<void **>&self.headers, &self._header_room, count + 4, sizeof(s3d_pair))  # + 4: a signer's own
        for i in range(count):
            pair = <tuple?>headers[i]
            self.headers[i].name = span_of(<bytes?>pair[0])
            self.headers[i].value = span_of(<bytes?>pair[1])
            self.headers[i].index = <int>i
            self.headers[i].is_signed = 0
        self.header_count = count
        return 0

    cdef int load_query(self, bytes query) except -1:
        """Parse, encode and sort the raw ``query``. Empty parts (``a&&b``) count as absent, ``a`` as ``a=``."""
        cdef s3d_span whole = span_of(query)
        cdef const uint8_t *start = whole.data
        cdef const uint8_t *end = start + whole.size
        cdef const uint8_t *stop
        cdef const uint8_t *equals
        cdef uint8_t *out
        cdef s3d_pair *param
        cdef Py_ssize_t size
        self.param_count = 0
        if whole.size == 0:
            return 0
        grow(<void **>&self._query, &self._query_room, 3 * whole.size, 1)
        out = self._query
        while start < end:
            stop = <const uint8_t *>memchr(start, c"&", end - start)
            if stop is NULL:
                stop = end
            if stop > start:
                grow(<void **>&self.params, &self._param_room, self.param_count + 1, sizeof(s3d_pair))
                param = &self.params[self.param_count]
                equals = <const uint8_t *>memchr(start, c"=", stop - start)
                if equals is NULL:
                    equals = stop
                size = self.encode(start, equals - start, out, False)
                param.name.data = out
                param.name.size = size
                out += size
                size = 0
                if equals < stop:
                    size = self.encode(equals + 1, stop - equals - 1, out, False)
                param.value.data = out
                param.value.size = size
                out += size
                param.index = <int>self.param_count
                param.is_signed = 0
                self.param_count += 1
            start = stop + 1
        s3d_sort_pairs(self.params, self.param_count, s3d_query_order)
        return 0

    cdef int begin(self, bytes method, bytes path, bint with_signature, Py_ssize_t more) except -1:
        """Start over with method, canonical URI and query string, each with its line feed; room for ``more`` bytes.

        ``with_signature``: false leaves the parameter X-Amz-Signature out, which no signature can cover.
        """
        cdef Py_ssize_t i, room = len(method) + 3 * len(path) + more + 4
        cdef bint first = True
        cdef s3d_pair *param
        for i in range(self.param_count):
            room += self.params[i].name.size + self.params[i].value.size + 2
        self.size = 0
        self.reserve(room)
        self.put(<const char *>method, len(method))
        self.put(b"\n", 1)
        if path:
            self.size += self.encode(
                <const uint8_t *><const char *>path, len(path), self.text + self.size, True
            )
        else:
            self.put(b"/", 1)
        self.put(b"\n", 1)
        for i in range(self.param_count):
            param = &self.params[i]
            if not with_signature and s3d_span_is(&param.name, b"X-Amz-Signature", 15):
                continue
            if not first:
                self.put(b"&", 1)
            first = False
            self.put(param.name.data, param.name.size)
            self.put(b"=", 1)
            self.put(param.value.data, param.value.size)
        self.put(b"\n", 1)
        return 0

    cdef int reserve(self, Py_ssize_t size) except -1:
        """Room for ``size`` bytes after those written."""
        return grow(<void **>&self.text, &self._text_room, self.size + size, 1)

    cdef int put(self, const void *data, Py_ssize_t size) noexcept:
        """Append; the room was reserved."""
        s3d_put(self.text + self.size, data, size)
        self.size += size
        return 0

    cdef int put_headers(self, Py_ssize_t first, Py_ssize_t last) noexcept:
        """Append one canonical header line of ``headers[first:last]``, all of one name; room was reserved."""
        cdef Py_ssize_t i
        cdef uint8_t *out = self.text + self.size
        out = s3d_put(out, self.headers[first].name.data, self.headers[first].name.size)
        for i in range(first, last):
            out[0] = c":" if i == first else c","
            out = s3d_put_value(out + 1, &self.headers[i].value)
        out[0] = c"\n"
        self.size = out + 1 - self.text
        return 0

    cdef Py_ssize_t encode(self, const uint8_t *data, Py_ssize_t size, uint8_t *out, bint is_path) except -1:
        """Write the canonical encoding of a raw component to ``out`` (room: 3 × ``size``); return its size.

        Decode once, encode once: every spelling of a key has the one signature that S3 gives it. ``+`` in a query
        is a space, as the router reads it.
        """
        cdef Py_ssize_t decoded
        if s3d_percent_encoded_size(data, size, is_path) == size:  # nothing to decode either: % would need escaping
            memcpy(out, data, size)
            return size
        grow(<void **>&self._decoded, &self._decoded_room, size, 1)
        decoded = s3d_percent_decode(data, size, self._decoded, not is_path)
        if decoded < 0:
            raise Fault(FaultCode.INVALID_URI, f"Couldn't parse the specified URI: malformed escape at {-1 - decoded}.")
        return s3d_percent_encode(self._decoded, decoded, out, is_path)


def canonical_path(bytes path not None) -> bytes:
    """The raw ``path`` in the one encoding that signatures use; safe to send. Fault INVALID_URI on a bad escape."""
    cdef Canonical canonical = Canonical.__new__(Canonical)
    canonical.begin(b"", path, True, 0)
    return PyBytes_FromStringAndSize(<const char *>canonical.text + 1, canonical.size - 3)


def canonical_query(bytes query not None) -> bytes:
    """The raw ``query`` encoded and sorted as signatures have it; ``acl`` becomes ``acl=``."""
    cdef Canonical canonical = Canonical.__new__(Canonical)
    canonical.load_query(query)
    canonical.begin(b"", b"/", True, 0)
    return PyBytes_FromStringAndSize(<const char *>canonical.text + 3, canonical.size - 4)
