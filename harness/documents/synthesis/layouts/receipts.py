"""Layouts of receipts: two till rolls, a till roll with columns, an e-receipt, a filled-in form."""

from __future__ import annotations

from random import Random

from harness.documents.synthesis.facts import DocumentKind, Facts, Trait
from harness.documents.synthesis.layouts.blocks import PAYER_FIELDS, cell_row, print_contact, print_notes, print_sums
from harness.documents.synthesis.layouts.tables import item_table
from harness.documents.synthesis.layouts.toolkit import GREY, WHITE, Column, Layout, Look, finish, tint
from harness.documents.synthesis.page import Align, Page, Part, Text
from harness.documents.synthesis.typefaces import BLACK, Typeface

__all__ = ["RECEIPTS"]


def thermal(page: Page, facts: Facts, look: Look, rng: Random) -> None:
    """A till roll: everything centred, each item over two lines, dashed rules."""
    margin = page.width * 0.07
    column = Column(page, margin, page.width - margin, margin)
    dash = rng.choice((0, 5, 9))
    column.write(look.head(1.45), facts.values["SUPPLIER"], align="centre")
    column.gap(4)
    print_contact(column, facts, look, look.body, align="centre")
    column.gap(10)
    column.write(look.head(1.1), facts.values["DOCUMENT_TYPE"], align="centre")
    column.rule(dash=dash)
    [(label, date)] = facts.get("INVOICE_DATE")
    if rng.random() < 0.5:
        column.write(look.body, look.label(label), date)
        for name, text in [*facts.extras["time"], *facts.extras["reference"]]:
            column.write(look.body, look.label(name), text)
    else:
        time = facts.extras["time"][0][1] if facts.extras["time"] else ""
        column.ends(look.body, time, date) if time else column.write(look.body, date, align="left")
        for name, text in facts.extras["reference"]:
            column.ends(look.body, look.label(name), text)
    column.rule(dash=dash)
    for item in facts.items:
        assert item.quantity is not None
        column.write(look.body, item.description)
        detail = Column(
            page, column.left + look.size * 1.6, column.right - look.size * (1.2 if facts.footnote else 0), column.y
        )
        top = detail.y
        detail.write(look.body, item.quantity, item.unit, "@", item.price)
        page.put(item.amount, look.body, detail.right, top + look.body.ascent, align="right")
        if item.mark:
            page.put(item.mark, look.body, column.right, top + look.body.ascent, align="right")
        column.y = detail.y
    column.rule(dash=dash)
    for name, text in facts.extras["count"]:
        column.write(look.body, look.label(name), text)
    print_sums(column, facts, look, big=1.3)
    if facts.extras["payment"]:
        column.rule(dash=dash)
        for name, text in facts.extras["payment"]:
            column.ends(look.body, name, text)
    column.gap(14)
    print_notes(column, facts, look, align="centre")
    finish(page, column.y, margin * 1.3)


def docket(page: Page, facts: Facts, look: Look, rng: Random) -> None:
    """A till roll with columns: quantity, item, price each, amount; shop details at the left."""
    margin = page.width * 0.06
    column = Column(page, margin, page.width - margin, margin)
    align: Align = rng.choice(("left", "centre"))
    column.write(look.head(1.1), facts.values["DOCUMENT_TYPE"], align=align)
    column.gap(6)
    column.write(look.head(1.35), facts.values["SUPPLIER"], align=align)
    print_contact(column, facts, look, look.body, align=align)
    column.gap(8)
    [(label, date)] = facts.get("INVOICE_DATE")
    column.pairs(
        look.body,
        look.body,
        [
            (look.label(label), date),
            *((look.label(n), t) for n, t in [*facts.extras["time"], *facts.extras["reference"]]),
        ],
    )
    column.gap(10)
    order = rng.choice(
        (("QUANTITIES", "DESCRIPTIONS", "PRICES", "AMOUNT"), ("DESCRIPTIONS", "QUANTITIES", "PRICES", "AMOUNT"))
    )
    column.y = item_table(
        page, facts, look, column.left, column.right, column.y, order=order, rules="header", leading=5
    )
    column.gap(10)
    print_sums(column, facts, look, big=1.25)
    for name, text in [*facts.extras["payment"], *facts.extras["count"]]:
        column.ends(look.body, name, text)
    column.rule(space=10)
    print_notes(column, facts, look, align="centre")
    finish(page, column.y, margin * 1.3)


def e_receipt(page: Page, facts: Facts, look: Look, rng: Random) -> None:
    """A receipt as sent to a phone: an initial in a disc, single items with their prices, contact details last."""
    margin = page.width * 0.09
    column = Column(page, margin, page.width - margin, margin)
    size = look.size * 3.4
    middle = page.width / 2
    page.disc((middle - size / 2, column.y, middle + size / 2, column.y + size), look.accent)
    initial = look.head(1.9).inked(WHITE)
    page.put(
        facts.values["SUPPLIER"].text[0], initial, middle, column.y + size / 2 + initial.size * 0.36, align="centre"
    )
    column.gap(size + 12)
    column.write(look.head(1.35), facts.values["SUPPLIER"], align="centre")
    column.gap(6)
    column.write(look.body.inked(GREY), facts.values["DOCUMENT_TYPE"], align="centre")
    column.gap(10)
    column.write(look.head(2.3), facts.values["TOTAL"].again(), align="centre")
    time = [t for _, t in facts.extras["time"]]
    column.write(look.body.inked(GREY), facts.values["INVOICE_DATE"], *time, align="centre")
    column.rule(tint(BLACK, 0.3), space=16)
    for item in facts.items:
        if item.mark:
            page.put(item.mark, look.body, column.right + look.size * 0.8, column.y + look.body.ascent, align="right")
        wide = look.body.length(item.price.text) + look.size
        bottom = page.paragraph([Part(item.description, look.body)], column.left, column.right - wide, column.y)
        page.put(item.price, look.body, column.right, column.y + look.body.ascent, align="right")
        column.y = bottom + 7
    column.rule(tint(BLACK, 0.3), space=10)
    print_sums(column, facts, look, big=1.15)
    for name, text in [*facts.extras["payment"], *facts.extras["count"], *facts.extras["reference"]]:
        column.ends(look.body.inked(GREY), name, text)
    column.rule(tint(BLACK, 0.3), space=14)
    print_contact(column, facts, look, look.body, align="centre")
    column.gap(8)
    print_notes(column, facts, look, align="centre")
    finish(page, column.y, margin)


def form(page: Page, facts: Facts, look: Look, rng: Random) -> None:
    """A receipt form: ruled boxes with the label above what is filled in, and who paid."""
    margin = page.width * 0.06
    right = page.width - margin
    head = Column(page, margin + 14, margin + (right - margin) * 0.58, margin + 14)
    head.write(look.head(1.4), facts.values["SUPPLIER"])
    print_contact(head, facts, look, look.body, align="left")
    title = Column(page, margin + (right - margin) * 0.62, right - 14, margin + 16)
    title.write(look.head(1.45), facts.values["DOCUMENT_TYPE"], align="right")
    for name, text in facts.extras["reference"][:1]:
        title.write(look.body, look.label(name), text, align="right")
    y = max(head.y, title.y) + 12
    top = margin
    filled: list[tuple[str, Text]] = [*facts.get("INVOICE_DATE"), *facts.extras["time"]]
    filled += [*facts.extras["reference"][1:2], *facts.extras["payment"][:1]]
    bottom = cell_row(page, look, margin, right, y, filled, boxed=True)
    column = Column(page, margin + 12, right - 12, bottom)
    payer = facts.get(*PAYER_FIELDS)
    if payer:
        column.gap(8)
        column.pairs(look.body.inked(GREY), look.body, [(look.label(label), value) for label, value in payer], space=3)
        column.gap(8)
    column.y = item_table(
        page,
        facts,
        look,
        margin,
        right,
        column.y,
        order=("DESCRIPTIONS", "QUANTITIES", "PRICES", "AMOUNT"),
        rules="grid",
        leading=10,
    )
    sums = Column(page, margin + (right - margin) * 0.48, right - 12, column.y + 10)
    print_sums(sums, facts, look, big=1.2)
    notes = Column(page, margin + 12, margin + (right - margin) * 0.44, column.y + 12)
    print_notes(notes, facts, look, align="left")
    for name, text in [*facts.extras["payment"][1:], *facts.extras["count"], *facts.extras["reference"][2:]]:
        notes.write(look.small, look.label(name), text)
    end = max(sums.y, notes.y) + 12
    page.frame((margin, top, right, end), width=2)
    finish(page, end, margin)


_TILL = (Typeface.DEJAVU_MONO, Typeface.DEJAVU_MONO, Typeface.DEJAVU_MONO, Typeface.ROBOTO, Typeface.SOURCE_SANS)
_SANS = (Typeface.DEJAVU_SANS, Typeface.ROBOTO, Typeface.LATO, Typeface.SOURCE_SANS)

RECEIPTS: tuple[Layout, ...] = (
    Layout(
        name="receipt-thermal",
        kind=DocumentKind.RECEIPT,
        draw=thermal,
        typefaces=_TILL,
        widths=(620, 680),
        sizes=(19, 21),
    ),
    Layout(
        name="receipt-docket",
        kind=DocumentKind.RECEIPT,
        draw=docket,
        typefaces=(*_SANS, Typeface.DEJAVU_MONO),
        widths=(640, 720),
        sizes=(18, 20),
    ),
    Layout(
        name="receipt-electronic",
        kind=DocumentKind.RECEIPT,
        draw=e_receipt,
        typefaces=_SANS,
        widths=(620, 680),
        sizes=(19, 22),
        traits=frozenset({Trait.NO_QUANTITIES}),
    ),
    Layout(
        name="receipt-form",
        kind=DocumentKind.RECEIPT,
        draw=form,
        widths=(820, 920),
        sizes=(18, 20),
        typefaces=(Typeface.CALADEA, Typeface.DEJAVU_SERIF, Typeface.SOURCE_SERIF, Typeface.LATO),
        traits=frozenset({Trait.PAYER, Trait.FEW_ITEMS}),
    ),
)
