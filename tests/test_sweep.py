"""The batch sweep: which sizes are tried, how it ends, what is logged, and what is judged."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.judging import sweep_gate
from fixtures.session import EvalSession, SweepRun, open_session
from harness.backends import BackendRequest
from harness.cells import Cell, Failure, Role
from harness.documents import Document
from harness.evidence import DeviceUse, EvidenceLog, SweepRecord, read_evidence
from harness.gates import Verdict
from harness.prompts import prompt
from harness.sweeping import DOUBLING, Sweep, best_step, run_sweep, step_rate
from tests.eval_options import parse_options
from tests.pixel_pages import receipts, write_corpus
from tests.test_session import silent
from tests.test_suite import ROOT

CELL = Cell(model="swept", quantization="bf16")
TOKENS = 16
CATALOGUE = """
[[model]]
id = "swept"
source = "./none"
backend = "python:tests.fake_backends.Swept"
default_documents = 3
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), receipts(3))


def test_a_real_model_on_a_cpu(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tests.tiny_models import build_internvl

    request = BackendRequest(
        backend="transformers",
        quantization="fp32",
        settings={"source": str(build_internvl(tmp_path / "tiny")), "min_new_tokens": 6, "max_new_tokens": 6},
    )
    with EvidenceLog(tmp_path / "evidence.jsonl") as log:
        sweep = run_sweep(
            CELL,
            documents(corpus),
            request=request,
            prompt=prompt(),
            output_tokens=6,
            sizes=(1, 2, 4),
            log=log,
            read_timeout_s=60,
            load_timeout_s=120,
        )
    assert outcomes(sweep) == dict.fromkeys((1, 2, 4)), sweep.steps
    for step in sweep.steps.values():
        assert len(step.seconds) == len(step.ttft_s) == len(step.tpot_s) == len(step.itl_s) == 5
        assert step.read_together, "the library reads all prompts of a batch at once"
    prompts = {size: step.prompt_tokens for size, step in sweep.steps.items()}
    assert prompts[2] == 2 * prompts[1], "pages of one size have one number of image tokens"


def documents(corpus: Path) -> list[Document]:
    return [Document(name=p.name, path=p, truth={}, image_sha256="") for p in sorted(corpus.glob("*.png"))]


def swept(
    corpus: Path,
    folder: Path,
    *,
    sizes: tuple[int, ...] = (1, 2, 4, 8),
    earlier: Mapping[int, SweepRecord] | None = None,
    timeout_s: float = 10,
    **settings: int,
) -> Sweep:
    request = BackendRequest(
        backend="python:tests.fake_backends.Swept",
        quantization="bf16",
        settings={"min_new_tokens": TOKENS, "max_new_tokens": TOKENS, **settings},
    )
    with EvidenceLog(folder / "evidence.jsonl") as log:
        return run_sweep(
            CELL,
            documents(corpus),
            request=request,
            prompt=prompt(),
            output_tokens=TOKENS,
            sizes=sizes,
            log=log,
            earlier=earlier or {},
            read_timeout_s=timeout_s,
            load_timeout_s=30,
        )


def outcomes(sweep: Sweep) -> dict[int, Failure | None]:
    return {size: step.failure for size, step in sweep.steps.items()}


def test_every_size_is_measured_and_logged(corpus: Path, tmp_path: Path) -> None:
    sweep = swept(corpus, tmp_path)
    assert outcomes(sweep) == dict.fromkeys((1, 2, 4, 8))
    assert sweep.fresh == {1, 2, 4, 8}
    evidence = read_evidence(tmp_path / "evidence.jsonl")
    assert evidence.sweeps == {CELL.id: sweep.steps}
    assert evidence.readings == {}, "the pages of a sweep are no readings of the cell"
    (loads,) = evidence.cells.values()
    assert CELL.id not in evidence.cells, "nor are its loads those of the cell"
    assert [(load.role, load.batch_size, load.restart) for load in loads] == [(Role.CHECK, 8, 0)]
    step = sweep.steps[4]
    assert (step.output_tokens, step.prompt_tokens) == (TOKENS, 4 * 7)
    assert len(step.seconds) == len(step.ttft_s) == len(step.tpot_s) == 5
    assert all(0.024 <= seconds < 1 for seconds in step.seconds)
    assert step.memory.samples > 0


def test_what_a_runtime_predicted_is_kept(corpus: Path, tmp_path: Path) -> None:
    told = swept(corpus, tmp_path, sizes=(1, 2), predicts=1).steps
    assert [step.predicted_peak_bytes for step in told.values()] == [1 << 30, 2 << 30]
    assert swept(corpus, tmp_path, sizes=(1,)).steps[1].predicted_peak_bytes is None


def test_after_an_out_of_memory_the_size_half_way_is_tried_once(corpus: Path, tmp_path: Path) -> None:
    sweep = swept(corpus, tmp_path, sizes=DOUBLING, oom_from=7)
    assert outcomes(sweep) == {1: None, 2: None, 4: None, 6: None, 8: Failure.RUN_OOM}
    assert sweep.steps[8].message == "MemoryError: 8 pages"
    assert sweep.steps[8].seconds == []
    assert sweep.ended_by is None
    (loads,) = read_evidence(tmp_path / "evidence.jsonl").cells.values()
    assert [load.restart for load in loads] == [0, 1], "the worker was replaced"


def test_an_out_of_memory_half_way_ends_it(corpus: Path, tmp_path: Path) -> None:
    sweep = swept(corpus, tmp_path, sizes=DOUBLING, oom_from=5)
    assert outcomes(sweep) == {1: None, 2: None, 4: None, 6: Failure.RUN_OOM, 8: Failure.RUN_OOM}


def test_there_is_nothing_between_one_page_and_two(corpus: Path, tmp_path: Path) -> None:
    assert outcomes(swept(corpus, tmp_path, oom_from=2)) == {1: None, 2: Failure.RUN_OOM}


@pytest.mark.parametrize(
    ("settings", "failure"), [({"crash_from": 4}, Failure.CRASH), ({"hang_from": 4, "timeout_s": 0.5}, Failure.TIMEOUT)]
)
def test_a_crash_or_a_hang_is_a_row_and_ends_it(corpus: Path, tmp_path: Path, settings, failure: Failure) -> None:
    sweep = swept(corpus, tmp_path, **settings)
    assert outcomes(sweep) == {1: None, 2: None, 4: failure}
    assert sweep.ended_by == sweep.steps[4]


def test_a_model_that_does_not_load_is_one_row(corpus: Path, tmp_path: Path) -> None:
    assert outcomes(swept(corpus, tmp_path, oom_from=0)) == {1: Failure.LOAD_OOM}


def test_answers_of_another_length_measure_nothing(corpus: Path, tmp_path: Path) -> None:
    sweep = swept(corpus, tmp_path, short=1)
    assert outcomes(sweep) == {1: Failure.ERROR}
    assert sweep.steps[1].message == "answers of 15 tokens, where each was to have exactly 16"


def test_complete_steps_of_an_earlier_run_are_kept(corpus: Path, tmp_path: Path) -> None:
    plain = SweepRecord(cell=CELL.id, batch_size=1, output_tokens=TOKENS, seconds=[1.0, 1.0])
    earlier = {
        1: plain,
        2: replace(plain, batch_size=2, output_tokens=TOKENS + 1),
        4: replace(plain, batch_size=4, failure=Failure.CRASH, seconds=[]),
        8: replace(plain, batch_size=8, failure=Failure.RUN_OOM, seconds=[]),
    }
    sweep = swept(corpus, tmp_path, earlier=earlier)
    assert sweep.fresh == {2, 4, 6}
    assert sweep.steps[1] is plain
    assert outcomes(sweep) == {1: None, 2: None, 4: None, 6: None, 8: Failure.RUN_OOM}
    assert best_step(sweep) is sweep.steps[6]


def test_the_rate_of_a_step() -> None:
    step = SweepRecord(cell=CELL.id, batch_size=4, output_tokens=TOKENS, seconds=[2.0, 2.0])
    rate = step_rate(step)
    assert (rate.value, rate.low, rate.high, rate.n) == (120, 120, 120, 8)
    wider = step_rate(replace(step, seconds=[1.9, 2.1]))
    assert wider.value == 120
    assert wider.low is not None
    assert wider.low < 100, "two requests prove little"
    assert step_rate(replace(step, failure=Failure.RUN_OOM)).value is None


@contextlib.contextmanager
def opened(corpus: Path, folder: Path, *options: str, more: str = "") -> Iterator[EvalSession]:
    (folder / "catalogue.toml").write_text(CATALOGUE + more)
    given = ("--eval-catalogue", str(folder / "catalogue.toml"), "--eval-documents", str(corpus))
    arguments = (*given, "--eval-models", "swept", *options)
    with open_session(parse_options(*arguments, report=folder / "out"), silent) as session:
        yield session


def budget(folder: Path, limit: float, tokens: int = 128) -> tuple[str, str]:
    path = folder / "budgets.toml"
    path.write_text(
        f'[[sweep]]\nmodel = "swept"\nquantization = "bf16"\ndevice = "cpu"\noutput_tokens = {tokens}\n'
        f"docs_per_min = {limit}\n"
    )
    return "--eval-budgets", str(path)


def test_a_session_sweeps_a_cell_once_over_what_it_answered(corpus: Path, tmp_path: Path) -> None:
    with opened(corpus, tmp_path, "--eval-sweep", "2,1,2", *budget(tmp_path, 10)) as session:
        assert session.options.sweep == (1, 2)
        found = session.sweep(CELL)
        assert session.sweep(CELL) is found
        assert found.run is session.run(CELL)
        assert found.run.result.unjudged is None, "outside the sweep, answers have the length that the model likes"
    assert {step.output_tokens for step in found.sweep.steps.values()} == {128}
    assert found.limits == {"docs_per_min": 10}
    gate = sweep_gate(found)
    assert (gate.metric, gate.verdict) == ("docs_per_min.best", Verdict.PASS)
    assert "documents/min at batch 2, 128 tokens each" in gate.message
    with opened(corpus, tmp_path, "--eval-sweep", "1,2", "--eval-resume", *budget(tmp_path, 10)) as session:
        found = session.sweep(CELL)
    assert found.sweep.fresh == frozenset()
    assert sweep_gate(found).verdict is Verdict.INCONCLUSIVE, "times of an earlier run prove nothing"


def test_a_limit_is_for_one_length_of_answers(corpus: Path, tmp_path: Path) -> None:
    options = ("--eval-sweep", "1", "--eval-output-tokens", "8")
    with opened(corpus, tmp_path, *options, *budget(tmp_path, 10)) as session:
        gate = sweep_gate(session.sweep(CELL))
    assert gate.verdict is Verdict.RECORDED
    assert "at batch 1, 8 tokens each" in gate.message


def judged(
    *steps: SweepRecord, limit: float | None = None, fresh: set[int] | None = None, disturbance: str | None = None
) -> tuple[Verdict, str]:
    found = {s.batch_size: s for s in steps}
    sweep = Sweep(steps=found, fresh=frozenset(found if fresh is None else fresh))
    limits = {} if limit is None else {"docs_per_min": limit}
    run: Any = SimpleNamespace(disturbance=disturbance)
    gate = sweep_gate(SweepRun(run=run, sweep=sweep, limits=limits))
    return gate.verdict, gate.message


def test_what_is_judged_of_a_sweep() -> None:
    one = SweepRecord(cell=CELL.id, batch_size=1, output_tokens=128, seconds=[1.0, 1.0])
    two = replace(one, batch_size=2, seconds=[1.5, 1.5])
    oom = replace(two, batch_size=4, seconds=[], failure=Failure.RUN_OOM, message="CUDA out of memory\nmore")
    assert judged(one, two, oom)[0] is Verdict.RECORDED
    assert judged(one, two, oom)[1].endswith(
        "80 documents/min at batch 2, 128 tokens each; batch 4: run-oom: CUDA out of memory"
    )
    assert judged(one, two, oom, limit=79)[0] is Verdict.PASS
    assert judged(one, two, oom, limit=81)[0] is Verdict.FAIL
    crash = replace(oom, failure=Failure.CRASH)
    assert judged(one, two, crash, limit=79)[0] is Verdict.INCONCLUSIVE, "a larger batch might do better, or crash"
    assert judged(replace(one, seconds=[], failure=Failure.LOAD_OOM), limit=79)[0] is Verdict.INCONCLUSIVE
    slow = replace(one, seconds=[1.0, 1.02, 0.99])
    assert judged(slow, limit=81)[0] is Verdict.FAIL
    verdict, message = judged(slow, two, limit=81, fresh={1})
    assert verdict is Verdict.INCONCLUSIVE
    assert message.endswith("batches of 2 were measured in an earlier run, and may be faster")
    assert judged(one, two, limit=79, fresh={2})[0] is Verdict.PASS, "fast enough is fast enough"
    small = replace(oom, batch_size=1)
    assert judged(small) == (
        Verdict.RECORDED,
        "nothing was measured in this session; batch 1: run-oom: CUDA out of memory",
    ), "the reason is told, and not that there is no budget"
    busy = replace(two, devices=[DeviceUse(device="cuda:0", name="H200", seconds=1.5, foreign_processes=1)])
    verdict, message = judged(one, busy, limit=79)
    assert verdict is Verdict.INCONCLUSIVE
    assert "other processes on the GPU" in message
    verdict, message = judged(one, two, limit=79, disturbance="2 workers (-n) ran side by side")
    assert verdict is Verdict.INCONCLUSIVE
    assert "2 workers (-n) ran side by side" in message


def test_a_sweep_of_the_suite(corpus: Path, tmp_path: Path) -> None:
    """As a user asks for it on a CPU; and without asking, there is none."""
    (tmp_path / "catalogue.toml").write_text(CATALOGUE + "settings = { oom_from = 3 }\n")

    def suite(*options: str) -> str:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "evals/test_throughput.py", "-rA"),
                *("-p", "no:cacheprovider", "-p", "tests.without_figures"),
                *("--eval-catalogue", str(tmp_path / "catalogue.toml"), "--eval-models", "swept"),
                *("--eval-documents", str(corpus), "--eval-report", str(tmp_path / "out"), *options),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "no batch sweep is asked for (--eval-sweep)" in suite()
    said = suite("--eval-sweep", "1,2,4")
    assert "swept-bf16: " in said
    assert "batch 3: run-oom: MemoryError: 3 pages; batch 4: run-oom: MemoryError: 4 pages" in said
    evidence = read_evidence(tmp_path / "out" / "evidence.jsonl")
    assert list(evidence.sweeps["swept-bf16"]) == [1, 2, 4, 3]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [cell["cell"] for cell in report["cells"]] == ["swept-bf16"], "a sweep's worker is no cell of the report"


def test_times_are_those_of_the_page_in_the_middle_where_pages_differ(corpus: Path, tmp_path: Path) -> None:
    sweep = swept(corpus, tmp_path, sizes=(1, 3), apart=1)
    alone, three = sweep.steps[1], sweep.steps[3]
    assert (alone.ttft_s, alone.tpot_s, alone.itl_s) == ([0.01] * 5, [0.001] * 5, [])
    assert (three.ttft_s, three.tpot_s) == ([0.02] * 5, [0.002] * 5)
    assert (alone.read_together, three.read_together) == (True, False)
