"""Who is most efficient, most consistent, and takes the least device memory; the paired comparisons behind it."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean, stdev

import pytest

from harness.evidence import DeviceUse
from reports.comparisons import compare
from reports.paired import compare_on
from reports.summary import Summary
from reports.winners import Winner, describe
from tests import gpu_evidence as gpu
from tests.routing_evidence import asked, cell, number, right, summary_of


def winner(summary: Summary, metric: str) -> Winner:
    return next(w for w in summary.winners if w.metric == metric)


def latencies(seed: int, spread: float):
    def told(document):
        return {"latency_s": math.exp(Random(1000 * seed + number(document)).gauss(0, spread))}

    return told


def two(folder, first, second, count: int = 40, **other) -> Summary:
    papers = asked(count)
    cells = [
        gpu.gpu_cell(n, "bf16", papers, **{"weights": 4e9, **how, **other}) for n, how in (("a", first), ("b", second))
    ]
    return summary_of(folder, papers, *cells)


def test_a_cpu_is_asked_nothing_about_devices(tmp_path):
    papers = asked(4)
    summary = summary_of(tmp_path, papers, *(cell(n, papers, seconds=1.0) for n in "ab"))
    assert [w.metric for w in summary.winners] == ["f1", "latency_s", "peak_rss_bytes", "latency_cv"]


def test_a_single_peak_is_told_and_has_no_winner(tmp_path):
    found = winner(two(tmp_path, {"weights": 2e9}, {"weights": 8e9}), "peak_vram_bytes")
    assert (found.cell, found.leader) == (None, "a-bf16@cuda")
    assert found.reason.startswith("lowest: a-bf16@cuda ")
    assert found.reason.endswith("; a single peak has no interval, so it names no winner")


def test_a_peak_beside_others_is_not_compared(tmp_path):
    found = winner(two(tmp_path, {"unlike": {3: {"foreign_processes": 1}}}, {}), "peak_vram_bytes")
    assert found.cell is None
    assert "beside others on the device, so not compared: a-bf16@cuda" in found.reason


def test_the_most_efficient_takes_less_energy_document_by_document(tmp_path):
    summary = two(tmp_path, {"slower": 1.0}, {"slower": 1.5})
    found = winner(summary, "energy_j")
    a, b = (c.result for c in summary.candidates)
    per_document = [sum(u.energy_j for u in r.devices) for r in a.readings.values()]
    difference = fmean(per_document) - fmean(sum(u.energy_j for u in r.devices) for r in b.readings.values())
    assert found.cell == "a-bf16@cuda"
    assert f"mean energy of a document {difference:+.1f} [" in found.reason
    assert "] J over 40 documents" in found.reason


def test_energy_within_chance_has_no_winner(tmp_path):
    def noisy(seed):
        return {i: {"energy_j": 600.0 + Random(seed + i).gauss(0, 50), "power_j": 600.0} for i in range(90)}

    found = winner(two(tmp_path, {"unlike": noisy(0)}, {"unlike": noisy(1000)}), "energy_j")
    assert (found.cell, found.reason[:10]) == (None, "no winner:")


@pytest.mark.parametrize(
    ("unlike", "why"),
    [
        ({"energy_j": None}, "of energy by another sensor"),
        ({"power_j": 100.0}, "of energy whose two measurements disagree"),
        ({"throttle": ["thermal"]}, "disturbed while they were timed"),
    ],
)
def test_energy_that_is_not_comparable_is_left_out(tmp_path, unlike, why):
    papers = asked(10)
    cells = [gpu.gpu_cell(n, "bf16", papers, weights=4e9, slower=s) for n, s in (("a", 1.0), ("b", 1.5))]
    odd = gpu.gpu_cell("odd", "bf16", papers, weights=4e9, slower=0.1, unlike={number(d): unlike for d in papers})
    found = winner(summary_of(tmp_path, papers, odd, *cells), "energy_j")
    assert found.cell == "a-bf16@cuda"
    assert f"{why}, so not compared: odd-bf16@cuda" in found.reason


def test_energy_of_answers_of_another_length_is_left_out(tmp_path):
    papers = asked(10)
    cells = [gpu.gpu_cell(n, "bf16", papers, weights=4e9, slower=s) for n, s in (("a", 1.0), ("b", 1.5))]
    fixed = gpu.gpu_cell("fixed", "bf16", papers, weights=4e9, slower=0.1, fixed=True)
    found = winner(summary_of(tmp_path, papers, fixed, *cells), "energy_j")
    assert "of another output length, so not compared: fixed-bf16@cuda" in found.reason


@pytest.mark.parametrize(("spread", "won"), [(0.1, True), (0.38, False)])
def test_the_most_consistent_varies_less_by_more_than_chance(tmp_path, spread, won):
    papers = asked(60)
    summary = summary_of(
        tmp_path,
        papers,
        cell("steady", papers, seconds=1.0, told=latencies(1, spread)),
        cell("erratic", papers, seconds=1.0, told=latencies(2, 0.4)),
    )
    found = winner(summary, "latency_cv")
    assert (found.cell == "steady") is won
    assert "ratio of the variation of latency" in found.reason


def test_the_ratio_of_variations_is_that_of_the_coefficients(tmp_path):
    papers = asked(60)
    told = {"a": latencies(3, 0.2), "b": latencies(4, 0.3)}
    summary = summary_of(tmp_path, papers, *(cell(n, papers, seconds=1.0, told=t) for n, t in told.items()))
    found = compare_on("latency_cv", *(c.result for c in summary.candidates))
    times = [[r.latency_s for r in c.result.readings.values()] for c in summary.candidates]
    first, second = (stdev(t) / fmean(t) for t in times)
    assert found.value == pytest.approx(first / second, rel=0.03), "but for the jackknife's correction of bias"
    assert found.low < first / second < found.high
    assert found.n == 60


def test_latencies_that_do_not_vary_have_no_ratio(tmp_path):
    papers = asked(10)
    cells = [cell(n, papers, seconds=1.0, told=lambda d: {"latency_s": 2.0}) for n in "ab"]
    found = compare_on("latency_cv", *(c.result for c in summary_of(tmp_path, papers, *cells).candidates))
    assert (found.value, found.n) == (None, 0)


def test_a_document_in_a_batch_takes_its_share(tmp_path):
    papers = asked(8)
    batched = cell("batched", papers, seconds=2.0, told=lambda d: {"latency_s": 2.0, "batch_size": 8})
    one = cell("one", papers, seconds=1.0, told=lambda d: {"latency_s": 1.0})
    results = [c.result for c in summary_of(tmp_path, papers, batched, one).candidates]
    assert compare_on("docs_per_min", *results).value == pytest.approx(0.25)
    assert compare_on("latency_s", *results).value == pytest.approx(2.0)


@pytest.mark.parametrize("metric", ["latency_s", "docs_per_min", "latency_cv", "ttft_s", "energy_j"])
def test_documents_of_a_batch_are_one_in_a_comparison(tmp_path, metric):
    """Ten requests of eight against the same ten times of single documents: the same interval, and not one of 80."""

    def seconds(seed: int, request: int) -> float:
        return math.exp(Random(1000 * seed + request).gauss(0, 0.3))

    def told(papers, seed: int, size: int):
        places = {paper.document: place for place, paper in enumerate(papers)}

        def of(document):
            whole = seconds(seed, places[document.document] // size)
            use = DeviceUse(device="cuda:0", name="H200", seconds=whole, samples=9, energy_j=whole * 100 * size)
            times = {"latency_s": whole, "phases": {"ttft_s": whole / 4}}
            return {**times, "batch_size": size, "devices": [use]}

        return of

    def found(folder, size):
        papers = asked(10 * size)
        cells = [cell(f"m{seed}", papers, seconds=1.0, told=told(papers, seed, size)) for seed in (1, 2)]
        results = [c.result for c in summary_of(folder, papers, *cells).candidates]
        return compare(metric, *results) if metric == "ttft_s" else compare_on(metric, *results)

    one, eight = found(tmp_path / "1", 1), found(tmp_path / "8", 8)
    assert (one.n, one.unit, eight.n, eight.unit) == (10, "documents", 10, "requests")
    for bound in ("value", "low", "high", "p"):
        assert getattr(eight, bound) == pytest.approx(getattr(one, bound))
    assert "over 10 requests" in describe(eight)


def test_precision_and_line_items_are_compared_by_document(tmp_path):
    papers = asked(6)
    half = cell("half", papers, seconds=1.0, text=lambda d: right(d, DESCRIPTIONS="Nothing | At all"))
    results = [c.result for c in summary_of(tmp_path, papers, half, cell("all", papers, seconds=1.0)).candidates]
    lines = compare_on("line_item_f1", *results)
    assert lines.value == pytest.approx(-1 / 3), "two of six cells of two rows"
    precision = compare_on("precision", *results)
    given = [sum(v is not None for v in d.truth.values()) for d in papers]
    assert precision.value == pytest.approx(fmean(-1 / n for n in given))
