"""The published data themselves: each claim reproduced, and its correction. Skipped where the data are not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.cells import Failure
from harness.evidence import ClaimRecord, Evidence, Record, read_evidence
from harness.importers import (
    correct,
    import_batch_throughput,
    import_device_benchmark,
    import_field_comparison,
)
from harness.results import CellResult, cell_results
from harness.scoring import rates
from reports.published import published_parts
from reports.summary import summarise
from reports.throughput import throughput_parts
from tests.report_evidence import write

SHARED = Path(os.environ.get("DOCVLM_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
DATA = SHARED / "published"
LLAMA, INTERNVL = "llama-int8@untold", "internvl-int8@untold"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no published data in {DATA}; see DOCVLM_SHARED_DATA")


def _read(folder: Path, records: list[Record]) -> Evidence:
    return read_evidence(write(folder / "evidence.jsonl", records))


def _claim(evidence: Evidence, name: str, cell: str | None = None) -> ClaimRecord:
    (found,) = (c for c in evidence.claims if c.name == name and (cell is None or c.cell == cell))
    return found


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    records = import_field_comparison(DATA / "field_comparison", quantization="int8")
    return _read(tmp_path_factory.mktemp("fields"), list(records))


@pytest.fixture(scope="module")
def results(fields: Evidence) -> dict[str, CellResult]:
    return dict(cell_results(fields))


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return _read(tmp_path_factory.mktemp("devices"), list(import_device_benchmark(DATA / "device_benchmark")))


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return _read(tmp_path_factory.mktemp("batches"), list(import_batch_throughput(DATA / "batch_throughput")))


@pytest.mark.parametrize(("cell", "published"), [(LLAMA, 0.558), (INTERNVL, 0.602)])
def test_value_rates_are_reproduced(fields: Evidence, cell: str, published: float) -> None:
    claim = _claim(fields, "field accuracy", cell)
    assert claim.published == pytest.approx(published, abs=5e-4)
    assert claim.reproduced == pytest.approx(published, abs=5e-4)


def test_real_answers_get_every_rate_beside_the_floor(fields: Evidence, results: dict[str, CellResult]) -> None:
    for cell in (LLAMA, INTERNVL):
        result = results[cell]
        assert len(result.answered) == len(result.documents) == 20
        again = rates(list(result.scores.values()))
        metrics = result.metrics()
        for name in ("precision", "recall", "f1", "hallucination_rate", "accuracy"):
            assert metrics[name].value == again[name].value
            low, high = metrics[name].low, metrics[name].high
            assert low is not None
            assert high is not None
            assert low < (metrics[name].value or 0) < high
        accuracy = correct(_claim(fields, "field accuracy", cell), results)
        assert accuracy.value == metrics["accuracy"].value
        assert accuracy.floor == metrics["floor_accuracy"].value == results["all-na"].metrics()["accuracy"].value


def test_the_published_winner_is_turned_round(fields: Evidence, results: dict[str, CellResult]) -> None:
    for metric in ("accuracy", "f1"):
        claim = _claim(fields, f"winner in accuracy, by {metric}")
        assert (claim.cell, claim.against) == (INTERNVL, LLAMA)
        assert claim.published == pytest.approx(0.602 - 0.558, abs=1e-3)
        judged = correct(claim, results)
        assert judged.high is not None
        assert judged.high < 0
        assert judged.p is not None
        assert judged.p < 0.001
        assert judged.verdict.startswith("turned round")


def test_the_section_of_the_comparison(fields: Evidence) -> None:
    text = "\n".join(published_parts(summarise(fields)))
    assert f"| {LLAMA} | 55.8 % | 55.8 %, as published |" in text
    assert f"| {INTERNVL} | 60.2 % | 60.2 %, as published |" in text
    assert "0 of 20 ABNs pass their checksum" in text


def test_tokens_per_second_as_published_and_without_prompts(devices: Evidence) -> None:
    claim = _claim(devices, "tokens per second", "SmolVLM2-2.2B-Instruct-bf16@dell")
    assert claim.published == pytest.approx(795.6, abs=0.05)
    assert claim.reproduced == pytest.approx(795.6, abs=0.05)
    assert claim.recomputed == pytest.approx(24.78, abs=0.005)
    rows = [c for c in devices.claims if c.name == "tokens per second"]
    assert len(rows) == 29
    assert len({c.cell for c in rows}) == 29
    assert all(c.reproduced == pytest.approx(c.published, rel=1e-9) for c in rows)


def test_the_most_efficient_model_is_another_once_prompts_do_not_count(devices: Evidence) -> None:
    most = {
        c.name.rsplit(" ", 1)[-1]: c for c in devices.claims if c.name.startswith("most tokens per second per watt")
    }
    assert set(most) == {"dell", "orin", "thor"}
    assert all("highest tps_per_watt: SmolVLM2" in (c.published_definition or "") for c in most.values())
    assert all((c.verdict or "").startswith("turned round: moondream2") for c in most.values())
    assert most["thor"].recomputed == pytest.approx(1.55, abs=0.005)
    smol = _claim(devices, "tokens per second per watt", "SmolVLM2-2.2B-Instruct-bf16@thor")
    assert smol.published == pytest.approx(18.78, abs=0.005)
    assert smol.reproduced == pytest.approx(smol.published, rel=1e-9)
    assert smol.recomputed == pytest.approx(0.58, abs=0.005)


def test_percentiles_of_the_raw_runs_match(devices: Evidence) -> None:
    answered = [
        "moondream2-bf16@dell",
        "SmolVLM2-2.2B-Instruct-bf16@dell",
        "moondream2-bf16@orin",
        "moondream2-fp16@thor",
    ]
    for name in ("latency p50", "latency p90", "latency mean"):
        for cell in answered:
            claim = _claim(devices, name, cell)
            assert claim.reproduced == pytest.approx(claim.published, abs=5.1e-7)
            assert claim.recomputed == pytest.approx(claim.published, rel=1e-3)
    results = cell_results(devices)
    for cell in answered:
        cv = _claim(devices, "latency CV", cell)
        assert cv.recomputed == pytest.approx(results[cell].metrics()["latency_cv"].value)
        assert 0.2 < (cv.recomputed or 0) < 0.35


def test_the_failed_run_is_a_row(devices: Evidence) -> None:
    cell = "gemma-3n-E4B-it-fp16@thor"
    result = cell_results(devices)[cell]
    assert result.failures == {Failure.ERROR: 2500}
    assert result.status == "incomplete"
    assert "failed run" in _claim(devices, "failed inferences", cell).verdict
    runs = _claim(devices, "runs")
    assert (runs.published, runs.recomputed) == (29, 30)
    assert "gemma3n_fp16" in runs.verdict


def test_three_devices_of_unlike_sensors(devices: Evidence) -> None:
    assert {loads[-1].device for loads in devices.cells.values()} == {"dell", "orin", "thor"}
    power = {a.sensor for a in devices.aggregates if a.metric == "mean_power"}
    assert power == {
        "sampled GPU power, by which tool is not told",
        "tegrastats rail GPU_SOC",
        "tegrastats rail VDD_GPU",
    }


def test_the_section_of_the_table(tmp_path: Path) -> None:
    records = import_device_benchmark(DATA / "device_benchmark" / "vision_model_metrics.csv")
    text = "\n".join(published_parts(summarise(_read(tmp_path, list(records)))))
    assert "no: the sensors differ" in text
    assert "795.6/s" in text
    assert "24.78/s" in text


def test_orin_energy_does_not_close(devices: Evidence) -> None:
    closes = {c.cell or "": c.verdict for c in devices.claims if c.name == "energy closes"}
    assert all("DOES NOT CLOSE" in verdict for cell, verdict in closes.items() if "@orin" in cell)
    assert sum("@orin" in cell for cell in closes) == 7


def test_throughput_table_and_caveat(batches: Evidence) -> None:
    rates = [c for c in batches.claims if c.name == "images per second"]
    assert len(rates) == 11
    assert all(c.recomputed == pytest.approx(c.published, rel=1e-6) for c in rates)
    summary = summarise(batches)
    assert len(summary.sweeps) == 11
    assert {s.output_tokens for s in summary.sweeps} == {None}
    assert "Output length free" in "\n".join(throughput_parts(summary.sweeps, {}))
    best = {c.cell: (c.published, c.recomputed) for c in batches.claims if c.name == "best batch size"}
    assert best == {
        "Llama-3.2-11B-Vision-Instruct@untold": (1, None),
        "Llama-3.2-90B-Vision-Instruct@untold": (16, None),
    }
