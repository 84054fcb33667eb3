"""Reads HTTP/1.1 responses of which only status and length matter.

It serves the load generator, where parsing must cost next to nothing: it finds the end of the head with one memmem,
looks at three header fields, and counts the body without touching it. It keeps neither header nor body; its memory is
bounded by ``ANSWER_HEAD_MAX``.
"""

from cython cimport final
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

cdef extern from "<string.h>" nogil:
    void *memmem(const void *data, size_t size, const void *wanted, size_t wanted_size)
    void *memchr(const void *data, int wanted, size_t size)

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char *one, const char *other, size_t size)

# Where the reader stands.
cdef enum:
    AT_HEAD
    AT_BODY            # `left` bytes to come
    AT_EOF             # everything until the server closes
    AT_CHUNK_SIZE
    AT_CHUNK_EXTENSION
    AT_CHUNK_DATA
    AT_CHUNK_END
    AT_TRAILER


@final
cdef class AnswerReader:
    """Reads one response at a time: feed it bytes until `complete`, then `restart` it for the next.

    ``bodiless`` says that the responses answer HEAD requests. Interim (1xx) responses are passed over.
    """

    def __init__(self, bint bodiless=False):
        self.reset(bodiless)

    def feed(self, const uint8_t[::1] data not None, /):
        """Read up to the end of the response; returns how many bytes were its own.

        Raises ValueError when they are no HTTP/1.x response, after which the reader must be restarted.
        """
        cdef Py_ssize_t used = 0
        if data.shape[0] and not self.complete:
            used = self.take(&data[0], data.shape[0])
            if used < 0:
                raise ValueError("malformed HTTP response")
        return used

    def feed_eof(self):
        """The connection has ended; returns whether the response is complete."""
        return self.ended()

    def restart(self):
        """Forget this response and read the next one."""
        self.reset(self.bodiless)

    cdef void reset(self, bint bodiless) noexcept:
        self.bodiless = bodiless
        self.status = 0
        self.complete = False
        self.last = False
        self.body_bytes = 0
        self.state = AT_HEAD
        self.left = 0
        self.carried = 0

    cdef bint ended(self) noexcept:
        if self.state == AT_EOF:
            self.complete = True
        return self.complete

    cdef Py_ssize_t take(self, const uint8_t *data, Py_ssize_t size) noexcept:
        """Read up to the end of the response; returns how many bytes were its own, -1 when they are malformed."""
        cdef Py_ssize_t used = 0
        cdef Py_ssize_t step
        while used < size and not self.complete:
            if self.state == AT_HEAD:
                step = self.take_head(data + used, size - used)
            elif self.state == AT_BODY or self.state == AT_CHUNK_DATA:
                step = <Py_ssize_t>min(<int64_t>(size - used), self.left)
                self.body_bytes += step
                self.left -= step
                if self.left == 0:
                    if self.state == AT_BODY:
                        self.complete = True
                    else:
                        self.state = AT_CHUNK_END
            elif self.state == AT_EOF:
                step = size - used
                self.body_bytes += step
            else:
                step = self.take_chunk(data + used, size - used)
            if step < 0:
                return -1
            used += step
        return used

    cdef Py_ssize_t take_head(self, const uint8_t *data, Py_ssize_t size) noexcept:
        """Take bytes up to the end of the head; returns how many, or -1 when it is malformed."""
        cdef const uint8_t *head = data
        cdef const uint8_t *end
        cdef Py_ssize_t head_size
        cdef Py_ssize_t used
        cdef Py_ssize_t before = self.carried
        if before == 0:
            end = <const uint8_t *>memmem(data, size, b"\r\n\r\n", 4)
            if end == NULL:
                if size > ANSWER_HEAD_MAX:
                    return -1
                memcpy(self.carry, data, size)
                self.carried = size
                return size
            used = head_size = end - data + 4
        else:
            used = min(size, ANSWER_HEAD_MAX - before)
            memcpy(self.carry + before, data, used)
            self.carried += used
            end = <const uint8_t *>memmem(self.carry, self.carried, b"\r\n\r\n", 4)
            if end == NULL:
                return used if self.carried < ANSWER_HEAD_MAX else -1
            head = self.carry
            head_size = end - head + 4
            used = head_size - before
            self.carried = 0
        if not self.parse_head(head, head_size):
            return -1
        if self.status < 200:
            # An interim response leaves the real one to come.
            self.status = 0
            self.state = AT_HEAD
        elif self.state == AT_BODY and self.left == 0:
            self.complete = True
        return used

    cdef bint parse_head(self, const uint8_t *head, Py_ssize_t size) noexcept:
        """Status and framing of a whole head; False when it is malformed."""
        cdef const uint8_t *line
        cdef const uint8_t *end = head + size
        cdef const uint8_t *stop
        cdef const uint8_t *value
        cdef int64_t length = -1
        cdef bint chunked = False
        cdef int index
        if size < 16 or strncasecmp(<const char *>head, b"HTTP/1.", 7) != 0:
            return False
        self.status = 0
        for index in range(9, 12):
            if not 48 <= head[index] <= 57:
                return False
            self.status = self.status * 10 + head[index] - 48
        if self.status < 200:
            return True
        if head[7] == 48:
            self.last = True
        line = <const uint8_t *>memchr(head, 10, size) + 1
        while line < end:
            stop = <const uint8_t *>memchr(line, 10, end - line)
            if stop == NULL:
                return False
            # Each comparison ends at the first byte that differs, and every line ends in CR or LF, which no name has.
            if line[0] | 0x20 == 99:  # c
                if strncasecmp(<const char *>line, b"content-length:", 15) == 0:
                    value = line + 15
                    while value < stop and (value[0] == 32 or value[0] == 9):
                        value += 1
                    length = 0
                    while value < stop and 48 <= value[0] <= 57:
                        if length > <int64_t>1 << 56:
                            return False
                        length = length * 10 + value[0] - 48
                        value += 1
                elif strncasecmp(<const char *>line, b"connection: close", 17) == 0:
                    self.last = True
            elif line[0] | 0x20 == 116:  # t
                if strncasecmp(<const char *>line, b"transfer-encoding:", 18) == 0:
                    chunked = True
            line = stop + 1
        if self.bodiless or self.status == 204 or self.status == 304:
            self.state = AT_BODY
            self.left = 0
        elif chunked:
            self.state = AT_CHUNK_SIZE
            self.left = 0
            self.carried = 0
        elif length >= 0:
            self.state = AT_BODY
            self.left = length
        else:
            self.state = AT_EOF
            self.last = True
        return True

    cdef Py_ssize_t take_chunk(self, const uint8_t *data, Py_ssize_t size) noexcept:
        """The bytes between the data of chunks (RFC 9112 §7.1); returns how many it took, -1 when malformed.

        `carried` counts the hexadecimal digits of the size, then the bytes of the current trailer line.
        """
        cdef Py_ssize_t index
        cdef uint8_t byte
        for index in range(size):
            byte = data[index]
            if self.state == AT_CHUNK_SIZE:
                if 48 <= byte <= 57:
                    self.left = self.left * 16 + byte - 48
                elif 97 <= byte | 0x20 <= 102:
                    self.left = self.left * 16 + (byte | 0x20) - 87
                elif self.carried and byte != 10:
                    self.state = AT_CHUNK_EXTENSION
                    continue
                else:
                    return -1
                self.carried += 1
                if self.carried > 15:
                    return -1
            elif self.state == AT_CHUNK_EXTENSION:
                if byte == 10:
                    self.carried = 0
                    self.state = AT_CHUNK_DATA if self.left else AT_TRAILER
                    if self.left:
                        return index + 1
            elif self.state == AT_CHUNK_END:
                if byte == 10:
                    self.carried = 0
                    self.state = AT_CHUNK_SIZE
                elif byte != 13:
                    return -1
            elif byte == 10:
                if self.carried == 0:
                    self.complete = True
                    return index + 1
                self.carried = 0
            elif byte != 13:
                self.carried += 1
        return size
