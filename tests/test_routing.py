"""Routing between a fast and a strong cell: signals, sweep, front, and the threshold chosen on one half."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from math import inf

import pytest

from harness.cells import Failure
from harness.deployment.routing import MINIMUM_HALF, Point, Routing, best_pair, halves, route
from harness.deployment.signals import Signal, signal_values
from harness.results import CellResult
from reports.deployment import deployments
from reports.routing import routing_json, routing_parts, summary_routing
from tests import gpu_evidence as gpu
from tests.report_evidence import STRATA
from tests.routing_evidence import GOOD_ABN, asked, cell, is_bad, number, right, summary_of, wrong


def logprob(document) -> dict:
    """Surer of the right answers, with some noise."""
    return {"facts": {"mean_logprob": -0.1 - 0.3 * is_bad(document) - 0.001 * number(document)}}


def two_cells(folder, count: int = 60, **fast) -> dict[str, CellResult]:
    papers = asked(count)
    told = {"seconds": 1.0, "text": lambda d: wrong(d) if is_bad(d) else right(d), "told": logprob, **fast}
    summary = summary_of(folder, papers, cell("fast", papers, **told), cell("strong", papers, seconds=4.0))
    return {c.cell: c.result for c in summary.candidates}


@pytest.fixture
def results(tmp_path) -> dict[str, CellResult]:
    return two_cells(tmp_path)


def choice_of(found: Routing, signal: Signal):
    return next(c for c in found.choices if c.reported_on.name == signal)


def swept(found: Routing, signal: str) -> list[Point]:
    return [p for p in found.points if p.name == signal]


# --- signals ---------------------------------------------------------------------------------------------------


def test_signals_tell_what_the_answer_shows_without_truth(tmp_path):
    papers = asked(6)
    texts = dict(
        zip(
            (d.document for d in papers),
            [
                f"ABN: {GOOD_ABN}\nTOTAL: $11.00\nGST: $1.00\nSUBTOTAL: $10.00",
                "ABN: 12345678901\nTOTAL: $11.00\nGST: $5.00",
                "ABN: N/A\nTOTAL: $11.00",
                f"ABN: {GOOD_ABN}\nTOTAL: $11.00\nGST: $1.00\nSUBTOTAL: $9.00",
                "I cannot read this.",
                f"Sure, here it is:\nABN: {GOOD_ABN}\nFLAVOUR: sweet",
            ],
            strict=True,
        )
    )
    summary = summary_of(tmp_path, papers, cell("a", papers, seconds=1.0, text=lambda d: texts[d.document]))
    found = signal_values(summary.candidates[0].result, list(texts))
    assert list(found[Signal.ABN].values()) == [1.0, 0.0, 0.5, 1.0, 0.0, 1.0]
    assert list(found[Signal.GST].values()) == [1.0, 0.0, 0.5, 0.0, 0.0, 0.5]
    notes = list(found[Signal.NOTES].values())
    assert notes[:4] == [0.0] * 4
    assert notes[5] == -2.0, "prose and a key that is none"
    assert notes[4] == min(notes) < -5
    assert found[Signal.CHECKS][papers[0].document] == 2.0
    assert found[Signal.LOGPROB] == "not recorded for 6 of 6 documents"


@pytest.mark.parametrize("calls", [1, 3])
def test_the_log_probability_of_an_answer_of_several_calls_is_not_one(tmp_path, calls):
    fast = two_cells(tmp_path, 4, told=lambda d: {**logprob(d), "calls": calls})["fast"]
    found = signal_values(fast, list(fast.documents))[Signal.LOGPROB]
    assert (found == "not recorded for 4 of 4 documents") is (calls > 1)


# --- the sweep -------------------------------------------------------------------------------------------------


def test_the_ends_of_a_sweep_are_the_fast_cell_and_everything_read_twice(results):
    found = route(*results.values())
    fast, strong = found.points[:2]
    assert (fast.name, strong.name) == ("fast alone", "strong alone")
    for signal in (Signal.ABN, Signal.LOGPROB):
        first, *_, last = swept(found, signal)
        assert (first.threshold, first.escalated, first.f1, first.latency_s) == (-inf, 0, fast.f1, fast.latency_s)
        assert (last.threshold, last.escalated, last.f1) == (inf, 60, strong.f1)
        assert last.latency_s == pytest.approx(fast.latency_s + strong.latency_s)
    assert fast.f1.value == results["fast"].metrics()["f1"].value
    assert strong.f1.value == 1.0


def test_a_sharp_signal_sends_on_the_bad_documents_and_no_others(results):
    bad = [d for d in results["fast"].documents.values() if is_bad(d)]
    point = next(p for p in swept(route(*results.values()), Signal.ABN) if p.threshold == 1.0)
    assert (point.escalated, point.f1.value) == (len(bad), 1.0)
    mean = sum(r.latency_s for r in results["fast"].readings.values())
    mean += sum(results["strong"].readings[d.document].latency_s for d in bad)
    assert point.latency_s == pytest.approx(mean / 60)
    assert 1.0 < point.latency_s < point.latency_p90_s


def test_thresholds_of_a_fine_signal_send_on_ever_more(results):
    points = swept(route(*results.values()), Signal.LOGPROB)
    sent = [p.escalated for p in points]
    assert sent == sorted(sent)
    assert 15 < len(points) <= 22
    assert [p.latency_s for p in points] == sorted(p.latency_s for p in points)


def test_no_point_of_the_front_is_beaten_and_every_other_is(results):
    points = route(*results.values()).points

    def beaten(p: Point) -> bool:
        return any(
            q.f1.value >= p.f1.value
            and q.latency_s <= p.latency_s
            and (q.f1.value, -q.latency_s) != (p.f1.value, -p.latency_s)
            for q in points
        )

    assert [p.on_front for p in points] == [not beaten(p) for p in points]
    assert not next(p for p in points if p.name == "strong alone").on_front, "the checksum reaches its F1 sooner"


def test_costs_are_seconds_at_the_price_of_each_machine(results):
    found = route(*results.values(), hourly={"fast": 0.36, "strong": 3.6}, utilisation=0.5)
    fast, strong = found.points[:2]
    assert fast.cost_per_thousand == pytest.approx(1000 * fast.latency_s * 0.36 / 3600 / 0.5)
    everything = swept(found, Signal.ABN)[-1]
    assert everything.cost_per_thousand == pytest.approx(fast.cost_per_thousand + strong.cost_per_thousand)
    assert {p.cost_per_thousand for p in route(*results.values(), hourly={"fast": 1.0}).points} == {None}


def test_in_a_batch_a_document_waits_for_all_and_pays_for_its_share(tmp_path):
    batched = two_cells(tmp_path, 8, told=lambda d: {"batch_size": 4})
    fast = route(*batched.values(), hourly={"fast": 3.6, "strong": 3.6}).points[0]
    assert fast.cost_per_thousand == pytest.approx(fast.latency_s / 4)


def test_documents_that_one_cell_failed_on_are_left_out_and_counted(tmp_path):
    found = route(*two_cells(tmp_path, failures=[Failure.TIMEOUT] * 7).values())
    assert (found.documents, found.left_out) == (53, 7)
    assert {p.documents for p in found.points} == {53}


# --- the threshold that is chosen --------------------------------------------------------------------------------


def test_halves_share_out_every_stratum_and_do_not_change():
    documents = {f"{i}.png": [*STRATA, None][i % 4] for i in range(62)}
    first, second = halves(documents)
    assert sorted([*first, *second]) == sorted(documents)
    assert abs(len(first) - len(second)) <= 1
    tallies = [Counter(documents[d] for d in half) for half in (first, second)]
    assert all(abs(tallies[0][s] - tallies[1][s]) <= 1 for s in [*STRATA, None])
    assert halves(dict(reversed(documents.items()))) == (first, second)


def test_a_signal_that_knows_something_beats_the_fast_cell_and_the_coin(results):
    found = route(*results.values())
    assert found.undecided is None
    chosen = choice_of(found, Signal.ABN)
    assert chosen.chosen_on.documents + chosen.reported_on.documents == 60
    assert chosen.reported_on.f1.value == 1.0
    assert chosen.against_fast.low > 0
    assert chosen.against_coin.low > 0
    assert sum(c.is_best for c in found.choices) == 1


def test_a_signal_that_knows_nothing_does_not_beat_the_coin(tmp_path):
    """Its log-probability is noise, and it errs on every document somewhat."""

    def noise(document):
        return {"facts": {"mean_logprob": -((number(document) * 7919) % 97) / 97}}

    fast = {"text": lambda d: right(d, SUPPLIER="Somebody Else"), "told": noise}
    found = route(*two_cells(tmp_path, **fast).values())
    chosen = choice_of(found, Signal.LOGPROB)
    assert chosen.against_coin.low is None or chosen.against_coin.low <= 0


def test_a_router_is_faster_than_the_strong_cell_alone_where_it_was_chosen(tmp_path):
    """Every answer of the fast cell is wrong: reading all twice would be best, and is slower than reading all once."""
    found = route(*two_cells(tmp_path, text=wrong, told=logprob).values())
    assert choice_of(found, Signal.ABN).chosen_on.escalated == 0
    strong = found.points[1].latency_s
    assert {c.chosen_on.latency_s < strong for c in found.choices} == {True}
    assert 0 < choice_of(found, Signal.LOGPROB).chosen_on.escalated < 30


def test_a_strong_cell_that_is_no_better_is_not_asked(tmp_path):
    found = route(*two_cells(tmp_path, text=right).values())
    assert {c.reported_on.escalated for c in found.choices} == {0}


def test_the_half_that_reports_does_not_choose(tmp_path):
    """Wrong answers in the reporting half alone: nothing in the choosing half asks for the strong cell."""
    papers = asked(60)
    _, second = halves({d.document: d.stratum for d in papers})
    fast = {"text": lambda d: wrong(d) if d.document in set(second) else right(d)}
    found = route(*two_cells(tmp_path, **fast).values())
    chosen = choice_of(found, Signal.NOTES)
    assert chosen.chosen_on.escalated == chosen.reported_on.escalated == 0
    assert chosen.reported_on.f1.value < chosen.chosen_on.f1.value == 1.0


def test_too_few_documents_choose_nothing(tmp_path):
    found = route(*two_cells(tmp_path, 2 * MINIMUM_HALF - 1).values())
    assert found.choices == []
    assert found.undecided.startswith("39 documents that both answered")
    assert "Insufficient evidence: 39 documents" in "\n".join(routing_parts(found, {}))


# --- which cells -------------------------------------------------------------------------------------------------


def test_the_pair_is_of_the_best_that_is_slow_and_the_best_that_is_fast(tmp_path):
    papers = asked(8)
    summary = summary_of(
        tmp_path,
        papers,
        cell("worst", papers, seconds=0.5, text=wrong),
        cell("fast", papers, seconds=1.0, text=lambda d: wrong(d) if is_bad(d) else right(d)),
        cell("near", papers, seconds=3.9),
        cell("slow-and-bad", papers, seconds=9.0, text=wrong),
    )
    found = summary_routing(summary)
    assert (found.fast, found.strong) == ("fast", "near")


def test_cells_without_scores_or_with_disturbed_times_are_not_routed_between(tmp_path):
    papers = asked(6)
    disturbed = gpu.gpu_cell("a", "bf16", papers, weights=1e9, slower=0.2, unlike={3: {"foreign_processes": 1}})
    random = gpu.gpu_cell("b", "bf16", papers, weights=1e9, slower=0.1, dummy=True)
    summary = summary_of(tmp_path, papers, disturbed, random, cell("c", papers, seconds=9.0))
    found = summary_routing(summary)
    assert "two candidates with scored answers and undisturbed times; this log has 1" in found
    assert routing_parts(found, {})[0].startswith("Insufficient evidence: ")
    assert routing_json(found) == {"undecided": found}


def test_cells_of_like_speed_are_not_routed_between(tmp_path):
    papers = asked(4)
    summary = summary_of(tmp_path, papers, *(cell(n, papers, seconds=1.0) for n in "ab"))
    results = [c.result for c in summary.candidates]
    assert "no candidate takes 2 times as long" in best_pair(results)


def test_a_slower_cell_that_reads_no_better_is_not_called_strong(tmp_path):
    papers = asked(8)

    def found(text):
        cells = [cell("a", papers, seconds=1.0, text=text), cell("b", papers, seconds=4.0)]
        return best_pair([c.result for c in summary_of(tmp_path, papers, *cells).candidates])

    assert "has the higher F1: nothing is gained" in found(right)
    fast, strong = found(lambda d: wrong(d) if is_bad(d) else right(d))
    assert (fast.cell, strong.cell) == ("a", "b")


def test_the_strong_cell_is_the_better_one_on_the_documents_of_both(tmp_path):
    """One that read only the documents that are easy is not stronger than one that read the hard ones, too."""
    papers = asked(40)
    easy = [d for d in papers if not is_bad(d)]
    whole = cell("whole", papers, seconds=1.0, text=lambda d: wrong(d) if is_bad(d) else right(d))
    some = cell("some", easy, seconds=4.0, text=lambda d: wrong(d) if number(d) == number(easy[0]) else right(d))
    results = [c.result for c in summary_of(tmp_path, papers, whole, some).candidates]
    assert "has the higher F1: nothing is gained" in best_pair(results)


# --- what the report says ------------------------------------------------------------------------------------------


def test_one_candidate_has_no_section(tmp_path):
    papers = asked(4)
    summary = summary_of(tmp_path, papers, cell("a", papers, seconds=1.0))
    assert summary_routing(summary) is None
    assert routing_parts(None, {}) == []
    assert routing_json(None) is None


def test_the_section_tells_what_was_chosen_and_against_what(tmp_path):
    papers = asked(60)
    fast = cell("fast|`x`", papers, seconds=1.0, text=lambda d: wrong(d) if is_bad(d) else right(d))
    summary = summary_of(tmp_path, papers, fast, cell("strong", papers, seconds=4.0))
    found = summary_routing(summary, deployments(summary))
    text = "\n".join(routing_parts(found, {"routing": "![drawn]"}))
    assert r"Fast: **fast\|\`x\`**. Strong: **strong**" in text
    assert "mean token log-probability: not recorded for 60 of 60 documents" in text
    assert "![drawn]" in text
    assert "1,000 documents (assumed price)" in text
    assert re.search(
        r"\| ABN checksum \(preferred\) \| 1 \| .*\*\*better than the fast cell, and than a coin\*\*", text
    )
    assert re.search(r"\| notes of the parser \| none \| 0/30 .*does not route", text)
    told = json.loads(json.dumps(routing_json(found), allow_nan=False))
    assert [c["reported_on"]["name"] for c in told["choices"] if c["is_best"]] == ["ABN checksum"]
    assert len(told["points"]) == len(found.points)


def test_a_router_that_loses_is_called_worse(results):
    found = route(*results.values())
    (chosen,) = [c for c in found.choices if c.reported_on.name == Signal.ABN]
    lost = replace(chosen.against_fast, low=-0.2, high=-0.1)
    text = "\n".join(routing_parts(replace(found, choices=[replace(chosen, against_fast=lost)]), {}))
    assert "**worse than the fast cell alone**" in text


def test_the_figure_draws_every_signal_and_the_front(tmp_path):
    pytest.importorskip("matplotlib")
    from reports.figures.routing import draw_routing
    from reports.figures.style import drawing

    papers = asked(60)
    fast = cell("fast", papers, seconds=1.0, text=lambda d: wrong(d) if is_bad(d) else right(d), told=logprob)
    summary = summary_of(tmp_path, papers, fast, cell("strong", papers, seconds=4.0))
    with drawing() as png:
        canvas, _, caption = draw_routing(summary)
        assert png(canvas).startswith(b"\x89PNG")
    (axes,) = canvas.axes
    labels = {line.get_label() for line in axes.lines if not line.get_label().startswith("_")}
    assert labels == {"fast alone", "strong alone", "front", *map(str, Signal)}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("mean latency, s", "F1, %")
    assert "60 documents" in caption
