"""Where the wall time of a session goes: phases, each second in exactly one of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

import psutil

from harness.evidence import ProfileRecord

__all__ = [
    "CLOSURE_LIMIT",
    "NO_RECORDER",
    "PROFILER",
    "Phase",
    "Recorder",
    "Span",
    "closure",
    "process_age_s",
    "rows",
    "words_of",
]

PROFILER = "docvlm-profiler"
"""What the plugin that records a session is registered as; its `recorder` is what others tell their phases to."""
CLOSURE_LIMIT = 0.02
"""Share of the wall time by which the sum of the phases may differ from it."""


class Phase(StrEnum):
    """What a session does at a time."""

    IMPORTS = "imports"
    COLLECTION = "collection"
    OPENING = "opening"
    WORKERS = "workers"
    LOADING = "loading"
    READING = "reading"
    SUPERVISION = "supervision"
    LOGGING = "logging"
    SWEEPS = "sweeps"
    CEILINGS = "ceilings"
    SCORING = "scoring"
    JUDGING = "judging"
    RENDERING = "rendering"
    ENDING = "ending"
    UNEXPLAINED = "unexplained"


_WORDS = MappingProxyType(
    {
        Phase.IMPORTS: "start-up: interpreter, imports, plugins",
        Phase.COLLECTION: "collecting tests",
        Phase.OPENING: "start-up: documents, provenance, log",
        Phase.WORKERS: "starting and ending workers",
        Phase.LOADING: "loading models, warm-up included",
        Phase.READING: "models' own reading time",
        Phase.SUPERVISION: "between readings: supervision, progress",
        Phase.LOGGING: "evidence log",
        Phase.SWEEPS: "batch sweeps, models' own time included",
        Phase.CEILINGS: "measuring what the device can do",
        Phase.SCORING: "parsing and scoring answers",
        Phase.JUDGING: "tests: metrics, intervals, verdicts",
        Phase.RENDERING: "writing the report",
        Phase.ENDING: "end of the session, other plugins",
        Phase.UNEXPLAINED: "unexplained",
    }
)


def process_age_s() -> float:
    """Seconds since this process was started, sleep of the machine included; to 10 ms on Linux."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return time.time() - psutil.Process().create_time()
    # psutil adds a boot time that is known to a second only; proc_pid_stat(5), field 22, counts from the boot
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Span:
    """One stay in a phase."""

    seconds: float = 0.0
    """How long it was, phases within it included; known when it is over."""


class Recorder:
    """Adds up the seconds of each phase. A phase within another interrupts it. Not for several threads."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = process_age_s
    ) -> None:
        """`wall` tells seconds since the session began, independently of `clock` (default: since the process did).

        What had gone by then counts as imports.
        """
        self._clock = clock
        self._wall = wall
        self._stack = [Phase.UNEXPLAINED]
        self._spent = {Phase.IMPORTS: self._wall(), Phase.UNEXPLAINED: 0.0}
        self._since = clock()

    def phase(self, phase: Phase) -> AbstractContextManager[Span]:
        """While it is entered and no other within it, time counts as this phase."""
        return self._phase(phase)

    @contextmanager
    def _phase(self, phase: Phase) -> Iterator[Span]:
        span, began = Span(), self._turn()
        self._stack.append(phase)
        try:
            yield span
        finally:
            span.seconds = self._turn() - began
            self._stack.pop()

    def move(self, seconds: float, source: Phase, target: Phase) -> None:
        """Count `seconds` of one phase as another: for what only its records tell afterwards."""
        self._spent[source] = self._spent.get(source, 0.0) - seconds
        self._spent[target] = self._spent.get(target, 0.0) + seconds

    def record(self) -> ProfileRecord | None:
        """Where the time went until now; None if nothing is recorded."""
        self._turn()
        return ProfileRecord(
            seconds={phase.value: self._spent[phase] for phase in Phase if phase in self._spent}, wall_s=self._wall()
        )

    def _turn(self) -> float:
        now = self._clock()
        current = self._stack[-1]
        self._spent[current] = self._spent.get(current, 0.0) + now - self._since
        self._since = now
        return now


class _NoRecorder(Recorder):
    """Stands where nobody asked."""

    def __init__(self) -> None:
        pass

    def phase(self, phase: Phase) -> AbstractContextManager[Span]:
        return nullcontext(Span())

    def move(self, seconds: float, source: Phase, target: Phase) -> None:
        pass

    def record(self) -> ProfileRecord | None:
        return None


NO_RECORDER: Final[Recorder] = _NoRecorder()


def rows(profile: ProfileRecord) -> Sequence[tuple[str, float, float]]:
    """Of each phase that took place: what it is, its seconds, and its share of the wall time."""
    return [(words_of(name), seconds, _share(seconds, profile)) for name, seconds in profile.seconds.items()]


def words_of(phase: str) -> str:
    """What people call a phase; one that a newer version knows, by its name."""
    return {known.value: words for known, words in _WORDS.items()}.get(phase, phase)


def closure(profile: ProfileRecord) -> float:
    """By what share of the wall time the sum of the phases differs from it."""
    return _share(abs(sum(profile.seconds.values()) - profile.wall_s), profile)


def _share(seconds: float, profile: ProfileRecord) -> float:
    return seconds / profile.wall_s if profile.wall_s else 0.0
