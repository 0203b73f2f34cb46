"""Layers put together into a few kernels each by torch's compiler, where the runtime is on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["Compile", "as_it_is", "compiled"]

_ROUNDING: dict[str, Any] = {"emulate_precision_casts": True}
"""Between operations that are put together numbers are rounded as they are without a compiler: what is generated is to
be what the library generates."""

Compile = Callable[[Callable[..., Any]], Callable[..., Any]]


def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """Not compiled."""
    return function


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """For any length and number of rows. Given a layer, the same code serves all layers that are built alike."""
    found: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=True, options=_ROUNDING)
    return found
