"""What is recorded of an image as the model was shown it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from harness.backends.generative.families import Pixels
from harness.backends.protocol import Setting

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["image_facts"]


def image_facts(image: Image, pixels: Pixels) -> dict[str, Setting]:
    """Sizes, tiles, tokens, and a mark of the very values: two cells with the same mark were shown the same.

    A checksum, which takes half the time of a hash: at full resolution there are tens of megabytes.
    """
    array: NDArray[Any] = pixels.tensor.contiguous().numpy()
    shape = "x".join(map(str, array.shape))
    return {
        "image_width": image.width,
        "image_height": image.height,
        "tiles": array.shape[0],
        "image_tokens": pixels.image_tokens,
        "pixel_shape": shape,
        "pixel_crc32": f"{zlib.crc32(array.data, zlib.crc32(shape.encode())):08x}",
    }
