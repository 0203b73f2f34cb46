"""The report of cells on GPUs: ledgers, what fits, sweeps, energy, contamination, random weights, fixed lengths."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cells import Failure
from harness.deployment.gpus import SAFE_PERCENT
from harness.evidence import CellRecord, PassRecord, ReadingRecord, Record, SweepRecord, read_evidence
from reports import render
from reports.fit import CARD_BYTES
from reports.formatting import format_bytes
from reports.markdown import report_markdown
from reports.report_json import report_json
from reports.summary import Summary, summarise
from reports.terminal import summary_lines
from reports.throughput import sweep_steps
from tests import gpu_evidence as gpu
from tests import grid_evidence as grid
from tests import report_evidence as evidence
from tests.test_report import PNG, RENEW, SNAPSHOTS, section, stable
from tests.test_report_grid import row

SECTIONS = ("Summary", "Models", "Quantization", "Latency and memory", "Device memory", "Throughput", "Energy")
DUMMY = {mode: f"{gpu.BIG}-{mode}@cuda~dummy" for mode in (*gpu.MODES, "fp32", "int8-offload", "fp4")}
REAL = "InternVL-2B-bf16@cuda:all"


def shown(cell: str) -> str:
    return cell.replace("~", r"\~")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu")
    return render(evidence.write(folder / "evidence.jsonl", gpu.gpus()), folder)


@pytest.fixture(scope="module")
def markdown(rendered):
    return rendered.markdown.read_text()


@pytest.fixture(scope="module")
def report(rendered):
    return json.loads(rendered.json.read_text(), parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def summary(rendered):
    return summarise(read_evidence(rendered.markdown.parent / "evidence.jsonl"))


def summary_of(folder: Path, records: list[Record]) -> Summary:
    return summarise(read_evidence(evidence.write(folder / "log.jsonl", records)))


def told(folder: Path, records: list[Record]) -> str:
    return report_markdown(summary_of(folder, records), [], "log")


def titles(markdown: str) -> list[str]:
    return re.findall(r"^## (.*)$", markdown, re.MULTILINE)


def tables(text: str) -> list[str]:
    return re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)


def cell_of(report: dict, part: str, cell: str) -> dict:
    (found,) = [item for item in report[part] if item["cell"] == cell]
    return found


def test_sections_are_as_they_were(markdown):
    """After a wanted change, look at the difference that DOCVLM_RENEW_SNAPSHOTS=1 makes to tests/snapshots."""
    head = markdown[: markdown.index("## Summary")]
    found = stable(head + "\n".join(f"## {title}\n{section(markdown, title)}" for title in SECTIONS))
    snapshot = SNAPSHOTS / "report_gpu.md"
    if os.environ.get(RENEW):
        snapshot.write_text(found)
    assert found == snapshot.read_text()


def test_tables_are_rectangular(markdown):
    for block in tables(markdown):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


def test_figures_are_drawn_and_shown(rendered, markdown):
    drawn = {p.stem for p in rendered.figures}
    assert {"device_memory", "throughput"} <= drawn
    for path in rendered.figures:
        assert path.read_bytes().startswith(PNG)
        assert f"(figures/{path.name})" in markdown


def test_a_report_without_a_gpu_has_none_of_it(tmp_path):
    whole = report_markdown(summary_of(tmp_path, grid.grid(6)), [], "log")
    assert not {"Device memory", "Throughput", "Energy"} & set(titles(whole))
    for word in ("### Quantization strategies", "### Contamination", "Output length", "file cache", "cuda"):
        assert word not in whole.partition("## Method")[0], word


# --- models and random weights -----------------------------------------------------------------------------------


def test_architectures_are_those_of_the_loaded_models(markdown, report):
    part = section(markdown, "Models")
    assert row(part, shown(DUMMY["int8"]))[1:4] == ["MllamaForConditionalGeneration", "10,670,220,835", "bfloat16"]
    assert row(part, REAL)[1:3] == ["InternVLForConditionalGeneration", "2,088,957,440"]
    assert row(part, REAL)[4] == "of the checkpoint"
    assert "random weights" in row(part, shown(DUMMY["nf4"]))[4]
    assert "ocr-rules" not in part, "a backend that tells no architecture"
    assert "fp32" not in part, "was never loaded"
    assert [m["weights"] for m in report["models"]] == ["dummy"] * 3 + ["real"]


def test_a_checkpoint_that_says_it_is_random_is_told_from_dummy_weights(tmp_path):
    asked = evidence.documents(4)
    cell = evidence.candidate(
        "own", asked, skill=0.1, seconds=1, base=1, load_facts={"parameters": 7, "random_weights": True}
    )
    part = section(told(tmp_path, [*evidence.opening(asked), *cell]), "Models")
    assert row(part, "own")[4] == "**random weights** (the checkpoint says so)"


def test_random_weights_stand_wherever_an_accuracy_would(markdown, report):
    """Also of the precisions that never loaded: they would have been random."""
    header = None
    for line in section(markdown, "Quality").splitlines():
        if line.startswith("| Cell"):
            header = [part.strip() for part in line.split("|")[1:-1]]
        if "dummy" in line and line.startswith("|"):
            values = [part.strip() for part in line.split("|")[1:-1]]
            rates = [v for name, v in zip(header, values, strict=True) if "%" in name and name != "Answered %"]
            assert len(rates) >= 5
            assert set(rates) == {"random weights"}, line
    for cell in DUMMY.values():
        f1, hallucination = row(section(markdown, "Summary"), shown(cell))[1:3]
        assert (f1, hallucination) == ("random weights", "random weights")
        metrics = cell_of(report, "cells", cell)["metrics"]
        assert {metrics[n]["value"] for n in ("f1", "accuracy", "anls", "recall", "parse_rate")} == {None}
    assert "Of random weights, so that only times and bytes mean anything: Llama-11B-bf16" in markdown


def test_terminal_says_random_weights_and_keeps_lengths_apart(summary):
    lines = summary_lines(summary)
    assert max(map(len, lines)) <= 100
    assert lines.pop().startswith("Images without ground truth")
    split = next(i for i, line in enumerate(lines) if "exactly 128 tokens" in line)
    assert all(("random weights" in line) == (i > split) for i, line in enumerate(lines) if i != split)


def test_real_weights_with_a_fixed_length_are_not_called_random(tmp_path):
    asked = evidence.documents(4)
    records = gpu.gpu_cell("M", "bf16", asked, weights=1e9, fixed=True)
    whole = told(tmp_path, [*evidence.opening(asked), *records])
    assert "random weights" not in whole.partition("## Method")[0]
    assert row(section(whole, "Quality"), "M-bf16@cuda")[1] == "fixed length"
    assert "Answers made equally long, whatever they say, and so not scored: M-bf16@cuda." in whole


# --- output lengths ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("title", ["Summary", "Latency and memory", "Energy"])
def test_fixed_and_free_output_lengths_share_no_table_of_times(markdown, title):
    part = section(markdown, title).partition("### Contamination")[0].partition("### Candidates")[0]
    assert "Output length fixed: every answer has exactly 128 tokens" in part
    for block in tables(part):
        assert not ("dummy" in block and REAL in block), block


def test_latencies_of_unlike_output_lengths_are_not_compared(summary):
    pairs = {frozenset((c.a, c.b)) for c in summary.comparisons if c.metric == "latency_s"}
    assert frozenset((DUMMY["bf16"], DUMMY["int8"])) in pairs
    assert frozenset(("ocr-rules", REAL)) in pairs
    assert frozenset((DUMMY["bf16"], REAL)) not in pairs
    fastest = next(w for w in summary.winners if w.metric == "latency_s")
    assert fastest.cell == REAL
    assert "of another output length, so not compared: Llama-11B-bf16@cuda~dummy, Llama-11B-int8" in fastest.reason


def test_one_cell_of_another_length_does_not_keep_the_rest_from_being_ranked(tmp_path):
    asked = evidence.documents(6)
    fixed = [
        r for i, n in enumerate("ab", 1) for r in gpu.gpu_cell(n, "bf16", asked, weights=4e9, slower=i, fixed=True)
    ]
    free = evidence.candidate("ocr-rules", asked, skill=0.9, seconds=0.1, base=1)
    summary = summary_of(tmp_path, [*evidence.opening(asked), *free, *fixed])
    fastest = next(w for w in summary.winners if w.metric == "latency_s")
    assert fastest.leader == "a-bf16@cuda"
    assert "of another output length, so not compared: ocr-rules" in fastest.reason


def test_two_fixed_lengths_of_one_model_have_no_ratio(tmp_path):
    asked = evidence.documents(4)
    short = [
        replace(r, settings={"min_new_tokens": 8, "max_new_tokens": 8}) if isinstance(r, PassRecord) else r
        for r in gpu.gpu_cell("M", "nf4", asked, weights=1e9, fixed=True)
    ]
    bf16 = gpu.gpu_cell("M", "bf16", asked, weights=4e9, fixed=True)
    part = section(told(tmp_path, [*evidence.opening(asked), *bf16, *short]), "Quantization")
    costs = part.partition("### Quantization strategies")[2]
    assert row(costs, "M-nf4@cuda")[-2:] == ["not measured", "not measured"]


# --- the ledger --------------------------------------------------------------------------------------------------


def test_the_ledger_adds_up_by_device_and_summed(markdown, report):
    memory = cell_of(report, "device_memory", REAL)
    assert [d["device"] for d in memory["devices"]] == ["cuda:0", "cuda:1"]
    for part in ("context", "weights", "activations", "slack", "unexplained", "nvml_total", "samples"):
        assert memory["total"][part] == sum(d[part] for d in memory["devices"]), part
    one = memory["devices"][0]
    assert one["context"] == gpu.CONTEXT
    assert one["activations"] == gpu.ACTIVATIONS
    assert one["slack"] == gpu.SLACK
    assert one["unexplained"] == gpu.UNEXPLAINED
    assert one["closes"] is True
    assert memory["allocator_peaks"] == 12
    rows = [line for line in section(markdown, "Device memory").splitlines() if line.startswith(f"| {REAL} |")]
    assert len(rows) == 2 + 1 + 1, "two devices, their sum, and the weights"
    assert "**2 summed**" in rows[2]
    assert format_bytes(memory["total"]["nvml_total"]) in rows[2]


def test_predicted_weights_stand_beside_what_the_devices_hold(markdown):
    part = section(markdown, "Device memory").partition("### Weights on the devices")[2]
    predicted, measured, off = row(part, shown(DUMMY["bf16"]))[1:]
    assert (predicted, measured) == (format_bytes(21.34e9 - 2 * gpu.MIB), format_bytes(21.34e9))
    assert off == "-0.01"


def test_a_ledger_that_does_not_close_says_so(tmp_path):
    asked = evidence.documents(4)
    cell = [
        replace(r, devices=[replace(d, used_bytes=d.used_bytes + 2 * gpu.GIB) for d in r.devices])
        if isinstance(r, ReadingRecord)
        else r
        for r in gpu.gpu_cell("M", "bf16", asked, weights=4e9)
    ]
    part = section(told(tmp_path, [*evidence.opening(asked), *cell]), "Device memory")
    assert row(part, "M-bf16@cuda")[8].startswith("**no**, ")


def test_a_device_that_the_driver_hides_is_not_measured_rather_than_zero(tmp_path):
    asked = evidence.documents(4)
    cell = [
        replace(r, devices=[replace(d, used_bytes=None, before_bytes=None, samples=0) for d in r.devices])
        if isinstance(r, ReadingRecord | CellRecord)
        else r
        for r in gpu.gpu_cell("M", "bf16", asked, weights=4e9)
    ]
    summary = summary_of(tmp_path, [*evidence.opening(asked), *cell])
    part = section(report_markdown(summary, [], "log"), "Device memory")
    values = row(part, "M-bf16@cuda")
    assert values[2] == "not measured", "the context is what the driver adds"
    assert values[3] == format_bytes(4e9)
    assert values[6:9] == ["not measured"] * 3
    assert "MiB" not in values[6]
    data = json.loads(report_json(summary))
    assert data["device_memory"][0]["total"]["nvml_total"] is None


# --- what each precision costs -----------------------------------------------------------------------------------


def test_every_precision_that_was_asked_for_is_a_row(markdown, report):
    part = section(markdown, "Quantization").partition("### Quantization strategies")[2]
    for cell in (*DUMMY.values(), REAL):
        assert row(part, shown(cell))
    assert row(part, shown(DUMMY["fp32"]))[3] == "**no**, load-oom: OutOfMemoryError: CUDA out of memory."
    assert row(part, shown(DUMMY["int8-offload"]))[3].startswith("**no**, unsupported: int8-offload needs")
    assert row(part, shown(DUMMY["fp4"]))[3].startswith("**no**, crash: ")
    assert row(part, shown(DUMMY["fp32"]))[4:6] == ["not measured", "not measured"]
    assert row(part, shown(DUMMY["bf16"]))[3] == "yes, 12/12"
    assert "more of it" not in part, "the first line of a message is enough"
    found = {c["cell"]: c for c in report["quantization_strategies"]}
    assert found[DUMMY["fp32"]]["failure"] == "load-oom"
    assert found[DUMMY["fp32"]]["fits"] is None


@pytest.mark.parametrize(
    ("share", "fits", "fits_usable"),
    [
        (0.80, True, True),
        (SAFE_PERCENT / 100, True, True),
        (0.9, True, False),
        (1.0, True, False),
        (1.01, False, False),
    ],
)
def test_fitting_is_by_the_peak_and_not_by_the_weights(tmp_path, share, fits, fits_usable):
    asked = evidence.documents(4)
    rest = gpu.CONTEXT + gpu.ACTIVATIONS + gpu.SLACK + gpu.UNEXPLAINED
    cell = gpu.gpu_cell("M", "bf16", asked, weights=int(share * CARD_BYTES) - rest)
    data = json.loads(report_json(summary_of(tmp_path, [*evidence.opening(asked), *cell])))
    (cost,) = data["quantization_strategies"]
    assert cost["peak"]["value"] == pytest.approx(share * CARD_BYTES, abs=1)
    assert (cost["fits"], cost["fits_usable"]) == (fits, fits_usable)


def test_a_peak_in_company_fits_nothing(markdown, report):
    part = section(markdown, "Quantization").partition("### Quantization strategies")[2]
    assert row(part, shown(DUMMY["nf4"]))[4:6] == ["not judged: contaminated"] * 2
    cost = cell_of(report, "quantization_strategies", DUMMY["nf4"])
    assert (cost["fits"], cost["fits_usable"]) == (None, None)
    assert cost["peak"]["contaminated"].startswith("1 of 12 requests disturbed: other processes")


def test_slowdowns_are_paired_ratios_to_16_bits(markdown, report):
    part = section(markdown, "Quantization").partition("### Quantization strategies")[2]
    assert row(part, shown(DUMMY["bf16"]))[-2:] == ["reference", "reference"]
    assert row(part, shown(DUMMY["int8"]))[-2].startswith("3.000")
    assert row(part, shown(DUMMY["nf4"]))[-2].startswith("1.300")
    cost = cell_of(report, "quantization_strategies", DUMMY["int8"])
    token = (3 * 2.0 - 0.2) / (2.0 - 0.2)
    assert cost["tpot"]["metric"] == "tpot_s"
    assert cost["tpot"]["value"] == pytest.approx(token, rel=0.01)
    assert cost["tpot"]["n"] == 12
    disturbed = cell_of(report, "quantization_strategies", DUMMY["nf4"])
    assert (disturbed["latency"]["n"], disturbed["tpot"]["n"]) == (10, 10), "two requests were disturbed"


def test_a_precision_that_failed_is_no_reference(tmp_path):
    asked = evidence.documents(4)
    how = {"model": gpu.BIG, "quantization": "bf16"}
    failed = gpu.never_loaded(gpu.BIG, how["quantization"], asked, Failure.LOAD_OOM, "out of memory")
    others = [
        r
        for mode, slower in (("fp16", 1.0), ("nf4", 1.5))
        for r in gpu.gpu_cell(gpu.BIG, mode, asked, weights=9e9, slower=slower, dummy=True, fixed=True)
    ]
    summary = summary_of(tmp_path, [*evidence.opening(asked), *failed, *others])
    assert {r.reference for r in summary.recoveries} == {f"{gpu.BIG}-fp16@cuda~dummy"}
    part = section(report_markdown(summary, [], "log"), "Quantization").partition("### Quantization strategies")[2]
    assert row(part, rf"{gpu.BIG}-nf4@cuda\~dummy")[-2].startswith("1.500")


def test_dummy_and_real_weights_of_a_model_are_never_one_family(tmp_path):
    asked = evidence.documents(4)
    real = gpu.gpu_cell("M", "bf16", asked, weights=4e9)
    dummy = gpu.gpu_cell("M", "nf4", asked, weights=1e9, dummy=True)
    summary = summary_of(tmp_path, [*evidence.opening(asked), *real, *dummy])
    assert {r.cell: r.reference for r in summary.recoveries} == {
        "M-bf16@cuda": "M-bf16@cuda",
        "M-nf4@cuda~dummy": None,
    }


# --- throughput --------------------------------------------------------------------------------------------------


def test_rates_of_a_sweep_follow_from_its_records(report):
    steps = {s["batch_size"]: s for s in report["throughput"] if s["cell"] == DUMMY["bf16"]}
    assert list(steps) == [1, 2, 4, 8, 16]
    seconds = 2.0 * (1 + 0.5 * 3)
    low, mid, high = steps[4]["images_per_s"]
    assert (low, high) == pytest.approx((4 / (1.1 * seconds), 4 / seconds))
    assert low < mid < high
    ttft = 0.11 * seconds
    assert steps[4]["prefill_tok_per_s"] == pytest.approx(4 * 1600 / ttft)
    assert steps[4]["decode_tok_per_s"] == pytest.approx(4 * gpu.TOKENS / (0.9 * seconds))
    assert steps[4]["peak_bytes"] == int(21.34e9) + 4 * 700 * gpu.MIB
    assert steps[4]["peak_of"] == "driver"


def test_prompts_that_are_read_while_others_are_answered_have_no_rate_and_delay_no_token(report):
    steps = {s["batch_size"]: s for s in report["throughput"] if s["cell"] == REAL}
    seconds = 0.9 * (1 + 0.5 * 3)
    assert steps[4]["prefill_tok_per_s"] is None
    assert steps[4]["tpot_s"][1] == pytest.approx(0.9 * seconds / gpu.TOKENS)
    assert steps[4]["itl_s"][1] == pytest.approx(0.3 * seconds / gpu.TOKENS)
    assert steps[4]["decode_tok_per_s"] == pytest.approx(4 * gpu.TOKENS / (0.3 * seconds))


def test_memory_of_a_sweep_on_two_devices_is_summed(report):
    steps = {s["batch_size"]: s for s in report["throughput"] if s["cell"] == REAL}
    assert steps[4]["peak_bytes"] == 2 * ((int(4.178e9) + 4 * 700 * gpu.MIB) // 2)


def test_an_out_of_memory_is_a_row_and_no_rate(markdown, report):
    part = section(markdown, "Throughput")
    assert "Output length, fixed: 128 tokens a page." in part
    failed = [line for line in part.splitlines() if "**run-oom**" in line]
    assert len(failed) == 3
    assert r"OutOfMemoryError: CUDA out of memory. Tried to allocate 7.50 GiB \| GPU 0" in failed[0]
    assert "second line" not in part
    for step in report["throughput"]:
        if step["failure"] is not None:
            rates = ("images_per_s", "prefill_tok_per_s", "decode_tok_per_s", "ttft_s", "tpot_s", "itl_s")
            assert {step[name] for name in rates} == {None}


@pytest.mark.parametrize(
    ("changes", "peak"),
    [
        ({}, (3 * gpu.GIB, "allocator")),  # more than the samples saw
        ({"devices": []}, (3 * gpu.GIB, "allocator")),
        ({"devices": [], "allocator": []}, (2 * gpu.GIB, "host")),
        ({"allocator": []}, (gpu.GIB, "driver")),
        ({"devices": [gpu.use("cuda:0", 1, 1.0, used_bytes=None)], "allocator": []}, (None, None)),
    ],
)
def test_the_peak_of_a_step_says_where_it_is_from(tmp_path, changes, peak):
    step = SweepRecord(
        cell="m",
        batch_size=1,
        output_tokens=8,
        seconds=[1.0],
        memory=evidence.MemoryPeak(rss_bytes=2 * gpu.GIB, samples=9),
        devices=[gpu.use("cuda:0", gpu.GIB, 1.0)],
        allocator=[gpu.AllocatorPeak(device="cuda:0", allocated_bytes=gpu.GIB, reserved_bytes=3 * gpu.GIB)],
    )
    log = evidence.write(tmp_path / "log.jsonl", [replace(step, **changes)])
    (found,) = sweep_steps(read_evidence(log))
    assert (found.peak_bytes, found.peak_of) == peak


def test_a_predicted_peak_stands_beside_the_measured_one(tmp_path):
    asked = evidence.documents(1)
    peak = gpu.AllocatorPeak(device="cuda:0", allocated_bytes=4 * gpu.GIB, reserved_bytes=5 * gpu.GIB)
    plain = SweepRecord(cell="m", batch_size=1, output_tokens=8, seconds=[1.0], allocator=[peak])
    told_before = replace(plain, batch_size=2, predicted_peak_bytes=3 * gpu.GIB)
    part = section(told(tmp_path, [*evidence.opening(asked), plain, told_before]), "Throughput")
    assert "Tensors at the peak, predicted and measured" in part
    assert [line.split("|")[-2].strip() for line in part.splitlines() if line.startswith("| m ")] == [
        "not predicted, 4.00 GiB",
        "3.00 GiB, 4.00 GiB (-25.0%)",
    ]


def test_a_disturbed_step_is_called_so(tmp_path):
    asked = evidence.documents(1)
    step = SweepRecord(
        cell="m",
        batch_size=1,
        output_tokens=8,
        seconds=[1.0, 2.0],
        devices=[gpu.use("cuda:0", gpu.GIB, 1.0, foreign_processes=1)],
    )
    part = section(told(tmp_path, [*evidence.opening(asked), step]), "Throughput")
    values = row(part, "m")
    assert values[3] == "0.750 [0.500, 1.00]"
    assert values[4:8] == ["not measured"] * 4
    assert values[-1] == "2, **contaminated**"


def test_a_sweep_in_which_everything_failed_has_a_table_and_no_figure(tmp_path):
    asked = evidence.documents(1)
    failed = SweepRecord(cell="m", batch_size=1, output_tokens=8, failure=Failure.TIMEOUT, message=None)
    log = evidence.write(tmp_path / "log.jsonl", [*evidence.opening(asked), failed])
    rendered = render(log, tmp_path)
    assert "**timeout**" in section(rendered.markdown.read_text(), "Throughput")
    assert "throughput" not in {p.stem for p in rendered.figures}


# --- energy, contamination, loading ------------------------------------------------------------------------------


def test_energy_is_told_with_idle_power_and_closure(markdown, report):
    values = row(section(markdown, "Energy"), shown(DUMMY["bf16"]))
    energy = cell_of(report, "energy", DUMMY["bf16"])
    mean = 300 * 2.0 * (sum(1 + 0.02 * (i % 5) for i in range(12)) / 12)
    assert energy["energy_j"]["value"] == pytest.approx(mean)
    assert energy["j_per_output_tok"]["value"] == pytest.approx(mean / gpu.TOKENS)
    assert energy["output_tok_per_s_per_w"]["value"] == pytest.approx(gpu.TOKENS / mean, rel=1e-6)
    assert energy["energy_closure"]["value"] == pytest.approx(0.01)
    assert values[4:] == ["300 W", "75.0 W", "1.0 [1.0, 1.0]", "12"]
    assert cell_of(report, "energy", REAL)["mean_power_w"]["value"] == pytest.approx(600), "both devices"
    assert "ocr-rules" not in {e["cell"] for e in report["energy"]}
    assert "Energy per document" not in section(markdown, "Latency and memory")


def test_energy_that_does_not_close_is_flagged(tmp_path):
    asked = evidence.documents(4)
    cell = [
        replace(r, devices=[replace(d, power_j=0.9 * d.energy_j) for d in r.devices])
        if isinstance(r, ReadingRecord)
        else r
        for r in gpu.gpu_cell("M", "bf16", asked, weights=4e9)
    ]
    part = section(told(tmp_path, [*evidence.opening(asked), *cell]), "Energy")
    assert row(part, "M-bf16@cuda")[-2] == "**10.0 [9.6, 10.4]: does not close**"


def test_without_an_energy_counter_there_is_no_section(tmp_path):
    asked = evidence.documents(4)
    cell = [
        replace(r, devices=[replace(d, energy_j=None, power_j=None) for d in r.devices])
        if isinstance(r, ReadingRecord)
        else r
        for r in gpu.gpu_cell("M", "bf16", asked, weights=4e9)
    ]
    whole = told(tmp_path, [*evidence.opening(asked), *cell])
    assert "Energy" not in titles(whole)
    assert "Not measured by any cell: Energy per document, Energy per output token." in whole


def test_disturbed_requests_are_counted_by_cell(markdown, report):
    part = section(markdown, "Latency and memory").partition("### Contamination")[2]
    assert row(part, shown(DUMMY["nf4"]))[1:] == ["12", "**2**", "1 (at most 2)", "thermal 1", "1", "990"]
    assert row(part, shown(DUMMY["bf16"]))[1:] == ["12", "0", "0", "0", "0", "1755"]
    assert not [line for line in part.partition("### Loading")[0].splitlines() if "ocr-rules" in line]
    found = cell_of(report, "contamination", DUMMY["nf4"])
    assert (found["watched"], found["contaminated"], found["foreign"]) == (12, 2, 1)
    assert found["throttled"] == {"power": 1, "thermal": 1}
    assert r"Times of Llama-11B-nf4@cuda\~dummy judge nothing: 2 of 12 requests disturbed" in markdown


def test_a_disturbed_cell_is_not_the_fastest(tmp_path):
    asked = evidence.documents(6)
    fast = gpu.gpu_cell("fast", "bf16", asked, weights=4e9, slower=0.1, unlike={2: {"foreign_processes": 1}})
    cells = [r for i, n in enumerate("ab", 1) for r in gpu.gpu_cell(n, "bf16", asked, weights=4e9, slower=i)]
    summary = summary_of(tmp_path, [*evidence.opening(asked), *fast, *cells])
    fastest = next(w for w in summary.winners if w.metric == "latency_s")
    assert fastest.leader == "a-bf16@cuda"
    assert "disturbed while they were timed, so not compared: fast-bf16@cuda" in fastest.reason


def test_processes_that_the_driver_hides_are_not_called_absent(tmp_path):
    asked = evidence.documents(4)
    hidden = {i: {"foreign_processes": None} for i in range(4)}
    cell = gpu.gpu_cell("M", "bf16", asked, weights=4e9, unlike=hidden)
    part = section(told(tmp_path, [*evidence.opening(asked), *cell]), "Latency and memory")
    assert row(part.partition("### Contamination")[2], "M-bf16@cuda")[3] == "not measured"


def test_cold_and_warm_loads_are_told_apart(markdown, report):
    part = section(markdown, "Latency and memory").partition("### Loading")[2]
    assert row(part, REAL)[1:3] == ["1.25 s", "cold 1.25 s, warm 400 ms"]
    assert row(part, "ocr-rules")[2] == "not measured"
    assert cell_of(report, "cells", REAL)["loads_s"] == {"cold": [1.25], "warm": [0.4]}


def test_a_log_of_gpus_cut_anywhere_renders(tmp_path):
    records = gpu.gpus(4)
    for end in range(1, len(records), 7):
        summary = summary_of(tmp_path, records[:end])
        assert section(report_markdown(summary, [], "log"), "Method")
        json.loads(report_json(summary), parse_constant=pytest.fail)
        (tmp_path / "log.jsonl").unlink()
