"""The executor that needs nothing: one worker process of this machine, one cell after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

from harness.backends import BackendRequest, Setting
from harness.cells import Cell
from harness.evidence import EvidenceLog, ReadingRecord
from harness.executors.protocol import ExecutedPass
from harness.profiling import Recorder
from harness.prompts import Prompt
from harness.running import Readable, run_pass

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
        """One worker reads every document, in order."""
        done = run_pass(
            cell,
            documents,
            request=request,
            together=together,
            prompt=prompt,
            prompts=prompts,
            tasks=tasks,
            settings=settings,
            log=log,
            earlier=earlier,
            read_timeout_s=read_timeout_s,
            load_timeout_s=load_timeout_s,
            on_reading=on_reading,
            recorder=recorder,
        )
        return ExecutedPass(loads=done.loads, readings=done.readings, fresh=done.fresh)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass
