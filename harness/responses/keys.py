"""Recognising the schema's keys, whatever their case, spacing and markup; aliases are not recognised on purpose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from harness.schema import FIELD_NAMES, FIELDS

__all__ = ["InlineKey", "KeyLine", "field_of", "inline_keys", "is_shouted", "key_line"]

_NOT_LETTERS = re.compile(r"[\W_]+")
_BY_LETTERS = {name.replace("_", "").casefold(): name for name in FIELD_NAMES}
_LONGEST_LABEL = 48

# What may stand before a key: bullets, numbering, headings, quote marks, emphasis. Not what opens a JSON value.
_DECORATION = r"(?:(?![\[{(<])[\W_]){0,12}"
_PREFIX = re.compile(rf"{_DECORATION}(?:\(?\d{{1,3}}[.)]{_DECORATION})?")
_MARK = re.compile(r"(?:\*{1,3}|_{1,2}|`|\"|')$")
_SEPARATOR = re.compile(r"=>|->|→|[:：=|]")
_SHOUTED = re.compile(r"[A-Z][A-Z0-9]+(?:[_ ][A-Z0-9]+)*")
_INLINE = re.compile(r"(?<!\w)([A-Z][A-Z0-9_]{1,40})(\*{0,3})[ \t]?[:：](\*{0,3})")


def field_of(label: str) -> str | None:
    """Return the field that a label names: `Invoice Date`, `invoice_date`, `invoiceDate`, but not `INVOICE NUMBER`."""
    if len(label) > _LONGEST_LABEL:
        return None
    return _BY_LETTERS.get(_NOT_LETTERS.sub("", label).casefold())


def is_shouted(label: str) -> bool:
    """Whether a label looks like a key of some schema: `INVOICE_NUMBER`."""
    return _SHOUTED.fullmatch(label) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLine:
    """A line that starts with a label and a separator, or with an emphasised field alone."""

    label: str
    field: str | None
    value: str
    quoted: bool = False
    """The key stands in quotes, as in JSON."""
    heading: bool = False
    """Nothing separates the key from a value: what follows may stand a blank line further down."""


@lru_cache(maxsize=4096)
def key_line(line: str) -> KeyLine | None:
    """Read a line as a label and what follows it; `field` is None when the label is not in the schema."""
    text = line.strip()
    prefix = _PREFIX.match(text)
    start = prefix.end() if prefix else 0
    if not text[start : start + 1].isalnum():
        return None
    found = _MARK.search(text[:start])
    mark = found[0] if found else ""
    window = text[start : start + _LONGEST_LABEL]
    separator = _SEPARATOR.search(window)
    if separator:
        label, value = window[: separator.start()].rstrip(), text[start + separator.end() :]
        if (field := field_of(label)) is not None:
            return KeyLine(
                label=label,
                field=field,
                value=_without_closing(mark, label, value),
                quoted=mark in {'"', "'"},
            )
    if (bold := _emphasised(text, start, mark)) is not None:
        return bold
    return KeyLine(label=label.strip("*_`\"' "), field=None, value=value) if separator else None


def _without_closing(mark: str, label: str, value: str) -> str:
    """Take off the end of an emphasis that opened before the key: `**KEY:** v`, `**KEY: v**`."""
    if not mark or label.endswith(mark):
        return value
    if value.startswith(mark):
        return value[len(mark) :]
    return value.rstrip().removesuffix(mark)


def _emphasised(text: str, start: int, mark: str) -> KeyLine | None:
    """Read `**TOTAL** $5`, `## TOTAL` and `**TOTAL**`."""
    if text.startswith("#") and (field := field_of(text[start:])) is not None:
        return KeyLine(label=text[start:], field=field, value="", heading=True)
    end = text.find(mark, start, start + _LONGEST_LABEL) if mark.startswith(("*", "_", "`")) else -1
    if end < 0 or (field := field_of(text[start:end])) is None:
        return None
    value = text[end + len(mark) :].lstrip(" \t–—-")
    return KeyLine(label=text[start:end], field=field, value=value, heading=not value)


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineKey:
    """A key in the middle of a text: in upper case, spelt exactly, with its colon."""

    label: str
    field: str | None
    """None for a key in snake case that is not in the schema."""
    start: int
    end: int
    """Where its value begins."""
    mark: str
    """Emphasis that opened before the key and has not closed at the colon."""


@lru_cache(maxsize=4096)
def inline_keys(text: str) -> tuple[InlineKey, ...]:
    """Find `KEY:` of the schema, and `OTHER_KEY:` in snake case, anywhere in a text. Linear in its length."""
    return tuple(_inline_keys(text))


def _inline_keys(text: str) -> Iterator[InlineKey]:
    for match in _INLINE.finditer(text):
        label = match[1]
        if label not in FIELDS and "_" not in label.strip("_"):
            continue
        before = text[max(0, match.start() - 3) : match.start()]
        opened = len(before) - len(before.rstrip("*"))
        closes = opened > 0 and not match[2]
        yield InlineKey(
            label=label,
            field=label if label in FIELDS else None,
            start=match.start() - opened,
            end=match.end() if closes else match.start(3),
            mark="*" * opened if closes and not match[3] else "",
        )
