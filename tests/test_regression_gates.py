"""The gates themselves: planted faults are found and named, nothing changed passes, and chance is told from change."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from harness.evidence import DeviceUse, DocumentRecord, Evidence, ReadingRecord, Record
from harness.gates import Verdict
from harness.regression import Baseline, Margins, RegressionGate, compare
from harness.regression.gate import Change, Status
from harness.regression.latency import judge_latency, judge_ratios
from harness.regression.power import documents_to_decide, smallest_detectable_drop, unseen_drop
from harness.regression.quality import ScoredDocument, judge_quality
from harness.scoring import Outcome
from tests.regression_evidence import edited, evidence, log, number, readings, right
from tests.regression_simulation import Drop, Row, f1, latency_row, planted, pool, quality_row, rate, shares

# --- quality, from raw answers ----------------------------------------------------------------------------------


def _quality(now: Evidence, then: Evidence, margins: Margins | None = None) -> RegressionGate:
    (cell,) = compare(now, then, margins).cells.values()
    assert cell.quality is not None
    return cell.quality


def _reading(change: Callable[[ReadingRecord], ReadingRecord], *documents: int) -> Sequence[Record]:
    return edited(log(), ReadingRecord, lambda r: change(r) if number(r.document) in documents else r)


def _answering(text: str | None) -> Callable[[ReadingRecord], ReadingRecord]:
    return lambda r: replace(r, text=text)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_answering("I cannot read this."), "unparsable"),
        (_answering(""), "empty"),
        (_answering("TOTAL: N/A\nSUPPLIER: N/A"), "empty"),
        (lambda r: replace(r, stop="length"), "truncated"),
        (lambda r: replace(r, failure="crash", text=None), "no answer (crash)"),
    ],
    ids=["unparsable", "silent", "all-na", "truncated", "crash"],
)
def test_one_newly_broken_document_fails_by_itself(
    tmp_path: Path, change: Callable[[ReadingRecord], ReadingRecord], what: str
) -> None:
    then, now = log(), _reading(change, 4)
    gate = _quality(evidence(tmp_path / "now", now), evidence(tmp_path / "then", then))
    assert gate.verdict is Verdict.FAIL
    assert list(gate.broken) == [f"invoice_004.png ({what})"]
    assert "1 documents newly broken: invoice_004.png" in gate.message
    mended = _quality(evidence(tmp_path / "now", then), evidence(tmp_path / "then", now))
    assert mended.verdict is Verdict.PASS
    as_before = _quality(evidence(tmp_path / "now", now), evidence(tmp_path / "then", now))
    assert (as_before.verdict, list(as_before.broken)) == (Verdict.PASS, [])


def test_a_crash_is_new_even_where_the_answer_was_worth_nothing(tmp_path: Path) -> None:
    then = _reading(_answering(""), 4)
    crashed = _reading(lambda r: replace(r, failure="crash", text=None), 4)
    gate = _quality(evidence(tmp_path / "now", crashed), evidence(tmp_path / "then", then))
    assert (gate.verdict, list(gate.broken)) == (Verdict.FAIL, ["invoice_004.png (no answer (crash))"])
    answered = _quality(evidence(tmp_path / "now", then), evidence(tmp_path / "then", crashed))
    assert list(answered.broken) == []
    assert "1 documents without a score on both sides" in answered.message


def _without_total(document: DocumentRecord) -> str:
    return right(document, TOTAL="$1.00") if document.truth.get("TOTAL") else right(document)


def test_a_field_that_turned_wrong_fails_and_is_named(tmp_path: Path) -> None:
    now = log(60, told=readings(text=_without_total))
    gate = _quality(evidence(tmp_path / "now", now), evidence(tmp_path / "then", log(60, told=readings(text=_same))))
    assert gate.verdict is Verdict.FAIL
    assert gate.fields[0].field == "TOTAL"
    assert (len(gate.fields[0].worse), len(gate.fields[0].better)) == (40, 0)
    assert gate.p is not None
    assert gate.p < 0.001
    assert "worse in TOTAL" in gate.message
    assert "TOTAL 40 worse, 0 better (invoice_001.png" in gate.message
    wide = _quality(evidence(tmp_path / "now", now), evidence(tmp_path / "then", now))
    assert wide.verdict is Verdict.PASS


def _same(document: DocumentRecord) -> str:
    return right(document)


def _inventing(document: DocumentRecord) -> str:
    """One value that the document does not carry, each time of another field."""
    absent = [name for name, value in document.truth.items() if value is None]
    return right(document, **{absent[number(document.document) % len(absent)]: "$77.10"})


def test_values_made_up_all_over_the_schema_fail_as_hallucinations(tmp_path: Path) -> None:
    then = evidence(tmp_path / "then", log(60, told=readings(text=_same)))
    gate = _quality(evidence(tmp_path / "now", log(60, told=readings(text=_inventing))), then)
    assert gate.verdict is Verdict.FAIL
    assert gate.fields[0].field == "hallucinations"
    assert len(gate.fields[0].worse) == 60


def test_too_few_documents_are_inconclusive_and_tell_how_many_are_needed(tmp_path: Path) -> None:
    gate = _quality(evidence(tmp_path / "now", log(9)), evidence(tmp_path / "then", log(9)))
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert gate.needed is not None
    assert 10 <= gate.needed <= 30
    assert f"about {gate.needed} documents would decide" in gate.message
    assert gate.detectable is not None
    assert gate.detectable > 0.02


def test_the_margin_is_the_callers(tmp_path: Path) -> None:
    def some(document: DocumentRecord) -> str:
        return right(document, SUPPLIER="Nobody") if number(document.document) % 20 == 1 else right(document)

    then = evidence(tmp_path / "then", log(60, told=readings(text=_same)))
    now = evidence(tmp_path / "now", log(60, told=readings(text=some)))
    assert _quality(now, then, Margins(points=3.0)).verdict is Verdict.PASS
    assert _quality(now, then, Margins(points=0.5)).verdict is Verdict.INCONCLUSIVE


# --- quality, from outcomes ------------------------------------------------------------------------------------

Run = Mapping[str, ScoredDocument]


def _run(values: Sequence[float]) -> Run:
    """Documents of ten fields, of which a share is right."""
    return {
        f"{i:03}": ScoredDocument(
            f1=value,
            outcomes={f"F{k}": Outcome.CORRECT if k < round(10 * value) else Outcome.WRONG for k in range(10)},
        )
        for i, value in enumerate(values)
    }


def test_a_small_drop_however_sure_does_not_fail_by_itself() -> None:
    then = _run([1.0] * 200)
    now = {d: replace(s, f1=0.996) for d, s in then.items()}
    gate = judge_quality("x", [now], [then], Margins())
    assert gate.p is not None
    assert gate.p < 0.001
    assert gate.verdict is Verdict.PASS


def test_two_differing_repeats_of_a_baseline_cannot_pass_three_are_averaged() -> None:
    noisy = [_run([0.9 if i % 20 == k else 1.0 for i in range(60)]) for k in range(3)]
    two = judge_quality("x", [noisy[0]], noisy[:2], Margins())
    assert two.verdict is Verdict.INCONCLUSIVE
    assert "the baseline's 2 runs differ: at least 3 are to be averaged" in two.message
    three = judge_quality("x", [noisy[0]], noisy, Margins())
    assert three.verdict is Verdict.PASS
    assert three.difference == pytest.approx(0.0, abs=1e-12)
    assert judge_quality("x", [noisy[0]], [noisy[0]] * 2, Margins()).verdict is Verdict.PASS


def test_a_fault_that_any_repeat_of_the_baseline_had_is_not_new() -> None:
    good = _run([1.0] * 40)
    faulty = {**good, "007": replace(good["007"], fault="truncated")}
    assert judge_quality("x", [faulty], [good, faulty, good], Margins()).verdict is Verdict.PASS
    assert judge_quality("x", [faulty], [good, good, good], Margins()).verdict is Verdict.FAIL


def test_without_a_document_nothing_passes() -> None:
    gate = judge_quality("x", [{}], [{}], Margins())
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert (gate.difference, gate.low, gate.p, gate.n) == (None, None, None, 0)
    assert "no document is scored on both sides" in gate.message


def test_the_verdict_does_not_depend_on_the_order_of_documents() -> None:
    random = Random(3)
    then, now = (_run([random.choice((0.8, 0.9, 1.0)) for _ in range(50)]) for _ in range(2))
    turned = [dict(reversed(list(run.items()))) for run in (now, then)]
    assert judge_quality("x", [now], [then], Margins()) == judge_quality("x", turned[:1], turned[1:], Margins())


# --- power -------------------------------------------------------------------------------------------------------


def test_the_smallest_drop_to_be_seen_follows_the_spread_and_has_a_floor() -> None:
    spread = [0.1, -0.1] * 50
    seen = smallest_detectable_drop(spread, alpha=0.05, least_drop=0.005, one_field=0.05)
    assert seen == pytest.approx((1.6449 + 0.8416) * 0.1005 / 10, rel=1e-3)
    # six documents that all lose a field are the fewest with p < 0.03
    assert smallest_detectable_drop([0.0] * 100, alpha=0.03, least_drop=0.005, one_field=0.1) == pytest.approx(0.006)
    assert smallest_detectable_drop([0.0] * 1000, alpha=0.03, least_drop=0.005, one_field=0.1) == 0.005
    assert smallest_detectable_drop([], alpha=0.03, least_drop=0.005, one_field=0.1) is None


def test_what_nothing_shows_may_still_be_so_much() -> None:
    assert unseen_drop(1, 0.1) == pytest.approx(0.095)
    assert unseen_drop(59, 1.0) == pytest.approx(0.05, abs=0.001)
    assert unseen_drop(0, 0.1) == math.inf


def test_documents_needed_grow_with_the_spread_and_as_the_margin_is_used_up() -> None:
    flat, uneven, lower = [0.02, -0.02] * 20, [0.1, -0.1] * 20, [0.085, -0.115] * 20
    needed = [documents_to_decide(d, 0.02, alpha=0.03, least_drop=0.005, one_field=0.08) for d in (flat, uneven, lower)]
    assert all(n is not None for n in needed)
    assert needed == sorted(needed)
    assert needed[2] == 338  # for a FAIL: ((1.8808 + 0.8416) x 0.1013 / 0.015)^2
    assert needed[1] == 159  # ((1.6449 + 0.8416) x 0.1013 / 0.02)^2
    assert documents_to_decide([0.1], 0.02, alpha=0.03, least_drop=0.005, one_field=0.08) is None


# --- latency -----------------------------------------------------------------------------------------------------


def _slower(share: float, spread: float = 0.03, seed: int = 0) -> Sequence[Record]:
    random = Random(seed)
    return edited(
        log(50),
        ReadingRecord,
        lambda r: replace(r, latency_s=(r.latency_s or 0) * (1 + share) * random.lognormvariate(0, spread)),
    )


def _latency(now: Evidence | Baseline, then: Evidence | Baseline) -> RegressionGate:
    (cell,) = compare(now, then).cells.values()
    assert cell.latency is not None
    return cell.latency


def test_a_slower_cell_fails_and_a_faster_one_passes(tmp_path: Path) -> None:
    then = evidence(tmp_path / "then", _slower(0, seed=1))
    verdicts = {
        s: _latency(evidence(tmp_path / "now", _slower(s, seed=2)), then).verdict for s in (-0.3, 0.0, 0.1, 0.2)
    }
    assert verdicts == {-0.3: Verdict.PASS, 0.0: Verdict.PASS, 0.1: Verdict.FAIL, 0.2: Verdict.FAIL}


def test_ten_percent_is_caught_and_nothing_is_not_in_twenty_seeded_tries() -> None:
    caught = latency_row(0.1, 50, 0.05, runs=20, seed=7)
    quiet = latency_row(0.0, 50, 0.05, runs=20, seed=8)
    assert caught[Verdict.FAIL] >= 19
    assert quiet[Verdict.FAIL] <= 1


def test_times_replayed_disturbed_or_from_another_device_judge_nothing(tmp_path: Path) -> None:
    then = evidence(tmp_path / "then", log(50))
    replayed = Baseline.from_evidence(then, fresh={})
    assert "replayed" in _latency(replayed, then).message
    busy = DeviceUse(device="cuda:0", name="x", seconds=1.0, foreign_processes=1)
    disturbed = edited(log(50), ReadingRecord, lambda r: replace(r, devices=[busy]))
    gates = [_latency(replayed, then), _latency(evidence(tmp_path / "now", disturbed), then)]
    gates.append(_latency(evidence(tmp_path / "few", log(9)), evidence(tmp_path / "few-then", log(9))))
    run = Baseline.from_evidence(then).cells["tiny-vlm"]
    gates.append(
        judge_latency(
            "x", run, run, list(run[0].readings), Margins(), [Change(status=Status.OTHER_DEVICE, message="m")]
        )
    )
    assert [gate.verdict for gate in gates] == [Verdict.INCONCLUSIVE] * 4
    assert "0 undisturbed, fresh requests" in gates[1].message


def test_a_log_that_was_resumed_does_not_tell_what_is_fresh(tmp_path: Path) -> None:
    records = log(50)
    resumed = evidence(tmp_path / "now", [records[0], *records])
    then = evidence(tmp_path / "then", log(50))
    assert _latency(resumed, then).verdict is Verdict.INCONCLUSIVE
    fresh = Baseline.from_evidence(resumed, fresh={"tiny-vlm": resumed.documents.keys()})
    assert _latency(fresh, then).verdict is Verdict.PASS


def test_documents_that_were_taken_over_are_left_out_and_counted(tmp_path: Path) -> None:
    then = evidence(tmp_path, log(50))
    some = Baseline.from_evidence(then, fresh={"tiny-vlm": sorted(then.documents)[:30]})
    gate = _latency(some, then)
    assert (gate.verdict, gate.n) == (Verdict.PASS, 30)
    assert "20 documents disturbed, replayed, without a time or in a batch of another size left out" in gate.message


def test_between_half_the_margin_and_the_margin_nothing_is_certain() -> None:
    random = Random(6)
    gate = judge_ratios("x", [random.gauss(math.log(1.07), 0.15) for _ in range(40)], Margins())
    assert gate.low is not None
    assert gate.high is not None
    assert gate.low < 0.05 < 0.1 < gate.high
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert "more documents, or repeated runs, would decide" in gate.message


def test_the_documents_of_a_batch_count_as_one_request(tmp_path: Path) -> None:
    def batched(r: ReadingRecord) -> ReadingRecord:
        return replace(r, batch_size=10, latency_s=10.0 + number(r.document) // 10)

    records = edited(log(50), ReadingRecord, batched)
    gate = _latency(evidence(tmp_path / "now", records), evidence(tmp_path / "then", records))
    assert (gate.verdict, gate.n) == (Verdict.INCONCLUSIVE, 5)


def test_a_batch_that_was_composed_otherwise_is_no_more_requests(tmp_path: Path) -> None:
    """Four batches now, whose documents were read in sixteen others then."""

    def batched(size: int, step: int) -> Callable[[ReadingRecord], ReadingRecord]:
        return lambda r: replace(r, batch_size=4, latency_s=size + number(r.document) % step)

    now = evidence(tmp_path / "now", edited(log(64), ReadingRecord, batched(5, 4)))
    then = evidence(tmp_path / "then", edited(log(64), ReadingRecord, batched(4, 16)))
    gate = _latency(now, then)
    assert (gate.verdict, gate.n) == (Verdict.INCONCLUSIVE, 4)
    single = _latency(evidence(tmp_path / "single", log(64)), then)
    assert single.n == 0, "batches of another size are left out"


def test_bounds_are_one_sided_and_told_in_shares() -> None:
    random = Random(5)
    gate = judge_ratios("x", [random.gauss(math.log(1.07), 0.04) for _ in range(60)], Margins())
    assert gate.difference == pytest.approx(0.07, abs=0.02)
    assert gate.low is not None
    assert gate.high is not None
    assert gate.low < gate.difference < gate.high
    assert (gate.limit, gate.n) == (0.1, 60)
    lenient = judge_ratios("x", [math.log(1.07)] * 60, Margins(latency_percent=30))
    assert lenient.verdict is Verdict.PASS


# --- operating characteristics, in short: the long table is tests/benchmarks/test_gate_characteristics.py --------


def test_the_simulation_plants_the_drop_that_it_says() -> None:
    documents = pool()
    for drop in (Drop.DIFFUSE, Drop.FIELD, Drop.MISREAD):
        row, random = Row(drop=drop, n=4000), Random(1)
        share = shares(documents, row)
        drawn = random.choices(documents, k=row.n)
        lost = sum((f1(o) or 0) - (f1(planted(o, drop, share, random)[0]) or 0) for o in drawn)
        assert lost / row.n == pytest.approx(0.02, abs=0.005), drop


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_nothing_changed_hardly_ever_fails(noise: float) -> None:
    found = quality_row(Row(drop=Drop.NONE, n=50, noise=noise), runs=100, seed=11)
    assert rate(found, Verdict.FAIL) <= 0.05


@pytest.mark.parametrize("drop", [Drop.DIFFUSE, Drop.FIELD])
def test_two_points_are_seen_at_a_hundred_documents(drop: Drop) -> None:
    found = quality_row(Row(drop=drop, n=100, noise=0.01), runs=40, seed=12)
    assert rate(found, Verdict.FAIL) >= 0.85
    assert rate(found, Verdict.PASS) <= 0.1


def test_identical_runs_pass_always() -> None:
    assert quality_row(Row(drop=Drop.NONE, n=50), runs=20, seed=13) == {Verdict.PASS: 20}
