"""What answers cost: the metrics of time, memory and energy over readings and loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from harness.batching import batches, per_unit
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
    return found | _memory(batches(attempted), ledgers, disturbed) | _load(loads)


def median_latency(answers: Sequence[ReadingRecord], *, disturbed: bool = True) -> Metric:
    """The metric `latency_s` of some answers; `disturbed` as in `cost_metrics`."""
    found = _quantile("latency_s", _latencies(answers), 0.5)
    return replace(found, contaminated=contamination(batches(answers)) if disturbed else None)


def _quantile(name: str, samples: Sequence[float], q: float) -> Metric:
    return measured(name, quantile_interval(samples, q)) if samples else not_measured(name)


def _contaminated(found: Mapping[str, Metric], why: str | None) -> dict[str, Metric]:
    """The same metrics, saying what disturbed them."""
    return {name: replace(metric, contaminated=why) for name, metric in found.items()}


def _latencies(readings: Iterable[ReadingRecord]) -> Sequence[float]:
    return sorted([r.latency_s for r in readings if r.latency_s is not None])


def _speed(readings: Iterable[ReadingRecord], loads: Sequence[CellRecord]) -> dict[str, Metric]:
    """What depends on time and power."""
    answered = [r for r in readings if r.latency_s is not None]
    latencies, requests = _latencies(answered), batches(answered)
    found = {name: _quantile(name, latencies, q) for name, q in _LATENCIES.items()}
    prepared = [r.phases.get("decode_s", 0) + r.phases.get("preprocess_s", 0) for r in answered]
    found["preprocess_s"] = _quantile("preprocess_s", [s for s in prepared if s > 0], 0.5)
    for name in ("ttft_s", "tpot_s"):
        found[name] = _quantile(name, [r.phases[name] for r in answered if name in r.phases], 0.5)
    found |= _token_rates(answered)
    if len(latencies) > 1 and latencies[0] > 0:
        found["latency_cv"] = _plain("latency_cv", standard_deviation(latencies) / fmean(latencies), len(latencies))
        durations = [(len(batch), batch[0].latency_s or 0.0) for batch in requests]
        found["docs_per_min"] = measured("docs_per_min", _per_minute(per_unit(durations)))
    found |= energy_metrics(requests, loads)
    if (energy := found.get("j_per_output_tok")) and energy.value:
        found["output_tok_per_s_per_w"] = _plain("output_tok_per_s_per_w", 1 / energy.value, energy.n)
    return found


def _token_rates(answered: Iterable[ReadingRecord]) -> dict[str, Metric]:
    """Tokens over the time that they took, summed over documents; from readings that tell both."""
    found = {}
    for name, count, phase in (
        ("output_tok_per_s", "output_tokens", "generate_s"),
        ("prompt_tok_per_s", "prompt_tokens", "ttft_s"),
    ):
        told = [
            (n, r.phases[phase] / r.batch_size)  # a phase of a batch is of the whole batch
            for r in answered
            if phase in r.phases and (n := getattr(r, count)) is not None
        ]
        seconds = sum(s for _, s in told)
        if seconds > 0:
            found[name] = _plain(name, sum(n for n, _ in told) / seconds, len(told))
    return found


def _per_minute(mean_s: Estimate) -> Estimate:
    """Documents a minute, one at a time, from the mean seconds a document."""

    def rate(seconds: float | None) -> float | None:
        return 60 / seconds if seconds is not None and seconds > 0 else None

    return replace(mean_s, value=rate(mean_s.value), low=rate(mean_s.high), high=rate(mean_s.low))


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
