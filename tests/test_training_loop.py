"""The training loop: its schedule, its targets, and runs that are stopped, continued, broken or started from others.

Runs train the real architectures with narrow layers on small tiles, a few steps each, on pages drawn once.
"""

from __future__ import annotations

import csv
import json
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import count, cycle, islice
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fixtures.checkpoints.train import __main__ as command
from fixtures.checkpoints.train import examples as examples_module
from fixtures.checkpoints.train import internvl as internvl_module
from fixtures.checkpoints.train import loop, stream
from fixtures.checkpoints.train import mllama as mllama_module
from fixtures.checkpoints.train.card import load_checkpoint, save_checkpoint
from fixtures.checkpoints.train.errors import TrainingError
from fixtures.checkpoints.train.examples import COLUMNS, ROWS, SEEDS, Batch, batches
from fixtures.checkpoints.train.families import FAMILIES
from fixtures.checkpoints.train.family import PATCH
from fixtures.checkpoints.train.loop import train
from fixtures.checkpoints.train.plan import (
    CURVE,
    OPTIMISERS,
    STATE,
    Plan,
    Progress,
    auxiliary_alone,
    backwards,
    learning_rate,
)
from fixtures.checkpoints.train.ranks import Ranks
from fixtures.checkpoints.train.stream import moved, repeated
from fixtures.checkpoints.train.trainer import Trainer, pad_right, places_of, targets_of, towards_nought
from harness.backends.generative.torchvision_schema import ensure_torchvision
from harness.documents.synthesis import generate
from harness.prompts import prompt

if TYPE_CHECKING:
    import torch

SIDE = 14
"""Patches along a tile of the small models."""
TILES = 3
LOOK = 2
"""Steps from one look at the clock to the next."""
IGNORED = -100


# --- the schedule -----------------------------------------------------------------------------------------------------

rates = st.floats(1e-6, 1e-1)
shares = st.floats(0, 1)
steps = st.integers(0, 10**6)


def plan_of(family: str = "mllama", **values: object) -> Plan:
    return Plan(family=family, **{"minutes": 1, "seed": 4, "tiles": TILES, **values})


@given(rates, steps, shares)
def test_the_rate_is_positive_and_never_above_the_highest(rate, step, share) -> None:
    assert 0 < learning_rate(plan_of(rate=rate), step, share) <= rate


@given(steps, steps, shares)
def test_the_rate_rises_with_the_steps(step, other, share) -> None:
    low, high = sorted((step, other))
    assert learning_rate(plan_of(), low, share) <= learning_rate(plan_of(), high, share)


@given(steps, shares, shares)
def test_the_rate_falls_with_the_time(step, share, other) -> None:
    early, late = sorted((share, other))
    assert learning_rate(plan_of(), step, late) <= learning_rate(plan_of(), step, early)


def test_the_rate_is_warm_constant_and_then_decays_to_a_fiftieth() -> None:
    plan = plan_of(rate=2e-3)
    assert learning_rate(plan, 0, 0.0) < 1e-4
    assert learning_rate(plan, 5000, 0.1) == learning_rate(plan, 9000, 0.39) == 2e-3
    assert learning_rate(plan, 9000, 0.7) == pytest.approx(1e-3)
    assert learning_rate(plan, 9000, 1.0) == learning_rate(plan, 9000, 1.2) == pytest.approx(4e-5)


@given(shares, shares)
def test_the_vision_side_listens_more_and_more_to_fresh_text_layers(share, other) -> None:
    early, late = sorted((share, other))
    assert 0 <= backwards(plan_of(), early) <= backwards(plan_of(), late) <= 1
    assert backwards(plan_of(stage=1), share) == 1
    assert backwards(plan_of(), auxiliary_alone(plan_of())) == 0
    assert backwards(plan_of(), 0.5) == 1


# --- each page several times ------------------------------------------------------------------------------------------


def test_a_batch_goes_to_the_device_once_and_whole() -> None:
    import torch

    batch = Batch(
        tiles=torch.zeros(2, 3), characters=torch.zeros(2, 4), tokens=[[1], [2]], starts=[0, 0], places=[[-1], [3]],
        tiles_each=1,
    )  # fmt: skip
    (found,) = moved(iter([batch]), "meta")
    assert {found.tiles.device.type, found.characters.device.type} == {"meta"}
    assert replace(found, tiles=batch.tiles, characters=batch.characters) == batch


@pytest.mark.parametrize("times", [1, 2, 4, 7])
def test_each_batch_comes_as_often_as_asked_with_others_between(times) -> None:
    seen = list(islice(repeated(count(), times), 700 * times))
    last = max(seen)
    found = Counter(seen)
    assert max(found.values()) <= times
    assert all(found[number] == times for number in range(last - 300))
    firsts = list(dict.fromkeys(seen))
    assert firsts == sorted(firsts)
    where: dict[int, int] = {}
    for at, number in enumerate(seen):
        assert at - where.get(number, -1000) >= 64
        where[number] = at


@given(st.integers(0, 150), st.integers(1, 5))
def test_a_stream_that_ends_gives_every_batch_and_none_too_often(length, times) -> None:
    found = Counter(repeated(iter(range(length)), times))
    assert set(found) == set(range(length))
    assert all(1 <= often <= times for often in found.values())


@pytest.mark.parametrize("times", [1, 2, 4])
def test_batches_that_came_often_enough_are_let_go(times) -> None:
    class Thing:
        pass

    alive: weakref.WeakSet[Thing] = weakref.WeakSet()

    def fresh() -> Iterator[Thing]:
        while True:
            thing = Thing()
            alive.add(thing)
            yield thing

    stream = repeated(fresh(), times)
    for _ in islice(stream, 1000 * times):
        pass
    assert 0 < len(alive) < 300


# --- targets ----------------------------------------------------------------------------------------------------------


def batch_of(tokens: list[list[int]], starts: list[int], places: list[list[int]], tiles_each: int = 1) -> Batch:
    return Batch(tiles=None, characters=None, tokens=tokens, starts=starts, places=places, tiles_each=tiles_each)


def test_targets_are_the_answers_and_nothing_of_questions_or_padding() -> None:
    batch = batch_of([[5, 6, 7, 8, 9], [5, 6, 6, 1, 2, 3, 4]], [2, 4], [[-1] * 3, [-1] * 3])
    assert targets_of(batch, 2).tolist() == [[7, 8, 9, IGNORED, IGNORED], [IGNORED, IGNORED, 2, 3, 4]]


@pytest.mark.parametrize(("family", "tiles_each"), [("mllama", 1), ("internvl", 1), ("internvl", 3)])
def test_places_stand_beside_the_targets(family, tiles_each) -> None:
    parts, ours = ROWS * COLUMNS, FAMILIES[family]
    shown = {10: 3, 300: 0, 0: 5, 63: 2}  # by patch, the part of it
    a, b, c, d = (patch * parts + part for patch, part in shown.items())
    batch = batch_of([[5, 6, 7, 8, 9], [5, 6, 6, 1, 2, 3, 4]], [2, 4], [[a, -1, b], [c, d, -1]], tiles_each)
    positions, where = places_of(batch, 2, ours)
    targets = targets_of(batch, 2)

    def expected(number: int) -> list[list[int]]:
        at = {patch: ours.position(patch, tiles_each) for patch in shown}
        value = {patch: (at[patch][0], at[patch][1] * parts + shown[patch])[number] for patch in shown}
        return [
            [value[10], IGNORED, value[300], IGNORED, IGNORED],
            [IGNORED, IGNORED, value[0], value[63], IGNORED],
        ]

    assert positions.tolist() == expected(0)
    assert where.tolist() == expected(1)
    assert positions.shape == where.shape == targets.shape
    assert where.max() < ours.patches_seen * parts
    assert np.all((positions == IGNORED) | (targets != IGNORED))


@given(st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=9), min_size=1, max_size=6), st.integers(-5, 400))
def test_padding_on_the_right_keeps_the_sequences(sequences, value) -> None:
    padded = pad_right(sequences, value)
    assert padded.shape == (len(sequences), max(map(len, sequences)))
    for row, sequence in zip(padded.tolist(), sequences, strict=True):
        assert row[: len(sequence)] == sequence
        assert set(row[len(sequence) :]) <= {value}


# --- small models -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """The families with narrow layers and small tiles, and the process as it was afterwards."""
    import torch

    ensure_torchvision()
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)  # matrices this small are slower with more
    with pytest.MonkeyPatch.context() as patch:
        for module in (internvl_module, mllama_module):
            for name, value in {"TILE": SIDE * PATCH, "GRID": SIDE, "WIDTH": 64, "VISION_LAYERS": 4}.items():
                patch.setattr(module, name, value)
        patch.setattr(examples_module, "GRID", SIDE)
        patch.setattr(internvl_module.InternVL, "tokens_per_tile", (SIDE // 2) ** 2)
        patch.setattr(examples_module, "_FULL_PROMPT", 0.0)
        patch.setattr(loop, "_LOOK_AT_CLOCK", LOOK)
        yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)


@pytest.fixture(scope="module")
def drawn(small: None) -> dict[str, list[Batch]]:
    """Three batches of each family."""
    found = {}
    for name, family in FAMILIES.items():
        tokenizer = family.build()[1].tokenizer
        found[name] = list(islice(batches(family, tokenizer, seed=1, tiles=TILES, worker=0, workers=1), 3))
    return found


class Runs:
    """Starts runs in `out` whose clock says what it is told at each look: at the first step, and every LOOK steps."""

    def __init__(self, patch: pytest.MonkeyPatch, drawn: dict[str, list[Batch]], out: Path) -> None:
        self.patch, self.out, self.drawn = patch, out, drawn
        self.seeds: list[int] = []
        self.lines: list[Progress] = []
        patch.setattr(stream, "batches", self._batches)

    def _batches(self, family: object, tokenizer: object, *, seed: int, **share: object) -> Iterator[Batch]:
        self.seeds.append(seed)
        return cycle(self.drawn[family.name])

    def clock(self, looks: Iterable[float]) -> None:
        """Seconds since the start at each look."""
        times = iter([1000.0, *(1000 + look for look in looks)])
        self.patch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(times)))

    def __call__(self, plan: Plan, *looks: float, **given: object) -> tuple[object, object, bool]:
        self.clock(looks)
        options = {"device": "cpu", "workers": 0, "stop_after": looks[-1], **given}
        return train(plan, self.out, report=self.lines.append, **options)

    def curve(self) -> list[dict[str, str]]:
        with (self.out / CURVE).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, drawn: dict[str, list[Batch]], tmp_path: Path) -> Runs:
    return Runs(monkeypatch, drawn, tmp_path / "out")


def weights(model: object) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    import torch

    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# --- the same logits as evaluation's ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(300, 300), (200, 600), (600, 200)])
@pytest.mark.parametrize("family", FAMILIES)
def test_training_computes_what_the_library_computes(family, size, tmp_path) -> None:
    """See and predict, on two documents of different answers in one batch, against the loaded model's own pass."""
    import torch

    torch.manual_seed(1)
    ours = FAMILIES[family]
    model, processor = ours.build()
    for parameter in model.eval().parameters():
        if parameter.dim() >= 2:
            parameter.data *= 3  # so that the answer depends on the image
    model.save_pretrained(tmp_path)  # what is loaded knows nothing of how training attends
    library = type(model).from_pretrained(tmp_path, local_files_only=True).eval()
    pictures = [generate(3, index).image.convert("RGB").resize(size) for index in (0, 2)]
    answers = [
        processor.tokenizer(text)["input_ids"] for text in ("TOTAL: $12.50", "SUPPLIER: Nguyen & Sons\nABN: N/A")
    ]
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt().text}]}
    asked = processor.apply_chat_template([message], add_generation_prompt=True)

    tiles = [tile for picture in pictures for tile in ours.tiles(picture)]
    each = len(tiles) // 2
    pixels = torch.from_numpy(np.stack([tile.pixels for tile in tiles])).float() / 127.5 - 1
    question = ours.question(processor.tokenizer, prompt().text, each)
    ids = torch.from_numpy(pad_right([question + answer for answer in answers], processor.tokenizer.pad_token_id))
    with torch.inference_mode():
        features, seen = ours.see(model, pixels[:, None].expand(-1, 3, -1, -1), each)
        found = ours.predict(model, seen, ids, len(question))
        assert features.shape[:2] == (len(tiles), SIDE * SIDE)
        own = []
        for k, picture in enumerate(pictures):
            inputs = dict(processor(images=[[picture]], text=[asked], add_special_tokens=False, return_tensors="pt"))
            shape = inputs["pixel_values"].shape
            # grey, as training sees it, so that what is compared is the model
            grey = pixels[k * each : (k + 1) * each, None].expand(-1, 3, -1, -1)
            answer = torch.tensor([answers[k]])
            inputs["pixel_values"] = grey.reshape(shape)
            inputs["input_ids"] = torch.cat([inputs["input_ids"], answer], dim=1)
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
            if "cross_attention_mask" in inputs:
                last = inputs["cross_attention_mask"][:, -1:]
                inputs["cross_attention_mask"] = torch.cat(
                    [inputs["cross_attention_mask"], last.expand(-1, answer.shape[1], -1, -1)], dim=1
                )
            own.append(library(**inputs).logits[0, len(question) - 1 : -1])
    for row, expected in zip(found, own, strict=True):
        assert torch.allclose(row[: len(expected)], expected, atol=2e-5, rtol=1e-4)
    assert (own[0][0] - own[1][0]).abs().max() > 0.02  # the same question, another page


@pytest.mark.parametrize(("family", "tiles"), [("mllama", 1), ("internvl", 1), ("internvl", 3)])
def test_positions_say_where_a_patch_is_in_what_the_text_side_is_given(family, tiles) -> None:
    import torch

    ours = FAMILIES[family]
    model, _ = ours.build()
    given_length = ours.see(model.eval(), torch.zeros(tiles, 3, SIDE * 16, SIDE * 16), tiles)[1].shape[1]
    # every patch of the last tile shows a character of its own
    grid = torch.zeros(tiles, SIDE * SIDE, 6, dtype=torch.long)
    grid[-1, :, 2] = torch.arange(1, SIDE * SIDE + 1)
    for patch in (0, 1, SIDE, 5 * SIDE + 7, SIDE * SIDE - 1):
        seen = torch.zeros(1, given_length, 1)
        seen[0, ours.position(patch, tiles)[0]] = 1
        states, characters = ours.seen_characters(model, seen, grid)
        at = int(states.flatten().argmax())
        shown = characters.reshape(states.shape[1], -1)[at]
        assert patch + 1 in shown.tolist()
        assert characters.numel() == states.shape[1] * ours.patches_seen * 6


@pytest.mark.parametrize(("family", "tiles"), [("mllama", 1), ("internvl", 1), ("internvl", 3)])
def test_every_patch_has_a_position_of_its_own_or_its_own_part_of_one(family, tiles) -> None:
    found = [FAMILIES[family].position(patch, tiles) for patch in range(SIDE * SIDE)]
    assert len(set(found)) == len(found)
    assert Counter(Counter(at for at, _ in found).values()) == {
        FAMILIES[family].patches_seen: SIDE * SIDE // FAMILIES[family].patches_seen
    }
    assert {part for _, part in found} == set(range(FAMILIES[family].patches_seen))


@pytest.mark.parametrize("family", FAMILIES)
def test_fresh_weights_treat_the_channels_alike(family) -> None:
    import torch

    torch.manual_seed(0)
    model, _ = FAMILIES[family].build()
    embedding = next(tensor for name, tensor in model.named_parameters() if "patch_embedding" in name)
    assert torch.equal(embedding[:, 0], embedding[:, 1])
    assert torch.equal(embedding[:, 0], embedding[:, 2])
    assert embedding.std() > 0


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_is_learnt_by_one_optimiser(small, family, optimiser) -> None:
    trainer = Trainer(plan_of(family, optimiser=optimiser), Ranks(rank=0, size=1), "cpu")
    learnt = [[p for group in one.param_groups for p in group["params"]] for one in trainer.optimisers]
    assert Counter(id(p) for each in learnt for p in each) == Counter(map(id, trainer.parameters))
    layers = [p for name, p in trainer.model.named_parameters() if p.dim() == 2 and "proj" in name]
    apart = set(map(id, learnt[-1]))
    assert layers
    assert len(learnt) == (2 if optimiser == "muon" else 1)
    assert all(id(p) in apart for p in layers)
    embeddings = (trainer.model.get_input_embeddings().weight, trainer.model.get_output_embeddings().weight)
    assert all((id(p) in apart) == (optimiser == "adamw") for p in embeddings)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stopped_run_continues_where_it_was(runs, family) -> None:
    import torch

    plan = plan_of(family, rate=0.1)
    model, _, finished = runs(plan, 5, 20)  # looks at the first step and after LOOK more
    assert not finished
    assert [row["step"] for row in runs.curve()] == [str(LOOK)]
    left = weights(model)
    assert equal(left, torch.load(runs.out / STATE, weights_only=True)["model"])

    model, processor, finished = runs(plan, 7, stop_after=7)  # over before the first step
    assert not finished
    assert equal(weights(model), left)
    assert [row["step"] for row in runs.curve()] == [str(LOOK)]

    model, processor, finished = runs(plan, 1, 3)
    assert not finished
    adamw, muon = torch.load(runs.out / STATE, weights_only=True)["optimisers"]
    assert max(int(one["step"]) for one in adamw["state"].values()) == 2 * LOOK  # its averages go on as well
    assert all(one["momentum_buffer"].any() for one in muon["state"].values())

    model, processor, finished = runs(plan, 1, 15, 38, stop_after=None)
    assert finished
    assert not model.training
    assert processor.tokenizer.eos_token
    assert not equal(weights(model), left)
    rows = runs.curve()
    assert [int(row["step"]) for row in rows] == [LOOK, 2 * LOOK, 4 * LOOK]
    assert [float(row["seconds"]) for row in rows] == [20, 23, 61]
    assert [str(line.step) for line in runs.lines] == [row["step"] for row in rows]
    assert {row["stage"] for row in rows} == {"0"}
    examples = [int(row["examples"]) for row in rows]
    assert 0 < examples[0] < examples[1] < examples[2]
    assert examples[2] - examples[1] == pytest.approx(2 * examples[0], rel=0.5)
    # characters alone at first, and everything is being learnt
    assert (rows[0]["answer"], rows[0]["places"]) == ("", "")
    assert float(rows[2]["characters"]) < float(rows[0]["characters"])
    assert float(rows[2]["answer"]) < float(rows[1]["answer"])
    # pages are new in each part: where the stream stood is not known
    assert runs.seeds == [4000, 4001, 4001, 4002]  # the second had learnt from none


def test_a_schedule_in_steps_ends_at_the_last_of_them_whatever_the_clock_says(runs) -> None:
    plan = plan_of(steps=3 * LOOK + 1, minutes=None)
    _, _, finished = runs(plan, 0, 500, stop_after=400)
    assert not finished
    _, _, finished = runs(plan, 0, 1, 2, 3, stop_after=400)  # at every LOOK steps and at the end
    assert finished
    rows = runs.curve()
    assert [int(row["step"]) for row in rows] == [LOOK, 3 * LOOK + 1]
    assert rows[0]["answer"] == ""  # only the first steps are for characters alone
    assert float(rows[1]["answer"]) > 0
    assert float(rows[1]["rate"]) < learning_rate(plan, 3 * LOOK + 1, 0.5)


def test_a_plan_without_a_length_is_refused(runs) -> None:
    with pytest.raises(TrainingError, match="give steps or minutes"):
        runs(plan_of(minutes=None), 0, 1)


def test_the_same_seed_starts_from_the_same_weights(runs) -> None:
    first, _, _ = runs(plan_of(rate=0.0), 0, 1)
    start = weights(first)
    (runs.out / STATE).unlink()
    again, _, _ = runs(plan_of(rate=0.0), 0, 1)
    assert equal(weights(again), start)
    (runs.out / STATE).unlink()
    other, _, _ = runs(plan_of(rate=0.0, seed=5), 0, 1)
    assert not equal(weights(other), start)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"family": "internvl", "seed": 9}, "family mllama, not internvl; seed 4, not 9"),
        ({"minutes": 2}, "minutes 1, not 2"),
        ({"minutes": None, "steps": 9}, "steps None, not 9; minutes 1, not None"),
        ({"rate": 0.1}, "rate 0.001, not 0.1"),
        ({"stage": 1}, "stage 0, not 1"),
    ],
)
def test_the_state_of_another_run_is_refused(runs, change, said) -> None:
    runs(plan_of(), 0, 1)
    before = (runs.out / STATE).read_bytes(), runs.curve()
    with pytest.raises(TrainingError, match=said) as refused:
        runs(plan_of(**change), 0, 1)
    assert str(runs.out / STATE) in str(refused.value)
    assert "another OUT" in str(refused.value)
    assert ((runs.out / STATE).read_bytes(), runs.curve()) == before


def test_a_state_that_cannot_be_read_is_refused(runs) -> None:
    runs.out.mkdir()
    (runs.out / STATE).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(TrainingError, match=STATE):
        runs(plan_of(), 0, 1)


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_state_before(runs, monkeypatch) -> None:
    runs(plan_of(), 0, 1)
    before = (runs.out / STATE).read_bytes(), runs.curve()
    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", lambda *given: float("inf"))
        with pytest.raises(TrainingError, match=r"the loss is nan at step \d+; .*--rate"):
            runs(plan_of(), 0, 1)
    assert ((runs.out / STATE).read_bytes(), runs.curve()) == before
    assert len(runs.lines) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_pages_without_a_printed_answer_teach_no_place(drawn, family) -> None:
    batch = next(batch for batch in drawn[family] if batch.printed)
    trainer = Trainer(plan_of(family), Ranks(rank=0, size=1), "cpu")
    _, places, answer = trainer.losses(batch, answers=True)
    assert places > 0
    nothing = replace(batch, places=[[-1] * len(row) for row in batch.places])
    assert not nothing.printed
    _, none, same = trainer.losses(nothing, answers=True)
    assert none == 0
    assert same == answer
    assert [shown is None for shown in trainer.step(nothing, 1e-3, answers=True)] == [False, True, False]
    assert all(tensor.isfinite().all() for tensor in trainer.parameters)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_vision_side_learns_from_the_answer_as_much_as_it_is_told(drawn, family) -> None:
    import torch

    batch = next(batch for batch in drawn[family] if batch.printed)
    trainer = Trainer(plan_of(family), Ranks(rank=0, size=1), "cpu")
    patches = next(p for name, p in trainer.model.named_parameters() if "patch_embedding" in name)

    def learnt(backwards: float) -> tuple[float, torch.Tensor]:
        _, places, answer = trainer.losses(batch, answers=True, backwards=backwards)
        (gradient,) = torch.autograd.grad(places + answer, [patches])
        return (places + answer).item(), gradient.float()

    (told, whole), (same, half), (_, none) = learnt(1.0), learnt(0.5), learnt(0.0)
    assert same == pytest.approx(told, rel=0.01)
    assert not none.any()
    assert whole.any()
    assert (half - whole / 2).norm() < 0.1 * whole.norm()


def test_pages_without_a_printed_answer_leave_numbers_in_the_curve(runs) -> None:
    nothing = [replace(batch, places=[[-1] * len(row) for row in batch.places]) for batch in runs.drawn["mllama"]]
    runs.drawn = {"mllama": [*nothing, *runs.drawn["mllama"]]}
    runs(plan_of(stage=1), 0, 0, 0, 1, stop_after=0.5)
    (row,) = runs.curve()
    assert float(row["places"]) > 0
    assert float(row["answer"]) > 0


def test_a_state_cut_off_while_it_is_written_leaves_the_one_before(runs, monkeypatch) -> None:
    import torch

    runs(plan_of(), 0, 1)
    before = (runs.out / STATE).read_bytes()

    def full(state: object, path: Path) -> None:
        Path(path).write_bytes(before[:1000])
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match="no space"):
            runs(plan_of(), 0, 1)
    assert (runs.out / STATE).read_bytes() == before
    runs(plan_of(), 0, 1)
    assert torch.load(runs.out / STATE, weights_only=True)["step"] == 2 * LOOK


def test_the_curve_of_a_run_that_was_killed_goes_on_from_its_state(runs) -> None:
    runs(plan_of(), 0, 1)
    state = (runs.out / STATE).read_bytes()
    runs(plan_of(), 0, 1, 2, 3)
    (runs.out / STATE).write_bytes(state)  # killed before it was saved again
    runs(plan_of(), 0, 1)
    steps = [int(row["step"]) for row in runs.curve()]
    assert steps == [LOOK, 2 * LOOK]


def test_a_new_run_in_the_folder_of_one_killed_early_has_a_curve_of_its_own(runs) -> None:
    runs(plan_of(), 0, 7)
    (runs.out / STATE).unlink()  # as if it had not been saved yet
    runs(plan_of(), 0, 7)
    assert [row["step"] for row in runs.curve()] == [str(LOOK)]


def test_a_finished_checkpoint_is_not_trained_over(runs) -> None:
    plan = plan_of(minutes=0.1)
    model, processor, over = runs(plan, 0, 7)
    assert over
    save_checkpoint(runs.out, plan, model, processor)
    before = {path.name: path.read_bytes() for path in runs.out.iterdir()}
    for again, start in ((plan, None), (plan_of(stage=1, seed=5), runs.out)):
        with pytest.raises(TrainingError, match=r"finished checkpoint.*another OUT"):
            runs(again, 0, 7, start=start)
    assert {path.name: path.read_bytes() for path in runs.out.iterdir()} == before


def test_a_run_killed_while_its_checkpoint_was_saved_is_finished_without_a_step(runs) -> None:
    plan = plan_of(minutes=0.1)
    model, processor, _ = runs(plan, 0, 7)
    left, state, curve = weights(model), (runs.out / STATE).read_bytes(), runs.curve()
    save_checkpoint(runs.out, plan, model, processor)
    (runs.out / STATE).write_bytes(state)
    model, _, over = runs(plan, 0)
    assert over
    assert equal(weights(model), left)
    assert runs.curve() == curve


def test_a_call_learns_before_it_stops(runs) -> None:
    _, _, over = runs(plan_of(minutes=1e-6), 9, 10, stop_after=1e-6)
    assert over
    assert (runs.out / STATE).exists()
    assert [row["step"] for row in runs.curve()] == [str(LOOK)]


def test_the_rate_is_that_of_the_share_done_from_the_first_step_of_a_call(runs, monkeypatch) -> None:
    """Even if it begins between two looks at the clock."""
    shares: list[float] = []

    def seen(plan: Plan, step: int, share: float) -> float:
        shares.append(share)
        return learning_rate(plan, step, share)

    plan = plan_of()
    runs(plan, 0, 45)
    monkeypatch.setattr(loop, "learning_rate", seen)
    monkeypatch.setattr(loop, "_LOOK_AT_CLOCK", LOOK + 1)
    runs(plan, 15)
    assert shares[0] == 0.75


def test_a_batch_has_room_for_every_page(runs) -> None:
    for family in FAMILIES.values():
        pages = [Image.new("L", size) for size in ((300, 300), (200, 600), (600, 200), (30, 900))]
        assert max(len(family.tiles(page)) for page in pages) == family.most_tiles
    with pytest.raises(TrainingError, match=r"--tiles 2.*internvl takes up to 3"):
        runs(plan_of("internvl", tiles=2), 0, 1)
    assert not runs.out.exists()


def test_a_run_without_workers_keeps_its_threads(runs) -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        runs(plan_of(), 0, 1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_run_is_continued_as_often_as_it_has_pages(runs, monkeypatch) -> None:
    monkeypatch.setattr(stream, "SEGMENTS", 2)
    runs(plan_of(), 0, 1)
    runs(plan_of(), 0, 1)
    with pytest.raises(TrainingError, match="continued 1 times"):
        runs(plan_of(), 0, 1)


# --- a second stage ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(drawn: dict[str, list[Batch]], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small finished checkpoint of a family."""
    folders: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in folders:
            folders[family] = tmp_path_factory.mktemp("finished") / family
            with pytest.MonkeyPatch.context() as patch:
                started = Runs(patch, drawn, folders[family])
                plan = plan_of(family, minutes=0.1)
                model, processor, over = started(plan, 0, 7)
            assert over
            save_checkpoint(folders[family], plan, model, processor)
        return folders[family]

    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_second_stage_starts_from_the_weights_and_the_curve_of_a_checkpoint(runs, finished, family) -> None:
    import torch

    start = finished(family)
    before = {path.name: path.read_bytes() for path in start.iterdir()}
    model, _, _ = runs(plan_of(family, seed=7, rate=0.0, stage=1), 0, 1, start=start)
    found = weights(model)
    saved = type(model).from_pretrained(start, local_files_only=True, dtype=torch.float32)
    assert equal(found, weights(saved))
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    rows = runs.curve()
    assert [(int(row["stage"]), int(row["step"])) for row in rows] == [(0, LOOK), (1, LOOK)]
    assert all(rows[1].values())  # answers from the first step: these weights know characters
    assert {path.name: path.read_bytes() for path in start.iterdir()} == before

    # continuing takes the state, not the checkpoint
    runs(plan_of(family, seed=7, rate=0.0, stage=1), 0, 1, start=start)
    assert [(int(row["stage"]), int(row["step"])) for row in runs.curve()] == [(0, LOOK), (1, LOOK), (1, 2 * LOOK)]


def test_a_checkpoint_of_another_family_is_no_start(runs, finished) -> None:
    start = finished("internvl")
    with pytest.raises(TrainingError) as refused:
        runs(plan_of("mllama", stage=1), 0, 1, start=start)
    assert str(start) in str(refused.value)
    assert not (runs.out / CURVE).exists()


def test_a_folder_without_a_checkpoint_is_no_start(runs, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match=r"empty.*name the folder of a finished training run"):
        runs(plan_of(stage=1), 0, 1, start=tmp_path / "empty")


def test_a_start_without_readable_weights_is_refused(runs, finished, tmp_path) -> None:
    start = tmp_path / "start"
    copytree(finished("mllama"), start)
    (start / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(TrainingError) as refused:
        runs(plan_of(stage=1), 0, 1, start=start)
    assert str(start) in str(refused.value)
    assert not (runs.out / CURVE).exists()


# --- the command ------------------------------------------------------------------------------------------------------


def arguments(out: Path, *more: str, family: str = "mllama") -> list[str]:
    return [
        str(out),
        "--family",
        family,
        "--minutes",
        "1",
        "--device",
        "cpu",
        "--workers",
        "0",
        "--tiles",
        f"{TILES}",
        *more,
    ]


def test_the_command_trains_stops_and_finishes(runs, capsys) -> None:
    runs.clock([0, 31])
    assert command.main(arguments(runs.out, "--stop-after", "0.5", "--documents", "0")) == 3
    assert str(runs.out / STATE) in capsys.readouterr().out
    runs.clock([0, 31])
    assert command.main(arguments(runs.out, "--stop-after", "0.6", "--documents", "0")) == 0
    assert f"step {2 * LOOK:6d}" in capsys.readouterr().out
    assert {path.name for path in runs.out.iterdir()} >= {
        "model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", "README.md", "training.json",
        "training.csv", "loss.png",
    }  # fmt: skip
    assert not (runs.out / STATE).exists()
    facts = json.loads((runs.out / "training.json").read_text("utf-8"))
    (stage,) = facts["stages"]
    assert (stage["steps"], stage["seconds"], stage["plan"]["tiles"]) == (2 * LOOK, 62, TILES)
    assert stage["pages"] == int(runs.curve()[-1]["examples"])
    assert facts["scores"] == {}


def test_the_command_trains_a_second_stage_and_tells_both(runs, finished, capsys) -> None:
    start = finished("mllama")
    runs.clock([0, 61])
    options = ["--from", str(start), "--seed", "8", "--rate", "0.0002", "--documents", "0"]
    assert command.main(arguments(runs.out, *options)) == 0
    stages = json.loads((runs.out / "training.json").read_text("utf-8"))["stages"]
    assert stages[0] == json.loads((start / "training.json").read_text("utf-8"))["stages"][0]
    assert [stage["plan"]["stage"] for stage in stages] == [0, 1]
    assert [stage["plan"]["seed"] for stage in stages] == [4, 8]
    card = (runs.out / "README.md").read_text("utf-8")
    assert card.index("--seed 4") < card.index("--seed 8")
    assert "--rate 0.0002" in card


def test_the_command_scores_what_it_has_saved(runs, monkeypatch) -> None:
    import torch

    scored = []

    def scores(model: object, processor: object, groups: object, device: str) -> dict[str, object]:
        assert torch.get_float32_matmul_precision() == "highest"
        scored.append((model, groups, device))
        return {"clean": {"documents": 7, "f1": 0.5, "hallucination_rate": 0.25, "parse_rate": 1.0}}

    monkeypatch.setattr(command, "score", scores)
    monkeypatch.setattr(command, "held_out", lambda count: count)
    runs.clock([0, 61])
    assert command.main(arguments(runs.out, "--documents", "7")) == 0
    ((model, groups, device),) = scored
    assert (groups, device, model.training) == (7, "cpu", False)
    saved, _ = load_checkpoint(runs.out)
    for tensors in ("named_parameters", "named_buffers"):
        was, now = dict(getattr(saved, tensors)()), dict(getattr(model, tensors)())
        assert [name for name in was if not torch.equal(was[name], now[name])] == []
    assert "| clean | 7 | 50.0 % | 25.0 % |" in (runs.out / "README.md").read_text("utf-8")


def test_a_stage_does_not_draw_the_pages_of_the_one_before(runs, finished, capsys) -> None:
    assert command.main(arguments(runs.out, "--from", str(finished("mllama")), "--seed", "4")) == 2
    assert "--seed 4" in capsys.readouterr().err
    assert not runs.out.exists()


def test_an_out_that_is_a_file_is_named(tmp_path, capsys) -> None:
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    assert command.main(arguments(tmp_path / "out")) == 2
    assert f"error: {tmp_path / 'out'}: " in capsys.readouterr().err
    assert (tmp_path / "out").read_text("utf-8") == "mine"


def test_help_teaches(capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for word in ("examples", "--family internvl", "--stop-after", "--from", "README.md", STATE, "A GPU is expected"):
        assert word in text


@pytest.mark.parametrize("length", [[], ["--minutes", "1", "--steps", "9"]])
def test_the_length_is_given_once(length, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main([str(tmp_path / "out"), "--family", "mllama", *length])
    assert stopped.value.code == 2
    assert "--steps" in capsys.readouterr().err


def test_an_unknown_family_is_a_usage_error(tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main([str(tmp_path / "out"), "--family", "llava", "--minutes", "1"])
    assert stopped.value.code == 2
    assert "internvl" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "given",
    ["--minutes=0", "--minutes=-1", "--minutes=nan", "--steps=0", "--tiles=0", "--repeats=0", "--rate=-1",
     "--stop-after=-1", "--workers=-1", "--seed=-1", f"--seed={SEEDS}", "--documents=-1"],
)  # fmt: skip
def test_amounts_that_are_none_are_usage_errors(given, tmp_path, capsys, monkeypatch) -> None:
    def started(*plan: object, **options: object) -> None:
        raise AssertionError("training has started")

    monkeypatch.setattr(command, "train", started)
    length = [] if given.startswith(("--minutes", "--steps")) else ["--steps=9"]
    with pytest.raises(SystemExit) as stopped:
        command.main([str(tmp_path / "out"), "--family=mllama", "--device=cpu", *length, given])
    assert stopped.value.code == 2
    assert given.partition("=")[0] in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cuda", "tpu"])
def test_a_device_that_is_not_there_is_named(device, tmp_path, capsys) -> None:
    import torch

    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert command.main(arguments(tmp_path / "out", "--device", device)) == 2
    assert device in capsys.readouterr().err


def test_a_start_that_is_none_ends_with_an_error(finished, tmp_path, capsys) -> None:
    assert command.main(arguments(tmp_path / "out", "--from", str(tmp_path / "none"))) == 2
    assert str(tmp_path / "none" / "training.json") in capsys.readouterr().err
    assert command.main(arguments(tmp_path / "out", "--from", str(finished("mllama")), family="internvl")) == 2
    assert "family mllama" in capsys.readouterr().err


@given(st.floats(1e-5, 1.0), st.lists(st.booleans(), min_size=1, max_size=6).filter(any), st.integers(0, 2**31))
def test_logits_are_pulled_towards_nought_where_they_are_told(weight, told, seed) -> None:
    import torch

    logits = (20 * torch.randn(len(told), 7, generator=torch.Generator().manual_seed(seed))).requires_grad_()
    loss = towards_nought(logits, torch.tensor(told), weight)
    assert loss.item() == 0
    loss.backward()
    # d(z^2)/d(logit) = 2 z softmax
    normalisers = logits.detach().logsumexp(dim=-1, keepdim=True)
    expected = weight * 2 * normalisers * logits.detach().softmax(dim=-1) * torch.tensor(told)[:, None] / sum(told)
    torch.testing.assert_close(logits.grad, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_come_nearer_to_nought_and_the_loss_that_is_told_is_the_same(drawn, family) -> None:

    batch = next(batch for batch in drawn[family] if batch.printed)

    def learnt(z_loss: float) -> tuple[float, float]:
        seen: list[torch.Tensor] = []
        trainer = Trainer(plan_of(family, z_loss=z_loss), Ranks(rank=0, size=1), "cpu")
        trainer.model.lm_head.register_forward_hook(lambda module, given, output: seen.append(output.detach().float()))
        first = trainer.losses(batch, answers=True)[2].item()
        for _ in range(5):
            trainer.step(batch, 1e-3, answers=True)
        return first, seen[-1].logsumexp(dim=-1).square().mean().item()

    (told, without), (same, centred) = learnt(0.0), learnt(1.0)
    assert same == told
    assert centred < without
