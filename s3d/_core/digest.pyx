"""Digests of a body as it passes, and what the client said they would be.

Sources: "Checking object integrity" in the Amazon S3 user guide; RFC 1864 for Content-MD5. A checksum's value is the
base64 of its bytes, most significant first.

CRC32C and CRC64NVME come from awscrt (17 and 9 GB/s at 64 KiB on the machine they were chosen on), CRC32 from zlib,
which is as fast there as awscrt's and costs a third per call; the XXH family from xxhash, since awscrt's objects take
no memoryview; SHA-256 from `native_sha256.h` where the CPU has instructions for it; the rest from hashlib.
"""

import hashlib
import zlib
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

import xxhash
from awscrt import checksums

from cpython.buffer cimport PyBUF_READ
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport uint8_t

from s3d._core.fault cimport Fault, FaultCode
from s3d._core.request cimport Request
from s3d._core.sigv4 cimport (
    s3d_sha256,
    s3d_sha256_accelerated,
    s3d_sha256_final,
    s3d_sha256_init,
    s3d_sha256_update,
)

# Algorithm: (name in x-amz-checksum-…, name in messages, digest size in bytes)
cdef tuple ALGORITHMS = (
    (b"md5", "MD5", 16),
    (b"sha1", "SHA1", 20),
    (b"sha256", "SHA256", 32),
    (b"sha512", "SHA512", 64),
    (b"crc32", "CRC32", 4),
    (b"crc32c", "CRC32C", 4),
    (b"crc64nvme", "CRC64NVME", 8),
    (b"xxhash64", "XXHASH64", 8),
    (b"xxhash3", "XXHASH3", 8),
    (b"xxhash128", "XXHASH128", 16),
)
cdef dict BY_HEADER = {b"x-amz-checksum-" + row[0]: index for index, row in enumerate(ALGORITHMS)}
cdef dict BY_NAME = {row[0]: index for index, row in enumerate(ALGORITHMS)}
cdef dict MAKERS = {
    <int>Algorithm.MD5: lambda: hashlib.md5(usedforsecurity=False),
    <int>Algorithm.SHA1: lambda: hashlib.sha1(usedforsecurity=False),
    <int>Algorithm.SHA512: hashlib.sha512,
    <int>Algorithm.XXHASH64: xxhash.xxh64,
    <int>Algorithm.XXHASH3: xxhash.xxh3_64,
    <int>Algorithm.XXHASH128: xxhash.xxh3_128,
}
cdef object crc32 = zlib.crc32
cdef object crc32c = checksums.crc32c
cdef object crc64nvme = checksums.crc64nvme

cdef str ONE_CHECKSUM = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."


cdef int checksum_algorithm(bytes name) except -2:
    """The Algorithm of a header x-amz-checksum-…, -1 for any other name."""
    found = BY_HEADER.get(name)
    return -1 if found is None else <int>found


cdef Py_ssize_t checksum_value_size(int algorithm) except -1:
    """The size of a checksum's value as text: its base64."""
    return (<Py_ssize_t>ALGORITHMS[algorithm][2] + 2) // 3 * 4


cdef class Sha256:
    """SHA-256 over spans: the CPU's instructions where it has them, else OpenSSL's vector code."""

    def __cinit__(self):
        self._use_native = s3d_sha256_accelerated()
        self.reset()

    cdef int reset(self) except -1:
        if self._use_native:
            s3d_sha256_init(&self._native, False)
        else:
            self._hashlib = hashlib.sha256()
        return 0

    cdef int update(self, const uint8_t *data, Py_ssize_t size) except -1:
        if self._use_native:
            s3d_sha256_update(&self._native, data, size)
        elif size:
            self._hashlib.update(PyMemoryView_FromMemory(<char *>data, size, PyBUF_READ))
        return 0

    cdef int final(self, uint8_t *digest) except -1:
        """Write the 32 bytes of the digest; `reset` before the next update."""
        cdef bytes made
        if self._use_native:
            s3d_sha256_final(&self._native, digest)
        else:
            made = self._hashlib.digest()
            for i in range(32):
                digest[i] = <uint8_t>made[i]
        return 0


cdef class Digests:
    """The digests of one body that somebody asked for, and the values they are to have.

    `add` and `expect…` first, then `update` with each span, then `verify` or `digest`, which end it.
    """

    def __cinit__(self):
        self._updaters = {}
        self._expected = []
        self._checksum = -1

    cdef int add(self, int algorithm) except -1:
        """Have ``algorithm`` computed; no effect if it already is."""
        if self._wanted >> algorithm & 1:
            return 0
        self._wanted |= 1u << algorithm
        if algorithm == Algorithm.SHA256:
            self._sha256 = Sha256.__new__(Sha256)
        elif algorithm in MAKERS:
            self._updaters[algorithm] = MAKERS[algorithm]()
        return 0

    cdef int update(self, const uint8_t *data, Py_ssize_t size) except -1:
        """Take in a span, borrowed for the call."""
        cdef unsigned int wanted = self._wanted
        if size == 0 or wanted == 0:
            return 0
        if wanted == 1u << Algorithm.SHA256:
            return self._sha256.update(data, size)
        # One view for all: none of those called keeps it, and it goes with this frame.
        view = PyMemoryView_FromMemory(<char *>data, size, PyBUF_READ)
        if wanted >> Algorithm.CRC32 & 1:
            self._crc32 = crc32(view, self._crc32)
        if wanted >> Algorithm.CRC32C & 1:
            self._crc32c = crc32c(view, self._crc32c)
        if wanted >> Algorithm.CRC64NVME & 1:
            self._crc64nvme = crc64nvme(view, self._crc64nvme)
        if wanted >> Algorithm.SHA256 & 1:
            self._sha256.update(data, size)
        for updater in self._updaters.values():
            updater.update(view)
        return 0

    cdef bytes digest(self, int algorithm):
        """The digest, most significant byte first; KeyError if it was not asked for."""
        cdef uint8_t sha256_bytes[32]
        if self._results is None:
            self._results = {}
            if self._wanted >> Algorithm.CRC32 & 1:
                self._results[<int>Algorithm.CRC32] = int(self._crc32).to_bytes(4, "big")
            if self._wanted >> Algorithm.CRC32C & 1:
                self._results[<int>Algorithm.CRC32C] = int(self._crc32c).to_bytes(4, "big")
            if self._wanted >> Algorithm.CRC64NVME & 1:
                self._results[<int>Algorithm.CRC64NVME] = int(self._crc64nvme).to_bytes(8, "big")
            if self._wanted >> Algorithm.SHA256 & 1:
                self._sha256.final(sha256_bytes)
                self._results[<int>Algorithm.SHA256] = PyBytes_FromStringAndSize(<const char *>sha256_bytes, 32)
            for key, updater in self._updaters.items():
                self._results[key] = updater.digest()
        return self._results[algorithm]

    cdef dict additional(self):
        """{Algorithm: digest} of the additional checksum, empty if there is none; ends the digests."""
        return {} if self._checksum < 0 else {Algorithm(self._checksum): self.digest(self._checksum)}

    cdef int expect(self, int algorithm, bytes digest, int source) except -1:
        """Have ``verify`` raise `digest_fault` unless the body's digest is ``digest``, as ``source`` says."""
        self.add(algorithm)
        self._expected.append((algorithm, digest, source))
        return 0

    cdef int expect_sha256(self, bytes payload_hash) except -1:
        """Expect the SHA-256 that x-amz-content-sha256 gave as 64 hexadecimal digits."""
        return self.expect(Algorithm.SHA256, bytes.fromhex(payload_hash.decode("ascii")), CONTENT_SHA256)

    cdef int expect_checksum(self, bytes name, bytes value) except -1:
        """Expect what header or trailer ``name``, an x-amz-checksum-… of ours, says."""
        cdef int algorithm = checksum_algorithm(name)
        cdef bytes digest = decode_base64(value)
        if digest is None or len(digest) != ALGORITHMS[algorithm][2]:
            raise Fault(FaultCode.INVALID_REQUEST, f"Value for {name.decode()} header is invalid.")
        return self.expect(algorithm, digest, CHECKSUM)

    cdef int expect_headers(self, Request request, bint with_checksums, list trailers) except -1:
        """Expect what Content-MD5 and, if ``with_checksums``, x-amz-checksum-… headers say.

        ``trailers`` are the names of the trailers to come; their values are expected when they have come. Raises
        INVALID_DIGEST or INVALID_REQUEST when the headers contradict each other or are malformed.
        """
        cdef tuple pair
        cdef bytes name, md5 = None, checksum = None, checksum_name = None, sdk = None
        cdef bytes digest
        for pair in request.headers:
            name = <bytes>pair[0]
            if name == b"content-md5":
                if md5 is not None:
                    raise Fault(FaultCode.INVALID_DIGEST, "The Content-MD5 you specified was invalid.")
                md5 = <bytes>pair[1]
            elif not with_checksums or not name.startswith(b"x-amz-"):
                continue
            elif name in BY_HEADER:
                if checksum is not None:
                    raise Fault(FaultCode.INVALID_REQUEST, ONE_CHECKSUM)
                checksum_name, checksum = name, <bytes>pair[1]
            elif name == b"x-amz-sdk-checksum-algorithm":
                sdk = <bytes>pair[1]
        if md5 is not None:
            digest = decode_base64(md5)
            if digest is None or len(digest) != 16:
                raise Fault(
                    FaultCode.INVALID_DIGEST, "The Content-MD5 you specified was invalid.", (("Content-MD5", md5),)
                )
            self.expect(Algorithm.MD5, digest, CONTENT_MD5)
        if len(trailers) + (checksum is not None) > 1:
            raise Fault(FaultCode.INVALID_REQUEST, ONE_CHECKSUM)
        if sdk is not None:
            algorithm = BY_NAME.get(sdk.lower())
            if algorithm is None:
                raise Fault(FaultCode.INVALID_REQUEST, "Value for x-amz-sdk-checksum-algorithm header is invalid.")
            named = checksum_name if checksum is not None else trailers[0] if trailers else None
            if named is None and md5 is None:
                raise Fault(
                    FaultCode.INVALID_REQUEST,
                    "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
                    "headers were found.",
                )
            if named is not None and BY_HEADER[named] != algorithm:
                raise Fault(FaultCode.INVALID_REQUEST, "Value for x-amz-sdk-checksum-algorithm header is invalid.")
        if checksum is not None:
            self._checksum = BY_HEADER[checksum_name]
            self.expect_checksum(checksum_name, checksum)
        for name in trailers:
            self._checksum = BY_HEADER[name]
            self.add(self._checksum)
        return 0

    cdef bytes give_up_md5(self):
        """An expected Content-MD5, decoded, which somebody else will check; None if there is none.

        Before the first update only.
        """
        cdef tuple row
        if self._checksum == Algorithm.MD5:
            return None
        for row in self._expected:
            if row[0] == Algorithm.MD5:
                self._expected.remove(row)
                self._wanted &= ~(1u << Algorithm.MD5)
                del self._updaters[<int>Algorithm.MD5]
                return <bytes>row[1]
        return None

    cdef int verify(self) except -1:
        """Raise BAD_DIGEST or CONTENT_SHA256_MISMATCH unless every expectation holds for what came."""
        cdef tuple row
        for row in self._expected:
            if self.digest(<int>row[0]) != row[1]:
                raise digest_fault(<int>row[2], <int>row[0], <bytes>row[1], self.digest(<int>row[0]))
        return 0


cdef object digest_fault(int source, int algorithm, bytes expected, bytes computed):
    """The Fault of a body whose digest is not what ``source`` said."""
    if source == CONTENT_SHA256:
        return Fault(
            FaultCode.CONTENT_SHA256_MISMATCH,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            (("ClientComputedContentSHA256", expected.hex()), ("S3ComputedContentSHA256", computed.hex())),
        )
    if source == CONTENT_MD5:
        # S3 gives the one in hexadecimal, the other in base64.
        return Fault(
            FaultCode.BAD_DIGEST,
            "The Content-MD5 you specified did not match what we received.",
            (("ExpectedDigest", expected.hex()), ("CalculatedDigest", b2a_base64(computed, newline=False))),
        )
    return Fault(
        FaultCode.BAD_DIGEST, f"The {ALGORITHMS[algorithm][1]} you specified did not match the calculated checksum."
    )


cdef bytes decode_base64(bytes value):
    """Strictly (RFC 4648 §4); None if malformed."""
    try:
        return a2b_base64(value, strict_mode=True)
    except Base64Error:
        return None


def sha256(const uint8_t[::1] data not None, bint portable=False) -> bytes:
    """SHA-256 by the kernel that signatures use; ``portable``: by the one for CPUs without instructions for it."""
    cdef s3d_sha256 ctx
    cdef uint8_t digest[32]
    s3d_sha256_init(&ctx, portable)
    if data.shape[0]:
        s3d_sha256_update(&ctx, &data[0], data.shape[0])
    s3d_sha256_final(&ctx, digest)
    return PyBytes_FromStringAndSize(<const char *>digest, 32)


def sha256_in_pieces(const uint8_t[::1] data not None, list cuts not None, bint native=True) -> bytes:
    """SHA-256 of ``data`` taken in at the offsets ``cuts``; ``native`` false: as on a CPU without instructions."""
    cdef Sha256 hasher = Sha256.__new__(Sha256)
    cdef uint8_t digest[32]
    cdef Py_ssize_t start = 0, stop
    if not native:
        hasher._use_native = False
        hasher.reset()
    for cut in sorted([*cuts, data.shape[0]]):
        stop = min(max(<Py_ssize_t>cut, start), data.shape[0])
        if stop > start:
            hasher.update(&data[start], stop - start)
        start = stop
    hasher.final(digest)
    return PyBytes_FromStringAndSize(<const char *>digest, 32)


def digests(const uint8_t[::1] data not None, list algorithms not None, Py_ssize_t piece=65536) -> dict:
    """The digests of ``data`` by each of ``algorithms``, taken in ``piece`` bytes at a time."""
    cdef Digests computed = Digests.__new__(Digests)
    cdef Py_ssize_t start = 0
    if piece < 1:
        raise ValueError("piece must be positive")
    for algorithm in algorithms:
        computed.add(Algorithm(algorithm))
    while start < data.shape[0]:
        computed.update(&data[start], min(piece, data.shape[0] - start))
        start += piece
    return {Algorithm(algorithm): computed.digest(algorithm) for algorithm in algorithms}
