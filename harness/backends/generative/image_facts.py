"""What is recorded of an image as the model was shown it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from harness.backends.generative.families import Pixels
from harness.backends.protocol import Setting

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["image_facts"]


def image_facts(image: Image, pixels: Pixels) -> dict[str, Setting]:
    """Sizes, tiles, tokens, and a mark of the very values: two cells with the same mark were shown the same."""
    array: NDArray[Any] = pixels.tensor.contiguous().numpy()
    shape = "x".join(map(str, array.shape))
    digest = hashlib.sha256(shape.encode())
    digest.update(array.data)
    return {
        "image_width": image.width,
        "image_height": image.height,
        "tiles": array.shape[0],
        "image_tokens": pixels.image_tokens,
        "pixel_shape": shape,
        "pixel_sha256": digest.hexdigest()[:16],
    }
