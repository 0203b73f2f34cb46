"""Batches: what is read together, what fails alone, and what a lost batch costs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from harness.backends import Attempt, BackendRequest
from harness.cells import Cell, Failure
from harness.documents import Document
from harness.evidence import EvidenceLog, ReadingRecord, read_evidence
from harness.prompts import prompt
from harness.running import PassRequest, is_final, run_pass
from harness.worker.supervisor import CellWorker
from tests.fake_backends import FAULT_COLOUR

GOOD, ODD = "white", "blue"


def fake(name: str, batch_size: int = 8) -> Cell:
    return Cell(model=f"python:tests.fake_backends.{name}", batch_size=batch_size)


@pytest.fixture
def pages(tmp_path: Path):
    """Writes pages, named by number, of different widths and the given colours; None is a broken image."""

    def write(*colours: str | tuple[int, int, int] | None) -> list[tuple[str, Path]]:
        found = []
        for number, colour in enumerate(colours):
            path = tmp_path / f"{number}.png"
            if colour is None:
                path.write_bytes(b"no image")
            else:
                Image.new("RGB", (8 + number, 8), colour).save(path)
            found.append((path.name, path))
        return found

    return write


def widths(readings: list[ReadingRecord]) -> list[int | None]:
    return [json.loads(r.text)["size"][0] if r.text is not None else None for r in readings]


def failures(readings: list[ReadingRecord]) -> list[Failure | None]:
    return [r.failure for r in readings]


def test_a_batch_is_read_together_and_in_order(pages) -> None:
    with CellWorker(fake("SlowTogether"), prompt="p") as worker:
        readings = worker.read_batch(pages(*[GOOD] * 4))
    assert [r.document for r in readings] == ["0.png", "1.png", "2.png", "3.png"]
    assert widths(readings) == [8, 9, 10, 11]
    assert [(r.batch_size, r.facts["together"]) for r in readings] == [(4, 4)] * 4
    (latency_s,) = {r.latency_s for r in readings}
    assert latency_s is not None
    assert 0.3 <= latency_s < 0.6, "each document has waited for the whole batch, once"
    for reading in readings:
        assert reading.phases["batch_s"] == latency_s
        assert 0 < reading.phases["decode_s"] < latency_s / 4


def test_the_same_image_twice_is_read_twice(pages) -> None:
    (page,) = pages(GOOD)
    with CellWorker(fake("EchoBatch"), prompt="p") as worker:
        readings = worker.read_batch([page, ("again", page[1])])
    assert [(r.document, r.facts["together"]) for r in readings] == [("0.png", 2), ("again", 2)]


def test_one_document_is_no_batch(pages) -> None:
    with CellWorker(fake("EchoBatch"), prompt="p") as worker:
        (reading,) = worker.read_batch(pages(GOOD))
        assert worker.read_batch([]) == []
    assert reading.batch_size == 1
    assert reading.facts == {}, "it was read by `read`"
    assert "batch_s" not in reading.phases


def test_bad_images_fail_alone(pages) -> None:
    with CellWorker(fake("EchoBatch"), prompt="p") as worker:
        readings = worker.read_batch(pages(None, GOOD, None, GOOD))
        assert len(worker.take_loads()) == 1
        only_bad = worker.read_batch(pages(None, None))
    bad = Failure.BAD_IMAGE
    assert failures(readings) == [bad, None, bad, None]
    assert widths(readings) == [None, 9, None, 11]
    assert [r.batch_size for r in readings if r.failure is None] == [2, 2], "the bad ones took no place in it"
    assert all(r.batch_failure is None for r in readings)
    assert failures(only_bad) == [bad, bad]


def test_an_image_that_is_gone_takes_no_place_in_a_batch_and_may_come_back(pages, tmp_path: Path) -> None:
    with CellWorker(fake("EchoBatch"), prompt="p") as worker:
        readings = worker.read_batch([*pages(GOOD, GOOD), ("gone", tmp_path / "gone.png")])
    assert failures(readings) == [None, None, Failure.ERROR]
    assert [r.batch_size for r in readings[:2]] == [2, 2]
    assert not is_final(readings[2]), "a resumed run looks for it again"


@pytest.mark.parametrize(
    ("backend", "failure", "restarts"),
    [
        ("ExitBatch", Failure.CRASH, 2),
        ("OutOfMemoryBatch", Failure.RUN_OOM, 2),
        ("RaiseBatch", Failure.ERROR, 0),
    ],
)
def test_only_the_document_that_fails_alone_has_failed(backend: str, failure: Failure, restarts: int, pages) -> None:
    with CellWorker(fake(backend), prompt="p", max_consecutive_failures=2) as worker:
        readings = worker.read_batch(pages(FAULT_COLOUR, GOOD, GOOD))
        assert len(worker.take_loads()) == 1 + restarts
        after = worker.read_batch(pages(GOOD, GOOD))
    assert failures(readings) == [failure, None, None]
    assert widths(readings) == [None, 9, 10]
    assert {r.batch_failure for r in readings} == {failure}
    assert {r.batch_size for r in readings} == {1}, "each was read alone in the end"
    assert [(r.failure, r.batch_size, r.batch_failure) for r in after] == [(None, 2, None)] * 2


def test_the_time_limit_grows_with_the_batch_and_a_hang_is_found_out(pages) -> None:
    with CellWorker(fake("SlowTogether"), prompt="p", read_timeout_s=0.2) as worker:
        worker.load()
        assert failures(worker.read_batch(pages(GOOD, GOOD, GOOD))) == [None] * 3, "0.3 s of 3 x 0.2 s"
    with CellWorker(fake("HangBatch"), prompt="p", read_timeout_s=0.4) as worker:
        worker.load()
        readings = worker.read_batch(pages(GOOD, FAULT_COLOUR))
    assert failures(readings) == [None, Failure.TIMEOUT]
    assert {r.batch_failure for r in readings} == {Failure.TIMEOUT}
    assert "no answer within 0.4 s" in (readings[1].message or "")


def test_batches_that_never_fit_are_given_up_and_the_documents_read_alone(pages) -> None:
    with CellWorker(fake("OutOfMemoryTogether"), prompt="p", max_consecutive_failures=2) as worker:
        found = [worker.read_batch(pages(GOOD, GOOD)) for _ in range(4)]
        loads = worker.take_loads()
    assert [failures(readings) for readings in found] == [[None, None]] * 4
    assert {r.batch_failure for readings in found for r in readings} == {Failure.RUN_OOM}
    assert [load.restart for load in loads] == [0, 1, 2], "the third and fourth batch were not tried"


def test_wrong_answers_in_a_batch(pages) -> None:
    with CellWorker(fake("OddAnswers"), prompt="p") as worker:
        odd = worker.read_batch(pages(GOOD, FAULT_COLOUR, ODD))
        assert len(worker.take_loads()) == 1
    assert failures(odd) == [None, Failure.ERROR, Failure.ERROR]
    assert "ttft_s" in (odd[1].message or "")
    assert "returned NoneType, not Answer" in (odd[2].message or "")
    assert {r.batch_failure for r in odd} == {None}
    with CellWorker(fake("FewerAnswers"), prompt="p") as worker:
        fewer = worker.read_batch(pages(GOOD, GOOD))
    assert failures(fewer) == [None, None]
    assert {r.batch_failure for r in fewer} == {Failure.ERROR}


def test_a_backend_for_single_images_does_not_load_for_batches(pages) -> None:
    with CellWorker(fake("Echo"), prompt="p") as worker:
        load = worker.load()
        assert failures(worker.read_batch(pages(GOOD, GOOD))) == [Failure.NOT_RUN] * 2
        assert worker.take_loads() == [load]
    assert load.failure is Failure.UNSUPPORTED
    assert "reads one document at a time, not 8" in (load.message or "")


def test_blind_batches_are_white_and_of_the_same_sizes(pages) -> None:
    cell = Cell(model="blind:python:tests.fake_backends.ExitBatch", batch_size=4)
    with CellWorker(cell, prompt="p") as worker:
        readings = worker.read_batch(pages(FAULT_COLOUR, GOOD, FAULT_COLOUR))
    assert widths(readings) == [8, 9, 10]
    assert {r.batch_size for r in readings} == {3}


def test_a_request_reaches_the_backend_and_its_facts_the_record() -> None:
    request = BackendRequest(
        backend="python:tests.fake_backends.Configured",
        quantization="nf4",
        device="cuda:1",
        settings={"source": "./somewhere", "max_new_tokens": 7, "allow_network": False, "scale": 0.5},
    )
    cell = Cell(model="some-id", quantization="nf4", device="cuda:1", batch_size=2, repeat=2)
    with CellWorker(cell, request, prompt="p", threads=1) as worker:
        load = worker.load()
    assert load.failure is None
    assert dict(load.facts) == {
        "threads": 1,
        "backend": "python:tests.fake_backends.Configured",
        "quantization": "nf4",
        "device": "cuda:1",
        "strategy": "single",
        **request.settings,
    }
    assert (load.cell, load.model, load.batch_size, load.repeat) == ("some-id-nf4@b2@cuda:1#2", "some-id", 2, 2)


@pytest.mark.parametrize("setting", [{"quantization": "int8"}, {"device": "cuda"}, {"settings": {"source": "x"}}])
def test_what_a_backend_does_not_take_is_unsupported_not_ignored(setting: dict) -> None:
    request = BackendRequest(**{"backend": "python:tests.fake_backends.Echo", **setting})
    with CellWorker(fake("Echo", 1), request, prompt="p") as worker:
        load = worker.load()
    assert load.failure is Failure.UNSUPPORTED
    assert "takes no" in (load.message or "")


def test_attempts_travel_into_the_log_and_back(pages, tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    with CellWorker(fake("Attempts"), prompt="p") as worker, EvidenceLog(path) as log:
        readings = worker.read_batch(pages(GOOD, GOOD))
        for reading in readings:
            log.append(reading)
    assert [(r.path, r.calls) for r in readings] == [("ocr", 2)] * 2
    assert list(readings[0].attempts) == [
        Attempt(prompt="key-value", path="single", latency_s=0.5, fault="empty", text="", output_tokens=1),
        Attempt(prompt="", path="ocr", latency_s=0.25, text="TOTAL: $1.00"),
    ]
    assert list(read_evidence(path).readings[readings[0].cell].values()) == readings


def test_what_is_read_alone_after_a_lost_batch_is_in_the_log_at_once(pages, tmp_path: Path, monkeypatch) -> None:
    """Ctrl-C while the third of four documents is read alone."""
    documents = [Document(name=name, path=path, truth={}, image_sha256=name) for name, path in pages(*[GOOD] * 4)]
    read = CellWorker.read

    def interrupted(worker: CellWorker, document: str, path: Path, **options) -> ReadingRecord:
        if document == documents[2].name:
            raise KeyboardInterrupt
        return read(worker, document, path, **options)

    monkeypatch.setattr(CellWorker, "read", interrupted)
    asked = PassRequest(
        cell=fake("OutOfMemoryTogether", 4), documents=documents, prompt=prompt(), read_timeout_s=20, load_timeout_s=60
    )
    path = tmp_path / "evidence.jsonl"
    with EvidenceLog(path) as log, pytest.raises(KeyboardInterrupt):
        run_pass(asked, log=log)
    found = read_evidence(path)
    assert [len(found.readings[asked.cell.id]), len(found.cells[asked.cell.id])] == [2, 2], "the restarted worker, too"


def test_a_pass_reads_in_batches_resumes_and_ends_with_a_partial_one(pages, tmp_path: Path) -> None:
    documents = [Document(name=name, path=path, truth={}, image_sha256=name) for name, path in pages(*[GOOD] * 7)]
    cell, seen = fake("EchoBatch", 3), []
    asked = PassRequest(cell=cell, documents=documents, prompt=prompt(), read_timeout_s=20, load_timeout_s=60)
    with EvidenceLog(tmp_path / "evidence.jsonl") as log:
        first = run_pass(replace(asked, documents=documents[:3]), log=log)
        earlier = {**first.readings, "1.png": ReadingRecord(cell=cell.id, document="1.png", failure=Failure.CRASH)}
        done = run_pass(replace(asked, earlier=earlier), log=log, on_reading=lambda r: seen.append(r.document))
    assert list(done.readings) == [d.name for d in documents]
    assert seen == ["1.png", "3.png", "4.png", "5.png", "6.png"]
    assert done.fresh == set(seen)
    assert [done.readings[name].batch_size for name in seen] == [3, 3, 3, 2, 2]
    assert done.readings["0.png"] == first.readings["0.png"]
