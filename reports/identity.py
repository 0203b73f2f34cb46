"""Which model a result is of, at which precision and how it was run."""

from __future__ import annotations

import re
from dataclasses import replace

from harness.cells import Cell
from harness.results import CellResult

__all__ = ["identity_of"]


def identity_of(result: CellResult) -> Cell | None:
    """Model, precision and way of running of a result, as its loads tell them; None if it was never loaded."""
    if not result.loads:
        return None
    load, marks = result.loads[-1], result.cell.split("~")[1:]
    found = Cell(
        model=load.model,
        quantization=load.quantization,
        runtime=load.runtime,
        device=load.device,
        batch_size=load.batch_size,
        strategy=load.strategy,
        repeat=load.repeat,
        weights="dummy" if "dummy" in marks else "real",
        sweep="sweep" in marks,
        role=load.role,
    )
    return replace(found, prompt=_prompt(result.cell, found))


def _prompt(cell: str, found: Cell) -> str:
    """What the id of a cell says of its prompt, which is empty for the model's own; ids of imported cells are free."""
    named = re.split("[@#~]", cell.partition("/")[2])[0]
    return named if cell != found.id and cell == replace(found, prompt=named).id else ""
