"""Sections that a heading opens: who is billed, whom to pay, who sends; and label-value pairs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from harness.backends.ocr_rules.layout import Line, Page
from harness.backends.ocr_rules.tables import is_heading
from harness.backends.ocr_rules.text import fold, label_pattern, phrases

__all__ = ["Section", "find_section", "is_label", "labelled_values", "starts_with_label", "values_of"]

_PAYER = label_pattern(
    """
    bill to, billed to, invoice to, invoiced to, customer, client, sold to, customer details, client
    details, attention, attn, prepared for, received from, buyer, customer name, client name, issued to,
    charge to, charged to, purchaser, payer, bill to party, billing to, billing details, bill to address,
    tax invoice to, invoice for, to, purchased by, customer information, member, guest, guest name, patient,
    account name and address, billing address, recipient, for, paid by, for the attention of
    """
)
_SUPPLIER = label_pattern(
    """
    from, supplier, seller, issued by, vendor, supplier details, sold by, payee, remit to, pay to, our
    details, business name, trading name, trading as, supplied by, provider, merchant, store, business
    details
    """
)
_SHIP = label_pattern(
    """
    ship to, deliver to, delivery address, shipping address, delivered to, site address, job site, delivery
    to
    """
)
_OTHER = label_pattern(
    """
    bank details, payment details, payment, payment information, how to pay, pay by direct deposit, direct
    deposit, eft, remittance advice, remittance, payment options, banking details, pay by eft, payment
    method, notes, terms, comments, invoice, invoice number, invoice no, invoice date, number, date, due
    date, due, terms, reference, ref, order, your order, po number, p.o.#, invoice #, tax invoice, receipt,
    receipt no, register, time, staff, cashier, served by, operator, page, account, account number, account
    no, acct no, acc no, bsb, bsb number, bsb no, bank, bank name, account name, acct name, acc name, a/c
    name, account holder, address, tel, phone, email, mobile, fax, abn, a.b.n., name, website, web, ph,
    table, job, amount due, total, subtotal, gst, quantity, qty, description, item, balance, sale date, date
    of issue, issue date, issued, terms of payment, payment terms, customer no, customer id, client id, sort
    code, branch, branch number, branch number (bsb), bsb/account, acct number, acc number, a/c no, a/c,
    statement period, period, statement number, product, opening balance, closing balance, in the name of,
    account of, total due, amount, balance due
    """
)
_PATTERNS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {"payer": _PAYER, "supplier": _SUPPLIER, "ship": _SHIP, "other": _OTHER}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and the lines that it opens, top to bottom; the first may be the rest of the heading's own cell."""

    heading: Line
    lines: tuple[Line, ...]


def is_label(text: str) -> bool:
    """Whether a cell is nothing but a label or heading of a document, whatever it labels."""
    folded = fold(text).strip()
    return is_heading(text) or any(
        (m := p.match(folded)) is not None and m.end() == len(folded) for p in _PATTERNS.values()
    )


def starts_with_label(text: str) -> bool:
    """Whether a cell begins with a label that a colon or the cell's end closes."""
    folded = fold(text).strip()
    return is_heading(text) or any(
        (m := p.match(folded)) is not None and (m.end() == len(folded) or ":" in m["after"]) for p in _PATTERNS.values()
    )


def _rest(cell: Line, end: int) -> Line:
    unit = cell.width / max(len(cell.text), 1)
    return Line(
        text=cell.text[end:].strip(), x0=cell.x0 + end * unit, y0=cell.y0, x1=cell.x1, y1=cell.y1, angle=cell.angle,
        score=cell.score,
    )  # fmt: skip


_WORDS = re.compile(r"[A-Za-z&(][A-Za-z .,&'()/-]*")
_NOT_HEADING = re.compile(
    r"(copy|service|care|number|no|id|ref\w*|signature|receipt|feedback|loyalty|satisfaction|support|due|code|acc\w*|abn)\b"
)
_RUNNING = frozenset(phrases("to, from, for, member, store, guest, payee, payer, supplier"))
"""Headings that running text begins with too: what follows them in a cell is theirs only behind a colon."""


def _heading(cell: Line, kind: str) -> Line | None:
    """Return what follows the heading in its own cell (its text may be empty), or None if this is no such heading."""
    folded = fold(cell.text)
    match = _PATTERNS[kind].match(folded)
    if match is None:
        return None
    rest = folded[match.end() :].strip()
    label = re.sub(r"\W+", " ", match["label"]).strip()
    if rest and ":" not in match["after"]:
        if label in _RUNNING or _NOT_HEADING.match(rest):
            return None
        if not re.match(r"[A-Z0-9]", cell.text[match.end() :].strip()):
            return None
    if not rest and not cell.text.strip()[:1].isupper():
        return None
    return _rest(cell, match.end())


def find_section(page: Page, kind: str, *, accept: Callable[[str], bool]) -> Section | None:
    """Return the first section of `kind` (payer, supplier) whose first line `accept` takes for a name."""
    for cell in page.cells:
        rest = _heading(cell, kind)
        if rest is None:
            continue
        if rest.text:
            if accept(rest.text):
                # Lines beneath may align with the label or with what follows it.
                beneath = _stack(page, cell) or _stack(page, rest)
                return Section(heading=cell, lines=(rest, *beneath))
            continue
        if (first := _first_line(page, cell, accept)) is not None:
            return Section(heading=cell, lines=(first, *_stack(page, first)))
    return None


_NAME_LABEL = re.compile(r"(?:(?:full|customer|client|company|business)\s)?name\s*:\s*(?=\S)")
"""Opens the first line of a section whose lines carry labels of their own."""


def _first_line(page: Page, heading: Line, accept: Callable[[str], bool]) -> Line | None:
    """Return the line that a heading on its own opens: beneath it, or on its right among pairs of labels and values."""

    def fits(line: Line | None) -> bool:
        return line is not None and accept(line.text) and not starts_with_label(line.text)

    right = next(iter(page.right_of(heading)), None)
    below = page.below(heading, reach=2.0)
    if not fits(below) and right is None and not page.left_of(heading):
        below = page.row_below(heading)  # the heading is centred over a block that is set flush left
    if below is not None and (named := _NAME_LABEL.match(fold(below.text))) is not None:
        below = replace(below, text=below.text[named.end() :])
    if right is not None and fits(right):
        beside = right.x0 - heading.x1 < 3 * heading.height and _in_pairs(page, heading)
        return right if beside or not fits(below) else below
    return below if fits(below) else None


def _in_pairs(page: Page, cell: Line) -> bool:
    """Whether the cell beneath or above, in the same column, is a label with a value on its right, as this one."""
    below = page.below(cell, reach=3.0)
    return below is not None and is_label(below.text) and bool(page.right_of(below))


def _stack(page: Page, first: Line) -> tuple[Line, ...]:
    """Return the lines stacked beneath `first`, down to a gap or another heading."""
    lines: list[Line] = []
    for line in page.column_below(first, first_reach=1.6, reach=1.6):
        if any((h := _heading(line, kind)) is not None and not h.text for kind in ("payer", "supplier", "ship")):
            break
        if is_label(line.text) and len(line.text.strip(" :.")) > 3:
            break
        lines.append(line)
        if len(lines) >= 8:
            break
    return tuple(lines)


def labelled_values(page: Page, pattern: re.Pattern[str]) -> Iterator[str]:
    """Yield what stands behind a label, on its right, and beneath it: the likeliest place first, label by label."""
    for cell in page.cells:
        yield from values_of(page, cell, pattern)


def values_of(page: Page, cell: Line, pattern: re.Pattern[str]) -> Iterator[str]:
    """Yield the values of one cell if it begins with a label of `pattern`."""
    match = pattern.match(fold(cell.text))
    if match is None:
        return
    rest = cell.text[match.end() :].strip()
    if rest:
        if ":" in match["after"] or re.search(r"[\s.)]$", match.group()) or re.match(r"\d|[A-Z]", rest):
            yield rest
        return
    right = next(iter(page.right_of(cell)), None)
    below = page.below(cell)
    values = [_with_wrap(page, c) for c in (right, below) if c is not None and not starts_with_label(c.text)]
    if len(values) == 2 and right is not None and right.x0 - cell.x1 > 4 * cell.height and ":" not in match["after"]:
        values.reverse()
    yield from values


def _with_wrap(page: Page, line: Line) -> str:
    """Return the line's text, joined with up to two lines beneath that go on with it: words, level left, no label."""
    parts = [line.text]
    for _ in range(2):
        following = page.below(line, reach=0.7)
        labels = page.left_of(line)[:1], page.left_of(following)[:1] if following is not None else ()
        if (
            following is None
            or (
                labels[0]
                and labels[1]
                and starts_with_label(labels[0][0].text)
                and abs(labels[0][0].x0 - labels[1][0].x0) < line.height
            )
            or abs(following.x0 - line.x0) > 0.6 * line.height
            or not _WORDS.fullmatch(following.text)
            or not _WORDS.fullmatch(line.text)
            or starts_with_label(following.text)
            or any(starts_with_label(c.text) for c in page.left_of(following)[:1])
        ):
            break
        parts.append(following.text)
        line = following
    return " ".join(parts)
