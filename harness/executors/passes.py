"""One pass over many workers: the session alone writes the evidence, each fact as it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.cells import Cell, Failure
from harness.errors import EvidenceError
from harness.evidence import CellRecord, EvidenceLog, ReadingRecord
from harness.executors.dispatch import Dispatch
from harness.executors.nodes import Shift
from harness.executors.sharding import Limits, requests_of
from harness.executors.transport import Absent, Event, Finished, Gone, Loaded, Place, Placed, Read, Transport
from harness.profiling import Phase, Recorder
from harness.running import CHECKPOINT, Pass, PassRequest, check_checkpoint

__all__ = ["ShardedPass", "run_sharded_pass"]

_TICK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedPass(Pass):
    """A pass, and the workers that were started for it and got room."""

    shifts: Sequence[Shift]


@dataclass(slots=True, kw_only=True)
class _Worker:
    """What the session knows of a worker that lives, or is to."""

    number: int
    began: float
    heard: float
    """When something last came of it."""
    place: Place | None = None
    """None until the cluster has room for it."""
    is_loaded: bool = False


@dataclass(slots=True, kw_only=True)
class _Crew:
    """The workers of one pass: hires, replaces and dismisses them, and hands what they tell to the log."""

    cell: Cell
    dispatch: Dispatch
    transport: Transport
    limits: Limits
    restarts_left: int
    patience_s: float
    """How long a worker that loads or reads may be silent."""
    clock: Callable[[], float]
    write: Callable[[CellRecord | ReadingRecord], None]
    check: Callable[[CellRecord], None]
    """Refuses what a load must not be."""
    workers: dict[int, _Worker] = field(default_factory=dict)
    shifts: list[Shift] = field(default_factory=list)
    loads: list[CellRecord] = field(default_factory=list)
    readings: dict[str, ReadingRecord] = field(default_factory=dict)
    started: int = 0
    homeless_since: float
    """When the last worker that had room was lost, if none has."""
    last_fault: str = "no node of the cluster had room for a worker (--eval-ray-cpus, --eval-ray-gpus)"
    marks: dict[str, tuple[str, str]] = field(default_factory=dict)

    def hire(self) -> None:
        """Have one more worker started."""
        now = self.clock()
        self.workers[self.started] = _Worker(number=self.started, began=now, heard=now)
        self.transport.start(self.started)
        self.started += 1

    def dismiss(self, number: int) -> None:
        """A worker is through, for good or for ill; what it was asked waits again."""
        worker = self.workers.pop(number)
        self.transport.stop(number)
        self.dispatch.release(number)
        if worker.place is not None:
            self.homeless_since = now = self.clock()
            self.shifts.append(Shift(worker=number, machine=worker.place.machine, began=worker.began, ended=now))

    def replace(self, number: int, why: str) -> None:
        """A worker was lost: its documents go to others, and another worker is started if that was not too often."""
        given_up = self.dispatch.lost(number)
        self.last_fault = f"the worker was lost: {why}"
        self.dismiss(number)
        if given_up is not None:
            message = f"{self.limits.losses} workers in a row were lost while they read it, the last one: {why}"
            self.keep(
                number,
                [
                    ReadingRecord(cell=self.cell.id, document=page.document, failure=Failure.CRASH, message=message)
                    for page in given_up
                ],
            )
        if self.restarts_left:
            self.restarts_left -= 1
            self.hire()

    def keep(self, number: int, readings: Sequence[ReadingRecord]) -> None:
        """Write what is new of `readings`."""
        for reading in self.dispatch.take(number, readings):
            self.readings[reading.document] = reading
            self.write(reading)

    def note(self, loads: Sequence[CellRecord]) -> None:
        """Write loads. Raises EvidenceError if the nodes hold different models: theirs are not one cell's answers."""
        for load in loads:
            self.check(load)
            self.loads.append(load)
            self.write(load)
            for what, fact in CHECKPOINT:
                if fact in load.facts:
                    mark, node = self.marks.setdefault(fact, (str(load.facts[fact]), str(load.facts.get("node"))))
                    if mark != load.facts[fact]:
                        raise EvidenceError(
                            f"{self.cell.id}: the {what} on node {load.facts.get('node')} ({load.facts[fact]}) are not "
                            f"those on node {node} ({mark}): put the same checkpoint on every node"
                        )

    def handle(self, event: Event) -> None:
        """Take one event in; those of workers that were dismissed can still bring readings."""
        if isinstance(event, Read):
            self.note(event.loads)
            self.keep(event.worker, event.readings)
        worker = self.workers.get(event.worker)
        if worker is None:
            return
        worker.heard = self.clock()
        match event:
            case Placed():
                worker.place, worker.began = event.place, worker.heard
            case Loaded():
                worker.is_loaded = True
                self.note(event.loads)
                if event.loads[-1].failure is not None:
                    load = event.loads[-1]
                    first = (load.message or "").partition("\n")[0]
                    self.last_fault = f"the worker could not be loaded: {load.failure}: {first}"
                    self.dismiss(event.worker)
            case Read():
                if unasked := [r for r in event.readings if r.failure is Failure.NOT_RUN]:  # it has given up
                    self.last_fault = (unasked[0].message or "").removeprefix("not run: ")
                    self.dismiss(event.worker)
            case Absent():
                self.dispatch.absent(event.worker, event.documents)
            case Finished():
                self.dispatch.release(event.worker)
            case Gone():
                self.replace(event.worker, event.why)

    def share_out(self) -> None:
        """Give each loaded worker without a shard its next one."""
        for worker in list(self.workers.values()):
            if worker.is_loaded and not self.dispatch.holds(worker.number):
                shard = self.dispatch.next_shard(worker.number, len(self.workers))
                if shard is not None:
                    worker.heard = self.clock()
                    self.transport.assign(worker.number, shard)

    def watch(self) -> None:
        """Give up workers that are silent for too long, or for which there is no room."""
        now = self.clock()
        for worker in list(self.workers.values()):
            busy = self.dispatch.holds(worker.number) or (worker.place is not None and not worker.is_loaded)
            if busy and now - worker.heard > self.patience_s:
                self.replace(worker.number, f"nothing was heard of it for {self.patience_s:g} s")
        homeless = not any(worker.place for worker in self.workers.values())
        if homeless and now - self.homeless_since > self.limits.room_s:
            for worker in list(self.workers.values()):
                self.dismiss(worker.number)


def run_sharded_pass(
    asked: PassRequest,
    *,
    transport: Transport,
    workers: int,
    limits: Limits,
    log: EvidenceLog,
    on_reading: Callable[[ReadingRecord], None],
    recorder: Recorder,
    clock: Callable[[], float] = time.monotonic,
) -> ShardedPass:
    """As `harness.running.run_pass`, over `workers` workers that `transport` starts.

    Each document gets one reading, whatever is lost and whatever comes twice. Documents that nobody is left to read
    are `not-run`. Only faults of the suite itself raise (EvidenceError), and KeyboardInterrupt; the caller ends the
    transport's workers, whatever happens.
    """
    log.append(asked.opening)
    waiting, together = asked.waiting(), asked.request_size
    requests = requests_of(waiting, together, asked.prompts)

    def write(record: CellRecord | ReadingRecord) -> None:
        with recorder.phase(Phase.LOGGING):
            log.append(record)
        if isinstance(record, ReadingRecord):
            on_reading(record)

    crew = _Crew(
        cell=asked.cell,
        dispatch=Dispatch(requests, losses=limits.losses),
        transport=transport,
        limits=limits,
        restarts_left=max(3, workers) if limits.restarts is None else limits.restarts,
        # a batch that fails is read again page by page, each perhaps by a process started anew
        patience_s=60 + 2 * together * asked.read_timeout_s + (together + 1) * asked.load_timeout_s,
        clock=clock,
        write=write,
        check=lambda load: check_checkpoint(asked, load, log.path),
        homeless_since=clock(),
    )
    with recorder.phase(Phase.READING):
        for _ in range(workers if requests else 0):
            crew.hire()
        while not crew.dispatch.is_done and crew.workers:
            for event in transport.wait(_TICK_S):
                crew.handle(event)
            crew.share_out()
            crew.watch()
        for number in list(crew.workers):
            crew.dismiss(number)
    _note_not_run(crew, [d.name for d in waiting])
    readings = asked.kept() | crew.readings
    return ShardedPass(
        loads=crew.loads,
        readings={d.name: readings[d.name] for d in asked.documents},
        fresh=frozenset(d.name for d in waiting),
        shifts=crew.shifts,
    )


def _note_not_run(crew: _Crew, documents: Sequence[str]) -> None:
    """Nobody is left: a cell that never loaded says so, and each document that is still waiting gets its row."""
    left = [name for name in documents if name in crew.dispatch.unanswered]
    if left and not crew.loads:
        crew.note([CellRecord.of(crew.cell, failure=Failure.NOT_RUN, message=crew.last_fault)])
    for name in left:
        reading = ReadingRecord(
            cell=crew.cell.id, document=name, failure=Failure.NOT_RUN, message=f"not run: {crew.last_fault}"
        )
        crew.readings[name] = reading
        crew.write(reading)
