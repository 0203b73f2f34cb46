"""Numbers of one or several logs as points of a grid of devices and models, and which of them may be compared."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import urlsplit

from harness.cells import Cell
from harness.evidence import CellRecord, ReadingRecord
from harness.metrics import METRICS, Metric, Status
from harness.model_facts import loaded_facts
from harness.prompts import recorded_fingerprint
from harness.results import CellResult
from harness.scoring import SCORER_VERSION
from reports.formatting import plain
from reports.paired import energy_sensor
from reports.summary import CellSummary, Summary

__all__ = [
    "QUALITY",
    "Grid",
    "Measure",
    "device_name",
    "failure_of",
    "grids",
    "measures",
    "on_several_devices",
    "origin_of",
    "rss_sensor",
]

QUALITY = ("f1", "hallucination_rate")
_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "f1": "F1",
        "hallucination_rate": "Hallucination rate",
        "latency_s": "Median latency per document",
        "docs_per_min": "Documents per minute",
        "output_tok_per_s": "Output tokens per second",
        "peak_vram_bytes": "Peak device memory",
        "peak_rss_bytes": "Peak host memory",
        "energy_j": "Energy per document",
    }
)
_COSTS = ("latency_s", "docs_per_min", "output_tok_per_s", "peak_vram_bytes", "peak_rss_bytes", "energy_j")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One metric of one cell of one log."""

    log: str
    """Label of the log; empty where there is but one."""
    cell: str
    column: str
    """The cell without its device: what is the same on another one."""
    device: str
    """Name of the hardware."""
    name: str
    """A metric of METRICS, or the name that an imported number has of its own."""
    metric: Metric
    definition: str
    basis: Mapping[str, str]
    """By name, everything that another value must share to be comparable."""
    missing: str | None = None
    """What stands where there is no value: `not measured`, `random weights`, or how the cell failed."""
    title: str | None = None
    """Of the metric, for people; by its name if None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """One metric over devices and cells."""

    name: str
    unit: str
    measures: Sequence[Measure]
    basis: Mapping[str, str]
    """What most of the values share: the only ones that are compared."""

    @property
    def title(self) -> str:
        """Name for people."""
        told = self.measures[0].title or _TITLES.get(self.name)
        return told or plain(self.name.replace("_", " ").capitalize())

    def refusal(self, measure: Measure) -> str | None:
        """Why a value is not to be compared with the others; None if it is."""
        if measure.metric.contaminated:
            return f"disturbed while it was measured: {measure.metric.contaminated}"
        unlike = [
            f"{name} {measure.basis.get(name, 'not recorded')} instead of {self.basis.get(name, 'not recorded')}"
            for name in dict.fromkeys([*self.basis, *measure.basis])
            if measure.basis.get(name) != self.basis.get(name)
        ]
        return "; ".join(unlike) or None

    @property
    def comparable(self) -> Sequence[Measure]:
        """Those with a value that share the basis."""
        return [m for m in self.measures if m.metric.value is not None and self.refusal(m) is None]


def device_name(summary: Summary, loads: Sequence[CellRecord], readings: Iterable[ReadingRecord]) -> str:
    """The hardware that a cell ran on, as the log tells it; of an imported cell, what its source calls it."""
    for devices in (r.devices for part in (readings, loads) for r in part):
        if devices:
            counted = Counter(d.name for d in devices)
            return " + ".join(name if n == 1 else f"{n} x {name}" for name, n in counted.items())
    if (endpoint := loaded_facts(loads).get("endpoint")) is not None:
        return f"the server at {urlsplit(str(endpoint)).hostname}"
    asked = loads[-1].device if loads else "not loaded"
    provenance = summary.run.provenance if summary.run else {}
    gpus, cpu = provenance.get("gpus"), provenance.get("cpu")
    if asked == "cpu" and summary.evidence.imported is None and isinstance(cpu, Mapping) and cpu.get("model"):
        return str(cpu["model"])
    if asked.startswith("cuda") and isinstance(gpus, Sequence) and gpus and isinstance(gpus[0], Mapping):
        return str(gpus[0].get("name", asked))
    return asked


def measures(summary: Summary, log: str = "") -> Sequence[Measure]:
    """Every value of the candidates of a log, those that failed included, and then its imported aggregates."""
    found: list[Measure] = []
    for cell in summary.candidates:
        device = device_name(summary, cell.result.loads, cell.result.readings.values())
        column = _column(cell.cell, cell.identity)
        documents = _documents([summary.digests[name] for name in cell.result.places])
        found += [
            Measure(
                log=log,
                cell=cell.cell,
                column=column,
                device=device,
                name=name,
                metric=cell.metrics[name],
                definition=METRICS[name].definition,
                basis=_basis(summary, log, cell, name, documents),
                missing=_missing(cell, name),
            )
            for name in (*QUALITY, *_COSTS)
        ]
    return [*found, *_aggregates(summary, log)]


def _column(cell: str, identity: Cell | None) -> str:
    return cell if identity is None else replace(identity, device="cpu").id


def _identity(loads: Sequence[CellRecord]) -> Cell | None:
    """Of a cell that is known by its load and its aggregates alone."""
    if not loads:
        return None
    load = loads[-1]
    names = ("model", "quantization", "runtime", "batch_size", "strategy", "repeat")
    return Cell(**{name: getattr(load, name) for name in names})


def failure_of(cell: CellSummary) -> str:
    """How a cell without any answer ended: what kept it from loading, or its most frequent failure."""
    status, failures = cell.result.status, cell.result.failures
    return failures.most_common(1)[0][0].value if status == "incomplete" and failures else status


def _missing(cell: CellSummary, name: str) -> str | None:
    if cell.metrics[name].value is not None:
        return None
    if not cell.overall.answered:
        return failure_of(cell)
    return (cell.unscored if name in QUALITY else None) or "not measured"


def origin_of(summary: Summary) -> str:
    """Whether the numbers of a log were measured here, or which kind of source they are imported from."""
    imported = summary.evidence.imported
    return "measured" if imported is None else f"imported ({imported.get('kind', 'of an unknown kind')})"


def _run(summary: Summary, log: str) -> dict[str, str]:
    run = summary.run
    corpus, prompt = (run.corpus.get("identity"), run.prompt.get("fingerprint")) if run else (None, None)
    where = f"not recorded{f' in {log}' if log else ''}"  # what is not known agrees with nothing
    return {
        "origin": origin_of(summary),
        "corpus": str(corpus or where)[:24],
        "prompt": str(prompt or where)[:24],
    }


def _basis(summary: Summary, log: str, cell: CellSummary, name: str, documents: str) -> Mapping[str, str]:
    """Corpus, prompt, documents; of quality the scorer; of costs the output length, and what measured them."""
    found = {**_run(summary, log), "documents": documents}
    asked = summary.evidence.passes[cell.cell].prompt
    if summary.run is not None and asked != summary.run.prompt.get("name"):
        found["prompt"] = recorded_fingerprint(summary.evidence, cell.cell) or asked
    if name in QUALITY:
        return {**found, "scorer": SCORER_VERSION}
    found["output length"] = "free" if cell.fixed_length is None else f"{cell.fixed_length} tokens"
    if (sensor := _sensor(cell.result, name)) is not None:
        found["sensor"] = sensor
    return found


def _documents(digests: Sequence[str]) -> str:
    """Number and short hash of the documents that were asked, with their images and truths."""
    return f"{len(digests)} ({hashlib.sha256(bytes.fromhex(''.join(digests))).hexdigest()[:8]})"


def _sensor(result: CellResult, name: str) -> str | None:
    if name == "energy_j":
        return energy_sensor(result)
    return rss_sensor(result.readings.values()) if name == "peak_rss_bytes" else None


def rss_sensor(readings: Iterable[ReadingRecord]) -> str:
    """What told the peak of host memory of some readings."""
    return "kernel high-water mark" if any(r.memory.high_water_bytes is not None for r in readings) else "samples"


def _aggregates(summary: Summary, log: str) -> Sequence[Measure]:
    found = []
    results = {c.cell: c for c in summary.cells}
    for record in summary.evidence.aggregates:
        loads = summary.evidence.cells.get(record.cell, [])
        known = results.get(record.cell)
        device = device_name(summary, loads, () if known is None else known.result.readings.values())
        found.append(
            Measure(
                log=log,
                cell=record.cell,
                column=_column(record.cell, _identity(loads) if known is None else known.identity),
                device=device,
                name=record.metric,
                metric=Metric(value=record.value, n=record.n or 0, unit=record.unit, status=Status.IMPORTED),
                definition=record.definition,
                basis={**_run(summary, log), "definition": record.definition, "sensor": record.sensor or "not told"},
            )
        )
    return found


def grids(found: Sequence[Measure]) -> Sequence[Grid]:
    """Measures by metric, those without any value left out, each with the basis that most of its values share."""
    by_name: dict[str, list[Measure]] = {}
    for measure in found:
        by_name.setdefault(measure.name, []).append(measure)
    result = []
    for name, members in by_name.items():
        known = [m for m in members if m.metric.value is not None]
        if known:
            shared = Counter(tuple(m.basis.items()) for m in known if not m.metric.contaminated)
            basis = dict(shared.most_common(1)[0][0]) if shared else known[0].basis
            result.append(Grid(name=name, unit=known[0].metric.unit, measures=members, basis=basis))
    return result


def on_several_devices(found: Sequence[Grid]) -> Sequence[Grid]:
    """The grids in which some cell has a value on two devices."""
    return [g for g in found if _shared(g)]


def _shared(grid: Grid) -> bool:
    devices: dict[str, set[str]] = {}
    for measure in grid.measures:
        if measure.metric.value is not None:
            devices.setdefault(measure.column, set()).add(measure.device)
    return any(len(names) > 1 for names in devices.values())
