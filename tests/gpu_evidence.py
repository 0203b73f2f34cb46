"""An evidence log of cells on GPUs for the tests of reports: ledgers, sweeps, energy, random weights, by rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.backends import AllocatorPeak
from harness.cells import Failure, Role
from harness.evidence import (
    CellRecord,
    DeviceUse,
    DocumentRecord,
    PassRecord,
    ReadingRecord,
    Record,
    RunRecord,
    SweepRecord,
)
from tests.report_evidence import MIB, candidate, control, documents, opening

GIB = 2**30
BEFORE, CONTEXT, ACTIVATIONS, SLACK, UNEXPLAINED = 600 * MIB, 520 * MIB, 900 * MIB, 300 * MIB, 20 * MIB
PARAMETERS = 10_670_220_835
TOKENS = 128
BIG = "Llama-11B"
MODES = {"bf16": (21.34e9, 1.0), "int8": (12.62e9, 3.0), "nf4": (7.18e9, 1.3)}
"""Bytes of the weights, and time of a token beside bf16."""


def use(device: str, own_bytes: int, seconds: float, **other: Any) -> DeviceUse:
    """What the driver tells of a device on which the worker holds `own_bytes`, at 300 W of which 75 W are idle."""
    told: dict[str, Any] = {
        "samples": max(1, int(100 * seconds)),
        "before_bytes": BEFORE,
        "used_bytes": BEFORE + own_bytes,
        "energy_j": 300.0 * seconds,
        "power_j": 297.0 * seconds,
        "idle_w": 75.0,
        "sm_clock_mhz": 1755,
        "foreign_processes": 0,
    }
    return DeviceUse(device=device, name="NVIDIA Example 80GB", seconds=seconds, **(told | other))


def on_devices(
    weights: int, names: Sequence[str], seconds: float, unlike: Mapping[int, Mapping[str, Any]]
) -> Callable[[DocumentRecord], Mapping[str, Any]]:
    """What is told of each reading; of the document with a number in `unlike`, that as well, of each device."""
    share = weights // len(names)
    own = CONTEXT + share + ACTIVATIONS + SLACK + UNEXPLAINED

    def told(document: DocumentRecord) -> Mapping[str, Any]:
        number = int(document.document.partition("_")[2].removesuffix(".png"))
        latency = seconds * (1 + 0.02 * (number % 5))
        # the highest reading is the one that the ledger is of
        less = 0 if number == 0 else 10 * MIB
        return {
            "latency_s": latency,
            "phases": {"preprocess_s": 0.02, "ttft_s": 0.2, "tpot_s": (latency - 0.2) / TOKENS, "generate_s": latency},
            "prompt_tokens": 1600,
            "output_tokens": TOKENS,
            "stop": "length",
            "devices": [use(n, own - less, latency, **unlike.get(number, {})) for n in names],
            "allocator": [
                AllocatorPeak(
                    device=n,
                    allocated_bytes=share + ACTIVATIONS - less,
                    reserved_bytes=share + ACTIVATIONS + SLACK - less,
                )
                for n in names
            ],
        }

    return told


def gpu_cell(
    model: str,
    mode: str,
    asked: Sequence[DocumentRecord],
    *,
    weights: float,
    slower: float = 1.0,
    device: str = "cuda",
    dummy: bool = False,
    fixed: bool = False,
    unlike: Mapping[int, Mapping[str, Any]] | None = None,
    architecture: str = "MllamaForConditionalGeneration",
    parameters: int = PARAMETERS,
    failures: Sequence[Failure] = (),
) -> list[Record]:
    """A model in one precision on one GPU, or on two (`cuda:all`)."""
    size = int(weights)
    names = ["cuda:0", "cuda:1"] if device == "cuda:all" else ["cuda:0"]
    cell = f"{model}-{mode}@{device}{'~dummy' if dummy else ''}"
    by_device = {f"device_used_after_context_bytes.{n}": BEFORE + CONTEXT for n in names}
    by_device |= {f"weights_allocated_bytes.{n}": size // len(names) for n in names}
    records = candidate(
        cell,
        asked,
        skill=0.9,
        seconds=slower,
        base=2 * GIB,
        failures=failures,
        how={"model": model, "quantization": mode, "device": device},
        load_facts={
            "architecture": architecture,
            "parameters": parameters,
            "dtype": "bfloat16",
            "weights_bytes": size,
            "predicted_weights_bytes": size - 2 * MIB,
            "file_cache": "cold",
            **({"random_weights": True, "weights": "dummy"} if dummy else {}),
            **by_device,
        },
        told=on_devices(size, names, 2.0 * slower, unlike or {}),
    )
    least = TOKENS if fixed else 0
    found: list[Record] = []
    for record in records:
        match record:
            case PassRecord():
                record = replace(record, settings={"min_new_tokens": least, "max_new_tokens": TOKENS})
            case CellRecord():
                record = replace(record, devices=[use(n, size // len(names) + CONTEXT, 4.0) for n in names])
        found.append(record)
    return found


def never_loaded(
    model: str, mode: str, asked: Sequence[DocumentRecord], failure: Failure, message: str
) -> list[Record]:
    """A precision that failed or is not supported; its worker loaded nothing."""
    cell = f"{model}-{mode}@cuda~dummy"
    how: dict[str, Any] = {"model": model, "quantization": mode, "runtime": "eager", "device": "cuda"}
    return [
        PassRecord(
            cell=cell,
            role=Role.CANDIDATE,
            documents=[d.document for d in asked],
            settings={"min_new_tokens": TOKENS, "max_new_tokens": TOKENS},
        ),
        CellRecord(cell=cell, role=Role.CANDIDATE, failure=failure, message=message, **how),
        *(ReadingRecord(cell=cell, document=d.document, failure=failure, message=message) for d in asked),
    ]


def sweep(
    cell: str, page_s: float, sizes: Sequence[int], weights: float, *, devices: int = 1, read_together: bool = True
) -> list[Record]:
    """Steps of a sweep that ends in an out-of-memory one size after the last; a bigger batch costs half of itself.

    Pages that are not read together wait for each other: less goes between two tokens than on each.
    """
    found: list[Record] = []
    for size in sizes:
        seconds = page_s * (1 + 0.5 * (size - 1))
        own = (int(weights) + size * 700 * MIB) // devices
        found.append(
            SweepRecord(
                cell=cell,
                batch_size=size,
                output_tokens=TOKENS,
                seconds=[seconds, 1.1 * seconds],
                ttft_s=[0.1 * seconds, 0.12 * seconds],
                tpot_s=[0.9 * seconds / TOKENS] * 2,
                itl_s=[(0.9 if read_together else 0.3) * seconds / TOKENS] * 2,
                read_together=read_together,
                prompt_tokens=1600 * size,
                devices=[use(f"cuda:{i}", own, seconds) for i in range(devices)],
            )
        )
    message = "OutOfMemoryError: CUDA out of memory. Tried to allocate 7.50 GiB | GPU 0\nsecond line"
    failed = SweepRecord(
        cell=cell, batch_size=2 * sizes[-1], output_tokens=TOKENS, failure=Failure.RUN_OOM, message=message
    )
    return [*found, failed]


def gpus(count: int = 12) -> list[Record]:
    """Random weights in three precisions and three that fail, a real model on two GPUs, a baseline on the processor."""
    asked = documents(count)
    run, *truths = opening(asked)
    assert isinstance(run, RunRecord)
    card = {"name": "NVIDIA Example 80GB", "memory_bytes": 80 * GIB, "compute_capability": "9.0", "driver": "1"}
    run = replace(run, provenance={**run.provenance, "gpus": [card, card]})
    spoilt = {3: {"foreign_processes": 2}, 4: {"throttle": ["thermal", "power"], "sm_clock_mhz": 990}}
    cells = [
        gpu_cell(
            BIG,
            mode,
            asked,
            weights=size,
            slower=slower,
            dummy=True,
            fixed=True,
            unlike=spoilt if mode == "nf4" else {},
        )
        for mode, (size, slower) in MODES.items()
    ]
    small = {"architecture": "InternVLForConditionalGeneration", "parameters": 2_088_957_440}
    real = gpu_cell("InternVL-2B", "bf16", asked, weights=4.178e9, slower=0.5, device="cuda:all", **small)
    warm = [
        replace(r, restart=1, load_s=0.4, facts={**r.facts, "file_cache": "warm"})
        for r in real
        if isinstance(r, CellRecord)
    ]
    return [
        run,
        *truths,
        *candidate("ocr-rules", asked, skill=0.95, seconds=1.4, base=600 * MIB),
        *(record for records in cells for record in records),
        *never_loaded(BIG, "fp32", asked, Failure.LOAD_OOM, "OutOfMemoryError: CUDA out of memory.\nmore of it"),
        *never_loaded(BIG, "int8-offload", asked, Failure.UNSUPPORTED, "int8-offload needs a GPU of its own"),
        *never_loaded(BIG, "fp4", asked, Failure.CRASH, "the worker was killed by signal 9 (SIGKILL)"),
        *real,
        *warm,
        *control("all-na", asked),
        *sweep(f"{BIG}-bf16@cuda~dummy", 2.0, [1, 2, 4, 8], 21.34e9),
        *sweep(f"{BIG}-nf4@cuda~dummy", 2.6, [1, 2, 4, 8, 16], 7.18e9),
        *sweep("InternVL-2B-bf16@cuda:all", 0.9, [1, 2, 4], 4.178e9, devices=2, read_together=False),
    ]
