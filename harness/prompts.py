"""The prompts, and the fingerprints that tell one from another in evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.errors import unknown_name
from harness.schema import ABSENT, FIELDS, LIST_SEPARATOR

__all__ = ["PROMPTS", "Prompt", "prompt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A named prompt text."""

    name: str
    text: str

    @property
    def fingerprint(self) -> str:
        """First 12 hex digits of the text's SHA-256."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


def _key_value() -> str:
    lines = [
        "Read this business document and write one line for each of the following fields, in this order, as",
        f"FIELD: value. Copy each value exactly as printed. If the document does not show a field, write {ABSENT}.",
        f"Separate the entries of a list with '{LIST_SEPARATOR}'. Write nothing else.",
        "",
        *(f"{field.name}: [{field.description}]" for field in FIELDS.values()),
    ]
    return "\n".join(lines)


PROMPTS: Mapping[str, Prompt] = MappingProxyType({"key-value": Prompt(name="key-value", text=_key_value())})


def prompt(name: str = "key-value") -> Prompt:
    """Return the prompt called `name`; raises UnknownNameError."""
    try:
        return PROMPTS[name]
    except KeyError:
        raise unknown_name("prompt", name, PROMPTS) from None
