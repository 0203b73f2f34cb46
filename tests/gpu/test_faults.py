"""Five cells that end badly on the device, in one session: each its own typed row, the others as if alone."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cells import Failure
from harness.evidence import Evidence, read_evidence
from tests.pixel_pages import receipts, write_corpus
from tests.test_suite import ROOT

FAULTS = ("assert", "load-oom", "sweep-oom", "hang", "kill")
FAULTY = "page-02.png"
NOISE = 0.2
"""Of the log-ratio of two median latencies."""


def session(folder: Path, device: str, *, faulty: bool) -> Evidence:
    """One run of the suite over five cells and a sixth that is always well."""
    corpus = write_corpus(folder / "corpus", receipts(8))
    entry = '[[model]]\nsource = "./none"\nbackend = "python:tests.gpu.cuda_backends.Products"\n'
    catalogue = folder / "catalogue.toml"
    lines = [f'{entry}id = "{name}"\n' + (f'settings = {{ fault = "{name}" }}\n' if faulty else "") for name in FAULTS]
    catalogue.write_text("".join([*lines, f'{entry}id = "well"\n']))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "evals", "-p", "no:cacheprovider"),
            *("-k", "is_answered or (test_sweep and sweep-oom)", "--eval-device", device, "--eval-sweep", "1,4,8"),
            *("--eval-catalogue", str(catalogue), "--eval-models", ",".join([*FAULTS, "well"])),
            *("--eval-documents", str(corpus), "--eval-report", str(folder / "out"), "--eval-timeout", "5"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,  # a dozen workers, each of which imports torch
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )
    assert done.returncode == int(faulty), done.stdout + done.stderr
    evidence = read_evidence(folder / "out" / "evidence.jsonl")
    assert evidence.skipped_lines == 0
    return evidence


def of(evidence: Evidence, name: str) -> str:
    """The id of the cell of a model."""
    (found,) = [cell for cell in evidence.passes if cell.startswith(f"{name}-bf16")]
    return found


def test_every_fault_is_its_own_row_and_the_others_are_untouched(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clean").mkdir()
    (tmp_path / "faulty").mkdir()
    clean = session(tmp_path / "clean", device, faulty=False)
    faulty = session(tmp_path / "faulty", device, faulty=True)

    failures = {
        name: {d: r.failure for d, r in faulty.readings.get(of(faulty, name), {}).items() if r.failure is not None}
        for name in (*FAULTS, "well")
    }
    assert failures["assert"] == {FAULTY: Failure.ERROR}
    assert failures["hang"] == {FAULTY: Failure.TIMEOUT}
    assert failures["kill"] == {FAULTY: Failure.CRASH}
    assert failures["sweep-oom"] == failures["well"] == {}
    assert set(failures["load-oom"].values()) == {Failure.NOT_RUN}
    assert faulty.cells[of(faulty, "load-oom")][-1].failure is Failure.LOAD_OOM
    steps = {size: step.failure for size, step in sorted(faulty.sweeps[of(faulty, "sweep-oom")].items())}
    assert steps == {1: None, 4: None, 6: None, 8: Failure.RUN_OOM}
    if device != "cpu":
        message = faulty.readings[of(faulty, "assert")][FAULTY].message
        assert message is not None
        assert "device-side assert" in message
    assert all(r.failure is None for readings in clean.readings.values() for r in readings.values())

    told = []
    for name in (*(n for n in FAULTS if n != "load-oom"), "well"):
        before, after = clean.readings[of(clean, name)], faulty.readings[of(faulty, name)]
        answered = [d for d, r in after.items() if r.failure is None]
        assert {d: after[d].text for d in answered} == {d: before[d].text for d in answered}
        medians = [statistics.median(r[d].latency_s or math.nan for d in answered) for r in (before, after)]
        told.append((name, math.log(medians[1] / medians[0])))
    with capsys.disabled():
        print("\nlog-ratio of median latencies, faulty to clean:", told)  # noqa: T201 - the measurement is the point
    if device != "cpu":
        assert all(abs(ratio) < NOISE for _, ratio in told), told
