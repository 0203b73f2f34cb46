"""Two cells on the same documents: paired tests, and how much they could have noticed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, stdev
from typing import Literal

from harness.statistics.intervals import mean_interval

__all__ = [
    "Alternative",
    "PairedDifference",
    "documents_needed",
    "holm_adjusted",
    "minimum_detectable_drop",
    "paired_difference",
    "sign_flip_test",
]

Alternative = Literal["two-sided", "less", "greater"]

_EXACT_FLIPS = 16
"""Up to this many nonzero differences every sign pattern is enumerated (65,536 of them)."""
_ROUNDING = 1e-9
"""Relative slack for sums of floats that are equal on paper."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Mean per-document difference between two cells, over the documents that both have."""

    mean: float | None
    """None without a common document."""
    low: float | None
    high: float | None
    """None below two documents, and when all differences are equal: the spread is then unknown, not 0."""
    p: float | None
    """Two-sided sign-flip p-value."""
    n: int
    """Documents in both."""
    changed: int
    """Documents whose difference is not zero; 0 means that the two are identical document by document."""


def _flipped_sums(sizes: Sequence[float], draws: int, seed: int) -> Sequence[float]:
    """Sums of `sizes` under every sign pattern, or under `draws` random ones when there are too many."""
    if len(sizes) <= _EXACT_FLIPS:
        sums = [0.0]
        for size in sizes:
            sums = [total + size for total in sums] + [total - size for total in sums]
        return sums
    import numpy

    # RandomState, for its stream is frozen across numpy versions: the same evidence gives the same p
    signs = numpy.random.RandomState(seed).randint(0, 2, size=(draws, len(sizes)), dtype=numpy.int8)
    result: list[float] = ((2.0 * signs - 1.0) @ numpy.asarray(sizes)).tolist()
    return result


def sign_flip_test(
    differences: Sequence[float],
    alternative: Alternative = "two-sided",
    *,
    draws: int = 20_000,
    seed: int = 0,
) -> float:
    """p-value of paired differences being symmetric about zero: the share of sign patterns as extreme.

    Exact with up to 16 nonzero differences; beyond that seeded Monte Carlo, (hits + 1) / (draws + 1), so that
    it is never 0 (Phipson & Smyth 2010). 'greater' asks whether the mean is above zero. 1.0 without a nonzero
    difference.
    """
    if alternative not in ("two-sided", "less", "greater"):
        raise ValueError(f"alternative must be two-sided, less or greater, not {alternative!r}")
    sizes = [float(d) for d in differences if d]
    if not sizes:
        return 1.0
    seen = math.fsum(sizes)
    slack = _ROUNDING * math.fsum(map(abs, sizes))
    sums = _flipped_sums(sizes, draws, seed)
    if alternative == "two-sided":
        hits = sum(abs(total) >= abs(seen) - slack for total in sums)
    elif alternative == "greater":
        hits = sum(total >= seen - slack for total in sums)
    else:
        hits = sum(total <= seen + slack for total in sums)
    return hits / len(sums) if len(sizes) <= _EXACT_FLIPS else (hits + 1) / (len(sums) + 1)


def paired_difference(a: Mapping[str, float], b: Mapping[str, float], confidence: float = 0.95) -> PairedDifference:
    """Compare two cells document by document: mean of a - b, Student's t interval, sign-flip p-value.

    Documents that only one of them has do not enter; the order of the mappings does not matter.
    """
    differences = [a[document] - b[document] for document in sorted(a.keys() & b.keys())]
    mean = mean_interval(differences, confidence)
    return PairedDifference(
        mean=mean.value,
        low=mean.low,
        high=mean.high,
        p=sign_flip_test(differences) if differences else None,
        n=len(differences),
        changed=sum(1 for d in differences if d),
    )


def holm_adjusted(p_values: Sequence[float]) -> Sequence[float]:
    """p-values of one family of tests, adjusted so that 5 % is the chance of any false finding among them.

    Holm 1979 (Scand. J. Statist. 6:65-70): step down from the smallest, times the number of tests left, never
    falling, at most 1. In the order given.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - rank)))
        adjusted[i] = highest
    return adjusted


def minimum_detectable_drop(
    differences: Sequence[float] | None = None,
    *,
    sd: float | None = None,
    n: int | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float | None:
    """The smallest true mean drop that a one-sided test at `alpha` would notice with probability `power`.

    (z[1-alpha] + z[power]) sd / sqrt(n), the normal approximation (Miller 2024, arXiv:2411.00640).
    Give the observed differences, or `sd` of the per-document difference and `n` documents. None below two
    documents, and when the differences show no spread.
    """
    if differences is not None:
        n = len(differences)
        sd = stdev(differences) if n > 1 else 0.0
    if sd is None or n is None:
        raise ValueError("give differences, or sd and n")
    if n < 2 or sd <= 0:
        return None
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha) + normal.inv_cdf(power)) * sd / math.sqrt(n)


def documents_needed(drop: float, sd: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """How many documents a one-sided test at `alpha` needs to notice a mean drop of `drop` with `power`."""
    if drop <= 0 or sd < 0:
        raise ValueError("the drop must be positive and the spread not negative")
    normal = NormalDist()
    return max(2, math.ceil(((normal.inv_cdf(1 - alpha) + normal.inv_cdf(power)) * sd / drop) ** 2))
