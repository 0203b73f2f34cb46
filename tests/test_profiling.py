"""Where the time of a session goes: the recorder, what a pass tells it, and `--eval-profile` as users see it."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.cells import Cell
from harness.documents import load_corpus
from harness.evidence import EvidenceLog, ProfileRecord, RunRecord, read_evidence
from harness.profiling import CLOSURE_LIMIT, NO_RECORDER, Phase, Recorder, closure, process_age_s, rows
from harness.prompts import prompt
from harness.running import Pass, PassRequest, run_pass
from reports.method import profile_note
from tests.pixel_pages import receipts, write_corpus

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^(\S.*?) +(-?[\d.]+) s(?: +(-?[\d.]+)%)?$", re.MULTILINE)
WHOLE = "the session, since its process began"


class Clock:
    """Stands still until it is told."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def recorded(recorder: Recorder) -> ProfileRecord:
    found = recorder.record()
    assert found is not None
    return found


# --- the recorder ----------------------------------------------------------------------------------------------


def test_a_phase_within_another_interrupts_it() -> None:
    clock = Clock(100.0)
    recorder = Recorder(clock=clock, wall=lambda: clock.now - 97.0)
    clock.now += 1
    with recorder.phase(Phase.JUDGING) as outer:
        clock.now += 2
        with recorder.phase(Phase.READING) as inner:
            clock.now += 4
        clock.now += 8
        with recorder.phase(Phase.READING):
            clock.now += 16
    clock.now += 32
    found = recorded(recorder)
    assert found.seconds == {"imports": 3, "reading": 20, "judging": 10, "unexplained": 33}
    assert list(found.seconds) == ["imports", "reading", "judging", "unexplained"], "in the order of the phases"
    assert (inner.seconds, outer.seconds) == (4, 30)
    assert (found.wall_s, closure(found)) == (66, 0)
    assert [share for _, _, share in rows(found)] == pytest.approx([3 / 66, 20 / 66, 10 / 66, 0.5])


def test_a_phase_ends_with_an_exception() -> None:
    clock = Clock()
    recorder = Recorder(clock=clock, wall=clock)
    with contextlib.suppress(KeyError), recorder.phase(Phase.OPENING):
        clock.now += 1
        raise KeyError
    clock.now += 2
    assert recorded(recorder).seconds == {"imports": 0, "opening": 1, "unexplained": 2}


def test_a_record_is_of_the_time_until_now() -> None:
    clock = Clock()
    recorder = Recorder(clock=clock, wall=clock)
    with recorder.phase(Phase.RENDERING):
        clock.now += 1
        first = recorded(recorder)
        clock.now += 1
    assert (first.seconds["rendering"], first.wall_s) == (1, 1)
    assert recorded(recorder).seconds["rendering"] == 2


def test_moved_seconds_stay_in_the_sum() -> None:
    clock = Clock()
    recorder = Recorder(clock=clock, wall=clock)
    with recorder.phase(Phase.READING):
        clock.now += 5
    recorder.move(2, Phase.READING, Phase.SUPERVISION)
    found = recorded(recorder)
    assert (found.seconds["reading"], found.seconds["supervision"]) == (3, 2)
    assert closure(found) == 0


def test_parts_that_do_not_sum_to_the_whole_say_so() -> None:
    """As after a sleep of the machine, in which one clock went on and the other did not."""
    clock = Clock()
    recorder = Recorder(clock=clock, wall=lambda: 1.03 * clock.now)
    clock.now += 100
    found = recorded(recorder)
    assert closure(found) == pytest.approx(3 / 103)
    assert closure(found) > CLOSURE_LIMIT
    assert "The parts do not sum to the whole: 2.9 % apart" in profile_note(found)
    assert "do not sum" not in profile_note(ProfileRecord(seconds={"reading": 99.0}, wall_s=100.0))


def test_nobody_asked() -> None:
    with NO_RECORDER.phase(Phase.READING) as span:
        time.sleep(0.001)
    NO_RECORDER.move(1, Phase.READING, Phase.LOGGING)
    assert (span.seconds, NO_RECORDER.record()) == (0, None)


def test_the_age_of_a_process() -> None:
    asked = "import time; time.sleep(0.3); from harness.profiling import process_age_s; print(process_age_s())"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0.3 <= float(done.stdout) <= time.monotonic() - began + 0.02, "the system tells it in ticks of 10 ms"
    before = process_age_s()
    time.sleep(0.05)
    assert process_age_s() - before == pytest.approx(0.05, abs=0.04)


# --- a pass ----------------------------------------------------------------------------------------------------


def run(folder: Path, backend: str, count: int, recorder: Recorder, **limits: float) -> Pass:
    corpus = load_corpus(write_corpus(folder / "corpus", receipts(count)))
    with EvidenceLog(folder / "evidence.jsonl") as log:
        asked = PassRequest(
            cell=Cell(model=f"python:tests.pixel_pages.{backend}"),
            documents=corpus.documents,
            prompt=prompt(),
            read_timeout_s=limits.get("read_timeout_s", 60),
            load_timeout_s=60,
        )
        return run_pass(asked, log=log, recorder=recorder)


def test_a_pass_tells_the_models_time_from_ours(tmp_path) -> None:
    recorder = Recorder(wall=lambda: 0.0)
    began = time.monotonic()
    done = run(tmp_path, "SlowReader", 4, recorder)
    took = time.monotonic() - began
    seconds = recorded(recorder).seconds
    (load,) = done.loads
    latencies = sum(r.latency_s or 0 for r in done.readings.values())
    assert latencies > 0.8
    assert seconds["reading"] == pytest.approx(latencies, abs=1e-6)
    assert seconds["loading"] == pytest.approx(load.load_s, abs=1e-6)
    assert seconds["workers"] >= (load.spawn_s or 0)
    assert 0 < seconds["supervision"] < took - latencies
    assert seconds["logging"] > 0
    assert sum(seconds.values()) == pytest.approx(took, abs=0.05)


def test_a_request_that_was_lost_is_the_models_and_the_restart_is_not(tmp_path) -> None:
    recorder = Recorder(wall=lambda: 0.0)
    done = run(tmp_path, "HangingReader", 4, recorder, read_timeout_s=1)
    seconds = recorded(recorder).seconds
    assert len(done.loads) == 2
    latencies = sum(r.latency_s or 0 for r in done.readings.values())
    assert 1 <= seconds["reading"] - latencies < 1.5, "the second of the hang"
    assert seconds["workers"] >= sum(load.spawn_s or 0 for load in done.loads)
    assert seconds["loading"] == pytest.approx(sum(load.load_s or 0 for load in done.loads), abs=1e-6)


# --- the option ------------------------------------------------------------------------------------------------


def told(output: str) -> dict[str, float]:
    """Seconds by row of the terminal's table."""
    table = output.partition("where the time went")[2]
    return {words: float(seconds) for words, seconds, _ in ROW.findall(table)}


def test_the_table_of_a_session_sums_to_the_whole(pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["fixtures.plugin", "reports.plugin"]')
    pytester.makepyfile("import time\ndef test_slow():\n    time.sleep(0.5)\n")
    done = pytester.runpytest_subprocess("--eval-profile", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1)
    output = done.stdout.str()
    found = told(output)
    whole = found.pop(WHOLE)
    assert sum(found.values()) == pytest.approx(whole, rel=CLOSURE_LIMIT)
    assert 0.5 <= found["tests: metrics, intervals, verdicts"] < 1
    assert found["start-up: interpreter, imports, plugins"] > 0.1
    assert found["collecting tests"] > 0
    assert found["unexplained"] < 0.1 * whole
    shares = [float(share) for _, _, share in ROW.findall(output.partition("where the time went")[2]) if share]
    assert sum(shares) == pytest.approx(100, abs=100 * CLOSURE_LIMIT)
    assert "DO NOT SUM" not in output


def test_no_table_where_nobody_asked(pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["fixtures.plugin", "reports.plugin"]')
    pytester.makepyfile("def test_quick():\n    pass\n")
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    done.assert_outcomes(passed=1)
    assert "where the time went" not in done.stdout.str()


def test_several_processes_are_refused(pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makeconftest('pytest_plugins = ["fixtures.plugin", "reports.plugin"]')
    pytester.makepyfile("def test_quick():\n    pass\n")
    done = pytester.runpytest_subprocess("--eval-profile", "-n", "2", "-p", "no:cacheprovider")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*--eval-profile: tells of one process; leave -n away*"])


def test_a_profiled_evaluation(tmp_path) -> None:
    """The report has what went before it was written, and a later session in the same log starts anew."""
    corpus, report = write_corpus(tmp_path / "corpus", receipts(3)), tmp_path / "report"
    command = [
        *(sys.executable, "-m", "pytest", "evals", "-p", "no:cacheprovider", "-p", "tests.without_figures", "-q"),
        *("--eval-models", "python:tests.pixel_pages.SlowReader", "--eval-documents", str(corpus)),
        *("--eval-report", str(report), "--eval-determinism-documents", "0", "--eval-profile"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = told(done.stdout)
    whole = found.pop(WHOLE)
    assert sum(found.values()) == pytest.approx(whole, rel=CLOSURE_LIMIT)
    assert found["models' own reading time"] > 3 * 0.2
    assert found["writing the report"] > 0
    assert found["parsing and scoring answers"] > 0
    profile = read_evidence(report / "evidence.jsonl").profile
    assert profile is not None
    assert "rendering" not in profile.seconds
    assert found["models' own reading time"] == pytest.approx(profile.seconds["reading"], abs=0.001)
    assert json.loads((report / "report.json").read_text())["profile"] == {
        "seconds": dict(profile.seconds),
        "wall_s": profile.wall_s,
    }
    markdown = (report / "report.md").read_text()
    assert "| models' own reading time |" in markdown.partition("### Where the time went")[2]
    assert (report / "tables" / "provenance-where-the-time-went.csv").exists()
    with EvidenceLog(report / "evidence.jsonl") as log:
        log.append(RunRecord(started="", corpus={}, prompt={}, provenance={}))
    assert read_evidence(report / "evidence.jsonl").profile is None
