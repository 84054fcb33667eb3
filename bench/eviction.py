"""Eviction: how often the product's queue hits beside LRU and SIEVE, and what its operations cost.

Requests are made up from fixed seeds: 20,000 objects of 1 KiB to 16 MiB (log-normal, median 64 KiB, independent of
how popular they are), 200,000 requests before scans. A cache has 1 % or 10 % of the bytes of all objects, no bound on
files, and evicts before it admits. The first fifth of the requests warms it and is not counted.
"""

from __future__ import annotations

import datetime
import itertools
import os
import random
import resource
import statistics
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from bench.forward import versions
from s3d._core.eviction import EvictionQueue, Resident
from s3d.cli.bench_report import machine

OBJECTS = 20_000
REQUESTS = 200_000
SCAN_EVERY = 10_000
SCAN = 2_500
SHARES = (0.01, 0.1)
LARGEST = 16 << 20
SEED = 20240416


class Cache(Protocol):
    """What is compared: ``access`` says whether it was a hit, and admits the object if not."""

    def access(self, name: int, size_bytes: int) -> bool: ...


class Lru:
    """The least recently used goes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used_bytes = 0
        self._sizes: OrderedDict[int, int] = OrderedDict()

    def access(self, name: int, size_bytes: int) -> bool:
        if name in self._sizes:
            self._sizes.move_to_end(name)
            return True
        while self._sizes and self._used_bytes + size_bytes > self._max_bytes:
            self._used_bytes -= self._sizes.popitem(last=False)[1]
        self._sizes[name] = size_bytes
        self._used_bytes += size_bytes
        return False


class Node:
    """An object in SIEVE's queue."""

    __slots__ = ("name", "newer", "older", "size_bytes", "visited")

    def __init__(self, name: int, size_bytes: int) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.visited = False
        self.older = self.newer = self


class Sieve:
    """SIEVE (Zhang et al., NSDI '24, algorithm 1): a hand goes from old to new, and takes what was not visited."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used_bytes = 0
        self._nodes: dict[int, Node] = {}
        self._root = self._hand = Node(-1, 0)  # between the newest and the oldest

    def access(self, name: int, size_bytes: int) -> bool:
        if (node := self._nodes.get(name)) is not None:
            node.visited = True
            return True
        while self._nodes and self._used_bytes + size_bytes > self._max_bytes:
            self._evict()
        node = self._nodes[name] = Node(name, size_bytes)
        node.older, node.newer = self._root.older, self._root
        node.older.newer = node.newer.older = node
        self._used_bytes += size_bytes
        return False

    def _evict(self) -> None:
        hand = self._hand
        while hand is self._root or hand.visited:
            hand.visited = False
            hand = hand.newer
        self._hand = hand.newer
        hand.older.newer, hand.newer.older = hand.newer, hand.older
        self._used_bytes -= hand.size_bytes
        del self._nodes[hand.name]


class S3Fifo:
    """The product's queue, used as the cache does: each admission is a generation of its own."""

    def __init__(self, max_bytes: int) -> None:
        self._queue = EvictionQueue(max_bytes, 1 << 40)
        self._numbers = itertools.count()
        self._residents: dict[int, Resident] = {}
        self._names: dict[int, int] = {}

    def access(self, name: int, size_bytes: int) -> bool:
        if (resident := self._residents.get(name)) is not None:
            resident.touch()
            return True
        queue = self._queue
        while queue.over(size_bytes, 1) and (victim := queue.victim()) is not None:
            queue.evict(victim)
            del self._residents[self._names.pop(victim.number)]
        number = next(self._numbers)
        self._residents[name] = queue.add(number, name, size_bytes, 1)
        self._names[number] = name
        return False


CACHES: dict[str, Callable[[int], Cache]] = {"LRU": Lru, "SIEVE": Sieve, "S3-FIFO": S3Fifo}


class Ratio(msgspec.Struct, frozen=True):
    """Of the requests, and of the bytes asked for, those that hit, in %."""

    objects: float
    bytes: float


class Row(msgspec.Struct, frozen=True):
    """One trace in a cache of one size."""

    share: float
    trace: str
    ratios: dict[str, Ratio]


class Cost(msgspec.Struct, frozen=True):
    """An operation of the queue: the median of its rounds, in nanoseconds of CPU time."""

    operation: str
    ns: float


class Found(msgspec.Struct, frozen=True):
    """Everything a run found, as its JSON has it."""

    measured_at: str
    command: str
    versions: dict[str, str]
    load_before: float
    ratios: list[Row]
    costs: dict[str, list[Cost]]
    resident_bytes: float
    longest_victim_us: float


def zipf(rng: random.Random, alpha: float, count: int, ranks: Sequence[int]) -> list[int]:
    """``count`` requests, of which the object at rank ``r`` gets a share proportional to ``r ** -alpha``."""
    weights = list(itertools.accumulate((rank + 1) ** -alpha for rank in range(len(ranks))))
    return rng.choices(ranks, cum_weights=weights, k=count)


def with_scans(requests: list[int], first: int) -> list[int]:
    """Every 10,000 requests a scan of 2,500 objects that are never asked for again, numbered from ``first`` on."""
    names = itertools.count(first)
    mixed = []
    for at in range(0, len(requests), SCAN_EVERY):
        mixed += requests[at : at + SCAN_EVERY]
        mixed += itertools.islice(names, SCAN)
    return mixed


def moving(rng: random.Random, alpha: float, count: int) -> list[int]:
    """Zipf, where every twentieth of the requests 1,000 of the ranks change places with the 2,000 most popular."""
    ranks = list(range(OBJECTS))
    rng.shuffle(ranks)
    requests = []
    for _ in range(20):
        requests += zipf(rng, alpha, count // 20, ranks)
        for _ in range(OBJECTS // 20):
            popular, other = rng.randrange(OBJECTS // 10), rng.randrange(OBJECTS)
            ranks[popular], ranks[other] = ranks[other], ranks[popular]
    return requests


def traces(requests: int) -> dict[str, list[int]]:
    """The same names of objects in every run."""
    rng = random.Random(SEED)
    ranks = list(range(OBJECTS))
    rng.shuffle(ranks)
    still = {alpha: zipf(rng, alpha, requests, ranks) for alpha in (0.6, 0.8, 1.0)}
    return (
        {f"Zipf {alpha}": trace for alpha, trace in still.items()}
        | {f"Zipf {alpha}, scans": with_scans(trace, OBJECTS) for alpha, trace in still.items()}
        | {"Zipf 0.8, moving": moving(rng, 0.8, requests)}
        | {"loop, all objects": [at % OBJECTS for at in range(requests)]}
    )


def sizes(count: int) -> list[int]:
    """The sizes of ``count`` objects, in bytes."""
    rng = random.Random(SEED + 1)
    return [min(max(int(rng.lognormvariate(11.09, 1.5)), 1024), LARGEST) for _ in range(count)]


def hit_ratio(cache: Cache, trace: Sequence[int], size_of: Sequence[int]) -> Ratio:
    """Ask for everything in turn; count after the first fifth."""
    warm = len(trace) // 5
    for name in trace[:warm]:
        cache.access(name, size_of[name])
    hits = hit_bytes = asked_bytes = 0
    for name in trace[warm:]:
        asked_bytes += size_of[name]
        if cache.access(name, size_of[name]):
            hits += 1
            hit_bytes += size_of[name]
    return Ratio(100 * hits / (len(trace) - warm), 100 * hit_bytes / asked_bytes)


def compare(requests: int) -> Iterator[Row]:
    """Every trace with every cache, at both sizes."""
    size_of = sizes(OBJECTS + requests // SCAN_EVERY * SCAN)
    all_bytes = sum(size_of[:OBJECTS])
    made = traces(requests)
    for share in SHARES:
        max_bytes = int(all_bytes * share)
        # The objects of a loop that is half as large again as the cache.
        looped = next(n for n, so_far in enumerate(itertools.accumulate(size_of), 1) if so_far > 1.5 * max_bytes)
        loop = {"loop, 1.5 × the cache": [at % looped for at in range(requests)]}
        for name, trace in (made | loop).items():
            yield Row(share, name, {kind: hit_ratio(make(max_bytes), trace, size_of) for kind, make in CACHES.items()})


def costs(count: int, rounds: int) -> tuple[list[Cost], float]:
    """What operations cost with ``count`` residents, the loop around them included; and the bytes per resident."""
    rng = random.Random(SEED)
    numbers = [(7 << 40) + at for at in range(count)]
    hashes = [rng.getrandbits(64) for _ in range(count)]
    shuffled = rng.sample(numbers, count)
    ones = [1] * count
    found: dict[str, list[float]] = {}
    taken = []

    def measure(operation: str, work: Iterator[object], times: int = count) -> None:
        began = time.process_time_ns()
        deque(work, 0)
        found.setdefault(operation, []).append((time.process_time_ns() - began) / times)

    for _ in range(rounds):
        before = memory_bytes()
        queue = EvictionQueue(1 << 62, 1 << 40)
        measure("add, numbers in order", map(queue.add, numbers, hashes, ones, ones))
        # Later rounds find memory that the first one left behind.
        taken.append((memory_bytes() - before) / count)
        residents = [resident for number in numbers[:1000] if (resident := queue.get(number)) is not None]
        measure("touch, by resident", map(Resident.touch, residents * 100), 100_000)
        thousand = rng.choices(numbers[:1000], k=100_000)
        measure("touch, by number, of 1,000 at random", map(queue.touch, thousand), 100_000)
        measure("hold and release", zip(map(queue.hold, residents), map(queue.release, residents), strict=True), 1000)
        measure("touch, by number, of all at random", map(queue.touch, shuffled))
        measure("victim and evict, all visited", map(queue.evict, repeat_victims(queue, count // 2)), count // 2)
        measure("victim and evict, the rest", map(queue.evict, repeat_victims(queue, count)), count - count // 2)
        measure("add, numbers at random", map(queue.add, shuffled, hashes, ones, ones))
        del queue, residents
    return [Cost(name, statistics.median(ns)) for name, ns in found.items()], max(taken)


def repeat_victims(queue: EvictionQueue, most: int) -> Iterator[Resident]:
    """Up to ``most`` victims; each must be evicted before the next is asked for."""
    return itertools.islice(iter(queue.victim, None), most)


def longest_victim(count: int) -> float:
    """Microseconds of the longest of ten `EvictionQueue.victim`, when all of ``count`` residents were visited."""
    queue = EvictionQueue(1 << 62, 1 << 40)
    for number in range(count):
        queue.add(number, number, 1, 1)
        queue.touch(number)
    longest = 0
    for _ in range(10):
        began = time.process_time_ns()
        queue.victim()
        longest = max(longest, time.process_time_ns() - began)
    return longest / 1000


def memory_bytes() -> int:
    """The resident set of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def run(*, quick: bool, json_to: Path | None) -> None:
    """Compare, measure, print Markdown."""
    load_before = os.getloadavg()[0]
    measured_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")
    print("### Requests and bytes that hit, in %\n")
    print("| cache | requests | " + " | ".join(f"{name} | bytes" for name in CACHES) + " |")
    print("| ---: | --- |" + " ---: |" * 2 * len(CACHES))
    rows = []
    for row in compare(REQUESTS // 5 if quick else REQUESTS):
        rows.append(row)
        cells = " | ".join(f"{ratio.objects:.1f} | {ratio.bytes:.1f}" for ratio in row.ratios.values())
        print(f"| {row.share:.0%} | {row.trace} | {cells} |", flush=True)
    counts = (10_000, 100_000) if quick else (10_000, 1_000_000)
    measured = [costs(count, 3) for count in counts]
    print("\n### Nanoseconds of CPU time per operation, the calling loop included\n")
    print("| operation | " + " | ".join(f"{count:,} residents" for count in counts) + " |")
    print("| --- |" + " ---: |" * len(counts))
    for few, many in zip(measured[0][0], measured[1][0], strict=True):
        print(f"| {few.operation} | {few.ns:.0f} | {many.ns:.0f} |")
    longest_us = longest_victim(counts[-1])
    print(
        f"\nA resident takes {measured[-1][1]:.0f} bytes; the longest victim() with all visited took "
        f"{longest_us:.0f} µs."
    )
    found = Found(
        measured_at=measured_at,
        command=f"python -m {' '.join(['bench', *sys.argv[1:]])}",
        versions=versions(),
        load_before=load_before,
        ratios=rows,
        costs={f"{count}": each for count, (each, _) in zip(counts, measured, strict=True)},
        resident_bytes=measured[-1][1],
        longest_victim_us=longest_us,
    )
    names = ", ".join(f"{name} {number}" for name, number in found.versions.items())
    print(f"\nMeasured {measured_at} by `{found.command}`, load average before {load_before:.2f}.  ")
    print(f"{machine()}.  \n{names}.")
    if json_to is not None:
        json_to.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2))
