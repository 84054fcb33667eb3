"""The stage between a client's body and the remote's request: what comes out of it was verified.

The stage decodes aws-chunked bodies, computes the digests that the client announced and holds the end of the body
back until all of them, every chunk's signature and the trailer proved right. The remote therefore never sees the last
bytes of a bad body, and cannot acknowledge it: a request that breaks off before its Content-Length is no upload.

Held is the span that completes the body, at most `MAX_HELD` bytes of it. When the proof arrives in the same write, as
it always does for a plain Content-Length body and mostly for a small aws-chunked one, nothing is copied.

A body that came with a trailer goes on as STREAMING-UNSIGNED-PAYLOAD-TRAILER with the same trailer, so that the remote
checks the client's own checksum over what it stored; any other goes on plain. A body to keep (``keep``) always goes on
plain, and has ``checksum`` made if it brought none: S3 stores CRC64NVME with an object whose client chose none.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from s3d._core.awschunked cimport ChunkedDecoder, Framer
from s3d._core.digest cimport Algorithm, Digests, checksum_algorithm, checksum_value_size
from s3d._core.fault cimport Fault, FaultCode
from s3d._core.request cimport Request
from s3d._core.sigv4 cimport SigningContext
from s3d._core.spool cimport Spool
from s3d._core.stage cimport Stage

cdef Py_ssize_t MAX_HELD = 16384       # small enough for thousands of uploads at once, large enough to fill a packet
cdef Py_ssize_t SMALLEST_END = 5       # "0\r\n\r\n": what an aws-chunked body has beyond its data, at the least

cdef bytes EMPTY_SHA256 = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
cdef bytes UNSIGNED_PAYLOAD = b"UNSIGNED-PAYLOAD"
cdef bytes UNSIGNED_TRAILER = b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"
cdef bytes SIGNED_CHUNKS = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
cdef bytes SIGNED_CHUNKS_TRAILER = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
cdef frozenset ABOUT_CHECKSUMS = frozenset((
    b"x-amz-checksum-algorithm", b"x-amz-checksum-type", b"x-amz-checksum-mode",
))
cdef str BAD_PAYLOAD_HASH = (
    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, "
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 "
    "value."
)


cdef class Upload(Stage):
    """Decodes, verifies and passes on one body; made by `plan_upload`.

    Raises Fault out of ``write`` or ``finish`` for a body that is not what the request said. When `decoded_length` is
    0 and the body plain, the stage has nothing to do: it is `verified` from the start.
    """

    def __dealloc__(self):
        free(self._held)

    @property
    def checksums(self):
        """{Algorithm: digest} of the additional checksum, most significant byte first; only once `verified`.

        It is what the client announced in a header or trailer; else, of a body to keep, CRC64NVME; else empty.
        """
        return self.digests.additional() if self.verified and self.digests is not None else {}

    cdef int connect(self, Stage down) except -1:
        """As any stage; but a Spool below, which computes the MD5 anyway, also compares it with Content-MD5."""
        cdef Spool spool
        cdef bytes md5
        if isinstance(down, Spool) and self.digests is not None and not self.verified and self._received == 0:
            md5 = self.digests.give_up_md5()
            if md5 is not None:
                spool = <Spool>down
                spool.expected_md5 = md5
        return Stage.connect(self, down)

    cdef int write(self, const uint8_t *data, Py_ssize_t size) except -1:
        cdef const uint8_t *span
        cdef const uint8_t *last = NULL
        cdef Py_ssize_t taken, span_size, last_size = 0
        if self.down is None or size == 0:
            return 0
        if self._wire_left >= 0:
            if size > self._wire_left:
                # What is too much is refused after what is not, so that a body ends alike in any split.
                self.write(data, <Py_ssize_t>self._wire_left)
                raise Fault(FaultCode.INCOMPLETE_BODY, "The body is longer than its Content-Length.")
            self._wire_left -= size
        if self.decoder is None:
            self._take(data, size)
            if self._received < self.decoded_length:
                return self._pass(data, size)
            last, last_size = data, size
        else:
            while size:
                taken = self.decoder.step(data, size, &span, &span_size)
                data += taken
                size -= taken
                if span_size == 0:
                    continue
                self._take(span, span_size)
                if self._received < self.decoded_length:
                    self._pass(span, span_size)
                    if self.down is None:
                        return 0
                else:
                    last, last_size = span, span_size
        if self._wire_left == 0 and (self.decoder is None or self.decoder.done):
            return self._release(last, last_size)
        if last_size:
            return self._hold(last, last_size)
        return 0

    cdef object passage(self):
        if self.down is None or self.digests is not None or self.decoder is not None or self.framer is not None:
            return None
        return self.down.passage()

    cdef int passed(self, int64_t size) except -1:
        self._received += size
        self._wire_left -= size
        return self.down.passed(size)

    cdef int finish(self) except -1:
        if self.down is None:
            return 0
        if self.decoder is not None:
            self.decoder.finish()
        if self._received != self.decoded_length or self._wire_left > 0:
            raise Fault(FaultCode.INCOMPLETE_BODY, "The request body terminated unexpectedly.")
        if not self.verified:
            self._release(NULL, 0)
            if self.down is None:
                return 0
        return Stage.finish(self)

    cdef int fail(self, object error) except -1:
        self._drop_held()
        return Stage.fail(self, error)

    cdef int cancel(self, object error) except -1:
        # The held bytes stay until the stage goes: this may be called out of the write that is passing them on.
        return Stage.cancel(self, error)

    cdef int _take(self, const uint8_t *data, Py_ssize_t size) except -1:
        """Count and hash decoded bytes."""
        if size > self.decoded_length - self._received:
            raise Fault(FaultCode.INCOMPLETE_BODY, "The body is longer than the length announced for it.")
        self._received += size
        if self.digests is not None:
            self.digests.update(data, size)
        return 0

    cdef int _pass(self, const uint8_t *data, Py_ssize_t size) except -1:
        cdef Stage down = self.down  # keeps it alive while it may cancel us
        if self.framer is not None:
            return self.framer.write(down, data, size)
        return down.write(data, size)

    cdef int _hold(self, const uint8_t *data, Py_ssize_t size) except -1:
        """Keep the end of the body, which ``data`` borrows; what is too much for that goes on now."""
        if size > MAX_HELD:
            self._pass(data, size - MAX_HELD)
            if self.down is None:
                return 0
            data += size - MAX_HELD
            size = MAX_HELD
        self._held = <uint8_t *>malloc(size)
        if self._held is NULL:
            raise MemoryError
        memcpy(self._held, data, size)
        self._held_size = size
        return 0

    cdef int _verify(self) except -1:
        if self.digests is not None:
            if self.decoder is not None:
                for name, value in self.decoder.trailers:
                    self.digests.expect_checksum(name, value)
            self.digests.verify()
        self.verified = True
        return 0

    cdef int _release(self, const uint8_t *data, Py_ssize_t size) except -1:
        """Everything has come: verify it, then pass on the end, which is ``data`` or what was held."""
        cdef Stage down = self.down
        self._verify()
        if size:
            self._pass(data, size)
        elif self._held_size:
            self._pass(self._held, self._held_size)
        if self.framer is not None and self.down is not None:
            self.framer.finish(down, self.decoder.trailers)
        return self._drop_held()

    cdef int _drop_held(self) except -1:
        free(self._held)
        self._held = NULL
        self._held_size = 0
        return 0


cpdef Upload plan_upload(Request request, int64_t max_size, SigningContext context, bint keep=False,
                         int checksum=Algorithm.CRC64NVME):
    """The stage that the body of ``request`` has to go through; `Request.body` is not touched.

    ``max_size``: bytes that the decoded body may have. ``context``: the request's verified signature, None if none
    was checked; chunk signatures are then read over.

    Raises Fault at once for what the head alone shows to be wrong: MISSING_CONTENT_LENGTH, ENTITY_TOO_LARGE,
    INVALID_DIGEST, INVALID_ARGUMENT, INVALID_REQUEST, NOT_IMPLEMENTED; and, when the body is empty, for every
    expectation that an empty body does not meet.
    """
    cdef Upload upload = Upload.__new__(Upload)
    cdef tuple pair
    cdef bytes name, payload = None, encoding = None, decoded_text = None
    cdef list trailer_names = []
    cdef int64_t decoded_length = request.content_length
    cdef bint signed_chunks, signed_trailer, chunked, checksums, announced = False
    cdef int64_t trailer_bytes = 0
    for pair in request.headers:
        name = <bytes>pair[0]
        if name == b"x-amz-content-sha256":
            payload = <bytes>pair[1] if payload is None else payload
        elif name == b"content-encoding":
            encoding = <bytes>pair[1] if encoding is None else encoding + b"," + <bytes>pair[1]
        elif name == b"x-amz-decoded-content-length":
            decoded_text = <bytes>pair[1] if decoded_text is None else b"?"
        elif name == b"x-amz-trailer":
            trailer_names += [part.strip().lower() for part in (<bytes>pair[1]).split(b",")]
        elif name == b"content-md5" or name.startswith(b"x-amz-checksum-") or name == b"x-amz-sdk-checksum-algorithm":
            announced = True
            if keep and name.startswith(b"x-amz-checksum-") and name not in ABOUT_CHECKSUMS:
                # Whoever sends it believes that the body is held against it. A remote may know more than we do.
                if checksum_algorithm(name) < 0:
                    raise Fault(
                        FaultCode.INVALID_REQUEST,
                        "The algorithm type you specified in x-amz-checksum- header is invalid.",
                    )
    if payload is None and context is not None:
        payload = context.payload_hash
    if payload is None:
        payload = UNSIGNED_PAYLOAD
    signed_trailer = payload == SIGNED_CHUNKS_TRAILER
    signed_chunks = signed_trailer or payload == SIGNED_CHUNKS
    chunked = signed_chunks or payload == UNSIGNED_TRAILER
    if not chunked:
        if payload.startswith(b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"):
            raise Fault(FaultCode.NOT_IMPLEMENTED, "Signature Version 4A (ECDSA) is not supported.")
        if payload == UNSIGNED_PAYLOAD:
            # Unsigned and presigned requests do not name the framing in x-amz-content-sha256.
            chunked = decoded_text is not None and encoding is not None and b"aws-chunked" in split_list(encoding)
        elif not is_sha256(payload):
            raise Fault(
                FaultCode.INVALID_ARGUMENT,
                BAD_PAYLOAD_HASH,
                (("ArgumentName", "x-amz-content-sha256"), ("ArgumentValue", payload)),
            )

    if decoded_text is not None:
        if not decoded_text.isdigit() or len(decoded_text) > 18:
            raise Fault(FaultCode.INVALID_ARGUMENT, "Value for x-amz-decoded-content-length header is invalid.")
        decoded_length = int(decoded_text)
        if chunked:
            if 0 <= request.content_length < decoded_length + SMALLEST_END:
                raise Fault(FaultCode.INCOMPLETE_BODY, "Content-Length is too small for x-amz-decoded-content-length.")
        elif 0 <= request.content_length != decoded_length:
            raise Fault(FaultCode.INVALID_ARGUMENT, "x-amz-decoded-content-length and Content-Length differ.")
    elif chunked or decoded_length < 0:
        raise Fault(FaultCode.MISSING_CONTENT_LENGTH, "You must provide the Content-Length HTTP header.")
    if decoded_length > max_size:
        raise Fault(
            FaultCode.ENTITY_TOO_LARGE,
            "Your proposed upload exceeds the maximum allowed size",
            (("ProposedSize", str(decoded_length)), ("MaxSizeAllowed", str(max_size))),
        )

    if trailer_names and (not chunked or payload == SIGNED_CHUNKS):
        raise Fault(FaultCode.INVALID_REQUEST, "x-amz-trailer needs a payload that ends in a trailer.")
    for name in trailer_names:
        if checksum_algorithm(name) < 0:
            raise Fault(FaultCode.INVALID_REQUEST, "The value specified in the x-amz-trailer header is not supported")
        trailer_bytes += len(name) + 1 + checksum_value_size(checksum_algorithm(name)) + 2

    # The checksum headers of CompleteMultipartUpload speak of the object that comes into being, not of the body.
    checksums = not (request.method == b"POST" and has_upload_id(request.query))
    if announced or trailer_names:
        upload.digests = Digests.__new__(Digests)
        upload.digests.expect_headers(request, checksums, trailer_names)
    # Most requests have no body and say so by its hash, which is then known to be right.
    if not chunked and payload != UNSIGNED_PAYLOAD and (request.content_length != 0 or payload != EMPTY_SHA256):
        if upload.digests is None:
            upload.digests = Digests.__new__(Digests)
        upload.digests.expect_sha256(payload)
    if context is not None and context.payload_hash != payload and is_sha256(context.payload_hash):
        if upload.digests is None:
            upload.digests = Digests.__new__(Digests)
        upload.digests.expect_sha256(context.payload_hash)  # a presigned URL may sign one in its query
    if keep:
        if upload.digests is None:
            upload.digests = Digests.__new__(Digests)
        if upload.digests._checksum < 0:
            upload.digests._checksum = checksum
            upload.digests.add(checksum)
    if upload.digests is not None and upload.digests._wanted == 0:
        upload.digests = None

    upload.decoded_length = decoded_length
    upload.forward_length = decoded_length
    upload._wire_left = request.content_length
    upload.changes = []
    upload.payload_hash = UNSIGNED_PAYLOAD
    if chunked:
        upload.decoder = ChunkedDecoder(
            decoded_length,
            signed_chunks=signed_chunks,
            signed_trailer=signed_trailer,
            trailer_names=trailer_names,
            context=context,
        )
        rest = [coding for coding in split_list(encoding or b"") if coding != b"aws-chunked"]
        if trailer_names and not keep:
            upload.framer = Framer(decoded_length, trailer_bytes)
            upload.forward_length = upload.framer.encoded_length
            upload.payload_hash = UNSIGNED_TRAILER
            upload.changes.append((b"content-encoding", b",".join([b"aws-chunked", *rest])))
            upload.changes.append((b"x-amz-decoded-content-length", b"%d" % decoded_length))
            upload.changes.append((b"x-amz-trailer", b",".join(trailer_names)))
            return upload
        upload.changes.append((b"content-encoding", b",".join(rest) if rest else None))
    elif is_sha256(payload):
        upload.payload_hash = payload
    if decoded_text is not None:
        upload.changes.append((b"x-amz-decoded-content-length", None))
    if decoded_length == 0:
        upload.payload_hash = EMPTY_SHA256
        if not chunked and request.content_length == 0:
            upload._verify()
    return upload


cdef list split_list(bytes value):
    """The members of a comma-separated header, lower case, without blanks and empty ones (RFC 9110 §5.6.1)."""
    return [part.strip().lower() for part in value.split(b",") if part.strip()]


cdef bint is_sha256(bytes value) except -1:
    cdef const uint8_t *digits = <const uint8_t *>PyBytes_AS_STRING(value)
    cdef Py_ssize_t i
    if len(value) != 64:
        return False
    for i in range(64):
        if not (c"0" <= digits[i] <= c"9" or c"a" <= digits[i] <= c"f"):
            return False
    return True


cdef bint has_upload_id(bytes query) except -1:
    return b"uploadId" in query and any([part.startswith(b"uploadId=") for part in query.split(b"&")])
