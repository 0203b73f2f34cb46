"""Layouts of bank statements: a ledger, summary boxes, a side panel, a passbook."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from harness.documents.synthesis.facts import DocumentKind, Facts
from harness.documents.synthesis.layouts.tables import ColumnSpec, table
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
from harness.documents.synthesis.page import Page, Text
from harness.documents.synthesis.typefaces import Style, Typeface

__all__ = ["STATEMENTS"]

_ACCOUNT = ("ACCOUNT_HOLDER", "BSB_NUMBER", "BANK_ACCOUNT_NUMBER", "STATEMENT_PERIOD")


def _transactions(
    page: Page,
    facts: Facts,
    look: Look,
    left: float,
    right: float,
    top: float,
    *,
    signed: bool,
    rules: Rules,
    header: Style,
    leading: float,
    first: Sequence[Text] = (),
    last: Sequence[Text] = (),
) -> float:
    """The table of transactions; `first` and `last` are rows of the balances around them."""
    amounts = ("AMOUNT",) if signed else ("DEBIT", "CREDIT")
    specs = [
        ColumnSpec(title=look.heading(facts.labels["DATE"])),
        ColumnSpec(title=look.heading(facts.labels["DESCRIPTIONS"]), flexible=True),
        *(ColumnSpec(title=look.heading(facts.labels[name]), align="right") for name in (*amounts, "BALANCE")),
    ]
    rows: list[Sequence[Text]] = [
        [t.date, t.description, *((t.signed,) if signed else (t.debit, t.credit)), t.balance]
        for t in facts.transactions
    ]
    blank = [""] * (len(specs) - 3)
    framed = [["", first[0], *blank, first[1]]] if first else []
    closing = [["", last[0], *blank, last[1]]] if last else []
    return table(
        page,
        left,
        right,
        top,
        specs,
        [*framed, *rows, *closing],
        look.body,
        header=header,
        rules=rules,
        accent=look.accent,
        leading=leading,
    )


def _account(facts: Facts, look: Look) -> list[tuple[str, Text]]:
    rows: list[tuple[str, Text]] = [(look.label(label), value) for label, value in facts.get(*_ACCOUNT)]
    return rows + [(look.label(label), text) for label, text in facts.extras["account"]]


def _summary(facts: Facts) -> list[tuple[str, Text]]:
    """Opening balance, what came and went, closing balance."""
    [opening] = facts.get("OPENING_BALANCE")
    [closing] = facts.get("CLOSING_BALANCE")
    return [opening, *facts.extras["summary"], closing]


def _notes(column: Column, facts: Facts, look: Look, rng: Random) -> None:
    column.gap(18)
    for text in facts.messages:
        column.write(look.small, text)
        column.gap(3)
    if rng.random() < 0.5:
        column.write(look.small, "Page 1 of 1", align="right")


def ledger(page: Page, facts: Facts, look: Look, rng: Random) -> None:
    """Bank at the left, account rows at the right with labels at the left of values; debit and credit columns."""
    margin = page.width * 0.065
    right, middle = page.width - margin, page.width * 0.47
    bank = Column(page, margin, middle - 16, margin)
    bank.write(look.head(1.6).inked(look.accent), facts.values["BANK_NAME"])
    bank.gap(14)
    bank.write(look.head(1.25), facts.values["DOCUMENT_TYPE"])
    account = Column(page, middle, right, margin + 4)
    account.pairs(look.strong, look.body, _account(facts, look), space=4)
    y = max(bank.y, account.y) + 18
    summary = Column(page, middle, right, y)
    for label, value in _summary(facts):
        summary.ends(look.body, look.label(label), value)
        summary.gap(3)
    heading = Column(page, margin, right, summary.y + 20)
    heading.write(look.head(1.1), look.heading(facts.labels["transactions"]))
    heading.gap(6)
    rules: Rules = rng.choice(("lines", "header", "zebra"))
    header = look.strong.inked(WHITE) if rules == "zebra" else look.strong
    heading.y = _transactions(
        page, facts, look, margin, right, heading.y, signed=False, rules=rules, header=header, leading=8
    )
    _notes(heading, facts, look, rng)
    finish(page, heading.y, margin, rng.choice((0.0, 1.2, 1.41)))


def boxes(page: Page, facts: Facts, look: Look, rng: Random) -> None:
    """A banner, account details and balances in cells with the label above the value; one signed amount column."""
    margin = page.width * 0.055
    right = page.width - margin
    banner = Column(page, margin, right, margin * 0.55)
    dark = rng.random() < 0.6
    ink = WHITE if dark else look.body.ink
    banner.write(look.head(1.5).inked(ink), facts.values["BANK_NAME"])
    banner.write(look.body.inked(ink), facts.values["DOCUMENT_TYPE"])
    bottom = banner.y + margin * 0.45
    page.fill((0, 0, page.width, bottom), look.accent if dark else tint(look.accent, 0.15))
    y = bottom + 18
    rows = [(label.rstrip(":"), value) for label, value in _account(facts, look)]
    for at in range(0, len(rows), 2):  # two cells a row
        ends = []
        for i, (label, value) in enumerate(rows[at : at + 2]):
            half = (right - margin) / 2
            cell = Column(page, margin + i * half, margin + (i + 1) * half - 16, y)
            cell.stack(look.small.inked(GREY), look.strong, label, value)
            ends.append(cell.y)
        y = max(ends) + 10
    y += 8
    summary = _summary(facts)
    step = (right - margin) / len(summary)
    bottoms = []
    for i, (label, value) in enumerate(summary):
        cell = Column(page, margin + i * step + 10, margin + (i + 1) * step - 10, y + 9)
        cell.stack(look.small, look.strong, look.heading(label), value)
        bottoms.append(cell.y + 9)
    for i in range(len(summary)):
        box = (margin + i * step, y, margin + (i + 1) * step - (6 if dark else 0), max(bottoms))
        page.fill(box, tint(look.accent, 0.1)) if dark else page.frame(box, look.accent)
    main = Column(page, margin, right, max(bottoms) + 22)
    main.write(look.head(1.1), look.heading(facts.labels["transactions"]))
    main.gap(6)
    main.y = _transactions(
        page,
        facts,
        look,
        margin,
        right,
        main.y,
        signed=True,
        rules=rng.choice(("grid", "lines")),
        header=look.strong,
        leading=10,
    )
    _notes(main, facts, look, rng)
    finish(page, main.y, margin, rng.choice((0.0, 1.25)))


def panel(page: Page, facts: Facts, look: Look, rng: Random) -> None:
    """Account details and balances stacked in a narrow panel beside the transactions."""
    wide = page.width * 0.29
    pad = page.width * 0.025
    top = Column(page, pad, page.width - pad, page.width * 0.035)
    top.write(look.head(1.7).inked(look.accent), facts.values["BANK_NAME"])
    top.rule(look.accent, width=3, space=8)
    side = Column(page, pad + 12, wide - 12, top.y + 18)
    start = top.y + 4
    side.write(look.head(1.15), facts.values["DOCUMENT_TYPE"])
    side.gap(14)
    for label, value in [*_account(facts, look), *((look.label(a), b) for a, b in _summary(facts))]:
        side.stack(look.small.inked(GREY), look.body, label.rstrip(":"), value)
        side.gap(10)
    left, right = wide + pad, page.width - pad
    main = Column(page, left, right, start + 8)
    main.write(look.head(1.15), look.heading(facts.labels["transactions"]))
    main.gap(6)
    main.y = _transactions(
        page,
        facts,
        look,
        left,
        right,
        main.y,
        signed=rng.random() < 0.6,
        rules=rng.choice(("lines", "zebra")),
        header=look.strong,
        leading=9,
    )
    _notes(main, facts, look, rng)
    bottom = max(side.y, main.y) + 10
    page.fill((pad, start, wide, bottom), tint(look.accent, 0.1))
    finish(page, bottom, page.width * 0.04, rng.choice((0.0, 1.2)))


def passbook(page: Page, facts: Facts, look: Look, rng: Random) -> None:
    """A typed ledger: centred capitals, labels and values in line, the balances as first and last row of the table."""
    margin = page.width * 0.06
    column = Column(page, margin, page.width - margin, margin)
    column.write(look.head(1.3), facts.values["BANK_NAME"], align="centre")
    column.write(look.head(1.1), facts.values["DOCUMENT_TYPE"], align="centre")
    column.rule(dash=rng.choice((0, 6)), space=10)
    for label, value in _account(facts, look):
        column.write(look.body, look.inline(label), value)
    column.rule(space=10)
    [opening] = facts.get("OPENING_BALANCE")
    [closing] = facts.get("CLOSING_BALANCE")
    column.y = _transactions(
        page,
        facts,
        look,
        margin,
        column.right,
        column.y,
        signed=rng.random() < 0.4,
        rules="none",
        header=look.strong,
        leading=6,
        first=opening,
        last=closing,
    )
    column.rule(space=10)
    _notes(column, facts, look, rng)
    finish(page, column.y, margin, rng.choice((0.0, 1.1)))


_SANS = (Typeface.DEJAVU_SANS, Typeface.ROBOTO, Typeface.LATO, Typeface.SOURCE_SANS)
_SERIF = (Typeface.SOURCE_SERIF, Typeface.CALADEA, Typeface.DEJAVU_SERIF)

STATEMENTS: tuple[Layout, ...] = (
    Layout(
        name="statement-ledger",
        kind=DocumentKind.STATEMENT,
        draw=ledger,
        typefaces=(*_SANS, *_SERIF),
        widths=(900, 980),
        sizes=(17, 19),
    ),
    Layout(
        name="statement-boxes",
        kind=DocumentKind.STATEMENT,
        draw=boxes,
        typefaces=_SANS,
        widths=(900, 980),
        sizes=(17, 19),
    ),
    Layout(
        name="statement-panel",
        kind=DocumentKind.STATEMENT,
        draw=panel,
        typefaces=(*_SANS, Typeface.CALADEA),
        widths=(960, 1000),
        sizes=(17, 18),
    ),
    Layout(
        name="statement-passbook",
        kind=DocumentKind.STATEMENT,
        draw=passbook,
        typefaces=(Typeface.DEJAVU_MONO, Typeface.CALADEA, Typeface.SOURCE_SERIF),
        widths=(920, 1000),
        sizes=(17, 18),
    ),
)
