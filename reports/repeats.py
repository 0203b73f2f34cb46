"""Checks beside their candidates: the same documents read once more, or in batches of another size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.cells import Cell, Role
from harness.pairing import Pairing, common_documents, pair
from harness.results import CellResult
from reports.formatting import MISSING, escape, format_percent, table
from reports.identity import identity_of

__all__ = ["Repeat", "determinism_parts", "repeats"]

_INTRODUCTION = """\
The same documents, read by a model loaded anew: once more, or in batches of another size. Same text: raw responses
identical to the letter. Greedy decoding does not depend on the batch in fp32; in shorter precisions sums round
differently in a batch, and a text can change without anything being wrong: there the share is told and not judged.
"""
_LINE = 60
"""Characters of a line that the table of differences shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """One check. `pairing` is None where the log does not hold its candidate."""

    cell: str
    identity: Cell | None
    status: str
    pairing: Pairing | None

    @property
    def what(self) -> str:
        """How it was run."""
        if self.identity is None:
            return "never loaded"
        again = "read again" if self.identity.repeat > 1 else "read"
        return (
            f"{again}, batches of {self.identity.batch_size}" if self.identity.batch_size > 1 else f"{again} one by one"
        )


def repeats(results: Sequence[CellResult]) -> Sequence[Repeat]:
    """Every check among `results`, against the candidate that it repeats."""
    candidates = [(identity, r) for r in results if r.role is Role.CANDIDATE and (identity := identity_of(r))]
    found = []
    for check in (r for r in results if r.role is Role.CHECK):
        identity = identity_of(check)
        base = None if identity is None else next((r for c, r in candidates if _repeats(identity, c)), None)
        pairing = None if base is None else pair(check, base, common_documents(check, base))
        found.append(Repeat(cell=check.cell, identity=identity, status=check.status, pairing=pairing))
    return found


def _repeats(check: Cell, candidate: Cell) -> bool:
    """Whether a check is of a candidate: the same but for how many documents at a time, or for being run again."""
    return replace(check, role=candidate.role, batch_size=1, repeat=1) == replace(candidate, batch_size=1, repeat=1)


def determinism_parts(found: Sequence[Repeat], candidates: Sequence[CellResult]) -> Sequence[str]:
    """The section, in parts, the candidates that were not checked among them; empty if no check was run."""
    if not found:
        return []
    differing = _differences_table(found)
    return [
        _INTRODUCTION,
        _shares_table(found),
        _unchecked(found, [identity for r in candidates if r.answered and (identity := identity_of(r))]),
        "Every document that read differently, with the first line on which the two part:\n"
        if differing
        else "No document read differently.\n",
        differing,
    ]


def _shares_table(found: Sequence[Repeat]) -> str:
    rows = []
    for check in found:
        p = check.pairing
        if p is None:
            rows.append([escape(check.cell), MISSING, check.what, "0", MISSING, "", check.status])
            continue
        share = MISSING if p.same_text_rate is None else format_percent(p.same_text_rate)
        alone = len(p.only_cell) + len(p.only_reference)
        n = str(len(p.documents))
        rows.append([escape(check.cell), escape(p.reference), check.what, n, share, str(alone), check.status])
    header = ["Check", "Beside", "How", "n", "Same text %", "Answered by one alone", "Status"]
    return table(header, rows, "lllrrrl")


def _unchecked(found: Sequence[Repeat], candidates: Sequence[Cell]) -> str:
    """The candidates with answers of which a check was not run, by how."""
    checks = [check.identity for check in found if check.identity is not None]
    left_out = {
        "to read again": [
            c for c in candidates if not any(_repeats(check, c) and check.repeat > 1 for check in checks)
        ],
        "to read in batches of another size": [
            c
            for c in candidates
            if not any(_repeats(check, c) and check.batch_size != c.batch_size for check in checks)
        ],
    }
    lines = [f"- {how}: {', '.join(escape(c.id) for c in cells)}\n" for how, cells in left_out.items() if cells]
    return "".join(["Nothing of the kind is known of the candidates that were not asked:\n\n", *lines]) if lines else ""


def _differences_table(found: Sequence[Repeat]) -> str:
    rows = [
        [escape(check.cell), escape(d.document, 60), str(d.line), _line(d.reference), _line(d.cell)]
        for check in found
        if check.pairing is not None
        for d in check.pairing.differing
    ]
    return table(["Check", "Document", "Line", "Candidate", "Check read"], rows, "llrl") if rows else ""


def _line(line: str | None) -> str:
    return "*the end*" if line is None else escape(line, _LINE) or "*empty*"
