"""AWS Signature Version 4 for S3: who signed a request, and signing our own."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from s3d._core.canonical cimport Canonical, s3d_span
from s3d._core.fault cimport Fault, FaultCode
from s3d._core.request cimport Request


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


cdef class SignatureMismatch(Fault):
    cdef readonly bytes access_key
    cdef readonly bytes canonical_request
    cdef readonly bytes string_to_sign
    cdef readonly bytes signature_provided


cdef class Verifier:
    cdef dict _credentials             # access key: Credentials
    cdef Canonical _canonical

    cpdef SigningContext verify(self, Request request, int64_t now_s)
    cdef SigningContext _verify_header(self, Request request, s3d_span authorization, int64_t now_s)
    cdef SigningContext _verify_query(self, Request request, int64_t now_s)
    cdef Credentials _find(self, const s3d_span *access_key, bytes token)
    cdef int _check(
        self, Request request, SigningContext context, s3d_span scope, s3d_span signed_headers, s3d_span signature
    ) except -1
    cdef int _refuse_unsigned(self, bint presigned, bint host) except -1


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
