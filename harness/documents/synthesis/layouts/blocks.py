"""Parts that several layouts share: who sells, who pays, what it adds up to, where to pay."""

from __future__ import annotations

from collections.abc import Sequence

from harness.documents.synthesis.facts import Facts
from harness.documents.synthesis.layouts.toolkit import GREY, Column, Look
from harness.documents.synthesis.page import Align, Page, Text
from harness.documents.synthesis.typefaces import Style

__all__ = [
    "BANK_FIELDS",
    "PAYER_FIELDS",
    "cell_row",
    "meta_rows",
    "print_bank",
    "print_contact",
    "print_notes",
    "print_payer",
    "print_sums",
]

BANK_FIELDS = ("BANK_NAME", "ACCOUNT_HOLDER", "BSB_NUMBER", "BANK_ACCOUNT_NUMBER")
PAYER_FIELDS = ("PAYER_NAME", "PAYER_ADDRESS", "PAYER_PHONE", "PAYER_EMAIL")


def print_contact(column: Column, facts: Facts, look: Look, style: Style, *, align: Align = "left") -> None:
    """The supplier's address, phone, e-mail, website and ABN."""
    for _, value in facts.get("BUSINESS_ADDRESS"):
        column.write(style, value, align=align)
    for label, value in facts.get("BUSINESS_PHONE", "SUPPLIER_WEBSITE", "ABN"):
        column.write(style, look.label(label), value, align=align)
    for label, text in facts.extras.get("contact", ()):
        column.write(style, look.label(label), text, align=align)


def print_payer(column: Column, facts: Facts, look: Look, style: Style) -> None:
    """Name, address, phone and e-mail of the payer, without the heading."""
    column.write(style.heavy(), facts.values["PAYER_NAME"])
    for _, value in facts.get("PAYER_ADDRESS"):
        column.write(style, value)
    for label, value in facts.get("PAYER_PHONE", "PAYER_EMAIL"):
        column.write(style, look.label(label), value)


def meta_rows(facts: Facts, look: Look) -> list[tuple[str, Text]]:
    """Invoice number, dates and other references, as labelled rows."""
    rows: list[tuple[str, Text]] = [(look.label(label), text) for label, text in facts.extras["reference"][:1]]
    rows += [(look.label(label), value) for label, value in facts.get("INVOICE_DATE", "DUE_DATE")]
    return rows + [
        (look.label(label), text) for label, text in [*facts.extras["reference"][1:], *facts.extras["terms"]]
    ]


def print_sums(column: Column, facts: Facts, look: Look, *, big: float = 1.15, rule: bool = False) -> None:
    """Subtotal, GST and total, each on a line; the GST comes last if its label says that the total includes it."""
    after = any("incl" in label.lower() for label, _ in facts.get("GST"))
    for label, value in facts.get("SUBTOTAL", *(() if after else ("GST",))):
        column.ends(look.body, look.label(label), value)
        column.gap(3)
    if rule:
        column.rule(look.accent, width=2, space=4)
    [(label, value)] = facts.get("TOTAL")
    column.ends(look.head(big), look.label(label), value)
    column.gap(4)
    for label, value in facts.get(*(("GST",) if after else ())):
        column.ends(look.body, look.label(label), value)


def print_notes(column: Column, facts: Facts, look: Look, *, align: Align = "left") -> None:
    """The footnote on marked items, and what the business has to say, in small type."""
    for text in (facts.footnote, *facts.messages):
        if text:
            column.write(look.small, text, align=align)
            column.gap(3)


def print_bank(column: Column, facts: Facts, look: Look, style: Style) -> None:
    """Where to pay to, as labelled rows; nothing if the document does not say."""
    rows = [(look.label(label), value) for label, value in facts.get(*BANK_FIELDS)]
    if rows:
        column.write(style.heavy(), look.heading(facts.labels["bank"]))
        column.gap(4)
    column.pairs(style, style, rows, space=2)


def cell_row(
    page: Page, look: Look, left: float, right: float, top: float, rows: Sequence[tuple[str, Text]], *, boxed: bool
) -> float:
    """A row of equal cells, label above value; returns the bottom."""
    step = (right - left) / len(rows)
    bottoms = []
    for i, (label, value) in enumerate(rows):
        cell = Column(page, left + i * step + 10, left + (i + 1) * step - 8, top + 7)
        cell.stack(look.small.inked(GREY), look.body, look.heading(label), value)
        bottoms.append(cell.y)
    bottom = max(bottoms) + 8
    if boxed:
        for i in range(len(rows)):
            page.frame((left + i * step, top, left + (i + 1) * step, bottom), look.accent)
    return bottom
