"""Values that go on after the line of their key: wrapped addresses, lists of bullets, values under a heading."""

from __future__ import annotations

import re

from harness.responses.findings import Pair
from harness.responses.keys import KeyLine
from harness.responses.meaning import Meaning, is_list, meaning
from harness.schema import FIELDS, Kind

__all__ = ["OpenValue"]

_ITEM = re.compile(r"(?:[-*+•·–]|\(?\d{1,3}[.)])\s+")
_MAX_CONTINUED = 3
_MAX_CONTINUED_WORDS = 6


class OpenValue:
    """The value of the last key line, while following lines may still belong to it.

    Lines are taken cautiously, since a value spoilt is worse than one cut short:

    - a field with nothing beside its key takes the line, or for a list the lines or bullets, below;
    - a list takes the lines up to its closing bracket, and the line after a trailing separator;
    - an address takes at most three more lines, if they are short and have no label and no full stop.

    A blank line ends a value, except between a heading or an empty key and what stands below it, and between bullets.
    """

    def __init__(self, field: str, line: KeyLine) -> None:
        beside = line.value.strip()
        self._field = field
        self._lines = [beside] if beside else []
        self._below = not beside
        self._heading = line.heading
        self._bulleted = False
        self._gap = False
        self._open = True

    def pair(self) -> Pair:
        """The value as far as it was read."""
        listed = len(self._lines) > 1 and is_list(self._field)
        return Pair(field=self._field, text="\n".join(self._lines), listed=listed)

    def skip_blank(self) -> None:
        """Take note of a blank line."""
        self._gap = True
        self._open = self._open and (not self._lines or self._bulleted)

    def take(self, line: str, *, labelled: bool) -> bool:
        """Add a line if it belongs to the value; the first that does not ends it."""
        item = _ITEM.match(line)
        content = line[item.end() :].strip() if item else line.strip()
        self._open = self._open and content != "" and self._belongs(content, item is not None, labelled)
        if self._open:
            self._lines.append(content)
            self._bulleted = self._bulleted or item is not None
        return self._open

    def _belongs(self, content: str, item: bool, labelled: bool) -> bool:
        if not self._lines:
            return item or (not labelled and (self._heading or not self._gap))
        if not is_list(self._field):
            return not item and not labelled and self._continues_address(content)
        if self._lines[0].startswith("["):
            return "]" not in self._lines[-1]
        if self._bulleted:
            return item
        return not labelled and not self._gap and (self._below or self._lines[-1].endswith(("|", ",")))

    def _continues_address(self, content: str) -> bool:
        return (
            FIELDS[self._field].kind is Kind.ADDRESS
            and len(self._lines) <= _MAX_CONTINUED
            and len(content.split(maxsplit=_MAX_CONTINUED_WORDS)) <= _MAX_CONTINUED_WORDS
            and not content.endswith((".", "!", "?", ":"))
            and meaning(self._field, self._lines[0]) is Meaning.VALUE
        )
