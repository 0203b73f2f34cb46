"""What cells answered about pictures: by cell and task, judged against the truth of the log, failures kept apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.cells import Failure, Role
from harness.errors import CorpusError
from harness.evidence import CellRecord, Evidence, PassRecord, QuestionRecord, ReadingRecord
from harness.ledger import vram_ledgers
from harness.metrics import Metric, Status, contaminated_by
from harness.results.cell import why_unjudged
from harness.results.costs import cost_metrics
from harness.scenes.model import Picture
from harness.scenes.records import picture_of, question_of
from harness.scenes.tasks import TASKS, Judgement, Question, Summary, Task, summarise
from harness.scenes.tasks.controls import answered, blind_prior
from harness.scenes.vocabulary import Stratum
from harness.statistics import Estimate, ratio_interval

__all__ = [
    "BLIND_PRIOR",
    "CONTROLS",
    "ENUMERATOR",
    "PERFECT",
    "Consistency",
    "TaskResult",
    "above",
    "consistency",
    "estimated",
    "judged_answers",
    "prior_beside",
    "task_results",
]

PERFECT, BLIND_PRIOR, ENUMERATOR = "perfect-reader~tasks", "blind-prior~tasks", "enumerator~tasks"
CONTROLS = (PERFECT, BLIND_PRIOR, ENUMERATOR)
"""Cells whose answers are computed."""
_REPEATED = re.compile(r"#\d+")
"""What the id of a repetition has beyond that of the cell that it repeats."""


@dataclass(frozen=True, kw_only=True)  # no slots: what is derived from the answers is derived once
class TaskResult:
    """One cell's answers to the questions of one task."""

    cell: str
    role: Role
    task: Task
    questions: Mapping[str, Question]
    """Those asked, by key."""
    readings: Mapping[str, ReadingRecord]
    """By key; a question without one was not asked in the end."""
    judgements: Mapping[str, Judgement]
    """Judged answers by key: none of what failed, and none at all if they are `unjudged`."""
    loads: Sequence[CellRecord]
    unjudged: str | None = None
    """Why the answers are not judged; None if they are."""
    disturbance: str | None = None
    """What ran beside it the whole time, so that its times and energy judge nothing; None for nothing."""

    @property
    def is_control(self) -> bool:
        """Whether it shows that the judging works."""
        return self.role is Role.CONTROL

    @cached_property
    def failures(self) -> Counter[Failure]:
        """Questions by failure; one without a reading counts as not run."""
        found = Counter(r.failure for r in self.readings.values() if r.failure is not None)
        if missing := len(self.questions) - len(self.readings):
            found[Failure.NOT_RUN] += missing
        return found

    @cached_property
    def answered(self) -> Mapping[str, ReadingRecord]:
        """Readings that ended in an answer, whatever it is worth."""
        return {key: r for key, r in self.readings.items() if r.failure is None}

    @cached_property
    def success(self) -> Estimate:
        """Share of the questions that ended in an answer rather than in a typed failure, by picture."""
        return self._share({key: key in self.answered for key in self.questions})

    @cached_property
    def truncated(self) -> Estimate:
        """Of the answers that tell why they ended, the share that ended at the limit of output tokens, by picture."""
        return self._share({key: r.stop == "length" for key, r in self.answered.items() if r.stop is not None})

    def _share(self, held: Mapping[str, bool]) -> Estimate:
        tops, bottoms = Counter[str](), Counter[str]()
        for key, one in held.items():
            picture = self.questions[key].picture.name
            tops[picture] += one
            bottoms[picture] += 1
        return ratio_interval([tops[p] for p in bottoms], list(bottoms.values()))

    @cached_property
    def summary(self) -> Summary:
        """Numbers over all judged answers."""
        return summarise(self.task, list(self.judgements.values()))

    @property
    def main(self) -> Estimate:
        """The metric by which cells are compared."""
        return self.summary.metrics[self.task.main]

    @cached_property
    def strata(self) -> Mapping[str, Summary]:
        """The same by stratum, in the order of the strata, those with judged answers."""
        found: dict[str, list[Judgement]] = {}
        for judgement in self.judgements.values():
            found.setdefault(judgement.question.picture.stratum.value, []).append(judgement)
        return {s.value: summarise(self.task, found[s.value]) for s in Stratum if s.value in found}

    @cached_property
    def costs(self) -> Mapping[str, Metric]:
        """What the answers took, by the names of METRICS: a question stands where those say a document."""
        attempted = list(self.readings.values())
        costs = cost_metrics(attempted, self.loads, vram_ledgers(self.loads, attempted))
        return contaminated_by(costs, self.disturbance)

    @property
    def lengths(self) -> Sequence[int]:
        """Generated tokens of the answers that tell them, ascending."""
        return sorted(r.output_tokens for r in self.answered.values() if r.output_tokens is not None)

    @property
    def mean_rss(self) -> float | None:
        """The mean over requests of the highest resident memory of each, in bytes; None where it was not measured."""
        peaks = [peak for r in self.answered.values() if (peak := r.memory.peak_rss_bytes) is not None]
        return sum(peaks) / len(peaks) if peaks else None


def judged_answers(
    task: Task, questions: Mapping[str, Question], readings: Mapping[str, ReadingRecord]
) -> dict[str, Judgement]:
    """The judged answers by the key of their question; an empty text is an answer, a failure is none."""
    return {
        key: task.judge(question, reading.text)
        for key, question in questions.items()
        if (reading := readings.get(key)) is not None and reading.failure is None and reading.text is not None
    }


def task_results(evidence: Evidence) -> Sequence[TaskResult]:
    """Results of every cell that was asked about pictures, by task: candidates, then controls, then checks.

    What the log does not hold the truth of is left out, as is a task that this version does not know.
    """
    pictures = dict(_pictures(evidence))
    found = [
        result for cell, asked in evidence.task_passes.items() for result in _of_cell(evidence, cell, asked, pictures)
    ]
    return sorted(found, key=lambda r: list(Role).index(r.role))


def _pictures(evidence: Evidence) -> Iterator[tuple[str, Picture]]:
    for name, record in evidence.pictures.items():
        try:
            yield name, picture_of(record)
        except CorpusError:  # a damaged line: its questions are left out, and told as missing
            continue


def _of_cell(evidence: Evidence, cell: str, asked: PassRecord, pictures: Mapping[str, Picture]) -> Iterator[TaskResult]:
    loads, readings = evidence.cells.get(cell, []), evidence.readings.get(cell, {})
    records = [evidence.questions[key] for key in asked.documents if key in evidence.questions]
    unjudged = why_unjudged(loads, (asked.settings or {}).get("min_new_tokens") or None)
    for name in (name for name in TASKS if any(record.task == name for record in records)):
        task = TASKS[name]
        questions = _questions([record for record in records if record.task == name], pictures)
        own = {key: readings[key] for key in questions if key in readings}
        if questions:
            yield TaskResult(
                cell=cell,
                role=asked.role,
                task=task,
                questions=questions,
                readings=own,
                judgements={} if unjudged else judged_answers(task, questions, own),
                loads=loads,
                unjudged=unjudged,
                disturbance=evidence.disturbance,
            )


def _questions(records: Collection[QuestionRecord], pictures: Mapping[str, Picture]) -> Mapping[str, Question]:
    return {r.question: question_of(r, pictures) for r in records if r.picture in pictures}


def estimated(task: Task, name: str, estimate: Estimate) -> Metric:
    """An estimate of a task's metric with its unit; an undefined one is not measured."""
    known = estimate.value is not None
    return Metric(
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        n=estimate.n,
        unit=task.metrics[name].unit,
        status=Status.MEASURED if known else Status.NOT_MEASURED,
    )


def prior_beside(result: TaskResult, prior: TaskResult) -> Estimate:
    """The main metric of the blind prior; of the best one for the answered questions, where `result` left some out.

    Who fails at all but a few answers' questions would be above that for all of them without looking.
    """
    questions = [result.questions[key] for key in result.judgements]
    if len(questions) in (0, len(prior.judgements)):
        return prior.main
    best = blind_prior(result.task, questions)
    return answered(result.task, questions, best.policy).metrics[result.task.main]


def above(result: TaskResult, prior: TaskResult) -> bool | None:
    """Whether all of a result's interval is above all of the blind prior's on the same questions.

    None where either has no interval.
    """
    bound = prior_beside(result, prior).high
    if result.main.low is None or bound is None:
        return None
    return result.main.low > bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """A cell beside a repetition of it, on the questions that both answered."""

    cell: str
    reference: str
    task: str
    same_text: int
    questions: int
    """Answered both times."""
    same_score: int
    judged: int
    """Of them, those whose answers have a score."""


def consistency(results: Sequence[TaskResult]) -> Sequence[Consistency]:
    """Every check among `results` beside the candidate that it repeats."""
    candidates = {(r.cell, r.task.name): r for r in results if r.role is Role.CANDIDATE}
    found = []
    for check in (r for r in results if r.role is Role.CHECK):
        reference = candidates.get((_REPEATED.sub("", check.cell), check.task.name))
        if reference is None:
            continue
        both = [key for key in check.answered if key in reference.answered]
        judged = [key for key in both if key in check.judgements and key in reference.judgements]
        found.append(
            Consistency(
                cell=check.cell,
                reference=reference.cell,
                task=check.task.name,
                same_text=sum(check.answered[key].text == reference.answered[key].text for key in both),
                same_score=sum(
                    check.judgements[key].ratios == reference.judgements[key].ratios
                    and check.judgements[key].values == reference.judgements[key].values
                    for key in judged
                ),
                questions=len(both),
                judged=len(judged),
            )
        )
    return found
