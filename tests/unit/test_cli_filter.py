"""`s3d filter`: what a user sees, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from s3d import cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def s3d(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `s3d filter` in this process: (exit code, stdout, stderr)."""
    for name in ("S3D_READ_CACHE_FILTER", "S3D_WRITE_QUEUE_FILTER", "S3D_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["filter", *arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return run


def test_the_clause_that_decides_is_pointed_at(s3d: Run) -> None:
    code, out, err = s3d("check", "logs/*, !logs/tmp/*", "logs/tmp/x")
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "excluded: logs/tmp/x",
        "",
        "Clause 2 of 2 decides (line 1, column 9):",
        "  logs/*, !logs/tmp/*",
        "          ^^^^^^^^^^^",
    ]


def test_the_clauses_after_it_say_why_they_did_not(s3d: Run) -> None:
    text = "logs/*, !logs/tmp/*, other, !logs/*[tag:keep=no], !*[tag:team=db]/, !*/[size>1MB], !*/[age>1d], !*/[user=x]"
    code, out, _ = s3d(
        "check", text, "logs/a", "--tag", "keep=yes", "--size", "5KB", "--age", "2h", "--op", "GetObject",
        "--bucket-tag", "team=web",
    )  # fmt: skip
    assert code == 0
    assert out.splitlines()[5:] == [
        "",
        "The clauses after it do not match:",
        "    8  !*/[user=x]",
        "       [user=x]: the user is absent",
        "    7  !*/[age>1d]",
        "       [age>1d]: its age is 2h",
        "    6  !*/[size>1MB]",
        "       [size>1MB]: its size is 5,000 bytes",
        "    5  !*[tag:team=db]/",
        "       [tag:team=db]: the bucket's tag team is web",
        "    4  !logs/*[tag:keep=no]",
        "       [tag:keep=no]: the object's tag keep is yes",
        "    3  other",
        "       the bucket is logs",
        "    2  !logs/tmp/*",
        "       tmp/* does not match the key a",
    ]


def test_without_a_match_the_default_is_told_with_the_reasons(s3d: Run) -> None:
    code, out, _ = s3d("check", "media/*[hdr:content-type=video/*][md:a]", "media/x", "--header", "Content-Type=a/b")
    assert code == 1
    assert "No clause matches, and what none matches is excluded." in out
    assert "[hdr:content-type=video/*]: the header content-type is a/b" in out
    code, out, _ = s3d("check", "!media", "logs/x")
    assert code == 0
    assert "a list of exclusions only starts from everything" in out
    code, out, _ = s3d("check", "", "logs/x")
    assert code == 0
    assert "An empty filter includes every object." in out


def test_all_that_an_object_has_can_be_given(s3d: Run) -> None:
    text = (
        "*[tag:a=1]/k[tag:b=2][hdr:content-type=x/y][md:m=3][size=10MB][age=7d][op=PutObject][user=alice]"
        "[hdr:content-length=10MB]"
    )
    given = [
        *("--bucket-tag", "a=1", "--tag", "b=2", "--header", "Content-Type=x/y", "--metadata", "M=3"),
        *("--size", "10MB", "--age", "7d", "--op", "PutObject", "--user", "alice"),
    ]
    assert s3d("check", text, "b/k", *given)[0] == 0
    for place in range(0, len(given), 2):
        assert s3d("check", text, "s3://b/k", *given[:place], *given[place + 2 :])[0] == 1


def test_what_was_taken_for_granted_is_told_only_where_it_matters(s3d: Run) -> None:
    _, out, _ = s3d("check", "*[tag:a]/[tag:b][size>1]", "b/k")
    assert out.splitlines()[-1] == (
        "Taken for granted, since nothing was said: the bucket has no tags (--bucket-tag); "
        "the object has no tags (--tag); "
        "it is new, has no known size and no headers (--age, --size, --header, --metadata)."
    )
    _, out, _ = s3d("check", "b/k, c/[tag:b]", "b/k")
    assert "Taken for granted" not in out


@pytest.mark.parametrize(
    ("purpose", "tag", "code", "first"),
    [
        ("cache", "s3d.cache=pin", 0, "included, pinned: a/b"),
        ("cache", "s3d.cache=immutable", 1, "excluded, immutable: a/b"),
        ("queue", "s3d.upload=true", 0, "included: a/b"),
        ("queue", "s3d.cache=pin", 1, "excluded: a/b"),
    ],
)
def test_reserved_tags_count_for_their_purpose(s3d: Run, purpose: str, tag: str, code: int, first: str) -> None:
    found, out, _ = s3d("check", "!a", "a/b", "--tag", tag, "--purpose", purpose)
    assert (found, out.splitlines()[0]) == (code, first)


def test_a_reserved_tag_without_a_purpose_is_pointed_out(s3d: Run) -> None:
    code, out, _ = s3d("check", "a", "a/b", "--tag", "s3d.cache=bypass")
    assert code == 0
    assert out.splitlines()[-1] == "The tag s3d.cache counts with --purpose queue or cache only."


def test_a_filter_that_does_not_parse_is_2_with_the_place(s3d: Run) -> None:
    code, out, err = s3d("check", "logs/*[tga:x]", "logs/a")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "s3d: This is not a filter: line 1, column 8: no attribute is called tga; did you mean tag?",
        "    logs/*[tga:x]",
        "           ^^^",
    ]
    code, out, err = s3d("check", "logs/*[tga:x]", "--json")
    assert code == 2
    assert json.loads(out) == {
        "error": {
            "message": "no attribute is called tga; did you mean tag?", "source": None, "line": 1, "column": 8,
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ["b", "b"],
        ["b", "/k"],
        ["b", "b/k", "--size", "big"],
        ["b", "b/k", "--age", "-1d"],
        ["b", "b/k", "--op", "GetObjct"],
        ["b", "b/k", "--tag", "x"],
        ["b", "b/k", "--purpose", "sync"],
        ["b", "--tag", "x=y"],
    ],
)
def test_wrong_usage_is_2_and_one_sentence(s3d: Run, arguments: list[str]) -> None:
    code, out, err = s3d("check", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("s3d: ")
    assert err.count("\n") == 1


def test_a_filter_alone_is_described(s3d: Run) -> None:
    code, out, _ = s3d("check", "logs/*[size>1MB], !logs/tmp/*")
    assert code == 0
    assert out.splitlines() == [
        "A filter of 2 clauses; the last that matches decides.",
        "    1  include  logs/*[size>1MB]",
        "    2  exclude  logs/tmp/*",
        "What none matches is excluded.",
        "It has to know metadata.",
    ]
    assert "starts from everything" in s3d("check", "!a")[1]
    assert "every object is included" in s3d("check", "# nothing")[1]


def test_clauses_of_files_are_shown_with_their_file(s3d: Run, tmp_path: Path) -> None:
    (tmp_path / "hot").write_text("# read all day\nlogs/*\n")
    code, out, _ = s3d("check", f"media, @{tmp_path}/hot", "logs/a")
    assert code == 0
    assert f"Clause 2 of 2 decides (line 2, column 1, {tmp_path}/hot):" in out
    assert "  logs/*\n  ^^^^^^" in out
    assert f"({tmp_path}/hot)" in s3d("check", f"media, @{tmp_path}/hot")[1]


def test_the_verdict_as_json(s3d: Run) -> None:
    code, out, _ = s3d("check", "logs/*, !logs/tmp/*[tag:x]", "logs/tmp/x", "--json")
    assert code == 0
    assert json.loads(out) == {
        "bucket": "logs", "key": "tmp/x", "included": True, "by": "clause",
        "clause": {"number": 1, "text": "logs/*", "exclude": False, "source": None, "line": 1, "column": 1},
        "clauses": 2, "pinned": False, "immutable": False, "assumed_absent": ["object tags"],
    }  # fmt: skip
    described = json.loads(s3d("check", "!a[tag:x]", "--json")[1])
    assert (described["default"], described["needs"]) == ("included", ["bucket tags"])


def test_a_key_of_any_bytes_neither_fails_nor_steers_the_terminal(s3d: Run) -> None:
    code, out, _ = s3d("check", r"b/\xff*", "b/\udcff\x1b[2J")
    assert code == 0
    assert "\x1b" not in out
    assert s3d("check", "b/a\x1b[tga]")[2].count("\x1b") == 0


def test_of_a_thousand_clauses_only_some_are_shown(s3d: Run) -> None:
    text = ",".join(f"b/{number}" for number in range(1000))
    _, out, _ = s3d("check", text, "b/none")
    assert out.splitlines()[-1] == "  and 980 more"
    assert "  and 980 more" in s3d("check", text)[1]


def test_bench_compares_ways_that_agree(s3d: Run) -> None:
    text = (
        "logs/*, !logs/tmp/*[size>1KB], b?[tag:team=x*]/'a b'*.g?[tag:n>5][md:m!=1][age<1d][user=alice][op=GetObject],"
        r"c/\xc3*[hdr:content-length>=4KB][hdr:last-modified>2000-01-01], d/é?[hdr:content-type]"
    )
    code, out, _ = s3d("bench", text, "--seconds", "0.1", "--json")
    assert code == 0
    found = json.loads(out)
    assert [way["name"] for way in found["ways"]] == ["evaluator", "re", "fnmatch"]
    assert (found["clauses"], found["objects"]) == (5, 10)
    assert 0 < found["included"] < 1
    code, out, _ = s3d("bench", "", "--seconds", "0.1")
    assert code == 0
    assert "times slower" in out


def test_bench_of_no_filter_is_2(s3d: Run) -> None:
    assert s3d("bench", "[")[0] == 2
