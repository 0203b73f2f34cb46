"""The work of an answer: worked out by hand, against published shapes, and how it grows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.architectures import architecture_folder
from harness.architectures import build_skeleton
from harness.errors import UnsupportedError
from harness.roofline.ceilings import (
    DeviceCeilings,
    Floor,
    first_token_floor,
    floor,
    measured_device,
    request_floor,
    step_floor,
    total,
)
from harness.roofline.shapes import Architecture, Decoder, Layers, Vision, architecture_of, recorded_shapes
from harness.roofline.work import (
    Page,
    StoredBytes,
    Work,
    cache_bytes,
    decode_flops,
    mean_context,
    prefill_flops,
    request_work,
    unquantised_bytes,
    vision_flops,
)
from harness.weights import linear_shapes

# Weights of both layers: queries and outputs 2 x 2 x 8 x 8 = 256, keys and values 2 x 2 x 8 x 4 = 128,
# MLP 2 x 3 x 8 x 16 = 768; together 1152.
LAYERS = Layers(count=2, width=8, heads=2, kv_heads=1, head_dim=4, inner=16, gated=True)
# One layer: 128, 64 and 384; together 576.
CROSS = replace(LAYERS, count=1)
DECODER = Decoder(layers=LAYERS, cross=None, vocabulary=10)
CROSSING = replace(DECODER, cross=CROSS)
# One layer: 2 x 4 x 4 = 32 and 32, MLP 2 x 4 x 8 = 64; together 128.
VISION = Vision(
    layers=Layers(count=1, width=4, heads=1, kv_heads=1, head_dim=4, inner=8, gated=False),
    patches=4,
    patch_weights=12,
    positions=5,
    together=None,
    projector_weights=24,
)
PAGE = Page(tiles=3, image_tokens=6, prompt_tokens=5)
H200 = DeviceCeilings(bandwidth_bytes_per_s=4.3e12, matmul_flops_per_s=700e12)


def published(name: str) -> Architecture:
    return architecture_of(json.loads((architecture_folder(name) / "config.json").read_text()))


# --- by hand ---------------------------------------------------------------------------------------------------


def test_weights_by_hand() -> None:
    assert (LAYERS.query_weights, LAYERS.cache_weights, LAYERS.mlp_weights, LAYERS.weights) == (256, 128, 768, 1152)
    assert CROSSING.weights == 1152 + 576
    assert VISION.weights == 128 + 24
    stored = unquantised_bytes(Architecture(vision=VISION, decoder=CROSSING), 2)
    assert stored == StoredBytes(vision=304, decoder=3456, head=160)


def test_encoding_by_hand() -> None:
    # Three tiles of 5 positions. Patches: 2 x 12 x 4 x 3 = 288. Layers: 2 x 128 x 15 = 3840. Attention: 4 x 4 for each
    # of 3 x 5 x 5 pairs = 1200. Projector: 2 x 24 x 6 = 288.
    assert vision_flops(VISION, PAGE) == 288 + 3840 + 1200 + 288
    # Four tiles together, although the page has three: 384; 2 x 128 x 20 = 5120; 16 x 20 x 20 = 6400; 288.
    assert vision_flops(replace(VISION, together=4), PAGE) == 384 + 5120 + 6400 + 288


def test_reading_a_prompt_by_hand() -> None:
    # Layers: 2 x 1152 x 5 = 11520. Attention: 4 x 2 layers x 8 channels = 64 for each of 5 x 6 / 2 = 15 pairs = 960.
    # Output layer: 2 x 80, once.
    assert prefill_flops(DECODER, PAGE) == 11520 + 960 + 160
    # Across: 2 x (128 + 384) x 5 = 5120; keys and values of 6 image tokens, 2 x 64 x 6 = 768; 32 x 5 x 6 = 960.
    assert prefill_flops(CROSSING, PAGE) == 12640 + 5120 + 768 + 960


def test_a_new_token_by_hand() -> None:
    # 2 x (1152 + 80) = 2464, and 64 for each of 7 positions = 448.
    assert decode_flops(DECODER, PAGE, 7) == 2464 + 448
    # Across: 2 x (128 + 384) = 1024, and 32 for each of 6 image tokens = 192; no keys or values are made.
    assert decode_flops(CROSSING, PAGE, 7) == 2912 + 1024 + 192


def test_the_cache_by_hand() -> None:
    # Keys and values, 2 layers, 1 head of 4, 7 positions: 112 numbers of 2 bytes; across: 2 x 4 x 6 = 48 numbers.
    assert cache_bytes(DECODER, PAGE, 7, 2) == 224
    assert cache_bytes(CROSSING, PAGE, 7, 2) == 224 + 96


def test_the_mean_context_is_that_of_the_steps_one_by_one() -> None:
    # A prompt of 5 and 4 new tokens: the prefill makes the first; the steps attend to 6, 7 and 8 positions.
    assert mean_context(PAGE, 4) == (6 + 7 + 8) / 3


def test_a_request_by_hand() -> None:
    architecture = Architecture(vision=VISION, decoder=CROSSING)
    stored = StoredBytes(vision=1000, decoder=1728, head=50)
    found = request_work(architecture, [PAGE, PAGE], 4, stored, 2)
    assert found.vision == Work(flops=2 * 5616, bytes=1000)
    # The cache of 5 positions and 6 image tokens, written: 2 x (2 x 2 x 4 x 5 + 48) = 256 bytes a page.
    assert found.prefill == Work(flops=2 * 19488, bytes=1728 + 50 + 2 * 256)
    # Of the decoder's 1728 weights, the 64 that make keys and values of the image are not read: 1664 bytes.
    # The mean context of 7: 320 bytes of cache and 4128 operations a page.
    assert found.step == Work(flops=2 * 4128, bytes=1664 + 50 + 2 * 320)
    assert found.steps == 3


def test_a_floor_is_the_larger_time_and_phases_add_up() -> None:
    ceilings = DeviceCeilings(bandwidth_bytes_per_s=10, matmul_flops_per_s=100)
    arithmetic = floor(Work(flops=300, bytes=10), ceilings)
    memory = floor(Work(flops=50, bytes=20), ceilings)
    assert (arithmetic.seconds, arithmetic.bound_by) == (3.0, "arithmetic")
    assert (memory.seconds, memory.bound_by) == (2.0, "memory")
    both = total([arithmetic, memory])
    assert (both.seconds, both.bound_by) == (5.0, "memory 40 %, arithmetic 60 %")
    assert Floor(seconds=0.0, memory_s=0.0).bound_by == "arithmetic"


@pytest.mark.parametrize("rates", [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (float("nan"), 1.0)])
def test_a_ceiling_is_above_zero(rates: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        DeviceCeilings(bandwidth_bytes_per_s=rates[0], matmul_flops_per_s=rates[1])


@pytest.mark.parametrize(
    ("device", "measured"), [("cpu", "cpu"), ("cuda", "cuda:0"), ("cuda:3", "cuda:3"), ("cuda:all", "cuda:0")]
)
def test_one_device_is_measured_for_several(device: str, measured: str) -> None:
    assert measured_device(device) == measured


# --- published shapes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "milliseconds"),
    [
        # 28 layers of 2 x 1536 x 1536 + 2 x 1536 x 256 + 3 x 1536 x 8960 = 46,792,704 weights and 1536 x 151,674 of the
        # output layer: 1,543,166,976 weights of 2 bytes at 4.3 TB/s
        ("InternVL3-2B", 0.7178),
        # 40 layers, 8 of them across, of 2 x 4096 x 4096 + 2 x 4096 x 1024 + 3 x 4096 x 14336 = 218,103,808 weights and
        # 4096 x 128,256 of the output layer: 9,249,488,896 weights of 2 bytes
        ("Llama-3.2-11B-Vision-Instruct", 4.3021),
    ],
)
def test_reading_the_language_model_once_takes(name: str, milliseconds: float) -> None:
    stored = unquantised_bytes(published(name), 2)
    assert 1000 * (stored.decoder + stored.head) / H200.bandwidth_bytes_per_s == pytest.approx(milliseconds, abs=1e-4)


def test_a_step_of_llama_reads_its_image_too() -> None:
    page = Page(tiles=4, image_tokens=6404, prompt_tokens=445)
    architecture = published("Llama-3.2-11B-Vision-Instruct")
    request = request_work(architecture, [page], 128, unquantised_bytes(architecture, 2), 2)
    # Keys and values of 8 layers, 8 heads of 128, over 6404 tokens: 2 x 8 x 1024 x 6404 x 2 bytes = 209.8 MB; of 32
    # layers over 445 + 64 positions: 66.7 MB; weights but 8 x 2 x 4096 x 1024 = 18,364.8 MB
    assert request.step.bytes == pytest.approx(209.8e6 + 66.7e6 + 18_364.8e6, rel=1e-4)
    assert step_floor(request, H200).bound_by == "memory"
    assert first_token_floor(request, H200).bound_by == "arithmetic"


@pytest.mark.parametrize(
    "name",
    [
        "InternVL3-2B",
        "InternVL3-8B",
        "LLaVA-1.5-7B",
        "Llama-3.2-11B-Vision-Instruct",
        "Llama-3.2-90B-Vision-Instruct",
        "SmolVLM2-2.2B",
    ],
)
def test_published_shapes_have_the_weights_of_the_model(name: str) -> None:
    architecture, skeleton = published(name), build_skeleton(architecture_folder(name))
    found = sum(rows * columns for rows, columns in linear_shapes(skeleton, ()).values())
    vision, decoder = architecture.vision, architecture.decoder
    # LLaVA takes the states before the last layer of its tower, which it need not run
    unused = vision.layers.weights // vision.layers.count if name.startswith("LLaVA") else 0
    assert vision.weights + unused + decoder.weights + decoder.head_weights == found
    assert architecture_of(json.loads(recorded_shapes(skeleton.config.to_dict()))) == architecture


@pytest.mark.parametrize(
    ("name", "reason"), [("Gemma-3n-E4B", "convolutional network"), ("Phi-4-multimodal", "no formula for models")]
)
def test_without_a_formula_there_is_a_reason(name: str, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        published(name)


@pytest.mark.parametrize(
    ("part", "key", "value", "reason"),
    [
        ("text_config", "model_type", "qwen3_moe", "language models of the type qwen3_moe"),
        ("text_config", "use_sliding_window", True, "whole text"),
        ("text_config", "layer_types", ["full_attention", "sliding_attention"], "whole text"),
        ("text_config", "hidden_size", None, "hidden_size None"),
        ("text_config", "intermediate_size", [8, 16], "intermediate_size"),
        ("vision_config", "model_type", "siglip_vision_model", "towers of the type siglip_vision_model"),
        ("vision_config", "patch_size", 0, "patch_size 0"),
        (None, "vision_feature_layer", [-2, -5], "vision_feature_layer"),
        (None, "downsample_ratio", 0, "downsample_ratio 0"),
    ],
)
def test_what_no_formula_covers_is_refused(part: str | None, key: str, value: Any, reason: str) -> None:
    config = json.loads((architecture_folder("InternVL3-2B") / "config.json").read_text())
    (config if part is None else config[part])[key] = value
    with pytest.raises(UnsupportedError, match=reason):
        architecture_of(config)


def test_an_empty_configuration_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="type None"):
        architecture_of({})


# --- how it grows ----------------------------------------------------------------------------------------------

PAGES = st.builds(Page, tiles=st.integers(1, 13), image_tokens=st.integers(1, 4000), prompt_tokens=st.integers(1, 5000))
ARCHITECTURES = st.sampled_from(["InternVL3-2B", "Llama-3.2-11B-Vision-Instruct", "SmolVLM2-2.2B", "LLaVA-1.5-7B"])
RATES = st.builds(
    DeviceCeilings,
    bandwidth_bytes_per_s=st.floats(1e9, 1e13),
    matmul_flops_per_s=st.floats(1e9, 1e15),
)


def seconds(architecture: Architecture, pages: list[Page], length: int, ceilings: DeviceCeilings) -> float:
    return request_floor(
        request_work(architecture, pages, length, unquantised_bytes(architecture, 2), 2), ceilings
    ).seconds


@given(name=ARCHITECTURES, page=PAGES, length=st.integers(2, 500), ceilings=RATES, batch=st.integers(1, 64))
def test_more_of_anything_never_takes_less(
    name: str, page: Page, length: int, ceilings: DeviceCeilings, batch: int
) -> None:
    architecture = published(name)
    alone = seconds(architecture, [page], length, ceilings)
    for more in (
        replace(page, tiles=page.tiles + 1),
        replace(page, image_tokens=page.image_tokens + 1),
        replace(page, prompt_tokens=page.prompt_tokens + 1),
    ):
        assert seconds(architecture, [more], length, ceilings) >= alone
    assert seconds(architecture, [page], length + 1, ceilings) > alone
    together = seconds(architecture, [page] * batch, length, ceilings)
    assert alone * (1 - 1e-9) <= together <= batch * alone * (1 + 1e-9)  # weights are shared, nothing else is


@given(name=ARCHITECTURES, page=PAGES, ceilings=RATES, times=st.floats(1.1, 100))
def test_a_floor_scales_with_the_device(name: str, page: Page, ceilings: DeviceCeilings, times: float) -> None:
    architecture = published(name)
    faster = DeviceCeilings(
        bandwidth_bytes_per_s=times * ceilings.bandwidth_bytes_per_s,
        matmul_flops_per_s=times * ceilings.matmul_flops_per_s,
    )
    slow, fast = (seconds(architecture, [page], 100, c) for c in (ceilings, faster))
    assert fast == pytest.approx(slow / times)


@given(name=ARCHITECTURES, page=PAGES, ceilings=RATES)
def test_fewer_bytes_never_take_longer_and_leave_arithmetic_alone(
    name: str, page: Page, ceilings: DeviceCeilings
) -> None:
    architecture = published(name)
    whole = unquantised_bytes(architecture, 2)
    quarter = StoredBytes(vision=whole.vision // 4, decoder=whole.decoder // 4, head=whole.head)
    full, small = (request_work(architecture, [page], 100, stored, 2) for stored in (whole, quarter))
    assert small.step.flops == full.step.flops
    assert step_floor(small, ceilings).seconds <= step_floor(full, ceilings).seconds
