"""What to take for which use: each the result of a rule over the evidence, printed with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any

from harness.deployment.plan import CellPlan
from harness.deployment.pods import LIMIT_PERCENT, SMALL_POD_GIB, SmallPod
from harness.metrics import Metric, Status
from harness.responses import NoteKind
from harness.results import CellResult
from harness.statistics import differences, mean_interval, wilson_interval
from reports.comparisons import unanswered_beside
from reports.deployment import Deployments
from reports.formatting import escape, format_seconds, format_value, table
from reports.paired import COST, cost_ratio
from reports.summary import CellSummary, Summary
from reports.winners import common_metrics, comparable, decide

__all__ = ["Limits", "Recommendation", "Verdict", "recommendations", "recommendations_json", "recommendations_parts"]

_INTRODUCTION = """\
Each is what its rule makes of the measurements of this log. The limits in the rules and the prices are assumptions,
yours to change; the rest is measured. A candidate qualifies by the end of its 95 % interval that speaks against it;
where the interval reaches across the limit, or nothing was measured, it is not known whether it does. One cell is
recommended only if paired tests tell it apart from every other one that qualifies or may.
"""
_NAMED = 4
_DECIDERS = MappingProxyType(
    {
        "f1": "the best F1",
        "docs_per_min": "the most documents a minute",
        "energy_j": "the least energy a document",
        "line_item_f1": "the best F1 over line items",
        "precision": "the best precision: of the values given, the share that is right",
        COST: "the least cost of 1,000 documents, rented: seconds a document x the price of the machine",
    }
)


class Verdict(StrEnum):
    """How a rule ended."""

    RECOMMENDED = "recommended"
    NONE = "none qualifies"
    INSUFFICIENT = "insufficient evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the rules ask for: assumptions, no measurements."""

    real_time_s: float = 3.0
    """95th percentile of the latency."""
    f1_margin: float = 0.02
    """Document F1 that may be lost against the best for speed, energy or cost."""
    usable_share: float = 0.9
    """Answers that are there, parsed, and neither cut nor looping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The result of one rule."""

    use: str
    rule: str
    verdict: Verdict
    cell: str | None
    reason: str
    qualified: Sequence[str] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    """By cell, why it is not known whether it qualifies."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """By cell, why it does not."""


_Metrics = Mapping[str, Mapping[str, Metric]]
"""By cell, over the documents that all that were scored were asked to read."""
_Standing = tuple[bool | None, str]
"""Whether a cell qualifies, None where that is not known; and why it does not, or is not known to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    use: str
    condition: str
    metric: str
    """By which those that qualify are decided between."""
    standing: Callable[[CellSummary], _Standing]

    @property
    def text(self) -> str:
        """The rule in words."""
        return f"{self.condition}; of these, {_DECIDERS[self.metric]}"


def recommendations(summary: Summary, deployed: Deployments, limits: Limits | None = None) -> Sequence[Recommendation]:
    """Apply every rule to the candidates; none at all in a log without one. Pods and prices are those of `deployed`."""
    if not summary.candidates:
        return []
    plans = {p.cell: p for p in deployed.plans}
    scored = [c.result for c in summary.candidates if _scored(c)[0]]
    common = common_metrics(scored)
    rules = _rules(scored, common, plans, limits or Limits())
    return [_apply(rule, summary, scored, common, plans, deployed.prices.currency) for rule in rules]


def _rules(
    scored: Sequence[CellResult], common: _Metrics, plans: Mapping[str, CellPlan], limits: Limits
) -> Sequence[_Rule]:
    near = _near_best(scored, common, limits.f1_margin)
    close = f"document F1 at most {100 * limits.f1_margin:g} points below that of the best cell"
    usable = f"{100 * limits.usable_share:g} %"
    return [
        _Rule(
            use="Real time",
            condition=f"95th percentile of latency at most {format_seconds(limits.real_time_s)}",
            metric="f1",
            standing=lambda c: _within(c.metrics["latency_p95_s"], limits.real_time_s),
        ),
        _Rule(use="Batch", condition=close, metric="docs_per_min", standing=near),
        _Rule(use="Edge and power", condition=close, metric="energy_j", standing=near),
        _Rule(use="Detail", condition="any candidate that was scored", metric="line_item_f1", standing=_scored),
        _Rule(
            use="Reliability",
            condition=f"at least {usable} of the documents answered with what can be parsed, neither cut nor looping",
            metric="precision",
            standing=lambda c: _usable(c.result, limits.usable_share),
        ),
        _Rule(
            use=f"Pods of {SMALL_POD_GIB} GiB",
            condition=f"the memory limit of its pod, {LIMIT_PERCENT} % of the measured peak in whole GiB, is at most "
            f"{SMALL_POD_GIB} GiB",
            metric="f1",
            standing=lambda c: _pod(plans[c.cell]),
        ),
        _Rule(use="Cost", condition=close, metric=COST, standing=near),
    ]


def _apply(
    rule: _Rule,
    summary: Summary,
    scored: Sequence[CellResult],
    common: _Metrics,
    plans: Mapping[str, CellPlan],
    currency: str,
) -> Recommendation:
    judged = {c.cell: _judged(c, rule) for c in summary.candidates}
    told = {
        standing: {cell: why for cell, (found, why) in judged.items() if found is standing}
        for standing in (True, None, False)
    }

    def answer(verdict: Verdict, reason: str, cell: str | None = None) -> Recommendation:
        return Recommendation(
            use=rule.use,
            rule=rule.text,
            verdict=verdict,
            cell=cell,
            reason=reason,
            qualified=list(told[True]),
            unknown=told[None],
            failed=told[False],
        )

    if not told[True]:
        unknown = told[None] or not any(_scored(c)[0] for c in summary.candidates)
        return answer(Verdict.INSUFFICIENT if unknown else Verdict.NONE, _reasons(told[None] or told[False]))
    if len(summary.candidates) == 1:
        return answer(Verdict.INSUFFICIENT, f"{summary.candidates[0].cell} qualifies, but there is no other candidate")
    running = [c for c in summary.candidates if c.cell not in told[False]]
    values = {c.cell: _value(common[c.cell], plans[c.cell], rule.metric, currency) for c in running}
    results = [c.result for c in running]
    _, left_out = comparable(rule.metric, results, values)
    apart = {name: why for why, names in left_out.items() for name in names}
    if len(running) == 1:
        (lone,) = results
        if lone.cell in apart:  # what the use is about is not known of anybody
            why = f"it cannot be compared by {rule.metric}: {apart[lone.cell]}"
        elif (missed := _missed(lone, scored)) is None:
            return answer(Verdict.RECOMMENDED, "the only candidate that qualifies", lone.cell)
        else:
            why = missed
        return answer(Verdict.INSUFFICIENT, f"{lone.cell} alone qualifies, but {why}")
    winner = decide(
        rule.metric,
        rule.use,
        results,
        values,
        summary.comparisons,
        compared=(lambda a, b: cost_ratio(a, b, _hourly(plans))) if rule.metric == COST else None,
    )
    if winner.cell is not None and winner.cell in told[None]:
        why = f"{winner.cell} would win, but it is not known to qualify: {told[None][winner.cell]}"
        return answer(Verdict.INSUFFICIENT, why)
    if winner.cell is not None and apart:
        why = f"{winner.cell} is ahead of those compared, but not known to be ahead of {_reasons(apart)}"
        return answer(Verdict.INSUFFICIENT, why)
    verdict = Verdict.INSUFFICIENT if winner.cell is None else Verdict.RECOMMENDED
    return answer(verdict, winner.reason, winner.cell)


def _missed(cell: CellResult, others: Sequence[CellResult]) -> str | None:
    """What a cell left unanswered that another answered; None if there is no such document."""
    found = {other.cell: n for other in others if (n := unanswered_beside(cell, other))}
    if not found:
        return None
    other = max(found, key=lambda name: found[name])
    return f"it left {found[other]} documents unanswered that {other} answered"


def _judged(cell: CellSummary, rule: _Rule) -> _Standing:
    """No rule recommends what was never scored: whether it can read is not known to anybody."""
    standing = _scored(cell)
    return rule.standing(cell) if standing[0] else standing


def _scored(cell: CellSummary) -> _Standing:
    if cell.unscored is not None:
        return False, f"not scored: {cell.unscored}"
    if cell.result.scores:
        return True, ""
    return False, "its documents carry no ground truth" if cell.result.answered else "it answered nothing"


def _within(metric: Metric, limit: float) -> _Standing:
    """At most `limit`, by the interval."""
    if metric.value is None:
        return None, "not measured"
    if metric.contaminated:
        return None, metric.contaminated
    shown = format_value(metric.value, metric.unit)
    if metric.high is not None and metric.high <= limit:
        return True, ""
    if metric.low is not None and metric.low > limit:
        return False, shown
    if metric.high is None:
        return None, f"{shown} of {metric.n} documents, too few for an upper bound"
    return None, f"{shown}, whose interval ends at {format_value(metric.high, metric.unit)}"


def _near_best(scored: Sequence[CellResult], common: _Metrics, margin: float) -> Callable[[CellSummary], _Standing]:
    """Not worse by more than `margin` than the best F1 over the documents that all were asked to read.

    Documents that a cell left unanswered count 0, and so the best one must not be worse than those that answered them.
    """
    able = {r.cell: r for r in scored if common[r.cell]["f1"].value is not None}
    best = max(able.values(), key=lambda r: common[r.cell]["f1"].value or 0.0, default=None)

    @cache
    def standing(name: str) -> _Standing:
        cell = able[name]
        if best is None:
            return True, ""
        if cell is not best:
            return _behind(cell, best, margin)
        against = [_behind(cell, other, margin) for other in able.values() if unanswered_beside(cell, other)]
        return next((found for found in against if found[0] is not True), (True, ""))

    return lambda cell: standing(cell.cell) if cell.cell in able else (None, "F1 not measured")


def _behind(cell: CellResult, best: CellResult, margin: float) -> _Standing:
    own, other = cell.document_f1(), best.document_f1()
    common = differences(own, other)
    # a document that the cell was asked and did not answer counts 0: for its worst, and not for its best
    missed = [-other[d] for d in cell.documents if d not in cell.scores and d in other]
    worst, likely = mean_interval([*common, *missed]), mean_interval(common)
    if worst.value is None or worst.n < 2:
        return None, f"too few documents that {best.cell} answered too ({worst.n})"
    low, high = (worst.value if bound is None else bound for bound in (worst.low, worst.high))
    if low >= -margin:
        return True, ""
    ceiling = likely.value if likely.high is None else likely.high
    shown = f"F1 {100 * worst.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] points against {best.cell}"
    return (False if ceiling is not None and ceiling < -margin else None), shown


def _usable(result: CellResult, share: float) -> _Standing:
    bad = (NoteKind.TRUNCATED, NoteKind.LOOP)
    good = sum(
        r.parsable and not (r.notes and any(r.has(kind) for kind in bad)) and result.readings[d].stop != "length"
        for d, r in result.responses.items()
    )
    estimate = wilson_interval(good, len(result.documents))
    if estimate.low is not None and estimate.low >= share:
        return True, ""
    low, high = estimate.low or 0.0, 1.0 if estimate.high is None else estimate.high
    told = f"{good} of {len(result.documents)} [{100 * low:.1f}, {100 * high:.1f}] %"
    return (False if high < share else None), told


def _pod(plan: CellPlan) -> _Standing:
    if plan.pod is None:
        return None, plan.no_pod or "not measured"
    return (True, "") if plan.pod.small is SmallPod.FITS else (False, f"{plan.pod.limit_gib} GiB")


def _hourly(plans: Mapping[str, CellPlan]) -> Mapping[str, float]:
    return {c: p.costs.hourly for c, p in plans.items() if p.costs is not None and p.costs.hourly}


def _value(metrics: Mapping[str, Metric], plan: CellPlan, metric: str, currency: str) -> Metric:
    """By what the cell is ranked; a cost is assumed as its price is, and told in the currency."""
    if metric != COST:
        return metrics[metric]
    speed, cost = metrics["docs_per_min"], None if plan.costs is None else plan.costs.per_thousand
    if cost is None or not cost.value:  # a free machine has no cost to compare
        return Metric(value=None, unit=currency, status=Status.NOT_MEASURED, contaminated=speed.contaminated)
    return Metric(value=cost.value, n=speed.n, unit=currency, status=Status.PREDICTED)


def _reasons(found: Mapping[str, str]) -> str:
    shown = [f"{cell}: {why}" for cell, why in list(found.items())[:_NAMED]]
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(shown) + more


def recommendations_parts(found: Sequence[Recommendation]) -> Sequence[str]:
    """The section, in parts; empty without a candidate."""
    if not found:
        return []
    rows = [
        [
            r.use,
            f"**{escape(r.cell)}**" if r.cell else f"*{r.verdict}*",
            escape(r.rule, 400),
            escape(r.reason, 600),
            _others(r),
        ]
        for r in found
    ]
    header = ["Use", "Take", "Rule", "Why", "Others"]
    return [_INTRODUCTION, table(header, rows, "l")]


def _others(r: Recommendation) -> str:
    """Who else there was; report.json has why."""
    named = (("not known to qualify", r.unknown), ("does not qualify", r.failed))
    return "; ".join(f"{what}: {', '.join(map(escape, cells))}" for what, cells in named if cells)


def recommendations_json(found: Sequence[Recommendation]) -> list[dict[str, Any]]:
    """The same for report.json."""
    return [{**asdict(r), "verdict": r.verdict.value} for r in found]
