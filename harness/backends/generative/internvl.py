"""InternVL: the image is cut into tiles, and each tile becomes a fixed number of tokens in the prompt."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from harness.backends.generative.generic import TokenPerTile

__all__ = ["InternVL"]


class InternVL(TokenPerTile):
    """`InternVLForConditionalGeneration`: InternVL 2.5 and 3 in transformers' own form.

    Tiles as the processor's min_patches and max_patches say, with a thumbnail beside several tiles.
    """

    sensitive = ("model.vision_tower", "model.multi_modal_projector")  # small, too
    options = MappingProxyType({"crop_to_patches": True})

    def tokens_per_tile(self, config: Any) -> int:
        """One token for each square of patches that pixel shuffling puts together."""
        height, width = config.vision_config.image_size
        rows, columns = config.vision_config.patch_size
        return int((height // rows) * (width // columns) * config.downsample_ratio**2)

    def written_per_tile(self, processor: Any) -> int:
        """As its processor is told."""
        return int(processor.image_seq_length)

    def dummy_processor(self, config: Any) -> Any:
        """Tiles and special tokens as published."""
        from harness.backends.generative.dummy_processors import dummy_internvl_processor

        return dummy_internvl_processor(config)
