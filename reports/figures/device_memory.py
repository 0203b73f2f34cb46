"""Device memory by what it holds: the ledger as stacked bars, beside what the driver saw."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.ledger import VramLedger
from reports.device_memory import PARTS, device_memories
from reports.figures.style import CONTROL_GREY, PALETTE, canvas, few, rows_axis, tidy
from reports.formatting import format_bytes, shorten
from reports.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["draw_device_memory"]

_LOOKS = MappingProxyType(
    {
        "context": (CONTROL_GREY, ""),
        "weights": (PALETTE[0], ""),
        "activations": (PALETTE[4], "///"),
        "slack": (PALETTE[5], "..."),
        "unexplained": (PALETTE[1], "xx"),
    }
)
"""By part: colour, and a hatch that a grey printer keeps."""


def draw_device_memory(summary: Summary) -> tuple[Canvas, str, str] | None:
    """A bar for each device of each cell; None if no cell used an accelerator, or nothing of it was measured."""
    rows: list[tuple[str, VramLedger]] = []
    cells, some = few(summary, summary.cells)
    for memory in device_memories(cells):
        for ledger in memory.devices:
            if ledger.nvml_total is not None or any(getattr(ledger, part) for part in PARTS):
                device = f"  {ledger.device}" if len(memory.devices) > 1 else ""
                rows.append((f"{shorten(memory.cell, 36)}{device}", ledger))
    if not rows:
        return None
    figure, grid = canvas(9, 1.7 + 0.45 * len(rows))
    axes = grid[0][0]
    widest = max(_bar(axes, row, ledger) for row, (_, ledger) in enumerate(rows))
    for part, (color, hatch) in _LOOKS.items():
        axes.barh(0, 0, color=color, hatch=hatch, edgecolor="white", label=PARTS[part])
    axes.plot([], [], color="black", linewidth=2.2, label="Driver (NVML)")
    rows_axis(axes, [name for name, _ in rows])
    axes.set_xlim(0, widest * 1.18)
    tidy(axes, "Device memory at the peak while reading", "device memory, GiB")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    caption = (
        "Parts of the ledger, stacked; black: the highest that the driver saw, less what was in use before the worker. "
        "Single maxima, so without intervals. A part that was not measured is not drawn, nor is a negative rest."
        f"{some}"
    )
    return figure, "Device memory by cell and part", caption


def _bar(axes: Axes, row: int, ledger: VramLedger) -> float:
    """Draw one device; gives how far right it reaches, in GiB."""
    left = 0.0
    for part, (color, hatch) in _LOOKS.items():
        size = max(0, getattr(ledger, part) or 0) / 2**30
        axes.barh(row, size, left=left, height=0.62, color=color, hatch=hatch, edgecolor="white", linewidth=0.4)
        left += size
    if ledger.nvml_total is not None:
        driver = ledger.nvml_total / 2**30
        axes.plot([driver] * 2, [row - 0.4, row + 0.4], color="black", linewidth=2.2)
        left = max(left, driver)
    told = "driver: not measured" if ledger.nvml_total is None else format_bytes(ledger.nvml_total)
    axes.text(left, row, f"  {told}", va="center", fontsize=8)
    return left
