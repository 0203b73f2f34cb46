"""What a session asks of an executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, Self

from harness.backends import BackendRequest, Setting
from harness.cells import Cell
from harness.errors import DocvlmError
from harness.evidence import EvidenceLog, ReadingRecord
from harness.profiling import Recorder
from harness.prompts import Prompt
from harness.running import Pass, Readable

__all__ = ["ExecutedPass", "Executor", "ExecutorError"]


class ExecutorError(DocvlmError):
    """What passes were to be run on is not there, or is not fit for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedPass(Pass):
    """A pass, and whether its times mean anything."""

    disturbance: str | None = None
    """Why no time of it judges anything: what ran side by side on one machine, or that machines differ."""


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
        cell: Cell,
        documents: Sequence[Readable],
        *,
        request: BackendRequest,
        together: int | None = None,
        prompt: Prompt,
        prompts: Mapping[str, str] = MappingProxyType({}),
        tasks: Sequence[str] = (),
        settings: Mapping[str, Setting],
        log: EvidenceLog,
        earlier: Mapping[str, ReadingRecord],
        read_timeout_s: float,
        load_timeout_s: float,
        on_reading: Callable[[ReadingRecord], None],
        recorder: Recorder,
    ) -> ExecutedPass:
        """As `harness.running.run_pass`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
