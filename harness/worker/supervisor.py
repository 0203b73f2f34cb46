"""The supervisor: keeps one cell answering through crashes, hangs and kills, and records each by its type."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from harness.backends.protocol import BackendRequest, Setting
from harness.cells import Cell, Failure
from harness.evidence import CellRecord, MemoryPeak, ReadingRecord
from harness.instruments.energy import DeviceSampler, device_sampler
from harness.model_facts import number
from harness.provenance import allowed_cores
from harness.worker.process import Lost, Use, WorkerProcess
from harness.worker.protocol import Answered, Answers, Load, Loaded, LoadFailed, Message, Read, ReadFailed, Ready

__all__ = ["CellWorker", "request_for"]


class CellWorker:
    """A cell's worker, replaced by a fresh one when it is lost. A context manager; not for several threads.

    No fault of the worker raises here: each becomes a record with its `failure`, whose message begins with a
    one-line summary and goes on with what the process last printed. On Linux a worker dies with the thread
    that started it.
    """

    def __init__(
        self,
        cell: Cell,
        request: BackendRequest | None = None,
        *,
        prompt: str,
        load_timeout_s: float = 600,
        read_timeout_s: float = 120,
        threads: int | None = None,
        max_consecutive_failures: int = 3,
    ) -> None:
        """Start nothing yet.

        `request` is what to construct for the cell; by default, the backend that the cell's model is the name of.
        `load_timeout_s` covers starting the process and loading; `read_timeout_s` is for one document, and a batch
        has as many times that. `threads` bounds each library's thread pool;
        by default it is the number of cores that this process may use. After `max_consecutive_failures`
        workers lost in a row, the rest is not run.
        """
        self.cell = cell
        self._request = request or request_for(cell)
        self._prompt = prompt
        self._load_timeout_s = load_timeout_s
        self._read_timeout_s = read_timeout_s
        self._threads = allowed_cores() if threads is None else threads
        self._max_consecutive_failures = max_consecutive_failures
        self._process: WorkerProcess | None = None
        self._last_load: CellRecord | None = None
        self._new_loads: list[CellRecord] = []
        self._starts = 0
        self._lost_in_a_row = 0
        self._given_up: str | None = None
        self._batches_lost_in_a_row = 0
        self._batch_given_up: Failure | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process id of the worker that is alive now, which is also the id of its process group."""
        return None if self._process is None else self._process.pid

    def load(self) -> CellRecord:
        """Make sure that a worker is loaded; return the record of the latest load, failed or not."""
        if self._closed:
            raise RuntimeError(f"the worker of cell {self.cell.id} is closed")
        if self._last_load is not None and (self._process is not None or self._given_up is not None):
            return self._last_load
        record = self._start()
        self._starts += 1
        self._last_load = record
        self._new_loads.append(record)
        if record.failure is not None:
            self._discard()
            self._given_up = f"the worker could not be loaded: {record.failure}: {_summary(record.message)}"
        return record

    def take_loads(self) -> list[CellRecord]:
        """The loads since the last call, the first one and each restart, in order."""
        loads, self._new_loads = self._new_loads, []
        return loads

    def read(self, document: str, path: Path, *, prompt: str | None = None) -> ReadingRecord:
        """Have the image at `path` answered, by a fresh worker if the last one was lost; `prompt` as in read_batch."""
        return self.read_together([(document, path)], prompt=prompt)[0]

    def read_together(
        self, documents: Sequence[tuple[str, Path]], *, prompt: str | None = None, timeout_s: float | None = None
    ) -> list[ReadingRecord]:
        """Have images answered in one request; where that comes to nothing, it has for all of them.

        `timeout_s` is for the request; by default, as many times that of one document as there are documents.
        `prompt` as in read_batch.
        """
        outcome, use = self._ask([path for _, path in documents], timeout_s, prompt)
        if isinstance(outcome, Answers):
            return self._records([name for name, _ in documents], outcome.results, use)
        if outcome.failure is not Failure.NOT_RUN:
            self._count_loss(outcome)
        return [self._failed(name, outcome.failure, outcome.message, use) for name, _ in documents]

    def read_batch(
        self,
        documents: Sequence[tuple[str, Path]],
        *,
        prompt: str | None = None,
        on_alone: Callable[[ReadingRecord], None] = lambda reading: None,
    ) -> list[ReadingRecord]:
        """Have several images, by document name, answered at once: about all of them `prompt`, or the worker's own.

        If that comes to nothing for all of them (a crash, a timeout, memory, an exception), each is read again
        alone, so that only a document which fails alone has failed; `batch_failure` says so, and `on_alone` is told
        of each when it is there. After `max_consecutive_failures` batches in a row that came to nothing, no more are
        tried.
        """
        if len(documents) < 2:
            return [self.read(*document, prompt=prompt) for document in documents]
        failure = self._batch_given_up
        if failure is None:
            outcome, use = self._ask([path for _, path in documents], prompt=prompt)
            if isinstance(outcome, Answers):
                self._batches_lost_in_a_row = 0
                return self._records([name for name, _ in documents], outcome.results, use)
            if outcome.failure is Failure.NOT_RUN:
                return [self._failed(name, outcome.failure, outcome.message, use) for name, _ in documents]
            failure = outcome.failure
            self._batches_lost_in_a_row += 1
            if self._batches_lost_in_a_row >= self._max_consecutive_failures:
                self._batch_given_up = failure
            if isinstance(outcome, Lost) or outcome.fatal:  # no document's loss yet: reading alone will tell whose
                self._discard()
        readings = []
        for document in documents:
            readings.append(replace(self.read(*document, prompt=prompt), batch_failure=failure))
            on_alone(readings[-1])
        return readings

    def _ask(
        self, paths: Sequence[Path], timeout_s: float | None = None, prompt: str | None = None
    ) -> tuple[Answers | ReadFailed | Lost, Use]:
        """Have images answered by a loaded worker; NOT_RUN if there can be none."""
        if self._given_up is None:
            self.load()
        if self._given_up is not None or self._process is None:
            return ReadFailed(failure=Failure.NOT_RUN, message=f"not run: {self._given_up}"), Use()
        request = Read(paths=[str(path.absolute()) for path in paths], prompt=prompt)
        limit_s = self._read_timeout_s * len(paths) if timeout_s is None else timeout_s
        reply, use = self._exchange(self._process, request, limit_s)
        match reply:
            case Answers() if len(reply.results) == len(paths):
                self._lost_in_a_row = 0
                return reply, use
            case ReadFailed() | Lost():
                return reply, use
        fault = f"the worker broke the protocol: {type(reply).__name__}"
        return ReadFailed(failure=Failure.CRASH, message=fault, fatal=True), use

    def close(self) -> None:
        """End the worker: politely, then by force. May be called again."""
        self._closed = True
        if self._process is not None:
            self._process.close()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _start(self) -> CellRecord:
        devices = self._rested_devices()
        started = time.monotonic()
        try:
            settings = self._request.settings
            self._process = process = WorkerProcess(
                threads=self._threads,
                online=bool(settings.get("allow_network")),
                key_variable=str(settings.get("key_variable", "")),
                devices=devices,
            )
        except OSError as error:
            return self._load_record(failure=Failure.ERROR, message=f"the worker process cannot start: {error}")
        ready, _ = self._exchange(process, None, self._load_timeout_s)
        spawn_s = time.monotonic() - started
        if not isinstance(ready, Ready):
            return self._load_failure(ready, None, Use())
        request = Load(**_values(self._request), prompt=self._prompt, batch_size=self.cell.batch_size)
        reply, use = self._exchange(process, request, max(0.0, self._load_timeout_s - spawn_s))
        if not isinstance(reply, Loaded):
            return self._load_failure(reply, spawn_s, use)
        return self._load_record(
            load_s=reply.load_s,
            spawn_s=spawn_s,
            use=use,
            facts={"threads": self._threads, **reply.facts},
        )

    def _rested_devices(self) -> DeviceSampler:
        """What watches the accelerators of the next worker, which it has seen at rest; on a CPU there is no waiting."""
        devices = device_sampler(self._request.device)
        try:
            devices.rest()
        except BaseException:
            devices.close()
            raise
        return devices

    def _exchange(
        self, process: WorkerProcess, request: Message | None, timeout_s: float
    ) -> tuple[Message | Lost, Use]:
        try:
            reply, use = process.exchange(request, timeout_s=timeout_s)
        except BaseException:
            self._process = None  # it has killed itself
            raise
        if isinstance(reply, Lost):
            self._process = None
        return reply, use

    def _count_loss(self, reply: ReadFailed | Lost) -> None:
        """Note that a document ended without an answer; if that cost its worker, the next one gets a fresh one."""
        if isinstance(reply, ReadFailed) and not reply.fatal:
            self._lost_in_a_row = 0
            return
        self._discard()
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= self._max_consecutive_failures:
            self._given_up = (
                f"{self._lost_in_a_row} workers in a row were lost, "
                f"the last one to {reply.failure}: {_summary(reply.message)}"
            )

    def _discard(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _load_failure(self, reply: Message | Lost, spawn_s: float | None, use: Use) -> CellRecord:
        failure, message = Failure.CRASH, f"the worker broke the protocol: {type(reply).__name__}"
        if isinstance(reply, LoadFailed | Lost):
            failure = Failure.LOAD_OOM if reply.failure is Failure.RUN_OOM else reply.failure
            message = reply.message
        return self._load_record(failure=failure, message=message, spawn_s=spawn_s, use=use)

    def _load_record(
        self,
        *,
        failure: Failure | None = None,
        message: str | None = None,
        load_s: float | None = None,
        spawn_s: float | None = None,
        use: Use = Use(),  # noqa: B008 - frozen
        facts: Mapping[str, Setting] = MappingProxyType({}),
    ) -> CellRecord:
        return CellRecord.of(
            self.cell,
            failure=failure,
            message=message,
            load_s=load_s,
            spawn_s=spawn_s,
            memory=self._memory(use),
            devices=use.devices,
            facts=dict(facts),
            restart=self._starts,
        )

    def _records(
        self, documents: Sequence[str], results: Sequence[Answered | ReadFailed], use: Use
    ) -> list[ReadingRecord]:
        together = sum(isinstance(r, Answered) or r.decoded for r in results)
        return [
            self._answered(document, result, together, use)
            if isinstance(result, Answered)
            else self._failed(document, result.failure, result.message, use)
            for document, result in zip(documents, results, strict=True)
        ]

    def _answered(self, document: str, answer: Answered, batch_size: int, use: Use) -> ReadingRecord:
        return ReadingRecord(
            cell=self.cell.id,
            document=document,
            text=answer.text,
            latency_s=answer.latency_s,
            phases=answer.phases,
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            stop=answer.stop,
            path=answer.path,
            calls=answer.calls,
            batch_size=batch_size,
            attempts=answer.attempts,
            allocator=answer.allocator,
            facts=answer.facts,
            memory=self._memory(use, answer.facts),
            devices=use.devices,
        )

    def _memory(self, use: Use, facts: Mapping[str, Setting] = MappingProxyType({})) -> MemoryPeak:
        """The model's host memory: the worker's own, or of a served model what the backend saw of its server."""
        if "base_url" not in self._request.settings:
            return use.memory
        peak, samples = (number(facts, f"server_{name}") for name in ("peak_rss_bytes", "memory_samples"))
        return MemoryPeak(rss_bytes=peak, samples=samples or 0)

    def _failed(self, document: str, failure: Failure, message: str, use: Use) -> ReadingRecord:
        return ReadingRecord(
            cell=self.cell.id,
            document=document,
            failure=failure,
            message=message,
            memory=self._memory(use),
            devices=use.devices,
        )


def request_for(cell: Cell) -> BackendRequest:
    """What to construct for a cell whose model is the name of a backend."""
    return BackendRequest(
        backend=cell.model,
        quantization=cell.quantization,
        runtime=cell.runtime,
        device=cell.device,
        strategy=cell.strategy,
    )


def _values(request: BackendRequest) -> dict[str, Any]:
    return {field.name: getattr(request, field.name) for field in fields(BackendRequest)}


def _summary(message: str | None) -> str:
    return (message or "").partition("\n")[0]
