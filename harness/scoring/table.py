"""The scores of many documents as arrays: what every rate, count and test over them is computed from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from harness.schema import FIELD_NAMES, LINE_ITEM_FIELDS, field
from harness.scoring.outcomes import NOT_JUDGED, OUTCOMES, TOTALS, Counts, DocumentScore
from harness.statistics import Estimate, ratio_interval_of

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

__all__ = ["COUNT_RATES", "RATES", "ScoreTable"]

COUNT_RATES: Mapping[str, Callable[[Any], tuple[Any, Any]]] = MappingProxyType(
    {
        "precision": lambda c: (c.correct, c.correct + c.wrong + c.hallucinated),
        "recall": lambda c: (c.correct, c.correct + c.wrong + c.omitted),
        "f1": lambda c: (c.correct, c.correct + c.wrong + (c.omitted + c.hallucinated) / 2),
        "accuracy": lambda c: (c.correct + c.absent, c.judged),
        "floor_accuracy": lambda c: (c.hallucinated + c.absent + c.unanswered, c.judged),
        "hallucination_rate": lambda c: (c.hallucinated, c.hallucinated + c.absent),
        "omission_rate": lambda c: (c.omitted, c.correct + c.wrong + c.omitted),
        "value_rate": lambda c: (c.correct + c.wrong + c.hallucinated, c.judged),
    }
)
"""Numerator and denominator of the rates that counts of outcomes tell: of `Counts`, or of `Counts` of arrays."""

_ITEM_RATES = ("line_item_f1", "line_item_row_exact", "line_item_order")

RATES: tuple[str, ...] = (*COUNT_RATES, "parse_rate", "anls", *_ITEM_RATES)
"""The names of all rates, in order."""

_BITS = 8
"""Of a packed count: it goes to the number of fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """Scores as arrays, a row for each document; of the fields of the schema, a column for each."""

    outcomes: NDArray[numpy.uint8]
    similarities: NDArray[numpy.float64]
    """NaN where there is none."""
    totals: NDArray[numpy.int32]
    """A column for each of `TOTALS`."""
    order: Sequence[str]
    """Fields as the truth lists them: the order in which similarities add up."""

    @classmethod
    def of(cls, scores: Sequence[DocumentScore]) -> ScoreTable:
        """The table of documents, in their order."""
        import numpy

        def column(parts: Iterable[bytes], kind: type, width: int) -> NDArray[Any]:
            return numpy.frombuffer(b"".join(parts), kind).reshape(len(scores), width)

        first = scores[0].fields if scores else ()
        return cls(
            outcomes=column([s.outcomes for s in scores], numpy.uint8, len(FIELD_NAMES)),
            similarities=column([s.similarities for s in scores], numpy.float64, len(FIELD_NAMES)),
            totals=column([s.totals for s in scores], numpy.int32, len(TOTALS)),
            order=[*first, *(name for name in FIELD_NAMES if name not in first)],
        )

    def __len__(self) -> int:
        """Documents."""
        return len(self.outcomes)

    def rows(self, chosen: Sequence[int]) -> ScoreTable:
        """The same of some documents, by their row."""
        return ScoreTable(
            outcomes=self.outcomes[chosen],
            similarities=self.similarities[chosen],
            totals=self.totals[chosen],
            order=self.order,
        )

    def _columns(self, fields: Collection[str]) -> Sequence[int]:
        return [FIELD_NAMES.index(name) for name in self.order if name in fields]

    def counts(self, fields: Collection[str] | None = None) -> Counts:
        """The outcomes of all documents, over all judged fields or only those named."""
        import numpy

        part = self.outcomes if fields is None else self.outcomes[:, self._columns(_known(fields))]
        return Counts(*numpy.bincount(part.ravel(), minlength=NOT_JUDGED).tolist()[:NOT_JUDGED])

    def rates(self, fields: Collection[str] | None = None) -> Mapping[str, Estimate]:
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
        return self.rates_by({"": fields})[""]

    def rates_by(self, groups: Mapping[str, Collection[str] | None]) -> Mapping[str, Mapping[str, Estimate]]:
        """`rates` over each of several sets of fields."""
        known = {name: _known(fields) for name, fields in groups.items()}
        parsable = self._total("parsable")
        parsed = _estimate(parsable, parsable * 0 + 1)
        items, none = self._item_rates(), dict.fromkeys(_ITEM_RATES, ratio_interval_of({}))
        found: dict[str, Mapping[str, Estimate]] = {}
        for name, fields in known.items():
            tallies = self._tallies(fields)
            found[name] = {
                **{rate: _tallied(ratio, tallies) for rate, ratio in COUNT_RATES.items()},
                "parse_rate": parsed,
                "anls": _estimate(*self._similarity(fields)),
                **(items if fields.issuperset(LINE_ITEM_FIELDS) else none),
            }
        return found

    def by_document(self, rate: str) -> NDArray[numpy.float64]:
        """`f1`, `precision` or `line_item_f1` of each document; NaN where nothing is in the denominator."""
        import numpy

        if rate == "line_item_f1":
            part, whole = self._total("cells_correct"), (self._total("cells_truth") + self._total("cells_answer")) / 2
        else:
            part, whole = COUNT_RATES[rate](self._document_counts())
        found: NDArray[numpy.float64] = numpy.full(len(self), numpy.nan)
        return numpy.divide(part, whole, out=found, where=whole > 0)

    def above_floor(self) -> NDArray[numpy.float64]:
        """Of each document with a judged field, accuracy minus floor: (C + A) - (A + H + U), over the judged fields."""
        c = self._document_counts()
        judged = c.judged > 0
        found: NDArray[numpy.float64] = (c.correct - c.hallucinated - c.unanswered)[judged] / c.judged[judged]
        return found

    def _total(self, name: str) -> NDArray[numpy.int32]:
        return self.totals[:, TOTALS.index(name)]

    def _document_counts(self) -> Any:
        """`Counts` whose numbers are arrays, an entry for each document."""
        return Counts(*((self.outcomes == number).sum(axis=1) for number in OUTCOMES.values()))

    def _tallies(self, fields: Collection[str]) -> Mapping[Counts, int]:
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

    def _similarity(self, fields: Collection[str]) -> tuple[NDArray[numpy.float64], NDArray[numpy.int64]]:
        """By document, the summed similarity over some fields, and of how many."""
        import numpy

        total, number = numpy.zeros(len(self)), numpy.zeros(len(self), int)
        for column in self._columns(fields):
            known = ~numpy.isnan(self.similarities[:, column])
            total += numpy.where(known, self.similarities[:, column], 0.0)
            number += known
        return total, number

    def _item_rates(self) -> Mapping[str, Estimate]:
        matched, in_order = self._total("rows_matched") > 1, self._total("in_order")
        cells = (self._total("cells_truth") + self._total("cells_answer")) / 2
        rows = (self._total("rows_truth") + self._total("rows_answer")) / 2
        estimates = (
            _estimate(self._total("cells_correct"), cells),
            _estimate(self._total("rows_exact"), rows),
            _estimate(in_order[matched], in_order[matched] * 0 + 1),
        )
        return dict(zip(_ITEM_RATES, estimates, strict=True))


def _known(fields: Collection[str] | None) -> frozenset[str]:
    return frozenset(FIELD_NAMES if fields is None else (field(name).name for name in fields))


def _tallied(ratio: Callable[[Counts], tuple[Any, Any]], tallies: Mapping[Counts, int]) -> Estimate:
    pairs: dict[tuple[float, float], int] = {}
    for tally, times in tallies.items():
        pair = ratio(tally)
        pairs[pair] = pairs.get(pair, 0) + times
    return ratio_interval_of(pairs)


def _estimate(numerators: NDArray[Any], denominators: NDArray[Any]) -> Estimate:
    """The ratio of sums, of one numerator and denominator a document."""
    import numpy

    pairs: dict[tuple[float, float], int] = {}
    for denominator in numpy.unique(denominators).tolist():
        values, times = numpy.unique(numerators[denominators == denominator], return_counts=True)
        pairs.update(((value, denominator), n) for value, n in zip(values.tolist(), times.tolist(), strict=True))
    return ratio_interval_of(pairs)
