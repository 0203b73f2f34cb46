"""A worker as the nodes of a Ray cluster have it: all that they import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.executors.nodes import machine_mark
from harness.executors.shard_worker import ShardWorker
from harness.executors.transport import Event, Order, Place, Placed, Shard

__all__ = ["NODE_DIGITS", "RayActor"]

NODE_DIGITS = 8
"""Of a node's id, those that it is called by."""


class RayActor:
    """Methods run one after another, on the main thread of a process."""

    def __init__(self, order: Order, number: int) -> None:
        import ray

        node = ray.get_runtime_context().get_node_id()[:NODE_DIGITS]
        self._number = number
        self._place = Place(node=node, machine=machine_mark())
        self._worker = ShardWorker(order, number, self._place)

    def place(self) -> Placed:
        """Where it runs: known before the model is loaded."""
        return Placed(worker=self._number, place=self._place)

    def load(self) -> Event:
        """Load the model."""
        return self._worker.load()

    def read(self, shard: Shard, images: Mapping[str, Any] | None) -> Iterator[Event]:
        """`images` are references, fetched one by one as they are needed."""
        if images is None:
            yield from self._worker.read(shard)
            return
        import ray

        yield from self._worker.read(shard, lambda document: bytes(ray.get(images[document])))
