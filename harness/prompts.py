"""The prompts, and the fingerprints that tell one from another in evidence."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.errors import PromptError, unknown_name
from harness.schema import ABSENT, FIELDS, LIST_SEPARATOR, Category, Field, Kind

if TYPE_CHECKING:
    from harness.evidence import Evidence

__all__ = [
    "ALTERNATIVES",
    "PROMPTS",
    "Prompt",
    "category_fields",
    "category_prompt_name",
    "prompt",
    "prompt_name",
    "prompts_asked",
    "recorded_fingerprint",
]

_LISTS = frozenset({Kind.TEXT_LIST, Kind.NUMBER_LIST, Kind.MONEY_LIST})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Free of what has a meaning in the id of a cell."""


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


def _json(fields: Iterable[Field]) -> str:
    keys = {f.name: [f"[{f.description}]"] if f.kind in _LISTS else f"[{f.description}]" for f in fields}
    lines = [
        "Read this business document and answer with one JSON object that has the following keys, in this order. Give",
        "each value as a text, copied exactly as printed, and a list as an array of texts. If the document does not",
        "show a field, give null. Write nothing else.",
        "",
        "{",
        ",\n".join(f"  {json.dumps(name)}: {json.dumps(shown)}" for name, shown in keys.items()),
        "}",
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
"""`key-value` asks for all fields; `key-value/<category>` for those of one category, in the same words.

The reference models know these and no others: their tokenizers and training are made from this mapping.
"""

ALTERNATIVES: Mapping[str, Prompt] = MappingProxyType({"json": Prompt(name="json", text=_json(FIELDS.values()))})
"""Other ways of asking for all fields: `json` wants one JSON object."""


def prompt(name: str = "key-value") -> Prompt:
    """Return the prompt called `name`; raises UnknownNameError."""
    known = {**PROMPTS, **ALTERNATIVES}
    if name not in known:
        raise unknown_name("prompt", name, known)
    return known[name]


def prompt_name(text: str) -> str:
    """The name of the prompt with this text; empty if it is none of this project."""
    return next((known.name for known in (*PROMPTS.values(), *ALTERNATIVES.values()) if known.text == text), "")


def prompts_asked(names: Iterable[str]) -> tuple[Prompt, ...]:
    """Prompts by name, or from files: what begins with ./, ../, / or ~ is the path of a text.

    A file's prompt has the name of the file without its suffix, and white space around the text does not count. Raises
    UnknownNameError; PromptError for a file that cannot be read, an empty one, and a name that cannot be one or is
    another's.
    """
    found: dict[str, Prompt] = {}
    for name in names:
        one = _from_file(Path(name).expanduser()) if name.startswith(("./", "../", "/", "~")) else prompt(name)
        if one.name in found:
            raise PromptError(f"{name}: a second prompt of the name {one.name}; rename the file")
        found[one.name] = one
    return tuple(found.values())


def recorded_fingerprint(evidence: Evidence, cell: str) -> str | None:
    """The fingerprint of the prompt that a cell was asked by; None if the evidence does not tell it."""
    asked, run = evidence.passes[cell], evidence.runs[-1].prompt if evidence.runs else {}
    if (own := (asked.settings or {}).get("prompt_fingerprint")) is not None:
        return str(own)
    if asked.prompt in (texts := run.get("texts", {})):
        return Prompt(name=asked.prompt, text=texts[asked.prompt]).fingerprint
    return run.get("fingerprint") if run.get("name") == asked.prompt else None


def _from_file(path: Path) -> Prompt:
    if not _NAME.fullmatch(path.stem):
        raise PromptError(f"{path}: {path.stem!r} cannot be a prompt's name; use letters, digits, and . _ -")
    if path.stem in PROMPTS or path.stem in ALTERNATIVES:
        raise PromptError(f"{path}: {path.stem} is the name of a prompt of this project; rename the file")
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise PromptError(f"{path}: cannot be read as a prompt: {error}") from error
    if not text:
        raise PromptError(f"{path}: an empty prompt asks nothing")
    return Prompt(name=path.stem, text=text)
