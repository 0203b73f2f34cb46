"""Two cells on the same documents: what one reads better, worse, or word for word like the other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from harness.cells import Cell
from harness.errors import PairingError
from harness.results import CellResult
from harness.schema import FIELD_NAMES
from harness.scoring import Outcome
from harness.statistics import PairedDifference, paired_difference

__all__ = ["Pairing", "TextDifference", "asked_of_all", "common_documents", "pair", "reference_mode", "reference_of"]

_REFERENCES = ("bf16", "fp32", "fp16")
"""Precisions that others are measured against: 16 bits as models are trained, else the widest."""
_RIGHT = frozenset({Outcome.CORRECT, Outcome.ABSENT})
_NAMED = 5
"""Documents that an error message spells out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDifference:
    """Where the raw responses of two cells to one document part."""

    document: str
    line: int
    """Number of the first line that differs, from 1."""
    cell: str | None
    """That line of the cell's response; None where it has already ended."""
    reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """`cell` against `reference`, over the documents that both answered."""

    cell: str
    reference: str
    documents: Sequence[str]
    """Answered by both, in name order."""
    only_cell: Sequence[str]
    """Answered by `cell` alone, of those compared."""
    only_reference: Sequence[str]
    f1: PairedDifference
    """Mean over documents of F1 of `cell` minus F1 of `reference`, with interval and sign-flip p."""
    right_to_wrong: Mapping[str, Sequence[str]]
    """By field, the documents on which the reference is right and the cell is not; fields without one left out."""
    wrong_to_right: Mapping[str, Sequence[str]]
    differing: Sequence[TextDifference]
    """Documents whose raw responses are not identical, in name order."""

    @property
    def same_text_rate(self) -> float | None:
        """Share of the documents with identical raw responses; None without a document."""
        n = len(self.documents)
        return (n - len(self.differing)) / n if n else None


def reference_mode(modes: Collection[str]) -> str | None:
    """The precision among `modes` that the others are compared with: bf16, else the widest; None without a float."""
    return next((mode for mode in _REFERENCES if mode in modes), None)


def reference_of(cell: Cell, cells: Iterable[Cell]) -> Cell | None:
    """The same model, run the same way, in the reference precision among `cells`; None if there is none but `cell`."""
    alike = {c.quantization: c for c in cells if replace(c, quantization=cell.quantization) == cell}
    mode = reference_mode(alike.keys() - {cell.quantization})
    return None if mode is None else alike[mode]


def asked_of_all(cells: Sequence[CellResult]) -> Set[str]:
    """Documents that all `cells` were asked to read: what they can be ranked over."""
    return set.intersection(*(set(cell.documents) for cell in cells)) if cells else set()


def common_documents(cell: CellResult, reference: CellResult) -> Sequence[str]:
    """Names of the documents that both were asked to read, in order.

    Raises PairingError if one of them is not the same document in both: another image or another truth.
    """
    common = sorted(cell.documents.keys() & reference.documents.keys())
    changed = [
        d
        for d in common
        if cell.documents[d] is not reference.documents[d]
        and (cell.documents[d].image_sha256, cell.documents[d].truth)
        != (reference.documents[d].image_sha256, reference.documents[d].truth)
    ]
    if changed:
        raise PairingError(
            f"{cell.cell} and {reference.cell} cannot be compared: {_listing(changed)} differ in image or ground truth"
        )
    return common


def pair(cell: CellResult, reference: CellResult, documents: Collection[str] | None = None) -> Pairing:
    """Compare two cells on `documents`, or on all that they were asked to read.

    Raises PairingError if the two were not asked to read the same documents: to compare on a part of them, name it.
    """
    common = common_documents(cell, reference)
    chosen = cell.documents.keys() | reference.documents.keys() if documents is None else set(documents)
    if foreign := chosen - set(common):
        raise PairingError(
            f"{cell.cell} and {reference.cell} cannot be compared on {_listing(sorted(foreign))}: not read by both"
        )
    ours, theirs = ([d for d in common if d in chosen and d in r.answered] for r in (cell, reference))
    both = [d for d in ours if d in reference.answered]
    f1: Mapping[str, float] = cell.document_f1()
    if len(chosen) < len(common):
        f1 = {d: f1[d] for d in both if d in f1}
    return Pairing(
        cell=cell.cell,
        reference=reference.cell,
        documents=both,
        only_cell=[d for d in ours if d not in reference.answered],
        only_reference=[d for d in theirs if d not in cell.answered],
        f1=paired_difference(f1, reference.document_f1()),
        right_to_wrong=_flips(reference, cell, both),
        wrong_to_right=_flips(cell, reference, both),
        differing=list(_text_differences(cell, reference, both)),
    )


def _flips(right: CellResult, wrong: CellResult, documents: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """By field, the documents on which `right` is right and `wrong` is not."""
    found: dict[str, list[str]] = {}
    for document in documents:
        ours, others = right.scores.get(document), wrong.scores.get(document)
        if ours is others or ours is None or others is None or ours.outcomes == others.outcomes:
            continue
        for name, score in ours.fields.items():
            if score.outcome in _RIGHT and others.fields[name].outcome not in _RIGHT:
                found.setdefault(name, []).append(document)
    return {name: found[name] for name in FIELD_NAMES if name in found}


def _text_differences(cell: CellResult, reference: CellResult, documents: Sequence[str]) -> Iterator[TextDifference]:
    for document in documents:
        text, other = cell.readings[document].text or "", reference.readings[document].text or ""
        if text != other:
            ours, theirs = text.split("\n"), other.split("\n")  # splitlines would not see a missing last line break
            parted = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
            at = min(len(ours), len(theirs)) if parted is None else parted
            yield TextDifference(
                document=document,
                line=at + 1,
                cell=ours[at] if at < len(ours) else None,
                reference=theirs[at] if at < len(theirs) else None,
            )


def _listing(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
