"""The ledger of device memory: where the bytes went that the driver saw a cell take, device by device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.batching import batches
from harness.evidence import CellRecord, DeviceUse, ReadingRecord
from harness.model_facts import loaded_facts, number

__all__ = ["CLOSURE", "MINIMUM_SAMPLES", "VramLedger", "peak_vram", "summed", "vram_ledgers"]

CLOSURE = 0.02
"""Share of what the driver saw that may stay unexplained."""
MINIMUM_SAMPLES = 3
"""Fewer samples during inference than this, and the driver's peak is not used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VramLedger:
    """Bytes of one device, or of all summed, at the peak during inference. None where a part is missing, never 0."""

    device: str
    context: int | None
    """Taken by the driver for the process beside its tensors: CUDA's context, and the kernels loaded by a first use."""
    weights: int | None
    """In the allocator's tensors after loading."""
    activations: int | None
    """In tensors at the peak, beyond the weights: the key-value cache is among them."""
    slack: int | None
    """Reserved by the allocator at the peak, beyond its tensors."""
    nvml_total: int | None
    """Highest in use as the driver tells, less what was in use before the worker."""
    samples: int = 0
    """Readings of the driver during inference."""

    @property
    def unexplained(self) -> int | None:
        """What the driver saw beyond the sum of the parts; negative where the sampling missed the peak."""
        return None if self._parts is None or self.nvml_total is None else self.nvml_total - self._parts

    @property
    def closes(self) -> bool | None:
        """Whether the parts add up to what the driver saw, within CLOSURE; None where one is missing."""
        if self.unexplained is None or not self.nvml_total:
            return None
        return abs(self.unexplained) <= CLOSURE * self.nvml_total

    @property
    def peak(self) -> int | None:
        """The higher of what the driver saw and what was reserved beside the context: samples can miss a short peak."""
        return max((size for size in (self.nvml_total, self._parts) if size is not None), default=None)

    @property
    def _parts(self) -> int | None:
        return _sum([self.context, self.weights, self.activations, self.slack])


def vram_ledgers(loads: Sequence[CellRecord], readings: Iterable[ReadingRecord]) -> Mapping[str, VramLedger]:
    """The ledger of each device that the cell used, in their order; empty for a cell that used none.

    The latest load that succeeded says what was there before the requests, `readings` hold the peaks.
    """
    readings = list(readings)
    facts = loaded_facts(loads)
    latest = next((load for load in reversed(loads) if load.failure is None), None)
    before = {use.device: use.before_bytes for use in (latest.devices if latest else ())}
    uses: dict[str, list[DeviceUse]] = {name: [] for name in before}
    allocated: dict[str, int] = {}
    reserved: dict[str, int] = {}
    for peak in [peak for reading in readings for peak in reading.allocator]:
        name = peak.device
        if name not in allocated:
            allocated[name] = reserved[name] = 0
        if peak.allocated_bytes > allocated[name]:
            allocated[name] = peak.allocated_bytes
        if peak.reserved_bytes > reserved[name]:
            reserved[name] = peak.reserved_bytes
    for batch in batches(readings):
        for use in batch[0].devices:
            if use.device not in before:
                uses[use.device], before[use.device] = [], use.before_bytes
            uses[use.device].append(use)
    found = {}
    for name in sorted(uses.keys() | allocated.keys(), key=_order):
        weights = number(facts, f"weights_allocated_bytes.{name}")
        samples = sum(max(0, use.samples - 2) for use in uses.get(name, ()))  # the first and last see an idle device
        found[name] = VramLedger(
            device=name,
            context=_difference(_beside_tensors(facts, name), before.get(name)),
            weights=weights,
            activations=_difference(allocated.get(name), weights),
            slack=_difference(reserved.get(name), allocated.get(name)),
            nvml_total=_highest(uses.get(name, ())) if samples >= MINIMUM_SAMPLES else None,
            samples=samples,
        )
    return found


def _beside_tensors(facts: Mapping[str, Any], device: str) -> int | None:
    """Used on the device beside the allocator's memory, by anybody: after a first use, as kernels are loaded lazily."""
    warm = number(facts, f"device_used_after_warm_up_bytes.{device}")
    return warm if warm is not None else number(facts, f"device_used_after_context_bytes.{device}")


def summed(ledgers: Mapping[str, VramLedger]) -> VramLedger | None:
    """All devices as one; a part that is missing on one device is missing. None without devices."""
    if not ledgers:
        return None
    every = list(ledgers.values())
    return VramLedger(
        device="all",
        context=_sum([ledger.context for ledger in every]),
        weights=_sum([ledger.weights for ledger in every]),
        activations=_sum([ledger.activations for ledger in every]),
        slack=_sum([ledger.slack for ledger in every]),
        nvml_total=_sum([ledger.nvml_total for ledger in every]),
        samples=sum(ledger.samples for ledger in every),
    )


def peak_vram(ledgers: Mapping[str, VramLedger]) -> int | None:
    """Highest device memory, all devices summed; None unless every device tells its own."""
    return _sum([ledger.peak for ledger in ledgers.values()]) if ledgers else None


def _highest(uses: Iterable[DeviceUse]) -> int | None:
    taken = [_difference(use.used_bytes, use.before_bytes) for use in uses]
    return max((size for size in taken if size is not None), default=None)


def _difference(whole: int | None, part: int | None) -> int | None:
    """What is left; None where either is missing, or somebody else gave memory back in between."""
    return None if whole is None or part is None or whole < part else whole - part


def _sum(parts: Sequence[int | None]) -> int | None:
    return None if None in parts else sum(part for part in parts if part is not None)


def _order(device: str) -> tuple[str, int, str]:
    kind, _, which = device.partition(":")
    return kind, int(which) if which.isdecimal() else -1, which
