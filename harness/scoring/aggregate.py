"""From documents to rates, each with its interval; every interval counts documents, not fields."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from harness.schema import LINE_ITEM_FIELDS, field
from harness.scoring.outcomes import Counts, DocumentScore
from harness.statistics import Estimate, ratio_interval

__all__ = ["RATES", "counts", "document_f1", "rates"]

Ratio = tuple[float, float]

_COUNT_RATES: Mapping[str, Callable[[Counts], Ratio]] = {
    "precision": lambda c: (c.correct, c.correct + c.wrong + c.hallucinated),
    "recall": lambda c: (c.correct, c.correct + c.wrong + c.omitted),
    "f1": lambda c: (c.correct, c.correct + c.wrong + (c.omitted + c.hallucinated) / 2),
    "accuracy": lambda c: (c.correct + c.absent, c.judged),
    "floor_accuracy": lambda c: (c.hallucinated + c.absent + c.unanswered, c.judged),
    "hallucination_rate": lambda c: (c.hallucinated, c.hallucinated + c.absent),
    "omission_rate": lambda c: (c.omitted, c.correct + c.wrong + c.omitted),
    "value_rate": lambda c: (c.correct + c.wrong + c.hallucinated, c.judged),
}

RATES: tuple[str, ...] = (
    *_COUNT_RATES,
    "parse_rate",
    "anls",
    "line_item_f1",
    "line_item_row_exact",
    "line_item_order",
)
"""The names that `rates` returns, in order."""


def _document_counts(score: DocumentScore, fields: Collection[str] | None) -> Counts:
    if fields is None:
        return score.counts
    return Counts.of(s.outcome for name, s in score.fields.items() if name in fields)


def _known(fields: Collection[str] | None) -> frozenset[str] | None:
    return None if fields is None else frozenset(field(name).name for name in fields)


def _ratios(ratios: Sequence[Ratio]) -> Estimate:
    return ratio_interval([n for n, _ in ratios], [d for _, d in ratios])


def _anls(score: DocumentScore, fields: Collection[str] | None) -> Ratio:
    soft = [
        s.similarity
        for name, s in score.fields.items()
        if s.similarity is not None and (fields is None or name in fields)
    ]
    return sum(soft), len(soft)


def _line_item_ratios(scores: Sequence[DocumentScore]) -> dict[str, list[Ratio]]:
    items = [score.line_items for score in scores if score.line_items is not None]
    return {
        "line_item_f1": [(i.cells_correct, (i.cells_truth + i.cells_answer) / 2) for i in items],
        "line_item_row_exact": [(i.rows_exact, (i.rows_truth + i.rows_answer) / 2) for i in items],
        "line_item_order": [(float(i.in_order), 1.0) for i in items if i.rows_matched > 1],
    }


def counts(scores: Sequence[DocumentScore], fields: Collection[str] | None = None) -> Counts:
    """Add up the outcomes of all documents, over all judged fields or only those named."""
    known = _known(fields)
    return sum((_document_counts(score, known) for score in scores), Counts())


def rates(scores: Sequence[DocumentScore], fields: Collection[str] | None = None) -> Mapping[str, Estimate]:
    """Every rate with its 95 % interval, clustered by document, over all judged fields or only those named.

    With C correct, W wrong, O omitted, H hallucinated, A correctly absent, U unanswered, summed over
    documents:

    - precision C/(C+W+H); recall C/(C+W+O); f1 2C/(2C+2W+O+H)
    - accuracy (C+A)/(C+W+O+H+A+U), beside floor_accuracy (H+A+U)/all: what answering N/A to everything would
      score
    - hallucination_rate H/(H+A): of the absent fields that were answered, those with a value; omission_rate
      O/(C+W+O)
    - value_rate (C+W+H)/all: the share of judged fields with any value; never an accuracy
    - parse_rate: the share of documents whose response could be parsed, whatever `fields` says
    - anls: mean string similarity over fields whose truth is present, 0 where omitted
    - line_item_f1: cells equal in aligned rows, over the mean of cells in truth and answer;
      line_item_row_exact: the same for whole rows; line_item_order: of the documents with two or more matched
      rows, those that keep the truth's order. The three have no value when `fields` leaves out one of the
      three columns.

    An estimate's n is the number of documents with anything in the denominator; its value is None if there is
    none. Raises UnknownNameError for a field outside the schema.
    """
    known = _known(fields)
    tallies = [_document_counts(score, known) for score in scores]
    found = {name: _ratios([ratio(tally) for tally in tallies]) for name, ratio in _COUNT_RATES.items()}
    found["parse_rate"] = _ratios([(float(score.parsable), 1.0) for score in scores])
    found["anls"] = _ratios([_anls(score, known) for score in scores])
    whole_rows = known is None or known.issuperset(LINE_ITEM_FIELDS)
    for name, ratios in _line_item_ratios(scores if whole_rows else ()).items():
        found[name] = _ratios(ratios)
    return found


def document_f1(score: DocumentScore) -> float | None:
    """F1 over the judged fields of one document, the unit of paired tests; None without truth or value."""
    correct, weight = _COUNT_RATES["f1"](score.counts)
    return correct / weight if weight else None
