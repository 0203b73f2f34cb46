"""An architecture with random weights in place of its checkpoint's.

What a model costs (memory, time, energy) follows from shapes, so that it is true at full size without the weights;
what it answers is noise. Inference engines call this the dummy load format.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from harness.backends.generative import device_memory
from harness.backends.generative.planning import device_placement
from harness.quantization import DeviceCapability, quantization_config
from harness.weights import linear_shapes

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from harness.backends.generative.families import Family
    from harness.backends.generative.planning import WeightPlan

__all__ = ["DUMMY_SEED", "make_weights"]

DUMMY_SEED = 0


def make_weights(skeleton: PreTrainedModel, family: Family, plan: WeightPlan, device: DeviceCapability) -> Any:
    """The model of `skeleton` (on the meta device, in `plan.dtype`) with weights drawn from the library's own
    initialisation, quantised by `plan`.

    Unquantised weights are drawn on the device itself. Those to be quantised are drawn there too if there is room for
    both, otherwise in host memory, which takes minutes for 10 billion.
    """
    if not plan.mode.is_quantized:
        return _draw(skeleton, family, device)
    full = sum(parameter.numel() * parameter.element_size() for parameter in skeleton.parameters())
    room = not device.devices or device_memory.free_bytes(device.devices) > (full + plan.predicted_bytes) * 1.1
    source = _draw(skeleton, family, device if room else DeviceCapability(kind="cpu"))
    state = _as_from_a_file(source.state_dict(), skeleton, plan)
    config = copy.deepcopy(skeleton.config)
    del source
    model, _ = type(skeleton).from_pretrained(
        None,
        config=config,
        state_dict=state,
        dtype=skeleton.dtype,
        quantization_config=quantization_config(plan.mode, plan.skip, compute_dtype=plan.dtype),
        device_map=device_placement(skeleton, plan, device),
        output_loading_info=True,
    )
    return model


def _as_from_a_file(
    state: Mapping[str, torch.Tensor], skeleton: PreTrainedModel, plan: WeightPlan
) -> dict[str, torch.Tensor]:
    """`state` without tied copies, and with the weights that stay as they are in host memory, where a file's would be.

    The loader reserves room on the device for all of them. Were they there already, it would stay empty: gigabytes
    that no checkpoint takes.
    """
    quantized = {f"{name}.weight" for name in linear_shapes(skeleton, plan.skip)}
    tied = skeleton.all_tied_weights_keys
    return {name: tensor if name in quantized else tensor.cpu() for name, tensor in state.items() if name not in tied}


def _draw(skeleton: PreTrainedModel, family: Family, device: DeviceCapability) -> PreTrainedModel:
    import torch

    torch.manual_seed(DUMMY_SEED)
    config = copy.deepcopy(skeleton.config)  # loading writes into it
    model: PreTrainedModel
    if len(device.devices) > 1:  # nothing is loaded, so that everything is drawn where it belongs
        with _quiet():
            model = type(skeleton).from_pretrained(
                None, config=config, state_dict={}, dtype=skeleton.dtype, device_map="balanced"
            )
    else:
        with torch.device(device.devices[0] if device.devices else "cpu"):
            model = type(skeleton)._from_config(config, dtype=skeleton.dtype)
    with torch.no_grad():
        family.finish_dummy(model)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """transformers would list every weight that it did not find."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
