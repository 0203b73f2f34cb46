"""What an evidence log holds: one frozen record per fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from harness.backends.protocol import AllocatorPeak, Attempt
from harness.cells import Cell, Failure, Role

__all__ = [
    "SCHEMA_VERSION",
    "AggregateRecord",
    "CeilingsRecord",
    "CellRecord",
    "ClaimRecord",
    "DeviceUse",
    "DocumentRecord",
    "GateRecord",
    "MemoryPeak",
    "PassRecord",
    "PictureRecord",
    "PictureSetRecord",
    "ProfileRecord",
    "QuestionRecord",
    "ReadingRecord",
    "Record",
    "RunRecord",
    "SweepRecord",
]

SCHEMA_VERSION = 3
"""2: a cell has a model, a batch size and a strategy where it had a backend. 3: accelerators and batch sweeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPeak:
    """Host memory of one process over one phase, in bytes; None is 'not measured', never 0."""

    rss_bytes: int | None = None
    """Highest resident set seen by sampling."""
    anonymous_bytes: int | None = None
    """Highest anonymous part of it: without mapped files, which come and go with the page cache."""
    high_water_bytes: int | None = None
    """The kernel's own high-water mark over the phase (VmHWM after a reset); exact where it exists."""
    samples: int = 0

    @property
    def peak_rss_bytes(self) -> int | None:
        """The kernel's mark where there is one, otherwise the highest sample."""
        return self.high_water_bytes if self.high_water_bytes is not None else self.rss_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUse:
    """One accelerator over one phase, as the driver tells it from outside. None is 'not measured', never 0."""

    device: str
    """As the worker numbers them, such as `cuda:0`."""
    name: str
    seconds: float
    """Length of the phase."""
    samples: int = 0
    before_bytes: int | None = None
    """In use, by anybody, before the worker was started."""
    used_bytes: int | None = None
    """Highest in use, by anybody."""
    process_bytes: int | None = None
    """Highest in use by the worker's processes; containers often hide this."""
    energy_j: float | None = None
    """Difference of the energy counter."""
    power_j: float | None = None
    """Sampled power integrated over the phase: what the counter is checked against."""
    idle_w: float | None = None
    """Mean power before the worker was started, over at least a second."""
    sm_clock_mhz: int | None = None
    """Lowest seen while the device was busy."""
    foreign_processes: int | None = None
    """Most processes of others seen on the device."""
    throttle: Sequence[str] = field(default_factory=list)
    """Why the clocks were held down: `thermal`, `power`, `power_brake`, `hardware`; idling does not count."""

    @property
    def is_contaminated(self) -> bool:
        """Whether somebody else, or a throttle that is no power cap, was there: such times judge nothing."""
        return bool(self.foreign_processes) or any(reason != "power" for reason in self.throttle)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Opens a run: what was asked, on what, where."""

    record: ClassVar[str] = "run"
    started: str
    """ISO 8601, UTC."""
    corpus: Mapping[str, Any]
    """name, identity, documents (count), unjudged_images (names without ground truth)."""
    prompt: Mapping[str, Any]
    """name, fingerprint; texts by name where prompts were asked for."""
    provenance: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRecord:
    """One document and its truth, so that the log alone can be scored and reported."""

    record: ClassVar[str] = "document"
    document: str
    truth: Mapping[str, str | None]
    """Judged fields only: verbatim value, or None where the document does not carry the field."""
    kind: str | None = None
    layout: str | None = None
    stratum: str | None = None
    image_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRecord:
    """Opens a cell's pass: the documents it was asked to read, so that a cut log shows what is missing."""

    record: ClassVar[str] = "pass"
    cell: str
    role: Role
    documents: Sequence[str]
    prompt: str = "key-value"
    """Name of the prompt that it was asked with."""
    settings: Mapping[str, Any] | None = None
    """What its backend was constructed with; of a folder that lies elsewhere, its name alone.

    `prompt_fingerprint` too, where the prompt was another than the model's own.
    """
    tasks: Sequence[str] = field(default_factory=list)
    """Tasks of `harness.scenes.tasks`, where it is asked about pictures: then `documents` are keys of questions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSetRecord:
    """The pictures that tasks are asked about."""

    record: ClassVar[str] = "picture-set"
    name: str
    """Of the folder."""
    identity: str
    """SHA-256 over all images and truth of the folder."""
    generator: int | None
    """Version of what drew them; None if the pictures are of several."""
    whole: int
    """Pictures of the folder."""
    pictures: Sequence[str]
    """Names of those that are asked about."""
    tasks: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRecord:
    """One picture and its truth, so that the log alone can be judged and reported."""

    record: ClassVar[str] = "picture"
    picture: str
    stratum: str
    truth: Mapping[str, Any]
    """As `harness.scenes.to_json` writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionRecord:
    """One question about a picture, and its true answer."""

    record: ClassVar[str] = "question"
    question: str
    """Its key."""
    task: str
    picture: str
    number: int
    """Among the task's questions about this picture."""
    prompt: str
    target: str
    options: Sequence[str] = field(default_factory=list)
    about: Sequence[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRecord:
    """One load of a cell's worker. `failure` is set when the cell could not load at all."""

    record: ClassVar[str] = "cell"
    cell: str
    model: str
    quantization: str
    runtime: str
    device: str
    role: Role
    batch_size: int = 1
    strategy: str = "single"
    repeat: int = 1
    failure: Failure | None = None
    message: str | None = None
    load_s: float | None = None
    """From the request to load until the backend had answered a first image; process start-up apart."""
    spawn_s: float | None = None
    """Starting the process and importing the harness."""
    memory: MemoryPeak = MemoryPeak()
    devices: Sequence[DeviceUse] = field(default_factory=list)
    """The accelerators that the cell uses, while it was loaded."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    restart: int = 0
    """0 for the first worker of the cell, 1 for the one that followed its first failure, and so on."""

    @classmethod
    def of(cls, cell: Cell, **told: Any) -> CellRecord:
        """A load of `cell`; `told` are the other fields, by name."""
        return cls(
            cell=cell.id,
            model=cell.model,
            quantization=cell.quantization,
            runtime=cell.runtime,
            device=cell.device,
            batch_size=cell.batch_size,
            strategy=cell.strategy,
            repeat=cell.repeat,
            role=cell.role,
            **told,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingRecord:
    """One inference."""

    record: ClassVar[str] = "reading"
    cell: str
    document: str
    """Or the key of the question, `TASK/PICTURE/NUMBER`, where it is asked about a picture."""
    failure: Failure | None = None
    message: str | None = None
    text: str | None = None
    """The raw response; None if there was none."""
    latency_s: float | None = None
    """Request in, text out, on the worker's clock: decoding the image file included."""
    phases: Mapping[str, float] = field(default_factory=dict)
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    stop: str | None = None
    path: str = "single"
    """Which way the answer came: see harness.strategies."""
    calls: int = 1
    """Model calls made for the answer, failed attempts included."""
    batch_size: int = 1
    """Documents read together with this one, itself included; all of them have the latency of the whole batch."""
    batch_failure: Failure | None = None
    """How the batch ended in which it was first to be read, and after which it was read alone."""
    attempts: Sequence[Attempt] = field(default_factory=list)
    """The calls that the answer was put together from; none where the backend itself answered."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Of this document, as the backend tells them: `tiles`, `image_tokens`, ..."""
    memory: MemoryPeak = MemoryPeak()
    devices: Sequence[DeviceUse] = field(default_factory=list)
    """The accelerators, over the request; in a batch, of the whole batch."""
    allocator: Sequence[AllocatorPeak] = field(default_factory=list)
    """The same from inside, by the backend's allocator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRecord:
    """One step of a batch sweep: `batch_size` pages at once, each answered with exactly `output_tokens` tokens."""

    record: ClassVar[str] = "sweep"
    cell: str
    batch_size: int
    output_tokens: int | None
    """None where the length was left free: then a batch takes as long as its longest answer."""
    failure: Failure | None = None
    message: str | None = None
    seconds: Sequence[float] = field(default_factory=list)
    """Wall time of each timed request, on the worker's clock; one untimed request came before them."""
    ttft_s: Sequence[float] = field(default_factory=list)
    tpot_s: Sequence[float] = field(default_factory=list)
    itl_s: Sequence[float] = field(default_factory=list)
    """Of each timed request the median over its pages, of the times that Answer.phases names."""
    read_together: bool = True
    """Whether the prompts of all pages were read before any answer went on: the first tokens came at once."""
    prompt_tokens: int | None = None
    """Of all pages of a request, image tokens in the prompt included."""
    memory: MemoryPeak = MemoryPeak()
    devices: Sequence[DeviceUse] = field(default_factory=list)
    """Over the timed request with the highest use."""
    allocator: Sequence[AllocatorPeak] = field(default_factory=list)
    predicted_peak_bytes: int | None = None
    """Of tensors on the devices, as the runtime worked it out before it began; None where it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CeilingsRecord:
    """What a device was measured to do at most, in one number format; see harness.roofline."""

    record: ClassVar[str] = "ceilings"
    device: str
    """`cpu` or `cuda:N`, as the worker numbers them."""
    dtype: str
    """Of the matrix product, such as `bfloat16`."""
    name: str | None = None
    failure: Failure | None = None
    message: str | None = None
    bandwidth_bytes_per_s: float | None = None
    """Of the device's own memory, bytes read and bytes written."""
    matmul_flops_per_s: float | None = None
    n: int | None = None
    """Timed copies and products."""
    seconds: float | None = None
    """That the measurement took."""
    how: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRecord:
    """Where the wall time of a session went until its report was written; see harness.profiling."""

    record: ClassVar[str] = "profile"
    seconds: Mapping[str, float]
    """By phase; each second in one of them, so that they sum to the whole."""
    wall_s: float
    """The whole, by another clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRecord:
    """One verdict of one evaluation test."""

    record: ClassVar[str] = "gate"
    test: str
    cell: str | None
    metric: str
    verdict: str
    """pass, fail, inconclusive, or no-budget."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    bound: str | None = None
    """`at least` or `at most`: on which side of the limit the metric must lie."""
    limit: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateRecord:
    """An imported number over inferences that are not known one by one."""

    record: ClassVar[str] = "aggregate"
    cell: str
    metric: str
    """A name of its own, never one of METRICS: it is comparable only where definition and sensor agree."""
    value: float
    unit: str
    definition: str
    n: int | None = None
    """Inferences behind it; None where the source does not tell."""
    sensor: str | None = None
    """What measured it, where that decides what it can be compared with: a power rail, an allocator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRecord:
    """A number that somebody published, and what the published data say when it is computed again."""

    record: ClassVar[str] = "claim"
    name: str
    published: float | None
    """As the source states it; None where it states only words."""
    published_definition: str
    recomputed: float | None = None
    """By `recomputed_definition`; None where it cannot be computed, or where `metric` says what to compute."""
    recomputed_definition: str
    unit: str
    reproduced: float | None = None
    """The published number computed again, from the data, by its own definition."""
    cell: str | None = None
    """None for a claim about the whole source."""
    verdict: str
    n: int | None = None
    metric: str | None = None
    """A metric of scored answers that takes the place of `recomputed`: computed when the log is read, never stored."""
    against: str | None = None
    """Another cell: the claim is of `cell` minus `against`, and is judged by a paired test."""


Record = (
    RunRecord
    | DocumentRecord
    | PassRecord
    | PictureSetRecord
    | PictureRecord
    | QuestionRecord
    | CellRecord
    | ReadingRecord
    | SweepRecord
    | CeilingsRecord
    | ProfileRecord
    | GateRecord
    | AggregateRecord
    | ClaimRecord
)
