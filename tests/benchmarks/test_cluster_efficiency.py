"""What sharing a pass out over a Ray cluster costs: 64 workers that sleep, on two raylets of this machine.

A worker sleeps for each document, about as long as a small model takes on a processor, so the processors are free for
all else: starting 64 workers with a process each, and handing 10,000 documents out and their answers in. On a cluster
each node starts its own; here all are started by the same few processors.

CLUSTER_DOCUMENTS, CLUSTER_WORKERS and CLUSTER_SECONDS, those of a document, set other numbers (`400`, `8` and `0.4` are
a first look). The shorter the documents, the more of the run is the start.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from harness.backends import BackendRequest
from harness.cells import Cell
from harness.evidence import EvidenceLog, ReadingRecord
from harness.executors import RayOptions
from harness.profiling import NO_RECORDER
from harness.prompts import prompt
from harness.provenance import allowed_cores
from harness.running import PassRequest
from tests.pixel_pages import receipts, write_corpus

pytest.importorskip("ray", reason="Ray is not installed (pip install 'docvlm-evals[ray]')")
pytestmark = pytest.mark.filterwarnings("ignore")

DOCUMENTS = int(os.environ.get("CLUSTER_DOCUMENTS", "10000"))
WORKERS = int(os.environ.get("CLUSTER_WORKERS", "64"))
SLEEP_S = float(os.environ.get("CLUSTER_SECONDS", "3"))
LIMIT = 0.9
"""The least share of all workers' time over the whole run, their start included, that is the models' own."""


@dataclass(slots=True, kw_only=True)
class Watch:
    """When answers came, and of whom."""

    began: float
    times: list[float] = field(default_factory=list)
    workers: set[int] = field(default_factory=set)
    all_up: float = 0.0
    processor_s: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, reading: ReadingRecord) -> None:
        """Note one answer; with the first of the last worker, what starting has taken."""
        self.times.append(time.monotonic())
        worker = int(reading.facts["worker"])
        if worker not in self.workers:
            self.workers.add(worker)
            if len(self.workers) == WORKERS:
                self.all_up, self.processor_s = self.times[-1], processor_seconds()

    def efficiency(self, since: float) -> float:
        """The models' own share of the time of all workers after `since`."""
        models_s = SLEEP_S * sum(at > since for at in self.times)
        return models_s / (WORKERS * (self.times[-1] - since))


def processor_seconds() -> dict[str, float]:
    """What the workers' processes have used by now: Ray's, and the models' below them."""
    actors = [
        p for p in psutil.process_iter(["cmdline"]) if " ".join(p.info["cmdline"] or ()).startswith("ray::RayActor")
    ]
    models = [child for actor in actors for child in actor.children()]
    spent = {"an actor": actors, "a model": models}
    return {kind: sum(sum(p.cpu_times()[:2]) for p in processes) for kind, processes in spent.items()}


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two raylets of a processor each, which half the workers share: they mostly sleep."""
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    found.add_node(num_cpus=1)
    yield found
    found.shutdown()


def test_many_workers_are_kept_busy(cluster: Any, tmp_path: Path) -> None:
    from harness.executors.ray_executor import RayExecutor

    folder = write_corpus(tmp_path / "pages", receipts(1))
    page = next(folder.glob("*.png"))
    asked = PassRequest(
        cell=Cell(model="sleeper"),
        backend=BackendRequest(backend="python:tests.fake_backends.Sleep", settings={"seconds": SLEEP_S}),
        documents=[SimpleNamespace(name=f"d{i:05d}", path=page) for i in range(DOCUMENTS)],
        prompt=prompt(),
        read_timeout_s=60,
        load_timeout_s=600,
    )
    with RayExecutor(RayOptions(address=cluster.address, workers=WORKERS, cpus=2 / WORKERS)) as executor:
        with EvidenceLog(tmp_path / "evidence.jsonl") as log:
            watch = Watch(began=time.monotonic())
            done = executor.run_pass(asked, log=log, on_reading=watch, recorder=NO_RECORDER)
        ended = time.monotonic()
    starts = ", ".join(f"{seconds / WORKERS:.2f} s {kind}" for kind, seconds in watch.processor_s.items())
    sys.stdout.write(
        f"\n{DOCUMENTS:,} documents of {SLEEP_S} s, {WORKERS} workers, {allowed_cores()} processors: "
        f"{ended - watch.began:.1f} s, efficiency {watch.efficiency(watch.began):.1%}; first answer after "
        f"{watch.times[0] - watch.began:.1f} s, all workers up after {watch.all_up - watch.began:.1f} s "
        f"(processor time by then: {starts}), efficiency from then on {watch.efficiency(watch.all_up):.1%}\n"
    )
    assert len(watch.workers) == WORKERS
    assert len(done.readings) == len(watch.times) == DOCUMENTS
    assert {reading.failure for reading in done.readings.values()} == {None}
    assert watch.efficiency(watch.began) > LIMIT
