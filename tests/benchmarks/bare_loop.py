"""A backend in whose process a bare loop over the same model runs as well, whenever the process is sent SIGUSR1.

Two processes with the same code and data differ by several per cent for as long as they live (memory layout), which is
more than what a pass adds: both sides of the comparison are one process, with one copy of the weights. The loop runs
while no request is under way, so that nothing watches it.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from PIL import Image

from harness.backends import BackendRequest
from harness.backends.generative import TransformersBackend
from harness.backends.protocol import Setting
from harness.cells import Runtime
from harness.prompts import prompt

FOLDER = "folder"
"""Setting: where the process says its id (`pid`), is told a page (`page`) and tells the loop's seconds and its answer
(`told`)."""
_PATIENCE_S = 300.0


class WithBareLoop(TransformersBackend):
    """The backend as it is, and the loop beside it."""

    _folder: Path

    @classmethod
    def from_request(cls, request: BackendRequest) -> Self:
        settings = dict(request.settings)
        folder = Path(str(settings.pop(FOLDER)))
        found = super().from_request(replace(request, settings=settings))
        found._folder = folder
        return found

    def load(self) -> Mapping[str, Setting]:
        facts = super().load()
        # what is asked for by the signal runs in the main thread, as a request does: between two of them
        signal.signal(signal.SIGUSR1, lambda number, frame: self._answer())
        (self._folder / "pid").write_text(str(os.getpid()))
        return facts

    def _answer(self) -> None:
        asked = self._folder / "page"
        if not asked.exists():
            return  # answered at an earlier signal
        page = Path(asked.read_text())
        asked.unlink()
        start = time.perf_counter()
        answer = self._by_our_loop(page) if self._runtime is Runtime.FAST else self._by_generate(page)
        told = self._folder / "told.partial"
        told.write_text(json.dumps([time.perf_counter() - start, answer]))
        told.replace(self._folder / "told")

    def _by_generate(self, page: Path) -> str:
        """What a user would write with transformers alone."""
        import torch

        processor, model = self.pieces.processor, self.pieces.model
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt().text}]}
        image = Image.open(page).convert("RGB")
        text = processor.apply_chat_template([turn], add_generation_prompt=True)
        inputs = processor(images=[image], text=[text], return_tensors="pt").to(model.device, model.dtype)
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=self.pieces.max_new_tokens, do_sample=False)
        fresh = ids[0, inputs["input_ids"].shape[1] :]
        answer: str = processor.tokenizer.decode(fresh, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return answer

    def _by_our_loop(self, page: Path) -> str:
        """Our own runtime, without a worker, memory sampling or a log: its steps are CUDA graphs, so that its time does
        not hang on the host's other work as that of the library's `generate` does."""
        return self.read(Image.open(page).convert("RGB"), prompt().text).text


def bare_loop(folder: Path) -> Callable[[Path], tuple[float, str]]:
    """Has a loaded WithBareLoop of this folder read a page by its loop: seconds by its own clock, and the answer."""

    def read(page: Path) -> tuple[float, str]:
        told = folder / "told"
        told.unlink(missing_ok=True)
        asked, pid = folder / "page", int((folder / "pid").read_text())
        asked.write_text(str(page))
        until, again = time.monotonic() + _PATIENCE_S, 0.0
        while not told.exists():
            assert time.monotonic() < until, "the worker's loop does not answer"
            if asked.exists() and time.monotonic() >= again:  # a signal just before a wait begins ends no wait
                os.kill(pid, signal.SIGUSR1)
                again = time.monotonic() + 1
            time.sleep(0.02)
        seconds, answer = json.loads(told.read_text())
        return seconds, answer

    return read
