"""The batch sweep: how many pages a minute at which batch size, every page answered with equally many tokens."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from types import MappingProxyType

from harness.backends import BackendRequest
from harness.batching import per_unit, rate
from harness.cells import Cell, Failure, Role
from harness.device_use import step_contamination
from harness.documents import Document
from harness.evidence import CellRecord, EvidenceLog, ReadingRecord, SweepRecord
from harness.metrics import Metric, measured, not_measured
from harness.prompts import Prompt
from harness.worker.supervisor import CellWorker

__all__ = ["DEFAULT_OUTPUT_TOKENS", "DOUBLING", "Sweep", "best_step", "run_sweep", "step_rate"]

DEFAULT_OUTPUT_TOKENS = 128
"""Length of every answer where none is asked for."""
DOUBLING = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Batch sizes of a sweep that goes on until memory ends."""
_PATIENCE = 10
"""A page may take so many times longer than in the batch before: one that hangs must not hold the device for hours."""
_UNTIMED = 1
_TIMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The steps of one sweep, by batch size, from the smallest."""

    steps: Mapping[int, SweepRecord]
    """Those taken over from an earlier run included."""
    fresh: frozenset[int]
    """Batch sizes measured in this sweep: only these may be judged on time or memory."""

    @property
    def ended_by(self) -> SweepRecord | None:
        """The step that ended the sweep for another reason than memory, which is no end that a sweep looks for."""
        return next((s for s in self.steps.values() if s.failure not in (None, Failure.RUN_OOM)), None)


def run_sweep(
    cell: Cell,
    documents: Sequence[Document],
    *,
    request: BackendRequest,
    prompt: Prompt,
    output_tokens: int,
    sizes: Sequence[int] = DOUBLING,
    log: EvidenceLog,
    earlier: Mapping[int, SweepRecord] = MappingProxyType({}),
    read_timeout_s: float,
    load_timeout_s: float,
    on_step: Callable[[SweepRecord], None] = lambda step: None,
) -> Sweep:
    """Give one worker of `cell` batches of growing size, until one fails; each step is in `log` before the next.

    `request` must make every answer `output_tokens` long (`min_new_tokens` = `max_new_tokens`): a step with any other
    length has failed. The documents, at least one, are cycled. After an out-of-memory the worker is replaced and the
    size half-way to the last one that fitted is tried, once. Steps of `earlier` that are complete are not measured
    again. `read_timeout_s` is for each page of the first batch; later ones are given less, by what pages took before.
    No fault of the worker raises.
    """
    if not documents or not sizes:
        raise ValueError("a sweep needs at least one document and one batch size")
    largest = max(sizes)
    worker_cell = replace(cell, role=Role.CHECK, batch_size=largest, sweep=True)
    steps: dict[int, SweepRecord] = {}
    fresh: set[int] = set()
    with CellWorker(
        worker_cell, request, prompt=prompt.text, load_timeout_s=load_timeout_s, read_timeout_s=read_timeout_s
    ) as worker:

        def take(size: int) -> SweepRecord:
            found = earlier.get(size)
            if found is None or not _is_final(found, output_tokens):
                pages = [(d.name, d.path) for d in itertools.islice(itertools.cycle(documents), size)]
                limit_s = read_timeout_s + _PATIENCE * size * page_s if page_s else read_timeout_s * size
                found = _step(worker, cell.id, pages, output_tokens, limit_s)
                for load in worker.take_loads():
                    log.append(load)
                log.append(found)
                fresh.add(size)
            steps[size] = found
            on_step(found)
            return found

        fitted, page_s = 0, 0.0
        for size in sorted(set(sizes)):
            taken = take(size)
            failure = taken.failure
            if failure is Failure.RUN_OOM and fitted < (between := (fitted + size) // 2):
                take(between)
            if failure is not None:
                break
            fitted, page_s = size, max(taken.seconds, default=0.0) / size
    return Sweep(steps=dict(sorted(steps.items())), fresh=frozenset(fresh))


def _is_final(step: SweepRecord, output_tokens: int) -> bool:
    return step.failure in (None, Failure.RUN_OOM) and step.output_tokens == output_tokens


def _step(
    worker: CellWorker, cell: str, pages: Sequence[tuple[str, Path]], output_tokens: int, timeout_s: float
) -> SweepRecord:
    """One untimed request and the timed ones, or how it failed."""
    plain = SweepRecord(cell=cell, batch_size=len(pages), output_tokens=output_tokens)
    load = worker.load()
    if load.failure is not None:
        return _failed(plain, load.failure, load.message, load)
    requests = []
    for _ in range(_UNTIMED + _TIMED):
        readings = worker.read_together(pages, timeout_s=timeout_s)
        if (fault := _fault(readings, output_tokens)) is not None:
            return _failed(plain, *fault, readings[0])
        requests.append(readings)
    timed = requests[_UNTIMED:]
    first = [readings[0] for readings in timed]
    highest = max(first, key=_use)
    counts = [reading.prompt_tokens for reading in timed[0]]
    return replace(
        plain,
        seconds=[reading.latency_s for reading in first if reading.latency_s is not None],
        ttft_s=_of_pages("ttft_s", timed),
        tpot_s=_of_pages("tpot_s", timed),
        itl_s=_of_pages("itl_s", timed),
        read_together=all(len({reading.phases.get("ttft_s") for reading in request}) == 1 for request in timed),
        prompt_tokens=sum(n for n in counts if n is not None) if None not in counts else None,
        message=_reduced(timed[0][0], len(timed)),
        memory=highest.memory,
        devices=highest.devices,
        allocator=highest.allocator,
        predicted_peak_bytes=_whole(highest.facts.get("predicted_peak_bytes")),
    )


def _whole(told: object) -> int | None:
    return told if isinstance(told, int) else None


def _of_pages(phase: str, requests: Sequence[Sequence[ReadingRecord]]) -> Sequence[float]:
    """The median over the pages of each request in which any tells it."""
    told = [[page.phases[phase] for page in request if phase in page.phases] for request in requests]
    return [median(seconds) for seconds in told if seconds]


def _fault(readings: Sequence[ReadingRecord], output_tokens: int) -> tuple[Failure, str | None] | None:
    """Why a request is no measurement: a page without an answer, or an answer of another length."""
    for reading in readings:
        if reading.failure is not None:
            return reading.failure, reading.message
    lengths = {reading.output_tokens for reading in readings}
    if lengths == {output_tokens}:
        return None
    told = ", ".join(sorted("an untold number" if n is None else str(n) for n in lengths))
    return Failure.ERROR, f"answers of {told} tokens, where each was to have exactly {output_tokens}"


def _reduced(reading: ReadingRecord, timed: int) -> str | None:
    """What there is to say of a request whose pages did not all fit at once."""
    slots, asked = (reading.facts.get(name) for name in ("slots", "slots_asked"))
    return None if asked is None else f"{timed}; {slots} pages at a time: {asked} would not fit into memory"


def _failed(step: SweepRecord, failure: Failure, message: str | None, of: ReadingRecord | CellRecord) -> SweepRecord:
    """The step as a failure, with what it used until then: a peak before an out-of-memory is a peak."""
    allocator = of.allocator if isinstance(of, ReadingRecord) else []
    return replace(step, failure=failure, message=message, memory=of.memory, devices=of.devices, allocator=allocator)


def _use(reading: ReadingRecord) -> tuple[int, int, int]:
    """How much memory a request took: by the driver, the allocator, and on the host."""
    return (
        sum(device.used_bytes or 0 for device in reading.devices),
        sum(peak.reserved_bytes for peak in reading.allocator),
        reading.memory.peak_rss_bytes or 0,
    )


def step_rate(step: SweepRecord) -> Metric:
    """`docs_per_min` of one step, with the t interval over its requests; not measured if it failed."""
    if step.failure is not None or not step.seconds or min(step.seconds) <= 0:
        return not_measured("docs_per_min")
    found = rate(per_unit([(step.batch_size, seconds) for seconds in step.seconds]), 60)
    return replace(measured("docs_per_min", found), contaminated=step_contamination(step))


def best_step(sweep: Sweep) -> SweepRecord | None:
    """The fresh step with the highest rate; None without one."""
    rates = {size: step_rate(sweep.steps[size]).value for size in sweep.fresh}
    known = {size: rate for size, rate in rates.items() if rate is not None}
    return sweep.steps[max(known, key=lambda size: known[size])] if known else None
