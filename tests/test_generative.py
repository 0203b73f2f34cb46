"""The transformers backend on tiny random checkpoints of the real architectures."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from harness.backends.generative import TransformersBackend
from harness.backends.generative.checkpoint import find_checkpoint
from harness.backends.generative.decoding import Generated, TokenClock, cut_at_stop
from harness.backends.generative.families import load_family, render_prompt
from harness.backends.protocol import BackendRequest, BatchBackend
from harness.backends.registry import create_backend
from harness.errors import CheckpointError, UnknownNameError, UnsupportedError
from harness.prompts import prompt
from tests.library_warnings import MLLAMA_WARNS, NUMPY_WARNS
from tests.tiny_models import BUILDERS, INTERNVL_TOKENS, MAX_TILES

pytestmark = [MLLAMA_WARNS, NUMPY_WARNS]

SNAPSHOTS = Path(__file__).parent / "snapshots"
RENEW = "DOCVLM_RENEW_SNAPSHOTS"
TRAINED = Path(__file__).parent.parent / "fixtures" / "checkpoints"
NEW_TOKENS = 12
MODES = ["fp32", "bf16", "fp16", "int8", "int8-all", "nf4", "fp4"]


@pytest.fixture(scope="module", autouse=True)
def process_settings():
    """One thread, as matrices this small are slower with more; the environment as it was afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMP_NUM_THREADS", raising=False)
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
            patch.setenv(name, "1")  # as loading does, but not for the tests after these
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {family: build(folder / family) for family, build in BUILDERS.items()}


@pytest.fixture(scope="module")
def pages() -> list[Image.Image]:
    """Eight pages of different shapes, so that they have different numbers of tiles."""
    drawn = []
    for number, size in enumerate(
        [(300, 420), (420, 300), (200, 700), (300, 300), (700, 200), (80, 64), (310, 420), (9, 90)]
    ):
        page = Image.new("RGB", size, "white")
        pen = ImageDraw.Draw(page)
        for line in range(0, size[1], 20):
            pen.text((5, line), f"Item {number * line} ${number}.{line}", "black")
        drawn.append(page)
    return drawn


def request_of(source: Path | str, quantization: str = "fp32", device: str = "cpu", **settings) -> BackendRequest:
    settings = {"source": str(source), "max_new_tokens": NEW_TOKENS, **settings}
    return BackendRequest(backend="transformers", quantization=quantization, device=device, settings=settings)


def open_backend(source: Path | str, quantization: str = "fp32", **settings) -> TransformersBackend:
    backend = TransformersBackend.from_request(request_of(source, quantization, **settings))
    backend.load()
    return backend


@pytest.fixture(scope="module")
def loaded(checkpoints) -> Callable[[str], TransformersBackend]:
    """Backends in fp32, each loaded once."""
    backends = {family: open_backend(folder) for family, folder in checkpoints.items()}
    return backends.__getitem__


@pytest.fixture
def copied(checkpoints, tmp_path) -> Callable[[str], Path]:
    """A copy of a checkpoint, to be damaged."""
    return lambda family: Path(shutil.copytree(checkpoints[family], tmp_path / family))


def change(path: Path, **values) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


# --- families and precisions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", BUILDERS)
def test_every_precision_loads_and_answers(checkpoints, pages, family, mode):
    backend = create_backend(request_of(checkpoints[family], mode))
    if (family, mode) == ("mllama", "int8-all"):
        with pytest.raises(UnsupportedError, match="does not run for mllama"):
            backend.load()
        return
    facts = backend.load()
    assert facts["family"] == family
    assert facts["dtype"] == {"fp32": "float32", "fp16": "float16"}.get(mode, "bfloat16")
    assert facts["predicted_weights_bytes"] == pytest.approx(facts["weights_bytes"], rel=0.01)
    assert facts["random_weights"] is True
    vision = "model.vision_tower" if family == "internvl" else "model.vision_model"
    expected = {"int8": (False, True), "int8-all": (True, True), "nf4": (True, True), "fp4": (True, True)}
    found = (facts[f"linears_quantized.{vision}"] > 0, facts["linears_quantized.model.language_model"] > 0)
    assert found == expected.get(mode, (False, False))
    assert facts["quantization"] == mode
    assert facts["linears"] == {"internvl": 29, "mllama": 48}[family]
    assert (
        facts["linears_quantized"]
        == facts["linears_asked"]
        == sum(count for name, count in facts.items() if name.startswith("linears_quantized."))
    )
    assert facts["linears_quantized.lm_head"] == 0  # also in int8-all, where InternVL's is tied to the embedding
    assert ("quantization_note" in facts) == (mode == "fp16")
    first, again = backend.read(pages[0], "Read."), backend.read(pages[0], "Read.")
    assert first.text == again.text
    assert 1 <= first.output_tokens <= NEW_TOKENS


def test_quantised_weights_are_smaller(checkpoints):
    weights = {}
    for mode in ("fp32", "bf16", "int8", "nf4"):
        weights[mode] = create_backend(request_of(checkpoints["mllama"], mode)).load()["weights_bytes"]
    assert weights["fp32"] == 2 * weights["bf16"] - 128  # inverse frequencies stay in fp32
    assert weights["nf4"] < weights["int8"] < weights["bf16"]


@pytest.mark.parametrize("family", BUILDERS)
def test_four_bit_weights_of_other_processors_and_gpus_are_predicted(checkpoints, monkeypatch, family):
    """Where bitsandbytes does not repack them, they keep their nested scales."""
    import bitsandbytes

    for module in (bitsandbytes.functional, bitsandbytes.nn.modules):
        monkeypatch.setattr(module, "has_avx512bf16", lambda: False)
    facts = create_backend(request_of(checkpoints[family], "nf4")).load()
    assert facts["predicted_weights_bytes"] == pytest.approx(facts["weights_bytes"], rel=0.01)


def test_an_untied_head_is_quantised_by_int8_all(copied):
    """The fp32 weights of a tied checkpoint, untied by its configuration."""
    folder = copied("internvl")
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    embedding = next(name for name in tensors if name.endswith("embed_tokens.weight"))
    save_file({**tensors, "lm_head.weight": tensors[embedding].clone()}, folder / "model.safetensors", {"format": "pt"})
    text = {**json.loads((folder / "config.json").read_text())["text_config"], "tie_word_embeddings": False}
    change(folder / "config.json", text_config=text, tie_word_embeddings=False)
    facts = create_backend(request_of(folder, "int8-all")).load()
    assert facts["linears_quantized.lm_head"] == 1
    assert facts["linears_quantized"] == facts["linears"] == 29
    assert facts["predicted_weights_bytes"] == pytest.approx(facts["weights_bytes"], rel=0.01)


@pytest.mark.parametrize("family", BUILDERS)
def test_a_batch_of_eight_answers_as_one_by_one(loaded, pages, family):
    backend = loaded(family)
    assert isinstance(backend, BatchBackend)
    alone = [backend.read(page, "Read this.") for page in pages]
    together = backend.read_batch(pages, "Read this.")
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    assert [answer.output_tokens for answer in together] == [answer.output_tokens for answer in alone]
    assert [answer.prompt_tokens for answer in together] == [answer.prompt_tokens for answer in alone]
    assert [answer.facts for answer in together] == [answer.facts for answer in alone]
    assert len({answer.facts["tiles"] for answer in alone}) > 1


@pytest.mark.parametrize("family", BUILDERS)
def test_the_image_matters(loaded, pages, family):
    blank = Image.new("RGB", pages[0].size, "white")
    noise = Image.effect_noise(pages[0].size, 90).convert("RGB")
    assert len({loaded(family).read(page, "Read this.").text for page in (blank, noise, pages[0])}) > 1


# --- what is recorded ------------------------------------------------------------------------------------------


def test_tiles_follow_the_shape_of_the_page(loaded, pages):
    facts = [loaded("internvl").read(page, "Read.").facts for page in pages]
    # 1x2, 2x2, 1x4, 2x2 and 4x1, each with a thumbnail; the sixth page is too small to be cut.
    assert [fact["tiles"] for fact in facts][:6] == [3, 5, 5, 5, 5, 1]
    assert all(fact["image_tokens"] == INTERNVL_TOKENS * fact["tiles"] for fact in facts)
    assert facts[0]["pixel_shape"] == "3x3x64x64"
    assert [(fact["image_width"], fact["image_height"]) for fact in facts] == [page.size for page in pages]
    facts = [loaded("mllama").read(page, "Read.").facts for page in pages]
    assert all(1 <= fact["tiles"] <= MAX_TILES and fact["image_tokens"] == 17 * fact["tiles"] for fact in facts)


@pytest.mark.parametrize(("family", "tokens"), [("internvl", INTERNVL_TOKENS), ("mllama", 17)])
def test_the_tokens_of_a_tile_are_told_by_the_load_and_kept_by_every_page(checkpoints, pages, family, tokens):
    backend = create_backend(request_of(checkpoints[family]))
    assert backend.load()["tokens_per_tile"] == tokens
    facts = backend.read(pages[0], "Read.").facts
    assert facts["image_tokens"] == tokens * facts["tiles"]


@pytest.mark.parametrize("family", BUILDERS)
def test_pixels_are_told_apart_by_their_hash(loaded, pages, family):
    read = loaded(family).read
    changed = pages[0].copy()
    changed.putpixel((150, 200), (255, 0, 0))
    first, again, other = (read(page, "Read.").facts["pixel_crc32"] for page in (pages[0], pages[0].copy(), changed))
    assert first == again != other


@pytest.mark.parametrize("family", BUILDERS)
def test_prompt_tokens_are_counted_apart_from_the_answer(loaded, pages, family):
    backend = loaded(family)
    short, long = backend.read(pages[0], "Read."), backend.read(pages[0], "Read. And more.")
    assert long.prompt_tokens - short.prompt_tokens == len(" And more.")  # one token a byte
    assert short.output_tokens == long.output_tokens == NEW_TOKENS


@pytest.mark.parametrize("family", BUILDERS)
def test_phases_add_up(loaded, pages, family):
    start = time.perf_counter()
    answer = loaded(family).read(pages[0], prompt().text)
    total = time.perf_counter() - start
    phases = answer.phases
    decoding = phases["tpot_s"] * (answer.output_tokens - 1)
    assert 0 < phases["ttft_s"] + decoding <= phases["generate_s"]
    assert phases["preprocess_s"] + phases["generate_s"] + phases["fingerprint_s"] <= total


def test_the_clock_of_the_tokens(monkeypatch):
    times = iter([10.0, 10.5, 12.0, 12.25, 12.75])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    clock = TokenClock()
    for _ in range(4):  # the prompt and three tokens
        clock.put(torch.zeros(8, dtype=torch.long))
    clock.end()
    assert clock.phases() == {"ttft_s": 2.0, "tpot_s": 0.375, "itl_s": 0.375}


def test_one_token_has_no_time_per_token(loaded, checkpoints, pages):
    answer = open_backend(checkpoints["internvl"], max_new_tokens=1).read(pages[0], "Read.")
    assert (answer.output_tokens, answer.stop) == (1, "length")
    assert "tpot_s" not in answer.phases


def test_what_follows_the_stop_does_not_count():
    assert cut_at_stop([5, 6, 2, 0, 0], {2, 3}) == Generated(ids=[5, 6, 2], stop="eos")
    assert cut_at_stop([5, 6, 7], {2}) == Generated(ids=[5, 6, 7], stop="length")
    assert cut_at_stop([2], {2}) == Generated(ids=[2], stop="eos")


@pytest.mark.parametrize("family", BUILDERS)
def test_stops_are_recorded_for_each_row(loaded, copied, pages, family):
    """With a token that some answers have as their second as another stop id."""
    free = [loaded(family).read(page, "Read.") for page in pages]
    assert {answer.stop for answer in free} == {"length"}
    folder = copied(family)
    texts = [answer.text for answer in free]
    stop = next(text[1] for text in texts if ord(text[1]) < 128 and any(text[1] not in other for other in texts))
    tokenizer = loaded(family).pieces.processor.tokenizer
    generation = folder / "generation_config.json"
    change(generation, eos_token_id=[tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(stop.replace(" ", "Ġ"))])
    backend = open_backend(folder)
    answers = backend.read_batch(pages, "Read.")
    assert {answer.stop for answer in answers} == {"eos", "length"}
    for answer, before in zip(answers, free, strict=True):
        assert answer.stop == ("eos" if stop in before.text else "length")
        if answer.stop == "eos":
            assert answer.text == before.text[: before.text.index(stop) + 1]
        else:
            assert (answer.text, answer.output_tokens) == (before.text, NEW_TOKENS)
    assert min(answer.output_tokens for answer in answers) == 2  # where the token came second
    assert [answer.output_tokens for answer in answers] == [backend.read(page, "Read.").output_tokens for page in pages]


def test_sampling_settings_of_a_checkpoint_are_not_used(loaded, copied, pages):
    folder = copied("internvl")
    change(folder / "generation_config.json", do_sample=True, temperature=5.0, top_p=0.9, repetition_penalty=3.0)
    assert open_backend(folder).read(pages[0], "Read.").text == loaded("internvl").read(pages[0], "Read.").text


def test_fingerprints_follow_weights_and_template(checkpoints, copied, tmp_path):
    before = create_backend(request_of(checkpoints["internvl"])).load()
    folder = copied("internvl")
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant", "helper"))
    renamed = create_backend(request_of(folder)).load()
    assert renamed["chat_template_sha256"] != before["chat_template_sha256"]
    assert renamed["weights_sha256"] == before["weights_sha256"]
    other = create_backend(request_of(BUILDERS["internvl"](tmp_path / "other", seed=1))).load()
    assert other["weights_sha256"] != before["weights_sha256"]
    assert other["weights_sha256_of"] == "content"


# --- the exact prompt ------------------------------------------------------------------------------------------


def seen_by_the_model(folder: Path) -> str:
    """The rendered prompt, and the tokens that the processor makes of it, repetitions counted."""
    from transformers import AutoConfig, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    page = Image.new("RGB", (300, 420), "white")
    rendered = render_prompt(processor, prompt().text)
    ids = load_family(config.model_type).prepare(processor, config, [page], prompt().text).inputs["input_ids"][0]
    tokens = processor.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    image_token = re.escape(processor.image_token)
    counted = re.sub(
        f"(?:{image_token})+",
        lambda run: f"{processor.image_token} x {len(run[0]) // len(processor.image_token)}",
        tokens,
    )
    return f"=== rendered\n{rendered}\n=== tokens\n{counted}\n"


@pytest.mark.parametrize("name", [*BUILDERS, "tiny-internvl", "tiny-mllama", "tiny-pictures"])
def test_the_prompt_is_as_it_was(checkpoints, name):
    """After a wanted change, look at the difference that DOCVLM_RENEW_SNAPSHOTS=1 makes to tests/snapshots."""
    folder = checkpoints.get(name, TRAINED / name)
    if not (folder / "config.json").exists():
        pytest.skip(f"no checkpoint at {folder}")
    found, snapshot = seen_by_the_model(folder), SNAPSHOTS / f"chat-{name}.txt"
    if os.environ.get(RENEW):
        snapshot.write_text(found, encoding="utf-8")
    assert found == snapshot.read_text(encoding="utf-8")


# --- refusals --------------------------------------------------------------------------------------------------


def refusal(request: BackendRequest) -> str:
    """What constructing and loading says when it refuses; the type of the error first."""
    with pytest.raises((CheckpointError, UnsupportedError, UnknownNameError)) as caught:
        create_backend(request).load()
    return f"{type(caught.value).__name__}: {caught.value}"


def test_sources_that_are_not_there(tmp_path):
    assert "no such folder, and not the id of a model" in refusal(request_of(tmp_path / "missing"))
    assert "no such folder, and not the id of a model" in refusal(request_of("./missing/model"))
    assert "not a model folder: it has no config.json" in refusal(request_of(tmp_path))
    (tmp_path / "config.json").write_text("{")
    assert "config.json: not valid JSON" in refusal(request_of(tmp_path))
    (tmp_path / "config.json").write_text("[]")
    assert "config.json: not a JSON object" in refusal(request_of(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert "no weights (*.safetensors)" in refusal(request_of(tmp_path))
    assert "a revision (main) can only be chosen for a hub id" in refusal(request_of(tmp_path, revision="main"))


@pytest.mark.parametrize("revision", [None, "v2"])
def test_a_hub_model_that_is_not_here_is_unsupported_without_the_network(revision):
    """Nothing is wrong with the model: this run may not fetch it. What is here and broken stays an error."""
    said = refusal(request_of("nobody/no-such-model", **({} if revision is None else {"revision": revision})))
    assert said.startswith(f"UnsupportedError: nobody/no-such-model{'@v2' if revision else ''}: ")
    assert "--eval-model-root" in said
    assert "--eval-allow-network" in said


def test_a_broken_local_copy_of_a_hub_model_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    assert refusal(request_of("nobody/half-fetched")).startswith("CheckpointError")


@pytest.mark.parametrize("trusted", [False, True])
def test_a_hub_model_is_fetched_only_when_allowed_and_never_its_pickles(checkpoints, monkeypatch, trusted):
    asked = {}

    def fetch(source, **keywords):
        asked.update(keywords, source=source)
        return str(checkpoints["internvl"])

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    found = find_checkpoint("owner/name", revision="v2", allow_network=True, trust_remote_code=trusted)
    assert found.folder == checkpoints["internvl"]
    assert (asked["source"], asked["revision"], asked["local_files_only"]) == ("owner/name", "v2", False)
    assert ("*.py" in asked["allow_patterns"]) == trusted
    assert not any(pattern.endswith((".bin", ".pt", "*")) for pattern in asked["allow_patterns"])
    find_checkpoint("owner/name")
    assert asked["local_files_only"] is True


def test_a_download_that_fails_says_so(monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    def fail(source, **keywords):
        raise LocalEntryNotFoundError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(CheckpointError, match=r"owner/name: cannot be downloaded, and .* no route to host"):
        find_checkpoint("owner/name", allow_network=True)


def test_pickled_weights_are_refused(copied):
    folder = copied("internvl")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    said = refusal(request_of(folder))
    assert said.startswith("UnsupportedError")
    assert "pickled (pytorch_model.bin)" in said


def test_families_that_are_not_known(copied):
    folder = copied("internvl")
    assert "unknown model family 'internvll'; did you mean internvl" in refusal(request_of(folder, family="internvll"))
    change(folder / "config.json", model_type="mlama")
    assert "UnknownNameError: unknown model family 'mlama'; did you mean mllama" in refusal(request_of(folder))
    change(folder / "config.json", model_type="internvl_chat", auto_map={"AutoModel": "modeling.Model"})
    said = refusal(request_of(folder))
    assert said.startswith("UnsupportedError")
    assert "--eval-trust-remote-code" in said
    assert "unknown model family 'internvl_chat'" in refusal(request_of(folder, trust_remote_code=True))


def test_a_checkpoint_of_another_family_than_asked_is_refused(copied):
    said = refusal(request_of(copied("internvl"), family="mllama"))
    assert said == "CheckpointError: family 'mllama' was asked, and config.json says model_type 'internvl'"


def test_weights_that_broke_off_are_named(copied):
    folder = copied("internvl")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    said = refusal(request_of(folder))
    assert said.startswith(f"CheckpointError: {folder}: weights that cannot be read (model.safetensors)")


@pytest.mark.parametrize(("family", "key"), [("internvl", "image_token_id"), ("mllama", "image_token_index")])
def test_another_image_token_than_the_models_is_refused(copied, family, key):
    folder = copied(family)
    change(folder / "config.json", **{key: 7})
    said = refusal(request_of(folder))
    assert said.startswith("CheckpointError")
    assert "do not belong together" in said


def test_another_tile_size_than_the_models_is_refused(copied):
    for family, values in {
        "internvl": {"image_seq_length": 9},
        "mllama": {"image_processor": {"max_image_tiles": 2}},
    }.items():
        folder = copied(family)
        path = folder / "processor_config.json"
        inner = json.loads(path.read_text()).get("image_processor", {})
        change(path, **{key: {**inner, **value} if isinstance(value, dict) else value for key, value in values.items()})
        assert "do not belong together" in refusal(request_of(folder))


def test_missing_weights_are_refused(copied):
    from safetensors.torch import load_file, save_file

    folder = copied("mllama")
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(next(name for name in tensors if "vision" in name and name.endswith("q_proj.weight")))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert "1 weights with missing keys, such as model.vision_model" in refusal(request_of(folder))


def test_a_quantised_checkpoint_is_refused(copied):
    folder = copied("internvl")
    change(folder / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    assert "already quantised; bf16 is made from the unquantised" in refusal(request_of(folder, "bf16"))


def test_no_chat_template_is_refused(copied):
    folder = copied("internvl")
    (folder / "chat_template.jinja").unlink()
    assert "no chat template" in refusal(request_of(folder))


def test_skip_names_are_checked(checkpoints):
    said = refusal(request_of(checkpoints["mllama"], "int8", skip_modules="vision_tower,lm_head"))
    assert "'vision_tower' matches no module of the model; did you mean model.vision_model" in said
    said = refusal(request_of(checkpoints["mllama"], "int8", skip_modules="vision_model"))
    assert "did you mean model.vision_model" in said
    assert "fp32 takes no skip_modules" in refusal(request_of(checkpoints["mllama"], skip_modules="lm_head"))
    facts = create_backend(
        request_of(checkpoints["internvl"], "nf4", skip_modules="lm_head, model.vision_tower")
    ).load()
    assert facts["linears_quantized.model.vision_tower"] == 0
    assert facts["linears_quantized.model.multi_modal_projector"] == 2


def test_requests_that_cannot_be(checkpoints):
    folder = checkpoints["internvl"]
    assert "did you mean max_new_tokens" in refusal(request_of(folder, max_new_token=5))
    assert "needs a source" in refusal(BackendRequest(backend="transformers", quantization="fp32"))
    assert "max_new_tokens of the transformers backend must be int, not '5'" in refusal(
        request_of(folder, max_new_tokens="5")
    )
    assert "allow_network of the transformers backend must be bool, not 1" in refusal(
        request_of(folder, allow_network=1)
    )
    assert "max_new_tokens must be at least 1" in refusal(request_of(folder, max_new_tokens=0))
    assert "did you mean nf4" in refusal(request_of(folder, "nf5"))
    assert "needs a precision" in refusal(request_of(folder, "none"))
    compiled = BackendRequest(backend="transformers", runtime="compiled", settings={"source": str(folder)})
    assert "unknown runtime 'compiled'" in refusal(compiled)
    if not torch.cuda.is_available():
        assert "'cuda' was asked for, but" in refusal(request_of(folder, device="cuda"))


def test_a_prompt_that_does_not_fit_is_refused(checkpoints, pages):
    backend = open_backend(checkpoints["internvl"], max_new_tokens=4000)
    with pytest.raises(UnsupportedError, match="do not fit into this model's 4096 positions; lower max_new_tokens"):
        backend.read(pages[0], "x" * 100)


# --- the process -----------------------------------------------------------------------------------------------


def in_a_process(code: str, *arguments: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**kept, "OMP_NUM_THREADS": "1", **environment},
        cwd=Path(__file__).parent.parent,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout


OFFLINE = """
import os, socket, sys, threading
tried = []
def refuse(*args, **kwargs):
    tried.append(args)
    raise OSError("no network in this test")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from PIL import Image
from harness.backends.protocol import BackendRequest
from harness.backends.registry import create_backend
settings = {"source": sys.argv[1], "max_new_tokens": 4}
needed = {}
for mode in ("bf16", "nf4"):
    backend = create_backend(BackendRequest(backend="transformers", quantization=mode, settings=settings))
    facts = backend.load()
    needed[mode] = "bitsandbytes" in sys.modules, "bitsandbytes" in facts
answer = backend.read(Image.new("RGB", (64, 64)), "Read.")
print(answer.output_tokens, facts["torch_threads"], os.environ["HF_HUB_OFFLINE"], tried)
print(needed)
"""


def test_loading_and_reading_touch_no_network_and_print_nothing(checkpoints):
    """Unless told, also where the environment would allow it. What a mode does not need is not in its memory."""
    said, needed = in_a_process(OFFLINE, str(checkpoints["internvl"])).splitlines()
    assert said == "4 1 1 []"
    assert needed == "{'bf16': (False, False), 'nf4': (True, True)}"


TORCHVISION = """
import sys
from harness.backends.generative.torchvision_schema import ensure_torchvision
print(ensure_torchvision(), ensure_torchvision())
import transformers
print(transformers.MllamaForConditionalGeneration.__name__, transformers.AutoProcessor.__name__)
"""

FAKE = """
import sys
from harness.backends.generative.torchvision_schema import ensure_torchvision
try:
    print(ensure_torchvision())
except Exception as error:
    print(type(error).__name__, error)
print("torch" in sys.modules)
"""


def test_transformers_can_be_imported_beside_any_torchvision():
    first, second = in_a_process(TORCHVISION).splitlines()
    assert first in ("native native", "declared declared", "absent absent")
    assert second == "MllamaForConditionalGeneration AutoProcessor"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "native"),
        ("raise RuntimeError('something else')", "RuntimeError something else"),
        ("import nothing_like_this", "ModuleNotFoundError No module named 'nothing_like_this'"),
        ("raise ModuleNotFoundError(name='torchvision')", "absent"),
    ],
)
def test_other_states_of_torchvision_are_left_alone(tmp_path, source, said):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(source)
    assert in_a_process(FAKE, PYTHONPATH=str(tmp_path)).splitlines() == [said, "False"]
