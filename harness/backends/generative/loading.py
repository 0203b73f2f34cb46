"""From a checkpoint to a checked model in memory."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.architectures import build_skeleton
from harness.backends.generative import device_memory
from harness.backends.generative.checkpoint import Checkpoint
from harness.backends.generative.dummy_weights import make_weights
from harness.backends.generative.families import Family
from harness.backends.generative.page_cache import file_cache_state
from harness.backends.generative.planning import WeightPlan, device_placement, plan_weights
from harness.backends.protocol import Setting
from harness.errors import CheckpointError, UnsupportedError
from harness.quantization import (
    DeviceCapability,
    Quantization,
    check_quantized,
    count_linears,
    device_capability,
    quantization_config,
    quantization_note,
    quantization_support,
    rest_dtype,
)
from harness.roofline.shapes import recorded_shapes
from harness.weights import linear_bytes, measure_weight_bytes

if TYPE_CHECKING:
    from harness.backends.generative.backend import GenerationSettings

__all__ = ["LoadedModel", "constants_held", "load_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model, its processor, and what was known before it was loaded."""

    model: Any
    processor: Any
    plan: WeightPlan
    device: DeviceCapability
    context_bytes: Mapping[str, int]
    """By CUDA device: in use before any weight, but not by tensors."""
    allocated_bytes: Mapping[str, int]
    """By CUDA device: of tensors, after loading and before the first use."""
    file_cache: str | None
    """Whether the weights came from memory or from disk; None where it cannot be told."""

    def facts(self) -> dict[str, Setting]:
        """What was loaded. Ask after the first use: some quantised layers change their layout then."""
        import torch
        import transformers

        counts, weights = count_linears(self.model), measure_weight_bytes(self.model)
        facts: dict[str, Setting] = {
            "quantization": str(self.plan.mode),
            "architecture": type(self.model).__name__,
            "parameters": self.plan.parameters,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device_name": self.device.name,
            "weights_bytes": sum(weights.values()),
            "predicted_weights_bytes": self.plan.predicted_bytes,
            "linears": sum(count.quantized + count.kept for count in counts.values()),
            "linears_asked": self.plan.asked,
            "linears_quantized": sum(count.quantized for count in counts.values()),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "torch_threads": torch.get_num_threads(),
            "shapes": recorded_shapes(self.model.config.to_dict()),
        }
        for name, size in linear_bytes(self.model).items():
            facts[f"linears_bytes.{name}"] = size
        for name, count in counts.items():
            facts[f"linears.{name}"] = count.quantized + count.kept
            facts[f"linears_quantized.{name}"] = count.quantized
        if self.plan.mode.is_quantized:
            facts["bitsandbytes"] = importlib.metadata.version("bitsandbytes")
        if (note := quantization_note(self.plan.mode, self.device)) is not None:
            facts["quantization_note"] = note
        if self.file_cache is not None:
            facts["file_cache"] = self.file_cache
        return {**facts, **self._device_facts(weights)}

    def _device_facts(self, weights: Mapping[str, int]) -> dict[str, Setting]:
        if not self.device.devices:
            return {}
        by_device = {
            "weights_bytes": weights,
            "weights_allocated_bytes": self.allocated_bytes,
            "device_used_after_context_bytes": self.context_bytes,
            # Kernels are loaded at their first use, into memory that is nobody's tensor.
            "device_used_after_warm_up_bytes": device_memory.driver_bytes(self.device.devices),
        }
        facts: dict[str, Setting] = {
            f"{name}.{device}": value for name, values in by_device.items() for device, value in values.items()
        }
        if self.plan.offloaded:
            facts["offloaded_layers"] = len(self.plan.offloaded)
            facts["predicted_host_weights_bytes"] = self.plan.predicted_host_bytes
        return facts


def load_model(
    checkpoint: Checkpoint, family: Family, settings: GenerationSettings, mode: Quantization, device: str
) -> LoadedModel:
    """Everything that can be refused is refused before the weights are read or made.

    Raises UnsupportedError, CheckpointError and UnknownNameError; MemoryError for weights that several GPUs cannot
    hold together, which would otherwise be spread into host memory.
    """
    if "quantization_config" in checkpoint.config:
        raise UnsupportedError(
            f"{checkpoint.folder}: already quantised; {mode} is made from the unquantised checkpoint"
        )
    capability = device_capability(device)
    quantization_support(mode, capability)
    family.check_mode(mode, capability)
    trust = settings.trust_remote_code
    processor = None if checkpoint.is_dummy else _load_processor(checkpoint, trust_remote_code=trust)
    skeleton = build_skeleton(checkpoint.folder, dtype=rest_dtype(mode, capability), trust_remote_code=trust)
    if processor is None:
        processor = family.dummy_processor(skeleton.config)
    processor.tokenizer.padding_side = "left"  # the new tokens of all rows begin at the same position
    family.check_checkpoint(skeleton.config, processor)
    plan = plan_weights(skeleton, family, mode, capability, skip_modules=settings.skip_module_names)
    cache = file_cache_state(checkpoint.weight_files)
    context = device_memory.driver_bytes(capability.devices)
    _check_room(plan, capability)
    with constants_held(mode):
        if checkpoint.is_dummy:
            model = make_weights(skeleton, family, plan, capability)
        else:
            model = _read_weights(checkpoint, skeleton, plan, capability, trust_remote_code=trust)
    model.eval()
    if len(capability.devices) > 1:
        _check_placement(model)
    check_quantized(mode, model, plan.skip)
    device_memory.settle(capability.devices)
    return LoadedModel(
        model=model,
        processor=processor,
        plan=plan,
        device=capability,
        context_bytes=context,
        allocated_bytes=device_memory.allocated_bytes(capability.devices),
        file_cache=cache,
    )


@contextlib.contextmanager
def constants_held(mode: Quantization) -> Iterator[None]:
    """Raise UnsupportedError where an architecture has a constant that the precision cannot hold: Gemma 3n has 1e10 as
    a limit on the gradients of its audio side, and float16 ends at 65504. Later releases of transformers cut it off."""
    try:
        yield
    except RuntimeError as error:
        if "without overflow" not in str(error):
            raise
        raise UnsupportedError(
            f"{mode}: a constant of this architecture is beyond what the precision holds; use bf16 ({error})"
        ) from error


def _load_processor(checkpoint: Checkpoint, *, trust_remote_code: bool) -> Any:
    transformers: Any = importlib.import_module("transformers")
    try:
        processor = transformers.AutoProcessor.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{checkpoint.folder}: its processor cannot be loaded: {error}") from error
    except ImportError as error:
        raise UnsupportedError(
            f"{checkpoint.folder}: its processor needs a package that is not here: {error}"
        ) from error
    if not hasattr(processor, "image_processor"):
        raise CheckpointError(f"{checkpoint.folder}: no image processor (preprocessor_config.json)")
    if not (processor.chat_template or processor.tokenizer.chat_template):
        raise CheckpointError(f"{checkpoint.folder}: no chat template, so there is no telling how to ask")
    return processor


def _check_room(plan: WeightPlan, capability: DeviceCapability) -> None:
    if len(capability.devices) < 2:
        return  # the allocator says so itself
    needed, free = plan.predicted_bytes, device_memory.free_bytes(capability.devices)
    if needed > free:
        raise MemoryError(
            f"weights of {needed / 1e9:.2f} GB do not fit into the {free / 1e9:.2f} GB that are free on "
            f"{capability.name} together"
        )


def _check_placement(model: Any) -> None:
    """After a balanced placement, which goes on in host memory where the GPUs are full."""
    placed = getattr(model, "hf_device_map", {})
    if spilt := [name for name, device in placed.items() if device in ("cpu", "disk")]:
        raise MemoryError(f"{len(spilt)} of {len(placed)} parts of the model do not fit, such as {spilt[0]}")


def _read_weights(
    checkpoint: Checkpoint,
    skeleton: Any,
    plan: WeightPlan,
    capability: DeviceCapability,
    *,
    trust_remote_code: bool,
) -> Any:
    from safetensors import SafetensorError

    try:
        model, report = type(skeleton).from_pretrained(
            checkpoint.folder,
            dtype=skeleton.dtype,
            quantization_config=quantization_config(plan.mode, plan.skip, compute_dtype=plan.dtype),
            device_map=device_placement(skeleton, plan, capability),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
    except SafetensorError as error:
        files = ", ".join(path.name for path in checkpoint.weight_files)
        raise CheckpointError(
            f"{checkpoint.folder}: weights that cannot be read ({files}), as of a download that broke off: {error}"
        ) from error
    for kind in ("missing_keys", "mismatched_keys"):  # transformers would fill these with random numbers
        if names := sorted(map(str, report[kind])):
            raise CheckpointError(
                f"{checkpoint.folder}: {len(names)} weights with {kind.replace('_', ' ')}, such as {names[0]}"
            )
    return model
