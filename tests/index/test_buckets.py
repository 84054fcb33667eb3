"""Buckets are kept decoded; what changes one must show, to writers at once and to readers once it is durable."""

from __future__ import annotations

from s3d.index.records import Bucket
from tests.index.conftest import Rig

PLAIN = Bucket("shelf", 1)
TAGGED = Bucket("shelf", 1, tags=(("a", "b"),))


def known(rig: Rig) -> None:
    """Create the bucket, and have it kept by both kinds of reads."""
    rig.index.create_bucket(PLAIN)
    rig.flush()
    assert rig.index.bucket("shelf") == rig.index.written_bucket("shelf") == PLAIN


def test_a_replaced_bucket_shows_to_writers_at_once_and_to_readers_when_it_is_durable(rig: Rig) -> None:
    known(rig)
    rig.index.replace_bucket(TAGGED)
    assert rig.index.written_bucket("shelf") == TAGGED
    assert rig.index.bucket("shelf") == PLAIN
    rig.flush()
    assert rig.index.bucket("shelf") == TAGGED


def test_a_deleted_bucket_is_gone_for_writers_at_once_and_for_readers_when_that_is_durable(rig: Rig) -> None:
    known(rig)
    rig.index.delete_bucket("shelf")
    assert rig.index.written_bucket("shelf") is None
    assert rig.index.bucket("shelf") == PLAIN
    rig.flush()
    assert rig.index.bucket("shelf") is None


def test_a_bucket_that_was_asked_for_before_it_was_made_is_found_after(rig: Rig) -> None:
    assert rig.index.written_bucket("shelf") is rig.index.bucket("shelf") is None
    known(rig)


def test_an_index_that_was_opened_anew_keeps_no_bucket_of_before(rig: Rig) -> None:
    known(rig)
    rig.index.replace_bucket(TAGGED)
    rig.index.reopen()
    found = rig.index.bucket("shelf")
    assert found == rig.index.written_bucket("shelf")
    assert found in (PLAIN, TAGGED)
