"""Families that need nothing of their own: an image token in the prompt, and the processor's tensors as they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from harness.backends.generative.families import Pixels, Prepared, render_prompt
from harness.errors import CheckpointError
from harness.quantization import DeviceCapability, Quantization

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Gemma3n", "Llava", "SmolVLM", "TokenPerTile"]


class TokenPerTile(ABC):
    """What these families share: each tile becomes the same number of image tokens in the prompt."""

    sensitive: ClassVar[tuple[str, ...]]
    """Full names of the modules that LLM.int8 leaves alone."""
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Of the processor's call, beyond those that all take."""

    def skip_modules(self, mode: Quantization) -> tuple[str, ...]:
        """LLM.int8 leaves alone what is not the language model, and `lm_head`."""
        if mode.skips_sensitive:
            return (*self.sensitive, "lm_head")
        return ("lm_head",) if mode.is_four_bit else ()

    def check_mode(self, mode: Quantization, device: DeviceCapability) -> None:  # noqa: B027 - the usual case
        """Every mode works."""

    def check_checkpoint(self, config: Any, processor: Any) -> None:
        """Image token and tokens per tile must be the model's. Raises CheckpointError."""
        if processor.image_token_id != config.image_token_id:
            raise CheckpointError(
                f"the processor marks images with token {processor.image_token_id} ({processor.image_token}), "
                f"the model expects {config.image_token_id}: tokenizer and config.json do not belong together"
            )
        written, made = self.written_per_tile(processor), self.tokens_per_tile(config)
        if written != made:
            raise CheckpointError(
                f"the processor writes {written} image tokens a tile, the model makes {made}: "
                "processor and config.json do not belong together"
            )

    @abstractmethod
    def tokens_per_tile(self, config: Any) -> int:
        """Image tokens that the model makes of one tile."""

    @abstractmethod
    def written_per_tile(self, processor: Any) -> int:
        """Image tokens that the processor writes into the prompt for one tile."""

    @abstractmethod
    def dummy_processor(self, config: Any) -> Any:
        """A processor for the architecture alone."""

    def finish_dummy(self, model: Any) -> None:  # noqa: B027 - the usual case
        """Nothing: with its usual initialisation the model looks at its image."""

    def prepare(self, processor: Any, config: Any, images: Sequence[Image], prompt: str) -> Prepared:
        """The processor's own tiling; the image token stands in the prompt by the chat template."""
        text = render_prompt(processor, prompt)
        bos = processor.tokenizer.bos_token
        inputs = processor(
            images=[[image] for image in images],
            text=[text] * len(images),
            padding=True,
            padding_side="left",
            add_special_tokens=bos is None or not text.startswith(bos),
            return_tensors="pt",
            **self.options,
        )
        tokens = (inputs["input_ids"] == processor.image_token_id).sum(dim=1).tolist()
        pixels = inputs["pixel_values"]
        if pixels.ndim == 4:  # the tiles of all images, one after the other
            tiles = pixels.split([count // self.written_per_tile(processor) for count in tokens])
        else:  # (image, tile, ...), padded to the most tiles
            used = inputs["pixel_attention_mask"].flatten(2).any(dim=2)
            tiles = [row[kept] for row, kept in zip(pixels, used, strict=True)]
        names = ("input_ids", "attention_mask", "token_type_ids", "pixel_values", "pixel_attention_mask")
        return Prepared(
            inputs={name: inputs[name] for name in names if name in inputs},
            pixels=[Pixels(tensor=part, image_tokens=count) for part, count in zip(tiles, tokens, strict=True)],
        )


class Llava(TokenPerTile):
    """`LlavaForConditionalGeneration`: LLaVA 1.5. One tile, cropped to its middle square by its own processor."""

    sensitive = ("model.vision_tower", "model.multi_modal_projector")

    def tokens_per_tile(self, config: Any) -> int:
        """One for each patch; the class embedding is left out by `default`."""
        patches = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
        return int(patches + (config.vision_feature_select_strategy != "default"))

    def written_per_tile(self, processor: Any) -> int:
        """As its processor counts."""
        crop = processor.image_processor.crop_size
        patches = (crop["height"] // processor.patch_size) * (crop["width"] // processor.patch_size)
        left_out = processor.vision_feature_select_strategy == "default"
        return int(patches + processor.num_additional_image_tokens - left_out)

    def dummy_processor(self, config: Any) -> Any:
        """One square tile, and the special tokens of Llama 2."""
        from harness.backends.generative.dummy_processors import dummy_llava_processor

        return dummy_llava_processor(config)


class SmolVLM(TokenPerTile):
    """`SmolVLMForConditionalGeneration`: SmolVLM 2. Tiles of a resized page, and the whole page as one more."""

    sensitive = ("model.vision_model", "model.connector")

    def tokens_per_tile(self, config: Any) -> int:
        """One for each square of patches that pixel shuffling puts together."""
        vision = config.vision_config
        return int((vision.image_size // vision.patch_size) ** 2 / config.scale_factor**2)

    def written_per_tile(self, processor: Any) -> int:
        """As its processor is told."""
        return int(processor.image_seq_len)

    def dummy_processor(self, config: Any) -> Any:
        """Up to 4 x 4 tiles of the vision model's size and the whole page."""
        from harness.backends.generative.dummy_processors import dummy_smolvlm_processor

        return dummy_smolvlm_processor(config)


class Gemma3n(TokenPerTile):
    """`Gemma3nForConditionalGeneration`. One tile, squeezed to a square."""

    sensitive = ("model.audio_tower", "model.embed_vision", "model.embed_audio")  # the vision tower is convolutions
    tiny = ("altup.modality_router", "altup.prediction_coefs", "altup.correction_coefs")
    """Mixing coefficients of each layer: down to 4 x 4, for which there are no 4-bit kernels, and nothing to save."""

    def skip_modules(self, mode: Quantization) -> tuple[str, ...]:
        """Also the mixing coefficients, except where every layer is asked for."""
        found = super().skip_modules(mode)
        return (*found, *self.tiny) if found else ()

    def tokens_per_tile(self, config: Any) -> int:
        """A fixed number."""
        return int(config.vision_soft_tokens_per_image)

    def written_per_tile(self, processor: Any) -> int:
        """As its processor is told."""
        return int(processor.image_seq_length)

    def dummy_processor(self, config: Any) -> Any:
        """One square tile of 768 px."""
        from harness.backends.generative.dummy_processors import dummy_gemma3n_processor

        return dummy_gemma3n_processor(config)
