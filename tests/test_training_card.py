"""A finished checkpoint: weights that load and say what training said, a card that can be followed, honest scores."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fixtures.checkpoints import score as score_command
from fixtures.checkpoints.train import mllama as mllama_module
from fixtures.checkpoints.train import scores as scores_module
from fixtures.checkpoints.train.__main__ import _parser
from fixtures.checkpoints.train.card import (
    check_repeat,
    draw_curve,
    load_checkpoint,
    read_facts,
    save_checkpoint,
    write_scores,
)
from fixtures.checkpoints.train.errors import TrainingError
from fixtures.checkpoints.train.examples import SEEDS
from fixtures.checkpoints.train.families import FAMILIES
from fixtures.checkpoints.train.plan import CURVE, OPTIMISERS, STATE, Plan
from fixtures.checkpoints.train.scores import held_out, score
from harness.backends.generative.torchvision_schema import ensure_torchvision
from harness.documents.synthesis import Stratum, SynthesizedDocument, compose, generate
from harness.prompts import prompt
from harness.responses import render_response
from harness.schema import FIELD_NAMES, FIELDS, Kind
from tests.library_warnings import MLLAMA_WARNS

if TYPE_CHECKING:
    import torch

pytestmark = [MLLAMA_WARNS]

BUNDLED = Path(__file__).parents[1] / "fixtures" / "checkpoints"
LINES = [
    {"stage": "0", "step": "50", "examples": "900", "characters": "5.5", "places": "", "answer": ""},
    {"stage": "0", "step": "100", "examples": "1800", "characters": "2.5", "places": "", "answer": "3.5"},
    {"stage": "0", "step": "150", "examples": "2700", "characters": "0.5", "places": "1.25", "answer": "0.5"},
]
"""Of a curve, with losses that are not learnt from the start."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on busy cores make this many times slower."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def plan_of(family: str, **values: object) -> Plan:
    return Plan(family=family, **{"minutes": 12.5, "seed": 3, "tiles": 24, "rate": 5e-4, "repeats": 2, **values})


def curve_text(lines: list[dict[str, str]]) -> str:
    names = ["stage", "step", "seconds", "examples", "rate", "characters", "places", "answer"]
    rows = [{"seconds": "61.5", "rate": "0.001", **line} for line in lines]
    return "\n".join([",".join(names), *(",".join(row[name] for name in names) for row in rows)]) + "\n"


# --- the checkpoint ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, object]]:
    """The folder of a full-size checkpoint of a family, and the model as it was before it was saved."""
    import torch

    ensure_torchvision()
    found: dict[str, tuple[Path, object]] = {}

    def of(family: str) -> tuple[Path, object]:
        if family not in found:
            out = tmp_path_factory.mktemp("saved") / family
            out.mkdir()
            (out / CURVE).write_text(curve_text(LINES), encoding="utf-8")
            (out / STATE).write_bytes(b"of an unfinished run")
            torch.manual_seed(2)
            model, processor = FAMILIES[family].build()
            for parameter in model.eval().parameters():
                if parameter.dim() >= 2:
                    parameter.data *= 2  # so that the answer depends on the page
                parameter.data = parameter.data.half().float()
            before = deepcopy(model)
            save_checkpoint(out, plan_of(family), model, processor)
            found[family] = out, before
        return found[family]

    return of


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_is_complete_small_and_16_bit(saved, family) -> None:
    from safetensors import safe_open

    out, _ = saved(family)
    names = {path.name for path in out.iterdir()}
    assert names >= {
        "config.json", "generation_config.json", "model.safetensors", "processor_config.json", "tokenizer.json",
        "tokenizer_config.json", "chat_template.jinja", "README.md", "training.json", CURVE, "loss.png",
    }  # fmt: skip
    assert STATE not in names
    assert sum(path.stat().st_size for path in out.iterdir()) < 20_000_000
    with safe_open(out / "model.safetensors", "pt") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {"F16"}  # noqa: SIM118
    assert "unmasked_tile" not in (out / "config.json").read_text("utf-8")  # attention that only training knows


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loaded_checkpoint_computes_what_training_computed(saved, family) -> None:
    """The first token's logits of one page at full size."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    out, trained = saved(family)
    loaded = AutoModelForImageTextToText.from_pretrained(out, local_files_only=True, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(out, local_files_only=True)
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt().text}]}
    asked = processor.apply_chat_template([message], add_generation_prompt=True)
    page = generate(3, 1, stratum=Stratum.SCANNED).image.resize((500, 600))
    assert page.mode == "L"
    inputs = dict(
        processor(images=[[page.convert("RGB")]], text=[asked], add_special_tokens=False, return_tensors="pt")
    )

    tiles = FAMILIES[family].tiles(page)
    pixels = torch.from_numpy(np.stack([tile.pixels for tile in tiles])).float() / 127.5 - 1
    question = FAMILIES[family].question(processor.tokenizer, prompt().text, len(tiles))
    pixels = pixels[:, None].expand(-1, 3, -1, -1)
    inputs["pixel_values"] = pixels.reshape(inputs["pixel_values"].shape)  # at most a level away: only models differ
    with torch.inference_mode():
        _, seen = FAMILIES[family].see(trained, pixels, len(tiles))
        found = FAMILIES[family].predict(trained, seen, torch.tensor([[*question, 5]]), len(question))[0, 0]
        steps = loaded.generate(
            **inputs, max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True
        )
    assert steps.sequences[0, :-1].tolist() == question
    assert torch.allclose(found, steps.logits[0][0], atol=1e-4)
    assert found.std() > 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_comes_back_as_it_was_saved(saved, family) -> None:
    """Frequencies of positions, too, which are not among the weights."""
    import torch

    out, before = saved(family)
    after, processor = load_checkpoint(out)
    assert not after.training
    assert processor.tokenizer.eos_token
    for tensors in ("named_parameters", "named_buffers"):
        was, now = dict(getattr(before, tensors)()), dict(getattr(after, tensors)())
        assert was.keys() == now.keys()
        assert [name for name in was if not torch.equal(was[name], now[name])] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_facts_say_how_a_checkpoint_came_to_be(saved, family) -> None:
    import torch

    out, trained = saved(family)
    facts = read_facts(out)
    (stage,) = facts["stages"]
    assert stage["plan"]["family"] == family
    assert (stage["steps"], stage["pages"], stage["seconds"]) == (150, 2700, 61.5)
    assert stage["torch"] == torch.__version__
    assert facts["parameters"] == sum(parameter.numel() for parameter in trained.parameters())
    assert facts["scores"] == {}
    card = (out / "README.md").read_text("utf-8")
    assert f"# tiny-{family}" in card
    assert f"{facts['parameters'] / 1e6:.1f} million parameters" in card
    assert "not scored yet" in card
    assert "loss.png" in card


# --- the card ---------------------------------------------------------------------------------------------------------

STAGE = {
    "steps": 7370,
    "pages": 501056,
    "seconds": 828.0,
    "device": "NVIDIA H200",
    "torch": "2.11",
    "transformers": "5.17",
    "generator": 1,
}


def facts_of(*plans: dict[str, object], **more: object) -> dict[str, object]:
    return {"parameters": 9_463_552, "stages": [{"plan": plan, **STAGE} for plan in plans], "scores": {}, **more}


def card_of(facts: dict[str, object], scores: dict[str, dict[str, float | int | None]] | None = None) -> str:
    with TemporaryDirectory() as folder:
        (Path(folder) / "training.json").write_text(json.dumps(facts), encoding="utf-8")
        write_scores(Path(folder), scores or {})
        assert read_facts(Path(folder)) == {**facts, "scores": scores or {}}
        return (Path(folder) / "README.md").read_text("utf-8")


def commands(card: str) -> list[list[str]]:
    """The words of each command that the card tells."""
    section = card.partition("## Training")[2].partition("## Scores")[0].replace("\\\n", " ")
    return [shlex.split(line) for line in section.splitlines() if line.startswith("    ")]


lengths = st.one_of(
    st.floats(0.1, 600).map(lambda minutes: {"steps": None, "minutes": round(minutes, 1)}),
    st.integers(1, 10**6).map(lambda steps: {"steps": steps, "minutes": None}),
)
plans = st.fixed_dictionaries(
    {
        "family": st.sampled_from(sorted(FAMILIES)),
        "seed": st.integers(0, SEEDS - 1),
        "tiles": st.integers(1, 500),
        "rate": st.floats(1e-5, 1e-2).map(lambda rate: float(f"{rate:.3g}")),
        "repeats": st.integers(1, 9),
        "optimiser": st.sampled_from(OPTIMISERS),
        "compile": st.booleans(),
        "z_loss": st.sampled_from([0.0, 0.0003, 0.01]),
        "devices": st.integers(1, 8),
    }
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.builds(lambda plan, length: plan | length, plans, lengths), min_size=1, max_size=3))
def test_the_commands_of_the_card_are_those_that_were_given(given_plans) -> None:
    stages = [{**plan, "stage": number} for number, plan in enumerate(given_plans)]
    told = commands(card_of(facts_of(*stages)))
    assert len(told) == len(stages)
    outs: list[Path] = []
    for words, plan in zip(told, stages, strict=True):
        at = words.index("fixtures.checkpoints.train")
        several = ["torchrun", "--nproc-per-node", str(plan["devices"]), "-m"]
        assert words[:at] == (several if plan["devices"] > 1 else ["python", "-m"])
        options = vars(_parser().parse_args(words[at + 1 :]))
        assert {name: options[name] for name in plan if name in options} == {
            name: value for name, value in plan.items() if name not in ("devices", "stage")
        }
        assert options["start"] == (outs[-1] if outs else None)
        outs.append(options["out"])
    assert len(set(outs)) == len(outs)
    assert outs[-1] == Path("OUT")


def test_the_card_shows_scores_in_percent_by_group() -> None:
    card = card_of(
        facts_of(asdict(plan_of("mllama"))),
        {
            "clean": {"documents": 60, "f1": 0.98765, "hallucination_rate": 0.0, "parse_rate": 1.0},
            "random letters": {"documents": 7, "f1": None, "hallucination_rate": 0.125, "parse_rate": None},
        },
    )
    rows = [re.sub(r"\s+", " ", line) for line in card.splitlines() if line.startswith("|")]
    assert "| clean | 60 | 98.8 % | 0.0 % |" in rows
    assert "| random letters | 7 | not measured | 12.5 % |" in rows
    assert "not scored yet" not in card
    assert "on 1 NVIDIA H200, 13.8 minutes: 7,370 steps" in card


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "{}", '{"stages": []}', '{"stages": [{}]}', '{"plan": {"family": "mllama"}}', "3"]
)
def test_a_folder_that_is_none_of_ours_is_refused_and_left_alone(text, tmp_path) -> None:
    if text is not None:
        (tmp_path / "training.json").write_text(text, encoding="utf-8")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(TrainingError) as refused:
        write_scores(tmp_path, {"clean": {"documents": 1, "f1": 1.0, "hallucination_rate": 0.0}})
    assert str(tmp_path / "training.json") in str(refused.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bundled_card_says_what_the_bundled_facts_say(family) -> None:
    folder = BUNDLED / f"tiny-{family}"
    facts = read_facts(folder)
    assert card_of(facts, facts["scores"]) == (folder / "README.md").read_text("utf-8")
    assert facts["stages"][0]["plan"]["family"] == family


# --- the curve --------------------------------------------------------------------------------------------------------


def drawn(curve: list[dict[str, str]], path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple]]:
    """The points of each line in the picture that `draw_curve` makes, by label."""
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig

    def kept(self: Figure, *given: object, **options: object) -> None:
        figures.append(self)
        save(self, *given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", kept)
        draw_curve(curve, path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 300
    (axes,) = figures[0].axes
    return {
        line.get_label(): [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)] for line in axes.lines
    }


def test_the_curve_shows_each_loss_where_it_was_measured(tmp_path, monkeypatch) -> None:
    lines = drawn(LINES, tmp_path / "loss.png", monkeypatch)
    assert lines == {
        "characters in patches": [(0.9, 5.5), (1.8, 2.5), (2.7, 0.5)],
        "where the next one stands": [(2.7, 1.25)],
        "answer tokens": [(1.8, 3.5), (2.7, 0.5)],
    }


def test_the_curve_of_a_further_stage_goes_on_behind_the_first(tmp_path, monkeypatch) -> None:
    second = [{**line, "stage": "1", "examples": seen} for line, seen in zip(LINES[2:] * 2, ("50", "90"), strict=True)]
    third = [{**LINES[2], "stage": "2", "examples": "10"}]
    lines = drawn(LINES + second + third, tmp_path / "loss.png", monkeypatch)
    assert [x for x, _ in lines["characters in patches"]] == pytest.approx([0.9, 1.8, 2.7, 2.75, 2.79, 2.8])


@pytest.mark.parametrize("lines", [LINES[:1], []])
def test_a_curve_with_little_in_it_is_drawn(lines, tmp_path, monkeypatch) -> None:
    points = drawn(lines, tmp_path / "loss.png", monkeypatch)
    assert [len(line) for line in points.values()] == [len(lines), 0, 0]


# --- the scores -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def groups() -> dict[str, list[SynthesizedDocument]]:
    ensure_torchvision()
    return held_out(3)


def long_words(truth: dict[str, str | None]) -> list[str]:
    texts = (truth[name] or "" for name, field in FIELDS.items() if field.kind in (Kind.TEXT, Kind.TEXT_LIST))
    return [word.lower() for text in texts for word in re.findall(r"[A-Za-z0-9]{4,}", text)]


def test_pages_held_out_are_as_many_in_each_group_and_no_page_is_in_two(groups) -> None:
    assert list(groups) == [*Stratum, "random letters"]
    assert {len(documents) for documents in groups.values()} == {3}
    for stratum in Stratum:
        assert {document.stratum for document in groups[stratum]} == {stratum}
    pages = [(document.seed, document.index) for documents in groups.values() for document in documents]
    assert len(set(pages)) == len(pages)
    assert {document.kind for document in groups["clean"]} == {"receipt", "invoice", "statement"}


def test_the_words_of_the_last_group_are_none(groups) -> None:
    known = {word for index in range(90) for word in long_words(compose(12, index).facts.truth())}

    def share(documents: list[SynthesizedDocument]) -> float:
        words = [word for document in documents for word in long_words(document.truth)]
        assert len(words) > 20
        return sum(word in known for word in words) / len(words)

    assert share(groups["random letters"]) < 0.03
    for stratum in Stratum:
        assert share(groups[stratum]) > 0.5


class Answering:
    """Stands for a model: says the texts it is given, one a document, and looks at nothing."""

    def __init__(self, tokenizer: object, texts: Iterator[str]) -> None:
        self.tokenizer, self.texts = tokenizer, texts
        self.batches: list[int] = []

    def generate(self, *, input_ids: torch.Tensor, pixel_values: torch.Tensor, **given: object) -> torch.Tensor:
        import torch

        assert given["do_sample"] is False
        assert pixel_values.shape[-1] == 896
        self.batches.append(len(input_ids))
        # shorter answers are filled up, as the library does
        said = [self.tokenizer(next(self.texts) + self.tokenizer.eos_token)["input_ids"] for _ in input_ids]
        longest = max(map(len, said))
        rows = [ids + [self.tokenizer.pad_token_id] * (longest - len(ids)) for ids in said]
        return torch.cat([input_ids, torch.tensor(rows)], dim=1)


@pytest.mark.parametrize(("together", "batches"), [(1, [1, 1, 1]), (2, [2, 1])])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_of_the_answers_to_each_group(groups, family, together, batches, monkeypatch) -> None:
    processor = FAMILIES[family].build()[1]
    nothing = render_response(dict.fromkeys(FIELD_NAMES))

    def said(group: str, document: SynthesizedDocument) -> str:
        return nothing if group == "random letters" else render_response(document.truth)

    texts = [said(name, document) for name, documents in groups.items() for document in documents]
    texts[-1] = "no such thing"
    model = Answering(processor.tokenizer, iter(texts))
    if together > 1:
        monkeypatch.setitem(scores_module._PAGES_AT_ONCE, "cpu", together)
    found = score(model, processor, groups, "cpu")
    assert model.batches == batches * 4
    assert list(found) == [*Stratum, "random letters", "overall"]
    for stratum in Stratum:
        assert found[stratum] == {"documents": 3, "f1": 1.0, "hallucination_rate": 0.0, "parse_rate": 1.0}
    assert found["overall"] == {"documents": 9, "f1": 1.0, "hallucination_rate": 0.0, "parse_rate": 1.0}
    assert found["random letters"]["f1"] == 0
    assert found["random letters"]["parse_rate"] == pytest.approx(2 / 3)


def test_one_wrong_page_lowers_its_group_and_the_overall_score(groups) -> None:
    processor = FAMILIES["mllama"].build()[1]
    texts = [render_response(document.truth) for documents in groups.values() for document in documents]
    texts[0] = render_response(dict.fromkeys(FIELD_NAMES, "12 Nowhere"))
    found = score(Answering(processor.tokenizer, iter(texts)), processor, groups, "cpu")
    assert found["clean"]["f1"] < found["overall"]["f1"] < 1
    assert found["clean"]["hallucination_rate"] > found["overall"]["hallucination_rate"] > 0
    assert found["scanned"]["f1"] == found["random letters"]["f1"] == 1


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """A checkpoint with narrow layers and small tiles, of which every token ends the answer."""
    ensure_torchvision()
    folder = tmp_path / "quick"
    folder.mkdir()
    (folder / CURVE).write_text(curve_text(LINES), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"TILE": 224, "GRID": 14, "WIDTH": 64, "VISION_LAYERS": 4}.items():
            patch.setattr(mllama_module, name, value)
        model, processor = FAMILIES["mllama"].build()
    model.generation_config.eos_token_id = list(range(model.config.text_config.vocab_size))
    save_checkpoint(folder, plan_of("mllama"), model, processor)
    return folder


def test_the_command_scores_a_checkpoint_and_writes_its_card(quick, capsys) -> None:
    assert score_command.main([str(quick), "--documents", "1"]) == 0
    printed = json.loads(capsys.readouterr().out)
    facts = read_facts(quick)
    assert facts["scores"] == printed
    assert [printed[name]["documents"] for name in printed] == [1, 1, 1, 1, 3]
    assert all(value is None or math.isfinite(value) for group in printed.values() for value in group.values())
    card = (quick / "README.md").read_text("utf-8")
    assert re.search(r"^\| overall \| 3 \| 0\.0 % \|", card, re.MULTILINE)


@pytest.fixture
def card(quick, tmp_path) -> Path:
    """A checkpoint with scores on a document a group, of which `quick` may be a repeat: its weights are others."""
    folder = tmp_path / "card"
    shutil.copytree(quick, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-2] + b"\0\1")
    assert score_command.main([str(folder), "--documents", "1"]) == 0
    return folder


def test_a_repeat_stands_beside_the_scores_of_the_card(quick, card) -> None:
    before = read_facts(card)
    assert score_command.main([str(quick), "--documents", "1", "--repeats", str(card)]) == 0
    again = read_facts(quick)
    assert read_facts(card) == {**before, "again": {"stages": again["stages"], "scores": again["scores"]}}
    text = (card / "README.md").read_text("utf-8")
    assert re.search(r"^\| overall \| 3 \| 0\.0 % \| [^|]+ \| 0\.0 % \|$", text, re.MULTILINE)
    assert "trained again" not in (quick / "README.md").read_text("utf-8")
    write_scores(card, before["scores"])
    assert (card / "README.md").read_text("utf-8") == text
    write_scores(card, {name: {**one, "documents": 2} for name, one in before["scores"].items()})
    assert "trained again" not in (card / "README.md").read_text("utf-8")


def changed_facts(folder: Path, change: Callable[[dict], object]) -> None:
    facts = read_facts(folder)
    change(facts["stages"][0])
    (folder / "training.json").write_text(json.dumps(facts), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "documents", "told"),
    [
        (lambda stage: stage["plan"].update(seed=5), 1, "stage 1 has seed 5"),
        (lambda stage: stage["plan"].update(devices=3), 1, "stage 1 has tiles a step 72"),
        (lambda stage: stage.update(steps=9), 1, "stage 1 has steps 9"),
        (lambda stage: None, 2, "scored on 1 documents a group, not 2"),
    ],
)
def test_what_cannot_stand_beside_it_is_refused_before_it_is_scored(
    change, documents, told, quick, card, capsys, monkeypatch
) -> None:
    changed_facts(quick, change)
    monkeypatch.setattr(score_command, "score", lambda *given: pytest.fail("scoring has started"))
    assert score_command.main([str(quick), "--documents", str(documents), "--repeats", str(card)]) == 2
    assert told in capsys.readouterr().err
    assert "again" not in read_facts(card)


def test_no_checkpoint_repeats_itself(card) -> None:
    with pytest.raises(TrainingError, match="the very weights"):
        check_repeat(card, card, 1)


def test_shared_out_to_other_devices_it_is_a_repeat(quick, card) -> None:
    changed_facts(quick, lambda stage: stage["plan"].update(devices=2, tiles=stage["plan"]["tiles"] // 2))
    check_repeat(card, quick, 1)
    facts = read_facts(quick)
    facts["stages"].append(facts["stages"][0])
    (quick / "training.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(TrainingError, match="2 stages, not 1"):
        check_repeat(card, quick, 1)


def test_a_missing_folder_is_named(tmp_path, capsys) -> None:
    assert score_command.main([str(tmp_path / "none")]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_a_folder_without_a_checkpoint_is_named(tmp_path, capsys) -> None:
    assert score_command.main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_a_checkpoint_that_is_none_of_ours_is_refused_before_it_is_scored(quick, capsys, monkeypatch) -> None:
    def started(*given: object) -> None:
        raise AssertionError("scoring has started")

    monkeypatch.setattr(score_command, "score", started)
    (quick / "training.json").unlink()
    assert score_command.main([str(quick), "--documents", "1"]) == 2
    assert str(quick / "training.json") in capsys.readouterr().err


def test_weights_that_cannot_be_read_are_named(quick, capsys) -> None:
    (quick / "model.safetensors").write_bytes(b"cut off")
    assert score_command.main([str(quick), "--documents", "1"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {quick}: ")


def test_scores_of_no_documents_are_a_usage_error(quick, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        score_command.main([str(quick), "--documents", "0"])
    assert stopped.value.code == 2
    assert "--documents" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_named(quick, capsys) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert score_command.main([str(quick), "--device", "cuda", "--documents", "1"]) == 2
    assert "cuda" in capsys.readouterr().err


def test_help_says_what_is_scored(capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        score_command.main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("FOLDER", "--documents", "model card", "held-out"))
