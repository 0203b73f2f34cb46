"""Weight precisions: what each one is, what a device can do, and whether a loaded model is what was asked for."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import UnknownNameError, UnsupportedError, unknown_name

if TYPE_CHECKING:
    from torch import nn
    from transformers import BitsAndBytesConfig

__all__ = [
    "DeviceCapability",
    "LayerCount",
    "Quantization",
    "check_layer_shapes",
    "check_quantized",
    "check_skip_modules",
    "count_linears",
    "device_capability",
    "is_skipped",
    "packs_four_bit",
    "parse_quantization",
    "quantization_config",
    "quantization_note",
    "quantization_support",
    "rest_dtype",
    "top_level",
]

_LLM_INT8_CAPABILITY = (7, 5)  # int8 tensor cores
_BF16_CAPABILITY = (8, 0)
_FOUR_BIT_CAPABILITY = (6, 0)  # bitsandbytes' own minimum for its 4-bit kernels
_FOUR_BIT_BLOCK = 64
_FOUR_BIT_ROWS = 32


class Quantization(StrEnum):
    """Precision of the weights."""

    NONE = "none"
    """A backend without weights."""
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"
    """LLM.int8 (bitsandbytes), without the modules that the model's family names as sensitive, and `lm_head`."""
    INT8_ALL = "int8-all"
    """LLM.int8 of every linear layer, `lm_head` included, unless it is tied to the embedding."""
    INT8_OFFLOAD = "int8-offload"
    """As INT8, with the last quarter of the decoder layers in host memory, in 16 bits; a GPU's mode only."""
    NF4 = "nf4"
    """4-bit normal float with double quantisation (bitsandbytes), without `lm_head`."""
    FP4 = "fp4"
    """4-bit float with double quantisation (bitsandbytes), without `lm_head`."""

    @property
    def is_int8(self) -> bool:
        """Whether linear layers become 8-bit."""
        return self in (Quantization.INT8, Quantization.INT8_ALL, Quantization.INT8_OFFLOAD)

    @property
    def skips_sensitive(self) -> bool:
        """Whether LLM.int8 leaves the modules alone that the model's family names as sensitive."""
        return self in (Quantization.INT8, Quantization.INT8_OFFLOAD)

    @property
    def is_four_bit(self) -> bool:
        """Whether linear layers become 4-bit."""
        return self in (Quantization.NF4, Quantization.FP4)

    @property
    def is_quantized(self) -> bool:
        """Whether linear layers are stored in fewer than 16 bits."""
        return self.is_int8 or self.is_four_bit


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCapability:
    """What decides which precisions a device supports."""

    kind: Literal["cpu", "cuda"]
    compute_capability: tuple[int, int] | None = None
    """Of a CUDA device, such as (9, 0); of several, the lowest."""
    name: str = "CPU"
    devices: tuple[str, ...] = ()
    """The CUDA devices that it stands for, such as `cuda:0`, as this process numbers them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCount:
    """Linear layers of one submodule, by whether they were quantised."""

    quantized: int = 0
    kept: int = 0


def parse_quantization(name: str) -> Quantization:
    """The mode called `name`. Raises UnknownNameError with the nearest names."""
    try:
        return Quantization(name)
    except ValueError:
        raise unknown_name("quantization", name, list(Quantization)) from None


def device_capability(device: str) -> DeviceCapability:
    """What `device` ("cpu", "cuda", "cuda:1", or "cuda:all" for all visible GPUs together) can do.

    Imports torch. Raises UnsupportedError if it is not there.
    """
    import torch

    if device == "cpu":
        return DeviceCapability(kind="cpu")
    match = re.fullmatch(r"cuda(?::(\d+|all))?", device)
    if match is None:
        raise UnsupportedError(f"device {device!r} is not supported; use cpu, cuda, cuda:N, or cuda:all")
    if not torch.cuda.is_available():
        build = "this PyTorch was built without CUDA" if torch.version.cuda is None else "no usable GPU was found"
        raise UnsupportedError(f"device {device!r} was asked for, but {build}")
    count = torch.cuda.device_count()
    indices = list(range(count)) if match[1] == "all" else [int(match[1] or 0)]
    if indices[-1] >= count:
        raise UnsupportedError(f"device {device!r} was asked for, but there are {count} GPUs")
    names = [torch.cuda.get_device_name(index) for index in indices]
    counted = [name if (n := names.count(name)) == 1 else f"{n} x {name}" for name in dict.fromkeys(names)]
    return DeviceCapability(
        kind="cuda",
        compute_capability=min(torch.cuda.get_device_capability(index) for index in indices),
        name=" + ".join(counted),
        devices=tuple(f"cuda:{index}" for index in indices),
    )


def quantization_support(mode: Quantization, device: DeviceCapability) -> None:
    """Return if `device` can run `mode` natively; otherwise raise UnsupportedError with the reason.

    Minimum compute capabilities: int8 tensor cores for LLM.int8 and 6.0 for 4-bit (bitsandbytes' installation
    guide), 8.0 for bf16 arithmetic (CUDA C++ programming guide, arithmetic instructions).
    """
    if mode is Quantization.NONE:
        raise UnsupportedError(
            "a model with weights needs a precision: one of " + ", ".join(sorted(set(Quantization) - {"none"}))
        )
    if mode is Quantization.INT8_OFFLOAD and (device.kind == "cpu" or len(device.devices) > 1):
        raise UnsupportedError(
            f"{mode} divides a model between one GPU and host memory; {device.name} is not one GPU: use int8"
        )
    if device.kind == "cpu":
        return
    capability = device.compute_capability
    if capability is None:
        raise UnsupportedError(f"the compute capability of {device.name} is unknown, so {mode} cannot be vouched for")
    needed, why = (0, 0), ""
    if mode.is_int8:
        needed, why = _LLM_INT8_CAPABILITY, "LLM.int8 needs int8 tensor cores"
    elif mode is Quantization.BF16:
        needed, why = _BF16_CAPABILITY, "bf16 is emulated below it"
    elif mode.is_four_bit:
        needed, why = _FOUR_BIT_CAPABILITY, "bitsandbytes has no 4-bit kernels below it"
    if capability < needed:
        have, need = (".".join(map(str, pair)) for pair in (capability, needed))
        raise UnsupportedError(f"{mode} needs compute capability {need} ({why}); {device.name} has {have}")


def packs_four_bit(mode: Quantization, device: DeviceCapability) -> bool:
    """Whether bitsandbytes repacks the weights for this processor (AVX512 with bf16) at their first use.

    Imports bitsandbytes for 4-bit modes on a processor only: a second, and memory that no other model needs.
    """
    if device.kind != "cpu" or not mode.is_four_bit:
        return False
    bitsandbytes: Any = importlib.import_module("bitsandbytes")
    return bool(bitsandbytes.functional.has_avx512bf16())


def quantization_note(mode: Quantization, device: DeviceCapability) -> str | None:
    """What a reader of this mode's speed on this device must know, if anything."""
    if device.kind == "cpu" and mode is Quantization.FP16:
        return "fp16 has no fast matrix kernel on CPUs without AVX512-FP16 or AMX-FP16: slower than fp32"
    return None


def rest_dtype(mode: Quantization, device: DeviceCapability) -> str:
    """Name of the torch dtype of everything that `mode` does not quantise, and of 4-bit arithmetic.

    bf16 under quantised layers (bitsandbytes' packed CPU kernel computes in nothing else); fp16 on GPUs without it.
    """
    if mode is Quantization.FP32:
        return "float32"
    if mode is Quantization.FP16:
        return "float16"
    old_gpu = device.compute_capability is not None and device.compute_capability < _BF16_CAPABILITY
    return "float16" if old_gpu else "bfloat16"


def quantization_config(
    mode: Quantization, skip_modules: Sequence[str], *, compute_dtype: str = "bfloat16"
) -> BitsAndBytesConfig | None:
    """transformers' configuration of `mode`; None for the modes that only choose a dtype.

    `skip_modules` is the whole list: transformers' own default (`lm_head`) is replaced by it, even if it is empty.
    """
    if not mode.is_quantized:
        return None
    transformers: Any = importlib.import_module("transformers")
    chosen: dict[str, Any] = {"load_in_8bit": True}
    if mode is Quantization.INT8_OFFLOAD:
        chosen["llm_int8_enable_fp32_cpu_offload"] = True  # 32 bits in name only: such layers get the model's dtype
    if mode.is_four_bit:
        chosen = {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": str(mode),  # the library's default would be fp4
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": compute_dtype,
        }
    config: BitsAndBytesConfig = transformers.BitsAndBytesConfig(**chosen, llm_int8_skip_modules=list(skip_modules))
    return config


def is_skipped(module: str, skip_modules: Iterable[str]) -> bool:
    """Whether a skip list keeps `module` (its full dotted name) from being quantised.

    By whole path components, from the start or at the end. transformers also takes regular expressions and, in some
    versions, parts of a component; on plain full paths, which is all that this suite uses, they agree.
    """
    return any(module == skip or module.startswith(f"{skip}.") or module.endswith(f".{skip}") for skip in skip_modules)


def check_skip_modules(skip_modules: Iterable[str], layers: Iterable[str]) -> None:
    """Raise UnknownNameError for a skip name that keeps none of the linear `layers` (full dotted names).

    transformers says nothing about such a name and quantises what it was meant to protect.
    """
    layers = list(layers)
    parts = [layer.split(".") for layer in layers]
    modules = sorted({".".join(part[:end]) for part in parts for end in range(1, len(part) + 1)})
    for skip in skip_modules:
        if not any(is_skipped(layer, [skip]) for layer in layers):
            same = [name for name in modules if name.endswith(f".{skip}")]
            close = same[:3] or difflib.get_close_matches(skip, modules, n=3, cutoff=0.4)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise UnknownNameError(f"skip module {skip!r} matches no module of the model{hint}")


def check_layer_shapes(mode: Quantization, device: DeviceCapability, layers: Mapping[str, tuple[int, int]]) -> None:
    """Raise UnsupportedError if a layer that `mode` quantises has a shape without a kernel.

    `layers`: full name -> (out_features, in_features), of the quantised layers only. On CPUs bitsandbytes' packed
    4-bit kernel takes in_features in blocks of 64 and out_features in blocks of 32; refused on every CPU, so that
    a model that runs on one runs on all.
    """
    if device.kind != "cpu" or not mode.is_four_bit:
        return
    for name, (rows, columns) in layers.items():
        if columns % _FOUR_BIT_BLOCK or rows % _FOUR_BIT_ROWS:
            raise UnsupportedError(
                f"{mode} on a CPU needs in_features in multiples of {_FOUR_BIT_BLOCK} and out_features in multiples of "
                f"{_FOUR_BIT_ROWS}; {name} maps {columns} to {rows}"
            )


def count_linears(model: nn.Module) -> Mapping[str, LayerCount]:
    """Quantised and kept linear layers by top-level submodule (`model.vision_tower`, `lm_head`)."""
    from torch import nn

    counts: dict[str, LayerCount] = {}
    for name, module in model.named_modules():
        if not isinstance(module, nn.Linear):
            continue
        key = top_level(name)
        before, quantized = counts.get(key, LayerCount()), _is_quantized(module)
        counts[key] = LayerCount(quantized=before.quantized + quantized, kept=before.kept + (not quantized))
    return counts


def top_level(name: str) -> str:
    """The submodule that a module (its full dotted name) belongs to: `model.vision_tower`, `lm_head`."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "model" else parts[0]


def _is_quantized(module: Any) -> bool:
    # By name, so that bitsandbytes is not imported to ask.
    return type(module).__name__ in ("Linear8bitLt", "Linear4bit")


def check_quantized(mode: Quantization, model: nn.Module, skip_modules: Sequence[str]) -> None:
    """Raise UnsupportedError unless exactly the layers that `mode` and `skip_modules` name were quantised."""
    from torch import nn

    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    wanted = {name for name in linears if mode.is_quantized and not is_skipped(name, skip_modules)}
    found = {name for name, module in linears.items() if _is_quantized(module)}
    if mode.is_quantized and not found:
        raise UnsupportedError(f"{mode} was asked for, but none of the {len(linears)} linear layers was quantised")
    if wanted != found:
        missed, extra = sorted(wanted - found), sorted(found - wanted)
        said = [f"not quantised: {', '.join(missed[:3])}"] * bool(missed)
        said += [f"quantised against the skip list: {', '.join(extra[:3])}"] * bool(extra)
        raise UnsupportedError(f"{mode} was not applied as asked: {'; '.join(said)}")
