"""Reading evidence: whole logs, logs that a crash cut, and refusing what is no log at all."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from harness.cells import Role
from harness.errors import EvidenceError
from harness.evidence.records import (
    SCHEMA_VERSION,
    AggregateRecord,
    CeilingsRecord,
    CellRecord,
    ClaimRecord,
    DocumentRecord,
    GateRecord,
    PassRecord,
    PictureRecord,
    PictureSetRecord,
    ProfileRecord,
    QuestionRecord,
    ReadingRecord,
    Record,
    RunRecord,
    SweepRecord,
)
from harness.schema import FIELDS

__all__ = ["Evidence", "read_evidence"]

_RECORDS: Mapping[str, type[Record]] = types.MappingProxyType(
    {
        cls.record: cls
        for cls in (
            RunRecord,
            DocumentRecord,
            PassRecord,
            PictureSetRecord,
            PictureRecord,
            QuestionRecord,
            CellRecord,
            ReadingRecord,
            SweepRecord,
            CeilingsRecord,
            ProfileRecord,
            GateRecord,
            AggregateRecord,
            ClaimRecord,
        )
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One log, read. Readings and cells keep the order in which they first appeared."""

    path: Path
    runs: Sequence[RunRecord]
    documents: Mapping[str, DocumentRecord]
    passes: Mapping[str, PassRecord]
    """The latest pass by cell id; a check of some documents does not replace what was a candidate itself."""
    cells: Mapping[str, Sequence[CellRecord]]
    """Loads by cell id, in order; the last one says how the cell ended."""
    readings: Mapping[str, Mapping[str, ReadingRecord]]
    """The latest reading by cell id, then document."""
    retried: Sequence[ReadingRecord]
    """Failed readings that a later reading of the same cell and document replaced."""
    sweeps: Mapping[str, Mapping[int, SweepRecord]]
    """The latest step by cell id, then batch size."""
    gates: Sequence[GateRecord]
    """Of the latest run only: an earlier one may have had other limits."""
    skipped_lines: int
    """Lines that could not be read: torn by a crash or damaged."""
    aggregates: Sequence[AggregateRecord] = ()
    """Imported numbers whose single inferences are not known, in order."""
    claims: Sequence[ClaimRecord] = ()
    """What the source of an imported log published, beside what its data say."""
    ceilings: Mapping[tuple[str, str], CeilingsRecord] = field(default_factory=dict)
    """The latest measurement that succeeded by device and dtype, or the latest failed one."""
    profile: ProfileRecord | None = None
    """Of the latest run, where it was asked for."""
    picture_set: PictureSetRecord | None = None
    """The latest; None where no task was asked about pictures."""
    pictures: Mapping[str, PictureRecord] = field(default_factory=dict)
    questions: Mapping[str, QuestionRecord] = field(default_factory=dict)
    """By key."""
    task_passes: Mapping[str, PassRecord] = field(default_factory=dict)
    """The latest pass over questions by cell id; none of them is among `passes`."""

    @property
    def imported(self) -> Mapping[str, Any] | None:
        """Kind, source files and hashes of a log that was imported; None of one that was measured here."""
        found = self.runs[-1].provenance.get("imported") if self.runs else None
        return found if isinstance(found, Mapping) else None

    @property
    def disturbance(self) -> str | None:
        """Why no time, rate or energy of the log judges anything: its models ran side by side. None if none did."""
        most = max([(run.options.get("shared") or {}).get("workers", 1) for run in self.runs], default=1)
        return f"models ran side by side, {most} at a time" if most > 1 else None


def read_evidence(path: Path) -> Evidence:
    """Read a log, whole or cut anywhere.

    Raises EvidenceError if it cannot be opened, is of another schema, or is no evidence log at all.
    """
    runs: list[RunRecord] = []
    documents: dict[str, DocumentRecord] = {}
    passes: dict[str, PassRecord] = {}
    cells: dict[str, list[CellRecord]] = {}
    readings: dict[str, dict[str, ReadingRecord]] = {}
    retried: list[ReadingRecord] = []
    sweeps: dict[str, dict[int, SweepRecord]] = {}
    gates: dict[tuple[str, str], GateRecord] = {}
    aggregates: list[AggregateRecord] = []
    claims: list[ClaimRecord] = []
    ceilings: dict[tuple[str, str], CeilingsRecord] = {}
    profile: ProfileRecord | None = None
    picture_set: PictureSetRecord | None = None
    pictures: dict[str, PictureRecord] = {}
    questions: dict[str, QuestionRecord] = {}
    task_passes: dict[str, PassRecord] = {}
    skipped = blank = number = whole_lines = 0
    for number, line in enumerate(_lines(path), 1):
        whole_lines += line.endswith(b"\n")
        if line.isspace():
            blank += 1
            continue
        try:
            record = _parse(line)
        except EvidenceError as error:
            raise EvidenceError(f"{path}, line {number}: {error}") from None
        match record:
            case ReadingRecord():  # nearly all of a log
                of_cell = readings.setdefault(record.cell, {})
                before = of_cell.get(record.document)
                if before is not None and before.failure is not None:
                    retried.append(before)
                of_cell[record.document] = record
            case RunRecord():
                runs.append(record)
                gates.clear()
                profile = None
            case DocumentRecord():
                documents[record.document] = record
            case PassRecord():
                latest = task_passes if record.tasks else passes
                if record.role is not Role.CHECK or latest.get(record.cell, record).role is Role.CHECK:
                    latest[record.cell] = record
            case PictureSetRecord():
                picture_set = record
            case PictureRecord():
                pictures[record.picture] = record
            case QuestionRecord():
                questions[record.question] = record
            case CellRecord():
                cells.setdefault(record.cell, []).append(record)
            case SweepRecord():
                sweeps.setdefault(record.cell, {})[record.batch_size] = record
            case CeilingsRecord():
                if record.failure is None or ceilings.get((record.device, record.dtype), record).failure is not None:
                    ceilings[record.device, record.dtype] = record
            case ProfileRecord():
                profile = record
            case GateRecord():
                gates[record.test, record.metric] = record
            case AggregateRecord():
                aggregates.append(record)
            case ClaimRecord():
                claims.append(record)
            case None:
                skipped += 1
    if whole_lines and skipped and skipped + blank == number:
        raise EvidenceError(f"{path}: holds no evidence record; give the evidence.jsonl of a report folder")
    return Evidence(
        path=path,
        runs=runs,
        documents=documents,
        passes=passes,
        cells=cells,
        readings=readings,
        retried=retried,
        sweeps=sweeps,
        gates=list(gates.values()),
        skipped_lines=skipped,
        aggregates=aggregates,
        claims=claims,
        ceilings=ceilings,
        profile=profile,
        picture_set=picture_set,
        pictures=pictures,
        questions=questions,
        task_passes=task_passes,
    )


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise EvidenceError(f"{path}: cannot read the evidence log: {error.strerror}") from error


_READING = f'{{"schema": {SCHEMA_VERSION}, "record": "{ReadingRecord.record}", '.encode()
"""How a log begins a reading, whose head need not be looked at: nearly all lines are readings."""


class _Head(msgspec.Struct):
    """What a line says of itself; of any type, for a line may be anything."""

    schema: Any = None
    record: Any = None


def _parse(line: bytes) -> Record | None:
    """The record in a line, or None if the line is torn, damaged or of wrong types."""
    if line.startswith(_READING):
        try:
            return _decoder(ReadingRecord).decode(line)  # type: ignore[no-any-return]
        except (ValueError, RecursionError):
            pass  # whatever it is, the long way tells
    try:
        head: _Head = _decoded(line, _Head)
    except (ValueError, RecursionError):
        return None
    if isinstance(version := head.schema, int) and version > SCHEMA_VERSION:
        raise EvidenceError(f"written by a newer version (schema {version}; this one reads {SCHEMA_VERSION})")
    if isinstance(version, int) and version < SCHEMA_VERSION:
        raise EvidenceError(
            f"written by an older version (schema {version}; this one reads {SCHEMA_VERSION}): run the evaluation "
            "again, or render the log with the version that wrote it"
        )
    cls = _RECORDS.get(str(head.record))
    if cls is None:
        return None
    try:
        record: Record = _decoded(line, cls)
    except (ValueError, RecursionError):
        return None
    if isinstance(record, DocumentRecord) and not record.truth.keys() <= FIELDS.keys():
        return None
    return record


def _decoded(line: bytes, kind: Any) -> Any:
    """A line as a `kind`, unknown keys ignored; raises ValueError or RecursionError if it is none."""
    try:
        return _decoder(kind).decode(line)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # the standard library also reads lone surrogates, which a model may answer with
        return msgspec.convert(json.loads(line, parse_constant=_refuse), kind)


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
