"""What a pass through a worker costs beside a bare `generate` loop over the same pages.

The loop is what a user would write with transformers alone. The pass is everything: worker, decoding, facts, memory
sampling, evidence log. Both run in one process with one copy of the weights, page by page, interleaved (bare_loop.py
says why and how).
"""

from __future__ import annotations

import math
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.backends import BackendRequest
from harness.cells import Cell, Runtime
from harness.documents import Document
from harness.evidence import EvidenceLog, ReadingRecord
from harness.prompts import prompt
from harness.provenance import allowed_cores
from harness.running import PassRequest, run_pass
from harness.statistics import mean_interval
from tests.benchmarks.bare_loop import FOLDER, bare_loop

ROUNDS = int(os.environ.get("DOCVLM_BENCHMARK_ROUNDS", "4"))
PAGES = 12
MAX_NEW_TOKENS = 256
"""Fewer than most answers have: what a pass adds is a fixed time, so that its share is overstated."""
LIMIT = 0.01
REPOSITORY = Path(__file__).parents[2]
CHECKPOINT = Path(
    os.environ.get("DOCVLM_BENCHMARK_CHECKPOINT", REPOSITORY / "fixtures" / "checkpoints" / "tiny-internvl")
)
"""Any InternVL checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What both of them run."""

    device: str = "cpu"
    quantization: str = "fp32"
    runtime: Runtime = Runtime.EAGER
    max_new_tokens: int = MAX_NEW_TOKENS
    checkpoint: Path = CHECKPOINT
    dummy: bool = False
    """Random weights in the shapes of the checkpoint's config.json, and answers of exactly the length."""

    def request(self, folder: Path) -> BackendRequest:
        """The backend, with what its loop and this process tell each other in `folder`."""
        own = {"weights": "dummy", "min_new_tokens": self.max_new_tokens} if self.dummy else {}
        source = {"source": str(self.checkpoint), "max_new_tokens": self.max_new_tokens}
        return BackendRequest(
            backend="python:tests.benchmarks.bare_loop.WithBareLoop",
            quantization=self.quantization,
            runtime=self.runtime,
            device=self.device,
            settings={**source, **own, FOLDER: str(folder)},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one page took in one round."""

    ratio: float
    """Natural logarithm of pass to loop."""
    plain_s: float
    """In the loop."""
    beside_s: float
    """In the pass, beside what a loop does as well: it has little noise, but leaves out how far watching slows that."""


_SAME = ("decode_s", "preprocess_s", "generate_s")
"""Phases of a pass that a loop has too."""


def one_round(pages: list[Path], folder: Path, setup: Setup) -> list[Page]:
    """Every page but the first, in a fresh process.

    Each page: pass, loop, loop, pass, so that both sides once follow the other and once themselves (the pass then with
    another page before it, which is not to its favour). The pass is timed from the end of the last callback to the next
    one, so that everything in between counts; after a loop, though, the worker has collected its garbage by then.
    """
    # The first page only warms both up; every page is read twice by the pass, which knows documents by name.
    order = [page for page in pages for _ in range(2)]
    documents = [Document(name=f"{i}", path=page, truth={}, image_sha256="") for i, page in enumerate(order)]
    spent: dict[Path, list[float]] = {page: [] for page in pages}
    plain: dict[Path, list[float]] = {page: [] for page in pages}
    beside: dict[Path, list[float]] = {page: [] for page in pages}
    loop, resumed = bare_loop(folder), math.nan

    def between(reading: ReadingRecord) -> None:
        nonlocal resumed
        position, now = int(reading.document), time.perf_counter()
        page = order[position]
        spent[page].append(now - resumed)
        assert reading.failure is None, reading.message
        beside[page].append(spent[page][-1] - sum(reading.phases.get(phase, 0.0) for phase in _SAME))
        if position % 2 == 0:
            for _ in range(2):
                seconds, answer = loop(page)
                plain[page].append(seconds)
                assert setup.dummy or answer == reading.text  # random weights waver between tokens of equal rank
        resumed = time.perf_counter()

    asked = PassRequest(
        cell=Cell(model="transformers", quantization=setup.quantization, runtime=setup.runtime, device=setup.device),
        documents=documents,
        prompt=prompt(),
        read_timeout_s=300,
        load_timeout_s=300,
        backend=setup.request(folder),
    )
    with EvidenceLog(folder / "evidence.jsonl") as log:
        run_pass(asked, log=log, on_reading=between)
    return [
        Page(
            ratio=math.log(sum(spent[page]) / sum(plain[page])),
            plain_s=statistics.fmean(plain[page]),
            beside_s=statistics.fmean(beside[page]),
        )
        for page in pages[1:]
    ]


def compare(folder: Path, capsys: pytest.CaptureFixture[str], setup: Setup, *, rounds: int, count: int = PAGES) -> None:
    """Fail if a pass surely adds LIMIT or more to the loop; skip if that remains open.

    The unit is the page, of which each round has a ratio.
    """
    assert not setup.dummy or setup.runtime is Runtime.FAST, "of the library's generate the length would be free"
    if not (setup.checkpoint / "config.json").exists():
        pytest.skip(f"no checkpoint at {setup.checkpoint}")
    pages = sorted((REPOSITORY / "fixtures" / "corpus").glob("receipt-*"))[: count + 1]
    measured = []
    for number in range(rounds):
        (own := folder / str(number)).mkdir()
        measured.append(one_round(pages, own, setup))
    found = mean_interval([statistics.fmean(p.ratio for p in page) for page in zip(*measured, strict=True)])
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    added, low, high = (math.expm1(value) for value in (found.value, found.low, found.high))
    each = ", ".join(f"{math.expm1(statistics.fmean(p.ratio for p in round_)):+.2%}" for round_ in measured)
    typical = statistics.median(p.plain_s for round_ in measured for p in round_)
    beside = statistics.median(p.beside_s for round_ in measured for p in round_)
    said = (
        f"a pass adds {added:+.2%} [{low:+.2%}, {high:+.2%}] to {typical:.3f} s a page: {setup.checkpoint.name}, "
        f"{setup.device}, {setup.quantization}, {setup.runtime}, {rounds} rounds of {count} pages, "
        f"{allowed_cores()} cores, by round {each}; beside decoding, preparing and generating it spends "
        f"{1000 * beside:.1f} ms, {beside / typical:.2%}"
    )
    with capsys.disabled():
        print(f"\n{said}")  # noqa: T201 - the measurement is the point
    assert low < LIMIT, said
    if high >= LIMIT:
        pytest.skip(f"inconclusive: {said}")


@pytest.mark.slow
def test_a_pass_adds_little_to_a_bare_generate_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(tmp_path, capsys, Setup(), rounds=ROUNDS)
