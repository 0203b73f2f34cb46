"""What the reporter plugin knows during a session, and what it does with it at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.errors import EvidenceError
from harness.evidence import EVIDENCE_FILE, EvidenceLog, GateRecord, ProfileRecord
from harness.gates import Verdict
from reports.ci import FailedTest, step_summary, summary_file, workflow_commands

__all__ = ["Collector", "gates_of"]

_PROPERTY = "docvlm.gate"


def gates_of(report: pytest.TestReport) -> list[GateRecord]:
    """The gates that a test recorded, each as one JSON string, so that they travel between processes unchanged."""
    return [
        GateRecord(**json.loads(value))
        for name, value in report.user_properties
        if name == _PROPERTY and isinstance(value, str)
    ]


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


@dataclass(slots=True, kw_only=True)
class Collector:
    """State of one session: the folder, what the tests said, and in the end the lines for the terminal."""

    folder: Path
    baseline: Path | None = None
    """What the session is to be compared with."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    gates: list[GateRecord] = field(default_factory=list)
    failed: list[FailedTest] = field(default_factory=list)
    lines: Sequence[str] = ()
    commands: Sequence[str] = ()
    """For the service that runs the session, each on a line of its own."""
    unread: str | None = None
    """Why nothing was judged, where no candidate answered anything."""
    _before: tuple[int, int, int] | None = None
    _finished: bool = False

    def __post_init__(self) -> None:
        self._before = _fingerprint(self.log)

    @property
    def log(self) -> Path:
        """The evidence log of this session."""
        return self.folder / EVIDENCE_FILE

    @property
    def undecided(self) -> Sequence[GateRecord]:
        """The inconclusive gates."""
        return [g for g in self.gates if g.verdict == Verdict.INCONCLUSIVE]

    def collect(self, report: pytest.TestReport) -> None:
        """Take a test's gates. At teardown, when all properties are there and subtests do not repeat them."""
        gates = gates_of(report)
        if report.when == "teardown":
            self.gates.extend(gates)
        if report.failed and not any(g.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE) for g in gates):
            self.failed.append(FailedTest(test=report.nodeid, message=_said(report)))

    def finish(self, profile: ProfileRecord | None = None) -> Sequence[str]:
        """Write the gates into the log and render the report, if this session gathered evidence; once.

        `profile`: where its time went until now, if that was recorded.
        Returns what is wrong with the session itself and fails no test: a cell that was not compared with the
        baseline, a report that could not be written.
        """
        if self._finished or _fingerprint(self.log) == self._before:
            return []
        self._finished = True
        from reports.render import render

        try:
            with EvidenceLog(self.log) as log:
                for gate in self.gates:
                    log.append(gate)
                if profile is not None:
                    log.append(profile)
            faults = list(self._uncompared())
            rendered = render(self.log, self.folder)
        except (EvidenceError, OSError) as error:
            why = f"the report could not be written: {error}"
            self.lines = [why, f"the evidence is kept in {self.log}"]
            return [why]
        self.unread = rendered.unread
        unread = [] if self.unread is None else [self.unread]
        self.lines = [*rendered.summary, "", *faults, *unread, *_unsettled(self.gates), f"report: {rendered.markdown}"]
        return [*faults, *self._tell(faults, rendered.summary, rendered.markdown)]

    def _uncompared(self) -> Sequence[str]:
        if self.baseline is None:
            return []
        from harness.evidence import read_evidence
        from harness.regression import load_baseline
        from reports.regression import uncompared

        return uncompared(read_evidence(self.log), load_baseline(self.baseline), self.gates)

    def _tell(self, faults: Sequence[str], summary: Sequence[str], report: Path) -> Sequence[str]:
        """What the service that runs the session wants to know, where there is one; returns what went wrong."""
        failed = [*self.failed, *(FailedTest(test="", message=fault) for fault in faults)]
        self.commands = workflow_commands(self.environment, self.gates, failed)
        if (path := summary_file(self.environment)) is None:
            return []
        try:
            with path.open("a", encoding="utf-8") as file:  # other steps of the job write into it too
                file.write(step_summary(self.gates, failed, summary, report))
        except OSError as error:
            return [f"{path}: the summary of this step could not be written: {error.strerror}"]
        return []


def _said(report: pytest.TestReport) -> str:
    """What a failed test said, in one line: the exception, where there was one, or the end of its story."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message).strip().partition("\n")[0]
    return str(report.longrepr).strip().rpartition("\n")[2]


def _unsettled(gates: Iterable[GateRecord]) -> list[str]:
    """One line for each inconclusive gate, and one for each cell whose metrics have no budget."""
    gates = list(gates)
    lines = [f"INCONCLUSIVE {g.cell}: {g.message}" for g in gates if g.verdict == Verdict.INCONCLUSIVE]
    without = [g for g in gates if g.verdict == Verdict.NO_BUDGET]
    return lines + [
        f"NO BUDGET for {cell}: {', '.join(g.metric for g in without if g.cell == cell)}"
        for cell in dict.fromkeys(g.cell for g in without)
    ]
