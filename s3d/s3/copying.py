"""What a copied object takes over from its source, and from the request.

Source: CopyObject in the Amazon S3 API reference.
"""

from __future__ import annotations

from s3d.s3.errors import S3Error
from s3d.s3.metadata import Headers, directive, stored_headers

_REDIRECT = b"x-amz-website-redirect-location"
_SYSTEM_OF_ITS_OWN = (b"x-amz-storage-class", _REDIRECT)

MAX_COPY_BYTES = 5 * 2**30
"""What CopyObject copies at most; beyond it UploadPartCopy is to be used."""


def copied_headers(request_headers: Headers, source_headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
    """The metadata of a copy, whose source has ``source_headers``.

    With ``x-amz-metadata-directive: REPLACE`` they are the request's, as of any new object (`metadata.stored_headers`).
    Otherwise they are the source's, but for a website redirect, which is each object's own. Raises what that raises,
    and InvalidArgument for another directive.
    """
    own = stored_headers(request_headers)
    if directive(request_headers, b"x-amz-metadata-directive"):
        return own
    kept = [(name, value) for name, value in source_headers if name != _REDIRECT]
    return (*kept, *(pair for pair in own if pair[0] == _REDIRECT))


def replaces_tags(request_headers: Headers) -> bool:
    """Whether a copy has the request's tags (``x-amz-tagging-directive: REPLACE``) and not its source's."""
    return directive(request_headers, b"x-amz-tagging-directive")


def check_onto_itself(request_headers: Headers) -> None:
    """Raise InvalidRequest unless a copy of an object onto itself changes anything.

    New metadata do, a storage class or a website redirect.
    """
    if directive(request_headers, b"x-amz-metadata-directive"):
        return
    if any(name in _SYSTEM_OF_ITS_OWN for name, _ in request_headers):
        return
    raise S3Error(
        "InvalidRequest",
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
        "metadata, storage class, website redirect location or encryption attributes.",
    )


def check_copy_size(size_bytes: int) -> None:
    """Raise InvalidRequest where an object of ``size_bytes`` is too large for CopyObject."""
    if size_bytes > MAX_COPY_BYTES:
        raise S3Error(
            "InvalidRequest",
            f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_COPY_BYTES}",
        )
