"""How every figure looks: colours that the colour-blind and a grey printer tell apart, plain text, no clock."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from reports.formatting import shorten
from reports.summary import CellSummary, Summary, by_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = [
    "CONTROL_GREY",
    "MARKERS",
    "PALETTE",
    "Figure",
    "canvas",
    "drawing",
    "few",
    "fills",
    "label",
    "looks",
    "rows_axis",
    "tidy",
]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B8A800")
"""Okabe & Ito 2008, its yellow darkened for white paper."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_FILLS = ("full", "none", "left", "bottom", "right", "top")
CONTROL_GREY = "#777777"
_DPI = 150
_COARSE_DPI = 100
_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # nothing stands above an axes, so that no place for its title need be looked for
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A drawn figure."""

    name: str
    """File name without suffix."""
    title: str
    caption: str
    png: bytes


@contextmanager
def drawing(*, coarse: bool = False) -> Iterator[Callable[[Canvas], bytes]]:
    """Draw in the project's style whatever a user's matplotlibrc says; yields what turns a canvas into PNG bytes.

    `coarse`: fewer dots, plain glyphs and less compression take less time, for large logs, of which there may be many.
    """
    import matplotlib
    from matplotlib import style

    look = {**_RC, "text.hinting": "none"} if coarse else _RC
    with style.context("default"), matplotlib.rc_context(look), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a name in a script DejaVu lacks
        yield partial(_png, dpi=_COARSE_DPI, compression=1) if coarse else partial(_png, dpi=_DPI)


def _png(figure: Canvas, dpi: int, compression: int = 6) -> bytes:
    buffer = io.BytesIO()
    figure.set_dpi(dpi)
    # not savefig, which draws everything twice: for the layout, and again for the picture
    figure.canvas.print_png(  # type: ignore[attr-defined]  # of the Agg canvas
        buffer, metadata={"Software": None}, pil_kwargs={"compress_level": compression}
    )
    return buffer.getvalue()


def canvas(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Canvas, Any]:
    """A figure of `width` x `height` inches and its axes as a 2-D array, apart from pyplot and its global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def few(summary: Summary, cells: Sequence[CellSummary]) -> tuple[Sequence[CellSummary], str]:
    """Of the cells of a figure those to draw, and a sentence on it: of a large log, one precision of each model."""
    told = {c.cell for c in (*summary.detailed, *summary.controls)} if summary.is_large else set()
    drawn = [c for c in cells if c.cell in told]
    if not drawn or len(drawn) == len(cells):
        return cells, ""
    return drawn, f" Drawn are {len(drawn)} of {len(cells)} cells: of so large a log, one precision of each model."


def label(cell: CellSummary, limit: int = 28) -> str:
    """A cell's name as an axis shows it."""
    return f"{shorten(cell.cell, limit)}{' (control)' if cell.is_control else ''}"


def looks(cells: Sequence[CellSummary]) -> Mapping[str, tuple[str, str]]:
    """By cell, the colour of its model and a marker of its own within it, so that any two cells differ in one of them.

    Where every model has one cell, both change from cell to cell.
    """
    models = by_model(cells)
    found = {}
    for i, members in enumerate(models.values()):
        for j, cell in enumerate(members):
            marker = j if len(models) < len(cells) else i
            found[cell.cell] = (PALETTE[i % len(PALETTE)], MARKERS[(marker + i // len(PALETTE)) % len(MARKERS)])
    return found


def fills(cells: Sequence[CellSummary]) -> Mapping[str, str]:
    """By cell, how its marker is filled, so that models differ without their colours too, in a grey print.

    Where every model has one cell, the markers of `looks` tell them apart.
    """
    models = by_model(cells)
    if len(models) == len(cells):
        return {c.cell: "full" for c in cells}
    return {c.cell: _FILLS[i % len(_FILLS)] for i, members in enumerate(models.values()) for c in members}


def rows_axis(axes: Axes, labels: Sequence[str]) -> None:
    """One labelled row each, the first at the top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def tidy(axes: Axes, title: str, xlabel: str) -> None:
    """Title, x label with its unit, and a light grid to read values by."""
    axes.set_title(title)
    axes.set_xlabel(xlabel)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
