"""What a model is taught about scenes: where characters stand, what patches show, and where answers can be seen."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from harness.documents.synthesis.typefaces import Style, Typeface
from harness.scenes import Scene, draw_figure, generate
from harness.scenes.drawing.lettering import Letter, letters_of
from harness.scenes.tasks.describing import by_kind
from harness.scenes.training import (
    COLUMNS,
    KIND_CLASSES,
    LETTER_CLASSES,
    PATTERN_CLASSES,
    ROWS,
    examples,
    letter_grid,
    object_labels,
)

SCENES = range(18)
"""Of each setting and stratum one."""
texts = st.text("ABCDEFHJKLMNPRSTUVWXYZ23456789abegijlpqy+=?[]", min_size=1, max_size=12)


@given(
    texts,
    st.sampled_from(["lm", "mm", "rm"]),
    st.integers(11, 60),
    st.sampled_from([Typeface.DEJAVU_SANS, Typeface.DEJAVU_MONO]),
    st.booleans(),
)
@settings(deadline=None)
def test_characters_are_where_pillow_draws_their_text(text, anchor, size, face, bold) -> None:
    style = Style(typeface=face, size=size, bold=bold)
    boxes = np.array([letter.box for letter in letters_of(text, (700.0, 100.0), style, anchor)])
    sheet = Image.new("L", (1400, 200))
    ImageDraw.Draw(sheet).text((700.0, 100.0), text, fill=255, font=style.font, anchor=anchor)
    around = (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
    assert np.abs(np.array(around) - sheet.getbbox()).max() <= 2


def test_spaces_are_no_characters() -> None:
    style = Style(typeface=Typeface.DEJAVU_SANS, size=20)
    assert [letter.character for letter in letters_of("a b", (0.0, 0.0), style)] == ["a", "b"]
    assert letters_of("", (0.0, 0.0), style) == []


def contrast(pixels: np.ndarray, letter: Letter) -> int:
    left, top, right, bottom = (round(v) for v in letter.box)
    inside = pixels[max(0, top) : bottom + 1, max(0, left) : right + 1].astype(int)
    return int(np.ptp(inside.sum(axis=2)))


@pytest.mark.parametrize("index", range(12))
def test_every_character_of_a_figure_is_ink_in_its_box(index) -> None:
    drawn = draw_figure(4, index)
    pixels = np.asarray(drawn.image)
    assert sorted(letter.character for letter in drawn.letters) == sorted("".join("".join(drawn.figure.lines).split()))
    assert min(contrast(pixels, letter) for letter in drawn.letters) > 150


def test_signs_are_written_where_the_letters_say() -> None:
    signs = 0
    for index in SCENES:
        drawn = generate(6, index)
        for one in drawn.scene.objects:
            if one.text is None or one.visible < 1:
                continue
            signs += 1
            assert "".join(letter.character for letter in drawn.letters) == "".join(one.text.split())
            left, top, right, bottom = one.box
            for letter in drawn.letters:
                across, down = letter.middle
                assert left < across < right
                assert top < down < bottom
                assert contrast(np.asarray(drawn.image), letter) > 90
    assert signs > 4


def test_a_grid_holds_each_character_at_the_part_of_its_middle() -> None:
    letters = [Letter("A", (16.0, 0.0, 20.0, 6.0)), Letter("×", (44.0, 41.0, 47.0, 47.0)), Letter("é", (0.0, 0, 4, 4))]
    grid = letter_grid([*letters, Letter("B", (90.0, 0.0, 99.0, 9.0))], 3)
    found = {tuple(at): int(grid[tuple(at)]) for at in np.argwhere(grid)}
    assert found == {(0, 1, 0): LETTER_CLASSES["A"], (2, 2, 5): LETTER_CLASSES["×"]}
    assert grid.shape == (3, 3, ROWS * COLUMNS)


@pytest.mark.parametrize("index", SCENES)
@pytest.mark.parametrize("patch", [16, 32])
def test_labels_agree_with_the_truth_of_the_object_at_each_patch(index, patch) -> None:
    drawn = generate(7, index)
    scene = drawn.scene
    labels, anchors = object_labels(drawn, patch)
    ordered = [one for ones in by_kind(scene).values() for one in ones]
    known = {
        (
            KIND_CLASSES[one.kind],
            PATTERN_CLASSES[one.pattern],
            tuple(round(255 * v / scene.width) for v in one.box),
        )
        for one in scene.objects
        if one.box is not None
    }
    for row, column in np.argwhere(labels.kinds):
        shown = (int(labels.kinds[row, column]), int(labels.patterns[row, column]), tuple(labels.boxes[row, column]))
        assert shown in known
    assert not labels.boxes[labels.kinds == 0].any()
    ranks = labels.ranks[labels.ranks > 0].tolist()
    assert set(ranks) <= set(range(1, len(ordered) + 1))
    assert len(ranks) == len(set(ranks)) >= min(2, len(ordered))
    for one in ordered:
        across, down = anchors[one.number]
        cell = drawn.owners[int(down) // patch * patch :, int(across) // patch * patch :][:patch, :patch]
        assert (cell == one.number + 1).any()


def test_spots_are_within_answers_in_order_and_on_the_object_spoken_of() -> None:
    told = set()
    for example in islice(examples(seed=8), 40):
        if not isinstance(example.picture, Scene):
            assert all(one.spots == () for one in example.asked)
            continue
        boxes = {one.kind.value: [] for one in example.picture.objects}
        for one in example.picture.objects:
            if one.box is not None:
                boxes[one.kind.value].append(one.box)
        for one in example.asked:
            target = one.question.target
            ends = [0, *(spot.end for spot in one.spots)]
            for spot, before in zip(one.spots, ends, strict=False):
                assert before <= spot.begin < spot.end <= len(target)
            if one.question.task in ("attributes", "detection", "objects_and_counts"):
                told.add(one.question.task)
                assert [target[spot.begin : spot.end] for spot in one.spots] == target.splitlines()
                for spot in one.spots:
                    kind = target[spot.begin :].partition(":")[0]
                    near = 16  # an anchor is the middle of a patch of which the object may show a part
                    assert any(
                        left - near <= spot.across <= right + near and top - near <= spot.down <= bottom + near
                        for left, top, right, bottom in boxes[kind]
                    )
            elif one.question.task == "spatial_relationships":
                told.add(one.question.task)
                assert len(one.spots) == 2 * len(target.splitlines())
            elif one.question.task in ("colour", "caption_brief", "ocr"):
                told.add(one.question.task)
                assert one.spots
            else:
                assert one.spots == ()
    assert len(told) == 7
