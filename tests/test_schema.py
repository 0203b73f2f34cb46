"""The schema and the prompt made from it."""

import pytest

from harness.errors import UnknownNameError
from harness.prompts import prompt
from harness.responses import parse_response
from harness.schema import FIELDS, Category, field

CATEGORIES = {
    Category.IDENTIFICATION: "DOCUMENT_TYPE ABN",
    Category.BUSINESS: "SUPPLIER BUSINESS_ADDRESS BUSINESS_PHONE SUPPLIER_WEBSITE",
    Category.PAYER: "PAYER_NAME PAYER_ADDRESS PAYER_PHONE PAYER_EMAIL",
    Category.DATES: "INVOICE_DATE DUE_DATE STATEMENT_PERIOD",
    Category.AMOUNTS: "GST TOTAL SUBTOTAL OPENING_BALANCE CLOSING_BALANCE",
    Category.LINE_ITEMS: "QUANTITIES PRICES DESCRIPTIONS",
    Category.BANKING: "BANK_NAME BSB_NUMBER BANK_ACCOUNT_NUMBER ACCOUNT_HOLDER",
}


def test_twenty_five_fields_in_seven_categories():
    assert len(FIELDS) == 25
    found = {c: {f.name for f in FIELDS.values() if f.category is c} for c in Category}
    assert found == {c: set(names.split()) for c, names in CATEGORIES.items()}


def test_an_unknown_field_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean BSB_NUMBER"):
        field("BSB_NUMBERS")


def test_the_prompt_names_every_field_once_and_is_itself_no_answer():
    text = prompt().text
    for name, known in FIELDS.items():
        assert text.count(f"\n{name}: [{known.description}]") == 1
    assert parse_response(text).fields == {}, "a model that echoes the prompt has answered nothing"


def test_the_fingerprint_is_pinned():
    """A changed prompt makes runs incomparable: change this line knowingly."""
    assert prompt().fingerprint == "06f52b4d1cde"


def test_an_unknown_prompt_is_named():
    with pytest.raises(UnknownNameError, match="unknown prompt 'keyvalue'; did you mean key-value"):
        prompt("keyvalue")
