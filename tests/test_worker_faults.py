"""The worker when something goes wrong: each fault is a typed row, and the next document is answered."""

from __future__ import annotations

import _thread
import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from harness.backends.openai.errors import ServerFaultError
from harness.cells import Cell, Failure
from harness.evidence import ReadingRecord
from harness.worker import process
from harness.worker.failures import failure_of
from harness.worker.supervisor import CellWorker
from tests.fake_backends import FAULT_COLOUR


def fake(name: str) -> Cell:
    return Cell(model=f"python:tests.fake_backends.{name}")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.png"
    Image.new("RGB", (8, 8), "white").save(path)
    return path


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    path = tmp_path / "faulty.png"
    Image.new("RGB", (8, 8), FAULT_COLOUR).save(path)
    return path


def gone(pid: int, *, within_s: float = 3.0) -> bool:
    """Whether the process ends (a zombie has) within the time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def reader_pid(reading: ReadingRecord) -> int:
    assert reading.failure is None, reading.message
    return int(json.loads(reading.text or "")["pid"])


@pytest.mark.parametrize(
    ("backend", "failure", "says"),
    [
        ("Exit", Failure.CRASH, r"exited with code 3\na last word$"),
        ("SystemExits", Failure.CRASH, r"exited with code 4"),
        ("Segfault", Failure.CRASH, r"killed by SIGSEGV\n(.*\n)*.*fake_backends"),
        ("KillItself", Failure.CRASH, r"killed by SIGKILL$"),
        ("Garbage", Failure.CRASH, r"broke the protocol: not a message"),
        ("OutOfMemory", Failure.RUN_OOM, r"^RuntimeError: generation failed$"),
        ("Hang", Failure.TIMEOUT, r"no answer within 0\.4 s.*\nabout to hang$"),
        ("HangDeaf", Failure.TIMEOUT, r"no answer within 0\.4 s"),
    ],
)
def test_a_lost_worker_is_a_row_and_the_next_document_has_a_fresh_one(
    backend: str, failure: Failure, says: str, good: Path, faulty: Path
) -> None:
    with CellWorker(fake(backend), prompt="", read_timeout_s=0.4 if "Hang" in backend else 20) as worker:
        first = reader_pid(worker.read("before", good))
        started = time.monotonic()
        lost = worker.read("lost", faulty)
        took = time.monotonic() - started
        assert gone(first, within_s=0.1), "the lost worker is dead before anything else happens"
        after = worker.read("after", good)
        assert reader_pid(after) != first
        assert [load.restart for load in worker.take_loads()] == [0, 1]
    assert lost.failure is failure
    assert re.search(says, lost.message or ""), lost.message
    assert (lost.document, lost.text, lost.latency_s) == ("lost", None, None)
    assert lost.memory.samples >= 1
    assert took < (1.5 if failure is Failure.TIMEOUT else 15)


@pytest.mark.parametrize(
    ("backend", "failure", "message"),
    [
        ("Raise", Failure.ERROR, "ValueError: the decoder"),
        ("Unsupported", Failure.UNSUPPORTED, "no kernel for this image size"),
        ("TooHugeAnswer", Failure.ERROR, "the limit is"),
    ],
)
def test_an_exception_fails_its_document_only(
    backend: str, failure: Failure, message: str, good: Path, faulty: Path
) -> None:
    with CellWorker(fake(backend), prompt="", max_consecutive_failures=1) as worker:
        first = reader_pid(worker.read("before", good))
        failed = worker.read("failed", faulty)
        assert reader_pid(worker.read("after", good)) == first
        assert len(worker.take_loads()) == 1
    assert failed.failure is failure
    assert message in (failed.message or "")
    assert "\n" not in (failed.message or "")


@pytest.mark.parametrize(
    ("backend", "says"),
    [("NotAnAnswer", r"returned dict, not Answer: .*protocol\.Answer"), ("NanPhase", r"phases\['ttft_s'\]")],
)
def test_an_unusable_answer_is_an_error(backend: str, says: str, good: Path) -> None:
    with CellWorker(fake(backend), prompt="") as worker:
        reading = worker.read("one", good)
    assert reading.failure is Failure.ERROR
    assert re.search(says, reading.message or ""), reading.message


def test_a_bad_image_fails_its_document_only(tmp_path: Path, good: Path) -> None:
    empty, broken = tmp_path / "empty.png", tmp_path / "broken.png"
    empty.touch()
    broken.write_bytes(good.read_bytes()[:50])
    with CellWorker(fake("Echo"), prompt="") as worker:
        first = reader_pid(worker.read("good", good))
        for path, failure in (
            (empty, Failure.BAD_IMAGE),
            (broken, Failure.BAD_IMAGE),
            (tmp_path, Failure.BAD_IMAGE),
            (tmp_path / "missing.png", Failure.ERROR),
        ):
            reading = worker.read(path.name, path)
            assert reading.failure is failure
            assert (reading.message or "").startswith(f"{path.name}: ")
            assert str(tmp_path) not in (reading.message or ""), "the log is for passing on"
        assert reader_pid(worker.read("good again", good)) == first


@pytest.mark.parametrize(
    ("backend", "failure", "says"),
    [
        ("RaiseInLoad", Failure.ERROR, r"^RuntimeError: the weights are$"),
        ("OutOfMemoryInLoad", Failure.LOAD_OOM, r"^MemoryError$"),
        ("UnsupportedInLoad", Failure.UNSUPPORTED, r"^needs a GPU$"),
        ("CrashInLoad", Failure.CRASH, r"exited with code 7\nno such kernel$"),
        ("HangInLoad", Failure.TIMEOUT, r"no answer within"),
        ("BadFacts", Failure.ERROR, r"Loaded\.facts\['ratio'\]"),
        ("NoFacts", Failure.ERROR, r"load\(\) returned NoneType, not a mapping of facts: {} if there are none$"),
        ("NoSuchClass", Failure.ERROR, r"^AttributeError: .*NoSuchClass"),
    ],
)
def test_a_failed_load_is_a_row_and_every_read_says_so(backend: str, failure: Failure, says: str, good: Path) -> None:
    with CellWorker(fake(backend), prompt="", load_timeout_s=1.5 if backend == "HangInLoad" else 60) as worker:
        load = worker.load()
        assert load.failure is failure
        assert re.search(says, load.message or ""), load.message
        assert load.load_s is None
        assert worker.pid is None
        for document in ("one", "two"):
            reading = worker.read(document, good)
            assert reading.failure is Failure.NOT_RUN
            assert f"could not be loaded: {failure}: " in (reading.message or "")
        assert worker.load() is load, "it is not tried again"
        assert worker.take_loads() == [load]


def test_an_unknown_backend_is_a_failed_load() -> None:
    with CellWorker(Cell(model="ocr-rule"), prompt="") as worker:
        load = worker.load()
    assert load.failure is Failure.ERROR
    assert "did you mean ocr-rules" in (load.message or "")


def test_a_worker_that_cannot_be_started_is_a_failed_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.sys, "executable", "/nonexistent/python")
    with CellWorker(fake("Echo"), prompt="") as worker:
        load = worker.load()
    assert load.failure is Failure.ERROR
    assert "cannot start" in (load.message or "")


def test_a_failed_reload_ends_the_cell(
    good: Path, faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_BACKEND_MARKER", str(tmp_path / "marker"))
    with CellWorker(fake("CrashOnReload"), prompt="") as worker:
        assert worker.read("one", good).failure is None
        assert worker.read("two", faulty).failure is Failure.CRASH
        assert worker.read("three", good).failure is Failure.NOT_RUN
        assert [(load.restart, load.failure) for load in worker.take_loads()] == [
            (0, None),
            (1, Failure.ERROR),
        ]


def test_after_several_lost_workers_in_a_row_the_rest_is_not_run(good: Path, faulty: Path) -> None:
    with CellWorker(fake("KillItself"), prompt="", max_consecutive_failures=2) as worker:
        paths = [faulty, good, faulty, faulty, good, good]
        readings = [worker.read(str(number), path) for number, path in enumerate(paths)]
        assert worker.pid is None
        assert len(worker.take_loads()) == 3
    crash, not_run = Failure.CRASH, Failure.NOT_RUN
    assert [reading.failure for reading in readings] == [crash, None, crash, crash, not_run, not_run]
    assert "2 workers in a row were lost, the last one to crash: the worker was killed by SIGKILL" in (
        readings[-1].message or ""
    )


def test_kill_from_outside_in_mid_document(good: Path, faulty: Path) -> None:
    with CellWorker(fake("Hang"), prompt="", read_timeout_s=30) as worker:
        worker.load()
        pid = worker.pid
        assert pid is not None
        killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
        killer.start()
        lost = worker.read("killed", faulty)
        killer.join()
        assert lost.failure is Failure.CRASH
        assert "SIGKILL" in (lost.message or "")
        assert worker.read("next", good).failure is None


def test_kill_from_outside_between_documents(good: Path) -> None:
    with CellWorker(fake("Echo"), prompt="") as worker:
        worker.load()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        first = worker.read("one", good)
        assert first.failure is Failure.CRASH
        assert worker.read("two", good).failure is None


def test_the_kernels_oom_killer_is_told_from_a_crash(monkeypatch: pytest.MonkeyPatch, faulty: Path) -> None:
    kills = iter([5, 6])
    monkeypatch.setattr(process, "kernel_oom_kills", lambda: next(kills))
    with CellWorker(fake("KillItself"), prompt="") as worker:
        reading = worker.read("large", faulty)
    assert reading.failure is Failure.RUN_OOM
    assert "out-of-memory killer" in (reading.message or "")


def test_a_timeout_takes_grandchildren_along(faulty: Path) -> None:
    with CellWorker(fake("HangWithChildren"), prompt="", read_timeout_s=1) as worker:
        reading = worker.read("hang", faulty)
    assert reading.failure is Failure.TIMEOUT
    found = re.search(r"grandchild (\d+)", reading.message or "")
    assert found
    assert gone(int(found[1]))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A background job of a shell starts with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_leaves_at_once_and_no_process_behind(faulty: Path) -> None:
    started = time.monotonic()
    with CellWorker(fake("HangDeaf"), prompt="", read_timeout_s=60) as worker:
        worker.load()
        pid = worker.pid
        assert pid is not None
        timer = threading.Timer(0.3, _thread.interrupt_main)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            worker.read("interrupted", faulty)
        timer.join()
        assert worker.pid is None
    assert gone(pid, within_s=0.1)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("backend", ["Echo", "HangDeaf"])
def test_the_worker_dies_with_a_killed_parent(backend: str, tmp_path: Path, faulty: Path) -> None:
    script = f"""
import sys
from collections.abc import Iterator
from pathlib import Path
from harness.cells import Cell
from harness.worker.supervisor import CellWorker
worker = CellWorker(Cell(model="python:tests.fake_backends.{backend}"), prompt="")
worker.load()
print(worker.pid, flush=True)
worker.read("x", Path(sys.argv[1]))
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(faulty)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        assert psutil.pid_exists(pid)
        parent.kill()
    assert gone(pid, within_s=3)


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("x"), (Failure.ERROR, False)),
        (MemoryError(), (Failure.RUN_OOM, True)),
        (OutOfMemoryError("tried to allocate 2 GiB"), (Failure.RUN_OOM, True)),
        (RuntimeError("CUDA error: out of memory"), (Failure.RUN_OOM, True)),
        (RuntimeError("Triton Error [CUDA]: out of memory"), (Failure.RUN_OOM, True)),
        (RuntimeError("CUDA driver error: out of memory"), (Failure.RUN_OOM, True)),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), (Failure.RUN_OOM, True)),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"),
            (Failure.RUN_OOM, True),
        ),
        (_caused(KeyError("layer"), MemoryError()), (Failure.RUN_OOM, True)),
        (RuntimeError("CUDA error: device-side assert triggered"), (Failure.ERROR, True)),
        (RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"), (Failure.ERROR, True)),
        (RuntimeError("CUDA driver error: an illegal memory access was encountered"), (Failure.ERROR, True)),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), (Failure.ERROR, True)),
        (ServerFaultError("HTTP 500: CUDA out of memory. Tried to allocate 2 GiB"), (Failure.RUN_OOM, False)),
        (ServerFaultError("HTTP 500: CUDA error: device-side assert triggered"), (Failure.ERROR, False)),
    ],
)
def test_exceptions_are_told_apart(error: Exception, expected: tuple[Failure, bool]) -> None:
    assert failure_of(error) == expected
