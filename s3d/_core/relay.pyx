"""The way of a request that an idle connection takes at once: nothing to wait for, nothing to decide.

It is the way of nearly all of them. What needs patience (connecting, waiting in line, sending again) is the owner's.
"""

from collections import deque

from libc.stdint cimport int64_t
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

from s3d._core.channel cimport monotonic
from s3d._core.exchange cimport Exchange, Pulse
from s3d._core.forward cimport Target, forward_head
from s3d._core.promise cimport Promise
from s3d._core.remote cimport RemoteConnection
from s3d._core.request cimport Request
from s3d._core.upload cimport Upload

cdef bytes _EMPTY_SHA256 = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# How recently a connection must have been used to carry a body that cannot be sent again. S3 and the servers like it
# keep idle connections for 5 s and more; a body that meets a connection being closed would be lost with it.
cdef double _SURE_S = 4.0


cdef class Idle:
    """The connections of a pool that nobody uses now: reused last in, first out; and the line of those who wait."""

    def __cinit__(self):
        self.idle = []
        self.waiting = deque()

    cpdef RemoteConnection take(self, bint sure):
        """An idle connection, now; with ``sure`` only one that was used a moment ago. The caller must start on it."""
        cdef RemoteConnection connection
        while self.idle:
            connection = <RemoteConnection>self.idle[-1]
            if sure and monotonic() - connection.idle_since_s > _SURE_S:
                return None
            self.idle.pop()
            if not connection.lost and not connection.busy and connection.transport is not None:
                return connection
        return None

    cpdef int released(self, RemoteConnection connection) except -1:
        """``connection`` is free again: the first in line gets it, before anybody who comes now; or it idles."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return 0
        self.idle.append(connection)
        return 0


cpdef Promise send(RemoteConnection connection, Target target, Request request, Upload upload, int64_t now_s,
                   Promise promise=None):
    """Send ``request``, its body through ``upload``, on ``connection``; returns the promise of its answer.

    ``now_s`` is the time to sign with, in seconds since 1970; ``promise`` is settled and returned if it is given.
    """
    cdef bint head_only = request.method == b"HEAD"
    cdef bint expect
    cdef bytes head
    if promise is None:
        promise = Promise()
    if upload is None:
        head = forward_head(request, target, _EMPTY_SHA256, -1, None, False, now_s)
        connection.launch(head, head_only, None, None, 0, False, promise)
        return promise
    expect = request.expects_continue and upload.forward_length > 0
    head = forward_head(request, target, upload.payload_hash, upload.forward_length, upload.changes, expect, now_s)
    if upload.forward_length == 0:
        connection.launch(head, head_only, None, None, 0, False, promise)
    else:
        connection.launch(head, head_only, request.body, upload, upload.forward_length, expect, promise)
    return promise


def relay(owner, Pulse pulse not None, Idle pool not None, Target target not None, Request request not None,
          Upload upload, double clock_offset_s):
    """Send ``request`` on an idle connection of ``pool``; None if there is none, or if the body must be seen first.

    ``owner`` and ``pulse`` are the `Exchange`'s, ``clock_offset_s`` is what the remote's clock is ahead of ours.
    """
    cdef RemoteConnection connection
    cdef Exchange exchange
    cdef timespec now
    if request.body is not None and (upload is None or upload.forward_length == 0):
        return None
    # Only what can be carried out twice may meet a connection that is just being closed.
    connection = pool.take(request.body is not None or (request.method != b"GET" and request.method != b"HEAD"))
    if connection is None:
        return None
    clock_gettime(CLOCK_REALTIME, &now)
    exchange = Exchange(owner, pulse, request, upload, target, connection)
    try:
        return send(
            connection, target, request, upload,
            <int64_t>(<double>now.tv_sec + <double>now.tv_nsec * 1e-9 + clock_offset_s), exchange,
        )
    except BaseException:
        connection.abandon()
        raise
