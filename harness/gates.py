"""Verdicts: an estimate against a limit. FAIL and PASS need the whole interval on one side; else INCONCLUSIVE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.metrics import Metric, MetricDefinition, Status, definition

__all__ = ["BLIND_RECALL_LIMIT", "Bound", "Gate", "Verdict", "judge", "judge_blind"]

BLIND_RECALL_LIMIT = 0.15
"""Share of the printed values that a model shown white pages may get right; 30 documents with none right prove it."""


class Verdict(StrEnum):
    """What a gate says. Only PASS is green."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NO_BUDGET = "no-budget"
    RECORDED = "recorded"
    """Told on purpose without a limit: nothing that a budget should hold."""


class Bound(StrEnum):
    """On which side of its limit a metric must lie; the limit itself is allowed."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One judged metric, with the sentence that people read."""

    metric: str
    verdict: Verdict
    bound: Bound
    limit: float | None
    estimate: Metric
    message: str


def judge(
    name: str,
    estimate: Metric,
    limit: float | None,
    *,
    of: str = "",
    bound: Bound | None = None,
    defined: MetricDefinition | None = None,
) -> Gate:
    """Compare `estimate` of metric `name` with `limit`; `of` names the stratum, device or batch that it is about.

    The metric's better direction says on which side of the limit it must lie, unless `bound` says it. `defined` is the
    definition of a metric that is none of METRICS.

    PASS and FAIL need all of the 95 % interval on one side of the limit; too few documents for an interval are
    INCONCLUSIVE, and so is what was not measured, or was disturbed by others on the device or by its slowing down. Of
    a metric that is not sampled (a peak), the value itself decides. No limit is NO_BUDGET.
    """

    def gate(verdict: Verdict, why: str) -> Gate:
        return Gate(metric=label, verdict=verdict, bound=side, limit=limit, estimate=estimate, message=why)

    label = f"{name}.{of}" if of else name
    defined = defined or definition(name)
    unit = defined.unit
    side = bound or (Bound.AT_LEAST if defined.higher_is_better else Bound.AT_MOST)
    if limit is None:
        return gate(Verdict.NO_BUDGET, f"{label}: no budget is set")
    if estimate.value is None or estimate.status is Status.NOT_MEASURED:
        return gate(Verdict.INCONCLUSIVE, f"{label}: not measured, so {side} {_number(limit, unit)} cannot be judged")
    if estimate.contaminated is not None:
        return gate(
            Verdict.INCONCLUSIVE,
            f"{label} {_number(estimate.value, unit)} cannot be judged against {side} {_number(limit, unit)}: "
            f"{estimate.contaminated}",
        )
    low, high = estimate.low, estimate.high
    if not defined.sampled:
        low = high = estimate.value
    shown = f"{label} {_number(estimate.value, unit)}{_interval(estimate)}, {side} {_number(limit, unit)} required"
    shown += f", n={estimate.n}"
    good, bad, sign = (high, low, -1) if side is Bound.AT_MOST else (low, high, 1)
    if good is not None and sign * (good - limit) >= 0:
        return gate(Verdict.PASS, shown)
    if bad is not None and sign * (bad - limit) < 0:
        return gate(Verdict.FAIL, shown)
    if good is None and bad is None:
        why = "too few values, or all the same, so that they have no interval"
        return gate(Verdict.INCONCLUSIVE, f"{shown}: {why}")
    return gate(Verdict.INCONCLUSIVE, f"{shown}: the interval reaches across the limit; a larger sample would decide")


def judge_blind(metrics: Mapping[str, Metric]) -> Gate:
    """Whether a blind control was right about no more than it can guess.

    Right values alone are judged: counting invented ones against them would let a leak hide behind inventions.
    With so few right values, its accuracy cannot exceed the all-N/A floor by more.
    """
    return judge("recall", metrics["recall"], BLIND_RECALL_LIMIT, bound=Bound.AT_MOST)


def _number(value: float, unit: str) -> str:
    if unit == "B":
        return f"{value / 2**20:.0f} MiB"
    return f"{value:.4g}" if unit == "ratio" else f"{value:.4g} {unit}"


def _interval(estimate: Metric) -> str:
    if estimate.low is None and estimate.high is None:
        return ""
    ends = ("?" if end is None else _number(end, estimate.unit) for end in (estimate.low, estimate.high))
    return f" [{', '.join(ends)}]"
