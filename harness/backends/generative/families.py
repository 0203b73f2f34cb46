"""What differs between model families, and the registry of those that are understood."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from harness.errors import CheckpointError, UnsupportedError, unknown_name
from harness.quantization import DeviceCapability, Quantization

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

__all__ = ["Family", "Pixels", "Prepared", "family_of", "load_family", "render_prompt"]

# Family name, which is also the `model_type` of its configuration -> adapter.
_FAMILIES = {
    "gemma3n": "harness.backends.generative.generic:Gemma3n",
    "internvl": "harness.backends.generative.internvl:InternVL",
    "llava": "harness.backends.generative.generic:Llava",
    "mllama": "harness.backends.generative.mllama:Mllama",
    "smolvlm": "harness.backends.generative.generic:SmolVLM",
}
_NO_PHI_4 = (
    "there is no adapter for Phi-4-multimodal: beside the language model it needs a LoRA adapter of its own to read "
    "images, which transformers does not load with it; its shapes are known, and nothing is measured"
)
# `model_type` -> why it cannot be run, where more can be said than that it is unknown.
_UNSUPPORTED = {
    "moondream1": (
        "Moondream has no class in transformers: it runs only on code of its own, which fails under transformers 5 (it "
        "calls no post_init, and its tables that are in no file stay unset); there are no dummy weights of it either"
    ),
    "phi4_multimodal": _NO_PHI_4,
    "phi4mm": _NO_PHI_4,  # as its own configuration on the hub says
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

    def dummy_processor(self, config: Any) -> Any:
        """A processor for the architecture alone, without tokenizer files. Raises UnsupportedError if there is none."""

    def finish_dummy(self, model: Any) -> None:
        """Change what the library's initialisation sets so that the image would not matter."""

    def prepare(self, processor: Any, config: Any, images: Sequence[Image], prompt: str) -> Prepared:
        """Images (RGB) and the rendered prompt as tensors on the CPU."""


def family_of(config: Mapping[str, Any], *, family: str | None, trust_remote_code: bool, dummy: bool = False) -> str:
    """The family of a checkpoint, from its config.json or as the caller says.

    Raises UnknownNameError, CheckpointError for a checkpoint of another, and UnsupportedError for one that only runs on
    code of its own or that no adapter understands, and for dummy weights of an unknown architecture.
    """
    model_type = str(config.get("model_type"))
    if reason := _UNSUPPORTED.get(family or model_type):
        raise UnsupportedError(reason)
    if family is not None:
        if family not in _FAMILIES:
            raise unknown_name("model family", family, _FAMILIES)
        if model_type in _FAMILIES and model_type != family:
            raise CheckpointError(f"family {family!r} was asked, and config.json says model_type {model_type!r}")
        return family
    if model_type in _FAMILIES:
        return model_type
    if "auto_map" in config and not trust_remote_code:
        raise UnsupportedError(
            f"this checkpoint (model_type {model_type!r}) runs only on code of its own, which is not trusted. Use its "
            "conversion to transformers' own classes (often named with '-hf'), or trust it by name: "
            "--eval-trust-remote-code MODEL"
        )
    if dummy:
        raise UnsupportedError(
            f"dummy weights need a processor that goes by config.json alone; none for {model_type!r}, only for "
            + ", ".join(sorted(_FAMILIES))
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
