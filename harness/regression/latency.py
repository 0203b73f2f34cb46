"""Is it slower than the baseline? Document against document, by the ratio of their times."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

from harness.gates import Verdict
from harness.regression.baseline import BaselineReading, BaselineRun
from harness.regression.gate import Change, Kind, Margins, RegressionGate, Status
from harness.statistics import bootstrap_interval

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

    The documents of a batch share one time, and count as one.
    """
    if elsewhere := [change.message for change in changes if change.status in _ELSEWHERE]:
        return _refused(cell, "; ".join(elsewhere), margins)
    for run in (*current, *baseline):
        told = [run.readings[d] for d in documents if run.readings[d].latency_s is not None]
        if told and not any(reading.fresh for reading in told):
            return _refused(
                cell, "times that were replayed or imported judge nothing: measure both sides anew", margins
            )
    pairs = dict.fromkeys(_pairs(current, baseline, documents))
    ratios = [math.log(now / then) for _, now, then in pairs]
    timed = sum(any(run.readings[d].latency_s is not None for run in current) for d in documents)
    left_out = timed - sum(1 for d in documents if _time(current, d) is not None and _time(baseline, d) is not None)
    gate = judge_ratios(cell, ratios, margins)
    if not left_out:
        return gate
    note = f"{left_out} documents disturbed, replayed or without a time left out"
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


def _pairs(
    current: Sequence[BaselineRun], baseline: Sequence[BaselineRun], documents: Sequence[str]
) -> Iterator[tuple[str, float, float]]:
    """Times now and then, under the document's name, or under none where it was read in a batch."""
    for document in documents:
        now, then = _time(current, document), _time(baseline, document)
        if now is not None and then is not None:
            batched = current[0].readings[document].batch_size > 1
            yield "" if batched else document, now, then


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
