"""The model catalogue, and the cells that options make of it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from fixtures.architectures import architecture_folder, known_architectures
from fixtures.catalogue import load_catalogue
from fixtures.options import EvalOptions
from harness.backends.generative.families import family_of
from harness.cells import Cell
from harness.errors import CatalogueError, UnknownNameError, UnsupportedError
from tests.eval_options import parse_options

BUNDLED = Path(__file__).parent.parent / "fixtures" / "catalogue.toml"

GOOD = """
[[model]]
id = "small"
family = "internvl"
source = "./checkpoints/small"
default_quantizations = ["fp32", "nf4"]
default_documents = 24
batch_size = 2

[[model]]
id = "large"
source = "owner/large"
settings = { revision = "abc", skip_modules = "model.vision_tower" }
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "catalogue.toml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def options(catalogue: Path, tmp_path: Path):
    return partial(parse_options, "--eval-catalogue", str(catalogue), report=tmp_path)


def ids(found: EvalOptions) -> list[str]:
    return [cell.id for cell in found.cells]


def test_entries_are_read(catalogue: Path) -> None:
    found = load_catalogue(catalogue)
    small, large = found.models["small"], found.models["large"]
    assert small.source == str(catalogue.parent / "checkpoints" / "small"), "beside the file, there or not"
    assert not small.is_on_hub
    assert small.default_quantizations == ("fp32", "nf4")
    assert small.backend_settings() == {"source": small.source, "max_new_tokens": 1024, "family": "internvl"}
    assert large.is_on_hub
    assert large.default_quantizations == ("bf16",)
    assert large.backend_settings(allow_network=True, trust_remote_code=True) == {
        "source": "owner/large",
        "max_new_tokens": 1024,
        "revision": "abc",
        "skip_modules": "model.vision_tower",
        "allow_network": True,
        "trust_remote_code": True,
    }
    with pytest.raises(UnknownNameError, match="unknown model 'larg'; did you mean large"):
        found.resolve("larg")


def test_a_folder_of_checkpoints_comes_first_and_adds(catalogue: Path, tmp_path: Path) -> None:
    for name in ("large", "mine", "no-checkpoint"):
        (tmp_path / "root" / name).mkdir(parents=True)
    for name in ("large", "mine"):
        (tmp_path / "root" / name / "config.json").write_text("{}")
    found = load_catalogue(catalogue, tmp_path / "root")
    assert set(found.models) == {"small", "large", "mine"}
    assert found.models["large"].source == str(tmp_path / "root" / "large")
    assert found.models["large"].settings == {"skip_modules": "model.vision_tower"}, "a folder has no revision"
    assert found.models["mine"].family is None, "its own config.json says"
    with pytest.raises(CatalogueError, match="nowhere: not a folder"):
        load_catalogue(catalogue, tmp_path / "nowhere")


def test_a_key_in_place_of_its_variable_is_refused_and_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    settings = '{ base_url = "https://host.example/v1", key_variable = "sk-live-1" }'
    path.write_text(f'[[model]]\nid = "far"\nsource = "x"\nbackend = "openai"\nsettings = {settings}\n')
    with pytest.raises(CatalogueError, match=r"\(far\): key_variable must be the name of the environment") as caught:
        load_catalogue(path)
    assert "sk-live" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('id = "small"', "", 'entry 1: needs id = "..."'),
        ('source = "owner/large"', "", 'entry 2: needs source = "..."'),
        ('id = "small"', 'id = "small+more"', "an id is free of spaces"),
        ('id = "small"', 'id = "large"', "entry 2: a second entry for large"),
        ("batch_size", "batchsize", "unknown key 'batchsize'; did you mean batch_size"),
        ("batch_size = 2", "batch_size = 0", "batch_size = 0 is not a whole number"),
        ("default_documents = 24", "default_documents = true", "default_documents = True is not a whole number"),
        ('["fp32", "nf4"]', '["fp32", "nf5"]', "(small): unknown quantization 'nf5'; did you mean nf4"),
        ('["fp32", "nf4"]', '["none"]', "each precision of weights once, and not none"),
        ('["fp32", "nf4"]', '"fp32"', "is not a list of precisions"),
        ('family = "internvl"', 'backend = "transfomers"', "unknown backend 'transfomers'; did you mean transformers"),
        ('family = "internvl"', 'prompt = "haiku"', "haiku"),
        ('revision = "abc"', "trust_remote_code = true", "trust_remote_code cannot be set there"),
        ('revision = "abc"', "revision = []", "settings must be a table of texts, numbers and booleans"),
        ("[[model]]", "[[models]]", "holds [[model]] entries only"),
        ("batch_size = 2", "batch_size = ", "cannot be read as TOML"),
    ],
)
def test_mistakes_are_named(catalogue: Path, old: str, new: str, expected: str) -> None:
    catalogue.write_text(GOOD.replace(old, new))
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(catalogue)
    assert expected in str(caught.value)
    assert str(catalogue) in str(caught.value)


def test_the_bundled_catalogue_is_sound() -> None:
    found = load_catalogue(BUNDLED).models
    assert {"tiny-internvl", "tiny-mllama", "Llama-3.2-11B-Vision-Instruct", "InternVL3-2B"} <= set(found)
    for name, precisions in (
        ("tiny-internvl", ("fp32", "bf16", "int8", "nf4")),
        ("tiny-mllama", ("fp32", "bf16", "int8", "nf4")),
        ("tiny-pictures", ("fp32", "nf4")),
    ):
        assert found[name].default_quantizations == precisions
        assert Path(found[name].source).parent == BUNDLED.parent / "checkpoints"
    assert max(map(len, BUNDLED.read_text().splitlines())) <= 120
    for entry in found.values():
        if entry.id in ("Moondream2", "Phi-4-multimodal"):
            with pytest.raises(UnsupportedError):
                family_of({}, family=entry.family, trust_remote_code=True)
        elif not entry.is_served:
            assert family_of({}, family=entry.family, trust_remote_code=False) == entry.family


def test_the_full_size_models_are_those_whose_architecture_is_known() -> None:
    """All but one: transformers has no class for Moondream."""
    found = {entry.id for entry in load_catalogue(BUNDLED).models.values() if entry.is_on_hub}
    assert found == {*known_architectures(), "Moondream2"}


@pytest.mark.parametrize("model", known_architectures())
def test_an_entry_names_the_family_of_its_architecture(model: str) -> None:
    config = json.loads((architecture_folder(model) / "config.json").read_text(encoding="utf-8"))
    assert load_catalogue(BUNDLED).models[model].family == config["model_type"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "moondream1", "auto_map": {}}, "code of its own, which fails under transformers 5"),
        ({"model_type": "phi4_multimodal"}, "no adapter for Phi-4-multimodal"),
        ({"model_type": "phi4mm", "auto_map": {}}, "no adapter for Phi-4-multimodal"),
    ],
)
def test_models_that_cannot_be_run_say_why(config: dict[str, object], said: str) -> None:
    for trusted in (False, True):
        with pytest.raises(UnsupportedError, match=said):
            family_of(config, family=None, trust_remote_code=trusted)


def test_cells_are_models_by_strategies_by_precisions(options) -> None:
    assert ids(options("--eval-models", "ocr-rules,small,large")) == [
        "ocr-rules",
        "small-fp32@b2",
        "small-nf4@b2",
        "large-bf16",
    ]
    found = options(
        *("--eval-models", "large,ocr-rules", "--eval-quantization", "int8,bf16", "--eval-device", "cuda:1"),
        *("--eval-strategies", "single,multi", "--eval-batch-size", "4"),
    )
    assert ids(found) == [
        "large-int8@b4@cuda:1",
        "large-bf16@b4@cuda:1",
        "large-int8+multi@b4@cuda:1",
        "large-bf16+multi@b4@cuda:1",
        "ocr-rules",
    ], "ocr-rules has no weights and follows no prompt: one cell, on the processor"
    own = options("--eval-models", "python:tests.pixel_pages.Model", "--eval-batch-size", "4")
    assert own.cells == (Cell(model="python:tests.pixel_pages.Model", batch_size=4),)


def test_a_model_s_own_number_of_documents_yields_to_the_options(options) -> None:
    models = ("--eval-models", "ocr-rules,small,large")
    found = options(*models)
    assert [found.default_documents(name) for name in found.models] == [None, 24, None]
    for limit in ("all", "60"):
        found = options(*models, "--eval-limit", limit)
        assert [found.default_documents(name) for name in found.models] == [None, None, None]
    assert (found.limit, options(*models, "--eval-limit", "all").limit) == (60, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--eval-models", "smal"], "unknown model 'smal'; did you mean small"),
        (["--eval-models", "transformers"], "unknown model 'transformers'"),
        (["--eval-models", "small", "--eval-quantization", "nf3"], "unknown quantization 'nf3'; did you mean nf4"),
        (["--eval-models", "small", "--eval-quantization", "none"], "name precisions of weights: fp32"),
        (["--eval-models", "ocr-rules", "--eval-quantization", "nf4"], "none of the models has weights to quantise"),
        (["--eval-models", "ocr-rules", "--eval-batch-size", "4"], "--eval-batch-size: ocr-rules takes no such option"),
        (["--eval-models", "ocr-rules", "--eval-device", "cuda"], "--eval-device: ocr-rules takes no such option"),
        (["--eval-models", "small", "--eval-device", "gpu"], "'gpu' is not cpu, cuda, cuda:N or cuda:all"),
        (["--eval-models", "small", "--eval-strategies", "mult"], "unknown strategy 'mult'; did you mean multi"),
        (["--eval-models", "small", "--eval-batch-size", "0"], "--eval-batch-size: must be at least 1"),
        (["--eval-models", "small", "--eval-limit", "some"], "--eval-limit: must be at least 1, or all"),
        (["--eval-models", "small", "--eval-trust-remote-code", "large"], "large is none of the models of this run"),
        (["--eval-models", "small", "--eval-determinism-documents", "-1"], "must be at least 0"),
        (["--eval-models", "small", "--eval-determinism-precisions", "some"], "invalid choice: 'some'"),
        (["--eval-models", "small", "--eval-model-root", "nowhere"], "nowhere: not a folder"),
        (["--eval-catalogue", "nowhere.toml"], "--eval-catalogue: nowhere.toml: there is no such file"),
    ],
)
def test_mistaken_options_are_named(options, arguments: list[str], message: str) -> None:
    with pytest.raises(pytest.UsageError) as caught:
        options(*arguments)
    assert message in str(caught.value)
