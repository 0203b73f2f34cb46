"""From prepared inputs to what the decoder reads: the embedded prompt, and the image where layers attend to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from harness.backends.generative.fast.compiling import Compile, as_it_is
from harness.backends.generative.fast.decoder import Decoder, ImageStates
from harness.backends.generative.fast.memory import text_bytes
from harness.errors import UnsupportedError

__all__ = ["Encoder", "encoder_for"]


class Encoder(Protocol):
    """One architecture's way from pixels to the decoder."""

    def longest_prompt(self, inputs: Mapping[str, torch.Tensor], processor: Any) -> int:
        """Tokens of the longest prompt that pages asked in the words of `inputs` (one row) may have."""

    def image_positions(self, inputs: Mapping[str, torch.Tensor]) -> int:
        """Positions of the cache that an image takes at most which is not in the prompt."""

    def work(self, inputs: Mapping[str, torch.Tensor]) -> int:
        """Positions that one row is computed for, of its tiles and of its prompt."""

    def prompt_bytes(self, decoder: Decoder, inputs: Mapping[str, torch.Tensor], bytes_per_value: int) -> int:
        """Memory that reading one row takes at most, beside weights and cache."""

    def encode(self, decoder: Decoder, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ImageStates | None]:
        """For prompts of one shape: (rows, tokens, hidden), and what is seen across."""


def encoder_for(family: str, model: Any, compiled: Compile = as_it_is) -> Encoder:
    """`compiled` is applied to what each layer of the vision side does, or to a part of it.

    Raises UnsupportedError for a family that the runtime does not know.
    """
    if family == "internvl":
        if model.config.vision_feature_layer != -1:
            raise UnsupportedError("the runtime fast knows InternVL with the features of its last vision layer only")
        return InternVLEncoder(model, compiled)
    if family == "mllama":
        return MllamaEncoder(model, compiled)
    raise UnsupportedError(f"the runtime fast knows the families internvl and mllama, not {family}")


class InternVLEncoder:
    """Tiles become tokens of the prompt.

    Of a layer only what is added up is compiled. A compiler's LayerNorm and GELU round about one number in a thousand
    otherwise than the library's, and from layer to layer that grows until the answer to some page is another.
    """

    def __init__(self, model: Any, compiled: Compile) -> None:
        self._model = model.model
        self._image_token = model.config.image_token_id
        self._scaled_sum = compiled(_scaled_sum)

    def longest_prompt(self, inputs: Mapping[str, torch.Tensor], processor: Any) -> int:
        """With as many tiles as the processor cuts, and the thumbnail beside several."""
        ids, most = inputs["input_ids"], int(processor.image_processor.max_patches)
        words = int((ids != self._image_token).sum())
        return words + (most + (most > 1)) * int(processor.image_seq_length)

    def image_positions(self, inputs: Mapping[str, torch.Tensor]) -> int:
        """None: the image is in the prompt."""
        return 0

    def work(self, inputs: Mapping[str, torch.Tensor]) -> int:
        """All tiles, patch by patch."""
        return _patches(inputs["pixel_values"], self._model.config) + int(inputs["input_ids"].shape[1])

    def prompt_bytes(self, decoder: Decoder, inputs: Mapping[str, torch.Tensor], bytes_per_value: int) -> int:
        """The tiles, and the larger of vision (its MLP: the input twice, both sides of the activation) and text."""
        pixels, config = inputs["pixel_values"], self._model.config.vision_config
        positions = _patches(pixels, self._model.config) + pixels.shape[0]
        vision = int(positions * 2 * (config.hidden_size + config.intermediate_size)) * bytes_per_value
        text = text_bytes(decoder.layers, inputs["input_ids"].shape[1], 0, bytes_per_value)
        return int(max(vision, text) + pixels.nbytes)

    def encode(self, decoder: Decoder, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, None]:
        """`pixel_values` holds the tiles of all rows, one row after the other."""
        ids = inputs["input_ids"]
        features = self._encode(inputs["pixel_values"])
        embedded = decoder.embed(ids)
        mask = (ids == self._image_token)[..., None]
        return embedded.masked_scatter(mask, features.to(embedded.dtype)), None

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """`pixels` is (tiles, channels, height, width); returns (tiles, tokens, hidden of the text).

        Layer by layer, because the library's own method may keep what every layer puts out.
        """
        vision, config = self._model.vision_tower, self._model.config
        hidden = vision.embeddings(pixels)
        for layer in vision.encoder.layer:
            hidden = self._scaled_sum(layer.lambda_1, layer.attention(layer.layernorm_before(hidden))[0], hidden)
            hidden = self._scaled_sum(layer.lambda_2, layer.mlp(layer.layernorm_after(hidden)), hidden)
        hidden = vision.layernorm(hidden)
        if config.vision_feature_select_strategy == "default":
            hidden = hidden[:, 1:]
        rows, columns = vision.embeddings.patch_embeddings.patch_shape
        shuffled = self._model.pixel_shuffle(hidden.unflatten(1, (rows, columns)), scale_factor=config.downsample_ratio)
        found: torch.Tensor = self._model.multi_modal_projector(shuffled.flatten(1, 2))
        return found


class MllamaEncoder:
    """Tiles are encoded together, and layers of the decoder attend to them.

    The library masks what is no image (patches that round a tile up, tiles not filled) from itself only: all else
    attends to it. In place of that mask, which no fast kernel takes, positions are sorted, the image first: the image
    attends to everything, and everything else to the image, by two calls without a mask.
    """

    def __init__(self, model: Any, compiled: Compile) -> None:
        self._model = model.model
        self._image_token = model.config.image_token_index
        self._layer = compiled(_sorted_layer)

    def longest_prompt(self, inputs: Mapping[str, torch.Tensor], processor: Any) -> int:
        """The same for all pages."""
        return int(inputs["input_ids"].shape[1])

    def work(self, inputs: Mapping[str, torch.Tensor]) -> int:
        """All tiles, also those that the image does not fill."""
        return _patches(inputs["pixel_values"], self._model.config) + int(inputs["input_ids"].shape[1])

    def prompt_bytes(self, decoder: Decoder, inputs: Mapping[str, torch.Tensor], bytes_per_value: int) -> int:
        """The tiles, and the larger of vision (inner layers' outputs are kept, stacked and joined with the last) and
        text with the image's states."""
        config = self._model.config.vision_config
        tiles, inner = inputs["aspect_ratio_mask"].shape[-1], len(config.intermediate_layers_indices)
        positions = tiles * -(-self._model.vision_model.num_patches // 8) * 8
        mlp = (2 + inner) * config.hidden_size + 2 * config.intermediate_size
        joined = (4 * inner + 3) * config.hidden_size
        vision = int(positions * max(mlp, joined)) * bytes_per_value
        image = self.image_positions(inputs)
        states = image * int(decoder.layers[0].norm.weight.numel())
        text = text_bytes(decoder.layers, inputs["input_ids"].shape[1], image, bytes_per_value)
        return int(max(vision, states * bytes_per_value + text) + inputs["pixel_values"].nbytes)

    def image_positions(self, inputs: Mapping[str, torch.Tensor]) -> int:
        """Of all tiles: what an image may fill."""
        return int(inputs["aspect_ratio_mask"].shape[-1] * self._model.vision_model.num_patches)

    def encode(self, decoder: Decoder, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ImageStates]:
        """One image a row, all of one aspect ratio, and its token at the same place."""
        ids = inputs["input_ids"]
        filled = int(inputs["aspect_ratio_mask"][0].sum())
        features = self._encode(inputs["pixel_values"][:, 0], inputs["aspect_ratio_ids"], filled)
        states = self._model.multi_modal_projector(features).flatten(1, 2)
        first = int(torch.nonzero(ids[0] == self._image_token)[0])
        patches = self._model.vision_model.num_patches
        return decoder.embed(ids), ImageStates(states=states, filled=filled * patches, first=first)

    def _encode(self, pixels: torch.Tensor, ratios: torch.Tensor, filled: int) -> torch.Tensor:
        """`pixels` is (rows, tiles, channels, height, width); returns (rows, tiles, patches, features)."""
        vision = self._model.vision_model
        rows, tiles = pixels.shape[:2]
        hidden = vision.patch_embedding(pixels.flatten(0, 1)).flatten(2).transpose(1, 2)
        hidden = vision.pre_tile_positional_embedding(hidden.unflatten(0, (rows, tiles)), ratios)
        hidden = vision.apply_class_embedding(hidden.flatten(0, 1)).unflatten(0, (rows, tiles))
        hidden = vision.layernorm_pre(vision.gated_positional_embedding(hidden, ratios))
        patches = hidden.shape[2]
        padded = -(-patches // 8) * 8
        hidden = torch.nn.functional.pad(hidden, (0, 0, 0, padded - patches)).flatten(1, 2)

        place = torch.arange(tiles * padded, device=hidden.device)
        is_image = (place % padded < patches) & (place < filled * padded)
        order = torch.argsort(~is_image, stable=True)
        back = torch.argsort(order)
        images = filled * patches  # known on the host: nothing waits

        hidden = hidden[:, order]
        wanted, outputs = set(vision.intermediate_layers_indices), {}
        for number, layer in enumerate(vision.transformer.layers):
            hidden = self._layer(layer, hidden, images)
            if number in wanted:
                outputs[number] = hidden
        hidden = vision.layernorm_post(hidden)
        hidden = vision.post_tile_positional_embedding(hidden[:, back].unflatten(1, (tiles, padded)), ratios)
        hidden = hidden.flatten(1, 2)[:, order]
        for layer in vision.global_transformer.layers:
            hidden = self._layer(layer, hidden, images)
        inner = torch.stack([outputs[i] for i in vision.intermediate_layers_indices], dim=-1).flatten(2)
        features = torch.cat((hidden, inner), dim=-1)[:, back]
        return features.unflatten(1, (tiles, padded))[:, :, :patches]


def _patches(pixels: torch.Tensor, config: Any) -> int:
    size = config.vision_config.patch_size
    height, width = (size, size) if isinstance(size, int) else size
    return int(pixels.numel() // (pixels.shape[-3] * height * width))


def _scaled_sum(scale: torch.Tensor, added: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    return scale * added + hidden


def _sorted_layer(layer: Any, hidden: torch.Tensor, images: int) -> torch.Tensor:
    """One layer of Mllama's vision encoder, positions sorted: the first `images` are seen by all, the rest by those."""
    attention = layer.self_attn
    normed = layer.input_layernorm(hidden)
    shape = (attention.num_heads, attention.head_dim)
    q, k, v = (
        project(normed).unflatten(-1, shape).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    attend = torch.nn.functional.scaled_dot_product_attention
    seen = attend(q[:, :, :images], k, v)
    rest = attend(q[:, :, images:], k[:, :, :images], v[:, :, :images])
    out = attention.o_proj(torch.cat((seen, rest), dim=2).transpose(1, 2).flatten(2))
    hidden = hidden + (layer.gate_attn.tanh() * out if layer.is_gated else out)
    out = layer.mlp(layer.post_attention_layernorm(hidden))
    return hidden + (layer.gate_ffn.tanh() * out if layer.is_gated else out)
