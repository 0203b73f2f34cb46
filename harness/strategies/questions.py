"""What is asked about a document, and what one answer to it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.backends.protocol import Answer
from harness.errors import UnsupportedError
from harness.prompts import PROMPTS, category_fields, category_prompt_name, prompt, prompt_name
from harness.responses import NoteKind, parse_response
from harness.schema import FIELD_NAMES, Category
from harness.strategies.patterns import unmistakable_values
from harness.strategies.strategy import AnswerPath
from harness.structured import AnswerForm

__all__ = ["Fault", "Question", "Reading", "formed_question", "questions", "read_answer"]

_WHOLE = "key-value"
_JSON = "json"


class Fault(StrEnum):
    """Why an answer cannot be taken as it stands."""

    ERROR = "error"
    """There is none: the call raised."""
    EMPTY = "empty"
    UNPARSABLE = "unparsable"
    """None of the fields that were asked for is in it."""
    TRUNCATED = "truncated"
    """It was cut off, by what it looks like or by the token limit."""
    LOOP = "loop"
    SCHEMA_IGNORED = "schema-ignored"
    """It was to have a form, and has not: nothing held the model to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A prompt, and the fields that its answer may set."""

    prompt: str
    """Its name; empty for a text that is no prompt of this project."""
    text: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one answer says about the fields of its question."""

    fields: Mapping[str, str | None]
    path: AnswerPath
    fault: Fault | None = None


def questions(text: str, *, by_category: bool) -> tuple[Question, ...]:
    """The questions that stand for the prompt `text`: itself, or one for each category.

    Raises UnsupportedError for a prompt that has no prompts by category.
    """
    if not by_category:
        return (Question(prompt=prompt_name(text), text=text, fields=FIELD_NAMES),)
    if text != PROMPTS[_WHOLE].text:
        raise UnsupportedError(f"only the prompt {_WHOLE!r} can be asked by category")
    prompts = ((prompt(category_prompt_name(category)), category_fields(category)) for category in Category)
    return tuple(
        Question(prompt=asked.name, text=asked.text, fields=tuple(field.name for field in fields))
        for asked, fields in prompts
    )


def formed_question(text: str, form: AnswerForm) -> Question:
    """The question for an answer of a form: the prompt `text`, but `json` in place of `key-value` for a JSON object.

    Raises UnsupportedError for `json` where the answer is to have lines: words and form would ask for two things.
    """
    if form is AnswerForm.LINES and text == prompt(_JSON).text:
        raise UnsupportedError(f"the prompt {_JSON!r} does not ask for the form {form}")
    asked = prompt(_JSON).text if form is AnswerForm.SCHEMA and text == PROMPTS[_WHOLE].text else text
    return Question(prompt=prompt_name(asked), text=asked, fields=FIELD_NAMES)


def read_answer(answer: Answer, question: Question, *, by_category: bool) -> Reading:
    """Read the fields of `question` out of an answer; by category, out of its prose if need be."""
    response = parse_response(answer.text)
    fields = {name: value for name, value in response.fields.items() if name in question.fields}
    path = AnswerPath.MULTI if by_category else AnswerPath.SINGLE
    fault: Fault | None = None
    if response.empty:
        fault = Fault.EMPTY
    elif response.has(NoteKind.LOOP):
        fault = Fault.LOOP
    elif response.truncated or answer.stop == "length":
        fault = Fault.TRUNCATED
    elif not fields:
        fault = Fault.UNPARSABLE
    if by_category and not fields and (picked := unmistakable_values(answer.text, question.fields)):
        return Reading(fields=picked, path=AnswerPath.PATTERN, fault=fault)
    return Reading(fields=fields, path=path, fault=fault)
