"""Line items of receipts and invoices: descriptions, quantities, unit prices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.backends.ocr_rules.amounts import amounts_in
from harness.backends.ocr_rules.layout import Page
from harness.backends.ocr_rules.tables import Column, Table, TableRow, find_tables
from harness.backends.ocr_rules.text import either, normalise_words
from harness.schema import LIST_SEPARATOR

__all__ = ["LineItems", "find_line_items"]

_END = re.compile(
    r"^("
    + either(
        """
        subtotal, total, grand total, nett?, amount (due|payable|owing), balance, gst, tax, sst, includes,
        including, rounding, cash, change, payment, eftpos, visa, mastercard, master card, amex, debit card,
        credit card, items?, invoice total, total items, please, thank, bank, amt, plus gst, less, paid, terms,
        notes?
        """
    )
    # but these words also begin the names of goods
    + r")\b(?! (book|card holder|tape|box|bag|bags|paper|set))"
)
_MULTIPLE = re.compile(
    r"^\W*(?:q(?:uan)?ty?(?:ity)?\s*[:.]?\s*)?(?P<quantity>\d+(?:\.\d+)?)\s*(?:kg|ea|pcs?|units?|hrs?|l|m)?"
    r"\s*(?:x|@|\*)\s*(?:@\s*)?(?P<price>(?:A?\$|RM)?\s?\d[\d,]*\.\d{2})",
    re.IGNORECASE,
)
_TAX_MARK = re.compile(r"[\s*#^]+$|\s+(?:SR|ZR|ZRL|TX|GST|\*S)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineItems:
    """The columns of the items, entry i of each belonging to item i; None for a column that is not printed."""

    descriptions: str | None = None
    quantities: str | None = None
    prices: str | None = None


@dataclass(slots=True, kw_only=True)
class _Item:
    description: str
    quantity: str | None = None
    price: str | None = None
    amount: str | None = None
    number: str | None = None


def _money(text: str | None) -> str | None:
    found = amounts_in(text or "")
    return found[0].text if found else None


def _quantity(text: str | None) -> str | None:
    match = re.fullmatch(r"\W*(\d+(?:\.\d+)?)\s*(?:x|ea|pcs?|hrs?|h|kg|units?)?\W*", text or "", re.IGNORECASE)
    return match[1] if match else None


def _tidy(text: str) -> str:
    return _TAX_MARK.sub("", text.strip()).strip(" |·")


def _ends(text: str) -> bool:
    return bool(_END.match(normalise_words(text)))


def _join(values: Sequence[str | None], *, fill: str | None = None) -> str | None:
    """Join entries; None where none is known, or where one is missing and cannot be filled."""
    if not any(values):
        return None
    filled = [v or fill for v in values]
    return LIST_SEPARATOR.join(v for v in filled if v) if all(filled) else None


def _from_table(table: Table, text_height: float) -> list[_Item]:
    """Collect items from the rows of a table; a row with text alone goes on with the item above, or begins the next."""
    items: list[_Item] = []
    pending: str | None = None
    previous: TableRow | None = None
    for row in table.rows:
        description = _tidy(row.pieces.get(Column.DESCRIPTION, ""))
        amount, price = _money(row.pieces.get(Column.AMOUNT)), _money(row.pieces.get(Column.PRICE))
        quantity = _quantity(row.pieces.get(Column.QUANTITY))
        if (
            _ends(row.text)
            or any(_ends(cell) for cell in row.cells)
            or (description and not quantity and _ends(description))
        ):
            break
        if previous is not None and row.y0 - previous.y1 > 3.5 * text_height:
            break
        multiple = _MULTIPLE.match(row.text)
        if multiple and not (amount and price and quantity and description):
            if pending is not None or not items:
                items.append(_Item(description=pending or ""))
                pending = None
            items[-1].quantity, items[-1].price = multiple["quantity"], multiple["price"].strip()
            items[-1].amount = items[-1].amount or amount
        elif amount or price:
            text = f"{pending} {description}".strip() if pending else description
            if text or quantity:
                items.append(
                    _Item(
                        description=text,
                        quantity=quantity,
                        price=price,
                        amount=amount,
                        number=_quantity(row.pieces.get(Column.NUMBER)),
                    )
                )
            pending = None
        elif description and items and not _begins_next(table, row):
            items[-1].description = f"{items[-1].description} {description}"
        elif description:
            pending = f"{pending} {description}" if pending else description
        previous = row
    return [i for i in items if i.description]


def _begins_next(table: Table, row: TableRow) -> bool:
    """Whether a row of text alone belongs to the numbers in the row beneath it, which has no text of its own."""
    index = table.rows.index(row)
    if index + 1 >= len(table.rows):
        return False
    following = table.rows[index + 1]
    text = re.sub(r"[^A-Za-z]", "", following.pieces.get(Column.DESCRIPTION, ""))
    numbers = following.pieces.keys() & {Column.AMOUNT, Column.PRICE}
    return (bool(_MULTIPLE.match(following.text)) or (bool(numbers) and len(text) <= 2)) and not _ends(following.text)


def _from_rows(page: Page) -> list[_Item]:
    """Collect items of a receipt without a header: text on the left, a sum on the right, down to the closing sums.

    A line of text alone goes on with the item above it when it stands closer to that than to the next line.
    """
    items: list[_Item] = []
    pending: str | None = None
    for index, row in enumerate(page.rows):
        text = " ".join(c.text for c in row)
        found = amounts_in(text)
        label = _tidy(text[: found[-1].start]) if found else _tidy(text)
        if items and _ends(text):
            break
        multiple = _MULTIPLE.match(text)
        if multiple and (pending or items):
            if pending is not None and (not items or len(found) > 1 or items[-1].quantity):
                items.append(_Item(description=pending, amount=found[-1].text))
            items[-1].quantity, items[-1].price = multiple["quantity"], multiple["price"].strip()
            pending = None
        elif found and re.search("[A-Za-z]{3}", label) and not _ends(text) and row[-1].x1 > 0.55 * page.width:
            inline = re.match(r"(?P<quantity>\d+(?:\.\d+)?)\s*(?:x\s+|\s)(?P<text>[A-Za-z].*)", label)
            amount = found[-1].text
            if inline:
                items.append(_Item(description=inline["text"], quantity=inline["quantity"], amount=amount))
            else:
                items.append(_Item(description=label, amount=amount))
            pending = None
        elif items and pending is None and not found and _closer_above(page, index) and row[0].x0 < 0.5 * page.width:
            items[-1].description = f"{items[-1].description} {label}"
        else:
            pending = label if re.search("[A-Za-z]{3}", label) and not found else None
    return items


def _closer_above(page: Page, index: int) -> bool:
    """Whether a row stands clearly closer to the one above it than to the one beneath."""
    if not 0 < index < len(page.rows) - 1:
        return False
    above, row, below = (page.rows[index + i][0].cy for i in (-1, 0, 1))
    return row - above < 0.85 * (below - row)


def find_line_items(page: Page) -> LineItems:
    """Find the items; a printed column that cannot be read for every item is given up rather than shifted."""
    tables = [t for t in find_tables(page) if Column.BALANCE not in t.columns]
    items: list[_Item] = []
    table = None
    for candidate in tables:
        found = _from_table(candidate, page.text_height)
        if len(found) > len(items):
            items, table = found, candidate
    if not items:
        items = _from_rows(page)
    if not items:
        return LineItems()
    quantities = [i.quantity for i in items]
    numbers = [i.number for i in items]
    if not any(quantities) and all(numbers) and numbers != [str(i) for i in range(1, len(items) + 1)]:
        quantities = numbers
    prices = [i.price for i in items]
    if not any(prices):
        prices = [i.amount for i in items]
    else:
        prices = [p or i.amount for p, i in zip(prices, items, strict=True)]
    fill = "1" if table is None or Column.QUANTITY not in table.columns else None
    return LineItems(
        descriptions=_join([i.description for i in items]),
        quantities=_join(quantities, fill=fill),
        prices=_join(prices),
    )
