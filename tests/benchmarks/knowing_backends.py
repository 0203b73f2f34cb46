"""Backends that know pages by their pixels and answer at once: what is left of a run is the suite's own.

`KNOWN_PAGES` in the environment names a JSON file: for the hash of a page's pixels, its true fields.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from PIL.Image import Image

from harness.backends import Answer
from harness.documents import Corpus
from harness.documents.images import open_image
from harness.responses import render_response
from harness.schema import FIELD_NAMES

KNOWN_PAGES = "KNOWN_PAGES"


def fingerprint(image: Image) -> str:
    return hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest()


def write_known(path: Path, corpus: Corpus) -> None:
    """What the backends know of the pages of a corpus."""
    known = {fingerprint(open_image(document.path)): dict(document.truth) for document in corpus.documents}
    path.write_text(json.dumps(known))


class Careful:
    """Reads every page right; of others, white ones say, it knows nothing."""

    def load(self) -> Mapping[str, str | int | float | bool]:
        self._known: dict[str, dict[str, str | None]] = json.loads(Path(os.environ[KNOWN_PAGES]).read_text())
        return {"weights_bytes": 0}

    def read(self, image: Image, prompt: str) -> Answer:
        found = fingerprint(image)
        text = render_response(dict.fromkeys(FIELD_NAMES) | self.answer(found, self._known.get(found, {})))
        tokens = len(text) // 3
        return Answer(text=text, phases={"ttft_s": 1e-5}, prompt_tokens=900, output_tokens=tokens, stop="eos")

    def answer(self, page: str, fields: Mapping[str, str | None]) -> dict[str, str | None]:
        return dict(fields)


class Careless(Careful):
    """Misreads the totals of every fourth page."""

    def answer(self, page: str, fields: Mapping[str, str | None]) -> dict[str, str | None]:
        return {**fields, "TOTAL": "$999.99"} if fields and int(page, 16) % 4 == 0 else dict(fields)


class Inventive(Careful):
    """Invents a date on every third page, and leaves the supplier of every fifth out."""

    def answer(self, page: str, fields: Mapping[str, str | None]) -> dict[str, str | None]:
        found = dict(fields)
        if fields and int(page, 16) % 3 == 0:
            found["DUE_DATE"] = "01/02/2003"
        if fields and int(page, 16) % 5 == 0:
            found["SUPPLIER"] = None
        return found
