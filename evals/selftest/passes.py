"""One backend over a few pages, without any judgement: what the instruments read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evals.selftest.pages import write_pages
from harness.backends import Backend, BackendRequest
from harness.cells import Cell
from harness.documents import load_corpus
from harness.evidence import EVIDENCE_FILE, EvidenceLog, ReadingRecord
from harness.prompts import prompt
from harness.running import PassRequest, run_pass

__all__ = ["read_pages"]


def read_pages(folder: Path, backend: type[Backend], count: int, device: str = "cpu") -> Mapping[str, ReadingRecord]:
    """Have `count` pages read in a worker process; the readings by name of the page, in order.

    Raises AssertionError for a page without an answer.
    """
    write_pages(folder / "pages", count)
    name = f"python:{backend.__module__}.{backend.__qualname__}"
    with EvidenceLog(folder / EVIDENCE_FILE) as log:
        asked = PassRequest(
            cell=Cell(model=name, device=device),
            documents=load_corpus(folder / "pages").documents,
            prompt=prompt(),
            read_timeout_s=60,
            load_timeout_s=120,
            backend=BackendRequest(backend=name, device=device),
        )
        readings = run_pass(asked, log=log).readings
    for reading in readings.values():
        assert reading.failure is None, f"{reading.document}: {reading.message}"
    return readings
