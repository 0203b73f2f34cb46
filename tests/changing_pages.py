"""Backends that change between one run and the next, as the environment says; and several that do not."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

from tests.pixel_pages import Reader


class Changing(Reader):
    """Misreads the total of every page whose supplier's number is below PIXEL_WRONG."""

    def fields(self, image: Image.Image) -> dict[str, str | None]:
        """As printed, but for some totals."""
        found = super().fields(image)
        wrong = found and int(str(found["SUPPLIER"]).split()[-1]) < int(os.environ.get("PIXEL_WRONG", "0"))
        return found | {"TOTAL": "$999.99"} if wrong else found


class Dying(Reader):
    """Dies on every page but a white one."""

    def fields(self, image: Image.Image) -> dict[str, str | None]:
        """Never."""
        if np.asarray(image).min() < 255:
            os.abort()
        return {}


class First(Reader):
    """Reads like any other, under a name of its own."""


class Second(Reader):
    """Likewise."""


class Third(Reader):
    """Likewise."""


class Fourth(Reader):
    """Likewise."""


class Fifth(Reader):
    """Likewise."""
