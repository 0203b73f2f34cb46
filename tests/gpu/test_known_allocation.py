"""Does a GiB of a GPU's memory read as a GiB? By the driver, from outside the process that holds it."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from evals.selftest.backends import HELD_BYTES, HELD_DEVICE_BYTES, Holding
from evals.selftest.passes import read_pages
from harness.evidence import ReadingRecord


def peaks(reading: ReadingRecord) -> dict[str, int]:
    """Bytes at most, by device and by who is asked about; on a CPU, of the process."""
    told = {f"in use on {use.device}": use.used_bytes for use in reading.devices}
    told |= {f"of the process on {use.device}": use.process_bytes for use in reading.devices}
    if not told:
        told = {"of the process": reading.memory.peak_rss_bytes}
    return {who: size for who, size in told.items() if size is not None}


def test_a_gib_reads_as_a_gib(device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readings = [peaks(reading) for reading in read_pages(tmp_path, Holding, 6, device).values()]
    held = HELD_BYTES if device == "cpu" else HELD_DEVICE_BYTES
    assert readings[0], "nobody tells the memory of this device"
    for who in readings[0]:
        more = median(r[who] for r in readings[1::2]) - median(r[who] for r in readings[::2])
        with capsys.disabled():
            print(f"\n{held / 2**30:g} GiB read as {more / 2**30:.4f} GiB {who}")  # noqa: T201 - the measurement
        assert more == pytest.approx(held, rel=0.02), who
