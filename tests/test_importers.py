"""Importers on small sources written here: what becomes of each row, and what a mistake is called."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.cells import Failure
from harness.errors import CorpusError
from harness.evidence import AggregateRecord, ClaimRecord, Evidence, EvidenceLog, SweepRecord, read_evidence
from harness.importers import (
    ImporterError,
    correct,
    import_batch_throughput,
    import_device_benchmark,
    import_extraction_csv,
    import_field_comparison,
    why_incomparable,
)
from harness.importers.__main__ import main
from harness.results import cell_results
from reports.formatting import MISSING
from reports.published import published_cautions, published_json, published_parts
from reports.summary import summarise
from reports.throughput import throughput_parts
from tests.report_evidence import standard, write

THROUGHPUT = "num_images,model_id,batch_size,total_time,throughput (img/s)"


def _logged(tmp_path: Path, records: Any) -> Evidence:
    return read_evidence(write(tmp_path / "evidence.jsonl", records))


def _claims(evidence: Evidence, name: str) -> Mapping[str | None, ClaimRecord]:
    return {c.cell: c for c in evidence.claims if c.name == name}


# --- batch-throughput


def _throughput(tmp_path: Path, *rows: str, header: str = THROUGHPUT) -> Path:
    path = tmp_path / "throughput.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_throughput_becomes_sweep_steps_of_free_length(tmp_path: Path) -> None:
    source = _throughput(tmp_path, "10,org/Model-A,4,20.0,0.5", "10,org/Model-A,1,40.0,0.25")
    evidence = _logged(tmp_path, import_batch_throughput(source, device="h100"))
    steps = evidence.sweeps["Model-A@h100"]
    assert [s.output_tokens for s in steps.values()] == [None, None]
    assert steps[4].seconds == [pytest.approx(8.0)]
    assert "3 requests" in (steps[4].message or "")
    best = _claims(evidence, "best batch size")["Model-A@h100"]
    assert (best.published, best.recomputed) == (4, None)
    text = "\n".join(throughput_parts(summarise(evidence).sweeps, {}))
    assert "Output length free" in text
    assert "exactly" not in text
    assert "0.500" in text


def test_fixed_sweeps_are_told_as_before(tmp_path: Path) -> None:
    step = SweepRecord(cell="m", batch_size=2, output_tokens=64, seconds=[1.0, 2.0, 4.0])
    text = "\n".join(throughput_parts(summarise(_logged(tmp_path, [step])).sweeps, {}))
    assert "fixed: 64 tokens" in text
    assert "free" not in text.split("Output length, fixed")[1]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["10,m,4,soon,0.5"], ["row 2", "total_time", "'soon'"]),
        (["10,m,4,20,0.5", "10,m,x,20,0.5"], ["row 3", "batch_size", "'x'"]),
        (["10,m,4,0,0.5"], ["row 2", "total_time", "above 0"]),
        (["10,m,4,nan,0.5"], ["row 2", "total_time"]),
        (["10,m,2.5,20,0.5"], ["row 2", "batch_size", "whole number"]),
        (["10,m,4,20,0.5", "10,m,4,21,0.5"], ["row 3", "appears twice"]),
        (["10,m,4,20"], ["row 2", "4 cells"]),
        ([], ["no rows"]),
    ],
)
def test_throughput_mistakes_name_file_row_and_column(tmp_path: Path, rows: list[str], told: list[str]) -> None:
    source = _throughput(tmp_path, *rows)
    with pytest.raises(ImporterError) as caught:
        import_batch_throughput(source)
    assert str(source) in str(caught.value)
    assert all(part in str(caught.value) for part in told), caught.value


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    source = _throughput(tmp_path, "10,m,4,20", header="num_images,model_id,batch_size,total_time")
    with pytest.raises(ImporterError, match=r"row 1: there is no column 'throughput \(img/s\)'"):
        import_batch_throughput(source)


# --- extraction-csv


def _table(path: Path, rows: list[Mapping[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_extraction_table_is_scored_against_its_truth(tmp_path: Path) -> None:
    truth = _table(
        tmp_path / "truth.csv",
        [
            {"image_name": "a.png", "SUPPLIER": "Acme", "TOTAL": "$9.00", "GST": "N/A"},
            {"image_name": "b.png", "SUPPLIER": "Bolt", "TOTAL": "$5.00", "GST": "N/A"},
        ],
    )
    source = _table(
        tmp_path / "answers.csv",
        [
            {"image_name": "a.png", "supplier": "Acme", "TOTAL": "9.00", "GST": "N/A"},
            {"image_name": "b.png", "supplier": "", "TOTAL": "$6.00", "GST": ""},
        ],
    )
    evidence = _logged(tmp_path, import_extraction_csv(source, truth=truth, model="theirs", quantization="int8"))
    result = cell_results(evidence)["theirs-int8@untold"]
    counts = {d: s.counts for d, s in result.scores.items()}
    assert (counts["a.png"].correct, counts["a.png"].absent) == (2, 1)
    assert (counts["b.png"].omitted, counts["b.png"].wrong, counts["b.png"].unanswered) == (1, 1, 1)
    assert evidence.imported is not None
    assert set(evidence.imported["sha256"]) == {"answers.csv", "truth.csv"}


def test_without_truth_nothing_is_judged(tmp_path: Path) -> None:
    source = _table(tmp_path / "answers.csv", [{"image_name": "a.png", "TOTAL": "9.00"}])
    evidence = _logged(tmp_path, import_extraction_csv(source))
    (result,) = cell_results(evidence).values()
    assert result.metrics()["f1"].value is None
    assert result.answered == {"a.png"}


@pytest.mark.parametrize(
    ("rows", "error", "told"),
    [
        ([{"image_name": "a.png", "TOTALS": "1"}], ImporterError, ["row 1", "TOTALS", "did you mean"]),
        ([{"image_name": "", "TOTAL": "1"}], ImporterError, ["row 2", "image_name"]),
        ([{"image_name": "a.png", "TOTAL": "1"}] * 2, ImporterError, ["row 3", "answered twice"]),
        ([{"image_name": "z.png", "TOTAL": "1"}], ImporterError, ["row 2", "z.png", "truth.csv"]),
        ([{"image": "a.png", "TOTAL": "1"}], ImporterError, ["row 1", "image_name"]),
    ],
)
def test_extraction_mistakes(tmp_path: Path, rows: list[Any], error: type[Exception], told: list[str]) -> None:
    truth = _table(tmp_path / "truth.csv", [{"image_name": "a.png", "TOTAL": "$9.00"}])
    source = _table(tmp_path / "answers.csv", rows)
    with pytest.raises(error) as caught:
        import_extraction_csv(source, truth=truth)
    assert all(part in str(caught.value) for part in told), caught.value


# --- field-comparison


def _answer(image: str, text: str, **fields: str) -> dict[str, Any]:
    return {"img_name": image, "raw_response": text, "processing_time": 2.0, "extracted_fields": fields}


def _comparison() -> dict[str, Any]:
    """Two models: one gives a value for everything, the other is right and says N/A."""
    keen = [_answer(f"{i}.png", "TOTAL: $1.00 GST: $7.00", TOTAL="$1.00", GST="$7.00") for i in range(8)]
    right = [_answer(f"{i}.png", f"TOTAL: ${i + 10}.00 GST: N/A", TOTAL=f"${i + 10}.00", GST="N/A") for i in range(8)]
    stats = {"keen": {"TOTAL": 1.0, "GST": 1.0}, "right": {"TOTAL": 1.0, "GST": 0.0}}
    return {
        "extraction_results": {"keen": keen, "right": right},
        "field_analysis": {
            "expected_fields": ["TOTAL", "GST"],
            "model_stats": {m: {"field_value_rates": rates} for m, rates in stats.items()},
        },
        "config_summary": {"quantization": True},
        "timestamp": "2025-01-01T00:00:00",
    }


def _compared(tmp_path: Path, change: Callable[[dict[str, Any]], object] = lambda data: None) -> Path:
    folder = tmp_path / "comparison"
    folder.mkdir()
    data = _comparison()
    change(data)
    (folder / "comparison_results_full.json").write_text(json.dumps(data), encoding="utf-8")
    _table(
        folder / "ground_truth.csv",
        [{"image_file": f"{i}.png", "TOTAL": f"${i + 10}.00", "GST": "N/A"} for i in range(8)],
    )
    return folder


def test_value_rate_is_reproduced_and_the_winner_judged_again(tmp_path: Path) -> None:
    evidence = _logged(tmp_path, import_field_comparison(_compared(tmp_path)))
    results = cell_results(evidence)
    rates = {c.cell: correct(c, results) for c in evidence.claims if c.name == "field accuracy"}
    keen, right = rates["keen-quantized@untold"], rates["right-quantized@untold"]
    assert (keen.claim.published, keen.claim.reproduced, keen.value) == (1.0, 1.0, 0.0)
    assert (right.claim.published, right.value, right.floor) == (0.5, 1.0, 0.5)
    assert keen.reproduced is True
    (winner,) = (c for c in evidence.claims if c.name == "winner in accuracy, by accuracy")
    judged = correct(winner, results)
    assert winner.cell == "keen-quantized@untold"
    assert judged.value == -1.0
    assert "no spread" in judged.verdict  # every document shows the same difference: the interval is unknown
    control = results["all-na"].metrics()
    assert control["accuracy"].value == control["floor_accuracy"].value == 0.5


def test_a_winner_within_chance_is_no_winner(tmp_path: Path) -> None:
    def alike(data: dict[str, Any]) -> None:
        results = data["extraction_results"]
        for i, answer in enumerate(results["keen"]):
            answer["raw_response"] = results["right"][i]["raw_response"] if i % 2 else f"TOTAL: ${i + 10}.00"
        results["right"][1]["raw_response"] = results["right"][3]["raw_response"] = "GST: N/A"

    evidence = _logged(tmp_path, import_field_comparison(_compared(tmp_path, alike)))
    (winner,) = (c for c in evidence.claims if c.name == "winner in accuracy, by accuracy")
    assert correct(winner, cell_results(evidence)).verdict == "no winner: the interval covers zero"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.pop("extraction_results"), ["no field 'extraction_results'"]),
        (lambda d: d["extraction_results"]["keen"][1].pop("raw_response"), ["keen[1]", "raw_response"]),
        (lambda d: d["extraction_results"]["keen"][1].update(processing_time=-1), ["keen[1]", "processing_time"]),
        (lambda d: d["extraction_results"]["keen"][1].update(img_name="x.png"), ["keen[1]", "'x.png' has no row"]),
        (lambda d: d["extraction_results"]["keen"][1].update(img_name="0.png"), ["keen[1]", "answered twice"]),
        (lambda d: d["field_analysis"]["model_stats"].pop("right"), ["model_stats", "'right'"]),
        (lambda d: d["extraction_results"].update(keen="none"), ["field keen", "a list is expected"]),
        (lambda d: d["extraction_results"].update(keen=[]), ["field keen", "the list is empty"]),
        (lambda d: d["extraction_results"].clear(), ["extraction_results", "no model"]),
        (lambda d: d["field_analysis"].update(expected_fields=[]), ["expected_fields", "the list is empty"]),
    ],
)
def test_comparison_mistakes_name_the_place(tmp_path: Path, change: Callable[[Any], object], told: list[str]) -> None:
    folder = _compared(tmp_path, change)
    with pytest.raises(ImporterError) as caught:
        import_field_comparison(folder)
    assert "comparison_results_full.json" in str(caught.value)
    assert all(part in str(caught.value) for part in told), caught.value


def test_comparison_needs_its_ground_truth(tmp_path: Path) -> None:
    folder = _compared(tmp_path)
    (folder / "ground_truth.csv").write_text("image_file,TOTLA\n0.png,1\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="TOTLA"):
        import_field_comparison(folder)
    (folder / "ground_truth.csv").unlink()
    with pytest.raises(ImporterError, match="--truth"):
        import_field_comparison(folder)


# --- device-benchmark


def _line(i: int, task: str, **other: Any) -> dict[str, Any]:
    return {
        "image_name": f"{i}.jpg",
        "task": task,
        "task_prompt": f"Do {task}.",
        "latency_ms": 100.0 * (i + 1),
        "prompt_tokens": 5,
        "response_tokens_est": 10,
        "output_text": "An answer.",
        "error": None,
        **other,
    }


def _run_folder(root: Path, device: str = "dell", model: str = "m", *, change: Any = lambda lines: None) -> Path:
    folder = root / f"{device}_output" / model / "run_1"
    folder.mkdir(parents=True)
    lines = [_line(i, task) for i in range(4) for task in ("count", "caption")]
    change(lines)
    meta = {"model_id": f"org/{model}", "dtype": "torch.bfloat16", "timestamp": "2026-01-01T00:00:00"}
    ok = [x["latency_ms"] for x in lines if not x["error"] and x["output_text"]]
    told = {
        "num_images": 4,
        "num_errors": len(lines) - len(ok),
        "latency_ms_mean": sum(ok) / len(ok) if ok else None,
        "latency_ms_p50": 300.0 if ok else None,
        "latency_ms_p90": 400.0 if ok else None,
        "images_per_second_mean": 5.2083 if ok else None,
    }
    (folder / "run_meta.json").write_text(json.dumps(meta), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    (folder / "runs.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    return folder


def _metrics_row(run_dir: str, device: str, **other: Any) -> dict[str, str]:
    row = {
        "run_dir": run_dir,
        "model_id": "org/m",
        "device": device,
        "dtype": "bf16",
        "prompt_tokens": 900,
        "response_tokens": 100,
        "tokens_per_sec": 100.0,
        "tps_per_watt": 5.0,
        "joules_per_token": 0.2,
        "total_energy_joules": 200.0,
        "avg_power_watts": 20.0,
        "avg_ram_gb": 2.0,
        "latency_ms_mean": 900.0,
        "duration_seconds": 10.0,
        **other,
    }
    return {name: str(value) for name, value in row.items()}


def test_run_folder_becomes_readings_and_checked_claims(tmp_path: Path) -> None:
    evidence = _logged(tmp_path, import_device_benchmark(_run_folder(tmp_path)))
    cell = "m-bf16@dell"
    assert len(evidence.readings[cell]) == 8
    assert evidence.documents["0.jpg#count"].kind == "count"
    assert _claims(evidence, "inferences")[cell].recomputed == 8
    p90 = _claims(evidence, "latency p90")[cell]
    assert (p90.published, p90.reproduced) == (0.4, 0.4)
    rate = _claims(evidence, "images per second")[cell]
    assert rate.recomputed == pytest.approx(4.0)
    assert rate.reproduced == pytest.approx(5.2083, abs=1e-3)
    assert _claims(evidence, "latency CV")[cell].published is None


def test_a_run_without_any_text_is_a_failed_run(tmp_path: Path) -> None:
    def empty(lines: list[dict[str, Any]]) -> None:
        for i, line in enumerate(lines):
            line.update(output_text="", error="empty_generation" if i % 2 else None)

    evidence = _logged(tmp_path, import_device_benchmark(_run_folder(tmp_path, change=empty)))
    result = cell_results(evidence)["m-bf16@dell"]
    assert result.failures == {Failure.ERROR: 8}
    assert result.metrics()["latency_s"].value is None
    failed = _claims(evidence, "failed inferences")["m-bf16@dell"]
    assert "failed run" in failed.verdict
    assert not _claims(evidence, "latency p90")


def test_table_tells_tokens_with_and_without_prompts(tmp_path: Path) -> None:
    rows = [
        _metrics_row("a", "Dell"),
        _metrics_row("b", "Dell"),
        _metrics_row("c", "Orin", prompt_tokens=0, tokens_per_sec=10.0, joules_per_token=2.0, duration_seconds=20.0),
    ]
    source = _table(tmp_path / "vision_model_metrics.csv", rows)
    evidence = _logged(tmp_path, import_device_benchmark(source))
    tokens = _claims(evidence, "tokens per second")
    assert list(tokens) == ["m-bf16@dell", "m-bf16@dell#2", "m-bf16@orin"]
    assert tokens["m-bf16@dell"].reproduced == tokens["m-bf16@dell"].published == 100.0
    assert tokens["m-bf16@dell"].recomputed == 10.0
    assert tokens["m-bf16@dell"].published_definition != tokens["m-bf16@orin"].published_definition
    closes = _claims(evidence, "energy closes")
    assert closes["m-bf16@dell"].verdict.endswith("closes")
    assert "DOES NOT CLOSE" in closes["m-bf16@orin"].verdict
    text = "\n".join(published_parts(summarise(evidence)))
    assert "not to be compared with each other: the definitions differ" in text
    assert "no: the sensors differ" in text


def test_the_sensor_of_power_is_that_of_the_row_s_own_run_else_the_one_of_its_device(tmp_path: Path) -> None:
    def powered(rail: str) -> Callable[[list[dict[str, Any]]], None]:
        def change(lines: list[dict[str, Any]]) -> None:
            for line in lines:
                line["power_stats"] = {
                    "power_watts_avg": 20.0,
                    "power_rails": {rail: {"avg": 20.0}, "OTHER": {"avg": 1.0}},
                }

        return change

    _run_folder(tmp_path, "Thor", "a", change=powered("VDD_GPU"))
    _run_folder(tmp_path, "Thor", "z")  # read last, and tells no power
    _run_folder(tmp_path, "dell", "a", change=powered("VDD_GPU"))
    _run_folder(tmp_path, "dell", "b", change=powered("VDD_IN"))
    rows = [
        *(_metrics_row(f"{device}_output/a/run_1", device, model_id="org/a") for device in ("Thor", "dell")),
        *(_metrics_row(f"gone/{device}", device, model_id="org/gone") for device in ("Thor", "dell")),
    ]
    _table(tmp_path / "vision_model_metrics.csv", rows)
    evidence = _logged(tmp_path, import_device_benchmark(tmp_path))
    told = {a.cell: a.sensor for a in evidence.aggregates if a.metric == "mean_power"}
    assert told["a-bf16@thor"] == told["a-bf16@dell"] == "tegrastats rail VDD_GPU"
    assert told["gone-bf16@thor"] == "tegrastats rail VDD_GPU", "all its runs that tell power agree"
    assert told["gone-bf16@dell"] == "not told, on dell", "its runs do not"


def test_who_is_most_efficient_hangs_on_which_tokens_count(tmp_path: Path) -> None:
    reader = _metrics_row(
        "a", "Thor", model_id="org/reader", prompt_tokens=3000, response_tokens=100, tps_per_watt=15.5
    )
    writer = _metrics_row("b", "Thor", model_id="org/writer", prompt_tokens=0, response_tokens=300, tps_per_watt=1.5)
    alone = _metrics_row("c", "Orin")
    source = _table(tmp_path / "vision_model_metrics.csv", [reader, writer, alone])
    evidence = _logged(tmp_path, import_device_benchmark(source))
    per_watt = _claims(evidence, "tokens per second per watt")
    assert per_watt["reader-bf16@thor"].reproduced == per_watt["reader-bf16@thor"].published == 15.5
    assert (per_watt["reader-bf16@thor"].recomputed, per_watt["writer-bf16@thor"].recomputed) == (0.5, 1.5)
    (most,) = (claim for claim in evidence.claims if claim.name.startswith("most tokens per second per watt"))
    assert (most.published, most.recomputed, most.n) == (15.5, 1.5, 2)
    assert most.verdict == "turned round: writer-bf16@thor; reader-bf16@thor has 0.50 so counted"


def test_a_run_that_the_table_leaves_out_is_told(tmp_path: Path) -> None:
    _run_folder(tmp_path)
    _run_folder(tmp_path, "thor")
    _table(tmp_path / "vision_model_metrics.csv", [_metrics_row("dell_output/m/run_1", "Dell")])
    evidence = _logged(tmp_path, import_device_benchmark(tmp_path))
    (runs,) = _claims(evidence, "runs").values()
    assert (runs.published, runs.recomputed) == (1, 2)
    assert "thor_output/m/run_1" in runs.verdict
    assert {a.n for a in evidence.aggregates if a.metric == "latency_mean"} == {8}


def test_other_prompts_are_refused(tmp_path: Path) -> None:
    _run_folder(tmp_path)
    _run_folder(tmp_path, "thor", change=lambda lines: [line.update(task_prompt="Else.") for line in lines])
    with pytest.raises(ImporterError, match="different prompts"):
        import_device_benchmark(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: lines[2].update(latency_ms="slow"), ["line 3", "latency_ms", "'slow'"]),
        (lambda lines: lines[2].pop("task"), ["line 3", "'task'"]),
        (lambda lines: lines.append(lines[0]), ["line 9", "appears twice"]),
        (lambda lines: lines[2].update(task_prompt="Else."), ["line 3", "task_prompt", "another prompt"]),
    ],
)
def test_run_mistakes_name_the_line(tmp_path: Path, change: Any, told: list[str]) -> None:
    folder = _run_folder(tmp_path)
    lines = [_line(i, task) for i in range(4) for task in ("count", "caption")]
    change(lines)
    (folder / "runs.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    with pytest.raises(ImporterError) as caught:
        import_device_benchmark(folder)
    assert "runs.jsonl.gz" in str(caught.value)
    assert all(part in str(caught.value) for part in told), caught.value


def test_damaged_files_are_typed_errors(tmp_path: Path) -> None:
    folder = _run_folder(tmp_path)
    whole = (folder / "runs.jsonl.gz").read_bytes()
    for damaged in (b"no gzip", whole[:-12], whole[:20] + b"\xff" * 20 + whole[40:]):
        (folder / "runs.jsonl.gz").write_bytes(damaged)
        with pytest.raises(ImporterError, match=r"runs\.jsonl\.gz: cannot be read"):
            import_device_benchmark(folder)
    (folder / "run_meta.json").write_text("{", encoding="utf-8")
    with pytest.raises(ImporterError, match=r"run_meta\.json: not valid JSON"):
        import_device_benchmark(folder)
    with pytest.raises(ImporterError, match="neither"):
        import_device_benchmark(folder / "nothing")


# --- the log, the command line, the section


def test_aggregates_are_compared_only_by_one_sensor_and_definition() -> None:
    def power(cell: str, sensor: str | None, definition: str = "mean") -> AggregateRecord:
        return AggregateRecord(cell=cell, metric="p", value=1.0, unit="W", definition=definition, sensor=sensor)

    assert why_incomparable([power("a", "rail"), power("b", "rail")]) is None
    assert "sensors" in (why_incomparable([power("a", "rail"), power("b", None)]) or "")
    assert "definitions" in (why_incomparable([power("a", "r"), power("b", "r", "peak")]) or "")


def test_new_records_survive_the_log(tmp_path: Path) -> None:
    claim = ClaimRecord(
        name="n",
        published=None,
        published_definition="a",
        recomputed=1.5,
        recomputed_definition="b",
        unit="s",
        verdict="v",
        n=3,
    )
    aggregate = AggregateRecord(cell="c", metric="m", value=2.0, unit="J", definition="d", n=None, sensor="s")
    step = SweepRecord(cell="c", batch_size=1, output_tokens=None, seconds=[1.0])
    evidence = _logged(tmp_path, [claim, aggregate, step])
    assert (evidence.claims, evidence.aggregates) == ([claim], [aggregate])
    assert evidence.sweeps["c"][1] == step
    assert evidence.imported is None


def test_a_measured_log_has_no_such_section(tmp_path: Path) -> None:
    summary = summarise(_logged(tmp_path, standard(6)))
    assert published_parts(summary) == []
    assert published_cautions(summary) == []
    assert published_json(summary) is None


def test_a_claim_about_missing_cells_is_not_judged(tmp_path: Path) -> None:
    evidence = _logged(tmp_path, import_field_comparison(_compared(tmp_path)))
    found = [correct(claim, {}) for claim in evidence.claims if claim.metric]
    assert found
    assert all(f.value is None and "no answers" in f.verdict for f in found)


def test_the_section_tells_claims_beside_corrections(tmp_path: Path) -> None:
    summary = summarise(_logged(tmp_path, import_field_comparison(_compared(tmp_path))))
    text = "\n".join(published_parts(summary))
    assert "| keen-quantized@untold | 100.0 % | 100.0 %, as published | 0.0 %" in text
    assert "+50.0 points" in text
    assert MISSING not in text
    assert "not measured here" in published_cautions(summary)[0]
    found = published_json(summary)
    assert found is not None
    json.dumps(found, allow_nan=False)
    assert {c["cell"]: c["recomputed"] for c in found["claims"] if c["name"] == "field accuracy"} == {
        "keen-quantized@untold": 0.0,
        "right-quantized@untold": 1.0,
    }


def test_command_line_writes_the_log_and_tells_the_claims(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = _compared(tmp_path), tmp_path / "out" / "evidence.jsonl"
    assert main(["field-comparison", str(folder), "--out", str(out), "--quantization", "int8"]) == 0
    told = capsys.readouterr().out
    assert "keen-int8@untold: field accuracy: published 1 (by its own definition, from the data: 1)" in told
    first = out.read_bytes()
    assert main(["field-comparison", str(folder), "--out", str(out)]) == 2
    assert "already there" in capsys.readouterr().err
    assert out.read_bytes() == first
    again = tmp_path / "again.jsonl"
    assert main(["field-comparison", str(folder), "--out", str(again), "--quantization", "int8"]) == 0
    assert again.read_bytes() == first


def test_command_line_writes_nothing_of_a_bad_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "evidence.jsonl"
    assert main(["batch-throughput", str(_throughput(tmp_path, "10,m,4,soon,0.5")), "--out", str(out)]) == 2
    assert "row 2, field total_time" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("kind", ["field-comparison", "device-benchmark", "batch-throughput", "extraction-csv"])
def test_help_tells_the_source_of_each_kind(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([kind, "--help"])
    assert ended.value.code == 0
    assert "SOURCE:" in capsys.readouterr().out


def test_an_imported_log_may_be_cut_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "whole.jsonl"
    with EvidenceLog(path) as log:
        for record in import_field_comparison(_compared(tmp_path)):
            log.append(record)
    content = path.read_bytes()
    cut = tmp_path / "cut.jsonl"
    for share in (0.02, 0.3, 0.8, 0.97):
        cut.write_bytes(content[: int(share * len(content))])
        found = read_evidence(cut)
        assert found.skipped_lines <= 1, "the line that was cut"
        titles = [part for part in published_parts(summarise(found)) if part.startswith("### ")]
        assert len(titles) == len({claim.name for claim in found.claims}) + bool(found.aggregates)
