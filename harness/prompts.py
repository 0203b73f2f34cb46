"""The prompts, and the fingerprints that tell one from another in evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.errors import unknown_name
from harness.schema import ABSENT, FIELDS, LIST_SEPARATOR, Category, Field

__all__ = ["PROMPTS", "Prompt", "category_fields", "category_prompt_name", "prompt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A named prompt text."""

    name: str
    text: str

    @property
    def fingerprint(self) -> str:
        """First 12 hex digits of the text's SHA-256."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


def _key_value(fields: Iterable[Field]) -> str:
    lines = [
        "Read this business document and write one line for each of the following fields, in this order, as",
        f"FIELD: value. Copy each value exactly as printed. If the document does not show a field, write {ABSENT}.",
        f"Separate the entries of a list with '{LIST_SEPARATOR}'. Write nothing else.",
        "",
        *(f"{field.name}: [{field.description}]" for field in fields),
    ]
    return "\n".join(lines)


def category_fields(category: Category) -> tuple[Field, ...]:
    """The fields of a category, in schema order."""
    return tuple(field for field in FIELDS.values() if field.category is category)


def category_prompt_name(category: Category) -> str:
    """The name of the prompt that asks for the fields of one category, such as `key-value/line-items`."""
    return f"key-value/{category.value.replace(' ', '-')}"


def _prompts() -> dict[str, Prompt]:
    texts = {"key-value": _key_value(FIELDS.values())}
    texts |= {category_prompt_name(category): _key_value(category_fields(category)) for category in Category}
    return {name: Prompt(name=name, text=text) for name, text in texts.items()}


PROMPTS: Mapping[str, Prompt] = MappingProxyType(_prompts())
"""`key-value` asks for all fields; `key-value/<category>` for those of one category, in the same words."""


def prompt(name: str = "key-value") -> Prompt:
    """Return the prompt called `name`; raises UnknownNameError."""
    try:
        return PROMPTS[name]
    except KeyError:
        raise unknown_name("prompt", name, PROMPTS) from None
