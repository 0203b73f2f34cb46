"""What answers cost: the metrics of time, memory and energy over readings and loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, median

from harness.batching import batches, per_unit, rate
from harness.device_use import contamination, energy_metrics, load_contamination
from harness.evidence import CellRecord, MemoryPeak, ReadingRecord
from harness.ledger import VramLedger, peak_vram
from harness.metrics import Metric, Status, measured, not_measured
from harness.statistics import Estimate, mean_interval, quantile_interval, standard_deviation

__all__ = ["MINIMUM_MEMORY_SAMPLES", "cost_metrics", "median_latency", "memory_samples"]

MINIMUM_MEMORY_SAMPLES = 3
"""Fewer samples during inference than this, and the peak counts as not measured."""

_LATENCIES = {"latency_s": 0.5, "latency_p90_s": 0.9, "latency_p95_s": 0.95, "latency_p99_s": 0.99}


def cost_metrics(
    attempted: Sequence[ReadingRecord],
    loads: Sequence[CellRecord],
    ledgers: Mapping[str, VramLedger],
    *,
    disturbed: bool = True,
) -> dict[str, Metric]:
    """Those metrics of what answers cost that can be told of some readings of a cell, failed ones among them.

    `ledgers`: of the device memory of these readings. `disturbed` is False where no device told of a disturbance, which
    saves looking for one in every request.
    """
    answers = [r for r in attempted if r.failure is None]
    found = {}
    if calls := [r.calls for r in answers if r.latency_s is not None]:
        found["calls_per_document"] = measured("calls_per_document", mean_interval(calls))
    found |= _contaminated(_speed(answers, loads), contamination(batches(answers)) if disturbed else None)
    # a peak before an out-of-memory is a peak
    found |= _memory(batches(attempted), ledgers, disturbed)
    if (lost := _lost_batches(attempted)) is not None:
        found = _contaminated(found, lost)
    return found | _load(loads)


def _lost_batches(attempted: Sequence[ReadingRecord]) -> str | None:
    """Why times, energy and peaks are not those of batches: what lost batches took is in none of them."""
    alone = [r.batch_failure for r in attempted if r.batch_failure is not None]
    if not alone:
        return None
    return f"{len(alone)} documents were read alone, after batches that ended in {', '.join(sorted(set(alone)))}"


def median_latency(answers: Sequence[ReadingRecord], *, disturbed: bool = True) -> Metric:
    """The metric `latency_s` of some answers; `disturbed` as in `cost_metrics`."""
    found = _quantile("latency_s", _latencies(_timed(answers)), 0.5)
    return replace(found, contaminated=contamination(batches(answers)) if disturbed else None)


def _quantile(name: str, requests: Iterable[Sequence[float]], q: float) -> Metric:
    """A quantile over the documents of all requests. Its bounds and n are over requests: one is a single sample.

    Of a request whose documents have times of their own, that sample is their median.
    """
    told = [times for times in requests if times]
    if not told:
        return not_measured(name)
    if all(len(times) == 1 for times in told):
        return measured(name, quantile_interval([times[0] for times in told], q))
    found = quantile_interval([median(times) for times in told], q)
    value = quantile_interval([s for times in told for s in times], q).value or 0.0
    low = None if found.low is None else min(value, found.low)
    high = None if found.high is None else max(value, found.high)
    return measured(name, replace(found, value=value, low=low, high=high))


def _contaminated(found: Mapping[str, Metric], why: str | None) -> dict[str, Metric]:
    """The same metrics, saying what disturbed them."""
    return {name: replace(metric, contaminated=why) for name, metric in found.items()}


def _timed(readings: Iterable[ReadingRecord]) -> Sequence[Sequence[ReadingRecord]]:
    """The requests that tell their time, which is that of all their documents at once."""
    return batches(r for r in readings if r.latency_s is not None)


def _latencies(requests: Iterable[Sequence[ReadingRecord]]) -> Sequence[Sequence[float]]:
    return [[r.latency_s or 0.0 for r in batch] for batch in requests]


def _speed(readings: Iterable[ReadingRecord], loads: Sequence[CellRecord]) -> dict[str, Metric]:
    """What depends on time and power."""
    requests = _timed(readings)
    latencies = _latencies(requests)
    found = {name: _quantile(name, latencies, q) for name, q in _LATENCIES.items()}
    prepared = [[s for r in batch if (s := _prepared(r)) > 0] for batch in requests]
    found["preprocess_s"] = _quantile("preprocess_s", prepared, 0.5)
    for name in ("ttft_s", "tpot_s"):
        phases = [[r.phases[name] for r in batch if name in r.phases] for batch in requests]
        found[name] = _quantile(name, phases, 0.5)
    found |= _token_rates(requests)
    durations = [times[0] for times in latencies]
    if len(durations) > 1 and min(durations) > 0:
        found["latency_cv"] = _plain("latency_cv", standard_deviation(durations) / fmean(durations), len(durations))
    if sum(len(batch) for batch in requests) > 1 and min(durations) > 0:
        units = [(len(batch), seconds) for batch, seconds in zip(requests, durations, strict=True)]
        found["docs_per_min"] = measured("docs_per_min", rate(per_unit(units), 60))
    found |= energy_metrics(requests, loads)
    if (energy := found.get("j_per_output_tok")) and energy.value:
        found["output_tok_per_s_per_w"] = _plain("output_tok_per_s_per_w", 1 / energy.value, energy.n)
    return found


def _prepared(reading: ReadingRecord) -> float:
    return reading.phases.get("decode_s", 0) + reading.phases.get("preprocess_s", 0)


def _token_rates(requests: Iterable[Sequence[ReadingRecord]]) -> dict[str, Metric]:
    """Tokens over the time that they took, summed over requests that tell both.

    Of prompts, those that were read together, and by one call: else `ttft_s` is not the time that they took.
    """
    generated, prompts = [], []
    for batch in requests:
        generated.append([(r.output_tokens, r.phases.get("generate_s"), r.batch_size) for r in batch])
        if {r.calls for r in batch} <= {1} and len({r.phases.get("ttft_s") for r in batch}) == 1:
            prompts.append([(r.prompt_tokens, r.phases.get("ttft_s"), r.batch_size) for r in batch])
    found = {}
    for name, told in (("output_tok_per_s", generated), ("prompt_tok_per_s", prompts)):
        # a phase of a batch is of the whole batch: a document's share of it
        shares = [[(n, s / size) for n, s, size in batch if n is not None and s is not None] for batch in told]
        sums = [(sum(n for n, _ in batch), sum(s for _, s in batch)) for batch in shares if batch]
        if sum(n for n, _ in sums) > 0 and sum(s for _, s in sums) > 0:
            seconds = replace(per_unit(sums), n=sum(len(batch) for batch in shares))
            found[name] = measured(name, rate(seconds, 1))
    return found


def _plain(name: str, value: float | None, n: int) -> Metric:
    return measured(name, Estimate(value=value, low=None, high=None, n=n, method="direct"))


def _memory(
    requests: Sequence[Sequence[ReadingRecord]], ledgers: Mapping[str, VramLedger], disturbed: bool
) -> dict[str, Metric]:
    during = [batch[0].memory for batch in requests]
    samples = memory_samples(during)
    found = {}
    if samples >= MINIMUM_MEMORY_SAMPLES:
        found["peak_rss_bytes"] = _plain("peak_rss_bytes", _highest(m.peak_rss_bytes for m in during), samples)
        found["peak_anonymous_bytes"] = _plain(
            "peak_anonymous_bytes", _highest(m.anonymous_bytes for m in during), samples
        )
    if (peak := peak_vram(ledgers)) is not None:
        sampled = sum(ledger.samples for ledger in ledgers.values())
        metric = _plain("peak_vram_bytes", peak, sampled)
        why = contamination(requests, only_foreign=True) if disturbed else None
        found["peak_vram_bytes"] = replace(metric, contaminated=why)
    return found


def _load(loads: Sequence[CellRecord]) -> dict[str, Metric]:
    """What the first load that succeeded took."""
    found = {}
    loaded = [c for c in loads if c.failure is None]
    if loaded:
        first = loaded[0]
        load_s = _plain("load_s", first.load_s, 1)
        found["load_s"] = replace(load_s, contaminated=load_contamination(loaded[:1]))
        found["load_peak_rss_bytes"] = _plain("load_peak_rss_bytes", first.memory.peak_rss_bytes, first.memory.samples)
        if isinstance(weights := first.facts.get("weights_bytes"), int):
            found["weights_bytes"] = Metric(value=weights, n=1, unit="B", status=Status.MEASURED)
        if isinstance(predicted := first.facts.get("predicted_weights_bytes"), int):
            found["predicted_weights_bytes"] = Metric(value=predicted, n=1, unit="B", status=Status.PREDICTED)
    return found


def memory_samples(peaks: Iterable[MemoryPeak]) -> int:
    """Samples taken while answers were being made: the first and the last of each reading see an idle process."""
    return sum(max(0, peak.samples - 2) for peak in peaks)


def _highest(values: Iterable[int | None]) -> int | None:
    return max((v for v in values if v is not None), default=None)
