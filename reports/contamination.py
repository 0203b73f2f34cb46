"""Who else was on an accelerator while it was measured, and what held its clocks down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.results import CellResult
from reports.formatting import MISSING, escape, table
from reports.summary import CellSummary

__all__ = ["Contamination", "contamination_of", "contamination_parts"]

_INTRODUCTION = """\
Requests during which the accelerator was watched, by what the driver told of it; a batch is one request. Contaminated:
processes of others were on it, or its clocks were held down by anything but its own power cap, and no time of such a
request judges anything. A power cap is how the card is built, and is told beside.
"""
_CAP = "power"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contamination:
    """The requests of one cell, as the driver saw its devices."""

    cell: str
    watched: int
    contaminated: int
    foreign: int | None
    """Requests with processes of others on a device; None where the driver never told."""
    most_foreign: int | None
    throttled: Mapping[str, int]
    """Requests by why the clocks were held down, the power cap among them."""
    lowest_clock_mhz: int | None
    """Of the streaming multiprocessors, while busy."""


def contamination_of(result: CellResult) -> Contamination | None:
    """What the driver told of a cell's requests; None if no device was watched."""
    watched = [batch[0].devices for batch in result.requests if batch[0].devices]
    if not watched:
        return None
    every = [device for devices in watched for device in devices]
    bad = watched if result.disturbed else []
    foreign = [n for d in every if (n := d.foreign_processes) is not None]
    clocks = [mhz for d in every if (mhz := d.sm_clock_mhz) is not None]
    return Contamination(
        cell=result.cell,
        watched=len(watched),
        contaminated=sum(any(d.is_contaminated for d in devices) for devices in bad),
        foreign=sum(any(d.foreign_processes for d in devices) for devices in bad) if foreign else None,
        most_foreign=max(foreign, default=None),
        throttled=dict(sorted(Counter(w for devices in bad for w in {w for d in devices for w in d.throttle}).items())),
        lowest_clock_mhz=min(clocks, default=None),
    )


def contamination_parts(cells: Sequence[CellSummary]) -> Sequence[str]:
    """The part of a section; empty if no device was watched."""
    found = [c for cell in cells if (c := contamination_of(cell.result)) is not None]
    if not found:
        return []
    rows = []
    for c in found:
        foreign = MISSING if c.foreign is None else f"{c.foreign} (at most {c.most_foreign})" if c.foreign else "0"
        reasons = ", ".join(f"{escape(why)} {n}" for why, n in c.throttled.items() if why != _CAP)
        rows.append(
            [
                escape(c.cell),
                str(c.watched),
                f"**{c.contaminated}**" if c.contaminated else "0",
                foreign,
                reasons or "0",
                str(c.throttled.get(_CAP, 0)),
                MISSING if c.lowest_clock_mhz is None else str(c.lowest_clock_mhz),
            ]
        )
    header = ["Cell", "Requests watched", "Contaminated", "With processes of others", "Clocks held down, by why"]
    return [_INTRODUCTION, table([*header, "At the power cap", "Lowest SM clock, MHz"], rows, "lrrrlrr")]
