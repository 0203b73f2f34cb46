"""What training shows a model: the same pixels and tokens as evaluation will, and answers that stand on the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from fixtures.checkpoints.train import examples as examples_module
from fixtures.checkpoints.train.examples import (
    CHARACTERS,
    COLUMNS,
    ROWS,
    SEEDS,
    SEGMENTS,
    Batch,
    Example,
    batches,
    character_grid,
    examples,
    first_seed,
)
from fixtures.checkpoints.train.families import FAMILIES
from fixtures.checkpoints.train.family import GRID, PATCH, TILE, Tile
from fixtures.checkpoints.train.scores import HELD_OUT_SEED
from harness.backends.generative.torchvision_schema import ensure_torchvision
from harness.documents.synthesis import Composition, Stratum, compose, generate
from harness.documents.synthesis.__main__ import main as synthesize
from harness.prompts import PROMPTS, prompt
from harness.responses import render_response
from harness.schema import FIELD_NAMES, FIELDS, LIST_SEPARATOR, Kind

CLASSES = {number: character for character, number in CHARACTERS.items()}
SEED = 6
"""Of a run with a blank page among its first."""
SIZES = {"square": (800, 800), "tall": (420, 1300), "wide": (1300, 420), "small": (40, 30), "sliver": (3, 90)}


@pytest.fixture(scope="module")
def processors() -> dict[str, object]:
    """The processor that each family's checkpoint is saved with."""
    ensure_torchvision()
    return {name: family.build()[1] for name, family in FAMILIES.items()}


def printed_page(size: tuple[int, int], mode: str) -> Image.Image:
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    for number, y in enumerate(range(2, size[1], 17)):
        ink = ((20, 20, 20), (190, 40, 30), (30, 60, 160))[number % 3]
        pen.text((4, y), f"Line {number}: {number * 37}.{number % 10}0 of something", fill=ink)
    return page.convert(mode)


PICTURES = {f"{name}-{mode}": (SIZES[name], mode) for name, mode in (*((name, "RGB") for name in SIZES), ("tall", "L"))}


def picture(name: str) -> Image.Image:
    """A drawn page by shape and mode, or one of the generator's by stratum."""
    return printed_page(*PICTURES[name]) if name in PICTURES else generate(3, 7, stratum=Stratum(name)).image


# --- the same pixels and tokens as the processor's --------------------------------------------------------------------


@pytest.mark.parametrize("shown", [*PICTURES, *Stratum])
@pytest.mark.parametrize("family", FAMILIES)
def test_tiles_are_the_grey_of_what_the_processor_makes(processors, family, shown) -> None:
    image = picture(shown)
    values = processors[family].image_processor([image.convert("RGB")], return_tensors="pt")["pixel_values"]
    expected = (values.numpy().reshape(-1, 3, TILE, TILE).mean(axis=1) + 1) * 127.5
    tiles = np.stack([tile.pixels for tile in FAMILIES[family].tiles(image)])
    assert tiles.dtype == np.uint8
    assert tiles.shape == expected.shape
    off = np.abs(tiles - expected)
    # bicubic overshoots by the edges of letters, and where it is cut off there depends on the order of the steps
    bound = {"mllama": 2, "internvl": 32}[family]
    assert off.max() < bound
    assert off.mean() < 0.5
    assert (off > 2).mean() < 0.01


@pytest.mark.parametrize("shape", ["square", "tall", "wide", "small"])
@pytest.mark.parametrize("family", FAMILIES)
def test_scale_and_shift_say_where_a_dot_of_the_image_lies_in_each_tile(family, shape) -> None:
    ensure_torchvision()
    width, height = SIZES[shape]
    for right, down in [(0.2, 0.1), (0.9, 0.3), (0.4, 0.8)]:
        column, row = int(width * right), int(height * down)
        page = Image.new("L", (width, height), 0)
        page.putpixel((column, row), 255)
        tiles, seen = FAMILIES[family].tiles(page), 0
        for tile in tiles:
            x = (column + 0.5) * tile.scale[0] + tile.shift[0]
            y = (row + 0.5) * tile.scale[1] + tile.shift[1]
            if 0 <= x < TILE and 0 <= y < TILE:
                rows, columns = np.nonzero(tile.pixels == tile.pixels.max())
                assert tile.pixels.max() > 30
                assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((x, y), abs=1)
                seen += 1
        assert seen == (1 if len(tiles) == 1 else 2)  # in one part of the page, and in the whole


@pytest.mark.parametrize(
    ("name", "size"), [(name, (300, 300)) for name in PROMPTS] + [(prompt().name, size) for size in SIZES.values()]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_questions_are_the_tokens_of_the_chat_template_and_the_processor(processors, family, name, size) -> None:
    processor, text = processors[family], PROMPTS[name].text
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}
    asked = processor.apply_chat_template([message], add_generation_prompt=True)
    page = Image.new("RGB", size, "white")
    expected = processor(images=[[page]], text=[asked], add_special_tokens=False)["input_ids"][0]
    tiles = len(FAMILIES[family].tiles(page))
    assert FAMILIES[family].question(processor.tokenizer, text, tiles) == list(expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_come_back_from_their_tokens(processors, family) -> None:
    tokenizer = processors[family].tokenizer
    for index in range(4):
        text = render_response(generate(5, index, stratum=Stratum.CLEAN, scrambled=0.5).truth)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert not set(ids) & set(tokenizer.all_special_ids)
    foreign = "Café “Ünter” — ¥12 🙂"
    ids = tokenizer(foreign, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == foreign


# --- the character grid -----------------------------------------------------------------------------------------------


def letters_by_part() -> st.SearchStrategy:
    """Characters, known or not, with the part of a tile where their middle is: some outside of it."""
    character = st.one_of(st.sampled_from(sorted(CHARACTERS)), st.sampled_from("é€中 "))
    part = st.tuples(st.integers(-9, GRID * COLUMNS + 9), st.integers(-9, GRID * ROWS + 9))
    inside = st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9))
    return st.lists(st.tuples(character, part, inside, st.floats(0.1, 30)), max_size=20)


@settings(max_examples=60, deadline=None)
@given(
    letters=letters_by_part(),
    scale=st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)),
    shift=st.tuples(st.floats(-TILE, TILE), st.floats(-TILE, TILE)),
)
def test_a_character_counts_in_the_part_of_the_patch_where_its_middle_is(letters, scale, shift) -> None:
    boxes, expected = [], np.zeros((GRID * GRID, ROWS * COLUMNS), dtype=np.uint8)
    for character, (column, row), (right, down), half in letters:
        x = ((column + right) * PATCH / COLUMNS - shift[0]) / scale[0]
        y = ((row + down) * PATCH / ROWS - shift[1]) / scale[1]
        boxes.append((character, (x - half, y - half, x + half, y + half)))
        if character in CHARACTERS and 0 <= column < GRID * COLUMNS and 0 <= row < GRID * ROWS:
            patch = row // ROWS * GRID + column // COLUMNS
            expected[patch, row % ROWS * COLUMNS + column % COLUMNS] = CHARACTERS[character]
    tile = Tile(pixels=np.zeros((TILE, TILE), dtype=np.uint8), scale=scale, shift=shift)
    elsewhere = Tile(pixels=tile.pixels, scale=scale, shift=(9 * TILE + shift[0], 0))
    found = character_grid([tile, elsewhere], boxes)
    assert found.shape == (2, GRID * GRID, ROWS * COLUMNS)
    assert np.array_equal(found[0], expected)


def test_an_empty_page_has_an_empty_grid_and_each_character_its_own_class() -> None:
    tile = Tile(pixels=np.zeros((TILE, TILE), dtype=np.uint8), scale=(1, 1), shift=(0, 0))
    assert not character_grid([tile], []).any()
    assert not character_grid([tile], [(" ", (0, 0, 9, 9)), ("é", (50, 50, 60, 60))]).any()
    assert sorted(CHARACTERS.values()) == list(range(1, len(CHARACTERS) + 1))
    printed = {c for index in range(24) for run in compose(4, index).page.runs for c in run.text if not c.isspace()}
    assert printed <= set(CHARACTERS)


# --- examples ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """An example and the page that it was made of; None for a blank one."""

    example: Example
    page: Composition | None


@pytest.fixture(scope="module")
def pages_drawn() -> Iterator[list[tuple[int, int, Composition]]]:
    """Every page that examples draw from here on: seed, index, page."""
    record = []

    def recorded(seed: int, index: int, **choices: object) -> Composition:
        page = compose(seed, index, **choices)
        record.append((seed, index, page))
        return page

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples_module, "compose", recorded)
        yield record


@pytest.fixture(scope="module")
def drawn(processors, pages_drawn) -> dict[str, list[Drawn]]:
    """The first examples of a run for each family."""

    def first(family: str, count: int) -> Iterator[Drawn]:
        stream = examples(FAMILIES[family], processors[family].tokenizer, seed=SEED, start=0, step=1)
        for example in islice(stream, count):
            blank = np.ptp(example.tiles[:, :100, :100]) == 0 and not example.characters.any()
            yield Drawn(example=example, page=None if blank else pages_drawn[-1][2])

    return {"internvl": list(first("internvl", 32)), "mllama": list(first("mllama", 20))}


def asked_in(question: list[int], tokenizer: object) -> str:
    """The name of the prompt in a question: the longest, as some begin as others do."""
    text = tokenizer.decode(question)
    return max((name for name in PROMPTS if PROMPTS[name].text in text), key=lambda name: len(PROMPTS[name].text))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_answer_is_the_truth_of_the_page_for_the_fields_asked(processors, drawn, family) -> None:
    tokenizer, asked = processors[family].tokenizer, []
    for one in drawn[family]:
        name = asked_in(one.example.question, tokenizer)
        names = [field for field in FIELD_NAMES if f"\n{field}: " in PROMPTS[name].text]
        truth = one.page.facts.truth() if one.page else dict.fromkeys(FIELD_NAMES)
        *answer, end = one.example.answer
        assert tokenizer.decode(answer) == render_response({field: truth[field] for field in names})
        assert end == tokenizer.eos_token_id
        asked.append(name)
    assert 0.6 < asked.count(prompt().name) / len(asked) < 0.95
    assert len(set(asked)) > 2


def test_some_pages_are_blank_and_then_every_field_is_absent(processors, drawn) -> None:
    blank = [one.example for family in FAMILIES for one in drawn[family] if one.page is None]
    assert blank
    for example in blank:
        assert set(example.places) == {-1}
        assert not example.characters.any()


@pytest.mark.parametrize("family", FAMILIES)
def test_places_point_to_parts_of_patches_that_show_the_character(processors, drawn, family) -> None:
    """Of the part of a patch where two characters have their middle, only one is known: hence the small slack."""
    tokenizer, right, pointed = processors[family].tokenizer, 0, 0
    for one in drawn[family]:
        example = one.example
        assert len(example.places) == len(example.answer)
        texts = tokenizer.convert_ids_to_tokens(example.answer)
        for text, place in zip(texts, example.places, strict=True):
            if len(text) > 1 or text == " ":
                assert place == -1, text
            elif place >= 0:
                pointed += 1
                right += text == CLASSES.get(example.characters[-1].flat[place])
    assert pointed > 1500
    assert right / pointed > 0.985


@pytest.mark.parametrize("family", FAMILIES)
def test_every_printed_character_of_a_clean_page_has_a_place(processors, drawn, family) -> None:
    tokenizer, before, checked = processors[family].tokenizer, None, 0
    for one in drawn[family]:
        if one.page is None or one.page is before:  # a page is shown as it is first, then degraded
            continue
        before, checked = one.page, checked + 1
        for text, place in zip(tokenizer.convert_ids_to_tokens(one.example.answer), one.example.places, strict=True):
            assert (place >= 0) == (len(text) == 1 and text != " "), text
    assert checked > 7


def test_both_families_learn_the_same_answers_and_pages_come_clean_and_degraded(processors, drawn) -> None:
    texts = {
        family: [processors[family].tokenizer.decode(one.example.answer[:-1]) for one in drawn[family]]
        for family in FAMILIES
    }
    assert texts["internvl"][: len(texts["mllama"])] == texts["mllama"]
    twice = sum(a.page is b.page is not None for a, b in zip(drawn["mllama"], drawn["mllama"][1:], strict=False))
    assert twice >= 8
    assert {len(one.example.tiles) for one in drawn["mllama"]} == {1}
    assert {len(one.example.tiles) for one in drawn["internvl"]} == {1, 3}


def same(one: Example, other: Example) -> bool:
    return (
        np.array_equal(one.tiles, other.tiles)
        and np.array_equal(one.characters, other.characters)
        and (one.question, one.answer, one.places) == (other.question, other.answer, other.places)
    )


def test_the_same_seed_draws_the_same_examples_and_another_seed_others(processors) -> None:
    tokenizer = processors["mllama"].tokenizer

    def first(seed: int) -> list[Example]:
        return list(islice(examples(FAMILIES["mllama"], tokenizer, seed=seed, start=3, step=2), 3))

    assert all(map(same, first(11), first(11)))
    assert not any(map(same, first(11), first(12)))


# --- batches ----------------------------------------------------------------------------------------------------------


TILES = {"internvl": 3, "mllama": 4}


@pytest.fixture
def first_batches(drawn, processors, monkeypatch) -> Callable[[str], list[Batch]]:
    """The batches that the examples above come in."""

    def replayed(family: object, tokenizer: object, *, seed: int, start: int, step: int) -> Iterator[Example]:
        assert (seed, start, step) == (SEED, 2, 5)
        return (one.example for one in drawn[family.name])

    def of(family: str) -> list[Batch]:
        tokenizer = processors[family].tokenizer
        return list(batches(FAMILIES[family], tokenizer, seed=SEED, tiles=TILES[family], worker=2, workers=5))

    monkeypatch.setattr(examples_module, "examples", replayed)
    return of


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_hold_as_many_examples_as_their_tiles_allow(first_batches, family) -> None:
    sizes = set()
    for batch in first_batches(family):
        size = TILES[family] // batch.tiles_each
        sizes.add(size)
        assert len(batch.tokens) == len(batch.starts) == len(batch.places) == size
        assert batch.tiles.shape == (size * batch.tiles_each, TILE, TILE)
        assert batch.characters.shape == (size * batch.tiles_each, GRID * GRID, ROWS * COLUMNS)
    assert sizes == ({1, 3} if family == "internvl" else {4})


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_keep_what_belongs_together_and_take_each_example_once(drawn, first_batches, family) -> None:
    """The tiles and characters of the k-th example are the k-th ones of the batch."""
    known = {one.example.tiles.tobytes(): one.example for one in drawn[family]}
    order = [one.example.tiles.tobytes() for one in drawn[family]]
    taken = []
    for batch in first_batches(family):
        tiles, characters = (
            whole.numpy().reshape(-1, batch.tiles_each, *whole.shape[1:]) for whole in (batch.tiles, batch.characters)
        )
        for k, (tokens, start) in enumerate(zip(batch.tokens, batch.starts, strict=True)):
            taken.append(tiles[k].tobytes())
            example = known[taken[-1]]
            assert np.array_equal(characters[k], example.characters)
            assert (tokens[:start], tokens[start:]) == (example.question, example.answer)
            assert batch.places[k] == example.places
    assert len(taken) == len(set(taken)) >= 12
    assert taken != [shown for shown in order if shown in taken]  # mixed


def test_workers_draw_different_pages_and_together_all_of_them(processors, pages_drawn) -> None:
    tokenizer, drawn_by = processors["mllama"].tokenizer, []
    for worker in range(3):
        del pages_drawn[:]
        list(islice(examples(FAMILIES["mllama"], tokenizer, seed=9, start=worker, step=3), 5))
        assert {seed for seed, _, _ in pages_drawn} == {first_seed(9)}
        drawn_by.append([index for _, index, _ in pages_drawn])
    assert drawn_by == [list(range(worker, worker + 3 * len(drawn_by[worker]), 3)) for worker in range(3)]
    assert min(map(len, drawn_by)) >= 2


@given(st.integers(0, 10**9 - 1))
def test_training_draws_from_other_series_than_the_scores_and_the_bundled_corpus(seed) -> None:
    assert first_seed(seed) not in (HELD_OUT_SEED, 2025)
    assert first_seed(seed) != first_seed(seed + 1)


def test_the_last_pages_of_the_last_run_come_before_those_held_out() -> None:
    assert first_seed((SEEDS - 1) * SEGMENTS + SEGMENTS - 1) < HELD_OUT_SEED <= first_seed(SEEDS * SEGMENTS)


# --- pages of random letters ------------------------------------------------------------------------------------------

TEXTS = {
    name
    for name, field in FIELDS.items()
    if field.kind in (Kind.TEXT, Kind.ADDRESS, Kind.TEXT_LIST, Kind.EMAIL, Kind.WEBSITE)
}


def shape(text: str) -> str:
    return re.sub(r"[A-Za-z0-9]", "x", text)


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_a_scrambled_page_prints_its_truth(share) -> None:
    for index in range(18):
        document = generate(77, index, stratum=Stratum.CLEAN, scrambled=share)
        lines: dict[str, dict[int, list[str]]] = {}
        for run in document.runs:
            if run.field and not run.repeat:
                lines.setdefault(run.field, {}).setdefault(run.entry, []).append(run.text)
        printed = {name: LIST_SEPARATOR.join(" ".join(of[n]) for n in sorted(of)) for name, of in lines.items()}
        assert printed == {name: value for name, value in document.truth.items() if value is not None}
        for run in document.runs:
            assert not run.repeat or run.text in printed[run.field or ""]


def test_scrambling_replaces_the_words_of_text_values_and_nothing_else() -> None:
    words = kept = 0
    for index in range(18):
        plain, scrambled = compose(77, index).facts.truth(), compose(77, index, scrambled=1.0).facts.truth()
        for name, value in plain.items():
            other = scrambled[name]
            if name not in TEXTS or value is None:
                assert other == value, name
                continue
            assert shape(other) == shape(value)
            assert not set(other) & set("IlO"), name  # some faces draw them as they draw 1 and 0
            pairs = list(zip(re.findall(r"[A-Za-z0-9]+", value), re.findall(r"[A-Za-z0-9]+", other), strict=True))
            words += sum(len(was) > 2 for was, _ in pairs)
            kept += sum(len(was) > 2 and was == now for was, now in pairs)
    assert words > 400
    assert kept / words < 0.01


def test_the_share_of_scrambled_words_is_as_asked() -> None:
    def replaced(share: float) -> float:
        pairs = []
        for index in range(18):
            plain, other = compose(78, index).facts.truth(), compose(78, index, scrambled=share).facts.truth()
            for name in TEXTS:
                was, now = (re.findall(r"[A-Za-z0-9]+", truth[name] or "") for truth in (plain, other))
                pairs += [a != b for a, b in zip(was, now, strict=True) if len(a) > 3]
        return sum(pairs) / len(pairs)

    assert replaced(0.0) == 0
    assert replaced(0.3) == pytest.approx(0.3, abs=0.1)
    assert compose(78, 3, scrambled=0.3).facts.truth() == compose(78, 3, scrambled=0.3).facts.truth()


@pytest.mark.parametrize("share", ["2", "-0.1", "nan", "many"])
def test_a_share_that_is_none_is_a_usage_error(share, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        synthesize(["--count", "1", "--seed", "1", f"--scrambled={share}", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert "--scrambled" in capsys.readouterr().err
