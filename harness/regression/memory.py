"""Does it take more memory than in the baseline? Peaks and weights; budgets are judged elsewhere, by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from harness.gates import Verdict
from harness.regression.baseline import BaselineRun
from harness.regression.gate import Change, Kind, Margins, RegressionGate, Status

__all__ = ["judge_memory"]

_UNLIKE = frozenset(
    {Status.OTHER_DEVICE, Status.SAMPLED, Status.MISSING_DOCUMENT, Status.NEW_DOCUMENT, Status.CHANGED_IMAGE}
)
"""Peaks of other devices or over other documents are not the same peak."""
_WEIGHTS_SHARE = 0.1
"""Of the margin of peaks, that weights may grow by: they are counted, not sampled."""


def judge_memory(
    cell: str,
    current: Sequence[BaselineRun],
    baseline: Sequence[BaselineRun],
    margins: Margins,
    changes: Sequence[Change] = (),
) -> Sequence[RegressionGate]:
    """One gate for each size that the baseline tells: the highest of the runs now against the highest then.

    A size that was measured then and is not now is INCONCLUSIVE; so is a peak on another device, or over other
    documents.
    """
    return [
        _judge(cell, name, _highest(current, name), then, margins, changes)
        for name in ("weights_bytes", "peak_rss_bytes", "peak_vram_bytes")
        if (then := _highest(baseline, name)) is not None
    ]


def _highest(runs: Sequence[BaselineRun], name: str) -> int | None:
    return max((run.sizes[name] for run in runs if name in run.sizes), default=None)


def _judge(
    cell: str, name: str, now: int | None, then: int, margins: Margins, changes: Sequence[Change]
) -> RegressionGate:
    weights = name == "weights_bytes"
    limit = margins.memory_percent / 100 * (_WEIGHTS_SHARE if weights else 1)
    elsewhere = [c.message for c in changes if c.status in _UNLIKE and not weights]
    grown = None if now is None or not then else now / then - 1
    if grown is None:
        verdict, message = Verdict.INCONCLUSIVE, f"{name}: {_size(then)} in the baseline, and not measured now"
    else:
        verdict = Verdict.FAIL if grown > limit else Verdict.PASS
        message = (
            f"{name} {_size(then)} -> {_size(now or 0)} ({100 * grown:+.1f} %), at most +{100 * limit:g} % allowed"
        )
        if elsewhere:
            verdict, message = Verdict.INCONCLUSIVE, f"{message}; not judged: {elsewhere[0]}"
    return RegressionGate(
        cell=cell,
        kind=Kind.MEMORY,
        metric=name,
        verdict=verdict,
        message=message,
        difference=grown,
        limit=limit,
        n=0 if now is None else 1,
    )


def _size(value: int) -> str:
    return f"{value / 2**20:.1f} MiB"
