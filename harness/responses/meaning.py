"""Is it a value at all? Absences and echoed placeholders, each from an exact list and never a part of a value."""

from __future__ import annotations

import re
from enum import StrEnum

from harness.schema import FIELDS, LIST_SEPARATOR, Kind

__all__ = ["Meaning", "is_echo", "is_list", "meaning"]

_LISTS = frozenset({Kind.TEXT_LIST, Kind.NUMBER_LIST, Kind.MONEY_LIST})


class Meaning(StrEnum):
    """What a cleaned text after a key stands for."""

    VALUE = "value"
    ABSENT = "absent"
    ECHO = "echo"


_ABSENT = frozenset(
    (
        "",
        "-",
        "--",
        "–",
        "—",
        "n/a",
        "na",
        "nan",
        "nil",
        "none",
        "null",
        "unknown",
        "not applicable",
        "not available",
        "not found",
        "not present",
        "not provided",
        "not specified",
        "not stated",
        "not visible",
    )
)
_WRAPPING = " \t*_`\"'“”‘’[](){}<>"
_PLACEHOLDERS = frozenset(
    (
        "...",
        "…",
        "dd/mm/yyyy",
        "mm/dd/yyyy",
        "yyyy-mm-dd",
        "$x.xx",
        "$xx.xx",
        "value or n/a",
    )
)
_BRACKETED_PLACEHOLDERS = frozenset(
    (
        "amount",
        "answer",
        "date",
        "extracted value",
        "list",
        "string",
        "text",
        "the value",
        "value",
        "values",
        "your answer",
        "your value",
    )
)
_ALTERNATIVES = (
    " or n/a",
    " or not found",
    " or null",
    " or none",
    " if present",
    " if visible",
    " if available",
)
_ANGLED_WORDS = re.compile(r"<[A-Za-z][A-Za-z _/,'-]*>")
_LONGEST_ECHO = 200
_BRACKETS = {"[": "]", "<": ">", "{": "}", "(": ")"}


def is_list(field: str) -> bool:
    """Whether the field holds one entry for each line item."""
    return FIELDS[field].kind in _LISTS


def _is_absent(text: str) -> bool:
    word = text.strip(_WRAPPING).removesuffix(".").strip(_WRAPPING)
    return " ".join(word.casefold().replace("_", " ").split()) in _ABSENT if len(word) < 40 else False


def is_echo(field: str, text: str) -> bool:
    """Whether the text is a placeholder, this field's description, or its name in brackets."""
    if len(text) > _LONGEST_ECHO:
        return False
    inner = " ".join(text.strip(_WRAPPING + ",;").casefold().replace("_", " ").split())
    if inner in _PLACEHOLDERS or inner == FIELDS[field].description.casefold():
        return True
    if _BRACKETS.get(text[:1]) != text[-1:]:
        return False
    return (
        inner in _BRACKETED_PLACEHOLDERS
        or inner == field.casefold().replace("_", " ")
        or inner.endswith(_ALTERNATIVES)
        or _ANGLED_WORDS.fullmatch(text) is not None
    )


def meaning(field: str, text: str) -> Meaning:
    """Say what a cleaned text stands for. A list whose entries are all absent is absent."""
    if _is_absent(text):
        return Meaning.ABSENT
    if is_echo(field, text):
        return Meaning.ECHO
    if is_list(field) and LIST_SEPARATOR in text and all(map(_is_absent, text.split(LIST_SEPARATOR))):
        return Meaning.ABSENT
    return Meaning.VALUE
