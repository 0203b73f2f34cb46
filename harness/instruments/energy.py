"""Accelerators as seen from outside the worker: one interface, whoever counts their power.

NVML on a machine with NVIDIA GPUs, tegrastats on a Jetson, and nothing elsewhere: what nobody measures stays None.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

from harness.evidence import DeviceUse

__all__ = ["IDLE_S", "DeviceSampler", "NoDevices", "PowerIntegral", "device_sampler"]

IDLE_S = 1.0
"""How long power is watched before a worker starts, in seconds."""


class DeviceSampler(Protocol):
    """Watches the accelerators that one worker uses. It has no thread: whoever waits for the worker samples."""

    def rest(self, seconds: float = IDLE_S) -> None:
        """Measure idle power and the memory in use, for so long, before the worker is started."""

    def watch(self, pid: int) -> None:
        """Say whose use is the worker's: the process group `pid`."""

    def begin(self) -> None:
        """Start a phase, forgetting the one before."""

    def sample(self) -> None:
        """Take one reading into the phase, unless the last one is too recent."""

    def end(self) -> Sequence[DeviceUse]:
        """Finish the phase; one entry for each accelerator."""

    def close(self) -> None:
        """Stop watching; may be called again."""


class NoDevices:
    """Where there is nothing to watch: no waiting, no reading, no entries."""

    def rest(self, seconds: float = IDLE_S) -> None:
        """Return at once."""

    def watch(self, pid: int) -> None:
        """Do nothing."""

    def begin(self) -> None:
        """Do nothing."""

    def sample(self) -> None:
        """Do nothing."""

    def end(self) -> Sequence[DeviceUse]:
        """No accelerator, no entry."""
        return []

    def close(self) -> None:
        """Do nothing."""


def device_sampler(device: str, environment: Mapping[str, str] = os.environ) -> DeviceSampler:
    """What watches the accelerators of a worker on `device` (`cpu`, `cuda`, `cuda:1`, `cuda:all`).

    `environment` is the worker's: its CUDA_VISIBLE_DEVICES says which GPUs are meant. The caller closes the result.
    """
    if device.partition(":")[0] != "cuda":
        return NoDevices()
    from harness.instruments.gpu import GpuSampler
    from harness.instruments.nvml import open_gpus
    from harness.instruments.tegrastats import TegraSampler, find_tegrastats

    if (tool := find_tegrastats()) is not None:  # a Jetson: its boards have power rails where NVML has no counter
        return TegraSampler(tool) if device in ("cuda", "cuda:0", "cuda:all") else NoDevices()
    gpus = open_gpus(device, environment)
    return GpuSampler(gpus) if gpus else NoDevices()


class PowerIntegral:
    """Sampled power over a phase, in joules by the trapezoidal rule.

    The first value counts back to the beginning, the last one on to the end.
    """

    def __init__(self, begin: float) -> None:
        """Start at `begin`, in seconds on any clock."""
        self._begin = self._at = begin
        self._watts: float | None = None
        self._joules = 0.0

    def add(self, at: float, watts: float | None) -> None:
        """Take one sample; None is none."""
        if watts is None:
            return
        before = watts if self._watts is None else self._watts
        self._joules += (before + watts) / 2 * (at - self._at)
        self._at, self._watts = at, watts

    def joules(self, end: float) -> float | None:
        """The energy until `end`; None without any sample."""
        return None if self._watts is None else self._joules + self._watts * (end - self._at)

    def mean_w(self, end: float) -> float | None:
        """The mean power until `end`; None without any sample or time."""
        joules = self.joules(end)
        return None if joules is None or end <= self._begin else joules / (end - self._begin)
