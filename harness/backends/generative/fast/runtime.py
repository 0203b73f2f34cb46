"""The runtime `fast`: a slot whose answer ends takes the next page, which was prepared in the meantime."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch

from harness.backends.generative import device_memory
from harness.backends.generative.decoding import cut_at_stop, token_phases
from harness.backends.generative.fast.compiling import as_it_is, compiled
from harness.backends.generative.fast.decoder import Decoder
from harness.backends.generative.fast.engine import Engine, Row
from harness.backends.generative.fast.memory import WORKSPACES, Room, plan_slots, product_bytes
from harness.backends.generative.fast.pages import Pages, rows_at_once
from harness.backends.generative.fast.vision import encoder_for
from harness.backends.generative.runtimes import LoadedPieces, Said, check_positions
from harness.backends.protocol import Setting
from harness.errors import UnsupportedError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["FastRuntime", "waits_for_the_host"]

_OUTLIERS = "LLM.int8 asks in every product, on the host, which columns hold outliers"
_SHORT = 4
_NARROW = 1.0
"""Logit gaps of less are told: where rounding may decide for another token."""
_TOLD = 64
"""So many of them, the narrowest: of random weights all are narrow."""


class FastRuntime:
    """Greedy decoding of the library's weights by our own loop."""

    def __init__(self, pieces: LoadedPieces) -> None:
        if len(pieces.devices) > 1:
            raise UnsupportedError("the runtime fast runs on one device; use eager for a model spread over several")
        self._pieces = pieces
        on_cuda = bool(pieces.devices)
        compilation = compiled if on_cuda and not pieces.quantized else as_it_is
        self._encoder = encoder_for(pieces.family_name, pieces.model, compilation)
        self._decoder = Decoder(pieces.model, stops=pieces.stops, fuse=on_cuda, compiled=compilation)
        self._waits = on_cuda and waits_for_the_host(pieces.model)
        self._like = torch.empty(0, dtype=pieces.model.dtype, device=pieces.device)
        self._weights_bytes = sum(device_memory.allocated_bytes(pieces.devices).values())
        self._engine = Engine(
            self._decoder,
            self._encoder,
            like=self._like,
            stops=pieces.stops,
            max_new_tokens=pieces.max_new_tokens,
            min_new_tokens=pieces.min_new_tokens,
            records=on_cuda and not self._waits,
        )

    def facts(self) -> Mapping[str, Setting]:
        """Whether steps are graphs, and layers compiled."""
        on_cuda = bool(self._pieces.devices)
        found = {"fast_graphs": on_cuda and not self._waits, "fast_compiled": on_cuda and not self._pieces.quantized}
        return {**found, "fast_without_graphs": _OUTLIERS} if self._waits else found

    def answer(self, images: Sequence[Image], prompt: str) -> Sequence[Said]:
        """`ttft_s` counts from when the page's own prompt begins to be read, `generate_s` is from the first page's to
        the end of the last answer; `preprocess_s` is that of the page, part of which other pages were answered in."""
        with Pages(self._pieces, self._encoder, images, prompt) as pages, torch.inference_mode():
            first = pages.wait(0).inputs
            longest = self._encoder.longest_prompt(first, self._pieces.processor)
            check_positions(self._pieces.model.config, first["input_ids"].shape[1], self._engine.longest)
            asked = min(self._pieces.slots or len(images), len(images))
            room = self._room(asked, longest, first)
            self._engine.reserve(room.slots, self._engine.capacity(longest), self._encoder.image_positions(first))
            done: dict[int, Row] = {}

            def keep(row: Row) -> None:
                row.inputs = {}  # its pixels are not needed any more
                done[row.number] = row

            self._engine.run(room.slots, pages.take, keep)
            facts: dict[str, Setting] = {"slots": room.slots}
            if room.slots < asked:
                facts["slots_asked"] = asked
            if self._weights_bytes:
                facts["predicted_peak_bytes"] = self._weights_bytes + self._engine.held_bytes + room.step + room.prompt
            rows = [done[i] for i in range(len(images))]
            generate_s = max(row.known[-1] for row in rows) - min(row.started for row in rows)
            return [self._said(row, *pages.told(i), facts, generate_s) for i, row in enumerate(rows)]

    def short_answers(self) -> AbstractContextManager[None]:
        """Answers of a few tokens."""
        return self._engine.short_answers(_SHORT)

    def _room(self, asked: int, longest: int, first: Mapping[str, torch.Tensor]) -> Room:
        """For pages like `first`, with prompts of up to `longest` tokens."""
        value = self._like.element_size()
        together = min(asked, rows_at_once(self._encoder.work(first)))
        devices = self._pieces.devices
        prompt = together * self._encoder.prompt_bytes(self._decoder, first, value)
        if devices:
            tokens = together * int(first["input_ids"].shape[1])
            prompt += product_bytes(self._pieces.model, tokens, value) + WORKSPACES
        return plan_slots(
            self._decoder.layers,
            asked=asked,
            capacity=self._engine.capacity(longest),
            image_capacity=self._encoder.image_positions(first),
            vocabulary=self._decoder.vocabulary,
            bytes_per_value=value,
            prompt=prompt,
            free=device_memory.free_bytes(devices) + self._engine.held_bytes if devices else None,
        )

    def _said(
        self,
        row: Row,
        image: Mapping[str, Setting],
        prepared: Mapping[str, float],
        slots: Mapping[str, Setting],
        generate_s: float,
    ) -> Said:
        phases = {**prepared, **token_phases(row.started, row.known), "generate_s": generate_s}
        generated = cut_at_stop(row.ids, frozenset(self._pieces.stops))
        told = {**image, **slots, "narrow_gaps": self._narrow_gaps(row)}
        if self._pieces.token_logprobs:
            told["mean_logprob"] = sum(row.logprobs) / len(row.logprobs)
        return Said(generated=generated, phases=phases, prompt_tokens=row.prompt_tokens, facts=told)

    def _narrow_gaps(self, row: Row) -> str:
        """Where the answer might have gone on otherwise, as JSON: [[character, gap to the next best logit], ...]."""
        decode = self._pieces.processor.tokenizer.decode
        narrow = sorted((i for i, gap in enumerate(row.gaps) if gap < _NARROW), key=lambda i: row.gaps[i])[:_TOLD]
        return json.dumps(
            [
                [
                    len(decode(row.ids[:i], skip_special_tokens=True, clean_up_tokenization_spaces=False)),
                    round(row.gaps[i], 5),
                ]
                for i in sorted(narrow)
            ]
        )


def waits_for_the_host(model: torch.nn.Module) -> bool:
    """Whether a step of the model cannot be a graph: one is recorded once, and replayed without a host."""
    return any(type(module).__name__ == "Linear8bitLt" for module in model.modules())
