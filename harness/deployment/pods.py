"""The memory of a pod, from measured peaks alone, and how many models share a GPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.batching import batches
from harness.deployment.figures import DeploymentError, Origin, figure_of, weakest
from harness.deployment.gpus import SAFE_PERCENT
from harness.metrics import Metric
from harness.results import MINIMUM_MEMORY_SAMPLES, CellResult, memory_samples

__all__ = ["LIMIT_PERCENT", "REQUEST_PERCENT", "SMALL_POD_GIB", "Pod", "SmallPod", "density", "pod_of", "pod_size"]

REQUEST_PERCENT, LIMIT_PERCENT = 110, 130
"""Of the measured peak: what the pod is promised, and what it is killed above."""
SMALL_POD_GIB = 4
_GIB = 2**30


class SmallPod(StrEnum):
    """Whether a pod of SMALL_POD_GIB is enough."""

    FITS = "fits"
    TIGHT = "without headroom"
    """The measured peak is within it, the limit is not."""
    TOO_LARGE = "does not fit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """Memory of one pod that holds one worker."""

    peak_bytes: int
    """Highest resident memory, loading included."""
    samples: int
    """During inference."""
    request_gib: int
    limit_gib: int
    origin: Origin = Origin.MEASURED

    @property
    def small(self) -> SmallPod:
        """Whether a pod of SMALL_POD_GIB is enough."""
        if self.limit_gib <= SMALL_POD_GIB:
            return SmallPod.FITS
        return SmallPod.TIGHT if self.peak_bytes <= SMALL_POD_GIB * _GIB else SmallPod.TOO_LARGE


def pod_size(peak_bytes: int, samples: int, *, origin: Origin = Origin.MEASURED) -> Pod:
    """Request = ceil(1.1 x peak) and limit = ceil(1.3 x peak), in GiB.

    Raises DeploymentError for a peak from fewer than MINIMUM_MEMORY_SAMPLES samples during inference: it can have been
    missed.
    """
    if samples < MINIMUM_MEMORY_SAMPLES:
        raise DeploymentError(
            f"no pod is sized from {samples} samples of memory during inference: at least {MINIMUM_MEMORY_SAMPLES} "
            "are needed"
        )
    if peak_bytes <= 0:
        raise DeploymentError(f"a peak of {peak_bytes} bytes is not a measurement")
    request, limit = (-(-peak_bytes * percent // (100 * _GIB)) for percent in (REQUEST_PERCENT, LIMIT_PERCENT))
    return Pod(peak_bytes=peak_bytes, samples=samples, request_gib=request, limit_gib=limit, origin=origin)


def pod_of(result: CellResult, metrics: Mapping[str, Metric]) -> Pod:
    """The pod of a cell whose overall metrics are given: by the higher of its peaks while loading and while reading.

    Raises DeploymentError with the reason where either was not measured, or from too few samples; and for dummy
    weights: a checkpoint's files pass through host memory on their way to the device, and drawn numbers do not.
    """
    if any(load.facts.get("weights") == "dummy" for load in result.loads):
        raise DeploymentError("no pod is sized from dummy weights: loading a checkpoint takes other memory")
    peak = figure_of(metrics["peak_rss_bytes"])
    if peak is None:
        if (why := metrics["peak_rss_bytes"].contaminated) is not None:
            raise DeploymentError(f"the peak of resident memory during inference judges nothing: {why}")
        samples = memory_samples(batch[0].memory for batch in batches(result.readings.values()))
        if samples >= MINIMUM_MEMORY_SAMPLES:
            raise DeploymentError("the peak of resident memory during inference was not measured")
        return pod_size(0, samples)
    loading = _highest(load.memory.peak_rss_bytes for load in result.loads if load.failure is None)
    if loading is None:
        raise DeploymentError("the peak of resident memory while loading was not measured")
    highest = max(int(peak.value), loading)
    return pod_size(highest, metrics["peak_rss_bytes"].n, origin=weakest(peak.origin))


def density(gpu_memory_bytes: int, peak_bytes: int, context_bytes: int) -> int:
    """How many copies share a GPU: floor(memory x 0.85 / (peak + context)).

    `peak_bytes` is what one copy takes beside its device context. Raises DeploymentError if both are 0.
    """
    if peak_bytes + context_bytes <= 0:
        raise DeploymentError("a density needs a measured peak")
    return gpu_memory_bytes * SAFE_PERCENT // (100 * (peak_bytes + context_bytes))


def _highest(values: Iterable[int | None]) -> int | None:
    return max((v for v in values if v is not None), default=None)
