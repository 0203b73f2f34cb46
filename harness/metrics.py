"""Every metric by name: unit, direction, definition. Reports print these definitions; nothing else defines a metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from harness.errors import unknown_name
from harness.statistics import Estimate

__all__ = [
    "METRICS",
    "PAIRED_METRICS",
    "Metric",
    "MetricDefinition",
    "Status",
    "contaminated_by",
    "definition",
    "measured",
    "not_measured",
]


class Status(StrEnum):
    """Where a number comes from."""

    MEASURED = "measured"
    PREDICTED = "predicted"
    IMPORTED = "imported"
    NOT_MEASURED = "not_measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDefinition:
    """What a metric is. `higher_is_better` is None where neither direction is good in itself."""

    unit: str
    definition: str
    higher_is_better: bool | None
    sampled: bool = True
    """Whether it is an estimate from a sample of documents, so that a verdict on it needs an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number with its evidence: value None exactly when the status is not_measured."""

    value: float | None
    low: float | None = None
    high: float | None = None
    """95 % interval, where one exists."""
    n: int = 0
    """Documents (or samples, for memory) behind the value."""
    unit: str
    status: Status
    contaminated: str | None = None
    """How others or a slowdown of the device disturbed the measurement, which then judges nothing; None if not."""


def _define() -> dict[str, MetricDefinition]:
    def quality(definition: str, higher_is_better: bool | None = True) -> MetricDefinition:
        return MetricDefinition(unit="ratio", definition=definition, higher_is_better=higher_is_better)

    def cost(unit: str, definition: str, higher_is_better: bool = False) -> MetricDefinition:
        return MetricDefinition(unit=unit, definition=definition, higher_is_better=higher_is_better)

    def single(unit: str, definition: str, higher_is_better: bool | None = False) -> MetricDefinition:
        return MetricDefinition(unit=unit, definition=definition, higher_is_better=higher_is_better, sampled=False)

    return {
        "f1": quality("2C / (2C + 2W + O + H): harmonic mean of precision and recall over all judged fields"),
        "precision": quality("C / (C + W + H): of the values given, the share that is right"),
        "recall": quality("C / (C + W + O): of the values printed, the share that was got right"),
        "hallucination_rate": quality(
            "H / (H + A): of the fields absent from the document and answered, the share given a value", False
        ),
        "omission_rate": quality(
            "O / (C + W + O): of the values printed, the share for which nothing was given", False
        ),
        "accuracy": quality("(C + A) / all judged fields; read it only beside floor_accuracy"),
        "floor_accuracy": quality("accuracy of answering N/A to everything on the same documents", None),
        "accuracy_above_floor": quality("mean over documents of accuracy minus floor_accuracy"),
        "value_rate": quality(
            "share of judged fields for which any value was given, right or wrong; not an accuracy", None
        ),
        "parse_rate": quality("share of answers in which at least one field could be recognised"),
        "truncation_rate": quality(
            "share of the answers that tell why they ended which ended at the limit of output tokens", False
        ),
        "anls": quality("mean normalised Levenshtein similarity over printed values, 0 below one half: a soft column"),
        "line_item_f1": quality("F1 over line-item cells after optimal alignment of rows"),
        "line_item_row_exact": quality("rows with every cell right / mean of rows printed and rows given"),
        "line_item_order": quality("share of documents whose matched line items keep the printed order"),
        "answer_rate": quality("share of documents that ended in an answer rather than in a typed failure"),
        "latency_s": cost(
            "s",
            "median time from request to text, image decoding included. In a batch, "
            "which the cell's name tells (@b8), the time of the whole batch: each of its documents waits for it. "
            "The interval, and n, of a time or its quantile count a batch once",
        ),
        "latency_p90_s": cost("s", "90th percentile of the same"),
        "latency_p95_s": cost("s", "95th percentile of the same"),
        "latency_p99_s": cost("s", "99th percentile of the same"),
        "latency_cv": single("ratio", "standard deviation over mean of the same"),
        "preprocess_s": cost("s", "median time to decode and prepare the image; in a batch, to prepare all"),
        "ttft_s": cost(
            "s",
            "median time from the start of generation to the first token: the image is decoded and prepared before it, "
            "in preprocess_s. In a batch, of each of its documents at once",
        ),
        "tpot_s": cost("s", "median time per output token after the first"),
        "load_s": single(
            "s",
            "time the backend took to get ready to answer, in a fresh process; the state of the file cache is not "
            "controlled. Never part of latency",
        ),
        "docs_per_min": cost(
            "1/min",
            "60 x answered documents / summed time of the requests that answered them, one request at a time",
            True,
        ),
        "output_tok_per_s": cost(
            "1/s",
            "generated token ids / seconds of generation, summed: the time to the first token counts, prompt tokens "
            "never do",
            True,
        ),
        "prompt_tok_per_s": cost(
            "1/s",
            "prompt tokens / time to first token, of answers by one call and of batches whose prompts are read as one. "
            "Image tokens are among them where the model reads them in its "
            "prompt, and not where it attends to images beside it, as Mllama does: comparable within one architecture",
            True,
        ),
        "peak_rss_bytes": single(
            "B",
            "highest resident memory of the worker during inference: the kernel's high-water "
            "mark where it can be reset, otherwise samples every 10 to 50 ms; at least 3 samples",
        ),
        "peak_anonymous_bytes": single("B", "highest anonymous part of it (mapped model files excluded), by sampling"),
        "load_peak_rss_bytes": single("B", "highest resident memory of the worker while loading"),
        "weights_bytes": single("B", "bytes of parameters and buffers as loaded"),
        "predicted_weights_bytes": single(
            "B", "the same, from the model's configuration and precision alone, before loading"
        ),
        "calls_per_document": single(
            "calls", "mean number of model calls behind these answers, failed ones included; OCR does not count"
        ),
        "peak_vram_bytes": single(
            "B",
            "highest device memory during inference less what was in use before the worker started, all devices "
            "summed: what the driver tells in at least 3 samples, or the context and what the allocator reserved where "
            "that is more: samples can miss a short peak",
        ),
        "energy_j": cost(
            "J",
            "energy of the accelerators, idle power included / answered documents: difference of the energy counter "
            "where there is one, otherwise sampled power integrated; from requests of at least 1 s in all",
        ),
        "j_per_output_tok": cost("J", "the same energy / generated token ids"),
        "mean_power_w": single("W", "the same energy / the time of these requests", None),
        "output_tok_per_s_per_w": single(
            "1/(s W)", "generated token ids a second and watt over the same requests: 1 / j_per_output_tok", True
        ),
        "energy_closure": cost(
            "ratio",
            "|counter - integrated power| / counter over the same requests; interval: of the mean difference by "
            "request; above 0.05 neither is to be believed",
        ),
        "idle_power_w": single(
            "W", "mean power of the accelerators over the second before the worker was started", None
        ),
    }


METRICS: Mapping[str, MetricDefinition] = MappingProxyType(_define())
"""By name, in the order in which reports list them. C, W, O, H, A: correct, wrong, omitted, hallucinated, absent."""

PAIRED_METRICS: Mapping[str, MetricDefinition] = MappingProxyType(
    {
        "f1_difference": MetricDefinition(
            unit="ratio",
            definition="mean over documents of F1 minus the F1 of the same model's reference precision",
            higher_is_better=True,
        ),
        "same_text_rate": MetricDefinition(
            unit="ratio",
            definition="share of the documents read twice whose raw responses are identical; of these documents, "
            "no estimate for others",
            higher_is_better=True,
            sampled=False,
        ),
        "same_pixels_rate": MetricDefinition(
            unit="ratio",
            definition="share of the images that two precisions of a model were given as exactly the same pixels",
            higher_is_better=True,
            sampled=False,
        ),
        "image_facts_rate": MetricDefinition(
            unit="ratio",
            definition="share of the answered documents whose image tokens are recorded and are tiles x tokens a tile",
            higher_is_better=True,
            sampled=False,
        ),
        "uncontaminated_rate": MetricDefinition(
            unit="ratio",
            definition="share of the requests during which no process of others was on the device and nothing but its "
            "own power cap held its clocks down, as far as the driver tells",
            higher_is_better=True,
            sampled=False,
        ),
        "quantized_share": MetricDefinition(
            unit="ratio",
            definition="share of the linear layers whose weights have fewer than 16 bits",
            higher_is_better=None,
            sampled=False,
        ),
        "weights_deviation": MetricDefinition(
            unit="ratio",
            definition="predicted bytes of the weights against measured ones: |predicted - measured| / measured",
            higher_is_better=False,
            sampled=False,
        ),
    }
)
"""Metrics of a cell against something else: another cell, or a prediction. No cell has one of its own."""


def definition(name: str) -> MetricDefinition:
    """The definition of a metric of either kind; raises UnknownNameError."""
    found = METRICS.get(name) or PAIRED_METRICS.get(name)
    if found is None:
        raise unknown_name("metric", name, [*METRICS, *PAIRED_METRICS])
    return found


def measured(name: str, estimate: Estimate) -> Metric:
    """Give an estimate its metric's unit; an undefined estimate is not measured."""
    unit = definition(name).unit
    if estimate.value is None:
        return Metric(value=None, n=estimate.n, unit=unit, status=Status.NOT_MEASURED)
    return Metric(
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        n=estimate.n,
        unit=unit,
        status=Status.MEASURED,
    )


def not_measured(name: str) -> Metric:
    """Say that nothing measured `name`."""
    return Metric(value=None, unit=definition(name).unit, status=Status.NOT_MEASURED)


_UNDISTURBED = ("ratio", "B", "calls")
"""Units of what does not depend on what else the machine has to do: times, rates and energy do."""
_DISTURBED = frozenset({"latency_cv", "energy_closure"})
"""Ratios of times and energies."""


def contaminated_by(metrics: Mapping[str, Metric], why: str | None) -> dict[str, Metric]:
    """The same metrics; those that depend on time or power judge nothing if there is a `why`, and say it."""
    if why is None:
        return dict(metrics)
    return {
        name: metric
        if metric.value is None or (metric.unit in _UNDISTURBED and name not in _DISTURBED)
        else replace(metric, contaminated=why)
        for name, metric in metrics.items()
    }
