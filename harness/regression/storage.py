"""Baselines as files: compact JSON, `.json` or `.json.gz`, the same bytes for the same content."""

from __future__ import annotations

import gzip
import json
import types
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from harness.errors import EvidenceError
from harness.regression.baseline import Baseline
from harness.schema import FIELDS

__all__ = ["BASELINE_SCHEMA", "load_baseline", "save_baseline"]

BASELINE_SCHEMA = 1
_FORMAT = "docvlm-evals baseline"


def save_baseline(baseline: Baseline, path: Path) -> Path:
    """Write to `path`, compressed if it ends in `.gz`. Raises EvidenceError."""
    if not baseline.cells:
        raise EvidenceError(f"{path}: the log holds no candidate, so there is no baseline to save")
    content = {
        "format": _FORMAT,
        "schema": BASELINE_SCHEMA,
        "created": baseline.created,
        "device_class": baseline.device_class,
        "scorers": baseline.scorers,
        "logs": baseline.logs,
        "documents": {name: _plain(document) for name, document in baseline.documents.items()},
        "cells": {cell: [_plain(run) for run in runs] for cell, runs in baseline.cells.items()},
    }
    data = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=None if _zipped(path) else 1)
    raw = (data + "\n").encode("utf-8", "backslashreplace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(raw, mtime=0) if _zipped(path) else raw)
    except OSError as error:
        raise EvidenceError(f"{path}: cannot write the baseline: {error.strerror}") from error
    return path


def load_baseline(path: Path) -> Baseline:
    """Read a file that `save_baseline` wrote. Raises EvidenceError if it is missing, damaged or something else."""
    try:
        raw = path.read_bytes()
        data = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    except OSError as error:
        raise EvidenceError(f"{path}: cannot read the baseline: {error.strerror or error}") from error
    except (ValueError, EOFError, RecursionError, zlib.error) as error:
        raise EvidenceError(f"{path}: damaged, or no baseline: {error}") from error
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise EvidenceError(f"{path}: no baseline; make one with `python -m reports baseline save LOG --out FILE`")
    if data.get("schema") != BASELINE_SCHEMA:
        raise EvidenceError(
            f"{path}: a baseline of schema {data.get('schema')}; this version reads {BASELINE_SCHEMA}: save it again "
            "from its logs"
        )
    try:
        baseline: Baseline = _typed(data, Baseline)
    except (TypeError, ValueError, KeyError) as error:
        raise EvidenceError(f"{path}: damaged: {error}") from error
    for cell, runs in baseline.cells.items():
        for run in runs:
            if run.cell != cell or not run.readings.keys() <= baseline.documents.keys():
                raise EvidenceError(f"{path}: damaged: a run of {cell} does not belong to it or to its documents")
    if unknown := {name for d in baseline.documents.values() for name in d.truth} - FIELDS.keys():
        raise EvidenceError(f"{path}: its ground truth has fields that are not of this schema: {sorted(unknown)}")
    return baseline


def _zipped(path: Path) -> bool:
    return path.suffix == ".gz"


def _plain(value: Any) -> Any:
    """Plain values, without what is at its default."""
    if is_dataclass(value):
        told = {f.name: (getattr(value, f.name), f) for f in fields(value)}
        return {
            name: _plain(item)
            for name, (item, f) in told.items()
            if item != (f.default if f.default_factory is MISSING else f.default_factory())
        }
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value.value if isinstance(value, Enum) else value


def _typed(value: Any, hint: Any) -> Any:
    """`value` as what `hint` says. Raises TypeError, ValueError or KeyError."""
    if type(value) is hint:
        return value
    if isinstance(hint, types.UnionType):
        options = get_args(hint)
        return value if type(value) in options else _typed(value, options[0])
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if hint is float and type(value) is int:
        return float(value)
    if get_origin(hint) is Mapping and isinstance(value, dict):
        return {key: _typed(item, get_args(hint)[1]) for key, item in value.items()}
    if get_origin(hint) is Sequence and isinstance(value, list):
        return [_typed(item, get_args(hint)[0]) for item in value]
    if isinstance(hint, type) and is_dataclass(hint) and isinstance(value, dict):
        hints = get_type_hints(hint)
        return hint(**{f.name: _typed(value[f.name], hints[f.name]) for f in fields(hint) if f.name in value})
    raise TypeError(f"{str(value)[:80]!r} is not {hint}")
