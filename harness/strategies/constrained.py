"""A backend whose answers are held to a form: asked for it in words as well, and checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.backends.protocol import Answer, Attempt, Backend, BatchBackend, Setting
from harness.strategies.questions import Fault, Question, formed_question
from harness.strategies.strategy import AnswerPath
from harness.structured import AnswerForm, opens, satisfies

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["BatchFormReader", "FormReader"]


class FormReader:
    """Reads each document by one question, whose answer has to have a form."""

    def __init__(self, backend: Backend, form: AnswerForm) -> None:
        """`backend` was told of the form before: see `Constrainable`."""
        self._backend = backend
        self._form = form

    def load(self) -> Mapping[str, Setting]:
        """Load the backend; the facts tell the form."""
        return {**self._backend.load(), "answer_form": str(self._form)}

    def read(self, image: Image, prompt: str) -> Answer:
        """Ask about one image; whatever the backend raises is raised."""
        return self._read([image], prompt, lambda text: [self._backend.read(image, text)])[0]

    def _read(self, images: Sequence[Image], prompt: str, ask: Callable[[str], Sequence[Answer]]) -> Sequence[Answer]:
        question = formed_question(prompt, self._form)
        start = time.perf_counter()
        answers = ask(question.text)
        taken = time.perf_counter() - start
        if len(answers) != len(images):
            raise ValueError(f"the backend returned {len(answers)} answers to {len(images)} images")
        return [self._told(answer, question, taken) for answer in answers]

    def _told(self, answer: Answer, question: Question, latency_s: float) -> Answer:
        """The answer as it is, and what is wrong with it: by the fact `schema_ignored`, nothing held it to the form."""
        fault = _fault(answer, self._form)
        path = AnswerPath(self._form)
        attempt = Attempt(
            prompt=question.prompt,
            path=path,
            latency_s=latency_s,
            text=answer.text,
            fault=fault,
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            stop=answer.stop,
        )
        ignored = {"schema_ignored": True} if fault is Fault.SCHEMA_IGNORED else {}
        return replace(answer, path=path, facts={**answer.facts, **ignored}, attempts=(attempt,))


class BatchFormReader(FormReader):
    """The same for a backend that takes several images at once."""

    def __init__(self, backend: BatchBackend, form: AnswerForm) -> None:
        """See FormReader."""
        super().__init__(backend, form)
        self._batch_backend = backend

    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        """Ask about several images; whatever the backend raises is raised."""
        return self._read(images, prompt, lambda text: self._batch_backend.read_batch(images, text))


def _fault(answer: Answer, form: AnswerForm) -> Fault | None:
    """What is wrong with an answer. Of one that was cut off, only its beginning can tell that the form was ignored."""
    if answer.stop == "length" and opens(form, answer.text):
        return Fault.TRUNCATED
    if satisfies(form, answer.text):
        return None
    return Fault.SCHEMA_IGNORED if answer.text.strip() else Fault.EMPTY
