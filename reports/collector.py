"""What the reporter plugin knows during a session, and what it does with it at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.errors import EvidenceError
from harness.evidence import EVIDENCE_FILE, EvidenceLog, GateRecord
from harness.gates import Verdict

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
    """State of one session: the folder, the gates seen, and in the end the lines for the terminal."""

    folder: Path
    gates: list[GateRecord] = field(default_factory=list)
    lines: Sequence[str] = ()
    _before: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        self._before = _fingerprint(self.log)

    @property
    def log(self) -> Path:
        """The evidence log of this session."""
        return self.folder / EVIDENCE_FILE

    def collect(self, report: pytest.TestReport) -> None:
        """Take a test's gates. At teardown, when all properties are there and subtests do not repeat them."""
        if report.when == "teardown":
            self.gates.extend(gates_of(report))

    def finish(self) -> bool:
        """Write the gates into the log and render the report, if this session gathered evidence.

        Returns False when that was wanted and failed; `lines` says why.
        """
        if _fingerprint(self.log) == self._before:
            return True
        from reports.render import render

        try:
            with EvidenceLog(self.log) as log:
                for gate in self.gates:
                    log.append(gate)
            rendered = render(self.log, self.folder)
        except (EvidenceError, OSError) as error:
            self.lines = [f"the report could not be written: {error}", f"the evidence is kept in {self.log}"]
            return False
        self.lines = [*rendered.summary, "", *_unsettled(self.gates), f"report: {rendered.markdown}"]
        return True


def _unsettled(gates: Iterable[GateRecord]) -> list[str]:
    """One line for each inconclusive gate, and one for each cell whose metrics have no budget."""
    gates = list(gates)
    lines = [f"INCONCLUSIVE {g.cell}: {g.message}" for g in gates if g.verdict == Verdict.INCONCLUSIVE]
    without = [g for g in gates if g.verdict == Verdict.NO_BUDGET]
    return lines + [
        f"NO BUDGET for {cell}: {', '.join(g.metric for g in without if g.cell == cell)}"
        for cell in dict.fromkeys(g.cell for g in without)
    ]
