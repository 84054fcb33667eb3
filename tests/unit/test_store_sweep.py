"""The sweep: it removes what a crash left behind, and cannot cause a loss, whatever became of the index."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from s3d._core.spool import TEMPORARY_PREFIX
from s3d.store import Store

BOOT = 5


def number(counter: int, boot: int = BOOT) -> int:
    return boot << 40 | counter


def none_known(numbers: Sequence[int]) -> list[bool]:
    return [False] * len(numbers)


def knowing(*known: int) -> Callable[[Sequence[int]], list[bool]]:
    return lambda numbers: [one in known for one in numbers]


def unexpected(_numbers: Sequence[int]) -> list[bool]:
    raise AssertionError("nobody was to be asked")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "local", sync=True)
    yield made
    made.close()


def again(store: Store) -> Store:
    """The same directory after a restart."""
    store.close()
    return Store.open(store.layout.local_dir, sync=True)


def make(store: Store, *numbers: int) -> None:
    for one in numbers:
        Path(store.layout.file(one)).write_bytes(b"12345")


def data(store: Store) -> set[int]:
    return {int(path.name, 16) for path in store.layout.data.rglob("*") if path.is_file()}


def lost(store: Store) -> set[str]:
    return {path.name for path in store.layout.lost_and_found.iterdir()}


def test_files_of_earlier_boots_that_nobody_knows_are_removed(store: Store) -> None:
    make(store, number(1), number(2), number(300, BOOT - 1))
    report = store.sweep(BOOT + 1, knowing(number(2)))
    assert data(store) == {number(2)}
    assert (report.known, report.removed, report.unknown_bytes, report.complete) == (1, 2, 10, True)


@pytest.mark.parametrize("boot", [BOOT, BOOT - 1])
@pytest.mark.parametrize("keep_unknown", [False, True])
def test_files_of_this_boot_and_of_later_ones_are_none_of_its_business(
    boot: int, keep_unknown: bool, store: Store
) -> None:
    make(store, number(1))
    store.sweep(boot, unexpected, keep_unknown=keep_unknown)
    assert data(store) == {number(1)}


def test_what_may_be_lost_is_kept(store: Store) -> None:
    make(store, number(1), number(2))
    report = store.sweep(BOOT + 1, knowing(number(2)), keep_unknown=True)
    assert (data(store), lost(store)) == ({number(2)}, {f"{number(1):016x}"})
    assert (report.kept, report.removed) == (1, 0)


def test_a_file_kept_before_is_not_replaced(store: Store) -> None:
    make(store, number(1))
    store.sweep(BOOT + 1, none_known, keep_unknown=True)
    make(store, number(1))
    store.sweep(BOOT + 1, none_known, keep_unknown=True)
    assert lost(store) == {f"{number(1):016x}", f"{number(1):016x}.1"}
    assert len(list(store.lost())) == 2


def test_a_pinned_file_is_spared(store: Store) -> None:
    make(store, number(1), number(2))
    store.pin([number(1)])
    store.sweep(BOOT + 1, none_known)
    assert data(store) == {number(1)}


def test_a_file_that_goes_meanwhile_is_no_failure(store: Store) -> None:
    make(store, number(1), number(2))

    def known(numbers: Sequence[int]) -> list[bool]:
        os.unlink(store.layout.file(number(1)))
        return none_known(numbers)

    report = store.sweep(BOOT + 1, known)
    assert (report.removed, report.failed) == (1, 0)


def test_other_files_are_left_alone(store: Store) -> None:
    names = ["0" * 15, "0" * 17, "ABCDEF0123456789", ".hidden", f"{number(512):016x}"]
    shard = Path(store.layout.shard(number(1)))
    for name in names:
        (shard / name).write_bytes(b"")
    (shard / f"{number(3):016x}").mkdir()
    report = store.sweep(BOOT + 1, none_known)
    assert {path.name for path in shard.iterdir()} == {*names, f"{number(3):016x}"}
    assert (report.foreign, report.removed) == (6, 0)


def test_names_of_bodies_that_never_became_whole_are_removed(store: Store) -> None:
    for name in (".1a2b-3", ".notes", "file"):
        (store.layout.data / name).write_bytes(b"")
    report = store.sweep(BOOT + 1, none_known)
    assert {path.name for path in store.layout.data.iterdir() if path.is_file()} == {".notes", "file"}
    assert (report.temporary, report.foreign) == (1, 2)


def test_names_of_bodies_on_their_way_in_are_left(store: Store) -> None:
    (store.layout.data / f"{TEMPORARY_PREFIX}1").write_bytes(b"")
    assert store.sweep(BOOT + 1, none_known).temporary == 0
    assert (store.layout.data / f"{TEMPORARY_PREFIX}1").exists()


def test_an_index_that_fails_removes_nothing(store: Store) -> None:
    make(store, number(1))
    with pytest.raises(AssertionError, match="asked"):
        store.sweep(BOOT + 1, unexpected)
    assert data(store) == {number(1)}


def test_too_few_answers_remove_nothing(store: Store) -> None:
    make(store, number(1), number(2))
    with pytest.raises(ValueError, match="answers"):
        store.sweep(BOOT + 1, lambda _numbers: [False])
    assert data(store) == {number(1), number(2)}


def test_a_store_that_closes_ends_the_sweep(store: Store) -> None:
    make(store, number(1), number(300))

    def known(numbers: Sequence[int]) -> list[bool]:
        store.closing = True
        return none_known(numbers)

    report = store.sweep(BOOT + 1, known)
    assert (report.removed, report.complete) == (1, False)


# Doubt.


def test_doubt_outlives_a_restart(store: Store) -> None:
    make(store, number(1))
    store.doubt()
    store = again(store)
    store.sweep(BOOT + 1, none_known)
    assert lost(store) == {f"{number(1):016x}"}
    store.close()


def test_a_sweep_that_was_broken_off_is_gone_on_with_as_it_began(store: Store) -> None:
    make(store, number(1))
    with pytest.raises(AssertionError):
        store.sweep(BOOT + 1, unexpected, keep_unknown=True)
    store = again(store)
    assert store.doubtful
    store.sweep(BOOT + 1, none_known, keep_unknown=False)
    assert lost(store) == {f"{number(1):016x}"}
    store.close()


def test_a_sweep_that_has_gone_through_ends_the_doubt(store: Store) -> None:
    store.doubt()
    store.sweep(BOOT + 1, none_known)
    assert not store.doubtful
    make(store, number(1))
    assert store.sweep(BOOT + 1, none_known).removed == 1


@pytest.mark.parametrize("boot", [1, BOOT])
def test_a_boot_that_comes_again_is_doubtful(boot: int, store: Store) -> None:
    store.begin(BOOT)
    store = again(store)
    assert store.highest_boot == BOOT
    store.begin(boot)
    assert store.doubtful
    store.close()


def test_a_boot_above_the_last_is_not_doubtful(store: Store) -> None:
    store.begin(BOOT)
    store = again(store)
    store.begin(BOOT + 1)
    assert not store.doubtful
    store = again(store)
    assert store.highest_boot == BOOT + 1
    store.close()


@pytest.mark.parametrize("content", [None, b"", b"3", b"3 0000000000000000\n", b"\xff"])
def test_a_lost_boot_is_read_from_the_files(content: bytes | None, store: Store) -> None:
    make(store, number(1), number(1, BOOT + 2))
    store.begin(3)
    store.layout.boot.unlink()
    if content is not None:
        store.layout.boot.write_bytes(content)
    store = again(store)
    assert store.highest_boot == BOOT + 2
    store.close()


def test_an_empty_directory_has_had_no_boot(store: Store) -> None:
    assert store.highest_boot == 0
