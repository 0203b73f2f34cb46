"""The full-size architectures against published numbers of parameters and bytes; all on the meta device."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.architectures import architecture_folder, known_architectures
from harness.architectures import build_skeleton, load_config
from harness.backends.generative.families import load_family
from harness.backends.generative.planning import WeightPlan, plan_weights
from harness.errors import CheckpointError, UnknownNameError, UnsupportedError
from harness.quantization import DeviceCapability, Quantization, rest_dtype
from harness.weights import linear_shapes, predict_weight_bytes

LLAMA_11B, LLAMA_90B = "Llama-3.2-11B-Vision-Instruct", "Llama-3.2-90B-Vision-Instruct"
ALL = known_architectures()
RUNNABLE = tuple(model for model in ALL if model != "Phi-4-multimodal")  # see its SOURCE.md
H200 = DeviceCapability(kind="cuda", compute_capability=(9, 0), name="NVIDIA H200", devices=("cuda:0",))
MODES = [mode for mode in Quantization if mode is not Quantization.NONE]
# Published names that are no attributes in transformers 5: it turns them into `rope_parameters` or hands them on.
HANDED_ON = {"rope_theta", "rope_scaling", "rope_local_base_freq", "partial_rotary_factor", "pad_token_id"}


@functools.cache
def build(model: str, dtype: str = "bfloat16") -> Any:
    return build_skeleton(architecture_folder(model), dtype=dtype)


def count(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def buffer_bytes(model: Any) -> int:
    return sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())


def changed(model: str, folder: Path, change: Callable[[Any], None]) -> Any:
    """The architecture of `model` after `change` of its configuration."""
    config = json.loads((architecture_folder(model) / "config.json").read_text(encoding="utf-8"))
    change(config)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return build_skeleton(folder)


def plan(model: str, mode: Quantization, skip_modules: tuple[str, ...] | None = None) -> WeightPlan:
    """What the transformers backend plans and predicts before it loads `model` in `mode`, on a current GPU."""
    skeleton = build(model, rest_dtype(mode, H200))
    family = load_family(skeleton.config.model_type)
    return plan_weights(skeleton, family, mode, H200, skip_modules=skip_modules)


def row_scale_bytes(model: Any, skip: tuple[str, ...]) -> int:
    """LLM.int8 keeps one float32 for each row of each quantised layer."""
    return sum(4 * rows for rows, _ in linear_shapes(model, skip).values())


@pytest.mark.parametrize(
    ("model", "published"),
    [(LLAMA_11B, 10_670_220_835), ("LLaVA-1.5-7B", 7_063_427_072), ("SmolVLM2-2.2B", 2_246_784_880)],
)
def test_published_parameter_count(model: str, published: int) -> None:
    assert count(build(model)) == published


@pytest.mark.parametrize(
    ("model", "text_model", "cross_layers"),
    [(LLAMA_11B, 8_030_261_248, 8), (LLAMA_90B, 70_553_706_496, 20)],  # Llama-3.1-8B and -70B
)
def test_llama_vision_is_llama_text_with_cross_attention(model: str, text_model: int, cross_layers: int) -> None:
    skeleton = build(model)
    language = skeleton.model.language_model
    cross = [layer for layer in language.layers if hasattr(layer, "cross_attn")]
    image_token_rows = 8 * language.config.hidden_size
    assert len(cross) == cross_layers
    own = count(language) + count(skeleton.lm_head) - sum(map(count, cross)) - image_token_rows
    assert own == text_model
    assert count(skeleton.model.vision_model) == count(build(LLAMA_11B).model.vision_model)


def test_llama_90b_is_near_its_model_card() -> None:
    """The card says 88.8 billion and no more; see SOURCE.md."""
    parameters = count(build(LLAMA_90B))
    assert parameters == 88_593_355_323
    assert parameters == pytest.approx(88.8e9, rel=0.003)


@pytest.mark.parametrize(
    ("model", "parameters", "text_model", "rows", "tied"),
    [
        ("InternVL3-2B", 2_088_957_440, 1_543_714_304, 151_936, True),  # Qwen2.5-1.5B
        ("InternVL3-8B", 7_944_373_760, 7_615_616_512, 152_064, False),  # Qwen2.5-7B
    ],
)
def test_internvl3_is_qwen_with_fewer_tokens(
    model: str, parameters: int, text_model: int, rows: int, tied: bool
) -> None:
    skeleton = build(model)
    text = skeleton.config.text_config
    language = count(skeleton.model.language_model) + count(skeleton.lm_head)
    tables = 2 * text.vocab_size * text.hidden_size
    assert language - tables == text_model - (1 if tied else 2) * rows * text.hidden_size
    assert count(skeleton) == parameters


@pytest.mark.parametrize(
    ("text", "published"),
    [
        pytest.param(
            {"hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14, "intermediate_size": 4864},
            938_193_024,
            id="InternVL2.5-1B",
        ),
        pytest.param(
            {"hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16, "intermediate_size": 11008},
            3_712_637_952,
            id="InternVL2.5-4B",
        ),
    ],
)
def test_vision_side_of_internvl_in_published_siblings(text: dict[str, int], published: int, tmp_path: Path) -> None:
    """InternVL3 has the vision tower of InternVL2.5, of which the exact numbers of parameters are published."""
    assert count(changed("InternVL3-2B", tmp_path, lambda config: config["text_config"].update(text))) == published


def test_internvl3_2b_without_vision_biases(tmp_path: Path) -> None:
    """The other number given for it, which its published `qkv_bias` rules out."""
    skeleton = changed(
        "InternVL3-2B", tmp_path, lambda config: config["vision_config"].update({"attention_bias": False})
    )
    assert count(skeleton) == 2_088_883_712 == count(build("InternVL3-2B")) - 24 * 3 * 1024


def test_gemma_3n_without_unused_projections() -> None:
    """The checkpoint holds keys, values and a norm for layers that use those of other layers; the model does not."""
    skeleton = build("Gemma-3n-E4B")
    text = skeleton.config.text_config
    width = text.num_key_value_heads * text.head_dim
    unused = text.num_kv_shared_layers * (2 * width * text.hidden_size + text.head_dim)
    assert count(skeleton) + unused == 7_849_978_192


def test_phi_4_with_both_adapters_and_audio_statistics() -> None:
    skeleton = build("Phi-4-multimodal")
    decoder = {name: shape for name, shape in linear_shapes(skeleton, ()).items() if name.startswith("model.layers.")}
    adapters = sum(rank * (rows + columns) for rank in (256, 320) for rows, columns in decoder.values())
    statistics = sum(b.numel() for name, b in skeleton.named_buffers() if name.endswith(("_mean", "_invstd")))
    assert len(decoder) == 4 * 32
    assert count(skeleton) + adapters + statistics == 5_574_460_384


@pytest.mark.parametrize("model", ALL)
def test_takes_no_memory_and_no_code_of_its_own(model: str) -> None:
    skeleton = build(model)
    assert {tensor.device.type for tensor in (*skeleton.parameters(), *skeleton.buffers())} == {"meta"}
    assert type(skeleton).__module__.startswith("transformers.")
    assert [type(skeleton).__name__] == skeleton.config.architectures


@pytest.mark.parametrize("model", ALL)
def test_every_field_is_one_that_transformers_knows(model: str) -> None:
    """A misspelt field would be ignored, and its default would stand."""
    folder = architecture_folder(model)
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = load_config(folder)
    parts = {name: value for name, value in written.items() if name.endswith("_config")}
    assert parts.keys() >= {"vision_config"}
    top = {name: value for name, value in written.items() if name not in parts}
    for known, names in [(type(config), top), *((type(getattr(config, name)), part) for name, part in parts.items())]:
        default = known()
        assert not {name for name in names if not hasattr(default, name)} - HANDED_ON, known.__name__


@pytest.mark.parametrize("model", ALL)
def test_source_is_named(model: str) -> None:
    text = (architecture_folder(model) / "SOURCE.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {model}\n")
    assert "Configuration: " in text
    assert "Parameters: " in text


@pytest.mark.parametrize(
    ("mode", "gigabytes"),
    [
        (Quantization.FP32, 42.68),
        (Quantization.BF16, 21.34),
        (Quantization.FP16, 21.34),
        (Quantization.INT8, 12.62),
        (Quantization.INT8_ALL, 11.28),
        (Quantization.INT8_OFFLOAD, 14.80),
        (Quantization.NF4, 7.18),
        (Quantization.FP4, 7.18),
    ],
)
def test_weight_bytes_of_llama_11b(mode: Quantization, gigabytes: float) -> None:
    """fp16, int8 and nf4 as published; int8-offload leaves a quarter of the layers in 16 bits, in host memory."""
    found = plan(LLAMA_11B, mode)
    assert round(found.predicted_bytes / 1e9, 2) == gigabytes
    assert found.parameters == 10_670_220_835
    assert (found.predicted_host_bytes > 0) == (mode is Quantization.INT8_OFFLOAD)


def test_offloading_moves_ten_layers_of_llama_11b() -> None:
    """Two of them look at the image. What stays on the GPU is int8's less their bytes there."""
    offload, whole = plan(LLAMA_11B, Quantization.INT8_OFFLOAD), plan(LLAMA_11B, Quantization.INT8)
    layers = [build(LLAMA_11B).get_submodule(name) for name in offload.offloaded]
    assert offload.offloaded == tuple(f"model.language_model.layers.{index}" for index in range(30, 40))
    assert offload.predicted_host_bytes == 2 * sum(map(count, layers))
    linears = [shape for layer in layers for shape in linear_shapes(layer, ()).values()]
    in_int8 = offload.predicted_host_bytes + sum(4 * rows - rows * columns for rows, columns in linears)
    assert offload.predicted_bytes - offload.predicted_host_bytes == whole.predicted_bytes - in_int8


def test_int8_of_llama_11b_with_the_library_default() -> None:
    """transformers skips `lm_head` only. Its own footprint leaves out the row scales: 11.80 GB without, 11.81 with."""
    total = plan(LLAMA_11B, Quantization.INT8, ("lm_head",)).predicted_bytes
    assert round(total / 1e9, 2) == 11.81
    assert round((total - row_scale_bytes(build(LLAMA_11B), ("lm_head",))) / 1e9, 2) == 11.80


def test_int8_of_llama_11b_with_and_without_row_scales() -> None:
    """With the family's skip list both ways of counting give the published 12.62 GB."""
    found = plan(LLAMA_11B, Quantization.INT8)
    scales = row_scale_bytes(build(LLAMA_11B), found.skip)
    assert round((found.predicted_bytes - scales) / 1e9, 2) == 12.62
    assert 0 < scales < 0.01e9


def test_weight_bytes_of_internvl3_2b() -> None:
    assert round(plan("InternVL3-2B", Quantization.BF16).predicted_bytes / 1e9, 3) == 4.178


@pytest.mark.parametrize("model", RUNNABLE)
def test_every_mode_can_be_planned_and_fewer_bits_take_fewer_bytes(model: str) -> None:
    found = {mode: plan(model, mode) for mode in MODES}
    order = ["nf4", "int8-all", "int8", "int8-offload", "bf16", "fp32"]
    sizes = [found[Quantization(mode)].predicted_bytes for mode in order]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == len(sizes)
    assert found[Quantization.FP4].predicted_bytes == found[Quantization.NF4].predicted_bytes
    assert found[Quantization.FP16].predicted_bytes == found[Quantization.BF16].predicted_bytes
    assert all((plan.asked > 0) == mode.is_quantized for mode, plan in found.items())
    assert "lm_head" in found[Quantization.NF4].skip


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize(("dtype", "mode", "size"), [("bfloat16", "bf16", 2), ("float32", "fp32", 4)])
def test_unquantised_bytes_are_parameters_and_buffers(model: str, dtype: str, mode: str, size: int) -> None:
    skeleton = build(model, dtype)
    assert predict_weight_bytes(skeleton, Quantization(mode), ()) == size * count(skeleton) + buffer_bytes(skeleton)


def test_unknown_architecture_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown architecture 'InternVL3-3B'; did you mean InternVL3-"):
        architecture_folder("InternVL3-3B")


@pytest.mark.parametrize("name", ["", "..", "InternVL3-2B/.."])
def test_only_ids_name_a_folder(name: str) -> None:
    with pytest.raises(UnknownNameError):
        architecture_folder(name)


def test_configuration_that_is_not_there_or_broken(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no config"):
        load_config(tmp_path)
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_config(tmp_path)


@pytest.mark.parametrize("config", [{"model_type": "no-such-model"}, {}])
def test_architecture_that_transformers_does_not_have(config: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UnsupportedError, match="has no such architecture"):
        load_config(tmp_path)
