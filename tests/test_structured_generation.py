"""Generation held to a form, by the tokenizers of the reference checkpoints and by random models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.backends import BackendRequest, create_backend
from harness.errors import UnsupportedError
from harness.prompts import prompt
from harness.responses import parse_response, render_response
from harness.schema import FIELD_NAMES
from harness.structured import AnswerForm, satisfies

pytest.importorskip("llguidance", reason="llguidance is not installed: pip install -e '.[structured]'")
torch = pytest.importorskip("torch", reason="torch is not installed")

from harness.structured.grammar import FormProcessor, Grammar  # noqa: E402

CHECKPOINTS = Path(__file__).parents[1] / "fixtures" / "checkpoints"
MODELS = ("tiny-internvl", "tiny-mllama")
ANSWER = {"SUPPLIER": 'Café "Zoë" \\ Söhne', "TOTAL": "$110.00", "DESCRIPTIONS": "Tea | Cake", "QUANTITIES": "2 | 1"}
TEXT = render_response({name: ANSWER.get(name) for name in FIELD_NAMES})


@lru_cache
def tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(CHECKPOINTS / model)


@lru_cache
def grammar(form: AnswerForm, model: str = MODELS[0]) -> Grammar:
    return Grammar(form, tokenizer(model), [tokenizer(model).eos_token_id])


def accepted(found: Grammar, ids: Sequence[int]) -> bool:
    """Whether an answer of exactly these tokens can be said."""
    matcher = found.matcher()
    return (
        matcher.validate_tokens(list(ids)) == len(ids) and matcher.consume_tokens(list(ids)) and matcher.is_accepting()
    )


def said(text: str, model: str = MODELS[0]) -> list[int]:
    return tokenizer(model)(text, add_special_tokens=False).input_ids


def generate(processor: FormProcessor, rows: int, scores: Any, limit: int, model: str = MODELS[0]) -> list[list[int]]:
    """Greedy generation from random scores, of which `scores` gives a step's; ends as `generate` does, with padding."""
    stop = tokenizer(model).eos_token_id
    ids, ended = torch.zeros(rows, 1, dtype=torch.long), [False] * rows
    for _ in range(limit):
        chosen = processor(ids, scores()).argmax(dim=1)
        chosen[torch.tensor(ended)] = 0
        ids = torch.cat([ids, chosen[:, None]], dim=1)
        ended = [was or token == stop for was, token in zip(ended, chosen.tolist(), strict=True)]
        if all(ended):
            break
    return [row[: row.index(stop) + 1] if stop in row else row for row in ids[:, 1:].tolist()]


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_in_the_form_can_be_said_in_the_phrases_of_its_tokenizer(model):
    lines, schema = (grammar(form, model) for form in (AnswerForm.LINES, AnswerForm.SCHEMA))
    assert len(said(TEXT, model)) < len(TEXT) / 2, "keys are single tokens"
    assert accepted(lines, said(TEXT, model))
    assert not accepted(schema, said(TEXT, model))
    written = json.dumps({name: ANSWER.get(name) for name in FIELD_NAMES}, ensure_ascii=False)
    written = written.replace('"Tea | Cake"', '["Tea", "Cake"]').replace('"2 | 1"', '["2", "1"]')
    assert satisfies(AnswerForm.SCHEMA, written)
    assert accepted(schema, said(written, model))
    assert not accepted(lines, said(written, model))


LINE = st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), min_size=1, max_size=8)
LINE = LINE.filter(lambda value: "<" not in value)  # which may spell a special token, and those are never said


@settings(max_examples=30, deadline=None)
@given(st.fixed_dictionaries({name: st.none() | LINE for name in FIELD_NAMES}))
def test_every_rendering_can_be_said(fields):
    assert accepted(grammar(AnswerForm.LINES), said(render_response(fields)))


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("ABN: N/A\n", ""),
        TEXT.replace("GST: N/A\nTOTAL: $110.00", "TOTAL: $110.00\nGST: N/A"),
        TEXT.replace("GST: N/A", "GST: "),
        TEXT + "\n",
        "Here it is:\n" + TEXT,
        "\n".join(TEXT.split("\n")[:-1]),
    ],
)
def test_nothing_else_can_be_said(text):
    assert not satisfies(AnswerForm.LINES, text)
    assert not accepted(grammar(AnswerForm.LINES), said(text))


@pytest.mark.parametrize("form", AnswerForm)
@pytest.mark.parametrize("seed", range(3))
def test_every_random_answer_that_ended_has_the_form(form, seed):
    """In a batch whose rows end at different times or not at all, over a vocabulary that is padded."""
    random = torch.Generator().manual_seed(seed)
    ends = [*said('"]'), *said("\n"), tokenizer(MODELS[0]).eos_token_id]

    def scores() -> Any:
        found = torch.randn(3, 448, generator=random)
        found[:, ends] += torch.tensor(
            [[4.0], [2.0], [-99.0]]
        )  # of values: soon, late, only where nothing else is left
        return found

    rows = generate(FormProcessor(grammar(form)), 3, scores, 900)
    stop = tokenizer(MODELS[0]).eos_token_id
    texts = [tokenizer(MODELS[0]).decode(row, skip_special_tokens=True) for row in rows]
    whole = [satisfies(form, text) for row, text in zip(rows, texts, strict=True) if row[-1] == stop]
    assert len(whole) == 2, "the last row never ends"
    assert all(whole)
    assert max(token for row in rows for token in row) < 440, "ids past the tokenizer's are ruled out"
    assert all(parse_response(text).parsable for text in texts)


def test_a_token_that_was_ruled_out_is_an_error():
    processor = FormProcessor(grammar(AnswerForm.SCHEMA))
    processor(torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, 440))
    with pytest.raises(RuntimeError, match="llguidance"):
        processor(torch.tensor([[0, said("X")[0]]]), torch.zeros(1, 440))


def test_only_fast_tokenizers_can_be_held_to_a_form():
    with pytest.raises(UnsupportedError, match="is no fast tokenizer"):
        Grammar(AnswerForm.LINES, object(), [2])


@pytest.mark.parametrize("strategy", ["schema", "lines"])
def test_a_random_model_says_nothing_else(strategy, tmp_path):
    from tests.tiny_models import build_internvl

    source = build_internvl(tmp_path / "tiny")
    limits = {"source": str(source), "max_new_tokens": 120, "token_logprobs": True}
    reader: Any = create_backend(
        BackendRequest(backend="transformers", quantization="fp32", strategy=strategy, settings=limits)
    )
    facts = reader.load()
    assert facts["answer_form"] == strategy
    assert str(facts["constrained_by"]).startswith("llguidance 1")
    pages = [Image.new("RGB", (64, 64), colour) for colour in ("white", "black")]
    for answer in reader.read_batch(pages, prompt().text):
        form = AnswerForm(strategy)
        assert answer.text.startswith('{"DOCUMENT_TYPE": ' if form is AnswerForm.SCHEMA else "DOCUMENT_TYPE: ")
        if answer.stop == "eos":
            assert satisfies(form, answer.text)
        else:
            assert (answer.stop, answer.attempts[0].fault) == ("length", "truncated")
        assert 0 < answer.phases["constraint_s"] < answer.phases["generate_s"]
        assert answer.facts["mean_logprob"] < 0
        assert "schema_ignored" not in answer.facts
