"""Paired comparisons on more than F1 and latency: one value a document, and the same tests as theirs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from harness.results import CellResult
from harness.statistics import Aligned, paired_difference, united
from reports.comparisons import Comparison, Scale, compare, unit_of

__all__ = ["COST", "compare_on", "cost_ratio", "energy_sensor"]

COST = "cost_per_1000_documents"
_FEWEST = 3
"""Leaving out one of fewer leaves no variation."""


def compare_on(metric: str, a: CellResult, b: CellResult) -> Comparison:
    """`a` against `b` over the documents that both answered, those on a disturbed device left out of times and energy.

    `f1`, `latency_s`; `precision`, `line_item_f1` and `energy_j`: the mean difference between documents;
    `docs_per_min`: the geometric mean ratio of the seconds that a document takes, its share of a batch; `latency_cv`:
    the ratio of the coefficients of variation, by jackknife pseudo-values of its logarithm over documents (Tukey 1958):
    of equal log-normal variations it tells 6 to 8 % apart where 5 % are meant, with 10 to 100 documents. Documents
    that a cell read together count once in times and energy.
    Raises KeyError for any other.
    """
    if metric in ("f1", "latency_s"):
        return compare(metric, a, b)
    if metric == "latency_cv":
        parts = [_log_variation(seconds) for seconds in united(a.seconds, b.seconds)]
        return replace(_compared(metric, Scale.RATIO, a, b, *parts), unit=unit_of(a.seconds, b.seconds))
    if metric == "docs_per_min":
        return _compared(metric, Scale.RATIO, a, b, *(_log(r.seconds) for r in (a, b)))
    return _compared(metric, Scale.DIFFERENCE, a, b, *(_DIFFERENCES[metric](r) for r in (a, b)))


def cost_ratio(a: CellResult, b: CellResult, hourly: Mapping[str, float]) -> Comparison:
    """What a document costs by the time it takes: both cells' prices of an hour by name, above 0, taken as exact."""
    rates = [math.log(hourly[r.cell]) for r in (a, b)]
    costs = [_log(r.seconds, plus=rate) for r, rate in zip((a, b), rates, strict=True)]
    return _compared(COST, Scale.RATIO, a, b, *costs)


def energy_sensor(result: CellResult) -> str | None:
    """`counter` or `power`, whichever the energy of a cell's documents was taken from; None without energy."""
    return result.energy_sensor


def _compared(
    metric: str, scale: Scale, a: CellResult, b: CellResult, first: Mapping[str, float], second: Mapping[str, float]
) -> Comparison:
    found = paired_difference(first, second)

    def shown(value: float | None) -> float | None:
        return value if value is None or scale is Scale.DIFFERENCE else math.exp(value)

    return Comparison(
        metric=metric,
        scale=scale,
        a=a.cell,
        b=b.cell,
        value=shown(found.mean),
        low=shown(found.low),
        high=shown(found.high),
        p=found.p,
        n=found.n,
        changed=found.changed,
        unit=unit_of(first, second),
    )


def _log(seconds: Aligned, *, plus: float = 0.0) -> Aligned:
    return Aligned.of(seconds.places, {d: math.log(s) + plus for d, s in seconds.plain().items()}, seconds.requests)


def _log_variation(seconds: Mapping[str, float]) -> Mapping[str, float]:
    """Jackknife pseudo-values of log(standard deviation / mean), whose mean is the estimate; empty without a spread."""
    n = len(seconds)
    if n < _FEWEST:
        return {}
    centre = math.fsum(seconds.values()) / n
    scaled = [s / centre for s in seconds.values()]  # variation has no unit, and sums near 1 lose no digits
    whole, squared = _variation(scaled), [(s - 1) ** 2 for s in scaled]
    total, squares = math.fsum(scaled), math.fsum(squared)
    means = [(total - s) / (n - 1) for s in scaled]
    variances = [
        (squares - square - (n - 1) * (mean - 1) ** 2) / (n - 2) for square, mean in zip(squared, means, strict=True)
    ]
    if whole <= 0 or min(variances) <= 0:
        return {}
    logarithm = n * math.log(whole)
    found = zip(seconds, means, variances, strict=True)
    return {d: logarithm - (n - 1) * math.log(math.sqrt(variance) / mean) for d, mean, variance in found}


def _variation(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum([(v - mean) ** 2 for v in values]) / (len(values) - 1)) / mean


_DIFFERENCES: Mapping[str, Callable[[CellResult], Aligned]] = MappingProxyType(
    {
        "precision": lambda result: result.score_values("precision"),
        "line_item_f1": lambda result: result.score_values("line_item_f1"),
        "energy_j": lambda result: result.joules,
    }
)
