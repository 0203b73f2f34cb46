"""What a session asks of an executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from harness.errors import DocvlmError
from harness.evidence import EvidenceLog, ReadingRecord
from harness.profiling import Recorder
from harness.running import Pass, PassRequest

__all__ = ["Executor", "ExecutorError"]


class ExecutorError(DocvlmError):
    """What passes were to be run on is not there, or is not fit for it."""


class Executor(Protocol):
    """Runs one pass at a time. A context manager: whatever it started ends with it."""

    @property
    def is_remote(self) -> bool:
        """Whether models run on other machines than this process, so that measuring this one tells nothing of them."""

    def provenance(self, here: Mapping[str, Any], device: str) -> Mapping[str, Any]:
        """What models on `device` run on, given the provenance of this process; see `harness.provenance`."""

    def side_by_side(self, device: str) -> int:
        """The most workers of a cell on `device` that one machine may be given."""

    def run_pass(
        self,
        asked: PassRequest,
        *,
        log: EvidenceLog,
        on_reading: Callable[[ReadingRecord], None],
        recorder: Recorder,
    ) -> Pass:
        """As `harness.running.run_pass`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
