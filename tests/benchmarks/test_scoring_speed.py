"""Scoring must cost nothing beside reading a document: under 1 ms for 25 fields, whatever the answers are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import pytest

from harness.responses import ParsedResponse
from harness.scoring import Outcome, rates, score_document

CEILING_S = 1e-3

TRUTH: Mapping[str, str] = MappingProxyType(
    {
        "DOCUMENT_TYPE": "TAX INVOICE",
        "SUPPLIER": "Wattle & Sons Pty Ltd",
        "ABN": "51 824 753 556",
        "PAYER_NAME": "Jane Citizen",
        "PAYER_ADDRESS": "12-14 Main St, Carlton VIC 3053",
        "PAYER_PHONE": "(02) 5550 1234",
        "PAYER_EMAIL": "jane@example.com.au",
        "INVOICE_DATE": "05/09/2025",
        "DUE_DATE": "19/09/2025",
        "GST": "$10.00",
        "TOTAL": "$110.00",
        "SUBTOTAL": "$100.00",
        "SUPPLIER_WEBSITE": "www.example.com.au",
        "QUANTITIES": " | ".join("12341234"),
        "PRICES": " | ".join(f"${i}.50" for i in range(8)),
        "BUSINESS_ADDRESS": "1 High St, Kew VIC 3101",
        "BUSINESS_PHONE": "1300 975 707",
        "BANK_NAME": "Big Bank",
        "BSB_NUMBER": "062-000",
        "BANK_ACCOUNT_NUMBER": "00123456",
        "ACCOUNT_HOLDER": "Wattle & Sons",
        "STATEMENT_PERIOD": "1 Jul 2025 - 31 Jul 2025",
        "OPENING_BALANCE": "$1,000.00 CR",
        "CLOSING_BALANCE": "$50.00 DR",
        "DESCRIPTIONS": " | ".join(f"Item number {i}" for i in range(8)),
    }
)


def right(number: int) -> dict[str, str]:
    """The true values, spaced as never before, so that no cache knows them."""
    return {name: value + " " * (number + 1) for name, value in TRUTH.items()}


def wrong(number: int) -> dict[str, str]:
    """Values that are all wrong, and in no cache."""
    return {name: f"{value} {number}" for name, value in TRUTH.items()}


def shifted(number: int) -> dict[str, str]:
    """Right but for the first line item, which is missing, and one at the end, which is invented."""
    rows = {name: TRUTH[name].split(" | ")[1:] for name in ("DESCRIPTIONS", "QUANTITIES", "PRICES")}
    return {**TRUTH, **{name: " | ".join([*row, f"x{number}"]) for name, row in rows.items()}}


@pytest.mark.parametrize(("answers", "correct"), [(right, 25), (wrong, 0), (shifted, 22)])
def test_one_document_costs_under_a_millisecond(
    benchmark, answers: Callable[[int], dict[str, str]], correct: int
) -> None:
    numbers = itertools.count()

    def fresh() -> tuple[tuple[str, Mapping[str, str], ParsedResponse], dict[str, object]]:
        return ("d", TRUTH, ParsedResponse(fields=answers(next(numbers)), notes=(), parsable=True)), {}

    result = benchmark.pedantic(score_document, setup=fresh, rounds=400, warmup_rounds=5)
    assert sum(score.outcome is Outcome.CORRECT for score in result.fields.values()) == correct
    if benchmark.stats is not None:  # None under --benchmark-disable
        assert benchmark.stats["median"] < CEILING_S


def test_rates_of_a_corpus(benchmark) -> None:
    scores = [
        score_document(str(i), TRUTH, ParsedResponse(fields=shifted(i), notes=(), parsable=True)) for i in range(120)
    ]
    found = benchmark(rates, scores)
    assert found["f1"].n == 120
    if benchmark.stats is not None:
        assert benchmark.stats["median"] < 20 * CEILING_S
