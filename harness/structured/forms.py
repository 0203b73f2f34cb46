"""The forms of an answer, as grammars and as checks of what was said."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

from harness.backends.protocol import Backend
from harness.responses.meaning import is_list
from harness.schema import FIELD_NAMES

__all__ = ["AnswerForm", "Constrainable", "answer_schema", "lines_pattern", "opens", "satisfies"]


class AnswerForm(StrEnum):
    """What every answer has to look like."""

    SCHEMA = "schema"
    """A JSON object of all fields: see `answer_schema`."""
    LINES = "lines"
    """A line for each field, as the prompt `key-value` asks for them: see `lines_pattern`."""


@runtime_checkable
class Constrainable(Backend, Protocol):
    """A backend that can hold its answers to a form."""

    def constrain(self, form: AnswerForm) -> None:
        """Every answer is to have this form. Called once, before `load`. Raises UnsupportedError if it cannot."""


def answer_schema() -> dict[str, Any]:
    """The JSON schema of an answer, as the prompt `json` words it: every field, as a text, a list of texts, or null.

    `N/A` is a text like any other, and read as null. It keeps to what strict structured outputs know: all properties
    are required, there are no others, and no lengths or patterns.
    """
    text = {"type": ["string", "null"]}
    texts = {"type": ["array", "null"], "items": {"type": "string"}}
    return {
        "type": "object",
        "properties": {name: texts if is_list(name) else text for name in FIELD_NAMES},
        "required": list(FIELD_NAMES),
        "additionalProperties": False,
    }


@lru_cache(maxsize=1)
def lines_pattern() -> str:
    """A regular expression, of Python and of llguidance: `KEY: value` for each field in order, and nothing else.

    A value is any text on one line, at least a character long.
    """
    return "\\n".join(rf"{name}: [^\n\r]+" for name in FIELD_NAMES)


def satisfies(form: AnswerForm, text: str) -> bool:
    """Whether an answer has the form, from its first character to its last; white space around JSON aside."""
    if form is AnswerForm.LINES:
        return re.fullmatch(lines_pattern(), text) is not None
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(pairs, _Pairs)
        and sorted(name for name, _ in pairs) == sorted(FIELD_NAMES)
        and all(
            value is None or (_is_texts(value) if is_list(name) else isinstance(value, str)) for name, value in pairs
        )
    )


def opens(form: AnswerForm, text: str) -> bool:
    """Whether `text` begins as answers of the form do, so far as it goes: all that can be asked of one cut short."""
    opening = "{" if form is AnswerForm.SCHEMA else f"{FIELD_NAMES[0]}: "
    said = text.lstrip()[: len(opening)]
    return opening.startswith(said)


class _Pairs(tuple[tuple[str, Any], ...]):
    """A JSON object as it was written: a key that is repeated is there twice."""


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
