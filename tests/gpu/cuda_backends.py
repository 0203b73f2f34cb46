"""Backends that keep a GPU busy, and one each that ends badly on it: no weights, real kernels, real faults."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from harness.backends import AllocatorPeak, Answer, BackendRequest

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE = 4096
_PRODUCTS = 40
PLANTED_BYTES = 2 << 30
PLANTED_S = 0.05


class Products:
    """Answers with a number that 40 products of matrices of 4096 x 4096 come to, the same for every page.

    The setting `fault` names what happens to a page whose first pixels spell the supplier "Shop 2", or for `load-oom`
    and `sweep-oom`, to loading and to batches of 8 and more.
    """

    def __init__(self, request: BackendRequest) -> None:
        self._device = request.device
        self._settings = request.settings

    @classmethod
    def from_request(cls, request: BackendRequest) -> Self:
        return cls(request)

    def load(self) -> Mapping[str, str | int | float | bool]:
        import torch

        self._torch: Any = torch
        if self._fault == "load-oom":
            self._exhaust()
        torch.manual_seed(0)
        side = _SIDE if self._on_gpu else _SIDE // 16
        self._matrix = torch.randn(side, side, device=self._device)
        self._multiply()
        return {"weights_bytes": self._matrix.nbytes, "predicted_weights_bytes": self._matrix.nbytes}

    def read(self, image: Image, prompt: str) -> Answer:
        return self.read_batch([image], prompt)[0]

    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        if self._fault == "sweep-oom" and len(images) >= 8:
            self._exhaust()
        if self._on_gpu:
            self._torch.cuda.reset_peak_memory_stats()
        if any(b'"Shop 2"' in image.tobytes()[:200] for image in images):
            self._end_badly()
        start = time.perf_counter()
        found = self._multiply()
        seconds = time.perf_counter() - start
        length = int(self._settings.get("min_new_tokens", 4))
        return [
            Answer(
                text=f"TOTAL: ${found:.2f}",
                phases={"ttft_s": seconds / 2, "tpot_s": seconds / 2 / length, "generate_s": seconds},
                prompt_tokens=4,
                output_tokens=length,
                stop="length",
                allocator=self._peaks(),
            )
            for _ in images
        ]

    @property
    def _fault(self) -> str:
        return str(self._settings.get("fault", ""))

    @property
    def _on_gpu(self) -> bool:
        return self._device != "cpu"

    def _multiply(self) -> float:
        product = self._matrix
        for _ in range(_PRODUCTS):
            product = self._matrix @ product
            product = product / product.norm()
        return float(product.abs().sum())  # waits for the device

    def _peaks(self) -> Sequence[AllocatorPeak]:
        if not self._on_gpu:
            return ()
        cuda = self._torch.cuda
        return [
            AllocatorPeak(
                device="cuda:0",
                allocated_bytes=cuda.max_memory_allocated(),
                reserved_bytes=cuda.max_memory_reserved(),
            )
        ]

    def _exhaust(self) -> None:
        """Run out of memory: more than any device has, in one piece."""
        self._torch.empty(1 << 52, dtype=self._torch.uint8, device=self._device)

    def _end_badly(self) -> None:
        match self._fault:
            case "assert":  # an index out of range, noticed by the kernel
                table = self._torch.zeros(8, device=self._device)
                float(table[self._torch.tensor([99], device=self._device)].sum())
            case "hang":
                while True:
                    self._multiply()
            case "kill":
                self._multiply()
                os.kill(os.getpid(), signal.SIGKILL)


class Planted(Products):
    """Holds 2 GiB for 50 ms inside the forward pass of a module, on the page of "Shop 2" only."""

    def load(self) -> Mapping[str, str | int | float | bool]:
        facts = super().load()
        torch, device = self._torch, self._device

        class Layer(torch.nn.Module):
            def forward(self, pages: int) -> int:
                held = torch.ones(PLANTED_BYTES, dtype=torch.uint8, device=device)
                total = pages + int(held[-1])  # waits for the device: the bytes are there
                time.sleep(PLANTED_S)
                return total

        self._layer = Layer()
        return facts

    def _end_badly(self) -> None:
        self._layer(1)
        if self._on_gpu:  # kept by the allocator, they would be easy to see
            self._torch.cuda.empty_cache()
