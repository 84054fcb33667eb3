"""The connections to the remote: one request at a time, its body streamed up, its answer streamed down."""

from libc.stdint cimport int64_t, uint8_t

from s3d._core.channel cimport Channel
from s3d._core.failure cimport RemoteError, RemoteFailure
from s3d._core.incoming cimport Incoming
from s3d._core.promise cimport Promise
from s3d._core.response cimport Response
from s3d._core.stage cimport Stage

cdef class RemoteConnection(Channel):
    cdef object owner                   # told `released(connection)` and `lost(connection, error)`
    cdef object parser                  # httptools.HttpResponseParser; None when the next answer needs a new one
    cdef readonly int64_t exchanges     # requests sent so far
    cdef readonly double idle_since_s   # CLOCK_MONOTONIC
    cdef double first_byte_timeout_s
    cdef double stall_timeout_s
    cdef double total_timeout_s         # 0: none
    cdef bint reusable                  # the exchange under way may be followed by another

    # The exchange under way.
    cdef Promise promise                # its answer, until the head has arrived
    cdef _Outgoing outgoing             # the request's body, until it is sent
    cdef Stage source                   # where that body comes from, …
    cdef Stage stage                    # … and through what; both kept until the chain is connected
    cdef double continue_since_s        # > 0: when we began to wait for 100 Continue
    cdef bint head_only
    cdef double started_s
    cdef bint busy                      # from `start` until the connection is released or closed

    # The answer under way.
    cdef Response response              # its head, None before
    cdef Incoming body
    cdef int64_t body_left              # > 0: so many bytes of `body` go past the parser
    cdef list headers
    cdef int64_t content_length
    cdef bint chunked
    cdef bint parsed                    # llhttp has seen bytes of it
    cdef Py_ssize_t framing_size        # bytes llhttp has seen since the last of a body
    cdef double muted_since_s           # when sending failed, while the answer may still come
    cdef bint complete                  # the parser saw its end
    cdef bint overrun                   # bytes followed that nobody asked for
    cdef bint interim                   # a 100 Continue has arrived
    cdef bytes connection_names         # value of its Connection header

    cdef int launch(self, bytes head, bint head_only, Incoming source, Stage stage, int64_t length, bint expect,
                    Promise promise) except -1
    cdef int _begin_body(self) except -1
    cdef bint _scan(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef int _act(self) except -1
    cdef int _deliver(self) except -1
    cdef int _release(self) except -1
    cdef int _fail(self, object error) except -1
    cdef object _disconnected(self)


cdef class _Outgoing(Stage):
    cdef RemoteConnection connection    # None after the end
    cdef bytes head                     # sent with the first of them; None once it was
    cdef int64_t left                   # bytes still to come
    cdef bint paused
