"""The shapes of a model that decide how much work it is, from its configuration. Imports no model library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from harness.errors import UnsupportedError

__all__ = ["Architecture", "Decoder", "Layers", "Vision", "architecture_of", "recorded_shapes"]

_TOP = ("model_type", "downsample_ratio", "scale_factor", "vision_feature_layer", "vision_feature_select_strategy")
_PARTS = MappingProxyType(
    {
        "text_config": (
            *("model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
            *("num_key_value_heads", "head_dim", "vocab_size", "cross_attention_layers", "use_sliding_window"),
            "layer_types",
        ),
        "vision_config": (
            *("model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_global_layers"),
            *("num_attention_heads", "attention_heads", "num_channels", "image_size", "patch_size", "max_num_tiles"),
            *("vision_output_dim",),
        ),
    }
)
_DECODERS = ("llama", "mllama_text_model", "qwen2", "qwen3")
"""Language models of equal layers, each with full attention and one gated MLP."""
_PADDED_TO = 8
"""Mllama rounds the positions of a tile up to a multiple of this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """A stack of equal transformer layers. Biases, norms and gates are left out: under 0.1 % of the work."""

    count: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    """Width of the MLP between its matrices."""
    gated: bool
    """Whether the MLP has three matrices (gate, up, down) or two."""

    @property
    def query_weights(self) -> int:
        """Weights of the query and output projections of all layers."""
        return self.count * 2 * self.width * self.heads * self.head_dim

    @property
    def cache_weights(self) -> int:
        """Weights of the key and value projections of all layers."""
        return self.count * 2 * self.width * self.kv_heads * self.head_dim

    @property
    def mlp_weights(self) -> int:
        """Weights of the MLPs of all layers."""
        return self.count * (3 if self.gated else 2) * self.width * self.inner

    @property
    def weights(self) -> int:
        """Weights of all linear layers."""
        return self.query_weights + self.cache_weights + self.mlp_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Vision:
    """The vision side, up to what the language model is given."""

    layers: Layers
    patches: int
    """Of one tile."""
    patch_weights: int
    """Of the convolution that makes a position of a patch."""
    positions: int
    """That go through the layers for one tile: patches, class embedding, padding."""
    together: int | None
    """Tiles of an image that look at each other, absent ones included; None where each tile is alone."""
    projector_weights: int
    """Applied once for each image token."""

    @property
    def weights(self) -> int:
        """Weights of all linear layers, the projector's among them; the patch convolution is none."""
        return self.layers.weights + self.projector_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """The language model."""

    layers: Layers
    """Those with attention to the text before."""
    cross: Layers | None
    """Those with attention to the image instead; None where image tokens stand in the prompt."""
    vocabulary: int

    @property
    def head_weights(self) -> int:
        """Weights of the output layer."""
        return self.layers.width * self.vocabulary

    @property
    def weights(self) -> int:
        """Weights of all linear layers but the output layer."""
        return self.layers.weights + (0 if self.cross is None else self.cross.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What one answer takes, whatever the numbers in the weights."""

    vision: Vision
    decoder: Decoder


def recorded_shapes(config: Mapping[str, Any]) -> str:
    """As evidence: JSON of what `architecture_of` reads of a whole configuration, defaults written out."""
    found: dict[str, Any] = {name: config[name] for name in _TOP if config.get(name) is not None}
    for part, names in _PARTS.items():
        own = config.get(part) or {}
        found[part] = {name: own[name] for name in names if own.get(name) is not None}
    if kinds := found["text_config"].get("layer_types"):
        found["text_config"]["layer_types"] = sorted(set(kinds))
    return json.dumps(found, separators=(",", ":"), sort_keys=True)


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """The shapes of a configuration: transformers' own with its defaults written out, or what was recorded of it.

    Raises UnsupportedError with the reason where no formula here is known to hold.
    """
    match config.get("model_type"):
        case "internvl":
            taken = round(1 / _number(config, "downsample_ratio")) ** 2
            return _two_layer_projector(config, "internvl_vision", taken)
        case "llava":
            return _two_layer_projector(config, "clip_vision_model", 1)
        case "mllama":
            return _mllama(config)
        case "smolvlm":
            return _smolvlm(config)
        case "gemma3n":
            raise UnsupportedError(
                "no formula for gemma3n: of its vision tower, a convolutional network, the configuration has a name "
                "only, and its layers share caches"
            )
        case other:
            raise UnsupportedError(f"no formula for models of the type {other}")


def _two_layer_projector(config: Mapping[str, Any], kind: str, taken: int) -> Architecture:
    """InternVL, LLaVA: a class embedding beside the patches, `taken` of which become one image token."""
    vision, decoder = _part(config, "vision_config", kind), _decoder(config)
    patches, patch_weights = _patches(vision)
    width = decoder.layers.width
    return Architecture(
        vision=Vision(
            layers=_encoder(vision, _used_layers(config, vision)),
            patches=patches,
            patch_weights=patch_weights,
            positions=patches + 1,
            together=None,
            projector_weights=_whole(vision, "hidden_size") * taken * width + width**2,
        ),
        decoder=decoder,
    )


def _smolvlm(config: Mapping[str, Any]) -> Architecture:
    vision, decoder = _part(config, "vision_config", "smolvlm_vision"), _decoder(config)
    patches, patch_weights = _patches(vision)
    taken = _whole(config, "scale_factor") ** 2
    return Architecture(
        vision=Vision(
            layers=_encoder(vision, _whole(vision, "num_hidden_layers")),
            patches=patches,
            patch_weights=patch_weights,
            positions=patches,
            together=None,
            projector_weights=_whole(vision, "hidden_size") * taken * decoder.layers.width,
        ),
        decoder=decoder,
    )


def _mllama(config: Mapping[str, Any]) -> Architecture:
    """All tiles an image may have are encoded together: those that are there look at those that are not, too."""
    vision, decoder = _part(config, "vision_config", "mllama_vision_model"), _decoder(config)
    patches, patch_weights = _patches(vision)
    return Architecture(
        vision=Vision(
            layers=_encoder(vision, _whole(vision, "num_hidden_layers") + _whole(vision, "num_global_layers")),
            patches=patches,
            patch_weights=patch_weights,
            positions=-(-(patches + 1) // _PADDED_TO) * _PADDED_TO,
            together=_whole(vision, "max_num_tiles"),
            projector_weights=_whole(vision, "vision_output_dim") * decoder.layers.width,
        ),
        decoder=decoder,
    )


def _encoder(vision: Mapping[str, Any], count: int) -> Layers:
    width = _whole(vision, "hidden_size")
    heads = _whole(vision, "attention_heads" if "attention_heads" in vision else "num_attention_heads")
    return Layers(
        count=count,
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        inner=_whole(vision, "intermediate_size"),
        gated=False,
    )


def _decoder(config: Mapping[str, Any]) -> Decoder:
    text = config.get("text_config") or {}
    kind = text.get("model_type")
    if kind not in _DECODERS:
        raise UnsupportedError(f"no formula for language models of the type {kind}")
    if text.get("use_sliding_window") or set(text.get("layer_types") or ()) - {"full_attention"}:
        raise UnsupportedError("no formula for language models whose layers do not all look at the whole text")
    width, heads = _whole(text, "hidden_size"), _whole(text, "num_attention_heads")
    crossing = len(text.get("cross_attention_layers") or ()) if kind == "mllama_text_model" else 0

    def layers(count: int) -> Layers:
        return Layers(
            count=count,
            width=width,
            heads=heads,
            kv_heads=_whole(text, "num_key_value_heads") if "num_key_value_heads" in text else heads,
            head_dim=_whole(text, "head_dim") if "head_dim" in text else width // heads,
            inner=_whole(text, "intermediate_size"),
            gated=True,
        )

    return Decoder(
        layers=layers(_whole(text, "num_hidden_layers") - crossing),
        cross=layers(crossing) if crossing else None,
        vocabulary=_whole(text, "vocab_size"),
    )


def _used_layers(config: Mapping[str, Any], vision: Mapping[str, Any]) -> int:
    """Layers of a vision tower that are needed for the states of `vision_feature_layer`: 0 is before the first."""
    count, taken = _whole(vision, "num_hidden_layers"), config.get("vision_feature_layer")
    if not isinstance(taken, int):
        raise UnsupportedError(f"no formula for vision_feature_layer {taken!r}")
    return taken if taken >= 0 else count + 1 + taken


def _patches(vision: Mapping[str, Any]) -> tuple[int, int]:
    """(patches of a tile, weights of the convolution that makes a position of a patch)."""
    (height, width), (rows, columns) = (_sides(vision, name) for name in ("image_size", "patch_size"))
    channels = _whole(vision, "num_channels") if "num_channels" in vision else 3
    weights = channels * rows * columns * _whole(vision, "hidden_size")
    return (height // rows) * (width // columns), weights


def _sides(vision: Mapping[str, Any], name: str) -> tuple[int, int]:
    value = vision.get(name)
    pair = value if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise UnsupportedError(f"the configuration has {name} {value!r}")
    return int(pair[0]), int(pair[1])


def _part(config: Mapping[str, Any], name: str, kind: str) -> Mapping[str, Any]:
    part: Mapping[str, Any] = config.get(name) or {}
    if part.get("model_type") != kind:
        raise UnsupportedError(f"no formula for vision towers of the type {part.get('model_type')}")
    return part


def _number(config: Mapping[str, Any], name: str) -> float:
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise UnsupportedError(f"the configuration has {name} {value!r}")
    return value


def _whole(config: Mapping[str, Any], name: str) -> int:
    value = _number(config, name)
    if value != int(value):
        raise UnsupportedError(f"the configuration has {name} {value!r}")
    return int(value)
