"""The command behind `tests/s3tests/run`."""

from __future__ import annotations

import argparse
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from s3tests.groups import STEP, all_groups, group_of
from s3tests.suite import Outcome, fetch, interpreter, run, tests_of
from servers.daemon import LOCAL_CREDENTIALS, S3dDaemon
from servers.remotes import Remote, start_moto, start_seaweedfs

EXPECTED = Path(__file__).with_name("expected.toml")


def judge(outcomes: Iterable[Outcome], expected: Mapping[str, str]) -> list[str]:
    """What is not as expected.toml says: a failure without a reason, a reason without a failure."""
    problems = []
    for one in sorted(outcomes, key=lambda one: one.test):
        explained = one.test in expected or one.test.partition("[")[0] in expected
        if one.how in ("failed", "missing") and not explained:
            problems.append(f"{one.test} {one.how}: {one.why}")
        elif one.how == "passed" and one.test in expected:
            problems.append(f"{one.test} passed, and expected.toml says: {expected[one.test]}")
    return problems


def table(outcomes: Iterable[Outcome]) -> str:
    """Counts by group."""
    counts: dict[str, Counter[str]] = {}
    for one in outcomes:
        counts.setdefault(group_of(one.test), Counter())[one.how] += 1
    lines = [f"{'group':<16}{'passed':>8}{'failed':>8}{'skipped':>8}{'missing':>8}"]
    total: Counter[str] = Counter()
    for group in all_groups():
        if group in counts:
            count = counts[group]
            total.update(count)
            lines.append(
                f"{group:<16}" + "".join(f"{count[how]:>8}" for how in ("passed", "failed", "skipped", "missing"))
            )
    lines.append(f"{'all':<16}" + "".join(f"{total[how]:>8}" for how in ("passed", "failed", "skipped", "missing")))
    return "\n".join(lines)


@contextmanager
def server(name: str, directory: Path) -> Iterator[Remote]:
    """The server under test."""
    if name == "seaweedfs":
        remote = start_seaweedfs(directory)
        yield remote
        remote.stop()
    elif name == "moto":
        remote = start_moto(directory)
        yield remote
        remote.stop()
    else:
        daemon = S3dDaemon(directory, standalone=True)
        daemon.expect_log(" WARNING s3d.gateway: a client asks for encryption at rest")
        daemon.start()
        yield Remote("standalone", daemon.endpoint, LOCAL_CREDENTIALS, daemon.process)
        daemon.stop()


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/s3tests/run", description=__doc__)
    parser.add_argument("--group", action="append", choices=[*all_groups(), "all"], help="default: " + ", ".join(STEP))
    parser.add_argument("--against", default="standalone", choices=["standalone", "seaweedfs", "moto"])
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--keep", type=Path, help="directory for the server's files, logs and pytest's output")
    parser.add_argument("test", nargs="*", help="names of tests, instead of groups")
    arguments = parser.parse_args()

    suite = fetch()
    wanted = arguments.group or STEP
    tests = arguments.test or [name for name in tests_of(suite) if "all" in wanted or group_of(name) in wanted]
    with tempfile.TemporaryDirectory(prefix="s3tests-") as temporary:
        directory = arguments.keep or Path(temporary)
        with server(arguments.against, directory / "server") as remote:
            outcomes = run(suite, interpreter(), remote, tests, directory, jobs=arguments.jobs)
    print(table(outcomes))
    if arguments.against != "standalone":
        for one in outcomes:
            if one.how != "passed":
                print(f"{one.how} {one.test}: {one.why}")
        return 0
    expected = tomllib.loads(EXPECTED.read_text("utf-8"))["failures"]
    problems = judge(outcomes, expected)
    if not arguments.test and not arguments.group:
        known = {one.test for one in outcomes}
        problems += [f"expected.toml names {test}, which did not run" for test in expected if test not in known]
    print("\n".join(problems) or f"{sum(one.how != 'passed' for one in outcomes)} not passed, all explained")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
