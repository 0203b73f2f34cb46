"""Dates and periods, day first. A date that only reads month first is not read."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date

from harness.scoring.text import squeeze

__all__ = ["Period", "is_day_month_swap", "parse_date", "parse_period"]

_LONGEST = 80
"""Characters; bounds the time a regular expression can take."""

_MONTHS = {name[:3]: number for number, name in enumerate(map(str.lower, calendar.month_name)) if name}
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(?:day)?\.?"
_DAY = r"(?P<day>[0-9]{1,2})"
_NUMBERED_MONTH = r"(?P<month>[0-9]{1,2})"
_YEAR = r"(?P<year>[0-9]{4}|[0-9]{2})"
_FULL_YEAR = r"(?P<year>[0-9]{4})"
_ORDINAL = r"(?:st|nd|rd|th)?"
_SEPARATOR = r"(?P<separator> ?[-/.] ?| )"
_LOOSE = r"[ ,./-]{0,3}"
_TIME = (
    r"(?:(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?(?: ?[ap]\.?m\.?)?"
    r"|(?:0?[0-9]|1[0-2])\.[0-5][0-9] ?[ap]\.?m\.?)(?: ?(?:z|utc|gmt|a[ecw][sd]?t|[+-][0-9]{2}:?[0-9]{2}))?"
    r"(?: ?hrs?)?"
)
_AFTER = rf"(?:(?:,? | ?t|, ?| at | - ){_TIME})?"

_PATTERNS = tuple(
    re.compile(rf"(?:{_WEEKDAY},? ?)?{core}(?:,? ?\(?{_WEEKDAY}\)?)?{after}")
    for core, after in (
        (rf"{_FULL_YEAR}{_SEPARATOR}{_NUMBERED_MONTH}(?P=separator){_DAY}", _AFTER),
        (rf"{_FULL_YEAR}{_LOOSE}{_MONTH}{_LOOSE}{_DAY}", _AFTER),
        # after four digits of year a time may follow unspaced, as OCR gives it; after two that is ambiguous
        (rf"{_DAY}{_SEPARATOR}{_NUMBERED_MONTH}(?P=separator){_FULL_YEAR}", rf"(?:{_AFTER}|{_TIME})"),
        (rf"{_DAY}{_SEPARATOR}{_NUMBERED_MONTH}(?P=separator)'?{_YEAR}", _AFTER),
        (rf"{_DAY}{_ORDINAL}(?: of)?{_LOOSE}{_MONTH}{_LOOSE}'?{_YEAR}", _AFTER),
        (rf"{_MONTH}{_LOOSE}{_DAY}{_ORDINAL}[ ,./-]{{1,3}}'?{_YEAR}", _AFTER),
        (r"(?P<year>(?:19|20)[0-9]{2})(?P<month>[0-9]{2})(?P<day>[0-9]{2})", _AFTER),
    )
)
_WHOLE_MONTH = re.compile(rf"(?:{_MONTH}[ ,./-]{{1,3}}'?|{_NUMBERED_MONTH.replace('month', 'number')}[/-]){_FULL_YEAR}")
_WITHOUT_YEAR = tuple(
    re.compile(rf"(?:{_WEEKDAY},? ?)?{core}")
    for core in (
        rf"{_DAY}{_ORDINAL}(?:{_LOOSE}{_MONTH})?",
        rf"{_MONTH}{_LOOSE}{_DAY}{_ORDINAL}",
        rf"{_DAY}/{_NUMBERED_MONTH}",
    )
)
_MONTH_ALONE = re.compile(_MONTH)
_BETWEEN = re.compile(r" ?(?:-|–|—|~|\bto\b|\buntil\b|\bthrough\b) ?")
_OPENING = re.compile(r"^(?:from|period:?) ")


@dataclass(frozen=True, slots=True)
class Period:
    """First and last day, both included."""

    start: date
    end: date


def is_day_month_swap(a: date, b: date) -> bool:
    """Whether two different dates differ only in that day and month have changed places."""
    return a != b and a.year == b.year and a.day == b.month and a.month == b.day


def _year(digits: str) -> int:
    """Two digits follow POSIX: 69 to 99 are 19xx, 00 to 68 are 20xx."""
    year = int(digits)
    return year if len(digits) == 4 else year + (1900 if year >= 69 else 2000)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:  # no such day, such as 31 April or month 13
        return None


def _month(text: str) -> int:
    return int(text) if text.isdigit() else _MONTHS[text[:3]]


def _clean(text: str) -> str:
    cleaned = squeeze(text).replace("’", "'").rstrip(".,")
    return cleaned[1:-1].strip() if cleaned.startswith("(") and cleaned.endswith(")") else cleaned


def _parse_clean_date(text: str) -> date | None:
    for pattern in _PATTERNS:
        if match := pattern.fullmatch(text):
            return _date(_year(match["year"]), _month(match["month"]), int(match["day"]))
    return None


def parse_date(text: str) -> date | None:
    """Read one date, whole or not at all; None if it is not one, or is not one day first.

    Forms: `2025-09-05` and `2025/9/5`; `5/9/2025`, `05-09-25`, `5.9.2025`, `05 09 2025`; `5 Sep 2025`,
    `5th of September, 2025`, `05-SEP-25`, `05SEP2025`; `Sep 5, 2025`; `2025-Sep-05`; `20250905`. A weekday
    may stand before or after, and a time after; the weekday is not checked. Years of two digits follow POSIX
    (69-99 are 19xx).
    """
    cleaned = _clean(text)
    return _parse_clean_date(cleaned) if len(cleaned) <= _LONGEST else None


def _whole_month(text: str) -> Period | None:
    match = _WHOLE_MONTH.fullmatch(text)
    if match is None:
        return None
    year, month = int(match["year"]), _month(match["month"] or match["number"])
    if not (1 <= month <= 12 and year >= 1):
        return None
    return Period(date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1]))


def _before(year: int, month: int, day: int, end: date) -> date | None:
    """The day in `year`, or in the year before where that would come after the end: December to January."""
    first = _date(year, month, day)
    return _date(year - 1, month, day) if first is not None and first > end else first


def _first_day(text: str, last: date) -> date | None:
    """First day of a period that ends on `last`; what it leaves out comes from there: `1 - 31 July 2025`."""
    if (day := _parse_clean_date(text)) is not None:
        return day
    for pattern in _WITHOUT_YEAR:
        if match := pattern.fullmatch(text):
            month = match.groupdict().get("month")
            return _before(last.year, _month(month) if month else last.month, int(match["day"]), last)
    return None


def _first_of_month(text: str, last: date) -> date | None:
    """First day of a span of months that ends on `last`: `July - September 2025`."""
    if (month := _whole_month(text)) is not None:
        return month.start
    match = _MONTH_ALONE.fullmatch(text)
    return _before(last.year, _month(match["month"]), 1, last) if match else None


def _split(left: str, right: str) -> Period | None:
    if (last := _parse_clean_date(right)) is not None:
        first = _first_day(left, last)
    elif (month := _whole_month(right)) is not None:
        last = month.end
        first = _first_of_month(left, last)
    else:
        return None
    return Period(first, last) if first is not None else None


def parse_period(text: str) -> Period | None:
    """Read two dates parted by a dash, `to`, `until` or `through`, or a whole month such as `July 2025`.

    The start may leave out what the end says (`1 Jul - 31 Jul 2025`, `1 - 31 July 2025`, `July - September
    2025`). None if there are not two dates.
    """
    cleaned = _OPENING.sub("", _clean(text))
    if len(cleaned) > 2 * _LONGEST:
        return None
    if (month := _whole_month(cleaned)) is not None:
        return month
    splits = (_split(cleaned[: gap.start()], cleaned[gap.end() :]) for gap in _BETWEEN.finditer(cleaned))
    return next((period for period in splits if period is not None), None)
