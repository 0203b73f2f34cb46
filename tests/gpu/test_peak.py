"""Is a short peak inside a forward pass caught? 2 GiB for 50 ms, which sampling once a second would miss."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.backends import BackendRequest
from harness.cells import Cell
from harness.documents import Document
from harness.evidence import EvidenceLog, ReadingRecord
from harness.prompts import prompt
from harness.running import PassRequest, run_pass
from tests.gpu.cuda_backends import PLANTED_BYTES
from tests.pixel_pages import receipts, write_corpus

PLANTED = "page-02.png"
NEARLY = 0.98 * PLANTED_BYTES
GIB = 1 << 30


def peaks(reading: ReadingRecord) -> dict[str, int]:
    """Bytes at most, by who tells them."""
    found = {f"driver {use.device}": use.used_bytes for use in reading.devices}
    found |= {f"allocator {peak.device}": peak.allocated_bytes for peak in reading.allocator}
    if not found:  # a CPU
        found = {"host": reading.memory.peak_rss_bytes}
    return {who: size for who, size in found.items() if size is not None}


def test_a_planted_peak_is_seen(device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "python:tests.gpu.cuda_backends.Planted"
    folder = write_corpus(tmp_path / "corpus", receipts(5))
    documents = [Document(name=p.name, path=p, truth={}, image_sha256="") for p in sorted(folder.glob("*.png"))]
    with EvidenceLog(tmp_path / "evidence.jsonl") as log:
        asked = PassRequest(
            cell=Cell(model=name, device=device),
            documents=documents,
            prompt=prompt(),
            read_timeout_s=60,
            load_timeout_s=120,
            backend=BackendRequest(backend=name, device=device),
        )
        done = run_pass(asked, log=log)
    assert all(reading.failure is None for reading in done.readings.values()), done.readings
    with_it = peaks(done.readings[PLANTED])
    without = {
        who: max(peaks(reading)[who] for document, reading in done.readings.items() if document != PLANTED)
        for who in with_it
    }
    more = {who: with_it[who] - without[who] for who in with_it}
    with capsys.disabled():
        told = ", ".join(f"{who} {size / GIB:+.3f} GiB" for who, size in more.items())
        print(f"\na planted {PLANTED_BYTES / GIB:g} GiB of 50 ms: {told}")  # noqa: T201 - the measurement is the point
    assert max(more.values()) >= NEARLY, more
    assert max(more.values()) <= 1.2 * PLANTED_BYTES, "nobody sees more than was there"
