"""Tables: fixed columns as wide as what they hold, and one that takes the rest and wraps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from harness.documents.synthesis.facts import Facts
from harness.documents.synthesis.layouts.toolkit import WHITE, Look, Rules, tint
from harness.documents.synthesis.page import MIN_SIZE, Align, Page, Part, Text, plain
from harness.documents.synthesis.typefaces import BLACK, Colour, Style

__all__ = ["ColumnSpec", "item_table", "table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    """One column of a table; the flexible one takes the room that the others leave, and wraps."""

    title: str
    align: Align = "left"
    flexible: bool = False


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where the columns stand, and in which type."""

    page: Page
    specs: Sequence[ColumnSpec]
    edges: Sequence[float]
    body: Style
    header: Style

    @classmethod
    def fitted(
        cls, page: Page, left: float, right: float, specs: Sequence[ColumnSpec], rows: Sequence[Sequence[Text]],
        body: Style, header: Style,
    ) -> _Grid:  # fmt: skip
        """Give every column the room its content needs, in smaller type while the flexible one gets too little."""
        while True:
            widths = []
            for i, spec in enumerate(specs):
                content = max((body.length(plain(row[i])) for row in rows), default=0.0)
                widths.append(0.0 if spec.flexible else max(content, header.length(spec.title)) + body.size)
            rest = right - left - sum(widths)
            if rest >= (right - left) * 0.28 or body.size <= MIN_SIZE:
                break
            body, header = body.scaled((body.size - 1) / body.size), header.scaled((header.size - 1) / header.size)
        widths = [rest if spec.flexible else width for spec, width in zip(specs, widths, strict=True)]
        return cls(page, specs, list(accumulate(widths, initial=left)), body, header)

    def row(self, cells: Sequence[Text], style: Style, y: float) -> float:
        """Print one row at `y`; returns its bottom."""
        pad, bottom = self.body.size * 0.5, y + style.line_height
        for cell, spec, left, right in zip(cells, self.specs, self.edges, self.edges[1:], strict=False):
            if plain(cell):
                end = self.page.paragraph([Part(cell, style)], left + pad, right - pad + 1, y, align=spec.align)
                bottom = max(bottom, end)
        return bottom


def table(
    page: Page,
    left: float,
    right: float,
    top: float,
    specs: Sequence[ColumnSpec],
    rows: Sequence[Sequence[Text]],
    body: Style,
    *,
    header: Style,
    rules: Rules,
    accent: Colour = BLACK,
    leading: float = 8,
) -> float:
    """Set a table and return its bottom; titles in white stand on a bar of the accent colour."""
    grid = _Grid.fitted(page, left, right, specs, rows, body, header)
    y = grid.row([spec.title for spec in specs], grid.header, top + leading / 2) + leading / 2
    if header.ink == WHITE:
        page.fill((left, top, right, y), accent)
    elif rules in ("lines", "header"):
        page.rule(left, right, y, accent, width=2)
    borders = [top, y]
    for number, cells in enumerate(rows):
        bottom = grid.row(cells, grid.body, y + leading / 2) + leading / 2
        if rules == "zebra" and number % 2 == 0:
            page.fill((left, y, right, bottom), tint(accent, 0.08))
        if rules == "lines":
            page.rule(left, right, bottom, tint(accent, 0.45))
        y = bottom
        borders.append(y)
    if rules == "grid":
        for border in borders:
            page.rule(left, right, border, accent)
        for edge in grid.edges:
            page.post(edge, top, y, accent)
    elif rules == "header":
        page.rule(left, right, y, accent)
    return y


def _item_rows(facts: Facts, order: Sequence[str]) -> list[list[Text]]:
    """Line items as table rows with the columns of `order`: QUANTITIES, DESCRIPTIONS, PRICES, AMOUNT, MARK."""
    rows: list[list[Text]] = []
    for item in facts.items:
        cells: dict[str, Text] = {
            "QUANTITIES": item.quantity or "",
            "DESCRIPTIONS": item.description,
            "PRICES": item.price,
            "AMOUNT": item.amount,
            "MARK": item.mark,
        }
        rows.append([cells[name] for name in order])
    return rows


def item_table(
    page: Page,
    facts: Facts,
    look: Look,
    left: float,
    right: float,
    top: float,
    *,
    order: Sequence[str],
    rules: Rules,
    header: Style | None = None,
    leading: float = 8,
) -> float:
    """The table of line items; a MARK column is added where the document marks items."""
    columns = [*order, *(["MARK"] if facts.footnote else [])]
    specs = [
        ColumnSpec(
            title="" if name == "MARK" else look.heading(facts.labels[name]),
            flexible=name == "DESCRIPTIONS",
            align="left" if name in ("DESCRIPTIONS", "MARK") else "centre" if name == "QUANTITIES" else "right",
        )
        for name in columns
    ]
    return table(
        page,
        left,
        right,
        top,
        specs,
        _item_rows(facts, columns),
        look.body,
        header=header or look.strong,
        rules=rules,
        accent=look.accent,
        leading=leading,
    )
