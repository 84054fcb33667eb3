"""Rewrites one element of an XML answer on its way through."""

from libc.stdint cimport uint8_t

from s3d._core.stage cimport Stage

# The documents that have a Location are below 2 KiB. One that is larger than this goes on as it is.
cdef Py_ssize_t _MAX_DOCUMENT_SIZE = 65536


cdef class Relocation(Stage):
    """A source that brings ``source``'s document with the content of ``<Location>`` replaced.

    ``location`` is XML text, escaped already. White space before the document passes at once; the document itself is
    kept until its end.
    """

    def __init__(self, Stage source not None, bytes location not None):
        self.source = source
        self.location = location

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
        cdef Py_ssize_t start = 0
        cdef bytes held
        if self.passing:
            return self.down.write(data, size)
        if self.document is None:
            while start < size and data[start] != 60:  # "<"
                start += 1
            if start:
                self.down.write(data, start)
            if start == size or self.down is None:
                return 0
            self.document = bytearray()
        self.document += (<char *>data)[start:size]
        if len(self.document) > _MAX_DOCUMENT_SIZE:
            held = bytes(self.document)
            self.document = None
            self.passing = True
            return self.down.write(<const uint8_t *><char *>held, len(held))
        return 0

    cdef int finish(self) except -1:
        cdef bytes document
        cdef Py_ssize_t first, last
        if self.document:
            document = bytes(self.document)
            self.document = None
            first = document.find(b"<Location>")
            last = document.find(b"</Location>", first)
            if first >= 0 and last >= 0:
                document = document[:first + 10] + self.location + document[last:]
            self.down.write(<const uint8_t *><char *>document, len(document))
            if self.down is None:
                return 0
        return Stage.finish(self)
