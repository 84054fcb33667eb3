"""`s3d bench`: reading its options, signing its requests, and what it makes of the figures."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.cli import bench, bench_report, bench_run
from s3d.cli.bench_run import Outcome, Side, Slice, Workload

NO_KEYS: dict[str, Any] = {"keys": ("", ""), "against_keys": [], "unsigned": True, "region": "", "pids": []}
SIGNED = Side("here", "http://localhost:9000", "AKIDEXAMPLE", "secret")


def outcome(name: str, rates: list[float], *, p50_ms: float = 1.0, cpu_s: float | None = None) -> Outcome:
    """A side that had one slice of a second for each rate."""
    made = Outcome(Side(name, f"http://{name}:80"))
    for rate in rates:
        made.slices.append(Slice(round(rate), round(rate) * 4096, 1.0, p50_ms, p50_ms * 2, 0, cpu_s))
        made.latency.record(round(p50_ms * 1e6))
    return made


# Options.


def test_the_endpoint_is_called_s3d_and_another_side_by_its_address() -> None:
    sides = bench.read_sides("http://localhost:33333", ["https://s3.example.com"], **NO_KEYS)
    assert [(side.name, side.url) for side in sides] == [
        ("s3d", "http://localhost:33333"),
        ("s3.example.com", "https://s3.example.com"),
    ]


def test_a_side_can_be_named() -> None:
    sides = bench.read_sides("mine=http://localhost:1", ["minio=http://localhost:2/"], **NO_KEYS)
    assert [(side.name, side.url) for side in sides] == [
        ("mine", "http://localhost:1"),
        ("minio", "http://localhost:2"),
    ]


@pytest.mark.parametrize("url", ["localhost:9000", "unix:/run/s3d.sock", "ftp://x", "http://", "http://x/bucket"])
def test_what_is_no_server_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be measured|has a path"):
        bench.read_sides(url, [], **NO_KEYS)


def test_two_sides_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        bench.read_sides("http://localhost:1", ["s3d=http://localhost:2"], **NO_KEYS)


def test_keys_belong_to_the_sides_in_order() -> None:
    options = NO_KEYS | {"unsigned": False, "keys": ("A", "a"), "against_keys": [("B", "b"), ("C", "c")]}
    sides = bench.read_sides("http://h:1", ["http://h:2", "http://h:3"], **options)
    assert [(side.access_key, side.secret_key) for side in sides] == [("A", "a"), ("B", "b"), ("C", "c")]


def test_the_endpoint_signs_as_the_root_identity_and_others_as_aws_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("S3D_ACCESS_KEY_ID", "ROOT")
    monkeypatch.setenv("S3D_SECRET_ACCESS_KEY", "root")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "CLOUD")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "cloud")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    here, there = bench.read_sides("http://h:1", ["http://h:2"], **NO_KEYS | {"unsigned": False})
    assert (here.access_key, here.secret_key, here.session_token) == ("ROOT", "root", "")
    assert (there.access_key, there.secret_key, there.session_token) == ("CLOUD", "cloud", "token")


def test_processes_belong_to_the_side_they_name_or_else_to_the_sides_in_order() -> None:
    pid = os.getpid()
    assert bench.read_pids([f"{pid}", f"{pid}"], ["a", "b"]) == {"a": (pid,), "b": (pid,)}
    assert bench.read_pids([f"b={pid}", f"b={pid}"], ["a", "b"]) == {"a": (), "b": (pid, pid)}


@pytest.mark.parametrize(
    ("text", "said"), [("c=1", "no side"), ("a=x", "no process"), ("4194305", "no process"), ("-1", "no process")]
)
def test_a_process_that_is_not_there_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bench.read_pids([text], ["a"])


def options(**changed: Any) -> dict[str, Any]:
    return {
        "size": "4KiB",
        "objects": 0,
        "connections": 1,
        "duration": "10s",
        "warmup": "1s",
        "slices": "1s",
        "rate": 0.0,
        "range_size": "4KiB",
        "timeout": "30s",
        "bucket": "",
        "sign_payload": False,
    } | changed


@pytest.mark.parametrize(("size", "objects"), [("4KiB", 1000), ("64MiB", 16), ("256MiB", 4), ("5GiB", 4), ("0", 1000)])
def test_as_many_objects_are_made_as_a_gibibyte_holds(size: str, objects: int) -> None:
    assert bench.read_workload("put", **options(size=size)).objects == objects


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"size": "4 apples"}, "--size"), ({"duration": "never"}, "--duration"), ({"slices": "0s"}, "--slice")],
)
def test_a_wrong_value_is_refused_by_its_options_name(changed: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bench.read_workload("get", **options(**changed))


def test_an_unknown_workload_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="get, put, head, range"):
        bench.read_workload("post", **options())


# Requests.


def test_an_unsigned_head_carries_nothing_but_what_http_needs() -> None:
    [head] = bench_run.sign(Side("here", "http://localhost:9000"), "GET", ["/b/k"])
    assert head == b"GET /b/k HTTP/1.1\r\nHost: localhost:9000\r\n\r\n"


def test_a_signed_head_names_key_region_and_payload() -> None:
    [head] = bench_run.sign(SIGNED, "PUT", ["/b/k"], body_bytes=7, payload_hash=bench_run.UNSIGNED)
    assert b"X-Amz-Content-SHA256: UNSIGNED-PAYLOAD\r\n" in head
    assert b"/us-east-1/s3/aws4_request" in head
    assert b"Credential=AKIDEXAMPLE/" in head
    assert b"SignedHeaders=host;x-amz-content-sha256;x-amz-date" in head
    assert b"\r\nContent-Length: 7\r\n" in head


def test_an_extra_header_is_signed() -> None:
    [head] = bench_run.sign(SIGNED, "GET", ["/b/k"], fields=[("Range", "bytes=0-1")])
    assert b"Range: bytes=0-1\r\n" in head
    assert b"SignedHeaders=host;range;" in head


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 5000])
def test_the_hash_of_a_repeated_buffer_is_that_of_the_bytes_sent(size: int) -> None:
    import hashlib

    body = os.urandom(1000)
    assert bench_run.hash_of(body, size) == hashlib.sha256((body * 6)[:size]).hexdigest()


# CPU time.


def test_the_cpu_time_of_a_process_grows_as_it_works() -> None:
    before = bench_run.cpu_clock([os.getpid()])
    sum(range(1_000_000))
    assert bench_run.cpu_clock([os.getpid()]) > before


def test_the_cpu_time_of_a_process_that_has_ended_is_nothing() -> None:
    assert bench_run.cpu_clock([4194305]) == 0


# Figures.


def test_the_spread_is_the_middle_half() -> None:
    assert bench_report.spread([1, 2, 3, 4, 100]) == bench_report.Spread(3, 2, 4)


def test_the_spread_of_few_slices_is_all_of_them() -> None:
    assert bench_report.spread([3, 1]) == bench_report.Spread(2, 1, 3)


def test_a_side_is_compared_round_by_round() -> None:
    # Both get ten times slower in the second half: no ratio changes.
    found = bench_report.compared(outcome("a", [100, 100, 10, 10]), outcome("b", [200, 200, 20, 20]))
    assert found.rate == bench_report.Spread(0.5, 0.5, 0.5)


def test_a_round_in_which_the_other_side_answered_nothing_is_left_out() -> None:
    found = bench_report.compared(outcome("a", [100, 100]), outcome("b", [0, 50]))
    assert found.rate.median == 2.0


def test_cpu_time_is_given_per_request_and_compared() -> None:
    found = bench_report.report(
        Workload("get"), [outcome("a", [1000], cpu_s=0.02), outcome("b", [1000], cpu_s=0.01), outcome("c", [1000])]
    )
    assert [side.cpu_us_per_request for side in found.sides] == [20.0, 10.0, None]
    assert [ratio.cpu for ratio in found.ratios] == [2.0, None]


def test_columns_that_say_nothing_are_left_out() -> None:
    lines = bench_report.markdown(bench_report.report(Workload("get"), [outcome("a", [1000])])).splitlines()
    assert lines[0] == "|  | requests/s | MB/s | p50 | p90 | p99 | max | errors |"
    assert lines[2].startswith("| a | 1,000 | 4.1 | 1 ms |")


def test_the_ratio_stands_beside_the_side_it_was_measured_against() -> None:
    found = bench_report.report(Workload("get"), [outcome("a", [50.0]), outcome("b", [100.0])])
    lines = bench_report.markdown(found).splitlines()
    assert lines[0].endswith("| a ÷ this |")
    assert lines[2].endswith("|  |")
    assert lines[3].endswith("| 0.50 (0.50–0.50) |")


def test_a_report_is_json() -> None:
    found = bench_report.report(Workload("get"), [outcome("a", [50.0]), outcome("b", [100.0])])
    assert msgspec.json.decode(msgspec.json.encode(found), type=bench_report.Report) == found


@pytest.mark.parametrize(
    ("value_ms", "text"),
    [(0, "0 µs"), (0.0614, "61 µs"), (1.234, "1.23 ms"), (61.2, "61.2 ms"), (999.9, "1 s"), (1270, "1.27 s")],
)
def test_a_latency_is_shown_in_the_unit_that_suits_it(value_ms: float, text: str) -> None:
    assert bench_report.milliseconds(value_ms) == text


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=50))
def test_a_distribution_fills_its_width_whatever_was_measured(latencies_ns: list[int]) -> None:
    made = Outcome(Side("a", "http://a"))
    for latency_ns in latencies_ns:
        made.latency.record(latency_ns)
    drawn, axis = bench_report.distribution([made]).splitlines()
    assert drawn.startswith("a ▕")
    assert len(drawn) == len("a ▕▏") + 48
    assert any(block in drawn for block in bench_report.BLOCKS[1:])
    assert axis.strip()


def test_nothing_measured_draws_nothing() -> None:
    assert bench_report.distribution([Outcome(Side("a", "http://a"))]) == ""
