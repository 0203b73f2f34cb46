"""Reading: the text of signs, and what charts, flows, calculations and code come to."""

from __future__ import annotations

import re

from rapidfuzz.distance import Levenshtein

from harness.scenes.model import Figure, Picture, Scene
from harness.scenes.tasks.reading_text import MAX_CHARACTERS, read
from harness.scenes.tasks.task import Judgement, Question, Subject, Task, metric
from harness.scenes.vocabulary import FigureKind, Kind

__all__ = ["OCR", "READING", "character_error_rate", "transcription"]

_LEGIBLE = 0.99
_QUOTED = re.compile(r"[\"“”`]([^\"“”`]+)[\"“”`]|'([^']+)'")
_LEAD = re.compile(r"^(?:the |this )?(?:sign|text|board|it)?\s*(?:says|reads|is|shows)?\s*:?\s+", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])[-−]?\d{1,12}(?:\.0+)?(?![\w.]*\d)")
_RESULT = re.compile(r"(?:=|\bis|\bare|answer:?|prints:?|result:?)\s*\**\s*([-−]?\d{1,12})(?![\w.]*\d)", re.IGNORECASE)


def character_error_rate(truth: str, given: str) -> float:
    """Edits (Levenshtein) that turn `given` into `truth`, over the characters of `truth`; may exceed 1."""
    return Levenshtein.distance(truth, given) / len(truth)


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def transcription(answer: str) -> str:
    """What an answer says is written: what it quotes, or all of it but for `The sign says`; spaces squeezed."""
    answer = answer[:MAX_CHARACTERS].strip()
    quoted = [a or b for a, b in _QUOTED.findall(answer)]
    if quoted:
        return _squeezed(" ".join(quoted))
    lead = _LEAD.match(answer)
    if lead and re.search(r"says|reads|shows|:|is\s", lead[0], re.IGNORECASE) and lead.end() < len(answer):
        answer = answer[lead.end() :].removesuffix(".")
    return _squeezed(answer)


def _ask_ocr(picture: Picture) -> tuple[Question, ...]:
    if not isinstance(picture, Scene):
        return ()
    signs = [one for one in picture.judged if one.kind is Kind.SIGN and one.text]
    if len(signs) != 1 or signs[0].visible < _LEGIBLE:
        return ()
    prompt = "What is written on the sign? Answer with its text only, line by line."
    return (Question(task="ocr", picture=picture, number=0, prompt=prompt, target=signs[0].text or ""),)


def _judge_ocr(question: Question, answer: str) -> Judgement:
    truth, given = _squeezed(question.target), transcription(answer)
    distance, longest = Levenshtein.distance(truth, given), max(len(truth), len(given))
    return Judgement(
        question=question,
        answer=answer,
        ratios={"character_accuracy": (longest - distance, longest), "exact_match": (truth == given, 1)},
        values={"character_error_rate": character_error_rate(truth, given)},
        undecided=(0, int(bool(answer.strip()))),
    )


OCR = Task(
    name="ocr",
    purpose="the text of a sign",
    subject=Subject.SCENE,
    main="character_accuracy",
    metrics={
        "character_accuracy": metric("1 - edits / characters of the longer of truth and answer"),
        "exact_match": metric("share of signs read without a mistake, case and all"),
        "character_error_rate": metric("edits / characters of the truth; above 1 for what says too much", False),
    },
    ask=_ask_ocr,
    judge=_judge_ocr,
)


def _ask_figure(picture: Picture) -> tuple[Question, ...]:
    if not isinstance(picture, Figure):
        return ()
    return (
        Question(
            task="reading",
            picture=picture,
            number=0,
            prompt=picture.question,
            target=picture.answer,
            about=(picture.kind.value,),
        ),
    )


def _number_given(answer: str) -> int | None:
    """The one number in an answer, or the last that it calls the result."""
    plain = answer[:MAX_CHARACTERS].replace("−", "-")
    numbers = {int(float(n)) for n in _NUMBER.findall(plain)}
    if len(numbers) == 1:
        return numbers.pop()
    results = _RESULT.findall(plain)
    if results:
        return int(results[-1])
    said = set(read(answer).numbers) if not numbers else set()
    return said.pop() if len(said) == 1 else None


def _word_given(question: Question, answer: str) -> str | None:
    """The one name of the figure that an answer gives, those of the question aside."""
    figure = question.picture
    if not isinstance(figure, Figure):
        return None
    said = set(re.findall(r"\w+", answer[:MAX_CHARACTERS].casefold()))
    if figure.kind is FigureKind.CODE:
        return next(iter(said)) if len(said) == 1 else None if question.target.casefold() in said else ""
    names = {line.casefold() for line in figure.lines if re.fullmatch(r"[A-Za-z]+", line)}
    asked = set(re.findall(r"\w+", question.prompt.casefold())) - {question.target.casefold()}
    found = (said & names) - asked or (said & names)
    if not found:
        return "" if len(said) == 1 else None
    return found.pop() if len(found) == 1 else None


def _judge_figure(question: Question, answer: str) -> Judgement:
    said = bool(answer.strip())
    if re.fullmatch(r"-?\d+", question.target):
        given: str | None = None if (number := _number_given(answer)) is None else str(number)
    else:
        given = _word_given(question, answer)
    right = given is not None and given == question.target.casefold()
    kind = f"{question.about[0]}_accuracy"
    return Judgement(
        question=question,
        answer=answer,
        ratios={"accuracy": (right, 1), "accuracy_if_decided": (right, given is not None), kind: (right, 1)},
        undecided=(said and given is None, said),
    )


READING = Task(
    name="reading",
    purpose="what a chart, a flow, a calculation or a program says",
    subject=Subject.FIGURE,
    main="accuracy",
    metrics={
        "accuracy": metric("share of figures read rightly; an answer that cannot be decided is not right"),
        "accuracy_if_decided": metric("share of the answers that can be decided which are right"),
        **{
            f"{kind}_accuracy": metric(f"share of the questions about a figure of kind {kind} answered rightly")
            for kind in FigureKind
        },
    },
    ask=_ask_figure,
    judge=_judge_figure,
)
