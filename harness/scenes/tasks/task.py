"""What a task is: questions about a picture, a judge of the answers, and numbers over many of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType

from harness.metrics import MetricDefinition
from harness.scenes.model import Figure, Picture, Scene
from harness.statistics import Estimate, mean_interval, ratio_interval

__all__ = [
    "Judgement",
    "Question",
    "Subject",
    "Summary",
    "Task",
    "TextFacts",
    "metric",
    "scene_of",
    "summarise",
    "text_facts",
]

Share = tuple[float, float]


class Subject(StrEnum):
    """What a task asks about."""

    SCENE = "scene"
    FIGURE = "figure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One prompt about one picture, with the answer of a perfect reader."""

    task: str
    picture: Picture
    number: int
    """Among the task's questions about this picture, from 0."""
    prompt: str
    """In full words, with the format of the answer."""
    target: str
    """In that format."""
    options: tuple[str, ...] = ()
    """What a closed question may be answered with; empty for an open one."""
    about: tuple[str, ...] = ()
    """What else the judge must know, such as the kind to be counted."""

    @property
    def key(self) -> str:
        """Names the question among all of a folder, such as `counting/scene-0004.webp/1`."""
        return f"{self.task}/{self.picture.name}/{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFacts:
    """What a text looks like; says nothing about whether it is right."""

    characters: int
    words: int
    sentences: int
    repetition: float
    """Share of the text's word pairs that came before in it; 0 below two words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one answer is worth."""

    question: Question
    answer: str
    ratios: Mapping[str, Share]
    """By metric, (numerator, denominator); a denominator of 0 says nothing."""
    values: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """By metric, a number that is no ratio."""
    undecided: tuple[int, int]
    """How many of the answer's claims could not be judged, and how many it makes; (0, 0) for an empty answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task. `ask` gives () for a picture that the task has no question about."""

    name: str
    purpose: str
    subject: Subject
    main: str
    """The metric by which answers are compared: 1 is perfect, 0 is worthless."""
    metrics: Mapping[str, MetricDefinition]
    ask: Callable[[Picture], tuple[Question, ...]]
    judge: Callable[[Question, str], Judgement]

    def questions(self, pictures: Iterable[Picture]) -> tuple[Question, ...]:
        """All questions about all pictures."""
        return tuple(question for picture in pictures for question in self.ask(picture))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A task's numbers over many answers; the picture is the unit."""

    task: str
    questions: int
    pictures: int
    metrics: Mapping[str, Estimate]
    undecided: Estimate
    """Share of claims that could not be judged."""
    characters: Estimate
    words: Estimate
    sentences: Estimate
    repetition: Estimate


def metric(definition: str, higher_is_better: bool | None = True, unit: str = "ratio") -> MetricDefinition:
    """Define a metric of a task."""
    return MetricDefinition(unit=unit, definition=definition, higher_is_better=higher_is_better)


def scene_of(question: Question) -> Scene:
    """The scene that a question is about; raises TypeError if it is about a figure."""
    if isinstance(question.picture, Figure):
        raise TypeError(f"{question.key} is about a figure, not a scene")
    return question.picture


def text_facts(text: str) -> TextFacts:
    """Length and repetition of a text."""
    words = re.findall(r"\w+", text.casefold())
    pairs = Counter(pairwise(words))
    total = sum(pairs.values())
    return TextFacts(
        characters=len(text),
        words=len(words),
        sentences=sum(1 for part in re.split(r"[.!?\n]+", text) if part.strip()),
        repetition=(total - len(pairs)) / total if total else 0.0,
    )


def _summed(judgements: Sequence[Judgement], shares: Callable[[Judgement], Share]) -> Estimate:
    by_picture: dict[str, list[Share]] = {}
    for judgement in judgements:
        by_picture.setdefault(judgement.question.picture.name, []).append(shares(judgement))
    tops = [sum(n for n, _ in pairs) for pairs in by_picture.values()]
    bottoms = [sum(d for _, d in pairs) for pairs in by_picture.values()]
    return ratio_interval(tops, bottoms)


def _averaged(judgements: Sequence[Judgement], value: Callable[[Judgement], float | None]) -> Estimate:
    by_picture: dict[str, list[float]] = {}
    for judgement in judgements:
        if (found := value(judgement)) is not None:
            by_picture.setdefault(judgement.question.picture.name, []).append(found)
    mean = mean_interval([sum(values) / len(values) for values in by_picture.values()])
    # Errors and counts: none is below 0, so neither is their mean, which Student's interval does not know.
    return mean if mean.low is None else replace(mean, low=max(mean.low, 0.0))


def summarise(task: Task, judgements: Sequence[Judgement]) -> Summary:
    """Numbers over `judgements` of `task`: ratios of sums, and means of means by picture, with 95 % intervals."""
    facts = {id(judgement): text_facts(judgement.answer) for judgement in judgements}
    ratios = {name for judgement in judgements for name in judgement.ratios}
    metrics = {
        name: _summed(judgements, lambda j, n=name: j.ratios.get(n, (0.0, 0.0)))  # type: ignore[misc]
        if name in ratios
        else _averaged(judgements, lambda j, n=name: j.values.get(n))  # type: ignore[misc]
        for name in task.metrics
    }
    return Summary(
        task=task.name,
        questions=len(judgements),
        pictures=len({judgement.question.picture.name for judgement in judgements}),
        metrics=MappingProxyType(metrics),
        undecided=_summed(judgements, lambda j: j.undecided),
        characters=_averaged(judgements, lambda j: facts[id(j)].characters),
        words=_averaged(judgements, lambda j: facts[id(j)].words),
        sentences=_averaged(judgements, lambda j: facts[id(j)].sentences),
        repetition=_averaged(judgements, lambda j: facts[id(j)].repetition),
    )
