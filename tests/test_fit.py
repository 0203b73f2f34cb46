"""What is judged of a GPU: whether a model fits one that is not here, and energies that two measurements agree on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.judging import cost_gates, energy_gates, fit_gates, other_gates
from fixtures.session import CellRun
from harness.cells import Cell, Role
from harness.evidence import CellRecord, DeviceUse, DocumentRecord, ReadingRecord
from harness.gates import Verdict
from harness.results import result_of

GIB = 1 << 30
CELL = Cell(model="m", quantization="bf16", device="cuda")


def run(limit: float, *, peak: int | None, foreign: int = 0) -> CellRun:
    """A cell with weights of 10 GiB, predicted as 11, whose device was in use by `peak` bytes at most."""
    devices = []
    if peak is not None:
        use = DeviceUse(device="cuda:0", name="H200", seconds=2.0, samples=9, before_bytes=0, used_bytes=peak)
        devices = [DeviceUse(**{f: getattr(use, f) for f in use.__slots__} | {"foreign_processes": foreign})]
    load = CellRecord(
        cell=CELL.id,
        model="m",
        quantization="bf16",
        runtime="eager",
        device="cuda",
        role=Role.CANDIDATE,
        devices=devices,
        facts={"weights_bytes": 10 * GIB, "predicted_weights_bytes": 11 * GIB},
    )
    reading = ReadingRecord(cell=CELL.id, document="a", text="TOTAL: $1.00", latency_s=2.0, devices=devices)
    documents = {"a": DocumentRecord(document="a", truth={"TOTAL": "$1.00"})}
    return CellRun(
        cell=CELL,
        result=result_of(CELL.id, Role.CANDIDATE, documents, [load], {"a": reading}),
        fresh=frozenset({"a"}),
        fresh_loads=[load],
        quality_limits={},
        cost_limits={},
        limits_elsewhere={"l4": {"peak_vram_bytes": limit}, "t4": {"latency_s": 1.0}},
    )


@pytest.mark.parametrize(("limit", "verdict"), [(16 * GIB, Verdict.PASS), (14.9 * GIB, Verdict.FAIL)])
def test_weights_by_prediction_and_the_rest_as_measured_here(limit: float, verdict: Verdict) -> None:
    (gate,) = fit_gates(run(limit, peak=14 * GIB))
    assert (gate.metric, gate.verdict) == ("peak_vram_bytes.l4", verdict)
    assert gate.estimate.value == (11 + 14 - 10) * GIB
    assert gate.estimate.status == "predicted"
    assert "predicted: the weights by their configuration, and what this device held beside them" in gate.message


@pytest.mark.parametrize(("limit", "verdict"), [(90 * GIB, Verdict.INCONCLUSIVE), (10.9 * GIB, Verdict.FAIL)])
def test_weights_alone_can_prove_only_that_a_model_does_not_fit(limit: float, verdict: Verdict) -> None:
    (gate,) = fit_gates(run(limit, peak=None))
    assert gate.verdict is verdict
    assert gate.estimate.value == 11 * GIB
    assert "predicted from the weights alone" in gate.message


def test_a_peak_in_company_predicts_nothing() -> None:
    (gate,) = fit_gates(run(90 * GIB, peak=14 * GIB, foreign=1))
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert "other processes on the GPU" in gate.message


def test_a_resumed_run_that_loads_nothing_predicts_nothing() -> None:
    (gate,) = fit_gates(replace(run(16 * GIB, peak=14 * GIB), fresh=frozenset(), fresh_loads=[]))
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert "no load of this session told what its weights take" in gate.message


def goes_on(found: CellRun) -> CellRun:
    """The same in a run that goes on with an earlier one, in which another document was read."""
    earlier = replace(found.result.readings["a"], document="b")
    result = replace(
        found.result,
        documents={**found.result.documents, "b": replace(found.result.documents["a"], document="b")},
        readings={**found.result.readings, "b": earlier},
    )
    return replace(found, result=result)


@pytest.mark.parametrize(("limit", "verdict"), [(15 * GIB, Verdict.INCONCLUSIVE), (13 * GIB, Verdict.FAIL)])
def test_the_peak_of_a_part_can_only_prove_too_much(limit: float, verdict: Verdict) -> None:
    found = replace(run(limit, peak=14 * GIB), cost_limits={"peak_vram_bytes": limit})
    (gate,) = cost_gates(goes_on(found), "peak_vram_bytes")
    assert gate.verdict is verdict
    assert ("1 documents were read in an earlier run" in gate.message) is (verdict is Verdict.INCONCLUSIVE)
    (gate,) = fit_gates(goes_on(run(limit + GIB, peak=14 * GIB)))
    assert gate.verdict is verdict


def test_times_beside_other_workers_judge_nothing_whatever_their_unit() -> None:
    limits = {"latency_s": 1.0, "latency_cv": 0.1, "peak_vram_bytes": 1.0}
    found = replace(run(1, peak=14 * GIB), cost_limits=limits, disturbance="2 workers (-n) ran side by side")
    readings = {d: replace(found.result.readings["a"], document=d, latency_s=s) for d, s in (("a", 1.0), ("b", 9.0))}
    found = replace(found, result=replace(found.result, readings=readings), fresh=frozenset(readings))
    verdicts = {gate.metric: gate.verdict for gate in cost_gates(found, *limits)}
    assert verdicts == {
        "latency_s": Verdict.INCONCLUSIVE,
        "latency_cv": Verdict.INCONCLUSIVE,
        "peak_vram_bytes": Verdict.FAIL,
    }


def powered(power_j: float) -> CellRun:
    """A cell whose two requests took 100 J each by the counter and `power_j` by sampled power."""
    found = run(16 * GIB, peak=14 * GIB)
    reading = found.result.readings["a"]
    devices = [replace(use, energy_j=100.0, power_j=power_j) for use in reading.devices]
    readings = {name: replace(reading, document=name, devices=devices, batch_size=1) for name in "ab"}
    limits = {"mean_power_w": 60.0, "energy_closure": 0.01, "output_tok_per_s_per_w": 1.0}
    return replace(found, result=replace(found.result, readings=readings), cost_limits=limits)


def test_energies_that_do_not_close_judge_nothing() -> None:
    (gate,) = energy_gates(powered(98), "mean_power_w")
    assert gate.verdict is Verdict.PASS
    (gate, none) = energy_gates(powered(90), "mean_power_w", "idle_power_w")
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert "the energy counter and integrated power are 10.0 % apart" in gate.message
    assert none.verdict is Verdict.NO_BUDGET


def test_a_budget_stricter_than_the_closure_check_is_judged_too() -> None:
    gates = {gate.metric: gate for gate in other_gates(powered(98))}
    assert gates["energy_closure"].verdict is Verdict.FAIL
    assert "output_tok_per_s_per_w" not in gates, "has an evaluation of its own"
