"""One pass: a cell over documents, each fact in the evidence log before anything is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from harness.backends import BackendRequest, Setting
from harness.cells import Cell, Failure
from harness.evidence import CellRecord, EvidenceLog, PassRecord, ReadingRecord
from harness.profiling import NO_RECORDER, Phase, Recorder
from harness.prompts import Prompt
from harness.worker import CellWorker

__all__ = ["Pass", "Readable", "is_final", "run_pass"]


class Readable(Protocol):
    """An image and the name that its reading gets: a document, or a question about a picture."""

    @property
    def name(self) -> str:
        """Unlike that of all others of the pass."""

    @property
    def path(self) -> Path:
        """Of the image file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one pass yielded."""

    loads: Sequence[CellRecord]
    readings: Mapping[str, ReadingRecord]
    """By document; those taken over from an earlier run included."""
    fresh: frozenset[str]
    """Documents read in this pass: only these may be judged on time or memory."""


def is_final(reading: ReadingRecord) -> bool:
    """Whether a resumed run keeps this reading: an answer, or a fault that lies in the image."""
    return reading.failure in (None, Failure.BAD_IMAGE)


def run_pass(
    cell: Cell,
    documents: Sequence[Readable],
    *,
    request: BackendRequest | None = None,
    together: int | None = None,
    prompt: Prompt,
    prompts: Mapping[str, str] = MappingProxyType({}),
    tasks: Sequence[str] = (),
    settings: Mapping[str, Setting] = MappingProxyType({}),
    log: EvidenceLog,
    earlier: Mapping[str, ReadingRecord],
    read_timeout_s: float,
    load_timeout_s: float,
    on_reading: Callable[[ReadingRecord], None] = lambda reading: None,
    recorder: Recorder = NO_RECORDER,
) -> Pass:
    """Read every document that `earlier` does not already hold a final reading of, `together` at a time.

    The default of `together` is `cell.batch_size`. `prompt` is asked about each, but for those that `prompts` has
    another text for, by name; only what is asked the same goes into one request. `tasks`: see PassRecord.
    `request` says what to construct; by default, the backend that the cell's model is the name of. `settings` are
    those of it that the evidence keeps. `recorder` is told what the time goes on.
    A fault of the backend becomes a typed reading; only faults of the suite itself raise (EvidenceError on a full
    disk), and KeyboardInterrupt, after which the log holds everything that was finished.
    """
    asked = [d.name for d in documents]
    log.append(
        PassRecord(
            cell=cell.id,
            role=cell.role,
            documents=asked,
            prompt=prompt.name,
            settings=dict(settings),
            tasks=list(tasks),
        )
    )
    readings = {d.name: earlier[d.name] for d in documents if d.name in earlier and is_final(earlier[d.name])}
    waiting = [d for d in documents if d.name not in readings]
    loads: list[CellRecord] = []
    size = together or cell.batch_size
    if waiting:
        with (
            recorder.phase(Phase.WORKERS),
            CellWorker(
                cell, request, prompt=prompt.text, load_timeout_s=load_timeout_s, read_timeout_s=read_timeout_s
            ) as worker,
        ):
            worker.load()
            loads += _logged(worker.take_loads(), log, recorder)
            with recorder.phase(Phase.SUPERVISION):
                for batch, text in _requests(waiting, prompts, size):
                    batch_readings, restarts = _read(worker, batch, text, log, recorder)
                    loads += restarts
                    for reading in batch_readings:
                        readings[reading.document] = reading
                        on_reading(reading)
    fresh = frozenset(d.name for d in waiting)
    ordered = {d.name: readings[d.name] for d in documents}
    return Pass(loads=loads, readings=ordered, fresh=fresh)


def _requests(
    waiting: Sequence[Readable], prompts: Mapping[str, str], size: int
) -> Iterator[tuple[Sequence[Readable], str | None]]:
    """At most `size` at a time, in order, with what is asked about them; None for the prompt of the pass."""
    for text, alike in groupby(waiting, key=lambda one: prompts.get(one.name)):
        same = list(alike)
        for start in range(0, len(same), size):
            yield same[start : start + size], text


def _read(
    worker: CellWorker, batch: Sequence[Readable], prompt: str | None, log: EvidenceLog, recorder: Recorder
) -> tuple[list[ReadingRecord], list[CellRecord]]:
    """One request, and the workers that were started for it.

    Its time is the model's as far as the worker told it, starts apart; a request that was lost is the model's whole.
    """
    with recorder.phase(Phase.READING) as spent:
        readings = worker.read_batch([(d.name, d.path) for d in batch], prompt=prompt)
    restarts = _logged(worker.take_loads(), log, recorder)
    starts_s = sum((load.spawn_s or 0.0) + (load.load_s or 0.0) for load in restarts)
    recorder.move(starts_s, Phase.READING, Phase.WORKERS)
    if not any(r.failure not in (None, Failure.BAD_IMAGE) or r.batch_failure for r in readings):
        told_s = max((r.latency_s or 0.0 for r in readings), default=0.0)
        recorder.move(spent.seconds - starts_s - told_s, Phase.READING, Phase.SUPERVISION)
    for reading in readings:
        with recorder.phase(Phase.LOGGING):
            log.append(reading)
    return readings, restarts


def _logged(loads: list[CellRecord], log: EvidenceLog, recorder: Recorder) -> list[CellRecord]:
    for load in loads:
        with recorder.phase(Phase.LOGGING):
            log.append(load)
        recorder.move(load.load_s or 0.0, Phase.WORKERS, Phase.LOADING)
    return loads
