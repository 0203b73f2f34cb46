"""The questions people ask first, answered only where the evidence does."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from harness.device_use import CLOSURE_LIMIT
from harness.metrics import METRICS, Metric
from harness.pairing import asked_of_all
from harness.results import CellResult
from reports.comparisons import Comparison, Scale, adjusted, compare_at_worst, oriented, unanswered_beside
from reports.formatting import format_value
from reports.paired import COST, compare_on, energy_sensor

__all__ = ["Winner", "common_metrics", "comparable", "decide", "describe", "leaders", "winners"]

_QUESTIONS = {
    "f1": "Best quality",
    "latency_s": "Fastest",
    "peak_rss_bytes": "Least host memory",
    "peak_vram_bytes": "Least device memory",
    "energy_j": "Most efficient (energy of a document)",
    "latency_cv": "Most consistent (variation of latency)",
}
_ON_DEVICES = ("peak_vram_bytes", "energy_j")
"""Not asked where no candidate ran on an accelerator."""
_SINGLE = ("peak_rss_bytes", "peak_vram_bytes")
"""One number of a whole pass: nothing to pair by document, so no interval."""
_QUALITY = ("f1", "precision", "line_item_f1")
_SHOWN = 3
"""Cells that a sentence names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """The answer to one question. `cell` is None where there is no winner; `reason` says why, either way."""

    question: str
    metric: str
    cell: str | None
    reason: str
    leader: str | None = None
    """The cell with the best value, winner or not."""


def leaders(candidates: Sequence[CellResult], metrics: Sequence[str]) -> Mapping[str, str | None]:
    """By metric, the cell with the best value, which `winners` compares with the others; None with fewer than two."""
    values = common_metrics(candidates)
    found = {}
    for metric in metrics:
        ranked, _ = comparable(metric, candidates, {c: m[metric] for c, m in values.items()})
        found[metric] = ranked[0].cell if len(ranked) > 1 else None
    return found


def common_metrics(candidates: Sequence[CellResult]) -> Mapping[str, Mapping[str, Metric]]:
    """By cell, over the documents that all were asked to read."""
    common = asked_of_all(candidates)
    return {r.cell: r.metrics(common) for r in candidates}


def winners(candidates: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Sequence[Winner]:
    """Answer each question: a winner is ahead of every other candidate by more than chance explains.

    Candidates are ranked on the documents that all of them were asked to read. `comparisons` saves making those again
    that it holds; the leader's are one family, adjusted by Holm's method. Times and energy are ranked among
    cells of one output length, and of none whose device was disturbed.
    """
    common, metrics = asked_of_all(candidates), common_metrics(candidates)
    parts = any(len(r.documents) > len(common) for r in candidates)
    over = f" on the {len(common)} documents that all of them read" if parts else ""
    accelerated = any(load.device != "cpu" for r in candidates for load in r.loads)
    return [
        decide(metric, question, candidates, {c: m[metric] for c, m in metrics.items()}, comparisons, over=over)
        for metric, question in _QUESTIONS.items()
        if accelerated or metric not in _ON_DEVICES
    ]


def decide(
    metric: str,
    question: str,
    candidates: Sequence[CellResult],
    values: Mapping[str, Metric],
    comparisons: Sequence[Comparison],
    *,
    over: str = "",
    compared: Callable[[CellResult, CellResult], Comparison] | None = None,
) -> Winner:
    """The best of `candidates` by `values`, if the paired interval tells it apart from each of the others.

    `comparisons` saves making those again that it holds; `compared` makes them where `reports.paired` does not know
    the metric.
    """

    def answer(reason: str, leader: str | None = None, *, won: bool = False) -> Winner:
        return Winner(question=question, metric=metric, cell=leader if won else None, reason=reason, leader=leader)

    if not candidates:
        return answer("no candidate in this log")
    if len(candidates) == 1:
        return answer("one candidate: nothing to compare")
    ranked, left_out = comparable(metric, candidates, values)
    apart = "".join(f"; {why}, so not compared: {_names(names)}" for why, names in left_out.items() if names)
    if len(ranked) < 2:
        return answer(f"no winner: fewer than two candidates were measured{apart}")
    leader, others = ranked[0], ranked[1:]
    shown = ", ".join(f"{r.cell} {_shown(values[r.cell])}" for r in ranked[:_SHOWN]) + over
    pairs = _pairs(metric, leader, others, comparisons, compared)
    doubts = {
        r.cell: why
        for r, pair in zip(others, pairs, strict=True)
        if (why := _doubt(metric, leader, r, values, pair)) is not None
    }
    if doubts:
        first, *rest = doubts
        more = f"; nor is it told apart from {_names(rest)}" if rest else ""
        return answer(f"no winner: {leader.cell} leads ({shown}), but {doubts[first]}{more}{apart}", leader.cell)
    if pairs[0] is None:
        why = "a single peak has no interval, so it names no winner"
        return answer(f"lowest: {shown}; {why}{apart}", leader.cell)
    evidence = describe(pairs[0])
    if len(others) > 1:
        evidence += f"; ahead of the {len(others) - 1} others too"
    return answer(f"{shown}; {evidence}{apart}", leader.cell, won=True)


def _pairs(
    metric: str,
    leader: CellResult,
    others: Sequence[CellResult],
    comparisons: Sequence[Comparison],
    compared: Callable[[CellResult, CellResult], Comparison] | None,
) -> Sequence[Comparison | None]:
    if metric in _SINGLE:
        return [None] * len(others)
    if compared is not None:
        return adjusted([compared(leader, r) for r in others])
    known = [oriented(comparisons, metric, leader.cell, r.cell) for r in others]
    return adjusted([c or compare_on(metric, leader, r) for c, r in zip(known, others, strict=True)])


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _ranked(metric: str, candidates: Sequence[CellResult], values: Mapping[str, Metric]) -> Sequence[CellResult]:
    sign = -1 if _higher(metric) else 1
    found = [(sign * v, i) for i, r in enumerate(candidates) if (v := values[r.cell].value) is not None]
    return [candidates[i] for _, i in sorted(found)]


def _higher(metric: str) -> bool:
    """Whether more is better; of what is no metric of cells, such as a cost, less is."""
    return metric in METRICS and METRICS[metric].higher_is_better is True


def comparable(
    metric: str, candidates: Sequence[CellResult], values: Mapping[str, Metric]
) -> tuple[Sequence[CellResult], Mapping[str, Sequence[str]]]:
    """Those that can be ranked, the best first, and by reason the names of those that cannot."""
    known = _ranked(metric, candidates, values)
    left_out = {"not measured": _names_of(candidates, known)}
    if metric in _QUALITY:
        return known, left_out
    clean = [r for r in known if values[r.cell].contaminated is None]
    what = "beside others on the device" if metric in _SINGLE else "disturbed while they were timed"
    left_out[what] = _names_of(known, clean)
    if metric in _SINGLE:
        return clean, left_out
    alike = _alike(clean, lambda r: r.fixed_length)
    left_out["of another output length"] = _names_of(clean, alike)
    if metric != "energy_j":
        return alike, left_out
    closing = [r for r in alike if (r.metrics()["energy_closure"].value or 0.0) <= CLOSURE_LIMIT]
    left_out["of energy whose two measurements disagree"] = _names_of(alike, closing)
    ranked = _alike(closing, energy_sensor)
    left_out["of energy by another sensor"] = _names_of(closing, ranked)
    return ranked, left_out


def _names_of(candidates: Sequence[CellResult], kept: Sequence[CellResult]) -> Sequence[str]:
    """Of the candidates that were not kept."""
    cells = {r.cell for r in kept}
    return [r.cell for r in candidates if r.cell not in cells]


def _alike(ranked: Sequence[CellResult], of: Callable[[CellResult], Hashable]) -> Sequence[CellResult]:
    """Those that share what most have; None (a free length), where as many have that."""
    found = [of(r) for r in ranked]
    most = max(found, key=lambda value: (found.count(value), value is None), default=None)
    return [r for r, value in zip(ranked, found, strict=True) if value == most]


def _doubt(
    metric: str, leader: CellResult, other: CellResult, values: Mapping[str, Metric], pair: Comparison | None
) -> str | None:
    """Why `leader` cannot be said to beat `other`; None if it can."""
    missed = unanswered_beside(leader, other)
    if pair is None:
        if values[leader.cell].value == values[other.cell].value:
            return f"{other.cell} has the same peak"
    elif not (pair.above if pair.metric in _QUALITY else pair.below):
        return describe(pair)
    if missed == 0 or (metric == "f1" and compare_at_worst(leader, other).above):
        return None
    turn = ", enough to turn the result" if metric == "f1" else ""
    return f"it left {missed} documents unanswered that {other.cell} answered{turn}"


def _shown(metric: Metric) -> str:
    return "not measured" if metric.value is None else format_value(metric.value, metric.unit)


def describe(comparison: Comparison) -> str:
    """One clause: the paired difference with its interval, or why there is none."""
    pair, n = f"{comparison.a} against {comparison.b}", f"over {comparison.n} {comparison.unit}"
    if comparison.value is None or comparison.n < 2:
        return f"{pair}: too few {comparison.unit} that both answered ({comparison.n})"
    if comparison.low is None or comparison.high is None:
        same = "identical" if comparison.changed == 0 else "the same difference"
        return f"{pair}: {same} on every {comparison.unit.removesuffix('s')}, {n}"
    many = f", p {comparison.p:.2g} for {comparison.family} comparisons" if comparison.family > 1 else ""
    what = _WORDS.get(comparison.metric, comparison.metric)
    if comparison.scale is Scale.RATIO:
        interval = f"{comparison.value:.2f} [{comparison.low:.2f}, {comparison.high:.2f}]"
        return f"{pair}: {what} {interval} {n}{many}"
    scale, unit = (1, "J") if comparison.metric == "energy_j" else (100, "points")
    shown = [f"{scale * v:+.1f}" for v in (comparison.value, comparison.low, comparison.high)]
    return f"{pair}: {what} {shown[0]} [{shown[1]}, {shown[2]}] {unit} {n}{many}"


_WORDS = {
    "f1": "mean document F1",
    "precision": "mean document precision",
    "line_item_f1": "mean F1 of the line items of a document",
    "energy_j": "mean energy of a document",
    "latency_s": "time ratio",
    "docs_per_min": "ratio of the time a document takes",
    "latency_cv": "ratio of the variation of latency",
    COST: "cost ratio",
}
