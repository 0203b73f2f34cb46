"""Backends by name. Importing this imports no backend."""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.backends.protocol import Backend, BackendRequest, BatchBackend
from harness.errors import UnknownNameError, UnsupportedError, unknown_name

__all__ = ["BLIND", "backend_names", "check_own_backend", "create_backend", "resolve_backend"]

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
    if bare.startswith(_PYTHON):
        parts = bare.removeprefix(_PYTHON).split(".")
        if len(parts) > 1 and all(map(str.isidentifier, parts)):
            return name
        raise UnknownNameError(f"unknown backend {bare!r}: one of your own is named python:module.Class")
    raise unknown_name("backend", bare, _BACKENDS)


def check_own_backend(name: str) -> None:
    """Raise UnknownNameError where a `python:` backend's module, or its class in there, is seen not to exist.

    Nothing is imported: what its source does not tell, whoever constructs it finds out.
    """
    module, _, attribute = name.removeprefix(_PYTHON).rpartition(".")
    top, *parts = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        raise UnknownNameError(f"unknown backend {name!r}: there is no module {top}")
    source, folders = Path(spec.origin or ""), [Path(p) for p in spec.submodule_search_locations or ()]
    for i, part in enumerate(parts, 1):
        found = [path for folder in folders for path in (folder / part, *folder.glob(f"{part}.*"))]
        found = [path for path in found if path.exists()]
        if not found:
            raise UnknownNameError(f"unknown backend {name!r}: there is no module {'.'.join([top, *parts[:i]])}")
        folders = [path for path in found if path.is_dir()]
        source = folders[0] / "__init__.py" if folders else next((p for p in found if p.suffix == ".py"), found[0])
    if source.suffix != ".py":
        return
    try:
        nodes = list(ast.walk(ast.parse(source.read_text("utf-8"))))
    except (OSError, SyntaxError, ValueError):
        return
    classes = [n.name for n in nodes if isinstance(n, ast.ClassDef)]
    functions = [n.name for n in nodes if isinstance(n, ast.FunctionDef)]
    imported = [n.asname or n.name for n in nodes if isinstance(n, ast.alias)]
    assigned = [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    if not {attribute, "__getattr__", "*"} & {*classes, *functions, *imported, *assigned}:
        near = difflib.get_close_matches(attribute, classes, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UnknownNameError(f"unknown backend {name!r}: there is no {attribute} in {module}{hint}")


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
