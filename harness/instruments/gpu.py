"""The GPU sampler: memory, power, energy and disturbances of a worker's GPUs, by phase, from outside."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.evidence import DeviceUse
from harness.instruments.energy import IDLE_S, PowerIntegral
from harness.instruments.nvml import IDLE, Gpu, GpuReader, open_gpus, visible_gpus, why_no_gpu

__all__ = ["Gpu", "GpuReader", "GpuSampler", "open_gpus", "visible_gpus", "why_no_gpu"]

_SLOW_S = 0.2
_REST_TICK_S = 0.02
_SHARE = 0.1
"""Of the time, at most, goes into readings: a driver that answers slowly is asked less often."""


@dataclass(slots=True)
class _Rest:
    """One GPU before the worker."""

    used_bytes: int | None = None
    idle_w: float | None = None
    processes: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Phase:
    """One GPU over one phase."""

    power: PowerIntegral
    energy_j: float | None
    """The counter at the beginning."""
    samples: int = 0
    used_bytes: int | None = None
    process_bytes: int | None = None
    sm_clock_mhz: int | None = None
    foreign: int | None = None
    throttle: set[str] = field(default_factory=set)


class GpuSampler:
    """Collects the use of GPUs over a phase: `begin`, `sample` as often as wanted, `end`.

    Memory and power are read at every sample, processes, clocks and slowdowns every 0.2 s.
    """

    def __init__(
        self,
        gpus: Sequence[GpuReader],
        pid: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Watch `gpus`, which this sampler closes, and of their processes the group `pid`."""
        self._gpus = gpus
        self._pid = pid
        self._clock, self._sleep = clock, sleep
        self._rest = [_Rest() for _ in gpus]
        self._own_seen = [False] * len(gpus)
        self._phases: list[_Phase] = []
        self._begin = self._due = self._slow_due = 0.0
        self._slow_done = False

    def rest(self, seconds: float = IDLE_S) -> None:
        """Measure idle power over `seconds`, then the memory in use and the processes that are there already."""
        begin = self._clock()
        powers = [PowerIntegral(begin) for _ in self._gpus]
        while (now := self._clock()) < begin + seconds:
            for gpu, power in zip(self._gpus, powers, strict=True):
                power.add(now, gpu.power_w())
            self._sleep(min(_REST_TICK_S, begin + seconds - now))
        for gpu, power, rest in zip(self._gpus, powers, self._rest, strict=True):
            rest.idle_w = power.mean_w(now)
            rest.used_bytes = gpu.used_bytes()  # last, when an earlier worker's memory has been given back
            rest.processes = frozenset(gpu.processes() or ())

    def watch(self, pid: int) -> None:
        """Say whose use is the worker's: the process group `pid`."""
        self._pid = pid

    def begin(self) -> None:
        """Start a phase, forgetting the one before."""
        self._begin = self._due = self._clock()
        self._phases = [_Phase(power=PowerIntegral(self._begin), energy_j=gpu.energy_j()) for gpu in self._gpus]
        self._slow_done = False
        self._read()

    def sample(self) -> None:
        """Take one reading into the phase, unless that would take more than its share of the time."""
        now = self._clock()
        if now < self._due:
            return
        self._read()
        if now >= self._slow_due:
            self._read_slow(now)
        self._due = now + (self._clock() - now) / _SHARE

    def end(self) -> Sequence[DeviceUse]:
        """Finish the phase with a last reading; one entry for each GPU."""
        end = self._clock()
        counters = [gpu.energy_j() for gpu in self._gpus]
        self._read()
        if not self._slow_done:
            self._read_slow(end)
        found = [
            _use(gpu.gpu, rest, phase, counter, self._begin, end)
            for gpu, rest, phase, counter in zip(self._gpus, self._rest, self._phases, counters, strict=True)
        ]
        self._phases = []
        return found

    def close(self) -> None:
        """Stop watching; may be called again."""
        for gpu in self._gpus:
            gpu.close()

    def _read(self) -> None:
        for gpu, phase in zip(self._gpus, self._phases, strict=True):
            phase.power.add(self._clock(), gpu.power_w())
            if (used := gpu.used_bytes()) is not None:
                phase.samples += 1
                phase.used_bytes = max(used, phase.used_bytes or 0)

    def _read_slow(self, now: float) -> None:
        self._slow_due, self._slow_done = now + _SLOW_S, True
        for number, (gpu, phase) in enumerate(zip(self._gpus, self._phases, strict=True)):
            slowdowns = gpu.slowdowns()
            if slowdowns is not None and IDLE not in slowdowns:
                phase.throttle |= slowdowns
                if (clock := gpu.sm_clock_mhz()) is not None:
                    phase.sm_clock_mhz = min(clock, phase.sm_clock_mhz or clock)
            if (processes := gpu.processes()) is not None:
                self._count(number, phase, processes)

    def _count(self, number: int, phase: _Phase, processes: Mapping[int, int | None]) -> None:
        """Tell the worker's processes from others: sure only once NVML has named one of the worker's.

        Until then ids may be another namespace's, and only those that were there before the worker are others' for
        certain.
        """
        own = {pid for pid in processes if self._is_own(pid)}
        self._own_seen[number] |= bool(own)
        if self._own_seen[number]:
            foreign: int | None = len(processes) - len(own)
        else:
            foreign = len(processes.keys() & self._rest[number].processes) or None
        if foreign is not None:
            phase.foreign = max(foreign, phase.foreign or 0)
        sizes = [processes[pid] for pid in own]
        if own and None not in sizes:
            phase.process_bytes = max(sum(size or 0 for size in sizes), phase.process_bytes or 0)

    def _is_own(self, pid: int) -> bool:
        try:
            return self._pid is not None and os.getpgid(pid) == self._pid
        except OSError:  # gone, or an id of another namespace
            return False


def _use(gpu: Gpu, rest: _Rest, phase: _Phase, counter: float | None, begin: float, end: float) -> DeviceUse:
    energy_j = None if counter is None or phase.energy_j is None else counter - phase.energy_j
    return DeviceUse(
        device=gpu.device,
        name=gpu.name,
        seconds=end - begin,
        samples=phase.samples,
        before_bytes=rest.used_bytes,
        used_bytes=phase.used_bytes,
        process_bytes=phase.process_bytes,
        energy_j=energy_j if energy_j is not None and energy_j >= 0 else None,  # a driver loaded anew starts at 0
        power_j=phase.power.joules(end),
        idle_w=rest.idle_w,
        sm_clock_mhz=phase.sm_clock_mhz,
        foreign_processes=phase.foreign,
        throttle=sorted(phase.throttle),
    )
