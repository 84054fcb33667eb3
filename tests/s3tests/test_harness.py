"""The judge of ceph/s3-tests' outcomes; the suite itself in the full level, where it has been brought."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from s3tests.command import EXPECTED, judge, table
from s3tests.groups import STEP, group_of, shards
from s3tests.suite import Outcome, read_report


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("test_bucket_list_empty", "list v1"),
        ("test_bucket_listv2_maxkeys_zero", "list v2"),
        ("test_bucket_list_return_data_versioning", "versioning"),
        ("test_ranged_request_invalid_range", "ranges"),
        ("test_atomic_write_bucket_gone", "atomic"),
        ("test_multipart_copy_small", "copy"),
        ("test_set_multipart_tagging", "tagging"),
        ("test_abort_multipart_upload", "multipart"),
        ("test_multi_object_delete", "delete"),
        ("test_object_raw_authenticated_bucket_gone", "object"),
        ("test_bucket_create_naming_bad_ip", "bucket"),
        ("test_copy_enc[a-b]", "encryption"),
    ],
)
def test_group(test, group):
    assert group_of(test) == group


def test_failure_without_a_reason_is_a_problem():
    assert len(judge([Outcome("test_a", "failed", "why")], {})) == 1
    assert judge([Outcome("test_a", "failed", "why")], {"test_a": "because"}) == []


def test_test_that_brought_its_process_down_is_a_problem():
    assert len(judge([Outcome("test_a", "missing")], {})) == 1


def test_reason_without_a_failure_is_a_problem():
    assert len(judge([Outcome("test_a", "passed")], {"test_a": "because"})) == 1


def test_every_test_runs_once_and_some_by_themselves():
    tests = ["test_a", "test_b", "test_c", "test_list_buckets_anonymous"]
    together, alone = shards(tests, 2)
    assert (sorted(sum(together, alone)), alone, len(together)) == (sorted(tests), tests[3:], 2)


def test_test_that_no_report_knows_is_missing(tmp_path):
    assert read_report(tmp_path / "none", ["test_a"]) == [Outcome("test_a", "missing")]


def test_counts():
    lines = table([Outcome("test_ranged_a", "passed"), Outcome("test_ranged_b", "failed")]).splitlines()
    assert [line.split() for line in lines[1:]] == [["ranges", "1", "1", "0", "0"], ["all", "1", "1", "0", "0"]]


def test_reasons_are_of_the_groups_that_run_by_default():
    failures = tomllib.loads(EXPECTED.read_text("utf-8"))["failures"]
    assert [test for test in failures if group_of(test) not in STEP] == []


@pytest.mark.full
def test_suite():
    if "S3D_S3TESTS" not in os.environ:
        pytest.skip("S3D_S3TESTS names no directory with ceph/s3-tests")
    done = subprocess.run([Path(__file__).with_name("run")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
