"""What cells answered about pictures, over all tasks, as points of the grid of devices and models."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

from harness.cells import Failure, Role
from harness.device_use import energy_sensor
from harness.evidence import CellRecord, ReadingRecord
from harness.ledger import vram_ledgers
from harness.metrics import METRICS, Metric, contaminated_by, not_measured
from harness.results.costs import cost_metrics
from harness.scenes.results import BLIND_PRIOR, TaskResult, estimated
from reports.measures import Measure, device_name, origin_of, rss_sensor
from reports.scenes import SPEED, cell_label
from reports.summary import Summary

__all__ = ["PictureMeasures", "Unanswered", "picture_measures", "unanswered"]

_COSTS = MappingProxyType({**SPEED, "load_s": "Load"})
_MOST = 0.5
"""Of each task's questions. With fewer answers, numbers over all tasks are of another mixture of them."""
_OF_ENERGY = ("output_tok_per_s_per_w", "j_per_output_tok", "energy_j")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A cell that did not answer all questions about pictures, and why, as far as the log tells."""

    log: str
    cell: str
    answered: int
    questions: int
    failure: str
    """The most frequent one."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureMeasures:
    """Of the candidates of a log. In the names a question stands where METRICS say a document."""

    costs: Sequence[Measure] = ()
    """Of all questions that a cell was asked."""
    latencies: Sequence[Measure] = ()
    """Median latency of each task."""
    qualities: Sequence[Measure] = ()
    """Of each task, the metric by which cells are compared; the blind prior's beside it where any is judged."""


def _candidates(summary: Summary) -> Mapping[str, Sequence[TaskResult]]:
    """By cell; without results for a cell of whose questions the log has lost the truth."""
    passes = summary.evidence.task_passes
    return {
        cell: [r for r in summary.tasks if r.cell == cell]
        for cell, asked in passes.items()
        if asked.role is Role.CANDIDATE
    }


def unanswered(summary: Summary, log: str) -> Sequence[Unanswered]:
    """Candidates that were asked about pictures, and did not answer all."""
    found = []
    for cell, results in _candidates(summary).items():
        asked, answered = sum(len(r.questions) for r in results), sum(len(r.answered) for r in results)
        if answered < asked or not results:
            failure, message = _failure(results)
            found.append(
                Unanswered(
                    log=log,
                    cell=cell_label(cell),
                    answered=answered,
                    questions=asked,
                    failure=failure,
                    message=message,
                )
            )
    return found


def _failure(results: Sequence[TaskResult]) -> tuple[str, str]:
    """What kept a cell from loading, or its most frequent failure, and what was said of it."""
    if not results:
        return "incomplete", "the log has lost which pictures or questions it was asked about"
    records: list[CellRecord | ReadingRecord] = [load for load in results[0].loads[-1:] if load.failure is not None]
    records = records or [r for result in results for r in result.readings.values() if r.failure is not None]
    if not records:
        return Failure.NOT_RUN.value, ""
    common = Counter(r.failure for r in records).most_common(1)[0][0]
    first = next(r for r in records if r.failure is common)
    return (common or Failure.NOT_RUN).value, first.message or ""


def picture_measures(summary: Summary, log: str = "") -> PictureMeasures:
    """Of every candidate that was asked about pictures; a cell without an answer has measures without values."""
    costs: list[Measure] = []
    latencies: list[Measure] = []
    qualities: list[Measure] = []
    for cell, results in _candidates(summary).items():
        if results:  # otherwise it is told among the unanswered
            of_cell = _Cell(summary, log, cell, results)
            costs += of_cell.costs()
            latencies += map(of_cell.latency, results)
            qualities += map(of_cell.quality, results)
    if any(m.metric.value is not None for m in qualities):
        priors = [r for r in summary.tasks if r.cell == BLIND_PRIOR]
        qualities += [_Cell(summary, log, BLIND_PRIOR, priors).quality(r) for r in priors]
    return PictureMeasures(costs=costs, latencies=latencies, qualities=qualities)


class _Cell:
    """What the measures of a cell have in common."""

    def __init__(self, summary: Summary, log: str, cell: str, results: Sequence[TaskResult]) -> None:
        self._summary, self._log, self._results = summary, log, results
        self._loads = results[0].loads
        self._readings = [r for result in results for r in result.readings.values()]
        self._label = cell_label(cell)
        self._column = self._label.replace(f"@{self._loads[-1].device}", "", 1) if self._loads else self._label
        self._device = "no model" if cell == BLIND_PRIOR else device_name(summary, self._loads, self._readings)
        chosen = summary.evidence.picture_set
        self._origin = {"origin": origin_of(summary)}
        self._pictures = {"pictures": f"not recorded in {log}" if chosen is None else chosen.identity[:12]}
        length = (summary.evidence.task_passes[cell].settings or {}).get("min_new_tokens")
        self._length = {"output length": f"{length} tokens" if length else "free"}

    def costs(self) -> Iterator[Measure]:
        """Over all questions."""
        costs = cost_metrics(self._readings, self._loads, vram_ledgers(self._loads, self._readings))
        known = contaminated_by(costs, self._summary.evidence.disturbance)
        asked = self._asked(self._results) | self._length
        energy = energy_sensor([r for r in self._readings if r.failure is None])
        sensors = {**dict.fromkeys(_OF_ENERGY, energy), "peak_rss_bytes": rss_sensor(self._readings)}
        for name, title in _COSTS.items():
            sensor = sensors.get(name)
            basis = self._origin if name == "load_s" else asked | ({} if sensor is None else {"sensor": sensor})
            metric = known.get(name) or not_measured(name)
            yield self._measure(name, title, metric, METRICS[name].definition, basis, "not measured")

    def latency(self, result: TaskResult) -> Measure:
        """Of one task."""
        name, metric = result.task.name, result.costs.get("latency_s") or not_measured("latency_s")
        basis = self._asked([result]) | self._length
        definition = METRICS["latency_s"].definition
        return self._measure(f"{name}_latency_s", f"{name}, latency", metric, definition, basis, "not measured")

    def quality(self, result: TaskResult) -> Measure:
        """Of one task."""
        task = result.task
        metric, definition = estimated(task, task.main, result.main), task.metrics[task.main].definition
        missing = "not judged" if result.unjudged else "undefined"
        return self._measure(task.name, f"{task.name}, {task.main}", metric, definition, self._asked([result]), missing)

    def _measure(
        self, name: str, title: str, metric: Metric, definition: str, basis: Mapping[str, str], missing: str
    ) -> Measure:
        if not any(r.answered for r in self._results):
            missing = _failure(self._results)[0]
        return Measure(
            log=self._log,
            cell=self._label,
            column=self._column,
            device=self._device,
            name=f"picture_{name}",
            title=title,
            metric=metric,
            definition=definition,
            basis=basis,
            missing=missing if metric.value is None else None,
        )

    def _asked(self, results: Sequence[TaskResult]) -> dict[str, str]:
        """What was asked, with its words and the truth of the pictures, and what of it was answered."""
        evidence = self._summary.evidence
        asked = sorted(key for result in results for key in result.questions)
        records = [evidence.questions[key] for key in asked]
        pictures = [evidence.pictures[name] for name in sorted({record.picture for record in records})]
        told = [*map(asdict, records), *map(asdict, pictures)]
        most = all(len(r.answered) >= _MOST * len(r.questions) for r in results)
        some = f"{sum(len(r.answered) for r in results)} of {len(asked)}"
        return {
            **self._origin,
            **self._pictures,
            "questions": f"{len(asked)} ({_hash(told)})",
            "answered": "most" if most else some,
        }


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
