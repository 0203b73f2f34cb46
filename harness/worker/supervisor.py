"""The supervisor: keeps one cell answering through crashes, hangs and kills, and records each by its type."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

from harness.cells import Cell, Failure
from harness.evidence import CellRecord, MemoryPeak, ReadingRecord
from harness.provenance import allowed_cores
from harness.worker.process import Lost, WorkerProcess
from harness.worker.protocol import Answered, Load, Loaded, LoadFailed, Message, Read, ReadFailed, Ready

__all__ = ["CellWorker"]


class CellWorker:
    """A cell's worker, replaced by a fresh one when it is lost. A context manager; not for several threads.

    No fault of the worker raises here: each becomes a record with its `failure`, whose message begins with a
    one-line summary and goes on with what the process last printed. On Linux a worker dies with the thread
    that started it.
    """

    def __init__(
        self,
        cell: Cell,
        *,
        prompt: str,
        load_timeout_s: float = 600,
        read_timeout_s: float = 120,
        threads: int | None = None,
        max_consecutive_failures: int = 3,
    ) -> None:
        """Start nothing yet.

        `load_timeout_s` covers starting the process and loading. `threads` bounds each library's thread pool;
        by default it is the number of cores that this process may use. After `max_consecutive_failures`
        workers lost in a row, the rest is not run.
        """
        self.cell = cell
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

    def read(self, document: str, path: Path) -> ReadingRecord:
        """Have the image at `path` answered, by a fresh worker if the last one was lost."""
        if self._given_up is None:
            self.load()
        if self._given_up is not None or self._process is None:
            return self._failed(document, Failure.NOT_RUN, f"not run: {self._given_up}", MemoryPeak())
        request = Read(path=str(path.absolute()))
        reply, memory = self._exchange(self._process, request, self._read_timeout_s)
        match reply:
            case Answered():
                self._lost_in_a_row = 0
                return ReadingRecord(
                    cell=self.cell.id,
                    document=document,
                    text=reply.text,
                    latency_s=reply.latency_s,
                    phases=reply.phases,
                    prompt_tokens=reply.prompt_tokens,
                    output_tokens=reply.output_tokens,
                    stop=reply.stop,
                    memory=memory,
                )
            case ReadFailed(fatal=False):
                self._lost_in_a_row = 0
            case ReadFailed() | Lost():
                self._count_loss(reply)
            case _:
                reply = Lost(failure=Failure.CRASH, message=f"the worker broke the protocol: {type(reply).__name__}")
                self._count_loss(reply)
        return self._failed(document, reply.failure, reply.message, memory)

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
        started = time.monotonic()
        try:
            self._process = process = WorkerProcess(threads=self._threads)
        except OSError as error:
            return self._load_record(failure=Failure.ERROR, message=f"the worker process cannot start: {error}")
        ready, _ = self._exchange(process, None, self._load_timeout_s)
        spawn_s = time.monotonic() - started
        if not isinstance(ready, Ready):
            return self._load_failure(ready, None, MemoryPeak())
        request = Load(backend=self.cell.backend, prompt=self._prompt)
        reply, memory = self._exchange(process, request, max(0.0, self._load_timeout_s - spawn_s))
        if not isinstance(reply, Loaded):
            return self._load_failure(reply, spawn_s, memory)
        return self._load_record(
            load_s=reply.load_s,
            spawn_s=spawn_s,
            memory=memory,
            facts={"threads": self._threads, **reply.facts},
        )

    def _exchange(
        self, process: WorkerProcess, request: Message | None, timeout_s: float
    ) -> tuple[Message | Lost, MemoryPeak]:
        try:
            reply, memory = process.exchange(request, timeout_s=timeout_s)
        except BaseException:
            self._process = None  # it has killed itself
            raise
        if isinstance(reply, Lost):
            self._process = None
        return reply, memory

    def _count_loss(self, reply: ReadFailed | Lost) -> None:
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

    def _load_failure(self, reply: Message | Lost, spawn_s: float | None, memory: MemoryPeak) -> CellRecord:
        failure, message = Failure.CRASH, f"the worker broke the protocol: {type(reply).__name__}"
        if isinstance(reply, LoadFailed | Lost):
            failure = Failure.LOAD_OOM if reply.failure is Failure.RUN_OOM else reply.failure
            message = reply.message
        return self._load_record(failure=failure, message=message, spawn_s=spawn_s, memory=memory)

    def _load_record(
        self,
        *,
        failure: Failure | None = None,
        message: str | None = None,
        load_s: float | None = None,
        spawn_s: float | None = None,
        memory: MemoryPeak = MemoryPeak(),  # noqa: B008 - frozen
        facts: Mapping[str, str | bool | int | float] = MappingProxyType({}),
    ) -> CellRecord:
        cell = self.cell
        return CellRecord(
            cell=cell.id,
            backend=cell.backend,
            quantization=cell.quantization,
            runtime=cell.runtime,
            device=cell.device,
            role=cell.role,
            failure=failure,
            message=message,
            load_s=load_s,
            spawn_s=spawn_s,
            memory=memory,
            facts=dict(facts),
            restart=self._starts,
        )

    def _failed(self, document: str, failure: Failure, message: str, memory: MemoryPeak) -> ReadingRecord:
        return ReadingRecord(cell=self.cell.id, document=document, failure=failure, message=message, memory=memory)


def _summary(message: str | None) -> str:
    return (message or "").partition("\n")[0]
