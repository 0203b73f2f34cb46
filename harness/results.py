"""From evidence to results: one CellResult per cell, holding scored answers, failures and the metrics over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from statistics import fmean
from typing import Any

from harness.batching import batches, per_unit
from harness.cells import Failure, Role
from harness.device_use import contamination, energy_metrics, load_contamination
from harness.evidence import CellRecord, DocumentRecord, Evidence, MemoryPeak, ReadingRecord
from harness.ledger import VramLedger, peak_vram, vram_ledgers
from harness.metrics import METRICS, Metric, Status, measured, not_measured
from harness.responses import ParsedResponse, parse_response
from harness.scoring import DocumentScore, document_f1, rates, rates_by, score_document
from harness.statistics import Aligned, Estimate, mean_interval, quantile_interval, ratio_interval, standard_deviation

__all__ = ["MINIMUM_MEMORY_SAMPLES", "CellResult", "Scorer", "cell_results", "memory_samples", "result_of"]

MINIMUM_MEMORY_SAMPLES = 3
"""Fewer samples during inference than this, and the peak counts as not measured."""

_Judged = tuple[ParsedResponse, DocumentScore | None]
_LATENCIES = {"latency_s": 0.5, "latency_p90_s": 0.9, "latency_p95_s": 0.95, "latency_p99_s": 0.99}


@dataclass(frozen=True, kw_only=True)  # no slots: what is derived from thousands of answers is derived once
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

    @cached_property
    def failures(self) -> Counter[Failure]:
        """Documents by failure; a document without a reading counts as not run."""
        found = Counter(r.failure for r in self.readings.values() if r.failure is not None)
        missing = len(self.documents) - len(self.readings)
        if missing:
            found[Failure.NOT_RUN] += missing
        return found

    @cached_property
    def answered(self) -> Set[str]:
        """Documents that ended in an answer, whatever it is worth."""
        return frozenset(d for d, r in self.readings.items() if r.failure is None)

    @cached_property
    def scored(self) -> Set[str]:
        """Documents whose answers have a score."""
        return frozenset(self.scores)

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
        if documents is None or self.documents.keys() == set(documents):
            return self._metrics
        return self._metrics_of(documents)

    @cached_property
    def _metrics(self) -> Mapping[str, Metric]:
        return self._metrics_of(self.documents)

    def _metrics_of(self, documents: Collection[str]) -> Mapping[str, Metric]:
        chosen = set(documents)
        answers = [r for d, r in self.readings.items() if d in chosen and r.failure is None]
        attempted = [r for d, r in self.readings.items() if d in chosen]  # a peak before an out-of-memory is a peak
        found = self._quality(chosen, answers)
        if calls := [r.calls for r in answers if r.latency_s is not None]:
            found["calls_per_document"] = measured("calls_per_document", mean_interval(calls))
        found |= _contaminated(_speed(answers, self.loads), contamination(batches(answers)))
        found |= _memory(attempted, self.loads) | _load(self.loads)
        return self._tagged({name: found.get(name) or not_measured(name) for name in METRICS})

    def quality(self, documents: Collection[str]) -> Mapping[str, Metric]:
        """Those of METRICS over the given documents that tell how good the answers are, and the median latency."""
        chosen = set(documents)
        answers = [r for d, r in self.readings.items() if d in chosen and r.failure is None]
        found = self._quality(chosen, answers)
        latency = {"latency_s": _quantile("latency_s", _latencies(answers), 0.5)}
        return self._tagged(found | _contaminated(latency, contamination(batches(answers))))

    def _quality(self, chosen: Collection[str], answers: Sequence[ReadingRecord]) -> dict[str, Metric]:
        scores = [s for d, s in self.scores.items() if d in chosen]
        found = {name: measured(name, e) for name, e in rates(scores).items()}
        answered = [d in self.answered for d in chosen]
        found["answer_rate"] = measured("answer_rate", ratio_interval(answered, [1] * len(answered)))
        found["truncation_rate"] = measured("truncation_rate", _truncated(answers))
        found["accuracy_above_floor"] = measured("accuracy_above_floor", _above_floor(scores))
        return found

    @property
    def is_imported(self) -> bool:
        """Whether somebody else measured it: see harness.importers."""
        return any("imported" in load.facts for load in self.loads)

    def _tagged(self, metrics: Mapping[str, Metric]) -> Mapping[str, Metric]:
        if not self.is_imported:
            return metrics
        imported = {n: replace(m, status=Status.IMPORTED) for n, m in metrics.items() if m.status is Status.MEASURED}
        return {**metrics, **imported}

    @cached_property
    def ledgers(self) -> Mapping[str, VramLedger]:
        """Where device memory went, by device."""
        return vram_ledgers(self.loads, self.readings.values())

    def field_metrics(self, fields: Collection[str], documents: Collection[str] | None = None) -> Mapping[str, Metric]:
        """Quality metrics restricted to some fields (and documents)."""
        chosen = set(self.documents if documents is None else documents)
        scores = [s for d, s in self.scores.items() if d in chosen]
        return self._tagged({name: measured(name, e) for name, e in rates(scores, fields).items()})

    def metrics_by_fields(self, groups: Mapping[str, Collection[str]]) -> Mapping[str, Mapping[str, Metric]]:
        """Quality metrics over all documents, restricted to each group of fields."""
        found = rates_by(list(self.scores.values()), groups)
        return {
            group: self._tagged({name: measured(name, e) for name, e in estimates.items()})
            for group, estimates in found.items()
        }

    @cached_property
    def _document_f1(self) -> Mapping[str, float]:
        return {
            d: f1 for d, s in ((d, self.scores[d]) for d in sorted(self.scores)) if (f1 := document_f1(s)) is not None
        }

    def document_f1(self) -> Mapping[str, float]:
        """F1 of each answered document on which it is defined, in name order: the unit of paired comparisons."""
        return self._document_f1

    @cached_property
    def clean(self) -> Mapping[str, ReadingRecord]:
        """Answers whose device nothing disturbed, in name order: those whose times and energy may be compared."""
        return {
            d: r
            for d, r in ((d, self.readings[d]) for d in sorted(self.readings))
            if r.failure is None
            and not any(use.is_contaminated for use in r.devices if use.throttle or use.foreign_processes)
        }

    @cached_property
    def log_latencies(self) -> Mapping[str, float]:
        """Of the `clean` answers, the natural logarithm of the latency in seconds."""
        return {d: log(r.latency_s) for d, r in self.clean.items() if r.latency_s is not None and r.latency_s > 0}

    @cached_property
    def seconds(self) -> Mapping[str, float]:
        """What each `clean` answer took; of a batch, its share."""
        return {d: r.latency_s / r.batch_size for d, r in self.clean.items() if r.latency_s}

    @cached_property
    def energy_sensor(self) -> str | None:
        """`counter` or `power`, whichever the energy of the documents was taken from; None without energy."""
        uses = [use for r in self.clean.values() for use in r.devices]
        if uses and all(use.energy_j is not None for use in uses):
            return "counter"
        return "power" if any(use.power_j is not None for use in uses) else None

    @cached_property
    def joules(self) -> Mapping[str, float]:
        """Energy of each `clean` answer on all devices; of a batch, its share."""
        found = {}
        for document, reading in self.clean.items():
            used = [use.energy_j if self.energy_sensor == "counter" else use.power_j for use in reading.devices]
            if used and None not in used:
                found[document] = sum(joules or 0.0 for joules in used) / reading.batch_size
        return found

    def for_comparison(
        self, cell: str, documents: Mapping[str, DocumentRecord], places: Mapping[str, int]
    ) -> CellResult:
        """The same under another name, without its answers: what comparisons ask of them is worked out and kept.

        So the cells of many logs have room in memory. `documents` may be bare; `places` numbers them by name, from 0.
        """
        kept = replace(self, cell=cell, documents=documents, readings={}, responses={}, scores={})
        found = {name: getattr(self, name) for name in ("answered", "_metrics", "energy_sensor")}
        found["scored"] = self.answered if self.scored == self.answered else self.scored
        for name in ("_document_f1", "log_latencies", "joules"):
            found[name] = Aligned(places, getattr(self, name))
        kept.__dict__.update(found)  # where cached_property keeps them
        return kept

    def groups(self, attribute: str) -> Mapping[str, Sequence[str]]:
        """Document names by `kind`, `stratum` or `layout`; documents without one are left out."""
        found: dict[str, list[str]] = {}
        for name, document in self.documents.items():
            if (value := getattr(document, attribute)) is not None:
                found.setdefault(value, []).append(name)
        return dict(sorted(found.items()))


def _truncated(readings: Iterable[ReadingRecord]) -> Estimate:
    """Share of the readings that tell a stop which stopped at the limit of output tokens."""
    stopped = [r.stop == "length" for r in readings if r.stop is not None]
    return ratio_interval(stopped, [1] * len(stopped))


def _above_floor(scores: Iterable[DocumentScore]) -> Estimate:
    """Per document, accuracy minus floor: (C + A) - (A + H + U), over the judged fields."""
    tallies = [c for score in scores if (c := score.counts).judged]
    return mean_interval([(c.correct - c.hallucinated - c.unanswered) / c.judged for c in tallies])


def _quantile(name: str, samples: Sequence[float], q: float) -> Metric:
    return measured(name, quantile_interval(samples, q)) if samples else not_measured(name)


def _contaminated(found: Mapping[str, Metric], why: str | None) -> dict[str, Metric]:
    """The same metrics, saying what disturbed them."""
    return {name: replace(metric, contaminated=why) for name, metric in found.items()}


def _latencies(readings: Iterable[ReadingRecord]) -> Sequence[float]:
    return [r.latency_s for r in readings if r.latency_s is not None]


def _speed(readings: Iterable[ReadingRecord], loads: Sequence[CellRecord]) -> dict[str, Metric]:
    """What depends on time and power."""
    answered = [r for r in readings if r.latency_s is not None]
    latencies = _latencies(answered)
    found = {name: _quantile(name, latencies, q) for name, q in _LATENCIES.items()}
    prepared = [sum(r.phases[name] for name in ("decode_s", "preprocess_s") if name in r.phases) for r in answered]
    found["preprocess_s"] = _quantile("preprocess_s", [s for s in prepared if s > 0], 0.5)
    for name in ("ttft_s", "tpot_s"):
        found[name] = _quantile(name, [r.phases[name] for r in answered if name in r.phases], 0.5)
    found |= _token_rates(answered)
    if len(latencies) > 1 and min(latencies) > 0:
        found["latency_cv"] = _plain("latency_cv", standard_deviation(latencies) / fmean(latencies), len(latencies))
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


class Scorer:
    """Parses and scores answers, each text about a document once: cells, and devices, often answer alike."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Mapping[str, str | None], dict[str, _Judged]]] = {}

    def __call__(self, document: DocumentRecord, text: str) -> _Judged:
        """The parsed answer, and its score: None for a document of which nothing is judged."""
        truth, known = self._known.get(document.document, ({}, {}))
        if truth is not document.truth:
            known = known if truth == document.truth else {}
            self._known[document.document] = document.truth, known
        if (found := known.get(text)) is None:
            response = parse_response(text)
            score = score_document(document.document, document.truth, response) if document.truth else None
            found = known[text] = response, score
        return found


def result_of(
    cell: str,
    role: Role,
    documents: Mapping[str, DocumentRecord],
    loads: Sequence[CellRecord],
    readings: Mapping[str, ReadingRecord],
    *,
    settings: Mapping[str, Any] | None = None,
    scorer: Scorer | None = None,
) -> CellResult:
    """Parse and score one cell's readings against the truth of `documents`.

    `settings` are those that its pass recorded; answers that they made equally long are not scored. A `scorer` may
    know some of the answers already.
    """
    length = (settings or {}).get("min_new_tokens") or None
    scorer = scorer or Scorer()
    known = {d: readings[d] for d in documents if d in readings}
    judged = {d: scorer(documents[d], r.text) for d, r in known.items() if r.failure is None and r.text is not None}
    scored = {} if _unjudged(loads, length) else judged
    return CellResult(
        cell=cell,
        role=role,
        loads=loads,
        documents=documents,
        readings=known,
        responses={d: response for d, (response, _) in judged.items()},
        scores={d: score for d, (_, score) in scored.items() if score is not None},
        fixed_length=length,
    )


def _unjudged(loads: Iterable[CellRecord], fixed_length: int | None) -> str | None:
    if any(load.facts.get("random_weights") is True for load in loads):
        return "random weights: their answers say nothing about the model, and are not scored"
    if fixed_length is not None:
        return f"every answer was made exactly {fixed_length} tokens long, whatever it says, and is not scored"
    return None


def cell_results(evidence: Evidence, scorer: Scorer | None = None) -> Mapping[str, CellResult]:
    """Results of every cell of the log: candidates, controls, checks, each group in order of appearance.

    A `scorer` that is kept from log to log saves parsing and scoring what was answered before.
    """
    scorer = scorer or Scorer()
    for name, document in evidence.documents.items():  # all answers about one document at once: they share values
        for readings in evidence.readings.values():
            if (reading := readings.get(name)) is not None and reading.text is not None and reading.failure is None:
                scorer(document, reading.text)
    found = []
    for cell, asked in evidence.passes.items():
        documents = {d: evidence.documents[d] for d in asked.documents if d in evidence.documents}
        loads, readings = evidence.cells.get(cell, []), evidence.readings.get(cell, {})
        found.append(result_of(cell, asked.role, documents, loads, readings, settings=asked.settings, scorer=scorer))
    return {r.cell: r for r in sorted(found, key=lambda r: list(Role).index(r.role))}
