"""The log-probabilities of generated tokens, against transformers' own transition scores."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from harness.backends.generative import TransformersBackend
from harness.backends.generative.decoding import TokenLogprobs
from harness.backends.protocol import BackendRequest
from tests.library_warnings import MLLAMA_WARNS, NUMPY_WARNS
from tests.tiny_models import BUILDERS

pytestmark = [MLLAMA_WARNS, NUMPY_WARNS]
PROMPT = "Read this page."


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
            patch.setenv(name, "1")
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return BUILDERS["internvl"](tmp_path_factory.mktemp("checkpoint") / "internvl")


def opened(checkpoint: Path, **settings) -> TransformersBackend:
    request = BackendRequest(
        backend="transformers",
        quantization="fp32",
        settings={"source": str(checkpoint), "max_new_tokens": 12, **settings},
    )
    backend = TransformersBackend.from_request(request)
    backend.load()
    return backend


def images() -> list[Image.Image]:
    return [Image.linear_gradient("L").resize(size).convert("RGB") for size in ((300, 420), (200, 700), (80, 64))]


@pytest.mark.parametrize("least", [0, 12])
def test_the_mean_is_that_of_the_chosen_tokens(checkpoint, least):
    backend = opened(checkpoint, token_logprobs=True, min_new_tokens=least)
    (answer,) = backend.read_batch(images()[:1], PROMPT)
    pieces = backend.pieces
    prepared = pieces.family.prepare(pieces.processor, pieces.model.config, images()[:1], PROMPT)
    with torch.inference_mode():
        told = backend.pieces.model.generate(
            **prepared.inputs,
            generation_config=backend.pieces.model.generation_config,
            output_scores=True,
            return_dict_in_generate=True,
        )
    scores = backend.pieces.model.compute_transition_scores(told.sequences, told.scores, normalize_logits=True)
    assert answer.output_tokens == scores.shape[1]
    assert answer.facts["mean_logprob"] == pytest.approx(scores.mean().item(), abs=1e-5)
    assert answer.facts["mean_logprob"] < 0


def test_asking_for_them_changes_no_answer_and_they_are_not_told_unasked(checkpoint):
    plain, asked = (opened(checkpoint, token_logprobs=wanted).read_batch(images(), PROMPT) for wanted in (False, True))
    assert [a.text for a in plain] == [a.text for a in asked]
    assert not any("mean_logprob" in a.facts for a in plain)
    assert len({a.facts["mean_logprob"] for a in asked}) == len(asked)


def test_padding_after_the_end_of_a_row_does_not_count():
    kept = TokenLogprobs()
    for step in ([[2.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [9.0, 0.0]]):
        scores = torch.tensor(step)
        assert kept(torch.zeros(2, 1), scores) is scores
    both, first = kept.means([2, 1])
    assert both == pytest.approx((2 - math.log(math.exp(2) + 1) + math.log(0.5)) / 2)
    assert first == pytest.approx(math.log(0.5))


def test_what_is_no_number_is_not_told():
    kept = TokenLogprobs()
    assert kept.means([3]) == [None]
    kept(torch.zeros(2, 1), torch.tensor([[math.nan, 0.0], [1.0, 0.0]]))
    assert kept.means([1, 0]) == [None, None]
