"""What backends tell about a loaded model and its images, read from evidence with its types checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.evidence import CellRecord, ReadingRecord

__all__ = ["ImageFacts", "LinearLayers", "by_device", "image_facts", "linear_layers", "loaded_facts", "number"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearLayers:
    """Linear layers of a loaded model."""

    quantized: int
    """In fewer than 16 bits."""
    asked: int
    """That the precision and its skip list name for it."""
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """How one image was prepared; None for what the backend does not tell."""

    tiles: int | None
    image_tokens: int | None
    width: int | None
    """Of the image before it is cut into tiles, in pixels."""
    height: int | None
    pixel_crc32: str | None
    """Of the values that the model is given."""


def loaded_facts(loads: Sequence[CellRecord]) -> Mapping[str, Any]:
    """Facts of the latest load that succeeded; empty without one."""
    return next((load.facts for load in reversed(loads) if load.failure is None), {})


def number(facts: Mapping[str, Any], name: str) -> int | None:
    """A count or size among `facts`; None where it is missing or no whole number."""
    value = facts.get(name)
    return value if type(value) is int and value >= 0 else None  # isinstance would let a bool pass


def by_device(facts: Mapping[str, Any], name: str) -> Mapping[str, int]:
    """A size that is told for each CUDA device, such as `weights_allocated_bytes`: device -> bytes, in their order."""
    prefix = f"{name}."
    found = {
        key.removeprefix(prefix): value
        for key in facts
        if key.startswith(f"{prefix}cuda:") and (value := number(facts, key)) is not None
    }
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))


def linear_layers(facts: Mapping[str, Any]) -> LinearLayers | None:
    """What was quantised and what was to be; None where the backend does not tell."""
    found = [number(facts, name) for name in ("linears_quantized", "linears_asked", "linears")]
    if found[0] is None or found[1] is None or not found[2]:
        return None
    return LinearLayers(quantized=found[0], asked=found[1], total=found[2])


def image_facts(reading: ReadingRecord) -> ImageFacts:
    """How the image of a reading was prepared."""
    told, mark = reading.facts, reading.facts.get("pixel_crc32")
    return ImageFacts(
        tiles=number(told, "tiles"),
        image_tokens=number(told, "image_tokens"),
        width=number(told, "image_width"),
        height=number(told, "image_height"),
        pixel_crc32=mark if isinstance(mark, str) else None,
    )
