"""S3-FIFO: who goes next, what counts against the limits, who is kept out."""

from __future__ import annotations

import gc
import sys
from collections import OrderedDict

import pytest

from s3d._core.eviction import EvictionQueue, Resident

SWEEP = 1000


def queue(max_bytes: int = 100, max_files: int = 1000) -> EvictionQueue:
    return EvictionQueue(max_bytes, max_files)


def filled(count: int, max_bytes: int = 100) -> tuple[EvictionQueue, list[Resident]]:
    """Residents of one byte and one file, numbered from 0; the name of each is its number."""
    made = queue(max_bytes)
    return made, [made.add(number, number, 1, 1) for number in range(count)]


def turns(made: EvictionQueue) -> list[int]:
    """Evict all that can be."""
    gone = []
    while (victim := made.victim()) is not None:
        gone.append(victim.number)
        made.evict(victim)
    return gone


def come(made: EvictionQueue, number: int, name: int) -> Resident:
    """A newcomer of one byte, for which room is made first."""
    while made.over(1):
        victim = made.victim()
        assert victim is not None
        made.evict(victim)
    return made.add(number, name, 1, 1)


# Order.


def test_newcomers_that_nobody_reads_leave_in_the_order_they_came() -> None:
    made, _ = filled(10)
    assert turns(made) == list(range(10))


def test_a_newcomer_that_was_read_outlives_those_that_were_not() -> None:
    made, residents = filled(10)
    residents[0].touch()
    assert turns(made) == [*range(1, 10), 0]


def test_a_read_counts_by_number_as_well() -> None:
    made, _ = filled(3)
    assert made.touch(0)
    assert turns(made) == [1, 2, 0]


def test_a_read_of_what_is_not_here_says_so() -> None:
    made, _ = filled(3)
    assert not made.touch(3)


def test_visits_are_counted_up_to_three() -> None:
    _, [resident] = filled(1)
    seen = []
    for _ in range(5):
        seen.append(resident.visits)
        resident.touch()
    assert seen == [0, 1, 2, 3, 3]


def test_a_scan_leaves_what_was_read_before_it_alone() -> None:
    made, residents = filled(100)
    for resident in residents[:50]:
        resident.touch()
    for number in range(1000, 2000):
        come(made, number, number)
    assert all(made.get(number) is not None for number in range(50))


def test_what_comes_back_soon_after_it_was_evicted_outlives_other_newcomers() -> None:
    made, residents = filled(100)
    made.evict(residents[5])
    back = made.add(1000, 5, 1, 1)
    newcomer = made.add(1001, 1001, 1, 1)
    order = turns(made)
    assert order.index(newcomer.number) < order.index(back.number)


def test_a_removed_one_that_comes_back_is_a_newcomer() -> None:
    made, residents = filled(100)
    made.evict(residents[4])
    made.remove(residents[5])
    back = made.add(1000, 5, 1, 1)
    order = made.oldest(100)
    assert order.index(back) < order.index(residents[11])  # the main queue's oldest


@pytest.mark.parametrize(("others", "known"), [(18, True), (19, False)])
def test_a_name_is_forgotten_after_as_many_evictions_as_the_main_queue_has_residents(others: int, known: bool) -> None:
    made, residents = filled(30)  # 11, more than a tenth of 100 bytes, in the small queue; 19 in the main one
    made.evict(residents[0])
    for number in range(1000, 1000 + others):
        made.evict(made.add(number, number, 1, 1))
    back = made.add(2000, 0, 1, 1)
    assert (made.oldest(100)[-1] is back) is known


def test_a_ghost_is_known_once() -> None:
    made, residents = filled(30)
    made.evict(residents[0])
    first = made.add(1000, 0, 1, 1)
    made.add(1001, 0, 1, 1)
    assert made.oldest(100)[-1] is first


def test_until_something_had_to_go_the_main_queue_takes_more_than_a_tenth() -> None:
    made, _ = filled(50)
    # Eleven in the small queue: the twelfth found it above its share. A read of each sends it behind the others.
    for number in range(11):
        made.touch(number)
    assert turns(made) == [*range(11, 50), *range(11)]


def test_an_empty_queue_begins_anew() -> None:
    made, _ = filled(50)
    turns(made)
    for number in range(50):
        made.add(number, 1000 + number, 1, 1)
    for number in range(11):
        made.touch(number)
    assert turns(made) == [*range(11, 50), *range(11)]


def test_the_share_is_counted_in_files_when_they_are_nearer_to_their_limit() -> None:
    made = queue(1_000_000, 100)
    large = made.add(0, 0, 1000, 1)
    for number in range(1, 100):
        made.add(number, number, 1, 1)
    made.evict(made.add(100, 100, 1, 1))
    # 11 of 100 files are in the small queue, and nearly all bytes; at 10 % of the files the main queue's turn comes.
    order = turns(made)
    assert order.index(large.number) == 0
    assert order.index(11) < order.index(10)


def test_a_sweep_spares_no_more_than_a_thousand() -> None:
    made, residents = filled(2 * SWEEP, 10 * SWEEP)
    for resident in residents:
        resident.touch()
    victim = made.victim()
    assert victim is not None
    assert victim.visits > 0
    assert sum(resident.visits == 0 for resident in residents) == SWEEP


def test_the_oldest_are_listed_as_their_turns_come() -> None:
    made, _ = filled(40)
    assert [resident.number for resident in made.oldest(7)] == turns(made)[:7]
    assert made.oldest(7) == []


def test_no_more_are_listed_than_were_asked_for() -> None:
    made, _ = filled(40)
    assert [len(made.oldest(limit)) for limit in (-1, 0, 11, 12, 40, 41)] == [0, 0, 11, 12, 40, 40]


# Kept out.


def test_a_pinned_one_is_never_the_victim() -> None:
    made, residents = filled(3)
    made.pin(residents[0])
    assert turns(made) == [1, 2]
    made.unpin(residents[0])
    assert turns(made) == [0]


def test_a_dirty_one_is_never_the_victim() -> None:
    made, residents = filled(3)
    made.mark_dirty(residents[1])
    assert turns(made) == [0, 2]
    made.mark_clean(residents[1])
    assert turns(made) == [1]


def test_one_that_came_pinned_and_dirty_needs_both_lifted() -> None:
    made = queue()
    resident = made.add(1, 1, 1, 1, pinned=True, dirty=True)
    made.unpin(resident)
    assert turns(made) == []
    made.pin(resident)
    made.mark_clean(resident)
    assert turns(made) == []
    made.unpin(resident)
    assert turns(made) == [1]


def test_one_in_use_is_never_the_victim_until_the_last_use_ends() -> None:
    made, residents = filled(2)
    made.hold(residents[0])
    made.hold(residents[0])
    assert turns(made) == [1]
    made.release(residents[0])
    assert turns(made) == []
    made.release(residents[0])
    assert turns(made) == [0]


def test_a_use_that_ends_before_the_turn_changes_nothing() -> None:
    made, residents = filled(2)
    made.hold(residents[0])
    made.release(residents[0])
    assert turns(made) == [0, 1]


def test_one_pinned_while_in_use_stays_when_the_use_ends() -> None:
    made, residents = filled(1)
    made.hold(residents[0])
    assert made.victim() is None
    made.pin(residents[0])
    made.release(residents[0])
    assert made.victim() is None


def test_a_use_may_end_after_the_removal() -> None:
    made, residents = filled(1)
    made.hold(residents[0])
    made.remove(residents[0])
    made.release(residents[0])
    assert residents[0].in_use == 0
    assert len(made) == 0


@pytest.mark.parametrize("keep", ["pin", "mark_dirty", "hold"])
def test_what_is_kept_out_cannot_be_evicted(keep: str) -> None:
    made, residents = filled(1)
    getattr(made, keep)(residents[0])
    with pytest.raises(ValueError, match="pinned, dirty or in use"):
        made.evict(residents[0])
    assert made.get(0) is residents[0]


# Sizes and limits.


def test_each_limit_is_exceeded_by_one_more() -> None:
    made = queue(10, 2)
    made.add(1, 1, 10, 1)
    assert not made.over()
    assert made.over(1)
    assert not made.over(0, 1)
    assert made.over(0, 2)
    made.add(2, 2, 0, 1)
    assert not made.over()
    made.add(3, 3, 1, 0)
    assert made.over()


def test_less_is_asked_for_with_a_negative_extra() -> None:
    made = queue(10)
    made.add(1, 1, 12, 1)
    assert made.over(-1)
    assert not made.over(-2)


def test_limits_may_change() -> None:
    made, _ = filled(10)
    made.limit(9, 1000)
    assert made.over()
    made.limit(10, 9)
    assert made.over()
    made.limit(10, 10)
    assert not made.over()


def test_a_resident_grows_and_shrinks_with_its_blocks() -> None:
    made = queue()
    resident = made.add(1, 1, 5, 0)
    made.grow(resident, 7, 1)
    assert (resident.bytes, resident.files, made.bytes, made.files) == (12, 1, 12, 1)
    made.grow(resident, -12)
    assert (resident.bytes, made.bytes) == (0, 0)


@pytest.mark.parametrize(("size", "files"), [(-6, 0), (0, -2)])
def test_less_than_nothing_is_refused(size: int, files: int) -> None:
    made = queue()
    resident = made.add(1, 1, 5, 1)
    with pytest.raises(ValueError, match="less than nothing"):
        made.grow(resident, size, files)
    assert (resident.bytes, resident.files, made.bytes, made.files) == (5, 1, 5, 1)
    with pytest.raises(ValueError, match="less than nothing"):
        made.add(2, 2, min(size, 0), files)
    assert len(made) == 1


def test_sums_that_64_bits_do_not_hold_are_refused() -> None:
    made = queue(2**63 - 1)
    resident = made.add(1, 1, 2**63 - 2, 0)
    with pytest.raises(OverflowError):
        made.add(2, 2, 2, 0)
    with pytest.raises(OverflowError):
        made.grow(resident, 2)
    with pytest.raises(OverflowError):
        made.grow(resident, 0, 2**31)
    made.add(2, 2, 1, 0, dirty=True)
    assert (len(made), made.bytes, made.dirty_bytes) == (2, 2**63 - 2, 1)


def test_dirty_bytes_are_counted_apart() -> None:
    made = queue(10, 1)
    resident = made.add(1, 1, 100, 5, dirty=True)
    assert (made.bytes, made.files, made.dirty_bytes, made.dirty_files, made.over()) == (0, 0, 100, 5, False)
    made.mark_clean(resident)
    assert (made.bytes, made.files, made.dirty_bytes, made.dirty_files, made.over()) == (100, 5, 0, 0, True)


def test_pinned_bytes_count_against_the_limits_too() -> None:
    made = queue(10)
    resident = made.add(1, 1, 11, 1, pinned=True)
    assert (made.bytes, made.pinned_bytes, made.pinned_files, made.over()) == (11, 11, 1, True)
    made.mark_dirty(resident)
    assert (made.pinned_bytes, made.pinned_files) == (0, 0)


@pytest.mark.parametrize(("size", "files"), [(0, 1), (1, 0), (-1, 1), (1, -1)])
def test_a_cache_that_holds_nothing_is_refused(size: int, files: int) -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        EvictionQueue(size, files)


# Residents.


def test_a_number_comes_once() -> None:
    made, _ = filled(1)
    with pytest.raises(ValueError, match="already"):
        made.add(0, 5, 1, 1)
    assert made.bytes == 1


def test_every_number_and_hash_of_64_bits_will_do() -> None:
    made = queue()
    residents = {number: made.add(number, 2**64 - 1 - number, 1, 1) for number in (0, 2**63, 2**64 - 1)}
    assert all(made.get(number) is resident for number, resident in residents.items())


def test_a_resident_of_another_queue_is_refused() -> None:
    made, [resident] = filled(1)
    other = queue()
    made.hold(resident)
    for refused in (other.remove, other.pin, other.unpin, other.hold, other.release, other.evict, other.mark_dirty):
        with pytest.raises(ValueError, match="not in this queue"):
            refused(resident)
    with pytest.raises(ValueError, match="not in this queue"):
        other.grow(resident, 1)
    assert (resident.in_use, resident.bytes, resident.pinned) == (1, 1, False)


def test_a_removed_resident_is_refused_and_may_still_be_touched() -> None:
    made, [resident] = filled(1)
    made.remove(resident)
    assert resident.removed
    resident.touch()
    for refused in (made.remove, made.evict, made.pin, made.hold):
        with pytest.raises(ValueError, match="not in this queue"):
            refused(resident)


def test_what_is_not_in_use_cannot_be_released() -> None:
    made, [resident] = filled(1)
    with pytest.raises(ValueError, match="not in use"):
        made.release(resident)


def test_a_resident_outlives_its_queue() -> None:
    made, [resident] = filled(1)
    made.hold(resident)
    del made
    gc.collect()
    assert resident.removed
    queue().release(resident)


def test_the_queue_lets_go_of_what_was_removed() -> None:
    made, residents = filled(2)
    here = [sys.getrefcount(resident) for resident in residents]
    made.remove(residents[0])
    assert [sys.getrefcount(resident) for resident in residents] == [here[0] - 1, here[1]]
    del made
    assert [sys.getrefcount(resident) for resident in residents] == [here[0] - 1, here[1] - 1]


def test_a_resident_takes_eighty_bytes() -> None:
    # pymalloc's size classes are 16 bytes apart: one more byte would cost 16 MB in a cache of a million.
    assert sys.getsizeof(filled(1)[1][0]) == 80


def test_all_are_found_while_they_come_and_go() -> None:
    made = queue(10**9, 10**9)
    here: OrderedDict[int, Resident] = OrderedDict()
    for number in range(20_000):
        here[number * 65536] = made.add(number * 65536, number, 1, 1)
        if number % 3 == 0:
            made.remove(here.pop(next(iter(here))))
    assert all(made.get(number) is resident for number, resident in here.items())
    assert len(made) == len(here) == made.bytes
    assert made.get(1) is None


def test_ghosts_are_known_after_their_table_has_grown() -> None:
    made, residents = filled(600, 50)  # six in the small queue
    for resident in residents[:5]:
        made.evict(resident)
    newcomers = [made.add(number, number, 1, 1) for number in range(1000, 3000)]
    for resident in newcomers:
        resident.touch()
    made.victim()
    made.victim()
    # With more than 1,024 in the main queue, the next ghost needs a larger table.
    made.evict(newcomers[-1])
    back = [made.add(5000 + name, name, 1, 1) for name in (*range(5), 2999)]
    assert made.oldest(10_000)[-6:] == back
