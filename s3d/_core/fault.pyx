"""Why the core refuses a request."""

cdef class Fault(Exception):
    """The request is refused for ``code``; ``detail`` says what exactly, in words for whoever sent it.

    ``fields`` are (element, value) in order: what the error document says beside code and message. Their names are
    ours, never a request's; the values are text, or bytes as they came.
    """

    def __init__(self, FaultCode code, str detail="", tuple fields not None=()):
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.fields = fields

    def __str__(self):
        return self.detail or FaultCode(self.code).name
