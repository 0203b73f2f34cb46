"""Do the instruments read back what is known? A sleep, and an allocation."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from evals.selftest.backends import HELD_BYTES, SLEPT_S, Holding, Sleeping
from evals.selftest.passes import read_pages

TOLERANCE = 0.02


def test_a_known_sleep(tmp_path: Path) -> None:
    """Half a second reads as half a second."""
    seconds = [r.latency_s for r in read_pages(tmp_path, Sleeping, 5).values() if r.latency_s is not None]
    assert len(seconds) == 5
    assert min(seconds) >= SLEPT_S
    assert median(seconds) == pytest.approx(SLEPT_S, rel=TOLERANCE)


def test_a_known_allocation(tmp_path: Path) -> None:
    """256 MiB more read as 256 MiB more, by every way to read the host's memory that this system has."""
    readings = list(read_pages(tmp_path, Holding, 6).values())
    for name in ("rss_bytes", "anonymous_bytes", "high_water_bytes"):
        peaks = [getattr(reading.memory, name) for reading in readings]
        if name != "rss_bytes" and None in peaks:
            continue  # not every system tells it
        more = median(peaks[1::2]) - median(peaks[::2])
        assert more == pytest.approx(HELD_BYTES, rel=TOLERANCE), name
