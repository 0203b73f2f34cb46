"""The worker when all goes well: protocol, answers, clocks, memory, environment, closing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.cells import Cell, Failure
from harness.worker.process import worker_environment
from harness.worker.protocol import (
    MAX_MESSAGE_BYTES,
    Answered,
    Close,
    Load,
    Loaded,
    LoadFailed,
    Message,
    ProtocolError,
    Read,
    ReadFailed,
    Ready,
    decode_message,
    encode_message,
)
from harness.worker.supervisor import CellWorker

TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
FINITE = st.floats(allow_nan=False, allow_infinity=False)
FAULT = st.sampled_from(list(Failure))
MESSAGES = st.one_of(
    st.builds(Load, backend=TEXT, prompt=TEXT),
    st.builds(Read, paths=st.lists(TEXT)),
    st.builds(Close),
    st.builds(Ready),
    st.builds(
        Loaded,
        load_s=FINITE,
        facts=st.dictionaries(TEXT, TEXT | st.integers() | FINITE | st.booleans(), max_size=3),
    ),
    st.builds(LoadFailed, failure=FAULT, message=TEXT),
    st.builds(
        Answered,
        text=TEXT,
        latency_s=FINITE,
        phases=st.dictionaries(TEXT, FINITE, max_size=3),
        prompt_tokens=st.none() | st.integers(),
        output_tokens=st.none() | st.integers(),
        stop=st.none() | TEXT,
    ),
    st.builds(ReadFailed, failure=FAULT, message=TEXT, fatal=st.booleans()),
)


def fake(name: str) -> Cell:
    return Cell(model=f"python:tests.fake_backends.{name}")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.png"
    Image.new("RGB", (40, 30), "white").save(path)
    return path


@pytest.fixture(scope="module")
def echo() -> Iterator[CellWorker]:
    with CellWorker(fake("Echo"), prompt="read this ✓", load_timeout_s=60, threads=1) as worker:
        yield worker


@given(message=MESSAGES)
def test_any_message_survives_the_wire(message: Message) -> None:
    line = encode_message(message)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_message(line) == message


@given(line=st.binary() | st.recursive(st.none() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_other_line_is_a_protocol_error(line: object) -> None:
    with pytest.raises(ProtocolError):
        decode_message(line if isinstance(line, bytes) else json.dumps(line).encode())


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "Answered", "latency_s": 1.0}',
        b'{"type": "Answered", "text": "", "latency_s": NaN}',
        b'{"type": "Answered", "text": "", "latency_s": 1e999}',
        b'{"type": "Answered", "text": null, "latency_s": 1.0}',
        b'{"type": "Answered", "text": "", "latency_s": true}',
        b'{"type": "Answered", "text": "", "latency_s": 1.0, "output_tokens": 1.5}',
        b'{"type": "Answered", "text": "", "latency_s": 1.0, "phases": []}',
        b'{"type": "Answered", "text": "", "latency_s": 1.0, "more": 1}',
        b'{"type": "ReadFailed", "failure": "tired", "message": ""}',
        b'{"type": ["Ready"]}',
        b"[" * 100_000,
    ],
)
def test_values_are_checked_not_trusted(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_message(line)


def test_a_message_longer_than_the_limit_is_refused_by_its_sender() -> None:
    with pytest.raises(ProtocolError, match="the limit is"):
        encode_message(Read(paths=["x" * MAX_MESSAGE_BYTES]))


def test_load_and_read(echo: CellWorker, page: Path) -> None:
    load = echo.load()
    assert load.failure is None
    assert load.cell == "python:tests.fake_backends.Echo"
    assert load.restart == 0
    assert load.facts == {"threads": 1, "pid": echo.pid, "weights": "none", "scale": 0.5}
    assert load.load_s is not None
    assert 0 <= load.load_s < 10
    assert load.spawn_s is not None
    assert load.spawn_s > 0
    assert echo.load() is load, "a second load while the worker lives does nothing"

    reading = echo.read("first", page)
    assert (reading.cell, reading.document, reading.failure, reading.message) == (
        load.cell,
        "first",
        None,
        None,
    )
    assert reading.text is not None
    seen = json.loads(reading.text)
    assert seen["prompt"] == "read this ✓"
    assert (seen["size"], seen["mode"]) == ([40, 30], "RGB")
    assert (reading.prompt_tokens, reading.output_tokens, reading.stop) == (7, 3, "eos")
    assert set(reading.phases) == {"decode_s", "think_s"}
    assert reading.phases["think_s"] == 0.25
    assert reading.latency_s is not None
    assert 0 < reading.phases["decode_s"] <= reading.latency_s


def test_each_load_is_handed_out_once(page: Path) -> None:
    with CellWorker(fake("Echo"), prompt="") as worker:
        assert worker.take_loads() == []
        assert worker.read("unloaded", page).failure is None, "reading loads when nobody has"
        assert [load.restart for load in worker.take_loads()] == [0]
        assert worker.take_loads() == []


def test_the_path_may_be_relative_and_oddly_named(
    echo: CellWorker, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.fsdecode(b"caf\xe9 \n.png")  # not UTF-8
    page.rename(page.with_name(name))
    monkeypatch.chdir(page.parent)
    assert echo.read("odd", Path(name)).failure is None


def test_the_first_read_pays_for_no_import(page: Path) -> None:
    with CellWorker(fake("Echo"), prompt="") as worker:
        latencies = [worker.read(str(n), page).latency_s for n in range(5)]
    first, rest = latencies[0], latencies[1:]
    assert first is not None
    assert first < 0.02 + 5 * max(s for s in rest if s is not None)


def test_a_known_duration_reads_back(page: Path) -> None:
    with CellWorker(fake("Sleep"), prompt="", threads=1) as worker:
        latency = worker.read("slow", page).latency_s
    assert latency is not None
    assert 0.4 <= latency < 0.4 * 1.02 + 0.02


def test_a_known_allocation_reads_back(page: Path) -> None:
    with CellWorker(fake("Echo"), prompt="", threads=1) as worker:
        worker.load()
        base = worker.read("small", page).memory
    with CellWorker(fake("Allocate"), prompt="", threads=1) as worker:
        worker.load()
        first, second = worker.read("large", page).memory, worker.read("again", page).memory
    for peak in (first, second):
        assert peak.samples >= 5
        assert peak.rss_bytes is not None
        assert base.rss_bytes is not None
        assert peak.rss_bytes - base.rss_bytes == pytest.approx(200e6, rel=0.05)
        if peak.anonymous_bytes is not None and base.anonymous_bytes is not None:
            assert peak.anonymous_bytes - base.anonymous_bytes == pytest.approx(200e6, rel=0.05)
        if peak.high_water_bytes is not None and base.high_water_bytes is not None:
            assert peak.high_water_bytes - base.high_water_bytes == pytest.approx(200e6, rel=0.02)


def test_garbage_of_one_read_is_not_counted_in_the_next(page: Path) -> None:
    with CellWorker(fake("LeaveCycles"), prompt="", threads=1) as worker:
        peaks = [worker.read(str(n), page).memory.peak_rss_bytes for n in range(4)]
    known = [peak for peak in peaks if peak is not None]
    assert len(known) == 4
    assert max(known) - min(known) < 25e6, "50 MB cycles must not pile up"


def test_memory_is_sampled_during_load_too(echo: CellWorker) -> None:
    memory = echo.load().memory
    assert memory.samples >= 2
    assert memory.peak_rss_bytes is not None
    assert memory.peak_rss_bytes > 10e6


def test_odd_text_and_numpy_numbers_arrive_as_they_are(page: Path) -> None:
    with CellWorker(fake("Surrogates"), prompt="") as worker:
        reading = worker.read("odd", page)
    assert reading.text == "\udcff\u0000é\n"
    assert reading.phases["ttft_s"] == 0.5
    assert reading.output_tokens == 12
    assert type(reading.output_tokens) is int


def test_a_huge_answer_arrives_whole(page: Path) -> None:
    with CellWorker(fake("HugeAnswer"), prompt="") as worker:
        assert worker.read("huge", page).text == "x" * 10_000_000


def test_prints_neither_block_nor_forge(page: Path) -> None:
    with CellWorker(fake("Chatter"), prompt="p", read_timeout_s=20) as worker:
        for document in ("one", "two"):
            reading = worker.read(document, page)
            assert reading.failure is None, reading.message
            assert json.loads(reading.text or "")["prompt"] == "p"


def test_threads_are_set_and_the_network_is_off(echo: CellWorker, page: Path) -> None:
    seen = json.loads(echo.read("environment", page).text or "")
    assert seen["OMP_NUM_THREADS"] == "1"
    assert seen["HF_HUB_OFFLINE"] == "1"


def test_secrets_stay_behind() -> None:
    secret = {
        "DEMO_API_KEY": "s",
        "HF_TOKEN": "s",
        "AWS_SECRET_ACCESS_KEY": "s",
        "db_password": "s",
        "SSH_AUTH_SOCK": "s",
    }
    plain = {"HOME": "/h", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": "0", "LANG": "C"}
    passed = worker_environment({**secret, **plain}, threads=3)
    assert "s" not in passed.values()
    assert passed.items() >= plain.items()
    assert passed["OMP_NUM_THREADS"] == passed["OPENBLAS_NUM_THREADS"] == "3"
    assert passed["TRANSFORMERS_OFFLINE"] == "1"
    online = worker_environment({**secret, **plain}, threads=3, online=True)
    assert {name for name, value in online.items() if value == "s"} == {"HF_TOKEN"}, "for gated models"


def test_threads_that_wait_give_way_unless_the_user_says_how_they_wait() -> None:
    assert worker_environment({}, threads=2)["GOMP_SPINCOUNT"] == "1000"
    assert worker_environment({"GOMP_SPINCOUNT": "7"}, threads=2)["GOMP_SPINCOUNT"] == "7"
    assert "GOMP_SPINCOUNT" not in worker_environment({"OMP_WAIT_POLICY": "active"}, threads=2)


def test_closing_is_prompt_final_and_repeatable(page: Path) -> None:
    worker = CellWorker(fake("Echo"), prompt="")
    worker.load()
    pid = worker.pid
    assert pid is not None
    started = time.monotonic()
    worker.close()
    assert time.monotonic() - started < 1.5, "a willing worker is not waited for to the end of the grace period"
    worker.close()
    assert worker.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(RuntimeError, match="closed"):
        worker.read("late", page)


def test_closing_what_never_started_is_nothing() -> None:
    with CellWorker(fake("Echo"), prompt="") as worker:
        assert worker.pid is None


def test_descriptors_are_given_back(page: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs /proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for backend in ("Echo", "RaiseInLoad"):
        with CellWorker(fake(backend), prompt="") as worker:
            worker.read("one", page)
    assert len(list(descriptors.iterdir())) == before
