"""Mllama (Llama 3.2 Vision): tiles are encoded beside the prompt, and the language model looks at them across."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.backends.generative.families import Pixels, Prepared, render_prompt
from harness.errors import CheckpointError, UnsupportedError
from harness.quantization import DeviceCapability, Quantization

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Mllama"]

_DUMMY_GATE = 0.5


class Mllama:
    """`MllamaForConditionalGeneration`."""

    def skip_modules(self, mode: Quantization) -> tuple[str, ...]:
        """LLM.int8 leaves the vision side alone: it is sensitive, and its activations have too many dimensions."""
        if mode.skips_sensitive:
            return ("model.vision_model", "model.multi_modal_projector", "lm_head")
        return ("lm_head",) if mode.is_four_bit else ()

    def check_mode(self, mode: Quantization, device: DeviceCapability) -> None:
        """LLM.int8 of bitsandbytes takes activations of up to 3 dimensions, on GPUs too. Raises UnsupportedError."""
        if mode is Quantization.INT8_ALL:
            raise UnsupportedError(
                "int8-all does not run for mllama: bitsandbytes' LLM.int8 takes activations of up to 3 dimensions, and "
                "model.vision_model and model.multi_modal_projector have up to 5; int8 skips both"
            )

    def check_checkpoint(self, config: Any, processor: Any) -> None:
        """Image token, tile size and number of tiles must be the model's. Raises CheckpointError."""
        vision, images = config.vision_config, processor.image_processor
        pairs = {
            "image token": (processor.image_token_id, config.image_token_index),
            "tile height": (images.size["height"], vision.image_size),
            "tile width": (images.size["width"], vision.image_size),
            "number of tiles": (images.max_image_tiles, vision.max_num_tiles),
        }
        for what, (given, expected) in pairs.items():
            if given != expected:
                raise CheckpointError(
                    f"{what}: the processor says {given}, the model {expected}: they do not belong together"
                )

    def tokens_per_tile(self, config: Any) -> int:
        """One for each patch, and the class embedding."""
        vision = config.vision_config
        return int((vision.image_size // vision.patch_size) ** 2 + 1)

    def dummy_processor(self, config: Any) -> Any:
        """Tiles and special tokens as published."""
        from harness.backends.generative.dummy_processors import dummy_mllama_processor

        return dummy_mllama_processor(config)

    def finish_dummy(self, model: Any) -> None:
        """Open the gates: they start at zero, and a model that was never trained would not look at its image."""
        for name, parameter in model.named_parameters():
            if name.endswith(("gate", "gate_attn", "gate_ffn")):
                parameter.fill_(_DUMMY_GATE)

    def prepare(self, processor: Any, config: Any, images: Sequence[Image], prompt: str) -> Prepared:
        """One image a prompt, as nested lists; the image token stands in the prompt by the chat template."""
        text = render_prompt(processor, prompt)
        inputs = processor(
            images=[[image] for image in images],
            text=[text] * len(images),
            padding=True,
            padding_side="left",
            add_special_tokens=False,  # the processor itself puts the first token into the text
            return_tensors="pt",
        )
        names = ("input_ids", "attention_mask", "cross_attention_mask", "pixel_values")
        tiles = inputs["aspect_ratio_mask"][:, 0].sum(dim=1).tolist()
        per_tile = self.tokens_per_tile(config)
        return Prepared(
            inputs={name: inputs[name] for name in (*names, "aspect_ratio_ids", "aspect_ratio_mask")},
            pixels=[
                Pixels(tensor=inputs["pixel_values"][row, 0, :count], image_tokens=count * per_tile)
                for row, count in enumerate(tiles)
            ],
        )
