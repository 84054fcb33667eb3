"""One HTTP request, as the connection parsed it and the router understood it."""

from libc.stdint cimport int64_t

from s3d._core.incoming cimport Incoming


cdef class Request:
    # As it came over the wire.
    cdef readonly bytes method          # b"GET"
    cdef readonly bytes target          # raw request target, b"/bucket/a%20b?acl"
    cdef readonly bytes path            # raw target up to the first "?", still percent-encoded
    cdef readonly bytes query           # raw target after the first "?", b"" if there is none
    cdef readonly list headers          # [(lower-case name, value without outer white space), …] in the order received
    cdef readonly bytes host            # the Host header, b"" if there is none (HTTP/1.0)
    cdef readonly bint http_1_0         # the client speaks HTTP/1.0: no chunked answer, no 100
    cdef readonly bint keep_alive       # the client would use the connection again
    cdef readonly double started_s      # when the head was complete, CLOCK_MONOTONIC
    cdef readonly bint secure           # came over TLS
    cdef readonly object peer           # (address, port), or None over a unix socket
    cdef readonly object local          # our own (address, port) of this connection, or None over a unix socket

    # The body.
    cdef readonly int64_t content_length  # bytes on the wire after HTTP framing; -1: chunked, length unknown
    cdef readonly bint expects_continue   # the client waits for 100 before it sends its body
    cdef readonly Incoming body              # source of the body; None when content_length == 0

    # As the router understood it (`Router.route` fills these in).
    cdef public int operation           # index into the router's table, -1 before routing
    cdef public str bucket              # "" for operations on the service
    cdef public bytes key               # percent-decoded, never normalized; b"" for operations on a bucket
    cdef public list params             # [(name, value), …] percent-decoded query, in the order received
    cdef public bint virtual_host       # the bucket came from the Host header
    cdef public str request_id          # 16 upper-case hex digits, as in x-amz-request-id

    cpdef bytes header(self, bytes name)
    cpdef bytes param(self, bytes name)
