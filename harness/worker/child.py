"""The worker process: loads one backend, answers one request at a time, and dies with its supervisor.

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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from harness.backends.protocol import Answer, Backend, BatchBackend
from harness.backends.registry import create_backend
from harness.cells import Failure
from harness.documents.images import FORMATS, open_image
from harness.errors import ImageAccessError, ImageError, UnsupportedError
from harness.worker.failures import describe_error, failure_of
from harness.worker.protocol import (
    MAX_MESSAGE_BYTES,
    Answered,
    Answers,
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

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_ENVELOPE_BYTES = 64
"""More than an Answers message takes beside its results."""
_UNUSABLE = "the backend returned an unusable value: {}"


def _load(request: Load) -> tuple[Backend | None, Loaded | LoadFailed]:
    start = time.perf_counter()
    try:
        backend = create_backend(request)
        if request.batch_size > 1 and not isinstance(backend, BatchBackend):
            raise UnsupportedError(f"{request.backend} reads one document at a time, not {request.batch_size}")
        facts: object = backend.load()
        if not isinstance(facts, Mapping):
            raise TypeError(f"load() returned {type(facts).__name__}, not a mapping of facts: {{}} if there are none")
        return backend, Loaded(load_s=time.perf_counter() - start, facts=facts)
    except Exception as error:
        failure, _ = failure_of(error)
        if failure is Failure.RUN_OOM:
            failure = Failure.LOAD_OOM
        return None, LoadFailed(failure=failure, message=describe_error(error))


def _read(backend: Backend, prompt: str, paths: Sequence[Path]) -> Answers | ReadFailed:
    """Answer about all images that can be decoded at once; the others fail alone."""
    start = time.perf_counter()
    results: dict[int, Answered | ReadFailed] = {}
    images: dict[int, Image] = {}
    decode_s: dict[int, float] = {}
    for number, path in enumerate(paths):
        began = time.perf_counter()
        try:
            images[number] = open_image(path)
            decode_s[number] = time.perf_counter() - began
        except ImageError as error:
            message = str(error).replace(str(path), path.name)
            results[number] = ReadFailed(failure=_fault(error), message=message, decoded=False)
    try:
        answers = _answers(backend, prompt, list(images.values()))
    except Exception as error:
        failure, fatal = failure_of(error)
        return ReadFailed(failure=failure, message=describe_error(error), fatal=fatal)
    latency_s = time.perf_counter() - start
    batch = {"batch_s": latency_s} if len(images) > 1 else {}
    for number, answer in zip(images, answers, strict=True):
        results[number] = _result(answer, latency_s, {"decode_s": decode_s[number], **batch})
    return Answers(results=[results[number] for number in range(len(paths))])


def _fault(error: ImageError) -> Failure:
    if not isinstance(error, ImageAccessError):
        return Failure.BAD_IMAGE
    return Failure.RUN_OOM if isinstance(error.__cause__, MemoryError) else Failure.ERROR


def _answers(backend: Backend, prompt: str, images: Sequence[Image]) -> Sequence[object]:
    """As many objects as images, hopefully answers."""
    if len(images) < 2:
        return [backend.read(image, prompt) for image in images]
    if not isinstance(backend, BatchBackend):
        raise TypeError(f"{len(images)} images for a backend that reads one at a time")
    answers: object = backend.read_batch(images, prompt)
    if not isinstance(answers, Sequence) or len(answers) != len(images):
        count = len(answers) if isinstance(answers, Sequence) else type(answers).__name__
        raise TypeError(f"the backend returned {count} for {len(images)} images")
    return answers


def _result(answer: object, latency_s: float, phases: Mapping[str, float]) -> Answered | ReadFailed:
    if not isinstance(answer, Answer):
        name = type(answer).__name__
        why = f"the backend returned {name}, not Answer: return harness.backends.protocol.Answer(text=...)"
        return ReadFailed(failure=Failure.ERROR, message=why)
    return Answered(
        text=answer.text,
        latency_s=latency_s,
        phases={**phases, **answer.phases},
        prompt_tokens=answer.prompt_tokens,
        output_tokens=answer.output_tokens,
        stop=answer.stop,
        path=answer.path,
        calls=answer.calls,
        facts=answer.facts,
        attempts=answer.attempts,
        allocator=answer.allocator,
    )


def _sendable(message: Message) -> Message:
    """`message`, with a failure in place of what cannot be sent: a backend's own values may be of a wrong type."""
    if isinstance(message, Answers):
        room = (MAX_MESSAGE_BYTES - _ENVELOPE_BYTES) // len(message.results) - len(", ")
        return Answers(results=[_sendable_result(result, room) for result in message.results])
    if isinstance(message, Loaded):
        try:
            encode_message(message)
        except ProtocolError as error:
            return LoadFailed(failure=Failure.ERROR, message=_UNUSABLE.format(error))
    return message


def _sendable_result(result: Answered | ReadFailed, room: int) -> Answered | ReadFailed:
    try:
        encode_message(result, limit=room)
        return result
    except ProtocolError as error:
        return ReadFailed(failure=Failure.ERROR, message=_UNUSABLE.format(error))


def _send(replies: int, message: Message) -> None:
    view = memoryview(encode_message(_sendable(message)))
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
                asked = prompt if request.prompt is None else request.prompt
                _send(replies, _read(backend, asked, [Path(path) for path in request.paths]))
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
