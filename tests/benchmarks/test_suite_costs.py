"""What the suite itself costs beside the models: each phase under 1 % of a run of an hour.

The whole suite, as its users run it, over three models that answer at once, on pages that the project's own generator
draws, in two sizes: what every run costs is told from what every document costs. The larger size is that of an hour in
which three models read 1,200 pages each, a second a page.

SUITE_COSTS_SIZES sets the numbers of documents (default 120,1200; `24,120` is a first look), SUITE_COSTS_ROUNDS the
runs of each (default 3), of which the median counts.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.documents import load_corpus
from harness.evidence import ProfileRecord, read_evidence
from harness.profiling import CLOSURE_LIMIT, Phase, closure, words_of
from harness.provenance import allowed_cores
from tests.benchmarks.knowing_backends import KNOWN_PAGES, write_known
from tests.benchmarks.profile_file import PROFILE_FILE

SIZES = tuple(int(size) for size in os.environ.get("SUITE_COSTS_SIZES", "120,1200").split(","))
ROUNDS = int(os.environ.get("SUITE_COSTS_ROUNDS", "3"))
MODELS = ("Careful", "Careless", "Inventive")
HOUR_S = 3600.0
PAGES = 1200
"""That each of the models would read in an hour at a second a page."""
LIMIT = 0.01
OF_THE_MODELS = frozenset({Phase.LOADING, Phase.READING, Phase.SWEEPS})
EXIT = "end of the process"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One phase, in seconds."""

    phase: str
    measured: Sequence[float]
    """The median at each size."""

    @property
    def of_a_document(self) -> float:
        """With every model that reads it."""
        return (self.measured[-1] - self.measured[0]) / (SIZES[-1] - SIZES[0])

    @property
    def fixed(self) -> float:
        return self.measured[0] - self.of_a_document * SIZES[0]

    @property
    def in_an_hour(self) -> float:
        return self.fixed + self.of_a_document * PAGES


def write_pages(folder: Path, count: int) -> Path:
    """`count` documents, all different, with what the backends know of them in `known.json`."""
    draw = [sys.executable, "-m", "harness.documents.synthesis", "--count", str(count), "--seed", str(count)]
    subprocess.run([*draw, str(folder)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    write_known(folder / "known.json", load_corpus(folder))
    return folder


def run(folder: Path, pages: Path) -> Mapping[str, float]:
    """Seconds of each phase of one session."""
    models = ",".join(f"python:tests.benchmarks.knowing_backends.{name}" for name in MODELS)
    command = [
        *(sys.executable, "-m", "pytest", "evals", "-q", "-p", "no:cacheprovider"),
        *("-p", "tests.benchmarks.profile_file", "--eval-profile"),
        *("--eval-models", models, "--eval-documents", str(pages), "--eval-report", str(folder)),
    ]
    folder.mkdir()
    environment = {**os.environ, KNOWN_PAGES: str(pages / "known.json"), PROFILE_FILE: str(folder / "profile.json")}
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    assert done.returncode in (0, 1), done.stdout + done.stderr
    profile = ProfileRecord(**json.loads((folder / "profile.json").read_text()))
    assert closure(profile) <= CLOSURE_LIMIT, profile
    readings = read_evidence(folder / "evidence.jsonl").readings
    of_candidates = [
        found for cell, found in readings.items() if cell.endswith(MODELS) and not cell.startswith("blind")
    ]
    assert [len(found) for found in of_candidates] == [len(load_corpus(pages).documents)] * len(MODELS)
    assert not [r for found in of_candidates for r in found.values() if r.failure is not None]
    return {**profile.seconds, EXIT: took - profile.wall_s}


def table(costs: Sequence[Cost]) -> str:
    sizes = " | ".join(f"{size:,} documents, s" for size in SIZES)
    lines = [
        f"| phase | {sizes} | a session, s | a document, ms | an hour's run, s | of an hour |",
        f"| --- |{' ---: |' * (len(SIZES) + 4)}",
    ]
    for cost in costs:
        measured = " | ".join(f"{seconds:.2f}" for seconds in cost.measured)
        hour = f"{cost.in_an_hour:.2f} | {cost.in_an_hour / HOUR_S:.3%}"
        if cost.phase in OF_THE_MODELS:
            hour = "the model's | "
        lines.append(
            f"| {words_of(cost.phase)} | {measured} | {cost.fixed:.2f} | {1000 * cost.of_a_document:.2f} | {hour} |"
        )
    own = sum(cost.in_an_hour for cost in costs if cost.phase not in OF_THE_MODELS)
    lines.append(f"| **all but the models** |{' |' * len(SIZES)} | | **{own:.1f}** | **{own / HOUR_S:.2%}** |")
    return "\n".join(lines)


@pytest.mark.slow
def test_no_phase_costs_a_hundredth_of_an_hour(tmp_path: Path) -> None:
    pages = {size: write_pages(tmp_path / f"pages-{size}", size) for size in SIZES}
    found: dict[int, list[Mapping[str, float]]] = {size: [] for size in SIZES}
    for number in range(ROUNDS):
        for size in SIZES:
            found[size].append(run(tmp_path / f"run-{size}-{number}", pages[size]))
    phases = [phase for phase in (*(p.value for p in Phase), EXIT) if any(phase in told for told in found[SIZES[-1]])]
    costs = [
        Cost(
            phase=phase,
            measured=[statistics.median(told.get(phase, 0.0) for told in found[size]) for size in SIZES],
        )
        for phase in phases
    ]
    sys.stdout.write(
        f"\n{len(MODELS)} models that answer at once, medians of {ROUNDS} runs, {allowed_cores()} cores; an hour's run "
        f"is of {PAGES:,} documents\n\n{table(costs)}\n"
    )
    dear = {cost.phase: cost.in_an_hour for cost in costs if cost.phase not in OF_THE_MODELS}
    assert {phase: seconds for phase, seconds in dear.items() if seconds >= LIMIT * HOUR_S} == {}
