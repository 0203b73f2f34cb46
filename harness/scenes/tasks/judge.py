"""A second opinion on free text, from a language model: off unless someone asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from harness.errors import EvidenceError
from harness.scenes.tasks.controls import perfect
from harness.scenes.tasks.task import Question
from harness.statistics import Estimate, ratio_interval

__all__ = [
    "GRADES",
    "Judge",
    "RecordedJudge",
    "Verdict",
    "agreement",
    "judge_prompt",
    "judged",
    "parse_grade",
    "record",
]

GRADES = 4
"""Grades go from 0, all wrong, to this, all right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A judge's grade of one answer."""

    question: str
    """The key of the question."""
    answer: str
    grade: int | None
    """0 to GRADES; None if the judge's reply holds no grade."""
    reply: str
    """What the judge said, verbatim."""


class Judge(Protocol):
    """Whoever replies to `judge_prompt`."""

    name: str

    def reply(self, question: Question, answer: str) -> str:
        """What the judge says of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedJudge:
    """Repeats replies that were recorded, so that a verdict can be had again without the model."""

    name: str
    replies: Mapping[tuple[str, str], str]
    """By the key of the question and the answer."""

    def reply(self, question: Question, answer: str) -> str:
        """The recorded reply; raises EvidenceError if there is none to this answer."""
        try:
            return self.replies[question.key, answer]
        except KeyError:
            raise EvidenceError(f"judge {self.name}: no recorded reply to this answer to {question.key}") from None

    @classmethod
    def from_file(cls, path: Path) -> RecordedJudge:
        """Read what `record` wrote; raises EvidenceError that names the line at fault."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise EvidenceError(f"{path}: cannot be read: {error}") from error
        replies: dict[tuple[str, str], str] = {}
        for number, line in enumerate(lines, 1):
            try:
                verdict = msgspec.json.decode(line, type=Verdict)
            except msgspec.DecodeError as error:
                raise EvidenceError(f"{path}, line {number}: not a judge's verdict: {error}") from error
            replies[verdict.question, verdict.answer] = verdict.reply
        return cls(name=path.stem, replies=replies)


def judge_prompt(question: Question, answer: str) -> str:
    """What to ask a language model: it sees the truth and the answer, not the picture."""
    return (
        "A picture was described by someone who sees it rightly:\n"
        f"{perfect(question)}\n\nThe task was:\n{question.prompt}\n\nSomeone answered:\n{answer}\n\n"
        f"Grade the answer from 0 (all wrong, or says nothing) to {GRADES} (all right, and nothing of weight missing). "
        "Length and style do not count. Reply with 'grade: N' on the first line, and one line with the reason."
    )


def parse_grade(reply: str) -> int | None:
    """The grade in a judge's reply, from its first line that gives one; None if there is none."""
    for line in reply.casefold().splitlines():
        head, colon, rest = line.partition(":")
        number = rest.strip().split("/")[0].split(" ")[0].strip("*. ")
        if colon and head.strip("* ") == "grade" and number.isascii() and number.isdecimal() and len(number) < 3:
            return int(number) if int(number) <= GRADES else None
    return None


def judged(judge: Judge, answers: Sequence[tuple[Question, str]]) -> tuple[Verdict, ...]:
    """A judge's verdict on each answer."""
    found = []
    for question, answer in answers:
        reply = judge.reply(question, answer)
        found.append(Verdict(question=question.key, answer=answer, grade=parse_grade(reply), reply=reply))
    return tuple(found)


def record(verdicts: Sequence[Verdict], path: Path) -> None:
    """Write verdicts as JSON lines, for `RecordedJudge.from_file`; raises EvidenceError if that cannot be done."""
    rows = [{"question": v.question, "answer": v.answer, "grade": v.grade, "reply": v.reply} for v in verdicts]
    try:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    except OSError as error:
        raise EvidenceError(f"{path}: cannot be written: {error.strerror}") from error


def agreement(verdicts: Sequence[Verdict], right: Sequence[bool]) -> Estimate:
    """Share of graded answers of which the judge and the scorer think alike: a grade above the middle is right.

    One entry an answer, in the same order; raises ValueError if they are not equally many.
    """
    pairs = [(v.grade > GRADES / 2, r) for v, r in zip(verdicts, right, strict=True) if v.grade is not None]
    return ratio_interval([float(a == b) for a, b in pairs], [1.0] * len(pairs))
