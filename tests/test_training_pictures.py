"""A checkpoint for the tasks about pictures: what it is taught, runs of the command, and answers through the backend.

Runs train the real architecture with narrow layers at 224 pixels, two steps each.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.checkpoints import score as score_command
from fixtures.checkpoints.train import __main__ as command
from fixtures.checkpoints.train.__main__ import _parser
from fixtures.checkpoints.train.card import read_facts, write_scores
from fixtures.checkpoints.train.examples import SEEDS, SEGMENTS
from fixtures.checkpoints.train.pictures import internvl as internvl_module
from fixtures.checkpoints.train.pictures.examples import IGNORED, TOKENS, Packer, PictureBatch, picture_batches
from fixtures.checkpoints.train.pictures.internvl import HEAD, PATCHES_SEEN, PictureInternVL
from fixtures.checkpoints.train.pictures.scores import (
    HELD_OUT_PICTURES,
    MAX_NEW_TOKENS,
    held_out_pictures,
    score_pictures,
    tasks_of,
)
from fixtures.checkpoints.train.pictures.trainer import PictureTrainer, balanced
from fixtures.checkpoints.train.plan import CURVE, STATE, Plan
from fixtures.checkpoints.train.ranks import Ranks
from fixtures.picture_options import BUNDLED_SCENES
from harness.backends.generative import TransformersBackend
from harness.backends.generative.torchvision_schema import ensure_torchvision
from harness.backends.protocol import BackendRequest
from harness.scenes import Scene, load_scenes
from harness.scenes.generator import generate
from harness.scenes.tasks import TASKS
from harness.scenes.training import COLUMNS, FIRST_SEED, LETTER_CLASSES, ROWS, examples
from harness.scenes.vocabulary import Stratum

SMALL = 224
ROW = ("tokens", "segments", "positions", "targets", "spots", "parts")


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Narrow layers, one thread, and the process as it was afterwards."""
    import torch

    ensure_torchvision()
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(internvl_module, "_WIDTH", 64)
        patch.setattr(internvl_module, "_VISION_LAYERS", 2)
        yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)


@pytest.fixture(scope="module")
def built(small: None) -> tuple[PictureInternVL, object, object]:
    """The family at 224 pixels, a model with weights that make its answers depend on the picture, its processor."""
    import torch

    family = PictureInternVL(SMALL)
    torch.manual_seed(1)
    model, processor = family.build()
    for parameter in model.eval().parameters():
        if parameter.dim() >= 2:
            parameter.data *= 3
    return family, model, processor


@pytest.fixture(scope="module")
def batch(built: tuple[PictureInternVL, object, object]) -> PictureBatch:
    family, _, processor = built
    return next(picture_batches(family, processor.tokenizer, seed=1, pictures=6, worker=0, workers=1))


def rows_of(batch: PictureBatch) -> dict[str, np.ndarray]:
    return dict(zip(ROW, batch.rows.numpy(), strict=True))


# --- vocabulary -------------------------------------------------------------------------------------------------------


def test_prompts_are_a_few_tokens_and_answers_come_back_and_end_in_time(built) -> None:
    tokenizer = built[2].tokenizer
    folder = load_scenes(BUNDLED_SCENES)
    most = {"reading": 12, "common_sense": 20}
    for task in TASKS.values():
        for question in task.questions(folder.pictures):
            asked = tokenizer(question.prompt, add_special_tokens=False)["input_ids"]
            assert len(asked) <= most.get(task.name, 3), question.prompt
            answer = tokenizer(question.target, add_special_tokens=False)["input_ids"]
            assert tokenizer.decode(answer) == question.target
            assert len(answer) < MAX_NEW_TOKENS


def test_a_model_of_full_size_is_small_enough(monkeypatch) -> None:
    monkeypatch.undo()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(internvl_module, "_WIDTH", 192)
        patch.setattr(internvl_module, "_VISION_LAYERS", 6)
        model, _ = PictureInternVL(448).build()
    weights = {id(parameter): parameter.numel() for parameter in model.parameters()}
    assert sum(weights.values()) <= 4_000_000  # 8 MB in 16 bits


# --- what is taught ---------------------------------------------------------------------------------------------------


def test_targets_are_the_true_answers_each_behind_its_own_question(built, batch) -> None:
    family, _, processor = built
    tokenizer = processor.tokenizer
    patch = 16 * 448 // SMALL
    drawn = list(islice(examples(seed=1, patch=patch), 6))
    for number, example in enumerate(drawn):
        row = {name: values[number] for name, values in rows_of(batch).items()}
        truths = {one.question.prompt: one.question.target for one in example.asked}
        assert row["segments"].max() >= 1
        for segment in range(1, row["segments"].max() + 1):
            inside = row["segments"] == segment
            said = row["targets"][inside]
            answer = said[said != IGNORED].tolist()
            assert answer[-1] == tokenizer.eos_token_id
            tokens = row["tokens"][inside].tolist()
            prompt = tokenizer.decode(tokens).partition("<|im_end|>")[0]
            assert tokenizer.decode(answer[:-1]) == truths.pop(prompt)
            assert tokens[-len(answer) :] == answer
            at = np.flatnonzero(inside)
            assert (row["targets"][at[:-1]][-len(answer) :] == row["tokens"][at[1:]][-len(answer) :]).all()
            assert row["positions"][inside].tolist() == list(range(2, 2 + len(tokens)))
        used = row["segments"] >= 0
        assert (row["tokens"][~used] == tokenizer.pad_token_id).all()
        assert (row["targets"][~used] == IGNORED).all()
    assert (batch.pixels.numpy()[0].shape, batch.labels.shape[1:3]) == ((SMALL, SMALL, 3), (family.grid,) * 2)


def test_what_does_not_fit_is_passed_over(built) -> None:
    family, _, processor = built
    example = next(one for one in examples(seed=5) if isinstance(one.picture, Scene))
    lengths = {}
    for tokens in (30, TOKENS):
        row = Packer(family, processor.tokenizer, tokens).row(example.asked, 32)
        assert {len(getattr(row, name)) for name in ROW} == {tokens}
        lengths[tokens] = max(row.segments)
    assert 1 <= lengths[30] < lengths[TOKENS] <= len(example.asked)


def test_spots_point_at_patches_that_show_what_is_said(built) -> None:
    """Characters of signs to their own class in the labels, by image token and part."""
    family, _, processor = built
    tokenizer = processor.tokenizer
    packer, signs = Packer(family, tokenizer), 0
    for example in islice(examples(seed=2, patch=32), 30):
        read = [one for one in example.asked if one.question.task == "ocr"]
        if not read:
            continue
        signs += 1
        row = packer.row(read, 32)
        letters = example.labels.letters.reshape(family.grid // 2, 2, family.grid // 2, 2, ROWS * COLUMNS)
        by_token = letters.transpose(0, 2, 1, 3, 4).reshape(family.image_tokens, PATCHES_SEEN * ROWS * COLUMNS)
        pointed = [(t, s, p) for t, s, p in zip(row.targets, row.spots, row.parts, strict=True) if s != IGNORED]
        text = "".join(read[0].question.target.split())
        assert tokenizer.decode([t for t, _, _ in pointed]) == text
        shown = [int(by_token[spot, part]) for _, spot, part in pointed]
        agree = sum(found == LETTER_CLASSES[character] for found, character in zip(shown, text, strict=True))
        assert agree >= len(text) - 1  # at 224 pixels narrow neighbours may share a part
    assert signs > 5


def test_training_draws_nothing_that_is_held_out_or_bundled(monkeypatch) -> None:
    """Seeds of all trainings, and of all times that each can be continued, against those of scores and the suite."""
    last = FIRST_SEED + (SEEDS - 1) * SEGMENTS + SEGMENTS - 1
    seeds = {picture.seed for picture in load_scenes(BUNDLED_SCENES).pictures}
    seeds |= {shown.picture.seed for shown in held_out_pictures(1)}
    assert HELD_OUT_PICTURES in seeds
    assert not [seed for seed in seeds if FIRST_SEED <= seed <= last]
    assert {one.picture.seed for one in islice(examples(seed=SEGMENTS * SEEDS - 1), 12)} == {last}


# --- the same as evaluation's -----------------------------------------------------------------------------------------


def test_questions_of_one_pass_are_answered_as_if_each_were_asked_alone(built, batch, tmp_path) -> None:
    """States of packed questions against the library's own pass over one question, from processor and chat template."""
    import torch

    family, model, processor = built
    model.save_pretrained(tmp_path)
    library = type(model).from_pretrained(tmp_path, local_files_only=True).eval()
    tokenizer = processor.tokenizer
    rows = rows_of(batch)
    number = int(rows["segments"].max(axis=1).argmax())
    with torch.inference_mode():
        pixels = batch.pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        _, seen = family.see(model, pixels)
        tokens, segments, positions = (batch.rows[i].long() for i in range(3))
        head = torch.tensor(family.head(tokenizer))
        states = family.hidden(model, head, seen, tokens, segments, positions)[number]
        compared = 0
        for segment in range(1, int(rows["segments"][number].max()) + 1):
            at = np.flatnonzero(rows["segments"][number] == segment)
            text = tokenizer.decode(rows["tokens"][number][at].tolist())
            prompt, _, rest = text.partition("<|im_end|>")
            message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}
            asked = processor.apply_chat_template([message], add_generation_prompt=True)
            picture = Image.fromarray(batch.pixels[number].numpy())
            inputs = dict(processor(images=[[picture]], text=[asked], add_special_tokens=False, return_tensors="pt"))
            answer = rest.removeprefix("\n<|im_start|>assistant\n")
            ids = tokenizer(answer, add_special_tokens=False, return_tensors="pt")["input_ids"]
            assert inputs["input_ids"][0].tolist() == [
                *family.head(tokenizer),
                *[model.config.image_token_id] * family.image_tokens,
                *family.shared(tokenizer),
                *family.question(tokenizer, prompt),
            ]
            inputs["input_ids"] = torch.cat([inputs["input_ids"], ids], dim=1)
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
            assert torch.allclose(inputs["pixel_values"], pixels[number][None], atol=1e-5)
            own = library(**inputs).logits[0, -len(at) :]
            found = model.lm_head(states[torch.from_numpy(at)])
            assert torch.allclose(found, own, atol=1e-4, rtol=1e-3), prompt
            compared += len(at)
        assert compared > 60
        # another picture, other states
        other = family.hidden(model, head, seen.flip(0), tokens, segments, positions)[number]
        assert (other - states).abs().max() > 0.02


def test_the_answer_begins_where_the_chat_template_ends(built) -> None:
    _, _, processor = built
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "?"}]}
    assert processor.apply_chat_template([message], add_generation_prompt=True).startswith(HEAD.removesuffix("<img>"))


# --- learning ---------------------------------------------------------------------------------------------------------


def test_an_answer_counts_by_the_root_of_its_length() -> None:
    import torch

    segments = torch.tensor([[1, 1, 1, 1, 1, 2, 2], [1, 1, 2, 2, -1, -1, -1]])
    told = torch.tensor([[0, 1, 1, 1, 1, 0, 1], [0, 1, 0, 1, 0, 0, 0]]).bool()  # answers of 4, 1, 1 and 1 tokens
    losses = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    expected = (10 / 2 + 5 + 6 + 7) / (4 / 2 + 3)
    assert balanced(losses, told, segments).item() == pytest.approx(expected)
    assert balanced(losses[:0], told & False, segments).item() == 0


def test_a_batch_is_learnt_by_heart(batch) -> None:
    """All losses fall, and none is about nothing."""
    plan = Plan(family="internvl", steps=10, reads="pictures", side=SMALL, tiles=6, seed=2)
    trainer = PictureTrainer(plan, Ranks(rank=0, size=1), "cpu")
    first = [loss.item() for loss in trainer.losses(batch, answers=True)]
    for _ in range(12):
        last = trainer.step(batch, 3e-3, answers=True)
    assert all(before > 0 for before in first)
    assert all(after.item() < 0.95 * before for before, after in zip(first, last, strict=True))
    alone = trainer.step(batch, 0.0, answers=False)
    assert [loss is None for loss in alone] == [False, True, True, False]


def test_the_vision_side_learns_from_the_answer_as_much_as_it_is_told(batch) -> None:
    import torch

    plan = Plan(family="internvl", steps=10, reads="pictures", side=SMALL, tiles=6)
    trainer = PictureTrainer(plan, Ranks(rank=0, size=1), "cpu")
    patches = next(p for name, p in trainer.model.named_parameters() if "patch_embedding" in name)

    def learnt(backwards: float) -> torch.Tensor:
        _, places, answer, _ = trainer.losses(batch, answers=True, backwards=backwards)
        return torch.autograd.grad(places + answer, [patches])[0].float()

    whole, half, none = learnt(1.0), learnt(0.5), learnt(0.0)
    assert not none.any()
    assert (half - whole / 2).norm() < 0.1 * whole.norm()
    assert (whole[:, 0] - whole[:, 2]).abs().max() > 0  # in colour


# --- the command ------------------------------------------------------------------------------------------------------


def arguments(out: Path, *more: str) -> list[str]:
    given = f"--family internvl --reads pictures --side {SMALL} --device cpu --workers 0 --tiles 4 --documents 0"
    return [str(out), *given.split(), *more]


@pytest.fixture(scope="module")
def trained(small: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a checkpoint after two steps of the command."""
    out = tmp_path_factory.mktemp("trained") / "pictures"
    assert command.main(arguments(out, "--steps", "2")) == 0
    return out


def test_a_checkpoint_answers_a_question_of_each_task_through_the_backend(trained) -> None:
    settings = {"source": str(trained), "family": "internvl", "max_new_tokens": 24}
    backend = TransformersBackend.from_request(
        BackendRequest(backend="transformers", quantization="fp32", runtime="eager", device="cpu", settings=settings)
    )
    backend.load()
    folder = load_scenes(BUNDLED_SCENES)
    for task in TASKS.values():
        question = next(iter(task.questions(folder.pictures)))
        with Image.open(folder.path(question.picture)) as image:
            answer = backend.read(image.convert("RGB"), question.prompt)
        assert answer.output_tokens is not None
        assert 0 < answer.output_tokens <= 24  # so few steps teach no end
        judgement = task.judge(question, answer.text)
        assert 0 <= judgement.ratios[task.main][0] <= judgement.ratios[task.main][1]


def test_a_finished_folder_is_complete_and_tells_of_pictures(trained) -> None:
    names = {path.name for path in trained.iterdir()}
    assert names >= {
        "config.json", "generation_config.json", "model.safetensors", "processor_config.json", "tokenizer.json",
        "tokenizer_config.json", "chat_template.jinja", "README.md", "training.json", CURVE, "loss.png",
    }  # fmt: skip
    assert STATE not in names
    header, line = (trained / CURVE).read_text("utf-8").splitlines()
    assert header == "stage,step,seconds,examples,rate,characters,places,answer,objects"
    assert float(line.split(",")[5]) > 0
    assert float(line.split(",")[8]) > 0
    card = (trained / "README.md").read_text("utf-8")
    assert "# tiny-pictures" in card
    assert "not scored yet" in card
    section = card.partition("## Training")[2].partition("## Scores")[0].replace("\\\n", " ")
    (told,) = (shlex.split(line) for line in section.splitlines() if line.startswith("    "))
    options = _parser().parse_args(told[told.index("fixtures.checkpoints.train") + 1 :])
    plan = read_facts(trained)["stages"][0]["plan"]
    names = ("family", "reads", "side", "steps", "seed", "tiles", "rate", "repeats", "optimiser", "tasks")
    assert {name: getattr(options, name) for name in names} == {name: plan[name] for name in names}


def test_a_stopped_run_goes_on(tmp_path, capsys) -> None:
    out = tmp_path / "out"
    assert command.main(arguments(out, "--steps", "12", "--stop-after", "1e-9")) == 3
    assert str(out / STATE) in capsys.readouterr().out
    assert command.main(arguments(out, "--steps", "12", "--side", "448")) == 2
    assert "side 224, not 448" in capsys.readouterr().err
    assert command.main(arguments(out, "--steps", "12")) == 0
    steps = [int(line.split(",")[1]) for line in (out / CURVE).read_text("utf-8").splitlines()[1:]]
    assert steps == [10, 12]


def test_a_checkpoint_of_pictures_starts_pictures_only(trained, tmp_path, capsys) -> None:
    more = ["--steps", "1", "--seed", "1", "--from", str(trained)]
    assert command.main(arguments(tmp_path / "next", *more, "--tasks", "ocr,colour")) == 0
    assert "--tasks ocr,colour" in (tmp_path / "next" / "README.md").read_text("utf-8")
    stages = read_facts(tmp_path / "next")["stages"]
    assert [stage["plan"]["seed"] for stage in stages] == [0, 1]
    documents = f"{tmp_path / 'none'} --family internvl --device cpu --workers 0 --documents 0"
    capsys.readouterr()
    assert command.main([*shlex.split(documents), *more]) == 2
    assert "reads pictures, not documents" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("--family mllama --reads pictures", "--family mllama"),
        ("--family internvl --side 224", "--side"),
        ("--family internvl --tasks ocr", "--tasks"),
    ],
)
def test_options_that_do_not_go_together_are_named(given, named, tmp_path, capsys) -> None:
    assert command.main([str(tmp_path / "out"), "--steps", "1", "--device", "cpu", *given.split()]) == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", ["--side=300", "--side=x", "--tasks=ocr,colours", "--reads=signs"])
def test_values_that_are_none_are_usage_errors(given, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main([str(tmp_path / "out"), "--family=internvl", "--steps=1", "--reads=pictures", given])
    assert stopped.value.code == 2
    assert given.partition("=")[0] in capsys.readouterr().err


# --- scores -----------------------------------------------------------------------------------------------------------


class Answering:
    """Stands for a model that says the given texts, batch by batch."""

    def __init__(self, tokenizer: object, texts: Iterator[str]) -> None:
        self.tokenizer, self.texts = tokenizer, texts

    def generate(self, input_ids: object, **given: object) -> object:
        import torch

        said = [self.tokenizer(next(self.texts))["input_ids"] for _ in input_ids]
        longest = max(map(len, said))
        rows = [ids + [self.tokenizer.pad_token_id] * (longest - len(ids)) for ids in said]
        return torch.cat([input_ids, torch.tensor(rows)], dim=1)


def test_scores_are_the_judges_over_all_strata(built) -> None:
    _, _, processor = built
    pictures = held_out_pictures(1)
    tasks = tasks_of("objects_and_counts,counting,ocr")
    asked = [sorted((q.target for shown in pictures for q in task.ask(shown.picture)), key=len) for task in tasks]
    assert all(asked)
    texts = iter([target for targets in asked for target in targets])
    found = score_pictures(Answering(processor.tokenizer, texts), processor, pictures, "cpu", tasks)
    assert {name.split("/")[0] for name in found} == {task.name for task in tasks}
    for name, one in found.items():
        assert one["value"] == (0 if "error_rate" in name else 1)
    assert found["objects_and_counts/count_f1/all"]["pictures"] == 3
    assert found["objects_and_counts/count_f1/all"]["blind"] < 1


def test_held_out_pictures_are_of_all_strata_and_kinds_alike() -> None:
    pictures = [shown.picture for shown in held_out_pictures(2)]
    scenes = [one for one in pictures if isinstance(one, Scene)]
    figures = [one for one in pictures if not isinstance(one, Scene)]
    assert sorted(one.stratum for one in scenes) == sorted([*Stratum] * 2)
    assert len({(one.stratum, one.kind) for one in figures}) == len(figures) == 12
    assert scenes[0] == generate(HELD_OUT_PICTURES, 0).scene


def test_the_card_shows_value_interval_and_what_needs_no_look(trained, tmp_path) -> None:
    facts = json.loads((trained / "training.json").read_text("utf-8"))
    (tmp_path / "training.json").write_text(json.dumps(facts), encoding="utf-8")
    write_scores(
        tmp_path,
        {
            "colour/accuracy/easy": {"value": 0.9, "low": 0.85, "high": 0.95, "pictures": 60, "blind": 0.17},
            "ocr/character_error_rate/easy": {"value": 0.05, "low": None, "high": None, "pictures": 1, "blind": None},
        },
    )
    rows = [re.sub(r"\s+", " ", line) for line in (tmp_path / "README.md").read_text("utf-8").splitlines()]
    assert "| colour | accuracy | easy | 60 | 0.900 (0.850 to 0.950) | 0.170 |" in rows
    assert "| ocr | character_error_rate | easy | 1 | 0.050 | not measured |" in rows


def test_the_score_command_scores_pictures(trained, monkeypatch, capsys) -> None:
    asked = []

    def scores(model: object, processor: object, pictures: object, device: str, tasks: object) -> dict[str, object]:
        asked.append((len(pictures), device, len(tasks)))
        return {"colour/accuracy/all": {"value": 0.5, "low": 0.4, "high": 0.6, "pictures": 3, "blind": 0.2}}

    monkeypatch.setattr(score_command, "score_pictures", scores)
    assert score_command.main([str(trained), "--documents", "1"]) == 0
    assert asked == [(15, "cpu", len(TASKS))]
    assert json.loads(capsys.readouterr().out) == read_facts(trained)["scores"]
    assert "0.500 (0.400 to 0.600)" in (trained / "README.md").read_text("utf-8")


def test_numbers_of_spots_are_those_of_image_tokens(batch) -> None:
    spots = rows_of(batch)["spots"]
    parts = rows_of(batch)["parts"]
    assert spots[spots != IGNORED].max() < (SMALL // 32) ** 2
    assert (spots != IGNORED).any()
    assert ((parts == IGNORED) | (spots != IGNORED)).all()
    assert parts.max() < PATCHES_SEEN * ROWS * COLUMNS
