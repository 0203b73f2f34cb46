"""Reading evidence: whole logs, logs that a crash cut, and refusing what is no log at all."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

import orjson

from harness.backends.protocol import AllocatorPeak, Attempt
from harness.cells import Failure, Role
from harness.errors import EvidenceError
from harness.evidence.records import (
    SCHEMA_VERSION,
    AggregateRecord,
    CeilingsRecord,
    CellRecord,
    ClaimRecord,
    DeviceUse,
    DocumentRecord,
    GateRecord,
    MemoryPeak,
    PassRecord,
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
            CellRecord,
            ReadingRecord,
            SweepRecord,
            CeilingsRecord,
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
    """The latest pass by cell id."""
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

    @property
    def imported(self) -> Mapping[str, Any] | None:
        """Kind, source files and hashes of a log that was imported; None of one that was measured here."""
        found = self.runs[-1].provenance.get("imported") if self.runs else None
        return found if isinstance(found, Mapping) else None


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
            case RunRecord():
                runs.append(record)
                gates.clear()
            case DocumentRecord():
                documents[record.document] = record
            case PassRecord():
                passes[record.cell] = record
            case CellRecord():
                cells.setdefault(record.cell, []).append(record)
            case ReadingRecord():
                of_cell = readings.setdefault(record.cell, {})
                before = of_cell.get(record.document)
                if before is not None and before.failure is not None:
                    retried.append(before)
                of_cell[record.document] = record
            case SweepRecord():
                sweeps.setdefault(record.cell, {})[record.batch_size] = record
            case CeilingsRecord():
                if record.failure is None or ceilings.get((record.device, record.dtype), record).failure is not None:
                    ceilings[record.device, record.dtype] = record
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
    )


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise EvidenceError(f"{path}: cannot read the evidence log: {error.strerror}") from error


def _parse(line: bytes) -> Record | None:
    """The record in a line, or None if the line is torn, damaged or of wrong types."""
    try:
        data = _json(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    if isinstance(version := data.get("schema"), int) and version > SCHEMA_VERSION:
        raise EvidenceError(f"written by a newer version (schema {version}; this one reads {SCHEMA_VERSION})")
    if isinstance(version, int) and version < SCHEMA_VERSION:
        raise EvidenceError(
            f"written by an older version (schema {version}; this one reads {SCHEMA_VERSION}): run the evaluation "
            "again, or render the log with the version that wrote it"
        )
    cls: Any = _RECORDS.get(str(data.get("record")))
    if cls is None:
        return None
    try:
        record: Record = _builder(cls)(data)
    except (TypeError, ValueError):
        return None
    if isinstance(record, DocumentRecord) and not record.truth.keys() <= FIELDS.keys():
        return None
    return record


def _json(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:  # the standard library also reads lone surrogates, which a model may answer with
        return json.loads(line, parse_constant=_refuse)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


_Decoder = Callable[[Any], Any]


@cache
def _builder(cls: Any) -> _Decoder:
    """What makes a `cls` of its JSON object, ignoring unknown keys; it raises TypeError or ValueError."""
    hints = get_type_hints(cls)
    plan = [(f.name, _as_they_are(hints[f.name]), _decoder(hints[f.name])) for f in fields(cls)]

    def build(data: Mapping[str, Any]) -> Any:
        values = {}
        for name, known, decode in plan:
            if name in data:
                value = data[name]
                values[name] = value if type(value) in known else decode(value)
        return cls(**values)

    return build


def _shared(build: _Decoder) -> _Decoder:
    """The same record for the same JSON object of plain values, as long as few others came between."""

    @lru_cache(maxsize=4096, typed=True)
    def of(names: tuple[str, ...], *values: Any) -> Any:
        return build(dict(zip(names, values, strict=True)))

    def shared(data: dict[str, Any]) -> Any:
        try:
            return of(tuple(data), *data.values())
        except TypeError:  # a value that cannot be hashed, or is of a wrong type
            return build(data)

    return shared


def _as_they_are(hint: Any) -> frozenset[type]:
    """The types that a value of this hint may have in JSON already."""
    options = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return frozenset(option for option in options if option in (str, int, float, bool, types.NoneType))


def _decoder(hint: Any) -> _Decoder:
    """What decodes a value that JSON has no type for, or raises TypeError or ValueError."""
    if hint is Any:
        return lambda value: value
    if isinstance(hint, types.UnionType):
        (inner,) = (option for option in get_args(hint) if option is not types.NoneType)
        return _decoder(inner)
    if hint in (Failure, Role):
        return cast(_Decoder, hint)
    if hint in (MemoryPeak, AllocatorPeak):  # most readings of a cell have the same
        return _checked(dict, _shared(_builder(hint)))
    if hint in (Attempt, DeviceUse):
        return _checked(dict, _builder(hint))
    if get_origin(hint) is Mapping:
        return _checked(dict, _mapping(get_args(hint)[1]))
    if get_origin(hint) is Sequence:
        return _checked(list, _sequence(get_args(hint)[0]))
    return _number if hint is float else _checked(hint, lambda value: value)


def _checked(kind: type, decode: _Decoder) -> _Decoder:
    def checked(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{value!r} is no {kind.__name__}")
        return decode(value)

    return checked


def _number(value: Any) -> float:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _mapping(hint: Any) -> _Decoder:
    known, decode = _as_they_are(hint), _decoder(hint)

    def items(value: dict[str, Any]) -> dict[str, Any]:
        if hint is Any or known.issuperset(map(type, value.values())):
            return value
        return {key: item if type(item) in known else decode(item) for key, item in value.items()}

    return items


def _sequence(hint: Any) -> _Decoder:
    known, decode = _as_they_are(hint), _decoder(hint)
    return lambda value: [item if type(item) in known else decode(item) for item in value]
