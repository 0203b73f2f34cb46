"""Latency and memory tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from types import MappingProxyType

from harness.evidence import CellRecord
from harness.results import MINIMUM_MEMORY_SAMPLES, memory_samples
from reports.formatting import MISSING, escape, format_metric, format_seconds, table
from reports.summary import CellSummary
from reports.tables import cell_name

__all__ = [
    "latency_table",
    "load_table",
    "loads_by_cache",
    "memory_table",
    "phases_table",
    "rates_table",
    "served_table",
    "unmeasured_rates",
]

_TOKEN_RATES = MappingProxyType(
    {
        "ttft_s": "First token p50",
        "tpot_s": "Per output token p50",
        "output_tok_per_s": "Output tokens/s",
        "prompt_tok_per_s": "Prompt tokens/s",
    }
)
_SERVED = MappingProxyType(
    {
        "request_s": "Request, client's clock",
        "server_s": "Server's clock",
        "server_headers_s": "Until the stream began, server's clock",
        "server_prompt_s": "Prompt, server's clock",
        "server_generate_s": "Generation, server's clock",
    }
)
"""Phases of a served model's request; the first two are shown even where the server does not tell."""
_SERVED_NOTE = """\
Requests to served models, medians: by the client's clock, and by the server's own where it tells. The difference,
request by request, is the network and whatever else stands between them.
"""
_ENERGIES = MappingProxyType({"energy_j": "Energy per document", "j_per_output_tok": "Energy per output token"})
"""In a section of their own, where measured."""


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
    """Median of each phase that the backends told, those of served_table apart; empty if none did."""
    found = [c.result.phases for c in cells]
    names = list(dict.fromkeys(name for phases in found for name in phases if name not in _SERVED))
    rows = [
        [cell_name(c), *(format_seconds(median(p[n])) if n in p else MISSING for n in names)]
        for c, p in zip(cells, found, strict=True)
        if any(n in p for n in names)
    ]
    return table(["Cell", *(escape(n.removesuffix("_s")) for n in names)], rows, "lr") if names else ""


def served_table(cells: Sequence[CellSummary]) -> str:
    """Medians of what client and server each say that a request took; empty if no cell was served."""
    found = [(c, phases) for c in cells if "request_s" in (phases := c.result.phases)]
    names = [n for n in _SERVED if n in ("request_s", "server_s") or any(n in phases for _, phases in found)]
    rows = [
        [
            cell_name(c),
            *(format_seconds(median(phases[n])) if n in phases else MISSING for n in names),
            format_seconds(median(outside)) if (outside := _outside(c)) else MISSING,
            f"{len(outside)} of {len(phases['request_s'])}",
        ]
        for c, phases in found
    ]
    header = ["Cell", *(_SERVED[n] for n in names), "Difference", "Requests that the server told of"]
    return f"{_SERVED_NOTE}\n{table(header, rows, 'lr')}" if rows else ""


def _outside(cell: CellSummary) -> Sequence[float]:
    """Seconds of each request that its server does not know of; less than none where two clocks disagree."""
    answered = [r.phases for r in cell.result.readings.values() if r.failure is None]
    return [p["request_s"] - p["server_s"] for p in answered if "request_s" in p and "server_s" in p]


def rates_table(cells: Sequence[CellSummary]) -> str:
    """Rates of tokens: the columns that some cell has; empty if none has any."""
    shown = _told(_TOKEN_RATES, cells)
    rows = [[cell_name(c), *(format_metric(c.metrics[n]) for n in shown)] for c in cells]
    return table(["Cell", *(_TOKEN_RATES[n] for n in shown)], rows, "lr") if shown else ""


def unmeasured_rates(cells: Sequence[CellSummary]) -> str:
    """Names what no cell has, of token rates and energy; empty if nothing is missing."""
    names = {**_TOKEN_RATES, **_ENERGIES}
    told = _told(names, cells)
    absent = [title for n, title in names.items() if n not in told]
    return f"Not measured by any cell: {', '.join(absent)}.\n" if absent else ""


def _told(names: Iterable[str], cells: Sequence[CellSummary]) -> Sequence[str]:
    return [n for n in names if any(c.metrics[n].value is not None for c in cells)]


def load_table(cells: Sequence[CellSummary]) -> str:
    """Loading, which is never part of a latency; cold or warm, where any backend tells."""
    caches = {c.cell: cache for c in cells if (cache := loads_by_cache(c.result.loads))}
    rows = []
    for cell in cells:
        found = [format_metric(cell.metrics[n]) for n in ("load_s", "load_peak_rss_bytes", "weights_bytes")]
        restarts = sum(c.restart > 0 for c in cell.result.loads)
        told = [_by_cache(caches.get(cell.cell, {}))] if caches else []
        rows.append([cell_name(cell), found[0], *told, *found[1:], str(restarts)])
    by_cache = ["Loads by state of the file cache"] if caches else []
    note = (
        "\nCold: less than 5 % of the checkpoint's bytes were in the file cache before loading; warm: more than 95 %.\n"
        if caches
        else ""
    )
    return table(["Cell", "Load", *by_cache, "Peak RSS while loading", "Weights", "Restarts"], rows, "lr") + note


def loads_by_cache(loads: Sequence[CellRecord]) -> Mapping[str, Sequence[float]]:
    """Seconds of each load that succeeded, by how much of the checkpoint the file cache held: cold, partly, warm."""
    found: dict[str, list[float]] = {}
    for load in loads:
        cache = load.facts.get("file_cache")
        if load.failure is None and load.load_s is not None and isinstance(cache, str):
            found.setdefault(cache, []).append(load.load_s)
    return found


def _by_cache(found: Mapping[str, Sequence[float]]) -> str:
    shown = (
        f"{escape(cache)} {format_seconds(median(times))}{f' (median of {len(times)})' if len(times) > 1 else ''}"
        for cache, times in found.items()
    )
    return ", ".join(shown) or MISSING


def memory_table(cells: Sequence[CellSummary]) -> str:
    """Peaks during inference, with the samples behind each."""
    rows = []
    for cell in cells:
        m = cell.metrics
        peaks = [format_metric(m[n]) for n in ("peak_rss_bytes", "peak_anonymous_bytes", "peak_vram_bytes")]
        samples = memory_samples(batch[0].memory for batch in cell.result.requests)
        rows.append([cell_name(cell), *peaks, str(samples)])
    header = ["Cell", "Peak RSS", "of it anonymous", "Peak device memory", "Samples during inference"]
    return table(header, rows, "lr") + (
        f"\nA peak from fewer than {MINIMUM_MEMORY_SAMPLES} samples during inference counts as {MISSING}.\n"
    )
