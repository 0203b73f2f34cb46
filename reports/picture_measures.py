"""What cells answered about pictures, over all tasks, as points of the grid of devices and models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

from harness.cells import Failure, Role
from harness.device_use import energy_sensor
from harness.evidence import CellRecord, ReadingRecord
from harness.ledger import vram_ledgers
from harness.metrics import METRICS, Metric, not_measured
from harness.results.costs import cost_metrics
from harness.scenes.results import TaskResult, estimated
from reports.measures import Measure, device_name, origin_of
from reports.scenes import SPEED, cell_label
from reports.summary import Summary

__all__ = ["Silent", "picture_measures", "silent"]

_COSTS = MappingProxyType({**SPEED, "load_s": "Load"})
_POWERED = ("output_tok_per_s_per_w", "j_per_output_tok", "energy_j")
"""What hangs on which sensor the energy was read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """A cell that answered no question about a picture, and why."""

    log: str
    cell: str
    failure: str
    message: str


def _candidates(summary: Summary) -> Iterator[tuple[str, Sequence[TaskResult]]]:
    own = [r for r in summary.tasks if r.role is Role.CANDIDATE]
    for cell in dict.fromkeys(r.cell for r in own):
        yield cell, [r for r in own if r.cell == cell]


def _failure(results: Sequence[TaskResult]) -> tuple[str, str] | None:
    """How a cell without any answer ended, and what was said of it: of its load, or of its questions."""
    if any(r.answered for r in results):
        return None
    records: list[CellRecord | ReadingRecord] = [*results[0].loads[-1:]]
    for record in records + [reading for r in results for reading in r.readings.values()]:
        if record.failure is not None:
            return record.failure.value, record.message or ""
    return Failure.NOT_RUN.value, ""


def silent(summary: Summary, log: str) -> Sequence[Silent]:
    """Candidates without any answer about pictures."""
    found = ((cell, _failure(results)) for cell, results in _candidates(summary))
    return [Silent(log=log, cell=cell_label(cell), failure=f[0], message=f[1]) for cell, f in found if f is not None]


def picture_measures(summary: Summary, log: str = "") -> Sequence[Measure]:
    """Of every candidate that was asked about pictures: what answering took over all questions, and for each task the
    metric by which cells are compared, and the median latency."""
    return [measure for cell, results in _candidates(summary) for measure in _of_cell(summary, log, cell, results)]


def _of_cell(summary: Summary, log: str, cell: str, results: Sequence[TaskResult]) -> Iterator[Measure]:
    loads, readings = results[0].loads, [r for result in results for r in result.readings.values()]
    costs = cost_metrics(readings, loads, vram_ledgers(loads, readings))
    sensor = energy_sensor([r for r in readings if r.failure is None])
    label, device, failure = cell_label(cell), device_name(summary, loads, readings), _failure(results)
    column = label.replace(f"@{loads[-1].device}", "", 1) if loads else label

    def measure(
        name: str, title: str, metric: Metric, definition: str, basis: Mapping[str, str], missing: str
    ) -> Measure:
        return Measure(
            log=log,
            cell=label,
            column=column,
            device=device,
            name=f"picture_{name}",
            title=title,
            metric=metric,
            definition=definition,
            basis=basis,
            missing=None if metric.value is not None else missing if failure is None else failure[0],
        )

    length = (summary.evidence.task_passes[cell].settings or {}).get("min_new_tokens")
    origin = {"origin": origin_of(summary)}
    taken = {**origin, "questions": _questions(summary, results)}
    taken["output length"] = f"{length} tokens" if length else "free"
    for name, title in _COSTS.items():
        basis = taken | ({"sensor": sensor} if sensor and name in _POWERED else {})
        found = costs.get(name) or not_measured(name)
        yield measure(name, title, found, METRICS[name].definition, basis, "not measured")
    for result in results:
        own, task = {**taken, "questions": _questions(summary, [result])}, result.task
        found = result.costs.get("latency_s") or not_measured("latency_s")
        yield measure(f"{task.name}_latency_s", task.name, found, METRICS["latency_s"].definition, own, "not measured")
        judged, definition = estimated(task, task.main, result.main), task.metrics[task.main].definition
        missing, basis = "not judged" if result.unjudged else "undefined", {**origin, "questions": own["questions"]}
        yield measure(task.name, task.name, judged, definition, basis, missing)


def _questions(summary: Summary, results: Sequence[TaskResult]) -> str:
    """Number and short hash of the questions that were asked, with their words and the truth of their pictures."""
    evidence = summary.evidence
    keys = [key for result in results for key in result.questions]
    records = [evidence.questions[key] for key in keys]
    pictures = [evidence.pictures[name] for name in sorted({record.picture for record in records})]
    told = json.dumps([*map(asdict, records), *map(asdict, pictures)], sort_keys=True)
    return f"{len(keys)} ({hashlib.sha256(told.encode()).hexdigest()[:8]})"
