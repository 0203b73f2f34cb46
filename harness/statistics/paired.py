"""Two cells on the same documents: paired tests, and how much they could have noticed."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, stdev
from typing import TYPE_CHECKING, Literal

from harness.statistics.intervals import mean_interval

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

__all__ = [
    "Aligned",
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
_NEVER = 1e-12
"""Nothing is drawn when the chance that any of the draws would be as extreme as what was seen is below this."""
_BLOCK = 64
"""Sign patterns that are summed at once: a multiple of 8, so that each block begins with a whole byte."""


class Aligned(Mapping[str, float]):
    """Values of documents as an array: several share their `places`, are small, and are compared fast."""

    __slots__ = ("_values", "places")

    def __init__(self, places: Mapping[str, int], values: Mapping[str, float]) -> None:
        """`places` numbers all documents from 0, in name order; `values` knows some of them, and no NaN."""
        self.places = places
        self._values = array("d", [values.get(name, math.nan) for name in places])

    def __getitem__(self, document: str) -> float:
        value = self._values[self.places[document]]
        if math.isnan(value):
            raise KeyError(document)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name, value in zip(self.places, self._values, strict=True) if not math.isnan(value))

    def __len__(self) -> int:
        return sum(not math.isnan(value) for value in self._values)

    def minus(self, other: Aligned) -> Sequence[float]:
        """The differences over the documents that both know, in name order; both number the same documents."""
        import numpy

        found = numpy.frombuffer(self._values) - numpy.frombuffer(other._values)
        differences: list[float] = found[~numpy.isnan(found)].tolist()
        return differences


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


def _flipped_sums(sizes: NDArray[numpy.float64], draws: int, seed: int) -> NDArray[numpy.float64]:
    """Sums of `sizes` under every sign pattern, or under `draws` random ones when there are too many."""
    import numpy

    n = len(sizes)
    if n <= _EXACT_FLIPS:
        sums = numpy.zeros(1)
        for size in sizes:
            sums = numpy.concatenate([sums + size, sums - size])
        return sums
    signs = _signs(draws, n.bit_length(), seed)
    plus = numpy.empty(draws)
    for start in range(0, draws, _BLOCK):
        rows = min(_BLOCK, draws - start)
        bits = numpy.unpackbits(signs[start * n // 8 : (start + rows) * n // 8 + 1], count=rows * n)
        plus[start : start + rows] = bits.reshape(rows, n).astype(numpy.float64) @ sizes
    flipped: NDArray[numpy.float64] = 2 * plus - sizes.sum()
    return flipped


@lru_cache(maxsize=4)
def _signs(draws: int, magnitude: int, seed: int) -> NDArray[numpy.uint8]:
    """Random bits, packed: the patterns of n signs, for any n below 2 ** `magnitude`, are its first draws x n bits."""
    import numpy

    # RandomState, for its stream is frozen across numpy versions: the same evidence gives the same p
    random = numpy.random.RandomState(seed)
    parts = (random.randint(0, 2, size=draws << 5, dtype=numpy.int8) for _ in range(1 << max(0, magnitude - 5)))
    return numpy.concatenate([numpy.packbits(part) for part in parts])


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

    sums = _flipped_sums(numpy.frombuffer(sizes), draws, seed)
    return int(((numpy.abs(sums) if two_sided else sums) >= seen).sum()), len(sums)


def paired_difference(a: Mapping[str, float], b: Mapping[str, float], confidence: float = 0.95) -> PairedDifference:
    """Compare two cells document by document: mean of a - b, Student's t interval, sign-flip p-value.

    Documents that only one of them has do not enter; the order of the mappings does not matter.
    """
    if isinstance(a, Aligned) and isinstance(b, Aligned) and a.places == b.places:
        differences = a.minus(b)
    else:
        common = sorted([document for document in a if document in b])  # at once where `a` is in order
        differences = [a[document] - b[document] for document in common]
    mean = mean_interval(differences, confidence)
    return PairedDifference(
        mean=mean.value,
        low=mean.low,
        high=mean.high,
        p=sign_flip_test(differences) if differences else None,
        n=len(differences),
        changed=len(differences) - differences.count(0.0),
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
