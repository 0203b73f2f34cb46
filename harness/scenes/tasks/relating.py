"""How objects stand to each other: which of the relations that a text states are so."""

from __future__ import annotations

from collections.abc import Mapping

from harness.scenes.model import Picture, Relation, Scene
from harness.scenes.tasks.naming import AMBIENT, fitting, name_of
from harness.scenes.tasks.reading_text import Claim, read
from harness.scenes.tasks.task import Judgement, Question, Subject, Task, metric, scene_of
from harness.scenes.vocabulary import RelationKind

__all__ = ["ASKED", "SPATIAL", "holds"]

ASKED = 4
"""Relations that an answer should state, where there are so many."""
_TELLING: Mapping[RelationKind, int] = {
    RelationKind.INSIDE: 0,
    RelationKind.ON: 1,
    RelationKind.ABOVE: 2,
    RelationKind.IN_FRONT_OF: 3,
    RelationKind.LEFT_OF: 4,
}


def holds(scene: Scene, claim: Claim) -> bool | None:
    """Whether a claim is so; None where it is too vague, its margins too small, or it may mean several objects.

    A claim about a thing that is not in the picture is wrong.
    """
    ambient = AMBIENT.get(scene.setting, frozenset())
    subjects, targets = fitting(scene, claim.subject), fitting(scene, claim.target)
    if claim.kind is None:
        return None
    if (not subjects and claim.subject.kind in ambient) or (not targets and claim.target.kind in ambient):
        return None
    if not subjects or not targets:
        return False
    verdicts = {scene.related(a.number, claim.kind, b.number) for a in subjects for b in targets if a is not b}
    return verdicts.pop() if len(verdicts) == 1 else None


def _worth_stating(scene: Scene) -> list[tuple[str, Relation, str]]:
    """Relations between objects that have names of their own: what holds what first, then no pair of objects twice."""
    names = {one.number: name for one in scene.judged if (name := name_of(scene, one)) is not None}
    known = [r for r in scene.relations if r.subject in names and r.target in names]
    known.sort(key=lambda r: (_TELLING[r.kind], r.subject, r.target))
    found, pairs = [], set()
    for relation in known:
        pair = frozenset((relation.subject, relation.target))
        if pair not in pairs:
            pairs.add(pair)
            found.append((names[relation.subject], relation, names[relation.target]))
    return found


def _ask(picture: Picture) -> tuple[Question, ...]:
    if not isinstance(picture, Scene) or not (known := _worth_stating(picture)):
        return ()
    words = ", ".join(f"'{kind}'" for kind in RelationKind)
    count = min(ASKED, len(known))
    prompt = (
        f"State {count} spatial relation{'s' * (count > 1)} between the objects, each of another pair, one a line, "
        f"in the format 'object relation object'. Relations are {words} and their opposites. Where there are several "
        "objects of a kind, say the colour, as in 'red cup left of dog'."
    )
    lines = [f"{a} {relation.kind} {b}" for a, relation, b in known[:ASKED]]
    return (
        Question(
            task="spatial_relationships",
            picture=picture,
            number=0,
            prompt=prompt,
            target="\n".join(lines),
            about=(str(count),),
        ),
    )


def _judge(question: Question, answer: str) -> Judgement:
    scene, said = scene_of(question), read(answer)
    asked = int(question.about[0])
    claims = list(dict.fromkeys(said.claims))  # a relation stated twice is one relation
    verdicts = [holds(scene, claim) for claim in claims]
    pairs = {
        frozenset((claim.subject, claim.target)) for claim, verdict in zip(claims, verdicts, strict=True) if verdict
    }
    right, wrong = verdicts.count(True), verdicts.count(False)
    credited = min(len(pairs), asked)
    nothing = int(bool(answer.strip()) and not claims)
    return Judgement(
        question=question,
        answer=answer,
        ratios={
            "relation_f1": (2 * credited, credited + wrong + asked),
            "relation_accuracy": (right, right + wrong),
        },
        values={"relations_stated": len(claims)},
        undecided=(verdicts.count(None) + nothing, len(claims) + nothing),
    )


SPATIAL = Task(
    name="spatial_relationships",
    purpose="how objects stand to each other",
    subject=Subject.SCENE,
    main="relation_f1",
    metrics={
        "relation_f1": metric("2R / (R + W + K): R right of different pairs, at most K; W wrong; K asked for"),
        "relation_accuracy": metric("of the relations stated and decidable, those that are so"),
        "relations_stated": metric("relations stated, an answer", None, "relations"),
    },
    ask=_ask,
    judge=_judge,
)
