"""The lamps of the suite, and which of them each fault must light: the real suite, run over fake backends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

from evals.selftest.pages import write_pages
from harness.backends import BLIND
from harness.cells import Failure
from harness.documents import load_corpus
from harness.evidence import EVIDENCE_FILE, Evidence, read_evidence
from harness.gates import Verdict
from harness.regression import Baseline, load_baseline, save_baseline

__all__ = [
    "FAKES",
    "LAMPS",
    "LATENCY",
    "MEMORY",
    "QUALITY",
    "WEIGHTS",
    "Fake",
    "Panel",
    "Row",
    "light",
    "row_of",
    "table",
]

_ROOT = Path(__file__).parents[2]
_MODULE = "python:evals.selftest.backends."
_UNUSABLE = "unusable value"
"""An error of which the worker says that the backend's own values cannot be used."""
_LIMITS = {"hallucination_rate": 0.15, "omission_rate": 0.15, "truncation_rate": 0.2, "parse_rate": 0.8}
"""So far from what a perfect backend scores that 24 documents prove them kept."""
_TIMEOUT_S = 3
QUALITY, LATENCY = "regression.f1_difference", "regression.latency_ratio"
MEMORY, WEIGHTS = "regression.peak_rss_bytes", "regression.weights_bytes"
_FAILURES: frozenset[str] = frozenset({*Failure, _UNUSABLE})
LAMPS: Sequence[str] = (
    *(Failure.LOAD_OOM, Failure.RUN_OOM, Failure.TIMEOUT, Failure.CRASH, Failure.ERROR, _UNUSABLE),
    *("parse_rate", "truncation_rate", "omission_rate", "hallucination_rate", "recall", "same_text_rate.repeat"),
    *(QUALITY, LATENCY, MEMORY, WEIGHTS),
)
"""Types of failures, limits on what is answered, the blind and the repeated run, and the gates against a baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fake:
    """A backend with a known fault."""

    name: str
    """Its class in `evals.selftest.backends`."""
    lamps: frozenset[str] = frozenset()
    """What its fault is known by: the same of no two fakes."""
    follows: frozenset[str] = frozenset()
    """What must be red as well, because it follows: documents without an answer are lost to a comparison."""

    @property
    def model(self) -> str:
        """What `--eval-models` calls it."""
        return _MODULE + self.name


def _fake(name: str, *lamps: str, follows: Iterable[str] = ()) -> Fake:
    return Fake(name=name, lamps=frozenset(lamps), follows=frozenset(follows))


FAKES: Sequence[Fake] = (
    _fake("Perfect"),
    _fake("AllAbsent", "omission_rate", follows=[QUALITY]),
    _fake("Slow", LATENCY),
    _fake("Worse", QUALITY),
    _fake("Hallucinating", "hallucination_rate", follows=[QUALITY]),
    _fake("Nondeterministic", "same_text_rate.repeat"),
    _fake("OutOfMemoryInLoad", Failure.LOAD_OOM, follows=[QUALITY]),
    _fake("OutOfMemory", Failure.RUN_OOM, follows=[QUALITY]),
    _fake("Hang", Failure.TIMEOUT, follows=[QUALITY]),
    _fake("Crash", Failure.CRASH, follows=[QUALITY]),
    _fake("HugeOutput", "truncation_rate", follows=[QUALITY]),
    _fake("NanLogprobs", _UNUSABLE, follows=[QUALITY]),
    _fake("Flaky", Failure.ERROR, "same_text_rate.repeat", follows=[QUALITY]),
    _fake("Hungry", MEMORY, WEIGHTS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the suite said of one fake."""

    fake: Fake
    red: frozenset[str]
    undecided: frozenset[str]
    """Lamps that the suite could not judge."""

    @property
    def is_right(self) -> bool:
        """Whether it lit its own lamps, what follows from them, and no other; a perfect one must be green in all."""
        expected = self.fake.lamps | self.fake.follows
        return self.red == expected and (bool(expected) or not self.undecided)

    def mark(self, lamp: str) -> str:
        """`●` its own and lit, `○` lit because of that, `✗` lit or dark against expectation, `?` undecided."""
        if (lamp in self.red) != (lamp in self.fake.lamps | self.fake.follows):
            return "✗"
        if lamp in self.red:
            return "●" if lamp in self.fake.lamps else "○"
        return "?" if lamp in self.undecided else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What the suite said of all fakes, and the two runs that it was said of."""

    rows: Mapping[str, Row]
    """By name of the fake."""
    baseline: Baseline
    """A run of the perfect backend, under the names of all fakes."""
    current: Baseline


def light(folder: Path, documents: int) -> Panel:
    """Run the suite over every fake on `documents` pages, against a baseline in which all of them were perfect.

    Everything written goes into `folder`. Raises RuntimeError with the output of a run that came to no verdicts.
    """
    pages, budgets = folder / "pages", folder / "budgets.toml"
    write_pages(pages, documents)
    budgets.write_text("".join(_budget(fake, load_corpus(pages).identity) for fake in FAKES), encoding="utf-8")
    before = _run_suite(folder / "before", pages, budgets, FAKES[:1], "evals/test_answers.py")
    found = Baseline.from_evidence(before)
    (perfect,) = found.cells.values()
    cells = {fake.model: [replace(run, cell=fake.model) for run in perfect] for fake in FAKES}
    baseline = save_baseline(replace(found, cells=cells), folder / "baseline.json.gz")
    evidence = _run_suite(folder / "now", pages, budgets, FAKES, "evals", "--eval-baseline", str(baseline))
    return Panel(
        rows={fake.name: row_of(fake, evidence) for fake in FAKES},
        baseline=load_baseline(baseline),
        current=Baseline.from_evidence(evidence),
    )


def _budget(fake: Fake, corpus: str) -> str:
    limits = "".join(f"{name} = {limit}\n" for name, limit in _LIMITS.items())
    return f'[[quality]]\nmodel = "{fake.model}"\nquantization = "none"\ncorpus = "{corpus[:12]}"\n{limits}'


def _run_suite(report: Path, pages: Path, budgets: Path, fakes: Iterable[Fake], *tests: str) -> Evidence:
    junit = report.with_suffix(".xml")
    command = [
        *(sys.executable, "-m", "pytest", *tests, "-q", "-p", "no:cacheprovider", f"--junitxml={junit}"),
        *("--eval-models", ",".join(fake.model for fake in fakes), "--eval-documents", str(pages)),
        *("--eval-report", str(report), "--eval-budgets", str(budgets), "--eval-timeout", str(_TIMEOUT_S)),
    ]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"the suite ended with exit code {done.returncode}:\n{done.stdout}\n{done.stderr}")
    evidence = read_evidence(report / EVIDENCE_FILE)
    gated = {gate.test for gate in evidence.gates if gate.verdict == Verdict.FAIL}
    if (failed := _failed_tests(junit)) != gated:
        raise RuntimeError(f"tests that failed are not those with a red gate: {failed ^ gated}:\n{done.stdout}")
    return evidence


def _failed_tests(junit: Path) -> set[str]:
    """Node ids of the tests that failed, or ended in an error."""
    cases = ElementTree.parse(junit).iter("testcase")
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return {f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}" for case in bad}


def row_of(fake: Fake, evidence: Evidence) -> Row:
    """Read the lamps of one fake off the log of a run."""
    said = [(g.metric, g.verdict) for g in evidence.gates if g.cell is not None and _model_of(g.cell) == fake.model]
    failures = _failures(fake, evidence)
    red = {lamp for lamp, verdict in said if verdict == Verdict.FAIL} | failures
    if failures:  # by which a document without an answer is known
        red -= {"answer_rate"}
    decided = {lamp for lamp, verdict in said if verdict in (Verdict.PASS, Verdict.FAIL)} | _FAILURES
    undecided = {lamp for lamp, verdict in said if verdict == Verdict.INCONCLUSIVE} | set(LAMPS) - decided
    return Row(fake=fake, red=frozenset(red), undecided=frozenset(undecided))


def _model_of(cell: str) -> str:
    """Of a candidate, its blind control, or its repeated run."""
    return cell.removeprefix(BLIND).partition("#")[0]


def _failures(fake: Fake, evidence: Evidence) -> set[str]:
    """Types of failure of the candidate; documents that were not run after a failure tell nothing more."""
    found = [(load.failure, load.message) for load in evidence.cells.get(fake.model, [])]
    found += [(reading.failure, reading.message) for reading in evidence.readings.get(fake.model, {}).values()]
    return {
        _UNUSABLE if failure is Failure.ERROR and _UNUSABLE in (message or "") else failure.value
        for failure, message in found
        if failure is not None and failure is not Failure.NOT_RUN
    }


def table(panel: Panel) -> str:
    """The lamps of every fake as a markdown table; a lamp that no fake knows stands in a column of its own."""
    rows = list(panel.rows.values())
    lamps = [*LAMPS, *sorted({lamp for row in rows for lamp in row.red} - set(LAMPS))]
    lines = [
        f"| backend | right | {' | '.join(lamps)} |",
        f"| --- | --- |{' :-: |' * len(lamps)}",
        *(
            f"| {row.fake.name} | {'yes' if row.is_right else '**no**'} | {' | '.join(map(row.mark, lamps))} |"
            for row in rows
        ),
    ]
    key = "● its own lamp, ○ red because of it, ✗ against expectation, ? undecided; nothing: green"
    return "\n".join([*lines, "", key, ""])
