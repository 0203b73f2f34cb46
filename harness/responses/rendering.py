"""Fields -> the text of a response: the inverse of parsing, and the form that prompts ask for."""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import unknown_name
from harness.schema import ABSENT, FIELD_NAMES, FIELDS

__all__ = ["render_response"]


def render_response(fields: Mapping[str, str | None]) -> str:
    """Write `KEY: value` lines in schema order, `N/A` for None; fields that are not in the mapping are left out.

    Raises UnknownNameError for a key that is not a field.
    """
    for name in fields:
        if name not in FIELDS:
            raise unknown_name("field", name, FIELDS)
    values = ((name, fields[name]) for name in FIELD_NAMES if name in fields)
    return "\n".join(f"{name}: {ABSENT if value is None else value}" for name, value in values)
