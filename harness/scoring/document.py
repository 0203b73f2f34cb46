"""Scoring one document: an outcome for every judged field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.schema import Kind, field, is_absent_in_truth
from harness.scoring.comparison import compare, compare_readings
from harness.scoring.diagnostics import diagnose
from harness.scoring.line_items import score_line_items
from harness.scoring.outcomes import DocumentScore, ErrorClass, FieldScore, Outcome
from harness.scoring.text import fold_text

if TYPE_CHECKING:
    from harness.responses import ParsedResponse

__all__ = ["score_document"]

_NEARER = (ErrorClass.DAY_MONTH_SWAP, ErrorClass.SIGN, ErrorClass.ITEM_COUNT, ErrorClass.ITEM_ORDER)
"""Causes that say more than that the value belongs to another field."""


@lru_cache(maxsize=4096)
def _score_field(name: str, truth: str | None, given: bool, answer: str | None) -> FieldScore:
    """Outcome of one field; `given` is whether the response speaks of it at all."""
    if truth is None and answer is not None:
        return FieldScore(field=name, outcome=Outcome.HALLUCINATED, truth=None, answer=answer)
    if truth is None:
        outcome = Outcome.ABSENT if given else Outcome.UNANSWERED
        return FieldScore(field=name, outcome=outcome, truth=None, answer=None)
    if answer is None:
        return FieldScore(field=name, outcome=Outcome.OMITTED, truth=truth, answer=None, similarity=0.0)
    result = compare(name, truth, answer)
    return FieldScore(
        field=name,
        outcome=Outcome.CORRECT if result.equal else Outcome.WRONG,
        truth=truth,
        answer=answer,
        similarity=result.similarity,
        error=result.error,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Truth:
    """What every answer about a document is compared with."""

    judged: Mapping[str, str | None]
    present: Mapping[str, str]
    """Fields that the document carries."""
    words: Mapping[str, Set[str]]
    """Of those, the names by their folded text."""
    peers: Mapping[Kind, Sequence[str]]
    """Likewise by kind."""

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, told: tuple[tuple[str, str | None], ...]) -> _Truth:
        """The truth as `items` of a mapping. Raises UnknownNameError for a field outside the schema."""
        judged = {name: None if value is None or is_absent_in_truth(value) else value for name, value in told}
        words: dict[str, set[str]] = {}
        peers: dict[Kind, list[str]] = {}
        present = {}
        for name, value in judged.items():
            kind = field(name).kind
            if value is not None:
                present[name] = value
                words.setdefault(fold_text(value), set()).add(name)
                peers.setdefault(kind, []).append(name)
        return cls(judged=judged, present=present, words=words, peers=peers)


def _with_other_field(scores: dict[str, FieldScore], truth: _Truth) -> dict[str, FieldScore]:
    """Mark wrong and invented values that are the truth of another field, unless a nearer cause is known.

    That is: the same words as any other field, or an equal value of another field of its kind.
    """
    marked = {}
    for score in scores.values():
        answer = score.answer
        if answer is None or score.outcome is Outcome.CORRECT or score.error in _NEARER:
            continue
        folded, kind = fold_text(answer), field(score.field).kind
        same_words = folded and truth.words.get(folded, set()) - {score.field}
        if same_words or any(
            name != score.field and compare_readings(kind, truth.present[name], answer) is None
            for name in truth.peers.get(kind, ())
        ):
            marked[score.field] = replace(score, error=ErrorClass.OTHER_FIELD)
    return scores | marked


def score_document(document: str, truth: Mapping[str, str | None], response: ParsedResponse) -> DocumentScore:
    """Score one response against the truth of one document.

    `truth` holds the judged fields only, with None where the document does not carry the field. In
    `response.fields` a value is an answer, None is an explicit absence, and a missing key is no answer. A
    response that is not parsable answers nothing: its fields are omitted or unanswered, never correctly
    absent. Whether a text means absence is for the parser of responses to say; here every string is a value.
    Raises UnknownNameError for a truth outside the schema.
    """
    known = _Truth.of(tuple(truth.items()))
    answers: Mapping[str, str | None] = response.fields if response.parsable else {}
    scores = {
        name: _score_field(name, value, name in answers, answers.get(name)) for name, value in known.judged.items()
    }
    return DocumentScore(
        document=document,
        fields=_with_other_field(scores, known),
        line_items=score_line_items(known.judged, answers),
        diagnostics=diagnose(answers),
        parsable=response.parsable,
        notes=tuple(
            ": ".join(part for part in (note.kind, note.field, note.detail) if part) for note in response.notes
        ),
    )
