"""The runtime `fast`: the library's own answers, in slots that are refilled."""

from __future__ import annotations

import functools
import itertools
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.backends.generative import TransformersBackend
from harness.backends.generative.fast.attention import attend_cached
from harness.backends.generative.fast.cache import SlotCache, cache_bytes
from harness.backends.generative.fast.choosing import pick
from harness.backends.generative.fast.compiling import as_it_is
from harness.backends.generative.fast.decoder import Keep, State
from harness.backends.generative.fast.engine import Engine, Row
from harness.backends.generative.fast.layers import Layer
from harness.backends.generative.fast.memory import Room, plan_slots, product_bytes
from harness.backends.generative.fast.pages import Pages
from harness.backends.generative.fast.runtime import waits_for_the_host
from harness.backends.generative.fast.vision import encoder_for
from harness.backends.protocol import Answer, BackendRequest
from harness.errors import DocvlmError
from tests.library_warnings import MLLAMA_WARNS, NUMPY_WARNS
from tests.tile_features import tile_features
from tests.tiny_models import BUILDERS

pytestmark = [MLLAMA_WARNS, NUMPY_WARNS]
PROMPT = "Read this page."
SIZES = ((300, 420), (200, 700), (80, 64), (420, 300), (310, 430), (64, 64), (700, 200))
"""Pages that are cut into other numbers of tiles."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
            patch.setenv(name, "1")
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["internvl", "mllama"])
def checkpoint(request, tmp_path_factory) -> str:
    return str(BUILDERS[request.param](tmp_path_factory.mktemp("checkpoint") / request.param))


def opened(checkpoint: str, runtime: str, mode: str = "fp32", **more: Any) -> TransformersBackend:
    told = {"source": checkpoint, "max_new_tokens": 14, **more}
    request = BackendRequest(backend="transformers", quantization=mode, runtime=runtime, settings=told)
    backend = TransformersBackend.from_request(request)
    backend.load()
    return backend


def pages(sizes: Sequence[tuple[int, int]] = SIZES) -> list[Image.Image]:
    return [Image.linear_gradient("L").resize(size).rotate(90 * i).convert("RGB") for i, size in enumerate(sizes)]


def said(answers: Sequence[Answer]) -> list[tuple[object, ...]]:
    return [(a.text, a.output_tokens, a.stop, a.prompt_tokens, a.facts["pixel_crc32"]) for a in answers]


@pytest.mark.parametrize("slots", [0, 1, 2])
def test_it_says_what_the_library_says_however_many_slots_there_are(checkpoint, slots):
    alone = [opened_once(checkpoint, "eager").read(page, PROMPT) for page in pages()]
    fast = opened(checkpoint, "fast", slots=slots).read_batch(pages(), PROMPT)
    assert said(fast) == said(alone)
    assert len({a.text for a in alone}) > 1
    assert {a.facts["slots"] for a in fast} == {slots or len(SIZES)}


@pytest.mark.parametrize(("mode", "waits"), [("fp32", False), ("nf4", False), ("int8", True)])
def test_only_int8_products_ask_the_host_so_that_their_steps_cannot_be_graphs(tmp_path, mode, waits):
    backend = opened(str(BUILDERS["internvl"](tmp_path / "internvl")), "fast", mode=mode)
    assert waits_for_the_host(backend.pieces.model) is waits


def test_layers_are_traced_whole_and_all_of_one_kind_at_once(checkpoint):
    traces = []

    def keep(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        traces.append(graph)
        return graph.forward

    def traced(function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function, fullgraph=True, dynamic=True, backend=keep)

    backend = opened(checkpoint, "fast")
    pieces, generator = backend.pieces, backend._generator
    generator._engine._encoder = encoder_for(pieces.family_name, pieces.model, traced)  # type: ignore[attr-defined]
    generator._decoder._read = traced(Layer.read)  # type: ignore[attr-defined]
    alike = opened_once(checkpoint, "fast").read_batch(pages(), PROMPT)
    assert said(backend.read_batch(pages(), PROMPT)) == said(alike)
    assert 2 <= len(traces) <= 6, "text, and up to two kinds of vision layers: of one page and of several"


@pytest.mark.parametrize("mode", ["fp32", "bf16"])
def test_features_of_tiles_are_the_librarys_to_the_bit(tmp_path, mode):
    model = opened(str(BUILDERS["internvl"](tmp_path / "internvl")), "fast", mode=mode).pieces.model
    assert torch.equal(*tile_features(model, as_it_is))


@functools.cache
def opened_once(checkpoint: str, runtime: str) -> TransformersBackend:
    return opened(checkpoint, runtime)


@pytest.mark.parametrize("least", [5, 14])
def test_answers_are_as_long_as_they_must_be(checkpoint, least):
    eager, fast = (
        opened(checkpoint, name, min_new_tokens=least).read_batch(pages(SIZES[:3]), PROMPT)
        for name in ("eager", "fast")
    )
    assert said(fast) == said(eager)
    assert all(a.output_tokens is not None and least <= a.output_tokens <= 14 for a in fast)


def test_a_slot_is_as_good_after_another_page_as_before(checkpoint):
    backend = opened_once(checkpoint, "fast")
    first = said(backend.read_batch(pages(), PROMPT))
    backend.read_batch(list(reversed(pages())), "Something else altogether, and at greater length.")
    assert said(backend.read_batch(pages(), PROMPT)) == first


def test_log_probabilities_are_those_of_the_library(checkpoint):
    eager, fast = (
        opened(checkpoint, name, token_logprobs=True).read(pages()[0], PROMPT).facts["mean_logprob"]
        for name in ("eager", "fast")
    )
    assert fast == pytest.approx(eager, abs=1e-4)


def test_gaps_between_the_likeliest_tokens_are_told_by_character(checkpoint):
    answer = opened_once(checkpoint, "fast").read(pages()[0], PROMPT)
    told = json.loads(str(answer.facts["narrow_gaps"]))
    assert all(0 <= at <= len(answer.text) and 0 <= gap < 1 for at, gap in told)
    assert [at for at, _ in told] == sorted(at for at, _ in told)


@pytest.mark.parametrize("mode", ["bf16", "nf4"])
def test_other_precisions_answer_too(checkpoint, mode):
    answers = opened(checkpoint, "fast", mode).read_batch(pages(SIZES[:2]), PROMPT)
    assert all(a.output_tokens for a in answers)


def test_the_first_token_is_timed_by_page_and_generation_by_request(checkpoint):
    backend = opened(checkpoint, "fast", slots=1)
    began = time.perf_counter()
    told = [a.phases for a in backend.read_batch(pages(SIZES[:3]), PROMPT)]
    whole = time.perf_counter() - began
    (generate_s,) = {phases["generate_s"] for phases in told}
    assert sum(phases["ttft_s"] for phases in told) <= generate_s < whole, "one page after the other"
    assert all(phases["ttft_s"] > 0 and phases["preprocess_s"] > 0 for phases in told)


def test_what_cannot_be_run_is_refused(checkpoint, tmp_path):
    with pytest.raises(DocvlmError, match="slots must be at least 0"):
        opened(checkpoint, "fast", slots=-1)
    with pytest.raises(DocvlmError, match="did you mean fast"):
        opened(checkpoint, "fasst")
    with pytest.raises(DocvlmError, match="do not fit into this model's"):
        opened(checkpoint, "fast", max_new_tokens=1_000_000).read(pages()[0], PROMPT)


# --- slots ---------------------------------------------------------------------------------------------------------


class Countdown:
    """Stands for a decoder: a prompt is a number, and the answer counts down from it to 0, the stop."""

    layers = ()

    def __init__(self) -> None:
        self.steps = 0

    def reserve(self, capacity: int, like: torch.Tensor) -> None:
        """Nothing to work out."""

    def read(self, hidden: torch.Tensor, image: None, keep: Keep) -> torch.Tensor:
        return hidden[:, 0]

    def choose(self, logits: torch.Tensor, state: State, slots: torch.Tensor) -> None:
        state.tokens[slots] = logits.long()

    def step(self, state: State, cache: SlotCache) -> None:
        self.steps += 1
        state.tokens.sub_(state.active)


ENCODER = SimpleNamespace(encode=lambda decoder, inputs: (inputs["input_ids"], None))


def countdown(longest: int) -> tuple[Engine, Countdown]:
    decoder = Countdown()
    engine = Engine(
        decoder,  # type: ignore[arg-type]
        ENCODER,  # type: ignore[arg-type]
        like=torch.empty(0),
        stops=[0],
        max_new_tokens=longest,
        min_new_tokens=0,
    )
    return engine, decoder


def counted(
    engine: Engine,
    lengths: Sequence[int],
    slots: int,
    together: int = 1,
    *,
    late: Iterable[bool] = itertools.repeat(False),
) -> dict[int, list[int]]:
    """The ids of each row. `late` says whether pages are still being prepared when they could be had."""
    rows = [
        Row(number=i, inputs={"input_ids": torch.tensor([[length]])}, prompt_tokens=1)
        for i, length in enumerate(lengths)
    ]
    done: dict[int, list[int]] = {}
    delays = iter(late)

    def source(most: int, wait_for_one: bool) -> list[Row]:
        if not wait_for_one and next(delays):
            return []
        taken = rows[: min(most, together)]
        del rows[: len(taken)]
        return taken

    def keep(row: Row) -> None:
        assert row.number not in done
        done[row.number] = row.ids

    engine.reserve(slots, 64, 0)
    engine.run(slots, source, keep)
    return done


LENGTHS = st.lists(st.integers(0, 20), min_size=1, max_size=24)


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS, slots=st.integers(1, 6), longest=st.integers(1, 18), together=st.integers(1, 6))
def test_each_row_is_answered_once_and_no_slot_waits_for_the_longest(lengths, slots, longest, together):
    engine, decoder = countdown(longest)
    done = counted(engine, lengths, slots, together)
    assert done == {i: list(range(length, -1, -1))[:longest] for i, length in enumerate(lengths)}
    work = [len(ids) - 1 for ids in done.values()]
    assert decoder.steps <= sum(work) / slots + max(work) + 1  # Graham (1966): a list schedule is no longer


@settings(max_examples=40, deadline=None)
@given(lengths=LENGTHS, slots=st.integers(1, 4), late=st.lists(st.booleans(), min_size=1, max_size=5))
def test_pages_that_come_late_are_answered_too(lengths, slots, late):
    engine, _ = countdown(30)
    done = counted(engine, lengths, slots, 2, late=itertools.cycle([*late, False]))
    assert done == {i: list(range(length, -1, -1)) for i, length in enumerate(lengths)}


@given(length=st.integers(2, 9), slots=st.integers(1, 4), more=st.integers(0, 6))
def test_all_slots_are_taken_before_the_first_step_though_pages_come_late(length, slots, more):
    engine, decoder = countdown(30)
    done = counted(engine, [length] * (slots + more), slots, late=itertools.cycle([True, False]))
    assert len(done) == slots + more
    engine, decoder = countdown(30)
    counted(engine, [length] * slots, slots, late=itertools.repeat(True))
    assert decoder.steps == length, "as many as for one: each is for all"


def test_what_comes_after_a_short_answer_finds_room_and_steps_made(checkpoint):
    backend = opened(checkpoint, "fast")  # which warms it up
    engine = backend._generator._engine  # type: ignore[attr-defined]
    steps, cache = dict(engine._steps), engine._cache
    answer = backend.read(pages()[0], PROMPT * 20)
    assert answer.output_tokens == 14
    assert engine._steps == steps
    assert engine._cache is cache
    engine, _ = countdown(20)
    with engine.short_answers(3):
        assert counted(engine, [9], 1) == {0: [9, 8, 7]}
    assert counted(engine, [9], 1) == {0: list(range(9, -1, -1))}


def test_a_request_that_failed_leaves_no_row_behind():
    engine, _ = countdown(9)
    engine.reserve(2, 64, 0)
    row = Row(number=0, inputs={"input_ids": torch.tensor([[8]])}, prompt_tokens=1)
    given_out = iter([[row]])

    def source(most: int, wait_for_one: bool) -> list[Row]:
        for rows in given_out:
            return rows
        raise OSError("the next page cannot be read")

    with pytest.raises(OSError, match="next page"):
        engine.run(2, source, lambda row: None)
    assert counted(engine, [3, 2], 2) == {0: [3, 2, 1, 0], 1: [2, 1, 0]}


def test_the_cache_takes_what_was_predicted(checkpoint):
    backend = opened_once(checkpoint, "fast")
    layers = backend._generator._decoder.layers  # type: ignore[attr-defined]
    room = {"slots": 3, "capacity": 64, "image_capacity": 20}
    cache = SlotCache.allocate(layers, like=torch.empty(0, dtype=torch.bfloat16), **room)
    taken = sum(tensor.nbytes for tensor in (*cache.keys, *cache.values))
    assert taken == cache_bytes(layers, bytes_per_value=2, **room)
    assert cache.first(2).keys[0].data_ptr() == cache.keys[0].data_ptr()


def test_slots_that_do_not_fit_are_left_out_before_memory_ends(checkpoint):
    layers = opened_once(checkpoint, "fast")._generator._decoder.layers  # type: ignore[attr-defined]
    shape = {"capacity": 64, "image_capacity": 20}

    def room(free: int | None, asked: int = 8) -> Room:
        return plan_slots(layers, asked=asked, vocabulary=500, bytes_per_value=2, prompt=10_000, free=free, **shape)

    slot = cache_bytes(layers, slots=1, bytes_per_value=2, **shape) + 500 * 2
    assert room(None).slots == room(10**9).slots == 8
    assert room(int((10_000 + 3 * slot) / 0.98) + 2).slots == 3
    assert room(0).slots == 1, "what does not fit even alone is left to the allocator to say"
    assert room(None).cache == 8 * (slot - 1000)


@pytest.mark.parametrize("name", ["internvl", "mllama"])
def test_reading_more_takes_more(name, tmp_path):
    backend = opened(str(BUILDERS[name](tmp_path / name)), "fast")
    generator, pieces = backend._generator, backend.pieces
    taken = []
    for words in ("Read.", "Read. " * 200):
        inputs = pieces.family.prepare(pieces.processor, pieces.model.config, pages(SIZES[:1]), words).inputs
        taken.append(generator._encoder.prompt_bytes(generator._decoder, inputs, 2))  # type: ignore[attr-defined]
    assert 0 < taken[0] < taken[1]


@pytest.mark.parametrize("mode", ["fp32", "nf4", "int8"])
def test_layers_of_few_bits_take_more_while_they_multiply(mode, tmp_path):
    model = opened(str(BUILDERS["internvl"](tmp_path / "internvl")), "fast", mode=mode).pieces.model
    sizes = [
        (layer.in_features, layer.out_features)
        for layer in model.modules()
        if type(layer).__name__ in ("Linear4bit", "Linear8bitLt")
    ]
    expected = {
        "fp32": 0,
        "nf4": max((2 * i * o for i, o in sizes), default=0),  # the weights in 16 bits
        "int8": max((100 * (i + 4 * o) for i, o in sizes), default=0),  # inputs in 8 bits, sums in 32
    }
    assert product_bytes(model, 100, 2) == expected[mode]
    assert bool(sizes) is (mode != "fp32")


# --- pages ---------------------------------------------------------------------------------------------------------


def test_pages_of_one_shape_come_together_and_none_is_lost(checkpoint):
    backend = opened_once(checkpoint, "fast")
    encoder = backend._generator._encoder  # type: ignore[attr-defined]
    with Pages(backend.pieces, encoder, pages(), PROMPT) as source:
        groups = []
        while group := source.take(4, True):
            groups.append(group)
    assert sorted(row.number for group in groups for row in group) == list(range(len(SIZES)))
    assert all(
        {name: t.shape for name, t in row.inputs.items()} == {name: t.shape for name, t in group[0].inputs.items()}
        for group in groups
        for row in group
    )
    assert max(map(len, groups)) > 1 or checkpoint.endswith("internvl")


# --- attention -----------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(data=st.data(), rows=st.integers(1, 4), kv_heads=st.integers(1, 3), group=st.integers(1, 4))
def test_attention_over_the_cache_is_that_over_each_row_alone(data, rows, kv_heads, group):
    capacity, size = 33, 8
    lengths = torch.tensor(data.draw(st.lists(st.integers(1, capacity), min_size=rows, max_size=rows)))
    torch.manual_seed(data.draw(st.integers(0, 99)))
    query = torch.randn(rows, kv_heads * group, size)
    keys, values = torch.randn(2, rows, kv_heads, capacity, size)
    found = attend_cached(query, keys, values, lengths)
    for row, n in enumerate(lengths.tolist()):
        for head in range(kv_heads * group):
            scores = keys[row, head // group, :n].double() @ query[row, head].double() / math.sqrt(size)
            wanted = scores.softmax(0) @ values[row, head // group, :n].double()
            assert torch.allclose(found[row, head].double(), wanted, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), rows=st.integers(1, 3), size=st.integers(2, 40))
def test_the_likeliest_token_is_picked_with_its_gap_and_log_probability(data, rows, size):
    few = st.sampled_from([-3.0, 0.0, 0.5, 0.5, 2.0, 2.0])  # equals are common in 16 bits
    logits = torch.tensor(
        data.draw(st.lists(st.lists(few, min_size=size, max_size=size), min_size=rows, max_size=rows))
    )
    tokens, told = pick(logits)
    for row, values in enumerate(logits.tolist()):
        best, next_best = sorted(values, reverse=True)[:2]
        assert tokens[row] == values.index(best)
        assert told[row, 0] == best - next_best
        assert told[row, 1].item() == pytest.approx(best - math.log(sum(map(math.exp, values))), abs=1e-5)


_KERNEL = """
import torch
from harness.backends.generative.fast.attention import attend_cached
from harness.backends.generative.fast import kernels
from harness.backends.generative.fast.choosing import pick
torch.manual_seed(0)
shapes = (1, 12, 2, 200, 128), (3, 4, 4, 130, 64), (2, 6, 2, 300, 96), (4, 5, 5, 70, 64)
for rows, heads, kv, capacity, size in shapes:
    query = torch.randn(rows, heads, size)
    keys, values = torch.randn(2, rows, kv, capacity, size)
    lengths = torch.randint(1, capacity + 1, (rows,))
    lengths[0] = capacity if rows == 1 else 1
    found = kernels.decode_attention(query, keys, values, lengths)
    error = (found - attend_cached(query, keys, values, lengths)).abs().max().item()
    assert error < 1e-5, (rows, heads, kv, capacity, size, error)
for rows, size in ((1, 5000), (3, 1500), (2, 40), (300, 1025)):
    logits = (torch.randn(rows, size) * 4).round() / 2
    logits[0, : size // 2] = -torch.inf
    for found, wanted in zip(kernels.pick(logits), pick(logits), strict=True):
        assert torch.allclose(found.double(), wanted.double(), atol=1e-5), (rows, size, found, wanted)
print("kernels agree")
"""


def test_the_kernels_agree_with_attention_over_each_row():
    pytest.importorskip("triton", reason="triton is not installed: its interpreter stands for a GPU")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", _KERNEL], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "kernels agree", done.stderr[-2000:]
