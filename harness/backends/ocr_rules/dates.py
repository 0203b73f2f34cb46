"""Dates and periods: how they look, and which of them is the date of issue, the due date, the statement period."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.backends.ocr_rules.layout import Page
from harness.backends.ocr_rules.text import fold, label_pattern, phrases

__all__ = ["DateText", "Dates", "dates_in", "find_dates", "find_period"]

_MONTHS = {m: i for i, m in enumerate(phrases("jan, feb, mar, apr, may, jun, jul, aug, sep, oct, nov, dec"), 1)}
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|[o0]ct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_YEAR = r"(?P<year>(?:19|20)\d{2}|'?\d{2}(?!\d)|\d{2}(?=\d{2}:\d{2}))"
_PATTERNS = (
    re.compile(rf"(?<!\d)(?P<day>\d{{1,2}})\s?(?P<sep>[/.-])\s?(?P<month>\d{{1,2}})\s?(?P=sep)\s?{_YEAR}"),
    re.compile(r"(?<!\d)(?P<year>(?:19|20)\d{2})\s?(?P<sep>[/.-])\s?(?P<month>\d{1,2})\s?(?P=sep)\s?(?P<day>\d{1,2})(?!\d{3})"),
    re.compile(rf"(?<!\d)(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s+of)?[\s/.,-]*{_MONTH}[\s/.,'-]*{_YEAR}"),
    re.compile(rf"(?<![a-z]){_MONTH}[\s.]*(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s*(?P<year>(?:19|20)\d{{2}})"),
)  # fmt: skip
_BARE = re.compile(r"(?<!\d)(?P<day>\d{2})(?P<month>\d{2})(?P<year>20\d{2})(?!\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DateText:
    """A date as printed, read day first."""

    text: str
    date: datetime.date
    start: int
    end: int


def _read(match: re.Match[str], text: str) -> DateText | None:
    month = match["month"]
    number = int(month) if month.isdigit() else _MONTHS[month[:3].replace("0", "o")]
    year = int(match["year"].lstrip("'"))
    if year < 100:
        year += 2000 if year < 70 else 1900
    try:
        date = datetime.date(year, number, int(match["day"]))
    except ValueError:
        return None
    printed = re.sub(r"0(?=ct)", "O", text[match.start() : match.end()])
    return DateText(text=printed, date=date, start=match.start(), end=match.end())


def dates_in(text: str) -> tuple[DateText, ...]:
    """Return the dates in `text`, left to right, day first; strings that are no date in the calendar are left out."""
    folded = fold(text)
    found: list[DateText] = []
    for pattern in _PATTERNS:
        for match in pattern.finditer(folded):
            date = _read(match, text)
            if date and not any(date.start < f.end and f.start < date.end for f in found):
                found.append(date)
    return tuple(sorted(found, key=lambda d: d.start))


def _bare_date(text: str) -> DateText | None:
    """Return the date in a cell of eight digits whose separators got lost."""
    match = _BARE.fullmatch(text.strip())
    date = _read(match, text.strip()) if match else None
    if date is None:
        return None
    return DateText(text=f"{date.date:%d/%m/%Y}", date=date.date, start=0, end=8)


_ISSUE = label_pattern(
    """
    invoice date, tax invoice date, date of invoice, date of issue, issue date, date issued, issued on,
    issued, receipt date, bill date, transaction date, sale date, date of sale, purchase date, date of
    purchase, order date, document date, doc date, inv date, statement date, date of supply, biz date,
    business date, trans date, dated, date, date / time, date and time, inv dt
    """
)
_DUE = label_pattern(
    """
    due date, payment due date, payment due, due by, due on, pay by, please pay by, payable by, date due,
    payment due by, to be paid by, due, payment required by, pay before, payment date, balance due by,
    amount due by, total due by, settlement date, payment by
    """
)
_OTHER = re.compile(
    r"\b(expir\w*|valid|until|member since|printed|print|delivery|deliver\w*|best before|birth|dob|period|from|to"
    r"|return\w*|exchange|shipped|ship|closed|established|since|next)\b"
)
_VAGUE = frozenset({"date", "dated", "order date"})
_BETWEEN = re.compile(r"\s*(?:to|-|until|through|and|thru)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """The dates of a sale, as printed."""

    issued: str | None = None
    due: str | None = None


def _values(page: Page, pattern: re.Pattern[str]) -> Iterator[tuple[DateText, str]]:
    """Yield dates that belong to a label of `pattern`: behind it, on its right, or beneath it."""
    for cell in page.cells:
        folded = fold(cell.text)
        for match in re.finditer(rf"(?<![a-z])(?:{pattern.pattern})", folded):
            if folded[match.end() :].startswith("due") and pattern is not _DUE:
                continue
            rest = dates_in(cell.text[match.end() :])
            if rest and rest[0].start <= 14:
                yield rest[0], match["label"]
                continue
            if match.end() < len(folded.rstrip()) - 12:
                continue
            right = next(iter(page.right_of(cell)), None)
            if right is not None and (inside := dates_in(right.text)) and inside[0].start <= 12:
                yield inside[0], match["label"]
                continue
            beneath = page.below(cell)
            if beneath is not None and (inside := dates_in(beneath.text)) and inside[0].start <= 4:
                yield inside[0], match["label"]


def find_period(page: Page) -> str | None:
    """Return a period as printed: two dates joined by `to` or a dash, in one cell or in two of one row."""
    best: tuple[int, str] | None = None
    for cell in page.cells:
        found = dates_in(cell.text)
        text = cell.text
        if len(found) == 1:
            right, below = page.right_of(cell)[:1], page.below(cell)
            open_end = bool(re.match(r"\s*(to|-|until)(\W|$)", fold(text[found[0].end :])))
            following = right[0] if right and dates_in(right[0].text) else below if open_end else None
            if following is not None:
                text = f"{text} {following.text}"
                found = dates_in(text)
        if len(found) < 2:
            continue
        start = found[0].start
        if not _BETWEEN.fullmatch(fold(text[found[0].end : found[1].start])) or found[0].date > found[1].date:
            continue
        before = fold(text[:start]) + " " + " ".join(fold(c.text) for c in page.left_of(cell)[:1])
        labelled = 2 if "period" in before or "statement" in before else 1
        if best is None or labelled > best[0]:
            best = labelled, text[start : found[1].end]
    return best[1] if best else None


def find_dates(page: Page) -> Dates:
    """Find the date of issue and the due date."""
    due = next((d for d, _ in _values(page, _DUE)), None)
    return Dates(issued=_issued(page, due), due=due.text if due else None)


def _issued(page: Page, due: DateText | None) -> str | None:
    """Return the date behind the most telling label, else the first date that no other purpose claims."""
    labelled = list(_values(page, _ISSUE))
    for wanted in (
        [d for d, label in labelled if label.strip() not in _VAGUE and not _same(d, due)],
        [d for d, _ in labelled if not _same(d, due)],
        [d for d, _ in labelled],
    ):
        if wanted:
            return wanted[0].text
    plain = [
        date for cell in page.cells for date in dates_in(cell.text) if not _OTHER.search(fold(cell.text[: date.start]))
    ]
    for wanted in ([d for d in plain if not _same(d, due)], plain):
        if wanted:
            return wanted[0].text
    return next((d.text for cell in page.cells if (d := _bare_date(cell.text))), None)


def _same(date: DateText, other: DateText | None) -> bool:
    return other is not None and date.date == other.date
