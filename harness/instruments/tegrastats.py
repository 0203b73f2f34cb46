"""Memory and power of a Jetson board, from what its tegrastats tool prints: it has no NVML counter of energy.

Formats: Jetson Linux Developer Guide, tegrastats utility. Rails are printed as now/average, since release 35 with the
unit (`VDD_IN 4542mW/4000mW`), before without (`POM_5V_IN 1750/1628`), and lately with the highest as a third value.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.evidence import DeviceUse
from harness.instruments.energy import IDLE_S, PowerIntegral

__all__ = ["TegraSample", "TegraSampler", "find_tegrastats", "parse_tegrastats"]

_INTERVAL_MS = 100
_REST_TICK_S = 0.02
_STOP_S = 1.0
_SILENCE_S = 1.0
_LONGEST_LINE = 1 << 16

_RAM = re.compile(r"\bRAM (\d{1,9})/(\d{1,9})MB", re.ASCII)
_GPU = re.compile(r"\bGR3D_FREQ (?:(\d{1,3})%)?(?:@(?:\[([\d,]{1,99})\]|(\d{1,9})))?", re.ASCII)
_RAIL = re.compile(
    r"(?<!\S)(?!I?RAM|SWAP)([A-Z][A-Z0-9_]*) (\d{1,9})(?:mW)?/\d{1,9}(?:mW)?(?:/\d{1,9}(?:mW)?)?(?!\S)", re.ASCII
)

_TOTALS = (
    ("VDD_IN",),  # Orin Nano and NX, Xavier NX, TX2: the module's input
    ("POM_5V_IN",),  # Nano
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),  # AGX Orin; VIN_SYS_5V0 feeds VDDQ_VDD2_1V8AO
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),  # AGX Thor; VIN is the carrier board's input
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),  # AGX Xavier
)
"""Rails that add up to the power of the module, by board."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TegraSample:
    """One line of tegrastats; None for what it does not say."""

    ram_used_bytes: int | None
    """Of the whole board, whose CPU and GPU share it."""
    ram_total_bytes: int | None
    gpu_percent: int | None
    gpu_mhz: int | None
    """Of the fastest of the GPU's clusters."""
    rails_mw: Mapping[str, int]
    """Power now by rail."""

    @property
    def total_rails(self) -> Sequence[str]:
        """The rails that add up to the module's power; none if this board's are not known."""
        return next((rails for rails in _TOTALS if self.rails_mw.keys() >= set(rails)), ())

    @property
    def power_w(self) -> float | None:
        """Power of the module now: of CPU, GPU and memory together."""
        return sum(self.rails_mw[rail] for rail in self.total_rails) / 1000 if self.total_rails else None


def parse_tegrastats(line: str) -> TegraSample | None:
    """Read one line of any release; None if it says nothing of memory or power. Never raises."""
    ram, gpu = _RAM.search(line), _GPU.search(line)
    rails = {name: int(now) for name, now in _RAIL.findall(line)}
    if ram is None and not rails:
        return None
    clocks = [int(mhz) for mhz in ((gpu[2] or gpu[3] or "").split(",") if gpu else []) if mhz]
    return TegraSample(
        ram_used_bytes=int(ram[1]) << 20 if ram else None,
        ram_total_bytes=int(ram[2]) << 20 if ram else None,
        gpu_percent=int(gpu[1]) if gpu and gpu[1] else None,
        gpu_mhz=max(clocks, default=None),
        rails_mw=rails,
    )


def find_tegrastats() -> Path | None:
    """The tool, which only Jetson boards have; None elsewhere."""
    found = shutil.which("tegrastats") or shutil.which("/usr/bin/tegrastats")
    return None if found is None else Path(found)


class TegraSampler:
    """Collects a board's use over a phase. The tool runs from the start until `close`, in a group of its own."""

    def __init__(
        self,
        tool: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Start the tool; if it does not start, everything stays None."""
        self._clock, self._sleep = clock, sleep
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe, output = os.pipe()
        os.set_blocking(self._pipe, False)
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [str(tool), "--interval", str(_INTERVAL_MS)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        os.close(output)
        self._open = True
        self._name = _board()
        self._torn = b""
        self._latest: TegraSample | None = None
        self._latest_at = 0.0
        self._rails: Sequence[str] = ()
        self._before_bytes: int | None = None
        self._idle_w: float | None = None
        self._start()

    def rest(self, seconds: float = IDLE_S) -> None:
        """Measure idle power over `seconds`, then the memory in use."""
        self._start()
        while (now := self._clock()) < self._begin + seconds:
            self.sample()
            self._sleep(min(_REST_TICK_S, self._begin + seconds - now))
        self.sample()
        self._idle_w = self._power.mean_w(now)
        self._before_bytes = None if self._latest is None else self._latest.ram_used_bytes

    def watch(self, pid: int) -> None:
        """Do nothing: the tool tells boards, not processes."""

    def begin(self) -> None:
        """Start a phase, forgetting the one before; what the tool last printed still holds."""
        self.sample()
        self._start()
        if self._latest is not None and self._is_alive(self._begin):
            self._power.add(self._begin, self._latest.power_w)

    def sample(self) -> None:
        """Take what the tool has printed since."""
        for line in self._lines():
            if (sample := parse_tegrastats(line)) is not None:
                self._take(sample)

    def end(self) -> Sequence[DeviceUse]:
        """Finish the phase; one entry, for the board."""
        self.sample()
        end = self._clock()
        rails = f" ({' + '.join(self._rails)})" if self._rails else ""
        return [
            DeviceUse(
                device="cuda:0",
                name=f"{self._name}{rails}",
                seconds=end - self._begin,
                samples=self._samples,
                before_bytes=self._before_bytes,
                used_bytes=self._used_bytes,
                power_j=self._power.joules(end) if self._is_alive(end) else None,
                idle_w=self._idle_w,
                sm_clock_mhz=self._clock_mhz,
            )
        ]

    def close(self) -> None:
        """Stop the tool, politely, then by force; may be called again."""
        if not self._open:
            return
        self._open = False
        os.close(self._pipe)
        if self._process is None:
            return
        for ask in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
                os.killpg(self._process.pid, ask)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)

    def _is_alive(self, now: float) -> bool:
        """Whether the tool has printed lately: what it said last does not hold for ever."""
        return self._latest is not None and now - self._latest_at <= _SILENCE_S

    def _start(self) -> None:
        self._begin = self._clock()
        self._power = PowerIntegral(self._begin)
        self._samples = 0
        self._used_bytes: int | None = None
        self._clock_mhz: int | None = None

    def _take(self, sample: TegraSample) -> None:
        self._latest, self._latest_at = sample, self._clock()
        self._rails = sample.total_rails
        self._power.add(self._latest_at, sample.power_w)
        if sample.ram_used_bytes is not None:
            self._samples += 1
            self._used_bytes = max(sample.ram_used_bytes, self._used_bytes or 0)
        if sample.gpu_percent and sample.gpu_mhz:
            self._clock_mhz = min(sample.gpu_mhz, self._clock_mhz or sample.gpu_mhz)

    def _lines(self) -> Sequence[str]:
        """Whole lines printed since the last call."""
        received = self._torn
        with contextlib.suppress(BlockingIOError):  # nothing new
            while self._open and (chunk := os.read(self._pipe, 1 << 16)):
                received += chunk
        *lines, self._torn = received.split(b"\n")
        self._torn = self._torn[-_LONGEST_LINE:]
        return [line.decode("utf-8", "replace") for line in lines]


def _board() -> str:
    """The board's name as its device tree has it."""
    try:
        return Path("/proc/device-tree/model").read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return "Jetson"
