"""Device memory as a ledger, energy as metrics, and gates that refuse what was disturbed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends.protocol import AllocatorPeak
from harness.cells import Failure, Role
from harness.evidence import CellRecord, DeviceUse, DocumentRecord, ReadingRecord
from harness.gates import Verdict, judge
from harness.ledger import VramLedger, peak_vram, summed, vram_ledgers
from harness.metrics import METRICS, Status
from harness.results import CellResult, result_of

GB = 10**9
DEVICE_METRICS = (
    "peak_vram_bytes",
    "energy_j",
    "j_per_output_tok",
    "mean_power_w",
    "output_tok_per_s_per_w",
    "energy_closure",
    "idle_power_w",
)


def use(device: str = "cuda:0", **values) -> DeviceUse:
    """One second at 500 W, 30 GB in use of which 1 GB was there before."""
    defaults = {
        "name": "H200",
        "seconds": 1.0,
        "samples": 12,
        "before_bytes": 1 * GB,
        "used_bytes": 30 * GB,
        "energy_j": 500.0,
        "power_j": 510.0,
        "idle_w": 100.0,
        "foreign_processes": 0,
    }
    return DeviceUse(device=device, **{**defaults, **values})


def peak(allocated: int = 26 * GB, reserved: int = 28 * GB, device: str = "cuda:0") -> AllocatorPeak:
    return AllocatorPeak(device=device, allocated_bytes=allocated, reserved_bytes=reserved)


def facts(device: str = "cuda:0", context: int = 2 * GB, weights: int = 22 * GB) -> dict[str, int]:
    return {f"device_used_after_context_bytes.{device}": context, f"weights_allocated_bytes.{device}": weights}


def load(*devices: DeviceUse, failure: Failure | None = None, **values) -> CellRecord:
    return CellRecord(
        cell="m",
        model="m",
        quantization="bf16",
        runtime="eager",
        device="cuda",
        role=Role.CANDIDATE,
        load_s=5.0,
        devices=list(devices),
        failure=failure,
        facts=values.pop("facts", facts()),
    )


def reading(name: str, *devices: DeviceUse, seconds: float | None = 1.0, size: int = 1, **values) -> ReadingRecord:
    told = {"text": "TOTAL: $1.00", "output_tokens": 100, "phases": {"generate_s": 0.8}, **values}
    return ReadingRecord(
        cell="m", document=name, latency_s=seconds, batch_size=size, devices=list(devices or [use()]), **told
    )


def result(*readings: ReadingRecord, loads: tuple[CellRecord, ...] | None = None) -> CellResult:
    documents = {r.document: DocumentRecord(document=r.document, truth={"TOTAL": "$1.00"}) for r in readings}
    found = (load(use()),) if loads is None else loads
    return result_of("m", Role.CANDIDATE, documents, found, {r.document: r for r in readings})


# The ledger


def test_the_parts_of_a_ledger_add_up() -> None:
    (ledger,) = vram_ledgers([load(use())], [reading("a", allocator=[peak()]), reading("b")]).values()
    assert ledger == VramLedger(
        device="cuda:0",
        context=1 * GB,
        weights=22 * GB,
        activations=4 * GB,
        slack=2 * GB,
        nvml_total=29 * GB,
        samples=20,
    )
    assert (ledger.unexplained, ledger.closes, ledger.peak) == (0, True, 29 * GB)


@pytest.mark.parametrize(("used", "closes"), [(30.5, True), (29.5, True), (30.7, False), (29.3, False)])
def test_a_ledger_closes_within_two_hundredths(used: float, closes: bool) -> None:
    watched = reading("a", use(used_bytes=int(used * GB)), allocator=[peak()])
    (ledger,) = vram_ledgers([load(use())], [watched]).values()
    assert ledger.unexplained == int(used * GB) - 30 * GB
    assert ledger.closes is closes


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({"facts": {}}, {"context", "weights", "activations"}),
        ({"facts": facts(context=GB // 2)}, {"context"}),
        ({"facts": {**facts(), "weights_allocated_bytes.cuda:0": True}}, {"weights", "activations"}),
        ({"before": None}, {"context", "nvml_total"}),
        ({"used": None}, {"nvml_total"}),
        ({"allocator": []}, {"activations", "slack"}),
        ({"samples": 4}, {"nvml_total"}),
    ],
)
def test_a_part_that_is_missing_is_none_and_nothing_closes(values: dict, missing: set[str]) -> None:
    watched = use(
        before_bytes=values.get("before", GB), used_bytes=values.get("used", 30 * GB), samples=values.get("samples", 12)
    )
    loads = [load(watched, facts=values.get("facts", facts()))]
    (ledger,) = vram_ledgers(loads, [reading("a", watched, allocator=values.get("allocator", [peak()]))]).values()
    parts = ("context", "weights", "activations", "slack", "nvml_total")
    assert {part for part in parts if getattr(ledger, part) is None} == missing
    assert (ledger.unexplained, ledger.closes) == (None, None)


def test_kernels_loaded_by_the_first_use_belong_to_the_context() -> None:
    told = load(use())
    warm = replace(told, facts={**told.facts, "device_used_after_warm_up_bytes.cuda:0": 3 * GB})
    cold, kernels = (vram_ledgers([one], [reading("a", use(), allocator=[peak()])])["cuda:0"] for one in (told, warm))
    assert cold.context is not None
    assert kernels.context == 3 * GB - use().before_bytes > cold.context


def test_a_peak_between_two_samples_is_the_allocators() -> None:
    missed = reading("a", use(used_bytes=20 * GB), allocator=[peak()])
    (ledger,) = vram_ledgers([load(use())], [missed]).values()
    assert ledger.nvml_total is not None
    assert ledger.nvml_total < 29 * GB == ledger.peak
    assert not ledger.closes


def test_the_peak_is_the_drivers_or_else_the_allocators() -> None:
    unseen = use(used_bytes=None, samples=0)
    told = vram_ledgers([load(unseen)], [reading("a", unseen, allocator=[peak()])])
    assert peak_vram(told) == 29 * GB, "1 of context and 28 reserved"
    nothing = vram_ledgers([load(unseen)], [reading("a", unseen)])
    assert peak_vram(nothing) is None
    assert peak_vram({}) is None


def test_devices_are_listed_by_number_and_summed() -> None:
    names = ("cuda:10", "cuda:2")
    told = {**facts("cuda:2"), **facts("cuda:10", weights=10 * GB)}
    loads = [load(*[use(name) for name in names], facts=told)]
    watched = reading("a", *[use(name) for name in names], allocator=[peak(device=name) for name in names])
    ledgers = vram_ledgers(loads, [watched])
    assert list(ledgers) == ["cuda:2", "cuda:10"]
    total = summed(ledgers)
    assert total is not None
    assert (total.weights, total.activations, total.nvml_total, total.samples) == (32 * GB, 20 * GB, 58 * GB, 20)
    assert (total.unexplained, total.closes) == (0, True)
    one_missing = vram_ledgers(loads, [reading("a", use("cuda:2"), allocator=[peak(device="cuda:2")])])
    assert peak_vram(one_missing) is None, "a device that nobody measured is never left out of a sum"
    assert summed({}) is None


def test_the_latest_load_that_succeeded_says_what_was_there_before() -> None:
    loads = [load(use(before_bytes=9 * GB)), load(use(before_bytes=GB)), load(failure=Failure.LOAD_OOM, facts={})]
    (ledger,) = vram_ledgers(loads, [reading("a", use(before_bytes=5 * GB, used_bytes=34 * GB))]).values()
    assert ledger.context == 1 * GB
    assert ledger.nvml_total == 29 * GB, "a request's own"


def test_a_peak_before_an_out_of_memory_is_a_peak() -> None:
    full = use(used_bytes=140 * GB)
    failed = reading("b", full, seconds=None, failure=Failure.RUN_OOM, text=None)
    metric = result(reading("a"), failed).metrics()["peak_vram_bytes"]
    assert (metric.value, metric.n, metric.unit) == (139 * GB, 20, "B")


@given(st.lists(st.integers(0, 10**12) | st.none(), min_size=5, max_size=5))
def test_a_ledger_is_consistent(parts: list[int | None]) -> None:
    context, weights, activations, slack, total = parts
    ledger = VramLedger(
        device="cuda:0", context=context, weights=weights, activations=activations, slack=slack, nvml_total=total
    )
    assert (ledger.unexplained is None) == (None in parts)
    if ledger.unexplained is not None and total is not None:
        assert sum(p for p in parts[:4] if p is not None) + ledger.unexplained == total
    assert peak_vram({"cuda:0": ledger}) == ledger.peak


# Energy


def test_energy_is_told_per_document_and_token() -> None:
    found = result(
        reading("a", use(energy_j=400.0, power_j=410.0)),
        reading("b", use(energy_j=600.0, power_j=610.0)),
        reading("c", use(energy_j=500.0, power_j=510.0)),
    )
    metrics = found.metrics()
    assert metrics["energy_j"].value == pytest.approx(500)
    assert metrics["energy_j"].low is not None
    assert 0 < metrics["energy_j"].low < 500
    assert metrics["j_per_output_tok"].value == pytest.approx(5)
    assert metrics["mean_power_w"].value == pytest.approx(500)
    assert metrics["output_tok_per_s_per_w"].value == pytest.approx(1 / 5), "of whole requests, as the energy is"
    closure = metrics["energy_closure"]
    assert (closure.low, closure.value, closure.high) == pytest.approx((30 / 1500,) * 3), "alike in every request"
    assert metrics["idle_power_w"].value == 100
    assert {metrics[name].n for name in DEVICE_METRICS[1:-1]} == {3}


def test_a_batch_counts_its_energy_once() -> None:
    shared = use(energy_j=800.0, seconds=2.0)
    batch = [reading(d, shared, seconds=2.0, size=4) for d in "abcd"]
    alone = reading("e", use(energy_j=400.0))
    metrics = result(*batch, alone).metrics()
    assert metrics["energy_j"].value == pytest.approx(1200 / 5)
    assert metrics["j_per_output_tok"].value == pytest.approx(1200 / 500)
    assert metrics["mean_power_w"].value == pytest.approx(1200 / 3)
    assert metrics["energy_j"].n == metrics["j_per_output_tok"].n == 5


def test_all_devices_are_summed() -> None:
    both = (use("cuda:0"), use("cuda:1", energy_j=100.0, power_j=90.0, idle_w=60.0))
    metrics = result(reading("a", *both), loads=(load(*both),)).metrics()
    assert metrics["energy_j"].value == pytest.approx(600)
    assert metrics["mean_power_w"].value == pytest.approx(600)
    assert metrics["idle_power_w"].value == pytest.approx(160)
    assert metrics["energy_closure"].value == 0
    one_untold = (both[0], use("cuda:1", energy_j=None, power_j=None))
    assert result(reading("a", *one_untold)).metrics()["energy_j"].value is None


def test_less_than_a_second_in_all_is_not_measured() -> None:
    short = use(seconds=0.3, energy_j=100.0, power_j=100.0)
    few, enough = (result(*[reading(str(i), short) for i in range(n)]).metrics() for n in (3, 4))
    for name in ("energy_j", "j_per_output_tok", "mean_power_w", "output_tok_per_s_per_w", "energy_closure"):
        assert (few[name].value, few[name].status) == (None, Status.NOT_MEASURED)
        assert enough[name].value is not None


def test_power_stands_in_where_no_counter_is_for_every_request() -> None:
    counted, sampled = reading("a"), reading("b", use(energy_j=None, power_j=700.0))
    metrics = result(counted, sampled).metrics()
    assert metrics["energy_j"].value == pytest.approx((510 + 700) / 2), "one source for all"
    assert metrics["energy_closure"].value is None


@pytest.mark.parametrize(("power_j", "closure"), [(951.0, 0.049), (949.0, 0.051), (1060.0, 0.06)])
def test_closure_is_the_share_of_the_counter_that_the_two_differ_by(power_j: float, closure: float) -> None:
    metrics = result(reading("a", use(energy_j=1000.0, power_j=power_j))).metrics()
    assert metrics["energy_closure"].value == pytest.approx(closure)


def test_few_short_requests_may_differ_by_chance() -> None:
    off = [28.0, -38.0, 60.0, 4.0]
    uses = [use(seconds=0.33, energy_j=110.0, power_j=110.0 + watts) for watts in off]
    closure = result(*[reading(str(i), one) for i, one in enumerate(uses)]).metrics()["energy_closure"]
    assert closure.value == pytest.approx(sum(off) / 440)
    assert closure.low == 0, "the interval of the difference covers none"
    assert closure.high is not None
    assert closure.high > 0.3
    sure = [replace(one, power_j=90.0 + i) for i, one in enumerate(uses)]
    closure = result(*[reading(str(i), one) for i, one in enumerate(sure)]).metrics()["energy_closure"]
    assert closure.low is not None
    assert closure.low > 0.05


def test_failures_and_untold_tokens() -> None:
    failed = reading("b", seconds=None, failure=Failure.ERROR, text=None)
    metrics = result(reading("a"), failed, reading("c", output_tokens=None)).metrics()
    assert metrics["energy_j"].value == pytest.approx(500), "per answered document"
    assert metrics["j_per_output_tok"].value is None
    assert metrics["mean_power_w"].value == pytest.approx(500)


def test_a_counter_that_stood_still_is_not_zero_energy() -> None:
    assert result(reading("a", use(energy_j=0.0, power_j=None))).metrics()["energy_j"].value is None


def test_without_a_gpu_everything_is_not_measured() -> None:
    answered = ReadingRecord(cell="m", document="a", latency_s=2.0, text="TOTAL: $1.00", output_tokens=5)
    found = result(answered, loads=(load(facts={}),))
    metrics = found.metrics()
    for name in DEVICE_METRICS:
        assert (metrics[name].value, metrics[name].status, metrics[name].n) == (None, Status.NOT_MEASURED, 0)
    assert found.ledgers == {}
    assert {m.contaminated for m in metrics.values()} == {None}


# Contamination


TIMED = ("latency_s", "latency_p95_s", "docs_per_min", "output_tok_per_s", "energy_j", "mean_power_w")


def judged(found: CellResult, name: str) -> tuple[Verdict, str]:
    gate = judge(name, found.metrics()[name], 1e15 if METRICS[name].higher_is_better is not True else 0.0)
    return gate.verdict, gate.message


@pytest.mark.parametrize(
    ("disturbed", "why"),
    [
        ({"foreign_processes": 2}, "2 of 8 requests disturbed: other processes on the GPU in 2"),
        ({"throttle": ["thermal"]}, "2 of 8 requests disturbed: thermal slowdown in 2"),
        (
            {"throttle": ["power", "power_brake"], "foreign_processes": 1},
            "2 of 8 requests disturbed: other processes on the GPU in 2, power_brake slowdown in 2",
        ),
    ],
)
def test_disturbed_times_judge_nothing_and_say_why(disturbed: dict, why: str) -> None:
    clean = [reading(str(i), seconds=1.0 + i / 100) for i in range(6)]
    bad = [reading(f"bad{i}", use(**disturbed), seconds=1.0 + i / 50) for i in range(2)]
    for name in TIMED:
        verdict, message = judged(result(*clean, *bad), name)
        assert (verdict, why in message) == (Verdict.INCONCLUSIVE, True), message
        assert result(*clean).metrics()[name].contaminated is None
    assert judge("latency_s", result(*clean, *bad).metrics()["latency_s"], None).verdict is Verdict.NO_BUDGET
    assert result(*clean, *bad).metrics()["f1"].contaminated is None, "others on the GPU do not change what is read"
    assert result(*clean, *bad).metrics(["0", "1"])["latency_s"].contaminated is None, "of these documents, none was"


def test_a_power_cap_is_the_devices_own() -> None:
    capped = result(*[reading(str(i), use(throttle=["power"]), seconds=1 + i / 100) for i in range(8)])
    assert capped.metrics()["latency_s"].contaminated is None
    assert judged(capped, "latency_s")[0] is Verdict.PASS


def test_a_disturbed_batch_counts_once() -> None:
    batch = [reading(d, use(foreign_processes=1), seconds=2.0, size=4) for d in "abcd"]
    message = judged(result(*batch, reading("e")), "mean_power_w")[1]
    assert "1 of 2 requests disturbed" in message


def test_memory_is_disturbed_by_others_but_not_by_heat() -> None:
    hot, shared = (result(reading("a", use(**v))) for v in ({"throttle": ["thermal"]}, {"foreign_processes": 1}))
    assert judged(hot, "peak_vram_bytes")[0] is Verdict.PASS
    assert judged(shared, "peak_vram_bytes")[0] is Verdict.INCONCLUSIVE


def test_a_disturbed_load_judges_no_load_time() -> None:
    verdict, message = judged(result(reading("a"), loads=(load(use(foreign_processes=3)),)), "load_s")
    assert (verdict, "1 of 1 load disturbed" in message) == (Verdict.INCONCLUSIVE, True)
    assert judged(result(reading("a")), "load_s")[0] is Verdict.PASS
