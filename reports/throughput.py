"""Batch sweeps: how many pages a second at which batch size, until memory ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from harness.cells import Failure
from harness.evidence import Evidence, SweepRecord
from reports.formatting import MISSING, escape, format_bytes, format_rate, format_seconds, table

__all__ = ["SweepStep", "sweep_steps", "throughput_parts"]

_FIXED = """\
So many pages at once, each answered with exactly the number of tokens told, whatever the model would have said: with a
free length, a wordy answer would pass for a slow model. One untimed request comes before the timed ones. Images/s and
times are medians of the timed requests, with lowest and highest in brackets, which are no intervals; times of one
request are the median of its pages. Images/s counts the whole request; the time to first token starts once the images
are prepared and the prompt begins to be read. Per output token: from a page's first token to its last, over the others.
Between tokens: the median time from one token of a page to the next, which is shorter where answers wait now and then
while the prompts of other pages are read, as under *fast*. Prefill: tokens of all prompts over the time to first token,
where all prompts are read together; image tokens are among them where the model reads them in its prompt, and not where
it attends to images beside it, as Mllama does, so compare it within one architecture. Decode: one token of each page
over the time between tokens, or per output token where a log does not tell that. A size that failed is a row, with the
failure.
"""
_FREE = """\
**Output length free:** {which}. A batch then takes as long as its longest answer, and a larger batch has a longer
longest answer: these rates tell of the answers as much as of the batch size, no batch size can be recommended from
them, and they are not to be compared with those of a fixed length.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStep:
    """One batch size of one cell. Rates are None where the step failed or was not timed; tuples are low, mid, high."""

    cell: str
    batch_size: int
    output_tokens: int | None
    """Of each page, exactly; None where the length was left free."""
    repetitions: int
    images_per_s: tuple[float, float, float] | None
    prefill_tok_per_s: float | None
    decode_tok_per_s: float | None
    ttft_s: tuple[float, float, float] | None
    tpot_s: tuple[float, float, float] | None
    itl_s: tuple[float, float, float] | None
    """Of logs from before it was measured, None."""
    peak_bytes: int | None
    peak_of: str | None
    """What `peak_bytes` is: `driver`, all devices, less what was in use before; `allocator`; `host` (resident)."""
    predicted_bytes: int | None
    """Of tensors at the peak, before it began; None where the runtime does not work that out."""
    tensor_bytes: int | None
    """The same as measured, by the allocator."""
    contaminated: bool
    """Whether others were on a device, or its clocks were held down."""
    failure: Failure | None
    message: str | None


def sweep_steps(evidence: Evidence) -> Sequence[SweepStep]:
    """Every step of every sweep, cells in order of appearance, batches from the smallest."""
    found = [_step(steps[size]) for steps in evidence.sweeps.values() for size in sorted(steps)]
    return found if evidence.disturbance is None else [replace(step, contaminated=True) for step in found]


def _step(record: SweepRecord) -> SweepStep:
    peak, of = _peak(record)
    timed = record.failure is None
    ttft, tpot, itl = (_spread(values) if timed else None for values in (record.ttft_s, record.tpot_s, record.itl_s))
    read_s = ttft[1] if ttft and record.read_together else None
    step_s = (itl or tpot or (None, None))[1]
    return SweepStep(
        cell=record.cell,
        batch_size=record.batch_size,
        output_tokens=record.output_tokens,
        repetitions=len(record.seconds) if timed else 0,
        images_per_s=_spread([record.batch_size / s for s in record.seconds if s > 0]) if timed else None,
        prefill_tok_per_s=record.prompt_tokens / read_s if read_s and record.prompt_tokens else None,
        decode_tok_per_s=record.batch_size / step_s if step_s else None,
        ttft_s=ttft,
        tpot_s=tpot,
        itl_s=itl,
        peak_bytes=peak,
        peak_of=of,
        predicted_bytes=record.predicted_peak_bytes,
        tensor_bytes=sum(a.allocated_bytes for a in record.allocator) or None,
        contaminated=any(d.is_contaminated for d in record.devices),
        failure=record.failure,
        message=record.message,
    )


def _spread(values: Sequence[float]) -> tuple[float, float, float] | None:
    """Lowest, median and highest of what is above 0."""
    known = [v for v in values if v > 0]
    return (min(known), median(known), max(known)) if known else None


def _peak(record: SweepRecord) -> tuple[int | None, str | None]:
    """The highest use of memory: of all devices by the driver, or by the allocator if that is more; or the host."""
    used = [
        d.used_bytes - d.before_bytes for d in record.devices if d.used_bytes is not None and d.before_bytes is not None
    ]
    driver = sum(used) if used and len(used) == len(record.devices) else 0
    reserved = sum(a.reserved_bytes for a in record.allocator)
    if driver or reserved:  # the driver's are samples, which can miss a short peak
        return (driver, "driver") if driver >= reserved else (reserved, "allocator")
    host = None if record.devices else record.memory.peak_rss_bytes
    return host, None if host is None else "host"


def throughput_parts(steps: Sequence[SweepStep], drawn: Mapping[str, str]) -> Sequence[str]:
    """The section, in parts; empty without a sweep."""
    if not steps:
        return []
    lengths = sorted({s.output_tokens for s in steps if s.output_tokens is not None})
    free = list(dict.fromkeys(escape(s.cell) for s in steps if s.output_tokens is None))
    stated = f"Output length, fixed: {', '.join(map(str, lengths))} tokens a page.\n" if lengths else ""
    caveat = _FREE.format(which=", ".join(free)) if free else ""
    parts = [_FIXED if lengths else "", stated, caveat, _table(steps), drawn.get("throughput", "")]
    return [part for part in parts if part]


def _table(steps: Sequence[SweepStep]) -> str:
    rows = []
    is_predicted = any(s.predicted_bytes is not None for s in steps)
    for s in steps:
        row = [escape(s.cell), str(s.batch_size), "free" if s.output_tokens is None else str(s.output_tokens)]
        if s.failure is not None:
            row += [f"**{s.failure.value}**", *[""] * 5, _peak_text(s), _first_line(s.message)]
        else:
            rates = [MISSING if r is None else format_rate(r) for r in (s.prefill_tok_per_s, s.decode_tok_per_s)]
            times = [_ranged(t, format_seconds) for t in (s.ttft_s, s.tpot_s, s.itl_s)]
            row += [_ranged(s.images_per_s, format_rate), *rates, *times, _peak_text(s), _requests(s)]
        rows.append([*row, _predicted(s)] if is_predicted else row)
    header = ["Cell", "Batch", "Output tokens each", "Images/s", "Prefill tok/s", "Decode tok/s", "First token"]
    header += ["Per output token", "Between tokens", "Peak memory", "Requests timed, or why none"]
    header += ["Tensors at the peak, predicted and measured"] if is_predicted else []
    return table(header, rows, "lrrrrrrrrrl")


def _predicted(step: SweepStep) -> str:
    if step.tensor_bytes is None:
        return MISSING
    if step.predicted_bytes is None:
        return f"not predicted, {format_bytes(step.tensor_bytes)}"
    off = step.predicted_bytes / step.tensor_bytes - 1
    return f"{format_bytes(step.predicted_bytes)}, {format_bytes(step.tensor_bytes)} ({off:+.1%})"


def _peak_text(step: SweepStep) -> str:
    if step.peak_bytes is None:
        return MISSING
    return f"{format_bytes(step.peak_bytes)}{'' if step.peak_of == 'driver' else f' ({step.peak_of})'}"


def _requests(step: SweepStep) -> str:
    """How many requests were timed, or what the source of an imported step tells of them."""
    told = _first_line(step.message) or str(step.repetitions)
    return f"{told}{', **contaminated**' if step.contaminated else ''}"


def _first_line(message: str | None) -> str:
    lines = (message or "").strip().splitlines()
    return escape(lines[0], 200) if lines else ""


def _ranged(values: tuple[float, float, float] | None, write: Callable[[float], str]) -> str:
    if values is None:
        return MISSING
    low, mid, high = values
    return write(mid) if low == high else f"{write(mid)} [{write(low)}, {write(high)}]"
