"""The worker process: loads one backend, answers one image at a time, and dies with its supervisor.

Started as `python -m harness.worker.child REQUESTS REPLIES PARENT` (two file descriptors and a process id).
Its stdout and stderr belong to the backend's libraries; the protocol has descriptors of its own.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import importlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import BinaryIO

from harness.backends.protocol import Answer, Backend
from harness.backends.registry import create_backend
from harness.cells import Failure
from harness.documents.images import FORMATS, open_image
from harness.errors import ImageError, UnsupportedError
from harness.worker.protocol import (
    Answered,
    Load,
    Loaded,
    LoadFailed,
    Message,
    ProtocolError,
    Read,
    ReadFailed,
    Ready,
    decode_message,
    encode_message,
)

__all__ = ["failure_of", "main"]

_PR_SET_PDEATHSIG = 1

# What libraries without an exception type of their own say when memory ran out.
_OUT_OF_MEMORY = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "can't allocate memory",
    "Failed to allocate memory",
    "Insufficient memory",
)


def failure_of(error: BaseException) -> tuple[Failure, bool]:
    """The kind of failure that an exception from a backend is, and whether the process is unusable after it.

    Out of memory is `run-oom`, also as the explicit cause of another exception. After it, and after any other
    CUDA error, the state of allocator and device is unknown.
    """
    if isinstance(error, UnsupportedError):
        return Failure.UNSUPPORTED, False
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__
    if any(map(_is_out_of_memory, chain)):
        return Failure.RUN_OOM, True
    return Failure.ERROR, any("CUDA error" in str(link) for link in chain)


def _is_out_of_memory(error: BaseException) -> bool:
    # By name, so that torch is not imported to ask: torch.OutOfMemoryError is a RuntimeError.
    named = any(cls.__name__ == "OutOfMemoryError" for cls in type(error).__mro__)
    return isinstance(error, MemoryError) or named or any(phrase in str(error) for phrase in _OUT_OF_MEMORY)


def _describe(error: BaseException) -> str:
    if isinstance(error, UnsupportedError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:500]}" if lines else type(error).__name__


def _load(request: Load) -> tuple[Backend | None, Loaded | LoadFailed]:
    start = time.perf_counter()
    try:
        backend = create_backend(request.backend)
        facts = backend.load()
        return backend, Loaded(load_s=time.perf_counter() - start, facts=facts)
    except Exception as error:
        failure, _ = failure_of(error)
        if failure is Failure.RUN_OOM:
            failure = Failure.LOAD_OOM
        return None, LoadFailed(failure=failure, message=_describe(error))


def _read(backend: Backend, prompt: str, path: Path) -> Answered | ReadFailed:
    start = time.perf_counter()
    try:
        image = open_image(path)
    except ImageError as error:
        return ReadFailed(failure=Failure.BAD_IMAGE, message=str(error).replace(str(path), path.name))
    try:
        decoded = time.perf_counter()
        answer: object = backend.read(image, prompt)
        done = time.perf_counter()
    except Exception as error:
        failure, fatal = failure_of(error)
        return ReadFailed(failure=failure, message=_describe(error), fatal=fatal)
    if not isinstance(answer, Answer):
        return ReadFailed(failure=Failure.ERROR, message=f"the backend returned {type(answer).__name__}, not Answer")
    return Answered(
        text=answer.text,
        latency_s=done - start,
        phases={"decode_s": decoded - start, **answer.phases},
        prompt_tokens=answer.prompt_tokens,
        output_tokens=answer.output_tokens,
        stop=answer.stop,
    )


def _send(replies: int, message: Message) -> None:
    try:
        line = encode_message(message)
    except ProtocolError as error:  # only a backend's own values can be of a wrong type
        fault = f"the backend returned an unusable value: {error}"
        failed = LoadFailed if isinstance(message, Loaded) else ReadFailed
        line = encode_message(failed(failure=Failure.ERROR, message=fault))
    view = memoryview(line)
    while view:
        view = view[os.write(replies, view) :]


def _serve(requests: BinaryIO, replies: int) -> None:
    """Answer requests until Close, or until the supervisor's end of the pipe is closed."""
    backend: Backend | None = None
    prompt = ""
    _send(replies, Ready())
    for line in requests:
        match decode_message(line):
            case Load() as request:
                prompt = request.prompt
                backend, loaded = _load(request)
                _send(replies, loaded)
                # What loading left behind stays: without it, collecting before each read is cheap.
                gc.collect()
                gc.freeze()
            case Read() as request if backend is not None:
                _send(replies, _read(backend, prompt, Path(request.path)))
                gc.collect()  # before the next read, outside its timed span, while the supervisor is busy
            case _:
                return


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends (Linux)."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it was gone before the call above
        sys.exit(1)


def main(requests: int, replies: int, parent: int) -> None:
    """Serve one supervisor until it closes the connection."""
    _die_with_parent(parent)
    faulthandler.enable()
    for descriptor in (requests, replies):
        os.set_inheritable(descriptor, False)
    for name in FORMATS.values():  # otherwise the first image of each format would pay for the import
        importlib.import_module(name)
    with os.fdopen(requests, "rb") as stream:
        _serve(stream, replies)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
