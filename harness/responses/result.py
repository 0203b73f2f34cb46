"""What a response said, and what was odd about how it said it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Note", "NoteKind", "ParsedResponse"]


class NoteKind(StrEnum):
    """What a reader of the raw text would remark on."""

    EMPTY = "empty"
    """Nothing but white space, special tokens, or an echo of the prompt."""
    THINKING = "thinking"
    """A `<think>` block was left out."""
    ARTEFACT = "artefact"
    """Special tokens or chat turns were left out."""
    JSON = "json"
    """At least one JSON object with a field of the schema in it."""
    PROSE = "prose"
    """Text around the answer: a preamble, an explanation, a refusal."""
    EXTRA_KEY = "extra-key"
    """A key that is not a field of the schema."""
    ECHO = "echo"
    """A placeholder of the prompt was repeated instead of a value; the field counts as not answered there."""
    DUPLICATE = "duplicate"
    """A field was answered again, differently; the first value was kept."""
    TRUNCATED = "truncated"
    """The text ends in the middle of something."""
    LOOP = "loop"
    """The text ends in the same thing over and over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One remark."""

    kind: NoteKind
    field: str | None = None
    """The field of the schema that it concerns, if it concerns one."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedResponse:
    """The fields that a response answers, and notes about the rest."""

    fields: Mapping[str, str | None]
    """In schema order: the value verbatim, or None where the response says that there is none.

    A field that the response does not answer (not mentioned, or only an echoed placeholder) is not in it.
    """
    notes: tuple[Note, ...]
    parsable: bool
    """Whether at least one key of the schema was recognised."""

    def has(self, kind: NoteKind) -> bool:
        """Whether there is a note of this kind."""
        return any(note.kind is kind for note in self.notes)

    @property
    def empty(self) -> bool:
        """Whether nothing was said at all."""
        return self.has(NoteKind.EMPTY)

    @property
    def truncated(self) -> bool:
        """Whether the text shows that it was cut. A cut inside plain text leaves no trace."""
        return self.has(NoteKind.TRUNCATED)

    @property
    def loop(self) -> bool:
        """Whether the text ends in a repetition loop."""
        return self.has(NoteKind.LOOP)
