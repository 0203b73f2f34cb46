"""The whole suite over models of a catalogue: precisions, samples, batches, and what cannot be run or judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.documents import load_corpus
from harness.evidence import read_evidence
from tests.pixel_pages import receipts, write_corpus
from tests.test_suite import ROOT, cells


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), receipts(6))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """Models that are backends of this test suite, in several precisions."""
    path = tmp_path_factory.mktemp("catalogue") / "catalogue.toml"
    entry = '[[model]]\nsource = "./none"\nbackend = "python:tests.pixel_pages.Model"\n'
    path.write_text(
        f'{entry}id = "pixels"\ndefault_quantizations = ["fp32", "int8", "nf4"]\ndefault_documents = 4\n'
        f'{entry}id = "random"\ndefault_quantizations = ["fp32"]\nsettings = {{ random = true }}\n'
    )
    return path


def models(report: Path, corpus: Path, catalogue: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "evals/test_accuracy.py",
                "evals/test_answers.py",
                "evals/test_controls.py",
            ),
            *("-p", "no:cacheprovider", "--eval-catalogue", str(catalogue)),
            *("--eval-documents", str(corpus), "--eval-report", str(report)),
            *("--eval-determinism-documents", "0", *options),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_catalogue_model_by_precision(tmp_path, corpus, catalogue):
    """Each precision is a cell; what the machine cannot do is skipped with the reason; one blind control a model."""
    own = "python:tests.pixel_pages.Reader"
    done = models(tmp_path, corpus, catalogue, "--eval-models", f"{own},pixels", "-rs")
    assert done.returncode == 0, done.stdout
    evidence = read_evidence(tmp_path / "evidence.jsonl")
    read = {cell: set(asked.documents) for cell, asked in evidence.passes.items()}
    assert set(read) == {
        *(own, "pixels-fp32", "pixels-int8", "pixels-nf4"),
        *("all-na", f"blind:{own}", "blind:pixels-fp32@b8"),
    }
    assert len(read[own]) == 6
    assert read["pixels-fp32"] == read["pixels-nf4"] < read[own], "a sample, the same one for every precision"
    assert len(read["pixels-fp32"]) == 4
    assert "SAMPLE: 4 of 6 documents were read by pixels-fp32, pixels-int8, pixels-nf4" in done.stdout
    found = cells(tmp_path)
    assert found["pixels-nf4"]["metrics"]["f1"]["value"] == 1
    assert found["pixels-int8"]["status"] == "unsupported"
    assert "pixels-int8: unsupported: int8 needs a GPU of compute capability 7.5" in done.stdout
    assert {r.batch_size for r in evidence.readings["blind:pixels-fp32@b8"].values()} == {6}


def test_a_model_that_cannot_be_loaded_fails_once_and_the_others_go_on(tmp_path, corpus, catalogue):
    root = tmp_path / "root"
    (root / "broken").mkdir(parents=True)
    (root / "broken" / "config.json").write_text("{}")
    done = models(
        *(tmp_path / "out", corpus, catalogue, "--eval-models", "broken,pixels", "--eval-quantization", "fp32"),
        *("--eval-model-root", str(root), "-k", "is_answered"),
    )
    assert done.returncode == 1
    assert (
        "broken-fp32: no document has an answer: the model could not be loaded: error: CheckpointError" in done.stdout
    )
    assert {cell: found["status"] for cell, found in cells(tmp_path / "out").items()} == {
        "broken-fp32": "error",
        "pixels-fp32": "ok",
    }


def test_batches_resume(tmp_path, corpus, catalogue):
    options = (
        "--eval-models",
        "pixels",
        "--eval-quantization",
        "fp32",
        "--eval-batch-size",
        "4",
        "--eval-limit",
        "all",
    )
    options += ("-k", "test_field_f1")
    assert models(tmp_path, corpus, catalogue, *options).returncode == 0
    log = tmp_path / "evidence.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    of_cell = [
        i for i, line in enumerate(lines) if '"record": "reading"' in line and '"cell": "pixels-fp32@b4"' in line
    ]
    log.write_text("".join(line for i, line in enumerate(lines) if i not in of_cell[3:]))
    done = models(tmp_path, corpus, catalogue, *options, "--eval-resume")
    assert done.returncode == 0, done.stdout
    readings = read_evidence(log).readings["pixels-fp32@b4"]
    assert sorted(r.batch_size for r in readings.values()) == [3, 3, 3, 4, 4, 4], "three kept, three read together"
    assert cells(tmp_path)["pixels-fp32@b4"]["fields"]["TOTAL"]["correct"] == 6


def test_resume_refuses_other_weights(tmp_path, corpus, catalogue, monkeypatch):
    options = ("--eval-models", "pixels", "--eval-quantization", "fp32", "-k", "test_field_f1")
    assert models(tmp_path, corpus, catalogue, *options, "--eval-limit", "3").returncode == 0
    log = tmp_path / "evidence.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    last = max(i for i, line in enumerate(lines) if '"record": "reading"' in line)
    log.write_text("".join(lines[:last]))
    monkeypatch.setenv("PIXEL_WEIGHTS", "b")
    done = models(tmp_path, corpus, catalogue, *options, "--eval-limit", "3", "--eval-resume")
    assert done.returncode == 4
    assert "cannot resume: the weights of pixels changed" in done.stdout + done.stderr


def test_random_weights_are_not_judged(tmp_path, corpus, catalogue):
    limits = tmp_path / "budgets.toml"
    identity = load_corpus(corpus).identity[:12]
    limits.write_text(f'[[quality]]\nmodel = "random"\nquantization = "fp32"\ncorpus = "{identity}"\nf1 = 0.95\n')
    done = models(tmp_path, corpus, catalogue, "--eval-models", "random", "--eval-budgets", str(limits), "-rs")
    assert done.returncode == 0, done.stdout
    assert "random-fp32: random weights" in done.stdout
    metrics = cells(tmp_path)["random-fp32"]["metrics"]
    assert (metrics["f1"]["value"], metrics["f1"]["status"]) == (None, "not_measured")
    assert metrics["answer_rate"]["value"] == 1
    gates = json.loads((tmp_path / "report.json").read_text())["gates"]
    assert {g["metric"] for g in gates} == {"answer_rate"}
