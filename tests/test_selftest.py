"""The self-test of the instruments, in short form; and that it would notice a lamp that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evals.selftest.lamps import FAKES, LAMPS, LATENCY, QUALITY, Fake, Panel, Row, row_of, table
from harness.cells import Failure
from harness.evidence import EvidenceLog, GateRecord, ReadingRecord, read_evidence
from harness.gates import Verdict
from harness.regression import Baseline

ROOT = Path(__file__).parent.parent
DOCUMENTS = 24


def evaluate(*arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = f"{os.environ.get('PYTEST_ADDOPTS', '')} -p tests.without_figures"  # by the suite's own run, too
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTEST_ADDOPTS": inherited},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_every_fault_lights_its_lamp_and_no_other(tmp_path: Path) -> None:
    done = evaluate("evals/selftest", "--eval-limit", str(DOCUMENTS), "--eval-report", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    written = (tmp_path / "selftest.md").read_text(encoding="utf-8")
    assert written in done.stdout
    rows = [line.split(" | ") for line in written.splitlines() if line.startswith("| ")][2:]
    assert {row[0].removeprefix("| "): row[1] for row in rows} == {fake.name: "yes" for fake in FAKES}


def test_evaluations_do_not_run_it_unasked() -> None:
    done = evaluate("evals", "--collect-only", "-q")
    assert done.returncode == 0, done.stdout
    assert "evals/test_accuracy.py" in done.stdout
    assert "selftest" not in done.stdout


def seen(tmp_path: Path, fake: Fake, gates: Mapping[str, Verdict], failure: str | None = None) -> Row:
    """What is read off a log with these verdicts, and with a document that ended in `failure`."""
    with EvidenceLog(tmp_path / "evidence.jsonl") as log:
        kind = None if failure is None else Failure(failure.partition(":")[0])
        log.append(ReadingRecord(cell=fake.model, document="a.png", failure=kind, message=failure))
        log.append(ReadingRecord(cell=fake.model, document="b.png", failure=kind and Failure.NOT_RUN))
        log.append(ReadingRecord(cell="python:other.Fake", document="a.png", failure=Failure.ERROR))
        for metric, verdict in gates.items():
            log.append(GateRecord(test=metric, cell=f"{fake.model}#2", metric=metric, verdict=verdict))
        log.append(GateRecord(test="other", cell="python:other.Fake", metric="f1", verdict=Verdict.FAIL))
    return row_of(fake, read_evidence(tmp_path / "evidence.jsonl"))


CRASH = Fake(name="Crash", lamps=frozenset({"crash"}), follows=frozenset({QUALITY}))


@pytest.mark.parametrize(
    ("failing", "failure", "red"),
    [
        (["answer_rate", QUALITY], "crash", {"crash", QUALITY}),
        (["answer_rate"], "crash", {"crash"}),
        (["answer_rate", QUALITY], None, {"answer_rate", QUALITY}),
        (["answer_rate", QUALITY, "f1"], "crash", {"crash", "f1", QUALITY}),
        (["answer_rate", QUALITY], "error: an unusable value", {"unusable value", QUALITY}),
        ([], None, set()),
    ],
)
def test_a_lamp_that_fails_is_noticed(
    tmp_path: Path, failing: Sequence[str], failure: str | None, red: set[str]
) -> None:
    row = seen(tmp_path, CRASH, {"recall": Verdict.PASS, **dict.fromkeys(failing, Verdict.FAIL)}, failure)
    assert row.red == red
    assert row.is_right == (red == {"crash", QUALITY})


def test_a_perfect_backend_must_be_judged_in_everything(tmp_path: Path) -> None:
    gates = {lamp: Verdict.PASS for lamp in LAMPS if lamp not in (LATENCY, "recall")}
    row = seen(tmp_path, Fake(name="Perfect"), {**gates, "recall": Verdict.INCONCLUSIVE})
    assert row.undecided == {LATENCY, "recall"}, "not judged at all, or without a result"
    assert not row.is_right
    assert replace(row, undecided=frozenset()).is_right


def test_the_table_shows_what_is_lit_and_what_should_not_be() -> None:
    empty = Baseline(created="", device_class="cpu", documents={}, cells={})
    rows = [
        Row(fake=CRASH, red=frozenset({"crash", QUALITY}), undecided=frozenset({"recall"})),
        Row(fake=replace(CRASH, name="Dark"), red=frozenset({QUALITY}), undecided=frozenset()),
        Row(fake=replace(CRASH, name="More"), red=frozenset({"crash", QUALITY, "f1"}), undecided=frozenset()),
    ]
    lines = table(Panel(rows={row.fake.name: row for row in rows}, baseline=empty, current=empty)).splitlines()
    names = [cell.strip() for cell in lines[0].split("|")]
    shown = [dict(zip(names, (cell.strip() for cell in line.split("|")), strict=True)) for line in lines[2:5]]
    assert names[-2] == "f1", "a lamp that no fault should light has a column of its own"
    assert [row["right"] for row in shown] == ["yes", "**no**", "**no**"]
    assert [row["crash"] for row in shown] == ["●", "✗", "●"]
    assert [row[QUALITY] for row in shown] == ["○", "○", "○"]
    assert [row["f1"] for row in shown] == ["", "", "✗"]
    assert [row["recall"] for row in shown] == ["?", "", ""]
