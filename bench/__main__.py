"""``python -m bench SUITE``: run a suite of measurements and print what it found as Markdown."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from bench import eviction, filters, forward, standalone


def main() -> None:
    """Read the command line and run the suite."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    suites = parser.add_subparsers(required=True, metavar="SUITE")
    forwarding = suites.add_parser(
        "forward", help="s3d as a forwarding gateway, beside nginx and beside no proxy at all"
    )
    forwarding.add_argument("--proxies", default="s3d,nginx", help="which to measure (default: %(default)s)")
    alone = suites.add_parser("standalone", help="s3d as a store, beside the disk's limit and nginx with static files")
    deciding = suites.add_parser("filters", help="how fast filters decide, beside the same rules in Python")
    for suite, names in (
        (forwarding, [each.name for each in forward.scenarios(True)]),
        (alone, standalone.NAMES),
        (deciding, filters.NAMES),
    ):
        suite.add_argument("--quick", action="store_true", help="a fifth of the time, for a first look")
        suite.add_argument(
            "--only", action="append", default=[], choices=names, metavar="SCENARIO", help="only this one; repeatable"
        )
        suite.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    evicting = suites.add_parser(
        "eviction", help="hit ratios of the cache's eviction beside LRU and SIEVE, and its cost"
    )
    evicting.add_argument("--quick", action="store_true", help="a fifth of the requests, for a first look")
    evicting.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    evicting.set_defaults(suite="eviction")
    forwarding.set_defaults(suite="forward")
    alone.set_defaults(suite="standalone")
    deciding.set_defaults(suite="filters")
    options = parser.parse_args()
    # A terminated run must stop its servers too.
    signal.signal(signal.SIGTERM, end)
    if options.suite == "filters":
        filters.run(quick=options.quick, only=options.only, json_to=options.json)
        return
    if options.suite == "standalone":
        standalone.run(quick=options.quick, only=options.only, json_to=options.json)
        return
    if options.suite == "eviction":
        eviction.run(quick=options.quick, json_to=options.json)
        return
    proxies = [name for name in options.proxies.split(",") if name]
    unknown = {*proxies} - {"s3d", "nginx"}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    forward.run(quick=options.quick, proxies=proxies, only=options.only, json_to=options.json)


def end(number: int, frame: FrameType | None) -> None:
    """Leave through the ``finally`` clauses."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
