"""Evidence of one or two careful cells, and ways of changing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.evidence import CellRecord, DocumentRecord, Evidence, PassRecord, ReadingRecord, Record, read_evidence
from tests.report_evidence import MIB, candidate, documents, opening, write
from tests.routing_evidence import right

Told = Callable[[DocumentRecord], Mapping[str, Any]]


def number(document: str) -> int:
    return int(document.partition("_")[2].removesuffix(".png"))


def readings(*, seconds: float = 1.0, text: Callable[[DocumentRecord], str | None] = right) -> Told:
    """Every tenth document has a wrong supplier, so that the cell is good and not perfect."""

    def told(document: DocumentRecord) -> Mapping[str, Any]:
        i = number(document.document)
        given = text(document)
        if i % 10 == 3 and text is right:
            given = right(document, SUPPLIER="Somebody Else")
        took = seconds * (1 + i % 5)  # documents differ in size
        return {"text": given, "latency_s": took, "facts": {"pixel_crc32": f"{i:016x}"}}

    return told


def log(
    count: int = 30,
    *cells: str,
    told: Told | None = None,
    run: Mapping[str, Any] | None = None,
    load_facts: Mapping[str, Any] | None = None,
    how: Mapping[str, Any] | None = None,
) -> list[Record]:
    papers = documents(count)
    header = replace(opening([])[0], **(run or {}))  # type: ignore[type-var]
    facts = {"weights_sha256": "0123456789ab", "chat_template_sha256": "cafe", **(load_facts or {})}
    return [
        header,
        *papers,
        *(
            record
            for cell in cells or ("tiny-vlm",)
            for record in candidate(
                cell,
                papers,
                skill=1.0,
                seconds=1.0,
                base=600 * MIB,
                told=told or readings(),
                load_facts={**facts, "weights_sha256": f"{cell}-{facts['weights_sha256']}"},
                how=how or {},
            )
        ),
    ]


def edited(records: Sequence[Record], kind: type, change: Callable[[Any], Record | None]) -> list[Record]:
    """The log with every record of a kind changed, or left out for None."""
    found = [change(r) if isinstance(r, kind) else r for r in records]
    return [r for r in found if r is not None]


def without_document(records: Sequence[Record], name: str) -> list[Record]:
    left = edited(records, DocumentRecord, lambda d: None if d.document == name else d)
    left = edited(left, ReadingRecord, lambda r: None if r.document == name else r)
    return edited(left, PassRecord, lambda p: replace(p, documents=[d for d in p.documents if d != name]))


def sized(records: Sequence[Record], rss: int | None) -> list[Record]:
    """The log with this peak in every reading."""

    def change(r: ReadingRecord) -> ReadingRecord:
        memory = replace(r.memory, high_water_bytes=rss, rss_bytes=rss, samples=0 if rss is None else 50)
        return replace(r, memory=memory)

    return edited(records, ReadingRecord, change)


def weighing(records: Sequence[Record], size: int) -> list[Record]:
    return edited(records, CellRecord, lambda c: replace(c, facts={**c.facts, "weights_bytes": size}))


def evidence(folder: Path, records: Sequence[Record], name: str = "evidence.jsonl") -> Evidence:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.unlink(missing_ok=True)
    return read_evidence(write(path, records))
