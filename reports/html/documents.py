"""What the document browser shows: truth and answers of every document, or of the worst where there are very many."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from harness.cells import Failure
from harness.evidence import DocumentRecord, ReadingRecord
from harness.schema import FIELD_NAMES
from harness.scoring import document_f1
from harness.scoring.outcomes import DocumentScore, Outcome
from reports.html.images import ImageSource, Picture
from reports.summary import CellSummary, Summary

__all__ = ["Browser", "browser_of"]

_ANSWERS = 6_000
"""With more answers than this, a page would be slow: only the worst documents are in it."""
_FEWEST = 50
"""Documents that are in it however many cells there are."""
_PICTURES = 24_000_000
"""Characters of images, after which the documents have none."""
_VALUE = 2_000
_TEXT = 20_000
"""Characters of one value, and of one raw response: a model in a loop writes many more."""
_OPEN = 4
"""Cells that are shown side by side at first."""
_NO_FOLDER = "The images are not at hand: render the log with --images DIR to have them here."
_FULL = "Left out: the page already holds as many images as a browser bears."
_LETTERS = MappingProxyType(
    {
        Outcome.CORRECT: "C",
        Outcome.WRONG: "W",
        Outcome.OMITTED: "O",
        Outcome.HALLUCINATED: "H",
        Outcome.ABSENT: "A",
        Outcome.UNANSWERED: "U",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """Data of the page's document browser."""

    json: str
    """Safe inside a script element."""
    pictures: Sequence[str]
    """Data URIs, by the number that a document's `image` gives."""


def browser_of(summary: Summary, images: ImageSource | None) -> Browser:
    """The documents of a report, the images taken from `images`."""
    names, fields = _chosen(summary), _fields(summary)
    pictures: list[str] = []
    documents = []
    room = _PICTURES
    for name in names:
        record = summary.evidence.documents[name]
        picture = _picture(record, images) if room > 0 else Picture(uri=None, note=_FULL)
        if picture.uri is not None:
            room -= len(picture.uri)
            pictures.append(picture.uri)
        documents.append(
            {
                "name": name,
                "kind": record.kind,
                "stratum": record.stratum,
                "layout": record.layout,
                "image": None if picture.uri is None else len(pictures) - 1,
                "note": picture.note,
                "truth": [_cut(value) if (value := record.truth.get(f)) is not None else None for f in fields],
                "answers": [_answer(cell, name, fields) for cell in summary.cells],
            }
        )
    data = {
        "fields": fields,
        "cells": _cells(summary),
        "documents": documents,
        "total": len(summary.documents),
        "judges": [c.cell for c in _judges(summary)],
    }
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Browser(json=text.replace("<", "\\u003c"), pictures=pictures)


def _picture(record: DocumentRecord, images: ImageSource | None) -> Picture:
    return Picture(uri=None, note=_NO_FOLDER) if images is None else images.picture(record)


def _chosen(summary: Summary) -> Sequence[str]:
    """All documents in the order of the log; of too many those with the lowest F1, the worst first."""
    names = list(summary.documents)
    most = max(_FEWEST, _ANSWERS // max(1, len(summary.cells)))
    if len(names) <= most:
        return names
    judges = [(c.result, c.result.document_f1().plain()) for c in _judges(summary)]

    def badness(name: str) -> tuple[float, str]:
        marks = [f1.get(name, float(name in r.scores)) for r, f1 in judges if name in r.documents]
        return statistics.fmean(marks or [1.0]), name

    return sorted(names, key=badness)[:most]


def _judges(summary: Summary) -> Sequence[CellSummary]:
    """The cells whose mean F1 says which documents are the worst; what they could not answer counts as 0."""
    return [c for c in summary.detailed if not c.is_control]


def _fields(summary: Summary) -> Sequence[str]:
    judged = {f for record in summary.evidence.documents.values() for f in record.truth}
    return [f for f in FIELD_NAMES if f in judged]


def _cells(summary: Summary) -> Sequence[Mapping[str, Any]]:
    first = summary.candidates if len(summary.candidates) <= _OPEN else summary.detailed or summary.candidates
    opened = {c.cell for c in [*first, *summary.controls][: max(1, min(_OPEN, len(first)))]}
    return [
        {"name": c.cell, "control": c.is_control, "open": c.cell in opened, "unscored": c.result.unjudged}
        for c in summary.cells
    ]


def _answer(cell: CellSummary, name: str, fields: Sequence[str]) -> Mapping[str, Any] | None:
    """What one cell said about one document; None if it was not asked."""
    result = cell.result
    if name not in result.documents:
        return None
    reading = result.readings.get(name)
    if reading is None:
        return {"failure": Failure.NOT_RUN.value, "message": "the log holds no reading of it"}
    told = _told(reading)
    if reading.failure is not None:
        return {"failure": reading.failure.value, "message": _cut(reading.message or ""), **told}
    if (score := result.scores.get(name)) is not None:
        return {**_scored(score, fields), **told}
    response = result.responses.get(name)
    given = {} if response is None else response.fields
    return {"values": {i: _cut(v) for i, f in enumerate(fields) if (v := given.get(f)) is not None}, **told}


def _told(reading: ReadingRecord) -> Mapping[str, Any]:
    found = {
        "text": None if reading.text is None else reading.text[:_TEXT],
        "length": None if reading.text is None else len(reading.text),
        "latency": reading.latency_s if reading.latency_s is not None and math.isfinite(reading.latency_s) else None,
        "tokens": reading.output_tokens,
        "stop": reading.stop,
        "batch": reading.batch_size if reading.batch_size > 1 else None,
        "path": reading.path if reading.path != "single" else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _scored(score: DocumentScore, fields: Sequence[str]) -> Mapping[str, Any]:
    """Outcomes as a letter a field (`-` where the truth does not speak); answers only where they differ from truth."""
    outcomes, values, errors = [], {}, {}
    for i, name in enumerate(fields):
        field = score.fields.get(name)
        outcomes.append("-" if field is None else _LETTERS[field.outcome])
        if field is not None and field.answer is not None and field.answer != field.truth:
            values[i] = _cut(field.answer)
        if field is not None and field.error is not None:
            errors[i] = field.error.value
    return {
        "f1": document_f1(score),
        "outcomes": "".join(outcomes),
        "values": values,
        "errors": errors,
        "notes": list(score.notes),
        "checks": dict(score.diagnostics),
    }


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}… ({len(text)} characters)"
