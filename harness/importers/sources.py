"""Reading foreign files: every value knows where it stands, so that every mistake is named by file, row and field."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cells import Cell
from harness.errors import DocvlmError
from harness.evidence import CellRecord, RunRecord

__all__ = [
    "UNTOLD",
    "ImporterError",
    "Place",
    "load_record",
    "opening",
    "read_csv",
    "read_json",
    "read_jsonl",
    "sha256_of",
]

UNTOLD = "untold"
"""Stands where a cell's name needs what the source does not tell."""


class ImporterError(DocvlmError, ValueError):
    """A published result cannot be imported as it is."""


@dataclass(frozen=True, slots=True)
class Place:
    """A value and where it stands."""

    value: Any
    where: str
    """File and row, then the fields on the way to it."""

    def at(self, key: str) -> Place:
        """The value of a field; raises ImporterError if there is none."""
        if not isinstance(self.value, dict):
            raise ImporterError(f"{self.where}: an object with the field {key!r} is expected, not {self._shown()}")
        if key not in self.value:
            raise ImporterError(f"{self.where}: there is no field {key!r}")
        return Place(self.value[key], f"{self.where}, field {key}")

    def told(self, key: str) -> bool:
        """Whether a field is there and says something."""
        return isinstance(self.value, dict) and self.value.get(key) not in (None, "")

    def items(self) -> Sequence[Place]:
        """The entries of a list; raises ImporterError if it is none."""
        if not isinstance(self.value, list):
            raise ImporterError(f"{self.where}: a list is expected, not {self._shown()}")
        return [Place(item, f"{self.where}[{i}]") for i, item in enumerate(self.value)]

    def filled(self) -> Sequence[Place]:
        """The entries of a list that has some; raises ImporterError if it has none."""
        if not (found := self.items()):
            raise ImporterError(f"{self.where}: the list is empty")
        return found

    def entries(self) -> Mapping[str, Place]:
        """The fields of an object; raises ImporterError if it is none."""
        if not isinstance(self.value, dict):
            raise ImporterError(f"{self.where}: an object is expected, not {self._shown()}")
        return {key: Place(value, f"{self.where}, field {key}") for key, value in self.value.items()}

    def text(self) -> str:
        """The value as text; raises ImporterError if it is none, or is empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise ImporterError(f"{self.where}: text is expected, not {self._shown()}")
        return self.value

    def number(self) -> float:
        """The value as a finite number of at least 0; raises ImporterError. Text of a table is read as a number."""
        try:
            if isinstance(self.value, bool):
                raise ValueError
            found = float(self.value)
        except (TypeError, ValueError, OverflowError):
            raise ImporterError(f"{self.where}: a number is expected, not {self._shown()}") from None
        if not math.isfinite(found) or found < 0:
            raise ImporterError(f"{self.where}: a number of at least 0 is expected, not {self._shown()}")
        return found

    def positive(self) -> float:
        """The value as a number above 0; raises ImporterError."""
        if (found := self.number()) == 0:
            raise ImporterError(f"{self.where}: a number above 0 is expected, not {self._shown()}")
        return found

    def count(self) -> int:
        """The value as a whole number of at least 0; raises ImporterError."""
        if not (found := self.number()).is_integer():
            raise ImporterError(f"{self.where}: a whole number is expected, not {self._shown()}")
        return int(found)

    def _shown(self) -> str:
        text = repr(self.value)
        return text if len(text) <= 60 else f"{text[:57]}..."


def _bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImporterError(f"{path}: cannot be read: {reason}") from error


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImporterError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None


def _parsed(text: str, where: str) -> Place:
    try:
        return Place(json.loads(text), where)
    except (ValueError, RecursionError) as error:
        raise ImporterError(f"{where}: not valid JSON: {error}") from None


def read_json(path: Path) -> Place:
    """The JSON value of a file; raises ImporterError."""
    return _parsed(_text(path), str(path))


def read_jsonl(path: Path) -> Iterator[Place]:
    """The JSON value of each line of a file, which may be gzipped; raises ImporterError."""
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            yield _parsed(line, f"{path}, line {number}")


def read_csv(path: Path, needed: Collection[str]) -> Sequence[Place]:
    """The rows of a table with at least the `needed` columns, values as text; raises ImporterError."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    rows = []
    try:
        header = [name.strip() for name in next(reader, [])]
        if missing := [name for name in needed if name not in header]:
            raise ImporterError(f"{path}, row 1: there is no column {missing[0]!r}")
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise ImporterError(f"{path}, row 1: column {twice[0]!r} appears twice")
        for number, cells in enumerate(reader, 2):
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise ImporterError(f"{path}, row {number}: {len(cells)} cells where the header has {len(header)}")
            rows.append(Place(dict(zip(header, cells, strict=True)), f"{path}, row {number}"))
    except csv.Error as error:
        raise ImporterError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from None
    if not rows:
        raise ImporterError(f"{path}: the table has no rows")
    return rows


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes; raises ImporterError."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ImporterError(f"{path}: cannot be read: {error.strerror}") from error


def load_record(kind: str, cell: Cell, **told: Any) -> CellRecord:
    """The load record of an imported cell; its facts: that it was imported, and what the source tells of it."""
    return CellRecord(
        cell=cell.id,
        model=cell.model,
        quantization=cell.quantization,
        runtime=cell.runtime,
        device=cell.device,
        repeat=cell.repeat,
        role=cell.role,
        facts={"imported": kind, **{name: value for name, value in told.items() if value is not None}},
    )


def opening(
    kind: str,
    files: Mapping[str, Path],
    *,
    corpus: Mapping[str, Any],
    prompt: Mapping[str, Any],
    notes: Sequence[str],
    started: str = "not told by the source",
) -> RunRecord:
    """The run record of an imported log: `files` by the name that the log tells of each, `notes` on what is known.

    The same files give the same record: no clock and no folder of this machine is in it.
    """
    hashes = {name: sha256_of(path) for name, path in files.items()}
    imported = {"kind": kind, "source": list(files), "sha256": hashes, "notes": list(notes)}
    return RunRecord(started=started, corpus=corpus, prompt=prompt, provenance={"imported": imported})
