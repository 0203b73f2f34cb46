"""report.json: the same numbers for programs. Null where nothing was measured, never 0 and never NaN."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields
from typing import Any

from harness.ledger import VramLedger
from harness.metrics import Metric
from harness.pairing import Pairing, TextDifference
from harness.scoring import SCORER_VERSION, Counts
from reports.contamination import contamination_of
from reports.costs import loads_by_cache
from reports.decisions import Decisions, decide
from reports.deployment import deployment_json
from reports.device_memory import DeviceMemory, device_memories
from reports.devices import devices_json
from reports.energy import ENERGY_METRICS, with_energy
from reports.fit import mode_costs
from reports.measures import grids, measures
from reports.models import loaded_models
from reports.published import published_json
from reports.recommendations import recommendations_json
from reports.recovery import Recovery
from reports.repeats import Repeat
from reports.roofline import roofline_json
from reports.routing import routing_json
from reports.scene_data import scenes_json
from reports.summary import CellSummary, Slice, Summary

__all__ = ["REPORT_SCHEMA", "report_json"]

_METRIC = tuple(f.name for f in fields(Metric))
_DIFFERENCE = tuple(f.name for f in fields(TextDifference))
REPORT_SCHEMA = 2
"""Raised when a reader of report.json would have to change. 2: models, devices, sweeps, energy; a ratio of `tpot`."""


def report_json(summary: Summary, decisions: Decisions | None = None) -> str:
    """The report as JSON text: keys in a fixed order, ending with a newline. `decisions` as in `report_markdown`."""
    decided = decisions or decide(summary)
    found = {
        "schema": REPORT_SCHEMA,
        "provenance": _provenance(summary),
        **({} if summary.evidence.profile is None else {"profile": asdict(summary.evidence.profile)}),
        "corpus": _corpus(summary),
        "models": [asdict(m) for m in loaded_models(summary.candidates)],
        "cells": [_cell(c) for c in summary.cells],
        "gates": [asdict(g) for g in summary.evidence.gates],
        "comparisons": [asdict(c) for c in summary.comparisons],
        **({"comparisons_are_of": "the leader of each metric"} if summary.only_leaders else {}),
        "winners": [asdict(w) for w in summary.winners],
        "published": published_json(summary),
        "recommendations": recommendations_json(decided.recommended),
        "quantization": [_recovery(r) for r in summary.recoveries],
        "quantization_strategies": [asdict(c) for c in mode_costs(summary)],
        "device_memory": [_device_memory(m) for m in device_memories(summary.cells)],
        "throughput": [asdict(s) for s in summary.sweeps],
        "roofline": roofline_json(summary.distances, summary.evidence.ceilings.values()),
        "energy": _energy(summary),
        "devices": devices_json(grids(measures(summary))),
        "deployment": deployment_json(decided.deployed),
        "routing": routing_json(decided.routed),
        "contamination": [asdict(c) for cell in summary.cells if (c := contamination_of(cell.result)) is not None],
        "checks": [_repeat(r) for r in summary.repeats],
        **scenes_json(summary),
    }
    text = json.dumps(found, indent=1, ensure_ascii=True, allow_nan=False)
    # one metric a line, so that people can read it and a diff shows the metric; no JSON string holds a line break
    return re.sub(r"\{[^{}\[\]]*\}", lambda flat: re.sub(r"\n\s*", " ", flat[0]), text) + "\n"


def _provenance(summary: Summary) -> dict[str, Any]:
    run = summary.run
    asked = {} if run is None else {"started": run.started, "prompt": run.prompt, "options": run.options}
    log = {
        "sha256": summary.evidence_sha256,
        "runs": len(summary.evidence.runs),
        "skipped_lines": summary.evidence.skipped_lines,
    }
    return {
        **({} if run is None else dict(sorted(run.provenance.items()))),
        **asked,
        "evidence": log,
        "scorer_version": SCORER_VERSION,
    }


def _corpus(summary: Summary) -> dict[str, Any]:
    return {**dict(sorted(summary.corpus.items())), "documents_asked": len(summary.documents)}


def _metric(metric: Metric) -> dict[str, Any]:
    return {name: getattr(metric, name) for name in _METRIC}  # asdict would look into every number


def _metrics(part: Slice) -> dict[str, Any]:
    return {name: _metric(metric) for name, metric in part.metrics.items()}


def _counts(part: Slice) -> dict[str, int | None]:
    return {f.name: None if part.counts is None else getattr(part.counts, f.name) for f in fields(Counts)}


def _group(part: Slice) -> dict[str, Any]:
    return {"documents": part.documents, "answered": part.answered, **_counts(part), **_metrics(part)}


def _cell(cell: CellSummary) -> dict[str, Any]:
    return {
        "cell": cell.cell,
        "role": cell.result.role.value,
        "status": cell.result.status,
        "unjudged": cell.result.unjudged,
        "identity": None
        if cell.identity is None
        else {k: v for k, v in asdict(cell.identity).items() if k not in ("role", "sweep", "tasks") and v != ""},
        "documents": cell.overall.documents,
        "answered": cell.overall.answered,
        "output_tokens_fixed": cell.fixed_length,
        "loads_s": {cache: list(times) for cache, times in loads_by_cache(cell.result.loads).items()},
        "metrics": _metrics(cell.overall),
        "fields": {n: {"f1": _metric(s.metrics["f1"]), **_counts(s)} for n, s in cell.fields.items()},
        "categories": {n: _group(s) for n, s in cell.categories.items()},
        "strata": {n: _group(s) for n, s in cell.strata.items()},
        "kinds": {n: _group(s) for n, s in cell.kinds.items()},
        "failures": {f.value: n for f, n in sorted(cell.result.failures.items())},
    }


def _device_memory(memory: DeviceMemory) -> dict[str, Any]:
    return {
        "cell": memory.cell,
        "devices": [_ledger(ledger) for ledger in memory.devices],
        "total": _ledger(memory.total),
        "predicted_weights": _metric(memory.predicted_weights),
        "allocator_peaks": memory.requests,
    }


def _ledger(ledger: VramLedger) -> dict[str, Any]:
    return {**asdict(ledger), "unexplained": ledger.unexplained, "closes": ledger.closes}


def _energy(summary: Summary) -> list[dict[str, Any]]:
    return [
        {"cell": c.cell, **{name: _metric(c.metrics[name]) for name in ENERGY_METRICS}}
        for c in with_energy(summary.cells)
    ]


def _recovery(r: Recovery) -> dict[str, Any]:
    return {
        "cell": r.cell,
        "reference": r.reference,
        "change": r.change.value,
        "f1": None if r.f1 is None else asdict(r.f1),
        "latency": None if r.latency is None else asdict(r.latency),
        "tpot": None if r.tpot is None else asdict(r.tpot),
        "pairing": None if r.pairing is None else _pairing(r.pairing),
    }


def _repeat(r: Repeat) -> dict[str, Any]:
    return {
        "cell": r.cell,
        "how": r.what,
        "status": r.status,
        "pairing": None if r.pairing is None else _pairing(r.pairing),
    }


def _pairing(p: Pairing) -> dict[str, Any]:
    return {
        "reference": p.reference,
        "documents": len(p.documents),
        "only_cell": list(p.only_cell),
        "only_reference": list(p.only_reference),
        "same_text_rate": p.same_text_rate,
        "right_to_wrong": {field: list(documents) for field, documents in p.right_to_wrong.items()},
        "wrong_to_right": {field: list(documents) for field, documents in p.wrong_to_right.items()},
        "differing": [{name: getattr(d, name) for name in _DIFFERENCE} for d in p.differing],
    }
