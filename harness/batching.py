"""Requests: documents that were read together share their time, memory and energy, which count once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.evidence import ReadingRecord
from harness.statistics import Estimate, mean_interval, t_quantile

__all__ = ["batches", "per_unit", "rate"]


def batches(readings: Iterable[ReadingRecord]) -> Sequence[Sequence[ReadingRecord]]:
    """Readings by the request that they were part of, failures that belong to no batch alone.

    The documents of a batch share its duration, which no two batches of one size share to the nanosecond.
    """
    readings = list(readings)
    if {r.batch_size for r in readings} == {1} and len({r.document for r in readings}) == len(readings):
        return [[r] for r in readings]
    found: dict[object, list[ReadingRecord]] = {}
    for reading in readings:
        alone = reading.batch_size == 1 or reading.latency_s is None
        found.setdefault(reading.document if alone else (reading.batch_size, reading.latency_s), []).append(reading)
    return list(found.values())


def per_unit(requests: Sequence[tuple[int, float]]) -> Estimate:
    """Summed amounts over summed units, from (units, amount) of each request; n is the number of units.

    With the linearised t interval of a ratio, whose unit is the request: Cochran (1977), Sampling Techniques, eq. 6.13.
    For requests of one unit each it is the mean with its interval. Amounts are at least 0, and so is the lower bound.
    """
    if all(size == 1 for size, _ in requests):
        found = mean_interval([amount for _, amount in requests])
        return replace(found, low=None if found.low is None else max(0.0, found.low))
    k, n = len(requests), sum(size for size, _ in requests)
    mean = sum(amount for _, amount in requests) / n
    if k == 1:
        return Estimate(mean, None, None, n, "t, by batch")
    squares = sum((amount - mean * size) ** 2 for size, amount in requests)
    half = t_quantile(0.95, k - 1) * math.sqrt(k / (k - 1) * squares) / n
    return Estimate(mean, max(0.0, mean - half), mean + half, n, "t, by batch")


def rate(seconds: Estimate, times: float) -> Estimate:
    """How many in `times` seconds, one at a time, from the mean seconds that one takes."""

    def inverse(each: float | None) -> float | None:
        return times / each if each is not None and each > 0 else None

    return replace(seconds, value=inverse(seconds.value), low=inverse(seconds.high), high=inverse(seconds.low))
