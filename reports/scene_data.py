"""Answers about pictures for programs: in report.json, and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.metrics import Metric, measured
from harness.scenes.results import BLIND_PRIOR, TaskResult, above, consistency, estimated
from harness.scenes.tasks import Summary as TaskSummary
from harness.statistics import Estimate
from reports.csvs import to_csv
from reports.scenes import SPEED, asked
from reports.summary import Summary

__all__ = ["scenes_csvs", "scenes_json"]

_COSTS = (*SPEED, "load_s")
_FORM = ("undecided", "characters", "words", "sentences", "repetition")


def scenes_json(summary: Summary) -> dict[str, Any]:
    """The key `pictures` of report.json; nothing where nobody was asked about pictures."""
    results = asked(summary)
    if not results:
        return {}
    chosen = summary.evidence.picture_set
    priors = {r.task.name: r for r in results if r.cell == BLIND_PRIOR}
    found = {
        "set": None if chosen is None else asdict(chosen),
        "results": [_result(r, priors.get(r.task.name)) for r in results],
        "consistency": [asdict(c) for c in consistency(summary.tasks)],
    }
    return {"pictures": found}


def _result(r: TaskResult, prior: TaskResult | None) -> dict[str, Any]:
    is_above = None if prior is None or r.is_control or r.unjudged else above(r, prior)
    return {
        "cell": r.cell,
        "role": r.role.value,
        "task": r.task.name,
        "main": r.task.main,
        "unjudged": r.unjudged,
        "questions": len(r.questions),
        "answered": len(r.answered),
        "success_rate": asdict(measured("answer_rate", r.success)),
        "failures": {failure.value: n for failure, n in sorted(r.failures.items())},
        "above_blind_prior": is_above,
        "metrics": {} if r.unjudged else _metrics(r, r.summary),
        "strata": {stratum: _metrics(r, s) for stratum, s in r.strata.items()},
        "form": {} if r.unjudged else {name: _estimate(getattr(r.summary, name)) for name in _FORM},
        "costs": {name: asdict(metric) for name in _COSTS if (metric := r.costs.get(name)) is not None},
        "mean_rss_bytes": r.mean_rss,
        "output_tokens": list(r.lengths),
    }


def _metrics(r: TaskResult, summary: TaskSummary) -> dict[str, Any]:
    return {name: asdict(estimated(r.task, name, e)) for name, e in summary.metrics.items()}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}


def scenes_csvs(summary: Summary) -> Mapping[str, bytes]:
    """A row for each cell, task and metric, and one for each question; none where nobody was asked."""
    results = asked(summary)
    if not results:
        return {}
    return {"picture_tasks.csv": _numbers(results), "picture_answers.csv": _answers(results)}


def _numbers(results: Sequence[TaskResult]) -> bytes:
    header = ["cell", "role", "task", "stratum", "metric", "value", "low", "high", "n", "unit", "origin"]
    rows = []
    for r in results:
        told = [r.cell, r.role.value, r.task.name]
        parts = {"": r.summary, **r.strata} if r.judgements else {}
        for stratum, part in parts.items():
            for name, estimate in part.metrics.items():
                rows.append([*told, stratum, name, *_numbered(estimated(r.task, name, estimate))])
        rows.append([*told, "", "answer_rate", *_numbered(measured("answer_rate", r.success))])
        rows += [[*told, "", name, *_numbered(r.costs[name])] for name in _COSTS if name in r.costs]
    return to_csv([header, *rows])


def _numbered(metric: Metric) -> list[Any]:
    return [metric.value, metric.low, metric.high, metric.n, metric.unit, metric.status.value]


def _answers(results: Sequence[TaskResult]) -> bytes:
    header = ["cell", "task", "question", "picture", "stratum", "failure", "latency_s", "output_tokens", "stop"]
    rows = []
    for r in results:
        for key, question in r.questions.items():
            reading, judgement = r.readings.get(key), r.judgements.get(key)
            failure = "not-run" if reading is None else reading.failure
            took = [None] * 3 if reading is None else [reading.latency_s, reading.output_tokens, reading.stop]
            share = None if judgement is None else judgement.ratios.get(r.task.main)
            text = None if reading is None else reading.text
            asked_of = [r.cell, r.task.name, key, question.picture.name, question.picture.stratum.value]
            rows.append([*asked_of, failure, *took, *(share or (None, None)), question.target, text])
    return to_csv([[*header, "main_numerator", "main_denominator", "target", "answer"], *rows])
