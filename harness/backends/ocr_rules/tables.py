"""Tables of line items or transactions: finding the header, and giving each piece of a row its column."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from harness.backends.ocr_rules.layout import Line, Page
from harness.backends.ocr_rules.text import fold, phrases

__all__ = ["Column", "Table", "TableRow", "find_tables", "is_heading"]


class Column(StrEnum):
    """What a column of a table holds."""

    DESCRIPTION = "description"
    QUANTITY = "quantity"
    PRICE = "price"
    AMOUNT = "amount"
    DATE = "date"
    DEBIT = "debit"
    CREDIT = "credit"
    BALANCE = "balance"
    NUMBER = "number"
    """A heading `No.`: line numbers in some tables, quantities in others."""
    OTHER = "other"


_HEADINGS: Mapping[Column, tuple[str, ...]] = MappingProxyType(
    {
        Column.DESCRIPTION: phrases(
            """
        description, descriptions, item description, desc, details, detail, item, items, product, products,
        particulars, service, services, article, goods, transaction details, transaction description,
        transaction, narrative, narration, description of goods, description of services, product description,
        goods or services, work done, work performed, activity, item details, item desc, goods and services,
        product service, menu
        """
        ),
        Column.QUANTITY: phrases(
            """
        qty, quantity, qnty, oty, q1y, hours, hrs, qty hrs, hrs qty, units, no of units, quant
        """
        ),
        Column.PRICE: phrases(
            """
        unit price, price, rate, unit cost, each, price each, unit, u price, cost, unit rate, hourly rate, cost
        each, s price, price per unit, unit amount, item price, ea, cost per unit, u p, unit price ex gst
        """
        ),
        Column.AMOUNT: phrases(
            """
        amount, line total, total, ext, extended, extension, value, line amount, amt, total price, net amount,
        subtotal, sub total, item total, amount ex gst, amount inc gst, amount aud, total aud, movement, charge,
        ext price, extended price, total amount, line value, price total, nett, net
        """
        ),
        Column.DATE: phrases(
            """
        date, posted, posting date, trans date, transaction date, date posted, value date, effective date
        """
        ),
        Column.DEBIT: phrases(
            """
        debit, debits, withdrawal, withdrawals, money out, paid out, payments, out, withdrawn, dr
        """
        ),
        Column.CREDIT: phrases(
            """
        credit, credits, deposit, deposits, money in, paid in, receipts, in, deposited, cr
        """
        ),
        Column.BALANCE: phrases("balance, running balance, account balance, closing balance, balance aud"),
        Column.NUMBER: phrases("no, line, item no, line no, nos"),
        Column.OTHER: phrases(
            """
        gst, tax, code, disc, discount, uom, ref, reference, rm, gst amount, item code, type, sku, product code,
        tax code, gst code, cheque, chq, particulars code, stock code, barcode
        """
        ),
    }
)
_PHRASES = tuple(phrase for names in _HEADINGS.values() for phrase in names)
_COLUMN_OF = MappingProxyType({name.replace(" ", ""): column for column, names in _HEADINGS.items() for name in names})
_HEADING = re.compile(
    r"(?<![a-z])("
    + "|".join(r"[\s./&-]*".join(map(re.escape, p.split())) for p in sorted(_PHRASES, key=len, reverse=True))
    + r")(?![a-z])(?:\s*\(?(?:aud|a?\$|rm|incl?|inc|ex|gst|inc gst|ex gst|incl gst)\)?(?![a-z]))*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heading:
    column: Column
    x0: float
    x1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row of a table's body: pieces by column, and where it stands on the page."""

    pieces: Mapping[Column, str]
    y0: float
    y1: float
    cells: Sequence[str]

    @property
    def text(self) -> str:
        """All that the row says."""
        return " ".join(self.cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A header and the rows beneath it, down to the end of the page; readers decide where the body ends."""

    columns: frozenset[Column]
    header_row: int
    rows: Sequence[TableRow]


def _part(cell: Line, start: int, end: int) -> tuple[float, float]:
    """Return the horizontal extent of a part of a cell's text, as if all letters were equally wide."""
    unit = cell.width / max(len(cell.text), 1)
    return cell.x0 + start * unit, cell.x0 + end * unit


def _cell_headings(cell: Line) -> tuple[_Heading, ...]:
    """Return the headings in a cell; none if it says much else."""
    folded = fold(cell.text)
    matches = list(_HEADING.finditer(folded))
    covered = sum(sum(c.isalpha() for c in m.group()) for m in matches)
    if covered < 0.7 * sum(c.isalpha() for c in folded):
        return ()
    found = []
    for match in matches:
        column = _COLUMN_OF[re.sub(r"[^a-z0-9]", "", match[1])]
        x0, x1 = _part(cell, match.start(1), match.end(1)) if len(matches) > 1 else (cell.x0, cell.x1)
        found.append(_Heading(column=column, x0=x0, x1=x1))
    return tuple(found)


def is_heading(text: str) -> bool:
    """Whether a cell can stand at the head of a column."""
    return bool(_cell_headings(Line(text=text, x0=0, y0=0, x1=1, y1=1)))


def _headings(row: Sequence[Line]) -> tuple[_Heading, ...]:
    """Return the longest run of headings in a row; a panel beside a table may stand in the same row."""
    best: list[_Heading] = []
    run: list[_Heading] = []
    for cell in row:
        found = _cell_headings(cell)
        run = [*run, *found] if found else []
        best = max(best, run, key=len)
    return tuple(best)


def _is_header(headings: Sequence[_Heading]) -> bool:
    columns = {h.column for h in headings}
    money = columns & {Column.PRICE, Column.AMOUNT, Column.DEBIT, Column.CREDIT, Column.BALANCE}
    text = columns & {Column.DESCRIPTION, Column.QUANTITY, Column.DATE}
    return len(headings) >= 2 and bool(money) and bool(text)


_NUMBER = r"[-+]?\(?(?:A?\$|RM)?\s?[-+]?[\d.,]+\)?(?:\s?(?:CR|DR)\b)?%?"
_LEADING_DATE = re.compile(
    r"(\d{1,2}[/-][01]?\d(?:[/-]\d{2,4})?|\d{1,2}\.[01]?\d\.\d{2,4}"
    r"|\d{1,2}[ -]?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*(?:[ -]\d{2,4})?)\s+(?=\D)",
    re.IGNORECASE,
)
_SHORT_DATE = re.compile(r"\d{1,2}\s?[a-z]{3,9}\.?(\s'?\d{2,4})?", re.IGNORECASE)
_PIECES = re.compile(r"\S+(?:(?<=\d)\s(?:CR|DR)\b)?")


def _numeric(word: str) -> bool:
    return bool(re.search(r"\d", word)) and bool(re.fullmatch(_NUMBER, word, re.IGNORECASE))


def _split(cell: Line, headings: Sequence[_Heading]) -> list[tuple[str, float, float]]:
    """Split numbers off a cell's text where the cell reaches into another column; text stays together."""
    if _SHORT_DATE.fullmatch(cell.text):
        return [(cell.text, cell.x0, cell.x1)]
    dated = _LEADING_DATE.match(cell.text)
    if dated and any(h.column is Column.DATE for h in headings):
        cut = dated.end()
        rest = Line(text=cell.text[cut:], x0=_part(cell, cut, cut)[0], y0=cell.y0, x1=cell.x1, y1=cell.y1)
        return [
            (dated[1], *_part(cell, 0, cut)),
            *_split(rest, [h for h in headings if h.column is not Column.DATE]),
        ]
    spans = [(m.group(), *_part(cell, m.start(), m.end())) for m in _PIECES.finditer(cell.text)]
    reached = [h for h in headings if min(cell.x1, h.x1) - max(cell.x0, h.x0) > 0]
    if len(spans) < 2 or len(reached) < 2:
        return [(cell.text, cell.x0, cell.x1)]
    first = 0
    while first < len(spans) and _numeric(spans[first][0]):
        first += 1
    last = len(spans)
    while last > first and _numeric(spans[last - 1][0]) and "." in spans[last - 1][0]:
        last -= 1
    if first == len(spans):
        return list(spans)
    # A number in front belongs to the text unless a column of numbers stands there.
    if first and _nearest(spans[0][1], spans[first - 1][2], reached).column is Column.DESCRIPTION:
        first = 0
    middle = [(" ".join(s[0] for s in spans[first:last]), spans[first][1], spans[last - 1][2])] if last > first else []
    return [*spans[:first], *middle, *spans[last:]]


def _nearest(x0: float, x1: float, headings: Sequence[_Heading]) -> _Heading:
    """Return the heading whose left edge, centre or right edge is closest, overlap first."""

    def distance(heading: _Heading) -> float:
        apart = max(heading.x0 - x1, x0 - heading.x1, 0.0)
        edges = min(abs(heading.x0 - x0), abs(heading.x1 - x1), abs((heading.x0 + heading.x1) - (x0 + x1)) / 2)
        return apart * 2 + edges

    return min(headings, key=distance)


_MONEY_COLUMNS = frozenset({Column.PRICE, Column.AMOUNT, Column.DEBIT, Column.CREDIT, Column.BALANCE, Column.QUANTITY})


def _assign(row: Sequence[Line], headings: Sequence[_Heading]) -> dict[Column, str]:
    """Give each piece of a row its column: numbers the nearest column of numbers, text the description."""
    pieces: dict[Column, str] = {}
    numbers = [h for h in headings if h.column in _MONEY_COLUMNS or h.column in (Column.OTHER, Column.NUMBER)]
    text_columns = [h for h in headings if h.column in (Column.DESCRIPTION, Column.DATE, Column.OTHER)]
    for cell in row:
        for text, x0, x1 in _split(cell, headings):
            if _numeric(text.replace(" ", "")) and numbers:
                nearest = _nearest(x0, x1, headings if not re.search(r"[.$]", text) else numbers)
            elif text_columns:
                nearest = _nearest(x0, x1, text_columns)
                # Text that overlaps no other text column is description: such columns are as wide as what they hold.
                if nearest.column is Column.OTHER and len(text) > 4:
                    nearest = next((h for h in text_columns if h.column is Column.DESCRIPTION), nearest)
                date = next((h for h in text_columns if h.column is Column.DATE), None)
                if date is not None and not re.search(r"\d", text):
                    # Running text that begins where the dates do is a note beneath the table, not a description.
                    if abs(x0 - date.x0) < cell.height:
                        nearest = _Heading(column=Column.OTHER, x0=x0, x1=x1)
                    elif nearest is date:
                        nearest = next((h for h in text_columns if h.column is Column.DESCRIPTION), nearest)
            else:
                nearest = _nearest(x0, x1, headings)
            pieces[nearest.column] = f"{pieces[nearest.column]} {text}" if nearest.column in pieces else text
    return pieces


def find_tables(page: Page) -> tuple[Table, ...]:
    """Find rows that are headers of tables, and give every row beneath one its columns."""
    tables: list[Table] = []
    starts = [(i, h) for i, row in enumerate(page.rows) if _is_header(h := _headings(row))]
    for number, (index, headings) in enumerate(starts):
        end = starts[number + 1][0] if number + 1 < len(starts) else len(page.rows)
        described = next((h.x0 for h in headings if h.column is Column.DESCRIPTION), math.inf)
        # A heading `No.` behind the description does not count the lines.
        headings = tuple(
            replace(h, column=Column.QUANTITY) if h.column is Column.NUMBER and h.x0 > described else h
            for h in headings
        )
        left, right = min(h.x0 for h in headings), max(h.x1 for h in headings)
        margin = page.text_height
        rows = []
        for row in page.rows[index + 1 : end]:
            cells = [c for c in row if c.x0 > left - margin and c.x0 < right + margin / 2]
            if cells:
                rows.append(
                    TableRow(
                        pieces=_assign(cells, headings), y0=min(c.y0 for c in cells), y1=max(c.y1 for c in cells),
                        cells=tuple(c.text for c in cells),
                    )
                )  # fmt: skip
        tables.append(Table(columns=frozenset(h.column for h in headings), header_row=index, rows=tuple(rows)))
    return tuple(tables)
