"""Pictures and questions as evidence, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from harness.errors import CorpusError
from harness.evidence import PictureRecord, PictureSetRecord, QuestionRecord
from harness.scenes.folder import SceneFolder
from harness.scenes.model import Picture, from_json, to_json
from harness.scenes.tasks.task import Question

__all__ = ["picture_of", "picture_record", "picture_set_record", "question_of", "question_record"]


def picture_set_record(folder: SceneFolder, pictures: Sequence[Picture], tasks: Sequence[str]) -> PictureSetRecord:
    """What is asked of which pictures of a folder."""
    versions = {picture.version for picture in folder.pictures}
    return PictureSetRecord(
        name=folder.root.name,
        identity=folder.identity,
        generator=versions.pop() if len(versions) == 1 else None,
        whole=len(folder.pictures),
        pictures=[picture.name for picture in pictures],
        tasks=list(tasks),
    )


def picture_record(picture: Picture) -> PictureRecord:
    """A picture with its truth."""
    return PictureRecord(picture=picture.name, stratum=picture.stratum.value, truth=json.loads(to_json(picture)))


def picture_of(record: PictureRecord) -> Picture:
    """The picture of a record. Raises CorpusError if its truth cannot be read."""
    return from_json(json.dumps(record.truth), where=record.picture)


def question_record(question: Question) -> QuestionRecord:
    """A question with its true answer."""
    return QuestionRecord(
        question=question.key,
        task=question.task,
        picture=question.picture.name,
        number=question.number,
        prompt=question.prompt,
        target=question.target,
        options=list(question.options),
        about=list(question.about),
    )


def question_of(record: QuestionRecord, pictures: Mapping[str, Picture]) -> Question:
    """The question of a record. Raises CorpusError without its picture."""
    if record.picture not in pictures:
        raise CorpusError(f"{record.question}: the truth of {record.picture} is not here")
    return Question(
        task=record.task,
        picture=pictures[record.picture],
        number=record.number,
        prompt=record.prompt,
        target=record.target,
        options=tuple(record.options),
        about=tuple(record.about),
    )
