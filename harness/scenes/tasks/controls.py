"""Answers whose worth is known beforehand: a perfect reader's, a blind one's, and one that names everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.scenes.tasks.lexicon import plural
from harness.scenes.tasks.task import Judgement, Question, Summary, Task, summarise
from harness.scenes.vocabulary import Kind

__all__ = ["BlindPrior", "Policy", "answered", "blind_prior", "enumerator", "perfect"]

Policy = Callable[[Question], str]
"""Answers a question without seeing the picture (or, if perfect, with the truth)."""
_CANDIDATES = 24
"""The most frequent true answers that are tried as constants."""


def perfect(question: Question) -> str:
    """The answer of a perfect reader."""
    return question.target


def enumerator(question: Question) -> str:
    """A caption that names every kind there is: it misses nothing, and half of it is not there."""
    return f"A picture with {', '.join(plural(kind.value) for kind in Kind)}."


def answered(task: Task, questions: Sequence[Question], policy: Policy) -> Summary:
    """What a policy's answers are worth."""
    return summarise(task, [task.judge(question, policy(question)) for question in questions])


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindPrior:
    """The best that can be said without looking: one answer for all questions of a task."""

    task: str
    answer: str
    """The constant answer; `first option` or `last option` if it is to choose always that."""
    fitted: float
    """The main metric on the pictures that the answer was chosen on."""

    def policy(self, question: Question) -> str:
        """The answer to a question."""
        if question.options and self.answer in ("first option", "last option"):
            return question.options[0 if self.answer == "first option" else -1]
        return self.answer


def _main(task: Task, judgements: Sequence[Judgement]) -> float:
    shares = [judgement.ratios.get(task.main, (0.0, 0.0)) for judgement in judgements]
    bottom = sum(d for _, d in shares)
    return sum(n for n, _ in shares) / bottom if bottom else 0.0


def _lines(questions: Sequence[Question]) -> list[str]:
    """The most frequent lines of the true answers, the most frequent first, one to eight of them together."""
    common = Counter(line for question in questions for line in dict.fromkeys(question.target.split("\n")))
    first = [line for line, _ in common.most_common(8)]
    return ["\n".join(first[:count]) for count in range(1, len(first) + 1)]


def _kinds(questions: Sequence[Question]) -> list[str]:
    """Sentences that name the most frequent kinds, one more each time."""
    scenes = {q.picture.name: q.picture for q in questions}.values()
    common = Counter(one for picture in scenes for one in {o.kind for o in getattr(picture, "objects", ())})
    first = [kind for kind, _ in common.most_common(16)]
    return [f"A picture with {', '.join(kind.value for kind in first[:n])}." for n in range(1, len(first) + 1)]


def blind_prior(task: Task, questions: Sequence[Question]) -> BlindPrior:
    """The best constant answer for `questions` of a task, by its main metric.

    Tried are the most frequent true answers, their most frequent lines together, sentences of the most frequent
    kinds, and for closed questions always the first or always the last option. Raises ValueError without questions.
    """
    if not questions:
        raise ValueError(f"{task.name}: no questions, so no best answer")
    tried = [answer for answer, _ in Counter(question.target for question in questions).most_common(_CANDIDATES)]
    tried += [*_lines(questions), *_kinds(questions)]
    if any(question.options for question in questions):
        tried += ["first option", "last option"]
    best = BlindPrior(task=task.name, answer="", fitted=0.0)
    for answer in dict.fromkeys(tried):
        prior = BlindPrior(task=task.name, answer=answer, fitted=0.0)
        score = _main(task, [task.judge(question, prior.policy(question)) for question in questions])
        if score > best.fitted:
            best = BlindPrior(task=task.name, answer=answer, fitted=score)
    return best
