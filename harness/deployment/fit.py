"""Whether a cell fits a device: its memory, its precision and its kernels, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.deployment.figures import Figure, Origin, figure_of, weakest
from harness.deployment.gpus import SAFE_PERCENT, Gpu
from harness.metrics import Metric
from harness.quantization import Quantization

__all__ = ["Answer", "Fit", "Need", "device_need", "fit"]

FLASH_ATTENTION = "flash_attention_2"
"""transformers' name of the attention that needs kernels of its own."""


class Answer(StrEnum):
    """Whether something is so."""

    YES = "yes"
    CONDITIONAL = "conditional"
    """Once the reason's condition is met."""
    UNKNOWN = "unknown"
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a cell takes of a device's memory. Neither figure is known where neither was measured nor predicted."""

    peak: Figure | None
    """While reading, all devices summed; measured on the device that the cell ran on."""
    weights: Figure | None
    """What it takes at least."""
    measured_on: str | None
    """Id of the catalogue's entry for that device."""
    devices: int = 1
    """Over which `peak` is summed."""
    why_unknown: str = "the peak of device memory was not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A cell on one device of the catalogue."""

    gpu: str
    needed: Figure | None
    """Of memory, as far as it is known there."""
    raw: Answer
    """Whether that is within all of the device's memory."""
    safe: Answer
    """Whether it is within the share that a deployment should plan with."""
    dtype: Answer
    kernels: Answer
    memory_reason: str | None
    """Why memory is not a plain yes, or what else is to be known of it."""
    other_reasons: Sequence[str]
    """The same of precision and kernels."""

    @property
    def reasons(self) -> Sequence[str]:
        """All of them."""
        return [*([] if self.memory_reason is None else [self.memory_reason]), *self.other_reasons]

    @property
    def verdict(self) -> Answer:
        """No if anything says no, unknown if anything is, conditional if anything is; memory by the safe share."""
        answers = {self.safe, self.dtype, self.kernels}
        return next(a for a in (Answer.NO, Answer.UNKNOWN, Answer.CONDITIONAL, Answer.YES) if a in answers)


def device_need(
    metrics: Mapping[str, Metric], *, measured_on: str | None, devices: int = 1, host_bytes: int = 0
) -> Need:
    """What a cell's metrics tell of its device memory. A peak in other processes' company tells nothing.

    `host_bytes` of the weights stay in the host's memory.
    """
    peak = metrics["peak_vram_bytes"]
    weights = figure_of(metrics["predicted_weights_bytes"]) or figure_of(metrics["weights_bytes"])
    if weights is not None and host_bytes:
        weights = replace(weights, value=weights.value - host_bytes)
    why = "the peak of device memory was not measured" if peak.contaminated is None else peak.contaminated
    return Need(peak=figure_of(peak), weights=weights, measured_on=measured_on, devices=devices, why_unknown=why)


def fit(need: Need, mode: Quantization, gpu: Gpu, *, attention: str | None = None) -> Fit:
    """Judge one cell on one device. `attention` is transformers' implementation; None for PyTorch's own.

    Memory is judged by the peak, which on another device than the measured one is a prediction: kernels differ. Weights
    alone can prove that a cell does not fit, never that it does.
    """
    needed, raw, safe, memory_reason = _memory(need, gpu)
    unsupported = gpu.unsupported(mode)
    kernels, kernel_reasons = _kernels(mode, gpu, attention)
    return Fit(
        gpu=gpu.id,
        needed=needed,
        raw=raw,
        safe=safe,
        dtype=Answer.YES if unsupported is None else Answer.NO,
        kernels=kernels,
        memory_reason=memory_reason,
        other_reasons=[*([] if unsupported is None else [unsupported]), *kernel_reasons],
    )


def _memory(need: Need, gpu: Gpu) -> tuple[Figure | None, Answer, Answer, str | None]:
    if gpu.memory_bytes is None or gpu.safe_bytes is None:
        return need.peak, Answer.UNKNOWN, Answer.UNKNOWN, "memory is the machine's own: see the pods"
    if need.peak is None:
        return _by_weights(need, gpu, gpu.memory_bytes, gpu.safe_bytes)
    here = need.measured_on == gpu.id and need.devices == 1
    origin = need.peak.origin if here else weakest(need.peak.origin, Origin.PREDICTED)
    needed = Figure(value=need.peak.value, unit="B", origin=origin)
    raw, safe = needed.value <= gpu.memory_bytes, needed.value <= gpu.safe_bytes
    reason = None if safe else _too_large("takes", needed.value, gpu, raw=raw)
    if safe and gpu.shared_memory:
        reason = "the processor and the system share this memory: what they take comes on top"
    return needed, Answer.YES if raw else Answer.NO, Answer.YES if safe else Answer.NO, reason


def _by_weights(need: Need, gpu: Gpu, whole: int, usable: int) -> tuple[Figure | None, Answer, Answer, str | None]:
    weights = need.weights
    if weights is None:
        return None, Answer.UNKNOWN, Answer.UNKNOWN, need.why_unknown
    raw, safe = (Answer.NO if weights.value > size else Answer.UNKNOWN for size in (whole, usable))
    reason = need.why_unknown
    if safe is Answer.NO:
        reason = _too_large("the weights alone take", weights.value, gpu, raw=raw is not Answer.NO)
    return weights, raw, safe, reason


def _too_large(what: str, size: float, gpu: Gpu, *, raw: bool) -> str:
    limit = (gpu.safe_bytes if raw else gpu.memory_bytes) or 0
    of = f"{SAFE_PERCENT} % of {gpu.name}" if raw else f"all of {gpu.name}"
    return f"{what} {size / 2**30:.2f} GiB; {of} is {limit / 2**30:.2f} GiB"


def _kernels(mode: Quantization, gpu: Gpu, attention: str | None) -> tuple[Answer, Sequence[str]]:
    asked = ["pytorch"]
    if mode.is_quantized:
        asked.append("bitsandbytes")
    if attention == FLASH_ATTENTION:
        if (missing := gpu.no_flash_attention()) is not None:
            return Answer.NO, [missing]
        asked.append("flash_attention")
    conditions = [f"{c.text} ({c.source})" for what in asked if (c := gpu.conditions.get(what)) is not None]
    return Answer.CONDITIONAL if conditions else Answer.YES, conditions
