"""Measuring a device: what is measured, how it fails, and when a session does it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures import ceilings
from fixtures.ceilings import Ceilings
from harness.cells import Cell, Failure, Role
from harness.evidence import CeilingsRecord, CellRecord, EvidenceLog, RunRecord, read_evidence
from harness.roofline.measuring import measure_ceilings

SHAPES = (
    '{"model_type":"llava","vision_feature_layer":-2,"text_config":{"model_type":"llama","hidden_size":64,'
    '"intermediate_size":128,"num_hidden_layers":2,"num_attention_heads":2,"vocab_size":100},"vision_config":'
    '{"model_type":"clip_vision_model","hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,'
    '"num_attention_heads":2,"image_size":32,"patch_size":8}}'
)
CELL = Cell(model="m", quantization="bf16")
MEASURED = CeilingsRecord(
    device="cpu", dtype="bfloat16", name="CPU", bandwidth_bytes_per_s=3e10, matmul_flops_per_s=4e11
)


def test_a_processor_is_measured_in_a_process_of_its_own() -> None:
    pytest.importorskip("torch")
    found = measure_ceilings("cpu", "float32")
    assert found.failure is None, found.message
    assert (found.device, found.dtype, found.name) == ("cpu", "float32", "CPU")
    assert found.bandwidth_bytes_per_s is not None
    assert 1e8 < found.bandwidth_bytes_per_s < 1e13
    assert found.matmul_flops_per_s is not None
    assert 1e8 < found.matmul_flops_per_s < 1e15
    assert found.n is not None
    assert found.n >= 6
    assert found.seconds is not None
    assert 0 < found.seconds < 20  # two on an idle machine
    assert found.how is not None
    assert "copy of 120 MiB, read and written" in found.how
    assert "float32 product" in found.how


@pytest.mark.parametrize(
    ("device", "dtype", "timeout_s", "failure", "says"),
    [
        ("cpu", "nonsense", 60.0, Failure.CRASH, "nonsense"),
        ("cuda:99", "float32", 60.0, Failure.CRASH, ""),
        ("cpu", "float32", 0.01, Failure.TIMEOUT, "no result within 0.01 s"),
    ],
)
def test_a_failure_is_a_record(device: str, dtype: str, timeout_s: float, failure: Failure, says: str) -> None:
    pytest.importorskip("torch")
    found = measure_ceilings(device, dtype, timeout_s=timeout_s)
    assert (found.failure, found.bandwidth_bytes_per_s) == (failure, None)
    assert found.message
    assert says in found.message.partition("\n")[0]


def test_output_that_is_no_result_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 0, stdout="a warning\n", stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    found = measure_ceilings("cpu", "float32")
    assert (found.failure, found.message) == (Failure.ERROR, "it printed no result: 'a warning'")


def test_a_process_that_cannot_start_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("out of processes")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert measure_ceilings("cpu", "float32").failure is Failure.ERROR


def test_a_session_and_its_report_need_no_torch() -> None:
    code = (
        "import sys, fixtures.plugin, reports.plugin, reports.render, harness.roofline.probe; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- once a session --------------------------------------------------------------------------------------------


def load(**facts: Any) -> CellRecord:
    told = {"dtype": "bfloat16", "device_name": "CPU", "shapes": SHAPES, **facts}
    return CellRecord(
        cell="m",
        model="m",
        quantization="bf16",
        runtime="eager",
        device="cpu",
        role=Role.CANDIDATE,
        facts={name: value for name, value in told.items() if value is not None},
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was measured, without measuring."""
    found: list[tuple[str, str]] = []

    def measure(device: str, dtype: str) -> CeilingsRecord:
        found.append((device, dtype))
        return replace(MEASURED, device=device, dtype=dtype)

    monkeypatch.setattr(ceilings, "measure_ceilings", measure)
    return found


def resumed(path: Path, *records: CeilingsRecord) -> Any:
    """An earlier log that holds `records`."""
    with EvidenceLog(path) as log:
        log.append(RunRecord(started="", corpus={}, prompt={}, provenance={}))
        for record in records:
            log.append(record)
    return read_evidence(path)


def test_each_device_and_number_format_is_measured_once(tmp_path: Path, asked: list[tuple[str, str]]) -> None:
    with EvidenceLog(tmp_path / "evidence.jsonl") as log:
        found = Ceilings(log, None, disturbed=False)
        for _ in range(2):
            found.measure(CELL, [load()])
            found.measure(CELL, [load(dtype="float32")])
            found.measure(replace(CELL, device="cuda"), [load(device_name="H200")])
            found.measure(replace(CELL, device="cuda:all"), [load(device_name="2 x H200")])
    assert asked == [("cpu", "bfloat16"), ("cpu", "float32"), ("cuda:0", "bfloat16")]
    assert list(read_evidence(tmp_path / "evidence.jsonl").ceilings) == asked


@pytest.mark.parametrize(
    "unwanted",
    [
        lambda c: c.measure(CELL, []),  # nothing was loaded in this session: all of it was read before
        lambda c: c.measure(CELL, [replace(load(), failure=Failure.LOAD_OOM)]),
        lambda c: c.measure(CELL, [load(shapes=None)]),
        lambda c: c.measure(CELL, [load(shapes='{"model_type":"gemma3n"}')]),
        lambda c: c.measure(CELL, [load(dtype=None)]),
        lambda c: c.measure(replace(CELL, role=Role.CONTROL), [load()]),
    ],
)
def test_nothing_is_measured_for_what_has_no_limit(
    tmp_path: Path, asked: list[tuple[str, str]], unwanted: Callable[[Ceilings], None]
) -> None:
    with EvidenceLog(tmp_path / "evidence.jsonl") as log:
        unwanted(Ceilings(log, None, disturbed=False))
    assert asked == []


def test_nothing_is_measured_beside_others(tmp_path: Path, asked: list[tuple[str, str]]) -> None:
    with EvidenceLog(tmp_path / "evidence.jsonl") as log:
        Ceilings(log, None, disturbed=True).measure(CELL, [load()])
    assert asked == []


@pytest.mark.parametrize(
    ("before", "again"),
    [
        (MEASURED, False),
        (replace(MEASURED, name="another GPU"), True),
        (CeilingsRecord(device="cpu", dtype="bfloat16", failure=Failure.TIMEOUT, message="late"), True),
        (replace(MEASURED, dtype="float32"), True),
    ],
)
def test_a_resumed_run_measures_what_is_not_known(
    tmp_path: Path, asked: list[tuple[str, str]], before: CeilingsRecord, again: bool
) -> None:
    earlier = resumed(tmp_path / "evidence.jsonl", before)
    with EvidenceLog(tmp_path / "evidence.jsonl") as log:
        Ceilings(log, earlier, disturbed=False).measure(CELL, [load()])
    assert bool(asked) is again


def test_a_log_keeps_the_latest_measurement_that_succeeded(tmp_path: Path) -> None:
    failed = CeilingsRecord(device="cpu", dtype="bfloat16", failure=Failure.CRASH, message="gone")
    faster = replace(MEASURED, bandwidth_bytes_per_s=5e10)
    kept = resumed(tmp_path / "evidence.jsonl", failed, MEASURED, faster, failed).ceilings
    assert kept == {("cpu", "bfloat16"): faster}
    assert resumed(tmp_path / "other.jsonl", failed).ceilings == {("cpu", "bfloat16"): failed}
