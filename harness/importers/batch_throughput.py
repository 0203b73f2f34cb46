"""`throughput.csv`: images a second by batch size, of answers whose length was left free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.cells import Cell
from harness.evidence import ClaimRecord, Record, SweepRecord
from harness.importers.sources import UNTOLD, ImporterError, Place, opening, read_csv

__all__ = ["import_batch_throughput"]

_KIND = "batch-throughput"
_RATE = "throughput (img/s)"
_COLUMNS = ("num_images", "model_id", "batch_size", "total_time", _RATE)
_NOTES = (
    "output length was left free: a batch takes as long as its longest answer",
    "one time is known for all requests of a batch size; their spread is not",
)


def import_batch_throughput(source: Path, *, device: str = UNTOLD) -> Sequence[Record]:
    """Records of the table (or of the folder that holds it): a sweep step a row, and the published claims.

    Raises ImporterError, naming file, row and column.
    """
    table = source / "throughput.csv" if source.is_dir() else source
    rows = read_csv(table, _COLUMNS)
    steps: dict[tuple[str, int], SweepRecord] = {}
    claims = []
    for row in rows:
        step, claim = _step(row, device)
        if (key := (step.cell, step.batch_size)) in steps:
            raise ImporterError(f"{row.where}: {row.value['model_id']} at batch size {key[1]} appears twice")
        steps[key] = step
        claims.append(claim)
    images = sorted({row.at("num_images").count() for row in rows})
    return [
        opening(
            _KIND,
            {table.name: table},
            corpus={"name": f"{' or '.join(map(str, images))} images, not told which", "documents": 0},
            prompt={"name": "not told by the source", "fingerprint": None},
            notes=_NOTES,
        ),
        *(steps[key] for key in sorted(steps)),
        *sorted(claims, key=lambda c: (c.cell or "", c.name)),
        *(_best(cell, [s for s in steps.values() if s.cell == cell]) for cell in sorted({c for c, _ in steps})),
    ]


def _step(row: Place, device: str) -> tuple[SweepRecord, ClaimRecord]:
    images, size = row.at("num_images").count(), row.at("batch_size").count()
    if size < 1 or images < 1:
        raise ImporterError(f"{row.where}: num_images and batch_size must be at least 1")
    total_s = row.at("total_time").positive()
    requests = -(-images // size)
    cell = Cell(model=row.at("model_id").text().rsplit("/", 1)[-1], device=device).id
    step = SweepRecord(
        cell=cell,
        batch_size=size,
        output_tokens=None,
        seconds=[total_s * size / images],
        message=f"mean of {requests} requests: {images} images in {total_s:.1f} s",
    )
    rate = images / total_s
    return step, ClaimRecord(
        name="images per second",
        cell=cell,
        published=row.at(_RATE).number(),
        published_definition=f"the column {_RATE}",
        reproduced=rate,
        recomputed=rate,
        recomputed_definition="num_images / total_time",
        unit="1/s",
        n=images,
        verdict=f"batch size {size}; output length free",
    )


def _best(cell: str, steps: Sequence[SweepRecord]) -> ClaimRecord:
    best = min(steps, key=lambda s: s.seconds[0] / s.batch_size)
    return ClaimRecord(
        name="best batch size",
        cell=cell,
        published=best.batch_size,
        published_definition="the batch size with the highest throughput",
        recomputed_definition="the batch size with the highest throughput at one output length",
        unit="",
        n=len(steps),
        verdict="cannot be told: output length was left free, so that a batch took as long as its longest answer",
    )
