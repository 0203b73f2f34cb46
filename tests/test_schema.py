"""The schema and the prompts made from it."""

import os
from pathlib import Path

import pytest

from harness.errors import UnknownNameError
from harness.prompts import PROMPTS, category_fields, category_prompt_name, prompt
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


FINGERPRINTS = {
    "key-value": "06f52b4d1cde",
    "key-value/identification": "fa38d36b2ace",
    "key-value/business": "6f0df4ebca49",
    "key-value/payer": "c98d995b99c6",
    "key-value/dates": "065f1ccddd2b",
    "key-value/amounts": "16390a729689",
    "key-value/line-items": "1ecdd1847068",
    "key-value/banking": "e5ed5cc5b3cd",
}


def test_the_fingerprints_are_pinned():
    """A changed prompt makes runs incomparable, and checkpoints that were trained on it worse: change it knowingly."""
    assert {name: known.fingerprint for name, known in PROMPTS.items()} == FINGERPRINTS


def test_the_texts_of_the_prompts():
    """After a wanted change, look at the difference that DOCVLM_RENEW_SNAPSHOTS=1 makes to tests/snapshots."""
    path = Path(__file__).parent / "snapshots" / "prompts.txt"
    texts = "".join(f"=== {known.name} {known.fingerprint}\n{known.text}\n\n" for known in PROMPTS.values())
    if os.environ.get("DOCVLM_RENEW_SNAPSHOTS") == "1":
        path.write_text(texts, encoding="utf-8")
    assert texts == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("category", Category)
def test_a_category_prompt_has_the_same_instructions_and_only_its_fields(category):
    whole, part = prompt().text, prompt(category_prompt_name(category)).text
    instructions, lines = whole.split("\n\n")
    own = {known.name for known in category_fields(category)}
    kept = [line for line in lines.split("\n") if line.partition(":")[0] in own]
    assert part == "\n".join([instructions, "", *kept])
    assert own == set(CATEGORIES[category].split())
    assert parse_response(part).fields == {}


def test_an_unknown_prompt_is_named():
    with pytest.raises(UnknownNameError, match="unknown prompt 'keyvalue'; did you mean key-value"):
        prompt("keyvalue")
