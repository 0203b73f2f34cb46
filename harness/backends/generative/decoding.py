"""Greedy decoding: when to stop, how long each token took, and which ids were really generated."""

from __future__ import annotations

import importlib
import itertools
import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from harness.errors import CheckpointError

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig

__all__ = ["Generated", "TokenClock", "TokenLogprobs", "cut_at_stop", "greedy_config", "stop_ids", "token_phases"]


class TokenClock:
    """A streamer for `generate` that keeps the time of every step, for any batch size.

    `generate` hands over the prompt first, then the tokens of each step, already on the host: on an accelerator the
    copy has waited for the device, so that the host's clock tells the truth.
    """

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._calls: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        """Called by `generate`."""
        self._calls.append(time.perf_counter())

    def end(self) -> None:
        """Called by `generate` after the last token."""

    def phases(self) -> dict[str, float]:
        """See `token_phases`; counted from construction."""
        return token_phases(self._start, self._calls[1:] or [self._start])


def token_phases(start: float, tokens: Sequence[float]) -> dict[str, float]:
    """Seconds from `start` to the first of at least one token (`ttft_s`); if there are more, the mean time per token
    after it (`tpot_s`), and the median time between two tokens (`itl_s`, inter-token latency), which leaves out what
    an answer waits for others now and then.
    """
    found = {"ttft_s": tokens[0] - start}
    if len(tokens) > 1:
        found["tpot_s"] = (tokens[-1] - tokens[0]) / (len(tokens) - 1)
        found["itl_s"] = median(later - earlier for earlier, later in itertools.pairwise(tokens))
    return found


class TokenLogprobs:
    """The last logits processor of a greedy `generate`, which keeps the log-probability of each chosen token.

    It changes no score, and keeps one number a row and step on the device: nothing is copied before the answer is
    whole, so no step waits for the host. Greedy decoding takes the highest score, so that score is the chosen token's.
    """

    def __init__(self) -> None:
        self._steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Called by `generate` at every step; `scores` is rows x vocabulary."""
        self._steps.append(scores.amax(dim=-1) - scores.logsumexp(dim=-1))
        return scores

    def means(self, lengths: Sequence[int]) -> Sequence[float | None]:
        """Natural logarithms, averaged over each row's first tokens, as many as `lengths` tells: the padding of rows
        that end early is left out. None where there is no token, or no finite number.
        """
        import torch

        if not self._steps:
            return [None] * len(lengths)
        rows = torch.stack(self._steps, dim=1).tolist()
        means = [sum(row[:n]) / n if n else math.nan for row, n in zip(rows, lengths, strict=True)]
        return [mean if math.isfinite(mean) else None for mean in means]


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


def stop_ids(model: Any, tokenizer: Any) -> Sequence[int]:
    """Ids that end an answer: those that model or tokenizer name.

    Raises CheckpointError if there is none: every answer would run to its limit.
    """
    named = model.generation_config.eos_token_id
    stops = {named} if isinstance(named, int) else set(named or ())
    stops |= {tokenizer.eos_token_id}
    stops -= {None}
    if not stops:
        raise CheckpointError("neither generation_config.json nor the tokenizer names an end-of-sequence token")
    return sorted(stops)


def greedy_config(
    stops: Sequence[int], tokenizer: Any, max_new_tokens: int, min_new_tokens: int = 0
) -> GenerationConfig:
    """Greedy decoding until one of `stops`, none of which is chosen before `min_new_tokens`: with as many as
    `max_new_tokens`, every answer has that length.

    Everything else that the checkpoint may say (sampling, penalties) is left out.
    """
    transformers: Any = importlib.import_module("transformers")
    pad = tokenizer.pad_token_id
    config: GenerationConfig = transformers.GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        min_new_tokens=min_new_tokens or None,
        eos_token_id=list(stops),
        pad_token_id=min(stops) if pad is None else pad,
        bos_token_id=tokenizer.bos_token_id,
    )
    return config
