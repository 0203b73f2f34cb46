"""Closed questions about what follows from what can be seen: what is nearer, what would fall, what holds what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from harness.scenes.model import Picture, Scene, SceneObject
from harness.scenes.tasks.closed import CLOSED_METRICS, EACH, closed, numbers_for
from harness.scenes.tasks.lexicon import plural
from harness.scenes.tasks.naming import AMBIENT, name_of
from harness.scenes.tasks.reading_text import read
from harness.scenes.tasks.task import Judgement, Question, Subject, Task
from harness.scenes.vocabulary import Kind, Light, Placement, RelationKind

__all__ = ["COMMON_SENSE", "chosen_option"]

_LARGER = 2.0
"""How many times the area, for one object to be the larger."""

Drafted = tuple[str, tuple[str, ...], str]
"""A question, its options, and the right one."""
_YES_NO = ("yes", "no")
_SETS: Mapping[str, tuple[frozenset[Kind], frozenset[Kind]]] = {
    # what is meant, and what might be
    "an animal": (frozenset({Kind.CAT, Kind.DOG, Kind.BIRD, Kind.FISH}), frozenset()),
    "fruit": (frozenset({Kind.APPLE, Kind.BANANA}), frozenset({Kind.BASKET, Kind.BOWL})),
    "something to sit on": (frozenset({Kind.CHAIR}), frozenset({Kind.BOX, Kind.TABLE, Kind.CAR, Kind.BOAT})),
    "something to read": (frozenset({Kind.BOOK, Kind.SIGN}), frozenset({Kind.BOTTLE, Kind.CLOCK})),
    "something that tells the time": (frozenset({Kind.CLOCK}), frozenset()),
    "something to travel in": (frozenset({Kind.CAR, Kind.BOAT}), frozenset({Kind.BALLOON})),
    "something to keep off the rain": (frozenset({Kind.UMBRELLA}), frozenset({Kind.TREE, Kind.CAR})),
}


def _named(scene: Scene) -> list[tuple[SceneObject, str]]:
    return [(one, name) for one in scene.judged if (name := name_of(scene, one)) is not None]


def _either(rng: np.random.Generator, right: str, wrong: str) -> tuple[str, ...]:
    return (right, wrong) if rng.random() < 0.5 else (wrong, right)


def _yes_or_no(rng: np.random.Generator, yes: Sequence[str], no: Sequence[str]) -> Iterator[Drafted]:
    """One question, of either list with the same chance, so that saying always the same is right half the time."""
    if yes and no:
        pool, answer = (yes, "yes") if rng.random() < 0.5 else (no, "no")
        yield pool[int(rng.integers(len(pool)))], _YES_NO, answer


def _nearer(scene: Scene, rng: np.random.Generator) -> Iterator[Drafted]:
    names = {one.number: name for one, name in _named(scene)}
    known = [
        r for r in scene.relations if r.kind is RelationKind.IN_FRONT_OF and r.subject in names and r.target in names
    ]
    if known:
        relation = known[int(rng.integers(len(known)))]
        a, b = _either(rng, names[relation.subject], names[relation.target])
        yield f"Which could you reach first: the {a} or the {b}?", (a, b), names[relation.subject]


def _larger(scene: Scene, rng: np.random.Generator) -> Iterator[Drafted]:
    named = [(one, name) for one, name in _named(scene) if one.visible >= 0.9]
    pairs = [(a, b) for a, an in named for b, bn in named if a.pixels >= _LARGER * b.pixels and an != bn]
    if pairs:
        big, small = pairs[int(rng.integers(len(pairs)))]
        names = {one.number: name for one, name in named}
        a, b = _either(rng, names[big.number], names[small.number])
        yield f"Which looks larger in the picture: the {a} or the {b}?", (a, b), names[big.number]


def _falls(scene: Scene, rng: np.random.Generator) -> Iterator[Drafted]:
    named = _named(scene)
    yes: list[str] = []
    no: list[str] = []
    for a, an in named:
        for b, bn in named:
            if (
                a.number == b.number
                or a.placement is Placement.INSIDE
                or b.placement in (Placement.AIR, Placement.WALL)
            ):
                continue
            (yes if a.holder == b.number else no).append(f"Would the {an} fall if the {bn} was taken away?")
    yield from _yes_or_no(rng, yes, no)


def _holder(scene: Scene, rng: np.random.Generator) -> Iterator[Drafted]:
    names = {one.number: name for one, name in _named(scene)}
    held = [one for one in scene.judged if one.holder in names and one.number in names]
    if held:
        one = held[int(rng.integers(len(held)))]
        others = [n for number, n in names.items() if number not in (one.number, one.holder)]
        if others and one.holder is not None:
            right = names[one.holder]
            a, b = _either(rng, right, others[int(rng.integers(len(others)))])
            yield f"What is the {names[one.number]} on or in: the {a} or the {b}?", (a, b), right


def _light(scene: Scene, rng: np.random.Generator) -> Iterator[Drafted]:
    if scene.light is not None:
        words = {Light.DAY: "high in the sky", Light.SUNSET: "about to set", Light.NIGHT: "gone, and is it night"}
        others = [light for light in Light if light is not scene.light]
        wrong = others[int(rng.integers(len(others)))]
        ask = "Is the sun {}?"
        yield from _yes_or_no(rng, [ask.format(words[scene.light])], [ask.format(words[wrong])])


def _more(scene: Scene, rng: np.random.Generator) -> Iterator[Drafted]:
    sure = {kind: least for kind, (least, most) in scene.counts().items() if least == most}
    pairs = [(a, b) for a in sure for b in sure if sure[a] > sure[b]]
    ask = "Are there more {} than {}?"
    yes = [ask.format(plural(a.value), plural(b.value)) for a, b in pairs]
    yield from _yes_or_no(rng, yes, [ask.format(plural(b.value), plural(a.value)) for a, b in pairs])


def _useful(scene: Scene, rng: np.random.Generator) -> Iterator[Drafted]:
    judged, shown = {one.kind for one in scene.judged}, {one.kind for one in scene.objects if one.box is not None}
    shown |= AMBIENT.get(scene.setting, frozenset())
    yes = [f"Is there {what} in the picture?" for what, (kinds, _) in _SETS.items() if judged & kinds]
    no = [f"Is there {what} in the picture?" for what, (kinds, maybe) in _SETS.items() if not shown & (kinds | maybe)]
    yield from _yes_or_no(rng, yes, no)


_DRAFTS: tuple[Callable[[Scene, np.random.Generator], Iterator[Drafted]], ...] = (
    _nearer,
    _larger,
    _falls,
    _holder,
    _light,
    _more,
    _useful,
)


def _ask_common_sense(picture: Picture) -> tuple[Question, ...]:
    if not isinstance(picture, Scene):
        return ()
    rng = numbers_for(picture, "common_sense")
    found: list[Question] = []
    for at in rng.permutation(len(_DRAFTS)).tolist():
        for text, options, answer in _DRAFTS[at](picture, rng):
            prompt = f"{text} Answer with '{options[0]}' or '{options[1]}'."
            found.append(
                Question(
                    task="common_sense",
                    picture=picture,
                    number=len(found),
                    prompt=prompt,
                    target=answer,
                    options=options,
                    about=(_DRAFTS[at].__name__.strip("_"),),
                )
            )
        if len(found) == EACH:
            break
    return tuple(found)


def _fits_option(option: str, answer: str) -> bool:
    wanted = read(option).things[0]
    return any(
        thing.kind is wanted.kind
        and wanted.colours <= (thing.colours or wanted.colours)
        and (wanted.pattern is None or thing.pattern in (wanted.pattern, None))
        for thing in read(answer).things
    )


def chosen_option(options: Sequence[str], answer: str) -> str | None:
    """The one option that an answer chooses; None if it chooses none, or cannot be told."""
    plain = answer.strip().strip(".'\"`*").casefold()
    if plain in options:
        return plain
    if tuple(options) == _YES_NO:
        first = read(answer).first
        return first or None
    fitting = [option for option in options if _fits_option(option, answer)]
    return fitting[0] if len(fitting) == 1 else None


def _judge_common_sense(question: Question, answer: str) -> Judgement:
    chosen = chosen_option(question.options, answer)
    return closed(question, answer, None if chosen is None else chosen == question.target)


COMMON_SENSE = Task(
    name="common_sense",
    purpose="what follows from what can be seen",
    subject=Subject.SCENE,
    main="accuracy",
    metrics=CLOSED_METRICS,
    ask=_ask_common_sense,
    judge=_judge_common_sense,
)
