"""The evidence log: everything a report says is derived from its records.

Append-only JSONL, flushed per line. A line torn by a crash is skipped and counted, never fatal; a later reading of
the same (cell, document) replaces an earlier one.
"""

from harness.evidence.log import EVIDENCE_FILE, EvidenceLog
from harness.evidence.reading import Evidence, read_evidence
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
    PictureRecord,
    PictureSetRecord,
    ProfileRecord,
    QuestionRecord,
    ReadingRecord,
    Record,
    RunRecord,
    SweepRecord,
)

__all__ = [
    "EVIDENCE_FILE",
    "SCHEMA_VERSION",
    "AggregateRecord",
    "CeilingsRecord",
    "CellRecord",
    "ClaimRecord",
    "DeviceUse",
    "DocumentRecord",
    "Evidence",
    "EvidenceLog",
    "GateRecord",
    "MemoryPeak",
    "PassRecord",
    "PictureRecord",
    "PictureSetRecord",
    "ProfileRecord",
    "QuestionRecord",
    "ReadingRecord",
    "Record",
    "RunRecord",
    "SweepRecord",
    "read_evidence",
]
