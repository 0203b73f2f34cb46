"""The whole suite, run as its users run it: in a process of its own, with backends whose answers are known."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness.evidence import read_evidence
from tests.pixel_pages import page, receipts, write_corpus

ROOT = Path(__file__).parent.parent


def command(report: Path, corpus: Path, *options: str, models: str = "Reader", figures: bool = False) -> list[str]:
    names = ",".join(f"python:tests.pixel_pages.{name}" for name in models.split(","))
    return [
        *(sys.executable, "-m", "pytest", "evals", "-p", "no:cacheprovider"),
        *(() if figures else ("-p", "tests.without_figures")),
        *("--eval-models", names, "--eval-documents", str(corpus), "--eval-report", str(report)),
        *("--eval-determinism-documents", "0", *options),
    ]


def suite(
    report: Path, corpus: Path, *options: str, models: str = "Reader", figures: bool = False
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(report, corpus, *options, models=models, figures=figures),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def cells(report: Path) -> dict[str, dict]:
    data = json.loads((report / "report.json").read_text())
    return {cell["cell"].rpartition(".")[2]: cell for cell in data["cells"] if not cell["cell"].startswith("blind:")}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), receipts(6))


@pytest.fixture(scope="module")
def budgets(tmp_path_factory):
    from harness.documents import load_corpus

    def write(corpus: Path, **limits: float) -> Path:
        path = tmp_path_factory.mktemp("budgets") / "budgets.toml"
        entries = []
        for name in ("Reader", "WrongTotals"):
            entries.append(
                f'[[quality]]\nmodel = "python:tests.pixel_pages.{name}"\nquantization = "none"\n'
                f'corpus = "{load_corpus(corpus).identity[:12]}"\n'
            )
            entries.extend(f"{metric} = {limit}\n" for metric, limit in limits.items())
        path.write_text("".join(entries))
        return path

    return write


def test_a_perfect_reader(tmp_path, corpus):
    done = suite(tmp_path, corpus, figures=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"quality.png", "fields.png", "latency.png"} <= {p.name for p in (tmp_path / "figures").iterdir()}
    cell = cells(tmp_path)["Reader"]
    assert cell["status"] == "ok"
    assert cell["metrics"]["f1"]["value"] == 1
    assert cell["metrics"]["f1"]["low"] < 1, "six documents prove no perfection"
    assert cell["metrics"]["hallucination_rate"]["value"] == 0
    assert cell["metrics"]["latency_s"]["value"] > 0
    assert cell["metrics"]["energy_j"] == {
        "value": None,
        "low": None,
        "high": None,
        "n": 0,
        "unit": "J",
        "status": "not_measured",
        "contaminated": None,
    }
    assert cell["fields"]["TOTAL"]["correct"] == 6
    assert cell["fields"]["ABN"]["absent"] == 6
    assert (tmp_path / "report.md").read_text().startswith("# ")
    assert "NO BUDGET for python:tests.pixel_pages.Reader: f1, hallucination_rate" in done.stdout


def test_every_gate_can_fail_and_the_exit_code_says_so(tmp_path, corpus, budgets):
    junit = tmp_path / "junit.xml"
    done = suite(
        tmp_path,
        corpus,
        "--eval-budgets",
        str(budgets(corpus, f1=0.95)),
        f"--junitxml={junit}",
        models="WrongTotals",
    )
    assert done.returncode == 1
    assert "f1 0.6667" in done.stdout
    assert "at least 0.95 required" in done.stdout
    assert "at fault: TOTAL in 6 (of 6 documents)" in done.stdout
    assert cells(tmp_path)["WrongTotals"]["fields"]["TOTAL"]["wrong"] == 6
    assert ET.parse(junit).getroot()[0].attrib["failures"] == "1"
    gates = {g["metric"]: g["verdict"] for g in json.loads((tmp_path / "report.json").read_text())["gates"]}
    assert gates["f1"] == "fail"
    assert "FAIL" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(("option", "code"), [("report", 0), ("fail", 1)])
def test_too_few_documents_are_inconclusive(tmp_path, corpus, budgets, option, code):
    done = suite(tmp_path, corpus, "--eval-budgets", str(budgets(corpus, f1=0.95)), "--eval-inconclusive", option)
    assert done.returncode == code, done.stdout
    assert "INCONCLUSIVE" in done.stdout or code
    assert "the interval reaches across the limit" in done.stdout


def test_a_crash_is_a_row_and_the_rest_is_answered(tmp_path, corpus):
    done = suite(tmp_path, corpus, models="CrashingReader,Reader")
    assert done.returncode == 1
    found = cells(tmp_path)
    assert found["CrashingReader"]["status"] == "incomplete"
    assert found["CrashingReader"]["failures"] == {"crash": 1}
    assert found["CrashingReader"]["fields"]["TOTAL"]["correct"] == 5
    assert found["Reader"]["status"] == "ok"
    assert "page-02.png: crash" in done.stdout
    assert "page-02.png" in (tmp_path / "report.md").read_text()


def test_a_hang_is_a_row_and_the_rest_is_answered(tmp_path, corpus):
    done = suite(tmp_path, corpus, "--eval-timeout", "1", models="HangingReader")
    assert done.returncode == 1
    found = cells(tmp_path)["HangingReader"]
    assert found["failures"] == {"timeout": 1}
    assert found["fields"]["TOTAL"]["correct"] == 5


def test_kill_dash_nine_then_resume(tmp_path, corpus):
    """Nothing finished is read again; what a report says afterwards is what an undisturbed run says."""
    log = tmp_path / "evidence.jsonl"
    running = subprocess.Popen(
        command(tmp_path, corpus, models="SlowReader"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not log.exists() or log.read_bytes().count(b'"record": "reading"') < 3:
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    readings = {d: r for cell in read_evidence(log).readings.values() for d, r in cell.items()}
    finished = len(readings)
    assert 3 <= finished < 6

    rendered = subprocess.run(
        [sys.executable, "-m", "reports", "render", str(log), "--out", str(tmp_path / "partial")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert rendered.returncode == 0, rendered.stderr
    assert cells(tmp_path / "partial")["SlowReader"]["failures"] == {"not-run": 6 - finished}

    done = suite(tmp_path, corpus, "--eval-resume", models="SlowReader")
    assert done.returncode == 0, done.stdout
    assert cells(tmp_path)["SlowReader"]["fields"]["TOTAL"]["correct"] == 6
    after = read_evidence(log).readings["python:tests.pixel_pages.SlowReader"]
    assert {d: after[d] for d in readings} == readings
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    read = [(r["cell"], r["document"]) for r in lines if r["record"] == "reading"]
    assert sorted(read) == sorted(set(read)), "no document was read twice"


def test_what_a_model_knows_without_looking_shows(tmp_path):
    """Right values are found on white pages, however many invented ones stand beside them."""
    folder = write_corpus(
        tmp_path / "corpus", dict.fromkeys((f"{i}.png" for i in range(12)), receipts(1)["page-00.png"])
    )
    done = suite(tmp_path / "out", folder, "-k", "blind", models="KnowingReader")
    assert done.returncode == 1
    assert "recall 1 [" in done.stdout
    assert "right without seeing the page" in (tmp_path / "out" / "report.md").read_text()


def test_a_backend_cannot_blame_the_image(tmp_path, corpus):
    done = suite(tmp_path, corpus, "-k", "is_answered", models="ExcusingReader")
    assert done.returncode == 1
    assert cells(tmp_path)["ExcusingReader"]["failures"] == {"error": 6}


def test_a_resumed_run_judges_no_cost_of_the_run_before(tmp_path, corpus):
    path = tmp_path / "budgets.toml"
    path.write_text(
        '[[cost]]\nmodel = "python:tests.pixel_pages.Reader"\nquantization = "none"\ndevice = "cpu"\n'
        'load_s = 60\nlatency_s = 60\npeak_rss_bytes = "8 GiB"\n'
    )
    options = ("-k", "test_cost", "--eval-budgets", str(path))
    assert "6 passed" not in suite(tmp_path / "out", corpus, *options).stdout
    gates = json.loads((tmp_path / "out" / "report.json").read_text())["gates"]
    assert {g["metric"]: g["verdict"] for g in gates}["load_s"] == "pass"
    suite(tmp_path / "out", corpus, *options, "--eval-resume")
    gates = json.loads((tmp_path / "out" / "report.json").read_text())["gates"]
    assert {g["verdict"] for g in gates} == {"inconclusive", "no-budget"}


def test_one_run_at_a_time_writes_into_a_folder(tmp_path, corpus):
    log = tmp_path / "evidence.jsonl"
    with subprocess.Popen(
        command(tmp_path, corpus, models="SlowReader"), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as first:
        while not log.exists():
            assert first.poll() is None
            time.sleep(0.02)
        second = suite(tmp_path, corpus)
        assert second.returncode == 4
        assert "another run is writing here" in second.stdout + second.stderr
    assert first.returncode == 0
    assert cells(tmp_path)["SlowReader"]["status"] == "ok"


def test_resume_refuses_other_documents(tmp_path, corpus):
    assert suite(tmp_path / "out", corpus).returncode == 0
    other = write_corpus(tmp_path / "other", receipts(5))
    done = suite(tmp_path / "out", other, "--eval-resume")
    assert done.returncode == 4
    assert "cannot resume: the documents changed" in done.stdout + done.stderr


def test_a_new_run_keeps_the_previous_evidence(tmp_path, corpus):
    suite(tmp_path, corpus, "--eval-limit", "1")
    first = (tmp_path / "evidence.jsonl").read_bytes()
    suite(tmp_path, corpus, "--eval-limit", "1")
    assert (tmp_path / "evidence.previous.jsonl").read_bytes() == first


def test_bad_images_are_rows(tmp_path):
    folder = write_corpus(tmp_path / "corpus", receipts(7))
    good = (folder / "page-00.png").read_bytes()
    (folder / "page-01.png").write_bytes(b"")
    (folder / "page-02.png").write_bytes(good[: len(good) // 2])
    (folder / "page-03.png").write_bytes(b"not an image at all")
    bomb = good[:16] + (60000).to_bytes(4, "big") * 2 + good[24:]
    (folder / "page-04.png").write_bytes(bomb)
    page({}).save(folder / "stranger.png")
    done = suite(tmp_path / "out", folder)
    assert done.returncode == 0, done.stdout
    cell = cells(tmp_path / "out")["Reader"]
    assert cell["failures"] == {"bad-image": 4}
    assert cell["fields"]["TOTAL"]["correct"] == 3
    report = (tmp_path / "out" / "report.md").read_text()
    for name in ("page-01.png", "page-02.png", "page-03.png", "page-04.png", "stranger.png"):
        assert name in report


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--eval-documents", "nowhere"], "nowhere: not a folder"),
        (["--eval-models", "ocr-rule"], "unknown model 'ocr-rule'; did you mean ocr-rules"),
        (["--eval-models", "blind:ocr-rules"], "blind:ocr-rules is a control and runs with every evaluation"),
        (["--eval-limit", "0"], "--eval-limit: must be at least 1"),
        (["--eval-timeout", "0"], "--eval-timeout: must be more than 0"),
        (["--eval-report", ""], "argument --eval-report: name a folder"),
        (["--eval-inconclusive", "maybe"], "choose from 'neutral', 'fail', 'exit'"),
        (["--eval-tasks", "counting,none"], "--eval-tasks: all and none each stand alone"),
        (["--eval-budgets", "nowhere.toml"], "--eval-budgets: nowhere.toml: there is no such file"),
    ],
)
def test_mistaken_options_are_named(tmp_path, corpus, options, message):
    done = suite(tmp_path, corpus, *options)
    assert done.returncode == 4
    assert message in done.stdout + done.stderr


def test_truth_naming_a_missing_image_ends_the_run_by_name(tmp_path):
    folder = write_corpus(tmp_path / "corpus", receipts(2))
    (folder / "page-01.png").unlink()
    done = suite(tmp_path / "out", folder)
    assert done.returncode == 4
    assert "line 2: 'page-01.png': there is no such image" in done.stdout + done.stderr


def test_collection_imports_no_heavy_library():
    script = (
        "import sys, pytest\n"
        "code = pytest.main(['evals', '--collect-only', '-q', '-p', 'no:cacheprovider'])\n"
        "heavy = {'torch', 'transformers', 'onnxruntime', 'rapidocr', 'cv2', 'matplotlib', 'scipy.stats'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else int(code))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ocr-rules" in done.stdout


def test_the_plugin_is_silent_when_no_evaluation_runs(tmp_path):
    (tmp_path / "test_plain.py").write_text("def test_plain():\n    assert 1 + 1 == 2\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            str(tmp_path),
            "-p",
            "no:cacheprovider",
            "-p",
            "fixtures.plugin",
            "-p",
            "reports.plugin",
            "--rootdir",
            str(tmp_path),
            "-c",
            os.devnull,
            "--eval-report",
            str(tmp_path / "out"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "evaluation" not in done.stdout
    assert not (tmp_path / "out").exists()
