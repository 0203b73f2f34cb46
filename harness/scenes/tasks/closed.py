"""Questions with one short answer: how many, and which colour."""

from __future__ import annotations

import numpy as np

from harness.scenes.generator import random_numbers
from harness.scenes.model import Picture, Scene
from harness.scenes.tasks.lexicon import plural
from harness.scenes.tasks.naming import AMBIENT, colour_fits, name_of
from harness.scenes.tasks.reading_text import read
from harness.scenes.tasks.task import Judgement, Question, Subject, Task, metric, scene_of
from harness.scenes.vocabulary import Colour, Kind

__all__ = ["CLOSED_METRICS", "COLOUR", "COUNTING", "EACH", "closed", "numbers_for"]

EACH = 2
"""Questions a picture, of each task."""
_ABSENT = 0.15
"""Share of counting questions about what is not there."""


def numbers_for(scene: Scene, task: str) -> np.random.Generator:
    """What decides which questions of a task are asked about a scene."""
    return random_numbers(scene.seed, scene.index, f"{task}/{scene.stratum}/{scene.setting}")


def closed(question: Question, answer: str, verdict: bool | None, **values: float) -> Judgement:
    """The judgement of an answer that is right, wrong, or cannot be decided (None)."""
    said = bool(answer.strip())
    return Judgement(
        question=question,
        answer=answer,
        ratios={"accuracy": (verdict is True, 1), "accuracy_if_decided": (verdict is True, verdict is not None)},
        values=values,
        undecided=(said and verdict is None, said),
    )


CLOSED_METRICS = {
    "accuracy": metric("share of questions answered rightly; an answer that cannot be decided is not right"),
    "accuracy_if_decided": metric("share of the answers that can be decided which are right"),
}


# --- counting ---


def _ask_counting(picture: Picture) -> tuple[Question, ...]:
    if not isinstance(picture, Scene):
        return ()
    rng, counts = numbers_for(picture, "counting"), picture.counts()
    sure = [kind for kind, (least, most) in counts.items() if least == most]
    several = [kind for kind in sure if counts[kind][0] > 1]
    absent = [k for k in Kind if k not in counts and k not in AMBIENT.get(picture.setting, frozenset())]
    found: list[Question] = []
    for number in range(EACH):
        pool = absent if rng.random() < _ABSENT else several if several and rng.random() < 0.8 else sure
        kind = pool[int(rng.integers(len(pool)))]
        lone = [q for q in found if q.target == "1"]  # so that saying 1 to everything does not pay
        if any(q.about == (kind.value,) for q in found) or (lone and counts.get(kind) == (1, 1)):
            continue
        count = counts[kind][0] if kind in counts else 0
        found.append(
            Question(
                task="counting",
                picture=picture,
                number=number,
                prompt=f"How many {plural(kind.value)} are in the picture? Answer with a number.",
                target=str(count),
                about=(kind.value,),
            )
        )
    return tuple(found)


def _count_given(kind: Kind, answer: str) -> int | None:
    """The one number that an answer gives for `kind`; None if it gives none, or several."""
    said = read(answer)
    of_kind = {mention.count for mention in said.mentions if mention.kind is kind and mention.count is not None}
    if any(mention.kind is kind and mention.negated for mention in said.mentions):
        of_kind = {0}
    elif said.numbers:
        of_kind &= set(said.numbers) or of_kind
        of_kind = of_kind or set(said.numbers)
    if not of_kind and not said.mentions and (said.first == "no" or "none" in answer.casefold()):
        return 0
    return of_kind.pop() if len(of_kind) == 1 else None


def _judge_counting(question: Question, answer: str) -> Judgement:
    truth, given = int(question.target), _count_given(Kind(question.about[0]), answer)
    if given is None:
        return closed(question, answer, None)
    return closed(question, answer, given == truth, count_error=abs(given - truth))


COUNTING = Task(
    name="counting",
    purpose="how many there are of a kind",
    subject=Subject.SCENE,
    main="accuracy",
    metrics={**CLOSED_METRICS, "count_error": metric("mean difference from the right count", False, "objects")},
    ask=_ask_counting,
    judge=_judge_counting,
)


# --- colours ---


def _ask_colour(picture: Picture) -> tuple[Question, ...]:
    if not isinstance(picture, Scene):
        return ()
    rng = numbers_for(picture, "colour")
    single = [one for one in picture.judged if name_of(picture, one) == one.kind.value]
    chosen = [single[i] for i in rng.permutation(len(single))[:EACH]]
    names = ", ".join(colour.value for colour in Colour)
    return tuple(
        Question(
            task="colour",
            picture=picture,
            number=number,
            prompt=f"What is the main colour of the {one.kind}? Answer with one of {names}.",
            target=one.colour.value,
            about=(str(one.number),),
        )
        for number, one in enumerate(chosen)
    )


def _judge_colour(question: Question, answer: str) -> Judgement:
    one = scene_of(question).objects[int(question.about[0])]
    named = set(read(answer).colours)
    fits = colour_fits(named, one.colour, one.pattern)
    if fits is False and one.colour.value in named:
        fits = None  # several, of which one is right
    return closed(question, answer, fits)


COLOUR = Task(
    name="colour",
    purpose="the colour of an object",
    subject=Subject.SCENE,
    main="accuracy",
    metrics=CLOSED_METRICS,
    ask=_ask_colour,
    judge=_judge_colour,
)
