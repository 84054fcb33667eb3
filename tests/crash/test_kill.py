"""s3d dies at each durable step; what it acknowledged is there at the next start, and nothing that nobody wrote."""

from __future__ import annotations

import threading

import pytest

from crash.conftest import Crashing
from crash.ledger import Ledger
from crash.workload import delete_everything, faults, run_clients, wait_until
from s3d.crash_point import POINTS

# Passed once at every start, and before the first request.
STARTING = ["index.opened", "index.boot_written", "index.floor_staged", "index.floor_written"]
# Passed when a start finds files that no row knows, or no rows at all.
SWEEPING = ["store.sweeping", "store.swept"]
SALVAGING = ["store.salvaging", "store.salvaged"]
SERVING = [name for name in POINTS if name not in STARTING + SWEEPING + SALVAGING]
# The first passings are those of an empty store's first rows and files; later ones have company.
PASSINGS = [pytest.param(n, marks=[] if n == 5 else [pytest.mark.full]) for n in (1, 2, 3, 5, 9, 14, 20)]


def check_and_use(daemon: Crashing, ledger: Ledger) -> None:
    """Starts it again: all is well, it takes new writes, another start keeps them, and nothing is left lying about."""
    daemon.start()
    assert faults(daemon.port, ledger.everything()) == []
    assert run_clients(daemon.port, ledger, clients=2, count=6, seed=99)
    daemon.stop()
    daemon.start()
    assert faults(daemon.port, ledger.everything()) == []
    delete_everything(daemon.port)
    assert wait_until(lambda: daemon.data_files() == []), daemon.data_files()
    assert daemon.salvaged() == []
    daemon.stop()


@pytest.mark.parametrize("passing", PASSINGS)
@pytest.mark.parametrize("point", SERVING)
def test_kill_while_it_serves(crashing, point, passing):
    daemon, ledger = crashing(), Ledger()
    daemon.start_to_die(f"{point}:{passing}")
    seed = 0
    while daemon.process.running and run_clients(daemon.port, ledger, clients=3, count=40, seed=seed) and seed < 3:
        seed += 1
    assert daemon.died(), f"{point} was passed fewer than {passing} times"
    check_and_use(daemon, ledger)


@pytest.mark.parametrize("before", [pytest.param("clean", marks=pytest.mark.full), "killed"])
@pytest.mark.parametrize("point", STARTING)
def test_kill_while_it_starts(crashing, point, before):
    daemon, ledger = crashing(), Ledger()
    daemon.start()
    assert run_clients(daemon.port, ledger, clients=2, count=15, seed=1)
    if before == "clean":
        daemon.stop()
    else:
        daemon.kill()
    daemon.start_to_die(point)
    if daemon.process.running:
        # A step that a start may leave to later.
        run_clients(daemon.port, ledger, clients=3, count=40, seed=2)
    assert daemon.died()
    check_and_use(daemon, ledger)


@pytest.mark.parametrize("point", SWEEPING)
def test_kill_while_it_sweeps(crashing, point):
    daemon, ledger = crashing(), Ledger()
    daemon.start_to_die("store.directory_synced:3")
    assert not run_clients(daemon.port, ledger, clients=2, count=60, seed=1)
    assert daemon.died()
    daemon.start_to_die(point)
    assert daemon.died(), "the orphan was not swept"
    check_and_use(daemon, ledger)


def test_kill_at_any_moment(crashing):
    daemon, ledger = crashing(), Ledger()
    for seed in range(3):
        daemon.start()
        assert faults(daemon.port, ledger.everything()) == []
        killer = threading.Timer(0.15 + 0.2 * seed, daemon.kill)
        killer.start()
        run_clients(daemon.port, ledger, clients=3, count=500, seed=seed)
        killer.join()
    check_and_use(daemon, ledger)
