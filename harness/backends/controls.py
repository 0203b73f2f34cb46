"""Controls: backends whose scores are known beforehand. A run whose controls are off proves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.backends.protocol import Answer, Backend
from harness.responses import render_response
from harness.schema import FIELD_NAMES

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["AllAbsent", "Blind"]


class AllAbsent:
    """Answers N/A to every field: the floor under every accuracy."""

    def load(self) -> Mapping[str, str | int | float]:
        """Nothing to load."""
        return {}

    def read(self, image: Image, prompt: str) -> Answer:
        """Answer without looking."""
        return Answer(text=render_response(dict.fromkeys(FIELD_NAMES)))


class Blind:
    """Shows another backend a white page of the same size. What it still gets right, it did not read."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def load(self) -> Mapping[str, str | int | float]:
        """Load the backend behind the blindfold."""
        return self._backend.load()

    def read(self, image: Image, prompt: str) -> Answer:
        """Answer about a blank page."""
        from PIL import Image as pillow

        return self._backend.read(pillow.new("RGB", image.size, "white"), prompt)
