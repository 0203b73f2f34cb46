"""Where a scene is, and at what time of day."""

from __future__ import annotations

from harness.scenes.model import Picture, Scene
from harness.scenes.tasks.reading_text import read
from harness.scenes.tasks.task import Judgement, Question, Subject, Task, metric, scene_of
from harness.scenes.vocabulary import Setting

__all__ = ["CONTEXT"]


def _ask_context(picture: Picture) -> tuple[Question, ...]:
    if not isinstance(picture, Scene):
        return ()
    settings = ", ".join(setting.value for setting in Setting)
    prompt = f"Where is this, and at what time of day? Answer in the format 'setting: name', with one of {settings}"
    target = f"setting: {picture.setting}"
    if picture.light is not None:
        prompt += ", and on a second line 'time: day', 'time: sunset' or 'time: night'"
        target += f"\ntime: {picture.light}"
    return (Question(task="scene_context", picture=picture, number=0, prompt=prompt + ".", target=target),)


def _judge_context(question: Question, answer: str) -> Judgement:
    scene, said = scene_of(question), read(answer)
    settings, lights = set(said.settings), set(said.lights)
    place, time = settings == {scene.setting}, lights == {scene.light}
    asked = 1 if scene.light is None else 2
    open_place = bool(answer.strip()) and (not settings or (len(settings) > 1 and scene.setting in settings))
    open_time = bool(answer.strip()) and asked == 2 and (not lights or (len(lights) > 1 and scene.light in lights))
    return Judgement(
        question=question,
        answer=answer,
        ratios={
            "context_accuracy": (place + (time and asked == 2), asked),
            "setting_accuracy": (place, 1),
            "light_accuracy": (time and asked == 2, asked - 1),
        },
        undecided=(open_place + open_time, asked if answer.strip() else 0),
    )


CONTEXT = Task(
    name="scene_context",
    purpose="where it is, and the time of day",
    subject=Subject.SCENE,
    main="context_accuracy",
    metrics={
        "context_accuracy": metric(
            "settings and times of day named rightly, of those asked; naming several is not right"
        ),
        "setting_accuracy": metric("share of pictures whose setting is named, and no other"),
        "light_accuracy": metric("share of pictures that show the time of day for which it is named, and no other"),
    },
    ask=_ask_context,
    judge=_judge_context,
)
