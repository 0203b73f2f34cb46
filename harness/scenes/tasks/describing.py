"""Captions, lists of objects with counts, and attributes of objects: what a free text gets right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from harness.scenes.model import Picture, Scene, SceneObject
from harness.scenes.tasks.lexicon import plural
from harness.scenes.tasks.naming import colour_fits, fitting, right_kinds, wrong_kinds
from harness.scenes.tasks.reading_text import Mention, read
from harness.scenes.tasks.task import Judgement, Question, Share, Subject, Task, metric, scene_of
from harness.scenes.vocabulary import Colour, Kind, Light, Pattern, Setting

__all__ = ["ATTRIBUTES", "CAPTION", "OBJECTS", "by_kind", "caption_of"]

_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve"
_PLACES: Mapping[Setting, str] = {
    Setting.KITCHEN: "a kitchen",
    Setting.STREET: "a street",
    Setting.SHELF: "a shelf",
    Setting.DESK: "a desk",
    Setting.PARK: "a park",
    Setting.SEA: "the sea",
}
_TIMES: Mapping[Light, str] = {Light.DAY: "by day", Light.SUNSET: "at sunset", Light.NIGHT: "at night"}
_KIND_LIST = ", ".join(kind.value for kind in Kind)


def found_objects(scene: Scene, named: Iterable[Kind]) -> dict[str, Share]:
    """Precision, recall, F1 and hallucinations of the kinds that an answer names."""
    named = set(named)
    right, wrong = len(named & right_kinds(scene)), len(named & wrong_kinds(scene))
    missed = len(right_kinds(scene) - named)
    return {
        "object_f1": (2 * right, 2 * right + wrong + missed),
        "object_precision": (right, right + wrong),
        "object_recall": (right, right + missed),
        "hallucination_rate": (wrong, right + wrong),
    }


_OBJECT_METRICS = {
    "object_f1": metric("2T / (2T + H + M): T kinds named and there, H named and not there, M there and not named"),
    "object_precision": metric("T / (T + H): of the kinds named, those that are there"),
    "object_recall": metric("T / (T + M): of the kinds that are there and not mostly hidden, those named"),
    "hallucination_rate": metric("H / (T + H): of the kinds named, those that are not there", False),
}
_BINDING_METRICS = {
    "attribute_accuracy": metric("of the colours and patterns stated of objects of a kind that is there, those right"),
    "misbinding_rate": metric("of those, the ones that belong to an object of another kind instead", False),
}


def bound_attributes(scene: Scene, mentions: Iterable[Mention]) -> dict[str, Share]:
    """Whether colours and patterns are said of objects that have them."""
    right = total = elsewhere = 0
    for mention in mentions:
        own = [one for one in scene.objects if one.kind is mention.kind and one.box is not None]
        if not own:
            continue  # a hallucinated object, which the objects' metrics count
        others = [one for one in scene.judged if one.kind is not mention.kind]
        if mention.colours:
            total += 1
            fits = any(colour_fits(mention.colours, one.colour, one.pattern) for one in own)
            right += fits
            elsewhere += not fits and any(colour_fits(mention.colours, o.colour, o.pattern) for o in others)
        if mention.pattern is not None:
            total += 1
            fits = any(one.pattern is mention.pattern for one in fitting(scene, mention) or own)
            right += fits
            elsewhere += not fits and any(one.pattern is mention.pattern for one in others)
    return {"attribute_accuracy": (right, total), "misbinding_rate": (elsewhere, total)}


# --- captions ---


def _phrase(kind: Kind, ones: list[SceneObject]) -> str:
    alike = len({(one.colour, one.pattern) for one in ones}) == 1
    first = ones[0]
    dress = (
        ""
        if not alike
        else f"{first.colour} "
        if first.pattern is Pattern.SOLID
        else f"{first.pattern} {first.colour} "
    )
    if len(ones) == 1:
        article = "an" if (dress or kind.value)[0] in "aeiou" else "a"
        return f"{article} {dress}{kind}"
    return f"{_NUMBERS.split()[len(ones)]} {dress}{plural(kind.value)}"


def by_kind(scene: Scene) -> dict[Kind, list[SceneObject]]:
    """The objects that are judged, the largest kinds first."""
    order = sorted(scene.judged, key=lambda one: (-one.pixels, one.number))
    found: dict[Kind, list[SceneObject]] = {}
    for one in order:
        found.setdefault(one.kind, []).append(one)
    return found


def caption_of(scene: Scene) -> str:
    """One sentence that names the setting, the time of day, and everything that is judged."""
    phrases = [_phrase(kind, ones) for kind, ones in by_kind(scene).items()]
    listed = (
        phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}" if phrases else "nothing"
    )
    time = "" if scene.light is None else f" {_TIMES[scene.light]}"
    place = _PLACES[scene.setting]
    return f"{place[0].upper()}{place[1:]}{time} with {listed}."


def _ask_caption(picture: Picture) -> tuple[Question, ...]:
    if not isinstance(picture, Scene):
        return ()
    prompt = (
        "Write one detailed sentence describing the image: where it is, the time of day, and every object with its "
        "number and colour."
    )
    return (Question(task="caption_brief", picture=picture, number=0, prompt=prompt, target=caption_of(picture)),)


def _judge_caption(question: Question, answer: str) -> Judgement:
    scene, said = scene_of(question), read(answer)
    objects = found_objects(scene, (mention.kind for mention in said.things))
    hallucinated = objects["hallucination_rate"][0]
    settings = set(said.settings)
    nothing = int(bool(answer.strip()) and not said.mentions)
    return Judgement(
        question=question,
        answer=answer,
        ratios={
            **objects,
            **bound_attributes(scene, said.things),
            "setting_accuracy": (settings == {scene.setting}, 1),
        },
        values={"hallucinated_objects": hallucinated},
        undecided=(nothing, nothing or len(said.mentions)),
    )


CAPTION = Task(
    name="caption_brief",
    purpose="one sentence about the whole picture",
    subject=Subject.SCENE,
    main="object_f1",
    metrics={
        **_OBJECT_METRICS,
        **_BINDING_METRICS,
        "setting_accuracy": metric("share of captions that name the setting and no other"),
        "hallucinated_objects": metric("kinds named and not there, a caption", False, "objects"),
    },
    ask=_ask_caption,
    judge=_judge_caption,
)


# --- objects and counts ---


def _ask_objects(picture: Picture) -> tuple[Question, ...]:
    if not isinstance(picture, Scene):
        return ()
    prompt = (
        "List every kind of object in the picture with how many there are. Use the format 'object: count' on separate "
        f"lines, and only these names: {_KIND_LIST}."
    )
    lines = [f"{kind}: {len(ones)}" for kind, ones in by_kind(picture).items()]
    return (Question(task="objects_and_counts", picture=picture, number=0, prompt=prompt, target="\n".join(lines)),)


def _stated(mentions: Iterable[Mention]) -> dict[Kind, int | None]:
    """Counts by kind: what is said twice of the same things counts once; differently dressed things add up."""
    parts: dict[Kind, dict[tuple[object, ...], int | None]] = {}
    for mention in mentions:
        key = (mention.colours, mention.pattern, mention.size)
        parts.setdefault(mention.kind, {}).setdefault(key, mention.count)
    return {
        kind: None if None in (counts := list(found.values())) else sum(c for c in counts if c is not None)
        for kind, found in parts.items()
    }


def _judge_objects(question: Question, answer: str) -> Judgement:
    scene, said = scene_of(question), read(answer)
    stated, truth = _stated(said.things), scene.counts()
    exact = decided = 0
    errors: list[int] = []
    for kind in right_kinds(scene):
        least, most = truth[kind]
        count = stated.get(kind, 0)
        if count is not None:
            errors.append(max(least - count, count - most, 0))
            exact += least <= count <= most and kind in stated
        decided += 1
    wrong = len(stated.keys() & wrong_kinds(scene))
    stated_judged = len(stated.keys() & right_kinds(scene)) + wrong
    unclear = sum(count is None for count in stated.values())
    nothing = int(bool(answer.strip()) and not said.mentions)
    return Judgement(
        question=question,
        answer=answer,
        ratios={
            **found_objects(scene, stated),
            "count_f1": (2 * exact, stated_judged + decided),
            "exact_count_rate": (exact, decided),
        },
        values={"count_error": sum(errors) / len(errors)} if errors else {},
        undecided=(unclear + nothing, len(stated) + nothing),
    )


OBJECTS = Task(
    name="objects_and_counts",
    purpose="which objects, and how many of each",
    subject=Subject.SCENE,
    main="count_f1",
    metrics={
        "count_f1": metric("2E / (S + K): E kinds with the right count, S kinds stated, K kinds that are there"),
        "exact_count_rate": metric("E / K: of the kinds that are there, those with the right count"),
        "count_error": metric(
            "mean difference from the right count, by kind that is there; not named counts as 0", False, "objects"
        ),
        **_OBJECT_METRICS,
    },
    ask=_ask_objects,
    judge=_judge_objects,
)


# --- attributes ---

Dress = tuple[Kind, Colour, Pattern]


def _ask_attributes(picture: Picture) -> tuple[Question, ...]:
    if not isinstance(picture, Scene):
        return ()
    prompt = (
        "Describe the colour and the pattern of every object, one line for each object, in the format 'object: colour "
        "pattern'. Patterns are solid, striped, dotted and checked; give the main colour only."
    )
    lines = [f"{one.kind}: {one.colour} {one.pattern}" for ones in by_kind(picture).values() for one in ones]
    return (Question(task="attributes", picture=picture, number=0, prompt=prompt, target="\n".join(lines)),)


def _matched(scene: Scene, mentions: Iterable[Mention]) -> tuple[int, int, int]:
    """Objects described rightly; descriptions; and those among them of objects that need none."""
    left = Counter((one.kind, one.colour, one.pattern) for one in scene.judged)
    spare = Counter((o.kind, o.colour, o.pattern) for o in scene.objects if o.box is not None and not o.judged)
    right = ignored = total = 0
    for mention in mentions:
        times = min(mention.count or 1, len(scene.objects))
        total += times
        for _ in range(times):
            if (key := _described(left, mention)) is not None:
                left[key] -= 1
                right += 1
            elif (key := _described(spare, mention)) is not None:
                spare[key] -= 1
                ignored += 1
    return right, total, ignored


def _described(pool: Counter[Dress], mention: Mention) -> Dress | None:
    """An object of `pool` that a mention describes in full; a pattern that is not stated is none."""
    for dress, left in pool.items():
        kind, colour, pattern = dress
        alike = left and kind is mention.kind and (mention.pattern or Pattern.SOLID) is pattern
        if alike and colour_fits(mention.colours, colour, pattern):
            return dress
    return None


def _judge_attributes(question: Question, answer: str) -> Judgement:
    scene, said = scene_of(question), read(answer)
    described = [mention for mention in said.things if mention.colours or mention.pattern]
    right, stated, ignored = _matched(scene, described)
    bare = len(said.things) - len(described)
    nothing = int(bool(answer.strip()) and not said.mentions)
    return Judgement(
        question=question,
        answer=answer,
        ratios={
            "attribute_f1": (2 * right, stated - ignored + len(scene.judged)),
            **bound_attributes(scene, said.things),
        },
        undecided=(bare + nothing, len(said.things) + nothing),
    )


ATTRIBUTES = Task(
    name="attributes",
    purpose="colours and patterns, bound to the right objects",
    subject=Subject.SCENE,
    main="attribute_f1",
    metrics={
        "attribute_f1": metric("2R / (S + K): R objects with the right kind, colour and pattern, S described, K there"),
        **_BINDING_METRICS,
    },
    ask=_ask_attributes,
    judge=_judge_attributes,
)
