"""Measured durations enter pytest-benchmark unchanged."""

import json

import pytest

pytest_plugins = ["pytester"]

DURATIONS = [0.1, 0.30000000000000004, 1e-6, 123.456]


@pytest.fixture(autouse=True)
def _outside_xdist(monkeypatch):
    """pytest-benchmark switches itself off under xdist, and would do so in the inner run too."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


def test_durations_come_back_bit_exact_and_nothing_runs_again(pytester):
    pytester.makeconftest('pytest_plugins = ["fixtures.plugin", "reports.plugin"]')
    pytester.makepyfile(f"def test_latency(replay):\n    replay({DURATIONS!r})\n")
    pytester.runpytest_subprocess("--benchmark-json=out.json", "-p", "no:cacheprovider").assert_outcomes(passed=1)
    (row,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    assert row["stats"]["data"] == DURATIONS
    assert row["stats"]["rounds"] == len(DURATIONS)
    assert row["options"]["timer"] == "replay_of_measured_durations"


def test_a_disabled_benchmark_does_no_harm(pytester):
    pytester.makeconftest('pytest_plugins = ["fixtures.plugin", "reports.plugin"]')
    pytester.makepyfile(f"def test_latency(replay):\n    replay({DURATIONS!r})\n")
    pytester.runpytest_subprocess("--benchmark-disable", "-p", "no:cacheprovider").assert_outcomes(passed=1)
