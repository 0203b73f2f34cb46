"""Hybrid routing: a fast cell reads every document, and a strong one those whose answer looks doubtful."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from statistics import fmean

from harness.deployment.capacity import cost_per_thousand
from harness.deployment.signals import Signal, signal_values
from harness.pairing import asked_of_all, common_documents
from harness.results import CellResult
from harness.statistics import Estimate, PairedDifference, paired_difference, ratio_interval

__all__ = [
    "F1_MARGIN",
    "MINIMUM_HALF",
    "SLOWER",
    "Choice",
    "Point",
    "Routing",
    "best_pair",
    "halves",
    "route",
]

MINIMUM_HALF = 20
"""Documents in each half: a threshold chosen on fewer is chosen by chance."""
F1_MARGIN = 0.005
"""F1 below the best of the choosing half that the fastest threshold may have."""
SLOWER = 2.0
"""A strong cell takes at least so many times as long as the fast one: otherwise it could read everything."""
_STEPS = 20
"""Thresholds of a signal that the sweep tries, at its quantiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One way of routing, over the documents that both cells answered."""

    name: str
    """The signal, or `fast alone` and `strong alone`."""
    threshold: float | None
    """Documents whose signal is below it go to the strong cell: -inf none, inf all. None: there is no signal."""
    documents: int
    escalated: int
    """Documents that the strong cell read."""
    f1: Estimate
    latency_s: float
    """Mean; a document that goes on takes the time of both."""
    latency_p90_s: float
    cost_per_thousand: float | None
    """Of 1,000 documents, in the currency of the prices; None without prices."""
    on_front: bool = False
    """Whether no other point has a higher F1 in no more time, or as high a one in less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A signal's best threshold by one half of the documents, and what it gives on the other half."""

    chosen_on: Point
    reported_on: Point
    fast: Point
    """The fast cell alone, on the other half."""
    strong: Point
    against_fast: PairedDifference
    """Document F1 of the router minus that of the fast cell alone."""
    against_coin: PairedDifference
    """The same minus what sending on as many documents, picked at random, is expected to give."""
    is_best: bool = False
    """Whether the choosing half prefers this signal to the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """A fast and a strong cell on the same documents."""

    fast: str
    strong: str
    documents: int
    """That both answered: of a document that either failed on, no F1 is known."""
    left_out: int
    points: Sequence[Point]
    """Fast alone, strong alone, and the sweep over the thresholds of each signal."""
    choices: Sequence[Choice]
    """By signal; none where `undecided` says why."""
    undecided: str | None
    unavailable: Mapping[Signal, str]
    """Signals that the evidence does not carry, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    name: str
    fast_f1: tuple[float, float]
    """Numerator and denominator."""
    strong_f1: tuple[float, float]
    fast_s: float
    strong_s: float
    fast_own_s: float
    """Its share of the time of a batch: what is paid for it."""
    strong_own_s: float


def best_pair(candidates: Sequence[CellResult]) -> tuple[CellResult, CellResult] | str:
    """The fast and the strong cell worth routing between, or why there are none.

    The strong one takes at least `SLOWER` times as long a document and has the higher F1; of such pairs the highest F1
    of the strong one decides, then the highest F1 of the fast one: over the documents that all were asked to read. Only
    cells whose answers are scored and whose times nothing disturbed take part.
    """
    usable = [r for r in candidates if r.scores and r.metrics()["latency_s"].contaminated is None]
    common = asked_of_all(usable)
    seconds = {r.cell: fmean(times) for r in usable if (times := _latencies(r, common))}
    usable = [r for r in usable if r.cell in seconds]
    if len(usable) < 2:
        return f"routing needs two candidates with scored answers and undisturbed times; this log has {len(usable)}"
    f1 = {r.cell: r.quality(common)["f1"].value for r in usable}
    pairs = [
        (f1[strong.cell] or 0.0, f1[fast.cell] or 0.0, fast, strong)
        for fast in usable
        for strong in usable
        if seconds[strong.cell] >= SLOWER * seconds[fast.cell]
    ]
    if not pairs:
        return f"no candidate takes {SLOWER:g} times as long as another: any of them could read everything"
    better = [pair for pair in pairs if pair[0] > pair[1]]
    if not better:
        return f"no candidate that takes {SLOWER:g} times as long as another has the higher F1: nothing is gained by it"
    _, _, fast, strong = max(better, key=lambda pair: pair[:2])
    return fast, strong


def _latencies(result: CellResult, documents: Collection[str]) -> Sequence[float]:
    return [s for d in result.scores if d in documents and (s := result.readings[d].latency_s) is not None]


def halves(documents: Mapping[str, str | None]) -> tuple[Sequence[str], Sequence[str]]:
    """Documents by stratum, each stratum shared out evenly: in the order of the names' SHA-256, every other one."""
    ordered = sorted(documents, key=lambda d: (documents[d] or "", hashlib.sha256(d.encode()).digest()))
    return ordered[::2], ordered[1::2]


def route(
    fast: CellResult, strong: CellResult, *, hourly: Mapping[str, float] | None = None, utilisation: float = 1.0
) -> Routing:
    """Sweep every signal's threshold, and choose the best of each on one half of the documents.

    Best: of the thresholds whose mean latency is shorter than that of the strong cell alone, which a router must beat,
    the fastest whose F1 is at most `F1_MARGIN` below the highest, all on that half. `hourly` is what an hour of each
    cell's machine costs, by the cell's name, `utilisation` the share of it in which it reads.
    Raises PairingError if the two cells read unlike documents of one name.
    """
    found = {d.name: d for d in _documents(fast, strong)}
    price = _Price.of(fast.cell, strong.cell, hourly, utilisation)
    signals = signal_values(fast, list(found))
    known = {s: values for s, values in signals.items() if not isinstance(values, str)}
    points = _sweep(list(found.values()), known, price) if found else []
    asked = len(fast.documents.keys() | strong.documents.keys())
    split = halves({d: fast.documents[d].stratum for d in found})
    few = f"{len(found)} documents that both answered: each half needs {MINIMUM_HALF} to choose a threshold on"
    enough = min(map(len, split)) >= MINIMUM_HALF
    return Routing(
        fast=fast.cell,
        strong=strong.cell,
        documents=len(found),
        left_out=asked - len(found),
        points=points,
        choices=_choices(found, known, split, price) if enough else [],
        undecided=None if enough else few,
        unavailable={s: why for s, why in signals.items() if isinstance(why, str)},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Price:
    fast: float
    strong: float
    utilisation: float

    @classmethod
    def of(cls, fast: str, strong: str, hourly: Mapping[str, float] | None, utilisation: float) -> _Price | None:
        prices = hourly or {}
        if fast not in prices or strong not in prices:
            return None
        return cls(fast=prices[fast], strong=prices[strong], utilisation=utilisation)


def _documents(fast: CellResult, strong: CellResult) -> Sequence[_Document]:
    """Those that both answered and that are timed and scored in both, in name order."""
    found = []
    for name in common_documents(fast, strong):
        if name not in fast.scores or name not in strong.scores:
            continue
        first, second = fast.readings[name], strong.readings[name]
        if first.latency_s is not None and second.latency_s is not None:
            found.append(
                _Document(
                    name=name,
                    fast_f1=_f1_parts(fast, name),
                    strong_f1=_f1_parts(strong, name),
                    fast_s=first.latency_s,
                    strong_s=second.latency_s,
                    fast_own_s=first.latency_s / first.batch_size,
                    strong_own_s=second.latency_s / second.batch_size,
                )
            )
    return found


def _f1_parts(result: CellResult, name: str) -> tuple[float, float]:
    c = result.scores[name].counts
    return c.correct, c.correct + c.wrong + (c.omitted + c.hallucinated) / 2


def _sweep(
    documents: Sequence[_Document], signals: Mapping[Signal, Mapping[str, float]], price: _Price | None
) -> Sequence[Point]:
    points = [_alone("fast alone", documents, price), _alone("strong alone", documents, price)]
    points += [
        _routed(signal, threshold, documents, values, price)
        for signal, values in signals.items()
        for threshold in _thresholds([values[d.name] for d in documents])
    ]
    return [replace(p, on_front=_undominated(p, points)) for p in points]


def _thresholds(values: Sequence[float]) -> Sequence[float]:
    """From sending on nothing to everything; between, every value, or of many at most `_STEPS` quantiles."""
    ordered = sorted(values)
    distinct = set(ordered)
    if len(distinct) > _STEPS:
        distinct = {ordered[i * (len(ordered) - 1) // _STEPS] for i in range(_STEPS + 1)}
    return [-inf, *sorted(distinct - {ordered[0]}), inf]


def _alone(name: str, documents: Sequence[_Document], price: _Price | None) -> Point:
    fast = name == "fast alone"
    return _point(name, None, documents, [not fast] * len(documents), price, fast_reads=fast)


def _routed(
    signal: Signal,
    threshold: float,
    documents: Sequence[_Document],
    values: Mapping[str, float],
    price: _Price | None,
) -> Point:
    return _point(signal, threshold, documents, [values[d.name] < threshold for d in documents], price)


def _point(
    name: str,
    threshold: float | None,
    documents: Sequence[_Document],
    on: Sequence[bool],
    price: _Price | None,
    *,
    fast_reads: bool = True,
) -> Point:
    """The strong cell reads the documents that go `on`, after the fast one has read them all, if it does."""
    pairs = list(zip(documents, on, strict=True))
    ratios = [d.strong_f1 if go else d.fast_f1 for d, go in pairs]
    seconds = sorted([fast_reads * d.fast_s + go * d.strong_s for d, go in pairs])
    cost = None
    if price is not None:
        paid = fmean([fast_reads * d.fast_own_s * price.fast + go * d.strong_own_s * price.strong for d, go in pairs])
        cost = cost_per_thousand(1.0, paid, price.utilisation)  # each cell's seconds at its own price
    return Point(
        name=name,
        threshold=threshold,
        documents=len(pairs),
        escalated=sum(on),
        f1=ratio_interval([n for n, _ in ratios], [d for _, d in ratios]),
        latency_s=fmean(seconds),
        latency_p90_s=seconds[ceil(0.9 * len(seconds)) - 1],
        cost_per_thousand=cost,
    )


def _undominated(point: Point, points: Sequence[Point]) -> bool:
    def ahead(other: Point) -> bool:
        f1, other_f1 = point.f1.value or 0.0, other.f1.value or 0.0
        as_good = other_f1 >= f1 and other.latency_s <= point.latency_s
        return as_good and (other_f1 > f1 or other.latency_s < point.latency_s)

    return not any(ahead(other) for other in points)


def _choices(
    found: Mapping[str, _Document],
    signals: Mapping[Signal, Mapping[str, float]],
    split: tuple[Sequence[str], Sequence[str]],
    price: _Price | None,
) -> Sequence[Choice]:
    choosing, reporting = ([found[d] for d in half] for half in split)
    limit_s = _alone("strong alone", choosing, price).latency_s
    choices = []
    for signal, values in signals.items():
        swept = {
            t: _routed(signal, t, choosing, values, price) for t in _thresholds([values[d.name] for d in choosing])
        }
        best = _best([p for p in swept.values() if p.escalated == 0 or p.latency_s < limit_s])
        threshold = next(t for t, point in swept.items() if point is best)
        on = [values[d.name] < threshold for d in reporting]
        choices.append(
            Choice(
                chosen_on=best,
                reported_on=_routed(signal, threshold, reporting, values, price),
                fast=_alone("fast alone", reporting, price),
                strong=_alone("strong alone", reporting, price),
                against_fast=_against(reporting, on, share=0.0),
                against_coin=_against(reporting, on, share=fmean(on)),
            )
        )
    preferred = _best([c.chosen_on for c in choices])
    return [replace(c, is_best=c.chosen_on is preferred) for c in choices]


def _best(points: Sequence[Point]) -> Point:
    """The fastest of those within `F1_MARGIN` of the highest F1."""
    highest = max(p.f1.value or 0.0 for p in points)
    return min((p for p in points if (p.f1.value or 0.0) >= highest - F1_MARGIN), key=lambda p: p.latency_s)


def _against(documents: Sequence[_Document], on: Sequence[bool], share: float) -> PairedDifference:
    """Document F1 of the router minus what sending on a random `share` of the documents is expected to give."""
    routed, other = {}, {}
    for d, go in zip(documents, on, strict=True):
        if d.fast_f1[1] and d.strong_f1[1]:
            fast, strong = d.fast_f1[0] / d.fast_f1[1], d.strong_f1[0] / d.strong_f1[1]
            routed[d.name] = strong if go else fast
            other[d.name] = (1 - share) * fast + share * strong
    return paired_difference(routed, other)
