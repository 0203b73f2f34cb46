"""The `ocr-rules` backend: RapidOCR reads the page, rules about text and positions find the fields."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.backends.ocr_rules.engine import Engine
from harness.backends.ocr_rules.extract import extract_fields
from harness.backends.ocr_rules.layout import Line
from harness.backends.protocol import Answer
from harness.responses import render_response

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Line", "OcrRules", "extract_fields"]


class OcrRules:
    """Reads a page by OCR and rules; needs no accelerator and no network."""

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def load(self) -> Mapping[str, str | int | float]:
        """Construct the engine and read a small drawn page, so that all models are loaded; returns versions."""
        self._engine = Engine()
        self._engine.warm_up()
        return self._engine.facts()

    def read(self, image: Image, prompt: str) -> Answer:
        """Answer all 25 fields as `KEY: value` lines; the prompt does not matter. Raises RuntimeError before `load`."""
        if self._engine is None:
            raise RuntimeError("OcrRules.read was called before load")
        start = time.perf_counter()
        lines = self._engine.read(image)
        read = time.perf_counter()
        fields = extract_fields(lines, *image.size)
        done = time.perf_counter()
        return Answer(text=render_response(fields), phases={"ocr_s": read - start, "rules_s": done - read})
