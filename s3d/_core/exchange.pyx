"""A forwarded request under way: the promise of its answer, and what it takes to send it again."""

from s3d._core.forward cimport Target
from s3d._core.promise cimport Promise
from s3d._core.remote cimport RemoteConnection
from s3d._core.request cimport Request
from s3d._core.response cimport Response


cdef class Pulse:
    """Whether the remote answers, as the hot path needs to know it."""


cdef class Exchange(Promise):
    """The promise of the remote's answer to ``request``, sent on ``connection``.

    An answer that leaves nothing to decide settles it at once. ``owner.answered(exchange, response)`` is asked about
    refusals, which may name another region or not be S3's at all, about the end of a bucket, and about the first answer
    after trouble (``pulse`` is not well);
    ``owner.failed(exchange, error)`` about every error. Each returns the response, or a promise of it, or raises.
    """

    def __init__(self, owner, Pulse pulse not None, Request request not None, upload, Target target,
                 RemoteConnection connection):
        self.owner = owner
        self.pulse = pulse
        self.request = request
        self.upload = upload
        self.target = target
        self.connection = connection

    cpdef int resolve(self, object value) except -1:
        cdef object owner = self.owner
        cdef int status
        if self.done or owner is None:
            return Promise.resolve(self, value)
        self.owner = None
        status = (<Response?>value).status
        if self.pulse.well and (status < 300 or status >= 500 or status == 304 or status == 416 or status == 412) and (
            status != 204 or self.request.method != b"DELETE" or self.request.key
        ):
            return Promise.resolve(self, value)
        return self._ask(owner.answered, value)

    cpdef int reject(self, object error) except -1:
        cdef object owner = self.owner
        if self.done or owner is None:
            return Promise.reject(self, error)
        self.owner = None
        return self._ask(owner.failed, error)

    cdef int _ask(self, object decide, object outcome) except -1:
        try:
            decision = decide(self, outcome)
        except BaseException as error:
            if isinstance(outcome, Response):
                outcome.discard()
            return Promise.reject(self, error)
        if isinstance(decision, Promise):
            return self.follow(<Promise>decision)
        return Promise.resolve(self, decision)
