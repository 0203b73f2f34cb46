"""The layers of a text decoder, on the library's own modules and weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from harness.backends.generative.fast.attention import attend_prompt, attention_for
from harness.errors import UnsupportedError

__all__ = ["Layer", "decoder_layers", "rotate"]

_SELF = ("q_proj", "k_proj", "v_proj", "o_proj")


class Layer(torch.nn.Module):  # type: ignore[misc]  # untyped where torch is not installed
    """One layer: attention to the text before, or to the image, then a gated MLP; each after a norm, each added.

    Queries, keys and values come as (..., heads, head size), not by head first.
    """

    def __init__(self, module: Any, number: int, *, fuse: bool) -> None:
        super().__init__()
        self.is_cross = hasattr(module, "cross_attn")
        attention: Any = module.cross_attn if self.is_cross else getattr(module, "self_attn", None)
        _check(module, attention, number)
        self.attention = attention
        self.norm = module.input_layernorm
        self.mlp, self.mlp_norm = module.mlp, module.post_attention_layernorm
        self.head_size = int(attention.head_dim)
        self.heads = int(attention.q_proj.out_features) // self.head_size
        self.kv_heads = int(attention.k_proj.out_features) // self.head_size
        self.attention_gate = getattr(module, "cross_attn_attn_gate", None)
        self.mlp_gate = getattr(module, "cross_attn_mlp_gate", None)
        self.project = None if self.is_cross else Together([getattr(attention, n) for n in _SELF[:3]], fuse=fuse)
        self.gate_up = Together([module.mlp.gate_proj, module.mlp.up_proj], fuse=fuse)
        self.attend = attention_for(self.norm.weight.device.type)

    def step(
        self,
        hidden: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        lengths: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
    ) -> torch.Tensor:
        """One new token of each slot, (slots, hidden); layers of the text keep its key and value at `lengths` - 1."""
        normed = self.norm(hidden)
        if self.is_cross:
            return self.finish(hidden, self.attend(self.queries(normed), keys, values, lengths))
        q, k, v = self.text_queries_keys_values(normed, cos, sin)
        rows = torch.arange(len(hidden), device=hidden.device)
        keys[rows, :, lengths - 1] = k
        values[rows, :, lengths - 1] = v
        return self.finish(hidden, self.attend(q, keys, values, lengths))

    def read(
        self, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Whole prompts (rows, tokens, hidden), by a layer of the text: what goes on to the next, keys and values."""
        q, k, v = self.text_queries_keys_values(self.norm(hidden), cos, sin)
        return self.finish(hidden, attend_prompt(q, k, v, causal=True)), k, v

    def queries(self, hidden: torch.Tensor) -> torch.Tensor:
        """Of a layer that attends to the image."""
        return self._normed("q_norm", self.attention.q_proj(hidden).unflatten(-1, (self.heads, self.head_size)))

    def image_keys_values(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of an image's states (rows, positions, hidden)."""
        shape = (self.kv_heads, self.head_size)
        keys, values = self.attention.k_proj(states), self.attention.v_proj(states)
        return self._normed("k_norm", keys.unflatten(-1, shape)), values.unflatten(-1, shape)

    def text_queries_keys_values(
        self, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of tokens (..., hidden), rotated by `cos` and `sin` (..., head size)."""
        assert self.project is not None
        q, k, v = self.project(hidden)
        q = self._normed("q_norm", q.unflatten(-1, (self.heads, self.head_size)))
        k = self._normed("k_norm", k.unflatten(-1, (self.kv_heads, self.head_size)))
        cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
        return rotate(q, cos, sin), rotate(k, cos, sin), v.unflatten(-1, (self.kv_heads, self.head_size))

    def finish(
        self, hidden: torch.Tensor, attended: torch.Tensor, mlp_rows: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The rest of the layer. `mlp_rows` (..., 1) is 0 for tokens that its MLP is switched off for, else 1."""
        out = self.attention.o_proj(attended.flatten(-2))
        hidden = hidden + (out if self.attention_gate is None else self.attention_gate.tanh() * out)
        gate, up = self.gate_up(self.mlp_norm(hidden))
        out = self.mlp.down_proj(self.mlp.act_fn(gate) * up)
        if mlp_rows is not None:
            out = mlp_rows * out
        return hidden + (out if self.mlp_gate is None else self.mlp_gate.tanh() * out)

    def _normed(self, name: str, states: torch.Tensor) -> torch.Tensor:
        norm: Callable[[torch.Tensor], torch.Tensor] | None = getattr(self.attention, name, None)
        return states if norm is None else norm(states)


class Together(torch.nn.Module):  # type: ignore[misc]
    """What several linear layers make of one input: one product where they are plain matrices and `fuse` is set.

    The library's modules then keep views of the one matrix: nothing is held twice.
    """

    def __init__(self, linears: Sequence[Any], *, fuse: bool) -> None:
        super().__init__()
        plain = all(type(linear) is torch.nn.Linear for linear in linears)
        biased = {linear.bias is not None for linear in linears}
        self.fused = fuse and plain and len(biased) == 1
        self.linears = torch.nn.ModuleList(linears)
        self.sizes = [int(linear.out_features) for linear in linears]
        if self.fused:
            self.weight = _merge([linear.weight for linear in linears])
            self.bias = _merge([linear.bias for linear in linears]) if biased == {True} else None

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """One tensor for each layer."""
        if not self.fused:
            return tuple(linear(hidden) for linear in self.linears)
        found: tuple[torch.Tensor, ...] = torch.nn.functional.linear(hidden, self.weight, self.bias).split(
            self.sizes, dim=-1
        )
        return found


def rotate(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding (Su et al. 2021), by halves as Llama and Qwen do."""
    first, second = states.chunk(2, dim=-1)
    return states * cos + torch.cat((-second, first), dim=-1) * sin


def decoder_layers(decoder: Any, *, fuse: bool) -> tuple[Layer, ...]:
    """The layers of a Llama- or Qwen-like decoder of transformers; `fuse` puts projections of one input together.

    Raises UnsupportedError for layers that are built otherwise.
    """
    return tuple(Layer(module, number, fuse=fuse) for number, module in enumerate(decoder.layers))


def _check(module: Any, attention: Any, number: int) -> None:
    wanted = (
        (module, ("input_layernorm", "post_attention_layernorm", "mlp")),
        (attention, _SELF),
        (getattr(module, "mlp", None), ("gate_proj", "up_proj", "down_proj", "act_fn")),
    )
    missing = [name for owner, names in wanted for name in names if not hasattr(owner, name)]
    if missing or getattr(attention, "sliding_window", None):
        what = f"has no {missing[0]}" if missing else "attends to a sliding window"
        raise UnsupportedError(f"the runtime fast does not know this kind of decoder: layer {number} {what}")


def _merge(parameters: Sequence[torch.nn.Parameter]) -> torch.nn.Parameter:
    """One tensor of all rows; the parameters become views of it."""
    merged = torch.cat([parameter.data for parameter in parameters])
    for parameter, part in zip(parameters, merged.split([len(p) for p in parameters]), strict=True):
        parameter.data = part
    return torch.nn.Parameter(merged, requires_grad=False)
