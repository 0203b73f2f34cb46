"""Run folders `<device>_output/<model>/<run>/{run_meta,summary}.json + runs.jsonl[.gz]`: single inferences."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.cells import Failure
from harness.evidence import AggregateRecord, ClaimRecord, ReadingRecord
from harness.importers.sources import ImporterError, Place, read_json, read_jsonl
from harness.statistics import quantile_interval

__all__ = ["NO_SENSOR", "DeviceRun", "named", "read_run", "run_aggregates", "run_claims"]

_QUANTILES = MappingProxyType({"p50": 0.5, "p90": 0.9})
_MIB = 2**20
NO_SENSOR = "none"
"""Of a run that tells no power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRun:
    """One run folder, read. Readings have no cell yet: its name may need a number."""

    run_dir: str
    """As the table of all runs names it."""
    device: str
    model: str
    dtype: str
    files: Mapping[str, Path]
    started: str
    suite: str
    manifest: str
    batch_size: int | None
    max_new_tokens: int | None
    prompts: Mapping[str, str]
    """By task."""
    readings: Sequence[ReadingRecord]
    tasks: Mapping[str, str]
    """Task of each document."""
    summary: Place
    sensor: str
    """What its power was measured by."""
    reserved_bytes: int | None
    """Highest that the allocator told of the GPU."""

    @property
    def answered(self) -> Sequence[ReadingRecord]:
        """Readings that gave text."""
        return [r for r in self.readings if r.failure is None]


def read_run(folder: Path) -> DeviceRun:
    """Read a run folder; raises ImporterError, naming file, line and field."""
    lines = next((folder / n for n in ("runs.jsonl", "runs.jsonl.gz") if (folder / n).is_file()), None)
    if lines is None:
        raise ImporterError(f"{folder}: neither runs.jsonl nor runs.jsonl.gz is there")
    device, model_folder = folder.resolve().parent.parent.name, folder.resolve().parent.name
    if not device.endswith("_output"):
        raise ImporterError(f"{folder}: a run folder lies in <device>_output/<model>/, which tells the device")
    meta = read_json(folder / "run_meta.json")
    run_dir = f"{device}/{model_folder}/{folder.resolve().name}"
    readings: dict[str, ReadingRecord] = {}
    tasks: dict[str, str] = {}
    prompts: dict[str, str] = {}
    sensors: set[str] = set()
    reserved: list[float] = []
    for line in read_jsonl(lines):
        task = line.at("task").text()
        reading = _reading(line, task)
        if reading.document in readings:
            raise ImporterError(f"{line.where}: {reading.document} appears twice")
        readings[reading.document] = reading
        tasks[reading.document] = task
        if prompts.setdefault(task, asked := line.at("task_prompt").text()) != asked:
            raise ImporterError(f"{line.where}, field task_prompt: another prompt than before for the task {task}")
        sensors.add(_sensor(line))
        if line.told("cuda_stats") and line.at("cuda_stats").told("gpu_max_mem_reserved_mb"):
            reserved.append(line.at("cuda_stats").at("gpu_max_mem_reserved_mb").number())
    if not readings:
        raise ImporterError(f"{lines}: there is no inference in it")
    return DeviceRun(
        run_dir=run_dir,
        device=device.removesuffix("_output"),
        model=meta.at("model_id").text().rsplit("/", 1)[-1],
        dtype=_dtype(meta.at("dtype")),
        files={f"{run_dir}/{p.name}": p for p in (folder / "run_meta.json", folder / "summary.json", lines)},
        started=meta.at("timestamp").text(),
        suite=meta.at("suite").text() if meta.told("suite") else "not told",
        manifest=meta.at("manifest").text().rsplit("/", 1)[-1] if meta.told("manifest") else "not told",
        batch_size=meta.at("batch_size").count() if meta.told("batch_size") else None,
        max_new_tokens=meta.at("max_new_tokens").count() if meta.told("max_new_tokens") else None,
        prompts=prompts,
        readings=list(readings.values()),
        tasks=tasks,
        summary=read_json(folder / "summary.json"),
        sensor=" and ".join(sorted(sensors)),
        reserved_bytes=int(max(reserved) * _MIB) if reserved else None,
    )


def _dtype(place: Place) -> str:
    short = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
    told = place.text().removeprefix("torch.")
    return short.get(told, told)


def _reading(line: Place, task: str) -> ReadingRecord:
    text, error = line.at("output_text").value, line.at("error").value if line.told("error") else None
    if error is None and not (isinstance(text, str) and text.strip()):
        error = "empty answer"
    told = ("prompt_tokens", "response_tokens_est")
    return ReadingRecord(
        cell="",
        document=f"{line.at('image_name').text()}#{task}",
        failure=None if error is None else Failure.ERROR,
        message=None if error is None else str(error),
        text=None if error is not None else text,
        latency_s=line.at("latency_ms").positive() / 1000,
        facts={f"told_{name}": line.at(name).count() for name in told if line.told(name)},
    )


def _sensor(line: Place) -> str:
    """What power was measured by; a rail is told by which of them the run's own average repeats."""
    if not line.told("power_stats"):
        return NO_SENSOR
    power = line.at("power_stats")
    if power.told("power_rails"):
        average = power.at("power_watts_avg").number()
        rails = power.at("power_rails").entries()
        same = [name for name, rail in rails.items() if rail.at("avg").number() == average]
        return f"tegrastats rail {same[0] if len(same) == 1 else 'not told'}"
    if power.told("power_gpu_soc_mean_watts"):
        return "tegrastats rail GPU_SOC"
    return "sampled GPU power, by which tool is not told"


def run_aggregates(run: DeviceRun, cell: str) -> Sequence[AggregateRecord]:
    """What its inferences tell beside their times: tokens a second of answering, and the allocator's peak."""
    found = []
    key = "told_response_tokens_est"
    told = [(r.facts[key], r.latency_s or 0.0) for r in run.answered if key in r.facts]
    if told:
        found.append(
            AggregateRecord(
                cell=cell,
                metric="response_tok_per_latency_s",
                value=sum(n for n, _ in told) / sum(s for _, s in told),
                unit="1/s",
                n=len(told),
                definition="response tokens as the source estimates them / summed time of the inferences",
            )
        )
    if run.reserved_bytes is not None:
        found.append(
            AggregateRecord(
                cell=cell,
                metric="allocator_reserved_peak",
                value=run.reserved_bytes,
                unit="B",
                n=len(run.readings),
                definition="highest that the allocator of the GPU reserved; without the device's context",
                sensor="PyTorch's allocator",
            )
        )
    return found


def run_claims(run: DeviceRun, cell: str) -> Sequence[ClaimRecord]:
    """What `summary.json` states, computed again from the single inferences."""
    found = [
        ClaimRecord(
            name="inferences",
            cell=cell,
            published=run.summary.at("num_images").count(),
            published_definition="num_images of summary.json, which its table gives as the size of a run",
            recomputed=len(run.readings),
            recomputed_definition="lines of runs.jsonl: every image is asked for every task",
            unit="",
            verdict=f"{len(run.prompts)} tasks an image",
        ),
        ClaimRecord(
            name="failed inferences",
            cell=cell,
            published=run.summary.at("num_errors").count(),
            published_definition="num_errors of summary.json",
            recomputed=len(run.readings) - len(run.answered),
            recomputed_definition="inferences with an error or without text",
            unit="",
            n=len(run.readings),
            verdict="a failed run: no inference gave any text" if not run.answered else "the run gave answers",
        ),
    ]
    times = sorted(r.latency_s for r in run.answered if r.latency_s is not None)
    return [*found, *_time_claims(run.summary, cell, times)] if len(times) > 1 else found


def _time_claims(summary: Place, cell: str, times: Sequence[float]) -> Sequence[ClaimRecord]:
    """Quantiles, mean, spread and rate of sorted times."""

    def claim(
        name: str, stated: str | None, by: str, recomputed: float | None, definition: str, **more: Any
    ) -> ClaimRecord:
        return ClaimRecord(
            **{
                "name": name,
                "cell": cell,
                "published": None if stated is None else summary.at(stated).number() / more.pop("per", 1),
                "published_definition": by,
                "recomputed": recomputed,
                "recomputed_definition": definition,
                "unit": "s",
                "n": len(times),
                "verdict": "",
                **more,
            }
        )

    mean_s = statistics.fmean(times)
    found = [
        claim(
            f"latency {name}",
            f"latency_ms_{name}",
            f"latency_ms_{name} of summary.json: the inference at place round({q:g} (n - 1))",
            quantile_interval(times, q).value,
            f"{q:g} quantile of the time of the inferences that gave text",
            reproduced=times[round(q * (len(times) - 1))],
            per=1000,
        )
        for name, q in _QUANTILES.items()
    ]
    return [
        *found,
        claim(
            "latency mean",
            "latency_ms_mean",
            "latency_ms_mean of summary.json",
            mean_s,
            "mean time of the inferences that gave text",
            reproduced=mean_s,
            per=1000,
        ),
        claim(
            "latency CV",
            None,
            "summary.json tells no spread",
            statistics.stdev(times) / mean_s,
            "standard deviation over mean of the same times",
            unit="ratio",
        ),
        claim(
            "images per second",
            "images_per_second_mean",
            "images_per_second_mean of summary.json: mean of 1 / latency",
            1 / mean_s,
            "inferences / their summed time, one at a time",
            reproduced=statistics.fmean(1 / s for s in times),
            unit="1/s",
            verdict="a mean of rates is above the rate over all, and counts inferences, not images",
        ),
    ]


def named(run: DeviceRun, cell: str) -> Sequence[ReadingRecord]:
    """Its readings, as those of `cell`."""
    return [replace(reading, cell=cell) for reading in run.readings]
