"""Evidence logs for the tests of reports: written by rule, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

from harness.cells import Failure, Role
from harness.evidence import (
    CellRecord,
    DocumentRecord,
    EvidenceLog,
    GateRecord,
    MemoryPeak,
    PassRecord,
    ReadingRecord,
    Record,
    RunRecord,
)

KINDS = ("receipt", "invoice", "statement")
STRATA = ("clean", "scanned", "photographed")
MIB = 2**20
NASTY = "Tom | `Jerry` <b>&\nCo\x1b[2J *bold* \u202e$1$ https://example.org " + "long " * 40

_PRINTED = {
    "receipt": (
        "DOCUMENT_TYPE",
        "SUPPLIER",
        "ABN",
        "INVOICE_DATE",
        "GST",
        "TOTAL",
        "QUANTITIES",
        "PRICES",
        "DESCRIPTIONS",
    ),
    "invoice": (
        "DOCUMENT_TYPE",
        "SUPPLIER",
        "ABN",
        "PAYER_NAME",
        "PAYER_EMAIL",
        "INVOICE_DATE",
        "DUE_DATE",
        "GST",
        "TOTAL",
        "SUBTOTAL",
        "BUSINESS_ADDRESS",
        "BSB_NUMBER",
        "QUANTITIES",
        "PRICES",
        "DESCRIPTIONS",
    ),
    "statement": (
        "DOCUMENT_TYPE",
        "BANK_NAME",
        "BSB_NUMBER",
        "BANK_ACCOUNT_NUMBER",
        "ACCOUNT_HOLDER",
        "STATEMENT_PERIOD",
        "OPENING_BALANCE",
        "CLOSING_BALANCE",
        "DESCRIPTIONS",
    ),
}
FIELDS = tuple(dict.fromkeys(name for names in _PRINTED.values() for name in names))


def _value(name: str, kind: str, i: int) -> str:
    total = 11 * (i + 3)
    values = {
        "DOCUMENT_TYPE": {"receipt": "RECEIPT", "invoice": "TAX INVOICE", "statement": "BANK STATEMENT"}[kind],
        "SUPPLIER": f"Harbour Goods {i} Pty Ltd",
        "ABN": "51824753556" if i % 2 else "11223491505",
        "PAYER_NAME": f"Payer Number {i}",
        "PAYER_EMAIL": f"payer{i}@example.com",
        "INVOICE_DATE": f"{i % 12 + 1:02d}/{i % 11 + 1:02d}/2025",
        "DUE_DATE": f"{i % 27 + 1} September 2025",
        "GST": f"${total // 11}.00",
        "TOTAL": f"${total}.00",
        "SUBTOTAL": f"${total - total // 11}.00",
        "BUSINESS_ADDRESS": f"{i} George Street, Sydney NSW 2000",
        "BSB_NUMBER": f"062-{i:03d}",
        "BANK_ACCOUNT_NUMBER": f"00{i:06d}",
        "BANK_NAME": "Example Bank",
        "ACCOUNT_HOLDER": f"Holder {i}",
        "STATEMENT_PERIOD": "1 July 2025 to 31 July 2025",
        "OPENING_BALANCE": f"${i}1.50 CR",
        "CLOSING_BALANCE": f"${i}9.75 CR",
        "QUANTITIES": "1 | 2",
        "PRICES": f"$5.50 | ${i}.25",
        "DESCRIPTIONS": f"Apples | Pears {i}",
    }
    return values[name]


def documents(count: int, *, bare: bool = False) -> Sequence[DocumentRecord]:
    """`count` documents; `bare` ones have neither kind nor stratum, and some truths say less than others."""
    found = []
    for i in range(count):
        kind = KINDS[i % 3]
        truth = {name: _value(name, kind, i) if name in _PRINTED[kind] else None for name in FIELDS}
        if i == 0:
            truth["SUPPLIER"] = NASTY
        if bare:
            truth = {name: truth[name] for name in ("TOTAL", "INVOICE_DATE", "SUPPLIER")}
        stratum = None if bare or i % 7 == 6 else STRATA[i // 3 % 3]
        found.append(
            DocumentRecord(
                document=f"{kind}_{i:03d}.png",
                truth=truth,
                kind=None if bare else kind,
                layout=None if bare else f"{kind}-{i % 4}",
                stratum=stratum,
            )
        )
    return found


def answer(document: DocumentRecord, skill: float, random: Random) -> str:
    """Each field right with probability `skill`, otherwise wrong in one of the ways that models are."""
    lines = ["Here is what I found:"] if random.random() < 0.1 else []
    for name, truth in document.truth.items():
        luck, way = random.random(), int(4 * random.random())
        value = "N/A" if truth is None else truth.replace("\n", " ")
        if luck > skill and truth is None:
            value = ["$12.34", "Something Else", "", "N/A"][way]
        elif luck > skill:
            value = ["N/A", "Sydney", f"{truth}9", _swapped(truth)][way]
        if value:
            lines.append(f"{name}: {value}")
    return "\n".join(lines)


def _swapped(truth: str) -> str:
    day, slash, rest = truth.partition("/")
    month, slash, year = rest.partition("/")
    return f"{month}/{day}/{year}" if slash else " | ".join(reversed(truth.split(" | ")))


def _memory(base: int, random: Random, samples: int = 120) -> MemoryPeak:
    rss = base + int(40 * random.random()) * MIB
    return MemoryPeak(rss_bytes=rss, anonymous_bytes=rss * 6 // 10, high_water_bytes=rss + MIB, samples=samples)


def candidate(
    cell: str,
    asked: Sequence[DocumentRecord],
    *,
    skill: float,
    seconds: float,
    base: int,
    failures: Sequence[Failure] = (),
    role: Role = Role.CANDIDATE,
    seed: int = 1,
    how: Mapping[str, Any] = MappingProxyType({}),
    load_facts: Mapping[str, Any] = MappingProxyType({}),
    told: Callable[[DocumentRecord], Mapping[str, Any]] = lambda document: {},
) -> list[Record]:
    """A pass whose last documents end in `failures`; `how` the cell is run, and what is `told` of each reading."""
    random = Random(seed)
    records: list[Record] = [PassRecord(cell=cell, role=role, documents=[d.document for d in asked])]
    facts = {
        "cell": cell,
        "model": cell,
        "quantization": "none",
        "runtime": "eager",
        "device": "cpu",
        "role": role,
        **how,
    }
    records.append(
        CellRecord(
            **facts,
            load_s=2.5 * seconds,
            spawn_s=0.4,
            memory=_memory(base * 3 // 4, random),
            facts={"weights_bytes": base // 8, **load_facts},
        )
    )
    answered = len(asked) - len(failures)
    for i, document in enumerate(asked):
        if i >= answered:
            failure = failures[i - answered]
            records.append(
                ReadingRecord(
                    cell=cell,
                    document=document.document,
                    failure=failure,
                    message=f"ended as {failure.value} | see log",
                )
            )
            if failure in (Failure.CRASH, Failure.TIMEOUT, Failure.RUN_OOM):
                records.append(CellRecord(**facts, load_s=2.4 * seconds, restart=1, message="restarted"))
            continue
        latency = seconds * (0.6 + random.random() + (i % 3) * 0.3)
        hard = {"clean": 0.0, "scanned": 0.06, "photographed": 0.2}.get(document.stratum or "clean", 0.0)
        records.append(
            ReadingRecord(
                cell=cell,
                document=document.document,
                **{
                    "text": answer(document, skill - hard, random),
                    "latency_s": latency,
                    "phases": {"preprocess_s": latency / 20},
                    "memory": _memory(base, random),
                    **told(document),
                },
            )
        )
    return records


def control(cell: str, asked: Sequence[DocumentRecord]) -> list[Record]:
    """A control that answers N/A to everything."""
    records: list[Record] = [
        PassRecord(cell=cell, role=Role.CONTROL, documents=[d.document for d in asked]),
        CellRecord(
            cell=cell,
            model=cell,
            quantization="none",
            runtime="eager",
            device="cpu",
            role=Role.CONTROL,
            load_s=0.001,
            memory=MemoryPeak(rss_bytes=60 * MIB, samples=1),
        ),
    ]
    for i, document in enumerate(asked):
        text = "\n".join(f"{name}: N/A" for name in document.truth)
        records.append(
            ReadingRecord(
                cell=cell,
                document=document.document,
                text=text,
                latency_s=0.002 + i * 1e-5,
                memory=MemoryPeak(rss_bytes=61 * MIB, samples=1 if i == 0 else 0),
            )
        )
    return records


def unloadable(cell: str, asked: Sequence[DocumentRecord]) -> list[Record]:
    """A candidate that never got to answer."""
    message = "needs 21.3 GB of memory, 8.0 GB are free"
    return [
        PassRecord(cell=cell, role=Role.CANDIDATE, documents=[d.document for d in asked]),
        CellRecord(
            cell=cell,
            model=cell,
            quantization="none",
            runtime="eager",
            device="cpu",
            role=Role.CANDIDATE,
            failure=Failure.LOAD_OOM,
            message=message,
            memory=MemoryPeak(rss_bytes=7000 * MIB, samples=40),
        ),
        *(ReadingRecord(cell=cell, document=d.document, failure=Failure.LOAD_OOM, message=message) for d in asked),
    ]


def opening(asked: Sequence[DocumentRecord], *, started: str = "2025-03-01T10:00:00+00:00") -> list[Record]:
    """The run record and the documents."""
    run = RunRecord(
        started=started,
        corpus={
            "name": "made-up",
            "identity": "0123456789abcdef" * 4,
            "documents": len(asked),
            "sampled_from": None,
            "unjudged_images": ["stray_1.png", "stray_2.png"],
        },
        prompt={"name": "key-value", "fingerprint": "abcdef012345"},
        provenance={
            "cpu": {"model": "Example CPU", "logical_cores": 2, "allowed_cores": 2},
            "memory_bytes": 8 * 2**30,
            "os": {"system": "Linux", "release": "6.1", "distribution": "Example Linux 1"},
            "python": {"version": "3.11.0", "implementation": "CPython"},
            "packages": {"numpy": "2.0.0"},
            "git": {"commit": "0" * 40, "dirty": False},
            "gpus": [],
        },
        options={"models": ["ocr-rules"], "limit": None},
    )
    return [run, *asked]


GATES = (
    GateRecord(
        test="evals/test_quality.py::test_f1",
        cell="ocr-rules",
        metric="f1",
        verdict="pass",
        value=0.87,
        low=0.84,
        high=0.9,
        n=30,
        limit=0.8,
        message="f1 0.87 [0.84, 0.9] ratio, at least 0.8 required, n=30",
    ),
    GateRecord(
        test="evals/test_cost.py::test_latency",
        cell="ocr-rules",
        metric="latency_p95_s",
        verdict="no-budget",
        value=2.5,
        n=30,
        message="latency_p95_s: no budget is set",
    ),
    GateRecord(
        test="evals/test_quality.py::test_f1",
        cell="tiny-vlm",
        metric="f1.clean",
        verdict="fail",
        value=0.6,
        low=0.5,
        high=0.7,
        n=10,
        limit=0.8,
        message="f1.clean 0.6 [0.5, 0.7] ratio, at least 0.8 required, n=10",
    ),
    GateRecord(
        test="evals/test_quality.py::test_hallucination",
        cell="ocr-rules",
        metric="hallucination_rate",
        verdict="inconclusive",
        value=0.05,
        low=0.02,
        high=0.12,
        n=30,
        limit=0.1,
        message="reaches across",
    ),
)


def standard(count: int = 30) -> list[Record]:
    """Two candidates, one that cannot be loaded, both controls, a failure of every type, gates."""
    asked = documents(count)
    return [
        *opening(asked),
        *candidate("ocr-rules", asked, skill=0.92, seconds=1.4, base=600 * MIB, seed=1),
        *candidate("tiny-vlm", asked, skill=0.7, seconds=4.0, base=1800 * MIB, failures=list(Failure), seed=2),
        *unloadable("big-vlm", asked),
        *control("all-na", asked),
        *control("blind:ocr-rules", asked[: count // 3]),
        *GATES,
    ]


def write(path: Path, records: Sequence[Record]) -> Path:
    """Append the records to a log at `path`."""
    with EvidenceLog(path) as log:
        for record in records:
            log.append(record)
    return path
