"""Bank details: name of the bank, BSB, account number, account holder."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.backends.ocr_rules.identifiers import bsb_in
from harness.backends.ocr_rules.layout import Line, Page
from harness.backends.ocr_rules.sections import is_label, labelled_values, values_of
from harness.backends.ocr_rules.text import fold, label_pattern
from harness.backends.ocr_rules.titles import is_title

__all__ = ["Banking", "find_banking"]

_BSB = label_pattern(
    """
    bsb, bsb number, bsb no, bsb code, branch number (bsb), branch number, bank state branch, bsb #
    """
)
_ACCOUNT = label_pattern(
    """
    account number, account no, acct no, acc no, acct number, acc number, account, a/c no, a/c, a/c number,
    account #, acct, acc, acct #, acc #, bank account number, bank account, account num, a/c no., account
    no.
    """
)
_HOLDER = label_pattern(
    """
    account name, account holder, acct name, acc name, a/c name, name of account, account of, in the name
    of, account title, account holder name, account owner, account in the name of, name on account, acct
    holder, payee name, account held by, holder, account name(s), account holders
    """
)
_NAME = label_pattern("name")
_BANK = label_pattern(
    """
    bank, bank name, financial institution, name of bank, banker, institution, bankers
    """
)
_BANK_WORDS = re.compile(
    r"\b(bank\w*|credit union|building society|mutual|westpac|anz|nab|commbank|st\.? ?george|macquarie|bendigo"
    r"|suncorp|ing|hsbc)\b"
)
_NOT_BANK = re.compile(
    r"\b(statement|details?|account|transfer|deposit|please|via|number|pay|your|this|direct|fee|www|holiday)\b"
    r"|[.@]\w+\.|\d{3}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Banking:
    """Bank details as printed."""

    bank: str | None = None
    bsb: str | None = None
    account: str | None = None
    holder: str | None = None


def _account_number(text: str) -> str | None:
    """Return the digits that `text` begins with, if as many as account numbers have."""
    match = re.match(r"\W*(\d[\d -]{3,18}\d)(?![\d/.,])", text)
    if match is None or not 5 <= len(re.sub(r"\D", "", match[1])) <= 12:
        return None
    return match[1].strip()


def _person(text: str) -> str | None:
    """Return `text` if it can be the name of a person or a business."""
    text = text.strip(" :.-")
    if len(re.findall(r"[A-Za-z]", text)) < 3 or re.search(r"\d{4}", text) or is_label(text) or "@" in text:
        return None
    return text


def _clip(text: str) -> str:
    """Cut a value off before the next label in the same cell: `Smith Pty Ltd BSB: 012-345`."""
    match = re.search(
        r"\s+(bsb|acc(oun)?t? ?(no|num|name|number)?|a/c|swift|ref(erence)?|branch)\b\s*[.:#]", fold(text)
    )
    return text[: match.start()] if match else text


def _inline(page: Page, pattern: re.Pattern[str]) -> list[str]:
    """Return what follows labels in the middle of a cell: `Bank: ANZ  BSB: 012-345  Account: 123`."""
    inside = re.compile(rf"(?<![a-z])(?:{pattern.pattern})")
    return [
        cell.text[match.end() :].strip()
        for cell in page.cells
        for match in inside.finditer(fold(cell.text))
        if match.start() and (":" in match["after"] or cell.text[match.end() : match.end() + 1].isdigit())
    ]


def find_banking(page: Page, *, statement: bool) -> Banking:
    """Find the bank details; on a statement the bank is the one whose name heads the page."""
    bsb = next((b for v in (*labelled_values(page, _BSB), *_inline(page, _BSB)) if (b := bsb_in(v[:12]))), None)
    account = next(
        (
            a
            for v in (*labelled_values(page, _ACCOUNT), *_inline(page, _ACCOUNT))
            if (a := _account_number(v)) and not (bsb and re.sub(r"\D", "", a) == re.sub(r"\D", "", bsb))
        ),
        None,
    )
    if bsb and account is None:
        account = _beside_bsb(page, bsb)
    holder = next(
        (p for v in (*labelled_values(page, _HOLDER), *_inline(page, _HOLDER)) if (p := _person(_clip(v)))),
        None,
    )
    if holder is None and (bsb or account):
        holder = _name_near_bsb(page)
    return Banking(
        bank=_bank(page, statement=statement, known=bool(bsb or account)),
        bsb=bsb,
        account=account,
        holder=holder,
    )


def _beside_bsb(page: Page, bsb: str) -> str | None:
    """Return the number that follows the BSB in one value, `012-345 12345678`."""
    for cell in page.cells:
        at = cell.text.find(bsb)
        if at >= 0 and (number := _account_number(cell.text[at + len(bsb) :])):
            return number
    return None


def _name_near_bsb(page: Page) -> str | None:
    """Return the value of a bare `Name` label that stands close to the BSB."""
    anchors = [page.row_index(c) for c in page.cells if _BSB.match(fold(c.text))]
    near = (c for c in page.cells if any(abs(page.row_index(c) - a) <= 3 for a in anchors))
    return next((name for c in near for v in values_of(page, c, _NAME) if (name := _person(v))), None)


def _bank(page: Page, *, statement: bool, known: bool) -> str | None:
    """Return the bank's name: heading the page of a statement, else behind its label, else the only one named."""
    banks = [c for c in page.cells if len(c.text) < 45 and _names_bank(fold(c.text)) and not is_title(c.text)]
    if statement and banks:
        top = [c for c in banks if c.cy < 0.35 * page.height] or banks
        return _whole_name(page, max(top, key=lambda c: c.height))
    for value in labelled_values(page, _BANK):
        name = _clip(value).strip(" :.-")
        if (
            _person(name)
            and len(name) < 50
            and name[:1].isupper()
            and not _NOT_BANK.match(fold(name))
            and not is_title(name)
        ):
            return name
    if known and len(banks) == 1 and len(banks[0].text.split()) <= 5:
        return banks[0].text.strip(" :-")
    return None


def _names_bank(folded: str) -> bool:
    return bool(_BANK_WORDS.search(folded)) and not _NOT_BANK.search(folded)


def _whole_name(page: Page, line: Line) -> str:
    """Return the name in `line`, with the line above when the name began there in the same type."""
    above = [
        c for c in page.cells if 0 < line.cy - c.cy < 1.6 * line.height and abs(c.x0 - line.x0) < 0.6 * line.height
    ]
    if (
        above
        and abs(above[-1].height - line.height) < 0.2 * line.height
        and _person(above[-1].text)
        and not is_title(above[-1].text)
    ):
        return f"{above[-1].text} {line.text}".strip(" :-")
    return line.text.strip(" :-")
