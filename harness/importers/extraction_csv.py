"""A table of extracted fields, one image a row: `image_name` and columns named like the fields of the schema."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.cells import Cell, Role
from harness.documents.truth import read_truth
from harness.errors import UnknownNameError
from harness.evidence import DocumentRecord, PassRecord, ReadingRecord, Record
from harness.importers.sources import UNTOLD, ImporterError, Place, load_record, opening, read_csv
from harness.responses import render_response
from harness.schema import field as schema_field
from harness.schema import is_absent_in_truth

__all__ = ["import_extraction_csv"]

_KIND = "extraction-csv"
_IMAGE = "image_name"
_NOTES = (
    "the source holds fields, not responses: the text of each reading is written from them",
    "an empty cell is no answer; N/A says that the document does not carry the field",
)


def import_extraction_csv(
    source: Path,
    *,
    truth: Path | None = None,
    model: str | None = None,
    quantization: str | None = None,
    device: str = UNTOLD,
) -> Sequence[Record]:
    """Records of the table: one cell, named `model` (else like the file). Without `truth` nothing is judged.

    Raises ImporterError or CorpusError, naming file, row and column.
    """
    rows = read_csv(source, (_IMAGE,))
    columns = {name: _field(name, rows[0], source) for name in rows[0].value if name != _IMAGE}
    if len(set(columns.values())) < len(columns):
        raise ImporterError(f"{source}, row 1: a field is given twice, in two spellings")
    truths = {} if truth is None else {row.image: row.fields for row in read_truth(truth)}
    cell = Cell(model=model or source.stem, quantization=quantization or "none", device=device)
    readings: dict[str, ReadingRecord] = {}
    for row in rows:
        image = row.at(_IMAGE).text().strip()
        if image in readings:
            raise ImporterError(f"{row.where}: {image!r} is answered twice")
        if truth is not None and image not in truths:
            raise ImporterError(f"{row.where}: {image!r} has no row in {truth}")
        readings[image] = ReadingRecord(cell=cell.id, document=image, text=_text(row, columns))
    documents = truths or {image: {} for image in readings}
    return [
        opening(
            _KIND,
            {source.name: source, **({} if truth is None else {truth.name: truth})},
            corpus={"name": (truth or source).stem, "identity": _identity(documents), "documents": len(documents)},
            prompt={"name": "not told by the source", "fingerprint": None},
            notes=_NOTES,
        ),
        *(DocumentRecord(document=name, truth=fields) for name, fields in documents.items()),
        PassRecord(cell=cell.id, role=Role.CANDIDATE, documents=list(documents), prompt="not told"),
        load_record(_KIND, cell),
        *readings.values(),
    ]


def _field(column: str, row: Place, source: Path) -> str:
    try:
        return schema_field(column.upper()).name
    except UnknownNameError as error:
        raise ImporterError(f"{source}, row 1, column {column!r}: {error}") from None


def _text(row: Place, columns: Mapping[str, str]) -> str:
    given = {name: row.value[column].strip() for column, name in columns.items() if row.value[column].strip()}
    broken = {name: " ".join(value.split()) for name, value in given.items()}  # a line break would end the value
    return render_response({name: None if is_absent_in_truth(value) else value for name, value in broken.items()})


def _identity(documents: Mapping[str, Mapping[str, str | None]]) -> str:
    told = json.dumps([[name, sorted(fields.items())] for name, fields in sorted(documents.items())])
    return hashlib.sha256(told.encode()).hexdigest()
