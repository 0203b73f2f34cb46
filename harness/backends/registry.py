"""Backends by name. Importing this imports no backend."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from harness.backends.protocol import Backend
from harness.errors import unknown_name

__all__ = ["backend_names", "create_backend", "resolve_backend"]

_BACKENDS = {
    "ocr-rules": "harness.backends.ocr_rules:OcrRules",
    "all-na": "harness.backends.controls:AllAbsent",
}
_BLIND = "blind:"
_PYTHON = "python:"


def backend_names() -> tuple[str, ...]:
    """The registered names; `blind:<name>` and `python:<module>.<Class>` are understood beside them."""
    return tuple(_BACKENDS)


def resolve_backend(name: str) -> str:
    """Check `name` without importing anything; return it. Raises UnknownNameError."""
    bare = name.removeprefix(_BLIND)
    if bare in _BACKENDS:
        return name
    if bare.startswith(_PYTHON) and "." in bare.removeprefix(_PYTHON):
        return name
    raise unknown_name("backend", bare, _BACKENDS)


def create_backend(name: str) -> Backend:
    """Import and construct the backend called `name`. Called in the worker process only."""
    resolve_backend(name)
    if name.startswith(_BLIND):
        from harness.backends.controls import Blind

        return Blind(create_backend(name.removeprefix(_BLIND)))
    if name.startswith(_PYTHON):
        module, _, attribute = name.removeprefix(_PYTHON).rpartition(".")
    else:
        module, _, attribute = _BACKENDS[name].partition(":")
    factory: Callable[[], Backend] = getattr(importlib.import_module(module), attribute)
    return factory()
