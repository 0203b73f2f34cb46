"""What `fast` sees of a page on a real GPU, against the library."""

from __future__ import annotations

from harness.backends.generative import TransformersBackend
from harness.backends.generative.fast.compiling import as_it_is, compiled
from harness.backends.protocol import BackendRequest
from tests.tile_features import tile_features


def test_compiled_layers_round_as_the_library_does(device: str) -> None:
    """In 16 bits. A product may round one sum otherwise from one call to the next, which its tile does not forget; most
    tiles must be equal to the bit, and none is where a compiler rounds one number in ten thousand by itself.
    """
    told = {"source": "fixtures/checkpoints/tiny-internvl"}
    backend = TransformersBackend.from_request(
        BackendRequest(backend="transformers", quantization="bf16", device=device, settings=told)
    )
    backend.load()
    found, wanted = tile_features(backend.pieces.model, compiled if device.startswith("cuda") else as_it_is)
    assert (found == wanted).flatten(1).all(1).sum() >= 4
