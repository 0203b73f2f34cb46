"""Served models through worker and session: keys, time-outs, servers of the session's own, and their memory."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from harness.backends import BackendRequest
from harness.cells import Cell, Failure
from harness.evidence import read_evidence
from harness.worker.supervisor import CellWorker
from tests.chat_server import Stream, Whole, after, serving
from tests.pixel_pages import page, receipts, write_corpus

ROOT = Path(__file__).parent.parent
KEY = "sk-planted-0123456789abcdef"


def worker(url: str, **settings) -> CellWorker:
    asked = {"source": "m", "base_url": url, "max_new_tokens": 64, "key_variable": "OPENAI_API_KEY", **settings}
    return CellWorker(Cell(model="m"), BackendRequest(backend="openai", settings=asked), prompt="Read.")


def suite(report: Path, corpus: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "evals/test_accuracy.py", "evals/test_answers.py", "evals/test_cost.py"),
            *("-p", "no:cacheprovider", "-p", "tests.without_figures", "--eval-determinism-documents", "0"),
            *("--eval-documents", str(corpus), "--eval-report", str(report), *options),
        ],
        cwd=ROOT,
        env={**os.environ, "OPENAI_API_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def good(tmp_path: Path) -> Path:
    page({"TOTAL": "$1.00"}).save(path := tmp_path / "good.png")
    return path


def test_the_named_key_reaches_the_worker_and_no_other(good, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("MY_API_KEY", "my-own")
    with serving(Stream()) as server:
        for variable, header in (("OPENAI_API_KEY", f"Bearer {KEY}"), ("MY_API_KEY", "Bearer my-own"), ("", None)):
            with worker(server.url, key_variable=variable) as running:
                assert running.read("good", good).failure is None
            assert server.seen[-1].headers.get("authorization") == header


def test_a_server_that_is_too_slow_is_a_timeout_and_no_loss_of_the_worker(good):
    with serving(after(1, Stream(first_s=2))) as server, worker(server.url, request_timeout_s=0.3) as running:
        readings = [running.read("good", good) for _ in range(2)]
        assert [r.failure for r in readings] == [Failure.TIMEOUT] * 2
        assert "no whole answer within 0.3 s" in (readings[0].message or "")
        assert len(running.take_loads()) == 1


def test_the_memory_of_a_client_is_not_the_models(good):
    with serving(Stream(first_s=0.3)) as server:
        with worker(server.url) as running:
            reading = running.read("good", good)
            assert reading.failure is None
            assert (reading.memory.peak_rss_bytes, reading.memory.samples) == (None, 0)
            assert running.take_loads()[0].memory.peak_rss_bytes is None
        with worker(server.url, server_pid=os.getpid()) as running:
            peak = running.read("good", good).memory
    assert (peak.peak_rss_bytes or 0) > 30e6
    assert peak.samples >= 4


def test_key_and_image_are_in_nothing_that_a_run_leaves(tmp_path):
    """Even from a server that throws both back, as error or as answer."""
    corpus = write_corpus(tmp_path / "corpus", receipts(3))
    noise = Image.effect_noise((64, 64), 80).convert("RGB")
    for number in range(3):
        noise.save(corpus / f"page-0{number}.png")
    report = tmp_path / "report"

    def echo(handler, body, number):
        said = f"{handler.headers['Authorization']} {body['messages'][0]['content'][0]['image_url']['url']}"
        if number % 2:
            handler.reply(400, json.dumps({"error": {"message": said}}).encode())
        else:
            Whole(text=said)(handler, body, number)

    with serving(after(1, echo)) as server:
        done = suite(report, corpus, "--eval-endpoint", server.url, "--eval-endpoint-model", "echo")
        sent = server.seen[-1]
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    encoded = sent.body["messages"][0]["content"][0]["image_url"]["url"].partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as shown:
        assert shown.tobytes() == noise.tobytes()
    readings = read_evidence(report / "evidence.jsonl").readings["echo"].values()
    assert {r.failure for r in readings} == {None, Failure.ERROR}
    files = [path for path in report.rglob("*") if path.is_file()]
    assert {"evidence.jsonl", "report.md", "report.html", "report.json"} <= {path.name for path in files}
    left = {"output": (done.stdout + done.stderr).encode(), **{str(path): path.read_bytes() for path in files}}
    for name, data in left.items():
        assert KEY.encode() not in data, name
        assert encoded[200:264].encode() not in data, name


def test_a_served_cell_is_as_easy_as_a_local_one(tmp_path):
    """A catalogue entry with a command: started, read, measured, ended; resumed without a difference of settings."""
    corpus, report = write_corpus(tmp_path / "corpus", receipts(6)), tmp_path / "report"
    command = ["{python}", "-m", "tests.chat_server", "--port", "{port}", "--die-after", "5"]
    catalogue = tmp_path / "catalogue.toml"

    def write(command):
        catalogue.write_text(
            f'[[model]]\nid = "pixels"\nbackend = "openai"\nsource = "pixels"\nserver = {{ command = {command} }}\n'
        )

    options = ("--eval-catalogue", str(catalogue), "--eval-models", "pixels")
    write(command)
    done = suite(report, corpus, *options)
    assert done.returncode == 1, done.stdout
    first = read_evidence(report / "evidence.jsonl")
    # Two requests came before the documents: of the session and of its worker.
    assert [r.failure for r in first.readings["pixels"].values()] == [None] * 3 + [Failure.ERROR] * 3
    write(command[:-2])
    done = suite(report, corpus, *options, "--eval-resume")
    assert "cannot resume" in done.stdout + done.stderr, "another command is another server"
    write(command)
    done = suite(report, corpus, *options, "--eval-resume")
    assert done.returncode == 0, done.stdout
    cell = next(c for c in json.loads((report / "report.json").read_text())["cells"] if c["cell"] == "pixels")
    assert cell["metrics"]["f1"]["value"] == 1
    assert "None" in (report / "servers" / "pixels.log").read_text(), "no key is for it"
    told = read_evidence(report / "evidence.jsonl").cells["pixels"][-1].facts
    assert told["endpoint"].startswith("http://127.0.0.1:")


def test_a_server_that_does_not_start_is_a_row(tmp_path):
    corpus, report = write_corpus(tmp_path / "corpus", receipts(2)), tmp_path / "report"
    catalogue = tmp_path / "catalogue.toml"
    code = "raise SystemExit('no weights here')"
    catalogue.write_text(
        f'[[model]]\nid = "absent"\nbackend = "openai"\nsource = "x"\n'
        f'server = {{ command = ["{{python}}", "-c", "{code}", "{{port}}"] }}\n'
    )
    done = suite(report, corpus, "--eval-catalogue", str(catalogue), "--eval-models", "absent")
    assert done.returncode == 1
    load = read_evidence(report / "evidence.jsonl").cells["absent"][0]
    assert load.failure is Failure.ERROR
    assert load.message == "ServerUnavailableError: the server exited with code 1; no weights here"
