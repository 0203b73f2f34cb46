"""What one document says, before it has a form: the truth, and the words around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from types import MappingProxyType
from typing import TypeVar

from harness.documents.synthesis.page import Value
from harness.documents.synthesis.parties import Address
from harness.schema import FIELD_NAMES, LIST_SEPARATOR

__all__ = ["DocumentKind", "Facts", "Item", "Row", "Trait", "Transaction", "address_value", "entries", "maybe"]

T = TypeVar("T")
Row = tuple[str, str]
"""A label and what stands beside it."""


class DocumentKind(StrEnum):
    """The three kinds of document."""

    RECEIPT = "receipt"
    INVOICE = "invoice"
    STATEMENT = "statement"


class Trait(StrEnum):
    """What a layout asks of its content."""

    PAYER = "payer"
    """Has a place for who paid."""
    NO_QUANTITIES = "no quantities"
    """Lists single things without saying how many."""
    FEW_ITEMS = "few items"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line item."""

    description: Value
    quantity: Value | None
    price: Value
    amount: str
    """Price times quantity; equal to the price where there is one of it."""
    mark: str = ""
    """`*` on the items that the footnote speaks of."""
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One row of a statement; `debit` or `credit` is empty."""

    date: str
    description: Value
    debit: str
    credit: str
    signed: str
    balance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The content of one document. Layouts print all of it; what is not here is not on the page."""

    kind: DocumentKind
    values: Mapping[str, Value]
    """Single-valued fields that the document carries."""
    labels: Mapping[str, str]
    """By field name, or by column (AMOUNT, DATE, DEBIT, CREDIT, BALANCE): how this document calls it."""
    items: Sequence[Item] = ()
    transactions: Sequence[Transaction] = ()
    extras: Mapping[str, Sequence[Row]] = field(default_factory=lambda: MappingProxyType({}))
    """Labelled text that belongs to no field, by place: `reference`, `payment`, `account`, `contact`, `summary`."""
    messages: Sequence[str] = ()
    footnote: str = ""
    """What the mark on items means."""

    def truth(self) -> dict[str, str | None]:
        """All 25 fields in schema order; None where the document does not carry the field."""
        found: dict[str, str | None] = {name: value.text for name, value in self.values.items()}
        found |= {name: LIST_SEPARATOR.join(texts) for name, texts in self.lists().items()}
        return {name: found.get(name) for name in FIELD_NAMES}

    def lists(self) -> dict[str, list[str]]:
        """Entries of the list fields that the document carries."""
        columns = {
            "DESCRIPTIONS": [i.description.text for i in self.items] + [t.description.text for t in self.transactions],
            "QUANTITIES": [i.quantity.text for i in self.items if i.quantity],
            "PRICES": [i.price.text for i in self.items],
        }
        return {name: texts for name, texts in columns.items() if texts}

    def get(self, *names: str) -> list[tuple[str, Value]]:
        """Label and value of those of the fields `names` that the document carries."""
        return [(self.labels.get(n, ""), self.values[n]) for n in names if n in self.values]


def address_value(name: str, address: Address) -> Value:
    """An address as the value of field `name`."""
    return Value(field=name, text=address.text, lines=address.lines)


def entries(values: Mapping[str, str | Address | None]) -> dict[str, Value]:
    """Values by field from plain text and addresses, leaving out what is None."""
    return {
        name: address_value(name, v) if isinstance(v, Address) else Value(field=name, text=v)
        for name, v in values.items()
        if v is not None
    }


def maybe(rng: Random, probability: float, value: T) -> T | None:
    """`value` with the given probability, otherwise None."""
    return value if rng.random() < probability else None
