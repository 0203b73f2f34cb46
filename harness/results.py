"""From evidence to results: one CellResult per cell, holding scored answers, failures and the metrics over them."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.batching import batches, per_unit
from harness.cells import Failure, Role
from harness.device_use import contamination, energy_metrics, load_contamination
from harness.evidence import CellRecord, DocumentRecord, Evidence, MemoryPeak, ReadingRecord
from harness.ledger import VramLedger, peak_vram, vram_ledgers
from harness.metrics import METRICS, Metric, Status, measured, not_measured
from harness.responses import ParsedResponse, parse_response
from harness.scoring import DocumentScore, document_f1, rates, score_document
from harness.statistics import Estimate, mean_interval, quantile_interval, ratio_interval

__all__ = ["MINIMUM_MEMORY_SAMPLES", "CellResult", "cell_results", "memory_samples", "result_of"]

MINIMUM_MEMORY_SAMPLES = 3
"""Fewer samples during inference than this, and the peak counts as not measured."""

_LATENCIES = {"latency_s": 0.5, "latency_p90_s": 0.9, "latency_p95_s": 0.95, "latency_p99_s": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """One cell over the documents of its run. Documents that failed are in `failures`, never among the scores."""

    cell: str
    role: Role
    loads: Sequence[CellRecord]
    documents: Mapping[str, DocumentRecord]
    readings: Mapping[str, ReadingRecord]
    responses: Mapping[str, ParsedResponse]
    """Parsed answers by document."""
    scores: Mapping[str, DocumentScore]
    """Scored answers by document; none at all if they are `unjudged`."""
    fixed_length: int | None = None
    """Tokens that every answer was made to have; None if answers ended where the model ended them."""

    @property
    def failures(self) -> Counter[Failure]:
        """Documents by failure; a document without a reading counts as not run."""
        found = Counter(r.failure for r in self.readings.values() if r.failure is not None)
        missing = len(self.documents) - len(self.readings)
        if missing:
            found[Failure.NOT_RUN] += missing
        return found

    @property
    def answered(self) -> Collection[str]:
        """Documents that ended in an answer, whatever it is worth."""
        return {d: None for d, r in self.readings.items() if r.failure is None}.keys()

    @property
    def status(self) -> str:
        """`ok`, the failure that kept the cell from loading, or `incomplete` if any document has no answer."""
        if self.loads and self.loads[-1].failure is not None and not self.answered:
            return self.loads[-1].failure.value
        return "incomplete" if self.failures else "ok"

    @property
    def unjudged(self) -> str | None:
        """Why the answers are not scored; None if they are."""
        return _unjudged(self.loads, self.fixed_length)

    def metrics(self, documents: Collection[str] | None = None) -> Mapping[str, Metric]:
        """Every metric of METRICS over the given documents (default: all)."""
        chosen = set(self.documents if documents is None else documents)
        scores = [s for d, s in self.scores.items() if d in chosen]
        readings = [r for d, r in self.readings.items() if d in chosen and r.failure is None]
        answered = self.answered
        found: dict[str, Metric] = {name: measured(name, e) for name, e in rates(scores).items()}
        found["answer_rate"] = measured(
            "answer_rate",
            ratio_interval([float(d in answered) for d in sorted(chosen)], [1.0] * len(chosen)),
        )
        found["truncation_rate"] = measured("truncation_rate", _truncated(readings))
        found["accuracy_above_floor"] = measured("accuracy_above_floor", _above_floor(scores))
        if calls := [r.calls for r in readings if r.latency_s is not None]:
            found["calls_per_document"] = measured("calls_per_document", mean_interval(calls))
        attempted = [r for d, r in self.readings.items() if d in chosen]  # a peak before an out-of-memory is a peak
        found |= _contaminated(_speed(readings, self.loads), contamination(batches(readings)))
        found |= _memory(attempted, self.loads) | _load(self.loads)
        return self._tagged({name: found.get(name) or not_measured(name) for name in METRICS})

    @property
    def is_imported(self) -> bool:
        """Whether somebody else measured it: see harness.importers."""
        return any("imported" in load.facts for load in self.loads)

    def _tagged(self, metrics: Mapping[str, Metric]) -> Mapping[str, Metric]:
        if not self.is_imported:
            return metrics
        imported = {n: replace(m, status=Status.IMPORTED) for n, m in metrics.items() if m.status is Status.MEASURED}
        return {**metrics, **imported}

    @property
    def ledgers(self) -> Mapping[str, VramLedger]:
        """Where device memory went, by device."""
        return vram_ledgers(self.loads, self.readings.values())

    def field_metrics(self, fields: Collection[str], documents: Collection[str] | None = None) -> Mapping[str, Metric]:
        """Quality metrics restricted to some fields (and documents)."""
        chosen = set(self.documents if documents is None else documents)
        scores = [s for d, s in self.scores.items() if d in chosen]
        return self._tagged({name: measured(name, e) for name, e in rates(scores, fields).items()})

    def document_f1(self) -> Mapping[str, float]:
        """F1 of each answered document on which it is defined: the unit of paired comparisons."""
        return {d: f1 for d, s in self.scores.items() if (f1 := document_f1(s)) is not None}

    def groups(self, attribute: str) -> Mapping[str, Sequence[str]]:
        """Document names by `kind`, `stratum` or `layout`; documents without one are left out."""
        found: dict[str, list[str]] = {}
        for name, document in self.documents.items():
            if (value := getattr(document, attribute)) is not None:
                found.setdefault(value, []).append(name)
        return dict(sorted(found.items()))


def _truncated(readings: Iterable[ReadingRecord]) -> Estimate:
    """Share of the readings that tell a stop which stopped at the limit of output tokens."""
    stops = [r.stop for r in readings if r.stop is not None]
    return ratio_interval([float(stop == "length") for stop in stops], [1.0] * len(stops))


def _above_floor(scores: Iterable[DocumentScore]) -> Estimate:
    """Per document, accuracy minus floor: (C + A) - (A + H + U), over the judged fields."""
    tallies = [c for score in scores if (c := score.counts).judged]
    return mean_interval([(c.correct - c.hallucinated - c.unanswered) / c.judged for c in tallies])


def _quantile(name: str, samples: Sequence[float], q: float) -> Metric:
    return measured(name, quantile_interval(samples, q)) if samples else not_measured(name)


def _contaminated(found: Mapping[str, Metric], why: str | None) -> dict[str, Metric]:
    """The same metrics, saying what disturbed them."""
    return {name: replace(metric, contaminated=why) for name, metric in found.items()}


def _speed(readings: Iterable[ReadingRecord], loads: Sequence[CellRecord]) -> dict[str, Metric]:
    """What depends on time and power."""
    answered = [r for r in readings if r.latency_s is not None]
    latencies = [r.latency_s for r in answered if r.latency_s is not None]
    found = {name: _quantile(name, latencies, q) for name, q in _LATENCIES.items()}
    prepared = [sum(r.phases[name] for name in ("decode_s", "preprocess_s") if name in r.phases) for r in answered]
    found["preprocess_s"] = _quantile("preprocess_s", [s for s in prepared if s > 0], 0.5)
    for name in ("ttft_s", "tpot_s"):
        found[name] = _quantile(name, [r.phases[name] for r in answered if name in r.phases], 0.5)
    found |= _token_rates(answered)
    if len(latencies) > 1 and min(latencies) > 0:
        found["latency_cv"] = _plain(
            "latency_cv", statistics.stdev(latencies) / statistics.fmean(latencies), len(latencies)
        )
        found["docs_per_min"] = measured("docs_per_min", _per_minute(per_unit(_durations(answered))))
    found |= energy_metrics(batches(answered), loads)
    if (energy := found.get("j_per_output_tok")) and energy.value:
        found["output_tok_per_s_per_w"] = _plain("output_tok_per_s_per_w", 1 / energy.value, energy.n)
    return found


def _durations(answered: Iterable[ReadingRecord]) -> Sequence[tuple[int, float]]:
    """Documents and seconds of each request."""
    return [(len(batch), batch[0].latency_s or 0.0) for batch in batches(answered)]


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
            if (n := getattr(r, count)) is not None and phase in r.phases
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


def _memory(readings: Iterable[ReadingRecord], loads: Sequence[CellRecord]) -> dict[str, Metric]:
    readings = list(readings)
    requests = batches(readings)
    during = [batch[0].memory for batch in requests]
    samples = memory_samples(during)
    found = {}
    if samples >= MINIMUM_MEMORY_SAMPLES:
        found["peak_rss_bytes"] = _plain("peak_rss_bytes", _highest(m.peak_rss_bytes for m in during), samples)
        found["peak_anonymous_bytes"] = _plain(
            "peak_anonymous_bytes", _highest(m.anonymous_bytes for m in during), samples
        )
    ledgers = vram_ledgers(loads, readings)
    if (peak := peak_vram(ledgers)) is not None:
        sampled = sum(ledger.samples for ledger in ledgers.values())
        metric = _plain("peak_vram_bytes", peak, sampled)
        found["peak_vram_bytes"] = replace(metric, contaminated=contamination(requests, only_foreign=True))
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


def result_of(
    cell: str,
    role: Role,
    documents: Mapping[str, DocumentRecord],
    loads: Sequence[CellRecord],
    readings: Mapping[str, ReadingRecord],
    *,
    settings: Mapping[str, Any] | None = None,
) -> CellResult:
    """Parse and score one cell's readings against the truth of `documents`.

    `settings` are those that its pass recorded; answers that they made equally long are not scored.
    """
    length = (settings or {}).get("min_new_tokens") or None
    known = {d: readings[d] for d in documents if d in readings}
    responses = {d: parse_response(r.text) for d, r in known.items() if r.failure is None and r.text is not None}
    scored = {} if _unjudged(loads, length) else {d: r for d, r in responses.items() if documents[d].truth}
    scores = {d: score_document(d, documents[d].truth, response) for d, response in scored.items()}
    return CellResult(
        cell=cell,
        role=role,
        loads=loads,
        documents=documents,
        readings=known,
        responses=responses,
        scores=scores,
        fixed_length=length,
    )


def _unjudged(loads: Iterable[CellRecord], fixed_length: int | None) -> str | None:
    if any(load.facts.get("random_weights") is True for load in loads):
        return "random weights: their answers say nothing about the model, and are not scored"
    if fixed_length is not None:
        return f"every answer was made exactly {fixed_length} tokens long, whatever it says, and is not scored"
    return None


def cell_results(evidence: Evidence) -> Mapping[str, CellResult]:
    """Results of every cell of the log: candidates, controls, checks, each group in order of appearance."""
    found = []
    for cell, asked in evidence.passes.items():
        documents = {d: evidence.documents[d] for d in asked.documents if d in evidence.documents}
        loads, readings = evidence.cells.get(cell, []), evidence.readings.get(cell, {})
        found.append(result_of(cell, asked.role, documents, loads, readings, settings=asked.settings))
    return {r.cell: r for r in sorted(found, key=lambda r: list(Role).index(r.role))}
