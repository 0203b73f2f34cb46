"""The three questions people ask first, answered only where the evidence does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.metrics import METRICS, Metric
from harness.results import CellResult
from reports.comparisons import Comparison, Scale, compare_at_worst, oriented, unanswered_beside
from reports.formatting import format_value

__all__ = ["Winner", "describe", "winners"]

_QUESTIONS = {"f1": "Best quality", "latency_s": "Fastest", "peak_rss_bytes": "Least memory"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """The answer to one question. `cell` is None where there is no winner; `reason` says why, either way."""

    question: str
    metric: str
    cell: str | None
    reason: str


def winners(candidates: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Sequence[Winner]:
    """Answer each question: a winner is ahead of every other candidate by more than chance explains.

    `comparisons` holds every pair of candidates with answers.
    """
    found = []
    metrics = {r.cell: r.metrics() for r in candidates}
    for metric, question in _QUESTIONS.items():
        cell, reason = _decide(metric, candidates, {c: m[metric] for c, m in metrics.items()}, comparisons)
        found.append(Winner(question=question, metric=metric, cell=cell, reason=reason))
    return found


def _decide(
    metric: str,
    candidates: Sequence[CellResult],
    values: Mapping[str, Metric],
    comparisons: Sequence[Comparison],
) -> tuple[str | None, str]:
    if not candidates:
        return None, "no candidate in this log"
    if len(candidates) == 1:
        return None, "one candidate: nothing to compare"
    ranked = _ranked(metric, candidates, values)
    missing = [r.cell for r in candidates if r not in ranked]
    apart = f"; not measured, so not compared: {', '.join(missing)}" if missing else ""
    if len(ranked) < 2:
        return None, f"no winner: fewer than two candidates were measured{apart}"
    leader, others = ranked[0], ranked[1:]
    shown = ", ".join(f"{r.cell} {_shown(values[r.cell])}" for r in ranked[:3])
    pairs = [None if metric == "peak_rss_bytes" else oriented(comparisons, metric, leader.cell, r.cell) for r in others]
    doubts = [_doubt(metric, leader, r, values, pair) for r, pair in zip(others, pairs, strict=True)]
    first = next((doubt for doubt in doubts if doubt is not None), None)
    if first is not None:
        return None, f"no winner: {leader.cell} leads ({shown}), but {first}{apart}"
    evidence = "by single peak, which has no interval" if pairs[0] is None else describe(pairs[0])
    return leader.cell, f"{shown}; {evidence}{apart}"


def _ranked(metric: str, candidates: Sequence[CellResult], values: Mapping[str, Metric]) -> Sequence[CellResult]:
    sign = -1 if METRICS[metric].higher_is_better else 1
    found = [(sign * v, i) for i, r in enumerate(candidates) if (v := values[r.cell].value) is not None]
    return [candidates[i] for _, i in sorted(found)]


def _doubt(
    metric: str, leader: CellResult, other: CellResult, values: Mapping[str, Metric], pair: Comparison | None
) -> str | None:
    """Why `leader` cannot be said to beat `other`; None if it can."""
    missed = unanswered_beside(leader, other)
    if pair is None:
        if values[leader.cell].value == values[other.cell].value:
            return f"{other.cell} has the same peak"
    elif not (pair.above if METRICS[metric].higher_is_better else pair.below):
        return describe(pair)
    if missed == 0 or (metric == "f1" and compare_at_worst(leader, other).above):
        return None
    turn = ", enough to turn the result" if metric == "f1" else ""
    return f"it left {missed} documents unanswered that {other.cell} answered{turn}"


def _shown(metric: Metric) -> str:
    return "not measured" if metric.value is None else format_value(metric.value, metric.unit)


def describe(comparison: Comparison) -> str:
    """One clause: the paired difference with its interval, or why there is none."""
    pair, n = f"{comparison.a} against {comparison.b}", f"over {comparison.n} documents"
    if comparison.value is None or comparison.n < 2:
        return f"{pair}: too few documents that both answered ({comparison.n})"
    if comparison.low is None or comparison.high is None:
        same = "identical" if comparison.changed == 0 else "the same difference"
        return f"{pair}: {same} on every document, {n}"
    if comparison.scale is Scale.RATIO:
        interval = f"{comparison.value:.2f} [{comparison.low:.2f}, {comparison.high:.2f}]"
        return f"{pair}: time ratio {interval} {n}"
    points = [f"{100 * v:+.1f}" for v in (comparison.value, comparison.low, comparison.high)]
    return f"{pair}: mean document F1 {points[0]} [{points[1]}, {points[2]}] points {n}"
