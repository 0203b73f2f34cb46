"""From documents to rates, each with its interval; every interval counts documents, not fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.schema import FIELD_NAMES, LINE_ITEM_FIELDS, field
from harness.scoring.outcomes import NOT_JUDGED, OUTCOMES, Counts, DocumentScore
from harness.statistics import Estimate, ratio_interval_of

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

__all__ = ["RATES", "counts", "counts_by_field", "document_f1", "rates", "rates_by"]

_BITS = 8
"""Of a packed count: it goes to the number of fields."""

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


def _known(fields: Collection[str] | None) -> frozenset[str]:
    return frozenset(FIELD_NAMES if fields is None else (field(name).name for name in fields))


def counts(scores: Sequence[DocumentScore], fields: Collection[str] | None = None) -> Counts:
    """Add up the outcomes of all documents, over all judged fields or only those named."""
    known = _known(fields)
    return sum((found for name, found in counts_by_field(scores).items() if name in known), Counts())


def counts_by_field(scores: Sequence[DocumentScore]) -> Mapping[str, Counts]:
    """The same of each field of the schema."""
    every = b"".join([score.outcomes for score in scores])
    columns = {name: every[i :: len(FIELD_NAMES)] for i, name in enumerate(FIELD_NAMES)}
    return {name: Counts(*map(column.count, OUTCOMES.values())) for name, column in columns.items()}


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
    return rates_by(scores, {"": fields})[""]


def rates_by(
    scores: Sequence[DocumentScore], groups: Mapping[str, Collection[str] | None]
) -> Mapping[str, Mapping[str, Estimate]]:
    """`rates` over each of several sets of fields."""
    known = {name: _known(fields) for name, fields in groups.items()}
    table = _Table.of(scores)
    parsed = _ratios((score.parsable, 1) for score in scores)
    items = {name: _ratios(ratios) for name, ratios in _line_items(scores).items()}
    none = {name: _ratios(()) for name in items}
    found: dict[str, Mapping[str, Estimate]] = {}
    for name, fields in known.items():
        tallies = table.tallies(fields)
        found[name] = {
            **{rate: _tallied(ratio, tallies) for rate, ratio in _COUNT_RATES.items()},
            "parse_rate": parsed,
            "anls": _ratios(table.similarities(fields)),
            **(items if fields.issuperset(LINE_ITEM_FIELDS) else none),
        }
    return found


def _ratios(ratios: Iterable[Ratio]) -> Estimate:
    return ratio_interval_of(Counter(ratios))


def _tallied(ratio: Callable[[Counts], Ratio], tallies: Mapping[Counts, int]) -> Estimate:
    pairs: dict[Ratio, int] = {}
    for tally, times in tallies.items():
        pair = ratio(tally)
        pairs[pair] = pairs.get(pair, 0) + times
    return ratio_interval_of(pairs)


def _line_items(scores: Sequence[DocumentScore]) -> Mapping[str, Iterable[Ratio]]:
    items = [score.line_items for score in scores if score.line_items is not None]
    return {
        "line_item_f1": [(i.cells_correct, (i.cells_truth + i.cells_answer) / 2) for i in items],
        "line_item_row_exact": [(i.rows_exact, (i.rows_truth + i.rows_answer) / 2) for i in items],
        "line_item_order": [(i.in_order, 1) for i in items if i.rows_matched > 1],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """Scores as arrays, a row for each document and a column for each field of the schema."""

    outcomes: NDArray[numpy.uint8]
    soft: NDArray[numpy.float64]
    order: Sequence[str]
    """Fields as the truth lists them: the order in which similarities add up."""

    @classmethod
    def of(cls, scores: Sequence[DocumentScore]) -> _Table:
        import numpy

        outcomes = numpy.frombuffer(b"".join([s.outcomes for s in scores]), numpy.uint8)
        soft = numpy.frombuffer(b"".join([s.similarities for s in scores]), numpy.float64)
        shape, first = (len(scores), len(FIELD_NAMES)), scores[0].fields if scores else ()
        order = [*first, *(name for name in FIELD_NAMES if name not in first)]
        return cls(outcomes=outcomes.reshape(shape), soft=soft.reshape(shape), order=order)

    def _columns(self, fields: Collection[str]) -> Sequence[int]:
        return [FIELD_NAMES.index(name) for name in self.order if name in fields]

    def tallies(self, fields: Collection[str]) -> Mapping[Counts, int]:
        """The counts of outcomes over some fields, and how many documents have each."""
        import numpy

        places = numpy.array([*(1 << _BITS * i for i in range(NOT_JUDGED)), 0])
        packed = places[self.outcomes[:, self._columns(fields)]].sum(axis=1)
        values, times = numpy.unique(packed, return_counts=True)
        mask = (1 << _BITS) - 1
        return {
            Counts(*(value >> _BITS * i & mask for i in range(NOT_JUDGED))): n
            for value, n in zip(values.tolist(), times.tolist(), strict=True)
        }

    def similarities(self, fields: Collection[str]) -> Iterable[Ratio]:
        """By document, the summed similarity over some fields, and of how many."""
        import numpy

        total, number = numpy.zeros(len(self.soft)), numpy.zeros(len(self.soft), int)
        for column in self._columns(fields):
            known = ~numpy.isnan(self.soft[:, column])
            total += numpy.where(known, self.soft[:, column], 0.0)
            number += known
        return zip(total.tolist(), number.tolist(), strict=True)


def document_f1(score: DocumentScore) -> float | None:
    """F1 over the judged fields of one document, the unit of paired tests; None without truth or value."""
    correct, weight = _COUNT_RATES["f1"](score.counts)
    return correct / weight if weight else None
