"""The section of the report: distances, what they are of, and why some are not known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.architectures import architecture_folder
from harness.cells import Failure
from harness.evidence import CeilingsRecord, CellRecord, ReadingRecord, Record, SweepRecord, read_evidence
from harness.roofline.ceilings import DeviceCeilings, first_token_floor, request_floor, step_floor
from harness.roofline.shapes import architecture_of, recorded_shapes
from harness.roofline.work import Page, StoredBytes, request_work
from reports import render
from reports.roofline import Distance
from reports.summary import Summary, summarise
from tests import gpu_evidence as gpu
from tests import report_evidence as evidence
from tests.test_report import section

TITLE = "Distance from the hardware's limit"
CARD = "NVIDIA Example 80GB"
BF16, INT8, NF4 = (f"{gpu.BIG}-{mode}@cuda~dummy" for mode in gpu.MODES)
REAL = "InternVL-2B-bf16@cuda:all"
CONFIG = json.loads((architecture_folder("Llama-3.2-11B-Vision-Instruct") / "config.json").read_text())
STORED = StoredBytes(vision=1_636_000_000, decoder=17_448_304_640, head=1_050_673_152)
PAGE = Page(tiles=4, image_tokens=6404, prompt_tokens=1600)
CEILINGS = CeilingsRecord(
    device="cuda:0",
    dtype="bfloat16",
    name=CARD,
    bandwidth_bytes_per_s=2.0e12,
    matmul_flops_per_s=300e12,
    n=100,
    seconds=1.9,
    how="copy of 512 MiB, read and written, median of 50",
)


def told(records: Sequence[Record], *more: Record, shapes: Any = None, **facts: Any) -> list[Record]:
    """`records` of which the dummies tell their shapes and tiles, and `more`."""
    own = {
        "shapes": recorded_shapes(CONFIG) if shapes is None else shapes,
        "device_name": CARD,
        "linears_bytes.model.vision_model": STORED.vision - 1_000_000,
        "linears_bytes.model.multi_modal_projector": 1_000_000,
        "linears_bytes.model.language_model": STORED.decoder,
        "linears_bytes.lm_head": STORED.head,
        **facts,
    }
    found: list[Record] = []
    for record in records:
        if isinstance(record, CellRecord) and record.cell.startswith(gpu.BIG) and record.failure is None:
            record = replace(record, facts={**record.facts, **own})
        if isinstance(record, ReadingRecord) and record.cell.startswith(gpu.BIG) and record.failure is None:
            record = replace(record, facts={"tiles": PAGE.tiles, "image_tokens": PAGE.image_tokens})
        found.append(record)
    return [*found, *more]


def summary_of(folder: Path, records: Sequence[Record]) -> Summary:
    return summarise(read_evidence(evidence.write(folder / "evidence.jsonl", list(records))))


def reasons(summary: Summary, cell: str) -> Sequence[str]:
    (found,) = [c for c in summary.distances if c.cell == cell]
    return found.not_known


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("roofline")
    return render(evidence.write(folder / "evidence.jsonl", told(gpu.gpus(), CEILINGS)), folder)


@pytest.fixture(scope="module")
def distances(rendered: Any) -> dict[tuple[str, str], Distance]:
    log = rendered.markdown.parent / "evidence.jsonl"
    return {(d.cell, d.quantity): d for c in summarise(read_evidence(log)).distances for d in c.distances}


def test_each_number_stands_beside_its_limit(distances: dict[tuple[str, str], Distance]) -> None:
    ceilings = DeviceCeilings(bandwidth_bytes_per_s=2.0e12, matmul_flops_per_s=300e12)
    one = request_work(architecture_of(CONFIG), [PAGE], 128, STORED, 2)
    first, token, rate = (distances[BF16, name] for name in ("ttft_s", "tpot_s", "images_per_s"))
    assert (first.measured, first.batch_size, first.n) == (0.2, 1, 12)
    assert first.limit == pytest.approx(first_token_floor(one, ceilings).seconds)
    assert first.times == pytest.approx(0.2 / first.limit)
    assert first.bound_by == "arithmetic"
    assert token.limit == pytest.approx(step_floor(one, ceilings).seconds)
    # 18.37 GB of weights, 210 MB of the image's keys and values, 218 MB of the text's at 2 TB/s
    assert token.limit == pytest.approx(0.0094, rel=0.01)
    assert token.times == pytest.approx(token.measured / token.limit)
    assert token.bound_by == "memory"
    # the sweep's best is 8 pages in 2 x (1 + 0.5 x 7) = 9 s and 9.9 s
    assert (rate.batch_size, rate.n) == (8, 2)
    assert rate.measured == pytest.approx((8 / 9 + 8 / 9.9) / 2)
    eight = request_work(architecture_of(CONFIG), [PAGE] * 8, 128, STORED, 2)
    assert rate.limit == pytest.approx(8 / request_floor(eight, ceilings).seconds)
    assert rate.times == pytest.approx(rate.limit / rate.measured)
    assert "memory" in rate.bound_by
    assert "arithmetic" in rate.bound_by


def test_disturbed_numbers_say_so(distances: dict[tuple[str, str], Distance]) -> None:
    assert distances[NF4, "tpot_s"].contaminated
    assert not distances[BF16, "tpot_s"].contaminated


def test_the_report_shows_ratio_ceilings_and_reasons(rendered: Any, distances: dict[tuple[str, str], Distance]) -> None:
    text = section(rendered.markdown.read_text(), TITLE)
    name = BF16.replace("~", r"\~")
    (line,) = [row for row in text.splitlines() if row.startswith(f"| {name} | time per output token |")]
    assert f"**{distances[BF16, 'tpot_s'].times:.3g}**" in line
    assert "| cuda:0 (NVIDIA Example 80GB) | bfloat16 | 2000 GB/s | 300 TFLOP/s | copy of 512 MiB" in text
    assert "- no shapes of a model are recorded: ocr-rules, InternVL-2B-bf16@cuda:all" in text
    assert f"- images/s, without a batch sweep: {INT8.replace('~', chr(92) + '~')}" in text
    assert "- no load succeeded: " in text
    assert (rendered.markdown.parent / "tables" / "distance-from-the-hardware-s-limit.csv").is_file()


def test_the_json_has_the_same(rendered: Any, distances: dict[tuple[str, str], Distance]) -> None:
    found = json.loads(rendered.json.read_text(), parse_constant=pytest.fail)["roofline"]
    assert [(c["device"], c["bandwidth_bytes_per_s"]) for c in found["ceilings"]] == [("cuda:0", 2.0e12)]
    told = {(d["cell"], d["quantity"]): d["times"] for c in found["cells"] for d in c["distances"]}
    assert told == {key: distance.times for key, distance in distances.items()}


def test_weights_in_few_bits_are_counted_as_they_are_stored(tmp_path: Path) -> None:
    records = told(gpu.gpus(), CEILINGS, linears_quantized=280, **{"linears_bytes.model.language_model": 8_800_000_000})
    summary = summary_of(tmp_path, records)
    (int8,) = [c for c in summary.distances if c.cell == INT8]
    (token,) = [d for d in int8.distances if d.quantity == "tpot_s"]
    stored = replace(STORED, decoder=8_800_000_000)
    request = request_work(architecture_of(CONFIG), [PAGE], 128, stored, 2)
    assert token.limit == pytest.approx(request.step.bytes / 2.0e12)
    written = render(tmp_path / "evidence.jsonl", tmp_path).markdown.read_text()
    assert "Weights in few bits: their bytes as they are stored" in section(written, TITLE)


def test_faster_than_possible_says_so(tmp_path: Path, rendered: Any) -> None:
    assert "Below 1 is no limit" not in rendered.markdown.read_text()
    slow = replace(CEILINGS, matmul_flops_per_s=CEILINGS.matmul_flops_per_s / 100)
    log = evidence.write(tmp_path / "evidence.jsonl", told(gpu.gpus(), slow))
    assert "Below 1 is no limit" in section(render(log, tmp_path).markdown.read_text(), TITLE)


def test_an_old_log_has_no_such_section(tmp_path: Path) -> None:
    log = evidence.write(tmp_path / "evidence.jsonl", gpu.gpus())
    rendered = render(log, tmp_path)
    assert TITLE not in rendered.markdown.read_text()
    assert json.loads(rendered.json.read_text())["roofline"] == {"ceilings": [], "cells": []}


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        (lambda: told(gpu.gpus()), "what the device can do at most in bfloat16 was not measured"),
        (
            lambda: told(gpu.gpus(), replace(CEILINGS, dtype="float32")),
            "what the device can do at most in bfloat16 was not measured",
        ),
        (
            lambda: told(
                gpu.gpus(),
                CeilingsRecord(device="cuda:0", dtype="bfloat16", failure=Failure.CRASH, message="no memory\nmore"),
            ),
            "measuring the device failed: crash: no memory",
        ),
        (lambda: told(gpu.gpus(), replace(CEILINGS, name="Other")), "what was measured is another device, Other"),
        (
            lambda: told(gpu.gpus(), CEILINGS, shapes='{"model_type":"gemma3n"}'),
            "no formula for gemma3n: of its vision tower, a convolutional network, the configuration has a name only, "
            "and its layers share caches",
        ),
        (
            lambda: told(gpu.gpus(), CEILINGS, offloaded_layers=10),
            "part of the weights lies in host memory, and no link to it was measured",
        ),
        (lambda: told(gpu.gpus(), CEILINGS, dtype="float64"), "no size is known of numbers of the type float64"),
        (
            lambda: told(gpu.gpus(), CEILINGS, **{"linears_bytes.lm_head": None}),
            "no bytes are recorded of lm_head",
        ),
    ],
)
def test_what_is_not_known_says_why(tmp_path: Path, records: Callable[[], list[Record]], reason: str) -> None:
    summary = summary_of(tmp_path, records())
    (found,) = [c for c in summary.distances if c.cell == BF16]
    assert (list(found.not_known), list(found.distances)) == ([reason], [])


def test_documents_read_in_batches_or_several_calls_tell_no_single_times(tmp_path: Path) -> None:
    for name, change in (("batches", {"batch_size": 4}), ("calls", {"calls": 3})):
        records = [
            replace(r, **change) if isinstance(r, ReadingRecord) and r.cell == BF16 else r
            for r in told(gpu.gpus(), CEILINGS)
        ]
        (tmp_path / name).mkdir()
        summary = summary_of(tmp_path / name, records)
        (found,) = [c for c in summary.distances if c.cell == BF16]
        assert [d.quantity for d in found.distances] == ["images_per_s"]
        assert found.not_known == [
            "first token and time per output token, because no document was read alone and in one call"
        ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"output_tokens": None}, "images/s, because the answers of the sweep have no fixed length"),
        ({"prompt_tokens": 1}, "images/s, because the pages of the sweep cannot be told"),
    ],
)
def test_a_sweep_of_other_pages_or_lengths_has_no_limit(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    records = [
        replace(r, **change) if isinstance(r, SweepRecord) and r.failure is None else r
        for r in told(gpu.gpus(), CEILINGS)
    ]
    summary = summary_of(tmp_path, records)
    assert reasons(summary, BF16) == [reason]
    assert reasons(summary, INT8) == ["images/s, without a batch sweep"]
