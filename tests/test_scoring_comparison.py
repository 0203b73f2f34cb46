"""Whether an answer says what the truth says, and if not, why."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UnknownNameError
from harness.schema import FIELD_NAMES
from harness.scoring import ErrorClass, compare
from harness.scoring.similarity import anls

relaxed = settings(deadline=None)


def assert_wrong(field: str, truth: str, answer: str, error: ErrorClass) -> None:
    for a, b in ((truth, answer), (answer, truth)):
        assert not compare(field, a, b).equal
    assert compare(field, truth, answer).error is error


def assert_same(field: str, truth: str, answer: str) -> None:
    for a, b in ((truth, answer), (answer, truth)):
        assert compare(field, a, b).equal
        assert compare(field, a, b).error is None


# What loose scorers take for right.


def test_part_of_a_name_is_wrong() -> None:
    assert_wrong("SUPPLIER", "ALDI Australia", "a", ErrorClass.VALUE)
    assert_wrong("SUPPLIER", "ALDI Australia", "ALDI", ErrorClass.VALUE)
    assert_wrong("SUPPLIER", "Woolworths", "Woolworths Group Limited", ErrorClass.VALUE)


def test_day_and_month_swapped_is_wrong_and_called_so() -> None:
    assert_wrong("INVOICE_DATE", "07/08/2025", "08/07/2025", ErrorClass.DAY_MONTH_SWAP)
    assert_wrong("DUE_DATE", "7 Aug 2025", "2025-07-08", ErrorClass.DAY_MONTH_SWAP)


def test_dates_with_the_same_digits_are_different_dates() -> None:
    assert_wrong("INVOICE_DATE", "1/12/2025", "11/2/2025", ErrorClass.VALUE)


def test_cents_count() -> None:
    assert_wrong("TOTAL", "$100.00", "$100.99", ErrorClass.VALUE)


def test_one_cent_off_is_wrong() -> None:
    assert_wrong("TOTAL", "10.00", "10.01", ErrorClass.VALUE)
    assert_wrong("TOTAL", "1.10", "1.11", ErrorClass.VALUE)


def test_lists_of_the_same_length_need_the_same_entries() -> None:
    assert_wrong("QUANTITIES", "1 | 2 | 3", "1 | 1 | 1", ErrorClass.VALUE)


def test_an_amount_with_a_comma_is_one_entry_of_a_list() -> None:
    assert_same("PRICES", "$1,200.00 | $3.50", "1200.00|3.50")
    assert_wrong("PRICES", "$1,200.00", "$1 | 200.00", ErrorClass.ITEM_COUNT)


def test_leading_zeros_of_an_account_count() -> None:
    assert_wrong("BANK_ACCOUNT_NUMBER", "00123456", "123456", ErrorClass.VALUE)


# The same value in other forms, and others that only look alike.


@pytest.mark.parametrize("answer", ["9.00", "RM9.00", "$9.00", "9", "$ 9.00", "9.0"])
def test_forms_of_one_total(answer: str) -> None:
    assert_same("TOTAL", "9.00", answer)
    assert_same("TOTAL", "$9.00", answer)


@pytest.mark.parametrize(
    ("field", "truth", "answer"),
    [
        ("INVOICE_DATE", "05/09/2025", "2025-09-05"),
        ("INVOICE_DATE", "10 OCT 2017", "10/10/17"),
        ("STATEMENT_PERIOD", "1 Jul 2025 - 31 Jul 2025", "01/07/2025 to 31/07/2025"),
        ("ABN", "51 824 753 556", "ABN 51824753556"),
        ("BSB_NUMBER", "062-000", "062000"),
        ("BUSINESS_PHONE", "02 5550 1234", "+61 2 5550 1234"),
        ("PAYER_EMAIL", "Jane@Example.com", "mailto:jane@example.com"),
        ("SUPPLIER_WEBSITE", "www.example.com.au", "https://example.com.au/"),
        ("DOCUMENT_TYPE", "TAX INVOICE", "Tax Invoice"),
        ("BUSINESS_ADDRESS", "NO.17, 18 & 41, JALAN BESAR", "No.17,18 & 41, Jalan Besar"),
        ("OPENING_BALANCE", "$1,234.50 CR", "1234.50"),
        ("CLOSING_BALANCE", "$50.00 DR", "-50.00"),
        ("QUANTITIES", "1 | 2.0 | 1.5kg", "| 1|2 | 1.50 kg |"),
        ("DESCRIPTIONS", "Flat White | Ham & Cheese", "FLAT WHITE|ham and cheese"),
    ],
)
def test_same_value_in_another_form(field: str, truth: str, answer: str) -> None:
    assert_same(field, truth, answer)


@pytest.mark.parametrize(
    ("field", "truth", "answer", "error"),
    [
        ("TOTAL", "$45.00", "-$45.00", ErrorClass.SIGN),
        ("CLOSING_BALANCE", "$50.00 DR", "$50.00 CR", ErrorClass.SIGN),
        ("TOTAL", "RM9.00", "A$9.00", ErrorClass.VALUE),
        ("TOTAL", "RM0.00", "A$0.00", ErrorClass.VALUE),
        ("TOTAL", "$1,234.50", "$l,234.50", ErrorClass.FORMAT),
        ("TOTAL", "10.00", "1O.00", ErrorClass.FORMAT),
        ("TOTAL", "0.00", "FREE", ErrorClass.FORMAT),
        ("INVOICE_DATE", "13/01/2025", "01/13/2025", ErrorClass.FORMAT),
        ("INVOICE_DATE", "13/01/2025", "soon", ErrorClass.FORMAT),
        ("STATEMENT_PERIOD", "01/07/2025 - 02/08/2025", "07/01/2025 - 08/02/2025", ErrorClass.DAY_MONTH_SWAP),
        ("STATEMENT_PERIOD", "01/07/2025 - 31/07/2025", "01/07/2025 - 30/07/2025", ErrorClass.VALUE),
        ("STATEMENT_PERIOD", "01/07/2025 - 31/07/2025", "01/07/2025", ErrorClass.FORMAT),
        ("ABN", "51 824 753 556", "51 824 753 557", ErrorClass.VALUE),
        ("ABN", "51 824 753 556", "51 824 753", ErrorClass.FORMAT),
        ("BSB_NUMBER", "062-000", "062-001", ErrorClass.VALUE),
        ("BSB_NUMBER", "062-000", "62-000", ErrorClass.FORMAT),
        ("BUSINESS_PHONE", "02 5550 1234", "03 5550 1234", ErrorClass.VALUE),
        ("BUSINESS_ADDRESS", "12-14 Main St", "1214 Main St", ErrorClass.VALUE),
        ("SUPPLIER", "ABC", "...", ErrorClass.FORMAT),
        ("QUANTITIES", "1 | 2 | 3", "1 | 2", ErrorClass.ITEM_COUNT),
        ("QUANTITIES", "1 | 2 | 3", "1 | 2 | 3 | 4", ErrorClass.ITEM_COUNT),
        ("PRICES", "$1.00 | $2.00 | $3.00", "$1.00 | $3.00 | $2.00", ErrorClass.ITEM_ORDER),
        ("PRICES", "$1.00 | $2.00 | $3.00", "$1.00 | $2.00 | -$3.00", ErrorClass.SIGN),
        ("PRICES", "$1.00 | $2.00 | $3.00", "$1.00 | $2.O0 | $3.00", ErrorClass.FORMAT),
        ("DESCRIPTIONS", "Tea | Cake", "Cake | Tea", ErrorClass.ITEM_ORDER),
        ("DESCRIPTIONS", "Tea | Cake", "Tea, Cake", ErrorClass.ITEM_COUNT),
        ("QUANTITIES", "1.5kg", "1.5L", ErrorClass.VALUE),
    ],
)
def test_why_it_is_wrong(field: str, truth: str, answer: str, error: ErrorClass) -> None:
    assert_wrong(field, truth, answer, error)


def test_a_truth_that_its_kind_cannot_read_is_matched_by_its_own_text_only() -> None:
    assert_same("TOTAL", "see  Attached", "SEE ATTACHED")
    assert_same("BANK_ACCOUNT_NUMBER", "XXXX 1234", "xxxx 1234")
    assert_wrong("BANK_ACCOUNT_NUMBER", "XXXX 1234", "1234", ErrorClass.VALUE)
    assert_wrong("BANK_ACCOUNT_NUMBER", "XXXX 1234", "XXXX 1235", ErrorClass.VALUE)


def test_unknown_field() -> None:
    with pytest.raises(UnknownNameError, match="TOTAL"):
        compare("TOTALS", "1", "1")


@relaxed
@given(st.sampled_from(FIELD_NAMES), st.text(min_size=1, max_size=40).filter(str.strip))
def test_every_value_equals_itself(field: str, value: str) -> None:
    result = compare(field, value, value)
    assert (result.equal, result.similarity, result.error) == (True, 1.0, None)


@relaxed
@given(
    st.sampled_from(FIELD_NAMES),
    st.text("0123456789/-.|$ aJul", max_size=16),
    st.text("0123456789/-.|$ aJul", max_size=16),
)
def test_comparison_is_symmetric(field: str, a: str, b: str) -> None:
    there, back = compare(field, a, b), compare(field, b, a)
    assert (there.equal, there.similarity) == (back.equal, back.similarity)
    assert there.equal == (there.error is None)
    assert 0.0 <= there.similarity <= 1.0


@relaxed
@given(st.integers(-(10**7), 10**7), st.integers(-(10**7), 10**7))
def test_money_is_equal_when_the_cents_are(a: int, b: int) -> None:
    result = compare("TOTAL", f"${Decimal(a) / 100:,.2f}", f"{Decimal(b) / 100:.2f}")
    assert result.equal == (a == b)
    assert (result.error is ErrorClass.SIGN) == (a == -b != 0)


@relaxed
@given(st.dates(date(1990, 1, 1), date(2040, 1, 1)), st.dates(date(1990, 1, 1), date(2040, 1, 1)))
def test_dates_are_equal_when_the_days_are(a: date, b: date) -> None:
    assert compare("DUE_DATE", a.strftime("%d/%m/%Y"), b.strftime("%d %b %Y")).equal == (a == b)


@relaxed
@given(st.lists(st.integers(0, 99), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_a_list_in_another_order_is_wrong(numbers: list[int], shuffler) -> None:
    shuffled = list(numbers)
    shuffler.shuffle(shuffled)
    result = compare("QUANTITIES", " | ".join(map(str, numbers)), " | ".join(map(str, shuffled)))
    assert result.equal == (numbers == shuffled)
    if not result.equal:
        assert result.error is ErrorClass.ITEM_ORDER


# The soft column.


@pytest.mark.parametrize(
    ("a", "b", "score"),
    [
        ("abcd", "abcd", 1.0),
        ("ABCD", "  abcd ", 1.0),
        ("abcd", "abcx", 0.75),
        ("ab", "ac", 0.0),  # exactly half: nothing, as in the original definition
        ("abcdef", "abc", 0.0),
        ("abcde", "abc", 0.6),
        ("abcd", "", 0.0),
        ("51 824 753 556", "51 824 753 557", 13 / 14),
        ("05/09/2025", "2025-09-05", 0.0),
    ],
)
def test_anls(a: str, b: str, score: float) -> None:
    assert anls(a, b) == pytest.approx(score)


@relaxed
@given(st.text("abc", min_size=1, max_size=12), st.text("abc", min_size=1, max_size=12))
def test_anls_is_never_between_zero_and_a_half(a: str, b: str) -> None:
    assert anls(a, b) == 0.0 or 0.5 < anls(a, b) <= 1.0
