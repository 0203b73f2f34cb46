"""One pass: a cell over documents, each fact in the evidence log before anything is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Protocol

from harness.backends import BackendRequest, Setting
from harness.cells import Cell, Failure
from harness.errors import EvidenceError
from harness.evidence import CellRecord, EvidenceLog, PassRecord, ReadingRecord
from harness.profiling import NO_RECORDER, Phase, Recorder
from harness.prompts import Prompt
from harness.worker.supervisor import CellWorker

__all__ = ["ANEW", "CHECKPOINT", "Pass", "PassRequest", "Readable", "check_checkpoint", "is_final", "run_pass"]

ANEW = "run without --eval-resume, or give another --eval-report folder"
"""What to do about a run that cannot be continued."""
CHECKPOINT = (("weights", "weights_sha256"), ("chat template", "chat_template_sha256"))
"""What makes a checkpoint that checkpoint, and the facts of a load that tell it."""


class Readable(Protocol):
    """An image and the name that its reading gets: a document, or a question about a picture."""

    @property
    def name(self) -> str:
        """Unlike that of all others of the pass."""

    @property
    def path(self) -> Path:
        """Of the image file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRequest:
    """What a pass reads, and by whom: plain values, the same wherever it is run."""

    cell: Cell
    documents: Sequence[Readable]
    prompt: Prompt
    """Asked about each document that `prompts` has no text for."""
    read_timeout_s: float
    load_timeout_s: float
    prompts: Mapping[str, str] = field(default_factory=dict)
    """What else is asked, by document; only what is asked the same goes into one request."""
    tasks: Sequence[str] = ()
    """See PassRecord."""
    backend: BackendRequest | None = None
    """What to construct; None for the backend that the cell's model is the name of."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """Those of the backend that the evidence keeps."""
    together: int | None = None
    """The most documents of a request; None for `cell.batch_size`."""
    earlier: Mapping[str, ReadingRecord] = field(default_factory=dict)
    """Readings of the run that this one continues, by document; those that are final are kept."""
    checkpoint: Mapping[str, str] = field(default_factory=dict)
    """Facts of the checkpoint that gave the readings that are kept: another one is refused."""

    @property
    def request_size(self) -> int:
        """The most documents that are asked about at once."""
        return self.together or self.cell.batch_size

    @property
    def opening(self) -> PassRecord:
        """The pass as evidence."""
        return PassRecord(
            cell=self.cell.id,
            role=self.cell.role,
            documents=[d.name for d in self.documents],
            prompt=self.prompt.name,
            settings=dict(self.settings),
            tasks=list(self.tasks),
        )

    def kept(self) -> dict[str, ReadingRecord]:
        """Readings that are taken over, by document."""
        earlier = self.earlier
        return {d.name: earlier[d.name] for d in self.documents if d.name in earlier and is_final(earlier[d.name])}

    def waiting(self) -> Sequence[Readable]:
        """Documents that are still to be read, in order."""
        kept = self.kept()
        return [d for d in self.documents if d.name not in kept]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one pass yielded."""

    loads: Sequence[CellRecord]
    readings: Mapping[str, ReadingRecord]
    """By document; those taken over from an earlier run included."""
    fresh: frozenset[str]
    """Documents read in this pass: only these may be judged on time or memory."""
    disturbance: str | None = None
    """Why no time of it judges anything: what ran side by side on one machine, or that machines differ."""


def check_checkpoint(asked: PassRequest, load: CellRecord, log: Path) -> None:
    """Answers of two models must not be scored as those of one. Raises EvidenceError if `load` is of another one."""
    for what, fact in CHECKPOINT:
        was, now = asked.checkpoint.get(fact), load.facts.get(fact)
        if was is not None and now is not None and was != now:
            raise EvidenceError(
                f"{log}: cannot resume: the {what} of {asked.cell.model} changed since that run ({was}, now {now}); "
                f"{ANEW}"
            )


def is_final(reading: ReadingRecord) -> bool:
    """Whether a resumed run keeps this reading: an answer, or a fault that lies in the image."""
    return reading.failure in (None, Failure.BAD_IMAGE)


def run_pass(
    asked: PassRequest,
    *,
    log: EvidenceLog,
    on_reading: Callable[[ReadingRecord], None] = lambda reading: None,
    recorder: Recorder = NO_RECORDER,
) -> Pass:
    """Read every document that is waiting, in order, by one worker. `recorder` is told what the time goes on.

    A fault of the backend becomes a typed reading; only faults of the suite itself raise (EvidenceError on a full
    disk, or before anything is read by another checkpoint than the one that is continued), and KeyboardInterrupt,
    after which the log holds everything that was finished.
    """
    log.append(asked.opening)
    readings, waiting = asked.kept(), asked.waiting()
    loads: list[CellRecord] = []
    if waiting:
        with (
            recorder.phase(Phase.WORKERS),
            CellWorker(
                asked.cell,
                asked.backend,
                prompt=asked.prompt.text,
                load_timeout_s=asked.load_timeout_s,
                read_timeout_s=asked.read_timeout_s,
            ) as worker,
        ):
            worker.load()
            first = worker.take_loads()
            for load in first:
                check_checkpoint(asked, load, log.path)
            loads += _logged(first, log, recorder)
            with recorder.phase(Phase.SUPERVISION):
                for batch, text in _requests(waiting, asked.prompts, asked.request_size):
                    batch_readings, restarts = _read(worker, batch, text, log, recorder)
                    loads += restarts
                    for reading in batch_readings:
                        readings[reading.document] = reading
                        on_reading(reading)
    fresh = frozenset(d.name for d in waiting)
    ordered = {d.name: readings[d.name] for d in asked.documents}
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
    restarts: list[CellRecord] = []
    logged: set[str] = set()

    def keep(reading: ReadingRecord) -> None:
        """What is finished is in the log, should the session end before the request does."""
        restarts.extend(_logged(worker.take_loads(), log, recorder))
        with recorder.phase(Phase.LOGGING):
            log.append(reading)
        logged.add(reading.document)

    with recorder.phase(Phase.READING) as spent:
        readings = worker.read_batch([(d.name, d.path) for d in batch], prompt=prompt, on_alone=keep)
    restarts.extend(_logged(worker.take_loads(), log, recorder))
    starts_s = sum((load.spawn_s or 0.0) + (load.load_s or 0.0) for load in restarts)
    recorder.move(starts_s, Phase.READING, Phase.WORKERS)
    if not any(r.failure not in (None, Failure.BAD_IMAGE) or r.batch_failure for r in readings):
        told_s = max((r.latency_s or 0.0 for r in readings), default=0.0)
        recorder.move(spent.seconds - starts_s - told_s, Phase.READING, Phase.SUPERVISION)
    for reading in readings:
        if reading.document not in logged:
            with recorder.phase(Phase.LOGGING):
                log.append(reading)
    return readings, restarts


def _logged(loads: list[CellRecord], log: EvidenceLog, recorder: Recorder) -> list[CellRecord]:
    for load in loads:
        with recorder.phase(Phase.LOGGING):
            log.append(load)
        recorder.move(load.load_s or 0.0, Phase.WORKERS, Phase.LOADING)
    return loads
