"""Backends with one known fault each, named `python:evals.selftest.backends.<Class>` in a cell.

All of them read pages that spell their own answer (`evals.selftest.pages`), and take 40 ms for each: so long that
what a busy machine adds is little beside it.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from evals.selftest.pages import Page
from harness.backends import Answer, BackendRequest, Setting
from harness.responses import render_response
from harness.schema import FIELD_NAMES

if TYPE_CHECKING:
    from PIL.Image import Image

READ_S = 0.04
SLEPT_S = 0.5
HELD_BYTES = 256 << 20
HELD_DEVICE_BYTES = 1 << 30
_HELD_S = 0.2
_FAULTY_PAGE = 2
"""The number of the page on which those fail that fail on one page."""
_WRONG = "ZZZ"
"""No field of any page has this value."""
_WEIGHTS_BYTES = 1 << 20
_MORE_BYTES = 16 << 20
_IMPOSSIBLE_BYTES = 1 << 60


class Perfect:
    """Gives every value that a page spells, and N/A for every other; of a white page, nothing but N/A."""

    read_s = READ_S

    def load(self) -> Mapping[str, Setting]:
        """Nothing to load."""
        return {"weights_bytes": _WEIGHTS_BYTES}

    def read(self, image: Image, prompt: str) -> Answer:
        """Decode the page and fill the time that is left."""
        due = time.perf_counter() + self.read_s
        page = Page.from_image(image)
        if page is None:
            return self.answer(Page(number=-1, fields={}))
        answer = self.answer(page)
        time.sleep(max(0.0, due - time.perf_counter()))
        return answer

    def answer(self, page: Page) -> Answer:
        """What is said about a page; the faults are here."""
        return Answer(text=render_response(dict.fromkeys(FIELD_NAMES) | dict(page.fields)), stop="eos")


class AllAbsent(Perfect):
    """Says N/A to everything."""

    def answer(self, page: Page) -> Answer:
        """Answer without looking."""
        return super().answer(replace(page, fields={}))


class Slow(Perfect):
    """Takes 20 % longer."""

    read_s = 1.2 * READ_S


class Worse(Perfect):
    """Misreads one field, not always the same, on every fourth page: some 2 points of F1."""

    def answer(self, page: Page) -> Answer:
        """Spoil one value that is printed."""
        printed = [name for name, value in page.fields.items() if value is not None]
        if not printed or page.number % 4 != 1:
            return super().answer(page)
        return super().answer(replace(page, fields={**page.fields, printed[page.number // 4 % len(printed)]: _WRONG}))


class Hallucinating(Perfect):
    """Invents a value for every third field that a page does not carry."""

    def answer(self, page: Page) -> Answer:
        """Fill in absent fields."""
        absent = [name for name, value in page.fields.items() if value is None]
        return super().answer(replace(page, fields={**page.fields, **dict.fromkeys(absent[::3], _WRONG)}))


class Nondeterministic(Perfect):
    """Gives the right values in another order each time."""

    def answer(self, page: Page) -> Answer:
        """Shuffle the lines."""
        answer = super().answer(page)
        lines = answer.text.splitlines()
        random.SystemRandom().shuffle(lines)
        return replace(answer, text="\n".join(lines))


class OutOfMemoryInLoad(Perfect):
    """Asks for more memory than there is when it is loaded."""

    def load(self) -> Mapping[str, Setting]:
        """Fail to allocate."""
        return {"weights_bytes": len(bytearray(_IMPOSSIBLE_BYTES))}


class OutOfMemory(Perfect):
    """Asks for more memory than there is on one page."""

    def answer(self, page: Page) -> Answer:
        """Fail to allocate on the faulty page."""
        if page.number == _FAULTY_PAGE:
            return Answer(text=str(len(bytearray(_IMPOSSIBLE_BYTES))))
        return super().answer(page)


class Hang(Perfect):
    """Never comes back from one page."""

    def answer(self, page: Page) -> Answer:
        """Sleep on the faulty page."""
        if page.number == _FAULTY_PAGE:
            time.sleep(3600)
        return super().answer(page)


class Crash(Perfect):
    """Dies of one page."""

    def answer(self, page: Page) -> Answer:
        """Abort on the faulty page."""
        if page.number == _FAULTY_PAGE:
            os.abort()
        return super().answer(page)


class HugeOutput(Perfect):
    """Answers, and then repeats its last line until it reaches its limit of output tokens."""

    def answer(self, page: Page) -> Answer:
        """Ramble for a quarter of a million characters."""
        answer = super().answer(page)
        line = answer.text.rpartition("\n")[2]
        return replace(answer, text=answer.text + f"\n{line}" * (250_000 // (len(line) + 1)), stop="length")


class NanLogprobs(Perfect):
    """Is right, and tells a mean log-probability that is no number."""

    def answer(self, page: Page) -> Answer:
        """Divide by no tokens, as it were."""
        return replace(super().answer(page), facts={"mean_logprob": math.nan})


class Flaky(Perfect):
    """Raises at every fifth request, whichever page that is."""

    def __init__(self) -> None:
        self._requests = 0

    def answer(self, page: Page) -> Answer:
        """Count, and raise."""
        self._requests += 1
        if self._requests % 5 == 0:
            raise ConnectionError("the model server hung up")
        return super().answer(page)


class Hungry(Perfect):
    """Has weights of 16 MiB more."""

    def load(self) -> Mapping[str, Setting]:
        """Take them."""
        self._weights = bytearray(b"\x01") * _MORE_BYTES
        return {"weights_bytes": _WEIGHTS_BYTES + len(self._weights)}


class Sleeping(Perfect):
    """Sleeps for half a second, and answers at once."""

    read_s = 0.0

    def read(self, image: Image, prompt: str) -> Answer:
        """Sleep, then decode."""
        time.sleep(SLEPT_S)
        return super().read(image, prompt)


class Holding(Perfect):
    """Holds a known amount of memory on every page of an odd number: 256 MiB, or on a GPU 1 GiB of its memory."""

    def __init__(self, request: BackendRequest) -> None:
        self._device = request.device

    @classmethod
    def from_request(cls, request: BackendRequest) -> Self:
        """Take the device."""
        return cls(request)

    def load(self) -> Mapping[str, Setting]:
        """Start the device, so that what it takes for itself is there before anything is held."""
        if self._device != "cpu":
            import torch

            torch.ones(1, device=self._device)
            torch.cuda.synchronize()
        return {}

    def answer(self, page: Page) -> Answer:
        """Hold it while there is time for samples, and give it back."""
        if page.number % 2 == 1:
            (_hold_on_host if self._device == "cpu" else _hold_on_device)(self._device)
        return super().answer(page)


def _hold_on_host(device: str) -> None:
    held = bytearray(b"\x01") * HELD_BYTES
    time.sleep(_HELD_S)
    del held


def _hold_on_device(device: str) -> None:
    import torch

    held = torch.ones(HELD_DEVICE_BYTES, dtype=torch.uint8, device=device)
    torch.cuda.synchronize()
    time.sleep(_HELD_S)
    del held
    torch.cuda.empty_cache()
