"""What a worker does wherever it is run: one cell, loaded once, over the shards that it is given."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.cells import Failure
from harness.evidence import CellRecord, ReadingRecord
from harness.executors.nodes import sources_fingerprint
from harness.executors.protocol import ExecutorError
from harness.executors.sharding import file_sha256
from harness.executors.transport import Absent, Finished, Loaded, Order, Page, Place, Read, Request, Shard
from harness.worker.supervisor import CellWorker

__all__ = ["ShardWorker"]

_CHANGED = "the image is no longer the one that the run began with (SHA-256 {})"


class ShardWorker:
    """A `CellWorker` somewhere in a cluster. Not for several threads: its process dies with the one that loaded it."""

    def __init__(self, order: Order, number: int, place: Place) -> None:
        """Start nothing yet. Raises ExecutorError if this node has other sources than the session."""
        if (found := sources_fingerprint()) != order.sources:
            raise ExecutorError(
                f"node {place.node} has other sources of docvlm-evals ({found[:12]}) than the session "
                f"({order.sources[:12]}): install the same version on every node"
            )
        self._number = number
        self._place = place
        self._facts = {"node": place.node, "worker": number}
        self._worker = CellWorker(
            order.cell,
            order.request,
            prompt=order.prompt,
            load_timeout_s=order.load_timeout_s,
            read_timeout_s=order.read_timeout_s,
            threads=order.threads,
        )

    def load(self) -> Loaded:
        """Start the process and load the model; a failure is in the last record."""
        self._worker.load()
        return Loaded(worker=self._number, loads=self._loads())

    def read(self, shard: Shard, image_of: Callable[[str], bytes] | None = None) -> Iterator[Read | Absent | Finished]:
        """Answer requests one by one; `image_of` gives the bytes of a document's image, where they were sent.

        A request with an image that this node does not have, and was not sent, is left for later and told as Absent.
        """
        with tempfile.TemporaryDirectory(prefix="docvlm-pages-") as folder:
            for request in shard.requests:
                yield self._answered(request, image_of, Path(folder))
        yield Finished(worker=self._number)

    def close(self) -> None:
        """End the process."""
        self._worker.close()

    def _answered(self, request: Request, image_of: Callable[[str], bytes] | None, folder: Path) -> Read | Absent:
        here: dict[str, Path] = {}
        changed: dict[str, str] = {}
        absent: list[str] = []
        for page in request:
            if file_sha256(page.path) == page.sha256:
                here[page.document] = page.path
            elif image_of is None:
                absent.append(page.document)
            elif (found := hashlib.sha256(content := image_of(page.document)).hexdigest()) == page.sha256:
                here[page.document] = _written(content, page, folder / str(len(here)))
            else:
                changed[page.document] = found
        if absent:
            return Absent(worker=self._number, documents=absent)
        readings = self._worker.read_batch(list(here.items()), prompt=request[0].prompt) if here else []
        readings += [self._unreadable(document, found) for document, found in changed.items()]
        told = [replace(r, facts={**r.facts, **self._facts}) for r in readings]
        return Read(worker=self._number, readings=told, loads=self._loads())

    def _unreadable(self, document: str, found: str) -> ReadingRecord:
        return ReadingRecord(
            cell=self._worker.cell.id, document=document, failure=Failure.ERROR, message=_CHANGED.format(found[:12])
        )

    def _loads(self) -> Sequence[CellRecord]:
        place: Mapping[str, Any] = {**self._facts, "machine": self._place.machine}
        return [replace(load, facts={**load.facts, **place}) for load in self._worker.take_loads()]


def _written(content: bytes, page: Page, folder: Path) -> Path:
    """The image under its own name: messages about it name it."""
    folder.mkdir(exist_ok=True)
    path = folder / page.path.name
    path.write_bytes(content)
    return path
