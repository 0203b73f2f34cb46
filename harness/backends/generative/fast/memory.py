"""What a request will take of the device's memory, from shapes alone, before it is begun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from harness.backends.generative.fast.cache import cache_bytes
from harness.backends.generative.fast.layers import Layer

if TYPE_CHECKING:
    import torch

__all__ = ["WORKSPACES", "Room", "plan_slots", "product_bytes", "text_bytes"]

_KEPT_FREE = 0.02
"""Share of what is free that stays so: the allocator rounds up, and libraries take workspaces of their own."""


WORKSPACES = 64 * 2**20
"""Of the library of matrix products, on recent GPUs: 32 MiB for each of two streams, one of which records steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many slots there is room for, and what that takes beside the weights, in bytes."""

    slots: int
    cache: int
    """Of keys and values."""
    step: int
    """Of a decoding step, mostly its logits. As it is recorded, it is held while prompts are read, too."""
    prompt: int
    """While prompts are read that are read at once, at most, and workspaces of libraries."""


def plan_slots(
    layers: Sequence[Layer],
    *,
    asked: int,
    capacity: int,
    image_capacity: int,
    vocabulary: int,
    bytes_per_value: int,
    prompt: int,
    free: int | None,
) -> Room:
    """As many slots as were asked for, or as fit into `free` bytes, at least one; None for a device without a limit."""
    one = cache_bytes(
        layers, slots=1, capacity=capacity, image_capacity=image_capacity, bytes_per_value=bytes_per_value
    )
    step = vocabulary * bytes_per_value
    slots = asked
    if free is not None:
        slots = max(1, min(asked, (int(free * (1 - _KEPT_FREE)) - prompt) // (one + step)))
    return Room(slots=slots, cache=slots * one, step=slots * step, prompt=prompt)


def text_bytes(layers: Sequence[Layer], tokens: int, image_positions: int, bytes_per_value: int) -> int:
    """While a layer reads one prompt: what the largest MLP holds at once (its input twice, gate and up projections, the
    activation and the product), and what an image's keys, before and after their norm, and values take."""
    widest = max(2 * int(layer.norm.weight.numel()) + 2 * sum(layer.gate_up.sizes) for layer in layers)
    across = max((3 * layer.kv_heads * layer.head_size for layer in layers if layer.is_cross), default=0)
    return (tokens * widest + image_positions * across) * bytes_per_value


def product_bytes(model: torch.nn.Module, tokens: int, bytes_per_value: int) -> int:
    """While the widest layer of fewer than 16 bits is applied to so many tokens: 4-bit weights are expanded whole, and
    LLM.int8 holds its inputs in 8 bits and its sums in 32; 0 without such layers."""
    most = 0
    for module in model.modules():
        layer = cast("Any", module)
        if type(module).__name__ == "Linear4bit":
            most = max(most, layer.in_features * layer.out_features * bytes_per_value)
        elif type(module).__name__ == "Linear8bitLt":
            most = max(most, tokens * (layer.in_features + 4 * layer.out_features))
    return most
