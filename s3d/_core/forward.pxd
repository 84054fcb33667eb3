"""A client's request as the remote gets it: same operation, other address, other signature."""

from libc.stdint cimport int64_t

from s3d._core.request cimport Request
from s3d._core.sigv4 cimport Signer


cdef class Target:
    cdef readonly bytes host          # for the Host header, with the port where it is not the scheme's own
    cdef readonly bytes base          # path before everything else, b"" or b"/base", canonically encoded
    cdef readonly bint bucket_in_host  # virtual-host style: the path begins with the key
    cdef readonly object origin       # what a pool keeps its connections by
    cdef public object pool           # the connections to it, put here by whoever keeps them; None before
    cdef public Signer signer         # replaced when the credentials change


cdef bytes target_path(Request request, Target target)
cdef bytes forwarded_query(bytes query)
cpdef bytes forward_head(Request request, Target target, bytes payload_hash, int64_t length, list changes, bint expect,
                         int64_t now_s)
