"""What quantization costs and saves: the tables of a model's precisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.model_facts import linear_layers, loaded_facts, number
from reports.comparisons import Comparison
from reports.fit import fit_parts, mode_costs
from reports.formatting import MISSING, escape, format_bytes, format_metric, format_percent, table
from reports.recovery import Change, Recovery
from reports.summary import CellSummary, Summary
from reports.tables import difference, ratio, scored

__all__ = ["quantization_parts"]

_INTRODUCTION = """\
Each precision beside the same model in 16 bits (bf16, or the widest precision that was run), paired over the documents
that both answered (n). *No difference shown* is not proof of none: the interval says how large a difference it leaves
possible. p is adjusted (Holm) for the precisions of one model.
"""


def quantization_parts(summary: Summary, drawn: Mapping[str, str]) -> Sequence[str]:
    """The section, in parts; empty if no candidate has a precision, or of imported ones none has another beside it."""
    cells = {c.cell: c for c in summary.candidates}
    found = summary.recoveries
    alone = all(r.reference in (None, r.cell) for r in found)
    if not found or (alone and summary.evidence.imported):
        return []
    return [
        _INTRODUCTION,
        _recovery_table(found, cells),
        drawn.get("quantization", ""),
        drawn.get("precisions", ""),
        *(["### Quantization strategies\n", *costs] if (costs := fit_parts(mode_costs(summary))) else []),
        "### What changed, by field\n",
        "Fields that the reference got right and the precision did not, and the other way round, by documents.\n",
        _flips_table(found) or "No two precisions of a model have scored answers to compare.\n",
        "### Weights\n",
        "Predicted from the configuration, measured in the loaded model. Layers: linear layers in fewer than 16 bits, "
        "those that the precision and its skip list ask for, and all.\n",
        _weights_table(found, cells),
    ]


def _recovery_table(found: Sequence[Recovery], cells: Mapping[str, CellSummary]) -> str:
    rows = []
    for r in found:
        cell = cells[r.cell]
        rows.append(
            [
                escape(r.cell),
                scored(cell, "f1"),
                _against(r.f1),
                f"**{r.change}**" if r.change is Change.LOWER else r.change.value,
                "" if r.f1 is None or r.f1.p is None else f"{r.f1.p:.2g}",
                "" if r.pairing is None else str(len(r.pairing.documents)),
                "" if cell.unscored else _same_text(r),
                "" if r.latency is None else ratio(r.latency),
                format_metric(cell.metrics["weights_bytes"]),
                format_metric(cell.metrics["peak_rss_bytes"]),
            ]
        )
    header = ["Cell", "F1 % [95 %]", "Difference in points [95 %]", "Verdict", "p", "n", "Same text %"]
    return table([*header, "Latency, ratio [95 %]", "Weights", "Peak RSS"], rows, "lrrlr")


def _against(comparison: Comparison | None) -> str:
    return "" if comparison is None else difference(comparison)


def _same_text(r: Recovery) -> str:
    rate = None if r.pairing is None else r.pairing.same_text_rate
    return "" if rate is None else format_percent(rate)


def _flips_table(found: Sequence[Recovery]) -> str:
    rows = [
        [
            escape(r.cell),
            escape(r.pairing.reference),
            *map(_flips, (r.pairing.right_to_wrong, r.pairing.wrong_to_right)),
        ]
        for r in found
        if r.pairing is not None and r.pairing.documents and r.f1 is not None
    ]
    return table(["Cell", "Against", "Right to wrong", "Wrong to right"], rows, "l") if rows else ""


def _flips(flips: Mapping[str, Sequence[str]]) -> str:
    ranked = sorted(flips.items(), key=lambda flip: -len(flip[1]))
    total = sum(len(documents) for _, documents in ranked)
    named = ", ".join(f"{escape(name)} {len(documents)}" for name, documents in ranked)
    return f"{total}: {named}" if ranked else "0"


def _weights_table(found: Sequence[Recovery], cells: Mapping[str, CellSummary]) -> str:
    rows = []
    for r in found:
        facts = loaded_facts(cells[r.cell].result.loads)
        said, seen = number(facts, "predicted_weights_bytes"), number(facts, "weights_bytes")
        shown = [MISSING if n is None else format_bytes(n) for n in (said, seen)]
        off = f"{100 * (said - seen) / seen:+.2f}" if said is not None and seen else MISSING
        layers = linear_layers(facts)
        counts = f"{layers.quantized} / {layers.asked} / {layers.total}" if layers else MISSING
        rows.append([escape(r.cell), *shown, off, counts])
    header = ["Cell", "Predicted", "Measured", "Predicted against measured, %", "Layers quantised / asked / all"]
    return table(header, rows, "lr")
