"""Reading ground truth. Nothing is guessed: every cell is text, and every mistake is named by file, row and column."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import CorpusError, UnknownNameError
from harness.schema import LIST_SEPARATOR, is_absent_in_truth
from harness.schema import field as schema_field

__all__ = ["METADATA", "TruthRow", "read_metadata", "read_truth"]

METADATA = ("kind", "layout", "stratum")
"""What may be known of a document beside its truth: results are grouped by it."""

_IMAGE_COLUMNS = ("image_file", "image_name", "image")


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthRow:
    """Ground truth of one image. A field that is not a key of `fields` is not judged; None is 'not on the document'."""

    image: str
    fields: Mapping[str, str | None]
    where: str
    """File and row, for messages."""
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_truth(path: Path) -> list[TruthRow]:
    """Read a `.csv` or `.jsonl` ground truth. Raises CorpusError naming file, row and column."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except OSError as error:
        raise CorpusError(f"{path}: cannot read the ground truth: {error.strerror}") from error
    rows = list(_csv_rows(path, text) if path.suffix.lower() == ".csv" else _jsonl_rows(path, text))
    if not rows:
        raise CorpusError(f"{path}: the ground truth has no rows")
    return rows


def _csv_rows(path: Path, text: str) -> Iterator[TruthRow]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        image_column, columns = _columns(path, header)
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise CorpusError(
                    f"{where}: {len(cells)} cells where the header has {len(header)}; quote values with commas"
                )
            given = dict(zip(header, cells, strict=True))
            image = given[image_column].strip()
            if not image:
                raise CorpusError(f"{where}, column {image_column}: no image is named")
            fields = {name: _value(given[column]) for name, column in columns.items()}
            metadata = {k: given[k].strip() for k in METADATA if given.get(k, "").strip()}
            yield TruthRow(image=image, fields=fields, where=where, metadata=metadata)
    except csv.Error as error:
        raise CorpusError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from None


def _columns(path: Path, header: list[str]) -> tuple[str, dict[str, str]]:
    if duplicates := sorted({name for name in header if header.count(name) > 1}):
        raise CorpusError(f"{path}, line 1: column {duplicates[0]!r} appears twice")
    image_columns = [name for name in _IMAGE_COLUMNS if name in header]
    if not image_columns:
        raise CorpusError(f"{path}, line 1: no image column; name one of the columns image_file or image_name")
    if len(image_columns) > 1:
        raise CorpusError(f"{path}, line 1: both {' and '.join(image_columns)} name images; keep one")
    columns: dict[str, str] = {}
    for name in header:
        if name not in (*_IMAGE_COLUMNS, *METADATA):
            known = _field_name(name, f"{path}, line 1, column {name!r}")
            if known in columns:
                raise CorpusError(f"{path}, line 1: columns {columns[known]!r} and {name!r} are the same field")
            columns[known] = name
    return image_columns[0], columns


def _field_name(name: str, where: str) -> str:
    try:
        return schema_field(name.upper()).name
    except UnknownNameError as error:
        raise CorpusError(f"{where}: {error}") from None


def _value(text: str) -> str | None:
    return None if is_absent_in_truth(text) else text.strip()


def _jsonl_rows(path: Path, text: str) -> Iterator[TruthRow]:
    for number, line in enumerate(text.split("\n"), 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        data = _json_object(line, where)
        image, fields = data.get("image"), data.get("fields")
        if not isinstance(image, str) or not image.strip():
            raise CorpusError(f'{where}: needs "image": a file name')
        if not isinstance(fields, dict):
            raise CorpusError(f'{where}: needs "fields": an object such as {{"TOTAL": "$9.00"}}')
        truth = {_field_name(k, where): _json_value(v, f"{where}, field {k}") for k, v in fields.items()}
        if len(truth) < len(fields):
            raise CorpusError(f"{where}: a field is given twice, in two spellings")
        yield TruthRow(image=image.strip(), fields=truth, where=where, metadata=_metadata(data))


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(line, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(data, dict):
        raise CorpusError(f"{where}: a JSON object is expected on each line")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _json_value(value: object, where: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return _value(value)
    if isinstance(value, list) and value and all(isinstance(v, str) and v.strip() for v in value):
        return LIST_SEPARATOR.join(v.strip() for v in value)
    raise CorpusError(f"{where}: {value!r} is neither text, null nor a list of texts; quote it exactly as printed")


def _metadata(data: Mapping[str, Any]) -> dict[str, str]:
    return {k: data[k] for k in METADATA if isinstance(data.get(k), str) and data[k]}


def read_metadata(path: Path) -> dict[str, dict[str, str]]:
    """Read a `documents.jsonl`: image name -> the METADATA it gives. Other keys are ignored."""
    found = {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            data = _json_object(line, f"{path}, line {number}")
            if isinstance(image := data.get("image"), str):
                found[image] = _metadata(data)
    return found
