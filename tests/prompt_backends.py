"""A backend whose answer hangs on the prompt, named `python:tests.prompt_backends.Obedient` in a cell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.backends import Answer
from harness.prompts import prompt
from harness.responses import render_response
from harness.schema import FIELD_NAMES
from tests.pixel_pages import Model

if TYPE_CHECKING:
    from PIL.Image import Image


class Obedient(Model):
    """Reads every page, but no total where JSON is wanted, and nothing but the total where it is asked in own words."""

    def read(self, image: Image, prompt: str) -> Answer:
        """Answer in the form that was asked for."""
        fields = dict.fromkeys(FIELD_NAMES) | self.fields(image)
        if prompt == _WHOLE:
            return Answer(text=render_response(fields), prompt_tokens=10, output_tokens=50)
        if prompt == _JSON:
            return Answer(text=json.dumps(fields | {"TOTAL": None}), prompt_tokens=20, output_tokens=60)
        return Answer(text=f"TOTAL: {fields['TOTAL']}", prompt_tokens=len(prompt), output_tokens=5)


_WHOLE, _JSON = prompt().text, prompt("json").text
