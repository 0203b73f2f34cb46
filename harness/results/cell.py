"""One cell over the documents of its run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import log, nan

from harness.batching import batches
from harness.cells import Failure, Role
from harness.device_use import energy_sensor
from harness.evidence import CellRecord, DocumentRecord, ReadingRecord
from harness.ledger import VramLedger, vram_ledgers
from harness.metrics import METRICS, Metric, Status, contaminated_by, measured, not_measured
from harness.responses import ParsedResponse
from harness.results.costs import cost_metrics, median_latency
from harness.scoring import Counts, DocumentScore, ScoreTable
from harness.statistics import Aligned, Estimate, mean_interval, ratio_interval_of

__all__ = ["CellResult", "why_unjudged"]


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
    disturbance: str | None = None
    """What ran beside it the whole time, so that its times and energy judge nothing; None for nothing."""

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
    def unanswered(self) -> Set[str]:
        """Documents that it was asked to read and that ended in none."""
        return frozenset(self.documents.keys() - self.answered)

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
        return why_unjudged(self.loads, self.fixed_length)

    @property
    def is_imported(self) -> bool:
        """Whether somebody else measured it: see harness.importers."""
        return any("imported" in load.facts for load in self.loads)

    def groups(self, attribute: str) -> Mapping[str, Sequence[str]]:
        """Document names by `kind`, `stratum` or `layout`; documents without one are left out."""
        found: dict[str, list[str]] = {}
        for name, document in self.documents.items():
            if (value := getattr(document, attribute)) is not None:
                found.setdefault(value, []).append(name)
        return dict(sorted(found.items()))

    # Metrics over the whole cell, or a part of its documents

    def metrics(self, documents: Collection[str] | None = None) -> Mapping[str, Metric]:
        """Every metric of METRICS over the given documents (default: all)."""
        if documents is None or self.documents.keys() == set(documents):
            return self._metrics
        return self._metrics_of(documents)

    @cached_property
    def _metrics(self) -> Mapping[str, Metric]:
        return self._metrics_of(self.documents)

    def _metrics_of(self, documents: Collection[str]) -> Mapping[str, Metric]:
        attempted = self._readings_of(documents)
        whole = len(attempted) == len(self.readings)
        ledgers = self.ledgers if whole else vram_ledgers(self.loads, attempted)
        costs = cost_metrics(attempted, self.loads, ledgers, disturbed=self.disturbed)
        found = self._quality(documents, attempted) | contaminated_by(costs, self.disturbance)
        return self._tagged({name: found.get(name) or not_measured(name) for name in METRICS})

    def quality(self, documents: Collection[str]) -> Mapping[str, Metric]:
        """Those of METRICS over the given documents that tell how good the answers are, and the median latency."""
        attempted = self._readings_of(documents)
        latency = median_latency([r for r in attempted if r.failure is None], disturbed=self.disturbed)
        timed = contaminated_by({"latency_s": latency}, self.disturbance)
        return self._tagged(self._quality(documents, attempted) | timed)

    def _readings_of(self, documents: Collection[str]) -> Sequence[ReadingRecord]:
        if documents is self.documents:
            return list(self.readings.values())
        chosen = set(documents)
        return [r for d, r in self.readings.items() if d in chosen]

    def _quality(self, documents: Collection[str], attempted: Sequence[ReadingRecord]) -> dict[str, Metric]:
        table = self.table(documents)
        answers = [r for r in attempted if r.failure is None]
        stops = [r.stop == "length" for r in answers if r.stop is not None]
        estimates = {
            **table.rates(),
            "answer_rate": _share(len(answers), len(set(documents))),
            "truncation_rate": _share(sum(stops), len(stops)),
            "accuracy_above_floor": mean_interval(table.above_floor().tolist()),
        }
        return {name: measured(name, estimate) for name, estimate in estimates.items()}

    def field_metrics(self, fields: Collection[str], documents: Collection[str] | None = None) -> Mapping[str, Metric]:
        """Quality metrics restricted to some fields (and documents)."""
        return self._tagged({name: measured(name, e) for name, e in self.table(documents).rates(fields).items()})

    def metrics_by_fields(self, groups: Mapping[str, Collection[str]]) -> Mapping[str, Mapping[str, Metric]]:
        """Quality metrics over all documents, restricted to each group of fields."""
        return {
            group: self._tagged({name: measured(name, e) for name, e in estimates.items()})
            for group, estimates in self.table().rates_by(groups).items()
        }

    def counts(self, documents: Collection[str]) -> Counts | None:
        """Outcomes of the judged fields of some documents; None where none of them was scored."""
        table = self.table(documents)
        return table.counts() if len(table) else None

    def _tagged(self, metrics: Mapping[str, Metric]) -> Mapping[str, Metric]:
        if not self.is_imported:
            return metrics
        imported = {n: replace(m, status=Status.IMPORTED) for n, m in metrics.items() if m.status is Status.MEASURED}
        return {**metrics, **imported}

    def table(self, documents: Collection[str] | None = None) -> ScoreTable:
        """The scores of the given documents (default: all) as arrays."""
        if documents is None or documents is self.documents:
            return self._table
        return self._table.rows([self._rows[d] for d in dict.fromkeys(documents) if d in self._rows])

    @cached_property
    def _table(self) -> ScoreTable:
        return ScoreTable.of(list(self.scores.values()))

    @cached_property
    def _rows(self) -> Mapping[str, int]:
        return {d: row for row, d in enumerate(self.scores)}

    # What a comparison pairs by document

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The documents numbered in name order, from 0."""
        return _places(tuple(self.documents))

    def score_values(self, rate: str) -> Aligned:
        """`f1`, `precision` or `line_item_f1` of each answered document on which it is defined."""
        import numpy

        array = numpy.full(len(self.places), nan)
        array[[self.places[d] for d in self.scores]] = self._table.by_document(rate)
        return Aligned(self.places, array)

    @cached_property
    def _document_f1(self) -> Aligned:
        return self.score_values("f1")

    def document_f1(self) -> Aligned:
        """F1 of each answered document on which it is defined, in name order: the unit of paired comparisons."""
        return self._document_f1

    @cached_property
    def disturbed(self) -> bool:
        """Whether anybody else, or a throttle of any kind, was seen on a device during any reading, or a batch lost."""
        return any(
            r.batch_failure is not None or any(use.foreign_processes or use.throttle for use in r.devices)
            for r in self.readings.values()
        )

    @cached_property
    def clean(self) -> Mapping[str, ReadingRecord]:
        """Answers whose times and energy may be compared: nothing disturbed them, and no batch was lost."""
        if self.disturbance is not None:
            return {}
        answers = {d: r for d, r in self.readings.items() if r.failure is None}
        if not self.disturbed:
            return answers
        return {
            d: r
            for d, r in answers.items()
            if r.batch_failure is None and not any(use.is_contaminated for use in r.devices)
        }

    @cached_property
    def read_together(self) -> Mapping[str, str] | None:
        """The first document of each document's request; None where every request was of one."""
        if all(len(batch) == 1 for batch in self.requests):
            return None
        return {reading.document: batch[0].document for batch in self.requests for reading in batch}

    @cached_property
    def log_latencies(self) -> Aligned:
        """Of the `clean` answers, the natural logarithm of the latency in seconds."""
        return Aligned.of(
            self.places,
            {d: log(s) for d, r in self.clean.items() if (s := r.latency_s) is not None and s > 0},
            self.read_together,
        )

    @cached_property
    def seconds(self) -> Aligned:
        """What each `clean` answer took; of a batch, its share."""
        shares = {d: s / r.batch_size for d, r in self.clean.items() if (s := r.latency_s)}
        return Aligned.of(self.places, shares, self.read_together)

    @cached_property
    def energy_sensor(self) -> str | None:
        """`counter` or `power`, whichever the energy of the documents was taken from; None without energy."""
        return energy_sensor(self.clean.values())

    @cached_property
    def joules(self) -> Aligned:
        """Energy of each `clean` answer on all devices; of a batch, its share."""
        counted = self.energy_sensor == "counter"
        found = {}
        for document, reading in self.clean.items():
            used = [use.energy_j if counted else use.power_j for use in reading.devices]
            if used and None not in used:
                found[document] = sum([joules or 0.0 for joules in used]) / reading.batch_size
        return Aligned.of(self.places, found, self.read_together)

    def for_comparison(
        self, cell: str, documents: Mapping[str, DocumentRecord], places: Mapping[str, int]
    ) -> CellResult:
        """The same under another name, without its answers: what comparisons ask of them is worked out and kept.

        So the cells of many logs have room in memory. `documents` may be bare; `places` numbers them by name, from 0:
        cells that share it compare faster.
        """
        kept = replace(self, cell=cell, documents=documents, readings={}, responses={}, scores={})
        found = {name: getattr(self, name) for name in ("answered", "_metrics", "energy_sensor")}
        found["scored"] = self.answered if self.scored == self.answered else self.scored
        found["places"] = places
        for name in ("_document_f1", "log_latencies", "joules"):
            values: Aligned = getattr(self, name)
            found[name] = Aligned(places, values.array, values.requests)
        kept.__dict__.update(found)  # where cached_property keeps them
        return kept

    # What several parts of a report ask

    @cached_property
    def requests(self) -> Sequence[Sequence[ReadingRecord]]:
        """The readings by the request that they were part of."""
        return batches(self.readings.values())

    @cached_property
    def phases(self) -> Mapping[str, Sequence[float]]:
        """Seconds that the answers took, by phase."""
        found: dict[str, list[float]] = {}
        for reading in self.readings.values():
            if reading.failure is None:
                for name, seconds in reading.phases.items():
                    if name in found:
                        found[name].append(seconds)
                    else:
                        found[name] = [seconds]
        return found

    @cached_property
    def ledgers(self) -> Mapping[str, VramLedger]:
        """Where device memory went, by device."""
        return vram_ledgers(self.loads, self.readings.values())


@lru_cache(maxsize=8)
def _places(documents: Sequence[str]) -> Mapping[str, int]:
    """Cells of one log were mostly asked the same, and share this."""
    return {d: place for place, d in enumerate(sorted(documents))}


def _share(part: int, whole: int) -> Estimate:
    """Of documents, each of which is in the part or not."""
    return ratio_interval_of({(1, 1): part, (0, 1): whole - part} if whole else {})


def why_unjudged(loads: Iterable[CellRecord], fixed_length: int | None) -> str | None:
    """Why answers of a cell are not scored; None if they are."""
    if any(load.facts.get("random_weights") is True for load in loads):
        return "random weights: their answers say nothing about the model, and are not scored"
    if fixed_length is not None:
        return f"every answer was made exactly {fixed_length} tokens long, whatever it says, and is not scored"
    return None
