"""A text decoder over slots: whole prompts at once, then one token a step for all slots together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from harness.backends.generative.fast.attention import attend_prompt
from harness.backends.generative.fast.cache import SlotCache
from harness.backends.generative.fast.choosing import picker_for
from harness.backends.generative.fast.compiling import Compile, as_it_is
from harness.backends.generative.fast.layers import Layer, decoder_layers

__all__ = ["Decoder", "ImageStates", "Keep", "State"]

Keep = Callable[[int, torch.Tensor, torch.Tensor], None]
"""Takes a layer's number, its keys and its values, each (rows, tokens, heads, d)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStates:
    """What layers that attend to the image are shown of it, for prompts of one shape."""

    states: torch.Tensor
    """(rows, positions, hidden): of all tiles, those that the image does not fill included."""
    filled: int
    """Positions of the tiles that the image fills: they come first, and all that a later token sees."""
    first: int
    """Position of the image in the prompt. Tokens before it see no image: of them, the library's mask leaves the
    attention (to all tiles) and switches off the MLP of these layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a decoding step reads and changes, one entry a slot: the same tensors at every step."""

    tokens: torch.Tensor
    """The last token of each row: int64."""
    lengths: torch.Tensor
    """Positions that the cache holds of each row: int64."""
    image_lengths: torch.Tensor
    """The same of its image."""
    active: torch.Tensor
    """1 for a slot that has a row, else 0: int64."""
    left: torch.Tensor
    """Tokens still to come before a row may stop: int64."""
    told: torch.Tensor
    """Of the last tokens, as `pick` tells: (slots, 2) of gap and log-probability, float32."""

    @classmethod
    def allocate(cls, slots: int, device: torch.device) -> State:
        """No rows."""

        def zeros() -> torch.Tensor:
            return torch.zeros(slots, dtype=torch.int64, device=device)

        return cls(
            tokens=zeros(),
            lengths=zeros(),
            image_lengths=zeros() + 1,
            active=zeros(),
            left=zeros(),
            told=torch.zeros((slots, 2), dtype=torch.float32, device=device),
        )


class Decoder:
    """The library's weights, and the arithmetic of its `generate` with greedy decoding."""

    def __init__(self, model: Any, *, stops: Sequence[int], fuse: bool, compiled: Compile = as_it_is) -> None:
        self._text = model.model.language_model
        self._head = model.lm_head
        self.layers = decoder_layers(self._text, fuse=fuse)
        weight = self._text.norm.weight
        self._stops = torch.tensor(list(stops), device=weight.device)
        self._pick = picker_for(weight.device.type)
        self._read, self._step = compiled(Layer.read), compiled(Layer.step)
        self._rotary: tuple[Any, Any] | None = None

    @property
    def vocabulary(self) -> int:
        """Logits of a token."""
        return int(self._head.out_features)

    def reserve(self, capacity: int, like: torch.Tensor) -> None:
        """Work out the rotations of that many positions, once."""
        if self._rotary is None or len(self._rotary[0]) < capacity:
            positions = torch.arange(capacity, device=like.device)[None]
            cos, sin = self._text.rotary_emb(like, positions)
            self._rotary = cos[0].contiguous(), sin[0].contiguous()

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Of tokens: (..., hidden)."""
        found: torch.Tensor = self._text.embed_tokens(ids)
        return found

    def read(self, hidden: torch.Tensor, image: ImageStates | None, keep: Keep) -> torch.Tensor:
        """Prompts of equal length, embedded, (rows, tokens, hidden): the logits of the next token of each, (rows,
        vocabulary). `keep` is given each layer's keys and values, of the image those that later tokens see."""
        self.reserve(hidden.shape[1], hidden)
        assert self._rotary is not None
        cos, sin = (table[: hidden.shape[1]] for table in self._rotary)
        for number, layer in enumerate(self.layers):
            if layer.is_cross:
                assert image is not None
                hidden, keys, values = _read_image(layer, hidden, image)
            else:
                hidden, keys, values = self._read(layer, hidden, cos, sin)
            keep(number, keys, values)
        return self._logits(hidden[:, -1])

    def step(self, state: State, cache: SlotCache) -> None:
        """The next token of every slot, into `state`. Waits for nothing, so that it can be recorded as a graph."""
        assert self._rotary is not None
        cos, sin = (table[state.lengths] for table in self._rotary)
        hidden = self.embed(state.tokens)
        seen = state.lengths + 1
        for number, layer in enumerate(self.layers):
            keys, values = cache.keys[number], cache.values[number]
            lengths = state.image_lengths if layer.is_cross else seen
            hidden = self._step(layer, hidden, keys, values, lengths, cos, sin)
        self.choose(self._logits(hidden), state)
        state.lengths.add_(state.active)
        state.left.sub_(state.active)

    def choose(self, logits: torch.Tensor, state: State, slots: torch.Tensor | None = None) -> None:
        """Put the likeliest tokens into `state`: of all slots, or the rows of `logits` into `slots`."""
        left = state.left if slots is None else state.left[slots]
        logits[:, self._stops] = torch.where(left[:, None] > 0, -torch.inf, logits[:, self._stops])
        tokens, told = self._pick(logits)
        for kept, new in ((state.tokens, tokens), (state.told, told)):
            if slots is None:
                kept.copy_(new)
            else:
                kept[slots] = new

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._head(self._text.norm(hidden))
        return found


def _read_image(
    layer: Layer, hidden: torch.Tensor, image: ImageStates
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A layer that attends to the image, for whole prompts; its keys and values of the tiles that are filled."""
    keys, values = layer.image_keys_values(image.states)
    queries = layer.queries(layer.norm(hidden))
    shown = keys[:, : image.filled], values[:, : image.filled]
    before = attend_prompt(queries[:, : image.first], keys, values, causal=False)
    after = attend_prompt(queries[:, image.first :], *shown, causal=False)
    sees = torch.arange(hidden.shape[1], device=hidden.device) >= image.first
    return layer.finish(hidden, torch.cat((before, after), dim=1), sees[:, None].to(hidden.dtype)), *shown
