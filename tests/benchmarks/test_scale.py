"""A campaign of a million inferences renders in a minute and 2 GB on two cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from harness.backends.protocol import AllocatorPeak
from harness.cells import Failure, Role
from harness.evidence import (
    SCHEMA_VERSION,
    CellRecord,
    DeviceUse,
    DocumentRecord,
    MemoryPeak,
    PassRecord,
    ReadingRecord,
    Record,
    RunRecord,
)
from tests.report_evidence import MIB, answer, documents, opening

DEVICES = ("A100", "H100", "H200", "L4", "L40S", "RTX 3080", "RTX 4090", "T4", "V100", "Orin")
MODELS = {"alpha-2b": 0.97, "beta-3b": 0.95, "gamma-4b": 0.92, "delta-8b": 0.96, "epsilon-11b": 0.9}
"""Skill: the share of fields read right."""
MODES = {"fp16": (0.0, 1.0), "bf16": (0.03, 1.0), "int8": (0.1, 1.7), "nf4": (0.25, 1.3)}
"""By precision, the share of answers that differ from the model's own, and the time that they take."""
OTHER_ON_DEVICE = 0.02
"""Share of answers that one device words in another way."""
FAILED = 0.002
DOCUMENTS = int(os.environ.get("SCALE_DOCUMENTS", "5000"))
"""Fewer are for looking at where the time goes: the limits are of the full size."""
CORES = 2
LIMIT_S = 60.0
LIMIT_BYTES = 2 * 10**9


def line(record: Record) -> dict[str, Any]:
    return {"schema": SCHEMA_VERSION, "record": record.record, **asdict(record)}


def write_log(path: Path, device: int, asked: Sequence[DocumentRecord]) -> None:
    """The log of one machine: 20 cells over the same documents."""
    path.parent.mkdir(parents=True)
    run, *truths = opening(asked)
    assert isinstance(run, RunRecord)
    run = replace(run, provenance={**run.provenance, "gpus": [{"name": DEVICES[device]}]})
    with path.open("w", encoding="utf-8") as file:
        for record in (run, *truths):
            file.write(json.dumps(line(record), ensure_ascii=False) + "\n")
        for number, (model, skill) in enumerate(MODELS.items()):
            own = answers(asked, skill, Random(f"{model}"))
            for mode, (share, slower) in MODES.items():
                texts = changed(own, asked, share, skill, Random(f"{model} {mode}"))
                texts = changed(texts, asked, OTHER_ON_DEVICE, skill, Random(f"{model} {mode} {device}"))
                seconds = (0.5 + number) * slower * (1 + device / 5)
                file.writelines(cell_lines(f"{model}-{mode}", model, mode, device, asked, texts, seconds))


def answers(asked: Sequence[DocumentRecord], skill: float, random: Random) -> list[str]:
    return [answer(document, skill, random) for document in asked]


def changed(
    texts: Sequence[str], asked: Sequence[DocumentRecord], share: float, skill: float, random: Random
) -> list[str]:
    """The same texts, but for a share of them in which one line reads otherwise."""
    found = list(texts)
    for i, document in enumerate(asked):
        if random.random() < share:
            lines, other = found[i].split("\n"), answer(document, skill - 0.2, random).split("\n")
            at = random.randrange(min(len(lines), len(other)))
            lines[at] = other[at]
            found[i] = "\n".join(lines)
    return found


def cell_lines(
    cell: str,
    model: str,
    mode: str,
    device: int,
    asked: Sequence[DocumentRecord],
    texts: Sequence[str],
    seconds: float,
) -> Iterator[str]:
    """One pass, one load, and one line for each document."""
    random = Random(f"{cell} {device} times")
    weights = (2 + 3 * list(MODELS).index(model)) * 300 * MIB
    use = DeviceUse(
        device="cuda:0",
        name=DEVICES[device],
        seconds=seconds,
        samples=12,
        before_bytes=300 * MIB,
        used_bytes=weights + 900 * MIB,
        energy_j=seconds * 210,
        power_j=seconds * 211,
        idle_w=45.0,
        sm_clock_mhz=1400,
        foreign_processes=0,
    )
    yield json.dumps(line(PassRecord(cell=cell, role=Role.CANDIDATE, documents=[d.document for d in asked]))) + "\n"
    load = CellRecord(
        cell=cell,
        model=model,
        quantization=mode,
        runtime="eager",
        device="cuda",
        role=Role.CANDIDATE,
        load_s=20 * seconds,
        memory=MemoryPeak(rss_bytes=2000 * MIB, anonymous_bytes=900 * MIB, samples=90),
        devices=[use],
        facts={"weights_bytes": weights, "predicted_weights_bytes": weights - MIB, "architecture": model.title()},
    )
    yield json.dumps(line(load)) + "\n"
    plain = line(
        ReadingRecord(
            cell=cell,
            document="",
            stop="eos",
            prompt_tokens=1300,
            memory=MemoryPeak(rss_bytes=2100 * MIB, anonymous_bytes=950 * MIB, high_water_bytes=2101 * MIB, samples=40),
            devices=[use],
            allocator=[
                AllocatorPeak(device="cuda:0", allocated_bytes=weights + 200 * MIB, reserved_bytes=weights + 400 * MIB)
            ],
            facts={"tiles": 4, "image_tokens": 1024},
        )
    )
    for document, text in zip(asked, texts, strict=True):
        if random.random() < FAILED:
            failed = ReadingRecord(
                cell=cell,
                document=document.document,
                failure=random.choice([Failure.TIMEOUT, Failure.RUN_OOM]),
                message="ended early",
            )
            yield json.dumps(line(failed)) + "\n"
            continue
        latency = seconds * random.lognormvariate(0.0, 0.25)
        yield (
            json.dumps(
                {
                    **plain,
                    "document": document.document,
                    "text": text,
                    "latency_s": latency,
                    "phases": {"preprocess_s": latency / 20, "ttft_s": latency / 5, "tpot_s": latency / 200},
                    "output_tokens": len(text) // 3,
                    "devices": [
                        {**plain["devices"][0], "seconds": latency, "energy_j": latency * 210, "power_j": latency * 211}
                    ],
                },
                ensure_ascii=False,
            )
            + "\n"
        )


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    folder, asked = tmp_path_factory.mktemp("scale"), documents(DOCUMENTS)
    paths = [folder / f"device{i}" / "evidence.jsonl" for i in range(len(DEVICES))]
    for i, path in enumerate(paths):
        write_log(path, i, asked)
    return paths


def resident(process: psutil.Process) -> int:
    """Bytes of a process and its children; shared pages count in each."""
    total = 0
    for member in (process, *process.children(recursive=True)):
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:  # it ended since it was listed
            continue
    return total


def test_a_million_inferences_render_in_time_and_memory(logs: Sequence[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "reports", "render", *map(str, logs), "--out", str(out)]
    before, started, peak = os.times(), time.monotonic(), 0
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:CORES])  # children inherit it
    try:
        running = psutil.Popen(command, stdout=subprocess.DEVNULL)
    finally:
        os.sched_setaffinity(0, allowed)
    while running.poll() is None:
        peak = max(peak, resident(running))
        time.sleep(0.2)
    seconds, after = time.monotonic() - started, os.times()
    worked = after.children_user + after.children_system - before.children_user - before.children_system
    sizes = sum(path.stat().st_size for path in logs)
    sys.stdout.write(
        f"\n{len(DEVICES) * len(MODELS) * len(MODES) * DOCUMENTS:,} records, {sizes / 1e9:.2f} GB of logs: "
        f"{seconds:.1f} s, {worked:.1f} s of processor time, {peak / 1e9:.2f} GB resident at most\n"
    )
    assert running.returncode == 0
    told = json.loads((out / "report.json").read_text())
    assert [log["skipped_lines"] for log in told["logs"]] == [0] * len(DEVICES)
    one = json.loads((out / "device0" / "report.json").read_text())
    assert [cell["documents"] for cell in one["cells"]] == [DOCUMENTS] * len(MODELS) * len(MODES)
    assert peak < LIMIT_BYTES
    assert seconds < LIMIT_S
