"""A forgiving JSON reader: models quote with ', forget quotes, leave commas, and stop in the middle.

It reads from one position, never backtracks over more than one token, and keeps pairs in order with repeated keys,
so that nothing that was said is lost. Numbers stay as they were written.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

__all__ = ["Json", "JsonObject", "Reader"]

_MAX_DEPTH = 16
_BLANK = re.compile(r"\s*")
_QUOTES = {'"': re.compile(r'(?:[^"\\]|\\.)*+', re.DOTALL), "'": re.compile(r"(?:[^'\\]|\\.)*+", re.DOTALL)}
_BARE = re.compile(r"[^\"\n{}\[\]]*")
_BARE_ITEM = re.compile(r"[^\"\n{}\[\],]*")
_MAX_KEY = 100


@dataclass(slots=True)
class JsonObject:
    """The pairs of an object that were complete."""

    pairs: list[tuple[str, Json]] = field(default_factory=list)


Json = str | list["Json"] | JsonObject | None


class _CutError(Exception):
    """The text ended, or stopped being JSON."""


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        decoded = json.loads(f'"{text}"', strict=False)
    except ValueError:  # a stray backslash or quote: keep what was written
        return text
    return str(decoded)


class Reader:
    """Reads one value of `text` at a time; `position` is where reading stopped."""

    def __init__(self, text: str, position: int = 0) -> None:
        self.text = text
        self.position = position
        self.truncated = False
        """The text ended before the value did; after an unfinished string, `position` is where that began."""
        self._depth = 0

    def read_object(self) -> JsonObject:
        """Read the object that starts here, or as much of it as there is."""
        found = JsonObject()
        try:
            self._object(found)
        except _CutError:
            self.truncated = self.truncated or self.position >= len(self.text)
        return found

    def read_value(self) -> Json:
        """Read one value; sets `truncated` and returns None when it is not complete."""
        try:
            return self._value(_BARE)
        except _CutError:
            self.truncated = True
            return None

    def _next(self) -> str:
        """Skip white space and return the character there."""
        match = _BLANK.match(self.text, self.position)
        self.position = match.end() if match else self.position
        if self.position >= len(self.text):
            raise _CutError
        return self.text[self.position]

    def _object(self, into: JsonObject) -> None:
        self._enter()
        while (char := self._next()) != "}":
            if char == ",":
                self.position += 1
                continue
            if char not in _QUOTES:
                raise _CutError
            key = self._string(closers=":", longest=_MAX_KEY)
            if self._next() != ":":
                raise _CutError
            self.position += 1
            if self._next() == "{":
                inner = JsonObject()
                into.pairs.append((key, inner))  # before it is read: complete pairs of a cut object count
                self._object(inner)
            else:
                into.pairs.append((key, self._value(_BARE)))
        self._leave()

    def _array(self) -> list[Json]:
        self._enter()
        items: list[Json] = []
        while (char := self._next()) != "]":
            if char == ",":
                self.position += 1
                continue
            if char == "}":
                raise _CutError
            items.append(self._value(_BARE_ITEM))
        self._leave()
        return items

    def _enter(self) -> None:
        self.position += 1
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _CutError

    def _leave(self) -> None:
        self.position += 1
        self._depth -= 1

    def _value(self, bare: re.Pattern[str]) -> Json:
        char = self._next()
        if char == "{":
            inner = JsonObject()
            self._object(inner)
            return inner
        if char == "[":
            return self._array()
        if char in _QUOTES:
            return self._string(closers=",}]")
        return self._bare(bare)

    def _bare(self, pattern: re.Pattern[str]) -> str | None:
        """Read a number, a word, or a value whose quotes were forgotten."""
        match = pattern.match(self.text, self.position)
        end = match.end() if match else self.position
        if end >= len(self.text):
            self.position = end
            raise _CutError  # 46.6 may have been going to be 46.68
        word = self.text[self.position : end].strip().rstrip(",").rstrip()
        self.position = end
        return None if word in {"null", "None"} else word

    def _string(self, closers: str, longest: int | None = None) -> str:
        """Read a string. A quote that nothing in `closers` follows is part of it: `"19" monitor"`."""
        quote = self.text[self.position]
        begin = end = self.position + 1
        limit = len(self.text) if longest is None else min(len(self.text), begin + longest)
        while end < limit:
            match = _QUOTES[quote].match(self.text, end, limit)
            end = match.end() if match else end
            if end >= limit:
                break
            after = _BLANK.match(self.text, end + 1)
            follower = after.end() if after else end + 1
            if follower >= len(self.text) or self.text[follower] in closers:
                self.position = end + 1
                return _unescape(self.text[begin:end])
            end += 1
        self.truncated = limit == len(self.text)
        if not self.truncated:
            self.position = limit  # no key is so long: do not read it again
        raise _CutError
