"""Confidence intervals, one entry per document."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

__all__ = [
    "Estimate",
    "bootstrap_interval",
    "mean_interval",
    "quantile_interval",
    "ratio_interval",
    "ratio_interval_of",
    "standard_deviation",
    "t_quantile",
    "wilson_interval",
]

_ROUNDING = 1e-9
"""Relative slack for sums of floats that are equal on paper."""
_HALF = 2.0**27 + 1
"""What splits the 53 digits of a float."""
_MANY = 200
"""From so many values on, arrays add faster than whole numbers of any length."""
_MOST = 1 << 16
"""Of more values, sums of products of 18 bits could round."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its confidence interval."""

    value: float | None
    """None when nothing could be counted."""
    low: float | None
    high: float | None
    """None where n is too small for the bound to exist."""
    n: int
    """Documents that entered."""
    method: str


def _check_confidence(confidence: float) -> None:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")


@lru_cache(maxsize=256)
def _z(confidence: float) -> float:
    """The two-sided normal quantile: 1.96 for 0.95."""
    _check_confidence(confidence)
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _t_central(t: float, df: int) -> float:
    """P(-t < T < t) for Student's t, a finite sum for whole df (Abramowitz & Stegun 26.7.3 and 26.7.4)."""
    theta = math.atan(t / math.sqrt(df))
    sine, cosine_squared = math.sin(theta), math.cos(theta) ** 2
    odd = df % 2
    term = total = math.cos(theta) if odd else 1.0
    for k in range(2 + odd, df - 1, 2):
        term *= cosine_squared * (k - 1) / k
        total += term
    if not odd:
        return sine * total
    return 2 / math.pi * (theta + (sine * total if df > 1 else 0.0))


@lru_cache(maxsize=4096)
def t_quantile(confidence: float, df: int) -> float:
    """The two-sided quantile of Student's t: P(-q < T < q) = confidence, for whole `df` >= 1.

    Bisection on the exact sum up to 60 degrees of freedom; beyond that the expansion of Abramowitz & Stegun
    26.7.5, whose error is then below 1e-7 for any confidence up to 0.999.
    """
    _check_confidence(confidence)
    if df < 1:
        raise ValueError(f"degrees of freedom must be at least 1, not {df}")
    z = _z(confidence)
    if df > 60:
        terms = (
            (z**3 + z) / 4,
            (5 * z**5 + 16 * z**3 + 3 * z) / 96,
            (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
            (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
        )
        return z + math.fsum(term / df**power for power, term in enumerate(terms, 1))
    low, high = z, 2 * z
    while _t_central(high, df) < confidence:
        high *= 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if _t_central(middle, df) < confidence else (low, middle)
    return low


def _wilson(share: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's score interval for `share` seen in `n` trials; `n` need not be whole."""
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return min(share, max(0.0, (centre - half) / scale)), max(share, min(1.0, (centre + half) / scale))


def wilson_interval(successes: float, trials: float, confidence: float = 0.95) -> Estimate:
    """A share of independent trials, one trial a document (Wilson 1927, JASA 22:209-212)."""
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    z = _z(confidence)
    if trials == 0:
        return Estimate(None, None, None, 0, "wilson")
    share = successes / trials
    return Estimate(share, *_wilson(share, trials, z), int(trials), "wilson")


def _effective_size(pairs: Mapping[tuple[float, float], int], k: int, share: float, confidence: float) -> float:
    """How many independent trials the clustered trials of `k` documents are worth, for a Wilson interval."""
    total = _sum((d, times) for (_, d), times in pairs.items())
    if k == 1 or not 0.0 < share < 1.0:
        return k
    residuals = _sum(((n - share * d) ** 2, times) for (n, d), times in pairs.items())
    if residuals <= (_ROUNDING * total) ** 2:
        return k
    variance = k / (k - 1) * residuals / total**2
    # one trial a document has v = share (1 - share) / (k - 1): the factor makes that worth exactly k trials
    size = share * (1 - share) / variance * (total / (total - 1) if total > 1 else 1.0)
    few_clusters = t_quantile(confidence, max(1, round(total) - 1)) / t_quantile(confidence, k - 1)
    return min(size * min(1.0, few_clusters) ** 2, total)


def _sum(values: Iterable[tuple[float, int]]) -> float:
    """math.fsum of values that occur so many times, fewer than 2 ** 27.

    Each value is the sum of two of half its digits (Dekker 1971), whose multiples a float holds exactly.
    """
    found: list[float] = []
    for value, times in values:
        scaled = value * _HALF
        high = scaled - (scaled - value)
        found += (high * times, (value - high) * times)
    return math.fsum(found)


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float], confidence: float = 0.95) -> Estimate:
    """A ratio of sums, sum(N) / sum(D), such as precision or F1, with one (N, D) entry per document.

    The interval is Wilson's (1927), taken at the effective sample size of the cluster-robust,
    Taylor-linearised variance v = k/(k-1) sum((N_i - R D_i)^2) / (sum D)^2 over the k documents with D_i > 0:
    n_eff = M/(M-1) R(1-R)/v, with M = sum D, times (t[M-1] / t[k-1])^2 for few documents, and at most M (Korn
    & Graubard 1998, Survey Methodology 24:193-201; Dean & Pagano 2015, J. Surv. Stat. Methodol. 3:484-503).
    Where v says nothing (one document, no spread, or R of 0 or 1) n_eff = k: the fields of a document count
    as one trial, for how its failures cluster is unknown. A failure more can then make the interval narrower; to
    suppose a single failed field in its place would cover the truth 7 times in 10 where documents fail as a whole.
    With one trial a document this is plain Wilson. N may be fractional; 0 <= N_i <= D_i or
    ValueError. Documents with D_i = 0 do not enter; value is None if none is left.
    """
    return ratio_interval_of(Counter(zip(numerators, denominators, strict=True)), confidence)


def ratio_interval_of(documents: Mapping[tuple[float, float], int], confidence: float = 0.95) -> Estimate:
    """The same of distinct entries (N, D), and how many documents have each."""
    _check_confidence(confidence)
    if any(not 0 <= n <= d * (1 + _ROUNDING) for n, d in documents):
        raise ValueError("each numerator must lie between 0 and its denominator")
    pairs = {(float(n), float(d)): times for (n, d), times in documents.items() if d > 0}
    method = "wilson, clustered by document"
    if not pairs:
        return Estimate(None, None, None, 0, method)
    k = sum(pairs.values())
    total = _sum((d, times) for (_, d), times in pairs.items())
    share = min(1.0, _sum((n, times) for (n, _), times in pairs.items()) / total)
    size = _effective_size(pairs, k, share, confidence)
    return Estimate(share, *_wilson(share, size, _z(confidence)), k, method)


def standard_deviation(values: Sequence[float]) -> float:
    """Of a sample of at least two, from exact sums and so to the last digit: statistics.stdev, in a third of its time.

    Every float is a whole number times a power of two; raises ValueError or OverflowError if one is not finite.
    """
    n = len(values)
    if _MANY <= n <= _MOST:
        total, squares, power = _exact_sums(values)
    else:
        ratios = [value.as_integer_ratio() for value in values]
        unit = max(denominator for _, denominator in ratios)
        whole = [numerator * (unit // denominator) for numerator, denominator in ratios]
        total, squares, power = sum(whole), sum(w * w for w in whole), 1 - unit.bit_length()
    spread = n * squares - total**2
    scaled, unit = (spread << 2 * power, 1) if power > 0 else (spread, 1 << -2 * power)
    return _root(scaled, n * (n - 1) * unit)


def _exact_sums(values: Sequence[float]) -> tuple[int, int, int]:
    """Sum and sum of squares of finite floats, as whole numbers times 2 ** power and its square; and that power.

    The parts of 18 bits of `_MOST` numbers, and the products of two, add up without rounding in a float.
    """
    import numpy

    floats = numpy.array(values, numpy.float64)
    if not numpy.isfinite(floats).all():
        raise ValueError("a value is not finite")
    fractions, exponents = numpy.frexp(floats)
    power = int(exponents.min()) - 54
    places = exponents - exponents.min()
    whole = numpy.ldexp(fractions, 54).astype(numpy.int64)
    parts = [(36, whole >> 36), (18, whole >> 18 & 0x3FFFF), (0, whole & 0x3FFFF)]

    def added(part: NDArray[numpy.int64], shift: int, step: int) -> int:
        sums = numpy.bincount(places, weights=part)
        return sum(int(s) << shift + step * place for place, s in enumerate(sums.tolist()) if s)

    total = sum(added(part, shift, 1) for shift, part in parts)
    squares = sum(added(a * b, i + j, 2) for i, a in parts for j, b in parts)
    return total, squares, power


def _root(numerator: int, denominator: int) -> float:
    """The square root of a fraction, rounded once: 109 bits with a sticky last one (as in CPython's statistics)."""
    scale = (numerator.bit_length() - denominator.bit_length() - 109) // 2
    n, d = (numerator, denominator << 2 * scale) if scale >= 0 else (numerator << -2 * scale, denominator)
    root = math.isqrt(n // d)
    root |= root * root * d != n
    return (root << scale) / 1 if scale >= 0 else root / (1 << -scale)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """A mean with Student's t interval; bounds are None below two values, and when all values are equal."""
    _check_confidence(confidence)
    n = len(values)
    if n == 0:
        return Estimate(None, None, None, 0, "t")
    if min(values) == max(values):
        return Estimate(float(values[0]), None, None, n, "t")
    mean = fmean(values)
    half = t_quantile(confidence, n - 1) * standard_deviation(values) / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n, "t")


def _quantile(ordered: Sequence[float], q: float) -> float:
    """Linear interpolation between order statistics (Hyndman & Fan type 7, numpy's default)."""
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


@lru_cache(maxsize=256)
def _quantile_ranks(n: int, q: float, confidence: float) -> tuple[int | None, int | None]:
    """1-based ranks of the order statistics around the quantile; each fails at most (1 - confidence) / 2."""
    tail = (1 - confidence) / 2
    spread = 12 * math.sqrt(n * q * (1 - q)) + 12  # beyond it the mass is lost in rounding
    first, last = max(0, math.floor(n * q - spread)), min(n, math.ceil(n * q + spread))

    def mass(k: int) -> float:
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        return math.exp(ways + k * math.log(q) + (n - k) * math.log1p(-q))

    low = first or None
    high = last + 1 if last < n else None
    below = above = 0.0
    for rank in range(first + 1, n + 1):  # P(fewer than `rank` samples lie under the quantile) <= tail
        below += mass(rank - 1)
        if below > tail:
            break
        low = rank
    for rank in range(last, 0, -1):  # P(at least `rank` samples lie under the quantile) <= tail
        above += mass(rank)
        if above > tail:
            break
        high = rank
    return low, high


def quantile_interval(samples: Sequence[float], q: float, confidence: float = 0.95) -> Estimate:
    """A quantile of independent samples, with distribution-free bounds (Conover 1999).

    The value interpolates linearly between order statistics; each bound is an order statistic, and None where
    n is too small for one to hold with the confidence asked: a 95 % bound above the 95th percentile needs 72
    samples.
    """
    _check_confidence(confidence)
    if not 0.0 < q < 1.0:
        raise ValueError(f"the quantile must lie between 0 and 1, not {q}")
    if not samples:
        return Estimate(None, None, None, 0, "order statistics")
    ordered = sorted(samples)
    value = _quantile(ordered, q)
    low, high = _quantile_ranks(len(ordered), q, confidence)
    return Estimate(
        value,
        # an extreme quantile of few samples can interpolate past its bound
        None if low is None else min(value, ordered[low - 1]),
        None if high is None else max(value, ordered[high - 1]),
        len(ordered),
        "order statistics",
    )


def bootstrap_interval(
    values: Sequence[float],
    statistic: Callable[[Sequence[float]], float] = fmean,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Any statistic of per-document values, with the seeded percentile bootstrap over documents.

    Percentile and not BCa, which breaks on ties: with all differences zero it gives NaN. Bounds are None
    below two values, and when all values are equal, where resampling shows nothing.
    """
    _check_confidence(confidence)
    n = len(values)
    if n == 0:
        return Estimate(None, None, None, 0, "bootstrap")
    if min(values) == max(values):
        return Estimate(statistic(values), None, None, n, "bootstrap")
    random = Random(seed)
    draws = sorted(statistic(random.choices(values, k=n)) for _ in range(resamples))
    tail = (1 - confidence) / 2
    return Estimate(statistic(values), _quantile(draws, tail), _quantile(draws, 1 - tail), n, "bootstrap")
