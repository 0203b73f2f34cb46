"""Served models through options, catalogue and the whole suite."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.catalogue import load_catalogue
from fixtures.resuming import recorded_settings
from harness.cells import Failure
from harness.errors import CatalogueError
from harness.evidence import read_evidence
from tests.chat_server import Server, Stream, after, serving
from tests.eval_options import parse_options
from tests.pixel_pages import receipts, write_corpus

ROOT = Path(__file__).parent.parent
URL = "http://127.0.0.1:9/v1"
REMOTE = f'[[model]]\nid = "far"\nbackend = "openai"\nsource = "owner/far"\nsettings = {{ base_url = "{URL}" }}\n'
LOCAL = """
[[model]]
id = "near"
backend = "openai"
source = "./checkpoints/near"
default_documents = 3
batch_size = 2
server = { command = ["{python}", "-m", "serve", "{source}", "--port", "{port}"] }
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_entries(tmp_path):
    found = load_catalogue(written(tmp_path / "c.toml", REMOTE + LOCAL))
    far, near = found.models["far"], found.models["near"]
    assert far.is_served
    assert far.backend_settings(allow_network=True) == {
        "source": "owner/far",
        "max_new_tokens": 1024,
        "base_url": URL,
        "key_variable": "OPENAI_API_KEY",
    }
    assert near.server is not None
    settings = near.backend_settings()
    assert settings["key_variable"] == "", "no key is for a server of our own"
    assert settings["server_command"] == "'{python}' -m serve '{source}' --port '{port}'"
    assert str(tmp_path) not in json.dumps(recorded_settings(settings)), "nor a path for the evidence"


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (REMOTE + 'server = { command = ["serve", "{port}"] }', "either settings"),
        ('[[model]]\nid = "x"\nsource = "x"\nbackend = "openai"', "either settings"),
        (REMOTE.replace("settings", 'default_quantizations = ["nf4"]\nsettings'), "runs as its server was started"),
        (REMOTE + 'family = "internvl"', "runs as its server was started"),
        ('[[model]]\nid = "x"\nsource = "x"\nserver = { command = ["serve", "{port}"] }', 'with backend = "openai"'),
        (LOCAL.replace("{port}", "80"), "names no {port}"),
    ],
)
def test_entries_that_cannot_be(entry, says, tmp_path):
    with pytest.raises(CatalogueError, match=re.escape(says)):
        load_catalogue(written(tmp_path / "c.toml", entry))


def test_a_served_model_is_one_cell_beside_the_precisions_of_others(tmp_path):
    catalogue = written(tmp_path / "c.toml", REMOTE + LOCAL + '[[model]]\nid = "own"\nsource = "./own"\n')
    found = parse_options(
        *("--eval-catalogue", str(catalogue), "--eval-models", "far,near,own", "--eval-quantization", "fp32,nf4"),
        *("--eval-runtimes", "eager,fast", "--eval-device", "cuda", "--eval-weights", "auto"),
        report=tmp_path,
    )
    ids = [cell.id for cell in found.cells]
    assert ids[:2] == ["far", "near@b2"]
    assert len(ids) == 6
    assert found.dummies == ("own",) or "far" not in found.dummies


def test_an_endpoint_by_name(tmp_path):
    found = parse_options(
        *("--eval-endpoint", "http://127.0.0.1:8000/v1/", "--eval-endpoint-model", "Qwen/Qwen2.5-VL:7b"),
        *("--eval-endpoint-key", "MY_KEY", "--eval-batch-size", "4"),
        report=tmp_path,
    )
    assert [cell.id for cell in found.cells] == ["Qwen-Qwen2.5-VL-7b@b4"]
    settings = found.catalogue.resolve("Qwen-Qwen2.5-VL-7b").backend_settings()
    assert (settings["source"], settings["base_url"]) == ("Qwen/Qwen2.5-VL:7b", "http://127.0.0.1:8000/v1")
    assert settings["key_variable"] == "MY_KEY"
    beside = parse_options(
        *("--eval-endpoint", URL, "--eval-endpoint-model", "ocr-rules", "--eval-models", "ocr-rules"), report=tmp_path
    )
    assert beside.models == ("ocr-rules", "ocr-rules-endpoint")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--eval-endpoint", URL], "--eval-endpoint-model"),
        (["--eval-endpoint-model", "x"], "say where with --eval-endpoint"),
        (["--eval-endpoint", "https://u:sk-1@host/v1", "--eval-endpoint-model", "x"], "no user"),
        (
            [*(served := ["--eval-endpoint", URL, "--eval-endpoint-model", "x"]), "--eval-quantization", "nf4"],
            "weights",
        ),
        ([*served, "--eval-runtimes", "fast"], "--eval-runtimes: x takes no such option"),
        ([*served, "--eval-device", "cuda"], "--eval-device: x takes no such option"),
        ([*served, "--eval-weights", "dummy"], "--eval-weights: x takes no such option"),
        ([*served, "--eval-endpoint-key", "sk-1-live"], "must be the name of the environment variable"),
    ],
)
def test_options_that_change_nothing_are_refused(options, says, tmp_path):
    with pytest.raises(pytest.UsageError, match=says) as caught:
        parse_options(*options, report=tmp_path)
    assert "sk-1" not in str(caught.value)


def suite(server: Server, report: Path, corpus: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "evals/test_accuracy.py", "evals/test_answers.py"),
            *("-p", "no:cacheprovider", "-p", "tests.without_figures", "--eval-determinism-documents", "0"),
            *("--eval-documents", str(corpus), "--eval-report", str(report)),
            *("--eval-endpoint", server.url, "--eval-endpoint-model", "pixels", *options),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_server_that_dies_leaves_typed_rows_and_a_log_to_resume(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", receipts(6))
    report = tmp_path / "report"
    with serving(after(4, lambda handler, body, number: handler.reset())) as server:
        done = suite(server, report, corpus)
        assert done.returncode == 1, done.stdout
        first = read_evidence(report / "evidence.jsonl").readings["pixels"]
        failed = [r for r in first.values() if r.failure is not None]
        assert [r.failure for r in failed] == [Failure.ERROR] * 3
        assert all("ConnectionLostError" in (r.message or "") for r in failed)
        server.behaviour = Stream()
        before = len(server.seen)
        done = suite(server, report, corpus, "--eval-resume")
        assert done.returncode == 0, done.stdout
        assert len(server.seen) - before == 1 + 3, "finished documents are not read again"
    cell = next(c for c in json.loads((report / "report.json").read_text())["cells"] if c["cell"] == "pixels")
    assert cell["metrics"]["f1"]["value"] == 1
    readings = read_evidence(report / "evidence.jsonl").readings["pixels"]
    assert {r.facts["token_counts"] for r in readings.values()} == {"server-reported"}
    assert all(0 < r.phases["request_s"] <= (r.latency_s or 0) for r in readings.values())
