"""Controls: backends whose scores are known beforehand. A run whose controls are off proves nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.backends.protocol import Answer, Backend, BatchBackend, Setting
from harness.responses import render_response
from harness.schema import FIELD_NAMES

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["AllAbsent", "Blind", "BlindBatch"]


class AllAbsent:
    """Answers N/A to every field: the floor under every accuracy."""

    def load(self) -> Mapping[str, Setting]:
        """Nothing to load."""
        return {}

    def read(self, image: Image, prompt: str) -> Answer:
        """Answer without looking."""
        return Answer(text=render_response(dict.fromkeys(FIELD_NAMES)))


class Blind:
    """Shows another backend a white page of the same size. What it still gets right, it did not read."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def load(self) -> Mapping[str, Setting]:
        """Load the backend behind the blindfold."""
        return self._backend.load()

    def read(self, image: Image, prompt: str) -> Answer:
        """Answer about a blank page."""
        return self._backend.read(_white(image), prompt)


class BlindBatch(Blind):
    """The same for a backend that takes several pages at once."""

    def __init__(self, backend: BatchBackend) -> None:
        super().__init__(backend)
        self._batch_backend = backend

    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        """Answer about as many blank pages, each of the size of its image."""
        return self._batch_backend.read_batch([_white(image) for image in images], prompt)


def _white(image: Image) -> Image:
    from PIL import Image as pillow

    return pillow.new("RGB", image.size, "white")
