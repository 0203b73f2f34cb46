"""Architectures with random weights in place of a checkpoint: built, quantised, asked and measured without one.

On scaled-down copies of the real configurations: what is left small is stated in `shrunk`.
"""

from __future__ import annotations

import copy
import itertools
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from fixtures.architectures import architecture_folder
from harness.architectures import build_skeleton, load_config
from harness.backends.generative import device_memory, dummy_processors, dummy_weights, loading, page_cache
from harness.backends.generative.backend import GenerationSettings
from harness.backends.generative.dummy_tokenizer import dummy_tokenizer
from harness.backends.generative.families import load_family
from harness.backends.generative.loading import LoadedModel
from harness.backends.generative.planning import decoder_layers, offload_map, plan_weights
from harness.backends.protocol import AllocatorPeak, Answer, BackendRequest
from harness.backends.registry import create_backend
from harness.cells import Role
from harness.errors import CheckpointError, UnknownNameError, UnsupportedError
from harness.evidence import CellRecord, DocumentRecord, ReadingRecord
from harness.model_facts import by_device
from harness.quantization import DeviceCapability, Quantization, rest_dtype
from harness.results import result_of
from harness.strategies.merging import merge_answers
from harness.weights import linear_shapes
from tests.library_warnings import MLLAMA_WARNS, NUMPY_WARNS

pytestmark = [MLLAMA_WARNS, NUMPY_WARNS]

LENGTH = 6
VOCABULARY = 1024
ORIGINS = {
    "internvl": "InternVL3-2B",
    "mllama": "Llama-3.2-11B-Vision-Instruct",
    "llava": "LLaVA-1.5-7B",
    "smolvlm": "SmolVLM2-2.2B",
    "gemma3n": "Gemma-3n-E4B",
}
SMALL = [family for family in ORIGINS if family != "gemma3n"]
"""Gemma's vision tower stays at 17 million parameters: seconds where the others take a tenth of one."""
GEMMA_LAYERS = 4
TEXT = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": VOCABULARY,
    "bos_token_id": 1000,
}
VISION = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2}
SHRUNK: dict[str, dict[str, dict[str, Any]]] = {
    "internvl": {
        "text_config": {**TEXT, "eos_token_id": 1001},
        "vision_config": {**VISION, "num_attention_heads": 2, "image_size": [64, 64], "patch_size": [16, 16]},
        "top": {"image_token_id": 1002, "image_seq_length": 4},
    },
    "mllama": {
        "text_config": {
            **TEXT,
            "eos_token_id": [1001, 1003, 1004],
            "pad_token_id": 1005,
            "cross_attention_layers": [1, 3],
        },
        "vision_config": {
            **VISION,
            "attention_heads": 2,
            "num_global_layers": 1,
            "image_size": 64,
            "patch_size": 16,
            "intermediate_layers_indices": [0, 1],
            "vision_output_dim": 3 * 128,
        },
        "top": {"image_token_index": VOCABULARY},
    },
    "llava": {
        "text_config": {**TEXT, "eos_token_id": 1001},
        "vision_config": {
            **VISION,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
        },
        "top": {"image_token_index": 1002, "pad_token_id": 1003, "image_seq_length": 16},
    },
    "smolvlm": {
        "text_config": {**TEXT, "eos_token_id": 1001, "pad_token_id": 1001},
        "vision_config": {**VISION, "num_attention_heads": 2, "image_size": 96, "patch_size": 16},
        "top": {"image_token_id": 1002},
    },
    "gemma3n": {
        "text_config": {
            "hidden_size": 128,
            "hidden_size_per_layer_input": 64,
            "head_dim": 64,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "num_hidden_layers": GEMMA_LAYERS,
            "num_kv_shared_layers": 2,
            "intermediate_size": [256] * GEMMA_LAYERS,
            "activation_sparsity_pattern": [0.0] * GEMMA_LAYERS,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "vocab_size": 1280,
            "vocab_size_per_layer_input": VOCABULARY,
        },
        "vision_config": {
            "vocab_offset": VOCABULARY,
            "vocab_size": 128,
            "model_args": {"channel_multiplier": 0.125},
        },
        "audio_config": {
            "vocab_offset": 1152,
            "vocab_size": 128,
            "hidden_size": 128,
            "conf_num_hidden_layers": 1,
            "conf_num_attention_heads": 2,
        },
        "top": {
            "boi_token_id": 1022,
            "boa_token_id": 1023,
            "eoi_token_id": 1024,
            "image_token_id": 1025,
            "eoa_token_id": 1152,
            "audio_token_id": 1153,
        },
    },
}
END = {"internvl": 1001, "mllama": 1004, "llava": 1001, "smolvlm": 1001}
GPU = DeviceCapability(kind="cuda", compute_capability=(9, 0), name="GPU", devices=("cuda:0",))
MODES = ["fp32", "bf16", "fp16", "int8", "nf4", "fp4"]


@pytest.fixture(scope="module", autouse=True)
def process_settings():
    """One thread, as matrices this small are slower with more; the environment as it was afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMP_NUM_THREADS", raising=False)
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
            patch.setenv(name, "1")  # as loading does, but not for the tests after these
        patch.setattr(dummy_processors, "_GEMMA3N_TILE", 128)  # always 256 tokens
        yield
    torch.set_num_threads(before)


def shrunk(family: str, folder: Path, **text: Any) -> Path:
    """The real configuration with fewer and narrower layers and fewer tokens, all widths in multiples of 64."""
    config = json.loads((architecture_folder(ORIGINS[family]) / "config.json").read_text(encoding="utf-8"))
    change = SHRUNK[family]
    for part in change.keys() - {"top"}:
        config[part].update(change[part])
    config["text_config"].update(text)
    config.update(change["top"])
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("architectures")
    return {family: shrunk(family, root / family) for family in ORIGINS}


@pytest.fixture(scope="module")
def pages() -> list[Image.Image]:
    return [Image.linear_gradient("L").resize((210, 297)).convert("RGB"), Image.new("RGB", (90, 300), "white")]


def request_of(source: Path, quantization: str = "bf16", **settings: Any) -> BackendRequest:
    settings = {"source": str(source), "weights": "dummy", "max_new_tokens": LENGTH, **settings}
    return BackendRequest(backend="transformers", quantization=quantization, settings=settings)


def open_backend(source: Path, quantization: str = "bf16", **settings: Any) -> Any:
    backend: Any = create_backend(request_of(source, quantization, **settings))
    backend.load()
    return backend


# --- end to end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "mode"),
    [*itertools.product(SMALL[:2], MODES), *itertools.product(SMALL[2:], ["bf16", "int8", "nf4"]), ("gemma3n", "nf4")],
)
def test_every_precision_is_built_and_answers_at_the_length_that_is_asked(folders, pages, family, mode):
    backend: Any = create_backend(request_of(folders[family], mode, min_new_tokens=LENGTH))
    facts = backend.load()
    assert (facts["weights"], facts["random_weights"]) == ("dummy", True)
    assert facts["predicted_weights_bytes"] == pytest.approx(facts["weights_bytes"], rel=0.01)
    assert facts["linears_quantized"] == facts["linears_asked"]
    assert (facts["linears_quantized"] > 0) == (mode in ("int8", "nf4", "fp4"))
    assert facts["dtype"] == {"fp32": "float32", "fp16": "float16"}.get(mode, "bfloat16")
    assert "file_cache" not in facts
    answers = backend.read_batch(pages, "Read this.")
    assert [(answer.output_tokens, answer.stop) for answer in answers] == [(LENGTH, "length")] * 2
    assert all(answer.text for answer in answers)
    assert all(answer.allocator == () for answer in answers), "no such allocator on a processor"


@pytest.mark.parametrize("family", SMALL)
def test_the_same_weights_every_time_and_other_ones_for_another_configuration(folders, pages, family, tmp_path):
    facts, texts = [], []
    for folder in (folders[family], folders[family], shrunk(family, tmp_path / "wider", intermediate_size=320)):
        backend: Any = create_backend(request_of(folder))
        facts.append(backend.load()["weights_sha256"])
        texts.append([answer.text for answer in backend.read_batch(pages, "Read this.")])
    assert facts[0] == facts[1] != facts[2]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize("family", SMALL)
def test_the_weights_are_the_librarys_own_and_the_image_matters(folders, family):
    """Rotary frequencies too, which loading without a file can leave as they lie in memory."""
    backend = open_backend(folders[family], "fp32")
    skeleton = build_skeleton(folders[family], dtype="float32")
    torch.manual_seed(dummy_weights.DUMMY_SEED)
    expected = type(skeleton)(skeleton.config)
    load_family(family).finish_dummy(expected.requires_grad_(False))
    assert {n: t.sum().item() for n, t in backend.pieces.model.named_parameters()} == {
        n: t.sum().item() for n, t in expected.named_parameters()
    }
    for (name, found), (_, wanted) in zip(backend.pieces.model.named_buffers(), expected.named_buffers(), strict=True):
        assert torch.equal(found, wanted), name
    prepared = [
        backend.pieces.family.prepare(backend.pieces.processor, backend.pieces.model.config, [page], "Read.").inputs
        for page in (Image.new("RGB", (64, 64), "white"), Image.effect_noise((64, 64), 90).convert("RGB"))
    ]
    with torch.inference_mode():
        first, second = (backend.pieces.model(**inputs).logits for inputs in prepared)
    assert (first - second).abs().max() > 1e-3


def test_quantised_dummies_are_quantised_copies_of_the_unquantised(folders):
    """bf16 parts that int8 leaves alone are bit-equal to those of the bf16 model."""
    plain, quantised = (open_backend(folders["mllama"], mode).pieces.model.state_dict() for mode in ("bf16", "int8"))
    kept = [name for name, tensor in quantised.items() if "vision_model" in name and tensor.is_floating_point()]
    assert len(kept) > 20
    assert all(torch.equal(plain[name], quantised[name]) for name in kept)


@pytest.mark.parametrize("family", SMALL)
def test_the_end_of_a_sequence_does_not_stop_an_answer_of_fixed_length(folders, pages, family, tmp_path):
    """With the token that comes first as another that ends it."""
    first = open_backend(folders[family]).read(pages[0], "Read.").text.split()[0]
    stop = int(first.removeprefix("t"))  # a filler's text has its id
    folder = shrunk(family, tmp_path / "stops", eos_token_id=[stop, END[family]])
    answer = open_backend(folder).read(pages[0], "Read.")
    assert (answer.output_tokens, answer.stop) == (1, "eos")
    answer = open_backend(folder, min_new_tokens=LENGTH).read(pages[0], "Read.")
    assert (answer.output_tokens, answer.stop) == (LENGTH, "length")


@pytest.mark.parametrize("family", ORIGINS)
def test_saved_as_a_checkpoint_they_answer_the_same(folders, pages, family, tmp_path):
    """The other way to load: weights, processor and tokenizer from files; in batches as one by one."""
    dummy = open_backend(folders[family], "fp32")
    expected = [dummy.read(page, "Read this.") for page in pages]
    dummy.pieces.model.save_pretrained(tmp_path)
    dummy.pieces.processor.save_pretrained(tmp_path)
    saved: Any = create_backend(request_of(tmp_path, "fp32", weights="real"))
    facts = saved.load()
    assert facts["family"] == family
    assert not {"weights", "random_weights"} & facts.keys()
    assert facts.get("file_cache", "warm") == "warm", "just written; or the kernel does not tell"
    assert facts["weights_sha256_of"] == ("headers" if family == "gemma3n" else "content")
    answers = saved.read_batch(pages, "Read this.")
    assert [answer.text for answer in answers] == [answer.text for answer in expected]
    assert [answer.facts for answer in answers] == [answer.facts for answer in expected]
    assert [answer.prompt_tokens for answer in answers] == [answer.prompt_tokens for answer in expected]
    assert all(answer.facts["image_tokens"] == facts["tokens_per_tile"] * answer.facts["tiles"] for answer in answers)


def test_no_accuracy_is_made_of_them(folders):
    facts = dict(create_backend(request_of(folders["internvl"])).load())
    load = CellRecord(
        cell="a", model="a", quantization="bf16", runtime="eager", device="cpu", role=Role.CANDIDATE, facts=facts
    )
    reading = ReadingRecord(cell="a", document="d", text="TOTAL: $5.00", latency_s=1.0)
    document = DocumentRecord(document="d", truth={"TOTAL": "$5.00"})

    def scores(load: CellRecord) -> int:
        return len(result_of("a", Role.CANDIDATE, {"d": document}, [load], {"d": reading}).scores)

    assert scores(load) == 0
    assert scores(replace(load, facts={})) == 1


# --- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "settings", "message"),
    [
        ("int8-offload", {}, "divides a model between one GPU and host memory"),
        ("int8-all", {}, "does not run for mllama"),
        ("none", {}, "needs a precision"),
        ("bf16", {"skip_modules": "lm_head"}, "bf16 takes no skip_modules; lm_head was asked"),
        ("int8", {"skip_modules": "vision_tower"}, "'vision_tower' matches no module"),
    ],
)
def test_what_cannot_be_is_refused_before_any_weight_is_made(folders, monkeypatch, mode, settings, message):
    monkeypatch.setattr(loading, "make_weights", lambda *_: pytest.fail("weights were made"))
    with pytest.raises((UnsupportedError, UnknownNameError), match=message):
        create_backend(request_of(folders["mllama"], mode, **settings)).load()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": "dumy"}, "unknown kind of weights 'dumy'; did you mean dummy"),
        ({"min_new_tokens": LENGTH + 1}, "min_new_tokens must be from 0 to max_new_tokens"),
        ({"min_new_tokens": -1}, "min_new_tokens must be from 0"),
        ({"min_new_tokens": True}, "min_new_tokens of the transformers backend must be int, not True"),
        ({"weights": True}, "weights of the transformers backend must be str, not True"),
    ],
)
def test_settings_that_cannot_be(folders, settings, message):
    with pytest.raises((UnsupportedError, UnknownNameError), match=message):
        create_backend(request_of(folders["mllama"], **settings))


@pytest.mark.parametrize(
    ("model_type", "message"),
    [
        ("paligemma", "need a processor .* none for 'paligemma', only for gemma3n, internvl, llava, mllama, smolvlm"),
        ("phi4_multimodal", "no adapter for Phi-4-multimodal"),
        ("moondream1", "no dummy weights of it either"),
    ],
)
def test_architectures_without_a_processor_are_unsupported(tmp_path, model_type, message):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")
    with pytest.raises(UnsupportedError, match=message):
        create_backend(request_of(tmp_path)).load()


def test_a_folder_without_weights_is_only_good_for_dummies(folders):
    with pytest.raises(CheckpointError, match="no weights"):
        create_backend(request_of(folders["internvl"], weights="real")).load()


def test_a_constant_beyond_the_precision_is_unsupported():
    with (
        pytest.raises(
            UnsupportedError, match="fp16: a constant of this architecture is beyond what the precision holds"
        ),
        loading.constants_held(Quantization.FP16),
    ):
        torch.full((2,), 1e10, dtype=torch.float16)
    with pytest.raises(RuntimeError, match="other"), loading.constants_held(Quantization.FP16):
        raise RuntimeError("other")


def test_weights_that_several_gpus_cannot_hold_together_are_an_out_of_memory(folders, monkeypatch):
    """accelerate would put the rest into host memory, and a cell would be slow instead of failed."""
    several = replace(GPU, name="2 x GPU", devices=("cuda:0", "cuda:1"))
    monkeypatch.setattr(loading, "device_capability", lambda _: several)
    monkeypatch.setattr(device_memory, "driver_bytes", lambda devices: dict.fromkeys(devices, 500))
    monkeypatch.setattr(device_memory, "free_bytes", lambda _: 1000)
    monkeypatch.setattr(loading, "make_weights", lambda *_: pytest.fail("weights were made"))
    with pytest.raises(MemoryError, match=r"weights of 0\.00 GB do not fit into .* free on 2 x GPU together"):
        create_backend(request_of(folders["internvl"])).load()


# --- processors of full size -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def processors(process_settings) -> dict[str, tuple[Any, Any]]:
    found = {}
    for family, model in ORIGINS.items():
        config = load_config(architecture_folder(model))
        found[family] = (config, load_family(family).dummy_processor(config))
    return found


@pytest.mark.parametrize(
    ("family", "size", "special"),
    [
        ("internvl", 151_674, {"eos_token_id": 151_645, "pad_token_id": 151_643}),
        ("mllama", 128_257, {"bos_token_id": 128_000, "eos_token_id": 128_009, "pad_token_id": 128_004}),
        ("llava", 32_064, {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 32_001}),
        ("smolvlm", 49_280, {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}),
        ("gemma3n", 262_400, {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}),
    ],
)
def test_the_vocabulary_is_that_of_the_configuration(processors, family, size, special):
    _, processor = processors[family]
    tokenizer = processor.tokenizer
    assert len(tokenizer) == size
    assert {name: getattr(tokenizer, name) for name in special} == special
    assert all(tokenizer.decode([index]) for index in range(size))
    assert len({tokenizer.decode([index]) for index in range(0, size, 7)}) == len(range(0, size, 7))


@pytest.mark.parametrize(
    ("family", "tiles", "size", "tokens"),
    [
        pytest.param("internvl", 13, 448, 256, id="internvl: 3 x 4 and a thumbnail"),
        pytest.param("mllama", 4, 560, 1601, id="mllama: 2 x 2"),
        pytest.param("llava", 1, 336, 576, id="llava: the middle"),
        pytest.param("smolvlm", 13, 384, 81, id="smolvlm: 3 x 4 and the whole"),
        pytest.param("gemma3n", 1, 128, 256, id="gemma3n: one, of a size for these tests"),
    ],
)
def test_a_portrait_page_is_cut_as_the_published_processors_do(processors, family, tiles, size, tokens):
    config, processor = processors[family]
    adapter = load_family(family)
    adapter.check_checkpoint(config, processor)
    prepared = adapter.prepare(processor, config, [Image.new("RGB", (1240, 1654), "white")], "Read this.")
    assert prepared.pixels[0].tensor.shape == (tiles, 3, size, size)
    assert prepared.pixels[0].image_tokens == tiles * tokens
    in_prompt = int((prepared.inputs["input_ids"] == processor.image_token_id).sum())
    assert in_prompt == (1 if family == "mllama" else tiles * tokens)
    assert processor.tokenizer.bos_token_id in (None, prepared.inputs["input_ids"][0, 0])


@pytest.mark.parametrize("family", ["llava", "smolvlm", "gemma3n"])
@pytest.mark.parametrize("change", ["image token", "tokens per tile"])
def test_a_processor_of_another_model_is_refused(processors, family, change):
    config, processor = processors[family]
    other = copy.deepcopy(config)
    if change == "image token":
        other.image_token_id = 7
    elif family == "gemma3n":
        other.vision_soft_tokens_per_image = 9
    else:
        other.vision_config.image_size //= 2
    with pytest.raises(CheckpointError, match="do not belong together"):
        load_family(family).check_checkpoint(other, processor)


@pytest.mark.parametrize(
    ("text", "three", "one"),
    [
        ("Read this page.", ["Read", " this", " page", "."], None),
        ("Considerable", ["Consid", "erable"], None),
        ("$1234.56", ["$", "123", "4", ".", "56"], ["$", "1", "2", "3", "4", ".", "5", "6"]),
        ("TOTAL: N/A", ["TOTAL", ":", " N", "/", "A"], None),
        ("a  \n\nb", ["a", "  \n\n", "b"], None),
        ("a   b", ["a", "  ", " b"], None),
        ("...---", ["..", ".-", "--"], None),
        ("Käse", ["Käse"], None),
    ],
)
def test_text_is_cut_by_the_rule(text, three, one):
    for digits, expected in ((3, three), (1, one or three)):
        tokenizer = dummy_tokenizer(64, {"<e>": 5}, digits=digits, eos_token="<e>")
        found = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
        assert [text[start:end] for start, end in found["offset_mapping"]] == expected


def test_special_tokens_get_their_ids_and_the_others_the_highest_free_ones():
    tokenizer = dummy_tokenizer(16, {"<e>": 14, "<image>": 16, "<a>": None, "<b>": None}, eos_token="<e>")
    assert len(tokenizer) == 17
    found = {token: tokenizer.convert_tokens_to_ids(token) for token in ("<e>", "<image>", "<a>", "<b>", "<unk>")}
    assert found == {"<e>": 14, "<image>": 16, "<a>": 15, "<b>": 13, "<unk>": 0}
    assert tokenizer("go<image><a>")["input_ids"] == [0, 16, 15]
    assert tokenizer.decode([14, 3, 16], skip_special_tokens=True) == " t3"


# --- devices ---------------------------------------------------------------------------------------------------


class FakeCuda:
    """The memory of two devices, in bytes."""

    free, total, reserved, allocated = 700, 1000, 200, 150

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        for name, value in {
            "mem_get_info": (self.free, self.total),
            "memory_reserved": self.reserved,
            "memory_allocated": self.allocated,
            "max_memory_allocated": 180,
            "max_memory_reserved": 260,
            "synchronize": None,
            "reset_peak_memory_stats": None,
        }.items():
            monkeypatch.setattr(torch.cuda, name, self._told(name, value))
        monkeypatch.setattr(torch, "empty", lambda *_, device: self.calls.append(f"empty {device}"))

    def _told(self, name: str, value: Any) -> Any:
        def tell(device: str) -> Any:
            self.calls.append(f"{name} {device}")
            return value

        return tell


def test_memory_of_each_device_is_told(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    devices = ("cuda:0", "cuda:1")
    assert device_memory.driver_bytes(devices) == dict.fromkeys(devices, 1000 - 700 - 200)
    assert cuda.calls[:2] == ["empty cuda:0", "synchronize cuda:0"], "the context first"
    assert device_memory.free_bytes(devices) == 2 * (700 + 200 - 150)
    assert device_memory.allocated_bytes(devices) == dict.fromkeys(devices, 150)
    cuda.calls.clear()
    device_memory.reset_allocator_peaks(devices)
    assert cuda.calls == ["reset_peak_memory_stats cuda:0", "reset_peak_memory_stats cuda:1"]
    assert device_memory.allocator_peaks(devices) == tuple(
        AllocatorPeak(device=device, allocated_bytes=180, reserved_bytes=260) for device in devices
    )
    cuda.calls.clear()
    for ask in (device_memory.driver_bytes, device_memory.allocated_bytes, device_memory.allocator_peaks):
        assert not ask(())
    device_memory.reset_allocator_peaks(())
    device_memory.settle(())
    assert cuda.calls == [], "a processor costs nothing"


def test_every_answer_has_the_peak_of_its_own_call(folders, pages, monkeypatch):
    backend = open_backend(folders["internvl"])
    calls = []
    peak = AllocatorPeak(device="cuda:0", allocated_bytes=7, reserved_bytes=9)
    monkeypatch.setattr(device_memory, "reset_allocator_peaks", lambda devices: calls.append("reset"))
    monkeypatch.setattr(device_memory, "allocator_peaks", lambda devices: calls.append("peaks") or (peak,))
    answers = backend.read_batch(pages, "Read.")
    assert [answer.allocator for answer in answers] == [(peak,)] * 2
    assert calls == ["reset", "peaks"]


def test_an_answer_out_of_several_calls_has_the_highest_peaks_of_them():
    def call(*sizes: tuple[str, int, int]) -> Answer:
        return Answer(
            text="",
            allocator=tuple(AllocatorPeak(device=d, allocated_bytes=a, reserved_bytes=r) for d, a, r in sizes),
        )

    calls = [call(("cuda:0", 5, 9), ("cuda:1", 1, 1)), None, call(("cuda:0", 7, 8))]
    merged = merge_answers("x", path="multi", calls=calls, used=[], ocr=call(), attempts=())
    assert merged.allocator == call(("cuda:0", 7, 9), ("cuda:1", 1, 1)).allocator


def test_load_facts_by_device(folders, monkeypatch):
    skeleton = build_skeleton(folders["mllama"])
    family = load_family("mllama")
    plan = plan_weights(skeleton, family, Quantization.INT8_OFFLOAD, GPU)
    monkeypatch.setattr(device_memory, "driver_bytes", lambda devices: dict.fromkeys(devices, 640))
    loaded = LoadedModel(
        model=nn.Linear(64, 64).to(torch.bfloat16).requires_grad_(False),
        processor=None,
        plan=plan,
        device=GPU,
        context_bytes={"cuda:0": 500},
        allocated_bytes={"cuda:0": 12_000},
        file_cache="warm",
    )
    loaded.model.dtype, loaded.model.config = torch.bfloat16, skeleton.config
    facts = loaded.facts()
    assert by_device(facts, "device_used_after_context_bytes") == {"cuda:0": 500}
    assert by_device(facts, "device_used_after_warm_up_bytes") == {"cuda:0": 640}
    assert by_device(facts, "weights_allocated_bytes") == {"cuda:0": 12_000}
    assert by_device(facts, "weights_bytes") == {}, "the layer of this test is in host memory"
    assert facts["weights_bytes.cpu"] == facts["weights_bytes"] == 2 * (64 * 64 + 64)
    assert facts["file_cache"] == "warm"
    assert (facts["offloaded_layers"], facts["predicted_host_weights_bytes"]) == (1, plan.predicted_host_bytes)


def test_devices_come_in_the_order_of_their_numbers():
    facts = {f"x.cuda:{index}": index for index in (10, 2, 0)} | {"x.cpu": 5, "xy.cuda:1": 6}
    assert list(by_device(facts, "x").items()) == [("cuda:0", 0), ("cuda:2", 2), ("cuda:10", 10)]


def test_the_last_quarter_of_the_layers_is_offloaded_and_left_unquantised(folders):
    skeleton = build_skeleton(folders["mllama"])
    family = load_family("mllama")
    layers = decoder_layers(skeleton)
    plan = plan_weights(skeleton, family, Quantization.INT8_OFFLOAD, GPU)
    whole = plan_weights(skeleton, family, Quantization.INT8, GPU)
    assert plan.offloaded == layers[-1:]
    assert set(plan.skip) == {*whole.skip, *layers[-1:]}
    linears = [m for m in skeleton.get_submodule(layers[-1]).modules() if isinstance(m, nn.Linear)]
    assert plan.asked == whole.asked - len(linears)
    weights = sum(m.weight.numel() for m in linears)
    scales = sum(4 * m.out_features for m in linears)
    assert plan.predicted_bytes == whole.predicted_bytes + weights - scales
    own = sum(2 * tensor.numel() for tensor in skeleton.get_submodule(layers[-1]).parameters())
    assert plan.predicted_host_bytes == own
    placed = offload_map(skeleton, plan.offloaded, "cuda:0")
    assert [name for name, device in placed.items() if device == "cpu"] == [layers[-1]]
    for name, _ in (*skeleton.named_parameters(), *skeleton.named_buffers()):
        assert sum(name == part or name.startswith(f"{part}.") for part in placed) == 1, name
    assert offload_map(skeleton, (), "cuda:0") == {"": "cuda:0"}


@pytest.mark.parametrize("room", [True, False])
def test_weights_to_be_quantised_are_drawn_where_there_is_room_for_both(folders, monkeypatch, room):
    skeleton = build_skeleton(folders["internvl"], dtype=rest_dtype(Quantization.NF4, GPU))
    family = load_family("internvl")
    plan = plan_weights(skeleton, family, Quantization.NF4, GPU)
    asked: list[DeviceCapability] = []

    def draw(_skeleton: Any, _family: Any, device: DeviceCapability) -> Any:
        asked.append(device)
        raise InterruptedError

    full = 2 * plan.parameters + plan.predicted_bytes
    monkeypatch.setattr(dummy_weights, "_draw", draw)
    monkeypatch.setattr(device_memory, "free_bytes", lambda _: full * (2 if room else 1))
    with pytest.raises(InterruptedError):
        dummy_weights.make_weights(skeleton, family, plan, GPU)
    assert [device.kind for device in asked] == ["cuda" if room else "cpu"]


def test_only_what_is_quantised_is_handed_to_the_loader_on_the_device(folders):
    """A stand-in for each drawn tensor tells whether it was copied to host memory."""
    skeleton = build_skeleton(folders["gemma3n"], dtype=rest_dtype(Quantization.INT8, GPU))
    plan = plan_weights(skeleton, load_family("gemma3n"), Quantization.INT8, GPU)
    drawn: Any = {name: SimpleNamespace(cpu=lambda: "host") for name in skeleton.state_dict()}
    found = dummy_weights._as_from_a_file(drawn, skeleton, plan)
    assert set(drawn) - set(found) == {"lm_head.weight"}, "tied to the embedding, so that no file has it"
    stays = {name for name, tensor in found.items() if tensor is drawn[name]}
    assert stays == {f"{name}.weight" for name in linear_shapes(skeleton, plan.skip)}
    assert len(stays) == plan.asked > 0
    assert {found[name] for name in set(found) - stays} == {"host"}


def test_weights_spread_over_several_devices_are_drawn_like_those_of_one(folders, monkeypatch):
    """By the loader, with nothing to load; here with a map that names the processor."""
    skeleton = build_skeleton(folders["mllama"])
    family = load_family("mllama")
    kind = type(skeleton)
    load = kind.from_pretrained

    def on_cpu(*arguments: Any, device_map: str, **keywords: Any) -> Any:
        assert device_map == "balanced"
        return load(*arguments, device_map={"": "cpu"}, **keywords)

    monkeypatch.setattr(kind, "from_pretrained", on_cpu)
    spread = dummy_weights._draw(skeleton, family, replace(GPU, devices=("cuda:0", "cuda:1")))
    one = dummy_weights._draw(skeleton, family, DeviceCapability(kind="cpu"))
    for (name, found), (_, expected) in zip(spread.named_buffers(), one.named_buffers(), strict=True):
        assert torch.equal(found, expected), name
    for (name, found), (_, expected) in zip(spread.named_parameters(), one.named_parameters(), strict=True):
        if name.endswith("gate"):
            assert torch.equal(found, expected), name
        elif found.numel() > 10_000:  # drawn in another order
            assert found.float().std().item() == pytest.approx(expected.float().std().item(), rel=0.05), name


# --- page cache ------------------------------------------------------------------------------------------------


def told(share: float | None, monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.setattr(page_cache, "cached_share", lambda _: share)
    return page_cache.file_cache_state([Path("x")])


def test_states_of_the_page_cache(monkeypatch):
    shares = [None, 0.0, 0.049, 0.05, 0.95, 0.951, 1.0]
    assert [told(share, monkeypatch) for share in shares] == [
        None,
        "cold",
        "cold",
        "partly",
        "partly",
        "warm",
        "warm",
    ]


def test_files_that_were_just_written_are_cached_and_holes_are_not(tmp_path, monkeypatch):
    if not hasattr(os, "geteuid"):
        pytest.skip("no mincore on this system")
    monkeypatch.setattr(page_cache, "_WINDOW", 1 << 16)  # several windows
    written, holes = tmp_path / "written", tmp_path / "holes"
    written.write_bytes(os.urandom(300_000))
    with holes.open("wb") as file:
        file.truncate(300_000)
    if page_cache.cached_share([written]) is None:
        pytest.skip("this kernel does not tell")
    assert page_cache.cached_share([written]) == 1
    assert page_cache.cached_share([holes]) == 0
    assert page_cache.cached_share([written, holes]) == 0.5
    assert page_cache.cached_share([]) is None
    (tmp_path / "empty").touch()
    assert page_cache.cached_share([tmp_path / "empty"]) is None


def test_a_kernel_that_calls_every_page_cached_is_not_believed(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"x")
    monkeypatch.setattr(page_cache, "_resident_pages", lambda _: (64, 64))
    assert page_cache.file_cache_state([tmp_path / "x"]) is None


def test_settings_name_skip_modules_one_by_one():
    settings = GenerationSettings.from_settings({"source": "x", "skip_modules": "a, b,,"})
    assert settings.skip_module_names == ["a", "b"]
    assert GenerationSettings.from_settings({"source": "x"}).skip_module_names is None
