"""Attention of one new token per row over a cache in which rows are of different lengths."""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["attend_cached", "attend_prompt", "attention_for"]

CachedAttention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def attention_for(device: str) -> CachedAttention:
    """`attend_cached`, or on CUDA a kernel that reads no more of the cache than `lengths` says, and never waits."""
    if device != "cuda":
        return attend_cached
    from harness.backends.generative.fast.kernels import decode_attention

    found: CachedAttention = decode_attention
    return found


def attend_cached(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """softmax(q k^T / sqrt(d)) v over the first `lengths[row]` positions of each row, at least one.

    `query` is (rows, heads, d); `keys` and `values` are (rows, key-value heads, capacity, d); `lengths` is (rows,).
    Returns (rows, heads, d).
    """
    longest = int(lengths.max())
    mask = torch.arange(longest, device=query.device) < lengths[:, None]
    attended = torch.nn.functional.scaled_dot_product_attention(
        query[:, :, None],
        keys[:, :, :longest],
        values[:, :, :longest],
        attn_mask=mask[:, None, None],
        enable_gqa=keys.shape[1] != query.shape[1],
    )
    return attended[:, :, 0]


def attend_prompt(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, causal: bool) -> torch.Tensor:
    """Attention of whole prompts, none padded: (rows, tokens, heads, d), keys and values with their own heads."""
    attended = torch.nn.functional.scaled_dot_product_attention(
        query.transpose(1, 2),
        keys.transpose(1, 2),
        values.transpose(1, 2),
        is_causal=causal,
        enable_gqa=keys.shape[2] != query.shape[2],
    )
    return attended.transpose(1, 2)
