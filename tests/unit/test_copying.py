"""What a copy takes over."""

from __future__ import annotations

import pytest

from s3d.s3.copying import check_copy_size, check_onto_itself, copied_headers, replaces_tags
from s3d.s3.errors import S3Error

SOURCE = [
    (b"content-type", b"audio/ogg"), (b"x-amz-website-redirect-location", b"/old"), (b"x-amz-meta-key1", b"value1"),
]  # fmt: skip
REPLACE = (b"x-amz-metadata-directive", b"REPLACE")


def test_a_copy_has_its_sources_metadata() -> None:
    assert copied_headers([(b"content-type", b"text/plain"), (b"x-amz-meta-key2", b"v")], SOURCE) == (
        (b"content-type", b"audio/ogg"),
        (b"x-amz-meta-key1", b"value1"),
    )


def test_a_copy_has_a_redirect_of_its_own() -> None:
    headers = [(b"x-amz-website-redirect-location", b"/new")]
    assert dict(copied_headers(headers, SOURCE))[b"x-amz-website-redirect-location"] == b"/new"


def test_a_copy_may_replace_all_metadata() -> None:
    assert copied_headers([REPLACE, (b"x-amz-meta-key3", b"value3")], SOURCE) == (
        (b"content-type", b"binary/octet-stream"),
        (b"x-amz-meta-key3", b"value3"),
    )


@pytest.mark.parametrize(
    "header", [REPLACE, (b"x-amz-storage-class", b"STANDARD_IA"), (b"x-amz-website-redirect-location", b"/x")]
)
def test_a_copy_onto_itself_that_changes_something_passes(header: tuple[bytes, bytes]) -> None:
    check_onto_itself([header])


def test_a_copy_onto_itself_that_changes_nothing_is_illegal() -> None:
    with pytest.raises(S3Error) as error:
        check_onto_itself([(b"x-amz-metadata-directive", b"COPY"), (b"x-amz-tagging-directive", b"REPLACE")])
    assert (error.value.code, error.value.status) == ("InvalidRequest", 400)


@pytest.mark.parametrize(("value", "replaces"), [(b"REPLACE", True), (b"COPY", False)])
def test_tags_are_replaced_when_asked(value: bytes, replaces: bool) -> None:
    assert replaces_tags([(b"x-amz-tagging-directive", value)]) is replaces


def test_five_gibibytes_are_copied_at_most() -> None:
    check_copy_size(5 * 2**30)
    with pytest.raises(S3Error) as error:
        check_copy_size(5 * 2**30 + 1)
    assert error.value.code == "InvalidRequest"
