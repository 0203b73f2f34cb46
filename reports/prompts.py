"""Prompts beside each other: the same model asked differently about the same documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from harness.evidence import Evidence
from harness.pairing import Pairing, common_documents, pair
from harness.prompts import recorded_fingerprint
from harness.statistics import differences, minimum_detectable_drop
from reports.comparisons import SIGNIFICANCE, Comparison, adjusted, compare
from reports.formatting import MISSING, escape, format_metric, table
from reports.summary import CellSummary, Summary
from reports.tables import difference, ratio, scored

__all__ = ["PromptComparison", "compare_prompts", "prompts_parts"]

_INTRODUCTION = """\
The same model, precision and documents, asked by another prompt, against the prompt that was named first, paired over
the documents that both answered (n). *Not told apart* is not proof of no difference: the interval says how large a
one it leaves possible. p is adjusted (Holm) for the number of comparisons. Tokens: median of a document.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptComparison:
    """One model asked by a prompt, against the first prompt that it was asked by."""

    cell: CellSummary
    first: CellSummary
    f1: Comparison | None
    """Document F1, p adjusted over all comparisons of prompts; None where answers are not scored."""
    latency: Comparison
    pairing: Pairing

    @property
    def told_apart(self) -> bool:
        """Whether F1 differs: by interval and p; by p alone where every document shows the same difference."""
        f1 = self.f1
        constant = f1 is not None and f1.low is None and f1.p is not None and f1.p <= SIGNIFICANCE
        return f1 is not None and (constant or f1.above or f1.below)

    @property
    def detectable(self) -> float | None:
        """The smallest true drop in F1 that these documents would have shown; None where nothing tells their spread."""
        own, other = self.cell.result.document_f1(), self.first.result.document_f1()
        return minimum_detectable_drop(differences(own, other))


def compare_prompts(candidates: Sequence[CellSummary]) -> Sequence[PromptComparison]:
    """Every candidate whose model, run the same way, was asked by another prompt before."""
    found = [
        PromptComparison(
            cell=cell,
            first=first,
            f1=None if cell.unscored else compare("f1", cell.result, first.result),
            latency=compare("latency_s", cell.result, first.result),
            pairing=pair(cell.result, first.result, common_documents(cell.result, first.result)),
        )
        for first, *others in _families(candidates)
        for cell in others
    ]
    judged = {c.a: c for c in adjusted([one.f1 for one in found if one.f1 is not None])}
    return [replace(one, f1=judged.get(one.cell.cell)) for one in found]


def _families(candidates: Sequence[CellSummary]) -> Sequence[Sequence[CellSummary]]:
    """Cells that differ in their prompt alone, in order of appearance; those with one prompt are left out."""
    found: dict[object, dict[str, CellSummary]] = {}
    for cell in candidates:
        if (identity := cell.identity) is not None:
            found.setdefault(replace(identity, prompt=""), {}).setdefault(identity.prompt, cell)
    return [list(members.values()) for members in found.values() if len(members) > 1]


def prompts_parts(summary: Summary) -> Sequence[str]:
    """The section, in parts; empty if no model was asked by two prompts."""
    found = compare_prompts(summary.candidates)
    if not found:
        return []
    asked = {cell: p.prompt for cell, p in summary.evidence.passes.items()}
    return [
        _INTRODUCTION,
        "".join(_answer(one, asked) for one in found),
        _table(found, summary.evidence, asked),
        "### What changed, by field\n",
        "Fields that the first prompt got right and the other did not, and the other way round, by documents.\n",
        _flips_table(found),
    ]


def _answer(one: PromptComparison, asked: Mapping[str, str]) -> str:
    cell, other, first = (escape(name) for name in (one.first.cell, asked[one.cell.cell], asked[one.first.cell]))
    f1 = one.f1
    if f1 is None or f1.value is None or f1.p is None:
        why = one.cell.unscored or "no document was answered and scored with both"
        return f"- {cell}: *{other}* and *{first}* cannot be compared: {escape(why)}.\n"
    numbers = f"{difference(f1)} points of F1, p {f1.p:.2g}, n {f1.n}"
    if one.told_apart:
        return f"- {cell}: **{other} reads {'better' if f1.value > 0 else 'worse'} than {first}**: {numbers}.\n"
    seen = one.detectable
    power = "" if seen is None else f"; a drop of {100 * seen:.1f} points would have been seen four times in five"
    return f"- {cell}: *{other}* and *{first}* are not told apart: {numbers}{power}.\n"


def _table(found: Sequence[PromptComparison], evidence: Evidence, asked: Mapping[str, str]) -> str:
    rows, shown = [], set[str]()
    for one in found:
        if one.first.cell not in shown:
            rows.append([*_about(one.first, evidence, asked), "", "", "", ""])
            shown.add(one.first.cell)
        f1 = one.f1
        rows.append(
            [
                *_about(one.cell, evidence, asked),
                ratio(one.latency),
                "" if f1 is None else difference(f1),
                "" if f1 is None or f1.p is None else f"{f1.p:.2g}",
                str(len(one.pairing.documents)),
            ]
        )
    header = ["Cell", "Prompt", "Fingerprint", "F1 % [95 %]", "Hallucination %", "Parsed %", "Tokens in", "Tokens out"]
    header += ["Latency p50 [95 %]", "Latency, ratio [95 %]", "F1 difference in points [95 %]", "p", "n"]
    return table(header, rows, "lllr")


def _about(cell: CellSummary, evidence: Evidence, asked: Mapping[str, str]) -> list[str]:
    answered = [r for r in cell.result.readings.values() if r.failure is None]
    return [
        escape(cell.cell),
        escape(asked[cell.cell]),
        escape(recorded_fingerprint(evidence, cell.cell) or "not recorded"),
        scored(cell, "f1"),
        scored(cell, "hallucination_rate", interval=False),
        scored(cell, "parse_rate", interval=False),
        _median([r.prompt_tokens for r in answered]),
        _median([r.output_tokens for r in answered]),
        format_metric(cell.metrics["latency_s"]),
    ]


def _median(counts: Sequence[int | None]) -> str:
    counted = [n for n in counts if n is not None]
    return f"{median(counted):.0f}" if counted else MISSING


def _flips_table(found: Sequence[PromptComparison]) -> str:
    rows = [
        [
            escape(one.cell.cell),
            escape(one.first.cell),
            _flips(one.pairing.right_to_wrong),
            _flips(one.pairing.wrong_to_right),
        ]
        for one in found
    ]
    return table(["Cell", "Against", "Right to wrong", "Wrong to right"], rows, "l")


def _flips(flips: Mapping[str, Sequence[str]]) -> str:
    ranked = sorted(flips.items(), key=lambda flip: -len(flip[1]))
    named = ", ".join(f"{escape(name)} {len(documents)}" for name, documents in ranked)
    return f"{sum(len(documents) for _, documents in ranked)}{f': {named}' if named else ''}"
