"""InternVL: the image is cut into tiles, and each tile becomes a fixed number of tokens in the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.backends.generative.families import Pixels, Prepared, render_prompt
from harness.errors import CheckpointError
from harness.quantization import DeviceCapability, Quantization

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["InternVL"]


class InternVL:
    """`InternVLForConditionalGeneration`: InternVL 2.5 and 3 in transformers' own form."""

    def skip_modules(self, mode: Quantization) -> tuple[str, ...]:
        """LLM.int8 leaves the vision side alone, which is small and sensitive."""
        if mode.skips_sensitive:
            return ("model.vision_tower", "model.multi_modal_projector", "lm_head")
        return ("lm_head",) if mode.is_four_bit else ()

    def check_mode(self, mode: Quantization, device: DeviceCapability) -> None:
        """Every mode works."""

    def check_checkpoint(self, config: Any, processor: Any) -> None:
        """Image token and tokens per tile must be the model's. Raises CheckpointError."""
        if processor.image_token_id != config.image_token_id:
            raise CheckpointError(
                f"the processor marks images with token {processor.image_token_id} ({processor.image_token}), "
                f"the model expects {config.image_token_id}: tokenizer and config.json do not belong together"
            )
        if processor.image_seq_length != (per_tile := self.tokens_per_tile(config)):
            raise CheckpointError(
                f"the processor writes {processor.image_seq_length} image tokens a tile, the model makes {per_tile}: "
                "processor and config.json do not belong together"
            )

    def tokens_per_tile(self, config: Any) -> int:
        """One token for each square of patches that pixel shuffling puts together."""
        height, width = config.vision_config.image_size
        rows, columns = config.vision_config.patch_size
        return int((height // rows) * (width // columns) * config.downsample_ratio**2)

    def dummy_processor(self, config: Any) -> Any:
        """Tiles and special tokens as published."""
        from harness.backends.generative.dummy_processors import dummy_internvl_processor

        return dummy_internvl_processor(config)

    def finish_dummy(self, model: Any) -> None:
        """Nothing: with its usual initialisation the model looks at its image."""

    def prepare(self, processor: Any, config: Any, images: Sequence[Image], prompt: str) -> Prepared:
        """Tile each image as the processor's min_patches and max_patches say, with a thumbnail beside several tiles."""
        text = render_prompt(processor, prompt)
        bos = processor.tokenizer.bos_token
        inputs = processor(
            images=[[image] for image in images],
            text=[text] * len(images),
            crop_to_patches=True,
            padding=True,
            padding_side="left",
            add_special_tokens=bos is None or not text.startswith(bos),
            return_tensors="pt",
        )
        tokens = (inputs["input_ids"] == processor.image_token_id).sum(dim=1).tolist()
        tiles = [count // processor.image_seq_length for count in tokens]
        pixels = inputs["pixel_values"].split(tiles)  # the tiles of all images, one after the other
        return Prepared(
            inputs={name: inputs[name] for name in ("input_ids", "attention_mask", "pixel_values")},
            pixels=[Pixels(tensor=part, image_tokens=count) for part, count in zip(pixels, tokens, strict=True)],
        )
