"""Each precision of a model beside the same model in 16 bits, on the same documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.cells import Cell
from harness.pairing import Pairing, common_documents, pair, reference_of
from harness.results import CellResult
from reports.comparisons import Comparison, adjusted, compare
from reports.identity import identity_of

__all__ = ["Change", "Recovery", "recoveries"]


class Change(StrEnum):
    """What the comparison of two precisions shows."""

    NONE = "no difference shown"
    LOWER = "lower"
    HIGHER = "higher"
    REFERENCE = "reference"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """One candidate in one precision. The comparisons are None for the reference itself, and where there is none."""

    cell: str
    identity: Cell
    reference: str | None
    """The cell that it is compared with: bf16, else the widest precision run."""
    pairing: Pairing | None
    f1: Comparison | None
    """Document F1 against the reference; p is adjusted for the precisions of this model."""
    latency: Comparison | None
    """Latency as a ratio to the reference's; None where the two had other output lengths."""
    tpot: Comparison | None
    """Time per output token likewise."""

    @property
    def change(self) -> Change:
        """What is shown of F1."""
        if self.reference == self.cell:
            return Change.REFERENCE
        if self.f1 is None or self.f1.value is None:
            return Change.NOT_COMPARED
        return Change.LOWER if self.f1.below else Change.HIGHER if self.f1.above else Change.NONE


def recoveries(candidates: Sequence[CellResult]) -> Sequence[Recovery]:
    """Every candidate whose model has a precision, the cells of a model together, in order of appearance."""
    known = {r.cell: identity for r in candidates if (identity := identity_of(r)) is not None}
    results = {known[r.cell]: r for r in candidates if r.cell in known}
    precise = [identity for identity in results if identity.quantization != "none"]
    found: list[Recovery] = []
    for family in dict.fromkeys(replace(identity, quantization="") for identity in precise):
        members = [c for c in precise if replace(c, quantization="") == family]
        found += _family([(c, results[c]) for c in members])
    return found


def _family(members: Sequence[tuple[Cell, CellResult]]) -> Sequence[Recovery]:
    """The precisions of one model that was run in one way; one that answered nothing is no reference."""
    results = dict(members)
    able = {identity: result for identity, result in members if result.answered}
    reference = reference_of(replace(members[0][0], quantization=""), able or results)
    base = None if reference is None else results[reference]
    found = [_recovery(identity, result, base) for identity, result in members]
    tested = [r.f1 for r in found if r.f1 is not None]
    judged = {c.a: c for c in adjusted(tested)}
    return [r if r.f1 is None else replace(r, f1=judged[r.cell]) for r in found]


def _recovery(identity: Cell, result: CellResult, base: CellResult | None) -> Recovery:
    recovery = Recovery(
        cell=result.cell,
        identity=identity,
        reference=None if base is None else base.cell,
        pairing=None,
        f1=None,
        latency=None,
        tpot=None,
    )
    if base is None or base is result:
        return recovery
    alike = result.fixed_length == base.fixed_length
    return replace(
        recovery,
        pairing=pair(result, base, common_documents(result, base)),
        f1=None if result.unjudged else compare("f1", result, base),
        latency=compare("latency_s", result, base) if alike else None,
        tpot=compare("tpot_s", result, base) if alike else None,
    )
