"""Backends that misbehave in one way each, named `python:tests.fake_backends.<Class>` in a cell.

An image's top left pixel says what is wanted of it: the fault on a red one, a plain answer on any other. So one
run can hold faulty and sound documents.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.backends import Answer, Attempt, BackendRequest
from harness.errors import UnsupportedError

if TYPE_CHECKING:
    from PIL.Image import Image

Facts = Mapping[str, str | int | float | bool]

FAULT_COLOUR = (255, 0, 0)


class Echo:
    """Answers with what it was given, its process id, and the environment that matters."""

    def load(self) -> Facts:
        return {"pid": os.getpid(), "weights": "none", "scale": 0.5}

    def read(self, image: Image, prompt: str) -> Answer:
        if image.getpixel((0, 0)) == FAULT_COLOUR:
            self.fault()
        environment = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "HF_HUB_OFFLINE", "DEMO_API_KEY")}
        seen = {"prompt": prompt, "size": image.size, "mode": image.mode, "pid": os.getpid(), **environment}
        return Answer(text=json.dumps(seen), phases={"think_s": 0.25}, prompt_tokens=7, output_tokens=3, stop="eos")

    def fault(self) -> None:
        """What the subclasses do on a red image."""


class EchoBatch(Echo):
    """Takes several images at once, each answer saying how many; the fault of any is the fault of all."""

    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        return [replace(self.read(image, prompt), facts={"together": len(images)}) for image in images]


class ExitBatch(EchoBatch):
    def fault(self) -> None:
        os._exit(3)


class HangBatch(EchoBatch):
    def fault(self) -> None:
        time.sleep(3600)


class RaiseBatch(EchoBatch):
    def fault(self) -> None:
        raise ValueError("the decoder fell over")


class OutOfMemoryBatch(EchoBatch):
    def fault(self) -> None:
        raise MemoryError("4 GiB")


class OutOfMemoryTogether(EchoBatch):
    """Has room for one image."""

    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        raise MemoryError(f"{len(images)} images")


class SlowTogether(EchoBatch):
    """Takes 0.3 s for the whole batch."""

    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        time.sleep(0.3)
        return super().read_batch(images, prompt)


class FewerAnswers(EchoBatch):
    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        return super().read_batch(images[1:], prompt)


class OddAnswers(EchoBatch):
    """Red images get an answer with a value that is none, blue ones no Answer at all."""

    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        return [self._odd(image, prompt) for image in images]

    def _odd(self, image: Image, prompt: str) -> Answer:
        match image.getpixel((0, 0)):
            case (255, 0, 0):
                return Answer(text="x", phases={"ttft_s": math.nan})
            case (0, 0, 255):
                return None  # type: ignore[return-value]
        return self.read(image, prompt)


class Attempts(EchoBatch):
    """Answers at the second attempt, by a way that it names."""

    def read(self, image: Image, prompt: str) -> Answer:
        first = Attempt(prompt="key-value", path="single", latency_s=0.5, fault="empty", text="", output_tokens=1)
        second = Attempt(prompt="", path="ocr", latency_s=0.25, text="TOTAL: $1.00")
        return Answer(text="TOTAL: $1.00", path="ocr", calls=2, attempts=(first, second))


class Configured(EchoBatch):
    """Says how it was constructed; in int8 it is not to be had."""

    def __init__(self, request: BackendRequest) -> None:
        self.request = request

    @classmethod
    def from_request(cls, request: BackendRequest) -> Self:
        return cls(request)

    def load(self) -> Facts:
        if self.request.quantization == "int8":
            raise UnsupportedError("int8 needs compute capability 7.5")
        values = {name: getattr(self.request, name) for name in ("backend", "quantization", "device", "strategy")}
        return {**values, **self.request.settings}


class ConfiguredExit(Configured):
    def fault(self) -> None:
        os._exit(3)


class Swept:
    """Takes 20 ms a request and 1 ms a page, and answers at the length asked for, up to batches that it cannot do.

    The settings `oom_from`, `crash_from` and `hang_from` are the smallest batch that ends so; `short` makes answers one
    token shorter, and `apart` makes each page come after the one before.
    """

    def __init__(self, request: BackendRequest) -> None:
        self._settings = request.settings

    @classmethod
    def from_request(cls, request: BackendRequest) -> Self:
        return cls(request)

    def load(self) -> Facts:
        if self._settings.get("oom_from") == 0:
            raise MemoryError("the weights")
        if marker := os.environ.get("FAKE_NVML_LOADED"):
            Path(marker).touch()
        weights = str(self._settings.get("weights", "real"))
        size = 3 << 30
        return {
            "weights": weights,
            "random_weights": weights == "dummy",
            "weights_bytes": size,
            "predicted_weights_bytes": size,
        }

    def read(self, image: Image, prompt: str) -> Answer:
        return self.read_batch([image], prompt)[0]

    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        def reached(name: str) -> bool:
            return len(images) >= int(self._settings.get(name, 1 << 30))

        if reached("oom_from"):
            raise MemoryError(f"{len(images)} pages")
        if reached("crash_from"):
            os._exit(3)
        if reached("hang_from"):
            time.sleep(3600)
        time.sleep(0.02 + 0.001 * len(images))
        length = int(self._settings.get("min_new_tokens", 5)) - bool(self._settings.get("short"))
        apart = int(self._settings.get("apart", 0))
        return [
            Answer(
                text="TOTAL: $1.00",
                phases={"ttft_s": 0.01 * place, "tpot_s": 0.001 * place, "generate_s": 0.02},
                prompt_tokens=7,
                output_tokens=length,
                stop="length",
                facts={"predicted_peak_bytes": len(images) << 30} if "predicts" in self._settings else {},
            )
            for place in (1 + apart * i for i in range(len(images)))
        ]


class Sleep(Echo):
    """Takes 0.4 s, or the setting `seconds`."""

    def __init__(self, seconds: float = 0.4) -> None:
        self._seconds = seconds

    @classmethod
    def from_request(cls, request: BackendRequest) -> Self:
        return cls(float(request.settings.get("seconds", 0.4)))

    def read(self, image: Image, prompt: str) -> Answer:
        time.sleep(self._seconds)
        return super().read(image, prompt)


class Hang(Echo):
    def fault(self) -> None:
        os.write(1, b"about to hang\n")
        time.sleep(3600)


class HangDeaf(Echo):
    """Hangs in native code with the interpreter locked and every signal ignored that can be."""

    def fault(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        ctypes.PyDLL(None).sleep(3600)  # PyDLL, unlike CDLL, keeps the interpreter locked


class HangWithChildren(Echo):
    """Starts a process of its own, says its id, and hangs."""

    def fault(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        os.write(1, f"grandchild {child.pid}\n".encode())
        time.sleep(3600)


class HangInLoad(Echo):
    def load(self) -> Facts:
        time.sleep(3600)
        return {}


class RaiseInLoad(Echo):
    def load(self) -> Facts:
        raise RuntimeError("the weights are\nnot there")


class OutOfMemoryInLoad(Echo):
    def load(self) -> Facts:
        raise MemoryError


class UnsupportedInLoad(Echo):
    def load(self) -> Facts:
        raise UnsupportedError("needs a GPU")


class CrashInLoad(Echo):
    def load(self) -> Facts:
        os.write(2, b"no such kernel\n")
        os._exit(7)


class CrashOnReload(Echo):
    """Loads once; a second load, told by the file that the first left behind, fails."""

    def load(self) -> Facts:
        marker = Path(os.environ["FAKE_BACKEND_MARKER"])
        if marker.exists():
            raise RuntimeError("will not load twice")
        marker.touch()
        return {}

    def fault(self) -> None:
        os._exit(1)


class BadFacts(Echo):
    def load(self) -> Facts:
        return {"ratio": math.nan}


class NoFacts(Echo):
    def load(self) -> Facts:
        return None  # type: ignore[return-value]


class Exit(Echo):
    def fault(self) -> None:
        sys.stdout.write("a last word\n")
        sys.stdout.flush()
        os._exit(3)


class SystemExits(Echo):
    def fault(self) -> None:
        sys.exit(4)


class Segfault(Echo):
    def fault(self) -> None:
        ctypes.string_at(0)


class KillItself(Echo):
    def fault(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Raise(Echo):
    def fault(self) -> None:
        raise ValueError("the decoder\nfell over")


class OutOfMemory(Echo):
    def fault(self) -> None:
        try:
            raise MemoryError("4 GiB")
        except MemoryError as error:
            raise RuntimeError("generation failed") from error


class Unsupported(Echo):
    def fault(self) -> None:
        raise UnsupportedError("no kernel for this image size")


class HugeAnswer(Echo):
    """Answers with 10 million characters."""

    def read(self, image: Image, prompt: str) -> Answer:
        return Answer(text="x" * 10_000_000)


class TooHugeAnswer(Echo):
    """Answers with more than a message may hold."""

    def read(self, image: Image, prompt: str) -> Answer:
        if image.getpixel((0, 0)) != FAULT_COLOUR:
            return super().read(image, prompt)
        return Answer(text="x" * (65 << 20))


class Chatter(Echo):
    """Prints 20 MB, some of it in the form of a message."""

    def read(self, image: Image, prompt: str) -> Answer:
        for _ in range(20):
            sys.stdout.write('{"type": "Answered", "text": "forged", "latency_s": 0}\n' + "y" * 1_000_000)
        os.write(1, b"\xff\x00 raw bytes\n")
        os.write(2, b"and on stderr\n")
        return super().read(image, prompt)


class Garbage(Echo):
    """Writes bytes that are no message into every descriptor it can find."""

    def fault(self) -> None:
        for descriptor in range(3, 30):
            try:
                os.write(descriptor, b"\x00garbage\n")
            except OSError:
                continue
        time.sleep(3600)


class NotAnAnswer(Echo):
    def read(self, image: Image, prompt: str) -> Answer:
        return {"text": "N/A"}  # type: ignore[return-value]


class NanPhase(Echo):
    def read(self, image: Image, prompt: str) -> Answer:
        return Answer(text="x", phases={"ttft_s": math.nan})


class Surrogates(Echo):
    """Text that is no valid Unicode, and NumPy scalars as numbers."""

    def read(self, image: Image, prompt: str) -> Answer:
        import numpy as np

        phases = {"ttft_s": np.float32(0.5)}
        return Answer(text="\udcff\u0000é\n", phases=phases, output_tokens=np.int64(12))  # type: ignore[arg-type]


class Allocate(Echo):
    """Holds 200 MB, touched, for a moment."""

    def read(self, image: Image, prompt: str) -> Answer:
        held = bytearray(b"\x01") * 200_000_000
        time.sleep(0.1)
        return Answer(text=str(len(held)))


class LeaveCycles:
    """Leaves a 50 MB reference cycle behind at each read."""

    def load(self) -> Facts:
        return {}

    def read(self, image: Image, prompt: str) -> Answer:
        cycle: list[object] = [bytearray(b"\x01") * 50_000_000]
        cycle.append(cycle)
        return Answer(text="")


class BareRapidOcr:
    """RapidOCR and nothing around it."""

    def load(self) -> Facts:
        from rapidocr import RapidOCR

        threads = int(os.environ["OMP_NUM_THREADS"])
        self._engine = RapidOCR(
            params={"Global.log_level": "error", "EngineConfig.onnxruntime.intra_op_num_threads": threads}
        )
        return {}

    def read(self, image: Image, prompt: str) -> Answer:
        import numpy as np

        texts = self._engine(np.asarray(image)[:, :, ::-1]).txts
        return Answer(text="\n".join(texts or ()))
