"""How the remote can fail to answer."""


cdef class RemoteError(Exception):
    """The remote could not be reached, or did not answer as HTTP: ``failure`` says in which way."""

    def __init__(self, RemoteFailure failure, str detail, bint answered=False):
        super().__init__(failure, detail, answered)
        self.failure = failure
        self.detail = detail
        self.answered = answered

    def __str__(self):
        return self.detail
