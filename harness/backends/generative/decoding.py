"""Greedy decoding: when to stop, how long each token took, and which ids were really generated."""

from __future__ import annotations

import importlib
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import CheckpointError

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig

__all__ = ["Generated", "TokenClock", "cut_at_stop", "greedy_config"]


class TokenClock:
    """A streamer for `generate` that keeps the time of the first and the last token, for any batch size.

    `generate` hands over the prompt first, then the tokens of each step, already on the host: on an accelerator the
    copy has waited for the device, so that the host's clock tells the truth.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._first = self._last = self._start = time.perf_counter()

    def put(self, value: torch.Tensor) -> None:
        """Called by `generate`."""
        self._last = time.perf_counter()
        self._calls += 1
        if self._calls == 2:
            self._first = self._last

    def end(self) -> None:
        """Called by `generate` after the last token."""

    def phases(self) -> dict[str, float]:
        """Seconds from construction to the first token (`ttft_s`), and per token after it (`tpot_s`), if any."""
        steps = self._calls - 1
        found = {"ttft_s": self._first - self._start}
        if steps > 1:
            found["tpot_s"] = (self._last - self._first) / (steps - 1)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """What one row of a batch generated."""

    ids: Sequence[int]
    """Ending with the stop id, if there is one; padding left out."""
    stop: str
    """`eos` or `length`."""


def cut_at_stop(ids: Sequence[int], stop_ids: Collection[int]) -> Generated:
    """Leave out what follows the first stop id: rows that end early are padded to the longest of their batch."""
    for position, token in enumerate(ids):
        if token in stop_ids:
            return Generated(ids=ids[: position + 1], stop="eos")
    return Generated(ids=ids, stop="length")


def greedy_config(model: Any, tokenizer: Any, max_new_tokens: int, min_new_tokens: int = 0) -> GenerationConfig:
    """Greedy decoding until one of the stop ids that model or tokenizer name, none of which is chosen before
    `min_new_tokens`: with as many as `max_new_tokens`, every answer has that length.

    Everything else that the checkpoint may say (sampling, penalties) is left out. Raises CheckpointError if there is
    no stop id: every answer would run to its limit.
    """
    transformers: Any = importlib.import_module("transformers")
    named = model.generation_config.eos_token_id
    stops = {named} if isinstance(named, int) else set(named or ())
    stops |= {tokenizer.eos_token_id}
    stops -= {None}
    if not stops:
        raise CheckpointError("neither generation_config.json nor the tokenizer names an end-of-sequence token")
    pad = tokenizer.pad_token_id
    config: GenerationConfig = transformers.GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        min_new_tokens=min_new_tokens or None,
        eos_token_id=sorted(stops),
        pad_token_id=min(stops) if pad is None else pad,
        bos_token_id=tokenizer.bos_token_id,
    )
    return config
