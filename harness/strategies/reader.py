"""A backend that puts one or several questions to another, and has OCR stand in where that one fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.backends.protocol import Answer, Attempt, Backend, BatchBackend, Setting
from harness.cells import Failure
from harness.responses import parse_response, render_response
from harness.strategies.merging import merge_answers
from harness.strategies.questions import Fault, Question, Reading, questions, read_answer
from harness.strategies.strategy import AnswerPath
from harness.worker.failures import describe_error, failure_of

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["BatchReader", "Reader"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One question, what came back, and what that is worth."""

    question: Question
    latency_s: float
    reading: Reading
    answer: Answer | None
    """None when the call raised."""
    message: str | None = None


class Reader:
    """Reads each document by the questions of a strategy."""

    def __init__(self, backend: Backend, *, by_category: bool, ocr: Backend | None) -> None:
        """Put questions to `backend`; `ocr`, if given, answers those at which it fails."""
        self._backend = backend
        self._by_category = by_category
        self._ocr = ocr

    def load(self) -> Mapping[str, Setting]:
        """Load the backend, then OCR, whose facts are prefixed `ocr_`: no document pays for either."""
        facts = dict(self._backend.load())
        if self._ocr is not None:
            facts |= {f"ocr_{name}": fact for name, fact in self._ocr.load().items()}
        return facts

    def read(self, image: Image, prompt: str) -> Answer:
        """Ask about one image.

        Without OCR, what the backend raises in any call is raised. With OCR, an ordinary error is a failed call; out
        of memory, a broken device, UnsupportedError, and what OCR itself raises, are raised all the same.
        """
        return self._read_all([image], prompt, lambda text: [self._backend.read(image, text)])[0]

    def _read_all(
        self, images: Sequence[Image], prompt: str, ask: Callable[[str], Sequence[Answer]]
    ) -> Sequence[Answer]:
        asked = [self._ask(question, ask, len(images)) for question in questions(prompt, by_category=self._by_category)]
        return [
            self._answer(image, calls, prompt) for image, calls in zip(images, zip(*asked, strict=True), strict=True)
        ]

    def _ask(self, question: Question, ask: Callable[[str], Sequence[Answer]], documents: int) -> Sequence[_Call]:
        """Put one question about all documents of a call; an error about several at once is nobody's, and is raised."""
        start = time.perf_counter()
        try:
            answers = _checked(ask(question.text), documents)
        except Exception as error:
            if self._ocr is None or documents > 1 or failure_of(error) != (Failure.ERROR, False):
                raise
            taken = time.perf_counter() - start
            path = AnswerPath.MULTI if self._by_category else AnswerPath.SINGLE
            nothing = Reading(fields={}, path=path, fault=Fault.ERROR)
            message = describe_error(error)
            return [_Call(question=question, latency_s=taken, reading=nothing, answer=None, message=message)]
        taken = time.perf_counter() - start
        return [
            _Call(
                question=question,
                latency_s=taken,
                reading=read_answer(answer, question, by_category=self._by_category),
                answer=answer,
            )
            for answer in answers
        ]

    def _answer(self, image: Image, calls: Sequence[_Call], prompt: str) -> Answer:
        """Put together what the calls about one document gave, with OCR where it has to stand in."""
        used = [call for call in calls if self._ocr is None or not _needs_ocr(call)]
        attempts = [_attempt(call) for call in calls]
        ocr: Answer | None = None
        if self._ocr is not None and len(used) < len(calls):
            start = time.perf_counter()
            ocr = self._ocr.read(image, prompt)
            taken = time.perf_counter() - start
            attempts.append(Attempt(prompt="", path=AnswerPath.OCR, latency_s=taken, text=ocr.text))
        return merge_answers(
            self._text(used, ocr),
            path=_path(used, ocr),
            calls=[call.answer for call in calls],
            used=[call.answer for call in used if call.answer is not None],
            ocr=ocr,
            attempts=attempts,
        )

    def _text(self, used: Sequence[_Call], ocr: Answer | None) -> str:
        """One raw answer as it is; the fields of several, rendered, and OCR's for all that those do not cover."""
        if not self._by_category:
            raw = [answer.text for answer in (ocr, *(call.answer for call in used)) if answer is not None]
            return raw[0]
        fields = {name: value for call in used for name, value in call.reading.fields.items()}
        if ocr is not None:
            covered = {name for call in used for name in call.question.fields}
            standing_in = parse_response(ocr.text).fields
            fields |= {name: value for name, value in standing_in.items() if name not in covered}
        return render_response(fields)


class BatchReader(Reader):
    """The same for a backend that takes several images at once: a batch for each question, OCR one by one."""

    def __init__(self, backend: BatchBackend, *, by_category: bool, ocr: Backend | None) -> None:
        """See Reader."""
        super().__init__(backend, by_category=by_category, ocr=ocr)
        self._batch_backend = backend

    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        """Ask about several images; OCR reads only those whose answers failed.

        Whatever the backend raises is raised: asked about each image alone, `read` finds those that are at fault.
        """
        return self._read_all(images, prompt, lambda text: self._batch_backend.read_batch(images, text))


def _checked(answers: Sequence[object], documents: int) -> Sequence[Answer]:
    """What the backend returned, if it is an answer for each document; raises TypeError or ValueError."""
    if len(answers) != documents:
        raise ValueError(f"the backend returned {len(answers)} answers to {documents} images")
    checked = [answer for answer in answers if isinstance(answer, Answer)]
    if len(checked) != documents:
        other = next(answer for answer in answers if not isinstance(answer, Answer))
        raise TypeError(f"the backend returned {type(other).__name__}, not Answer")
    return checked


def _needs_ocr(call: _Call) -> bool:
    """Whether the model failed at it. Finished prose that patterns could read is an answer."""
    read_by_pattern = call.reading.path is AnswerPath.PATTERN and call.reading.fault is Fault.UNPARSABLE
    return call.reading.fault is not None and not read_by_pattern


def _path(used: Sequence[_Call], ocr: Answer | None) -> AnswerPath:
    if ocr is not None:
        return AnswerPath.OCR
    paths = {call.reading.path for call in used}
    return AnswerPath.PATTERN if AnswerPath.PATTERN in paths else paths.pop()


def _attempt(call: _Call) -> Attempt:
    answer = call.answer
    return Attempt(
        prompt=call.question.prompt,
        path=call.reading.path,
        latency_s=call.latency_s,
        text=answer.text if answer else None,
        fault=call.reading.fault,
        message=call.message,
        prompt_tokens=answer.prompt_tokens if answer else None,
        output_tokens=answer.output_tokens if answer else None,
        stop=answer.stop if answer else None,
    )
