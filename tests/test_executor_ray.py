"""Passes over a real Ray cluster of two nodes on this machine. What is decided without Ray is tested without it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixtures.picture_options import PictureOptions
from fixtures.picture_tasks import PictureTasks
from fixtures.session import EvalSession, open_session
from harness.cells import Cell
from harness.evidence import ReadingRecord, read_evidence
from tests.eval_options import parse_options
from tests.pixel_pages import receipts, write_corpus
from tests.test_session import silent

pytest.importorskip("ray", reason="Ray is not installed (pip install 'docvlm-evals[ray]')")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

ROOT = Path(__file__).parent.parent
READER = "python:tests.pixel_pages.Reader"
SLOW = "python:tests.fake_backends.Sleep"
FAINTER = "python:tests.scene_backends.Fainter"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of two processors each; the session is on the first."""
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    found.second = found.add_node(num_cpus=2)
    yield found
    found.shutdown()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), receipts(48))


def opened(corpus: Path, report: Path, model: str, *arguments: str) -> Any:
    given = ("--eval-documents", str(corpus), "--eval-models", model, *arguments)
    return open_session(parse_options(*given, report=report), silent)


def readings_of(session: EvalSession) -> dict[str, ReadingRecord]:
    return dict(read_evidence(session.log.path).readings[session.options.cells[0].id])


def lines_of(session: EvalSession) -> Counter[tuple[str, str]]:
    """How often each document has a reading of a cell in the log."""
    records = map(json.loads, session.log.path.read_text().splitlines())
    return Counter((r["cell"], r["document"]) for r in records if r["record"] == "reading")


def test_a_cluster_reads_what_one_machine_reads(cluster, corpus, tmp_path) -> None:
    with opened(corpus, tmp_path / "here", READER) as here:
        expected = here.run(Cell(model=READER)).result.metrics()
    ray = ("--eval-executor", "ray", "--eval-ray-address", cluster.address)
    with opened(corpus, tmp_path / "there", READER, *ray) as there:
        found = there.run(Cell(model=READER)).result.metrics()
    for name in ("f1", "precision", "recall", "accuracy", "answer_rate"):
        assert found[name] == expected[name]
    assert set(lines_of(there).values()) == {1}
    (header,) = read_evidence(there.log.path).runs
    nodes = {name for group in header.provenance["nodes"].values() for name in group["nodes"]}
    assert {r.facts["node"] for r in readings_of(there).values()} <= nodes
    assert (header.provenance["executor"]["nodes"], header.provenance["executor"]["machines"]) == (2, 1)
    assert header.options["shared"]["workers"] == 4


def test_questions_about_pictures_are_shared_out_too(cluster, corpus, tmp_path) -> None:
    asked = PictureOptions(tasks=("counting", "reading"), by_name=True, pictures=12)
    ray = ("--eval-executor", "ray", "--eval-ray-address", cluster.address)
    with opened(corpus, tmp_path / "here", FAINTER) as here:
        tasks = PictureTasks.opened(here, asked)
        expected = {name: tasks.run(Cell(model=FAINTER, tasks=True), name).result for name in asked.tasks}
    with opened(corpus, tmp_path / "there", FAINTER, *ray) as there:
        tasks = PictureTasks.opened(there, asked)
        found = {name: tasks.run(Cell(model=FAINTER, tasks=True), name).result for name in asked.tasks}
    for name, result in found.items():
        assert result.summary == expected[name].summary
        assert result.failures == expected[name].failures
        assert [r.text for r in result.readings.values()] == [r.text for r in expected[name].readings.values()]
        assert len({r.facts["worker"] for r in result.readings.values()}) > 1
    assert set(lines_of(there).values()) == {1}


def test_a_node_that_dies_loses_nothing_and_doubles_nothing(cluster, corpus, tmp_path) -> None:
    raylet = cluster.second.all_processes["raylet"][0].process.pid
    ray = ("--eval-executor", "ray", "--eval-ray-address", cluster.address)
    seen: list[ReadingRecord] = []

    def end_node_at_ten(reading: ReadingRecord) -> None:
        seen.append(reading)
        if len(seen) == 10:  # as if its machine had lost power: alone, its workers would live on for some seconds
            node = psutil.Process(raylet)
            for process in [node, *node.children(recursive=True)]:
                os.kill(process.pid, signal.SIGKILL)

    with opened(corpus, tmp_path / "out", SLOW, *ray) as session:
        session.progress = _told(end_node_at_ten)
        run = session.run(Cell(model=SLOW))
    assert not psutil.pid_exists(raylet) or psutil.Process(raylet).status() == psutil.STATUS_ZOMBIE
    assert len(lines_of(session)) == 48
    assert set(lines_of(session).values()) == {1}
    assert {r.failure for r in readings_of(session).values()} == {None}
    assert "side by side on one machine" in str(run.disturbance)
    assert len({r.facts["node"] for r in seen[:10]}) == 2, "both were at work"
    assert len({r.facts["node"] for r in seen[-10:]}) == 1, "one did the rest"


def test_an_interrupt_ends_every_process(corpus, tmp_path) -> None:
    log = tmp_path / "out" / "evidence.jsonl"
    command = [sys.executable, "-m", "pytest", "evals", "-p", "no:cacheprovider", "--eval-models", SLOW]
    options = ["--eval-documents", str(corpus), "--eval-report", str(tmp_path / "out"), "--eval-executor", "ray"]
    session = subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    _wait_for(lambda: log.exists() and log.read_text().count('"record": "reading"') >= 3)
    below = psutil.Process(session.pid).children(recursive=True)
    assert any("harness.worker.child" in " ".join(process.cmdline()) for process in below)
    os.kill(session.pid, signal.SIGINT)
    assert session.wait(60) == pytest.ExitCode.INTERRUPTED
    _, left = psutil.wait_procs(below, timeout=20)
    assert left == []
    assert len(read_evidence(log).readings[SLOW]) >= 3


def _told(on_reading: Callable[[ReadingRecord], None]) -> Any:
    @contextlib.contextmanager
    def progress(cell: str, total: int) -> Iterator[Callable[[ReadingRecord], None]]:
        yield on_reading

    return progress


def _wait_for(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)
