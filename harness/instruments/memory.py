"""Host memory of another process, by phase: sampled resident set, and the kernel's own high-water mark.

On Linux all readings go through a descriptor of /proc/PID that was opened while the process was known to
live, so a recycled process id is never measured. Elsewhere psutil gives the resident set alone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

from harness.evidence import MemoryPeak

__all__ = ["MemorySampler", "kernel_oom_kills"]

_CLEAR_HIGH_WATER = b"5"  # proc(5), /proc/PID/clear_refs: reset the peak resident set size


class _Source(Protocol):
    """Readings of one process; None is 'not measurable', never 0."""

    def now(self) -> tuple[int, int | None] | None:
        """Resident and anonymous bytes at this moment."""

    def reset_high_water(self) -> bool:
        """Start the high-water mark anew; whether that worked."""

    def high_water(self) -> int | None:
        """The highest resident set since the reset, in bytes."""

    def close(self) -> None:
        """Release what is open."""


class MemorySampler:
    """Collects the memory peak of one process over a phase: `begin`, `sample` as often as wanted, `end`.

    It has no thread: whoever waits for the process samples in the same loop. A sample is one 4 us read.
    """

    def __init__(self, pid: int) -> None:
        """Watch `pid`, which must not have been reaped yet. What cannot be measured stays None."""
        self._source: _Source = _ProcSource(pid) if Path("/proc/self/statm").exists() else _PsutilSource(pid)
        self._rss: int | None = None
        self._anonymous: int | None = None
        self._samples = 0
        self._marked = False

    def begin(self) -> None:
        """Start a phase, forgetting the one before."""
        self._rss = self._anonymous = None
        self._samples = 0
        self._marked = self._source.reset_high_water()
        self.sample()

    def sample(self) -> None:
        """Take one reading into the phase."""
        if (reading := self._source.now()) is None:
            return
        rss, anonymous = reading
        self._samples += 1
        self._rss = rss if self._rss is None else max(self._rss, rss)
        if anonymous is not None:
            self._anonymous = anonymous if self._anonymous is None else max(self._anonymous, anonymous)

    def end(self) -> MemoryPeak:
        """Finish the phase with a last reading; all None if the process was never there to be read."""
        self.sample()
        return MemoryPeak(
            rss_bytes=self._rss,
            anonymous_bytes=self._anonymous,
            high_water_bytes=self._source.high_water() if self._marked else None,
            samples=self._samples,
        )

    def close(self) -> None:
        """Stop watching; may be called again."""
        self._source.close()


class _ProcSource:
    """Linux: /proc/PID/statm, status and clear_refs."""

    def __init__(self, pid: int) -> None:
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._directory: int | None = None
        self._statm: int | None = None
        try:
            self._directory = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY)
            self._statm = os.open("statm", os.O_RDONLY, dir_fd=self._directory)
        except OSError:
            self.close()  # already gone, or hidden (hidepid): nothing can be measured

    def now(self) -> tuple[int, int | None] | None:
        if self._statm is None:
            return None
        try:
            values = os.pread(self._statm, 200, 0).split()
        except OSError:  # the process has been reaped
            return None
        resident, file_backed = int(values[1]), int(values[2])
        if resident == 0:  # a zombie has given its memory back
            return None
        return resident * self._page, (resident - file_backed) * self._page

    def reset_high_water(self) -> bool:
        if self._directory is None:
            return False
        try:
            descriptor = os.open("clear_refs", os.O_WRONLY, dir_fd=self._directory)
        except OSError:
            return False
        try:
            return os.write(descriptor, _CLEAR_HIGH_WATER) == len(_CLEAR_HIGH_WATER)
        except OSError:
            return False
        finally:
            os.close(descriptor)

    def high_water(self) -> int | None:
        if self._directory is None:
            return None
        try:
            descriptor = os.open("status", os.O_RDONLY, dir_fd=self._directory)
        except OSError:
            return None
        try:
            found = re.search(rb"^VmHWM:\s*(\d+) kB", os.read(descriptor, 1 << 14), re.MULTILINE)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return int(found[1]) * 1024 if found else None

    def close(self) -> None:
        for descriptor in (self._statm, self._directory):
            if descriptor is not None:
                os.close(descriptor)
        self._statm = self._directory = None


class _PsutilSource:
    """Elsewhere: psutil's resident set."""

    def __init__(self, pid: int) -> None:
        import psutil

        self._gone = psutil.Error
        self._process: psutil.Process | None = None
        try:
            self._process = psutil.Process(pid)
        except psutil.Error:
            return

    def now(self) -> tuple[int, int | None] | None:
        if self._process is None:
            return None
        try:
            rss = self._process.memory_info().rss
        except self._gone:
            return None
        return (rss, None) if rss else None

    def reset_high_water(self) -> bool:
        return False

    def high_water(self) -> int | None:
        return None

    def close(self) -> None:
        self._process = None


def kernel_oom_kills() -> int | None:
    """How many processes the kernel's out-of-memory killer ended since boot; None where it does not say."""
    try:
        counters = Path("/proc/vmstat").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^oom_kill (\d+)$", counters, re.MULTILINE)
    return int(found[1]) if found else None
