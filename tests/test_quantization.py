"""What the precisions mean, what devices support, what is skipped, and how many bytes it takes."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from harness.errors import UnknownNameError, UnsupportedError
from harness.quantization import (
    DeviceCapability,
    LayerCount,
    Quantization,
    check_layer_shapes,
    check_quantized,
    check_skip_modules,
    count_linears,
    device_capability,
    is_skipped,
    parse_quantization,
    quantization_config,
    quantization_note,
    quantization_support,
    rest_dtype,
)
from harness.weights import linear_bytes, linear_shapes, measure_weight_bytes, predict_weight_bytes, tied_linears

MODES = [mode for mode in Quantization if mode is not Quantization.NONE]
CPU = DeviceCapability(kind="cpu")


def gpu(major: int, minor: int) -> DeviceCapability:
    return DeviceCapability(kind="cuda", compute_capability=(major, minor), name=f"GPU {major}.{minor}")


SEVERAL = DeviceCapability(kind="cuda", compute_capability=(9, 0), name="2 x GPU 9.0", devices=("cuda:0", "cuda:1"))


class Toy(nn.Module):
    """Two linear layers under `model`, and a head that can be tied to the embedding."""

    def __init__(self, *, tied: bool = False) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.vision_model = nn.Sequential(nn.Linear(64, 128))
        self.model.language_model = nn.Sequential(nn.Linear(128, 64, bias=False))
        self.model.embed_tokens = nn.Embedding(320, 64)
        self.lm_head = nn.Linear(64, 320, bias=False)
        if tied:
            self.lm_head.weight = self.model.embed_tokens.weight


@pytest.mark.parametrize("module", ["harness.quantization", "harness.weights", "harness.backends.generative"])
def test_importing_it_imports_no_model_library(module):
    code = f"import sys, {module}; print({{'torch', 'transformers', 'bitsandbytes', 'pytest'}} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_an_unknown_mode_names_the_nearest():
    assert parse_quantization("int8-all") is Quantization.INT8_ALL
    with pytest.raises(UnknownNameError, match="unknown quantization 'nf5'; did you mean nf4"):
        parse_quantization("nf5")


# --- what a device can do --------------------------------------------------------------------------------------


def refused(device: DeviceCapability) -> set[Quantization]:
    """The precisions that a device does not support."""
    found = set()
    for mode in MODES:
        try:
            quantization_support(mode, device)
        except UnsupportedError:
            found.add(mode)
    return found


@pytest.mark.parametrize(
    ("device", "lacks"),
    [(CPU, {"int8-offload"}), (gpu(9, 0), set()), (gpu(8, 0), set())],
    ids=lambda value: value.name if isinstance(value, DeviceCapability) else None,
)
def test_current_devices_support_every_mode(device, lacks):
    """A CPU has nowhere to offload from."""
    assert refused(device) == lacks


@pytest.mark.parametrize(
    ("mode", "device", "reason"),
    [
        (
            "int8",
            gpu(7, 0),
            r"int8 needs compute capability 7\.5 \(LLM\.int8 needs int8 tensor cores\); GPU 7\.0 has 7\.0",
        ),
        ("int8-all", gpu(6, 1), r"needs compute capability 7\.5"),
        ("bf16", gpu(7, 5), r"bf16 needs compute capability 8\.0 \(bf16 is emulated below it\)"),
        ("nf4", gpu(5, 2), r"needs compute capability 6\.0"),
        ("fp32", DeviceCapability(kind="cuda", name="GPU X"), "compute capability of GPU X is unknown"),
        ("none", CPU, "needs a precision: one of bf16, fp16, fp32, fp4, int8, int8-all, int8-offload, nf4"),
        ("int8-offload", CPU, "divides a model between one GPU and host memory; CPU is not one GPU: use int8"),
        ("int8-offload", SEVERAL, "2 x GPU 9.0 is not one GPU"),
    ],
)
def test_what_a_device_cannot_do_is_unsupported_with_the_reason(mode, device, reason):
    with pytest.raises(UnsupportedError, match=reason):
        quantization_support(Quantization(mode), device)


@pytest.mark.parametrize(
    ("device", "lacks"),
    [
        (gpu(8, 0), set()),
        (gpu(7, 5), {"bf16"}),
        (gpu(7, 4), {"bf16", "int8", "int8-all", "int8-offload"}),
        (gpu(6, 0), {"bf16", "int8", "int8-all", "int8-offload"}),
        (gpu(5, 9), {"bf16", "int8", "int8-all", "int8-offload", "nf4", "fp4"}),
    ],
    ids=lambda value: value.name if isinstance(value, DeviceCapability) else None,
)
def test_edges_of_support(device, lacks):
    """On both sides of each compute capability that a precision needs."""
    assert refused(device) == lacks


def test_slow_fp16_on_a_cpu_is_noted_and_nothing_else_is():
    noted = {mode for mode in MODES for device in (CPU, gpu(9, 0)) if quantization_note(mode, device)}
    assert noted == {Quantization.FP16}
    assert quantization_note(Quantization.FP16, gpu(9, 0)) is None


@pytest.mark.parametrize(
    ("mode", "device", "dtype"),
    [
        ("fp32", CPU, "float32"),
        ("fp16", CPU, "float16"),
        ("bf16", gpu(9, 0), "bfloat16"),
        ("int8", CPU, "bfloat16"),
        ("nf4", gpu(9, 0), "bfloat16"),
        ("nf4", gpu(7, 5), "float16"),
    ],
)
def test_what_is_not_quantised_has_a_native_dtype(mode, device, dtype):
    assert rest_dtype(Quantization(mode), device) == dtype


def test_the_device_must_be_there(monkeypatch):
    assert device_capability("cpu").kind == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnsupportedError, match="'cuda' was asked for, but"):
        device_capability("cuda")
    with pytest.raises(UnsupportedError, match="use cpu, cuda, cuda:N, or cuda:all"):
        device_capability("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UnsupportedError, match="'cuda:1' was asked for, but there are 1 GPUs"):
        device_capability("cuda:1")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "H")
    one = DeviceCapability(kind="cuda", compute_capability=(9, 0), name="H", devices=("cuda:0",))
    assert device_capability("cuda:0") == device_capability("cuda") == device_capability("cuda:all") == one


def test_all_gpus_together_can_do_what_the_least_of_them_can(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_capability", [(9, 0), (7, 5), (9, 0)].__getitem__)
    monkeypatch.setattr(torch.cuda, "get_device_name", "HTH".__getitem__)
    found = device_capability("cuda:all")
    assert (found.name, found.compute_capability) == ("2 x H + T", (7, 5))
    assert found.devices == ("cuda:0", "cuda:1", "cuda:2")
    assert device_capability("cuda:2").devices == ("cuda:2",)


# --- configuration and skips -----------------------------------------------------------------------------------


def test_four_bit_says_nf4_and_double_quantisation():
    config = quantization_config(Quantization.NF4, ["lm_head"])
    assert config.load_in_4bit
    assert config.bnb_4bit_quant_type == "nf4"
    assert config.bnb_4bit_use_double_quant
    assert config.bnb_4bit_compute_dtype is torch.bfloat16
    assert config.llm_int8_skip_modules == ["lm_head"]
    assert quantization_config(Quantization.FP4, []).bnb_4bit_quant_type == "fp4"


def test_int8_takes_the_skip_list_as_it_is():
    config = quantization_config(Quantization.INT8, ["model.vision_model", "lm_head"])
    assert config.load_in_8bit
    assert config.llm_int8_skip_modules == ["model.vision_model", "lm_head"]
    assert (
        quantization_config(Quantization.INT8_ALL, []).llm_int8_skip_modules == []
    )  # not the default, which has lm_head


def test_only_offloading_lets_layers_into_host_memory():
    assert quantization_config(Quantization.INT8_OFFLOAD, []).llm_int8_enable_fp32_cpu_offload
    assert not quantization_config(Quantization.INT8, []).llm_int8_enable_fp32_cpu_offload


@pytest.mark.parametrize("mode", ["fp32", "bf16", "fp16"])
def test_plain_dtypes_need_no_configuration(mode):
    assert quantization_config(Quantization(mode), []) is None


def test_skipping_goes_by_whole_components_of_the_path():
    assert is_skipped("model.vision_model.0", ["model.vision_model"])
    assert is_skipped("model.layers.3.gate", ["gate"])
    assert not is_skipped("model.vision_model.0", ["vision_model"])
    assert not is_skipped("model.layers.11", ["model.layers.1"])
    assert not is_skipped("model.lm_head2", ["lm_head"])


@pytest.mark.parametrize("skip", ["model.vision_model", "lm_head", "model.language_model", "vision_model", "nothing"])
def test_skipping_agrees_with_transformers(skip):
    from transformers.quantizers.quantizers_utils import should_convert_module

    for name, module in Toy().named_modules():
        if isinstance(module, nn.Linear):
            assert is_skipped(name, [skip]) == (not should_convert_module(name, [skip])), name


def test_a_skip_name_that_matches_nothing_names_the_closest():
    names = linear_shapes(Toy(), ())
    check_skip_modules(["model.vision_model", "lm_head"], names)
    # The end of a module's name, but of no linear layer's: transformers would quantise them all.
    with pytest.raises(
        UnknownNameError, match=r"'vision_model' matches no module .* did you mean model\.vision_model\?"
    ):
        check_skip_modules(["vision_model"], names)
    with pytest.raises(UnknownNameError, match=r"'vision_tower' matches no module .* did you mean model\.vision_model"):
        check_skip_modules(["vision_tower"], names)
    with pytest.raises(UnknownNameError, match=r"'lm_haed' matches no module of the model; did you mean lm_head"):
        check_skip_modules(["lm_head", "lm_haed"], names)


def test_shapes_without_a_four_bit_kernel_are_refused_on_cpus_only():
    good, narrow, short = {"fc": (32, 64)}, {"fc": (64, 96)}, {"fc": (48, 64)}
    check_layer_shapes(Quantization.NF4, CPU, good)
    check_layer_shapes(Quantization.INT8, CPU, narrow)
    check_layer_shapes(Quantization.NF4, gpu(9, 0), narrow)
    with pytest.raises(UnsupportedError, match=r"multiples of 64 .* fc maps 96 to 64"):
        check_layer_shapes(Quantization.NF4, CPU, narrow)
    with pytest.raises(UnsupportedError, match="multiples of 32; fc maps 64 to 48"):
        check_layer_shapes(Quantization.FP4, CPU, short)


# --- what was done ---------------------------------------------------------------------------------------------


def quantised(model: nn.Module, *names: str) -> nn.Module:
    """`model` with these layers as bitsandbytes has them."""
    import bitsandbytes

    for name in names:
        layer = model.get_submodule(name)
        model.set_submodule(
            name, bitsandbytes.nn.Linear8bitLt(layer.in_features, layer.out_features, has_fp16_weights=False)
        )
    return model


def test_layers_are_counted_by_submodule():
    assert count_linears(quantised(Toy(), "model.language_model.0")) == {
        "model.vision_model": LayerCount(kept=1),
        "model.language_model": LayerCount(quantized=1),
        "lm_head": LayerCount(kept=1),
    }


def test_what_was_quantised_must_be_what_was_asked():
    skip = ("model.vision_model", "lm_head")
    check_quantized(Quantization.INT8, quantised(Toy(), "model.language_model.0"), skip)
    check_quantized(Quantization.FP32, Toy(), ())
    with pytest.raises(UnsupportedError, match="int8 was asked for, but none of the 3 linear layers was quantised"):
        check_quantized(Quantization.INT8, Toy(), skip)
    with pytest.raises(UnsupportedError, match=r"quantised against the skip list: model\.vision_model\.0"):
        check_quantized(Quantization.INT8, quantised(Toy(), "model.language_model.0", "model.vision_model.0"), skip)
    with pytest.raises(UnsupportedError, match="not quantised: lm_head"):
        check_quantized(Quantization.INT8_ALL, quantised(Toy(), "model.language_model.0", "model.vision_model.0"), ())
    with pytest.raises(UnsupportedError, match="quantised against the skip list: lm_head"):
        check_quantized(Quantization.FP32, quantised(Toy(), "lm_head"), ())


# --- bytes -----------------------------------------------------------------------------------------------------


def test_bytes_by_hand():
    toy, skip = Toy(), ("model.vision_model", "lm_head")
    rest = 4 * (64 * 128 + 128 + 320 * 64 + 64 * 320)
    assert (
        predict_weight_bytes(toy, Quantization.FP32, ())
        == rest + 4 * 128 * 64
        == sum(measure_weight_bytes(toy).values())
    )
    assert predict_weight_bytes(toy, Quantization.INT8, skip) == rest + 128 * 64 + 4 * 64
    scales = 128 * 64 // 64
    nested = 128 * 64 // 2 + scales + 4 + 4 + 64 + 1024
    assert predict_weight_bytes(toy, Quantization.NF4, skip) == rest + nested
    packed = 128 * 64 // 2 + 2 * scales + 4 + 64
    assert predict_weight_bytes(toy, Quantization.NF4, skip, packs_four_bit=True) == rest + packed


def test_tied_weights_count_once():
    toy = Toy(tied=True)
    assert tied_linears(toy) == ("lm_head",)
    assert tied_linears(Toy()) == ()
    expected = 4 * (64 * 128 + 128 + 128 * 64 + 320 * 64)
    assert predict_weight_bytes(toy, Quantization.FP32, ()) == expected
    assert measure_weight_bytes(toy) == {"cpu": expected}


def test_the_bytes_of_linear_layers_are_told_by_submodule():
    parts = {"model.vision_model": 4 * (64 * 128 + 128), "model.language_model": 4 * 128 * 64, "lm_head": 4 * 64 * 320}
    assert linear_bytes(Toy()) == parts
    assert linear_bytes(Toy(tied=True)) == parts, "the output layer is read whole, whoever else has its weight"


def test_the_bytes_of_linear_layers_in_four_bits_are_those_stored():
    bitsandbytes = pytest.importorskip("bitsandbytes")
    toy = Toy()
    layer = bitsandbytes.nn.Linear4bit(128, 64, bias=False, quant_type="nf4", compress_statistics=True).to("cpu")
    toy.model.language_model = nn.Sequential(layer)
    scales = 128 * 64 // 64
    assert linear_bytes(toy)["model.language_model"] == 128 * 64 // 2 + scales + 4 + 4 + 64 + 1024


def test_weights_that_accelerate_keeps_for_a_module_count_as_the_hosts():
    """It leaves tensors without memory in the module, and fetches the real ones for each call."""
    from accelerate import cpu_offload

    toy = Toy()
    expected = predict_weight_bytes(toy, Quantization.FP32, ())
    cpu_offload(toy.model.vision_model, execution_device="cpu")
    assert {parameter.device.type for parameter in toy.model.vision_model.parameters()} == {"meta"}
    assert measure_weight_bytes(toy) == {"cpu": expected}


@pytest.fixture(scope="module")
def llama_11b() -> nn.Module:
    """Llama-3.2-11B-Vision without its memory."""
    from harness.backends.generative.torchvision_schema import ensure_torchvision

    ensure_torchvision()
    from transformers import AutoModelForImageTextToText, MllamaConfig

    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(
            MllamaConfig(vision_config={"image_size": 560}), dtype=torch.bfloat16
        )


@pytest.mark.parametrize(("mode", "gigabytes"), [("fp16", 21.34), ("int8", 12.62), ("nf4", 7.18)])
def test_bytes_of_a_published_model(llama_11b, mode, gigabytes):
    """As it was measured loaded on a GPU."""
    from harness.backends.generative.mllama import Mllama

    chosen = Quantization(mode)
    skip = Mllama().skip_modules(chosen)
    check_skip_modules(skip, linear_shapes(llama_11b, ()))
    assert sum(parameter.numel() for parameter in llama_11b.parameters()) == 10_670_220_835
    assert predict_weight_bytes(llama_11b, chosen, skip) / 1e9 == pytest.approx(gigabytes, abs=0.005)
