"""TOML files of tables whose every key is known and of the right type."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from harness.deployment.figures import DeploymentError
from harness.errors import unknown_name

__all__ = ["check_keys", "day", "number", "read_toml", "tables", "text"]


def read_toml(path: Path) -> Mapping[str, Any]:
    """The file's contents. Raises DeploymentError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DeploymentError(f"{path}: cannot be read as TOML: {error}") from error


def tables(data: Mapping[str, Any], name: str, path: Path) -> Sequence[Mapping[str, Any]]:
    """The entries of [[name]]. Raises DeploymentError if there is none."""
    found = data.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(entry, dict) for entry in found):
        raise DeploymentError(f"{path}: needs at least one [[{name}]]")
    return found


def check_keys(table: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Raise DeploymentError for a key that is not `known`."""
    for key in table:
        if key not in known:
            raise DeploymentError(f"{where}: {unknown_name('key', key, known)}")


def text(table: Mapping[str, Any], key: str, where: str) -> str:
    """A string that must be there. Raises DeploymentError."""
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise DeploymentError(f'{where}: needs {key} = "..."')
    return value


def number(table: Mapping[str, Any], key: str, where: str, *, highest: float | None = None) -> float | None:
    """A number of at least 0, None where it is left out. Raises DeploymentError."""
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise DeploymentError(f"{where}: {key} = {value!r} is not a number of at least 0")
    if highest is not None and value > highest:
        raise DeploymentError(f"{where}: {key} = {value!r} is more than {highest:g}")
    return float(value)


def day(table: Mapping[str, Any], key: str, where: str) -> str:
    """An ISO date that must be there, as text or as a TOML date. Raises DeploymentError."""
    value = table.get(key)
    try:
        return (value if isinstance(value, date) else date.fromisoformat(str(value))).isoformat()
    except ValueError:
        raise DeploymentError(f'{where}: needs {key} = "YYYY-MM-DD", not {value!r}') from None
