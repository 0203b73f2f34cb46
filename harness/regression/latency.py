"""Is it slower than the baseline? Document against document, by the ratio of their times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from harness.gates import Verdict
from harness.regression.baseline import BaselineReading, BaselineRun
from harness.regression.gate import Change, Kind, Margins, RegressionGate, Status
from harness.statistics import Aligned, bootstrap_interval, differences

__all__ = ["FEWEST_DOCUMENTS", "judge_latency", "judge_ratios"]

FEWEST_DOCUMENTS = 10
"""Requests below which no median is bounded."""
_ELSEWHERE = frozenset({Status.OTHER_DEVICE, Status.CHANGED_IMAGE})


def judge_latency(
    cell: str,
    current: Sequence[BaselineRun],
    baseline: Sequence[BaselineRun],
    documents: Sequence[str],
    margins: Margins,
    changes: Sequence[Change] = (),
) -> RegressionGate:
    """Judge the times of a cell's runs, on the same kind of device, fresh and undisturbed; repeats by their median.

    Documents that either side read in one batch count as one; those of batches of unlike size are left out.
    """
    if elsewhere := [change.message for change in changes if change.status in _ELSEWHERE]:
        return _refused(cell, "; ".join(elsewhere), margins)
    for run in (*current, *baseline):
        told = [run.readings[d] for d in documents if run.readings[d].latency_s is not None]
        if told and not any(reading.fresh for reading in told):
            return _refused(
                cell, "times that were replayed or imported judge nothing: measure both sides anew", margins
            )
    alike = [d for d in documents if current[0].readings[d].batch_size == baseline[0].readings[d].batch_size]
    now, then = (_times(runs, alike) for runs in (current, baseline))
    ratios = differences(now, then)
    timed = sum(any(run.readings[d].latency_s is not None for run in current) for d in documents)
    left_out = timed - len(now.keys() & then.keys())
    gate = judge_ratios(cell, ratios, margins)
    if not left_out:
        return gate
    note = f"{left_out} documents disturbed, replayed, without a time or in a batch of another size left out"
    return replace(gate, message=f"{gate.message}; {note}")


def judge_ratios(cell: str, log_ratios: Sequence[float], margins: Margins) -> RegressionGate:
    """Judge log(now / then), one entry a request: the median, with one-sided 95 % bootstrap bounds.

    FAIL if the lower bound lies above half the margin: a slowdown by the whole margin is then caught, which it could
    not be if its bound had to lie above itself. PASS if the upper bound lies below the margin. Else INCONCLUSIVE.
    """
    n, limit = len(log_ratios), margins.latency_percent / 100
    if n < FEWEST_DOCUMENTS:
        return _refused(
            cell, f"{n} undisturbed, fresh requests on both sides; {FEWEST_DOCUMENTS} are needed", margins, n
        )
    found = bootstrap_interval(log_ratios, median, confidence=0.9)
    middle = median(log_ratios)
    low, high = (middle if bound is None else bound for bound in (found.low, found.high))
    slower, lower, upper = (math.expm1(value) for value in (middle, low, high))
    verdict = Verdict.FAIL if lower > limit / 2 else Verdict.PASS if upper < limit else Verdict.INCONCLUSIVE
    message = (
        f"median time {100 * slower:+.1f} % [{100 * lower:+.1f}, {100 * upper:+.1f}], less than "
        f"+{margins.latency_percent:g} % required, n={n}"
    )
    if verdict is Verdict.INCONCLUSIVE:
        message += "; more documents, or repeated runs, would decide"
    return RegressionGate(
        cell=cell,
        kind=Kind.LATENCY,
        metric="latency_ratio",
        verdict=verdict,
        message=message,
        difference=slower,
        low=lower,
        high=upper,
        limit=limit,
        n=n,
    )


def _times(runs: Sequence[BaselineRun], documents: Sequence[str]) -> Aligned:
    """Logarithms of the times of those documents that have one, and the batches that they were read in."""
    found = {d: math.log(seconds) for d in documents if (seconds := _time(runs, d)) is not None}
    places = {document: place for place, document in enumerate(sorted(documents))}
    readings = {d: runs[0].readings[d] for d in found}
    if all(reading.batch_size == 1 for reading in readings.values()):
        return Aligned.of(places, found)
    # as in harness.batching: no two batches of one size take the same time to the nanosecond
    batches = {d: f"{r.batch_size} in {r.latency_s}" if r.batch_size > 1 else d for d, r in readings.items()}
    return Aligned.of(places, found, batches)


def _time(runs: Sequence[BaselineRun], document: str) -> float | None:
    times = [r.latency_s or 0.0 for run in runs if _counts(r := run.readings[document])]
    return median(times) if times else None


def _counts(reading: BaselineReading) -> bool:
    return (
        reading.failure is None
        and reading.latency_s is not None
        and reading.latency_s > 0
        and reading.fresh
        and not reading.contaminated
    )


def _refused(cell: str, why: str, margins: Margins, n: int = 0) -> RegressionGate:
    return RegressionGate(
        cell=cell,
        kind=Kind.LATENCY,
        metric="latency_ratio",
        verdict=Verdict.INCONCLUSIVE,
        message=f"times cannot be compared: {why}",
        limit=margins.latency_percent / 100,
        n=n,
    )
