"""The whole suite over models of a catalogue: precisions, samples, batches, and what cannot be run or judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cells import Role
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
        '[[model]]\nid = "far"\nsource = "nobody/far"\ndefault_quantizations = ["fp32"]\n'
    )
    return path


def models(
    report: Path,
    corpus: Path,
    catalogue: Path,
    *options: str,
    evals: tuple[str, ...] = ("accuracy", "answers", "controls"),
    checks: int = 0,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", *(f"evals/test_{name}.py" for name in evals)),
            *("-p", "no:cacheprovider", "-p", "tests.without_figures", "--eval-catalogue", str(catalogue)),
            *("--eval-documents", str(corpus), "--eval-report", str(report)),
            *("--eval-determinism-documents", str(checks), *options),
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


def test_a_hub_model_that_is_not_here_is_unsupported_and_the_others_go_on(tmp_path, corpus, catalogue):
    options = ("--eval-models", "far,pixels", "--eval-quantization", "fp32", "-rs")
    options += ("-k", "is_answered or (far and blind)")
    done = models(tmp_path, corpus, catalogue, *options)
    assert done.returncode == 0, done.stdout
    assert "far-fp32: unsupported: nobody/far: no such folder" in done.stdout
    assert "blind:far: its model does not load: far-fp32" in done.stdout
    assert list(read_evidence(tmp_path / "evidence.jsonl").passes) == ["far-fp32", "pixels-fp32"]
    assert {cell: found["status"] for cell, found in cells(tmp_path).items()} == {
        "far-fp32": "unsupported",
        "pixels-fp32": "ok",
    }


def test_the_first_precision_that_loads_stands_for_its_model(tmp_path, corpus, catalogue):
    """In the blind control and in the checks of determinism; what is known not to load is not tried blindfolded."""
    options = ("--eval-models", "pixels", "--eval-quantization", "int8,nf4,fp32", "-k", "f1 or blind or repeat", "-rs")
    done = models(tmp_path, corpus, catalogue, *options, evals=("accuracy", "controls", "determinism"), checks=8)
    assert done.returncode == 0, done.stdout
    asked = read_evidence(tmp_path / "evidence.jsonl").passes
    assert set(asked) == {"pixels-int8", "pixels-nf4", "pixels-fp32", "blind:pixels-nf4@b8", "pixels-nf4#2"}
    gates = json.loads((tmp_path / "report.json").read_text())["gates"]
    assert [g["cell"] for g in gates if "test_blind[blind:pixels]" in g["test"]] == ["blind:pixels-nf4@b8"]
    assert "pixels-fp32#2: left out: pixels-nf4 stands for its model; --eval-determinism-precisions all" in done.stdout


def test_a_control_alone_is_tried_in_each_precision_until_one_loads(tmp_path, corpus, catalogue):
    options = ("--eval-models", "pixels", "--eval-quantization", "int8,nf4,fp32", "-k", "blind")
    done = models(tmp_path, corpus, catalogue, *options, evals=("controls",))
    assert done.returncode == 0, done.stdout
    assert "1 inconclusive" in done.stdout, "six pages are too few for a proof, and a control was run"
    assert list(read_evidence(tmp_path / "evidence.jsonl").passes) == ["blind:pixels-int8@b8", "blind:pixels-nf4@b8"]
    done = models(tmp_path, corpus, catalogue, *options, "--eval-quantization", "int8", "-rs", evals=("controls",))
    assert "blind:pixels-int8@b8: unsupported: int8 needs a GPU" in done.stdout


def test_determinism_of_every_precision_is_checked_where_it_is_asked_for(tmp_path, corpus, catalogue):
    options = ("--eval-models", "pixels", "--eval-quantization", "int8,nf4,fp32")
    options += ("--eval-determinism-precisions", "all")
    done = models(tmp_path, corpus, catalogue, *options, evals=("determinism",), checks=2)
    assert done.returncode == 0, done.stdout
    passes = read_evidence(tmp_path / "evidence.jsonl").passes.values()
    checks = {p.cell: len(p.documents) for p in passes if p.role is Role.CHECK}
    assert checks == dict.fromkeys(("pixels-nf4#2", "pixels-nf4@b8", "pixels-fp32#2", "pixels-fp32@b8"), 2)


def test_runtimes_that_are_read_anyway_are_compared_in_every_precision(tmp_path, corpus, catalogue):
    """Without being asked, on all documents: it takes no further pass."""
    options = ("--eval-models", "pixels", "--eval-quantization", "fp32,nf4", "--eval-runtimes", "eager,fast")
    done = models(tmp_path, corpus, catalogue, *options, "-k", "runtime", evals=("determinism",), checks=2)
    assert done.returncode == 0, done.stdout
    evidence = read_evidence(tmp_path / "evidence.jsonl")
    assert not [p.cell for p in evidence.passes.values() if p.role is Role.CHECK]
    found = {gate.cell: gate.n for gate in evidence.gates if gate.metric.startswith("same_text_rate")}
    assert found == {"pixels-fp32@fast": 4, "pixels-nf4@fast": 4}


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
    assert models(tmp_path, corpus, catalogue, *options, "--eval-limit", "all").returncode == 0
    log = tmp_path / "evidence.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    third = [i for i, line in enumerate(lines) if '"record": "reading"' in line][2]
    log.write_text("".join(lines[:third]))
    monkeypatch.setenv("PIXEL_WEIGHTS", "b")
    for way in ((), ("-n", "1")):
        done = models(tmp_path, corpus, catalogue, *options, "--eval-limit", "all", "--eval-resume", *way)
        assert done.returncode == (1 if way else 4), "a worker of xdist cannot end the session"
        assert "cannot resume: the weights of pixels changed" in done.stdout + done.stderr
    found = read_evidence(log)
    assert len(found.readings["pixels-fp32"]) == 2, "nothing was read by the other model"
    assert {load.facts["weights_sha256"] for load in found.cells["pixels-fp32"]} == {"a"}
    monkeypatch.setenv("PIXEL_WEIGHTS", "a")
    done = models(tmp_path, corpus, catalogue, *options, "--eval-limit", "all", "--eval-resume")
    assert done.returncode == 0, "the log is as good as before"
    assert len(read_evidence(log).readings["pixels-fp32"]) == 6


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
