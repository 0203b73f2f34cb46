"""Simulated runs of a gate: documents drawn from a pool of outcomes, with noise and planted mistakes.

The pool has the documents of the bundled corpus, the fields that each of them prints, and mistakes as frequent as a
good reader makes there: five documents of six are perfect. F1 of a document is therefore discrete, and mostly 1.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from fixtures.options import BUNDLED_CORPUS
from harness.documents.truth import read_truth
from harness.gates import Verdict
from harness.regression.gate import Margins
from harness.regression.latency import judge_ratios
from harness.regression.quality import ScoredDocument, judge_quality
from harness.scoring import Outcome

Outcomes = Mapping[str, Outcome]
PRINTED = (Outcome.CORRECT, Outcome.WRONG, Outcome.OMITTED)
ONE_FIELD = "TOTAL"
"""Of the fields that most documents print."""


class Drop(StrEnum):
    """How a true drop is spread."""

    NONE = "nothing changed"
    DIFFUSE = "every field a little"
    FIELD = "one field"
    EMPTY = "whole documents unreadable"
    MISREAD = "whole documents misread"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    drop: Drop
    n: int
    noise: float = 0.0
    """Share of the fields that read wrong in one of two runs of the same, on either side."""
    swap: float = 0.0
    """Share of the documents misread on either side, each its own: another model that is as good."""
    points: float = 2.0
    """The true drop of mean document F1."""
    repeats: int = 1
    """Runs of the baseline."""


def pool(perfect: float = 5 / 6, seed: int = 0) -> Sequence[Outcomes]:
    """Outcomes of every bundled document; those that are not `perfect` have one mistake or two."""
    random = Random(seed)
    found = []
    for row in read_truth(BUNDLED_CORPUS / "ground_truth.csv"):
        outcomes = {f: Outcome.ABSENT if v is None else Outcome.CORRECT for f, v in row.fields.items()}
        if random.random() >= perfect:
            for field in random.sample(sorted(outcomes), random.choice((1, 1, 1, 2, 2))):
                outcomes[field] = _mistake(outcomes[field], random)
        found.append(outcomes)
    return found


def _mistake(was: Outcome, random: Random) -> Outcome:
    """What a right field turns into; a wrong one stays as it is."""
    if was is Outcome.CORRECT:
        return Outcome.WRONG if random.random() < 0.7 else Outcome.OMITTED
    return Outcome.HALLUCINATED if was is Outcome.ABSENT else was


def f1(outcomes: Outcomes) -> float | None:
    """2C / (2C + 2W + O + H)."""
    told = list(outcomes.values())
    correct, rest = 2 * told.count(Outcome.CORRECT), 2 * told.count(Outcome.WRONG) + told.count(Outcome.OMITTED)
    whole = correct + rest + told.count(Outcome.HALLUCINATED)
    return correct / whole if whole else None


def document(outcomes: Outcomes, fault: str | None = None) -> ScoredDocument:
    return ScoredDocument(f1=f1(outcomes), outcomes=outcomes, fault=fault)


def _spoilt(outcomes: Outcomes, share: float, random: Random) -> Outcomes:
    """Each printed field wrong with a chance, and each absent one invented with a tenth of it."""
    if not share:
        return outcomes
    fields, hit, at = list(outcomes), {}, -1
    while True:  # the gaps between the fields hit are geometric
        at += 1 + int(math.log(1 - random.random()) / math.log1p(-share))
        if at >= len(fields):
            return {**outcomes, **hit} if hit else outcomes
        was = outcomes[fields[at]]
        if was in PRINTED or random.random() < 0.1:
            hit[fields[at]] = _mistake(was, random)


def _misread(outcomes: Outcomes) -> Outcomes:
    return {f: Outcome.WRONG if o in PRINTED else o for f, o in outcomes.items()}


def _noisy(outcomes: Outcomes, row: Row, random: Random) -> Outcomes:
    """One run of it: noise falls on few documents, as hard pages have several fields that waver."""
    if row.swap and random.random() < row.swap:
        return _misread(outcomes)
    if not row.noise:
        return outcomes
    hardness = random.expovariate(1.0) ** 2 / 2  # mean 1, most far below
    return _spoilt(outcomes, min(0.5, row.noise / 2 * hardness), random)


def shares(documents: Sequence[Outcomes], row: Row) -> float:
    """The chance with which the planted mistake must befall its unit, so that mean F1 truly drops by `points`.

    Solved on the pool, by the expected drop of one mistake.
    """
    target = row.points / 100
    scores = [score for outcomes in documents if (score := f1(outcomes)) is not None]
    mean = sum(scores) / len(scores)
    if row.drop in (Drop.EMPTY, Drop.MISREAD):
        return target / mean
    if row.drop is Drop.FIELD:
        lost = [
            (f1(o) or 0.0) - (f1({**o, ONE_FIELD: Outcome.WRONG}) or 0.0)
            for o in documents
            if o.get(ONE_FIELD) is Outcome.CORRECT
        ]
        return target * len(documents) / sum(lost)
    low, high = 0.0, 0.2
    for _ in range(12):  # bisection: mistakes overlap, and an omitted field weighs half a wrong one
        middle, random = (low + high) / 2, Random(0)
        drop = mean - sum(f1(_spoilt(o, middle, random)) or 0.0 for o in documents for _ in range(20)) / (
            20 * len(documents)
        )
        low, high = (middle, high) if drop < target else (low, middle)
    return (low + high) / 2


def planted(outcomes: Outcomes, drop: Drop, share: float, random: Random) -> tuple[Outcomes, str | None]:
    if drop is Drop.DIFFUSE:
        return _spoilt(outcomes, share, random), None
    if drop is Drop.NONE or random.random() >= share:
        return outcomes, None
    if drop is Drop.FIELD:
        return (
            {**outcomes, ONE_FIELD: Outcome.WRONG} if outcomes.get(ONE_FIELD) is Outcome.CORRECT else outcomes
        ), None
    if drop is Drop.MISREAD:
        return _misread(outcomes), None
    empty = {f: Outcome.OMITTED if o in PRINTED else Outcome.UNANSWERED for f, o in outcomes.items()}
    return empty, "unparsable"


def quality_row(row: Row, runs: int, seed: int, documents: Sequence[Outcomes] | None = None) -> Counter[Verdict]:
    """Verdicts of `runs` comparisons, each on `n` documents drawn anew from the pool, with replacement."""
    documents = pool() if documents is None else documents
    share = 0.0 if row.drop is Drop.NONE else shares(documents, row)
    random, margins, found = Random(seed), Margins(), Counter[Verdict]()
    unchanged, names = {id(o): document(o) for o in documents}, [f"{i:03}" for i in range(row.n)]

    def read(outcomes: Outcomes, fault: str | None = None) -> ScoredDocument:
        noisy = _noisy(outcomes, row, random)
        return unchanged.get(id(noisy)) or document(noisy, fault)

    for _ in range(runs):
        drawn = random.choices(documents, k=row.n)
        baseline = [dict(zip(names, map(read, drawn), strict=True)) for _ in range(row.repeats)]
        changed = (planted(outcomes, row.drop, share, random) for outcomes in drawn)
        current = {name: read(*one) for name, one in zip(names, changed, strict=True)}
        found[judge_quality("simulated", [current], baseline, margins).verdict] += 1
    return found


def latency_row(slowdown: float, n: int, spread: float, runs: int, seed: int, drift: float = 0.0) -> Counter[Verdict]:
    """Verdicts of `runs` comparisons of times that vary by `spread` (sd of a time's logarithm) from run to run.

    `drift` is the sd of what shifts all times of a run together, such as a busy neighbour. Documents differ in size by
    far more than all this; pairing takes that out.
    """
    random, found = Random(seed), Counter[Verdict]()
    for _ in range(runs):
        shift = random.gauss(0, drift * math.sqrt(2)) + math.log1p(slowdown)
        ratios = [random.gauss(shift, spread * math.sqrt(2)) for _ in range(n)]
        found[judge_ratios("simulated", ratios, Margins()).verdict] += 1
    return found


def rate(found: Counter[Verdict], verdict: Verdict) -> float:
    return found[verdict] / found.total()
