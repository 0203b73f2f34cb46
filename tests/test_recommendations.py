"""Recommendations: the result of a rule each, with the rule, and insufficient evidence where it is."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.cells import Failure
from harness.deployment.prices import load_prices
from harness.evidence import MemoryPeak
from reports.deployment import deployments
from reports.recommendations import (
    Limits,
    Recommendation,
    Verdict,
    recommendations,
    recommendations_json,
    recommendations_parts,
)
from reports.summary import Summary
from tests import gpu_evidence as gpu
from tests.report_evidence import MIB
from tests.routing_evidence import asked, cell, is_bad, number, right, summary_of, wrong

GIB = 2**30
USES = ("Real time", "Batch", "Edge and power", "Detail", "Reliability", "Pods of 4 GiB", "Cost")


def told(summary: Summary, limits: Limits | None = None, **prices: float) -> dict[str, Recommendation]:
    """By use. The build's CPU price, or `cpu=`."""
    file = load_prices()
    if prices:
        file = replace(
            file,
            by_gpu={**file.by_gpu, **{k: replace(file.by_gpu[k], rent_per_core=v) for k, v in prices.items()}},
        )
    return {r.use: r for r in recommendations(summary, deployments(summary, prices=file), limits)}


def some_wrong(document) -> str:
    return wrong(document) if is_bad(document) else right(document)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[str, Recommendation]:
    """`good` reads without a mistake; `fast` is four times as fast and often wrong; `equal` is as good and slower."""
    papers = asked(80)
    summary = summary_of(
        tmp_path_factory.mktemp("plain"),
        papers,
        cell("good", papers, seconds=2.0),
        cell("fast", papers, seconds=0.5, text=some_wrong),
        cell("equal", papers, seconds=2.5, base=5000 * MIB),
    )
    return told(summary)


def test_every_use_has_a_rule_in_words(plain):
    assert tuple(plain) == USES
    assert all("; of these, the " in r.rule for r in plain.values())


def test_the_fastest_is_not_recommended_where_it_reads_worse(plain):
    for use in ("Batch", "Cost"):
        assert (plain[use].verdict, plain[use].cell) == (Verdict.RECOMMENDED, "good")
        assert list(plain[use].failed) == ["fast"]
        assert "good against equal" in plain[use].reason


def test_unanswered_documents_count_against_reading_as_well_as_the_best(tmp_path):
    papers = asked(60)
    best = cell("best", papers, seconds=4.0)
    for missing, qualifies in ((0, True), (12, False)):
        folder = tmp_path / str(missing)
        folder.mkdir()
        fast = cell("fast", papers, seconds=1.0, failures=[Failure.TIMEOUT] * missing)
        found = told(summary_of(folder, papers, best, fast))["Batch"]
        assert ("fast" in found.qualified) is qualifies
        assert (found.cell == "fast") is qualifies
    assert found.unknown["fast"].startswith("F1 -20.0 [")


def test_what_cannot_be_told_apart_is_not_recommended(plain):
    real_time = plain["Real time"]
    assert (real_time.verdict, real_time.cell) == (Verdict.INSUFFICIENT, None)
    assert set(real_time.qualified) == {"good", "fast", "equal"}
    assert "good against equal: identical on every document" in real_time.reason


def test_what_was_not_measured_is_insufficient_evidence(plain):
    assert plain["Edge and power"].verdict is Verdict.INSUFFICIENT
    assert "not measured" in plain["Edge and power"].reason


def test_a_pod_is_for_those_that_fit_it(plain):
    pods = plain["Pods of 4 GiB"]
    assert pods.failed == {"equal": "7 GiB"}
    assert (pods.verdict, pods.cell) == (Verdict.RECOMMENDED, "good")
    assert "mean document F1 +" in pods.reason


def test_a_pod_needs_three_samples(tmp_path):
    papers = asked(2)
    few = {"memory": MemoryPeak(rss_bytes=GIB, samples=2)}
    cells = [cell(n, papers, seconds=1.0, told=lambda d: few) for n in "ab"]
    pods = told(summary_of(tmp_path, papers, *cells))["Pods of 4 GiB"]
    assert pods.verdict is Verdict.INSUFFICIENT
    assert "at least 3" in pods.unknown["a"]


def test_a_price_of_nothing_is_no_cost(tmp_path):
    papers = asked(8)
    summary = summary_of(tmp_path, papers, *(cell(n, papers, seconds=s) for n, s in (("a", 1.0), ("b", 2.0))))
    assert told(summary)["Cost"].cell == "a"
    assert told(summary, cpu=0.0)["Cost"].verdict is Verdict.INSUFFICIENT


# --- real time: the percentile, its bound, and who is not known to keep it -------------------------------------------


@pytest.mark.parametrize(
    ("count", "seconds", "verdict", "why"),
    [
        (80, 2.0, Verdict.RECOMMENDED, ""),
        (40, 2.0, Verdict.INSUFFICIENT, "too few for an upper bound"),
        (80, 4.0, Verdict.NONE, "good: 4.4"),
    ],
)
def test_real_time_is_judged_by_the_end_of_the_interval(tmp_path, count, seconds, verdict, why):
    papers = asked(count)
    cells = [cell("good", papers, seconds=seconds), cell("bad", papers, seconds=seconds, text=some_wrong)]
    found = told(summary_of(tmp_path, papers, *cells))["Real time"]
    assert found.verdict is verdict
    assert why in found.reason


def test_a_better_cell_that_may_qualify_keeps_the_rest_from_being_recommended(tmp_path):
    papers = asked(80)

    def sometimes_slow(document):
        return {"latency_s": 9.0 if number(document) % 19 == 0 else 1.0}

    better = cell("better", papers, seconds=1.0, told=sometimes_slow)
    summary = summary_of(tmp_path, papers, better, cell("worse", papers, seconds=1.0, text=some_wrong))
    found = told(summary)["Real time"]
    assert list(found.unknown) == ["better"]
    assert list(found.qualified) == ["worse"]
    assert found.verdict is Verdict.INSUFFICIENT
    assert "better would win, but it is not known to qualify" in found.reason
    assert told(summary, Limits(real_time_s=10.0))["Real time"].cell == "better"


def test_the_only_one_that_qualifies_is_recommended(tmp_path):
    papers = asked(80)
    summary = summary_of(tmp_path, papers, cell("a", papers, seconds=1.0), cell("b", papers, seconds=9.0))
    found = told(summary)["Real time"]
    assert (found.cell, found.reason) == ("a", "the only candidate that qualifies")


def test_the_only_one_that_qualifies_must_have_answered_what_others_did(tmp_path):
    papers = asked(200)
    flaky = cell("flaky", papers, seconds=1.0, failures=[Failure.TIMEOUT] * 120)
    found = told(summary_of(tmp_path, papers, flaky, cell("steady", papers, seconds=9.0)))["Real time"]
    assert (found.verdict, found.cell) == (Verdict.INSUFFICIENT, None)
    assert found.reason == "flaky alone qualifies, but it left 120 documents unanswered that steady answered"


def test_the_best_is_not_taken_at_its_word_where_it_did_not_answer(tmp_path):
    papers = asked(120)
    flaky = cell("flaky", papers, seconds=1.0, failures=[Failure.TIMEOUT] * 72)
    found = told(summary_of(tmp_path, papers, flaky, cell("poor", papers, seconds=0.5, text=some_wrong)))
    for use in ("Batch", "Cost"):
        assert (found[use].verdict, found[use].cell) == (Verdict.INSUFFICIENT, None)
        assert "points against poor" in found[use].unknown["flaky"]


def test_the_best_is_the_best_on_the_documents_that_all_were_asked(tmp_path):
    """`part` looks better over its own documents, which are the easy ones, and reads none of them better."""
    papers = asked(120)
    easy = [d for d in papers if not is_bad(d)][:50]
    whole = cell("whole", papers, seconds=2.0, text=some_wrong)
    part = cell("part", easy, seconds=1.0, text=lambda d: right(d, TOTAL="$1.00") if number(d) % 3 else right(d))
    summary = summary_of(tmp_path, papers, whole, part)
    f1 = {c.cell: c.metrics["f1"].value for c in summary.candidates}
    assert f1["part"] > f1["whole"], "over documents of their own"
    found = told(summary)
    for use in ("Batch", "Cost"):
        assert list(found[use].failed) == ["part"]
        assert (found[use].verdict, found[use].cell) == (Verdict.RECOMMENDED, "whole")


def test_one_that_qualifies_and_was_not_compared_keeps_the_rest_from_being_recommended(tmp_path):
    papers = asked(60)
    cells = [
        gpu.gpu_cell(name, "bf16", papers, weights=1e9, slower=slower, unlike=unlike)
        for name, slower, unlike in (
            ("a", 1.0, {}),
            ("b", 2.0, {}),
            ("c", 0.3, {number(papers[3]): {"foreign_processes": 1}}),
        )
    ]
    found = told(summary_of(tmp_path, papers, *cells))["Batch"]
    assert (found.verdict, found.cell) == (Verdict.INSUFFICIENT, None)
    assert found.reason.startswith("a-bf16@cuda is ahead of those compared, but not known to be ahead of c-bf16@cuda: ")


def test_disturbed_times_recommend_nothing(tmp_path):
    papers = asked(80)
    cells = [
        gpu.gpu_cell(n, "bf16", papers, weights=1e9, slower=s, unlike={3: {"foreign_processes": 1}})
        for n, s in (("a", 0.5), ("b", 1.0))
    ]
    found = told(summary_of(tmp_path, papers, *cells))
    assert found["Real time"].verdict is Verdict.INSUFFICIENT
    assert "other processes on the GPU" in found["Real time"].reason
    assert {found[use].cell for use in ("Batch", "Edge and power", "Cost")} == {None}


# --- reliability, detail, power --------------------------------------------------------------------------------------


def test_reliability_asks_for_answers_before_it_asks_for_precision(tmp_path):
    papers = asked(80)

    def silent(document):
        return "" if number(document) % 3 == 0 else right(document)

    def loops(document):
        return right(document) + "\n" + "and so on and so on\n" * 60

    summary = summary_of(
        tmp_path,
        papers,
        cell("good", papers, seconds=1.0, text=lambda d: some_wrong(d)),
        cell("worse", papers, seconds=1.0, text=wrong),
        cell("silent", papers, seconds=1.0, text=silent),
        cell("looping", papers, seconds=1.0, text=loops),
        cell("crashing", papers, seconds=1.0, failures=[Failure.CRASH] * 20),
        cell("cut", papers, seconds=1.0, told=lambda d: {"stop": "length"}),
    )
    found = told(summary)["Reliability"]
    assert set(found.failed) == {"silent", "looping", "crashing", "cut"}
    assert found.failed["looping"].startswith("0 of 80")
    assert (found.verdict, found.cell) == (Verdict.RECOMMENDED, "good")
    assert "mean document precision +" in found.reason


def test_detail_is_by_line_items(tmp_path):
    papers = asked(30)

    def coarse_text(document):
        return right(document, DESCRIPTIONS="Something | Something else") if number(document) % 3 else right(document)

    coarse = cell("coarse", papers, seconds=1.0, text=coarse_text)
    rough = cell("rough", papers, seconds=1.0, text=lambda d: right(d, SUPPLIER="X", ABN="N/A", TOTAL="N/A"))
    found = told(summary_of(tmp_path, papers, coarse, rough))["Detail"]
    assert found.cell == "rough"
    assert "mean F1 of the line items of a document +" in found.reason


def test_power_is_the_least_energy_among_those_that_read_as_well(tmp_path):
    papers = asked(40)
    cells = [gpu.gpu_cell(n, "bf16", papers, weights=1e9, slower=s) for n, s in (("a", 1.0), ("b", 2.0))]
    found = told(summary_of(tmp_path, papers, *cells))["Edge and power"]
    assert (found.verdict, found.cell) == (Verdict.RECOMMENDED, "a-bf16@cuda")
    assert "mean energy of a document -" in found.reason
    assert " J over 40 documents" in found.reason


# --- nobody to choose between ----------------------------------------------------------------------------------------


def test_random_weights_are_never_recommended(tmp_path):
    papers = asked(80)
    cells = [gpu.gpu_cell(n, "bf16", papers, weights=1e9, slower=0.5, dummy=True) for n in "ab"]
    found = told(summary_of(tmp_path, papers, *cells))
    assert {r.verdict for r in found.values()} == {Verdict.INSUFFICIENT}
    assert all("random weights" in r.reason for r in found.values())


def test_one_candidate_is_recommended_for_nothing(tmp_path):
    papers = asked(80)
    found = told(summary_of(tmp_path, papers, cell("a", papers, seconds=1.0)))
    assert {r.cell for r in found.values()} == {None}
    assert found["Real time"].reason == "a qualifies, but there is no other candidate"


def test_a_log_without_candidates_has_no_section(tmp_path):
    summary = summary_of(tmp_path, asked(2))
    assert recommendations(summary, deployments(summary)) == []
    assert recommendations_parts([]) == []


def test_the_table_and_the_json_say_the_same(plain):
    found = list(plain.values())
    text = "\n".join(recommendations_parts(found))
    assert text.count("*insufficient evidence*") == sum(r.verdict is Verdict.INSUFFICIENT for r in found)
    assert "| Batch | **good** | document F1 at most 2 points below" in text
    assert "does not qualify: fast" in text
    told = json.loads(json.dumps(recommendations_json(found), allow_nan=False))
    assert [(r["use"], r["cell"]) for r in told] == [(r.use, r.cell) for r in found]
