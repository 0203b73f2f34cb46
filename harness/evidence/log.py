"""Writing evidence: append-only JSONL, one line per fact, in the kernel's hands before anything is judged."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Self

from harness.errors import EvidenceError
from harness.evidence.records import SCHEMA_VERSION, Record

__all__ = ["EVIDENCE_FILE", "EvidenceLog"]

EVIDENCE_FILE = "evidence.jsonl"
"""The log's name in a report folder."""


class EvidenceLog:
    """Appends records to one file. Safe for several processes: each line is one O_APPEND write."""

    def __init__(self, path: Path) -> None:
        """Open for appending, mending a torn last line by ending it; raises EvidenceError."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            if self._is_torn():
                os.write(self._fd, b"\n")
        except OSError as error:
            raise EvidenceError(f"{path}: cannot open the evidence log: {error.strerror}") from error

    def append(self, record: Record) -> None:
        """Write one record; it is in the kernel's hands on return. Raises EvidenceError (a full disk, say)."""
        payload = {"schema": SCHEMA_VERSION, "record": record.record, **asdict(record)}
        line = (json.dumps(payload, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "backslashreplace")
        try:
            if self._is_torn():  # by whoever ran out of room; there is some again
                line = b"\n" + line
            written = os.write(self._fd, line)
            if written != len(line):  # a full disk cuts a write short: the next attempt says why
                os.write(self._fd, line[written:])
        except OSError as error:
            raise EvidenceError(
                f"{self.path}: cannot write evidence: {error.strerror}. What was written before is kept; "
                "make room and continue with --eval-resume"
            ) from error

    def _is_torn(self) -> bool:
        """Whether the last line was cut off: what follows would be lost with it."""
        size = os.fstat(self._fd).st_size
        return size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"

    def close(self) -> None:
        """Close the file; appending afterwards is an error."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
