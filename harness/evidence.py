"""The evidence log: append-only JSONL, one line per fact, flushed before anything is judged.

Everything a report says is derived from these records. A line torn by a crash is skipped and counted, never fatal;
a later record for the same (cell, document) replaces an earlier one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from harness.cells import Failure, Role
from harness.errors import EvidenceError

__all__ = [
    "SCHEMA_VERSION",
    "CellRecord",
    "DocumentRecord",
    "Evidence",
    "EvidenceLog",
    "GateRecord",
    "MemoryPeak",
    "PassRecord",
    "ReadingRecord",
    "RunRecord",
    "read_evidence",
]

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPeak:
    """Host memory of one process over one phase, in bytes; None is 'not measured', never 0."""

    rss_bytes: int | None = None
    """Highest resident set seen by sampling."""
    anonymous_bytes: int | None = None
    """Highest anonymous part of it: without mapped files, which come and go with the page cache."""
    high_water_bytes: int | None = None
    """The kernel's own high-water mark over the phase (VmHWM after a reset); exact where it exists."""
    samples: int = 0

    @property
    def peak_rss_bytes(self) -> int | None:
        """The kernel's mark where there is one, otherwise the highest sample."""
        return self.high_water_bytes if self.high_water_bytes is not None else self.rss_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Opens a run: what was asked, on what, where."""

    record: ClassVar[str] = "run"
    started: str
    """ISO 8601, UTC."""
    corpus: Mapping[str, Any]
    """name, identity, documents (count), unjudged_images (names without ground truth)."""
    prompt: Mapping[str, Any]
    """name, fingerprint."""
    provenance: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRecord:
    """One document and its truth, so that the log alone can be scored and reported."""

    record: ClassVar[str] = "document"
    document: str
    truth: Mapping[str, str | None]
    """Judged fields only: verbatim value, or None where the document does not carry the field."""
    kind: str | None = None
    layout: str | None = None
    stratum: str | None = None
    image_sha256: str | None = None
    image: str | None = None
    """Path as given, for people; may not exist where the report is rendered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRecord:
    """Opens a cell's pass: the documents it was asked to read, so that a cut log shows what is missing."""

    record: ClassVar[str] = "pass"
    cell: str
    role: Role
    documents: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRecord:
    """One load of a cell's worker. `failure` is set when the cell could not load at all."""

    record: ClassVar[str] = "cell"
    cell: str
    backend: str
    quantization: str
    runtime: str
    device: str
    role: Role
    failure: Failure | None = None
    message: str | None = None
    load_s: float | None = None
    """From the request to load until the backend had answered a first image; process start-up apart."""
    spawn_s: float | None = None
    """Starting the process and importing the harness."""
    memory: MemoryPeak = MemoryPeak()
    facts: Mapping[str, Any] = field(default_factory=dict)
    restart: int = 0
    """0 for the first worker of the cell, 1 for the one that followed its first failure, and so on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingRecord:
    """One inference."""

    record: ClassVar[str] = "reading"
    cell: str
    document: str
    failure: Failure | None = None
    message: str | None = None
    text: str | None = None
    """The raw response; None if there was none."""
    latency_s: float | None = None
    """Request in, text out, on the worker's clock: decoding the image file included."""
    phases: Mapping[str, float] = field(default_factory=dict)
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    stop: str | None = None
    memory: MemoryPeak = MemoryPeak()


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRecord:
    """One verdict of one evaluation test."""

    record: ClassVar[str] = "gate"
    test: str
    cell: str | None
    metric: str
    verdict: str
    """pass, fail, inconclusive, or no-budget."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    bound: str | None = None
    """`at least` or `at most`: on which side of the limit the metric must lie."""
    limit: float | None = None
    message: str = ""


Record = RunRecord | DocumentRecord | PassRecord | CellRecord | ReadingRecord | GateRecord
_RECORDS: Mapping[str, type[Record]] = {
    cls.record: cls for cls in (RunRecord, DocumentRecord, PassRecord, CellRecord, ReadingRecord, GateRecord)
}


class EvidenceLog:
    """Appends records to one file. Safe for several processes: each line is one O_APPEND write."""

    def __init__(self, path: Path) -> None:
        """Open for appending, mending a torn last line by ending it; raises EvidenceError."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            size = os.fstat(self._fd).st_size
            if size and os.pread(self._fd, 1, size - 1) != b"\n":
                os.write(self._fd, b"\n")
        except OSError as error:
            raise EvidenceError(f"{path}: cannot open the evidence log: {error.strerror}") from error

    def append(self, record: Record) -> None:
        """Write one record; it is in the kernel's hands on return. Raises EvidenceError (a full disk, say)."""
        payload = {"schema": SCHEMA_VERSION, "record": record.record, **asdict(record)}
        line = (json.dumps(payload, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "backslashreplace")
        try:
            written = os.write(self._fd, line)
            if written != len(line):  # a full disk cuts a write short: the next attempt says why
                os.write(self._fd, line[written:])
        except OSError as error:
            raise EvidenceError(
                f"{self.path}: cannot write evidence: {error.strerror}. What was written before is kept; "
                "make room and continue with --eval-resume"
            ) from error

    def close(self) -> None:
        """Close the file; appending afterwards is an error."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One log, read. Readings and cells keep the order in which they first appeared."""

    path: Path
    runs: Sequence[RunRecord]
    documents: Mapping[str, DocumentRecord]
    passes: Mapping[str, PassRecord]
    """The latest pass by cell id."""
    cells: Mapping[str, Sequence[CellRecord]]
    """Loads by cell id, in order; the last one says how the cell ended."""
    readings: Mapping[str, Mapping[str, ReadingRecord]]
    """By cell id, then document."""
    gates: Sequence[GateRecord]
    skipped_lines: int
    """Lines that could not be read: torn by a crash or damaged."""


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _parse(line: bytes) -> Record | None:
    try:
        data = json.loads(line, parse_constant=_refuse)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    if isinstance(version := data.get("schema"), int) and version > SCHEMA_VERSION:
        raise EvidenceError(f"written by a newer version (schema {version}; this one reads up to {SCHEMA_VERSION})")
    cls = _RECORDS.get(str(data.get("record")))
    if cls is None:
        return None
    known = {f.name for f in fields(cls)}
    values = {k: v for k, v in data.items() if k in known}
    try:
        if isinstance(values.get("memory"), dict):
            values["memory"] = MemoryPeak(**values["memory"])
        if values.get("failure") is not None:
            values["failure"] = Failure(values["failure"])
        if "role" in values:
            values["role"] = Role(values["role"])
        return cls(**values)
    except (TypeError, ValueError):
        return None


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise EvidenceError(f"{path}: cannot read the evidence log: {error.strerror}") from error


def read_evidence(path: Path) -> Evidence:
    """Read a log, whole or cut anywhere. Raises EvidenceError if it cannot be opened or is of a newer schema."""
    runs: list[RunRecord] = []
    documents: dict[str, DocumentRecord] = {}
    passes: dict[str, PassRecord] = {}
    cells: dict[str, list[CellRecord]] = {}
    readings: dict[str, dict[str, ReadingRecord]] = {}
    gates: dict[tuple[str, str], GateRecord] = {}
    skipped = 0
    for number, line in enumerate(_lines(path), 1):
        if line.isspace():
            continue
        try:
            record = _parse(line)
        except EvidenceError as error:
            raise EvidenceError(f"{path}, line {number}: {error}") from None
        match record:
            case RunRecord():
                runs.append(record)
            case DocumentRecord():
                documents[record.document] = record
            case PassRecord():
                passes[record.cell] = record
            case CellRecord():
                cells.setdefault(record.cell, []).append(record)
            case ReadingRecord():
                readings.setdefault(record.cell, {})[record.document] = record
            case GateRecord():
                gates[record.test, record.metric] = record
            case None:
                skipped += 1
    return Evidence(
        path=path,
        runs=runs,
        documents=documents,
        passes=passes,
        cells=cells,
        readings=readings,
        gates=list(gates.values()),
        skipped_lines=skipped,
    )
