"""What is asked about scenes and figures, and how answers are judged: see `TASKS`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.errors import unknown_name
from harness.scenes.tasks.closed import COLOUR, COUNTING
from harness.scenes.tasks.common_sense import COMMON_SENSE
from harness.scenes.tasks.context import CONTEXT
from harness.scenes.tasks.describing import ATTRIBUTES, CAPTION, OBJECTS
from harness.scenes.tasks.detecting import DETECTION
from harness.scenes.tasks.reading import OCR, READING
from harness.scenes.tasks.relating import SPATIAL
from harness.scenes.tasks.task import Judgement, Question, Subject, Summary, Task, TextFacts, summarise, text_facts

__all__ = [
    "CAPTION",
    "TASKS",
    "Judgement",
    "Question",
    "Subject",
    "Summary",
    "Task",
    "TextFacts",
    "summarise",
    "task",
    "text_facts",
]

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        one.name: one
        for one in (
            *(CAPTION, OBJECTS, ATTRIBUTES, SPATIAL, CONTEXT),
            *(DETECTION, COUNTING, COLOUR, OCR, READING, COMMON_SENSE),
        )
    }
)
"""All tasks, by name."""


def task(name: str) -> Task:
    """Return the task called `name`; raises UnknownNameError."""
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
