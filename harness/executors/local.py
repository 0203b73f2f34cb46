"""The executor that needs nothing: one worker process of this machine, one cell after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from harness.evidence import EvidenceLog, ReadingRecord
from harness.profiling import Recorder
from harness.running import Pass, PassRequest, run_pass

__all__ = ["LocalExecutor"]


class LocalExecutor:
    """Runs passes by `harness.running.run_pass`."""

    is_remote = False

    def side_by_side(self, device: str) -> int:
        """One: cells wait for each other."""
        return 1

    def provenance(self, here: Mapping[str, Any], device: str) -> Mapping[str, Any]:
        """That of this process."""
        return here

    def run_pass(
        self,
        asked: PassRequest,
        *,
        log: EvidenceLog,
        on_reading: Callable[[ReadingRecord], None],
        recorder: Recorder,
    ) -> Pass:
        """One worker reads every document, in order."""
        return run_pass(asked, log=log, on_reading=on_reading, recorder=recorder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass
