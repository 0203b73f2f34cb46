"""The executor over a Ray cluster. What is decided is decided in the modules beside it, all but one without Ray."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from harness.evidence import EvidenceLog, ReadingRecord
from harness.executors.nodes import (
    NodeFacts,
    describe_node,
    disturbance_of,
    grouped_nodes,
    hardware_of,
    sources_fingerprint,
)
from harness.executors.passes import run_sharded_pass
from harness.executors.protocol import ExecutorError
from harness.executors.ray_actor import NODE_DIGITS, RayActor
from harness.executors.sharding import Limits, capacity, workers_for
from harness.executors.transport import Event, Gone, Order, RayOptions, Shard
from harness.profiling import Recorder
from harness.running import Pass, PassRequest
from harness.worker.supervisor import request_for

__all__ = ["RayExecutor"]

_DESCRIBE_S = 120.0
_QUIET = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""A worker that reserves no GPU sees none, and no warning is printed about it."""


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise ExecutorError(
            f"--eval-executor ray: Ray cannot be imported ({error}): pip install 'docvlm-evals[ray]', on every node"
        ) from None
    return ray  # type: ignore[no-any-return]


class RayExecutor:
    """Passes over the workers of a Ray cluster: actors of one cell, which end with it."""

    is_remote = True

    def __init__(self, options: RayOptions, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        """Start nothing yet. Raises ExecutorError if Ray is not installed."""
        self._options = options
        self._limits = limits
        self._ray = _ray()
        self._nodes: dict[str, NodeFacts] = {}
        self._sources = sources_fingerprint()

    def __enter__(self) -> Self:
        """Join the cluster, or start one here, and ask each node what it is. Raises ExecutorError."""
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        asked: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
        if self._options.address is None:
            # Ray takes RAY_ADDRESS from the environment otherwise: a cluster that nobody asked for
            asked |= {"address": "local", "include_dashboard": False}
        else:
            asked["address"] = self._options.address
        try:
            self._ray.init(**asked)
        except Exception as error:  # connection, versions of Ray and Python, ports: Ray has no common class for them
            where = self._options.address or "on this machine"
            raise ExecutorError(f"--eval-executor ray: no cluster {where}: {error}") from error
        try:
            self._describe()
        except BaseException:
            self._ray.shutdown()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._ray.shutdown()

    def side_by_side(self, device: str) -> int:
        """The most workers of a cell on `device` that one machine may be given."""
        rooms: dict[str, int] = {}
        for name, resources in self._resources().items():
            if (facts := self._nodes.get(name)) is not None:
                room = capacity([resources], cpus=self._options.cpus, gpus=self._options.gpus_for(device))
                rooms[facts.machine] = rooms.get(facts.machine, 0) + room
        most = max(rooms.values(), default=1)
        return most if self._options.workers is None else min(most, self._options.workers)

    def provenance(self, here: Mapping[str, Any], device: str) -> Mapping[str, Any]:
        """That of nodes that can have a model on `device`, of most of them if they differ; how others do, beside."""
        groups = grouped_nodes(self._nodes.values())
        fit = [group for group in groups if device == "cpu" or group.provenance["gpus"]] or groups
        machines = len({facts.machine for facts in self._nodes.values()})
        several = f"times come from {machines} machines" if machines > 1 else "times come from one machine"
        return {
            **here,
            **fit[0].provenance,
            "executor": {
                "name": "ray",
                "version": self._ray.__version__,
                "nodes": len(self._nodes),
                "machines": machines,
                "times": f"{several}; of workers side by side on one, they judge nothing",
            },
            "nodes": {
                f"group {number}": {"nodes": group.nodes, **_differing(group.provenance, fit[0].provenance)}
                for number, group in enumerate(groups, 1)
            },
        }

    def run_pass(
        self,
        asked: PassRequest,
        *,
        log: EvidenceLog,
        on_reading: Callable[[ReadingRecord], None],
        recorder: Recorder,
    ) -> Pass:
        """Share the documents out over as many workers as the cluster has room for, and they have work for."""
        cpus, gpus = self._options.cpus, self._options.gpus_for(asked.cell.device)
        order = Order(
            cell=asked.cell,
            request=asked.backend or request_for(asked.cell),
            prompt=asked.prompt.text,
            read_timeout_s=asked.read_timeout_s,
            load_timeout_s=asked.load_timeout_s,
            threads=max(1, int(cpus)),
            sources=self._sources,
        )
        requests = -(-len(asked.waiting()) // asked.request_size)
        room = capacity(list(self._resources().values()), cpus=cpus, gpus=gpus)
        with _RayTransport(self._ray, order, cpus=cpus, gpus=gpus) as transport:
            done = run_sharded_pass(
                asked,
                transport=transport,
                workers=workers_for(requests, room, self._options.workers),
                # a cluster elsewhere may grow, one that was started here does not
                limits=self._limits if room or self._options.address else replace(self._limits, room_s=0.0),
                log=log,
                on_reading=on_reading,
                recorder=recorder,
            )
        hardware = {facts.machine: hardware_of(facts.provenance) for facts in self._nodes.values()}
        return replace(done, disturbance=disturbance_of(done.shifts, hardware))

    def _resources(self) -> dict[str, Mapping[str, float]]:
        """By node that is alive."""
        return {node["NodeID"][:NODE_DIGITS]: node["Resources"] for node in self._ray.nodes() if node["Alive"]}

    def _describe(self) -> None:
        """Ask each node what it is. Raises ExecutorError if one does not answer, or has other sources."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        describe = self._ray.remote(num_cpus=0)(describe_node)
        asked = []
        for node in self._ray.nodes():
            if node["Alive"]:
                there = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
                asked.append(describe.options(scheduling_strategy=there).remote(node["NodeID"][:NODE_DIGITS]))
        try:
            found: list[NodeFacts] = self._ray.get(asked, timeout=_DESCRIBE_S)
        except self._ray.exceptions.RayError as error:
            raise ExecutorError(
                f"--eval-executor ray: a node of the cluster cannot import docvlm-evals, or does not answer: {error}"
            ) from error
        others = [facts.node for facts in found if facts.sources != self._sources]
        if others:
            raise ExecutorError(
                f"--eval-executor ray: {', '.join(others)} have other sources of docvlm-evals than this session: "
                "install the same version on every node"
            )
        self._nodes = {facts.node: facts for facts in found}


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if value != other.get(name)}


@dataclass(frozen=True, slots=True)
class _Stream:
    """What events of a worker come out of: one reference, or the generator of a shard."""

    worker: int
    is_generator: bool


class _RayTransport:
    """The workers of one cell as actors, SPREAD over the nodes; all are killed in the end."""

    def __init__(self, ray: ModuleType, order: Order, *, cpus: float, gpus: float) -> None:
        self._ray = ray
        self._order = ray.put(order)
        self._actor_class = ray.remote(
            num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
        )(RayActor)
        self._actors: dict[int, Any] = {}
        self._streams: dict[Any, _Stream] = {}

    def start(self, worker: int) -> None:
        """Create the actor; what it says of its place and its load arrives as events."""
        actor = self._actor_class.remote(self._order, worker)
        self._actors[worker] = actor
        for reference in (actor.place.remote(), actor.load.remote()):
            self._streams[reference] = _Stream(worker, is_generator=False)

    def assign(self, worker: int, shard: Shard) -> None:
        """Call the actor's generator; images are put into the object store only where its node asked for them."""
        images = None
        if shard.with_images:
            pages = [page for request in shard.requests for page in request]
            images = {page.document: self._ray.put(_bytes_of(page.path)) for page in pages}
        stream = self._actors[worker].read.options(num_returns="streaming").remote(shard, images)
        self._streams[stream] = _Stream(worker, is_generator=True)

    def wait(self, timeout_s: float) -> Sequence[Event]:
        """One event of each stream that has one."""
        if not self._streams:
            return []
        streams = list(self._streams)
        ready, _ = self._ray.wait(streams, num_returns=1, timeout=timeout_s)
        if len(streams) > 1 and ready:
            ready, _ = self._ray.wait(streams, num_returns=len(streams), timeout=0)
        return [event for stream in ready if (event := self._event_of(stream)) is not None]

    def stop(self, worker: int) -> None:
        """Kill the actor; its model's process dies with it."""
        if (actor := self._actors.pop(worker, None)) is not None:
            self._forget(worker)
            self._ray.kill(actor, no_restart=True)

    def _event_of(self, reference: Any) -> Event | None:
        stream = self._streams.get(reference)
        if stream is None:  # its worker was found lost a moment ago
            return None
        try:
            if not stream.is_generator:
                del self._streams[reference]
                return self._ray.get(reference)  # type: ignore[no-any-return]
            event: Event = self._ray.get(next(reference))
        except StopIteration:
            del self._streams[reference]
            return None
        except self._ray.exceptions.RayError as error:  # the node, the process, an item that went with them, a fault
            self._forget(stream.worker)
            return Gone(worker=stream.worker, why=_first_line(error))
        return event

    def _forget(self, worker: int) -> None:
        self._streams = {key: stream for key, stream in self._streams.items() if stream.worker != worker}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in list(self._actors):
            with contextlib.suppress(self._ray.exceptions.RayError):  # the cluster may be what was lost
                self.stop(worker)


def _bytes_of(path: Path) -> bytes:
    """Empty where the image is gone: the worker tells that it is not the one of the run."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _first_line(error: Exception) -> str:
    """What Ray says of a loss, without the ids and addresses that follow."""
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0]}"
