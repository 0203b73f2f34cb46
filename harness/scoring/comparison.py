"""Whether an answer says what the truth says, by kind, and if not, why."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import MappingProxyType

from harness.schema import Kind
from harness.schema import field as schema_field
from harness.scoring.amounts import Amount, parse_money, parse_quantity
from harness.scoring.dates import Period, is_day_month_swap, parse_date, parse_period
from harness.scoring.identifiers import (
    parse_abn,
    parse_account,
    parse_bsb,
    parse_email,
    parse_phone,
    parse_website,
)
from harness.scoring.outcomes import ErrorClass
from harness.scoring.similarity import anls
from harness.scoring.text import fold_text, squeeze

__all__ = ["LIST_KINDS", "Comparison", "Reading", "compare", "compare_readings", "entries", "is_readable", "read"]

Value = str | Amount | date | Period

LIST_KINDS: Mapping[Kind, Kind] = MappingProxyType(
    {Kind.TEXT_LIST: Kind.TEXT, Kind.NUMBER_LIST: Kind.NUMBER_LIST, Kind.MONEY_LIST: Kind.MONEY}
)
"""How one entry of each list kind compares; quantities have no kind of their own outside lists."""

_BAR = re.compile(r"\s*\|\s*")


def _parse_text(text: str) -> str | None:
    return fold_text(text) or None


_PARSERS: Mapping[Kind, Callable[[str], Value | None]] = MappingProxyType(
    {
        Kind.TEXT: _parse_text,
        Kind.ADDRESS: _parse_text,
        Kind.DOCUMENT_TYPE: _parse_text,
        Kind.MONEY: parse_money,
        Kind.DATE: parse_date,
        Kind.PERIOD: parse_period,
        Kind.ABN: parse_abn,
        Kind.BSB: parse_bsb,
        Kind.ACCOUNT: parse_account,
        Kind.PHONE: parse_phone,
        Kind.EMAIL: parse_email,
        Kind.WEBSITE: parse_website,
        Kind.NUMBER_LIST: parse_quantity,
    }
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One value as its kind reads it."""

    value: Value | None
    """None if the kind cannot read it."""
    text: str
    """Casefolded and whitespace-squeezed: what counts where the kind cannot read the value."""

    def agrees(self, other: Reading) -> bool:
        """Whether both say the same. What no parser can read agrees only with the same text."""
        mine, theirs = self.value, other.value
        if mine is None or theirs is None:
            return self.text == other.text
        if isinstance(mine, Amount):
            return isinstance(theirs, Amount) and mine.agrees(theirs)
        return mine == theirs


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict on one answer to one field that the document does carry."""

    equal: bool
    similarity: float
    """ANLS of the two strings, 0..1, whatever `equal` says."""
    error: ErrorClass | None
    """None if equal."""


@lru_cache(maxsize=16384)
def read(kind: Kind, text: str) -> Reading:
    """Read one value, or one entry of a list, by its kind."""
    return Reading(_PARSERS[kind](text), squeeze(text))


@lru_cache(maxsize=4096)
def entries(kind: Kind, text: str) -> tuple[Reading, ...]:
    """Read a list: entries parted by bars, spaced or not; one bar at either end is a table's border."""
    inner = text.strip().removeprefix("|").removesuffix("|").strip()
    return tuple(read(LIST_KINDS[kind], entry) for entry in _BAR.split(inner))


@lru_cache(maxsize=65536)  # reports ask of every truth, more than once
def is_readable(field: str, text: str) -> bool:
    """Whether the field's kind can read a value; one that it cannot is matched by the same text alone.

    Raises UnknownNameError for a field outside the schema.
    """
    kind = schema_field(field).kind
    found = entries(kind, text) if kind in LIST_KINDS else (read(kind, text),)
    return all(reading.value is not None for reading in found)


def _scalar_error(truth: Reading, answer: Reading) -> ErrorClass:
    match truth.value, answer.value:
        case _, None if truth.value is not None:
            return ErrorClass.FORMAT
        case Amount() as t, Amount() as a if t.value == -a.value and t.value != a.value:
            return ErrorClass.SIGN
        case date() as t, date() as a if is_day_month_swap(t, a):
            return ErrorClass.DAY_MONTH_SWAP
        case Period() as t, Period() as a:
            pairs = ((t.start, a.start), (t.end, a.end))
            if all(x == y or is_day_month_swap(x, y) for x, y in pairs):
                return ErrorClass.DAY_MONTH_SWAP
    return ErrorClass.VALUE


def _same_in_any_order(truth: Sequence[Reading], answer: Sequence[Reading]) -> bool:
    left = list(answer)
    for reading in truth:
        match = next((i for i, other in enumerate(left) if reading.agrees(other)), None)
        if match is None:
            return False
        del left[match]
    return not left


def _list_error(truth: Sequence[Reading], answer: Sequence[Reading]) -> ErrorClass | None:
    if len(truth) != len(answer):
        return ErrorClass.ITEM_COUNT
    wrong = [(t, a) for t, a in zip(truth, answer, strict=True) if not t.agrees(a)]
    if not wrong:
        return None
    if _same_in_any_order([t for t, _ in wrong], [a for _, a in wrong]):
        return ErrorClass.ITEM_ORDER
    return _scalar_error(*wrong[0])


def compare_readings(kind: Kind, truth: str, answer: str) -> ErrorClass | None:
    """Compare two values of a kind; None if they say the same, otherwise why not.

    Lists must have the same length and order, and every entry must be equal; the class of a list of the right
    length is that of its first wrong entry, unless the right entries merely stand in another order.
    """
    if kind in LIST_KINDS:
        return _list_error(entries(kind, truth), entries(kind, answer))
    t, a = read(kind, truth), read(kind, answer)
    return None if t.agrees(a) else _scalar_error(t, a)


def compare(field: str, truth: str, answer: str) -> Comparison:
    """Compare an answer with the truth of a field that the document carries.

    Both sides are read under the same strict rules of the field's kind; a truth that its own kind cannot read
    is matched only by the same text, case and spacing aside. Raises UnknownNameError for a field outside the
    schema.
    """
    error = compare_readings(schema_field(field).kind, truth, answer)
    return Comparison(equal=error is None, similarity=anls(truth, answer), error=error)
