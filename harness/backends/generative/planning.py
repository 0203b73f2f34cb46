"""What loading a model in a precision comes to, known from its shapes before any weight is read or made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import UnsupportedError
from harness.quantization import (
    DeviceCapability,
    Quantization,
    check_layer_shapes,
    check_skip_modules,
    is_skipped,
    packs_four_bit,
    quantization_support,
    rest_dtype,
)
from harness.weights import linear_shapes, predict_weight_bytes, tied_linears

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from harness.backends.generative.families import Family

__all__ = ["WeightPlan", "decoder_layers", "device_placement", "offload_map", "plan_weights"]

_OFFLOADED_SHARE = 4
"""One in so many of the decoder layers stays in host memory under int8-offload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightPlan:
    """A model in one precision on one kind of device."""

    mode: Quantization
    dtype: str
    """Name of the torch dtype of what is not quantised."""
    skip: tuple[str, ...]
    """Full names of the modules that stay as they are: sensitive, tied, or in host memory."""
    asked: int
    """Linear layers to be quantised."""
    parameters: int
    predicted_bytes: int
    """Of the loaded weights, wherever they are."""
    offloaded: tuple[str, ...] = ()
    """Full names of the decoder layers that stay in host memory."""
    predicted_host_bytes: int = 0
    """Of those layers."""


def plan_weights(
    skeleton: PreTrainedModel,
    family: Family,
    mode: Quantization,
    device: DeviceCapability,
    *,
    skip_modules: Sequence[str] | None = None,
) -> WeightPlan:
    """The plan for `skeleton`, a model on the meta device whose dtype is `rest_dtype(mode, device)`.

    `skip_modules` takes the place of the family's own list. Raises UnsupportedError for what device or shapes rule
    out, and UnknownNameError for a skip name that matches nothing. What a family cannot run can still be planned.
    """
    quantization_support(mode, device)
    if skip_modules is None:
        skip_modules = family.skip_modules(mode)
    elif not mode.is_quantized or mode is Quantization.INT8_ALL:
        raise UnsupportedError(f"{mode} takes no skip_modules; {','.join(skip_modules)} was asked")
    check_skip_modules(skip_modules, linear_shapes(skeleton, ()))
    layers = decoder_layers(skeleton) if mode is Quantization.INT8_OFFLOAD else ()
    offloaded = layers[len(layers) - len(layers) // _OFFLOADED_SHARE :]
    tied = (name for name in tied_linears(skeleton) if not is_skipped(name, skip_modules))
    skip = (*skip_modules, *offloaded, *tied)
    asked = linear_shapes(skeleton, skip) if mode.is_quantized else {}
    check_layer_shapes(mode, device, asked)
    return WeightPlan(
        mode=mode,
        dtype=rest_dtype(mode, device),
        skip=skip,
        asked=len(asked),
        parameters=sum(parameter.numel() for parameter in skeleton.parameters()),
        predicted_bytes=predict_weight_bytes(skeleton, mode, skip, packs_four_bit=packs_four_bit(mode, device)),
        offloaded=offloaded,
        predicted_host_bytes=sum(
            tensor.numel() * tensor.element_size()
            for name in offloaded
            for tensor in skeleton.get_submodule(name).state_dict().values()
        ),
    )


def decoder_layers(model: PreTrainedModel) -> tuple[str, ...]:
    """Full names of the layers of the language model, first to last."""
    decoder: Any = model.get_decoder()
    name = next(name for name, module in model.named_modules() if module is decoder)
    return tuple(f"{name}.layers.{index}" for index in range(len(decoder.layers)))


def offload_map(model: nn.Module, offloaded: Sequence[str], device: str) -> Mapping[str, str]:
    """A `device_map` with the modules called `offloaded` on the processor and everything else on `device`."""
    if not offloaded:
        return {"": device}
    parents = {".".join(parts[:end]) for parts in (name.split(".") for name in offloaded) for end in range(len(parts))}
    found: dict[str, str] = {}
    for parent in sorted(parents):
        module = model.get_submodule(parent)
        own = [name for name, _ in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))]
        for child in (*own, *(name for name, _ in module.named_children())):
            name = f"{parent}.{child}" if parent else child
            if name not in parents:
                found[name] = "cpu" if name in offloaded else device
    return found


def device_placement(skeleton: PreTrainedModel, plan: WeightPlan, device: DeviceCapability) -> Any:
    """The `device_map` that spreads a model over what it is to run on."""
    if len(device.devices) > 1:
        return "balanced"
    return dict(offload_map(skeleton, plan.offloaded, device.devices[0] if device.devices else "cpu"))
