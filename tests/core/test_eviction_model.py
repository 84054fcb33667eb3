"""S3-FIFO against a model of the same algorithm that is slow and plain: the same order after every step."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from s3d._core.eviction import EvictionQueue, Resident


@dataclass(eq=False)
class Item:
    number: int
    name: int
    size: int
    files: int
    pinned: bool = False
    dirty: bool = False
    aside: bool = False
    in_use: int = 0
    visits: int = 0
    main: bool = False

    @property
    def listed(self) -> bool:
        return not (self.pinned or self.dirty or self.aside)


@dataclass
class Slow:
    max_bytes: int
    max_files: int
    items: dict[int, Item] = field(default_factory=dict)
    small: list[Item] = field(default_factory=list)
    main: list[Item] = field(default_factory=list)
    ghosts: dict[int, int] = field(default_factory=dict)
    evictions: int = 0
    filled: bool = False

    def clean(self) -> tuple[int, int]:
        clean = [item for item in self.items.values() if not item.dirty]
        return sum(item.size for item in clean), sum(item.files for item in clean)

    def of(self, item: Item) -> list[Item]:
        return self.main if item.main else self.small

    def change(self, item: Item, **changed: bool) -> None:
        was = item.listed
        for name, value in changed.items():
            setattr(item, name, value)
        if was and not item.listed:
            self.of(item).remove(item)
        if item.listed and not was:
            self.of(item).append(item)

    def add(self, item: Item) -> None:
        self.items[item.number] = item
        share = (
            sum(each.size for each in self.small) > self.max_bytes // 10
            or sum(each.files for each in self.small) > self.max_files // 10
        )
        evicted_at = self.ghosts.pop(item.name, None)
        known = evicted_at is not None and self.evictions - evicted_at < len(self.main)
        item.main = known or (not self.filled and share)
        if item.listed:
            self.of(item).append(item)

    def remove(self, item: Item) -> None:
        del self.items[item.number]
        if item.listed:
            self.of(item).remove(item)
        if not self.items:
            self.filled = False

    def evict(self, item: Item) -> None:
        self.filled = True
        if not item.main:
            self.evictions += 1
            self.ghosts[item.name] = self.evictions
        self.remove(item)

    def victim(self) -> Item | None:
        while self.small or self.main:
            size, files = self.clean()
            by_files = files / self.max_files > size / self.max_bytes

            def weight(items: list[Item], by_files: bool = by_files) -> int:
                return sum(item.files if by_files else item.size for item in items)

            small = not self.main or (self.small and weight(self.small) > weight(self.small + self.main) // 10)
            item = (self.small if small else self.main)[0]
            if item.in_use:
                self.change(item, aside=True)
            elif item.visits:
                self.of(item).pop(0)
                item.visits = 0 if small else item.visits - 1
                item.main = True
                self.main.append(item)
            else:
                return item
        return None


class Comparison(RuleBasedStateMachine):
    """The same steps in both; after each, both queues in the same order with the same sums."""

    @initialize(max_bytes=st.integers(1, 300), max_files=st.integers(1, 60))
    def begin(self, max_bytes: int, max_files: int) -> None:
        self.fast = EvictionQueue(max_bytes, max_files)
        self.slow = Slow(max_bytes, max_files)
        self.residents: dict[int, Resident] = {}
        self.next = 0

    def pick(self, choice: int) -> tuple[Resident, Item] | None:
        numbers = list(self.slow.items)
        if not numbers:
            return None
        number = numbers[choice % len(numbers)]
        return self.residents[number], self.slow.items[number]

    @rule(
        name=st.integers(0, 40),
        size=st.integers(0, 20),
        files=st.integers(0, 2),
        pinned=st.sampled_from([False] * 9 + [True]),
        dirty=st.sampled_from([False] * 9 + [True]),
    )
    def add(self, name: int, size: int, files: int, pinned: bool, dirty: bool) -> None:
        self.next += 1
        self.residents[self.next] = self.fast.add(self.next, name, size, files, pinned, dirty)
        self.slow.add(Item(self.next, name, size, files, pinned, dirty))

    @rule(names=st.lists(st.integers(0, 40), max_size=30))
    def read_through(self, names: list[int]) -> None:
        """As a cache does: a hit is touched, a miss makes room and comes."""
        for name in names:
            hit = next((item for item in self.slow.items.values() if item.name == name), None)
            if hit is None:
                self.make_room()
                self.add(name, 5, 1, False, False)
            else:
                hit.visits = min(3, hit.visits + 1)
                assert self.fast.touch(hit.number)

    @rule()
    def make_room(self) -> None:
        size, files = self.slow.clean()
        while self.fast.over(5, 1):
            assert size + 5 > self.slow.max_bytes or files + 1 > self.slow.max_files
            if not self.evict_one():
                return
            size, files = self.slow.clean()

    @rule()
    def evict(self) -> None:
        self.evict_one()

    def evict_one(self) -> bool:
        victim, expected = self.fast.victim(), self.slow.victim()
        assert (victim and victim.number) == (expected and expected.number)
        if victim is None or expected is None:
            return False
        assert not (victim.pinned or victim.dirty or victim.in_use)
        self.fast.evict(victim)
        self.slow.evict(expected)
        return True

    @rule(choice=st.integers(0, 10**6), times=st.integers(1, 4))
    def touch(self, choice: int, times: int) -> None:
        if (pair := self.pick(choice)) is None:
            return
        for _ in range(times):
            pair[0].touch()
        pair[1].visits = min(3, pair[1].visits + times)

    @rule(choice=st.integers(0, 10**6))
    def remove(self, choice: int) -> None:
        if (pair := self.pick(choice)) is None:
            return
        self.fast.remove(pair[0])
        self.slow.remove(pair[1])

    @rule(choice=st.integers(0, 10**6), size=st.integers(-20, 20), files=st.integers(-1, 1))
    def grow(self, choice: int, size: int, files: int) -> None:
        if (pair := self.pick(choice)) is None:
            return
        resident, item = pair
        size, files = max(size, -item.size), max(files, -item.files)
        self.fast.grow(resident, size, files)
        item.size += size
        item.files += files

    @rule(choice=st.integers(0, 10**6), step=st.sampled_from(["pin", "unpin", "mark_dirty", "mark_clean"]))
    def mark(self, choice: int, step: str) -> None:
        if (pair := self.pick(choice)) is None:
            return
        getattr(self.fast, step)(pair[0])
        state = {"pin": ("pinned", True), "unpin": ("pinned", False), "mark_dirty": ("dirty", True)}
        name, value = state.get(step, ("dirty", False))
        self.slow.change(pair[1], **{name: value})

    @rule(choice=st.integers(0, 10**6), begins=st.booleans())
    def use(self, choice: int, begins: bool) -> None:
        if (pair := self.pick(choice)) is None:
            return
        resident, item = pair
        if begins:
            self.fast.hold(resident)
            item.in_use += 1
        elif item.in_use:
            self.fast.release(resident)
            item.in_use -= 1
            if not item.in_use:
                self.slow.change(item, aside=False)

    @invariant()
    def both_are_the_same(self) -> None:
        if not hasattr(self, "fast"):
            return
        items = self.slow.items.values()
        assert [each.number for each in self.fast.oldest(1000)] == [
            each.number for each in self.slow.small + self.slow.main
        ]
        assert (self.fast.bytes, self.fast.files) == self.slow.clean()
        pinned = [item for item in items if item.pinned and not item.dirty]
        assert (self.fast.pinned_bytes, self.fast.pinned_files) == (
            sum(item.size for item in pinned),
            sum(item.files for item in pinned),
        )
        assert self.fast.dirty_bytes == sum(item.size for item in items if item.dirty)
        assert self.fast.dirty_files == sum(item.files for item in items if item.dirty)
        assert len(self.fast) == len(items)
        for item in items:
            resident = self.fast.get(item.number)
            assert resident is self.residents[item.number]
            assert (resident.visits, resident.in_use, resident.pinned, resident.dirty, resident.bytes) == (
                item.visits,
                item.in_use,
                item.pinned,
                item.dirty,
                item.size,
            )


TestComparison = Comparison.TestCase
TestComparison.settings = settings(max_examples=100, stateful_step_count=80, deadline=None)
