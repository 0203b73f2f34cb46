"""What travels between the session and the workers of a cell, and what carries it. Nothing here knows Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.backends import BackendRequest
from harness.cells import Cell
from harness.evidence import CellRecord, ReadingRecord

__all__ = [
    "Absent",
    "Event",
    "Finished",
    "Gone",
    "Loaded",
    "Order",
    "Page",
    "Place",
    "Placed",
    "RayOptions",
    "Read",
    "Request",
    "Shard",
    "Transport",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RayOptions:
    """How passes use a Ray cluster."""

    address: str | None = None
    """`auto` or `host:port` of a cluster that runs; None starts one on this machine, which ends with the session."""
    workers: int | None = None
    """The most workers of a cell; None for as many as the cluster has room for."""
    cpus: float = 1.0
    """That each worker reserves."""
    gpus: float | None = None
    """The same; None for 1 where the device is a GPU, otherwise 0."""

    def gpus_for(self, device: str) -> float:
        """GPUs that a worker on `device` reserves."""
        return (0.0 if device == "cpu" else 1.0) if self.gpus is None else self.gpus


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A document as a worker elsewhere gets it."""

    document: str
    path: Path
    """Where the session has the image; perhaps the worker's node has it there too."""
    sha256: str
    """Of the image: whatever its way, the worker reads these bytes or none."""
    prompt: str | None = None
    """What is asked about it; None for the prompt of the pass. The same in all pages of a request."""


Request = tuple[Page, ...]
"""Pages that the model is given together. Requests are the same however they are shared out, and so are batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Requests that one worker answers in a row."""

    requests: Sequence[Request]
    with_images: bool = False
    """Whether the transport sends the bytes of the images too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What each worker of a cell is to load."""

    cell: Cell
    request: BackendRequest
    prompt: str
    read_timeout_s: float
    load_timeout_s: float
    threads: int
    sources: str
    """Fingerprint of this project's code, which the worker's node must have too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a worker runs."""

    node: str
    """As the cluster numbers its nodes."""
    machine: str
    """The same for nodes that share one machine, and tells no name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A worker has got room, and begins to load its model."""

    worker: int
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A worker has loaded its model, or failed to: the last record tells."""

    worker: int
    loads: Sequence[CellRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A worker has answered one request."""

    worker: int
    readings: Sequence[ReadingRecord]
    loads: Sequence[CellRecord] = field(default_factory=list)
    """Processes that were started anew for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A worker's node does not have these images: it has not answered the request, and needs their bytes."""

    worker: int
    documents: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A worker is through with its shard."""

    worker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A worker, or the node that it ran on, is lost."""

    worker: int
    why: str


Event = Placed | Loaded | Read | Absent | Finished | Gone


class Transport(Protocol):
    """Starts workers of one cell somewhere, and carries shards there and events back.

    Nothing is promised about the order of different workers' events, nor that none comes twice.
    """

    def start(self, worker: int) -> None:
        """Have a worker started and its model loaded, when there is room."""

    def assign(self, worker: int, shard: Shard) -> None:
        """Give a loaded worker, which has no shard, its next one."""

    def wait(self, timeout_s: float) -> Sequence[Event]:
        """What has happened; nothing after `timeout_s`."""

    def stop(self, worker: int) -> None:
        """End a worker, whatever it does."""
