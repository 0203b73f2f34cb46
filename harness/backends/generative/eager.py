"""The runtime `eager`: the library's own `generate`, as its users run it."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.backends.generative.decoding import TokenClock, TokenLogprobs, cut_at_stop, greedy_config
from harness.backends.generative.image_facts import image_facts
from harness.backends.generative.runtimes import LoadedPieces, Said, check_positions
from harness.backends.protocol import Setting
from harness.structured.grammar import FormProcessor, Grammar

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["EagerRuntime"]

_SHORT = 4


class EagerRuntime:
    """One `generate` for all images of a request."""

    def __init__(self, pieces: LoadedPieces) -> None:
        self._pieces = pieces
        self._generation = greedy_config(
            pieces.stops, pieces.processor.tokenizer, pieces.max_new_tokens, pieces.min_new_tokens
        )
        pieces.model.generation_config = self._generation  # or the checkpoint's own would fill what is unset here
        tokenizer, form = pieces.processor.tokenizer, pieces.form
        self._grammar = None if form is None else Grammar(form, tokenizer, pieces.stops)

    def facts(self) -> Mapping[str, Setting]:
        """What holds answers to their form, if they are to have one."""
        return {} if self._grammar is None else {"constrained_by": self._grammar.library}

    def answer(self, images: Sequence[Image], prompt: str) -> Sequence[Said]:
        """`ttft_s` and `tpot_s` (per step) count from the start of `generate`; all phases are of the whole batch.

        Where answers are held to a form, `constraint_s` is what of `generate_s` went on that.
        """
        pieces = self._pieces
        started = time.perf_counter()
        prepared = pieces.family.prepare(pieces.processor, pieces.model.config, images, prompt)
        inputs = self._on_device(prepared.inputs)
        ready = time.perf_counter()
        logprobs = TokenLogprobs() if pieces.token_logprobs else None
        form = None if self._grammar is None else FormProcessor(self._grammar)
        rows, clock, generate_s = self._generate(inputs, [one for one in (form, logprobs) if one is not None])
        hashing = time.perf_counter()
        facts = [image_facts(*pair) for pair in zip(images, prepared.pixels, strict=True)]
        phases = {
            "preprocess_s": ready - started,
            **clock.phases(),
            "generate_s": generate_s,
            "fingerprint_s": time.perf_counter() - hashing,
            **({} if form is None else {"constraint_s": form.seconds}),
        }
        stops = frozenset(pieces.stops)
        answers = [cut_at_stop(row, stops) for row in rows]
        means: Sequence[float | None] = [None] * len(answers)
        if logprobs is not None:
            means = logprobs.means([len(answer.ids) for answer in answers])
        return [
            Said(
                generated=generated,
                phases=phases,
                prompt_tokens=count,
                facts=fact if mean is None else {**fact, "mean_logprob": mean},
            )
            for generated, count, fact, mean in zip(
                answers, prepared.inputs["attention_mask"].sum(dim=1).tolist(), facts, means, strict=True
            )
        ]

    @contextlib.contextmanager
    def short_answers(self) -> Iterator[None]:
        """Answers of a few tokens."""
        whole, self._generation = self._generation, copy.deepcopy(self._generation)
        self._generation.max_new_tokens = min(_SHORT, self._pieces.max_new_tokens)
        self._generation.min_new_tokens = min(_SHORT, self._pieces.min_new_tokens) or None
        try:
            yield
        finally:
            self._generation = whole

    def _on_device(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        dtype, device = self._pieces.model.dtype, self._pieces.device
        return {
            name: tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)
            for name, tensor in inputs.items()
        }

    def _generate(
        self, inputs: dict[str, Any], processors: Sequence[FormProcessor | TokenLogprobs]
    ) -> tuple[list[list[int]], TokenClock, float]:
        """The generated ids of each row, the clock of the tokens, and the seconds of it all."""
        import torch

        model, width = self._pieces.model, inputs["input_ids"].shape[1]
        check_positions(model.config, width, self._pieces.max_new_tokens)
        with torch.inference_mode():
            clock = TokenClock()
            start = time.perf_counter()
            output = model.generate(
                **inputs,
                generation_config=self._generation,
                streamer=clock,
                logits_processor=list(processors) or None,
            )
            ids = output[:, width:].tolist()
            return ids, clock, time.perf_counter() - start
