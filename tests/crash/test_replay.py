"""The recorder sees what a process does to its files, and the replay leaves behind what a power cut may."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crash.recording import Kind, environment, mark, read_log
from crash.replay import Disk, data_only, kept, lost, mixed, names_only

_PRELUDE = """
import os
def make(path, data=b"", flags=os.O_RDWR | os.O_CREAT):
    fd = os.open(path, flags, 0o644)
    os.write(fd, data)
    return fd
def sync_directory(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)
"""


@pytest.fixture
def recorded(tmp_path):
    """Runs a small program in an empty directory and returns its calls."""
    root, log = tmp_path.resolve() / "root", tmp_path.resolve() / "log"

    def run(program: str, *swallow: str):
        env = {**os.environ, **environment(root, log, swallow), "RECORDED_LOG": str(log)}
        done = subprocess.run([sys.executable, "-c", _PRELUDE + program], cwd=root, env=env, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return read_log(log)

    run.root = root
    return run


@pytest.fixture
def after(tmp_path):
    """The files of a replayed tree by their paths."""

    def tree(disk: Disk, choice) -> dict[str, bytes]:
        directory = tmp_path / f"after-{len(list(tmp_path.iterdir()))}"
        disk.write(directory, choice)
        return files(directory)

    return tree


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_all_calls_together_make_the_tree_that_is_there(recorded, after):
    calls = recorded("""
import shutil
os.mkdir("sub")
fd = make("sub/a", b"0123456789")
os.pwrite(fd, b"AB", 3)
os.pwritev(fd, [b"x", b"y"], 20)
os.ftruncate(fd, 21)
with open("plain", "wb") as file:
    file.write(b"buffered" * 10000)
with open("plain", "ab") as file:
    file.write(b"appended")
fd = os.open("sub", os.O_TMPFILE | os.O_RDWR, 0o644)
other = os.dup(fd)
os.close(fd)
os.write(other, b"nameless")
os.link(f"/proc/self/fd/{other}", "sub/named", src_dir_fd=0)
os.link("plain", "hard")
os.rename("sub/a", "b")
os.replace("hard", "sub/named")
os.unlink("plain")
os.posix_fallocate(other, 0, 4096)
d = os.open("sub", os.O_RDONLY)
os.close(os.open("relative", os.O_CREAT | os.O_WRONLY, dir_fd=d))
os.mkdir("gone")
os.rmdir("gone")
""")
    assert after(Disk(calls), kept()) == files(recorded.root)


def test_what_was_written_and_not_synced_is_lost(recorded, after):
    calls = recorded("fd = make('a', b'one'); os.fsync(fd); os.write(fd, b'two'); sync_directory('.')")
    assert after(Disk(calls), lost()) == {"a": b"one"}


def test_name_is_lost_without_a_sync_of_its_directory(recorded, after):
    calls = recorded("fd = make('a', b'one'); os.fdatasync(fd)")
    assert (after(Disk(calls), lost()), after(Disk(calls), names_only())) == ({}, {"a": b"one"})


def test_name_is_lost_with_the_directory_it_is_in(recorded, after):
    calls = recorded("os.mkdir('sub'); fd = make('sub/a', b'one'); os.fsync(fd); sync_directory('sub')")
    assert after(Disk(calls), lost()) == {}


def test_name_without_its_data(recorded, after):
    calls = recorded("fd = make('a', b'one'); sync_directory('.')")
    assert after(Disk(calls), lost()) == {"a": b""}


def test_unlink_may_not_have_happened(recorded, after):
    calls = recorded("fd = make('a', b'one'); os.fsync(fd); sync_directory('.'); os.unlink('a')")
    assert (after(Disk(calls), lost()), after(Disk(calls), kept())) == ({"a": b"one"}, {})


def test_rename_may_not_have_happened(recorded, after):
    calls = recorded("""
for name in 'ab':
    fd = make(name, name.encode()); os.fsync(fd)
sync_directory('.')
os.rename('a', 'b')
""")
    assert (after(Disk(calls), lost()), after(Disk(calls), kept())) == ({"a": b"a", "b": b"b"}, {"b": b"a"})


def test_file_linked_from_nowhere_needs_its_directory_synced(recorded, after):
    program = """
fd = make('.', b'data', os.O_TMPFILE | os.O_RDWR)
os.fdatasync(fd)
os.link(f'/proc/self/fd/{fd}', 'a', src_dir_fd=0)
"""
    assert after(Disk(recorded(program)), lost()) == {}
    recorded.root.joinpath("a").unlink()
    (recorded.root.parent / "log").unlink()
    assert after(Disk(recorded(program + "sync_directory('.')")), lost()) == {"a": b"data"}


def test_sync_vouches_for_nothing_written_after_it_began(recorded, after):
    calls = recorded("fd = make('a', b'one'); os.fsync(fd); sync_directory('.')")
    begun = next(at for at, call in enumerate(calls) if call.kind == Kind.SYNC_BEGIN)
    written = next(at for at, call in enumerate(calls) if call.kind == Kind.WRITE)
    late = [*calls[:written], *calls[written + 1 : begun + 1], calls[written], *calls[begun + 1 :]]
    assert after(Disk(late), lost()) == {"a": b""}


def test_sync_that_has_not_returned_vouches_for_nothing(recorded, after):
    calls = recorded("fd = make('a', b'one'); sync_directory('.'); os.fsync(fd)")
    ended = max(at for at, call in enumerate(calls) if call.kind == Kind.SYNC_END)
    assert (after(Disk(calls[:ended]), lost()), after(Disk(calls), lost())) == ({"a": b""}, {"a": b"one"})


def test_swallowed_sync_leaves_no_trace(recorded, after):
    calls = recorded("os.mkdir('s'); fd = make('s/a', b'one'); os.fsync(fd); sync_directory('.')", "f:s/*")
    assert [call.kind for call in calls].count(Kind.SYNC_END) == 1
    assert after(Disk(calls), lost()) == {}


def test_swallowed_directory_sync_leaves_no_trace(recorded, after):
    calls = recorded("os.mkdir('s'); fd = make('s/a', b'one'); os.fsync(fd); sync_directory('s')", "d:s")
    assert [call.kind for call in calls].count(Kind.SYNC_END) == 1


def test_torn_write_is_there_by_sectors(recorded, after):
    calls = recorded("fd = make('a', bytes(1000)); os.fsync(fd); sync_directory('.'); os.pwrite(fd, b'x' * 5000, 100)")
    found = [after(Disk(calls), mixed(seed))["a"] for seed in range(40)]
    edges = {at % 512 for one in found for at in range(1, len(one)) if one[at] != one[at - 1]}
    assert len(set(found)) > 10
    # Where it begins, where sectors meet.
    assert edges == {0, 100}


def test_choices_depend_on_their_seed_only(recorded, after):
    calls = recorded("for n in range(30): make(f'a{n}', b'x' * 2000)")
    assert after(Disk(calls), mixed(3)) == after(Disk(calls), mixed(3)) != after(Disk(calls), mixed(4))


def test_data_without_names(recorded, after):
    calls = recorded("fd = make('a', b'one'); sync_directory('.'); os.write(fd, b'two'); make('b')")
    assert after(Disk(calls), data_only()) == {"a": b"onetwo"}


@pytest.mark.parametrize("program", ["mmap.mmap(fd, 3)", "os.sendfile(fd, os.open('/etc/passwd', os.O_RDONLY), 0, 9)"])
def test_what_a_replay_cannot_follow_is_an_error(recorded, program):
    calls = recorded("import mmap; fd = make('a', b'one')\n" + program)
    with pytest.raises(NotImplementedError):
        Disk(calls)


def test_marks_stand_among_the_calls(recorded):
    log = recorded.root.parent / "log"
    mark(log, {"begin": 1})
    recorded("make('a')")
    mark(log, {"end": 1})
    calls = read_log(log)
    assert [call.first for call in calls if call.kind == Kind.MARK] == [b'{"begin": 1}', b'{"end": 1}']
    assert (calls[0].kind, calls[-1].kind) == (Kind.MARK, Kind.MARK)
    assert Kind.OPEN in {call.kind for call in calls[1:-1]}
