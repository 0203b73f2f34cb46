"""Everything a report says, computed once from one log; the renderers only write it down."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cells import Cell, Role
from harness.errors import EvidenceError
from harness.evidence import DocumentRecord, Evidence, RunRecord
from harness.metrics import METRICS, Metric
from harness.pairing import reference_mode
from harness.results import CellResult, Scorer, cell_results
from harness.scenes.results import TaskResult, task_results
from harness.schema import FIELD_NAMES, FIELDS, Category
from harness.scoring.outcomes import Counts
from reports.comparisons import Comparison, compare_all, too_many
from reports.identity import identity_of
from reports.recovery import Recovery, recoveries
from reports.repeats import Repeat, repeats
from reports.roofline import CellDistances, cell_distances
from reports.throughput import SweepStep, sweep_steps
from reports.winners import Winner, leaders, winners

__all__ = ["GROUP_METRICS", "CellSummary", "Slice", "Summary", "by_length", "by_model", "summarise"]

GROUP_METRICS = tuple(METRICS)[: tuple(METRICS).index("latency_s") + 1]
"""What is told of each stratum and document kind: quality and the median latency."""
_LARGE = 20_000
"""Answers."""
_DETAILED = 4
"""With more cells than this, details are of one precision of each model: nobody reads ten tables of fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Some fields or some documents of one cell."""

    metrics: Mapping[str, Metric]
    counts: Counts | None
    """None where no document was answered: then nothing was counted, which is not 0."""
    documents: int
    answered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSummary:
    """One cell's numbers: overall and by every grouping."""

    result: CellResult
    overall: Slice
    fields: Mapping[str, Slice]
    """Judged fields, in schema order."""
    categories: Mapping[str, Slice]
    strata: Mapping[str, Slice]
    kinds: Mapping[str, Slice]

    @property
    def cell(self) -> str:
        """Id of the cell."""
        return self.result.cell

    @property
    def is_control(self) -> bool:
        """Whether the cell is there to show that the judging works."""
        return self.result.role is Role.CONTROL

    @property
    def identity(self) -> Cell | None:
        """Model, precision and way of running, as its loads tell them; None if it was never loaded."""
        return identity_of(self.result)

    @property
    def is_random(self) -> bool:
        """Whether its weights were drawn and not trained: good for times and bytes alone."""
        dummy = self.identity is not None and self.identity.weights == "dummy"
        return dummy or any(load.facts.get("random_weights") is True for load in self.result.loads)

    @property
    def fixed_length(self) -> int | None:
        """How many tokens every answer was made to have; None where the model ended its answers itself."""
        return self.result.fixed_length

    @property
    def unscored(self) -> str | None:
        """What stands where an accuracy would be, for answers that are not scored; None if they are."""
        if self.is_random:
            return "random weights"
        return None if self.result.unjudged is None else "fixed length"

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The overall metrics, every name of METRICS."""
        return self.overall.metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One report's worth of numbers."""

    evidence: Evidence
    evidence_sha256: str
    cells: Sequence[CellSummary]
    """Candidates first, then controls."""
    comparisons: Sequence[Comparison]
    winners: Sequence[Winner]
    recoveries: Sequence[Recovery]
    """Every candidate with a precision, beside the same model in the reference precision."""
    repeats: Sequence[Repeat]
    """Runs made only to be compared with a candidate: in batches, or once more."""
    sweeps: Sequence[SweepStep]
    """Steps of batch sweeps."""
    distances: Sequence[CellDistances]
    """How far candidates are from what their device can do."""
    digests: Mapping[str, str]
    """By document of the log, a hash of its name, image and truth."""
    tasks: Sequence[TaskResult] = ()
    """Answers about pictures by cell and task: candidates, controls, checks."""
    only_leaders: bool = False
    """Whether `comparisons` holds the pairs of each metric's leader alone: of many cells and documents."""

    @property
    def candidates(self) -> Sequence[CellSummary]:
        """Cells that are judged."""
        return [c for c in self.cells if not c.is_control]

    @property
    def controls(self) -> Sequence[CellSummary]:
        """Cells that check the judging."""
        return [c for c in self.cells if c.is_control]

    @property
    def shown(self) -> Sequence[CellSummary]:
        """The cells worth detail: candidates with answers, or the controls where a run has nothing else."""
        cells = self.candidates or self.controls
        return [c for c in cells if c.result.scores]

    @property
    def detailed(self) -> Sequence[CellSummary]:
        """Of `shown`, those whose details are told one by one: of many cells, one precision of each model."""
        if len(self.shown) <= _DETAILED:
            return self.shown
        chosen: dict[str, CellSummary] = {}
        for model, cells in by_model(self.shown).items():
            own = [c for c in cells if (i := c.identity) is None or (i.strategy == "single" and not i.prompt)]
            single = own or cells
            modes = {c.identity.quantization: c for c in single if c.identity is not None}
            mode = reference_mode(modes)
            chosen[model] = single[0] if mode is None else modes[mode]
        return list(chosen.values())

    @property
    def is_large(self) -> bool:
        """Whether there are so many answers that figures draw fewer cells and points of them, and say so."""
        return sum(len(c.result.readings) for c in self.cells) > _LARGE

    @property
    def run(self) -> RunRecord | None:
        """The latest run of the log."""
        return self.evidence.runs[-1] if self.evidence.runs else None

    @property
    def corpus(self) -> Mapping[str, Any]:
        """The run's corpus as recorded; empty where the record was lost."""
        return self.run.corpus if self.run else {}

    @property
    def documents(self) -> Collection[str]:
        """Names of the documents that any cell was asked to read."""
        return {d: None for c in self.cells for d in c.result.documents}.keys()


def by_model(cells: Sequence[CellSummary]) -> Mapping[str, Sequence[CellSummary]]:
    """Cells by model, both in order of appearance; a cell that was never loaded stands alone."""
    found: dict[str, list[CellSummary]] = {}
    for cell in cells:
        found.setdefault(cell.cell if cell.identity is None else cell.identity.model, []).append(cell)
    return found


def by_length(cells: Sequence[CellSummary]) -> Mapping[int | None, Sequence[CellSummary]]:
    """Cells by the output length that they were made to keep, those that were free (None) first."""
    lengths = sorted({c.fixed_length for c in cells}, key=lambda length: length or 0)
    return {length: [c for c in cells if c.fixed_length == length] for length in lengths}


def _summarise_cell(result: CellResult) -> CellSummary:
    truths = [d.truth for d in result.documents.values()]
    judged = [name for name in FIELD_NAMES if any(name in truth for truth in truths)]
    categories = {c.value: [n for n in judged if FIELDS[n].category is c] for c in Category}

    def groups(attribute: str) -> Mapping[str, Slice]:
        found = {}
        for value, names in result.groups(attribute).items():
            quality = result.quality(names)
            found[value] = _part(result, {n: quality[n] for n in GROUP_METRICS}, names)
        return found

    named = {name: [name] for name in judged} | {c: names for c, names in categories.items() if names}
    parts = _by_fields(result, named)
    return CellSummary(
        result=result,
        overall=_part(result, result.metrics(), result.documents),
        fields={name: parts[name] for name in judged},
        categories={name: part for name, part in parts.items() if name in categories},
        strata=groups("stratum"),
        kinds=groups("kind"),
    )


def _by_fields(result: CellResult, groups: Mapping[str, Collection[str]]) -> Mapping[str, Slice]:
    metrics, table = result.metrics_by_fields(groups), result.table()
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, record in result.documents.items():
        alike.setdefault(tuple(record.truth), []).append(name)
    answered = {truth: sum([d in result.answered for d in documents]) for truth, documents in alike.items()}
    scored = {truth for truth, documents in alike.items() if any(d in result.scores for d in documents)}
    found = {}
    for group, names in groups.items():
        speaking = [truth for truth in alike if not set(names).isdisjoint(truth)]
        found[group] = Slice(
            metrics=metrics[group],
            counts=table.counts(names) if scored.intersection(speaking) else None,
            documents=sum(len(alike[truth]) for truth in speaking),
            answered=sum(answered[truth] for truth in speaking),
        )
    return found


def _part(result: CellResult, metrics: Mapping[str, Metric], documents: Collection[str]) -> Slice:
    answered = sum([d in result.answered for d in documents])
    return Slice(metrics=metrics, counts=result.counts(documents), documents=len(documents), answered=answered)


def _digest(document: DocumentRecord) -> str:
    told = (document.document, document.image_sha256, sorted(document.truth.items()))
    return hashlib.sha256(repr(told).encode("utf-8", "backslashreplace")).hexdigest()


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EvidenceError(f"{path}: cannot read the evidence log: {error.strerror}") from error


def summarise(evidence: Evidence, scorer: Scorer | None = None) -> Summary:
    """Score and summarise a log. Raises EvidenceError if the log cannot be read again for its hash."""
    every = list(cell_results(evidence, scorer).values())
    results = [r for role in (Role.CANDIDATE, Role.CONTROL) for r in every if r.role is role]
    candidates = [r for r in results if r.role is Role.CANDIDATE]
    answered = [r for r in candidates if r.answered]
    only_leaders = too_many(answered)
    comparisons = compare_all(answered, leaders(candidates, ("f1", "latency_s")) if only_leaders else None)
    return Summary(
        evidence=evidence,
        evidence_sha256=_sha256(evidence.path),
        cells=[_summarise_cell(r) for r in results],
        comparisons=comparisons,
        only_leaders=only_leaders,
        winners=winners(candidates, comparisons),
        recoveries=recoveries(candidates),
        repeats=repeats(every),
        sweeps=(sweeps := sweep_steps(evidence)),
        distances=cell_distances(candidates, evidence, sweeps),
        tasks=task_results(evidence),
        digests={name: _digest(document) for name, document in evidence.documents.items()},
    )
