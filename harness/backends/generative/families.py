"""What differs between model families, and the registry of those that are understood."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from harness.errors import UnsupportedError, unknown_name
from harness.quantization import DeviceCapability, Quantization

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

__all__ = ["Family", "Pixels", "Prepared", "family_of", "load_family", "render_prompt"]

# Family name, which is also the `model_type` of its configuration -> adapter.
_FAMILIES = {
    "internvl": "harness.backends.generative.internvl:InternVL",
    "mllama": "harness.backends.generative.mllama:Mllama",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """What the model is shown of one image."""

    tensor: torch.Tensor
    """Prepared tiles, padding left out: (tiles, channels, height, width), float32, on the CPU."""
    image_tokens: int
    """Positions that the language model can attend to for this image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A batch ready for `generate`; one entry of `pixels` per row."""

    inputs: Mapping[str, torch.Tensor]
    """Keyword arguments of `generate`; `input_ids` and `attention_mask` are (batch, tokens), padded on the left."""
    pixels: Sequence[Pixels]


class Family(Protocol):
    """Adapter of one architecture, on transformers' own classes."""

    def skip_modules(self, mode: Quantization) -> tuple[str, ...]:
        """Full names of the modules that `mode` must leave alone."""

    def check_mode(self, mode: Quantization, device: DeviceCapability) -> None:
        """Raise UnsupportedError for what this architecture cannot do on `device` although others can."""

    def check_checkpoint(self, config: Any, processor: Any) -> None:
        """Raise CheckpointError if processor and model do not belong together."""

    def tokens_per_tile(self, config: Any) -> int:
        """Positions that the language model can attend to for one tile."""

    def prepare(self, processor: Any, config: Any, images: Sequence[Image], prompt: str) -> Prepared:
        """Images (RGB) and the rendered prompt as tensors on the CPU."""


def family_of(config: Mapping[str, Any], *, family: str | None, trust_remote_code: bool) -> str:
    """The family of a checkpoint, from its config.json or as the caller says.

    Raises UnknownNameError, and UnsupportedError for a checkpoint that only runs on code of its own.
    """
    if family is not None:
        if family not in _FAMILIES:
            raise unknown_name("model family", family, _FAMILIES)
        return family
    model_type = str(config.get("model_type"))
    if model_type in _FAMILIES:
        return model_type
    if "auto_map" in config and not trust_remote_code:
        raise UnsupportedError(
            f"this checkpoint (model_type {model_type!r}) runs only on code of its own, which is not trusted. Use its "
            "conversion to transformers' own classes (often named with '-hf'), or trust it by name: "
            "--eval-trust-remote-code MODEL"
        )
    raise unknown_name("model family", model_type, _FAMILIES)


def load_family(name: str) -> Family:
    """Import and construct the adapter called `name`."""
    module, _, attribute = _FAMILIES[name].partition(":")
    return cast(Family, getattr(importlib.import_module(module), attribute)())


def render_prompt(processor: Any, prompt: str) -> str:
    """One user turn with one image before `prompt`, by the checkpoint's own chat template."""
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}
    return str(processor.apply_chat_template([turn], add_generation_prompt=True, tokenize=False))
