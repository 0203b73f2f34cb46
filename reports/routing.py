"""Hybrid routing: what a fast cell and a strong one give together, and whether the router earns its keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from harness.deployment.routing import F1_MARGIN, Choice, Point, Routing, best_pair, route
from harness.statistics import Estimate, PairedDifference
from reports.deployment import Deployments
from reports.formatting import escape, format_interval, format_percent, format_seconds, table
from reports.summary import Summary
from reports.tables import format_share

__all__ = ["routing_json", "routing_parts", "summary_routing"]

_INTRODUCTION = """\
A fast cell reads every document; those whose answer looks doubtful are read again by a strong cell, whose answer then
counts. Doubtful: the signal is below the threshold. No signal needs ground truth. Computed from what both cells
answered and took in this log, as if one had followed the other: nothing was run again, and the way of a document
between two machines is not in the times. F1 and times are measured; costs are these times at assumed prices.
"""
_FRONT = """\
Each cell alone, and the ways of routing that no other beats in both F1 and mean latency; report.json has every
threshold. Read the intervals: neighbours on the front are seldom told apart.
"""
_HELD_OUT = f"""\
The threshold is chosen on one half of the documents (each stratum shared out by the hash of the names): of those with a
shorter mean latency than the strong cell alone, the fastest whose F1 is at most {100 * F1_MARGIN:g} points below their
best. All numbers are of the other half. A coin sends on as many documents, picked at random: a signal that does not
beat it knows nothing. Differences are means over documents, in points.
"""
_ALONE = ("fast alone", "strong alone")


def summary_routing(summary: Summary, deployed: Deployments | None = None) -> Routing | str | None:
    """Routing between the two candidates of a log that suit it best; why not, where none do; None with fewer than two.

    Costs are at the prices and the utilisation of `deployed`.
    """
    if len(summary.candidates) < 2:
        return None
    pair = best_pair([c.result for c in summary.candidates])
    if isinstance(pair, str):
        return pair
    if deployed is None:
        return route(*pair)
    costs = {p.cell: p.costs.hourly for p in deployed.plans if p.costs is not None}
    hourly = {cell: price for cell, price in costs.items() if price is not None}
    return route(*pair, hourly=hourly, utilisation=deployed.prices.assumptions.utilisation)


def routing_parts(found: Routing | str | None, drawn: Mapping[str, str], currency: str = "USD") -> Sequence[str]:
    """The section, in parts; empty with fewer than two candidates."""
    if found is None:
        return []
    if isinstance(found, str):
        return [f"Insufficient evidence: {escape(found, 400)}.\n"]
    left = f" {found.left_out} that either did not answer, or was not asked, are left out." if found.left_out else ""
    pair = (
        f"Fast: **{escape(found.fast)}**. Strong: **{escape(found.strong)}**, the best F1 among the cells that take at "
        f"least twice as long as another. Over {found.documents} documents.{left}\n"
    )
    missing = [f"{signal}: {why}" for signal, why in found.unavailable.items()]
    return [
        _INTRODUCTION,
        pair,
        *([f"Not among the signals: {escape('; '.join(missing), 400)}.\n"] if missing else []),
        _FRONT,
        _points_table(found, currency),
        drawn.get("routing", ""),
        "### The best threshold, on documents that did not choose it\n",
        *_held_out(found),
    ]


def _points_table(found: Routing, currency: str) -> str:
    priced = any(p.cost_per_thousand is not None for p in found.points)
    rows = [
        [
            escape(p.name),
            _threshold(p),
            format_share(p.escalated, p.documents),
            _f1(p.f1),
            format_seconds(p.latency_s),
            format_seconds(p.latency_p90_s),
            *([_cost(p, currency)] if priced else []),
            "yes" if p.on_front else "no",
        ]
        for p in found.points
        if p.name in _ALONE or (p.on_front and p.escalated)
    ]
    header = ["Routed by", "Threshold", "Read by the strong cell", "F1 % [95 %]", "Mean latency", "p90"]
    return table([*header, *(["1,000 documents (assumed price)"] if priced else []), "On the front"], rows, "lrrrrr")


def _threshold(point: Point) -> str:
    if point.threshold is None:
        return ""
    return f"{point.threshold:.3g}" if isfinite(point.threshold) else "all go on" if point.threshold > 0 else "none"


def _held_out(found: Routing) -> Sequence[str]:
    if found.undecided is not None:
        return [f"Insufficient evidence: {found.undecided}.\n"]
    rows = [
        [
            f"{escape(c.reported_on.name)}{' (preferred)' if c.is_best else ''}",
            _threshold(c.reported_on),
            format_share(c.reported_on.escalated, c.reported_on.documents),
            _f1(c.reported_on.f1),
            format_seconds(c.reported_on.latency_s),
            _difference(c.against_fast),
            _difference(c.against_coin),
            _verdict(c),
        ]
        for c in found.choices
    ]
    header = ["Signal", "Threshold", "Read by the strong cell", "F1 % [95 %]", "Mean latency", "Against fast alone"]
    first = found.choices[0]
    alone = "; ".join(
        f"{name} alone: F1 {_f1(p.f1)} %, {format_seconds(p.latency_s)}"
        for name, p in (("fast", first.fast), ("strong", first.strong))
    )
    return [
        _HELD_OUT,
        table([*header, "Against a coin", "Verdict"], rows, "lrrrrrrl"),
        f"On the same {first.reported_on.documents} documents, {escape(alone, 400)}. Preferred: the choosing half's "
        "best signal, by the same rule as its threshold.\n",
    ]


def _verdict(choice: Choice) -> str:
    if choice.reported_on.escalated in (0, choice.reported_on.documents):
        return "does not route: one cell's answers count for all"
    fast, coin = choice.against_fast, choice.against_coin
    if coin.low is not None and coin.low > 0 and fast.low is not None and fast.low > 0:
        return "**better than the fast cell, and than a coin**"
    if fast.low is not None and fast.low > 0:
        return "better than the fast cell; not told apart from a coin"
    if fast.high is not None and fast.high < 0:
        return "**worse than the fast cell alone**"
    return "insufficient evidence: not told apart from the fast cell alone"


def _f1(f1: Estimate) -> str:
    return "undefined" if f1.value is None else f"{format_percent(f1.value)}{format_interval(f1.low, f1.high, 'ratio')}"


def _difference(found: PairedDifference) -> str:
    if found.mean is None:
        return "undefined"
    if found.low is None or found.high is None:
        return f"{100 * found.mean:+.1f}, no interval"
    return f"{100 * found.mean:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def _cost(point: Point, currency: str) -> str:
    cost = point.cost_per_thousand
    return "no price" if cost is None else f"{cost:.3g} {escape(currency)}"


def routing_json(found: Routing | str | None) -> dict[str, Any] | None:
    """The same for report.json: `undecided` alone where there is no pair to route between."""
    if found is None or isinstance(found, str):
        return None if found is None else {"undecided": found}
    return {
        **asdict(found),
        "points": [_point(p) for p in found.points],
        "choices": [
            {**asdict(c), **{name: _point(getattr(c, name)) for name in ("chosen_on", "reported_on", "fast", "strong")}}
            for c in found.choices
        ],
        "unavailable": {str(signal): why for signal, why in found.unavailable.items()},
    }


def _point(point: Point) -> dict[str, Any]:
    """Null for a threshold that sends on nothing or everything: `escalated` tells which."""
    finite = point.threshold is not None and isfinite(point.threshold)
    return {**asdict(point), "threshold": point.threshold if finite else None}
