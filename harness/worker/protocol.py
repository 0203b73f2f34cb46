"""Messages between supervisor and worker: one JSON object a line, checked by both against a dataclass."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from harness.backends.protocol import AllocatorPeak, Attempt, BackendRequest, Setting
from harness.cells import Failure
from harness.errors import DocvlmError

_Built = TypeVar("_Built")

__all__ = [
    "MAX_MESSAGE_BYTES",
    "Answered",
    "Answers",
    "Close",
    "Load",
    "LoadFailed",
    "Loaded",
    "Message",
    "ProtocolError",
    "Read",
    "ReadFailed",
    "Ready",
    "decode_message",
    "encode_message",
]

MAX_MESSAGE_BYTES = 64 << 20
"""A longer line is a fault of the sender: it would only fill the supervisor's memory."""


class ProtocolError(DocvlmError, ValueError):
    """A line that is no message, or a message whose values are not of the declared types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(BackendRequest):
    """To the worker: construct and load the backend."""

    prompt: str
    batch_size: int = 1
    """The most images that one Read will name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """To the worker: answer about these image files, all at once."""

    paths: Sequence[str]
    prompt: str | None = None
    """What is asked about each of them; None for the prompt that the backend was loaded with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """To the worker: finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """From the worker: started, nothing loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """From the worker: ready to read."""

    load_s: float
    facts: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailed:
    """From the worker: the backend cannot be used."""

    failure: Failure
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The backend's answer about one image, seconds on the worker's time.perf_counter."""

    text: str
    latency_s: float
    phases: Mapping[str, float] = field(default_factory=dict)
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    stop: str | None = None
    path: str = "single"
    calls: int = 1
    facts: Mapping[str, Setting] = field(default_factory=dict)
    attempts: Sequence[Attempt] = field(default_factory=list)
    allocator: Sequence[AllocatorPeak] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFailed:
    """No answer: about one image, or as a message of its own about any image of the request."""

    failure: Failure
    message: str
    decoded: bool = True
    """Whether an image was there to be answered about."""
    fatal: bool = False
    """Whether the process must not read on, because its memory or device is in an unknown state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """From the worker: one result for each path of the request, in its order."""

    results: Sequence[Answered | ReadFailed]


Message = Load | Read | Close | Ready | Loaded | LoadFailed | Answered | ReadFailed | Answers
_MESSAGES: Mapping[str, type[Message]] = {
    cls.__name__: cls for cls in (Load, Read, Close, Ready, Loaded, LoadFailed, Answered, ReadFailed, Answers)
}


def encode_message(message: Message, *, limit: int = MAX_MESSAGE_BYTES) -> bytes:
    """One line of ASCII JSON. Raises ProtocolError for a value of another type than declared, or too long."""
    line = json.dumps(_as_json(message), allow_nan=False).encode("ascii") + b"\n"
    if len(line) > limit:
        raise ProtocolError(f"{type(message).__name__} of {len(line)} bytes; the limit is {limit}")
    return line


def _as_json(message: Message) -> dict[str, Any]:
    name, hints = type(message).__name__, _hints(type(message))
    return {"type": name} | {k: _conform(getattr(message, k), hint, f"{name}.{k}") for k, hint in hints.items()}


def decode_message(line: bytes) -> Message:
    """The message in one line. Raises ProtocolError, and nothing else, for any other bytes."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not a message: {line[:80]!r}") from error
    return _from_json(data)


def _from_json(data: Any) -> Message:
    cls = _MESSAGES.get(str(data.pop("type", None))) if isinstance(data, dict) else None
    if cls is None:
        raise ProtocolError(f"not a message: {str(data)[:80]!r}")
    return _built(cls, data, cls.__name__)


def _built(cls: type[_Built], data: Mapping[str, Any], where: str) -> _Built:
    hints = _hints(cls)
    if unknown := data.keys() - hints.keys():
        raise ProtocolError(f"{where} has no {', '.join(sorted(map(str, unknown)))}")
    try:
        return cls(**{key: _conform(value, hints[key], f"{where}.{key}") for key, value in data.items()})
    except TypeError as error:  # a required value is missing
        raise ProtocolError(str(error)) from error


def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _conform(value: Any, hint: Any, where: str) -> Any:
    """`value` as the plain JSON type that `hint` names, from NumPy scalars too; raises ProtocolError."""
    if hint == Answered | ReadFailed:
        if isinstance(value, Answered | ReadFailed):
            return _as_json(value)
        if isinstance(nested := _from_json(value), Answered | ReadFailed):
            return nested
    elif hint in (Attempt, AllocatorPeak):
        if isinstance(value, hint):
            return {k: _conform(getattr(value, k), inner, f"{where}.{k}") for k, inner in _hints(hint).items()}
        if isinstance(value, Mapping):
            return _built(hint, value, where)
    elif get_origin(hint) is Sequence and isinstance(value, list | tuple):
        return [_conform(item, get_args(hint)[0], f"{where}[{i}]") for i, item in enumerate(value)]
    elif isinstance(hint, UnionType):
        for option in get_args(hint):
            if (found := _plain(value, option)) is not None or (value is None and option is NoneType):
                return found
    elif get_origin(hint) is Mapping and isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _conform(item, get_args(hint)[1], f"{where}[{key!r}]") for key, item in value.items()}
    elif (found := _plain(value, hint)) is not None:
        return found
    raise ProtocolError(f"{where} is {str(value)[:80]!r} ({type(value).__name__}), not {hint}")


def _plain(value: Any, hint: Any) -> str | bool | int | float | None:
    """`value` as a `hint`, or None if it is not one."""
    if hint is bool or isinstance(value, bool):
        return value if hint is bool and isinstance(value, bool) else None
    if hint is int and isinstance(value, Integral):
        return int(value)
    if hint is float and isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    if hint is str and isinstance(value, str):
        return str(value)
    if isinstance(hint, type) and issubclass(hint, StrEnum) and value in list(hint):
        return hint(value)
    return None
