"""Boxes around objects: read from whatever form they are given in, and matched with the true ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.scenes.model import Picture, Scene, SceneObject
from harness.scenes.tasks.describing import by_kind
from harness.scenes.tasks.naming import AMBIENT
from harness.scenes.tasks.reading_text import MAX_CHARACTERS, read
from harness.scenes.tasks.task import Judgement, Question, Subject, Task, metric, scene_of
from harness.scenes.vocabulary import Kind

__all__ = ["DETECTION", "SCALE", "GivenBox", "boxes_in", "intersection_over_union", "matching"]

SCALE = 1000
"""Boxes are given in thousandths of the picture's width and height."""
ENOUGH = 0.5
"""The intersection over union from which a box is found."""
_NUMBER = r"(?<![\w.])\d{1,6}(?:\.\d{1,9})?(?![\w])"
_KEY = r"[\"']?(?:[xy]\w{0,4}|left|top|right|bottom)[\"']?\s*[:=]"
_BETWEEN = rf"(?:[\s,;()\[\]|]|<[^<>\d]{{0,12}}>|{_KEY}){{1,8}}"
_BOX = re.compile(rf"{_NUMBER}(?:{_BETWEEN}{_NUMBER}){{3}}")
_DIGITS = re.compile(_NUMBER)
_MARKUP = re.compile(r"<[^<>]{0,20}>|[\"']\w{0,12}box\w{0,12}[\"']\s*:")
"""Tags and keys that say `box` and mean the form, not a thing."""

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBox:
    """A box that an answer gives, in thousandths: left, top, right, bottom; None of the kinds if it says none."""

    kind: Kind | None
    corners: Corners

    @property
    def proper(self) -> bool:
        """Whether it has an area within the picture."""
        left, top, right, bottom = self.corners
        return 0 <= left < right <= SCALE and 0 <= top < bottom <= SCALE


def _kind(text: str, last: bool) -> Kind | None:
    things = read(text).things
    return things[-1 if last else 0].kind if things else None


def boxes_in(text: str) -> tuple[GivenBox, ...]:
    """Boxes and their labels: four numbers in a row, in plain lines, brackets, tags or JSON; never raises.

    The label is what is named between the box before and this one or, if nothing is, between this one and the next.
    If all numbers are at most 1 and one is no whole number, they are shares of the picture.
    """
    text = text[:MAX_CHARACTERS]
    if "label" in text or "<" in text:
        text = _MARKUP.sub(" ", text)
    found = list(_BOX.finditer(text.casefold())) if text.isascii() else list(_BOX.finditer(text))
    rows = [[float(number) for number in _DIGITS.findall(match[0])[:4]] for match in found]
    shares = bool(rows) and all(n <= 1 for row in rows for n in row) and any(n % 1 for row in rows for n in row)
    boxes, end, labelled_before = [], 0, True
    for at, (match, row) in enumerate(zip(found, rows, strict=True)):
        following = text[match.end() : found[at + 1].start() if at + 1 < len(found) else len(text)]
        kind = _kind(text[end : match.start()], last=True) if labelled_before else None
        if kind is None and (at == 0 or not labelled_before):
            labelled_before = False
            kind = _kind(following, last=False)
        left, top, right, bottom = (n * SCALE if shares else n for n in row)
        boxes.append(GivenBox(kind=kind, corners=(left, top, right, bottom)))
        end = match.end()
    return tuple(boxes)


def intersection_over_union(a: Corners, b: Corners) -> float:
    """Of two boxes (left, top, right, bottom), in any unit; 0 where one has no area."""
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if across <= 0 or down <= 0:
        return 0.0
    both = across * down
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def matching(overlaps: Sequence[Sequence[float]], enough: float = ENOUGH) -> dict[int, int]:
    """Rows paired with columns, as many as possible, where the overlap is `enough` (Kuhn's augmenting paths)."""
    owner: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for column in sorted(range(len(overlaps[row])), key=lambda c: -overlaps[row][c]):
            if overlaps[row][column] < enough or column in tried:
                continue
            tried.add(column)
            if column not in owner or place(owner[column], tried):
                owner[column] = row
                return True
        return False

    for row in range(len(overlaps)):
        place(row, set())
    return {row: column for column, row in owner.items()}


def thousandths(scene: Scene, one: SceneObject) -> Corners | None:
    """The box around what can be seen of an object, in whole thousandths."""
    if one.box is None:
        return None
    left, top, right, bottom = one.box
    across, down = SCALE / scene.width, SCALE / scene.height
    return round(left * across), round(top * down), round(right * across), round(bottom * down)


def _ask(picture: Picture) -> tuple[Question, ...]:
    if not isinstance(picture, Scene):
        return ()
    prompt = (
        "Give a box around every object, one line for each, in the format 'object: left top right bottom', in whole "
        "numbers from 0 to 1000 of the picture's width and height."
    )
    rows = [(one, thousandths(picture, one)) for ones in by_kind(picture).values() for one in ones]
    lines = [f"{one.kind}: {' '.join(str(round(v)) for v in corners)}" for one, corners in rows if corners]
    return (Question(task="detection", picture=picture, number=0, prompt=prompt, target="\n".join(lines)),)


def _judge(question: Question, answer: str) -> Judgement:
    scene = scene_of(question)
    given = boxes_in(answer)
    must = [(one, box) for one in scene.judged if (box := thousandths(scene, one)) is not None]
    may = [one for one in scene.objects if one.box is not None and not one.judged]

    def overlap(box: GivenBox, one: SceneObject, corners: Corners) -> float:
        return intersection_over_union(box.corners, corners) if box.kind is one.kind and box.proper else 0.0

    overlaps = [[overlap(box, one, corners) for one, corners in must] for box in given]
    pairs = matching(overlaps)
    spare = {
        at
        for at, box in enumerate(given)
        if at not in pairs
        and (
            box.kind in AMBIENT.get(scene.setting, frozenset())
            or any(
                box.kind is one.kind and overlap(box, one, thousandths(scene, one) or (0, 0, 0, 0)) >= ENOUGH
                for one in may
            )
        )
    }
    unnamed = sum(box.kind is None for box in given)
    nothing = int(bool(answer.strip()) and not given)
    right, stated = len(pairs), len(given) - len(spare)
    return Judgement(
        question=question,
        answer=answer,
        ratios={
            "box_f1": (2 * right, stated + len(must)),
            "box_precision": (right, stated),
            "box_recall": (right, len(must)),
        },
        values={"matched_iou": sum(overlaps[r][c] for r, c in pairs.items()) / right} if right else {},
        undecided=(unnamed + nothing, len(given) + nothing),
    )


DETECTION = Task(
    name="detection",
    purpose="where the objects are",
    subject=Subject.SCENE,
    main="box_f1",
    metrics={
        "box_f1": metric("2R / (S + K): R boxes of the right kind with IoU >= 0.5, S boxes stated, K objects there"),
        "box_precision": metric("R / S: of the boxes stated, those found"),
        "box_recall": metric("R / K: of the objects there and not mostly hidden, those found"),
        "matched_iou": metric("mean intersection over union of the boxes found"),
    },
    ask=_ask,
    judge=_judge,
)
