"""How many workers a cell gets, which documents are asked together, and how many requests make a shard."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

from harness.documents import Document
from harness.executors.transport import Page, Request
from harness.running import Readable

__all__ = ["Limits", "capacity", "file_sha256", "requests_of", "shard_size", "workers_for"]

_LEAST_REQUESTS = 4
"""A worker is started only for so many requests: loading a model for one page costs more than it brings."""
_SHARDS_LEFT = 3
"""What is left is cut into so many shards for each worker, so that the slow ones end with the others."""
_LARGEST_SHARD = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is put up with before a pass goes on without something."""

    losses: int = 3
    """Workers that one request may cost before it counts as crashed: it may be what ends them."""
    restarts: int | None = None
    """Workers of a cell that are started in place of lost ones; None for as many as it began with, and at least 3."""
    room_s: float = 120.0
    """How long a cell whose workers have no room in the cluster waits for it."""


def requests_of(
    documents: Sequence[Readable], together: int, prompts: Mapping[str, str] = MappingProxyType({})
) -> list[Request]:
    """The documents in their order, at most `together` at a time: the same requests that one worker would be given.

    What `prompts` has different texts for, by name, is not asked together. An image that cannot be read has no hash.
    """
    pages = [Page(document=d.name, path=d.path, sha256=_sha256_of(d), prompt=prompts.get(d.name)) for d in documents]
    alike = [list(same) for _, same in groupby(pages, key=lambda page: page.prompt)]
    return [tuple(same[start : start + together]) for same in alike for start in range(0, len(same), together)]


def _sha256_of(document: Readable) -> str:
    return document.image_sha256 if isinstance(document, Document) else file_sha256(document.path) or ""


def file_sha256(path: Path) -> str | None:
    """SHA-256 of a file's content; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def workers_for(requests: int, room: int, most: int | None = None) -> int:
    """How many workers share `requests`, where the cluster has room for `room` of them; at least one."""
    return max(1, min(room, math.ceil(requests / _LEAST_REQUESTS), room if most is None else most))


def shard_size(waiting: int, workers: int) -> int:
    """How many of `waiting` requests the next shard has, one of `workers` to take it; at least one.

    Guided self-scheduling (Polychronopoulos and Kuck, 1987): large shards while there is much to do, and single
    requests in the end, when a worker that is still busy keeps all others waiting.
    """
    return max(1, min(_LARGEST_SHARD, waiting // (workers * _SHARDS_LEFT)))


def capacity(nodes: Sequence[Mapping[str, float]], *, cpus: float, gpus: float) -> int:
    """How many workers that reserve `cpus` and `gpus` each fit the nodes, by their resources `CPU` and `GPU`."""
    asked = {name: amount for name, amount in (("CPU", cpus), ("GPU", gpus)) if amount}
    # binary fractions: of 0.64 CPU, 64 workers of 0.01 are to fit
    rooms = ([math.floor(node.get(name, 0.0) / amount + 1e-6) for name, amount in asked.items()] for node in nodes)
    return sum(min(room) for room in rooms)
