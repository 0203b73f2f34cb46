"""Parties: what the document says of a business or person, and who is billed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.backends.ocr_rules.addresses import (
    address_of,
    is_australian,
    is_contact,
    join_address,
    looks_like_address,
)
from harness.backends.ocr_rules.identifiers import emails_in, phones_in
from harness.backends.ocr_rules.layout import Line, Page
from harness.backends.ocr_rules.names import is_bare_suffix
from harness.backends.ocr_rules.sections import Section, find_section, is_label
from harness.backends.ocr_rules.text import fold
from harness.backends.ocr_rules.titles import is_title

__all__ = ["Party", "beside_phone_label", "find_payer", "is_party_name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A business or person as the document names it, and the cells that say so."""

    name: str | None = None
    address: str | None = None
    phone: str | None = None
    email: str | None = None
    cells: frozenset[int] = frozenset()
    """Identities of the cells used, so that the other party does not use them again."""


def is_party_name(text: str) -> bool:
    """Whether a line can be a party's name: words, and no contact, label, sum or title."""
    return (
        len(re.findall("[A-Za-z]", text)) >= 3
        and not is_contact(text)
        and not is_label(text)
        and not is_title(text)
        and sum(c.isdigit() for c in text) <= 4
        and text[:1].isalnum()
    )


def find_payer(page: Page) -> Party:
    """Read the section that names who is billed: name, then address, phone and email beneath it."""
    section = find_section(page, "payer", accept=is_party_name)
    if section is None:
        return Party()
    lines = section.lines
    count = 1
    while count < min(len(lines), 3) and _goes_on(lines[count - 1], lines[count]):
        count += 1
    name = " ".join(line.text for line in lines[:count]).strip(" ,:")
    details = lines[count:]
    span = address_of(details, max_lines=4)
    if span is not None and not is_australian(" ".join(c.text for c in details[span[0] : span[1]])) and span[0] > 1:
        span = None
    address = join_address(line.text for line in details[span[0] : span[1]]) if span else None
    around = [*details, *_beside(page, section)]
    phone = next((p for line in around for p in phones_in(line.text, labelled=beside_phone_label(page, line))), None)
    email = next((e for line in around for e in emails_in(line.text)), None)
    cells = frozenset(id(c) for c in (section.heading, *lines, *around))
    return Party(name=name, address=address, phone=phone, email=email, cells=cells)


def _goes_on(line: Line, following: Line) -> bool:
    """Whether a name wrapped: the next line is a bare suffix, or words in the same type and no address."""
    text = following.text
    if is_bare_suffix(text):
        return True
    if (
        is_contact(text)
        or looks_like_address(text)
        or re.search(r"\d", text)
        or re.match(r"(attn|attention|c/)", fold(text))
    ):
        return False
    return abs(line.height - following.height) < 0.2 * line.height and following.y0 - line.y1 < 0.6 * line.height


def beside_phone_label(page: Page, line: Line) -> bool:
    """Whether a line stands beside a label such as `Tel`, or begins with a lone letter for one."""
    left = next(iter(page.left_of(line)), None) if id(line) in page.known else None
    beside = left is not None and re.fullmatch(r"\W*(tel|telephone|ph|phone|mobile|mob|m|p|t)\W*", fold(left.text))
    return bool(beside) or bool(re.match(r"\W*(ph|tel|p|m|t|mob)[\s.:]", fold(line.text)))


def _beside(page: Page, section: Section) -> list[Line]:
    """Return the cells under the heading itself that the section's own column leaves out, such as an email beneath."""
    top, bottom = section.heading.y0, max(line.y1 for line in section.lines) + 2.2 * section.heading.height
    own = {id(line) for line in section.lines}
    left = min(section.heading.x0, section.lines[0].x0) - section.heading.height
    right = max(line.x1 for line in section.lines)
    return [
        c for c in page.cells
        if id(c) not in own and top < c.cy < bottom and c.x0 >= left and c.x0 < max(right, section.heading.x1)
        and (emails_in(c.text) or phones_in(c.text, labelled=beside_phone_label(page, c)))
    ]  # fmt: skip
