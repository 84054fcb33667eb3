"""Who signed a request, by AWS Signature Version 4: in its Authorization header or in its query."""

from libc.stdint cimport int64_t

from s3d._core.canonical cimport Canonical, s3d_span
from s3d._core.fault cimport Fault
from s3d._core.request cimport Request
from s3d._core.sigv4 cimport Credentials, SigningContext


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
