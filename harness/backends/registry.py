"""Backends by name. Importing this imports no backend."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace

from harness.backends.protocol import Backend, BackendRequest, BatchBackend
from harness.errors import UnknownNameError, UnsupportedError, unknown_name

__all__ = ["BLIND", "backend_names", "create_backend", "resolve_backend"]

BLIND = "blind:"
"""Before a backend's or a model's name: the same one, shown white pages."""

_BACKENDS = {
    "ocr-rules": "harness.backends.ocr_rules:OcrRules",
    "all-na": "harness.backends.controls:AllAbsent",
    "transformers": "harness.backends.generative:TransformersBackend",
    "openai": "harness.backends.openai:OpenAIBackend",
}
_PYTHON = "python:"


def backend_names() -> tuple[str, ...]:
    """The registered names; `blind:<name>` and `python:<module>.<Class>` are understood beside them."""
    return tuple(_BACKENDS)


def resolve_backend(name: str) -> str:
    """Check `name` without importing anything; return it. Raises UnknownNameError."""
    bare = name.removeprefix(BLIND)
    if bare in _BACKENDS:
        return name
    if bare.startswith(_PYTHON) and "." in bare.removeprefix(_PYTHON):
        return name
    if bare.startswith(_PYTHON):
        raise UnknownNameError(f"unknown backend {bare!r}: one of your own is named python:module.Class")
    raise unknown_name("backend", bare, _BACKENDS)


def create_backend(request: BackendRequest) -> Backend:
    """Import and construct what is asked for. Called in the worker process only.

    Raises UnknownNameError, and UnsupportedError if the backend takes no such request.
    """
    resolve_backend(request.backend)
    if request.backend.startswith(BLIND):
        from harness.backends.controls import Blind, BlindBatch

        backend = create_backend(replace(request, backend=request.backend.removeprefix(BLIND)))
        return BlindBatch(backend) if isinstance(backend, BatchBackend) else Blind(backend)
    backend = _construct(request)
    if request.strategy == "single":
        return backend
    strategies = importlib.import_module("harness.strategies")
    wrapped: Backend = strategies.apply_strategy(backend, request)
    return wrapped


def _construct(request: BackendRequest) -> Backend:
    if request.backend.startswith(_PYTHON):
        module, _, attribute = request.backend.removeprefix(_PYTHON).rpartition(".")
    else:
        module, _, attribute = _BACKENDS[request.backend].partition(":")
    factory: Callable[[], Backend] = getattr(importlib.import_module(module), attribute)
    from_request: Callable[[BackendRequest], Backend] | None = getattr(factory, "from_request", None)
    if from_request is not None:
        return from_request(request)
    _refuse_settings(request)
    return factory()


def _refuse_settings(request: BackendRequest) -> None:
    """A setting that nobody reads must not pass for one that was obeyed. Raises UnsupportedError."""
    plain = BackendRequest(backend=request.backend)
    for name in ("quantization", "runtime", "device"):
        if (asked := getattr(request, name)) != (default := getattr(plain, name)):
            raise UnsupportedError(f"{request.backend} takes no {name}: {asked} was asked, it knows only {default}")
    if request.settings:
        raise UnsupportedError(f"{request.backend} takes no settings; given: {', '.join(sorted(request.settings))}")
