"""Lists of clauses in files, and how they are reloaded."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from s3d.filters.decide import Filter, FilterError, Purpose, Subject
from s3d.filters.grammar import MAX_CLAUSES, MAX_FILES, MAX_TEXT_BYTES


def included(opened: Filter, path: str) -> bool:
    subject = Subject()
    bucket, _, key = path.partition("/")
    subject.refill(bucket, key)
    return opened.decide(subject).included


def refused(text: str) -> str:
    with pytest.raises(FilterError) as caught:
        Filter.open(text, Purpose.CACHE)
    return str(caught.value)


@pytest.fixture
def hot(tmp_path: Path) -> Path:
    path = tmp_path / "hot list"
    path.write_text("# what is read all day\nlogs/*\n!logs/tmp/*\n")
    return path


def test_a_files_clauses_stand_where_the_file_is_named(hot: Path) -> None:
    opened = Filter.open(f"logs/tmp/a, @'{hot}', logs/tmp/b", Purpose.CACHE)
    assert [included(opened, f"logs/tmp/{name}") for name in "abc"] == [False, True, False]
    assert [placed.source for placed in opened.clauses] == ["", str(hot), str(hot), ""]
    assert opened.files == (str(hot),)


def test_a_file_of_exclusions_beside_none_starts_from_everything(tmp_path: Path) -> None:
    (tmp_path / "not").write_text("!a\n!b\n")
    opened = Filter.open(f"@{tmp_path}/not, !c", Purpose.CACHE)
    assert [included(opened, f"{bucket}/k") for bucket in "abcd"] == [False, False, False, True]


def test_a_relative_path_begins_at_the_working_directory(hot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hot.parent)
    monkeypatch.setenv("HOME", str(hot.parent))
    assert included(Filter.open(r"@hot\ list", Purpose.CACHE), "logs/a")
    assert included(Filter.open(r"@~/hot\ list", Purpose.CACHE), "logs/a")


def test_a_file_may_begin_with_a_byte_order_mark_and_hold_any_bytes(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"\xef\xbb\xbfb/\xff*\r\n")
    opened = Filter.open(f"@{tmp_path}/raw", Purpose.CACHE)
    subject = Subject()
    subject.refill("b", b"\xff1")
    assert opened.decide(subject).included


def test_files_that_cannot_be_used_are_refused_with_the_place(tmp_path: Path) -> None:
    assert "line 1, column 4: the file /nowhere/x cannot be read: No such file" in refused("a, @/nowhere/x")
    assert "it is not a regular file" in refused(f"@{tmp_path}")
    os.mkfifo(tmp_path / "pipe")
    assert "it is not a regular file" in refused(f"@{tmp_path}/pipe")
    (tmp_path / "long").write_bytes(b"#" * (MAX_TEXT_BYTES + 1))
    assert "more than 1,048,576 bytes" in refused(f"@{tmp_path}/long")
    (tmp_path / "nested").write_text("a\n@b\n")
    assert f"{tmp_path}/nested, line 2, column 1: a list in a file cannot read another" in refused(
        f"@{tmp_path}/nested"
    )
    (tmp_path / "empty").write_text("# nothing\n")
    assert "there is no clause in this file; * is every object" in refused(f"a, @{tmp_path}/empty")
    assert "there is no such user" in refused("@~nobody-of-that-name/x")


def test_clauses_and_files_are_counted_over_the_whole_filter(tmp_path: Path) -> None:
    (tmp_path / "half").write_text("a\n" * (MAX_CLAUSES // 2))
    assert len(Filter.open(f"@{tmp_path}/half, @{tmp_path}/half", Purpose.CACHE).clauses) == MAX_CLAUSES
    assert "more than 10,000 clauses with those of the files" in refused(f"@{tmp_path}/half, @{tmp_path}/half, b")
    for number in range(MAX_FILES + 1):
        (tmp_path / str(number)).write_text("a")
    assert "more than 64 files" in refused(",".join(f"@{tmp_path}/{number}" for number in range(MAX_FILES + 1)))


# Reloading.


def settle(opened: Filter) -> bool:
    """Two looks: one that sees the change, one that sees that it is over."""
    return [opened.refresh(), opened.refresh()] == [False, True]


def test_a_changed_file_is_reloaded_as_a_whole_once_it_stands_still(hot: Path) -> None:
    opened = Filter.open(f"@'{hot}'", Purpose.CACHE)
    assert not opened.refresh()
    hot.write_text("media/*\n")
    assert not opened.refresh()
    assert included(opened, "logs/a")
    hot.write_text("media/*\n!media/tmp/*\n")
    assert not opened.refresh()
    assert opened.refresh()
    assert [included(opened, path) for path in ("logs/a", "media/a", "media/tmp/a")] == [False, True, False]
    assert opened.status()["reloads"] == 1
    assert not opened.refresh()


def test_a_replaced_file_is_reloaded(hot: Path) -> None:
    opened = Filter.open(f"@'{hot}'", Purpose.CACHE)
    (hot.parent / "new").write_text("media/*\n")
    (hot.parent / "new").replace(hot)
    assert settle(opened)
    assert included(opened, "media/a")


def test_a_directory_swapped_under_a_link_is_noticed_as_kubernetes_does_it(tmp_path: Path) -> None:
    for name, text in (("1", "logs/*"), ("2", "logs/*\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "list").write_text(text)
    (tmp_path / "data").symlink_to("1")
    (tmp_path / "list").symlink_to("data/list")
    opened = Filter.open(f"@{tmp_path}/list", Purpose.CACHE)
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(tmp_path / "data")
    assert settle(opened)


@pytest.mark.parametrize("change", ["wrong", "gone", "empty"])
def test_after_a_bad_reload_the_old_filter_stays_and_the_log_says_so_once(
    hot: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    opened = Filter.open(f"@'{hot}'", Purpose.CACHE, name="S3D_READ_CACHE_FILTER")
    if change == "gone":
        hot.unlink()
    else:
        hot.write_text("media/*[tga:x]" if change == "wrong" else "")
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            assert not opened.refresh()
    assert included(opened, "logs/a")
    said = {"wrong": "did you mean tag?", "gone": "No such file", "empty": "there is no clause"}[change]
    (record,) = caplog.records
    assert record.getMessage().startswith("S3D_READ_CACHE_FILTER: the list before stays in force")
    assert said in record.getMessage()
    assert said in opened.status()["error"]
    hot.write_text("media/*")
    assert settle(opened)
    assert opened.status()["error"] is None
    assert included(opened, "media/a")


def test_the_count_of_unknown_decisions_outlives_a_reload(hot: Path) -> None:
    hot.write_text("b/[tag:x]")
    opened = Filter.open(f"@'{hot}'", Purpose.CACHE)
    subject = Subject()
    subject.refill("b", b"k")
    subject.set_object_tags(None)
    opened.decide(subject)
    hot.write_text("b/[tag:xyz]")
    assert settle(opened)
    opened.decide(subject)
    assert opened.unknown_decisions == opened.status()["unknown_decisions"] == 2


def test_watching_reloads_until_it_is_cancelled(hot: Path) -> None:
    async def watched() -> None:
        opened = Filter.open(f"@'{hot}'", Purpose.CACHE)
        task = asyncio.create_task(opened.watch(0.01))
        hot.write_text("media/*\n")
        while not included(opened, "media/a"):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(watched())


def test_there_is_nothing_to_watch_without_files() -> None:
    asyncio.run(asyncio.wait_for(Filter.open("a", Purpose.CACHE).watch(), 5))
