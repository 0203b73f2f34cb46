"""Memory of a server on this machine: its process and all below it, while it answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from harness.backends.protocol import Setting
from harness.instruments.memory import MemorySampler
from harness.instruments.nvml import GpuReader, open_gpus

__all__ = ["ServerMemory"]

_TICK_S = 0.05


class ServerMemory:
    """Samples a tree of processes; `facts` tells the peaks of the last phase. What cannot be read is left out."""

    def __init__(self, pid: int) -> None:
        """Watch `pid` and its children; 0 for nobody."""
        self._pid = pid
        self._gpus: Sequence[GpuReader] = open_gpus("cuda:all") if pid else ()
        self._facts: Mapping[str, Setting] = {}

    @property
    def facts(self) -> Mapping[str, Setting]:
        """`server_peak_rss_bytes` (each process's own peak, summed), `server_memory_samples`, `server_processes`, and
        `server_vram_bytes` where the driver tells memory by process.
        """
        return self._facts

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Sample from now until the end of the block."""
        if not self._pid:
            yield
            return
        watch = _Watch(self._pid, self._gpus)
        task = asyncio.create_task(watch.go_on())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._facts = watch.end()

    def close(self) -> None:
        """Stop watching for good."""
        for gpu in self._gpus:
            gpu.close()


class _Watch:
    """One phase."""

    def __init__(self, pid: int, gpus: Sequence[GpuReader]) -> None:
        self._pids = _tree(pid)
        self._samplers = [MemorySampler(found) for found in self._pids]
        self._gpus = gpus
        self._vram: int | None = None
        for sampler in self._samplers:
            sampler.begin()
        self._sample_gpus()

    async def go_on(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            for sampler in self._samplers:
                sampler.sample()
            self._sample_gpus()

    def end(self) -> Mapping[str, Setting]:
        """What was seen, in bytes: facts of a reading; of what no process told, none."""
        peaks = [sampler.end() for sampler in self._samplers]
        for sampler in self._samplers:
            sampler.close()
        known = [(p.peak_rss_bytes, p.samples) for p in peaks if p.peak_rss_bytes is not None]
        found: dict[str, Setting] = {}
        if known:
            found["server_peak_rss_bytes"] = sum(size for size, _ in known)
            found["server_memory_samples"] = max(samples for _, samples in known)
            found["server_processes"] = len(known)
        if self._vram is not None:
            found["server_vram_bytes"] = self._vram
        return found

    def _sample_gpus(self) -> None:
        told = [listed for gpu in self._gpus if (listed := gpu.processes()) is not None]
        sizes = [listed[pid] for listed in told for pid in self._pids if pid in listed]
        if sizes and None not in sizes:
            self._vram = max(self._vram or 0, sum(size or 0 for size in sizes))


def _tree(pid: int) -> Sequence[int]:
    """A process and all below it; empty if it is gone."""
    import psutil

    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.Error:
        return []
