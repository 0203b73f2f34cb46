"""Keys and values of what has been read and written so far: one slot for each row that is being answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from harness.backends.generative.fast.layers import Layer

__all__ = ["SlotCache", "cache_bytes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotCache:
    """`keys[layer]` and `values[layer]` are (slots, key-value heads, positions, head size)."""

    slots: int
    capacity: int
    """Positions of a prompt and its answer."""
    image_capacity: int
    """Positions of an image, for layers that attend to it and not to the text; 0 without such layers."""
    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]

    @classmethod
    def allocate(
        cls, layers: Sequence[Layer], *, slots: int, capacity: int, image_capacity: int, like: torch.Tensor
    ) -> SlotCache:
        """Zeros, of the type and on the device of `like`: what no row has written is multiplied by a weight of 0."""

        def tensor(layer: Layer) -> torch.Tensor:
            positions = image_capacity if layer.is_cross else capacity
            return like.new_zeros((slots, layer.kv_heads, positions, layer.head_size))

        return cls(
            slots=slots,
            capacity=capacity,
            image_capacity=image_capacity,
            keys=tuple(tensor(layer) for layer in layers),
            values=tuple(tensor(layer) for layer in layers),
        )

    def first(self, slots: int) -> SlotCache:
        """The same memory, of the first slots only."""
        return SlotCache(
            slots=slots,
            capacity=self.capacity,
            image_capacity=self.image_capacity,
            keys=tuple(keys[:slots] for keys in self.keys),
            values=tuple(values[:slots] for values in self.values),
        )

    def write(self, slots: torch.Tensor, number: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keep what a layer made of prompts, (rows, tokens, heads, d), in `slots`."""
        self.keys[number][slots, :, : keys.shape[1]] = keys.transpose(1, 2)
        self.values[number][slots, :, : values.shape[1]] = values.transpose(1, 2)


def cache_bytes(
    layers: Sequence[Layer], *, slots: int, capacity: int, image_capacity: int, bytes_per_value: int
) -> int:
    """What `SlotCache.allocate` will take."""
    values = sum(
        2 * layer.kv_heads * layer.head_size * (image_capacity if layer.is_cross else capacity) for layer in layers
    )
    return slots * values * bytes_per_value
