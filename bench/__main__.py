"""``python -m bench SUITE``: run a suite of measurements and print what it found as Markdown."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from bench import forward


def main() -> None:
    """Read the command line and run the suite."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    suites = parser.add_subparsers(required=True, metavar="SUITE")
    suite = suites.add_parser("forward", help="s3d as a forwarding gateway, beside nginx and beside no proxy at all")
    suite.add_argument("--quick", action="store_true", help="a fifth of the time, for a first look")
    suite.add_argument("--proxies", default="s3d,nginx", help="which to measure (default: %(default)s)")
    suite.add_argument("--only", action="append", default=[], metavar="SCENARIO", help="only this one; repeatable")
    suite.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    # A terminated run must stop its servers too.
    signal.signal(signal.SIGTERM, end)
    proxies = [name for name in options.proxies.split(",") if name]
    unknown = {*proxies} - {"s3d", "nginx"} or {*options.only} - {each.name for each in forward.scenarios(True)}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    forward.run(quick=options.quick, proxies=proxies, only=options.only, json_to=options.json)


def end(number: int, frame: FrameType | None) -> None:
    """Leave through the ``finally`` clauses."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
