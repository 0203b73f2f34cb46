"""Scoring one document: an outcome for every judged field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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


def _with_other_field(scores: Mapping[str, FieldScore], present: Mapping[str, str]) -> dict[str, FieldScore]:
    """Mark wrong and invented values that are the truth of another field, unless a nearer cause is known.

    That is: the same words as any other field, or an equal value of another field of its kind.
    """
    marked = dict(scores)
    suspects = [
        (score, score.answer)
        for score in scores.values()
        if score.answer is not None and score.outcome is not Outcome.CORRECT and score.error not in _NEARER
    ]
    if not suspects:
        return marked
    words: dict[str, set[str]] = {}
    peers: dict[Kind, list[str]] = {}
    for name, truth in present.items():
        words.setdefault(fold_text(truth), set()).add(name)
        peers.setdefault(field(name).kind, []).append(name)
    for score, answer in suspects:
        folded, kind = fold_text(answer), field(score.field).kind
        same_words = folded and words.get(folded, set()) - {score.field}
        if same_words or any(
            name != score.field and compare_readings(kind, present[name], answer) is None
            for name in peers.get(kind, ())
        ):
            marked[score.field] = replace(score, error=ErrorClass.OTHER_FIELD)
    return marked


def score_document(document: str, truth: Mapping[str, str | None], response: ParsedResponse) -> DocumentScore:
    """Score one response against the truth of one document.

    `truth` holds the judged fields only, with None where the document does not carry the field. In
    `response.fields` a value is an answer, None is an explicit absence, and a missing key is no answer. A
    response that is not parsable answers nothing: its fields are omitted or unanswered, never correctly
    absent. Whether a text means absence is for the parser of responses to say; here every string is a value.
    Raises UnknownNameError for a truth outside the schema.
    """
    judged = {name: None if value is None or is_absent_in_truth(value) else value for name, value in truth.items()}
    answers: Mapping[str, str | None] = response.fields if response.parsable else {}
    scores: dict[str, FieldScore] = {}
    for name, value in judged.items():
        field(name)
        scores[name] = _score_field(name, value, name in answers, answers.get(name))
    present = {name: value for name, value in judged.items() if value is not None}
    return DocumentScore(
        document=document,
        fields=_with_other_field(scores, present),
        line_items=score_line_items(judged, answers),
        diagnostics=diagnose(answers),
        parsable=response.parsable,
        notes=tuple(
            ": ".join(part for part in (note.kind, note.field, note.detail) if part) for note in response.notes
        ),
    )
