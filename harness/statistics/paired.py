"""Two cells on the same documents: paired tests, and how much they could have noticed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, stdev
from typing import TYPE_CHECKING, Literal

from harness.statistics.aligned import differences
from harness.statistics.intervals import mean_interval

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

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
_FIRST = 20
"""One in so many of the draws comes first: where it finds nothing unusual, a finer p-value says no more."""
_USUAL = 0.1
"""More than this share of the first draws as extreme as what was seen is nothing unusual."""
_NEVER = 1e-12
"""Nothing is drawn when the chance that any of the draws would be as extreme as what was seen is below this."""


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
    """Documents in both; those `united` count as one, here and below."""
    changed: int
    """Documents whose difference is not zero; 0 means that the two are identical document by document."""


@lru_cache(maxsize=4)
def _signs(draws: int, magnitude: int, seed: int) -> NDArray[numpy.uint8]:
    """Random bits, (2 ** `magnitude`, draws): a column is a draw, whose signs are taken by eights, from the top."""
    import numpy

    # RandomState, for its stream is frozen across numpy versions: the same evidence gives the same p
    return numpy.random.RandomState(seed).randint(0, 256, size=(1 << magnitude, draws), dtype=numpy.uint8)


def sign_flip_test(
    differences: Sequence[float],
    alternative: Alternative = "two-sided",
    *,
    draws: int = 20_000,
    seed: int = 0,
) -> float:
    """p-value of paired differences being symmetric about zero: the share of sign patterns as extreme.

    Exact with up to 16 nonzero differences; beyond that seeded Monte Carlo, (hits + 1) / (draws + 1), so that
    it is never 0 (Phipson & Smyth 2010). A twentieth of the draws is looked at first, and decides if more than a
    tenth of it are hits (in the spirit of Besag & Clifford 1991): a p-value of up to 0.1 comes from all draws
    alone. 'greater' asks whether the mean is above zero. 1.0 without a nonzero difference.
    """
    if alternative not in ("two-sided", "less", "greater"):
        raise ValueError(f"alternative must be two-sided, less or greater, not {alternative!r}")
    import numpy

    sizes = numpy.array(differences, numpy.float64)
    sizes = sizes[sizes != 0]
    if not len(sizes):
        return 1.0
    if alternative == "less" or (alternative == "two-sided" and sizes.sum() < 0):
        sizes = -sizes
    seen = float(sizes.sum() - _ROUNDING * numpy.abs(sizes).sum())
    exact = len(sizes) <= _EXACT_FLIPS
    if not exact and seen > math.sqrt(-2 * math.log(_NEVER / 2 / draws) * float(sizes @ sizes)):
        return 1 / (draws + 1)  # by Hoeffding's inequality (1963) no draw is as extreme
    hits, patterns = _hits(sizes.tobytes(), seen, alternative == "two-sided", draws, seed)
    return hits / patterns if exact else (hits + 1) / (patterns + 1)


@lru_cache(maxsize=128)
def _hits(sizes: bytes, seen: float, two_sided: bool, draws: int, seed: int) -> tuple[int, int]:
    """How many sign patterns have a sum of at least `seen`, or as far from zero if `two_sided`; and of how many."""
    import numpy

    values = numpy.frombuffer(sizes)
    if len(values) > _EXACT_FLIPS:
        signs = _signs(draws, (-(-len(values) // 8) - 1).bit_length(), seed)
        first = max(1, draws // _FIRST)
        if (hits := _drawn_hits(values, seen, two_sided, signs[:, :first])) > _USUAL * first:
            return hits, first
        return _drawn_hits(values, seen, two_sided, signs), draws
    sums = numpy.zeros(1)
    for value in values:
        sums = numpy.concatenate([sums + value, sums - value])
    return int(((numpy.abs(sums) if two_sided else sums) >= seen).sum()), len(sums)


def _drawn_hits(sizes: NDArray[numpy.float64], seen: float, two_sided: bool, signs: NDArray[numpy.uint8]) -> int:
    """The same of random sign patterns: the sums that eight signs can have are looked up, not added up anew."""
    import numpy

    eights = numpy.zeros((-(-len(sizes) // 8), 8))
    eights.flat[: len(sizes)] = sizes
    tables = numpy.zeros((len(eights), 1))
    for column in eights.T:
        tables = numpy.concatenate([tables, tables + column[:, None]], axis=1)
    added = numpy.zeros(signs.shape[1])
    for table, chosen in zip(tables, signs, strict=False):
        added += table.take(chosen)
    sums = 2 * added - sizes.sum()
    return int(((numpy.abs(sums) if two_sided else sums) >= seen).sum())


def paired_difference(a: Mapping[str, float], b: Mapping[str, float], confidence: float = 0.95) -> PairedDifference:
    """Compare two cells document by document: mean of a - b, Student's t interval, sign-flip p-value.

    Documents that only one of them has do not enter; the order of the mappings does not matter.
    """
    found = differences(a, b)
    mean = mean_interval(found, confidence)
    return PairedDifference(
        mean=mean.value,
        low=mean.low,
        high=mean.high,
        p=sign_flip_test(found) if found else None,
        n=len(found),
        changed=len(found) - found.count(0.0),
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
