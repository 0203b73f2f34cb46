"""The generator of scenes: its truth is what the pixels show, and the same every time."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import replace
from io import BytesIO, StringIO
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from harness.errors import CorpusError
from harness.scenes import (
    Colour,
    DrawnScene,
    Figure,
    FigureKind,
    Kind,
    Light,
    Pattern,
    Placement,
    RelationKind,
    Scene,
    SceneObject,
    Setting,
    Stratum,
    draw_figure,
    figure_plan,
    from_json,
    generate,
    load_scenes,
    plan,
    to_json,
)
from harness.scenes.__main__ import main
from harness.scenes.difficulty import difficulty
from harness.scenes.drawing.kinds import ART
from harness.scenes.drawing.palette import COLOURS, distance, second_colour
from harness.scenes.generator import encoded
from harness.scenes.model import JUDGED_FROM
from harness.scenes.relations import MARGIN
from harness.scenes.training import COLOUR_CLASSES, KIND_CLASSES, examples, patch_labels

BUNDLED = Path(__file__).parents[1] / "fixtures" / "scenes"
few = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
drawn_scenes = st.builds(
    generate, st.integers(-(10**6), 10**6), st.integers(0, 10**6), side=st.sampled_from((224, 448))
)


@pytest.fixture(scope="module")
def series() -> list[DrawnScene]:
    return [generate(11, index) for index in range(72)]


def mask(drawn: DrawnScene, one: SceneObject) -> NDArray[np.bool_]:
    return drawn.owners == one.number + 1


def bounds(shown: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(shown)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


# --- truth is what the pixels show ---


@few
@given(drawn_scenes)
def test_boxes_pixels_and_counts_are_those_of_the_masks(drawn: DrawnScene) -> None:
    scene = drawn.scene
    assert set(np.unique(drawn.owners).tolist()) - {0} == {o.number + 1 for o in scene.objects if o.box is not None}
    for one in scene.objects:
        shown = mask(drawn, one)
        assert int(shown.sum()) == one.pixels
        if one.box is not None:
            assert bounds(shown) == one.box
            slack = 4  # the outline
            assert all(a >= b - slack for a, b in zip(one.box[:2], one.extent[:2], strict=True))
            assert all(a <= b + slack for a, b in zip(one.box[2:], one.extent[2:], strict=True))
        assert one.judged == (one.box is not None and one.visible >= JUDGED_FROM)
    seen = Counter(one.kind for one in scene.objects if one.box is not None)
    assert {kind: most for kind, (_, most) in scene.counts().items()} == seen


@few
@given(drawn_scenes)
def test_relations_agree_with_the_masks(drawn: DrawnScene) -> None:
    scene = drawn.scene
    assert len(set(scene.relations)) == len(scene.relations)
    for subject, kind, target in scene.relations:
        a, b = scene.objects[subject], scene.objects[target]
        assert a.judged
        assert b.judged
        assert (target, kind, subject) not in scene.relations
        assert scene.related(subject, kind, target) is True
        assert scene.related(target, kind, subject) is False
        left, top, right, bottom = bounds(mask(drawn, a))
        other = bounds(mask(drawn, b))
        if kind is RelationKind.LEFT_OF:
            assert other[0] - right >= MARGIN * scene.width
        elif kind is RelationKind.ABOVE:
            assert top < other[1]
            assert a.placement is Placement.ON or other[1] - bottom >= MARGIN * scene.height
        elif kind is RelationKind.IN_FRONT_OF:
            assert a.base is not None
            assert b.base is not None
            assert a.base > b.base
        elif kind is RelationKind.INSIDE:
            assert b.kind in (Kind.BASKET, Kind.BOWL)
            assert b.extent[0] <= left < right <= b.extent[2]
            assert a.visible < 1.0 <= b.visible + 1.0  # its lower part is behind the front of what holds it
        else:
            assert b.kind in (Kind.BOX, Kind.CHAIR, Kind.TABLE)
            assert b.extent[1] <= a.extent[3] <= b.extent[3]


@few
@given(drawn_scenes)
def test_what_is_nearest_is_hidden_by_nothing(drawn: DrawnScene) -> None:
    standing = [one for one in drawn.scene.objects if one.base is not None and one.holder is None]
    holders = {one.holder for one in drawn.scene.objects}
    if standing:
        nearest = max(standing, key=lambda one: (one.base, one.number))
        assert nearest.visible == 1.0 or nearest.number in holders


@few
@given(drawn_scenes)
def test_truth_survives_json(drawn: DrawnScene) -> None:
    again = from_json(to_json(drawn.scene))
    assert again == drawn.scene
    assert to_json(again) == to_json(drawn.scene)


def test_the_colour_of_an_object_is_what_most_of_it_looks_like(series: list[DrawnScene]) -> None:
    names, palette = list(COLOURS), np.array(list(COLOURS.values()), dtype=float)
    for drawn in series:
        pixels = np.asarray(drawn.image, dtype=float)
        for one in drawn.scene.judged:
            own = pixels[mask(drawn, one)]
            nearest = np.bincount(((own[:, None] - palette) ** 2).sum(axis=2).argmin(axis=1), minlength=len(names))
            order = [names[i] for i in nearest.argsort()[::-1]]
            # a pattern adds a second colour; details are white, grey or dark
            dressing = {second_colour(one.colour), Colour.WHITE, Colour.BLACK, Colour.BROWN}
            first = next(colour for colour in order if colour is one.colour or colour not in dressing)
            assert first is one.colour, f"{drawn.scene.name}: {one.pattern} {one.colour} {one.kind} looks {order[:3]}"


def test_objects_stand_out_from_what_is_behind_them(series: list[DrawnScene]) -> None:
    """Around each object there is a rim of other colours than its own."""
    for drawn in series:
        pixels = np.asarray(drawn.image)
        for one in drawn.scene.judged:
            left, top, right, bottom = one.box or (0, 0, 0, 0)
            around = drawn.owners[max(0, top - 4) : bottom + 4, max(0, left - 4) : right + 4] == 0
            rim = pixels[max(0, top - 4) : bottom + 4, max(0, left - 4) : right + 4][around]
            if len(rim) > 100:
                near = [distance(tuple(map(int, p)), COLOURS[one.colour]) < 60 for p in rim[::7]]
                assert np.mean(near) < 0.4, f"{drawn.scene.name}: {one.colour} {one.kind}"


def test_no_two_colours_look_alike() -> None:
    for a, first in COLOURS.items():
        for b, second in COLOURS.items():
            assert a is b or distance(first, second) > 100


# --- series ---


def test_the_same_arguments_give_the_same_picture_and_others_another() -> None:
    first, again, other = generate(5, 8), generate(5, 8), generate(6, 8)
    assert first.scene == again.scene
    assert first.image.tobytes() == again.image.tobytes()
    assert first.image.tobytes() != other.image.tobytes()
    assert draw_figure(5, 3).figure == draw_figure(5, 3).figure
    assert draw_figure(5, 3).image.tobytes() == draw_figure(5, 3).image.tobytes()


def test_files_hold_the_pixels_that_were_drawn() -> None:
    drawn = generate(5, 9)
    assert Image.open(BytesIO(encoded(drawn.image))).convert("RGB").tobytes() == drawn.image.tobytes()


def test_strata_and_settings_are_balanced() -> None:
    assert set(Counter(plan(i) for i in range(36)).values()) == {2}
    assert set(Counter(figure_plan(i) for i in range(24)).values()) == {2}


def test_everything_there_is_gets_drawn(series: list[DrawnScene]) -> None:
    scenes = [drawn.scene for drawn in series]
    objects = [one for scene in scenes for one in scene.objects]
    assert {one.kind for one in objects} == set(Kind)
    assert {one.colour for one in objects} == set(Colour)
    assert {one.pattern for one in objects} == set(Pattern)
    assert {one.placement for one in objects} == set(Placement)
    assert {scene.light for scene in scenes} == {*Light, None}
    assert {relation.kind for scene in scenes for relation in scene.relations} == set(RelationKind)
    assert set(ART) == set(Kind)


def test_strata_get_harder(series: list[DrawnScene]) -> None:
    by_stratum = {stratum: [d.scene for d in series if d.scene.stratum is stratum] for stratum in Stratum}
    for stratum, scenes in by_stratum.items():
        low, high = difficulty(stratum).objects
        assert all(2 <= len(scene.objects) <= high for scene in scenes)
        assert np.mean([len(scene.objects) >= low for scene in scenes]) > 0.9
    means = [np.mean([len(scene.objects) for scene in by_stratum[stratum]]) for stratum in Stratum]
    assert means[0] < means[1] < means[2] <= 12
    holders = {(id(scene), o.holder) for scene in by_stratum[Stratum.EASY] for o in scene.objects}
    free = [o for scene in by_stratum[Stratum.EASY] for o in scene.objects if (id(scene), o.number) not in holders]
    assert all(one.visible == 1.0 for one in free if one.placement is not Placement.INSIDE)
    covered = [o.visible < 0.9 for scene in by_stratum[Stratum.HARD] for o in scene.objects if o.holder is None]
    assert np.mean(covered) > 0.15


def test_some_objects_of_hard_scenes_are_too_hidden_to_be_asked_about(series: list[DrawnScene]) -> None:
    hard = [one for drawn in series if drawn.scene.stratum is Stratum.HARD for one in drawn.scene.objects]
    assert 0.0 < np.mean([not one.judged for one in hard]) < 0.15


def test_signs_are_never_covered(series: list[DrawnScene]) -> None:
    signs = [one for drawn in series for one in drawn.scene.objects if one.kind is Kind.SIGN]
    assert len(signs) > 30
    assert all(one.visible >= 0.99 and one.text for one in signs)


def test_a_scene_can_be_had_in_another_stratum_setting_and_size() -> None:
    drawn = generate(1, 0, side=300, stratum=Stratum.HARD, setting=Setting.SEA)
    assert (drawn.scene.stratum, drawn.scene.setting, drawn.image.size) == (Stratum.HARD, Setting.SEA, (300, 300))
    with pytest.raises(ValueError, match="at least 224 pixels"):
        generate(1, 0, side=223)
    with pytest.raises(ValueError, match="at least 224 pixels"):
        draw_figure(1, 0, side=100)


# --- figures ---


@few
@given(st.integers(0, 10**6), st.integers(0, 10**4))
def test_figures_survive_json_and_ask_one_question(seed: int, index: int) -> None:
    figure = draw_figure(seed, index, side=224).figure
    assert from_json(to_json(figure)) == figure
    assert figure.question.endswith((".", "?"))
    assert figure.answer


@given(st.integers(0, 10**6), st.sampled_from(Stratum))
@settings(deadline=None, max_examples=40)
def test_code_prints_what_its_figure_says(seed: int, stratum: Stratum) -> None:
    figure = draw_figure(seed, 0, side=224, stratum=stratum, kind=FigureKind.CODE).figure
    printed = StringIO()
    with redirect_stdout(printed):
        exec("\n".join(figure.lines), {})
    assert printed.getvalue().strip() == figure.answer


@given(st.integers(0, 10**6), st.sampled_from(Stratum))
@settings(deadline=None, max_examples=40)
def test_calculations_come_to_what_their_figures_say(seed: int, stratum: Stratum) -> None:
    figure = draw_figure(seed, 0, side=224, stratum=stratum, kind=FigureKind.ARITHMETIC).figure
    assert re.fullmatch(r"[\d ()×+-]+ = \?", figure.lines[0])
    assert eval(figure.lines[0].removesuffix(" = ?").replace("×", "*")) == int(figure.answer)


def bar_heights(image: Image.Image, count: int) -> list[int]:
    """Pixel heights of the bars, from their colours."""
    pixels = np.asarray(image).astype(int)
    colourful = (pixels.max(axis=2) - pixels.min(axis=2)) > 70
    side = image.width
    middles = [round(side * (0.14 + 0.81 / count * (i + 0.5))) for i in range(count)]
    return [int(colourful[:, m].sum()) for m in middles]


@pytest.mark.parametrize("seed", range(12))
def test_charts_are_as_high_as_they_say(seed: int) -> None:
    drawn = draw_figure(seed, 0, kind=FigureKind.CHART, stratum=Stratum.MEDIUM)
    names = drawn.figure.lines[8:12]
    heights = dict(zip(names, bar_heights(drawn.image, 4), strict=True))
    unit = int(drawn.figure.lines[7]) / (0.7 * drawn.image.height)
    asked = [name for name in names if name in drawn.figure.question.split("bar", 1)[1]]
    if "tallest" in drawn.figure.question:
        assert drawn.figure.answer == max(heights, key=lambda name: heights[name])
    elif "shortest" in drawn.figure.question:
        assert drawn.figure.answer == min(heights, key=lambda name: heights[name])
    elif "By how much" in drawn.figure.question:
        a, b = (heights[name] for name in asked)
        assert abs(a - b) * unit == pytest.approx(int(drawn.figure.answer), abs=4 * unit)
    else:
        assert heights[asked[0]] * unit == pytest.approx(int(drawn.figure.answer), abs=4 * unit)


@given(st.integers(0, 10**6), st.sampled_from(Stratum))
@settings(deadline=None, max_examples=30)
def test_flows_lead_where_their_figures_say(seed: int, stratum: Stratum) -> None:
    figure = draw_figure(seed, 0, side=224, stratum=stratum, kind=FigureKind.FLOW).figure
    start = next(name for name in figure.lines if re.search(rf"\b(from|box) {name}\b", figure.question))
    steps = int(found[1]) if (found := re.search(r"follow (\d)", figure.question)) else 1
    assert figure.lines[figure.lines.index(start) + steps] == figure.answer


# --- files ---


def test_the_bundled_folder_agrees_with_its_truth_and_is_balanced() -> None:
    folder = load_scenes(BUNDLED)
    assert (len(folder.scenes), len(folder.figures)) == (100, 36)
    assert sum(folder.path(picture).stat().st_size for picture in folder.pictures) < 6e6
    assert min(Counter(scene.stratum for scene in folder.scenes).values()) >= 33
    assert min(Counter(scene.setting for scene in folder.scenes).values()) >= 15


def test_the_bundled_truth_is_what_the_generator_draws_today() -> None:
    folder = load_scenes(BUNDLED)
    for scene in folder.scenes[::9]:
        drawn = generate(scene.seed, scene.index)
        assert drawn.scene == scene
        assert Image.open(folder.path(scene)).convert("RGB").tobytes() == drawn.image.tobytes()
    for figure in folder.figures[::5]:
        assert draw_figure(figure.seed, figure.index).figure == figure


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scenes")
    assert main(["--count", "3", "--figures", "2", "--seed", "4", "--side", "224", str(out)]) == 0
    return out


def test_the_command_writes_what_load_scenes_reads(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = load_scenes(written)
    assert [p.name for p in folder.pictures] == [
        *("scene-0000.webp", "scene-0001.webp", "scene-0002.webp"),
        *("figure-0000.webp", "figure-0001.webp"),
    ]
    assert isinstance(folder.pictures[0], Scene)
    assert isinstance(folder.pictures[4], Figure)
    recipe = json.loads((written / "scenes.json").read_text())
    assert recipe["command"] == "python -m harness.scenes --count 3 --figures 2 --seed 4 --side 224"
    assert main(["--count", "1", "--seed", "4", str(written)]) == 2
    assert "give --force" in capsys.readouterr().err


def test_pictures_of_somebody_else_are_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "holiday.webp").write_bytes(b"beach")
    for force in ([], ["--force"]):
        assert main(["--count", "1", "--seed", "4", *force, str(tmp_path)]) == 2
        assert "holds pictures that are of no drawn folder" in capsys.readouterr().err
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("holiday.webp", b"beach")]


def test_force_replaces_scenes_and_nothing_else(written: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(written, out)
    (out / "README.md").write_text("kept")
    assert main(["--count", "1", "--seed", "4", "--side", "224", "--force", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "scene-0000.webp", "scenes.json", "scenes.jsonl"]
    (out / "thesis.doc").write_text("mine")
    assert main(["--count", "1", "--seed", "4", "--force", str(out)]) == 2
    assert (out / "thesis.doc").read_text() == "mine"


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda f: (f / "scenes.jsonl").unlink(), "scenes.jsonl: cannot be read"),
        (lambda f: (f / "scenes.jsonl").write_text(""), "holds no picture"),
        (lambda f: (f / "scene-0001.webp").unlink(), "line 2: scene-0001.webp: cannot be read"),
        (lambda f: (f / "scene-0001.webp").write_bytes(b"x"), "scene-0001.webp is not the file"),
        (lambda f: (f / "scene-0009.webp").write_bytes(b"x"), "scene-0009.webp: is not in scenes.jsonl"),
        (lambda f: spoilt(f, '"sea"', '"moon"'), "line 2: not the truth of a picture"),
        (lambda f: spoilt(f, '"index":1', '"index":7'), "the image is called 'scene-0001.webp'"),
        (lambda f: spoilt(f, '"width":224', '"width":225'), "has (224, 224) pixels"),
        (lambda f: spoilt(f, '"type":"scene"', '"type":"song"'), "'song' is no type of picture"),
        (lambda f: spoilt(f, '"visible":', '"visible":7'), "not a share from 0 to 1"),
        (lambda f: doubled(f), "scene-0001.webp is named twice"),
    ],
)
def test_a_folder_that_disagrees_with_its_truth_is_refused(
    written: Path, tmp_path: Path, spoil: object, complaint: str
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(written, out)
    spoil(out)  # type: ignore[operator]
    with pytest.raises(CorpusError, match=re.escape(complaint)):
        load_scenes(out)


def spoilt(folder: Path, old: str, new: str) -> None:
    """Change the second line of the truth."""
    lines = (folder / "scenes.jsonl").read_text().splitlines()
    lines[1] = (
        re.sub(r'"setting":"\w+"', '"setting":"moon"', lines[1]) if new == '"moon"' else lines[1].replace(old, new, 1)
    )
    (folder / "scenes.jsonl").write_text("\n".join(lines) + "\n")


def doubled(folder: Path) -> None:
    lines = (folder / "scenes.jsonl").read_text().splitlines()
    (folder / "scenes.jsonl").write_text("\n".join([*lines, lines[1]]) + "\n")


@given(st.text())
def test_any_text_is_a_picture_or_a_typed_error(text: str) -> None:
    with pytest.raises(CorpusError, match="line 3"):
        from_json(text, where="line 3")


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 5},
        {"holder": 0},
        {"extent": (0, 0, 900, 10)},
        {"extent": (10, 10, 10, 20)},
        {"box": None},
        {"text": "what"},
    ],
)
def test_truth_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    scene = next(s for i in range(9) if (s := generate(3, i).scene).objects[0].kind is not Kind.SIGN)
    with pytest.raises(ValueError, match=r"object|box|there is no holder"):
        replace(scene, objects=(replace(scene.objects[0], **changes), *scene.objects[1:]))  # type: ignore[arg-type]


# --- training ---


@few
@given(drawn_scenes)
def test_patch_labels_say_what_covers_a_patch(drawn: DrawnScene) -> None:
    kinds, colours = patch_labels(drawn)
    side = drawn.scene.width // 16
    assert kinds.shape == colours.shape == (side, side)
    assert ((kinds == 0) == (colours == 0)).all()
    for row, column in np.argwhere(kinds > 0)[::5]:
        cell = drawn.owners[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
        counts = Counter(cell[cell > 0].tolist())
        owner = drawn.scene.objects[counts.most_common(1)[0][0] - 1]
        alike = [drawn.scene.objects[n - 1] for n, c in counts.items() if c == max(counts.values())]
        assert kinds[row, column] in {KIND_CLASSES[one.kind] for one in alike}, owner
        assert colours[row, column] in {COLOUR_CLASSES[one.colour] for one in alike}
    empty = np.argwhere(kinds == 0)
    for row, column in empty[::11]:
        cell = drawn.owners[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
        assert max(Counter(cell[cell > 0].tolist()).values(), default=0) < 64


def test_examples_hold_all_tasks_and_never_repeat() -> None:
    found = list(islice(examples(seed=0, side=224), 24))
    assert {question.task for example in found for question in example.questions} >= {
        *("caption_brief", "objects_and_counts", "attributes", "spatial_relationships", "scene_context", "detection"),
        *("counting", "colour", "ocr", "reading", "common_sense"),
    }
    assert len({example.pixels.tobytes() for example in found}) == len(found)
    assert all(example.pixels.shape == (224, 224, 3) and example.kinds.shape == (14, 14) for example in found)
    second = next(examples(seed=0, start=1, step=2, side=224))
    assert (second.pixels == found[1].pixels).all()
