"""The formulas of harness.roofline against operations counted in transformers' own models, tiny and on the CPU."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.backends.generative.torchvision_schema import ensure_torchvision
from harness.roofline.shapes import Architecture, architecture_of, recorded_shapes
from harness.roofline.work import Page, decode_flops, prefill_flops, vision_flops

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 320,
    "max_position_embeddings": 512,
}
VISION = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 80}


def internvl(kind: str = "qwen2", **text: Any) -> Any:
    return _config(
        "InternVLConfig",
        vision_config={**VISION, "image_size": [32, 32], "patch_size": [8, 8]},
        text_config={"model_type": kind, **TEXT, **text},
        image_token_id=300,
        image_seq_length=4,
    )


def llava() -> Any:
    return _config(
        "LlavaConfig",
        vision_config={"model_type": "clip_vision_model", **VISION, "image_size": 32, "patch_size": 8},
        text_config={"model_type": "llama", **TEXT},
        image_token_index=300,
        vision_feature_layer=-2,
    )


def smolvlm() -> Any:
    return _config(
        "SmolVLMConfig",
        vision_config={"model_type": "smolvlm_vision", **VISION, "image_size": 32, "patch_size": 8},
        text_config={"model_type": "llama", **TEXT},
        image_token_id=300,
        scale_factor=2,
        pad_token_id=0,
    )


def mllama() -> Any:
    vision = {k: v for k, v in VISION.items() if k != "num_attention_heads"}
    return _config(
        "MllamaConfig",
        vision_config={
            **vision,
            "attention_heads": 2,
            "num_global_layers": 3,
            "image_size": 32,
            "patch_size": 8,
            "max_num_tiles": 4,
            "intermediate_layers_indices": [0, 1],
            "vision_output_dim": 32 * 3,
            "supported_aspect_ratios": [[1, 1], [2, 2]],
        },
        text_config={
            **TEXT,
            "num_hidden_layers": 5,
            "cross_attention_layers": [1, 3],
            **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
        },
        image_token_index=320,
    )


def _config(name: str, **settings: Any) -> Any:
    ensure_torchvision()
    return getattr(importlib.import_module("transformers"), name)(**settings)


def _model(config: Any) -> tuple[Any, Architecture]:
    """A model that computes attention as plain products, all of them counted, and the shapes told of it."""
    transformers = importlib.import_module("transformers")
    model = transformers.AutoModelForImageTextToText.from_config(config, attn_implementation="eager").eval()
    return model, architecture_of(json.loads(recorded_shapes(config.to_dict())))


def _counted(run: Callable[[], Any]) -> tuple[int, Any]:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        found = run()
    return counter.get_total_flops(), found


def _unmasked(architecture: Architecture, page: Page) -> int:
    """What plain products spend on the half of causal attention that is masked: n (n - 1) / 2 pairs."""
    layers, n = architecture.decoder.layers, page.prompt_tokens
    return 4 * layers.count * layers.heads * layers.head_dim * (n * (n - 1) // 2)


@pytest.mark.parametrize(
    ("config", "tiles", "image_tokens", "left_out"),
    [
        (internvl, 3, 12, 0),
        (llava, 1, 16, 1),  # transformers runs the last layer too, and takes the states before it
        (smolvlm, 3, 12, 0),
    ],
)
def test_operations_of_image_tokens_in_the_prompt(
    config: Callable[[], Any], tiles: int, image_tokens: int, left_out: int
) -> None:
    import torch

    model, architecture = _model(config())
    page = Page(tiles=tiles, image_tokens=image_tokens, prompt_tokens=image_tokens + 9)
    pixels = torch.randn(tiles, 3, 32, 32)
    pixels = pixels.unsqueeze(0) if config is smolvlm else pixels
    counted, _ = _counted(lambda: model.model.get_image_features(pixel_values=pixels))
    layers, vision = architecture.vision.layers, architecture.vision
    one_layer = 2 * layers.weights // layers.count * vision.positions + 4 * layers.width * vision.positions**2
    assert counted - left_out * tiles * one_layer == vision_flops(vision, page)

    ids = torch.tensor([[300] * image_tokens + list(range(9))])
    counted, out = _counted(lambda: model(input_ids=ids, pixel_values=pixels, logits_to_keep=1, use_cache=True))
    expected = vision_flops(vision, page) + prefill_flops(architecture.decoder, page) + _unmasked(architecture, page)
    assert counted - left_out * tiles * one_layer == pytest.approx(expected, rel=0.001)  # and rotary angles

    def step() -> Any:
        return model(input_ids=torch.tensor([[5]]), past_key_values=out.past_key_values, use_cache=True)

    counted, _ = _counted(step)
    assert counted == pytest.approx(decode_flops(architecture.decoder, page, page.prompt_tokens + 1), rel=0.001)


@pytest.mark.parametrize(("kind", "text"), [("llama", {}), ("qwen3", {"head_dim": 32}), ("qwen2", {})])
def test_operations_of_each_known_language_model(kind: str, text: dict[str, Any]) -> None:
    import torch

    model, architecture = _model(internvl(kind, **text))
    page = Page(tiles=0, image_tokens=0, prompt_tokens=40)
    counted, _ = _counted(lambda: model(input_ids=torch.arange(40)[None], logits_to_keep=1))
    expected = prefill_flops(architecture.decoder, page) + _unmasked(architecture, page)
    assert counted == pytest.approx(expected, rel=0.001)


def test_operations_of_image_tokens_beside_the_prompt() -> None:
    import torch

    model, architecture = _model(mllama())
    tiles, n = 4, 11
    page = Page(tiles=tiles, image_tokens=tiles * 17, prompt_tokens=n)
    pixels = torch.randn(1, 1, tiles, 3, 32, 32)
    shown = {
        "pixel_values": pixels,
        "aspect_ratio_ids": torch.tensor([[2]]),
        "aspect_ratio_mask": torch.ones(1, 1, tiles, dtype=torch.long),
    }
    vision = architecture.vision
    assert vision.positions == 24  # 16 patches and a class embedding, in eights
    counted, _ = _counted(lambda: model.model.vision_model(**shown))
    projector = 2 * vision.projector_weights * page.image_tokens
    mask = 2 * (tiles * vision.positions) ** 2  # transformers makes the mask by an outer product
    assert counted - mask == vision_flops(vision, page) - projector

    ids = torch.tensor([[320, *range(1, n)]])
    crossing = torch.ones(1, n, 1, tiles, dtype=torch.long)
    counted, out = _counted(
        lambda: model(input_ids=ids, cross_attention_mask=crossing, logits_to_keep=1, use_cache=True, **shown)
    )
    expected = vision_flops(vision, page) + prefill_flops(architecture.decoder, page) + _unmasked(architecture, page)
    assert counted - mask == pytest.approx(expected, rel=0.001)

    def step() -> Any:
        return model(
            input_ids=torch.tensor([[5]]),
            cross_attention_mask=crossing[:, -1:],
            past_key_values=out.past_key_values,
            use_cache=True,
        )

    counted, _ = _counted(step)
    assert counted == pytest.approx(decode_flops(architecture.decoder, page, n + 1), rel=0.001)


@pytest.mark.parametrize("config", [internvl, llava, smolvlm, mllama])
def test_the_linear_layers_of_a_model_have_the_weights_that_its_shapes_say(config: Callable[[], Any]) -> None:
    from torch import nn

    model, architecture = _model(config())
    found: dict[str, int] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            part = "head" if name == "lm_head" else "decoder" if ".language_model" in name else "vision"
            part = "decoder" if ".text_model" in name else part
            found[part] = found.get(part, 0) + module.weight.numel()
    vision, decoder = architecture.vision, architecture.decoder
    unused = vision.layers.weights // vision.layers.count if config is llava else 0
    assert found == {"vision": vision.weights + unused, "decoder": decoder.weights, "head": decoder.head_weights}
