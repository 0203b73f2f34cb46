"""Greedy choice: the likeliest token, and how narrowly it was the likeliest."""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["pick", "picker_for"]

Picker = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def picker_for(device: str) -> Picker:
    """`pick`, or on CUDA a kernel that reads the logits once."""
    if device != "cuda":
        return pick
    from harness.backends.generative.fast import kernels

    found: Picker = kernels.pick
    return found


def pick(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of logits (rows, vocabulary), at least two of them finite: the highest of each row, of equals the first, as int64
    (rows,); and (rows, 2) in float32: its gap to the next best, and its log-probability.
    """
    logits = logits.float()
    tokens = logits.argmax(dim=-1)
    best = logits.gather(1, tokens[:, None])
    others = logits.scatter(1, tokens[:, None], -torch.inf).amax(dim=-1, keepdim=True)
    return tokens, torch.cat((best - others, best - logits.logsumexp(dim=-1, keepdim=True)), dim=1)
