"""Is it reading worse than the baseline? Per cell, with the document as the unit; five steps, in this order.

1. A document newly without an answer, unparsable, truncated or empty: FAIL.
2. Sign-flip permutation of per-document F1 differences, one-sided p < 0.03, and a drop of at least 0.5 points: FAIL.
3. Documents on which one field turned wrong against those on which it turned right, exact binomial, Holm-corrected at
   0.02 over all fields and the count of invented values: FAIL.
4. The one-sided 95 % t bound of the difference above the margin: PASS. No gain counts for more in it than the largest
   loss: a document that was mended must not make the others doubtful. The bound can only be lower for that.
5. Otherwise INCONCLUSIVE, with the smallest drop that could be seen and the documents needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean

from harness.evidence import DocumentRecord
from harness.gates import Verdict
from harness.regression.baseline import BaselineReading, BaselineRun
from harness.regression.gate import FieldFlips, Kind, Margins, RegressionGate
from harness.regression.identity import listing
from harness.regression.power import documents_to_decide, smallest_detectable_drop, unseen_drop
from harness.responses import parse_response
from harness.scoring import Outcome, document_f1, score_document
from harness.statistics import holm_adjusted, mean_interval, sign_flip_test

__all__ = ["ALPHA_FIELDS", "ALPHA_MEAN", "LEAST_DROP", "ScoredDocument", "judge_quality", "score_run"]

ALPHA_MEAN = 0.03
LEAST_DROP = 0.005
"""A smaller drop of the mean never fails by itself, however sure it is."""
ALPHA_FIELDS = 0.02
HALLUCINATIONS = "hallucinations"
"""Stands among the fields for the number of invented values."""
_FEWEST_REPEATS = 3
_NAMED = 5
_NO_ANSWER = "no answer"
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredDocument:
    """One document of one run, as far as judging goes."""

    f1: float | None
    """None without an answer, and where there is nothing to find and nothing was given."""
    outcomes: Mapping[str, Outcome]
    fault: str | None = None
    """Why the answer is none: no answer, unparsable, truncated, or empty."""


_Run = Mapping[str, ScoredDocument]


def score_run(run: BaselineRun, documents: Mapping[str, DocumentRecord]) -> _Run:
    """Score the raw answers of a run with the present scorer; `documents` hold the truth."""
    return {d: _scored(d, reading, documents[d].truth) for d, reading in run.readings.items() if documents[d].truth}


def _scored(document: str, reading: BaselineReading, truth: Mapping[str, str | None]) -> ScoredDocument:
    if reading.failure is not None or reading.text is None:
        failure = f"{_NO_ANSWER} ({reading.failure})" if reading.failure else _NO_ANSWER
        return ScoredDocument(f1=None, outcomes={}, fault=failure)
    response = parse_response(reading.text)
    score = score_document(document, truth, response)
    fault = None
    if response.empty or (response.parsable and not any(response.fields.values()) and any(truth.values())):
        fault = "empty"
    elif not response.parsable:
        fault = "unparsable"
    elif reading.stop == "length" or response.truncated:
        fault = "truncated"
    outcomes = {name: field.outcome for name, field in score.fields.items()}
    return ScoredDocument(f1=document_f1(score), outcomes=outcomes, fault=fault)


def judge_quality(cell: str, current: Sequence[_Run], baseline: Sequence[_Run], margins: Margins) -> RegressionGate:
    """Judge runs of a cell against runs of its baseline; repeats are averaged per document first.

    Only documents that every run holds are compared; whether any is missing is for `identity` to say.
    """
    names = sorted(set.intersection(*({*run} for run in (*current, *baseline))))
    broken = list(_broken(names, current, baseline))
    differences = _differences(names, current, baseline)
    flips = _flips(names, current, baseline)
    n, margin = len(differences), margins.points / 100
    mean = fmean(differences) if differences else None
    one_field = _one_field(names, baseline)
    low = None if mean is None else min(_lower_bound(differences, one_field), -unseen_drop(n, one_field))
    p = sign_flip_test(differences, "less") if differences else None
    reasons = []
    if broken:
        reasons.append(f"{len(broken)} documents newly broken: {listing(broken)}")
    if p is not None and mean is not None and p < ALPHA_MEAN and mean <= -LEAST_DROP + _ROUNDING:
        reasons.append(f"the drop is no chance (p {p:.3g})")
    if failing := [f for f in flips if f.p < ALPHA_FIELDS]:
        reasons.append(f"worse in {', '.join(f.field for f in failing)}")
    unsteady = _unsteady(baseline)
    verdict = Verdict.INCONCLUSIVE
    if reasons:
        verdict = Verdict.FAIL
    elif low is not None and low > -margin and not unsteady:
        verdict = Verdict.PASS
    elif unsteady:
        reasons.append(f"{unsteady} differ: at least {_FEWEST_REPEATS} are to be averaged")
    power = {"alpha": ALPHA_MEAN, "least_drop": LEAST_DROP, "one_field": one_field}
    needed = documents_to_decide(differences, margin, **power)
    gate = RegressionGate(
        cell=cell,
        kind=Kind.QUALITY,
        metric="f1_difference",
        verdict=verdict,
        message="",
        difference=mean,
        low=low,
        high=mean_interval(differences, 0.9).high,
        limit=-margin,
        p=p,
        n=n,
        fields=flips,
        broken=broken,
        detectable=smallest_detectable_drop(differences, **power),
        needed=max(needed, n + 1) if verdict is Verdict.INCONCLUSIVE and needed is not None else None,
    )
    if len(names) > n:
        reasons.append(f"{len(names) - n} documents without a score on both sides")
    return replace(gate, message=_message(gate, margins.points, reasons))


def _broken(names: Sequence[str], current: Sequence[_Run], baseline: Sequence[_Run]) -> Iterator[str]:
    """Documents at fault now that never were, and those without an answer that always had one, of whatever worth."""
    for name in names:
        now = next((run[name].fault for run in current if run[name].fault is not None), None)
        before = [fault for run in baseline if (fault := run[name].fault) is not None]
        worse = now is not None and now.startswith(_NO_ANSWER) and not any(b.startswith(_NO_ANSWER) for b in before)
        if now is not None and (not before or worse):
            yield f"{name} ({now})"


def _differences(names: Sequence[str], current: Sequence[_Run], baseline: Sequence[_Run]) -> Sequence[float]:
    found = []
    for name in names:
        ours, theirs = ([f1 for run in side if (f1 := run[name].f1) is not None] for side in (current, baseline))
        if ours and theirs:
            found.append(fmean(ours) - fmean(theirs))
    return [0.0 if abs(d) < _ROUNDING else d for d in found]


def _lower_bound(differences: Sequence[float], one_field: float) -> float:
    """One-sided 95 % t bound of the mean, gains cut to the largest loss or one field; without spread, the mean."""
    most = max(one_field, -min(differences))
    bound = mean_interval([min(d, most) for d in differences], 0.9)
    return bound.low if bound.low is not None else bound.value or 0.0


def _one_field(names: Sequence[str], baseline: Sequence[_Run]) -> float:
    """What one wrong value costs a document in F1, on average: one part in as many as its truth holds."""
    printed = [
        sum(
            o is Outcome.CORRECT or o is Outcome.WRONG or o is Outcome.OMITTED
            for o in baseline[0][name].outcomes.values()
        )
        for name in names
    ]
    shares = [1 / count for count in printed if count]
    return fmean(shares) if shares else 1.0


def _flips(names: Sequence[str], current: Sequence[_Run], baseline: Sequence[_Run]) -> Sequence[FieldFlips]:
    """Fields that got worse on any document, and the count of invented values; the most telling first."""
    fields = sorted({field for name in names for field in baseline[0][name].outcomes} | {HALLUCINATIONS})
    worse: dict[str, list[str]] = {field: [] for field in fields}
    better: dict[str, list[str]] = {field: [] for field in fields}
    for name in names:
        ours, theirs = ([o for run in side if (o := run[name].outcomes)] for side in (current, baseline))
        if not (ours and theirs) or all(o == theirs[0] for o in (*ours, *theirs)):
            continue
        for field in fields:
            if field in ours[0] and field in theirs[0]:
                now, then = (sum(_is_right(o[field]) for o in side) / len(side) for side in (ours, theirs))
                _count(name, now < 0.5 < then, then < 0.5 < now, worse[field], better[field])
        now, then = (sum(map(_invented, side)) / len(side) for side in (ours, theirs))
        _count(name, now > then, now < then, worse[HALLUCINATIONS], better[HALLUCINATIONS])
    adjusted = holm_adjusted([_binomial_tail(len(worse[f]), len(worse[f]) + len(better[f])) for f in fields])
    found = [
        FieldFlips(field=f, worse=worse[f], better=better[f], p=p)
        for f, p in zip(fields, adjusted, strict=True)
        if worse[f]
    ]
    return sorted(found, key=lambda f: (f.p, len(f.better) - len(f.worse), f.field))


def _is_right(outcome: Outcome) -> bool:
    return outcome is Outcome.CORRECT or outcome is Outcome.ABSENT


def _invented(outcomes: Mapping[str, Outcome]) -> int:
    return sum(outcome is Outcome.HALLUCINATED for outcome in outcomes.values())


def _count(name: str, is_worse: bool, is_better: bool, worse: list[str], better: list[str]) -> None:
    if is_worse:
        worse.append(name)
    elif is_better:
        better.append(name)


@lru_cache(maxsize=4096)
def _binomial_tail(hits: int, trials: int) -> float:
    """P(at least `hits` of `trials` fair coins)."""
    return float(sum(math.comb(trials, k) for k in range(hits, trials + 1)) / 2**trials)


def _unsteady(baseline: Sequence[_Run]) -> str:
    """Words for runs of the baseline that differ between themselves and are too few to be averaged; else empty."""
    few = 1 < len(baseline) < _FEWEST_REPEATS
    return f"the baseline's {len(baseline)} runs" if few and any(run != baseline[0] for run in baseline) else ""


def _message(gate: RegressionGate, points: float, reasons: Sequence[str]) -> str:
    parts = ["no document is scored on both sides"]
    if gate.difference is not None and gate.low is not None:
        bound = f"95 % bound {100 * gate.low:+.2f}"
        parts = [f"F1 {100 * gate.difference:+.2f} points ({bound}), at most -{points:g} allowed, n={gate.n}"]
    parts += reasons
    if gate.verdict is not Verdict.PASS and gate.fields:
        named = [f"{f.field} {len(f.worse)} worse, {len(f.better)} better ({listing(f.worse, 2)})" for f in gate.fields]
        more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        parts.append(f"fields: {'; '.join(named[:_NAMED])}{more}")
    if gate.detectable is not None:
        parts.append(f"a true drop of {100 * gate.detectable:.2f} points would fail four times in five")
    if gate.needed is not None:
        parts.append(f"about {gate.needed} documents would decide")
    return "; ".join(parts)
