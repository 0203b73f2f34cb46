"""A model from its configuration alone: everything that follows from shapes, without weights and without memory."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import CheckpointError, UnsupportedError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

__all__ = ["build_skeleton", "load_config"]


def load_config(folder: Path, *, trust_remote_code: bool = False) -> PretrainedConfig:
    """transformers' configuration object of the config.json in `folder`. Imports transformers, touches no network.

    Raises CheckpointError if there is none or it is broken; UnsupportedError if the installed transformers does not
    know the architecture.
    """
    # Here, so that the modules of that package can import this one.
    from harness.backends.generative.torchvision_schema import ensure_torchvision

    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder}: no config.json")
    ensure_torchvision()
    transformers: Any = importlib.import_module("transformers")
    try:
        config: PretrainedConfig = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except OSError as error:
        raise CheckpointError(f"{folder / 'config.json'}: cannot be read: {error}") from error
    except (KeyError, ValueError) as error:
        raise UnsupportedError(
            f"{folder / 'config.json'}: transformers {transformers.__version__} has no such architecture: {error}"
        ) from error
    return config


def build_skeleton(folder: Path, *, dtype: str = "bfloat16", trust_remote_code: bool = False) -> PreTrainedModel:
    """The model of `folder` on the meta device: parameters and buffers have shapes and types, and take no memory.

    `dtype` names the torch dtype of the parameters. Raises what load_config raises.
    """
    import torch

    config = load_config(folder, trust_remote_code=trust_remote_code)
    transformers: Any = importlib.import_module("transformers")
    # Some models that take images are registered as causal language models only (Phi-4-multimodal).
    reads_images = type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    auto = transformers.AutoModelForImageTextToText if reads_images else transformers.AutoModelForCausalLM
    with torch.device("meta"):
        model: PreTrainedModel = auto.from_config(
            config, dtype=getattr(torch, dtype), trust_remote_code=trust_remote_code
        )
    return model
