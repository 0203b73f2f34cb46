"""The 25 fields: name, kind (how values compare), category (how reports group them), description (what prompts say)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from harness.errors import unknown_name

__all__ = [
    "ABSENT",
    "FIELDS",
    "FIELD_NAMES",
    "LINE_ITEM_FIELDS",
    "LIST_SEPARATOR",
    "Category",
    "Field",
    "Kind",
    "field",
    "is_absent_in_truth",
]

ABSENT = "N/A"
"""How prompts ask for, and ground truth writes, a field that the document does not carry."""

LIST_SEPARATOR = " | "
"""Joins the entries of a list field in ground truth, prompts and responses."""


class Kind(StrEnum):
    """How a field's values are normalised and compared."""

    TEXT = "text"
    ADDRESS = "address"
    DOCUMENT_TYPE = "document_type"
    MONEY = "money"
    DATE = "date"
    PERIOD = "period"
    ABN = "abn"
    BSB = "bsb"
    ACCOUNT = "account"
    PHONE = "phone"
    EMAIL = "email"
    WEBSITE = "website"
    TEXT_LIST = "text_list"
    NUMBER_LIST = "number_list"
    MONEY_LIST = "money_list"


class Category(StrEnum):
    """The seven groups that partition the fields."""

    IDENTIFICATION = "identification"
    BUSINESS = "business"
    PAYER = "payer"
    DATES = "dates"
    AMOUNTS = "amounts"
    LINE_ITEMS = "line items"
    BANKING = "banking"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of the schema."""

    name: str
    kind: Kind
    category: Category
    description: str


def _fields() -> tuple[Field, ...]:
    rows = (
        (
            "DOCUMENT_TYPE",
            Kind.DOCUMENT_TYPE,
            Category.IDENTIFICATION,
            "type of document as titled, such as TAX INVOICE",
        ),
        ("SUPPLIER", Kind.TEXT, Category.BUSINESS, "business that issued the document"),
        ("ABN", Kind.ABN, Category.IDENTIFICATION, "Australian Business Number of the supplier, 11 digits"),
        ("PAYER_NAME", Kind.TEXT, Category.PAYER, "person or business that is billed"),
        ("PAYER_ADDRESS", Kind.ADDRESS, Category.PAYER, "address of the payer"),
        ("PAYER_PHONE", Kind.PHONE, Category.PAYER, "phone number of the payer"),
        ("PAYER_EMAIL", Kind.EMAIL, Category.PAYER, "email address of the payer"),
        ("INVOICE_DATE", Kind.DATE, Category.DATES, "date of issue or of the transaction"),
        ("DUE_DATE", Kind.DATE, Category.DATES, "date by which payment is due"),
        ("GST", Kind.MONEY, Category.AMOUNTS, "goods and services tax amount"),
        ("TOTAL", Kind.MONEY, Category.AMOUNTS, "total amount payable, tax included"),
        ("SUBTOTAL", Kind.MONEY, Category.AMOUNTS, "amount before tax"),
        ("SUPPLIER_WEBSITE", Kind.WEBSITE, Category.BUSINESS, "website of the supplier"),
        ("QUANTITIES", Kind.NUMBER_LIST, Category.LINE_ITEMS, "quantity of each line item, in order"),
        ("PRICES", Kind.MONEY_LIST, Category.LINE_ITEMS, "unit price of each line item, in order"),
        ("BUSINESS_ADDRESS", Kind.ADDRESS, Category.BUSINESS, "address of the supplier"),
        ("BUSINESS_PHONE", Kind.PHONE, Category.BUSINESS, "phone number of the supplier"),
        ("BANK_NAME", Kind.TEXT, Category.BANKING, "name of the bank"),
        ("BSB_NUMBER", Kind.BSB, Category.BANKING, "bank state branch number, 6 digits"),
        ("BANK_ACCOUNT_NUMBER", Kind.ACCOUNT, Category.BANKING, "bank account number"),
        ("ACCOUNT_HOLDER", Kind.TEXT, Category.BANKING, "name in which the account is held"),
        ("STATEMENT_PERIOD", Kind.PERIOD, Category.DATES, "first and last day of the statement"),
        ("OPENING_BALANCE", Kind.MONEY, Category.AMOUNTS, "balance at the start of the period"),
        ("CLOSING_BALANCE", Kind.MONEY, Category.AMOUNTS, "balance at the end of the period"),
        (
            "DESCRIPTIONS",
            Kind.TEXT_LIST,
            Category.LINE_ITEMS,
            "description of each line item or transaction, in order",
        ),
    )
    return tuple(Field(name=n, kind=k, category=c, description=d) for n, k, c, d in rows)


FIELDS: Mapping[str, Field] = MappingProxyType({f.name: f for f in _fields()})
"""The fields by name, in the order in which prompts and reports list them."""

FIELD_NAMES: tuple[str, ...] = tuple(FIELDS)

LINE_ITEM_FIELDS: tuple[str, ...] = ("DESCRIPTIONS", "QUANTITIES", "PRICES")
"""The columns of a line item; entry i of each belongs to item i."""

_ABSENT_IN_TRUTH = frozenset({"", "n/a", "not_found", "nan"})


def field(name: str) -> Field:
    """Return the field called `name`; raises UnknownNameError with the nearest names."""
    try:
        return FIELDS[name]
    except KeyError:
        raise unknown_name("field", name, FIELDS) from None


def is_absent_in_truth(text: str) -> bool:
    """Whether a ground-truth cell says that the document does not carry the field."""
    return text.strip().casefold() in _ABSENT_IN_TRUTH
