"""`comparison_results_full.json`: two or more models' answers to the 25 fields, with their ground truth beside it."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.cells import Cell, Role
from harness.documents import load_corpus
from harness.documents.truth import read_truth
from harness.evidence import (
    AggregateRecord,
    ClaimRecord,
    DocumentRecord,
    PassRecord,
    ReadingRecord,
    Record,
)
from harness.importers.sources import UNTOLD, ImporterError, Place, load_record, opening, read_json
from harness.metrics import METRICS
from harness.responses import render_response
from harness.schema import is_absent_in_truth
from harness.scoring.diagnostics import diagnose

__all__ = ["import_field_comparison"]

_KIND = "field-comparison"
_RESULTS = "comparison_results_full.json"
_VALUE_RATE = "mean over the expected fields of the share of documents whose value is not N/A"
_INVOICE_ONLY = ("DUE_DATE", "GST", "SUBTOTAL")
_NOTES = (
    "raw_response is scored, which the authors' cleaner had already shortened and put on one line",
    "all-na is no model: it is computed here, to show what the floor is",
    "the prompt is not in the source; memory there is of snapshots, and is told as such",
)


def import_field_comparison(
    source: Path, *, truth: Path | None = None, quantization: str | None = None, device: str = UNTOLD
) -> Sequence[Record]:
    """Records of the file (or of the folder that holds it): answers, truth, and the published claims.

    `truth` is otherwise `ground_truth.csv` beside it; images in `images/` beside it are hashed. Raises ImporterError
    or CorpusError, naming file, row and field.
    """
    if not source.exists():
        raise ImporterError(f"{source}: there is no such file or folder")
    results = source / _RESULTS if source.is_dir() else source
    truth = truth or results.parent / "ground_truth.csv"
    if not truth.is_file():
        raise ImporterError(f"{truth}: no ground truth; answers can only be judged beside one: give --truth FILE")
    root = read_json(results)
    documents, identity = _documents(truth, results.parent / "images")
    by_model = root.at("extraction_results").entries()
    if not by_model:
        raise ImporterError(f"{root.at('extraction_results').where}: there is no model in it")
    quantized = root.at("config_summary").told("quantization") if root.told("config_summary") else False
    mode = quantization or ("quantized" if quantized else "none")
    cells = {m: Cell(model=m, quantization=mode, device=device) for m in by_model}
    names = {m: cell.id for m, cell in cells.items()}
    return [
        opening(
            _KIND,
            {results.name: results, truth.name: truth},
            corpus={"name": results.parent.resolve().name, "identity": identity, "documents": len(documents)},
            prompt={"name": "not told by the source", "fingerprint": None},
            notes=_NOTES,
            started=root.at("timestamp").text() if root.told("timestamp") else "not told by the source",
        ),
        *documents.values(),
        *_floor(documents),
        *(r for m, answers in by_model.items() for r in _cell(cells[m], answers, documents)),
        *_memory(root, names),
        *_claims(root, by_model, names),
        *_truth_claims([d.truth for d in documents.values()]),
    ]


def _documents(truth: Path, images: Path) -> tuple[Mapping[str, DocumentRecord], str]:
    """By image name, and an identity that changes with any image byte or truth value."""
    if images.is_dir():
        corpus = load_corpus(images, truth)
        found = [DocumentRecord(document=d.name, truth=d.truth, image_sha256=d.image_sha256) for d in corpus.documents]
        return {d.document: d for d in found}, corpus.identity
    found = [DocumentRecord(document=row.image, truth=row.fields) for row in read_truth(truth)]
    told = json.dumps([[d.document, sorted(d.truth.items())] for d in found])
    return {d.document: d for d in found}, hashlib.sha256(told.encode()).hexdigest()


def _cell(cell: Cell, answers: Place, documents: Mapping[str, DocumentRecord]) -> Sequence[Record]:
    readings: dict[str, ReadingRecord] = {}
    for answer in answers.filled():
        image = answer.at("img_name")
        if image.text() not in documents:
            raise ImporterError(f"{image.where}: {image.value!r} has no row in the ground truth")
        if image.value in readings:
            raise ImporterError(f"{image.where}: {image.value!r} is answered twice")
        text = answer.at("raw_response").value
        if not isinstance(text, str):
            raise ImporterError(f"{answer.at('raw_response').where}: text is expected, not {text!r}")
        readings[image.value] = ReadingRecord(
            cell=cell.id, document=image.value, text=text, latency_s=answer.at("processing_time").positive()
        )
    return [
        PassRecord(cell=cell.id, role=Role.CANDIDATE, documents=list(documents), prompt="not told"),
        load_record(_KIND, cell),
        *readings.values(),
    ]


def _floor(documents: Mapping[str, DocumentRecord]) -> Sequence[Record]:
    """The control that answers N/A to everything: computed, without a time."""
    cell = Cell(model="all-na", role=Role.CONTROL)
    return [
        PassRecord(cell=cell.id, role=cell.role, documents=list(documents), prompt="none"),
        load_record(_KIND, cell),
        *(
            ReadingRecord(cell=cell.id, document=d.document, text=render_response(dict.fromkeys(d.truth)))
            for d in documents.values()
        ),
    ]


def _memory(root: Place, names: Mapping[str, str]) -> Sequence[AggregateRecord]:
    """What the source tells of memory: its `gb` are of 2^30 bytes."""
    if not root.told("model_memory_summaries"):
        return []
    found = []
    for model, summary in root.at("model_memory_summaries").entries().items():
        snapshots = summary.at("total_snapshots").count()
        for key, metric, sensor in (
            ("peak_process_memory_gb", "process_memory_snapshot_peak", "the process's memory, in snapshots"),
            ("peak_gpu_memory_gb", "gpu_memory_snapshot_peak", "the GPU allocator, in snapshots of one device"),
        ):
            if model in names and summary.told(key):
                found.append(
                    AggregateRecord(
                        cell=names[model],
                        metric=metric,
                        value=summary.at(key).number() * 2**30,
                        unit="B",
                        n=snapshots,
                        definition="highest of a few snapshots; no peak during inference",
                        sensor=sensor,
                    )
                )
    return found


def _claims(root: Place, by_model: Mapping[str, Place], names: Mapping[str, str]) -> Sequence[ClaimRecord]:
    analysis = root.at("field_analysis")
    expected = [name.text() for name in analysis.at("expected_fields").filled()]
    found = []
    published: dict[str, float] = {}
    reproduced: dict[str, float] = {}
    for model, answers in by_model.items():
        rates = analysis.at("model_stats").at(model).at("field_value_rates")
        given = [rates.at(name).number() for name in expected]
        published[model], reproduced[model] = sum(given) / len(given), _value_rate(answers, expected)
        found.append(
            ClaimRecord(
                name="field accuracy",
                cell=names[model],
                published=published[model],
                published_definition=_VALUE_RATE,
                reproduced=reproduced[model],
                metric="accuracy",
                recomputed_definition=METRICS["accuracy"].definition,
                unit="ratio",
                n=len(answers.items()),
                verdict="the published number counts values given, right or wrong: it is a value_rate, no accuracy",
            )
        )
    for a, b in itertools.combinations(published, 2):
        ahead, behind = (a, b) if published[a] >= published[b] else (b, a)
        found += [
            ClaimRecord(
                name=f"winner in accuracy, by {metric}",
                cell=names[ahead],
                against=names[behind],
                published=published[ahead] - published[behind],
                published_definition=f"difference of: {_VALUE_RATE}",
                reproduced=reproduced[ahead] - reproduced[behind],
                metric=metric,
                recomputed_definition=f"mean over documents of the difference in {metric}, paired",
                unit="ratio",
                verdict="",
            )
            for metric in ("accuracy", "f1")
        ]
    return found


def _value_rate(answers: Place, expected: Sequence[str]) -> float:
    """Share of the expected fields with any value but N/A, from the fields that the authors' own parser found."""
    given = 0
    for answer in answers.items():
        fields = answer.at("extracted_fields").entries()
        given += sum(name in fields and not is_absent_in_truth(str(fields[name].value)) for name in expected)
    return given / (len(answers.items()) * len(expected))


def _truth_claims(truths: Sequence[Mapping[str, str | None]]) -> Sequence[ClaimRecord]:
    """What can be told of the ground truth without the images: answers are judged by it as it is."""
    given = [abn for truth in truths if (abn := truth.get("ABN")) is not None]
    valid = sum(diagnose({"ABN": abn}).get("abn_checksum", False) for abn in given)
    statements = [t for t in truths if "STATEMENT" in (t.get("DOCUMENT_TYPE") or "").upper()]
    plain = sum(all(t.get(name) is None for name in _INVOICE_ONLY) for t in statements)
    return [
        ClaimRecord(
            name="ground truth",
            published=published,
            published_definition="values that it gives",
            recomputed=sound,
            recomputed_definition="those that can be right",
            unit="",
            n=published,
            verdict=verdict,
        )
        for published, sound, verdict in (
            (len(given), valid, f"{valid} of {len(given)} ABNs pass their checksum"),
            (
                len(statements),
                plain,
                f"{plain} of {len(statements)} bank statements are free of {', '.join(_INVOICE_ONLY)}, which no bank "
                "statement carries",
            ),
        )
        if published
    ]
