"""Latency and memory tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from harness.results import MINIMUM_MEMORY_SAMPLES, batches, memory_samples
from reports.formatting import MISSING, escape, format_metric, format_seconds, table
from reports.summary import CellSummary
from reports.tables import cell_name

__all__ = ["latency_table", "load_table", "memory_table", "phases_table", "rates_table"]


def latency_table(cells: Sequence[CellSummary]) -> str:
    """Quantiles with their intervals, spread and rate."""
    rows = []
    for cell in cells:
        m = cell.metrics
        quantiles = [format_metric(m[n]) for n in ("latency_s", "latency_p90_s", "latency_p95_s", "latency_p99_s")]
        rest = [format_metric(m["latency_cv"]), format_metric(m["docs_per_min"]).replace("/min", "")]
        rows.append([cell_name(cell), *quantiles, *rest, str(m["latency_s"].n)])
    return table(["Cell", "p50 [95 %]", "p90", "p95", "p99", "CV %", "Documents per minute", "n"], rows, "lr")


def phases_table(cells: Sequence[CellSummary]) -> str:
    """Median of each phase that the backends told; empty if none did."""
    found = [_phases(c) for c in cells]
    names = list(dict.fromkeys(name for phases in found for name in phases))
    rows = [
        [cell_name(c), *(format_seconds(median(p[n])) if n in p else MISSING for n in names)]
        for c, p in zip(cells, found, strict=True)
        if p
    ]
    return table(["Cell", *(escape(n.removesuffix("_s")) for n in names)], rows, "lr") if names else ""


def _phases(cell: CellSummary) -> Mapping[str, Sequence[float]]:
    found: dict[str, list[float]] = {}
    for reading in cell.result.readings.values():
        if reading.failure is None:
            for name, seconds in reading.phases.items():
                found.setdefault(name, []).append(seconds)
    return found


def rates_table(cells: Sequence[CellSummary]) -> str:
    """Token and energy rates: the columns that some cell has, and the names of those that none has."""
    names = {
        "ttft_s": "First token p50",
        "tpot_s": "Per output token p50",
        "output_tok_per_s": "Output tokens/s",
        "prompt_tok_per_s": "Prompt tokens/s",
        "energy_j": "Energy per document",
        "j_per_output_tok": "Energy per output token",
    }
    shown = [n for n in names if any(c.metrics[n].value is not None for c in cells)]
    rows = [[cell_name(c), *(format_metric(c.metrics[n]) for n in shown)] for c in cells]
    parts = [table(["Cell", *(names[n] for n in shown)], rows, "lr")] if shown else []
    if absent := [title for n, title in names.items() if n not in shown]:
        parts.append(f"Not measured by any cell: {', '.join(absent)}.\n")
    return "\n".join(parts)


def load_table(cells: Sequence[CellSummary]) -> str:
    """Loading, which is never part of a latency."""
    rows = []
    for cell in cells:
        found = [format_metric(cell.metrics[n]) for n in ("load_s", "load_peak_rss_bytes", "weights_bytes")]
        restarts = sum(c.restart > 0 for c in cell.result.loads)
        rows.append([cell_name(cell), *found, str(restarts)])
    return table(["Cell", "Load", "Peak RSS while loading", "Weights", "Restarts"], rows, "lr")


def memory_table(cells: Sequence[CellSummary]) -> str:
    """Peaks during inference, with the samples behind each."""
    rows = []
    for cell in cells:
        m = cell.metrics
        peaks = [format_metric(m[n]) for n in ("peak_rss_bytes", "peak_anonymous_bytes", "peak_vram_bytes")]
        samples = memory_samples(batch[0].memory for batch in batches(cell.result.readings.values()))
        rows.append([cell_name(cell), *peaks, str(samples)])
    header = ["Cell", "Peak RSS", "of it anonymous", "Peak device memory", "Samples during inference"]
    return table(header, rows, "lr") + (
        f"\nA peak from fewer than {MINIMUM_MEMORY_SAMPLES} samples during inference counts as {MISSING}.\n"
    )
