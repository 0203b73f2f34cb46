"""Bank statements: balances and transactions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.backends.ocr_rules.amounts import amounts_in
from harness.backends.ocr_rules.layout import Line, Page
from harness.backends.ocr_rules.tables import Column, Table, find_tables
from harness.backends.ocr_rules.text import either, fold, label_pattern, normalise_words
from harness.schema import LIST_SEPARATOR

__all__ = ["Statement", "find_statement", "is_statement"]

_OPENING = label_pattern(
    """
    opening balance, balance brought forward, brought forward, previous balance, starting balance, balance
    b/f, balance b/fwd, beginning balance, start balance, opening bal, balance at start, opening account
    balance, last statement balance, balance forward, your opening balance, balance from last statement,
    initial balance
    """
)
_CLOSING = label_pattern(
    """
    closing balance, balance carried forward, carried forward, ending balance, final balance, balance c/f,
    balance c/fwd, new balance, end balance, closing bal, balance at end, closing account balance, your
    closing balance, balance at close, current balance, statement balance
    """
)
_NOT_TRANSACTION = re.compile(
    r"^("
    + either(
        """
        opening, closing, balance, brought, carried, total, totals, previous balance, starting balance, ending
        balance, final balance, new balance, page, continued, subtotal, sub total
        """
    )
    + r")\b(?! transfer)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Balances as printed, and what the transactions say."""

    opening: str | None = None
    closing: str | None = None
    descriptions: str | None = None


def _transactions(page: Page) -> Table | None:
    movements = {Column.DEBIT, Column.CREDIT, Column.AMOUNT}
    for table in find_tables(page):
        if Column.BALANCE in table.columns and table.columns & movements:
            return table
        if {Column.DEBIT, Column.CREDIT} <= table.columns and Column.DATE in table.columns:
            return table
    return None


def is_statement(page: Page) -> bool:
    """Whether the page is a bank statement: its title says so, or it has a table with a running balance."""
    if _transactions(page) is not None:
        return True
    return any(
        re.fullmatch(
            r"\W*((bank|account|transaction|savings|cheque|everyday|your|e) ?)*-?statement( of account)?\W*",
            fold(c.text),
        )
        for c in page.cells
    )


def _balance(page: Page, pattern: re.Pattern[str]) -> str | None:
    """Return the sum of a balance label: behind it, the last one on its right, or beneath it."""
    for cell in page.cells:
        match = pattern.match(fold(cell.text))
        if match is None:
            continue
        own = amounts_in(cell.text[match.end() :])
        if own:
            return own[-1].text
        to_right = list(page.right_of(cell))
        for right in to_right:
            if amounts_in(right.text):
                last = to_right[-1] if amounts_in(to_right[-1].text) else right
                return amounts_in(last.text if _same_table(to_right) else right.text)[-1].text
            if re.search("[A-Za-z]{4}", right.text):
                break
        beneath = page.below(cell)
        if beneath is not None and (found := amounts_in(beneath.text)) and len(found) == 1:
            return found[0].text
    return None


def _same_table(cells: list[Line]) -> bool:
    return all(amounts_in(c.text) for c in cells)


def find_statement(page: Page) -> Statement:
    """Read opening and closing balance and the transactions' descriptions."""
    table = _transactions(page)
    return Statement(
        opening=_balance(page, _OPENING),
        closing=_balance(page, _CLOSING),
        descriptions=_descriptions(table, page.text_height) if table else None,
    )


def _descriptions(table: Table, text_height: float) -> str | None:
    """Join the descriptions of the transactions; text without a sum goes on with the transaction above it."""
    found: list[str] = []
    bottom: float | None = None
    for row in table.rows:
        if bottom is not None and row.y0 - bottom > 2.5 * text_height:
            break
        text = row.pieces.get(Column.DESCRIPTION, "").strip()
        moved = row.pieces.keys() & {Column.DEBIT, Column.CREDIT, Column.AMOUNT, Column.BALANCE}
        has_sum = any(amounts_in(row.pieces[c]) for c in moved)
        if _NOT_TRANSACTION.match(normalise_words(text or row.text)):
            if found and re.match(r"(closing|balance carried|carried|total)", normalise_words(text or row.text)):
                break
        elif has_sum and text:
            found.append(text)
        elif text and found and not has_sum and Column.DATE not in row.pieces and bottom is not None:
            if row.y0 - bottom > 0.9 * text_height:
                break
            found[-1] = f"{found[-1]} {text}"
        elif not has_sum and found:
            break
        bottom = row.y1
    return LIST_SEPARATOR.join(found) or None
