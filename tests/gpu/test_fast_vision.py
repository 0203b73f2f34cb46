"""What `fast` sees of a page on a real GPU, against the library."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from harness.backends.generative import TransformersBackend
from harness.backends.generative.fast.compiling import as_it_is, compiled
from harness.backends.generative.fast.vision import encoder_for
from harness.backends.protocol import BackendRequest


def test_compiled_layers_round_as_the_library_does(device: str) -> None:
    """In 16 bits. A single sum may be rounded otherwise from one call to the next; most of what the last layer puts out
    may not.
    """
    told = {"source": "fixtures/checkpoints/tiny-internvl"}
    backend = TransformersBackend.from_request(
        BackendRequest(backend="transformers", quantization="bf16", device=device, settings=told)
    )
    backend.load()
    model = backend.pieces.model
    torch.manual_seed(0)
    pixels = torch.rand(7, 3, *model.config.vision_config.image_size, device=device, dtype=model.dtype)
    encoder = encoder_for("internvl", model, compiled if device.startswith("cuda") else as_it_is)
    with torch.inference_mode():
        wanted = model.model.get_image_features(pixel_values=pixels).pooler_output
        ids = torch.full((7, wanted.shape[1]), model.config.image_token_id, device=device)
        decoder = SimpleNamespace(embed=lambda ids: torch.zeros_like(wanted))
        found, _ = encoder.encode(decoder, {"input_ids": ids, "pixel_values": pixels})
    assert (found == wanted).double().mean() > 0.99
    assert wanted.std() > 0
