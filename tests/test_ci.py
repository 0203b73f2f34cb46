"""One exit status for everything: it, JUnit XML and reportlog agree; and what GitHub is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.evidence import GateRecord, read_evidence
from harness.regression import Baseline, save_baseline
from reports.ci import FailedTest, step_summary, summary_file, workflow_commands
from tests.pixel_pages import receipts, write_corpus

ROOT = Path(__file__).parent.parent
CHANGING = "python:tests.changing_pages.Changing"
DOCUMENTS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One session, by everything that tells how it ended."""

    status: int
    output: str
    junit: dict[str, int]
    reportlog: int
    failed: int
    """Failed reports in the reportlog."""
    gates: list[dict]
    report: Path


def session(folder: Path, corpus: Path, *options: str, models: str = CHANGING, **environment: str) -> Outcome:
    """Run the evaluation in a process of its own."""
    pytest.importorskip("pytest_reportlog")
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "evals", "-p", "no:cacheprovider", "-p", "tests.without_figures"),
        *("--eval-models", models, "--eval-documents", str(corpus), "--eval-report", str(folder / "report")),
        *("--eval-determinism-documents", "0", f"--junitxml={folder / 'junit.xml'}"),
        *(f"--report-log={folder / 'log.jsonl'}", *options),
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )
    suite = ET.parse(folder / "junit.xml").getroot()[0].attrib
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    written = folder / "report" / "report.json"
    return Outcome(
        status=done.returncode,
        output=done.stdout + done.stderr,
        junit={name: int(suite[name]) for name in ("tests", "failures", "errors", "skipped")},
        reportlog=log[-1]["exitstatus"],
        failed=sum(entry.get("outcome") == "failed" for entry in log if entry["$report_type"] == "TestReport"),
        gates=json.loads(written.read_text())["gates"] if written.exists() else [],
        report=folder / "report",
    )


def agree(found: Outcome) -> bool:
    """Failed is what all of them call failed."""
    red = found.junit["failures"] + found.junit["errors"]
    return found.reportlog == found.status and (found.status == 1) == (red > 0) == (found.failed > 0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), receipts(DOCUMENTS))


@pytest.fixture(scope="module")
def baseline(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("before")
    found = session(folder, corpus, "-k", "is_answered")
    assert (found.status, found.junit["tests"]) == (0, 1)
    assert agree(found)
    return save_baseline(
        Baseline.from_evidence(read_evidence(found.report / "evidence.jsonl")), folder / "baseline.json"
    )


WAYS = pytest.mark.parametrize("way", [(), ("-n", "1")], ids=["alone", "xdist"])
QUALITY = ("-k", "test_regression and test_quality")


@WAYS
@pytest.mark.parametrize(("wrong", "status", "verdict"), [("0", 0, "pass"), ("20", 1, "fail")])
def test_the_baseline_decides(tmp_path, corpus, baseline, way, wrong, status, verdict):
    found = session(tmp_path, corpus, *QUALITY, "--eval-baseline", str(baseline), *way, PIXEL_WRONG=wrong)
    assert found.status == status, found.output
    assert agree(found)
    assert [g["verdict"] for g in found.gates] == [verdict]
    assert ("TOTAL" in found.gates[0]["message"]) == (verdict == "fail"), "the field that got worse is named"


@pytest.mark.parametrize(
    ("asked", "status", "way"),
    [("neutral", 0, ()), ("fail", 1, ()), ("exit", 10, ()), ("neutral", 0, ("-n", "1")), ("exit", 10, ("-n", "1"))],
)
def test_undecided_ends_as_asked(tmp_path, corpus, baseline, way, asked, status):
    few = ("--eval-baseline", str(baseline), "--eval-limit", "6", "--eval-inconclusive", asked)
    found = session(tmp_path, corpus, *QUALITY, *few, *way)
    assert found.status == status, found.output
    assert agree(found)
    assert [g["verdict"] for g in found.gates] == ["inconclusive"]
    assert found.junit["skipped"] == (asked != "fail"), "never green"
    assert "documents would decide" in found.output
    assert "report: " in found.output, "the summary is shown whatever the status"


@pytest.mark.parametrize(("asked", "status"), [("neutral", 0), ("fail", 1), ("exit", 10)])
def test_a_run_that_reads_nothing_is_undecided(tmp_path, corpus, asked, status):
    few = ("-k", "hallucination", "--eval-limit", "2", "--eval-inconclusive", asked)
    found = session(tmp_path, corpus, *few, models="python:tests.pixel_pages.Unsupported")
    assert found.status == status, found.output
    assert agree(found)
    assert "no candidate answered any document, so nothing was judged" in found.output


@WAYS
def test_a_cell_that_is_missing_fails_the_session(tmp_path, corpus, baseline, way):
    found = session(
        tmp_path, corpus, *QUALITY, "--eval-limit", "4", "--eval-baseline", str(baseline), *way,
        models="python:tests.changing_pages.Dying",
    )  # fmt: skip
    assert found.status == 1, found.output
    assert agree(found)
    assert found.junit["failures"] == 1
    assert f"{CHANGING}: missing: in the baseline, and not in this run" in found.output


def test_a_baseline_that_nothing_is_compared_with_fails(tmp_path, corpus, baseline):
    found = session(tmp_path, corpus, "-k", "is_answered", "--eval-limit", "4", "--eval-baseline", str(baseline))
    assert (found.status, found.junit["failures"]) == (1, 1), found.output
    assert agree(found)
    assert "it was run, and not compared with the baseline" in found.output


def test_a_report_that_cannot_be_written_fails_everywhere(tmp_path, corpus):
    (tmp_path / "report" / "report.md").mkdir(parents=True)
    found = session(tmp_path, corpus, "-k", "is_answered", "--eval-limit", "2")
    assert found.status == 1, found.output
    assert agree(found)
    assert "the report could not be written" in found.output
    assert read_evidence(found.report / "evidence.jsonl").readings


def test_two_models_side_by_side(tmp_path, corpus):
    """Nothing is lost and nothing doubled, though both write one log; and no time is judged."""
    models = [f"python:tests.changing_pages.{name}" for name in ("First", "Second")]
    found = session(tmp_path, corpus, "-n", "2", "--eval-limit", "12", models=",".join(models))
    assert found.status == 0, found.output
    assert agree(found)
    lines = [json.loads(line) for line in (found.report / "evidence.jsonl").read_text().splitlines()]
    counted = Counter(line["record"] for line in lines)
    assert (counted["run"], counted["document"], counted["pass"]) == (1, 12, 5), "two models, blind each, and N/A"
    read = Counter((line["cell"], line["document"]) for line in lines if line["record"] == "reading")
    assert (len(read), set(read.values())) == (5 * 12, {1})
    assert lines[0]["options"]["shared"]["workers"] == 2
    tests = [gate["test"] for gate in found.gates]
    alone = session(tmp_path / "alone", corpus, "--eval-limit", "12", models=",".join(models))
    assert sorted(tests) == sorted(gate["test"] for gate in alone.gates)
    assert found.junit == alone.junit


def test_a_killed_worker_is_replaced_and_reads_on(tmp_path, corpus):
    log = tmp_path / "report" / "evidence.jsonl"
    command = [
        *(sys.executable, "-m", "pytest", "evals", "-p", "no:cacheprovider", "-p", "tests.without_figures", "-n", "1"),
        *("--eval-models", "python:tests.pixel_pages.SlowReader", "--eval-documents", str(corpus)),
        *("--eval-report", str(log.parent), "--eval-limit", "12", "-k", "is_answered or field_f1"),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        deadline = time.monotonic() + 60
        while not log.exists() or log.read_bytes().count(b'"record": "reading"') < 3:
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        psutil.Process(running.pid).children()[0].kill()
        output, _ = running.communicate(timeout=60)
    assert running.returncode == 1, "the test that it was running has failed"
    assert "replacing crashed worker" in output
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(line["record"] == "run" for line in lines) == 1
    read = Counter(line["document"] for line in lines if line["record"] == "reading")
    assert (len(read), set(read.values())) == (12, {1})
    assert {line["verdict"] for line in lines if line["record"] == "gate" and line["metric"] == "answer_rate"} == {
        "pass"
    }


@pytest.mark.parametrize(
    ("asked", "status"),
    [(["evals"], 4), ([], 4), (["evals/test_cost.py::test_latency"], 4), (["tests/test_images.py"], 0)],
)
def test_tests_of_a_model_are_not_torn_apart(tmp_path, asked, status):
    command = [
        *(sys.executable, "-m", "pytest", *asked, "-n", "1", "--dist", "loadfile", "--collect-only", "-q"),
        *("-p", "no:cacheprovider", "--eval-report", str(tmp_path / "report")),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stdout + done.stderr
    assert ("evaluations keep the tests of a model together themselves" in done.stderr) == (status == 4)
    assert not (tmp_path / "report").exists(), "before anything is run"


def test_github_is_told(tmp_path, corpus, baseline):
    summary = tmp_path / "summary.md"
    summary.write_text("of another step\n")
    found = session(
        tmp_path, corpus, *QUALITY, "--eval-baseline", str(baseline),
        PIXEL_WRONG="20", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary),
    )  # fmt: skip
    (command,) = [line for line in found.output.splitlines() if line.startswith("::")]
    assert command.startswith("::error file=evals/test_regression.py,title=python%3Atests.changing")
    text = summary.read_text()
    assert text.startswith("of another step\n## Evaluation of document reading: failed\n")
    assert "TOTAL" in text
    assert "ok 60/60" in text


def gate(verdict: str, message: str = "m", test: str = "evals/test_a.py::test_b[c]") -> GateRecord:
    return GateRecord(test=test, cell="c", metric="f1", verdict=verdict, message=message)


def test_commands_are_escaped_and_few():
    assert workflow_commands({}, [gate("fail")], []) == []
    told = workflow_commands({"GITHUB_ACTIONS": "true"}, [gate("fail", "50 %\n::error::x"), gate("pass")], [])
    assert told == ["::error file=evals/test_a.py,title=c%3A f1::50 %25%0A::error::x"]
    many = [gate("fail", f"{i}") for i in range(30)] + [gate("inconclusive", f"{i}") for i in range(10)]
    told = workflow_commands({"GITHUB_ACTIONS": "true"}, many, [FailedTest(test="t.py::x", message="boom")])
    assert [sum(line.startswith(f"::{level} ") for line in told) for level in ("error", "warning")] == [10, 10]
    assert told[9] == "::error file=evals/test_a.py,title=and 22 more::all are in the summary and in the report"


def test_the_summary_cannot_be_broken_out_of():
    text = step_summary([gate("fail", "a | b\n# c <img src=x>")], [FailedTest(test="t", message="`")], [], Path("r"))
    assert "\n# c" not in text
    assert "<img" not in text
    assert text.splitlines()[0] == "## Evaluation of document reading: failed"
    assert "undecided" in step_summary([gate("inconclusive"), gate("pass")], [], [], Path("r")).splitlines()[0]
    assert "nothing was judged" in step_summary([], [], [], Path("r")).splitlines()[0]
    assert len(step_summary([gate("fail", "x" * 9999)] * 5000, [], [], Path("r"))) < 2**20 / 8


def test_no_summary_elsewhere():
    assert summary_file({}) is None
    assert summary_file({"GITHUB_STEP_SUMMARY": ""}) is None


class TestBenchmarkExport:
    """What pytest-benchmark saves says which GPU it was, and is compared with the same machine only."""

    def test_gpus_are_in_the_machine_info_and_another_machine_is_refused(self, tmp_path, corpus):
        store = ("--benchmark-storage", str(tmp_path / "store"))
        few = ("-k", "test_latency", "--eval-limit", "4")
        outer = {"PYTEST_XDIST_WORKER": ""}  # else pytest-benchmark switches itself off
        found = session(tmp_path / "a", corpus, *few, *store, "--benchmark-save=x", **outer)
        assert found.status == 0, found.output
        (saved,) = (tmp_path / "store").rglob("*.json")
        content = json.loads(saved.read_text())
        assert content["machine_info"]["device_class"]
        assert isinstance(content["machine_info"]["gpus"], list)
        same = session(tmp_path / "b", corpus, *few, *store, "--benchmark-compare=0001", **outer)
        assert same.status == 0, same.output
        gpu = {"name": "NVIDIA H200", "memory_bytes": 150 * 2**30, "driver": "570"}
        content["machine_info"]["gpus"] = [gpu]
        saved.write_text(json.dumps(content))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "evals", "-p", "no:cacheprovider", *few, *store,
             "--benchmark-compare=0001", "--eval-report", str(tmp_path / "c")],
            cwd=ROOT, capture_output=True, text=True, timeout=60, env={**os.environ, **outer},
        )  # fmt: skip
        assert done.returncode == 4, done.stdout + done.stderr
        assert "measured on another machine (GPUs: none here, NVIDIA H200 (150 GiB, driver 570) there)" in (
            done.stdout + done.stderr
        )
