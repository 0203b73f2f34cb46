"""Who issued the document: a section that says so, or the header of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.backends.ocr_rules.addresses import (
    address_of,
    before_contact,
    is_australian,
    is_contact,
    join_address,
    looks_like_address,
)
from harness.backends.ocr_rules.amounts import amounts_in
from harness.backends.ocr_rules.identifiers import emails_in, is_registration, phones_in
from harness.backends.ocr_rules.layout import Line, Page, aligned, join_close
from harness.backends.ocr_rules.names import (
    has_legal_form,
    is_noise,
    name_score,
    strip_registration,
    whole_name,
)
from harness.backends.ocr_rules.parties import Party, beside_phone_label, is_party_name
from harness.backends.ocr_rules.sections import find_section, starts_with_label
from harness.backends.ocr_rules.text import alphanumerics
from harness.backends.ocr_rules.titles import is_title

__all__ = ["find_supplier"]


def find_supplier(page: Page, payer: Party) -> Party:
    """Read the issuer: a section that names it, else the header of the page."""
    free = ([c for c in row if id(c) not in payer.cells] for row in page.rows)
    cells = [c for row in free for c in join_close(row, gap=0.7)]
    name, anchor = _header_name(page, cells)
    section = find_section(page, "supplier", accept=is_party_name)
    if section is not None and section.heading.cy < 0.5 * page.height:
        first = section.lines[0]
        if id(first) not in payer.cells and (name is None or has_legal_form(first.text)):
            name, anchor = first.text, first
    business = [c for c in cells if not starts_with_label(c.text) or not emails_in(c.text)]
    phone = next((p for c in business for p in phones_in(c.text, labelled=beside_phone_label(page, c))), None)
    return Party(name=name, address=_supplier_address(cells, anchor), phone=phone)


def _header_name(page: Page, cells: Sequence[Line]) -> tuple[str | None, Line | None]:
    """Return the issuer's name in the header, and the cell in which it, or else the address, begins."""
    usable = [c for c in cells[:24] if not is_title(c.text)]
    addresses = [i for i, c in enumerate(usable) if looks_like_address(c.text) and not has_legal_form(c.text)]
    before = next((i for i in addresses if any(map(_can_name, usable[:i]))), addresses[0] if addresses else None)
    address = None if before is None else usable[before]
    names = [c for c in usable[: 12 if before is None else before] if _can_name(c)]
    if not names:
        return None, address
    elsewhere = alphanumerics(" ".join(c.text for c in cells if not any(c is n for n in names)))
    scores = [name_score(line, i, page.text_height, address, elsewhere) for i, line in enumerate(names)]
    return whole_name(names, names[scores.index(max(scores))], page.text_height)


def _can_name(line: Line) -> bool:
    """Whether a line of the header can be a name: words, and no contact, registration, label or address."""
    return (
        not is_noise(line)
        and not is_contact(strip_registration(line.text))
        and not is_registration(line.text)
        and not starts_with_label(line.text)
        and (has_legal_form(line.text) or not looks_like_address(line.text))
    )


def _supplier_address(cells: Sequence[Line], name: Line | None) -> str | None:
    """Return the address in the name's column of the header; else the only Australian address elsewhere."""
    if name is not None:
        column: list[Line] = []
        for cell in cells:
            in_column = any(cell.overlap_x(c) > 0 for c in (name, *column[-2:]))
            begins = cell.cy > name.y1 or (cell is name and not _can_name(cell))
            if begins and in_column and not is_title(cell.text):
                column.append(replace(cell, text=before_contact(cell.text)))
        span = address_of(column[:14])
        if span is not None and _near(column[: span[0]], column[span[0]], name):
            return join_address(c.text for c in column[span[0] : span[1]])
    tails = [c for c in cells if is_australian(c.text)]
    if len(tails) == 1:
        return _address_up(cells, tails[0])
    return None


def _near(between: Sequence[Line], first: Line, name: Line) -> bool:
    """Whether an address follows the name without other matters between: no table, no wide gap."""
    last = name
    for line in (*between, first):
        if line.y0 - last.y1 > 3.0 * max(name.height, line.height):
            return False
        last = line
    return len(between) <= 4 and not any(amounts_in(c.text) for c in between)


def _address_up(cells: Sequence[Line], tail: Line) -> str:
    """Return the address that ends in `tail`, with the lines above that go before it."""
    parts, line = [tail.text], tail
    while len(parts) < 4:
        above = [c for c in cells if 0 < line.cy - c.cy < 1.6 * max(line.height, c.height) and aligned(c, line)]
        if not above or not looks_like_address(above[-1].text):
            break
        line = above[-1]
        parts.insert(0, line.text)
    return join_address(parts)
