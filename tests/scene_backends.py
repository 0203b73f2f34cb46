"""Backends that know the bundled pictures by their pixels, named `python:tests.scene_backends.<Class>`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from PIL import Image

from fixtures.picture_options import BUNDLED_SCENES
from harness.backends import Answer
from harness.scenes import from_json
from harness.scenes.tasks import TASKS, Question

Facts = Mapping[str, str | int | float | bool]


def _mark(image: Image.Image) -> str:
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


@cache
def known(folder: Path) -> Mapping[tuple[str, str], Question]:
    """Every question by pixels and prompt."""
    found = {}
    for line in (folder / "scenes.jsonl").read_text(encoding="utf-8").splitlines():
        picture = from_json(line, where="line")
        with Image.open(folder / picture.name) as image:
            mark = _mark(image)
        found |= {(mark, q.prompt): q for task in TASKS.values() for q in task.ask(picture)}
    return found


class Seer:
    """Answers perfectly, in two tokens of four milliseconds each."""

    def load(self) -> Facts:
        known(BUNDLED_SCENES)
        return {"weights_bytes": 0}

    def read(self, image: Image.Image, prompt: str) -> Answer:
        time.sleep(0.008)
        return Answer(
            text=self.answer(known(BUNDLED_SCENES)[_mark(image), prompt]),
            phases={"ttft_s": 0.004, "tpot_s": 0.004, "generate_s": 0.008},
            output_tokens=2,
            stop="eos",
        )

    def answer(self, question: Question) -> str:
        return question.target


class Fainter(Seer):
    """Fails on every second question of a picture, and on none else."""

    def answer(self, question: Question) -> str:
        if question.number % 2:
            raise ValueError("it was too much")
        return question.target


class Guesser(Seer):
    """Never looks."""

    def answer(self, question: Question) -> str:
        return "yes"


class Changing(Seer):
    """Loaded anew, it says something else."""

    def answer(self, question: Question) -> str:
        return f"{question.target} ({time.time_ns()})"


class Random(Seer):
    """Has weights that know nothing, and says so."""

    def load(self) -> Facts:
        return {**super().load(), "random_weights": True}
