"""What can happen to one field, and the counts and rates that follow from it."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from enum import StrEnum
from functools import lru_cache
from math import nan
from operator import attrgetter
from types import MappingProxyType

from harness.schema import FIELD_NAMES

__all__ = [
    "NOT_JUDGED",
    "OUTCOMES",
    "TOTALS",
    "Counts",
    "DocumentScore",
    "ErrorClass",
    "FieldScore",
    "LineItemScore",
    "Outcome",
]


class Outcome(StrEnum):
    """The five outcomes of a judged field, and the sixth that keeps a crash from earning points."""

    CORRECT = "correct"
    WRONG = "wrong"
    OMITTED = "omitted"
    """Truth present; nothing given, or said to be absent."""
    HALLUCINATED = "hallucinated"
    """Truth absent; a value given."""
    ABSENT = "absent"
    """Truth absent, and said to be absent: correctly absent."""
    UNANSWERED = "unanswered"
    """Truth absent, and the field not mentioned at all (or the response unusable): neither right nor invented."""


OUTCOMES: Mapping[Outcome, int] = MappingProxyType({outcome: number for number, outcome in enumerate(Outcome)})
"""The number of each outcome in `DocumentScore.outcomes`, in the order of the fields of `Counts`."""
NOT_JUDGED = len(OUTCOMES)


class ErrorClass(StrEnum):
    """Why a wrong value is wrong, where that can be told."""

    VALUE = "value"
    FORMAT = "format"
    """The answer cannot be read as the field's kind at all."""
    DAY_MONTH_SWAP = "day-month-swap"
    SIGN = "sign"
    OTHER_FIELD = "other-field"
    """The answer is the true value of another field of this document."""
    ITEM_COUNT = "item-count"
    ITEM_ORDER = "item-order"
    """The right entries in another order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldScore:
    """One judged field of one document."""

    field: str
    outcome: Outcome
    truth: str | None
    answer: str | None
    """As given; None for absent or missing."""
    similarity: float | None = None
    """ANLS in 0..1, the soft column; None where the truth is absent."""
    error: ErrorClass | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineItemScore:
    """DESCRIPTIONS, QUANTITIES and PRICES as aligned records (optimal assignment of rows)."""

    cells_correct: int
    cells_truth: int
    cells_answer: int
    rows_exact: int
    rows_truth: int
    rows_answer: int
    in_order: bool
    """Whether the matched rows keep the truth's order."""
    rows_matched: int = 0
    """Row pairs with at least one equal cell."""


TOTALS = (*LineItemScore.__dataclass_fields__, "parsable")
"""The numbers in `DocumentScore.totals`."""
_items = attrgetter(*LineItemScore.__dataclass_fields__)
_NO_LINE_ITEMS = (0,) * len(LineItemScore.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentScore:
    """One document: the unit of every interval and test."""

    document: str
    fields: Mapping[str, FieldScore]
    """Judged fields only."""
    line_items: LineItemScore | None
    diagnostics: Mapping[str, bool]
    """Checks that need no truth, such as `abn_checksum` or `gst_is_total_over_11`; only those that apply."""
    parsable: bool
    notes: Sequence[str] = ()
    outcomes: bytes = field(init=False, repr=False)
    """For adding up many documents: the outcome of each field of the schema by number, or NOT_JUDGED."""
    similarities: bytes = field(init=False, repr=False)
    """Likewise `similarity`, as floats; NaN where there is none."""
    totals: bytes = field(init=False, repr=False)
    """`TOTALS`, as integers; 0 where line items are not judged, so that they add nothing."""

    def __post_init__(self) -> None:
        every = [self.fields.get(name) for name in FIELD_NAMES]
        outcomes = bytes([NOT_JUDGED if score is None else OUTCOMES[score.outcome] for score in every])
        soft = [nan if score is None or score.similarity is None else score.similarity for score in every]
        object.__setattr__(self, "outcomes", outcomes)
        object.__setattr__(self, "similarities", array("d", soft).tobytes())
        items = _NO_LINE_ITEMS if self.line_items is None else _items(self.line_items)
        object.__setattr__(self, "totals", array("i", [*items, self.parsable]).tobytes())

    @property
    def counts(self) -> Counts:
        """Outcome counts over the judged fields."""
        return Counts.of(self.outcomes)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many fields ended in each outcome. Rates are None where nothing could have been counted."""

    correct: int = 0
    wrong: int = 0
    omitted: int = 0
    hallucinated: int = 0
    absent: int = 0
    unanswered: int = 0

    @staticmethod
    @lru_cache(maxsize=16384)
    def of(outcomes: bytes) -> Counts:
        """Count outcomes by number."""
        return Counts(*map(outcomes.count, OUTCOMES.values()))

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def judged(self) -> int:
        """All fields the ground truth speaks of."""
        return self.correct + self.wrong + self.omitted + self.hallucinated + self.absent + self.unanswered
