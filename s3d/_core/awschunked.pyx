"""The aws-chunked content encoding: reading it in all its variants, writing the one that goes upstream.

    chunk    = hex-size *( ";" extension ) CRLF data CRLF       the last has size 0 and no data line
    trailer  = *( name ":" value ( CRLF | LF ) ) CRLF

Sources, in the Amazon S3 API reference: "Signature Calculations for the Authorization Header: Transferring Payload in
Multiple Chunks" and "… Including Trailing Headers". What clients do beyond the text is accepted where it is
unambiguous: trailer lines that end in a bare LF, an empty line before x-amz-trailer-signature, and one CRLF too many
after the end (all three are minio-go's).

S3 refuses chunks below 8 KiB but the last (InvalidChunkSizeError). Here any size is accepted: SDKs that frame a
stream as it comes send smaller ones, the remote never sees them because the body is framed anew, and a chunk costs
its sender more than us.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t
from libc.stdio cimport snprintf
from libc.string cimport memchr, memcmp, memcpy

from s3d._core.digest cimport Sha256
from s3d._core.fault cimport Fault, FaultCode
from s3d._core.percent cimport s3d_hex_value
from s3d._core.sigv4 cimport SigningContext, s3d_equal_constant_time, s3d_hex32
from s3d._core.stage cimport Stage

cdef enum:
    CHUNK_LINE     # "size;chunk-signature=…"
    DATA
    DATA_END       # the CRLF after a chunk's data
    TRAILER
    EPILOGUE       # after the end: one more CRLF at most

cdef int64_t FRAME = 1 << 20           # the size of the chunks we write: 15 bytes of framing per MiB
cdef Py_ssize_t MAX_TRAILERS = 8
cdef bytes EMPTY_SHA256 = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
cdef str MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)


cdef object malformed(str what):
    return Fault(FaultCode.INVALID_REQUEST, f"The aws-chunked body is malformed: {what}.")


cdef object wrong_length(int64_t expected, int64_t provided):
    """``provided``: what the chunks have in all, -1 while that is not known."""
    cdef tuple fields = ()
    if provided >= 0:
        fields = (("NumberBytesExpected", str(expected)), ("NumberBytesProvided", str(provided)))
    return Fault(
        FaultCode.INCOMPLETE_BODY,
        "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header.",
        fields,
    )


cdef bytes hex_text(const uint8_t *digits):
    return PyBytes_FromStringAndSize(<const char *>digits, 64)


cdef class ChunkedDecoder:
    """Takes an aws-chunked body in any split and gives out the data in it.

    ``context``: the verified request whose signature starts the chain; None leaves signatures unchecked. A chunk's
    signature is checked when its last byte has come and before that byte is given out, so a body is never whole
    before all its signatures were right. Any error is final.
    """

    def __init__(
        self,
        int64_t decoded_length,
        *,
        bint signed_chunks=False,
        bint signed_trailer=False,
        list trailer_names=None,
        SigningContext context=None,
    ):
        self.decoded_length = decoded_length
        self.trailers = []
        self._signed_chunks = signed_chunks
        self._signed_trailer = signed_trailer
        self._names = [] if trailer_names is None else trailer_names
        self._state = CHUNK_LINE
        if context is not None and signed_chunks:
            self._context = context
            self._sha256 = Sha256.__new__(Sha256)
            memcpy(self._previous, context.seed, 64)

    cdef Py_ssize_t step(
        self, const uint8_t *data, Py_ssize_t size, const uint8_t **span, Py_ssize_t *span_size
    ) except -1:
        """Consume up to ``size`` (> 0) bytes; returns how many, at least 1, and points ``span`` at decoded bytes.

        The span borrows from ``data`` and is often empty. Call again while bytes are left.
        """
        cdef Py_ssize_t taken
        cdef uint8_t wanted
        span[0] = NULL
        span_size[0] = 0
        if self._state == DATA:
            taken = size if size < self._left else <Py_ssize_t>self._left
            if self._context is not None:
                self._sha256.update(data, taken)
            self._left -= taken
            if self._left == 0:
                self._check_chunk()
                self._state = DATA_END
                self._line_size = 0
            span[0] = data
            span_size[0] = taken
            return taken
        if self._state == DATA_END or self._state == EPILOGUE:
            wanted = c"\r" if self._line_size == 0 else c"\n"
            if data[0] != wanted or self._line_size == 2:
                raise malformed(
                    "data goes on beyond the size of its chunk" if self._state == DATA_END else "bytes follow its end"
                )
            self._line_size += 1
            if self._line_size == 2 and self._state == DATA_END:
                self._state = CHUNK_LINE
                self._line_size = 0
            return 1
        if self._take_line(data, size, &taken):
            if self._state == CHUNK_LINE:
                self._chunk_line()
            else:
                self._trailer_line()
        return taken

    cdef int finish(self) except -1:
        """The body has ended: raise INCOMPLETE_BODY unless it was whole."""
        if not self.done or self._line_size == 1:
            raise Fault(FaultCode.INCOMPLETE_BODY, "The request body terminated unexpectedly.")
        return 0

    cdef bint _take_line(self, const uint8_t *data, Py_ssize_t size, Py_ssize_t *taken) except -1:
        """Gather a line up to LF; true when it is whole, then without LF in ``_line``."""
        cdef const uint8_t *end = <const uint8_t *>memchr(data, c"\n", size)
        cdef Py_ssize_t part = size if end is NULL else end - data
        if self._line_size + part > MAX_LINE:
            raise malformed("a chunk's or trailer's line is too long")
        memcpy(self._line + self._line_size, data, part)
        self._line_size += part
        taken[0] = part if end is NULL else part + 1
        return end is not NULL

    cdef int _chunk_line(self) except -1:
        cdef Py_ssize_t size = self._line_size - 1, at = 0, stop
        cdef int64_t chunk = 0
        cdef int digit
        cdef bint claimed = False
        self._line_size = 0
        if size < 0 or self._line[size] != c"\r":
            raise malformed("a chunk's line does not end in CR LF")
        while at < size:
            digit = s3d_hex_value(self._line[at])
            if digit < 0:
                break
            # chunk * 16 + digit > what is left, said so that it cannot overflow.
            if chunk > (self.decoded_length - self._announced - digit) >> 4:
                raise wrong_length(self.decoded_length, -1)
            chunk = chunk * 16 + digit
            at += 1
        if at == 0 or at > 32:
            raise malformed("a chunk has no valid size")
        while at < size:
            if self._line[at] != c";":
                raise malformed("a chunk has no valid size")
            at += 1
            stop = at
            while stop < size and self._line[stop] != c";":
                stop += 1
            # Other extensions have no meaning to us and are passed over (RFC 9112 §7.1.1).
            if stop - at >= 16 and memcmp(self._line + at, b"chunk-signature=", 16) == 0:
                if claimed or stop - at != 16 + 64:
                    raise Fault(FaultCode.SIGNATURE_DOES_NOT_MATCH, MISMATCH)
                claimed = True
                memcpy(self._claimed, self._line + at + 16, 64)
            at = stop
        if self._signed_chunks and not claimed:
            raise malformed("a chunk bears no signature")
        self._announced += chunk
        self._left = chunk
        if chunk:
            self._state = DATA
            return 0
        if self._announced != self.decoded_length:
            raise wrong_length(self.decoded_length, self._announced)
        self._check_chunk()
        self._state = TRAILER
        return 0

    cdef int _trailer_line(self) except -1:
        cdef Py_ssize_t size = self._line_size
        cdef bytes line, name, value
        self._line_size = 0
        if size and self._line[size - 1] == c"\r":
            size -= 1
        if size == 0:
            if self._signed_trailer and self._trailer_signature is None:
                if self._blank_seen:
                    raise Fault(FaultCode.MALFORMED_TRAILER, "The trailer bears no x-amz-trailer-signature.")
                self._blank_seen = True
                return 0
            for name in self._names:
                if name not in [trailer[0] for trailer in self.trailers]:
                    raise Fault(
                        FaultCode.MALFORMED_TRAILER, f"The trailer {name.decode()} that x-amz-trailer names is missing."
                    )
            self._check_trailer()
            self.done = True
            self._state = EPILOGUE
            return 0
        line = PyBytes_FromStringAndSize(<const char *>self._line, size)
        name, colon, value = line.partition(b":")
        name = name.lower()
        value = value.strip(b" \t")
        if not colon or self._trailer_signature is not None:
            raise Fault(FaultCode.MALFORMED_TRAILER, "The trailer is malformed.")
        if name == b"x-amz-trailer-signature" and self._signed_trailer:
            self._trailer_signature = value
            return 0
        if name not in self._names or name in [trailer[0] for trailer in self.trailers]:
            raise Fault(FaultCode.MALFORMED_TRAILER, "The trailer does not agree with the x-amz-trailer header.")
        if self._blank_seen or len(self.trailers) >= MAX_TRAILERS:
            raise Fault(FaultCode.MALFORMED_TRAILER, "The trailer is malformed.")
        for byte in value:
            if byte < 0x20 or byte > 0x7e:
                raise Fault(FaultCode.MALFORMED_TRAILER, "The trailer is malformed.")
        self.trailers.append((name, value))
        return 0

    cdef int _check_chunk(self) except -1:
        """Check the signature of the chunk whose data has just been complete; it becomes the next one's seed."""
        cdef uint8_t digest[32]
        cdef uint8_t digits[64]
        cdef uint8_t signature[64]
        cdef bytes text
        if self._context is None:
            return 0
        self._sha256.final(digest)
        self._sha256.reset()
        s3d_hex32(digest, digits)
        text = b"AWS4-HMAC-SHA256-PAYLOAD\n%b\n%b\n%b\n%b\n%b" % (
            self._context.timestamp, self._context.key.scope, hex_text(self._previous), EMPTY_SHA256, hex_text(digits)
        )
        self._context.key.sign(<const uint8_t *><const char *>text, len(text), signature)
        if not s3d_equal_constant_time(signature, self._claimed, 64):
            raise self._mismatch(text, hex_text(self._claimed))
        memcpy(self._previous, signature, 64)
        return 0

    cdef int _check_trailer(self) except -1:
        cdef uint8_t digest[32]
        cdef uint8_t digits[64]
        cdef uint8_t signature[64]
        cdef bytes text, canonical
        if self._context is None or not self._signed_trailer:
            return 0
        canonical = b"".join([b"%b:%b\n" % trailer for trailer in self.trailers])
        self._sha256.update(<const uint8_t *><const char *>canonical, len(canonical))
        self._sha256.final(digest)
        s3d_hex32(digest, digits)
        text = b"AWS4-HMAC-SHA256-TRAILER\n%b\n%b\n%b\n%b" % (
            self._context.timestamp, self._context.key.scope, hex_text(self._previous), hex_text(digits)
        )
        self._context.key.sign(<const uint8_t *><const char *>text, len(text), signature)
        if len(self._trailer_signature) != 64 or not s3d_equal_constant_time(
            signature, <const uint8_t *><const char *>self._trailer_signature, 64
        ):
            raise self._mismatch(text, self._trailer_signature)
        return 0

    cdef object _mismatch(self, bytes string_to_sign, bytes provided):
        return Fault(
            FaultCode.SIGNATURE_DOES_NOT_MATCH,
            MISMATCH,
            (
                ("AWSAccessKeyId", self._context.credentials.access_key),
                ("StringToSign", string_to_sign),
                ("SignatureProvided", provided),
                ("StringToSignBytes", string_to_sign.hex(" ")),
            ),
        )

    def decode(self, bytes data not None) -> bytes:
        """Take in the next piece of the body and return the data in it."""
        cdef const uint8_t *at = <const uint8_t *><const char *>data
        cdef const uint8_t *span
        cdef Py_ssize_t left = len(data), taken, size
        cdef list spans = []
        while left:
            taken = self.step(at, left, &span, &size)
            if size:
                spans.append(PyBytes_FromStringAndSize(<const char *>span, size))
            at += taken
            left -= taken
        return b"".join(spans)

    def close(self) -> None:
        """The body has ended; Fault INCOMPLETE_BODY unless it was whole."""
        self.finish()


cdef class Framer:
    """Writes a body of known length as STREAMING-UNSIGNED-PAYLOAD-TRAILER, its spans as they pass, uncopied.

    Chunks have 1 MiB each, the last the remainder, so that the encoded length is known before the first byte.
    ``trailer_bytes``: what the trailer's lines will take, with their CR LF.
    """

    def __init__(self, int64_t decoded_length, int64_t trailer_bytes):
        cdef int64_t whole = decoded_length // FRAME, rest = decoded_length % FRAME, size = rest
        self.decoded_length = decoded_length
        self.encoded_length = whole * (FRAME + 10) + 3 + trailer_bytes + 2  # 10: "100000" and two CR LF
        if rest:
            self.encoded_length += rest + 4
            while size:
                self.encoded_length += 1
                size >>= 4

    cdef int write(self, Stage down, const uint8_t *data, Py_ssize_t size) except -1:
        """Pass a span on to ``down``; stops early if that was cancelled."""
        cdef char line[24]
        cdef Py_ssize_t part
        cdef int line_size
        while size:
            if self._left == 0:
                self._left = min(FRAME, self.decoded_length - self._written)
                # The end of the chunk before goes with the line of the next: one small write instead of two.
                line_size = snprintf(
                    line, sizeof(line), b"%s%llx\r\n", b"\r\n" if self._written else b"", <unsigned long long>self._left
                )
                down.write(<const uint8_t *>line, line_size)
                if down.up is None:
                    return 0
            part = size if size < self._left else <Py_ssize_t>self._left
            if part <= 0:
                # More than announced: what was sent upstream could not be completed.
                raise wrong_length(self.decoded_length, -1)
            down.write(data, part)
            if down.up is None:
                return 0
            self._written += part
            self._left -= part
            data += part
            size -= part
        return 0

    cdef int finish(self, Stage down, list trailers) except -1:
        """Close the last chunk and write the trailer."""
        cdef bytes end = b"\r\n0\r\n" if self._written else b"0\r\n"
        end += b"".join([b"%b:%b\r\n" % trailer for trailer in trailers]) + b"\r\n"
        return down.write(<const uint8_t *><const char *>end, len(end))
