"""Markdown and HTML off a value, where they enclose all of it. What carries no markup is left exactly as it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from harness.responses.meaning import is_echo, is_list
from harness.schema import FIELDS, LIST_SEPARATOR, Kind

__all__ = ["fixed_point", "without_markup"]

_FREE_TEXT = frozenset({Kind.TEXT, Kind.ADDRESS, Kind.TEXT_LIST, Kind.NUMBER_LIST, Kind.MONEY_LIST})
"""Kinds whose values may carry quotes and brackets of their own."""
_LINK = re.compile(r"\[([^\[\]]+)\]\([^()\s]+\)")
_EMPHASIS = re.compile(r"(\*{2,3})(?=[^\s*])([^*]+)(?<!\s)\1|(`{1,3})([^`]+)\3")
_ENCLOSED = re.compile(r'"([^"]*)"|“([^“”]*)”|\'([^\']*)\'|\[([^\[\]]*)\]|<([^<>\s]+@[^<>\s]+|https?:[^<>\s]+)>')
_BREAK = re.compile(r"<br ?/?>", re.IGNORECASE)


def fixed_point(step: Callable[[str], str], text: str) -> str:
    """Repeat `step` until it changes nothing. Each layer of markup needs another kind of mark inside: few do."""
    for _ in range(20):
        changed = step(text)
        if changed == text:
            break
        text = changed
    return text


def _without_enclosure(text: str, *, structured: bool) -> str:
    """Take one layer of markup off the whole text."""
    if match := _EMPHASIS.fullmatch(text):
        return (match[2] or match[4]).strip()
    if match := _LINK.fullmatch(text):
        return match[1].strip()
    if structured and (match := _ENCLOSED.fullmatch(text)):
        return next(group for group in match.groups() if group is not None).strip()
    return text.rstrip("`").rstrip() if text.endswith("```") else text  # the fence that closes the answer


@lru_cache(maxsize=4096)
def without_markup(field: str, text: str) -> str:
    """Trim the text and take off markup that encloses all of it: `**x**`, a code span, a link.

    Quotes and brackets around all of it are taken off too, except in names, addresses and lists, where they may be
    part of the value. Line breaks become spaces, or separators in a list.
    """
    structured = FIELDS[field].kind not in _FREE_TEXT

    def step(text: str) -> str:
        lines = [line for line in map(str.strip, _BREAK.sub("\n", text).split("\n")) if line]
        separator = LIST_SEPARATOR if is_list(field) and not text.lstrip().startswith("[") else " "
        joined = separator.join(lines)
        inner = _without_enclosure(joined, structured=structured)
        if inner != joined and is_echo(field, joined):
            return joined  # the brackets of a placeholder are what tells it from a value
        return inner

    return fixed_point(step, text)
