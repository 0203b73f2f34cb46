"""Every precision that was asked of a model: whether it runs, what it takes, what it fits, how much slower it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.cells import Failure
from harness.deployment.gpus import SAFE_PERCENT
from harness.evidence import CellRecord, ReadingRecord
from harness.metrics import Metric
from harness.results import CellResult
from reports.comparisons import Comparison
from reports.formatting import MISSING, escape, format_bytes, format_metric, table
from reports.recovery import Recovery
from reports.summary import CellSummary, Summary
from reports.tables import ratio

__all__ = ["CARD_BYTES", "ModeCost", "fit_parts", "mode_costs"]

CARD_BYTES = 16 * 10**9
_CARD, _USABLE = f"{CARD_BYTES / 1e9:.0f} GB", f"{SAFE_PERCENT} %"

_INTRODUCTION = f"""\
Every precision that was asked for, those that failed and those that are not supported among them. Fits: the peak of
device memory while reading, all devices summed, is at most {_CARD} ({format_bytes(CARD_BYTES)}), or {_USABLE} of that.
It is the peak of these documents, in batches of this size, on this device: other kernels and other documents take other
amounts. Times are paired ratios to the same model in 16 bits, over documents that nothing disturbed in either: 2 is
half as fast.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeCost:
    """One model in one precision."""

    cell: str
    model: str
    quantization: str
    weights: Metric
    peak: Metric
    """Device memory while reading, all devices summed."""
    answered: int
    documents: int
    failure: Failure | None
    """The first that the cell met, if any."""
    message: str | None
    """Its first line."""
    fits: bool | None
    """In the whole card; None where the peak was not measured, or others were on the device."""
    fits_usable: bool | None
    """In the usable share of it."""
    reference: str | None
    latency: Comparison | None
    tpot: Comparison | None


def mode_costs(summary: Summary) -> Sequence[ModeCost]:
    """Every precision of every model, if any was asked for on an accelerator; else nothing."""
    cells = {c.cell: c for c in summary.candidates}
    if not any(r.identity.device != "cpu" for r in summary.recoveries):
        return []
    return [_cost(r, cells[r.cell]) for r in summary.recoveries]


def _cost(recovery: Recovery, cell: CellSummary) -> ModeCost:
    peak = cell.metrics["peak_vram_bytes"]
    taken = None if peak.contaminated else peak.value
    failure, message = _first_failure(cell.result)
    return ModeCost(
        cell=cell.cell,
        model=recovery.identity.model,
        quantization=recovery.identity.quantization,
        weights=cell.metrics["weights_bytes"],
        peak=peak,
        answered=cell.overall.answered,
        documents=cell.overall.documents,
        failure=failure,
        message=message,
        fits=None if taken is None else taken <= CARD_BYTES,
        fits_usable=None if taken is None else taken <= CARD_BYTES * SAFE_PERCENT // 100,
        reference=recovery.reference,
        latency=recovery.latency,
        tpot=recovery.tpot,
    )


def _first_failure(result: CellResult) -> tuple[Failure | None, str | None]:
    """Of loading before reading; the message cut to its first line."""
    records: list[CellRecord | ReadingRecord] = [*result.loads, *result.readings.values()]
    for record in records:
        if record.failure is not None:
            lines = (record.message or "").strip().splitlines()
            return record.failure, lines[0] if lines else None
    return None, None


def fit_parts(costs: Sequence[ModeCost]) -> Sequence[str]:
    """The part of a section; empty where no precision was run on an accelerator."""
    if not costs:
        return []
    rows = [
        [
            escape(c.cell),
            format_metric(c.weights),
            format_metric(c.peak),
            _runs(c),
            *(_fits(c.peak, fits) for fits in (c.fits, c.fits_usable)),
            *(_slower(c, comparison) for comparison in (c.latency, c.tpot)),
        ]
        for c in costs
    ]
    header = ["Cell", "Weights", "Peak device memory", "Runs", f"Fits {_CARD}", f"Fits {_USABLE} of it"]
    return [_INTRODUCTION, table([*header, "Latency, ratio [95 %]", "Per output token, ratio [95 %]"], rows, "lrrlllr")]


def _runs(cost: ModeCost) -> str:
    share = f"{cost.answered}/{cost.documents}"
    if cost.failure is None:
        return f"yes, {share}" if cost.answered == cost.documents else f"not all were run, {share}"
    why = f"{cost.failure.value}{f': {escape(cost.message, 200)}' if cost.message else ''}"
    return f"in part, {share}: {why}" if cost.answered else f"**no**, {why}"


def _fits(peak: Metric, fits: bool | None) -> str:
    if fits is None:
        return "not judged: contaminated" if peak.contaminated else MISSING
    return "yes" if fits else "**no**"


def _slower(cost: ModeCost, comparison: Comparison | None) -> str:
    if cost.cell == cost.reference:
        return "reference"
    return MISSING if comparison is None else ratio(comparison)
