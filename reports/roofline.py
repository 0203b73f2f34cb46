"""How far each cell is from what its device could do: measured times over the least that the work can take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import cycle, islice
from statistics import median
from types import MappingProxyType
from typing import Any

from harness.errors import UnsupportedError
from harness.evidence import CeilingsRecord, Evidence, SweepRecord
from harness.model_facts import loaded_facts, number
from harness.results import CellResult
from harness.roofline.ceilings import Floor, first_token_floor, measured_device, request_floor, step_floor
from harness.roofline.loaded import LoadedWork, loaded_work, page_of
from harness.roofline.work import Page
from reports.formatting import escape, format_rate, format_seconds, table
from reports.throughput import SweepStep

__all__ = ["CellDistances", "Distance", "cell_distances", "roofline_json", "roofline_parts"]

_INTRODUCTION = """\
The limit is the least time that the work can take on this device: for each phase (encoding the images, reading the
prompt, each new token) the larger of floating-point operations over the measured rate of a matrix product and bytes
over the measured bandwidth of memory, with the weights read once a phase and once a step for all pages of a batch, and
the cache of keys and values at its mean length. Only matrix products, attention, weights and cache count, so no version
of this model in this precision can be much faster: a faster one leaves work out. Times from the limit: 1 is the limit
itself. The first token and the time per output token are medians over documents read one at a time, and so is their
ratio; images/s is the best of the batch sweep, preparing the images on the host included, which the limit leaves out.
"""
_QUANTISED = """\
Weights in few bits: their bytes as they are stored, scales included; the operations at the rate of the format that the
model computes in, also where LLM.int8 multiplies integers.
"""
_SEVERAL = """\
On several GPUs layers run one device after the other: the limit is that of one device for all of the model.
"""
_BELOW = """\
**Below 1 is no limit:** others slowed the device while it was measured, or the weights fit into a processor's cache,
which is faster than memory. Such a number says nothing.
"""
_WORDS = MappingProxyType({"ttft_s": "first token", "tpot_s": "time per output token", "images_per_s": "images/s"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """One measured number beside its limit."""

    cell: str
    quantity: str
    """`ttft_s`, `tpot_s` or `images_per_s`."""
    batch_size: int
    n: int
    """Documents, or timed requests of the sweep."""
    measured: float
    limit: float
    times: float
    """How many times as long as at the limit."""
    bound_by: str
    """What the limit waits for; see `Floor.bound_by`."""
    contaminated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CellDistances:
    """One cell's distances, and why any of them is not known."""

    cell: str
    device: str | None
    """That was measured for it; None if no load succeeded."""
    dtype: str | None
    in_few_bits: bool
    """Whether weights are stored in fewer than 16 bits."""
    spread: bool
    """Whether it runs on several devices."""
    distances: Sequence[Distance] = ()
    not_known: Sequence[str] = ()


def cell_distances(
    candidates: Sequence[CellResult], evidence: Evidence, sweeps: Sequence[SweepStep]
) -> Sequence[CellDistances]:
    """Every candidate; none at all if the shapes of no model are recorded."""
    if not any("shapes" in loaded_facts(result.loads) for result in candidates):
        return []
    return [_cell(result, evidence, [s for s in sweeps if s.cell == result.cell]) for result in candidates]


def _cell(result: CellResult, evidence: Evidence, sweep: Sequence[SweepStep]) -> CellDistances:
    facts = loaded_facts(result.loads)
    device = next((load.device for load in result.loads if load.failure is None), None)
    plain = CellDistances(
        cell=result.cell,
        device=None if device is None else measured_device(device),
        dtype=dtype if isinstance(dtype := facts.get("dtype"), str) else None,
        in_few_bits=bool(number(facts, "linears_quantized")),
        spread=device == "cuda:all",
    )
    try:
        model = loaded_work(facts, evidence.ceilings.get((str(plain.device), str(plain.dtype))))
    except UnsupportedError as error:
        return replace(plain, not_known=[str(error)])
    single, why_no_single = _single(result, model)
    swept, why_not_swept = _swept(result, evidence, sweep, model)
    return replace(
        plain,
        distances=[*single, *swept],
        not_known=[why for why in (why_no_single, why_not_swept) if why is not None],
    )


def _single(result: CellResult, model: LoadedWork) -> tuple[Sequence[Distance], str | None]:
    """Times of documents that were read one at a time, in one call each."""

    @cache
    def floors(page: Page, output_tokens: int) -> Mapping[str, Floor]:
        request = model.request([page], output_tokens)
        return {
            "ttft_s": first_token_floor(request, model.ceilings),
            "tpot_s": step_floor(request, model.ceilings),
        }

    found: dict[str, list[tuple[float, Floor]]] = {"ttft_s": [], "tpot_s": []}
    for reading in result.readings.values():
        page = page_of(reading)
        if reading.failure is not None or reading.batch_size != 1 or reading.calls != 1 or page is None:
            continue
        for name, pairs in found.items():
            if (seconds := reading.phases.get(name)) is not None:
                pairs.append((seconds, floors(page, reading.output_tokens or 1)[name]))
    if not found["ttft_s"]:
        return [], "first token and time per output token, because no document was read alone and in one call"
    disturbed = result.metrics()["latency_s"].contaminated is not None
    return [
        Distance(
            cell=result.cell,
            quantity=name,
            batch_size=1,
            n=len(pairs),
            measured=median(seconds for seconds, _ in pairs),
            limit=median(floor.seconds for _, floor in pairs),
            times=median(seconds / floor.seconds for seconds, floor in pairs),
            bound_by=sorted(pairs, key=lambda pair: pair[1].seconds)[len(pairs) // 2][1].bound_by,
            contaminated=disturbed,
        )
        for name, pairs in found.items()
        if pairs
    ], None


def _swept(
    result: CellResult, evidence: Evidence, sweep: Sequence[SweepStep], model: LoadedWork
) -> tuple[Sequence[Distance], str | None]:
    """The batch size with the most images a second."""
    rates = [(step.images_per_s[1], step) for step in sweep if step.images_per_s is not None]
    if not rates:
        return [], "images/s, without a batch sweep"
    rate, best = max(rates, key=lambda pair: pair[0])
    if best.output_tokens is None:
        return [], "images/s, because the answers of the sweep have no fixed length"
    pages = _pages_of(evidence.sweeps[result.cell][best.batch_size], result)
    if pages is None:
        return [], "images/s, because the pages of the sweep cannot be told"
    floor = request_floor(model.request(pages, best.output_tokens), model.ceilings)
    limit = best.batch_size / floor.seconds
    return [
        Distance(
            cell=result.cell,
            quantity="images_per_s",
            batch_size=best.batch_size,
            n=best.repetitions,
            measured=rate,
            limit=limit,
            times=limit / rate,
            bound_by=floor.bound_by,
            contaminated=best.contaminated,
        )
    ], None


def _pages_of(step: SweepRecord, result: CellResult) -> Sequence[Page] | None:
    """A sweep takes the documents that were answered, in their order, again and again; its tokens must agree."""
    answered = [d for d in result.documents if d in result.answered]
    pages = [page_of(result.readings[d]) for d in islice(cycle(answered), step.batch_size)]
    known = [page for page in pages if page is not None]
    agree = len(known) == step.batch_size and sum(page.prompt_tokens for page in known) == step.prompt_tokens
    return known if agree else None


def roofline_parts(found: Sequence[CellDistances], ceilings: Iterable[CeilingsRecord]) -> Sequence[str]:
    """The section, in parts; empty if the shapes of no model are recorded."""
    if not found:
        return []
    known = [c for c in found if c.distances]
    notes = [
        _QUANTISED if any(c.in_few_bits for c in known) else "",
        _SEVERAL if any(c.spread for c in known) else "",
        _BELOW if any(d.times < 1 for c in known for d in c.distances) else "",
    ]
    rows = [_row(d) for c in known for d in c.distances]
    header = ["Cell", "What", "Batch", "Measured", "Limit", "Times from the limit", "The limit waits for", "n"]
    reasons: dict[str, list[str]] = {}
    for c in found:
        for why in c.not_known:
            reasons.setdefault(escape(why, 300), []).append(escape(c.cell))
    listed = "".join(f"- {why}: {', '.join(cells)}\n" for why, cells in reasons.items())
    return [
        _INTRODUCTION,
        *(note for note in notes if note),
        *([table(header, rows, "llrrrrlr")] if rows else []),
        *([f"Not known:\n\n{listed}"] if listed else []),
        *_ceilings_parts(ceilings),
    ]


def _row(d: Distance) -> list[str]:
    write = format_rate if d.quantity == "images_per_s" else format_seconds
    n = f"{d.n}{', **contaminated**' if d.contaminated else ''}"
    times = f"**{format_rate(d.times)}**"
    return [
        escape(d.cell),
        _WORDS[d.quantity],
        str(d.batch_size),
        write(d.measured),
        write(d.limit),
        times,
        d.bound_by,
        n,
    ]


def _ceilings_parts(ceilings: Iterable[CeilingsRecord]) -> Sequence[str]:
    """What the devices did."""
    rows = [
        [
            escape(c.device if c.name in (None, "CPU") else f"{c.device} ({c.name})"),
            escape(c.dtype),
            f"{format_rate(c.bandwidth_bytes_per_s / 1e9)} GB/s",
            f"{format_rate(c.matmul_flops_per_s / 1e12)} TFLOP/s",
            escape(c.how or "", 400),
        ]
        for c in ceilings
        if c.failure is None and c.bandwidth_bytes_per_s and c.matmul_flops_per_s
    ]
    if not rows:
        return []
    return [
        "The devices, measured in a process of their own:\n",
        table(["Device", "Dtype", "Memory", "Matrix product", "How"], rows, "llrrl"),
    ]


def roofline_json(found: Sequence[CellDistances], ceilings: Iterable[CeilingsRecord]) -> dict[str, Any]:
    """For report.json: SI units, null where nothing was measured."""
    return {"ceilings": [asdict(c) for c in ceilings], "cells": [asdict(c) for c in found]}
