"""Lists, however a model writes them, as `a | b | c`."""

from __future__ import annotations

import re

from harness.responses.artefacts import spoken
from harness.responses.jsonlike import Reader
from harness.responses.markup import fixed_point, without_markup
from harness.responses.meaning import is_list
from harness.schema import FIELDS, LIST_SEPARATOR, Kind

__all__ = ["comma_separated", "normalise_list"]

_LONGEST_LIST = 20_000
"""Characters; a longer text is a loop rather than a list, and is left as it is."""
_PIPE = re.compile(r"(?:(?<=\s)|^)\|(?=\s|$)")
_COMMA = re.compile(r",")
_PARENTHESES_OR_COMMA = re.compile(r"\([^()]*\)|,")
_SPACED_COMMA = re.compile(r",(?=\s|$)")
_LOOSE_NUMBER_COMMA = re.compile(r",(?!(?<=\d,)\d{3}(?!\d))")
_MONEY_COMMA = re.compile(r",(?=\s|$|-?(?:A|AU)?\$)|(?<=\.\d\d),")
_TIGHT_COUNTS = re.compile(r"(?:[1-9]?\d)(?:,[1-9]?\d)+")


def _quoted_entries(text: str) -> list[str] | None:
    """Read `["a", "b"]`, or `"a", "b"`, as its strings; None if it is anything else."""
    bracketed = text.startswith("[")
    if text[1:].lstrip()[:1] not in {'"', "'"} if bracketed else text[:1] != '"':
        return None
    reader = Reader(text if bracketed else f"[{text}]")
    entries = reader.read_value()
    if reader.truncated or reader.position < len(reader.text) or not isinstance(entries, list):
        return None
    if not bracketed and len(entries) < 2:
        return None  # one thing in quotes is a thing in quotes
    return [" ".join(spoken(e).text.split("\n")) for e in entries if isinstance(e, str)]


def _split_text(text: str, comma: re.Pattern[str]) -> list[str]:
    """Split at commas outside closed parentheses: `Eggs (12, large), Milk` is two."""
    entries, start = [], 0
    for match in _PARENTHESES_OR_COMMA.finditer(text):
        if match[0] == "," and comma.match(text, match.start()):
            entries.append(text[start : match.start()])
            start = match.end()
    return [*entries, text[start:]]


def comma_separated(field: str, text: str) -> bool:
    """Whether this value of a number list separates its entries by commas: then the model writes lists so."""
    if not is_list(field) or FIELDS[field].kind is Kind.TEXT_LIST:
        return False
    if "|" in text or "," not in text or len(text) > _LONGEST_LIST:
        return False
    return sum(entry.strip() != "" for entry in _entries(field, text, None)) > 1


def _entries(field: str, text: str, commas_from: int | None) -> list[str]:
    """Split a list into entries; see `normalise_list`."""
    if (quoted := _quoted_entries(text)) is not None:
        return quoted
    bracketed = len(text) > 1 and text[0] == "[" and text[-1] == "]" and not re.search(r"[\[\]]", text[1:-1])
    if bracketed:
        text = text[1:-1].strip()
    elif text.startswith("[") and "]" not in text:
        text = text[1:].lstrip()  # cut before its end
    if FIELDS[field].kind is Kind.TEXT_LIST:
        return _descriptions(text, bracketed, commas_from)
    return _numbers(text, bracketed, FIELDS[field].kind)


def _descriptions(text: str, bracketed: bool, commas_from: int | None) -> list[str]:
    if _PIPE.search(text):
        return _PIPE.split(text)
    if bracketed:
        return _split_text(text, _COMMA)
    entries = _split_text(text, _SPACED_COMMA)
    dangling = len(entries) > 2 and not entries[-1]
    return entries if dangling or (commas_from is not None and len(entries) >= commas_from) else [text]


def _numbers(text: str, bracketed: bool, kind: Kind) -> list[str]:
    if "|" in text:
        return text.split("|")
    if ";" in text:
        return text.split(";")
    if bracketed:
        return _LOOSE_NUMBER_COMMA.split(text)
    if kind is Kind.MONEY_LIST:
        return _MONEY_COMMA.split(text)
    return (_COMMA if _TIGHT_COUNTS.fullmatch(text) else _SPACED_COMMA).split(text)


def normalise_list(field: str, text: str, *, commas_from: int | None = None) -> str:
    """Write a list as `a | b | c`, whatever its brackets and separators were.

    Numbers and amounts are split at commas, except thousands separators: `$1,200.00` stays one value everywhere.
    Descriptions hold commas of their own: they are split at ` | `, and at commas only inside brackets, before a comma
    at the end, or from `commas_from` entries on.
    """

    def step(text: str) -> str:
        text = without_markup(field, text)
        if len(text) > _LONGEST_LIST:
            return text
        entries = [without_markup(field, entry) for entry in _entries(field, text, commas_from)]
        if FIELDS[field].kind is not Kind.TEXT_LIST:
            entries = [entry.strip("\"'").strip() for entry in entries]
        while entries and not entries[-1]:
            entries.pop()
        first = next((i for i, entry in enumerate(entries) if entry), len(entries))
        return LIST_SEPARATOR.join(entries[first:]).strip()

    return fixed_point(step, text)
