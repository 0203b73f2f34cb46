"""What `fast` and the library make of the same tiles."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from harness.backends.generative.fast.compiling import Compile
from harness.backends.generative.fast.vision import encoder_for


def tile_features(model: Any, compiled: Compile) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of seven random tiles by an InternVL model: by `fast`, and by the library."""
    torch.manual_seed(0)
    pixels = torch.rand(7, 3, *model.config.vision_config.image_size, dtype=model.dtype).to(model.device)
    with torch.inference_mode():
        wanted = model.model.get_image_features(pixel_values=pixels).pooler_output
        ids = torch.full((7, wanted.shape[1]), model.config.image_token_id, device=model.device)
        decoder = SimpleNamespace(embed=lambda ids: torch.zeros_like(wanted))
        inputs = {"input_ids": ids, "pixel_values": pixels}
        found, _ = encoder_for("internvl", model, compiled).encode(decoder, inputs)  # type: ignore[arg-type]
    assert wanted.std() > 0
    return found, wanted
