"""Bytes of a model's weights: predicted from its configuration, and measured in a loaded model.

The two are computed in different ways on purpose. When they disagree, something was loaded that was not asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.quantization import Quantization, is_skipped, top_level

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["linear_bytes", "linear_shapes", "measure_weight_bytes", "predict_weight_bytes", "tied_linears"]

_BLOCK = 64
"""Weights that share one scale in 4-bit."""
_NESTED_BLOCK = 256
"""Scales that share one scale of their own under double quantisation."""
_CODE_BYTES = 16 * 4
_NESTED_CODE_BYTES = 256 * 4
_OFFSET_BYTES = 4


def linear_shapes(model: nn.Module, skip_modules: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """(out_features, in_features) of every linear layer of an unquantised model that is not skipped, by full name."""
    from torch import nn

    return {
        name: (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if type(module) is nn.Linear and not is_skipped(name, skip_modules)  # subclasses are never quantised
    }


def tied_linears(model: nn.Module) -> tuple[str, ...]:
    """Full names of the linear layers that share their weight with another module, such as the embedding.

    Quantising one would need a second copy of the weight; bitsandbytes leaves such a layer broken.
    """
    from torch import nn

    owners: dict[int, list[str]] = {}
    for name, module in model.named_modules():
        if isinstance(weight := module._parameters.get("weight"), nn.Parameter):
            owners.setdefault(id(weight), []).append(name)
    shared = {name for names in owners.values() if len(names) > 1 for name in names}
    return tuple(name for name, module in model.named_modules() if name in shared and isinstance(module, nn.Linear))


def predict_weight_bytes(
    model: nn.Module, mode: Quantization, skip_modules: Sequence[str], *, packs_four_bit: bool = False
) -> int:
    """Bytes of parameters and buffers once `model` is loaded in `mode`.

    `model` is unquantised and of the dtype of everything that `mode` leaves alone; it may be on the meta device, and
    then costs no memory. Tied weights count once. Raises nothing.

    LLM.int8: 1 byte a weight, and a 4-byte scale a row. 4-bit with double quantisation: half a byte a weight; per 64
    weights a scale of 1 byte; per 256 scales a scale of 4 bytes; a layer, an offset and tables of 16 and of 256 floats
    (Dettmers et al. 2023, QLoRA, section 3, as bitsandbytes stores it). On processors for which bitsandbytes repacks
    the weights (`packs_four_bit`), a scale is 2 bytes after the first use, and not nested.
    """
    quantized = set(linear_shapes(model, skip_modules)) if mode.is_quantized else set()
    total = 0
    seen: set[int] = set()
    for name, module in model.named_modules():
        for key, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if name in quantized and key == "weight":
                rows, columns = tensor.shape
                total += _quantized_bytes(mode, rows, columns, packs_four_bit)
            elif id(tensor) not in seen:
                seen.add(id(tensor))
                total += tensor.numel() * tensor.element_size()
    return total


def _quantized_bytes(mode: Quantization, rows: int, columns: int, packed: bool) -> int:
    weights = rows * columns
    if mode.is_int8:
        return weights + 4 * rows
    scales = -(-weights // _BLOCK)
    of_scales = 2 * scales if packed else scales + 4 * -(-scales // _NESTED_BLOCK) + _NESTED_CODE_BYTES
    return -(-weights // 2) + of_scales + _OFFSET_BYTES + _CODE_BYTES


def measure_weight_bytes(model: nn.Module) -> Mapping[str, int]:
    """Bytes of the tensors that a loaded model holds, by device: parameters, buffers and quantisation state.

    Tensors over the same memory (tied weights, shared tables) count once. What accelerate keeps in host memory for a
    module that runs elsewhere counts as `cpu`.
    """
    tensors = {(str(t.device), t.data_ptr(), t.nbytes) for t in _held_tensors(model) if t.device.type != "meta"}
    found: dict[str, int] = {}
    for device, _, size in sorted(tensors):
        found[device] = found.get(device, 0) + size
    return found


def linear_bytes(model: nn.Module) -> Mapping[str, int]:
    """Bytes that the linear layers of a loaded model hold, by top-level submodule (`model.vision_tower`, `lm_head`).

    As they are stored, with scales and biases; a layer that is tied to the embedding counts.
    """
    from torch import nn

    found: dict[str, int] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            part = top_level(name)
            found[part] = found.get(part, 0) + sum(measure_weight_bytes(module).values())
    return found


def _held_tensors(model: nn.Module) -> Iterator[torch.Tensor]:
    import torch

    for module in model.modules():
        yield from module.parameters(recurse=False)
        yield from module.buffers(recurse=False)
        yield from _offloaded_tensors(module)
        weight = getattr(module, "weight", None)
        # bitsandbytes: 4-bit keeps its scales with the weight; 8-bit moves them to `state` at the first use.
        holders: list[Any] = [getattr(module, "state", None), weight]
        state = getattr(weight, "quant_state", None)
        holders += [state, getattr(state, "state2", None)]
        for holder in holders:
            for key in ("SCB", "CB", "absmax", "code", "offset"):
                tensor = getattr(holder, "__dict__", {}).get(key)
                if isinstance(tensor, torch.Tensor):
                    yield tensor


def _offloaded_tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    hook = getattr(module, "_hf_hook", None)
    for part in getattr(hook, "hooks", [hook]):  # accelerate chains several in one
        kept = getattr(part, "weights_map", None)
        if kept is not None:
            yield from (kept[name] for name, _ in module.named_parameters(recurse=False))
            if getattr(part, "offload_buffers", False):
                yield from (kept[name] for name, _ in module.named_buffers(recurse=False))
