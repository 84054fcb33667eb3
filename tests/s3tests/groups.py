"""The tests of ceph/s3-tests by what they are about: the groups that counts are given in."""

from __future__ import annotations

import re
from collections.abc import Iterable

# A test belongs to the first group whose pattern is found in its name (without "test_").
_PATTERNS: list[tuple[str, str]] = [
    ("signature v2", "_aws2$"),
    ("bucket logging", "bucket_logging|put_bucket_logging"),
    ("lifecycle", "lifecycle|delete_marker_expiration|restore_|read_through"),
    ("object lock", "object_lock|multipart_sse|retention|legal_hold"),
    ("forms", "post_object"),
    ("encryption", "sse|encrypt|_enc\\b|_enc_|kms|get_bucket_encryption"),
    ("cors", "cors"),
    ("policy", "polic|public|block_"),
    ("ownership", "ownership|owner_enforced|owner_preferred|object_writer"),
    ("versioning", "version|delete_marker|obj_suspended|put_obj_enable"),
    ("acl", "acl|grant|^access_bucket|anonymous|anon_put|_anon|object_raw_get$|not_owned|nonowner"),
    ("ceph's own", "usage|unordered|torrent|append|s3website|bucket_head_extended"),
    ("list v2", "^bucket_listv2|^basic_key_count|^bucketv2_notexist"),
    ("list v1", "^bucket_list_"),
    ("ranges", "^ranged"),
    ("atomic", "^atomic"),
    ("copy", "^object_copy|^copy_object|^multipart_copy|^upload_part_copy"),
    ("tagging", "tags|tagging"),
    ("multipart", "multipart"),
    ("delete", "^multi_object|^delete_object|^bucket_delete"),
    ("bucket", "bucket(?!_gone)"),
    ("object", ""),  # what is left: object_…, get_object_…, put_object_…, 100_continue
]
STEP = ["list v1", "list v2", "ranges", "atomic", "copy", "multipart", "delete", "tagging", "object", "bucket"]
"""The groups that a plain object store answers for; the default of a run."""
# They look at all buckets of the user, or at a minute of time: nothing else may run beside them.
_ALONE = re.compile("list_buckets|buckets_list|buckets_create|100_continue")


def group_of(test: str) -> str:
    """The group of a test by its name, "test_bucket_list_empty" or "test_copy_enc[…]"."""
    name = test.partition("[")[0].removeprefix("test_")
    return next(group for group, pattern in _PATTERNS if re.search(pattern, name))


def all_groups() -> list[str]:
    return STEP + [group for group, _ in _PATTERNS if group not in STEP]


def shards(tests: Iterable[str], jobs: int) -> tuple[list[list[str]], list[str]]:
    """Tests that may run at the same time in so many processes, and those that may not."""
    together: list[list[str]] = [[] for _ in range(jobs)]
    alone: list[str] = []
    for number, test in enumerate(tests):
        (alone if _ALONE.search(test) else together[number % jobs]).append(test)
    return [one for one in together if one], alone
