"""Is a picture understood? Eleven tasks whose true answers are known, beside what can be said without looking."""

import pytest

from fixtures.picture_tasks import above_gate, answered_gate, main_gate, same_gate
from harness.scenes.results import BLIND_PRIOR, ENUMERATOR, PERFECT
from harness.scenes.tasks import CAPTION
from harness.scenes.tasks.controls import answered


def test_task(picture_task, check):
    """The task's main metric is high enough."""
    check(picture_task, main_gate(picture_task))


def test_above_blind_prior(picture_task, check):
    """It takes looking to answer so well."""
    check(picture_task, above_gate(picture_task))


def test_every_question_has_an_answer(picture_task, check):
    """No question ends in a crash, a timeout, an out-of-memory or an error."""
    check(picture_task, answered_gate(picture_task))


def test_repeat(picture_repeat, check):
    """Asked once more, a model loaded anew says the same."""
    again, first = picture_repeat
    check(again, same_gate(again, first))


def test_perfect_reader(pictures, task_name):
    """A reader that knows the truth is always right."""
    found = pictures.control(PERFECT, task_name)
    assert found.judgements or not found.questions
    assert found.main.value in (1.0, None)  # None: no picture of this sample has such a question


def test_blind_prior(pictures, task_name):
    """The best constant answer scores in the evidence what it scores when it is worked out."""
    found = pictures.control(BLIND_PRIOR, task_name)
    expected = answered(found.task, list(found.questions.values()), pictures.policy(BLIND_PRIOR, task_name))
    assert found.main == expected.metrics[found.task.main]
    assert found.main.value is None or found.main.value < 1


def test_enumerator(pictures):
    """Naming everything in a caption misses nothing and is mostly wrong: precision must see it."""
    if CAPTION.name not in pictures.options.tasks:
        pytest.skip(f"{CAPTION.name} is left out by --eval-tasks")
    metrics = pictures.control(ENUMERATOR, CAPTION.name).summary.metrics
    assert metrics["object_recall"].value == 1.0
    assert metrics["object_precision"].value < 0.5
