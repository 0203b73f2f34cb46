"""A cluster without Ray: workers with real processes behind them, each of which answers one request a turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from harness.evidence import EvidenceLog, ReadingRecord
from harness.executors.nodes import sources_fingerprint
from harness.executors.passes import run_sharded_pass
from harness.executors.shard_worker import ShardWorker
from harness.executors.sharding import Limits
from harness.executors.transport import Event, Order, Place, Placed, Shard
from harness.profiling import Recorder
from harness.running import Pass, PassRequest
from harness.worker.supervisor import request_for


class InlineTransport:
    """Carries shards to `ShardWorker`s of this process."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._workers: dict[int, ShardWorker] = {}
        self._events: dict[int, deque[Iterator[Event]]] = {}

    def start(self, worker: int) -> None:
        place = Place(node=f"n{worker}", machine=f"m{worker}")
        self._workers[worker] = found = ShardWorker(self._order, worker, place)
        opening: Iterable[Event] = (say() for say in (lambda: Placed(worker=worker, place=place), found.load))
        self._events[worker] = deque([iter(opening)])

    def assign(self, worker: int, shard: Shard) -> None:
        self._events[worker].append(self._workers[worker].read(shard))

    def wait(self, timeout_s: float) -> Sequence[Event]:
        """One event of each worker that has one."""
        told = []
        for streams in self._events.values():
            while streams:
                if (event := next(streams[0], None)) is not None:
                    told.append(event)
                    break
                streams.popleft()
        return told

    def stop(self, worker: int) -> None:
        self._events.pop(worker)
        self._workers.pop(worker).close()


class InlineExecutor:
    """Shares every pass out among `workers` workers, and keeps what it was asked."""

    is_remote = True

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self.passes: list[PassRequest] = []

    def side_by_side(self, device: str) -> int:
        return self._workers

    def provenance(self, here: Mapping[str, Any], device: str) -> Mapping[str, Any]:
        return here

    def run_pass(
        self, asked: PassRequest, *, log: EvidenceLog, on_reading: Callable[[ReadingRecord], None], recorder: Recorder
    ) -> Pass:
        self.passes.append(asked)
        order = Order(
            cell=asked.cell,
            request=asked.backend or request_for(asked.cell),
            prompt=asked.prompt.text,
            read_timeout_s=asked.read_timeout_s,
            load_timeout_s=asked.load_timeout_s,
            threads=1,
            sources=sources_fingerprint(),
        )
        transport = InlineTransport(order)
        return run_sharded_pass(
            asked,
            transport=transport,
            workers=self._workers,
            limits=Limits(),
            log=log,
            on_reading=on_reading,
            recorder=recorder,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass
