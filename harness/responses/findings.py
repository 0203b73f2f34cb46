"""What reading a text line by line and object by object brings together, before any of it is judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.responses.artefacts import spoken
from harness.responses.jsonlike import Json, JsonObject
from harness.responses.keys import field_of, inline_keys
from harness.schema import ABSENT, FIELDS, LIST_SEPARATOR, Kind

__all__ = ["Findings", "Pair"]

_MAX_PAIRS = 2_000
"""An answer has 25 pairs; beyond this a text is no answer, and more of it costs only time."""
_MAX_EXTRA = 20
_MAX_PASSAGES = 20
_VALUE_KEYS = frozenset({"value", "text"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A field and the raw text that was given for it."""

    field: str
    text: str
    listed: bool = False
    """The text came as separate entries (an array, bullets): its commas separate nothing."""


@dataclass(slots=True, kw_only=True)
class Findings:
    """Collects while a text is read."""

    pairs: list[Pair] = field(default_factory=list)
    extra_keys: dict[str, None] = field(default_factory=dict)
    cuts: list[str] = field(default_factory=list)
    """Where the text shows that it was cut."""
    prose: str | None = None
    """The first line that is no answer."""
    objects: int = 0
    """JSON objects with a field of the schema."""
    passages: list[str] = field(default_factory=list)
    """Texts inside JSON strings under other keys, which may hold an answer of their own."""

    @property
    def full(self) -> bool:
        """Whether more would only cost time."""
        return len(self.pairs) >= _MAX_PAIRS

    def add(self, pair: Pair) -> None:
        """Keep one pair."""
        if not self.full:
            self.pairs.append(pair)

    def add_extra(self, label: str) -> None:
        """Remember a key that is not in the schema."""
        if len(self.extra_keys) < _MAX_EXTRA:
            self.extra_keys[label[:80]] = None

    def add_prose(self, line: str) -> None:
        """Remember that there is text which is no answer."""
        if self.prose is None and any(c.isalpha() for c in line):
            self.prose = line.strip()[:80]

    def add_object(self, found: JsonObject) -> None:
        """Keep the pairs of a JSON object: its own first, then those of objects under other keys."""
        before, level = len(self.pairs), [found]
        while level:
            deeper: list[JsonObject] = []
            for label, value in (pair for item in level for pair in item.pairs):
                if (name := field_of(label)) is not None:
                    self.add(Pair(field=name, text=_text(name, value), listed=isinstance(value, list)))
                elif isinstance(value, JsonObject):
                    deeper.append(value)
                else:
                    self._add_other(label, value)
            level = deeper
        self.objects += len(self.pairs) > before

    def _add_other(self, label: str, value: Json) -> None:
        self.add_extra(spoken(label).text)
        if isinstance(value, str) and ("\n" in value or any(inline_keys(value))) and len(self.passages) < _MAX_PASSAGES:
            self.passages.append(value)


def _scalars(value: Json) -> Iterator[str]:
    """Yield the texts in a value, depth first; an object with a `value` stands for that."""
    if isinstance(value, JsonObject):
        inner = [v for key, v in value.pairs if key.casefold() in _VALUE_KEYS] or [v for _, v in value.pairs]
        for item in inner:
            yield from _scalars(item)
    elif isinstance(value, list):
        for item in value:
            yield from _scalars(item)
    elif value is not None:
        yield spoken(value).text


def _text(name: str, value: Json) -> str:
    """Write a JSON value as the text of a field: entries joined as its kind writes them."""
    kind = FIELDS[name].kind
    if isinstance(value, list):  # keep a place for each entry, so that columns stay aligned
        entries = [" ".join(_scalars(item)) or ABSENT for item in value]
        if kind in {Kind.TEXT_LIST, Kind.NUMBER_LIST, Kind.MONEY_LIST}:
            return LIST_SEPARATOR.join(entries)
        return (" - " if kind is Kind.PERIOD else ", ").join(entries)
    return (" - " if kind is Kind.PERIOD else ", ").join(_scalars(value))
