"""The stage between a client's body and the remote's request: what comes out of it was verified."""

from libc.stdint cimport int64_t, uint8_t

from s3d._core.awschunked cimport ChunkedDecoder, Framer
from s3d._core.digest cimport Digests
from s3d._core.request cimport Request
from s3d._core.sigv4 cimport SigningContext
from s3d._core.stage cimport Stage


cdef class Upload(Stage):
    # What goes down the chain.
    cdef readonly int64_t decoded_length   # bytes of the body itself
    cdef readonly int64_t forward_length   # bytes that this stage writes: the Content-Length to announce
    cdef readonly bytes payload_hash       # the x-amz-content-sha256 to send
    cdef readonly list changes             # [(header name, new value or None to drop it), …] for the forwarded head
    cdef readonly bint verified            # the body was whole and everything said about it true; but see `connect`

    cdef Digests digests                   # None: nothing to compute
    cdef ChunkedDecoder decoder            # None: the body comes as it is
    cdef Framer framer                     # None: the body goes as it is
    cdef int64_t _wire_left                # bytes still to come on the wire; -1: unknown
    cdef int64_t _received                 # decoded bytes so far
    # The end of the body, until everything is verified.
    cdef uint8_t *_held
    cdef Py_ssize_t _held_size

    cdef int _take(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef int _pass(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef int _hold(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef int _verify(self) except -1
    cdef int _release(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef int _drop_held(self) except -1


cpdef Upload plan_upload(Request request, int64_t max_size, SigningContext context, bint keep=?,
                         int checksum=?)
