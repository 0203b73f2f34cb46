"""Pages of a request as rows: prepared in the background where a GPU does the work, and handed out by shape."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import torch

from harness.backends.generative.families import Pixels, Prepared
from harness.backends.generative.fast.engine import Row
from harness.backends.generative.fast.vision import Encoder
from harness.backends.generative.image_facts import image_facts
from harness.backends.generative.runtimes import LoadedPieces
from harness.backends.protocol import Setting
from harness.provenance import allowed_cores

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Pages", "rows_at_once", "shape_of"]

_POSITIONS = 36_864
"""Read at once, of prompts and tiles. Fewer keep a GPU's matrix units less busy and leave it waiting for the host,
which takes as long to start the work of one page as of several. More take more memory."""
_THREADS = 16
"""At most: preparing a page takes a core longer than a GPU takes to answer it in a large batch."""


class Pages:
    """Enter it before use. On the processor pages are prepared when they are asked for: threads of two kinds of work
    would wait for each other there."""

    def __init__(self, pieces: LoadedPieces, encoder: Encoder, images: Sequence[Image], prompt: str) -> None:
        self._pieces, self._encoder = pieces, encoder
        self._images, self._prompt = images, prompt
        self._waiting = list(range(len(images)))
        self._prepared: dict[int, Prepared] = {}
        self._futures: dict[int, Future[Prepared]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._seconds: dict[int, float] = {}
        self._told: dict[int, Callable[[], tuple[Mapping[str, Setting], float]]] = {}

    def __enter__(self) -> Self:
        if self._pieces.devices:
            threads = min(_THREADS, max(1, allowed_cores() - 1), len(self._images))
            # one core a page: otherwise each thread would start as many helpers as there are cores
            self._pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
            self._futures = {i: self._pool.submit(self._prepare, i) for i in self._waiting}
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def wait(self, number: int) -> Prepared:
        """One page, prepared."""
        if number not in self._prepared:
            future = self._futures.pop(number, None)
            self._prepared[number] = self._prepare(number) if future is None else future.result()
        return self._prepared[number]

    def take(self, most: int, wait_for_one: bool) -> Sequence[Row]:
        """Up to `most` pages of one shape, the first of them the one that has waited longest.

        None if none is left, or none is ready and there is other work to do meanwhile.
        """
        ready = self._ready(most, wait_for_one)
        if not ready:
            return []
        first = self.wait(ready[0]).inputs
        alike = [i for i in ready if shape_of(self.wait(i).inputs) == shape_of(first)]
        chosen = alike[: min(most, rows_at_once(self._encoder.work(first)))]
        self._waiting = [i for i in self._waiting if i not in chosen]
        rows = []
        for i in chosen:
            inputs = self._prepared.pop(i).inputs
            rows.append(Row(number=i, inputs=inputs, prompt_tokens=int(inputs["attention_mask"].sum())))
        return rows

    def _ready(self, most: int, wait_for_one: bool) -> Sequence[int]:
        """Pages that are prepared, or that will be when they are asked for, in their order."""
        if self._pool is None:
            return self._waiting[:most]
        if wait_for_one and self._waiting and self._waiting[0] not in self._prepared:
            wait([self._futures[i] for i in self._waiting if i in self._futures], return_when=FIRST_COMPLETED)
        return [i for i in self._waiting if i in self._prepared or self._futures[i].done()]

    def _prepare(self, number: int) -> Prepared:
        started = time.perf_counter()
        pieces, image = self._pieces, self._images[number]
        found = pieces.family.prepare(pieces.processor, pieces.model.config, [image], self._prompt)
        self._seconds[number] = time.perf_counter() - started
        inputs = {name: self._ready_to_go(tensor) for name, tensor in found.inputs.items()}
        tell = functools.partial(_timed_facts, image, found.pixels[0])
        self._told[number] = tell if self._pool is None else self._pool.submit(tell).result
        return replace(found, inputs=inputs)

    def _ready_to_go(self, tensor: torch.Tensor) -> torch.Tensor:
        """As the model takes it, in memory that a GPU can fetch it from."""
        found = tensor.to(self._pieces.model.dtype) if tensor.is_floating_point() else tensor
        return found if self._pool is None else found.pin_memory()

    def told(self, number: int) -> tuple[Mapping[str, Setting], Mapping[str, float]]:
        """Of a page that has been taken: what `image_facts` tells, and the seconds of preparing it and of its checksum.

        In the background, the checksum is made while the page is answered.
        """
        facts, hashing = self._told[number]()
        return facts, {"preprocess_s": self._seconds[number], "fingerprint_s": hashing}


def _timed_facts(image: Image, pixels: Pixels) -> tuple[Mapping[str, Setting], float]:
    started = time.perf_counter()
    facts = image_facts(image, pixels)
    return facts, time.perf_counter() - started


def rows_at_once(positions: int) -> int:
    """Prompts of so many positions, tiles included, that are read at once."""
    return max(1, _POSITIONS // positions)


def shape_of(inputs: Mapping[str, torch.Tensor]) -> tuple[object, ...]:
    """Rows of one shape can be read at once without padding: sizes, and tiles that an image fills."""
    sizes = tuple((name, tuple(tensor.shape)) for name, tensor in sorted(inputs.items()))
    ratios = inputs.get("aspect_ratio_ids")
    return (sizes, None if ratios is None else tuple(ratios.flatten().tolist()))
