"""Reading single values: money, quantities, dates, periods, identifiers, text."""

from __future__ import annotations

import json
import os
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from harness.scoring.text import fold_text, squeeze

relaxed = settings(deadline=None)
cents = st.integers(-10_000_000, 10_000_000)
days = st.dates(date(1970, 1, 1), date(2068, 12, 31))

# --- money ---


@pytest.mark.parametrize(
    "text",
    [
        "1234.50", "1,234.50", "1 234.50", "$1,234.50", "$ 1,234.50", "$1,234.5", "+1,234.50", "1,234.50 CR",
        "1.234,50", "1 234,50", "$1 234,50", "1\u202f234,50", "1\xa0234.50", "\uff04\uff11\uff0c\uff12\uff13\uff14.50",
    ],
)  # fmt: skip
def test_money_forms(text: str) -> None:
    assert parse_money(text) == Amount(Decimal("1234.5"))


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("A$9.00", "AUD"), ("AU$9.00", "AUD"), ("AUD 9.00", "AUD"), ("9.00 AUD", "AUD"), ("AUD $9.00", "AUD"),
        ("RM9.00", "MYR"), ("rm 9.00", "MYR"), ("MYR9", "MYR"), ("US$9", "USD"), ("€9,00", "EUR"), ("$9.00", None),
    ],
)  # fmt: skip
def test_money_currencies(text: str, unit: str | None) -> None:
    assert parse_money(text) == Amount(Decimal(9), unit)


@pytest.mark.parametrize(
    "text",
    [
        "-45.00", "-$45.00", "$-45.00", "- $45.00", "45.00-", "$45.00-", "(45.00)", "($45.00)", "$(45.00)",
        "\u221245.00", "\u201345.00", "45.00 DR", "45.00DR", "$45.00 Dr", "DR 45.00", "-45.00 DR", "-45",
    ],
)  # fmt: skip
def test_money_keeps_its_sign(text: str) -> None:
    assert parse_money(text) == Amount(Decimal(-45))


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "$", "FREE", "N/A", "nan", "inf", "1e3",
        "$l,234.50", "$1,234.S0", "1O.00", "2 x $4.50", "10.00 | 20.00",
        "9.00 incl", "1,23,456", "1,2345.00", "1.2.3", "1.234.50", "12:50", "05/09/2025", "RM9.00 AUD", "$9.00 US$9.00",
        "--45", "-45-", "(45", "45)", "((45))", "(-45)", "-45 CR",
        "+45 DR", "45 CR DR", "45+", "\u0661\u0662", "9" * 60,
    ],
)  # fmt: skip
def test_what_is_not_beyond_doubt_is_not_money(text: str) -> None:
    assert parse_money(text) is None


@relaxed
@given(cents, st.sampled_from(["", "$", "A$", "AUD ", "RM"]), st.sampled_from([",", " ", ""]), st.integers(0, 3))
def test_money_round_trip(value: int, currency: str, group: str, sign: int) -> None:
    amount = Decimal(value) / 100
    digits = f"{abs(amount):,.2f}".replace(",", group)
    forms = [
        f"-{currency}{digits}",
        f"({currency}{digits})",
        f"{currency}{digits}-",
        f"{currency}{digits} DR",
    ]
    text = forms[sign] if value < 0 else f"{currency}{digits}"
    parsed = parse_money(text)
    assert parsed is not None
    assert parsed.value == amount


@relaxed
@given(cents)
def test_continental_round_trip(value: int) -> None:
    english = f"{Decimal(value) / 100:,.2f}"
    continental = english.translate(str.maketrans(",.", ".,"))
    assert parse_money(continental) == parse_money(english)


def test_amounts_agree_unless_both_name_a_different_currency() -> None:
    plain, ringgit, australian = (parse_money(text) for text in ("9.00", "RM9.00", "A$9"))
    assert plain.agrees(ringgit)
    assert plain.agrees(australian)
    assert not ringgit.agrees(australian)
    assert not plain.agrees(parse_money("9.01"))
    assert not plain.agrees(parse_money("-9.00"))


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("2", 2, None), ("2.0", 2, None), ("2 x", 2, None), ("2x", 2, None), ("x2", 2, None), ("2 \u00d7", 2, None),
        ("2 ea", 2, None), ("1.5kg", "1.5", "kg"), ("1.5 KG", "1.5", "kg"), ("3 hrs", 3, "h"), ("-1", -1, None),
        ("1,000", 1000, None), (".5", "0.5", None),
    ],
)  # fmt: skip
def test_quantities(text: str, value: object, unit: str | None) -> None:
    assert parse_quantity(text) == Amount(Decimal(value), unit)


@pytest.mark.parametrize("text", ["", "two", "$2", "2 boxes", "1/2", "2 | 3", "2-", "kg"])
def test_not_quantities(text: str) -> None:
    assert parse_quantity(text) is None


# --- dates ---


@pytest.mark.parametrize(
    "text",
    [
        "2025-09-05", "2025/9/5", "2025.09.05", "2025 09 05", "20250905", "2025-Sep-05",
        "5/9/2025", "05/09/2025", "05-09-25", "5.9.2025", "05 09 2025", "05 / 09 / 2025", "05/09/25", "(05/09/2025)",
        "5 Sep 2025", "05 SEP 25", "5 Sept. 2025", "5th September 2025", "5th of September, 2025", "05-SEP-2025",
        "05/Sep/2025", "05SEP2025", "05SEP25", "5 Sep '25", "5 Sep \u201925",
        "Sep 5, 2025", "SEPT 5 2025", "September 5th, 2025",
        "Fri 5/9/2025", "Friday, 5 September 2025", "05/09/2025 (Fri)", "05/09/2025 Fri 8:13 PM",
        "2025-09-05T20:13:39Z", "2025-09-05T20:13:39+10:00", "2025-09-05 20:13:39.123",
        "05/09/2025 8:13:39 PM", "05/09/2025, 8:13pm", "05/09/2025 8.13pm", "05/09/2025 at 20:13", "05 SEP 2025 20:13",
        "05/09/2025 08:13 AM AEST", "05/09/20258:13", "05/09/202520:13:39",
    ],
)  # fmt: skip
def test_date_forms(text: str) -> None:
    assert parse_date(text) == date(2025, 9, 5)


@pytest.mark.parametrize(
    "text",
    [
        "", "N/A", "nan", "today", "30 days", "5", "12", "2025", "May", "5/9", "Sep 2025", "5 2025", "1.5",
        "01/13/2025", "12/25/2018", "2025-13-01", "20251301", "31/04/2025", "29/02/2025", "0/1/2025", "00/00/0000",
        "1/2-2025", "1/2/3/2025", "123/1/2025", "1/1/1", "1/1/202", "05092025", "050925",
        "25/12/2018:13", "25/12/188:13",
        "05/09/2025 25:00", "5 Foo 2025", "05/09/2025 06/09/2025", "05/09/2025 or so", "9" * 100,
    ],
)  # fmt: skip
def test_what_is_not_a_date_day_first_is_not_a_date(text: str) -> None:
    assert parse_date(text) is None


@pytest.mark.parametrize(("text", "year"), [("1/1/68", 2068), ("1/1/69", 1969), ("1/1/00", 2000), ("1/1/1999", 1999)])
def test_years_of_two_digits(text: str, year: int) -> None:
    assert parse_date(text) == date(year, 1, 1)


DATE_FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d %m %Y", "%d/%m/%y", "%d %b %Y", "%d%b%Y",
    "%d-%b-%y", "%d %B %Y", "%b %d, %Y", "%B %d %Y", "%A, %d %B %Y", "%a %d/%m/%Y", "%Y-%b-%d",
)  # fmt: skip


@relaxed
@given(days, st.sampled_from(DATE_FORMATS), st.sampled_from([str, str.upper, str.lower]))
def test_date_round_trip(day: date, form: str, case) -> None:
    assert parse_date(case(day.strftime(form))) == day


@relaxed
@given(days, st.times(), st.sampled_from([" %H:%M", " %H:%M:%S", " %I:%M %p", "%H:%M", ", %I:%M%p", "T%H:%M:%S"]))
def test_time_after_a_date_is_left_out(day: date, clock: time, form: str) -> None:
    assert parse_date(day.strftime("%d/%m/%Y") + datetime.combine(day, clock).strftime(form)) == day


@relaxed
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1970, 2068))
def test_day_month_swap(day: int, month: int, year: int) -> None:
    a, b = parse_date(f"{day}/{month}/{year}"), parse_date(f"{month}/{day}/{year}")
    assert is_day_month_swap(a, b) == is_day_month_swap(b, a) == (day != month)


# --- periods ---


@pytest.mark.parametrize(
    "text",
    [
        "1 Jul 2025 - 31 Jul 2025", "1 Jul 2025 to 31 Jul 2025", "1 Jul 2025 \u2013 31 Jul 2025",
        "1 July 2025 until 31 July 2025", "from 1 Jul 2025 to 31 Jul 2025", "1JUL2025 TO 31JUL2025",
        "01/07/2025 - 31/07/2025", "01/07/2025-31/07/2025", "01-07-2025-31-07-2025", "01/07/25 to 31/07/25",
        "2025-07-01 - 2025-07-31", "2025-07-01\u20142025-07-31",
        "1 Jul - 31 Jul 2025", "1st July - 31st July 2025", "1 - 31 July 2025", "1-31 Jul 2025", "1/7 - 31/7/2025",
        "Jul 1 - Jul 31, 2025", "Jul 1, 2025 - Jul 31, 2025", "July 2025", "JUL 2025", "07/2025",
    ],
)  # fmt: skip
def test_period_forms(text: str) -> None:
    assert parse_period(text) == Period(date(2025, 7, 1), date(2025, 7, 31))


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("1 Dec - 31 Jan 2026", date(2025, 12, 1), date(2026, 1, 31)),
        ("Dec 2025 - Jan 2026", date(2025, 12, 1), date(2026, 1, 31)),
        ("July - September 2025", date(2025, 7, 1), date(2025, 9, 30)),
        ("1 Jul - 1 Jul 2025", date(2025, 7, 1), date(2025, 7, 1)),
        ("February 2024", date(2024, 2, 1), date(2024, 2, 29)),
    ],
)
def test_period_takes_from_the_end_what_the_start_leaves_out(text: str, start: date, end: date) -> None:
    assert parse_period(text) == Period(start, end)


@pytest.mark.parametrize(
    "text",
    [
        "", "N/A", "2025", "31 July 2025", "1-7-2025", "01/07/2025", "2025-07-01", "1 - July 2025", "13/2025",
        "1 Jul 2025 - 31 Foo 2025", "2025-07-01 2025-07-31", "07/01/2025 - 07/31/2025", "1 Jul 2025 -", "30 days",
    ],
)  # fmt: skip
def test_what_is_not_two_dates_is_no_period(text: str) -> None:
    assert parse_period(text) is None


@relaxed
@given(days, st.integers(0, 120), st.sampled_from([" - ", " to ", "\u2013", "-"]), st.sampled_from(DATE_FORMATS))
def test_period_round_trip(start: date, length: int, gap: str, form: str) -> None:
    end = start + timedelta(days=length)
    text = start.strftime(form) + gap + end.strftime(form)
    assert parse_period(text) in (
        Period(start, end),
        None if end.year > 2068 and "%y" in form else Period(start, end),
    )


# --- identifiers ---


@pytest.mark.parametrize("text", ["51824753556", "51 824 753 556", "ABN 51 824 753 556", "A.B.N.: 51-824-753-556"])
def test_abn_is_eleven_digits_however_spaced(text: str) -> None:
    assert parse_abn(text) == "51824753556"


@pytest.mark.parametrize(
    "text", ["", "5182475355", "518247535561", "51 824 753 55O", "ACN 004 085 616", "see 51824753556"]
)
def test_not_an_abn(text: str) -> None:
    assert parse_abn(text) is None


@pytest.mark.parametrize("text", ["062000", "062-000", "062 000", "BSB: 062-000"])
def test_bsb_is_six_digits_leading_zero_kept(text: str) -> None:
    assert parse_bsb(text) == "062000"


@pytest.mark.parametrize("text", ["62000", "0620001", "06-2000x", "O62-000", ""])
def test_not_a_bsb(text: str) -> None:
    assert parse_bsb(text) is None


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("00123456", "00123456"),
        ("0012 3456", "00123456"),
        ("Acc No: 123456", "123456"),
        ("xx3456", None),
        ("", None),
    ],
)
def test_account_is_a_digit_string(text: str, digits: str | None) -> None:
    assert parse_account(text) == digits


@pytest.mark.parametrize(
    "text",
    [
        "02 5550 1234", "(02) 5550 1234", "02-5550-1234", "0255501234", "+61 2 5550 1234", "+61 (0)2 5550 1234",
        "61 2 5550 1234", "0061 2 5550 1234", "0011 61 2 5550 1234", "Ph: 02 5550 1234", "Tel. (02) 5550 1234",
    ],
)  # fmt: skip
def test_phone_forms(text: str) -> None:
    assert parse_phone(text) == "+61255501234"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("02 5550 1234", "03 5550 1234"), ("02 5550 1234", "5550 1234"), ("02 5550 1234", "02 5550 1234 ext 5"),
        ("1300 975 707", "1800 975 707"), ("0491 570 006", "0491 570 156"), ("13 11 14", "13 11 15"),
    ],
)  # fmt: skip
def test_other_phone_numbers(a: str, b: str) -> None:
    assert None is not parse_phone(a) != parse_phone(b) is not None


@pytest.mark.parametrize("text", ["", "abc", "02 555O 1234", "call 02 5550 1234", "1300 CAT DOG"])
def test_not_a_phone_number(text: str) -> None:
    assert parse_phone(text) is None


def test_a_number_of_no_plan_is_its_digits() -> None:
    assert parse_phone("02 5550 1234 / 0491 570 006") == "02555012340491570006"
    assert parse_phone("02 5550 1234 / 0491 570 006 ext 7") == "02555012340491570006x7"
    assert parse_phone("12") == "12"


@pytest.mark.parametrize("text", ["Info@Example.com.au", "mailto:info@example.com.au", "<info@example.com.au>"])
def test_email(text: str) -> None:
    assert parse_email(text) == "info@example.com.au"


@pytest.mark.parametrize("text", ["", "info", "info@example", "in fo@example.com", "a@b.com, c@d.com", "@example.com"])
def test_not_an_email(text: str) -> None:
    assert parse_email(text) is None


@pytest.mark.parametrize(
    "text", ["example.com.au", "www.example.com.au", "HTTPS://WWW.Example.com.au/", "http://example.com.au"]
)
def test_website(text: str) -> None:
    assert parse_website(text) == "example.com.au"


def test_website_keeps_its_path() -> None:
    assert parse_website("https://example.com.au/Shop/") == "example.com.au/shop" != parse_website("example.com.au")


@pytest.mark.parametrize("text", ["", "example", "example .com", "12.50", "info@example.com"])
def test_not_a_website(text: str) -> None:
    assert parse_website(text) is None


# --- text ---


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("NO.2&4, JALAN HARMONI 3/2", "No. 2 & 4 Jalan Harmoni 3 / 2"),
        ("12-14 Main St", "12 \u2013 14 MAIN ST."),
        ("NO.17, 18 & 41,JALAN BESAR", "NO.17,18 & 41, Jalan Besar"),
        ("O'Brien & Sons", "O\u2019BRIEN AND SONS"),
        ("S&Y STATIONERY", "S & Y Stationery"),
        ("\uff21\uff22\uff23 Pty Ltd", "ABC PTY. LTD."),
        ("Stra\u00dfe", "STRASSE"),
        ("soft\u00adware", "Software"),
        ("1.5kg", "1,5 KG"),
        ("12\u200b34", "1234"),
    ],
)  # fmt: skip
def test_same_words(a: str, b: str) -> None:
    assert fold_text(a) == fold_text(b) != ""


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("12-14 Main St", "1214 Main St"),
        ("12-14 Main St", "12/14 Main St"),
        ("12 14 Main St", "1214 Main St"),
        ("2/5", "25"),
        ("2/5", "2 5"),
        ("1.5kg", "15kg"),
        ("Caf\u00e9", "Cafe"),
        ("Woolworths", "Woolworths Group Limited"),
        ("a", "ALDI Australia"),
        ("ABC Pty Ltd", "ABD Pty Ltd"),
        ("S&Y", "SY"),
    ],
)
def test_other_words(a: str, b: str) -> None:
    assert fold_text(a) != fold_text(b)


@pytest.mark.parametrize("text", ["", " ", "---", "***", "...", "\u2026", "\u200b", "|"])
def test_punctuation_alone_has_no_words(text: str) -> None:
    assert fold_text(text) == ""


@relaxed
@given(st.text(max_size=60))
def test_folding_twice_changes_nothing_and_case_does_not_count(text: str) -> None:
    assert fold_text(fold_text(text)) == fold_text(text)
    assert squeeze(squeeze(text)) == squeeze(text)
    assert fold_text(f"  {text}\n") == fold_text(text)


@relaxed
@given(st.text(max_size=120))
def test_no_text_breaks_a_reader(text: str) -> None:
    for reader in (
        parse_money, parse_quantity, parse_date, parse_period, parse_abn, parse_bsb, parse_account, parse_phone,
        parse_email, parse_website,
    ):  # fmt: skip
        value = reader(text)
        assert value is None or value == reader(f" {text} ")


@pytest.mark.parametrize(
    "text",
    [
        "1" * 5000,
        "1 " * 2500,
        "(" * 5000,
        "$" * 5000,
        "1-" * 2500,
        "a." * 2500,
        "1 jul - " * 600,
        "a@" * 2500,
        "+ " * 2500,
    ],
)
def test_long_junk_is_read_in_no_time(text: str) -> None:
    for reader in (
        parse_money,
        parse_quantity,
        parse_date,
        parse_period,
        parse_phone,
        parse_email,
        parse_website,
    ):
        began = datetime.now()
        reader(text)
        assert datetime.now() - began < timedelta(seconds=1)


def test_every_date_and_total_of_the_real_receipts_can_be_read() -> None:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    truth = Path(os.environ.get("DOCVLM_SHARED_DATA", beside)) / "receipts" / "ground_truth.jsonl"
    if not truth.exists():
        pytest.skip(f"no shared receipts: {truth} does not exist")
    lines = truth.read_text(encoding="utf-8").splitlines()
    fields = [json.loads(line)["fields"] for line in lines]
    assert len(fields) >= 60
    assert [f["INVOICE_DATE"] for f in fields if parse_date(f["INVOICE_DATE"]) is None] == []
    assert [f["TOTAL"] for f in fields if parse_money(f["TOTAL"]) is None] == []
