"""The tasks: a perfect reader gets everything right, a blind one the prior, and each fault costs what it should."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein
from scipy.optimize import linear_sum_assignment

from harness.cells import Role
from harness.errors import EvidenceError, UnknownNameError
from harness.scenes import Figure, Kind, Picture, RelationKind, Scene, SceneObject, draw_figure, generate
from harness.scenes.results import TaskResult, above
from harness.scenes.tasks import TASKS, Judgement, Question, summarise, task
from harness.scenes.tasks.common_sense import chosen_option
from harness.scenes.tasks.controls import answered, blind_prior, enumerator, perfect
from harness.scenes.tasks.detecting import boxes_in, intersection_over_union, matching
from harness.scenes.tasks.judge import RecordedJudge, agreement, judge_prompt, judged, parse_grade, record
from harness.scenes.tasks.naming import colour_fits, name_of, right_kinds, wrong_kinds
from harness.scenes.tasks.reading import character_error_rate, transcription
from harness.scenes.vocabulary import Colour, Light, Pattern, Placement, Setting, Size, Stratum

few = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
SCENE_TASKS = [name for name, one in TASKS.items() if one.subject == "scene"]


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return [
        *(generate(21, i, side=224).scene for i in range(60)),
        *(draw_figure(21, i, side=224).figure for i in range(24)),
    ]


def thing(number: int, kind: str, colour: str, box: tuple[int, int, int, int], **more: object) -> SceneObject:
    fields: dict[str, object] = {
        **{
            "number": number,
            "kind": Kind(kind),
            "colour": Colour(colour),
            "pattern": Pattern.SOLID,
            "size": Size.MEDIUM,
        },
        **{"placement": Placement.GROUND, "extent": box, "box": box, "pixels": 900, "visible": 1.0, "base": box[3]},
        **more,
    }
    return SceneObject(**fields)  # type: ignore[arg-type]


@pytest.fixture
def scene() -> Scene:
    """A red cup left of a blue dog, behind a green cup; and a bird that is mostly hidden."""
    from harness.scenes.relations import relations

    objects = (
        thing(0, "cup", "red", (100, 500, 200, 600)),
        thing(1, "dog", "blue", (400, 500, 600, 620), pattern=Pattern.STRIPED),
        thing(2, "cup", "green", (700, 700, 800, 900)),
        thing(3, "bird", "pink", (820, 700, 860, 760), visible=0.2),
    )
    return Scene(
        version=1,
        seed=0,
        index=0,
        stratum=Stratum.EASY,
        setting=Setting.PARK,
        light=Light.DAY,
        width=1000,
        height=1000,
        objects=objects,
        relations=relations(objects, 1000),
    )


def score(name: str, scene: Scene, answer: str) -> Judgement:
    (question,) = TASKS[name].ask(scene)
    return TASKS[name].judge(question, answer)


def share(judgement: Judgement, metric: str) -> float:
    top, bottom = judgement.ratios[metric]
    return top / bottom


# --- controls ---


@pytest.mark.parametrize("name", list(TASKS))
def test_a_perfect_reader_scores_one_and_leaves_nothing_undecided(name: str, pictures: list[Picture]) -> None:
    questions = TASKS[name].questions(pictures)
    summary = answered(TASKS[name], questions, perfect)
    assert summary.metrics[TASKS[name].main].value == 1.0
    assert summary.undecided.value == 0.0
    for metric, found in TASKS[name].metrics.items():
        value = summary.metrics[metric].value
        if found.unit == "ratio" and value is not None:
            assert value == (0.0 if found.higher_is_better is False else 1.0), metric
    assert len({question.key for question in questions}) == len(questions)


@few
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_perfect_reader_scores_one_on_any_scene(seed: int, index: int) -> None:
    scene = generate(seed, index, side=224).scene
    for name in SCENE_TASKS:
        for question in TASKS[name].ask(scene):
            top, bottom = TASKS[name].judge(question, question.target).ratios[TASKS[name].main]
            assert top == bottom > 0, (question.key, question.target)


@pytest.mark.parametrize("name", list(TASKS))
def test_the_blind_prior_is_the_best_constant_and_far_from_perfect(name: str, pictures: list[Picture]) -> None:
    questions = TASKS[name].questions(pictures)
    prior = blind_prior(TASKS[name], questions)
    found = answered(TASKS[name], questions, prior.policy).metrics[TASKS[name].main].value
    assert found == pytest.approx(prior.fitted)
    assert 0.0 < prior.fitted < 0.7
    for constant in ("", "yes", questions[0].target):
        other = answered(TASKS[name], questions, lambda q, c=constant: c).metrics[TASKS[name].main].value  # type: ignore[misc]
        assert (other or 0.0) <= prior.fitted + 1e-9


def test_no_questions_have_no_blind_prior() -> None:
    with pytest.raises(ValueError, match="colour: no questions"):
        blind_prior(TASKS["colour"], [])


def test_naming_everything_misses_nothing_and_is_mostly_wrong(pictures: list[Picture]) -> None:
    for name in ("caption_brief", "objects_and_counts"):
        metrics = answered(TASKS[name], TASKS[name].questions(pictures), enumerator).metrics
        assert metrics["object_recall"].value == 1.0
        assert (metrics["object_precision"].value or 1.0) < 0.35
        assert (metrics["hallucination_rate"].value or 0.0) > 0.65


@pytest.mark.parametrize("name", list(TASKS))
@given(
    answer=st.one_of(st.text(max_size=120), st.sampled_from(["yes", "7", "red", "a cat left of a dog", "cup: 0 0 9 9"]))
)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_answer_has_a_score_between_nought_and_one(name: str, answer: str, pictures: list[Picture]) -> None:
    question = TASKS[name].questions(pictures[3::9])[0]
    judgement = TASKS[name].judge(question, answer)
    assert set(judgement.ratios) | set(judgement.values) <= set(TASKS[name].metrics)
    assert all(0 <= top <= bottom for top, bottom in judgement.ratios.values())
    assert 0 <= judgement.undecided[0] <= judgement.undecided[1]
    assert all(value >= 0 for value in judgement.values.values())


@pytest.mark.parametrize("name", [n for n in TASKS if n not in ("ocr",)])
def test_case_and_line_order_do_not_matter(name: str, pictures: list[Picture]) -> None:
    for question in TASKS[name].questions(pictures)[::7]:
        lines = question.target.upper().split("\n")
        judgement = TASKS[name].judge(question, "\n".join(reversed(lines)))
        assert share(judgement, TASKS[name].main) == 1.0, question.key


@pytest.mark.parametrize("name", list(TASKS))
def test_saying_nothing_is_worth_nothing_and_not_undecided(name: str, pictures: list[Picture]) -> None:
    summary = answered(TASKS[name], TASKS[name].questions(pictures), lambda _: " ")
    assert summary.metrics[TASKS[name].main].value == 0.0
    assert summary.undecided.n == 0


# --- objects, attributes, relations, setting ---


def test_hidden_objects_are_neither_missed_nor_hallucinated(scene: Scene) -> None:
    assert right_kinds(scene) == {Kind.CUP, Kind.DOG}
    assert Kind.BIRD not in wrong_kinds(scene)
    for text in ("Two cups and a dog.", "Two cups, a dog and a bird."):
        assert share(score("caption_brief", scene, text), "object_f1") == 1.0
    judgement = score("caption_brief", scene, "A cup and a cat, but no dog.")
    assert judgement.ratios["object_precision"] == (1, 2)
    assert judgement.ratios["object_recall"] == (1, 2)
    assert judgement.ratios["hallucination_rate"] == (1, 2)
    assert judgement.values["hallucinated_objects"] == 1


def test_counts(scene: Scene) -> None:
    judgement = score("objects_and_counts", scene, "cup: 3\ndog: 1")
    assert judgement.ratios["exact_count_rate"] == (1, 2)
    assert judgement.values["count_error"] == 0.5
    assert share(score("objects_and_counts", scene, "red cup: 1\ngreen cup: 1\ndog: 1"), "count_f1") == 1.0
    assert score("objects_and_counts", scene, "cups\ndog: 1").undecided == (1, 2)
    # saying a line again and again does not add up
    assert share(score("objects_and_counts", scene, "cup: 2\ndog: 1\ndog: 1\ndog: 1"), "count_f1") == 1.0


def test_attributes_must_be_bound_to_the_right_object(scene: Scene) -> None:
    right = "cup: red solid\ndog: blue striped\ncup: green solid"
    swapped = "cup: blue striped\ndog: red solid\ncup: green solid"
    assert share(score("attributes", scene, right), "attribute_f1") == 1.0
    judgement = score("attributes", scene, swapped)
    assert judgement.ratios["attribute_f1"] == (2, 6)
    assert judgement.ratios["misbinding_rate"] == (4, 6)
    assert (
        share(score("attributes", scene, right.replace("blue striped", "blue and white striped")), "attribute_f1")
        == 1.0
    )
    assert score("attributes", scene, right.replace("blue striped", "blue dotted")).ratios["attribute_f1"] == (4, 6)
    assert score("attributes", scene, right + "\nbird: pink solid").ratios["attribute_f1"] == (6, 6)
    assert score("attributes", scene, right + "\ncat: pink solid").ratios["attribute_f1"] == (6, 7)


@pytest.mark.parametrize(
    ("named", "colour", "pattern", "fits"),
    [
        ({"red"}, Colour.RED, Pattern.SOLID, True),
        ({"red", "white"}, Colour.RED, Pattern.STRIPED, True),
        ({"red", "white"}, Colour.RED, Pattern.SOLID, False),
        ({"white"}, Colour.RED, Pattern.STRIPED, False),
        ({"yellow", "black"}, Colour.YELLOW, Pattern.DOTTED, True),
        ({"white", "grey"}, Colour.WHITE, Pattern.CHECKED, True),
        (set(), Colour.WHITE, Pattern.CHECKED, None),
    ],
)
def test_colours_that_fit(named: set[str], colour: Colour, pattern: Pattern, fits: bool | None) -> None:
    assert colour_fits(named, colour, pattern) is fits


@pytest.mark.parametrize(
    ("text", "right", "wrong", "undecided"),
    [
        ("The red cup is left of the dog.", 1, 0, 0),
        ("The dog is left of the red cup.", 0, 1, 0),
        ("The dog is right of the red cup.", 1, 0, 0),
        ("The green cup is in front of the dog.", 1, 0, 0),
        ("The dog is in front of the red cup.", 0, 0, 1),  # hardly nearer
        ("The dog is inside the red cup.", 0, 1, 0),
        ("The cup is left of the dog.", 0, 0, 1),  # one is, one is not
        ("The cat is left of the dog.", 0, 1, 0),
        ("The red cup is next to the dog.", 0, 0, 1),
        ("red cup left of dog\nred cup left of dog", 1, 0, 0),
    ],
)
def test_relations(scene: Scene, text: str, right: int, wrong: int, undecided: int) -> None:
    judgement = score("spatial_relationships", scene, text)
    assert judgement.ratios["relation_accuracy"] == (right, right + wrong)
    assert judgement.undecided[0] == undecided


def test_the_same_pair_again_is_not_another_relation(scene: Scene) -> None:
    (question,) = TASKS["spatial_relationships"].ask(scene)
    once = score("spatial_relationships", scene, "red cup left of dog")
    again = score("spatial_relationships", scene, "red cup left of dog\ndog right of red cup")
    assert question.about == ("3",)
    assert once.ratios["relation_f1"] == again.ratios["relation_f1"] == (2, 4)


def test_names_fit_one_object_only(scene: Scene) -> None:
    assert [name_of(scene, one) for one in scene.objects] == ["red cup", "dog", "green cup", "bird"]
    same = replace(
        scene, objects=(scene.objects[0], scene.objects[1], replace(scene.objects[2], colour=Colour.RED)), relations=()
    )
    assert [name_of(same, one) for one in same.objects] == [None, "dog", None]


@pytest.mark.parametrize(
    ("text", "right", "undecided"),
    [
        ("setting: park\ntime: day", 2, 0),
        ("A sunny afternoon in a garden.", 2, 0),
        ("A street at night.", 0, 0),
        ("A street or a park by day.", 1, 1),
        ("Somewhere nice.", 0, 2),
    ],
)
def test_setting_and_light(scene: Scene, text: str, right: int, undecided: int) -> None:
    judgement = score("scene_context", scene, text)
    assert judgement.ratios["context_accuracy"] == (right, 2)
    assert judgement.undecided[0] == undecided


def test_what_the_setting_may_be_taken_for_is_no_hallucination(scene: Scene) -> None:
    at_desk = replace(scene, setting=Setting.DESK)
    assert share(score("caption_brief", at_desk, "Two cups and a dog on a table."), "object_f1") == 1.0
    assert share(score("caption_brief", scene, "Two cups and a dog on a table."), "object_f1") < 1.0


# --- boxes ---


@pytest.mark.parametrize(
    "text",
    [
        "cup: 100 500 200 600",
        "cup: 100, 500, 200, 600",
        "Cup [100, 500, 200, 600]",
        "a red cup (100,500),(200,600)",
        '```json\n[{"label": "cup", "bbox_2d": [100, 500, 200, 600]}]\n```',
        '[{"bbox_2d": [100, 500, 200, 600], "label": "cup"}]',
        "cup: 0.1 0.5 0.2 0.6",
        "<ref>cup</ref><box>100 500 200 600</box>",
        "cup: x1=100, y1=500, x2=200, y2=600",
    ],
)
def test_boxes_in_many_forms(text: str) -> None:
    (box,) = boxes_in(text)
    assert (box.kind, [round(v, 6) for v in box.corners]) == (Kind.CUP, [100, 500, 200, 600])


def test_boxes_in_a_list_keep_their_labels() -> None:
    text = '[{"bbox": [1, 2, 3, 4], "label": "cup"}, {"bbox": [5, 6, 7, 8], "label": "dog"}]'
    assert [box.kind for box in boxes_in(text)] == [Kind.CUP, Kind.DOG]
    assert [box.kind for box in boxes_in("cup: 1 2 3 4\ndog: 5 6 7 8")] == [Kind.CUP, Kind.DOG]


def test_boxes_are_scored_by_overlap_and_kind(scene: Scene) -> None:
    (question,) = TASKS["detection"].ask(scene)
    assert set(question.target.split("\n")) == {"cup: 100 500 200 600", "dog: 400 500 600 620", "cup: 700 700 800 900"}
    assert score("detection", scene, "dog: 410 500 600 620\ncup: 0 0 50 50").ratios["box_f1"] == (2, 5)
    assert score("detection", scene, "cat: 400 500 600 620").ratios["box_f1"] == (0, 4)
    assert score("detection", scene, question.target + "\nbird: 820 700 860 760").ratios["box_f1"] == (6, 6)
    assert score("detection", scene, question.target + "\ndog: 400 500 600 620").ratios["box_f1"] == (6, 7)
    assert score("detection", scene, "dog: 600 620 400 500").ratios["box_f1"] == (0, 4)


overlaps = st.integers(1, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]), min_size=n, max_size=n), min_size=1, max_size=5
    )
)


@given(overlaps)
@settings(deadline=None)
def test_matching_pairs_as_many_as_an_assignment_does(table: list[list[float]]) -> None:
    pairs = matching(table)
    assert all(table[row][column] >= 0.5 for row, column in pairs.items())
    assert len(set(pairs.values())) == len(pairs)
    allowed = np.array([[float(v >= 0.5) for v in row] for row in table])
    best = allowed[linear_sum_assignment(allowed, maximize=True)].sum()
    assert len(pairs) == best


box = st.tuples(*(st.integers(0, 12) for _ in range(4))).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@given(box, box)
@settings(deadline=None)
def test_intersection_over_union_is_that_of_cells(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    cells = [{(x, y) for x in range(c[0], c[2]) for y in range(c[1], c[3])} for c in (a, b)]
    union = len(cells[0] | cells[1])
    expected = len(cells[0] & cells[1]) / union if union else 0.0
    assert intersection_over_union(a, b) == pytest.approx(expected)  # type: ignore[arg-type]


# --- short answers ---


def closed(name: str, target: str, about: tuple[str, ...], scene: Scene, options: tuple[str, ...] = ()) -> Question:
    return Question(task=name, picture=scene, number=0, prompt="", target=target, about=about, options=options)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("2", True),
        ("Two.", True),
        ("There are two cups and one dog.", True),
        ("cups: 2", True),
        ("3", False),
        ("No cups", False),
        ("None", False),
        ("2 or 3", None),
        ("Many.", None),
    ],
)
def test_counting_answers(scene: Scene, answer: str, verdict: bool | None) -> None:
    judgement = TASKS["counting"].judge(closed("counting", "2", ("cup",), scene), answer)
    assert judgement.ratios["accuracy"] == (verdict is True, 1)
    assert judgement.ratios["accuracy_if_decided"] == (verdict is True, verdict is not None)
    assert judgement.undecided == (verdict is None, 1)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("blue", True),
        ("It is BLUE and white.", True),
        ("red", False),
        ("blue or red", None),
        ("not red, blue", True),
        ("?", None),
    ],
)
def test_colour_answers(scene: Scene, answer: str, verdict: bool | None) -> None:
    judgement = TASKS["colour"].judge(closed("colour", "blue", ("1",), scene), answer)
    assert judgement.ratios["accuracy_if_decided"] == (verdict is True, verdict is not None)


@pytest.mark.parametrize(
    ("options", "answer", "chosen"),
    [
        (("yes", "no"), "Yes, there is.", "yes"),
        (("yes", "no"), "No.", "no"),
        (("yes", "no"), "Perhaps", None),
        (("red cup", "dog"), "the red cup", "red cup"),
        (("red cup", "dog"), "The cup.", "red cup"),
        (("red cup", "dog"), "the cup, not the dog", "red cup"),
        (("red cup", "dog"), "the dog or the cup", None),
        (("red cup", "green cup"), "The green one is nearer: the green cup", "green cup"),
        (("red cup", "green cup"), "the cup", None),
        (("red cup", "green cup"), "a blue cup", None),
    ],
)
def test_options(options: tuple[str, ...], answer: str, chosen: str | None) -> None:
    assert chosen_option(options, answer) == chosen


def test_common_sense_follows_from_the_scene(pictures: list[Picture]) -> None:
    asked = {about for q in TASKS["common_sense"].questions(pictures) for about in q.about}
    assert asked == {"nearer", "larger", "falls", "holder", "light", "more", "useful"}
    questions = TASKS["common_sense"].questions(pictures)
    assert all(question.target in question.options for question in questions)
    first = np.mean([question.target == question.options[0] for question in questions])
    assert 0.35 < first < 0.65
    nearer = [q for q in questions if q.about == ("nearer",) and isinstance(q.picture, Scene)]
    for question in nearer:
        assert isinstance(question.picture, Scene)
        by_name = {name_of(question.picture, one): one for one in question.picture.objects}
        a, b = (by_name[option].base for option in question.options)
        assert question.target == question.options[0 if (a or 0) > (b or 0) else 1]


# --- reading ---


@given(st.text("ABC 12", min_size=1, max_size=8), st.text("ABC 12", max_size=12))
@settings(deadline=None)
def test_character_error_rate_is_the_textbook_recurrence(truth: str, given_text: str) -> None:
    row = list(range(len(given_text) + 1))
    for i, a in enumerate(truth, 1):
        row, before = [i], row
        for j, b in enumerate(given_text, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b)))
    assert character_error_rate(truth, given_text) == pytest.approx(row[-1] / len(truth))
    assert row[-1] == Levenshtein.distance(truth, given_text)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("EXIT 12", "EXIT 12"),
        ("EXIT\n12", "EXIT 12"),
        ('The sign says "EXIT 12".', "EXIT 12"),
        ("The sign reads: EXIT 12.", "EXIT 12"),
        ("Sign: EXIT 12", "EXIT 12"),
        ("`EXIT 12`", "EXIT 12"),
    ],
)
def test_transcriptions(answer: str, text: str) -> None:
    assert transcription(answer) == text


@pytest.mark.parametrize(
    ("target", "answer", "verdict"),
    [
        ("42", "42", True),
        ("42", "The result is 42.", True),
        ("42", "12 + 30 = 42", True),
        ("42", "12 + 30 = 41", False),
        ("42", "forty", None),
        ("42", "42.5", None),
        ("-3", "−3", True),
        ("Ben", "ben", True),
        ("Ben", "The tallest bar is Ben.", True),
        ("Ben", "Ada", False),
        ("Ben", "Ada or Ben", None),
    ],
)
def test_figure_answers(target: str, answer: str, verdict: bool | None) -> None:
    figure = draw_figure(1, 0, side=224).figure
    figure = replace(figure, lines=("Points", "Ada", "Ben"), question="Which bar is the tallest?", answer=target)
    assert isinstance(figure, Figure)
    (question,) = TASKS["reading"].ask(figure)
    judgement = TASKS["reading"].judge(question, answer)
    assert judgement.ratios["accuracy_if_decided"] == (verdict is True, verdict is not None)


# --- numbers over many answers ---


def test_a_summary_counts_by_picture(scene: Scene) -> None:
    one = TASKS["colour"]
    questions = [closed("colour", "blue", ("1",), scene), closed("colour", "red", ("0",), scene)]
    other = [replace(q, picture=replace(scene, index=1)) for q in questions]
    answers = ["blue", "red", "blue", "green"]
    summary = summarise(one, [one.judge(q, a) for q, a in zip([*questions, *other], answers, strict=True)])
    accuracy = summary.metrics["accuracy"]
    assert (accuracy.value, accuracy.n, summary.questions, summary.pictures) == (0.75, 2, 4, 2)
    assert accuracy.low is not None
    assert accuracy.low < 0.75
    assert summary.words.value == 1.0
    assert summary.characters.value == pytest.approx(4.0)


def test_a_mean_error_is_not_said_to_lie_below_nought(scene: Scene) -> None:
    right, wrong = "cup: 2\ndog: 1", "cup: 3\ndog: 1"
    pictures = [replace(scene, index=i) for i in range(3)]
    judgements = [score("objects_and_counts", p, a) for p, a in zip(pictures, (right, right, wrong), strict=True)]
    error = summarise(TASKS["objects_and_counts"], judgements).metrics["count_error"]
    assert (error.value, error.low, error.n) == (pytest.approx(1 / 6), 0.0, 3)


@pytest.mark.parametrize("constant", ["0", "1", "2"])
def test_leaving_out_what_another_answer_is_right_for_is_not_looking(pictures: list[Picture], constant: str) -> None:
    one = TASKS["counting"]
    questions = {q.key: q for q in one.questions(pictures)}

    def result(answers: dict[str, str], cell: str = "m") -> TaskResult:
        judgements = {key: one.judge(questions[key], text) for key, text in answers.items()}
        return TaskResult(
            cell=cell, role=Role.CANDIDATE, task=one, questions=questions, readings={}, judgements=judgements, loads=[]
        )

    prior = result({key: blind_prior(one, list(questions.values())).policy(q) for key, q in questions.items()}, "prior")
    some = {key: constant for i, (key, q) in enumerate(questions.items()) if q.target == constant or i % 40 == 0}
    assert result(some).main.low > prior.main.high, "as it seems beside all questions"
    assert above(result(some), prior) is False
    assert above(result({key: q.target for i, (key, q) in enumerate(questions.items()) if i % 2}), prior) is True
    assert above(prior, prior) is False
    assert above(result({}), prior) is None


def test_length_is_no_quality(scene: Scene) -> None:
    short, padded = "Two cups and a dog.", "Two cups and a dog. " + "The scene is calm and inviting. " * 20
    a, b = score("caption_brief", scene, short), score("caption_brief", scene, padded)
    assert a.ratios == b.ratios
    assert (summarise(TASKS["caption_brief"], [b]).words.value or 0) > 100


def test_an_unknown_task_is_named() -> None:
    assert task("ocr") is TASKS["ocr"]
    with pytest.raises(UnknownNameError, match="did you mean colour"):
        task("color")


def test_prompts_say_their_format_and_figures_belong_to_reading_only(pictures: list[Picture]) -> None:
    for name, one in TASKS.items():
        for question in one.questions(pictures):
            assert question.task == name
            assert 20 < len(question.prompt) < 500
            assert isinstance(question.picture, Figure) == (name == "reading")
        assert one.main in one.metrics


def test_relation_truth_is_antisymmetric(scene: Scene) -> None:
    for a, b in permutations(range(3), 2):
        for kind in RelationKind:
            assert not (scene.related(a, kind, b) and scene.related(b, kind, a))


# --- a second opinion ---


class LengthJudge:
    """Takes what is long for good: the fault that truth is there to show."""

    name = "length"

    def reply(self, question: Question, answer: str) -> str:
        return f"Grade: {min(4, len(answer.split()) // 5)}\nIt is so long."


def test_a_judge_is_recorded_and_repeated(scene: Scene, tmp_path: Path) -> None:
    (question,) = TASKS["caption_brief"].ask(scene)
    answers = [(question, "Two cups and a dog."), (question, "A cat " * 20)]
    verdicts = judged(LengthJudge(), answers)
    assert [verdict.grade for verdict in verdicts] == [1, 4]
    record(verdicts, tmp_path / "length.jsonl")
    recorded = RecordedJudge.from_file(tmp_path / "length.jsonl")
    assert judged(recorded, answers) == verdicts
    with pytest.raises(EvidenceError, match=r"no recorded reply .* caption_brief/scene-0000.webp/0"):
        recorded.reply(question, "something else")
    right = [share(TASKS["caption_brief"].judge(q, a), "object_f1") > 0.5 for q, a in answers]
    assert agreement(verdicts, right).value == 0.0
    assert question.target in judge_prompt(question, "A cat")


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("grade: 3", 3),
        ("**Grade**: 4/4\nGood.", 4),
        ("Well.\ngrade: 0 because", 0),
        ("grade: 9", None),
        ("good", None),
        ("", None),
    ],
)
def test_grades(reply: str, grade: int | None) -> None:
    assert parse_grade(reply) == grade


def test_a_file_that_is_no_record_of_a_judge_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "judge.jsonl"
    with pytest.raises(EvidenceError, match="cannot be read"):
        RecordedJudge.from_file(path)
    path.write_text(json.dumps({"question": "q"}) + "\n")
    with pytest.raises(EvidenceError, match="line 1: not a judge's verdict"):
        RecordedJudge.from_file(path)
