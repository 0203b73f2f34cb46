"""A run, or a log, against a baseline: every cell of both, none left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from harness.errors import unknown_name
from harness.evidence import Evidence
from harness.gates import Verdict
from harness.regression.baseline import Baseline, BaselineRun
from harness.regression.gate import Change, Kind, Margins, RegressionGate, Status, best_quality, worst
from harness.regression.identity import changes, comparable, renamed_from
from harness.regression.latency import judge_latency
from harness.regression.memory import judge_memory
from harness.regression.quality import judge_quality, score_run

__all__ = ["CellComparison", "Comparison", "compare"]

_ON_PURPOSE = frozenset(
    {Status.CHANGED_WEIGHTS, Status.CHANGED_SETTINGS, Status.CHANGED_PROMPT, Status.CHANGED_PIXELS}
    | {Status.MISSING_DOCUMENT, Status.NEW_DOCUMENT}
)
"""What may differ between two cells that somebody asked to compare; the documents of both are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellComparison:
    """One cell against its baseline."""

    cell: str
    baseline_cell: str | None
    """What it was compared with: the cell of the same name, or what it was called; None of a new cell."""
    changes: Sequence[Change]
    """What is not the same, the most telling first."""
    quality: RegressionGate | None
    """None where answers are not scored: of random weights, of a fixed length."""
    latency: RegressionGate | None
    """None of a cell that is missing."""
    memory: Sequence[RegressionGate]

    @property
    def status(self) -> Status:
        """The most telling of its changes."""
        return self.changes[0].status if self.changes else Status.SAME

    @property
    def gates(self) -> Sequence[RegressionGate]:
        """All of them: quality, latency, memory."""
        return [gate for gate in (self.quality, self.latency, *self.memory) if gate is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All cells: those of the run in its order, then those of the baseline that it lacks."""

    cells: Mapping[str, CellComparison]
    margins: Margins

    @property
    def gates(self) -> Sequence[RegressionGate]:
        """Of all cells."""
        return [gate for cell in self.cells.values() for gate in cell.gates]

    @property
    def verdict(self) -> Verdict:
        """The worst of all gates; INCONCLUSIVE without any."""
        return worst(*(gate.verdict for gate in self.gates)) if self.gates else Verdict.INCONCLUSIVE


def compare(
    current: Evidence | Baseline,
    baseline: Evidence | Baseline,
    margins: Margins | None = None,
    *,
    pairs: Mapping[str, str] = MappingProxyType({}),
) -> Comparison:
    """Compare every candidate of `current` with its baseline; two logs compare in the same way.

    `pairs` says which cell of the baseline a cell is compared with on purpose, such as one precision with another:
    that they differ in weights, settings, prompt or the documents read is then told, and keeps nothing from passing.
    Raises EvidenceError for evidence that cannot be used, UnknownNameError for a pair of cells that are not there.
    """
    now, then = (e if isinstance(e, Baseline) else Baseline.from_evidence(e) for e in (current, baseline))
    margins = margins or Margins()
    for names, known in ((pairs.keys(), now.cells), (pairs.values(), then.cells)):
        for name in names:
            if name not in known:
                raise unknown_name("cell", name, known)
    left = {cell: runs for cell, runs in then.cells.items() if cell not in now.cells and cell not in pairs.values()}
    found = {}
    for cell, runs in now.cells.items():
        other = pairs.get(cell, cell)
        if other in then.cells:
            purpose = _ON_PURPOSE if cell in pairs else frozenset()
            allowed = replace(margins, accepted=margins.accepted | purpose)
            differing = changes(runs[0], then.cells[other][0], now, then)
            found[cell] = _compared(cell, other, now, then, differing, allowed)
        elif (old := renamed_from(runs[0], left)) is not None:
            message = f"not in the baseline, which knows it as {old}: save the baseline anew under the new name"
            differing = [Change(status=Status.RENAMED, message=message), *changes(runs[0], left.pop(old)[0], now, then)]
            found[cell] = _compared(cell, old, now, then, differing, margins)
        else:
            found[cell] = _new(cell, runs[0], margins)
    return Comparison(cells={**found, **{cell: _missing(cell) for cell in left}}, margins=margins)


def _compared(
    cell: str, other: str, now: Baseline, then: Baseline, differing: Sequence[Change], margins: Margins
) -> CellComparison:
    ours, theirs = now.cells[cell], then.cells[other]
    documents = comparable(ours[0], theirs[0], now, then)
    quality = None
    if not any(run.unjudged for run in (*ours, *theirs)):
        scored = [
            [{d: s for d, s in score_run(run, side.documents).items() if d in documents} for run in runs]
            for side, runs in ((now, ours), (then, theirs))
        ]
        quality = _capped(judge_quality(cell, scored[0], scored[1], margins), differing, margins)
    latency = judge_latency(cell, ours, theirs, documents, margins, differing)
    memory = judge_memory(cell, ours, theirs, margins, differing)
    if quality is None:  # nobody else tells what is not the same
        latency = _capped(latency, differing, margins)
        memory = [_capped(gate, differing, margins) for gate in memory]
    renamed = any(change.status is Status.RENAMED for change in differing)
    return CellComparison(
        cell=cell,
        baseline_cell=other,
        changes=differing,
        quality=quality,
        latency=_unsure(latency, differing) if renamed else latency,
        memory=[_unsure(gate, differing) for gate in memory] if renamed else memory,
    )


def _capped(gate: RegressionGate, differing: Sequence[Change], margins: Margins) -> RegressionGate:
    """The gate, no better than what is not the same allows, and saying what that is."""
    if not differing:
        return gate
    verdict = worst(gate.verdict, *(best_quality(change.status, margins.accepted) for change in differing))
    told = "; ".join(f"{change.status}: {change.message}" for change in differing)
    return replace(gate, verdict=verdict, message=f"{told}; {gate.message}")


def _unsure(gate: RegressionGate, differing: Sequence[Change]) -> RegressionGate:
    verdict = worst(gate.verdict, Verdict.INCONCLUSIVE)
    return replace(gate, verdict=verdict, message=f"{differing[0].status}: {differing[0].message}; {gate.message}")


def _new(cell: str, run: BaselineRun, margins: Margins) -> CellComparison:
    message = "not in the baseline: nothing to compare with; save the baseline anew to include it"
    change = Change(status=Status.NEW, message=message)
    told = f"{change.status}: {message}"
    quality = RegressionGate(
        cell=cell,
        kind=Kind.QUALITY,
        metric="f1_difference",
        verdict=Verdict.INCONCLUSIVE,
        message=told,
        limit=-margins.points / 100,
    )
    return CellComparison(
        cell=cell,
        baseline_cell=None,
        changes=[change],
        quality=None if run.unjudged else quality,
        latency=replace(quality, kind=Kind.LATENCY, metric="latency_ratio", limit=margins.latency_percent / 100),
        memory=[],
    )


def _missing(cell: str) -> CellComparison:
    message = "in the baseline, and not in this run: run it too, or save a baseline without it"
    change = Change(status=Status.MISSING, message=message)
    quality = RegressionGate(
        cell=cell,
        kind=Kind.QUALITY,
        metric="f1_difference",
        verdict=Verdict.FAIL,
        message=f"{change.status}: {message}",
    )
    return CellComparison(cell=cell, baseline_cell=cell, changes=[change], quality=quality, latency=None, memory=[])
