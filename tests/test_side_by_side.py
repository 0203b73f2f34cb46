"""Models that ran side by side: what the report says of their times, which is that these judge nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.evidence import Record, RunRecord, SweepRecord, read_evidence
from reports.context import cautions
from reports.deployment import deployments
from reports.recommendations import recommendations
from reports.routing import summary_routing
from reports.summary import Summary, summarise
from tests import gpu_evidence as gpu
from tests.report_evidence import opening, write
from tests.routing_evidence import asked, cell, is_bad, right, wrong

WHY = "models ran side by side, 2 at a time"


def summary_of(folder: Path, workers: Sequence[int], *, resumed: Sequence[Record] = ()) -> Summary:
    """Two cells on a CPU and one on a GPU, in runs of so many workers."""
    papers = asked(24)
    run, *told = opening(papers)
    assert isinstance(run, RunRecord)
    runs = [replace(run, options={**run.options, "shared": {"run": "r", "workers": n}}) for n in workers]
    cells = [
        *cell("fast", papers, seconds=1.0, text=lambda d: wrong(d) if is_bad(d) else right(d)),
        *cell("slow", papers, seconds=5.0),
        *gpu.gpu_cell("big", "bf16", papers, weights=4e9),
    ]
    sweep = SweepRecord(cell="fast", batch_size=2, output_tokens=8, seconds=[1.0, 1.1])
    return summarise(read_evidence(write(folder / "evidence.jsonl", [*runs, *told, *cells, sweep])))


def test_alone_their_times_count(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, [1])
    assert next(w for w in summary.winners if w.metric == "latency_s").leader == "fast"
    assert not any("side by side" in caution for caution in cautions(summary))
    assert not isinstance(summary_routing(summary), str | None)
    assert not summary.sweeps[0].contaminated


@pytest.mark.parametrize("workers", [[2], [2, 1]], ids=["together", "resumed-alone"])
def test_side_by_side_no_time_judges_anything(tmp_path: Path, workers: Sequence[int]) -> None:
    summary = summary_of(tmp_path, workers)
    for found in summary.candidates:
        told = {name: m.contaminated for name, m in found.metrics.items() if m.value is not None}
        assert {told[n] for n in ("latency_s", "docs_per_min", "latency_cv", "load_s")} == {WHY}
        assert {told[n] for n in ("f1", "peak_rss_bytes", "answer_rate")} == {None}
        assert all(part.metrics["latency_s"].contaminated == WHY for part in found.kinds.values())
    won = {w.metric: w.cell for w in summary.winners}
    assert (won["latency_s"], won["energy_j"], won["latency_cv"]) == (None, None, None)
    assert won["f1"] is None or won["f1"] != "fast", "what they read is judged as ever"
    assert not [c for c in summary.comparisons if c.metric == "latency_s" and c.n]
    assert [c for c in summary.comparisons if c.metric == "f1" and c.n]
    assert sum("side by side" in caution for caution in cautions(summary)) == 1, "once, not for each cell"
    assert "undisturbed times; this log has 0" in str(summary_routing(summary))
    assert all(step.contaminated for step in summary.sweeps)
    deployed = deployments(summary)
    assert {(plan.costs, plan.no_costs) for plan in deployed.plans} == {(None, WHY)}
    chosen = {r.use: r.cell for r in recommendations(summary, deployed)}
    assert [chosen[use] for use in ("Real time", "Batch", "Edge and power", "Cost")] == [None] * 4
