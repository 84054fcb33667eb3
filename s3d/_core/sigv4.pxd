"""AWS Signature Version 4 for S3: credentials, the keys derived from them, and signing our own requests."""

from libc.stdint cimport int64_t, uint8_t

from s3d._core.canonical cimport Canonical, s3d_span


cdef extern from "native_sha256.h" nogil:
    ctypedef struct s3d_sha256:
        pass

    ctypedef struct s3d_hmac_key:
        pass

    void s3d_sha256_init(s3d_sha256 *ctx, bint portable) noexcept
    void s3d_sha256_update(s3d_sha256 *ctx, const uint8_t *data, size_t size) noexcept
    void s3d_sha256_final(s3d_sha256 *ctx, uint8_t *digest) noexcept
    void s3d_sha256_of(const uint8_t *data, size_t size, uint8_t *digest) noexcept
    bint s3d_sha256_accelerated() noexcept
    void s3d_hmac_key_init(s3d_hmac_key *key, const uint8_t *secret, size_t size) noexcept
    void s3d_hmac_sha256(const s3d_hmac_key *key, const uint8_t *data, size_t size, uint8_t *digest) noexcept
    void s3d_hex32(const uint8_t *digest, uint8_t *out) noexcept
    bint s3d_equal_constant_time(const uint8_t *a, const uint8_t *b, size_t size) noexcept


cdef class SigningKey:
    cdef readonly bytes scope          # b"20130524/us-east-1/s3/aws4_request"
    cdef s3d_hmac_key key

    cdef int sign(self, const uint8_t *text, Py_ssize_t size, uint8_t *signature) noexcept


cdef class Credentials:
    cdef readonly bytes access_key
    cdef readonly bytes session_token  # None: long-lived credentials
    cdef readonly object owner         # what the caller knows these credentials by
    cdef bytes _secret
    cdef dict _keys                    # scope: SigningKey, bounded
    cdef SigningKey _last              # the key used last

    cdef SigningKey key_for(self, const s3d_span *scope)


cdef class SigningContext:
    cdef readonly Credentials credentials
    cdef readonly bytes payload_hash   # what the signature says about the body: x-amz-content-sha256
    cdef readonly bint presigned
    cdef SigningKey key
    cdef uint8_t seed[64]              # the request's signature, hex: what the first chunk's is chained to
    cdef uint8_t time[16]              # yyyyMMdd'T'HHmmss'Z'


cdef class Signer:
    cdef readonly Credentials credentials
    cdef readonly bytes region
    cdef readonly bytes service
    cdef Canonical _canonical
    cdef int64_t _now_s                # what _time and _scope were made for
    cdef bytes _time
    cdef bytes _scope

    cpdef list sign(
        self, bytes method, bytes path, bytes query, list headers, bytes payload_hash, int64_t now_s
    )


cdef int put_string_to_sign(Canonical canonical, const uint8_t *time, const s3d_span *scope) except -1
