"""A baseline: of every candidate of one or more logs, the evidence that comparing needs and no more."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

from harness.backends.protocol import Setting
from harness.cells import Failure, Role
from harness.errors import EvidenceError
from harness.evidence import DocumentRecord, Evidence, PassRecord, ReadingRecord, RunRecord
from harness.model_facts import image_facts, loaded_facts
from harness.prompts import recorded_fingerprint
from harness.provenance import device_class
from harness.results import CellResult, result_of
from harness.scoring import SCORER_VERSION

__all__ = ["Baseline", "BaselineReading", "BaselineRun", "runs_of"]

_SIZES = ("weights_bytes", "peak_rss_bytes", "peak_vram_bytes")
_WEIGHTS = ("weights_sha256", "models")
"""Facts of a load that tell one set of weights from another."""
_BESIDE = frozenset({"docvlm-evals", "psutil", "pytest", "pytest-benchmark"})
"""Packages that neither answers nor times depend on: the scorer has a version of its own."""
_APART = frozenset({"source", "revision", "weights", "trust_remote_code", "prompt_fingerprint"})
"""Settings that are compared by themselves: where weights are, by the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineReading:
    """What one inference said, and took."""

    failure: Failure | None = None
    text: str | None = None
    stop: str | None = None
    latency_s: float | None = None
    batch_size: int = 1
    contaminated: bool = False
    """Whether the device was disturbed."""
    fresh: bool = True
    """Whether it was measured in the run that its log ends with, and not taken over or imported."""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    pixel_crc32: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRun:
    """One pass of one cell: who read, on what, with what, and every reading."""

    cell: str
    log: str
    """SHA-256 of the log that it is from."""
    started: str
    scorer: str
    f1: float | None = None
    """Mean document F1 by that scorer."""
    how: str
    """Quantization, runtime, device, batch size and strategy."""
    device_class: str
    hardware: str
    """What times depend on: the GPUs, or processor, cores and threads."""
    corpus: str
    """Identity of the run's documents."""
    sampled_from: str | None = None
    prompt: str
    prompt_fingerprint: str | None = None
    """None where the log does not tell it."""
    chat_template: str | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints; empty where the backend tells none."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Versions, with those of Python and the GPU's driver."""
    unjudged: str | None = None
    """Why its answers are not scored."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes by metric; those not measured, or disturbed, are left out."""
    readings: Mapping[str, BaselineReading]
    """By document, of every document asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Runs by cell: several of one cell are repeats of it."""

    created: str
    device_class: str
    documents: Mapping[str, DocumentRecord]
    cells: Mapping[str, Sequence[BaselineRun]]

    @property
    def logs(self) -> Sequence[str]:
        """SHA-256 of the logs that it is made of."""
        return list(dict.fromkeys(run.log for runs in self.cells.values() for run in runs))

    @property
    def scorers(self) -> Sequence[str]:
        """Versions of the scorer at the time of saving."""
        return sorted({run.scorer for runs in self.cells.values() for run in runs})

    @classmethod
    def from_evidence(cls, evidence: Evidence, fresh: Mapping[str, Collection[str]] | None = None) -> Baseline:
        """The candidates of a log. `fresh` names the documents measured in this very session, by cell.

        Without it, readings are fresh if the log holds one run only: a log that was resumed does not tell which are.
        Raises EvidenceError for a log without a run, and for one that is not there any more.
        """
        runs = list(runs_of(evidence, fresh))
        asked = {d for run in runs for d in run.readings}
        return cls(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            device_class=device_class(_latest(evidence).provenance),
            documents={name: d for name, d in evidence.documents.items() if name in asked},
            cells={run.cell: [run] for run in runs},
        )

    def merged(self, other: Baseline) -> Baseline:
        """Both together: further runs of a cell become repeats, and a log that is in both counts once.

        Raises EvidenceError if the two are of different classes of devices, disagree about a document, or hold runs
        of one cell that are no repeats of each other.
        """
        if self.device_class != other.device_class:
            raise EvidenceError(
                f"baselines of {self.device_class} and of {other.device_class} cannot be merged: keep one file for "
                "each class of device"
            )
        clash = [
            name
            for name, d in other.documents.items()
            if name in self.documents and _identity(self.documents[name]) != _identity(d)
        ]
        if clash:
            raise EvidenceError(
                f"baselines that differ in the image or ground truth of {clash[0]} cannot be merged "
                f"({len(clash)} documents differ)"
            )
        cells = {cell: list(runs) for cell, runs in self.cells.items()}
        for cell, runs in other.cells.items():
            known = cells.setdefault(cell, [])
            for run in runs:
                if any(run.log == before.log for before in known):
                    continue
                if known and (what := _other_than(known[0], run)) is not None:
                    raise EvidenceError(
                        f"two runs of {cell} are no repeats: {what} differ; keep them in files of their own"
                    )
                known.append(run)
        return Baseline(
            created=max(self.created, other.created),
            device_class=self.device_class,
            documents={**self.documents, **other.documents},
            cells=cells,
        )


def _identity(document: DocumentRecord) -> tuple[object, ...]:
    return document.image_sha256, dict(document.truth)


def _other_than(a: BaselineRun, b: BaselineRun) -> str | None:
    for what in ("how", "hardware", "prompt", "prompt_fingerprint", "chat_template", "settings", "weights"):
        if getattr(a, what) != getattr(b, what):
            return f"their {what.replace('_', ' ')}"
    return None if a.readings.keys() == b.readings.keys() else "the documents they read"


def _latest(evidence: Evidence) -> RunRecord:
    if not evidence.runs:
        raise EvidenceError(f"{evidence.path}: holds no run: nothing to compare")
    return evidence.runs[-1]


def runs_of(evidence: Evidence, fresh: Mapping[str, Collection[str]] | None = None) -> Iterator[BaselineRun]:
    """Every candidate of a log, as a run to compare; see `Baseline.from_evidence`."""
    run = _latest(evidence)
    try:
        log = hashlib.sha256(evidence.path.read_bytes()).hexdigest()
    except OSError as error:
        raise EvidenceError(f"{evidence.path}: cannot read the evidence log: {error.strerror}") from error
    for cell, asked in evidence.passes.items():
        if asked.role is not Role.CANDIDATE:
            continue
        documents = {d: evidence.documents[d] for d in asked.documents if d in evidence.documents}
        loads, readings = evidence.cells.get(cell, []), evidence.readings.get(cell, {})
        result = result_of(cell, asked.role, documents, loads, readings, settings=asked.settings)
        now = (set(documents) if len(evidence.runs) == 1 else set()) if fresh is None else set(fresh.get(cell, ()))
        yield _run(result, asked, run, log, recorded_fingerprint(evidence, cell), set() if result.is_imported else now)


def _run(
    result: CellResult,
    asked: PassRecord,
    run: RunRecord,
    log: str,
    fingerprint: str | None,
    fresh: Collection[str],
) -> BaselineRun:
    facts, load = loaded_facts(result.loads), result.loads[-1] if result.loads else None
    how = [] if load is None else [load.quantization, load.runtime, load.device, f"b{load.batch_size}", load.strategy]
    device = device_class(run.provenance, device=None if load is None else load.device)
    f1, template = list(result.document_f1().values()), facts.get("chat_template_sha256")
    metrics = result.metrics()
    return BaselineRun(
        cell=result.cell,
        log=log,
        started=run.started,
        scorer=SCORER_VERSION,
        f1=fmean(f1) if f1 else None,
        how=" ".join(how),
        device_class=device,
        hardware=_hardware(run.provenance, device),
        corpus=str(run.corpus.get("identity", "")),
        sampled_from=run.corpus.get("sampled_from"),
        prompt=asked.prompt,
        prompt_fingerprint=fingerprint,
        chat_template=None if template is None else str(template),
        settings={k: v for k, v in (asked.settings or {}).items() if k not in _APART},
        weights={name: str(facts[name]) for name in _WEIGHTS if name in facts},
        packages=_packages(run.provenance),
        unjudged=result.unjudged,
        sizes={
            name: round(m.value) for name in _SIZES if (m := metrics[name]).value is not None and m.contaminated is None
        },
        readings={d: _reading(result.readings.get(d), fresh=d in fresh) for d in result.documents},
    )


def _reading(reading: ReadingRecord | None, *, fresh: bool) -> BaselineReading:
    if reading is None:
        return BaselineReading(failure=Failure.NOT_RUN, fresh=fresh)
    return BaselineReading(
        failure=reading.failure,
        text=reading.text,
        stop=reading.stop,
        latency_s=reading.latency_s,
        batch_size=reading.batch_size,
        contaminated=any(device.is_contaminated for device in reading.devices),
        fresh=fresh,
        prompt_tokens=reading.prompt_tokens,
        output_tokens=reading.output_tokens,
        pixel_crc32=image_facts(reading).pixel_crc32,
    )


def _hardware(provenance: Mapping[str, Any], device: str) -> str:
    if device != "cpu":
        return ", ".join(str(gpu.get("name")) for gpu in provenance.get("gpus") or [])
    cpu, threads = provenance.get("cpu") or {}, (provenance.get("threads") or {}).get("OMP_NUM_THREADS")
    told = f"{cpu.get('model')}, {cpu.get('allowed_cores')} cores"
    return told if threads is None else f"{told}, OMP_NUM_THREADS={threads}"


def _packages(provenance: Mapping[str, Any]) -> Mapping[str, str]:
    found = {name: str(v) for name, v in (provenance.get("packages") or {}).items() if name not in _BESIDE}
    if version := (provenance.get("python") or {}).get("version"):
        found["python"] = str(version)
    if drivers := sorted({str(gpu.get("driver")) for gpu in provenance.get("gpus") or []}):
        found["driver"] = ", ".join(drivers)
    return dict(sorted(found.items()))
