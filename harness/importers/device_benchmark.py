"""`vision_model_metrics.csv`, a row a run, and the run folders beside it: several models on several devices."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.cells import Cell, Role
from harness.evidence import CellRecord, DocumentRecord, PassRecord, Record
from harness.importers.device_runs import NO_SENSOR, DeviceRun, named, read_run, run_aggregates, run_claims
from harness.importers.device_table import left_out, most_efficient, row_aggregates, row_claims
from harness.importers.sources import ImporterError, Place, load_record, opening, read_csv

__all__ = ["import_device_benchmark"]

_KIND = "device-benchmark"
_TABLE = "vision_model_metrics.csv"
_NEEDED = ("run_dir", "model_id", "device", "dtype", "prompt_tokens", "response_tokens", "tokens_per_sec")
_MORE = ("tps_per_watt", "joules_per_token", "total_energy_joules", "avg_power_watts", "avg_ram_gb", "latency_ms_mean")
_COLUMNS = (*_NEEDED, *_MORE, "duration_seconds")
_NOTES = (
    "response tokens are the source's own estimates, and prompt tokens hold image tokens or not, by model",
    "power is of each device's own sensor: energy is compared on one device only",
    "memory in the table is of the whole machine, not of the process",
)


def import_device_benchmark(source: Path) -> Sequence[Record]:
    """Records of the table, of one run folder, or of the folder that holds table and `<device>_output/` folders.

    Runs that are known by their row alone become aggregates; run folders become readings, a document for each image
    and task. Raises ImporterError, naming file, row and field.
    """
    table, folders = _found(source)
    runs = [read_run(folder) for folder in folders]
    _same_prompts(runs)
    rows = [] if table is None else read_csv(table, _COLUMNS)
    by_dir = {run.run_dir: run for run in runs}
    keys = [row.at("run_dir").text() for row in rows]
    if twice := [key for key, n in Counter(keys).items() if n > 1]:
        raise ImporterError(f"{table}, column run_dir: {twice[0]} appears twice")
    cells = _cells({**dict(zip(keys, rows, strict=True)), **{k: r for k, r in by_dir.items() if k not in keys}})
    documents = {d: task for run in runs for d, task in run.tasks.items()}
    sensors = _sensors(runs)
    prompts = runs[0].prompts if runs else {}
    files = {} if table is None else {table.name: table}
    return [
        opening(
            _KIND,
            {**files, **{name: path for run in runs for name, path in run.files.items()}},
            corpus=_corpus(runs, documents),
            prompt=_prompt(runs, prompts),
            notes=[*_NOTES, *_run_notes(runs)],
            started=min((run.started for run in runs), default="not told by the source"),
        ),
        *(DocumentRecord(document=d, truth={}, kind=task) for d, task in sorted(documents.items())),
        *(_load(cell, by_dir.get(key)) for key, cell in cells.items()),
        *(record for key, run in by_dir.items() for record in _run(run, cells[key].id)),
        *(record for row in rows for record in row_aggregates(row, cells, by_dir, sensors)),
        *(record for row in rows for record in row_claims(row, cells[row.value["run_dir"]].id)),
        *(claim for key, run in by_dir.items() for claim in run_claims(run, cells[key].id)),
        *most_efficient(rows, cells),
        *(left_out(keys, runs) if table is not None and runs else []),
    ]


def _sensors(runs: Sequence[DeviceRun]) -> Mapping[str, str]:
    """What power was measured by, by device in lower case: where all its runs that tell power agree."""
    told: dict[str, set[str]] = {}
    for run in runs:
        if run.sensor != NO_SENSOR:
            told.setdefault(run.device.lower(), set()).add(run.sensor)
    return {device: names.pop() for device, names in told.items() if len(names) == 1}


def _run_notes(runs: Sequence[DeviceRun]) -> Sequence[str]:
    if not runs:
        return []
    sizes = sorted({"not told" if run.batch_size is None else str(run.batch_size) for run in runs})
    return [
        f"an image is a document for each of its {len(runs[0].prompts)} tasks: intervals take them as independent",
        f"batch sizes that the run folders tell: {', '.join(sizes)}",
    ]


def _found(source: Path) -> tuple[Path | None, Sequence[Path]]:
    """The table, and the run folders."""
    if source.is_file():
        return source, []
    if (source / "run_meta.json").is_file():
        return None, [source]
    table = source / _TABLE
    folders = sorted(p.parent for p in source.glob("*_output/*/*/run_meta.json"))
    if not table.is_file() and not folders:
        raise ImporterError(f"{source}: neither {_TABLE} nor a run folder <device>_output/<model>/<run>/ is there")
    return (table if table.is_file() else None), folders


def _same_prompts(runs: Sequence[DeviceRun]) -> None:
    for run in runs[1:]:
        if run.prompts != runs[0].prompts:
            raise ImporterError(
                f"{run.run_dir} and {runs[0].run_dir} asked different prompts: they cannot be compared, so import them "
                "into logs of their own"
            )


def _cells(runs: Mapping[str, Place | DeviceRun]) -> Mapping[str, Cell]:
    """A cell for each run; a second run of the same model, precision and device is a repeat."""
    found: dict[str, Cell] = {}
    seen: Counter[tuple[str, str, str]] = Counter()
    for key, run in runs.items():
        if isinstance(run, DeviceRun):
            told = run.model, run.dtype, run.device.lower()
        else:
            model = run.at("model_id").text().rsplit("/", 1)[-1]
            told = model, run.at("dtype").text(), run.at("device").text().lower()
        seen[told] += 1
        found[key] = Cell(model=told[0], quantization=told[1], device=told[2], repeat=seen[told])
    return found


def _corpus(runs: Sequence[DeviceRun], documents: Mapping[str, str]) -> Mapping[str, object]:
    identity = hashlib.sha256(json.dumps(sorted(documents)).encode()).hexdigest() if documents else None
    names = sorted({run.manifest for run in runs}) or ["not told by the source"]
    return {"name": ", ".join(names), "identity": identity, "documents": len(documents)}


def _prompt(runs: Sequence[DeviceRun], prompts: Mapping[str, str]) -> Mapping[str, object]:
    text = json.dumps(sorted(prompts.items()))
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:12] if prompts else None
    names = sorted({run.suite for run in runs}) or ["not told by the source"]
    return {"name": ", ".join(names), "fingerprint": fingerprint, "tasks": dict(prompts)}


def _load(cell: Cell, run: DeviceRun | None) -> CellRecord:
    told = {} if run is None else {"told_batch_size": run.batch_size, "told_max_new_tokens": run.max_new_tokens}
    return load_record(_KIND, cell, **told)


def _run(run: DeviceRun, cell: str) -> Sequence[Record]:
    asked = PassRecord(cell=cell, role=Role.CANDIDATE, documents=list(run.tasks), prompt=run.suite)
    return [asked, *named(run, cell), *run_aggregates(run, cell)]
