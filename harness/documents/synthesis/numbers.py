"""Numbers as Australian documents print them: ABNs, bank numbers, phones, amounts, dates. None belongs to anyone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from random import Random

from stdnum.au import abn as stdnum_abn

__all__ = [
    "DateForm",
    "MoneyForm",
    "abn",
    "account_number",
    "bsb",
    "digits",
    "landline",
    "mobile",
    "national_number",
    "period",
    "random_day",
    "short_date",
]

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

# set aside by the ACMA for books, film and television: nobody can be called on them
_MOBILES = (
    "570006",
    "570156",
    "570157",
    "570158",
    "570159",
    "570110",
    "570313",
    "570737",
    "571266",
    "571491",
    "571804",
    "572549",
    "572665",
    "572983",
    "573770",
    "573087",
    "574118",
    "574632",
    "575254",
    "575789",
    "576398",
    "576801",
    "577426",
    "577644",
    "578957",
    "578148",
    "578888",
    "579212",
    "579760",
    "579455",
)
_NATIONAL = (
    "1800 160 401",
    "1800 975 707",
    "1800 975 708",
    "1800 975 709",
    "1800 975 710",
    "1300 975 707",
    "1300 975 708",
)

# first two digits of a BSB name the bank: these are not known to be issued
_BSB_PREFIXES = (
    "02",
    "04",
    "05",
    "07",
    "20",
    "21",
    "27",
    "28",
    "29",
    "44",
    "49",
    "52",
    "53",
    "54",
    "68",
    "71",
    "79",
    "95",
)


def digits(rng: Random, count: int) -> str:
    """`count` random decimal digits, leading zeros included."""
    return "".join(str(rng.randrange(10)) for _ in range(count))


def abn(rng: Random) -> str:
    """A checksum-valid ABN (weights 10, 1, 3, ... 19, modulo 89; leading pair 11 to 99), grouped as people print it."""
    body = str(rng.randrange(10**8, 10**9))
    number = stdnum_abn.calc_check_digits(body) + body
    if rng.random() < 0.2:
        return number
    return f"{number[:2]} {number[2:5]} {number[5:8]} {number[8:]}"


def bsb(rng: Random) -> str:
    """A bank state branch number of six digits."""
    number = rng.choice(_BSB_PREFIXES) + digits(rng, 4)
    form = rng.random()
    if form < 0.7:
        return f"{number[:3]}-{number[3:]}"
    return f"{number[:3]} {number[3:]}" if form < 0.85 else number


def account_number(rng: Random) -> str:
    """An account number of 6 to 10 digits, sometimes grouped, sometimes with leading zeros."""
    number = digits(rng, rng.choice((6, 8, 8, 9, 9, 9, 10)))
    if rng.random() < 0.12:
        number = "00" + number[2:]
    if rng.random() < 0.35:
        groups = {6: (3, 3), 8: (4, 4), 9: (3, 3, 3), 10: (4, 3, 3)}[len(number)]
        joined, at = [], 0
        for size in groups:
            joined.append(number[at : at + size])
            at += size
        return " ".join(joined)
    return number


def landline(rng: Random, area: str) -> str:
    """A fictitious geographic number in area `area` (two digits)."""
    block, tail = rng.choice(("5550", "7010")), digits(rng, 4)
    form = rng.random()
    if form < 0.62:
        return f"({area}) {block} {tail}"
    if form < 0.9:
        return f"{area} {block} {tail}"
    return f"+61 {area[1]} {block} {tail}"


def mobile(rng: Random) -> str:
    """A fictitious mobile number."""
    tail = rng.choice(_MOBILES)
    if rng.random() < 0.15:
        return f"+61 491 {tail[:3]} {tail[3:]}"
    return f"0491 {tail[:3]} {tail[3:]}"


def national_number(rng: Random) -> str:
    """A fictitious 1800 or 1300 number."""
    return rng.choice(_NATIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyForm:
    """How one document prints amounts."""

    symbol: str = "$"
    negative: str = "minus"
    """`minus`: -$5.00; `drcr`: $5.00 DR, and $5.00 CR for what is not negative."""

    def show(self, cents: int) -> str:
        """An amount of `cents`, with thousands commas and two decimals."""
        size = f"{self.symbol}{abs(cents) // 100:,}.{abs(cents) % 100:02d}"
        if self.negative == "drcr":
            return f"{size} {'DR' if cents < 0 else 'CR'}"
        return f"-{size}" if cents < 0 else size


class DateForm(StrEnum):
    """Ways to print a day; the day always comes first."""

    SLASHED = "05/09/2025"
    SLASHED_SHORT = "5/09/2025"
    SLASHED_YY = "05/09/25"
    DASHED = "05-09-2025"
    DOTTED = "05.09.2025"
    ABBREVIATED = "5 Sep 2025"
    ABBREVIATED_PADDED = "05 Sep 2025"
    HYPHENATED = "05-Sep-2025"
    LONG = "5 September 2025"

    def show(self, day: date) -> str:
        """Print `day` in this form."""
        d, m, y, name = day.day, day.month, day.year, _MONTHS[day.month - 1]
        return {
            DateForm.SLASHED: f"{d:02d}/{m:02d}/{y}",
            DateForm.SLASHED_SHORT: f"{d}/{m:02d}/{y}",
            DateForm.SLASHED_YY: f"{d:02d}/{m:02d}/{y % 100:02d}",
            DateForm.DASHED: f"{d:02d}-{m:02d}-{y}",
            DateForm.DOTTED: f"{d:02d}.{m:02d}.{y}",
            DateForm.ABBREVIATED: f"{d} {name[:3]} {y}",
            DateForm.ABBREVIATED_PADDED: f"{d:02d} {name[:3]} {y}",
            DateForm.HYPHENATED: f"{d:02d}-{name[:3]}-{y}",
            DateForm.LONG: f"{d} {name} {y}",
        }[self]


_PERIOD_FORMS = (
    DateForm.SLASHED,
    DateForm.SLASHED,
    DateForm.ABBREVIATED,
    DateForm.ABBREVIATED_PADDED,
    DateForm.LONG,
    DateForm.SLASHED_YY,
)


def period(rng: Random, first: date, last: date) -> str:
    """A span of days, such as `01/07/2025 - 31/07/2025` or `1 Jul 2025 to 31 Jul 2025`."""
    form, joint = rng.choice(_PERIOD_FORMS), rng.choice((" - ", " to ", " to ", " – "))
    return form.show(first) + joint + form.show(last)


def short_date(form: str, day: date) -> str:
    """A day in a transaction row, in one of the forms `d Mon`, `dd Mon`, `dd/mm`, `dd/mm/yy`, `dd/mm/yyyy`."""
    name = _MONTHS[day.month - 1][:3]
    return {
        "d Mon": f"{day.day} {name}",
        "dd Mon": f"{day.day:02d} {name}",
        "dd/mm": f"{day.day:02d}/{day.month:02d}",
        "dd/mm/yy": DateForm.SLASHED_YY.show(day),
        "dd/mm/yyyy": DateForm.SLASHED.show(day),
    }[form]


def random_day(rng: Random, years: Sequence[int] = (2023, 2024, 2025, 2026)) -> date:
    """Any day of `years`."""
    return date(rng.choice(years), 1, 1) + timedelta(days=rng.randrange(365))
