"""Runs one target for a time: `python -m fuzz.worker TARGET SECONDS SEED DIRECTORY`.

The input about to be tried always stands in `DIRECTORY/current` (8 bytes of length, then the bytes): a memory map, so
that it is there after the process was aborted. Ends with 0 when nothing was found, with 1 and a traceback when the
target raised something unexpected, and however a sanitizer ends it.
"""

from __future__ import annotations

import mmap
import sys
import time
import traceback
from pathlib import Path

from fuzz.mutate import Mutator
from fuzz.registry import all_targets

_CURRENT_BYTES = 1 << 17


def read_current(directory: Path) -> bytes:
    """The input that was being tried when the worker ended."""
    data = (directory / "current").read_bytes()
    return data[8 : 8 + int.from_bytes(data[:8], "little")]


def main(name: str, seconds: float, seed: int, directory: Path) -> int:
    target = all_targets()[name]
    mutator = Mutator(seed, target.tokens)
    choose = mutator._random.choice
    with (directory / "current").open("w+b") as file:
        file.truncate(_CURRENT_BYTES)
        current = mmap.mmap(file.fileno(), _CURRENT_BYTES)
    pending = target.inputs()
    corpus = list(pending)
    features: set[object] = set()
    count = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        data = pending.pop() if pending else mutator.mutate(choose(corpus), choose(corpus))
        current[: 8 + len(data)] = len(data).to_bytes(8, "little") + data
        try:
            feature = target.call(data)
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            traceback.print_exc()
            return 1
        count += 1
        if feature not in features and len(features) < 20000:
            features.add(feature)
            corpus.append(data)
    print(f"{name}: {count} inputs, {len(features)} outcomes, seed {seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
