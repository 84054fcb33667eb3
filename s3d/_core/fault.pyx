"""Why the core refuses a request."""

cdef class Fault(Exception):
    """The request is refused for ``code``; ``detail`` says what exactly, in words for whoever sent it."""

    def __init__(self, FaultCode code, str detail=""):
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self):
        return self.detail or FaultCode(self.code).name
