"""What is wrong with the documents themselves: their truth or their images, whichever model reads them."""

from __future__ import annotations

from collections.abc import Sequence

from harness.cells import Failure
from harness.scoring import is_readable
from reports.summary import Summary

__all__ = ["document_doubts"]

_NAMED = 3


def document_doubts(summary: Summary) -> Sequence[str]:
    """One sentence for each kind of doubt, with the first few documents that it is about."""
    found = [_unreadable_truth(summary), _no_field(summary), _unreadable_images(summary), _without_truth(summary)]
    return [sentence for sentence in found if sentence]


def _unreadable_truth(summary: Summary) -> str:
    """Right answers in other words would count as wrong."""
    found = [
        f"{name} {field} {value!r}"
        for name in summary.documents
        for field, value in summary.evidence.documents[name].truth.items()
        if value is not None and not is_readable(field, value)
    ]
    return _told("Ground truth that its field cannot read, so that only the same text is right", found)


def _no_field(summary: Summary) -> str:
    documents = [summary.evidence.documents[name] for name in summary.documents]
    if not documents or any(document.truth for document in documents):
        return ""
    return "The ground truth names no field of the schema: nothing is scored."


def _unreadable_images(summary: Summary) -> str:
    bad = {
        document: None
        for cell in summary.cells
        if cell.result.failures[Failure.BAD_IMAGE]
        for document, reading in cell.result.readings.items()
        if reading.failure is Failure.BAD_IMAGE
    }
    of = f"{len(bad)} of {len(summary.documents)} documents"
    return _told(f"Images that cannot be read, so that nothing is judged of {of}", list(bad))


def _without_truth(summary: Summary) -> str:
    images = summary.corpus.get("unjudged_images") or ()
    return _told("Images without ground truth, which nobody was asked to read", list(map(str, images)))


def _told(what: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{what}: {', '.join(names[:_NAMED])}{more}." if names else ""
