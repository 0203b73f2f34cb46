"""Evidence of a fast cell that errs on some documents and of a slow one that does not, written by rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.evidence import DocumentRecord, Record, read_evidence
from reports.summary import Summary, summarise
from tests.report_evidence import MIB, candidate, documents, opening, write

GOOD_ABN, BAD_ABN = "51824753556", "51824753557"


def asked(count: int) -> Sequence[DocumentRecord]:
    """Receipts and invoices alone, which print an ABN and amounts; the first prints a name meant to break tables."""
    return [d for d in documents(count * 2) if d.kind != "statement"][:count]


def number(document: DocumentRecord) -> int:
    return int(document.document.partition("_")[2].removesuffix(".png"))


def is_bad(document: DocumentRecord) -> bool:
    """Every fourth number, whatever the stratum."""
    return number(document) % 4 == 0


def right(document: DocumentRecord, **other: str) -> str:
    lines = {name: (value or "N/A").replace("\n", " ") for name, value in document.truth.items()} | other
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


def wrong(document: DocumentRecord) -> str:
    """Wrong in the ABN, which its checksum shows, and in other fields, which nothing shows."""
    return right(document, ABN=BAD_ABN, SUPPLIER="Somebody Else", INVOICE_DATE="1 January 1999", TOTAL="$1.00")


def cell(
    name: str,
    papers: Sequence[DocumentRecord],
    *,
    seconds: float,
    text: Callable[[DocumentRecord], str] = right,
    told: Callable[[DocumentRecord], Mapping[str, Any]] = lambda d: {},
    **other: Any,
) -> list[Record]:
    def everything(d: DocumentRecord) -> Mapping[str, Any]:
        varied = 1 + 0.01 * (number(d) * sum(map(ord, name)) % 11)  # each cell by its own rule
        return {"text": text(d), "latency_s": seconds * varied, **told(d)}

    facts = {"base": 500 * MIB, **other}
    return candidate(name, papers, skill=1.0, seconds=seconds, told=everything, **facts)


def summary_of(folder: Path, papers: Sequence[DocumentRecord], *cells: Sequence[Record]) -> Summary:
    records = [*opening(papers), *(record for found in cells for record in found)]
    return summarise(read_evidence(write(folder / "evidence.jsonl", records)))
