"""What a request says of the object or part that it makes, and what is kept of its body."""

from __future__ import annotations

from operator import itemgetter

from s3d._core.digest import Algorithm
from s3d._core.request import Request
from s3d._core.sigv4 import SigningContext
from s3d._core.upload import Upload as BodyUpload
from s3d._core.upload import plan_upload
from s3d.gateway.local.house import Header, House
from s3d.index.records import Checksum
from s3d.objects.engine import Draft
from s3d.s3 import checksums, metadata, names, tags, uploads
from s3d.s3.bodies import need_length

# Headers that say nothing of the object a request makes; one with these alone needs no closer look.
_SILENT = frozenset((
    b"accept", b"accept-encoding", b"amz-sdk-invocation-id", b"amz-sdk-request", b"authorization", b"connection",
    b"content-length", b"content-md5", b"date", b"expect", b"host", b"if-match", b"if-none-match", b"user-agent",
    b"x-amz-content-sha256", b"x-amz-date", b"x-amz-security-token", b"x-amz-user-agent",
))  # fmt: skip
_DEFAULT_HEADERS = metadata.stored_headers(())
_name_of = itemgetter(0)


def draft_of(request: Request, house: House) -> Draft:
    """What a request says of the object it makes; refuses what is not supported or not allowed."""
    owner = house.owner_id
    if _SILENT.issuperset(map(_name_of, request.headers)):
        return Draft(_DEFAULT_HEADERS, (), owner)
    metadata.check_supported(request.headers, encryption=house.encryption)
    if metadata.asks_encryption(request.headers):
        house.note_encryption()
    tagging = request.header(b"x-amz-tagging")
    return Draft(
        metadata.stored_headers(request.headers),
        tags.parse_tagging_header(tagging) if tagging is not None else (),
        owner,
        metadata.storage_class(request.headers),
    )


def plan_body(request: Request, context: SigningContext | None, max_size: int, algorithm: str = "") -> BodyUpload:
    """How the body of an object or part is to be decoded and verified; ``algorithm`` of the checksum to keep."""
    need_length(request)
    wanted = checksums.ALGORITHMS[algorithm] if algorithm else Algorithm.CRC64NVME
    # 5 GiB is the most that S3 takes at once, of an object or a part.
    return plan_upload(request, min(max_size, uploads.MAX_PART_BYTES), context, keep=True, checksum=wanted)


def checksum_of(upload: BodyUpload) -> Checksum | None:
    """The checksum to keep of a body: the client's own, or the one that was computed for want of it."""
    for algorithm, digest in upload.checksums.items():
        return Checksum(algorithm.name, checksums.to_text(digest))
    return None


def checksum_headers(checksum: Checksum) -> list[Header]:
    """A checksum as its two headers."""
    return checksums.checksum_headers(checksum.algorithm, checksum.value, checksum.kind)


def copy_source(request: Request) -> tuple[str, bytes]:
    """Bucket and key that a copy takes from."""
    source = names.parse_copy_source(request.header(b"x-amz-copy-source") or b"")
    names.check_version(source.version, source.key)
    return source.bucket, source.key
