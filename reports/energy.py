"""What answers cost in energy, and whether the two ways of measuring it agree."""

from __future__ import annotations

from collections.abc import Sequence

from harness.device_use import CLOSURE_LIMIT
from harness.metrics import Metric
from reports.formatting import MISSING, format_metric, format_rate, table
from reports.summary import CellSummary, by_length
from reports.tables import cell_name, length_note

__all__ = ["ENERGY_METRICS", "energy_parts", "with_energy"]

ENERGY_METRICS = (
    "energy_j",
    "j_per_output_tok",
    "output_tok_per_s_per_w",
    "mean_power_w",
    "idle_power_w",
    "energy_closure",
)
"""In the order of the table."""
_INTRODUCTION = f"""\
Of the accelerators alone, over the requests that ended in an answer, by their energy counter; where there is none, by
sampled power, integrated, and then nothing closes. Idle power is part of it, and was measured before the worker was
started. Closure: how far counter and integrated power are apart; above {100 * CLOSURE_LIMIT:.0f} % the row is
flagged, and its energy is not to be used.
"""


def with_energy(cells: Sequence[CellSummary]) -> Sequence[CellSummary]:
    """The cells whose energy was measured."""
    return [c for c in cells if c.metrics["energy_j"].value is not None]


def energy_parts(cells: Sequence[CellSummary]) -> Sequence[str]:
    """The section, in parts; empty if no cell's energy was measured."""
    found = with_energy(cells)
    if not found:
        return []
    groups = by_length(found)
    tables = (part for length, cells in groups.items() for part in (length_note(length, groups), _table(cells)))
    return [_INTRODUCTION, *tables]


def _table(cells: Sequence[CellSummary]) -> str:
    rows = []
    for cell in cells:
        document, token, rate, *power, closure = (cell.metrics[name] for name in ENERGY_METRICS)
        rows.append(
            [
                cell_name(cell),
                *map(format_metric, (document, token)),
                MISSING if rate.value is None else format_rate(rate.value),
                *map(format_metric, power),
                _closure(closure),
                f"{document.n}{', **contaminated**' if document.contaminated else ''}",
            ]
        )
    header = ["Cell", "Per document [95 %]", "Per output token [95 %]", "Output tokens/s/W", "Mean power", "Idle power"]
    return table([*header, "Closure %", "n"], rows, "lr")


def _closure(metric: Metric) -> str:
    if metric.value is None:
        return MISSING
    text = format_metric(metric)
    return f"**{text}: does not close**" if metric.value > CLOSURE_LIMIT else text
