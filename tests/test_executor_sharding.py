"""Sharing out a pass without Ray: shards, lost workers, readings that come twice, images that are elsewhere."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.cells import Cell, Failure, Role
from harness.documents import Document
from harness.errors import EvidenceError
from harness.evidence import CellRecord, EvidenceLog, ReadingRecord, read_evidence
from harness.executors.dispatch import Dispatch
from harness.executors.nodes import NodeFacts, Shift, disturbance_of, grouped_nodes, machine_mark
from harness.executors.passes import ShardedPass, run_sharded_pass
from harness.executors.sharding import Limits, capacity, requests_of, shard_size, workers_for
from harness.executors.transport import Absent, Event, Finished, Gone, Loaded, Place, Placed, Read, Shard
from harness.profiling import NO_RECORDER
from harness.prompts import prompt
from harness.running import PassRequest

CELL = Cell(model="all-na")


def documents(count: int) -> list[Document]:
    return [
        Document(name=f"d{i:04d}", path=Path(f"/pages/d{i:04d}.png"), truth={}, image_sha256="") for i in range(count)
    ]


def reading(document: str, **more: object) -> ReadingRecord:
    return ReadingRecord(**{"cell": CELL.id, "document": document, "text": "N/A", **more})


def load(worker: int = 0, **more: object) -> CellRecord:
    facts = {"node": f"n{worker}", **more.pop("facts", {})}
    return CellRecord(
        **{
            "cell": CELL.id,
            "model": "all-na",
            "quantization": "none",
            "runtime": "eager",
            "device": "cpu",
            "role": Role.CANDIDATE,
            "facts": facts,
            **more,
        }
    )


@dataclass
class FakeTransport:
    """Workers that answer one request a turn. `script` may put other events in the place of what a worker would say."""

    script: Callable[[int, Event], Sequence[Event]] = lambda worker, event: [event]
    room: int = 10**6
    seed: int = 0
    queues: dict[int, list[Event]] = field(default_factory=dict)
    shards: list[tuple[int, Shard]] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    late: list[Event] = field(default_factory=list)
    now: float = 0.0

    def start(self, worker: int) -> None:
        self.queues[worker] = []
        if len(self.queues) <= self.room:
            place = Place(node=f"n{worker}", machine=f"m{worker % 2}")
            self.queues[worker] = [Placed(worker=worker, place=place), Loaded(worker=worker, loads=[load(worker)])]

    def assign(self, worker: int, shard: Shard) -> None:
        self.shards.append((worker, shard))
        self.queues[worker] += [
            Read(worker=worker, readings=[reading(page.document, facts={"worker": worker}) for page in request])
            for request in shard.requests
        ]
        self.queues[worker].append(Finished(worker=worker))

    def wait(self, timeout_s: float) -> Sequence[Event]:
        self.now += 1.0
        late, self.late = self.late, []
        events = list(late)
        order = list(self.queues)
        random.Random(f"{self.seed} {self.now}").shuffle(order)
        for worker in order:
            if self.queues[worker]:
                events += self.script(worker, self.queues[worker].pop(0))
        return events

    def stop(self, worker: int) -> None:
        self.stopped.append(worker)
        self.queues.pop(worker)


def run(
    tmp_path: Path, transport: FakeTransport, *, count: int = 40, workers: int = 4, together: int = 1, **limits: object
) -> tuple[ShardedPass, list[ReadingRecord]]:
    """The pass, and every reading that was written."""
    written: list[ReadingRecord] = []
    asked = PassRequest(
        cell=CELL,
        documents=documents(count),
        prompt=prompt(),
        read_timeout_s=5,
        load_timeout_s=5,
        together=together,
    )
    with EvidenceLog(tmp_path / "evidence.jsonl") as log:
        done = run_sharded_pass(
            asked,
            transport=transport,
            workers=workers,
            limits=Limits(**limits),
            log=log,
            on_reading=written.append,
            recorder=NO_RECORDER,
            clock=lambda: transport.now,
        )
    lines = (tmp_path / "evidence.jsonl").read_text().count('"record": "reading"')
    assert lines == len(written), "what the session was told of is what the log holds"
    return done, written


def once_each(written: Sequence[ReadingRecord], count: int) -> bool:
    return Counter(r.document for r in written) == Counter(d.name for d in documents(count))


def test_requests_are_those_that_one_worker_would_be_given() -> None:
    asked = [[page.document for page in request] for request in requests_of(documents(7), 3)]
    assert asked == [["d0000", "d0001", "d0002"], ["d0003", "d0004", "d0005"], ["d0006"]]


def test_what_is_asked_differently_is_not_asked_together() -> None:
    found = requests_of(documents(5), 3, {"d0001": "How many?", "d0002": "How many?"})
    asked = [([page.document for page in request], {page.prompt for page in request}) for request in found]
    assert asked == [(["d0000"], {None}), (["d0001", "d0002"], {"How many?"}), (["d0003", "d0004"], {None})]


@pytest.mark.parametrize(("requests", "room", "most", "expected"), [
    (8, 64, None, 2), (10_000, 64, None, 64), (10_000, 64, 3, 3), (1, 64, None, 1), (100, 0, None, 1), (0, 4, None, 1),
])  # fmt: skip
def test_a_worker_is_started_for_four_requests_or_more(requests, room, most, expected) -> None:
    assert workers_for(requests, room, most) == expected


def test_shards_shrink_to_single_requests() -> None:
    waiting, sizes = 10_000, []
    while waiting:
        sizes.append(shard_size(waiting, 64))
        waiting -= sizes[-1]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (52, 1)
    assert len(sizes) < 1500, "few enough that handing them out costs nothing"


def test_room_counts_whole_workers_of_each_node() -> None:
    nodes = [{"CPU": 3.0, "GPU": 1.0}, {"CPU": 8.0, "GPU": 4.0}, {"CPU": 8.0}]
    assert capacity(nodes, cpus=2, gpus=0) == 1 + 4 + 4
    assert capacity(nodes, cpus=2, gpus=1) == 1 + 4
    assert capacity(nodes, cpus=1, gpus=0.5) == 2 + 8
    assert capacity([{"CPU": 0.64}], cpus=0.01, gpus=0) == 64


def test_every_document_is_read_once_in_the_order_asked(tmp_path) -> None:
    transport = FakeTransport()
    done, written = run(tmp_path, transport)
    assert once_each(written, 40)
    assert list(done.readings) == [d.name for d in documents(40)]
    assert {r.facts["worker"] for r in written} == {0, 1, 2, 3}
    assert len(done.loads) == 4
    assert sorted(transport.stopped) == [0, 1, 2, 3], "all are ended"


def test_batches_stay_together(tmp_path) -> None:
    transport = FakeTransport()
    run(tmp_path, transport, together=3)
    asked = {tuple(page.document for page in request) for _, shard in transport.shards for request in shard.requests}
    assert asked == {tuple(page.document for page in request) for request in requests_of(documents(40), 3)}


def test_what_a_lost_worker_had_is_read_by_others(tmp_path) -> None:
    answered = itertools.count()

    def script(worker: int, event: Event) -> Sequence[Event]:
        lost = worker == 1 and isinstance(event, Read) and next(answered) == 2
        return [Gone(worker=1, why="the node died")] if lost else [event]

    transport = FakeTransport(script)
    done, written = run(tmp_path, transport)
    assert once_each(written, 40)
    assert all(r.failure is None for r in written)
    assert sum(r.facts["worker"] == 1 for r in written) == 2, "what it had read before is kept"
    assert len(done.loads) == 5, "another was started in its place"


def test_readings_that_come_twice_are_written_once(tmp_path) -> None:
    transport = FakeTransport(lambda worker, event: [event, event] if isinstance(event, Read) else [event])
    _, written = run(tmp_path, transport)
    assert once_each(written, 40)


def test_a_worker_given_up_may_still_tell_and_counts_once(tmp_path) -> None:
    held: list[Event] = []

    def script(worker: int, event: Event) -> Sequence[Event]:
        if worker == 0 and isinstance(event, Read):
            held.append(event)
            return [Gone(worker=0, why="the network was cut")]
        if len(held) == 1 and isinstance(event, Read):
            transport.late += [held[0], held[0]]
            held.append(event)
        return [event]

    transport = FakeTransport(script)
    _, written = run(tmp_path, transport)
    assert once_each(written, 40)


def test_a_document_that_ends_its_workers_is_given_up_and_no_other(tmp_path) -> None:
    def script(worker: int, event: Event) -> Sequence[Event]:
        deadly = isinstance(event, Read) and event.readings[0].document == "d0007"
        return [Gone(worker=worker, why="killed by SIGKILL")] if deadly else [event]

    done, written = run(tmp_path, FakeTransport(script), losses=3)
    assert once_each(written, 40)
    assert {r.document: r.failure for r in written if r.failure} == {"d0007": Failure.CRASH}
    assert "3 workers" in str(done.readings["d0007"].message)
    assert "SIGKILL" in str(done.readings["d0007"].message)


def test_restarts_end_and_the_rest_is_not_run(tmp_path) -> None:
    def script(worker: int, event: Event) -> Sequence[Event]:
        return [Gone(worker=worker, why="no network")] if isinstance(event, Placed | Loaded) else [event]

    transport = FakeTransport(script)
    done, written = run(tmp_path, transport, workers=2, restarts=5)
    assert once_each(written, 40)
    assert {r.failure for r in written} == {Failure.NOT_RUN}
    assert "no network" in str(written[0].message)
    assert len(transport.stopped) == 2 + 5
    assert done.loads[-1].failure is Failure.NOT_RUN


def test_a_cluster_without_room_is_told(tmp_path) -> None:
    transport = FakeTransport(room=0)
    done, written = run(tmp_path, transport, room_s=30)
    assert {r.failure for r in written} == {Failure.NOT_RUN}
    assert "room" in str(done.loads[0].message)
    assert transport.now == pytest.approx(31, abs=2)


def test_a_silent_worker_is_given_up(tmp_path) -> None:
    def script(worker: int, event: Event) -> Sequence[Event]:
        return [] if worker == 0 and isinstance(event, Read | Finished) else [event]

    _, written = run(tmp_path, FakeTransport(script))
    assert once_each(written, 40)
    assert all(r.failure is None and r.facts["worker"] for r in written)


def test_a_node_where_the_model_does_not_load_leaves_its_share_to_others(tmp_path) -> None:
    def script(worker: int, event: Event) -> Sequence[Event]:
        if worker < 3 and isinstance(event, Loaded):
            return [Loaded(worker=worker, loads=[load(worker, failure=Failure.LOAD_OOM, message="no room")])]
        return [event]

    done, written = run(tmp_path, FakeTransport(script))
    assert {(r.failure, r.facts["worker"]) for r in written} == {(None, 3)}
    assert Counter(r.failure for r in done.loads) == {Failure.LOAD_OOM: 3, None: 1}


def test_where_it_loads_nowhere_the_cell_has_failed_as_it_does_here(tmp_path) -> None:
    def script(worker: int, event: Event) -> Sequence[Event]:
        if isinstance(event, Loaded):
            return [Loaded(worker=worker, loads=[load(worker, failure=Failure.UNSUPPORTED, message="no int8 here")])]
        return [event]

    done, written = run(tmp_path, FakeTransport(script))
    assert {r.failure for r in written} == {Failure.NOT_RUN}
    assert "unsupported: no int8 here" in str(written[0].message)
    assert {r.failure for r in done.loads} == {Failure.UNSUPPORTED}


def test_a_worker_that_gave_up_is_dismissed_and_its_documents_are_not(tmp_path) -> None:
    def script(worker: int, event: Event) -> Sequence[Event]:
        if worker == 2 and isinstance(event, Read):
            unasked = [
                reading(r.document, text=None, failure=Failure.NOT_RUN, message="not run: 3 workers in a row")
                for r in event.readings
            ]
            return [Read(worker=2, readings=unasked)]
        return [event]

    transport = FakeTransport(script)
    _, written = run(tmp_path, transport)
    assert once_each(written, 40)
    assert {r.failure for r in written} == {None}
    assert transport.stopped[0] == 2


def test_images_are_sent_where_the_node_has_none(tmp_path) -> None:
    lacking = {1, 3}

    def script(worker: int, event: Event) -> Sequence[Event]:
        shard = next((s for w, s in reversed(transport.shards) if w == worker), None)
        if worker in lacking and isinstance(event, Read) and shard is not None and not shard.with_images:
            return [Absent(worker=worker, documents=[r.document for r in event.readings])]
        return [event]

    transport = FakeTransport(script)
    _, written = run(tmp_path, transport)
    assert once_each(written, 40)
    assert {r.facts["worker"] for r in written} == {0, 1, 2, 3}
    assert {worker for worker, shard in transport.shards if shard.with_images} == lacking


def test_nodes_with_different_weights_are_not_one_model(tmp_path) -> None:
    def script(worker: int, event: Event) -> Sequence[Event]:
        if isinstance(event, Loaded):
            return [Loaded(worker=worker, loads=[load(worker, facts={"weights_sha256": f"{worker // 2}"})])]
        return [event]

    with pytest.raises(EvidenceError, match="same checkpoint on every node"):
        run(tmp_path, FakeTransport(script))


@pytest.mark.parametrize("seed", range(25))
def test_whatever_is_lost_or_doubled_each_document_is_written_once(tmp_path, seed: int) -> None:
    chance = random.Random(seed)

    def script(worker: int, event: Event) -> Sequence[Event]:
        roll = chance.random()
        if roll < 0.03:
            return [Gone(worker=worker, why="by chance")]
        if roll < 0.1 and isinstance(event, Read):
            transport.late.append(event)
        return [event, event] if roll > 0.9 and isinstance(event, Read) else [event]

    transport = FakeTransport(script, seed=seed)
    done, written = run(tmp_path, transport, count=120, together=1 + seed % 3, losses=100, restarts=500)
    assert once_each(written, 120)
    assert {r.failure for r in written} == {None}
    assert list(done.readings) == [d.name for d in documents(120)]


def test_an_interrupt_leaves_what_was_read_in_the_log(tmp_path) -> None:
    answered = itertools.count()

    def script(worker: int, event: Event) -> Sequence[Event]:
        if isinstance(event, Read) and next(answered) == 10:
            raise KeyboardInterrupt
        return [event]

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, FakeTransport(script), workers=1)
    assert len(read_evidence(tmp_path / "evidence.jsonl").readings[CELL.id]) == 10


def test_what_is_released_is_asked_again_first() -> None:
    dispatch = Dispatch(requests_of(documents(9), 1), losses=3)
    first = dispatch.next_shard(0, 1)
    assert first is not None
    assert [r[0].document for r in first.requests] == ["d0000", "d0001", "d0002"]
    dispatch.take(0, [reading("d0000")])
    assert dispatch.lost(0) is None
    again = dispatch.next_shard(1, 1)
    assert again is not None
    assert [r[0].document for r in again.requests] == ["d0001", "d0002"]


def shift(worker: int, machine: str, began: float = 0.0, ended: float = 9.0) -> Shift:
    return Shift(worker=worker, machine=machine, began=began, ended=ended)


@pytest.mark.parametrize(("shifts", "expected"), [
    ([shift(0, "a")], None),
    ([shift(0, "a"), shift(1, "b")], None),
    ([shift(0, "a", 0, 4), shift(1, "a", 4, 9)], None),
    ([shift(0, "a"), shift(1, "a"), shift(2, "b")], "2 workers (--eval-executor ray) ran side by side on one machine"),
    ([shift(i, "ab"[i % 2]) for i in range(4)], "4 workers (--eval-executor ray) ran side by side on 2 machines"),
    ([shift(0, "a"), shift(1, "c")], "read on 2 machines of different hardware"),
])  # fmt: skip
def test_times_count_only_of_workers_alone_on_machines_that_are_alike(shifts, expected) -> None:
    assert disturbance_of(shifts, {"a": "Epyc", "b": "Epyc", "c": "Xeon"}) == expected


def test_nodes_that_are_alike_are_told_once() -> None:
    facts = [
        NodeFacts(node=name, machine=name, sources="", provenance={"gpus": gpus})
        for name, gpus in [("a", []), ("b", ["H200"]), ("c", ["H200"])]
    ]
    assert [(group.nodes, group.provenance["gpus"]) for group in grouped_nodes(facts)] == [
        (["b", "c"], ["H200"]),
        (["a"], []),
    ]


def test_a_machine_has_a_mark_and_no_name(tmp_path) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("7d1c3d1e-0001\n")
    marks: Iterator[str] = (machine_mark(path) for path in (boot, boot, tmp_path / "none"))
    one, same, other = marks
    assert one == same != other
    assert len(one) == 8
