"""What `-m gpu` selects: models, weights, device, marks, and nothing where there is no GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.architectures import architecture_folder
from fixtures.gpu import GPU_MODELS, asks_for_gpu
from fixtures.options import EvalOptions
from harness.cells import Cell
from harness.sweeping import DOUBLING
from tests.eval_options import parse_options
from tests.pixel_pages import receipts, write_corpus
from tests.test_suite import ROOT

BIG = "Llama-3.2-11B-Vision-Instruct"
SWEPT = """
[[model]]
id = "swept"
source = "./none"
backend = "python:tests.fake_backends.Swept"
"""


def options(tmp_path: Path, *arguments: str, markers: str = "") -> EvalOptions:
    return parse_options(*arguments, report=tmp_path, markers=markers)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        *((text, True) for text in ("gpu", "gpu and not slow", "gpu and slow", "not (slow or not gpu)")),
        *((text, False) for text in ("not gpu", "not (gpu)", "not (slow or gpu)", "", "slow", "gpus", "gpu and")),
    ],
)
def test_marker_expressions(expression: str, expected: bool) -> None:
    assert asks_for_gpu(expression) is expected


def test_the_marker_alone_says_everything(tmp_path: Path) -> None:
    found = options(tmp_path, markers="gpu")
    assert found.models == GPU_MODELS
    assert (found.device, found.sweep, found.output_tokens) == ("cuda", DOUBLING, None)
    cells = {(c.model, c.quantization) for c in found.cells}
    assert cells == {(model, mode) for model in GPU_MODELS for mode in ("bf16", "int8", "nf4")}
    assert {c.device for c in found.cells} == {"cuda"}
    given = options(tmp_path, "--eval-models", "InternVL3-8B", "--eval-device", "cuda:all", markers="gpu")
    assert (given.models, given.device) == (("InternVL3-8B",), "cuda:all")


def test_without_it_nothing_changes(tmp_path: Path) -> None:
    found = options(tmp_path)
    assert found.models == ("ocr-rules", "tiny-internvl", "tiny-mllama", "tiny-pictures")
    assert found.device == "cpu"
    assert (found.dummies, found.sweep) == ((), ())
    assert {c.weights for c in found.cells} == {"real"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--eval-device", "cuda:x"), "is not cpu, cuda, cuda:N or cuda:all"),
        (("--eval-sweep", "1,0"), "is not none, auto, or batch sizes from 1 to"),
        (("--eval-sweep", ""), "is not none, auto"),
        (("--eval-sweep", "two"), "is not none, auto"),
        (("--eval-output-tokens", "0"), "must be at least 1"),
        (("--eval-models", "ocr-rules", "--eval-weights", "dummy"), "--eval-weights: ocr-rules takes no such option"),
        (("--eval-models", "ocr-rules", "--eval-sweep", "1"), "--eval-sweep: ocr-rules takes no such option"),
        (("--eval-models", "ocr-rules", "--eval-output-tokens", "9"), "--eval-output-tokens: ocr-rules takes"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(pytest.UsageError, match=message):
        options(tmp_path, *arguments)


def test_the_marker_and_a_cpu_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(pytest.UsageError, match="nothing that -m gpu selects runs there"):
        options(tmp_path, "--eval-device", "cpu", markers="gpu")


def catalogue(tmp_path: Path, **sources: str) -> tuple[str, str]:
    path = tmp_path / "catalogue.toml"
    path.write_text("".join(f'[[model]]\nid = "{name}"\nsource = "{source}"\n' for name, source in sources.items()))
    return "--eval-catalogue", str(path)


def checkpoint(folder: Path, *, weights: bool) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    if weights:
        (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_weights_that_are_here_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto`: real where a folder or a copy of the hub's model is here, dummy elsewhere."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    checkpoint(tmp_path / "here", weights=True)
    checkpoint(tmp_path / "bare", weights=False)
    given = catalogue(tmp_path, here="./here", bare="./bare", **{"InternVL3-2B": "nobody/none", "far": "nobody/far"})
    models = ("--eval-models", "here,bare,InternVL3-2B,far")
    found = options(tmp_path, *given, *models, "--eval-weights", "auto")
    assert found.dummies == ("bare", "InternVL3-2B"), "of far, not even the shape is known: it stays what it is"
    assert [c.id for c in found.cells] == ["here-bf16", "bare-bf16~dummy", "InternVL3-2B-bf16~dummy", "far-bf16"]
    network = options(tmp_path, *given, *models, "--eval-weights", "auto", "--eval-allow-network")
    assert network.dummies == ("bare",)
    with pytest.raises(pytest.UsageError, match="far cannot have dummy weights: neither fixtures/architectures nor"):
        options(tmp_path, *given, *models, "--eval-weights", "dummy")


def test_lengths_of_answers(tmp_path: Path) -> None:
    dummy = options(tmp_path, "--eval-models", BIG, "--eval-weights", "dummy")
    assert {dummy.length_of(cell) for cell in dummy.cells} == {128}
    assert options(tmp_path).length_of(Cell(model=BIG)) is None
    asked = options(tmp_path, "--eval-output-tokens", "32")
    assert asked.length_of(Cell(model=BIG)) == asked.length_of(Cell(model=BIG, weights="dummy")) == 32


def test_a_worker_with_dummy_weights_is_given_the_architecture(tmp_path: Path) -> None:
    from fixtures.session import open_session
    from tests.test_session import silent

    corpus = write_corpus(tmp_path / "corpus", receipts(2))
    given = ("--eval-documents", str(corpus), "--eval-models", BIG, "--eval-weights", "dummy")
    with open_session(options(tmp_path / "out", *given), silent) as session:
        cell = session.options.cells[0]
        settings = session.request(cell).settings
        assert cell.id == f"{BIG}-bf16~dummy"
        assert settings["source"] == str(architecture_folder(BIG))
        assert (settings["weights"], settings["family"]) == ("dummy", "mllama")
        assert settings["min_new_tokens"] == settings["max_new_tokens"] == 128
        real = session.request(Cell(model=BIG, quantization="bf16")).settings
        assert not {"weights", "min_new_tokens"} & set(real)
        swept = session.request(Cell(model=BIG, quantization="bf16"), output_tokens=7).settings
        assert swept["min_new_tokens"] == swept["max_new_tokens"] == 7


def evaluation(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The suite over the fake NVML of a machine with one GPU, in a process of its own."""
    path = os.pathsep.join([str(ROOT / "tests" / "fake_nvml"), str(ROOT)])
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "evals", "-p", "no:cacheprovider", "-p", "tests.without_figures"),
            *("--eval-report", str(tmp_path / "out"), *arguments),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"FAKE_NVML_COUNT": "0"}, "the NVIDIA driver finds no GPU"),
        ({"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES='' hides every GPU"),
    ],
)
def test_without_a_gpu_everything_is_deselected_and_says_why(tmp_path: Path, environment, reason: str) -> None:
    done = evaluation(tmp_path, "-m", "gpu", "-q", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line for line in done.stdout.splitlines() if "no GPU can be used here" in line]
    assert len(said) == 1
    assert reason in said[0]
    assert "deselected in" in done.stdout
    assert not (tmp_path / "out").exists()
    assert "torch" not in done.stdout


def test_with_a_gpu_every_evaluation_is_marked(tmp_path: Path) -> None:
    without = ("--ignore", "evals/test_regression.py")  # which waits for a baseline
    done = evaluation(tmp_path, "-m", "gpu", "--collect-only", "-q", *without)
    assert done.returncode == 0
    items = [line for line in done.stdout.splitlines() if "::" in line]
    assert any(f"test_peak[{BIG}-bf16@cuda~dummy]" in item for item in items)
    assert any(f"test_sweep[{BIG}-bf16@cuda~dummy]" in item for item in items)
    assert "deselected" not in done.stdout, "all of a session on a GPU runs there"
    on_cpu = evaluation(tmp_path, "-m", "not gpu", "--collect-only", "-q", *without)
    assert "deselected" not in on_cpu.stdout
    assert any("test_peak[none]" in line for line in on_cpu.stdout.splitlines())


def test_a_session_on_a_gpu(tmp_path: Path) -> None:
    """Memory, energy, contamination and throughput are judged, on this device and by prediction on another."""
    corpus = write_corpus(tmp_path / "corpus", receipts(15))
    (tmp_path / "catalogue.toml").write_text(SWEPT)
    (tmp_path / "budgets.toml").write_text(
        '[devices]\nh200 = "140 GiB"\nl4 = "3.5 GiB"\n'
        '[[cost]]\nmodel = "swept"\nquantization = "bf16"\ndevice = ["h200", "l4"]\n'
        'peak_vram_bytes = "85 % of the device"\n'
        '[[sweep]]\nmodel = "swept"\nquantization = "bf16"\ndevice = "h200"\ndocs_per_min = 100\n'
    )
    done = evaluation(
        tmp_path,
        *("-m", "gpu", "--eval-models", "swept", "--eval-catalogue", str(tmp_path / "catalogue.toml")),
        *("--eval-budgets", str(tmp_path / "budgets.toml"), "--eval-documents", str(corpus)),
        *("--eval-sweep", "1,2", "--eval-determinism-documents", "0", "--eval-limit", "15"),
        FAKE_NVML_LOADED=str(tmp_path / "loaded"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    gates = {g["metric"]: g for g in json.loads((tmp_path / "out" / "report.json").read_text())["gates"]}
    assert gates["peak_vram_bytes"]["verdict"] == "pass"
    assert gates["peak_vram_bytes"]["value"] == 4 << 30
    assert gates["peak_vram_bytes.l4"]["verdict"] == "fail"
    assert "predicted: the weights by their configuration" in gates["peak_vram_bytes.l4"]["message"]
    assert gates["uncontaminated_rate"]["verdict"] == "pass"
    assert gates["docs_per_min.best"]["verdict"] == "pass"
    assert "energy_closure" in gates
