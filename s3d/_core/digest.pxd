"""Digests of a body as it passes, and what the client said they would be."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from s3d._core.request cimport Request
from s3d._core.sigv4 cimport s3d_sha256


# In the order of the table in digest.pyx; S3's names, as in x-amz-checksum-…
cpdef enum Algorithm:
    MD5 = 0
    SHA1
    SHA256
    SHA512
    CRC32
    CRC32C
    CRC64NVME
    XXHASH64
    XXHASH3
    XXHASH128


# Who said what a body's digest would be.
cdef enum:
    CONTENT_SHA256                     # x-amz-content-sha256
    CONTENT_MD5                        # Content-MD5
    CHECKSUM                           # x-amz-checksum-…, in header or trailer


cdef class Sha256:
    cdef s3d_sha256 _native
    cdef bint _use_native
    cdef object _hashlib               # when the CPU has no SHA-256 of its own

    cdef int reset(self) except -1
    cdef int update(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef int final(self, uint8_t *digest) except -1


cdef class Digests:
    cdef unsigned int _wanted          # bit per Algorithm
    cdef uint32_t _crc32, _crc32c
    cdef uint64_t _crc64nvme
    cdef Sha256 _sha256
    cdef dict _updaters                # Algorithm: object with update and digest
    cdef list _expected                # [(Algorithm, digest, who said so), …]
    cdef int _checksum                 # the Algorithm of the additional checksum, -1: the client brings none
    cdef dict _results                 # Algorithm: digest; set once finished

    cdef int add(self, int algorithm) except -1
    cdef int update(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef bytes digest(self, int algorithm)
    cdef dict additional(self)
    cdef int expect(self, int algorithm, bytes digest, int source) except -1
    cdef int expect_sha256(self, bytes payload_hash) except -1
    cdef int expect_checksum(self, bytes name, bytes value) except -1
    cdef int expect_headers(self, Request request, bint with_checksums, list trailers) except -1
    cdef bytes give_up_md5(self)
    cdef int verify(self) except -1


cdef object digest_fault(int source, int algorithm, bytes expected, bytes computed)
cdef int checksum_algorithm(bytes name) except -2
cdef Py_ssize_t checksum_value_size(int algorithm) except -1
