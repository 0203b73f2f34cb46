"""Ground truth that its own field cannot read: right answers in other words would count as wrong."""

from __future__ import annotations

from collections.abc import Sequence

from harness.scoring import is_readable
from reports.summary import Summary

__all__ = ["unreadable_truth"]

_NAMED = 3


def unreadable_truth(summary: Summary) -> str | None:
    """One sentence with the first few such values, by document and field; None where every value can be read."""
    found: Sequence[tuple[str, str, str]] = [
        (name, field, value)
        for name in summary.documents
        for field, value in summary.evidence.documents[name].truth.items()
        if value is not None and not is_readable(field, value)
    ]
    if not found:
        return None
    named = ", ".join(f"{document} {field} {value!r}" for document, field, value in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"Ground truth that its field cannot read, so that only the same text is right: {named}{more}."
