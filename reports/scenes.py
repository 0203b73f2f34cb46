"""What models understand of pictures: eleven tasks beside what can be said without looking, and what answering took."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.metrics import Metric, measured
from harness.scenes.results import BLIND_PRIOR, TaskResult, above, consistency, estimated
from harness.scenes.tasks import TASKS
from harness.scenes.vocabulary import Stratum
from harness.statistics import Estimate
from reports.formatting import MISSING, escape, format_bytes, format_full, format_metric, format_value, shorten, table
from reports.summary import Summary

__all__ = ["SPEED", "asked", "cell_label", "of_task", "scenes_parts", "shown_cells", "task_lines"]

_INTRODUCTION = """\
Questions about drawn pictures, of which everything is known: what is in them, in which colours, where. 95 % intervals
are over pictures. Beside each task stands the blind prior: the best single answer for all its questions, chosen with
the truth of the whole folder in hand. What is not above that, on the questions that it answered, has not been shown to
look. A typed failure is no answer and has no score; it counts against the success rate.
"""
_MARK = "†"
_UNTOLD = "-"
SPEED: Mapping[str, str] = {
    "latency_s": "Latency p50",
    "latency_p90_s": "p90",
    "latency_cv": "CV %",
    "output_tok_per_s": "Tokens/s",
    "output_tok_per_s_per_w": "Tokens/s/W",
    "j_per_output_tok": "J/token",
    "energy_j": "J/question",
    "energy_closure": "Energy closure %",
    "peak_rss_bytes": "Peak RSS",
    "peak_vram_bytes": "Peak VRAM",
}
"""What is told of a task's cost, by metric: the head of its column."""


def scenes_parts(summary: Summary, drawn: Mapping[str, str]) -> Sequence[str]:
    """The section, in parts; empty if nobody was asked about pictures."""
    results = asked(summary)
    if not results:
        return []
    controls = [r for r in results if r.is_control]
    models = [r for r in results if not r.is_control]
    return [
        _INTRODUCTION,
        _pictures(summary),
        _main_table(results),
        drawn.get("picture_tasks", ""),
        *_tasks(results),
        *_part("By stratum", "The main metric in percent, by how hard the pictures are.\n", _strata(results)),
        *(_part("Speed and energy by task", _speed_note(models), _speed(models)) if models else []),
        *([drawn["picture_speed"]] if "picture_speed" in drawn else []),
        *(_part("Length of answers", "Generated tokens of an answer.\n", _lengths(models)) if models else []),
        *_part(
            "Form of answers",
            "Descriptive: neither long nor short is better, and none of this enters a score.\n",
            _form([*models, *controls]),
        ),
        *(_part("Success by task", "", _success(models)) if models else []),
        *_consistency(summary),
        *_part("Metrics of the tasks", "", _definitions(results)),
    ]


def asked(summary: Summary) -> Sequence[TaskResult]:
    """Answers about pictures of candidates, then of controls."""
    return [r for r in summary.tasks if r.role.value != "check"]


def shown_cells(results: Sequence[TaskResult]) -> Sequence[str]:
    """Ids of cells in order of appearance."""
    return list(dict.fromkeys(r.cell for r in results))


def task_lines(summary: Summary) -> Sequence[str]:
    """For a terminal, a line for each candidate that was asked about pictures."""
    results = [r for r in asked(summary) if not r.is_control]
    lines = []
    for cell in shown_cells(results):
        own = [r for r in results if r.cell == cell]
        beaten = [r for r in own if not r.unjudged and _is_above(r, asked(summary))]
        answered, questions = sum(len(r.answered) for r in own), sum(len(r.questions) for r in own)
        judged = "not judged" if own[0].unjudged else f"above the blind prior in {len(beaten)} of {len(own)} tasks"
        lines.append(f"PICTURES: {shorten(cell_label(cell), 40)}: {judged}, {answered}/{questions} answered")
    return lines


def _is_above(result: TaskResult, results: Sequence[TaskResult]) -> bool:
    prior = _prior([r for r in results if r.task.name == result.task.name])
    return prior is not None and bool(above(result, prior))


def of_task(results: Sequence[TaskResult]) -> Mapping[str, Sequence[TaskResult]]:
    """Results by task, in the order of the tasks."""
    return {name: found for name in TASKS if (found := [r for r in results if r.task.name == name])}


def cell_label(cell: str) -> str:
    """A cell without the mark that all cells of this section carry."""
    return cell.replace("~tasks", "")


def _name(result: TaskResult) -> str:
    return f"{escape(cell_label(result.cell))}{' *(control)*' if result.is_control else ''}"


def _part(title: str, note: str, body: str) -> Sequence[str]:
    return [f"### {title}\n", *([note] if note else []), body] if body else []


def _pictures(summary: Summary) -> str:
    found = summary.evidence.picture_set
    if found is None:
        return "The log does not hold which pictures were asked about.\n"
    drawn_by = "" if found.generator is None else f", drawn by version {found.generator} of the generator"
    return (
        f"{len(found.pictures)} of the {found.whole} pictures of {escape(found.name)} (identity "
        f"`{escape(found.identity[:12])}`{drawn_by}).\n"
    )


def _prior(results: Sequence[TaskResult]) -> TaskResult | None:
    return next((r for r in results if r.cell == BLIND_PRIOR), None)


def _value(result: TaskResult, name: str) -> str:
    if result.unjudged:
        return "not judged"
    return format_metric(estimated(result.task, name, result.summary.metrics[name]))


def _main_table(results: Sequence[TaskResult]) -> str:
    """Tasks by cells, beside the blind prior; what is not above that is marked."""
    cells = shown_cells([r for r in results if not r.is_control])
    rows, marked = [], False
    for name, found in of_task(results).items():
        prior = _prior(found)
        row = [escape(name), escape(TASKS[name].main), "" if prior is None else str(prior.summary.pictures)]
        row.append(MISSING if prior is None else _value(prior, TASKS[name].main))
        for cell in cells:
            own = next((r for r in found if r.cell == cell), None)
            text = "not asked" if own is None else _value(own, TASKS[name].main)
            if own is not None and prior is not None and not own.unjudged and not _is_above(own, found):
                text, marked = f"{text} {_MARK}", True
            row.append(text)
        rows.append(row)
    header = ["Task", "Metric", "Pictures", "Blind prior % [95 %]", *(escape(cell_label(c)) for c in cells)]
    note = f"\n{_MARK} not shown to be above the blind prior: the intervals meet, or there is none.\n" if marked else ""
    why = {f"{_name(r)}: {escape(r.unjudged, 200)}" for r in results if r.unjudged}
    return table(header, rows, "llr") + note + "".join(f"\nNot judged: {line}.\n" for line in sorted(why))


def _tasks(results: Sequence[TaskResult]) -> Sequence[str]:
    """Of each task a table of all its metrics."""
    parts = ["### Task by task\n"]
    for name, found in of_task(results).items():
        task = TASKS[name]
        rows = [
            [
                _name(r),
                *(_value(r, metric) for metric in task.metrics),
                "not judged" if r.unjudged else _share(r.summary.undecided),
                f"{len(r.answered)} of {len(r.questions)}",
            ]
            for r in found
        ]
        heads = [f"{escape(m)}{' %' if d.unit == 'ratio' else ''}" for m, d in task.metrics.items()]
        body = table(["Cell", *heads, "Undecided %", "Answered"], rows, "lr")
        parts += [f"#### {escape(name)}\n", f"{escape(task.purpose, 400)}\n", body]
    return parts


def _share(estimate: Estimate) -> str:
    return MISSING if estimate.value is None else f"{100 * estimate.value:.1f}"


def _strata(results: Sequence[TaskResult]) -> str:
    rows = []
    for name, found in of_task(results).items():
        for r in (r for r in found if not r.unjudged):
            shares = [
                format_metric(estimated(r.task, r.task.main, r.strata[s.value].metrics[r.task.main]))
                if s.value in r.strata
                else MISSING
                for s in Stratum
            ]
            rows.append([escape(name), _name(r), *shares])
    return table(["Task", "Cell", *(s.value for s in Stratum)], rows, "llr") if rows else ""


def _speed_note(models: Sequence[TaskResult]) -> str:
    note = (
        "One question at a time, in a worker of its own; a dash stands for what no answer told, and a column of which "
        "nobody told anything is left out. Energy closure: how far the device's counter and its sampled power are "
        "apart. Mean RSS: mean over requests of the highest resident memory during each. The last column is the time "
        "to load.\n"
    )
    why = {w for r in models if (w := r.costs["latency_s"].contaminated)}
    return note + "".join(f"\n**Disturbed, so that times judge nothing:** {escape(w, 300)}.\n" for w in sorted(why))


def _cost(metric: Metric | None) -> str:
    return _UNTOLD if metric is None or metric.value is None else format_metric(metric, interval=False)


def _speed(models: Sequence[TaskResult]) -> str:
    told = [metric for metric in SPEED if any(_cost(r.costs.get(metric)) != _UNTOLD for r in models)]
    rows = [
        [
            escape(r.task.name),
            _name(r),
            *(_cost(r.costs.get(metric)) for metric in told),
            _UNTOLD if r.mean_rss is None else format_bytes(r.mean_rss),
            _cost(r.costs.get("load_s")),
        ]
        for found in of_task(models).values()
        for r in found
    ]
    return table(["Task", "Cell", *(SPEED[metric] for metric in told), "Mean RSS", "Load"], rows, "llr")


def _lengths(models: Sequence[TaskResult]) -> str:
    rows = []
    for found in of_task(models).values():
        for r in found:
            counts = r.lengths
            if counts:
                places = [0, len(counts) // 10, len(counts) // 2, len(counts) * 9 // 10, len(counts) - 1]
                told = [str(counts[p]) for p in places]
                rows.append([escape(r.task.name), _name(r), str(len(counts)), *told, _share(r.truncated)])
    header = ["Task", "Cell", "n", "Least", "p10", "p50", "p90", "Most", "Cut at the limit %"]
    return table(header, rows, "llr") if rows else ""


def _form(results: Sequence[TaskResult]) -> str:
    columns: Mapping[str, Callable[[TaskResult], Estimate]] = {
        "Characters": lambda r: r.summary.characters,
        "Words": lambda r: r.summary.words,
        "Sentences": lambda r: r.summary.sentences,
    }
    rows = [
        [
            escape(name),
            _name(r),
            *(MISSING if (v := of(r).value) is None else format_value(v, "") for of in columns.values()),
            _share(r.summary.repetition),
        ]
        for name, found in of_task(results).items()
        for r in found
        if r.judgements
    ]
    return table(["Task", "Cell", *columns, "Repetition %"], rows, "llr") if rows else ""


def _success(models: Sequence[TaskResult]) -> str:
    rows = []
    for name, found in of_task(models).items():
        for r in found:
            told = ", ".join(f"{n} x {failure}" for failure, n in sorted(r.failures.items())) or "none"
            rate = format_full(measured("answer_rate", r.success))
            rows.append([escape(name), _name(r), f"{len(r.answered)} of {len(r.questions)}", rate, told])
    return table(["Task", "Cell", "Answered", "Success rate", "Typed failures"], rows, "llrrl")


def _consistency(summary: Summary) -> Sequence[str]:
    found = consistency(summary.tasks)
    if not found:
        return []
    rows = [
        [
            escape(c.task),
            escape(cell_label(c.reference)),
            str(c.questions),
            f"{100 * c.same_text / c.questions:.1f}" if c.questions else MISSING,
            f"{100 * c.same_score / c.judged:.1f}" if c.judged else "not judged",
        ]
        for c in found
    ]
    header = ["Task", "Cell", "Questions", "Same text %", "Same score %"]
    note = "The same questions, asked once more of a model loaded anew.\n"
    return _part("Consistency", note, table(header, rows, "llr"))


def _definitions(results: Sequence[TaskResult]) -> str:
    rows = [
        [escape(name), escape(metric), escape(d.unit), escape(d.definition, 400)]
        for name in of_task(results)
        for metric, d in TASKS[name].metrics.items()
    ]
    return table(["Task", "Metric", "Unit", "Definition"], rows, "l")
