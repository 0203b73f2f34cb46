"""Layouts of invoices: a letterhead, a page of boxes, a sidebar, a remittance slip with the payer below the items."""

from __future__ import annotations

from random import Random

from harness.documents.synthesis.facts import DocumentKind, Facts
from harness.documents.synthesis.layouts.blocks import (
    BANK_FIELDS,
    PAYER_FIELDS,
    cell_row,
    meta_rows,
    print_bank,
    print_contact,
    print_notes,
    print_payer,
    print_sums,
)
from harness.documents.synthesis.layouts.tables import item_table
from harness.documents.synthesis.layouts.toolkit import (
    GREY,
    WHITE,
    Column,
    Layout,
    Look,
    Rules,
    finish,
    tint,
)
from harness.documents.synthesis.page import Page
from harness.documents.synthesis.typefaces import Typeface

__all__ = ["INVOICES"]

_ORDERS = (
    ("DESCRIPTIONS", "QUANTITIES", "PRICES", "AMOUNT"),
    ("QUANTITIES", "DESCRIPTIONS", "PRICES", "AMOUNT"),
    ("DESCRIPTIONS", "PRICES", "QUANTITIES", "AMOUNT"),
)


def letterhead(page: Page, facts: Facts, look: Look, rng: Random) -> None:
    """Supplier at the top left, title at the right; payer left and references right; totals right, bank below."""
    margin = page.width * 0.075
    right, middle = page.width - margin, page.width * 0.54
    left_head = Column(page, margin, middle - 10, margin)
    left_head.write(look.head(1.5).inked(look.accent), facts.values["SUPPLIER"])
    left_head.gap(4)
    print_contact(left_head, facts, look, look.body)
    title = Column(page, middle + 10, right, margin)
    title.write(look.head(1.75), facts.values["DOCUMENT_TYPE"], align="right")
    top = max(left_head.y, title.y) + 16
    page.rule(margin, right, top, look.accent, width=rng.choice((1, 3)))
    top += 18
    payer = Column(page, margin, middle - 20, top)
    payer.write(look.strong, look.label(facts.labels["PAYER_NAME"]))
    print_payer(payer, facts, look, look.body)
    meta = Column(page, middle, right, top)
    meta.pairs(look.strong, look.body, meta_rows(facts, look), space=4)
    y = max(payer.y, meta.y) + 22
    rules: Rules = rng.choice(("lines", "header", "zebra"))
    header = look.strong.inked(WHITE) if rules == "zebra" else look.strong
    y = item_table(
        page,
        facts,
        look,
        margin,
        right,
        y,
        order=rng.choice(_ORDERS),
        rules=rules,
        header=header,
        leading=rng.choice((8, 12)),
    )
    sums = Column(page, middle, right, y + 14)
    print_sums(sums, facts, look, rule=True)
    foot = Column(page, margin, right, max(sums.y, y) + 22)
    if rng.random() < 0.5 and facts.get(*BANK_FIELDS):  # beside the totals rather than below them
        beside = Column(page, margin, middle - 24, y + 16)
        print_bank(beside, facts, look, look.body)
        foot.y = max(foot.y, beside.y + 20)
    else:
        print_bank(foot, facts, look, look.body)
        foot.gap(14)
    print_notes(foot, facts, look)
    finish(page, foot.y, margin, rng.choice((0.0, 1.2, 1.41)))


def boxed(page: Page, facts: Facts, look: Look, rng: Random) -> None:
    """Everything in ruled boxes under a centred title; references in cells with the label above the value."""
    margin = page.width * 0.055
    right, middle = page.width - margin, page.width / 2
    title = Column(page, margin, right, margin)
    title.write(look.head(1.6), facts.values["DOCUMENT_TYPE"], align="centre")
    top = title.y + 10
    ours = Column(page, margin + 12, middle - 12, top + 10)
    ours.write(look.head(1.2), facts.values["SUPPLIER"])
    print_contact(ours, facts, look, look.body)
    theirs = Column(page, middle + 12, right - 12, top + 10)
    theirs.write(look.small.inked(GREY), look.heading(facts.labels["PAYER_NAME"]))
    print_payer(theirs, facts, look, look.body)
    bottom = max(ours.y, theirs.y) + 12
    page.frame((margin, top, middle, bottom), look.accent)
    page.frame((middle, top, right, bottom), look.accent)
    meta = [(look.heading(label.rstrip(":")), value) for label, value in meta_rows(facts, look)]
    y = cell_row(page, look, margin, right, bottom, meta, boxed=True) + 14
    header = look.strong.inked(WHITE) if rng.random() < 0.5 else look.strong
    y = item_table(
        page, facts, look, margin, right, y, order=rng.choice(_ORDERS), rules="grid", header=header, leading=10
    )
    sums = Column(page, middle + 30, right - 12, y + 10)
    print_sums(sums, facts, look)
    page.frame((middle + 18, y, right, sums.y + 8), look.accent)
    y = sums.y + 24
    bank = [(look.heading(label), value) for label, value in facts.get(*BANK_FIELDS)]
    if bank:
        heading = Column(page, margin, right, y)
        heading.write(look.strong, look.heading(facts.labels["bank"]))
        y = cell_row(page, look, margin, right, heading.y + 5, bank, boxed=True) + 14
    foot = Column(page, margin, right, y)
    print_notes(foot, facts, look)
    finish(page, foot.y, margin, rng.choice((0.0, 1.15)))


def sidebar(page: Page, facts: Facts, look: Look, rng: Random) -> None:
    """A coloured bar at one side with the supplier and the bank; the rest of the page for payer and items."""
    wide = page.width * 0.33
    mirrored = rng.random() < 0.35
    bar_left = page.width - wide if mirrored else 0.0
    pale = rng.random() < 0.4
    ink = look.body.ink if pale else WHITE
    pad = page.width * 0.026
    bar = Column(page, bar_left + pad, bar_left + wide - pad, page.width * 0.05)
    bar.write(look.head(1.3).inked(ink), facts.values["SUPPLIER"])
    bar.gap(14)
    for name in ("ABN", "BUSINESS_ADDRESS", "BUSINESS_PHONE", "SUPPLIER_WEBSITE"):
        for label, value in facts.get(name):
            spelled = "Phone" if name == "BUSINESS_PHONE" and len(label) < 3 else label
            bar.stack(look.small.heavy().inked(ink), look.body.inked(ink), look.heading(spelled), value)
            bar.gap(10)
    for label, email in facts.extras["contact"]:
        bar.stack(look.small.heavy().inked(ink), look.body.inked(ink), look.heading(label), email)
        bar.gap(10)
    rows = facts.get(*BANK_FIELDS)
    if rows:
        bar.rule(ink, space=14)
        bar.write(look.strong.inked(ink), look.heading(facts.labels["bank"]))
        bar.gap(8)
        for label, value in rows:
            bar.stack(look.small.inked(ink), look.strong.inked(ink), look.heading(label), value)
            bar.gap(7)
    left, right = (page.width * 0.05, bar_left - pad) if mirrored else (wide + pad, page.width * 0.955)
    main = Column(page, left, right, page.width * 0.05)
    main.write(look.head(1.9).inked(look.accent), facts.values["DOCUMENT_TYPE"])
    main.gap(14)
    half = left + (right - left) * 0.5
    payer = Column(page, left, half - 14, main.y)
    payer.write(look.small.inked(GREY), look.heading(facts.labels["PAYER_NAME"]))
    print_payer(payer, facts, look, look.body)
    meta = Column(page, half, right, main.y)
    for label, text in meta_rows(facts, look):
        meta.stack(look.small.inked(GREY), look.body, look.heading(label.rstrip(":")), text)
        meta.gap(6)
    main.y = max(payer.y, meta.y) + 20
    main.y = item_table(
        page, facts, look, left, right, main.y, order=_ORDERS[0], rules=rng.choice(("lines", "header")), leading=12
    )
    sums = Column(page, left + (right - left) * 0.34, right, main.y + 14)
    print_sums(sums, facts, look, rule=True)
    main.y = sums.y + 26
    print_notes(main, facts, look)
    finish(page, max(main.y, bar.y), page.width * 0.05, rng.choice((0.0, 1.2, 1.38)))
    page.fill((bar_left, 0, bar_left + wide, page.height), tint(look.accent, 0.13) if pale else look.accent)


def remittance(page: Page, facts: Facts, look: Look, rng: Random) -> None:
    """A banner with the supplier, the items first, and a slip to tear off with the payer and how to pay."""
    margin = page.width * 0.06
    right = page.width - margin
    dark = rng.random() < 0.6
    ink = WHITE if dark else look.body.ink
    banner = Column(page, margin, page.width * 0.62, margin * 0.7)
    banner.write(look.head(1.55).inked(ink), facts.values["SUPPLIER"])
    print_contact(banner, facts, look, look.body.inked(ink))
    title = Column(page, page.width * 0.64, right, margin * 0.7)
    title.write(look.head(1.5).inked(ink), facts.values["DOCUMENT_TYPE"], align="right")
    bottom = max(banner.y, title.y) + margin * 0.6
    page.fill((0, 0, page.width, bottom), look.accent if dark else tint(look.accent, 0.16))
    y = cell_row(
        page,
        look,
        margin - 10,
        right,
        bottom + 8,
        [(look.heading(a.rstrip(":")), b) for a, b in meta_rows(facts, look)],
        boxed=False,
    )
    y = item_table(page, facts, look, margin, right, y + 10, order=rng.choice(_ORDERS), rules="header", leading=11)
    sums = Column(page, page.width * 0.5, right, y + 12)
    print_sums(sums, facts, look, rule=True)
    notes = Column(page, margin, page.width * 0.47, y + 14)
    print_notes(notes, facts, look)
    y = max(sums.y, notes.y) + 26
    page.rule(margin * 0.4, page.width - margin * 0.4, y, GREY, width=2, dash=12)
    slip = Column(page, margin, right, y + 14)
    slip.write(look.strong, rng.choice(("REMITTANCE ADVICE", "Payment slip", "Please detach and return with payment")))
    slip.gap(10)
    half = page.width * 0.52
    payer = Column(page, margin, half - 16, slip.y)
    payer.pairs(
        look.body.inked(GREY),
        look.body,
        [(look.label(label), value) for label, value in facts.get(*PAYER_FIELDS)],
        space=4,
    )
    bank = Column(page, half, right, slip.y)
    print_bank(bank, facts, look, look.body)
    bank.gap(6)
    bank.ends(look.strong, look.label(facts.labels["TOTAL"]), facts.values["TOTAL"].again())
    finish(page, max(payer.y, bank.y), margin, rng.choice((0.0, 1.2)))


def letter(page: Page, facts: Facts, look: Look, rng: Random) -> None:
    """A letter: name and title centred, references in running text, the amount large above the items."""
    margin = page.width * 0.1
    right = page.width - margin
    column = Column(page, margin, right, margin * 0.8)
    column.write(look.head(1.7), facts.values["SUPPLIER"], align="centre")
    print_contact(column, facts, look, look.small, align="centre")
    column.rule(look.accent, width=1, space=14)
    column.write(look.head(1.35), facts.values["DOCUMENT_TYPE"], align="left")
    column.gap(8)
    for label, value in meta_rows(facts, look):
        column.write(look.body, look.inline(label), value)
    column.gap(12)
    for label, value in facts.get(*PAYER_FIELDS):
        column.write(look.body, look.inline(label), value, hang=look.size * 2)
    column.gap(16)
    column.y = item_table(
        page,
        facts,
        look,
        margin,
        right,
        column.y,
        order=rng.choice(_ORDERS),
        rules=rng.choice(("none", "header")),
        leading=9,
    )
    sums = Column(page, margin + (right - margin) * 0.5, right, column.y + 12)
    print_sums(sums, facts, look, rule=rng.random() < 0.5)
    column.y = sums.y + 20
    print_bank(column, facts, look, look.body)
    column.gap(14)
    print_notes(column, facts, look)
    finish(page, column.y, margin * 0.8, rng.choice((0.0, 1.3)))


_SANS = (Typeface.DEJAVU_SANS, Typeface.ROBOTO, Typeface.LATO, Typeface.SOURCE_SANS)
_SERIF = (Typeface.DEJAVU_SERIF, Typeface.SOURCE_SERIF, Typeface.CALADEA)

INVOICES: tuple[Layout, ...] = (
    Layout(
        name="invoice-letterhead",
        kind=DocumentKind.INVOICE,
        draw=letterhead,
        typefaces=(*_SANS, *_SERIF),
        widths=(860, 960),
        sizes=(18, 20),
    ),
    Layout(
        name="invoice-boxed", kind=DocumentKind.INVOICE, draw=boxed, typefaces=_SANS, widths=(880, 980), sizes=(17, 19)
    ),
    Layout(
        name="invoice-sidebar",
        kind=DocumentKind.INVOICE,
        draw=sidebar,
        typefaces=(Typeface.ROBOTO, Typeface.LATO, Typeface.SOURCE_SANS, Typeface.SOURCE_SERIF),
        widths=(940, 1000),
        sizes=(17, 19),
    ),
    Layout(
        name="invoice-remittance",
        kind=DocumentKind.INVOICE,
        draw=remittance,
        typefaces=_SANS,
        widths=(860, 960),
        sizes=(18, 20),
    ),
    Layout(
        name="invoice-letter",
        kind=DocumentKind.INVOICE,
        draw=letter,
        typefaces=(*_SERIF, Typeface.DEJAVU_MONO),
        widths=(820, 920),
        sizes=(18, 20),
    ),
)
