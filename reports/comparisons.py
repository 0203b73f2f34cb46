"""One candidate against another, document by document."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.results import CellResult
from harness.statistics import Aligned, PairedDifference, holm_adjusted, paired_difference

__all__ = [
    "SIGNIFICANCE",
    "Comparison",
    "Scale",
    "adjusted",
    "against_leaders",
    "compare",
    "compare_all",
    "compare_at_worst",
    "oriented",
    "too_many",
    "unanswered_beside",
    "unit_of",
]

SIGNIFICANCE = 0.05
_VALUES = 200_000
"""Documents times pairs of candidates, of which every one is compared."""
_PAIRS = 3
"""So many pairs of candidates are all shown; of more, those with the leader."""


class Scale(StrEnum):
    """What a comparison's numbers are."""

    DIFFERENCE = "difference"
    """Mean over documents of a - b; 0 is no difference."""
    RATIO = "ratio"
    """Geometric mean over documents of a / b; 1 is no difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Cell `a` against cell `b` on the documents that both answered; None where there are too few of them."""

    metric: str
    scale: Scale
    a: str
    b: str
    value: float | None
    low: float | None
    high: float | None
    """95 % interval over documents; None too where every document shows the same difference."""
    p: float | None
    """Two-sided sign-flip permutation over documents."""
    n: int
    """Documents; times and energy of those that either cell read in batches count by `unit`."""
    changed: int
    """Of these, on how many the two differ at all."""
    unit: str = "documents"
    """`requests` where documents that were read together count once."""
    family: int = 1
    """Comparisons for which p is adjusted; 1 if it is not."""

    @property
    def reversed(self) -> Comparison:
        """The same, seen from the other cell."""

        def turned(value: float | None) -> float | None:
            if value is None:
                return None
            return -value if self.scale is Scale.DIFFERENCE else 1 / value

        return replace(self, a=self.b, b=self.a, value=turned(self.value), low=turned(self.high), high=turned(self.low))

    @property
    def above(self) -> bool:
        """Whether it is told apart from 'no difference', and lies above it."""
        return self._told and self._end(self.low) > 0

    @property
    def below(self) -> bool:
        """Whether it is told apart from 'no difference', and lies below it."""
        return self._told and self._end(self.high) < 0

    def _end(self, bound: float | None) -> float:
        """How far an end of the interval lies above 'no difference'.

        The same difference on every document has no interval; there p decides.
        """
        if bound is None and self.p is not None and self.p <= SIGNIFICANCE:
            bound = self.value
        return 0.0 if bound is None else bound - (0.0 if self.scale is Scale.DIFFERENCE else 1.0)

    @property
    def _told(self) -> bool:
        """The interval decides; p does where it was adjusted for the comparisons beside this one."""
        return self.family == 1 or (self.p is not None and self.p <= SIGNIFICANCE)


def _log_times(metric: str, result: CellResult) -> Mapping[str, float]:
    if metric == "latency_s":
        return result.log_latencies
    times = {d: r.phases.get(metric, 0) for d, r in result.clean.items()}
    logs = {d: math.log(seconds) for d, seconds in times.items() if seconds > 0}
    return Aligned.of(result.places, logs, result.read_together)


def compare(metric: str, a: CellResult, b: CellResult) -> Comparison:
    """Compare two cells on `f1` (mean difference of document F1), or a time (geometric mean ratio).

    Times are `latency_s` and the phases of a reading, such as `tpot_s`; those of a disturbed device are left out.
    """
    return _compared(metric, a.cell, b.cell, _values(metric, a), _values(metric, b))


def _values(metric: str, result: CellResult) -> Mapping[str, float]:
    return result.document_f1() if metric == "f1" else _log_times(metric, result)


def _compared(metric: str, a: str, b: str, first: Mapping[str, float], second: Mapping[str, float]) -> Comparison:
    found = paired_difference(first, second)
    if metric == "f1":
        return _difference(a, b, found)

    def ratio(log: float | None) -> float | None:
        return None if log is None else math.exp(log)

    return Comparison(
        metric=metric,
        scale=Scale.RATIO,
        a=a,
        b=b,
        value=ratio(found.mean),
        low=ratio(found.low),
        high=ratio(found.high),
        p=found.p,
        n=found.n,
        changed=found.changed,
        unit=unit_of(first, second),
    )


def unit_of(*values: Mapping[str, float]) -> str:
    """What a paired comparison of these values counts, in the plural."""
    together = any(isinstance(v, Aligned) and v.requests is not None for v in values)
    return "requests" if together else "documents"


def compare_at_worst(a: CellResult, b: CellResult) -> Comparison:
    """F1 of `a` against `b`, each document that only `b` answered counting 0 for `a`: a bound, never a score."""
    bound = a.document_f1().filled((d for d in a.documents if d not in a.scored), 0.0)
    return _difference(a.cell, b.cell, paired_difference(bound, b.document_f1()))


def _difference(a: str, b: str, found: PairedDifference) -> Comparison:
    return Comparison(
        metric="f1",
        scale=Scale.DIFFERENCE,
        a=a,
        b=b,
        value=found.mean,
        low=found.low,
        high=found.high,
        p=found.p,
        n=found.n,
        changed=found.changed,
    )


def unanswered_beside(a: CellResult, b: CellResult) -> int:
    """How many documents `b` answered and `a`, asked as well, did not."""
    return len(a.unanswered & b.answered)


def oriented(comparisons: Sequence[Comparison], metric: str, a: str, b: str) -> Comparison | None:
    """The comparison of `a` against `b` among `comparisons`, which may hold it the other way round, or not at all."""
    for c in comparisons:
        if c.metric == metric and (c.a, c.b) == (a, b):
            return c
        if c.metric == metric and (c.a, c.b) == (b, a):
            return c.reversed
    return None


def too_many(candidates: Sequence[CellResult]) -> bool:
    """Whether comparing every pair of candidates takes long: then those of leaders are, which report.md tells."""
    return math.comb(len(candidates), 2) * max((len(c.readings) for c in candidates), default=0) > _VALUES


def compare_all(
    candidates: Sequence[CellResult], leaders: Mapping[str, str | None] | None = None
) -> Sequence[Comparison]:
    """Every pair of candidates, in order, on F1 and then on latency, unless their output lengths were fixed unlike.

    With `leaders`, by metric, only the pairs of a metric's leader.
    """
    scored = [c for c in candidates if c.scores]
    only = leaders or {}
    found: list[Comparison] = []
    for metric, cells in (("f1", scored), ("latency_s", candidates)):
        values = {c.cell: _values(metric, c) for c in cells}
        found += [
            _compared(metric, a.cell, b.cell, values[a.cell], values[b.cell])
            for a, b in itertools.combinations(cells, 2)
            if (metric == "f1" or a.fixed_length == b.fixed_length) and only.get(metric) in (None, a.cell, b.cell)
        ]
    return found


def against_leaders(comparisons: Sequence[Comparison], leaders: Mapping[str, str | None]) -> Sequence[Comparison]:
    """Of each metric all comparisons, or of more than `_PAIRS` those of its leader; each metric one family."""
    found: list[Comparison] = []
    for metric in dict.fromkeys(c.metric for c in comparisons):
        pairs = [c for c in comparisons if c.metric == metric]
        leader = leaders.get(metric)
        if len(pairs) > _PAIRS and leader is not None:
            pairs = [c if c.a == leader else c.reversed for c in pairs if leader in (c.a, c.b)]
        found += adjusted(pairs)
    return found


def adjusted(comparisons: Sequence[Comparison]) -> Sequence[Comparison]:
    """The same comparisons as one family: p adjusted by Holm's method, those without a p as they are."""
    tested = [c.p for c in comparisons if c.p is not None]
    family = iter(holm_adjusted(tested))
    return [c if c.p is None else replace(c, p=next(family), family=len(tested)) for c in comparisons]
