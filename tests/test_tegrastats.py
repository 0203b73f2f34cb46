"""tegrastats: lines of every board, lines of none, and the tool as a process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.instruments.energy import NoDevices, device_sampler
from harness.instruments.tegrastats import TegraSampler, find_tegrastats, parse_tegrastats

EXAMPLES = Path(__file__).parent / "data" / "tegrastats.txt"
LINES = [line for line in EXAMPLES.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
ORIN = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
XAVIER = ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V")
THOR = ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0")


@pytest.mark.parametrize(
    ("line", "ram_mib", "gpu_percent", "gpu_mhz", "rails", "power_w"),
    [
        (LINES[0], (1282, 62795), 0, 0, ORIN, 6.831),
        (LINES[1], (16226, 62841), 97, 1300, ORIN, 17.799),
        (LINES[2], (20642, 62817), 12, 1300, ORIN, 13.907),
        (LINES[3], (2493, 7620), 37, None, ("VDD_IN",), 4.542),
        (LINES[4], (5023, 31918), 78, 1377, XAVIER, 13.499),
        (LINES[5], (2934, 31011), 0, 318, XAVIER, 3.031),
        (LINES[6], (1903, 7772), 0, 114, ("VDD_IN",), 3.021),
        (LINES[7], (1923, 3964), 0, 76, ("POM_5V_IN",), 1.750),
        (LINES[8], (4208, 125773), None, 0, THOR, 8.291),
        (LINES[9], (17842, 125772), None, None, THOR, 10.575),
    ],
)
def test_a_line_of_each_board(line, ram_mib, gpu_percent, gpu_mhz, rails, power_w) -> None:
    sample = parse_tegrastats(line)
    assert sample is not None
    assert (sample.ram_used_bytes, sample.ram_total_bytes) == tuple(size << 20 for size in ram_mib)
    assert (sample.gpu_percent, sample.gpu_mhz) == (gpu_percent, gpu_mhz)
    assert sample.total_rails == rails
    assert sample.power_w == pytest.approx(power_w), "the values of now, not the averages"


def test_rails_of_an_unknown_board_are_no_total() -> None:
    sample = parse_tegrastats("RAM 1/2MB VDD_NEW 100mW/100mW VIN_SYS_5V0 900mW/900mW")
    assert sample is not None
    assert sample.rails_mw == {"VDD_NEW": 100, "VIN_SYS_5V0": 900}
    assert sample.power_w is None, "a part of the power is not the power"


@pytest.mark.parametrize("line", ["", "tegrastats: command failed", "Usage: tegrastats [-option]", "CPU [1%@1,2%@1]"])
def test_what_is_no_sample_is_none(line: str) -> None:
    assert parse_tegrastats(line) is None


PIECES = st.sampled_from([word for line in LINES for word in line.split(" ")]) | st.text(max_size=12)


@given(st.lists(PIECES, max_size=30).map(" ".join) | st.text())
def test_garbage_never_raises_and_gives_no_negative_power(line: str) -> None:
    sample = parse_tegrastats(line)
    assert sample is None or sample.power_w is None or sample.power_w >= 0


@given(st.sampled_from(LINES), st.integers(min_value=0))
def test_a_torn_line_tells_no_rail_that_it_does_not_hold(line: str, cut: int) -> None:
    whole, torn = parse_tegrastats(line), parse_tegrastats(line[: cut % len(line)])
    assert whole is not None
    assert torn is None or torn.rails_mw.items() <= whole.rails_mw.items()


def test_digits_without_end_are_not_read() -> None:
    assert parse_tegrastats(f"RAM {'9' * 5000}/1MB VDD_IN {'9' * 5000}mW/1mW") is None


# The tool as a process


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def tool(tmp_path: Path):
    """Makes a tegrastats that runs the given shell script."""

    def make(script: str) -> Path:
        path = tmp_path / "tegrastats"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


def wait_for(condition, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


class Fed(TegraSampler):
    """A sampler whose lines come from a test."""

    def __init__(self, clock: Clock) -> None:
        self.fed: list[str] = []
        super().__init__(Path("/nonexistent/tegrastats"), clock=clock, sleep=clock.sleep)

    def _lines(self) -> list[str]:
        lines, self.fed = self.fed, []
        return lines


def line(milliwatts: int, mib: int = 1000, gpu: str = "50%@[900]") -> str:
    return f"RAM {mib}/8000MB GR3D_FREQ {gpu} VDD_IN {milliwatts}mW/1mW"


def test_power_is_integrated_over_the_phase_and_idle_is_kept_apart() -> None:
    clock = Clock()
    sampler = Fed(clock)
    sampler.fed = [line(4000, 1000, "0%@[300]")]
    sampler.rest()
    assert clock.now == pytest.approx(51.0)
    clock.now += 0.5
    sampler.fed = [line(4000)]
    sampler.watch(1)
    sampler.begin()
    for watts, mib in ((10, 3000), (20, 6000), (20, 2000)):
        clock.now += 0.5
        sampler.fed = [line(watts * 1000, mib)]
        sampler.sample()
    clock.now += 0.25
    (use,) = sampler.end()
    sampler.close()
    assert use.idle_w == pytest.approx(4.0)
    assert use.before_bytes == 1000 << 20
    assert use.used_bytes == 6000 << 20
    assert use.samples == 3
    assert use.seconds == pytest.approx(1.75)
    assert use.power_j == pytest.approx(0.5 * (4 + 10) / 2 + 0.5 * (10 + 20) / 2 + 0.5 * 20 + 0.25 * 20)
    assert use.sm_clock_mhz == 900
    assert (use.energy_j, use.process_bytes, use.foreign_processes) == (None, None, None)
    assert use.name.endswith("(VDD_IN)"), "which rails were added up"


def test_what_a_tool_said_long_ago_is_no_measurement() -> None:
    clock = Clock()
    sampler = Fed(clock)
    sampler.fed = [line(4000)]
    sampler.sample()
    clock.now += 30
    sampler.begin()
    clock.now += 5
    (use,) = sampler.end()
    sampler.close()
    assert (use.power_j, use.used_bytes, use.samples) == (None, None, 0)


def test_a_tool_is_read_as_it_prints_and_stopped(tool) -> None:
    path = tool(
        'test "$1 $2" = "--interval 100" || exit 1\n'
        'printf "RAM 1000/8000MB GR3D_FREQ 5%%@[700] VDD_IN 40"; sleep 0.1\n'
        'echo "00mW/1mW"\n'
        'while :; do echo "RAM 2000/8000MB GR3D_FREQ 5%@[700] VDD_IN 6000mW/1mW"; sleep 0.05; done'
    )
    sampler = TegraSampler(path)
    process = sampler._process
    assert process is not None
    assert os.getpgid(process.pid) == process.pid, "a group of its own"
    sampler.begin()
    wait_for(lambda: sampler.sample() or sampler._samples >= 4)
    (use,) = sampler.end()
    sampler.close()
    sampler.close()
    assert use.used_bytes == 2000 << 20
    assert use.power_j is not None
    assert 4.0 <= use.power_j / use.seconds <= 6.0
    assert process.returncode is not None

    def left() -> list[psutil.Process]:
        """Alive: one that has just been killed may still be on its way out."""
        group = [p for p in psutil.process_iter(["status"]) if group_of(p.pid) == process.pid]
        return [p for p in group if p.info["status"] != psutil.STATUS_ZOMBIE]

    wait_for(lambda: not left())


def test_a_tool_that_will_not_stop_is_killed(tool) -> None:
    sampler = TegraSampler(tool('trap "" TERM\necho "RAM 1/2MB"\nwhile :; do sleep 0.05; done'))
    process = sampler._process
    assert process is not None
    wait_for(lambda: sampler.sample() or sampler._samples)
    sampler.close()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("script", ["exit 3", "echo nothing of use; exit 0"])
def test_a_tool_that_fails_measures_nothing(script: str, tool) -> None:
    sampler = TegraSampler(tool(script))
    sampler.rest(0.1)
    sampler.begin()
    sampler.sample()
    (use,) = sampler.end()
    sampler.close()
    assert (use.used_bytes, use.power_j, use.idle_w, use.before_bytes) == (None, None, None, None)


def test_a_tool_that_does_not_start_measures_nothing(tmp_path: Path) -> None:
    sampler = TegraSampler(tmp_path / "missing")
    sampler.begin()
    (use,) = sampler.end()
    sampler.close()
    assert use.power_j is None


def test_the_tool_is_for_the_one_gpu_of_a_jetson(tool, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tool("sleep 60")
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    assert find_tegrastats() == path
    found = {}
    for device in ("cpu", "cuda", "cuda:0", "cuda:all", "cuda:1"):
        sampler = device_sampler(device)
        found[device] = type(sampler)
        sampler.close()
    assert found == {
        "cpu": NoDevices,
        "cuda": TegraSampler,
        "cuda:0": TegraSampler,
        "cuda:all": TegraSampler,
        "cuda:1": NoDevices,
    }
