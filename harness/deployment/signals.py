"""What an answer shows about itself without any truth: the signals that a router goes by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from harness.responses import NoteKind
from harness.results import CellResult

__all__ = ["Signal", "signal_values"]

_DOUBTFUL = tuple(kind for kind in NoteKind if kind is not NoteKind.JSON)
"""Remarks of the parser that an orderly answer earns none of."""


class Signal(StrEnum):
    """What the fast cell's answer shows without any truth; higher is more trustworthy."""

    ABN = "ABN checksum"
    GST = "GST arithmetic"
    NOTES = "notes of the parser"
    CHECKS = "all three together"
    LOGPROB = "mean token log-probability"


def signal_values(result: CellResult, documents: Sequence[str]) -> Mapping[Signal, Mapping[str, float] | str]:
    """Each signal of a cell's answers by document, or why the evidence does not carry it.

    Checks: 0 failed or not parsable, 0.5 does not apply, 1 holds. Notes: minus the kinds of remarks; an answer that
    cannot be parsed is below all others. Log-probability: natural logarithm, of answers of a single call alone: an
    answer put together from several has no one of its own.
    """
    abn = {d: _check(result, d, ("abn_checksum",)) for d in documents}
    gst = {d: _check(result, d, ("gst_is_total_over_11", "subtotal_plus_gst_is_total")) for d in documents}
    notes = {d: _notes(result, d) for d in documents}
    together = {d: abn[d] + gst[d] + notes[d] for d in documents}
    told = {d: result.readings[d].facts.get("mean_logprob") for d in documents if result.readings[d].calls == 1}
    logprob = {d: float(v) for d, v in told.items() if isinstance(v, int | float)}
    missing = len(documents) - len(logprob)
    return {
        Signal.ABN: abn,
        Signal.GST: gst,
        Signal.NOTES: notes,
        Signal.CHECKS: together,
        Signal.LOGPROB: f"not recorded for {missing} of {len(documents)} documents" if missing else logprob,
    }


def _check(result: CellResult, document: str, names: Sequence[str]) -> float:
    score = result.scores[document]
    if not score.parsable:
        return 0.0
    found = [score.diagnostics[name] for name in names if name in score.diagnostics]
    return float(all(found)) if found else 0.5


def _notes(result: CellResult, document: str) -> float:
    response = result.responses[document]
    return 0.0 - (sum(response.has(kind) for kind in _DOUBTFUL) if response.parsable else len(_DOUBTFUL) + 1)
