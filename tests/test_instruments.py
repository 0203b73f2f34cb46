"""The memory sampler: known allocations, phases, and None where nothing can be measured."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.evidence import MemoryPeak
from harness.instruments import MemorySampler, kernel_oom_kills, memory

LINUX = Path("/proc/self/statm").exists()

# Allocates or frees as told, one number of megabytes a line, and says when it is done.
SCRIPT = """
import sys
for line in sys.stdin:
    held = None
    held = bytearray(b"\\x01") * (int(line) * 1_000_000)
    print("done", flush=True)
"""


@contextmanager
def allocator() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        tell(process, 1)
        yield process
        process.kill()


def tell(process: subprocess.Popen[str], megabytes: int) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{megabytes}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


def test_phases_see_a_known_allocation_and_then_forget_it() -> None:
    with allocator() as process:
        sampler = MemorySampler(process.pid)
        sampler.begin()
        before = sampler.end()
        sampler.begin()
        tell(process, 200)
        sampler.sample()
        tell(process, 1)
        during = sampler.end()
        sampler.begin()
        after = sampler.end()
        sampler.close()
    assert (before.samples, during.samples, after.samples) == (2, 3, 2)
    for name in ("rss_bytes", "anonymous_bytes", "high_water_bytes"):
        if name == "rss_bytes" or (LINUX and getattr(before, name) is not None):
            assert getattr(during, name) - getattr(before, name) == pytest.approx(199e6, rel=0.03), name
            assert getattr(after, name) - getattr(before, name) < 10e6, name


@pytest.mark.skipif(not LINUX, reason="needs /proc")
def test_the_kernels_mark_sees_what_no_sample_saw() -> None:
    with allocator() as process:
        sampler = MemorySampler(process.pid)
        sampler.begin()
        tell(process, 100)
        tell(process, 1)
        peak = sampler.end()
        sampler.close()
    if peak.high_water_bytes is None:
        pytest.skip("this kernel does not reset VmHWM")
    assert peak.rss_bytes is not None
    assert peak.high_water_bytes - peak.rss_bytes == pytest.approx(99e6, rel=0.05)
    assert peak.peak_rss_bytes == peak.high_water_bytes


def test_a_process_that_has_ended_is_not_measured_rather_than_zero() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        sampler = MemorySampler(process.pid)
        time.sleep(0.3)  # a zombie by now: nobody has waited for it
        sampler.begin()
        zombie = sampler.end()
    sampler.begin()
    reaped = sampler.end()
    sampler.close()
    closed = MemorySampler(process.pid)
    closed.begin()
    never = closed.end()
    closed.close()
    closed.close()
    assert zombie.rss_bytes is None
    assert zombie.samples == 0
    assert reaped == never == MemoryPeak()


def test_psutil_stands_in_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.Path, "exists", lambda path: False)
    with allocator() as process:
        sampler = MemorySampler(process.pid)
        sampler.begin()
        before = sampler.end()
        sampler.begin()
        tell(process, 50)
        during = sampler.end()
    sampler.begin()
    after = sampler.end()
    sampler.close()
    assert during.rss_bytes is not None
    assert before.rss_bytes is not None
    assert during.rss_bytes - before.rss_bytes == pytest.approx(49e6, rel=0.05)
    assert (during.anonymous_bytes, during.high_water_bytes) == (None, None)
    assert after == MemoryPeak()


@pytest.mark.skipif(not LINUX, reason="needs /proc")
def test_a_sample_is_cheap() -> None:
    with allocator() as process:
        sampler = MemorySampler(process.pid)
        sampler.begin()
        costs = []
        for _ in range(20):
            start = time.perf_counter()
            for _ in range(10):
                sampler.sample()
            costs.append((time.perf_counter() - start) / 10)
        sampler.close()
    assert min(costs) < 100e-6, "1 % of a core at one sample in 10 ms"


def test_the_kernels_oom_count_is_a_count_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    count = kernel_oom_kills()
    assert count is None or count >= 0
    monkeypatch.setattr(memory.Path, "read_text", lambda path, encoding: "pgfault 12\noom_kill 3\n")
    assert kernel_oom_kills() == 3
    monkeypatch.setattr(memory.Path, "read_text", lambda path, encoding: "pgfault 12\n")
    assert kernel_oom_kills() is None
