"""An index that is gone, or older than the data files beside it, costs no file its life (invariant 3)."""

from __future__ import annotations

import shutil

from crash.ledger import Ledger
from crash.workload import faults, run_clients, wait_until


def test_files_without_an_index_go_to_lost_and_found(crashing):
    daemon, ledger = crashing(), Ledger()
    daemon.start()
    assert run_clients(daemon.port, ledger, clients=2, count=25, seed=1)
    daemon.stop()
    files = {path.read_bytes() for path in daemon.data_files()}
    assert files
    shutil.rmtree(daemon.local_dir / "index")
    daemon.expect_log(r"WARNING|ERROR")
    daemon.start()
    assert wait_until(lambda: len(daemon.salvaged()) == len(files))
    assert {path.read_bytes() for path in daemon.salvaged()} == files
    # What comes later is stored as ever, and the next start has no more doubts.
    later = Ledger()
    assert run_clients(daemon.port, later, clients=2, count=25, seed=2)
    daemon.stop()
    daemon.start()
    assert faults(daemon.port, later.everything()) == []
    assert {path.read_bytes() for path in daemon.salvaged()} == files


def test_files_that_an_older_index_does_not_know_go_to_lost_and_found(crashing, tmp_path):
    daemon, first, second = crashing(), Ledger(), Ledger()
    daemon.start()
    assert run_clients(daemon.port, first, clients=2, count=25, seed=1)
    daemon.stop()
    shutil.copytree(daemon.local_dir / "index", tmp_path / "index")
    old = {path.name for path in daemon.data_files()}
    daemon.start()
    assert run_clients(daemon.port, second, clients=2, count=25, seed=2)
    daemon.stop()
    new = {path.name for path in daemon.data_files()} - old
    shutil.rmtree(daemon.local_dir / "index")
    shutil.copytree(tmp_path / "index", daemon.local_dir / "index")
    daemon.expect_log(r"WARNING|ERROR")
    daemon.start()
    assert wait_until(lambda: len(daemon.salvaged()) >= len(new))
    assert new <= {path.name for path in daemon.salvaged()}
    assert faults(daemon.port, first.everything()) == []


def test_files_that_an_index_of_the_same_start_does_not_know_go_to_lost_and_found(crashing, tmp_path):
    daemon, first, second = crashing(), Ledger(), Ledger()
    daemon.start()
    assert run_clients(daemon.port, first, clients=2, count=25, seed=1)
    daemon.kill()
    shutil.copytree(daemon.local_dir / "index", tmp_path / "index")
    daemon.start()
    daemon.kill()
    daemon.start()
    old = {path.name for path in daemon.data_files()}
    shutil.rmtree(tmp_path / "index")
    shutil.copytree(daemon.local_dir / "index", tmp_path / "index")
    assert run_clients(daemon.port, second, clients=2, count=25, seed=2)
    new = {path.name for path in daemon.data_files()} - old
    daemon.stop()
    shutil.rmtree(daemon.local_dir / "index")
    shutil.copytree(tmp_path / "index", daemon.local_dir / "index")
    daemon.expect_log(r"WARNING|ERROR")
    daemon.start()
    assert wait_until(lambda: len(daemon.salvaged()) >= len(new))
    assert new <= {path.name for path in daemon.salvaged()}


def test_what_lies_in_lost_and_found_can_be_adopted(crashing):
    daemon, ledger = crashing(), Ledger()
    daemon.start()
    assert run_clients(daemon.port, ledger, clients=2, count=25, seed=1)
    daemon.stop()
    shutil.rmtree(daemon.local_dir / "index")
    daemon.expect_log(r"WARNING|ERROR")
    daemon.start()
    assert wait_until(lambda: daemon.salvaged() != [] and daemon.data_files() == [])
    daemon.stop()
    done = daemon.command("store", "adopt")
    assert done.returncode == 0, done.stdout + done.stderr
    daemon.start()
    wanted = {
        key: state
        for key, [state] in ledger.everything().allowed().items()
        # Small bodies lay in the index; the last one put whole names its object by itself.
        if state is not None and state.size_bytes > 16 << 10 and "-" not in state.etag and not state.tags
    }
    missing = [
        one for one in faults(daemon.port, ledger.everything()) if any(one.startswith(f"{key}:") for key in wanted)
    ]
    assert wanted
    assert missing == []
