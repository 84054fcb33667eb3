"""The aws-chunked content encoding: reading it in all its variants, writing the one that goes upstream."""

from libc.stdint cimport int64_t, uint8_t

from s3d._core.digest cimport Sha256
from s3d._core.sigv4 cimport SigningContext
from s3d._core.stage cimport Stage


cdef enum:
    MAX_LINE = 1024                    # bytes of a chunk's or trailer's line; real ones stay below 200


cdef class ChunkedDecoder:
    cdef readonly int64_t decoded_length
    cdef readonly bint done            # the closing line has come, everything before it was in order
    cdef readonly list trailers        # [(lower-case name, value), …]; complete once `done`
    cdef bint _signed_chunks           # each chunk must bear a signature
    cdef bint _signed_trailer          # x-amz-trailer-signature must close the trailer
    cdef list _names                   # trailers announced by x-amz-trailer
    cdef int _state
    cdef int64_t _announced            # sum of the chunk sizes so far
    cdef int64_t _left                 # bytes of this chunk still to come
    cdef uint8_t _line[MAX_LINE]
    cdef Py_ssize_t _line_size
    cdef bint _blank_seen              # an empty line stood before the trailer's signature
    cdef bytes _trailer_signature
    # Chunk signatures; `_context` is None when they are not to be checked.
    cdef SigningContext _context
    cdef Sha256 _sha256
    cdef uint8_t _previous[64]         # the signature before this chunk's
    cdef uint8_t _claimed[64]          # the one this chunk bears

    cdef Py_ssize_t step(
        self, const uint8_t *data, Py_ssize_t size, const uint8_t **span, Py_ssize_t *span_size
    ) except -1
    cdef int finish(self) except -1
    cdef bint _take_line(self, const uint8_t *data, Py_ssize_t size, Py_ssize_t *taken) except -1
    cdef int _chunk_line(self) except -1
    cdef int _trailer_line(self) except -1
    cdef int _check_chunk(self) except -1
    cdef int _check_trailer(self) except -1
    cdef object _mismatch(self, bytes string_to_sign, bytes provided)


cdef class Framer:
    cdef readonly int64_t decoded_length
    cdef readonly int64_t encoded_length
    cdef int64_t _written              # decoded bytes written so far
    cdef int64_t _left                 # bytes of the open chunk still to come

    cdef int write(self, Stage down, const uint8_t *data, Py_ssize_t size) except -1
    cdef int finish(self, Stage down, list trailers) except -1
