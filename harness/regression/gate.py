"""What a comparison with a baseline says: margins, statuses that are never silent, and verdicts with their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.gates import Verdict

__all__ = ["Change", "FieldFlips", "Kind", "Margins", "RegressionGate", "Status", "best_quality", "worst"]


class Status(StrEnum):
    """How a cell of this run stands to the baseline; the most telling first."""

    MISSING = "missing"
    """In the baseline, and not in this run."""
    CHANGED_TRUTH = "changed-truth"
    CHANGED_IMAGE = "changed-image"
    MISSING_DOCUMENT = "missing-document"
    RENAMED = "renamed"
    NEW = "new"
    """In this run, and not in the baseline."""
    NEW_DOCUMENT = "new-document"
    CHANGED_PROMPT = "changed-prompt"
    CHANGED_SETTINGS = "changed-settings"
    CHANGED_WEIGHTS = "changed-weights"
    CHANGED_PIXELS = "changed-pixels"
    OTHER_DEVICE = "other-device"
    STALE_SCORER = "stale-scorer"
    """Saved by another version of the scorer; its raw answers were scored again by this one."""
    CHANGED_PACKAGES = "changed-packages"
    SAMPLED = "sampled"
    """One side read a sample of the other's documents, on purpose."""
    SAME = "same"


_BROKEN = frozenset({Status.MISSING, Status.CHANGED_TRUTH, Status.CHANGED_IMAGE, Status.MISSING_DOCUMENT})
_UNASKED = frozenset(
    {Status.RENAMED, Status.NEW, Status.NEW_DOCUMENT}
    | {Status.CHANGED_PROMPT, Status.CHANGED_SETTINGS, Status.CHANGED_WEIGHTS, Status.CHANGED_PIXELS}
)


class Kind(StrEnum):
    """What a gate is about."""

    QUALITY = "quality"
    LATENCY = "latency"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """How much worse than the baseline is still allowed."""

    points: float = 2.0
    """Of mean document F1, in points of 100: PASS needs the drop proven smaller."""
    latency_percent: float = 10.0
    """A slowdown of this much must not pass: FAIL from half of it on."""
    memory_percent: float = 10.0
    """Of peak memory; weights may grow by a tenth of it."""
    accepted: frozenset[Status] = frozenset()
    """Changes made on purpose, such as other weights: they are told, and no longer keep a gate from passing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One way in which this run is not like the baseline."""

    status: Status
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldFlips:
    """One field (or `hallucinations`: documents with more or fewer invented values) against the baseline."""

    field: str
    worse: Sequence[str]
    """Documents on which it was right and is not any more."""
    better: Sequence[str]
    p: float
    """One-sided exact binomial, adjusted by Holm's method over all fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionGate:
    """One verdict on one cell against its baseline. Shares are of 1, not points; None is 'cannot be told'."""

    cell: str
    kind: Kind
    metric: str
    """`f1_difference`, `latency_ratio`, or the name of a size."""
    verdict: Verdict
    message: str
    difference: float | None = None
    """Mean document F1 now minus then; of times and sizes now / then, minus 1."""
    low: float | None = None
    """One-sided 95 % bounds of the difference."""
    high: float | None = None
    limit: float | None = None
    """Where the difference must lie above (quality) or below (costs) for a PASS."""
    p: float | None = None
    n: int = 0
    """Documents on both sides; samples of a peak."""
    fields: Sequence[FieldFlips] = ()
    """Fields that got worse anywhere, the most telling first."""
    broken: Sequence[str] = ()
    """Documents newly without an answer, unparsable, truncated or empty, each with what it is."""
    detectable: float | None = None
    """The smallest true drop that this many documents show four times in five."""
    needed: int | None = None
    """Documents that would decide it."""

    @property
    def is_higher_better(self) -> bool:
        """Whether the difference should be large rather than small."""
        return self.kind is Kind.QUALITY


def best_quality(status: Status, accepted: frozenset[Status] = frozenset()) -> Verdict:
    """The best verdict on quality that a cell of this status can have, whatever its numbers say."""
    if status in accepted:
        return Verdict.PASS
    return Verdict.FAIL if status in _BROKEN else Verdict.INCONCLUSIVE if status in _UNASKED else Verdict.PASS


def worst(*verdicts: Verdict) -> Verdict:
    """FAIL before INCONCLUSIVE before PASS; PASS of none."""
    return next((v for v in (Verdict.FAIL, Verdict.INCONCLUSIVE) if v in verdicts), Verdict.PASS)
