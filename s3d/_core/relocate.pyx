"""Rewrites one element of an XML answer on its way through."""

from libc.stdint cimport uint8_t

from s3d._core.stage cimport Stage

# The documents that have a Location are below 2 KiB. It is looked for within this, and what follows passes as it comes.
cdef Py_ssize_t _MAX_DOCUMENT_SIZE = 65536


cdef class Relocation(Stage):
    """A source that brings ``source``'s document with the content of ``<Location>`` replaced.

    ``location`` is XML text, escaped already. White space and the XML declaration pass at once, in whichever order a
    store sends them to keep the connection alive; from the first element on, the document is kept until its end, or
    until it is longer than any with a Location.
    """

    def __init__(self, Stage source not None, bytes location not None):
        self.source = source
        self.location = location
        self.document = bytearray()

    cdef int connect(self, Stage down) except -1:
        cdef Stage source = self.source
        self.source = None
        Stage.connect(self, down)
        return source.connect(self)

    cdef int cancel(self, object error) except -1:
        cdef Stage source = self.source
        self.source = None
        if source is not None:
            return source.cancel(error)
        return Stage.cancel(self, error)

    cdef int write(self, const uint8_t *data, Py_ssize_t size) except -1:
        cdef bytes held
        cdef Py_ssize_t passed
        if self.passing:
            return self.down.write(data, size)
        self.document += (<char *>data)[:size]
        if not self.holding:
            passed = self._prologue()
            if passed:
                held = bytes(self.document[:passed])
                del self.document[:passed]
                self.down.write(<const uint8_t *><char *>held, len(held))
                if self.down is None:
                    return 0
        if len(self.document) > _MAX_DOCUMENT_SIZE:
            held = self._relocated()
            self.passing = True
            return self.down.write(<const uint8_t *><char *>held, len(held))
        return 0

    cdef Py_ssize_t _prologue(self) except -1:
        """How much of the document can go at once: white space and declarations before its first element."""
        cdef Py_ssize_t at = 0, end, size = len(self.document)
        while at < size:
            if self.document[at] in b" \t\r\n":
                at += 1
            elif self.document[at] != 60 or at + 1 == size:  # "<"
                break
            elif self.document[at + 1] != 63:  # "?"
                break
            else:
                end = self.document.find(b"?>", at)
                if end < 0:
                    return at
                at = end + 2
        self.holding = at + 1 < size or (at < size and self.document[at] != 60)
        return at

    cdef bytes _relocated(self):
        """What was kept, with the content of a Location that ends within the bound replaced; nothing is kept then."""
        cdef bytes document = bytes(self.document)
        cdef Py_ssize_t first = document.find(b"<Location>", 0, _MAX_DOCUMENT_SIZE)
        cdef Py_ssize_t last = document.find(b"</Location>", first, _MAX_DOCUMENT_SIZE) if first >= 0 else -1
        self.document.clear()
        if last < 0:
            return document
        return document[:first + 10] + self.location + document[last:]

    cdef int finish(self) except -1:
        cdef bytes document
        if self.document:
            document = self._relocated()
            self.down.write(<const uint8_t *><char *>document, len(document))
            if self.down is None:
                return 0
        return Stage.finish(self)
