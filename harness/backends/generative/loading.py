"""From a checkpoint to a checked model in memory."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.backends.generative.checkpoint import Checkpoint
from harness.backends.generative.families import Family
from harness.backends.protocol import Setting
from harness.errors import CheckpointError, UnsupportedError
from harness.quantization import (
    DeviceCapability,
    Quantization,
    check_layer_shapes,
    check_quantized,
    check_skip_modules,
    count_linears,
    device_capability,
    is_skipped,
    quantization_config,
    quantization_note,
    quantization_support,
    rest_dtype,
)
from harness.weights import linear_shapes, measure_weight_bytes, predict_weight_bytes, tied_linears

if TYPE_CHECKING:
    from harness.backends.generative.backend import GenerationSettings

__all__ = ["LoadedModel", "load_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model, its processor, and what was known before it was loaded."""

    model: Any
    processor: Any
    mode: Quantization
    device: DeviceCapability
    parameters: int
    predicted_bytes: int
    asked: int
    """Linear layers that the precision and its skip list name."""

    def facts(self) -> dict[str, Setting]:
        """What was loaded. Ask after the first use: some quantised layers change their layout then."""
        import bitsandbytes
        import torch
        import transformers

        counts = count_linears(self.model)
        facts: dict[str, Setting] = {
            "quantization": str(self.mode),
            "architecture": type(self.model).__name__,
            "parameters": self.parameters,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device_name": self.device.name,
            "weights_bytes": measure_weight_bytes(self.model),
            "predicted_weights_bytes": self.predicted_bytes,
            "linears": sum(count.quantized + count.kept for count in counts.values()),
            "linears_asked": self.asked,
            "linears_quantized": sum(count.quantized for count in counts.values()),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "bitsandbytes": bitsandbytes.__version__,
            "torch_threads": torch.get_num_threads(),
        }
        for name, count in counts.items():
            facts[f"linears.{name}"] = count.quantized + count.kept
            facts[f"linears_quantized.{name}"] = count.quantized
        if (note := quantization_note(self.mode, self.device)) is not None:
            facts["quantization_note"] = note
        return facts


def load_model(
    checkpoint: Checkpoint, family: Family, settings: GenerationSettings, mode: Quantization, device: str
) -> LoadedModel:
    """Everything that can be refused is refused before the weights are read."""
    if "quantization_config" in checkpoint.config:
        raise UnsupportedError(
            f"{checkpoint.folder}: already quantised; {mode} is made from the unquantised checkpoint"
        )
    capability = device_capability(device)
    quantization_support(mode, capability)
    family.check_mode(mode, capability)
    processor = _load_processor(checkpoint, settings)
    skeleton = _skeleton(checkpoint, settings, rest_dtype(mode, capability))
    family.check_checkpoint(skeleton.config, processor)
    skip = _skip_modules(family, settings, mode)
    check_skip_modules(skip, linear_shapes(skeleton, ()))
    skip = (*skip, *(name for name in tied_linears(skeleton) if not is_skipped(name, skip)))
    asked = linear_shapes(skeleton, skip) if mode.is_quantized else {}
    check_layer_shapes(mode, capability, asked)
    model = _load_weights(checkpoint, settings, mode, capability, device, skip)
    check_quantized(mode, model, skip)
    return LoadedModel(
        model=model,
        processor=processor,
        mode=mode,
        device=capability,
        parameters=sum(parameter.numel() for parameter in skeleton.parameters()),
        asked=len(asked),
        predicted_bytes=predict_weight_bytes(skeleton, mode, skip, packs_four_bit=capability.packs_four_bit),
    )


def _skip_modules(family: Family, settings: GenerationSettings, mode: Quantization) -> tuple[str, ...]:
    if settings.skip_modules is None:
        return family.skip_modules(mode)
    if not mode.is_quantized or mode is Quantization.INT8_ALL:
        raise UnsupportedError(f"{mode} takes no skip_modules; {settings.skip_modules} was asked")
    return tuple(name.strip() for name in settings.skip_modules.split(",") if name.strip())


def _load_processor(checkpoint: Checkpoint, settings: GenerationSettings) -> Any:
    transformers: Any = importlib.import_module("transformers")
    try:
        processor = transformers.AutoProcessor.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=settings.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{checkpoint.folder}: its processor cannot be loaded: {error}") from error
    if not hasattr(processor, "image_processor"):
        raise CheckpointError(f"{checkpoint.folder}: no image processor (preprocessor_config.json)")
    if not (processor.chat_template or processor.tokenizer.chat_template):
        raise CheckpointError(f"{checkpoint.folder}: no chat template, so there is no telling how to ask")
    processor.tokenizer.padding_side = "left"  # the new tokens of all rows begin at the same position
    return processor


def _skeleton(checkpoint: Checkpoint, settings: GenerationSettings, dtype: str) -> Any:
    """The model without memory, for what can be known beforehand."""
    import torch

    transformers: Any = importlib.import_module("transformers")
    config = transformers.AutoConfig.from_pretrained(
        checkpoint.folder, local_files_only=True, trust_remote_code=settings.trust_remote_code
    )
    with torch.device("meta"):
        return transformers.AutoModelForImageTextToText.from_config(
            config, dtype=getattr(torch, dtype), trust_remote_code=settings.trust_remote_code
        )


def _load_weights(
    checkpoint: Checkpoint,
    settings: GenerationSettings,
    mode: Quantization,
    capability: DeviceCapability,
    device: str,
    skip: tuple[str, ...],
) -> Any:
    import torch

    transformers: Any = importlib.import_module("transformers")
    dtype = rest_dtype(mode, capability)
    model, report = transformers.AutoModelForImageTextToText.from_pretrained(
        checkpoint.folder,
        dtype=getattr(torch, dtype),
        quantization_config=quantization_config(mode, skip, compute_dtype=dtype),
        device_map={"": device},
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=settings.trust_remote_code,
        output_loading_info=True,
    )
    for kind in ("missing_keys", "mismatched_keys"):  # transformers would fill these with random numbers
        if names := sorted(map(str, report[kind])):
            raise CheckpointError(
                f"{checkpoint.folder}: {len(names)} weights with {kind.replace('_', ' ')}, such as {names[0]}"
            )
    return model.eval()
