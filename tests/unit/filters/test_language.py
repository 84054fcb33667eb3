"""Every form of the language, and what it says of an object."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from s3d.filters.decide import Filter, Needs, Purpose, Subject

NOW_MS = 1_800_000_000_000  # 2027-01-15T08:00:00Z
DAY_MS = 86_400_000
# What an object is unless a test says otherwise.
USUAL: dict[str, Any] = {
    "tags": [("project", "apollo"), ("stage", "prod"), ("empty", ""), ("count", "12"), ("quota", "20 MB")],
    "bucket_tags": [("team", "web"), ("cost center", "4")],
    "headers": [
        (b"Content-Type", b"video/mp4"), (b"x-amz-meta-color", b"red"), (b"x-amz-meta-weight", b"1.50"),
        (b"expires", b"Thu, 01 Dec 2033 16:00:00 GMT"),
    ],
    "size_bytes": 5_000_000, "modified_ms": NOW_MS - 10 * DAY_MS, "operation": "PutObject", "user": "alice",
}  # fmt: skip


def subject(path: str | bytes, **changes: Any) -> Subject:
    thing = USUAL | changes
    raw = path if isinstance(path, bytes) else path.encode()
    bucket, _, key = raw.partition(b"/")
    made = Subject()
    made.refill(bucket, key, operation=thing["operation"], user=thing["user"], now_ms=NOW_MS)
    made.set_bucket_tags(thing["bucket_tags"])
    made.set_object_tags(thing["tags"])
    made.set_metadata(thing["headers"], size_bytes=thing["size_bytes"], modified_ms=thing["modified_ms"])
    return made


def included(text: str, path: str | bytes, **changes: Any) -> bool:
    decision = Filter.open(text, Purpose.SYNC).decide(subject(path, **changes))
    assert not decision.needs
    return decision.included


# The forms of buckets and keys.


@pytest.mark.parametrize(
    ("text", "matching", "other"),
    [
        ("logs", ["logs/a", "logs/a/b", "logs/"], ["log/a", "logs2/a"]),
        ("logs/", ["logs/a", "logs/a/b"], ["logs2/a"]),
        ("logs/a", ["logs/a"], ["logs/ab", "logs/a/", "logs/A", "other/a"]),
        ("logs/a*", ["logs/a", "logs/ab", "logs/a/b/c"], ["logs/b", "logs/"]),
        ("logs/*.gz", ["logs/.gz", "logs/a/b.gz"], ["logs/a.gz.tmp", "logs/gz"]),
        ("logs/*/tmp/*", ["logs/a/tmp/b", "logs/a/b/tmp/c/d", "logs//tmp/"], ["logs/tmp/b", "logs/a/tmp"]),
        ("logs/a?c", ["logs/abc", "logs/a/c", "logs/aéc", "logs/a€c", "logs/a𝄞c"], ["logs/ac", "logs/abbc"]),
        ("logs/????", ["logs/ab€𝄞"], ["logs/a€𝄞", "logs/abc€𝄞"]),
        ("logs/*b*b*", ["logs/bb", "logs/abcbd"], ["logs/b", "logs/acd"]),
        ("logs-*", ["logs-/a", "logs-1/a"], ["logs/-a", "log/a"]),
        ("*", ["a/b", "logs/"], []),
        ("*/*.tmp", ["a/x.tmp", "b/y/z.tmp"], ["a/tmp"]),
        ("l?gs/a", ["logs/a", "lags/a"], ["lgs/a", "l/gs/a"]),
        ("*s/a", ["logs/a", "s/a"], ["log/a", "log/s/a"]),
        (r"logs/a\*b", ["logs/a*b"], ["logs/axb"]),
        (r"logs/a\?", ["logs/a?"], ["logs/ab"]),
        (r"logs/a\\b", ["logs/a\\b"], ["logs/ab"]),
        (r"logs/a\,b", ["logs/a,b"], ["logs/a"]),
        (r"logs/a\ b", ["logs/a b"], ["logs/a"]),
        (r"logs/\#1\[2\]", ["logs/#1[2]"], []),
        (r"logs/\n\t\x41", ["logs/\n\tA"], []),
        (r"logs/\xff*", [b"logs/\xff", b"logs/\xff\xfe"], [b"logs/\xfe", "logs/ÿ"]),
        (r"logs/\xc3*", [b"logs/\xc3", b"logs/\xc3("], ["logs/é"]),
        ("logs/'a, b #1 [x]'", ["logs/a, b #1 [x]"], []),
        ('logs/"it\'s"', ["logs/it's"], []),
        ("logs/'a*'/b", ["logs/ab/b", "logs/a/b"], ["logs/a*x"]),
        (r"logs/'a\*'", ["logs/a*"], ["logs/ab"]),
        (r"logs/'it\'s'", ["logs/it's"], []),
        ("'logs'/a' 'b", ["logs/a b"], []),
        (r"\@a/x, \!b", ["@a/x", "!b/y"], ["a/x"]),
        ("logs/é*", ["logs/é", "logs/éa"], ["logs/e"]),
        ("logs//a/../b", ["logs//a/../b"], ["logs/b", "logs/a/../b"]),
        ("logs//*", ["logs//", "logs//a"], ["logs/a"]),
    ],
)
def test_a_glob(text: str, matching: Sequence[str | bytes], other: Sequence[str | bytes]) -> None:
    assert [path for path in matching if not included(text, path)] == []
    assert [path for path in other if included(text, path)] == []


def test_a_slash_in_a_buckets_name_makes_it_no_other_bucket() -> None:
    made = Subject()
    made.refill("a/b", b"c")
    assert not Filter.open("a/b/c", Purpose.SYNC).decide(made).included
    assert not Filter.open("a", Purpose.SYNC).decide(made).included
    assert Filter.open("a?b", Purpose.SYNC).decide(made).included


# Conditions.


@pytest.mark.parametrize(
    "condition",
    [
        "[tag:project]", "[tag:empty]", "[tag:project=apollo]", "[tag:project=ap*]", "[tag:project=?pollo]",
        "[tag:project='apollo']", '[tag:project="ap*"]', "[tag:project!=gemini]", "[tag:none!=x]", "[tag:none!=*]",
        "[tag:none!=1]", "[tag:empty='']", "[tag:empty=*]", "[tag:project!='']", "[ tag : project = apollo ]",
        "[tag:count=12]", "[tag:count=12.0]", "[tag:count='12']", "[tag:count!='12.0']", "[tag:count<13]",
        "[tag:count<=12]", "[tag:count>11.5]", "[tag:count>=12]", "[tag:count>-1]", "[tag:quota=20MB]",
        "[tag:quota>19MiB]", "[tag:count<1KB]", "[tag:count<1m]", "[tag:count>11s]", "[tag:project!=5]",
        "[hdr:content-type]", "[hdr:Content-TYPE=video/*]", "[hdr:content-type='video/*']", "[hdr:x-none!=a]",
        "[hdr:content-length=5000000]", "[hdr:content-length<6MB]", "[hdr:content-length=50*]", "[hdr:content-length]",
        "[hdr:expires>2033-12-01]", "[hdr:expires=2033-12-01T17:00:00+01:00]", "[hdr:expires<2033-12-02T00:00Z]",
        "[hdr:expires=Thu, 01 Dec 2033 16:00:00 GMT]", "[hdr:expires='Thu, * GMT']", "[hdr:last-modified<2027-01-06]",
        "[hdr:last-modified='Tue, 05 Jan 2027*']", "[md:color=red]", "[md:COLOR=red]", "[md:weight=1.5]",
        "[md:weight<2]",
        "[hdr:x-amz-meta-color=red]", "[size=5MB]", "[size=5000000]", "[size>4.9MB]", "[size<5MiB]", "[size!=0]",
        "[size]",
        "[age>9d]", "[age=10d]", "[age<=240h]", "[age<2w]", "[age>0]", "[age>=864000s]", "[age]", "[op=PutObject]",
        "[op=Put*]", "[op!=GetObject]", "[user=alice]", "[user=a*]", "[user!=bob]", "[user]",
        "[tag:project][size>1MB][user=alice]",
    ],
)  # fmt: skip
def test_a_condition_that_holds(condition: str) -> None:
    assert included(f"b/*{condition}", "b/k")
    assert not included(f"*, !b/*{condition}", "b/k")


@pytest.mark.parametrize(
    "condition",
    [
        "[tag:none]", "[tag:Project]", "[tag:project=Apollo]", "[tag:project=apoll]", r"[tag:project=a\*]",
        "[tag:project!=apollo]", "[tag:project!=*]", "[tag:none='']", "[tag:none=*]", "[tag:count='12.0']",
        "[tag:count=12m]",
        "[tag:count<12]", "[tag:count>12]", "[tag:none<1]", "[tag:none>=0]", "[tag:project>0]", "[tag:project<=0]",
        "[tag:quota>0]", "[tag:project=5]", "[tag:quota>1d]", "[tag:team]", "[hdr:content-typ]",
        "[hdr:content-type=video]", "[hdr:content-type>5]", "[hdr:expires<2033-12-01]", "[hdr:expires>5]",
        "[md:colour]",
        "[size>5MB]", "[size<5MB]", "[size!=5MB]", "[age>10d]", "[age!=10d]", "[age<1w]", "[op=GetObject]",
        "[op!=Put*]", "[user!=alice]", "[user=bob]", "[tag:project][size>1GB]",
    ],
)  # fmt: skip
def test_a_condition_that_does_not_hold(condition: str) -> None:
    assert not included(f"b/*{condition}", "b/k")
    assert included(f"*, !b/*{condition}", "b/k")


def test_conditions_before_the_slash_are_on_the_buckets_tags() -> None:
    assert included("*[tag:team=web]", "b/k")
    assert included("b[tag:cost center=4]/k*[tag:project=apollo][hdr:content-type='video/*']", "b/k")
    assert not included("b[tag:project]", "b/k")
    assert not included("b[tag:team=web]/k*[tag:project=gemini]", "b/k")
    assert not included("b[tag:team][tag:team=db]/", "b/k")


def test_nobody_and_no_operation_are_absent() -> None:
    assert included("*/[user!=alice]", "b/k", user=None)
    assert not included("*/[user]", "b/k", user=None)
    assert not included("*/[op]", "b/k", operation=None)


def test_a_size_that_nobody_knows_is_absent() -> None:
    assert not included("*/[size<1PB]", "b/k", size_bytes=None)
    assert included("*/[size!=1]", "b/k", size_bytes=None)
    assert not included("*/[hdr:content-length]", "b/k", size_bytes=None)
    length = [(b"content-length", b"7")]
    assert included("*/[hdr:content-length=7]", "b/k", size_bytes=None, headers=length)
    assert not included("*/[hdr:content-length=7]", "b/k", headers=length)


def test_an_object_that_is_being_written_has_no_age() -> None:
    assert included("*/[age=0]", "b/k", modified_ms=None)
    assert included("*/[age<1s]", "b/k", modified_ms=NOW_MS + DAY_MS)


def test_without_another_time_ages_count_to_now() -> None:
    made, opened = Subject(), Filter.open("b/[age>1h]", Purpose.CACHE)
    for age_s, expected in ((3500, False), (3700, True)):
        made.refill("b", b"k")
        made.set_metadata((), modified_ms=int((time.time() - age_s) * 1000))
        assert opened.decide(made).included is expected


def test_of_two_headers_with_one_name_the_first_counts() -> None:
    headers = [(b"x-a", b"1"), (b"X-A", b"2")]
    assert included("*/[hdr:x-a=1]", "b/k", headers=headers)
    assert not included("*/[hdr:x-a=2]", "b/k", headers=headers)


# Lists.


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("", "b/k", True),
        ("  \n # nothing\n,,", "b/k", True),
        ("a", "b/k", False),
        ("!a", "b/k", True),
        ("!a, !b", "b/k", False),
        ("b, !b/k", "b/k", False),
        ("!b/k, b", "b/k", True),
        ("b, !b/*, b/k", "b/k", True),
        ("b, !b/*, b/k", "b/other", False),
        ("b, !b/*, b/k*, !b/k", "b/k", False),
        ("b, !b/*, b/k*, !b/k", "b/k2", True),
        ("!b/k, a", "b/other", False),
        ("!b/k[size>1GB], b/x", "b/k", False),
        ("a\nb # not a\n# !b\n, c", "b/k", True),
        ("a,b,c", "b/k", True),
        ("a\r\nb\r\n", "b/k", True),
        ("! b/k", "b/k", False),
        ("*, !*[tag:team=web]/, b/k", "b/k", True),
        ("b/k*[tag:none], !b/k, b/kk", "b/k", False),
    ],
)
def test_the_last_clause_that_matches_decides(text: str, path: str, expected: bool) -> None:
    assert included(text, path) is expected


def test_the_decision_names_its_clause() -> None:
    opened = Filter.open("b, !b/k*, b/kk", Purpose.SYNC)
    found = [opened.decide(subject(path)) for path in ("b/x", "b/k", "b/kk", "c/x")]
    assert [(decision.clause, decision.by) for decision in found] == [
        (0, "clause"), (1, "clause"), (2, "clause"), (None, "default"),
    ]  # fmt: skip
    assert [opened.clauses[index].span for index in range(3)] == [(0, 1), (3, 8), (10, 14)]


# Reserved tags.


@pytest.mark.parametrize(
    ("purpose", "tag", "text", "expected"),
    [
        (Purpose.QUEUE, ("s3d.upload", "true"), "!b", (True, False, False, "tag")),
        (Purpose.QUEUE, ("s3d.upload", "false"), "b", (False, False, False, "tag")),
        (Purpose.QUEUE, ("s3d.upload", "perhaps"), "b", (True, False, False, "clause")),
        (Purpose.QUEUE, ("s3d.cache", "bypass"), "b", (True, False, False, "clause")),
        (Purpose.CACHE, ("s3d.cache", "pin"), "!b", (True, True, False, "tag")),
        (Purpose.CACHE, ("s3d.cache", "bypass"), "b", (False, False, False, "tag")),
        (Purpose.CACHE, ("s3d.cache", "immutable"), "b", (True, False, True, "clause")),
        (Purpose.CACHE, ("s3d.cache", "immutable"), "!b", (False, False, True, "clause")),
        (Purpose.CACHE, ("s3d.cache", "PIN"), "b", (True, False, False, "clause")),
        (Purpose.CACHE, ("s3d.upload", "false"), "b", (True, False, False, "clause")),
        (Purpose.SYNC, ("s3d.upload", "false"), "b", (True, False, False, "clause")),
        (Purpose.SYNC, ("s3d.cache", "bypass"), "b", (True, False, False, "clause")),
    ],
)
def test_a_reserved_tag_stands_over_the_clauses_of_its_purpose(
    purpose: Purpose, tag: tuple[str, str], text: str, expected: tuple[bool, bool, bool, str]
) -> None:
    found = Filter.open(text, purpose).decide(subject("b/k", tags=[("x", "y"), tag]))
    assert (found.included, found.pinned, found.immutable, found.by) == expected


def test_a_reserved_tag_of_the_bucket_means_nothing() -> None:
    found = Filter.open("b", Purpose.CACHE).decide(subject("b/k", bucket_tags=[("s3d.cache", "bypass")]))
    assert found.included


# What is not known.


def bare(path: str = "b/k") -> Subject:
    made = Subject()
    bucket, _, key = path.partition("/")
    made.refill(bucket, key, operation="GetObject", user="alice", now_ms=NOW_MS)
    return made


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("b/k*", Needs(0)),
        ("b/[op=GetObject][user]", Needs(0)),
        ("b[tag:x]", Needs.BUCKET_TAGS),
        ("b/[tag:x]", Needs.OBJECT_TAGS),
        ("b/[size>1]", Needs.METADATA),
        ("b/[age>1d]", Needs.METADATA),
        ("b/[hdr:a]", Needs.METADATA),
        ("b/[md:a]", Needs.METADATA),
        ("b[tag:x]/[tag:x][md:a]", Needs.BUCKET_TAGS | Needs.OBJECT_TAGS | Needs.METADATA),
        # Another bucket, another operation: nothing can come of looking anything up.
        ("c/[tag:x], b/k", Needs(0)),
        ("b/[op=PutObject][tag:x]", Needs(0)),
        # A later clause that matches for sure, or says the same.
        ("b/[tag:x], !b/k", Needs(0)),
        ("b/*, b/[tag:x]", Needs(0)),
        ("!b/[tag:x], b/[md:x], !c", Needs.METADATA),
        ("b, !b/[tag:x]", Needs.OBJECT_TAGS),
        ("b/[tag:x], b/[md:x]", Needs.OBJECT_TAGS | Needs.METADATA),
        ("!b/[md:x], !b/[tag:x]", Needs.OBJECT_TAGS | Needs.METADATA),
        ("!b/[md:x], *, !b/[tag:x]", Needs.OBJECT_TAGS),
        ("!b/[md:x], b/[tag:x], *", Needs(0)),
    ],
)
def test_only_what_the_verdict_depends_on_is_asked_for(text: str, needs: Needs) -> None:
    found = Filter.open(text, Purpose.CACHE).decide(bare())
    assert found.needs == needs
    assert (found.by == "nothing") is bool(needs)
    assert not (needs and found.included)


def test_what_a_filter_may_ever_need_is_known_beforehand() -> None:
    assert Filter.open("a, !b/*, */[op=GetObject][user=x]", Purpose.CACHE).needs == Needs(0)
    assert Filter.open("a[tag:x], b/[size>1]", Purpose.CACHE).needs == Needs.BUCKET_TAGS | Needs.METADATA
    assert Filter.open("c/[tag:x]", Purpose.QUEUE).needs == Needs.OBJECT_TAGS


def test_each_group_that_is_set_brings_the_decision_nearer() -> None:
    opened = Filter.open("b[tag:team=web]/[tag:project=apollo][size>1MB]", Purpose.CACHE)
    made = bare()
    made.set_bucket_tags((("team", "web"),))
    assert opened.decide(made).needs == Needs.OBJECT_TAGS | Needs.METADATA
    made.set_object_tags((("project", "apollo"),))
    assert opened.decide(made).needs == Needs.METADATA
    made.set_metadata((), size_bytes=2_000_000)
    assert opened.decide(made).included
    made.set_bucket_tags((("team", "db"),))
    assert opened.decide(made).by == "default"


def test_a_group_that_makes_the_rest_needless_ends_the_asking() -> None:
    opened = Filter.open("b[tag:team=web]/[tag:project]", Purpose.CACHE)
    made = bare()
    made.set_bucket_tags(())
    assert opened.decide(made) == Filter.open("x", Purpose.CACHE).decide(bare())


def test_refilling_forgets_what_was_known() -> None:
    opened = Filter.open("b/[tag:project]", Purpose.CACHE)
    made = subject("b/k")
    assert opened.decide(made).included
    made.refill("b", b"k")
    assert opened.decide(made).needs == Needs.OBJECT_TAGS


@pytest.mark.parametrize(("unknown", "expected"), [("exclude", False), ("include", True)])
def test_what_cannot_be_read_is_decided_by_the_setting_and_counted(unknown: Any, expected: bool) -> None:
    opened = Filter.open("b/[tag:x], c", Purpose.CACHE, unknown=unknown)
    made = bare()
    made.set_object_tags(None)
    found = opened.decide(made)
    assert (found.included, found.by) == (expected, "setting")
    assert opened.unknown_decisions == 1
    # What does not depend on it is not the setting's to decide.
    made = bare("c/k")
    made.set_object_tags(None)
    assert opened.decide(made).by == "clause"
    assert opened.unknown_decisions == 1


def test_what_can_still_be_read_is_asked_for_before_the_setting_decides() -> None:
    opened = Filter.open("b[tag:team=web]/[tag:x]", Purpose.CACHE, unknown="include")
    made = bare()
    made.set_object_tags(None)
    assert opened.decide(made).needs == Needs.BUCKET_TAGS
    made.set_bucket_tags(())
    assert (opened.decide(made).included, opened.decide(made).by) == (False, "default")


def test_reserved_tags_are_no_reason_to_look_tags_up() -> None:
    assert Filter.open("", Purpose.CACHE).decide(bare()).included
    assert Filter.open("!b", Purpose.QUEUE).decide(bare()).by == "clause"
