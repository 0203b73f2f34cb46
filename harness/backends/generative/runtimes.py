"""What a runtime is: the way from images and a prompt to generated tokens, once the model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from harness.backends.generative.decoding import Generated
from harness.backends.generative.families import Family
from harness.backends.protocol import Setting
from harness.cells import Runtime
from harness.errors import UnsupportedError
from harness.structured import AnswerForm

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Generator", "LoadedPieces", "Said", "check_positions", "create_generator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPieces:
    """What every runtime works with."""

    model: Any
    processor: Any
    family: Family
    family_name: str
    devices: Sequence[str]
    """CUDA devices; none for the processor."""
    quantized: bool
    """Whether linear layers are stored in fewer than 16 bits."""
    stops: Sequence[int]
    """Ids that end an answer."""
    max_new_tokens: int
    min_new_tokens: int
    token_logprobs: bool
    slots: int
    """Documents to answer at a time; 0 for as many as a request brings."""
    form: AnswerForm | None = None
    """What every answer is held to; None for free text."""

    @property
    def device(self) -> str:
        """Of several, the first takes the inputs."""
        return self.devices[0] if self.devices else "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was generated about one image."""

    generated: Generated
    phases: Mapping[str, float]
    """`preprocess_s`, `ttft_s`, `tpot_s`, `itl_s`, `generate_s`, and `fingerprint_s`, what the checksum of the
    pixels for `facts` took.

    Of a batch that is generated as one, those of the batch."""
    prompt_tokens: int
    facts: Mapping[str, Setting]
    """Of the image, as `image_facts` tells them, and of its answer."""


class Generator(Protocol):
    """Answers greedily. Constructed from LoadedPieces; raises UnsupportedError for what it cannot run."""

    def facts(self) -> Mapping[str, Setting]:
        """Worth recording of the loaded cell."""

    def answer(self, images: Sequence[Image], prompt: str) -> Sequence[Said]:
        """About each image (RGB), in their order."""

    def short_answers(self) -> AbstractContextManager[None]:
        """While it is entered, answers end after a few tokens: for warming up."""


def create_generator(runtime: Runtime, pieces: LoadedPieces) -> Generator:
    """Raises UnsupportedError for a model that the runtime does not know."""
    if runtime is Runtime.EAGER:
        from harness.backends.generative.eager import EagerRuntime

        return EagerRuntime(pieces)
    from harness.backends.generative.fast.runtime import FastRuntime

    return FastRuntime(pieces)


def check_positions(config: Any, prompt: int, answer: int) -> None:
    """Raises UnsupportedError if prompt and answer, in tokens, are longer than the model's positions."""
    room = getattr(config.get_text_config(), "max_position_embeddings", None)
    if room is not None and prompt + answer > room:
        raise UnsupportedError(
            f"a prompt of {prompt} tokens and up to {answer} new ones do not fit into this model's {room} positions; "
            "lower max_new_tokens"
        )
