"""Documents that a test can make in a millisecond, and backends that read them: the answer is written in the pixels."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from harness.backends import Answer, BackendRequest
from harness.errors import ImageError, UnsupportedError
from harness.responses import render_response
from harness.schema import FIELD_NAMES

SIZE = 64


def page(fields: Mapping[str, str | None]) -> Image.Image:
    """An image whose first pixels spell the fields; the rest is white."""
    data = json.dumps(dict(fields)).encode()
    pixels = np.full(SIZE * SIZE * 3, 255, dtype=np.uint8)
    pixels[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    return Image.fromarray(pixels.reshape(SIZE, SIZE, 3))


def write_corpus(folder: Path, documents: Mapping[str, Mapping[str, str | None]]) -> Path:
    """A folder of such pages with its ground truth."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, fields in documents.items():
        page(fields).save(folder / name)
        rows.append(json.dumps({"image": name, "fields": {**dict.fromkeys(FIELD_NAMES), **fields}}))
    (folder / "ground_truth.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def receipts(count: int) -> dict[str, dict[str, str | None]]:
    """`count` small receipts, all different."""
    return {
        f"page-{i:02d}.png": {
            "SUPPLIER": f"Shop {i}",
            "TOTAL": f"${i + 1}.00",
            "INVOICE_DATE": f"{i % 28 + 1:02d}/07/2025",
        }
        for i in range(count)
    }


class Reader:
    """Reads the pixels without a mistake; a white page says nothing."""

    def load(self) -> Mapping[str, str | int | float]:
        """Ready at once."""
        return {"weights_bytes": 0}

    def read(self, image: Image.Image, prompt: str) -> Answer:
        """Decode the page."""
        return Answer(text=render_response(dict.fromkeys(FIELD_NAMES) | self.fields(image)))

    def fields(self, image: Image.Image) -> dict[str, str | None]:
        """What the pixels spell."""
        text = np.asarray(image).tobytes().split(b"\xff", 1)[0]
        return json.loads(text) if text else {}


class Model(Reader):
    """Reads several pages at once, in any precision but int8; `random` in its settings makes its weights random."""

    def __init__(self, request: BackendRequest) -> None:
        """As a model would be constructed."""
        self._request = request

    @classmethod
    def from_request(cls, request: BackendRequest) -> Self:
        """Take any request."""
        return cls(request)

    def load(self) -> Mapping[str, str | int | float | bool]:
        """Say what was asked for."""
        if self._request.quantization == "int8":
            raise UnsupportedError("int8 needs a GPU of compute capability 7.5")
        return {
            "weights_sha256": os.environ.get("PIXEL_WEIGHTS", "a"),
            "chat_template_sha256": os.environ.get("PIXEL_TEMPLATE", "a"),
            "random_weights": self._request.settings.get("random") is True,
        }

    def read_batch(self, images: Sequence[Image.Image], prompt: str) -> Sequence[Answer]:
        """Decode each page."""
        return [self.read(image, prompt) for image in images]


class Unsupported(Reader):
    """Needs what this machine has not."""

    def load(self) -> Mapping[str, str | int | float | bool]:
        """Say what is missing."""
        raise UnsupportedError("needs a GPU of compute capability 7.5")


class SlowReader(Reader):
    """Takes a fifth of a second for each page."""

    def read(self, image: Image.Image, prompt: str) -> Answer:
        """Decode the page, later."""
        time.sleep(0.2)
        return super().read(image, prompt)


class WrongTotals(Reader):
    """Misreads every total."""

    def fields(self, image: Image.Image) -> dict[str, str | None]:
        """As printed, but for the total."""
        found = super().fields(image)
        return found | {"TOTAL": "$999.99"} if found else found


class KnowingReader(Reader):
    """Knows the first receipt by heart, and invents something beside every true value."""

    def fields(self, image: Image.Image) -> dict[str, str | None]:
        """The same for every page, read or not."""
        known = receipts(1)["page-00.png"]
        return known | {"ABN": "51 824 753 556", "GST": "$1.00", "DUE_DATE": "01/01/2025"}


class ExcusingReader(Reader):
    """Blames the image for what it does not want to read."""

    def read(self, image: Image.Image, prompt: str) -> Answer:
        """Never answer."""
        raise ImageError("this image is unreadable")


class CrashingReader(Reader):
    """Dies on the page whose supplier is Shop 2."""

    def fields(self, image: Image.Image) -> dict[str, str | None]:
        """As printed, if it lives."""
        found = super().fields(image)
        if found.get("SUPPLIER") == "Shop 2":
            os.abort()
        return found


class HangingReader(Reader):
    """Never comes back from the page whose supplier is Shop 2."""

    def fields(self, image: Image.Image) -> dict[str, str | None]:
        """As printed, if ever."""
        found = super().fields(image)
        while found.get("SUPPLIER") == "Shop 2":
            time.sleep(1)
        return found
