"""An evidence log of many cells for the tests of reports: models in several precisions, written by rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.backends import Attempt
from harness.cells import Role
from harness.evidence import DocumentRecord, ReadingRecord, Record, RunRecord
from tests.report_evidence import GATES, KINDS, MIB, candidate, control, documents, opening

MODES = {"fp32": 4.0, "bf16": 2.0, "int8": 1.25, "nf4": 0.875}
"""Bytes a weight, the parts that are not quantised included."""
_MODELS = {"tiny-internvl": (0.97, 0.4, 13_400_000), "tiny-mllama": (0.93, 0.7, 9_100_000)}
"""Skill, seconds and parameters."""
_ARCHITECTURES = {
    "tiny-internvl": "InternVLForConditionalGeneration",
    "tiny-mllama": "MllamaForConditionalGeneration",
}
_LOSS = {"fp32": 0.0, "bf16": 0.0, "int8": 0.01, "nf4": 0.09}


def _pictured(mode: str) -> Callable[[DocumentRecord], Mapping[str, Any]]:
    """Facts of how a document's image was prepared, the same in every precision."""

    def told(document: DocumentRecord) -> Mapping[str, Any]:
        tiles = 1 + KINDS.index(document.kind or "receipt") * 2
        facts = {"tiles": tiles, "image_tokens": 256 * tiles, "image_width": 448, "image_height": 448 * tiles}
        return {
            "facts": {**facts, "pixel_crc32": f"{tiles:064x}"},
            "stop": "length" if document.document == "receipt_003.png" and mode == "nf4" else "eos",
            "output_tokens": 180,
        }

    return told


def model_cell(model: str, mode: str, asked: Sequence[DocumentRecord], **other: Any) -> list[Record]:
    """A model in one precision; all precisions of it err alike but for what the precision loses."""
    skill, seconds, parameters = _MODELS[model]
    size = int(parameters * MODES[mode])
    few = mode in ("int8", "nf4")
    how = {"model": model, "quantization": mode, **other.pop("how", {})}
    return candidate(
        **{
            "cell": f"{model}-{mode}",
            "asked": asked,
            "skill": skill - _LOSS[mode],
            "seconds": seconds * (1.6 if mode == "int8" else 1.0),
            "base": 700 * MIB + 4 * size,
            "seed": 7 + len(model),
            "told": _pictured(mode),
            "load_facts": {
                "quantization": mode,
                "architecture": _ARCHITECTURES[model],
                "parameters": parameters,
                "dtype": "float32" if mode == "fp32" else "bfloat16",
                "weights_bytes": size,
                "predicted_weights_bytes": size - 1200,
                "tokens_per_tile": 256,
                "linears": 61,
                "linears_asked": 60 if few else 0,
                "linears_quantized": 60 if few else 0,
            },
            **other,
            "how": how,
        }
    )


def _attempt(path: str, fault: str | None) -> Attempt:
    return Attempt(prompt="key-value/dates", path=path, latency_s=0.2, text="", fault=fault)


def _as_read_before(records: Sequence[Record], before: Sequence[Record], *, but: str = "") -> list[Record]:
    """The records with the texts of an earlier pass, except for one document's last line."""
    texts = {r.document: r.text or "" for r in before if isinstance(r, ReadingRecord)}
    found: list[Record] = []
    for record in records:
        if isinstance(record, ReadingRecord):
            text = texts[record.document]
            record = replace(record, text=f"{text}9" if record.document == but else text)
        found.append(record)
    return found


def grid(count: int = 24) -> list[Record]:
    """Two models in four precisions beside ocr-rules, a strategy, a model of random weights, checks and controls."""
    asked = documents(count)
    run, *truths = opening(asked)
    assert isinstance(run, RunRecord)
    run = replace(run, corpus={**run.corpus, "sampled_from": "fedcba9876543210" * 4, "whole": 120})
    cells = {f"{model}-{mode}": model_cell(model, mode, asked) for model in _MODELS for mode in MODES}
    paths = {"receipt": ("multi", 7), "invoice": ("multi", 7), "statement": ("pattern", 9)}

    def sought(document: DocumentRecord) -> Mapping[str, Any]:
        path, calls = paths[document.kind or "receipt"]
        faults = ["unparsable", "empty"] if path == "pattern" else []
        attempts = [_attempt(path, fault) for fault in [*faults, *[None] * (calls - len(faults) + 1)]]
        return {**_pictured("bf16")(document), "path": path, "calls": calls, "attempts": attempts}

    multi = {"cell": "tiny-internvl-bf16+multi", "how": {"strategy": "multi"}, "seconds": 1.9, "skill": 0.98}
    check: dict[str, Any] = {"role": Role.CHECK}
    few = asked[:8]
    checks = []
    for mode in ("fp32", "bf16"):
        name = f"tiny-internvl-{mode}"
        for suffix, how, but in (
            ("#2", {"repeat": 2}, ""),
            ("@b8", {"batch_size": 8}, "statement_002.png" if mode == "bf16" else ""),
        ):
            again = model_cell("tiny-internvl", mode, few, cell=f"{name}{suffix}", how=how, **check)
            checks += _as_read_before(again, cells[name], but=but)
    return [
        run,
        *truths,
        *candidate("ocr-rules", asked, skill=0.96, seconds=1.4, base=600 * MIB, seed=1),
        *(record for records in cells.values() for record in records),
        *model_cell("tiny-internvl", "bf16", asked, told=sought, **multi),
        *candidate(
            "big-dummy-bf16",
            asked,
            skill=0.1,
            seconds=6.0,
            base=3000 * MIB,
            how={"model": "big-dummy", "quantization": "bf16"},
            load_facts={"random_weights": True},
        ),
        *control("all-na", asked),
        *control("blind:tiny-internvl-fp32", asked[:8]),
        *checks,
        *GATES[:1],
    ]
