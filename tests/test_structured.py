"""Answers held to a form: the forms themselves, how they are asked for, and what is said of answers without them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.backends import Answer, BackendRequest, create_backend
from harness.backends.openai.errors import RequestRefusedError
from harness.backends.protocol import BatchBackend
from harness.documents import load_corpus
from harness.errors import UnsupportedError
from harness.prompts import prompt
from harness.responses import parse_response, render_response
from harness.responses.meaning import is_list
from harness.schema import FIELD_NAMES, LIST_SEPARATOR
from harness.strategies import Strategy
from harness.strategies.constrained import BatchFormReader, FormReader
from harness.structured import AnswerForm, answer_schema, opens, satisfies
from tests.chat_server import Reply, Stream, Whole, serving
from tests.pixel_pages import page as pixel_page

CORPUS = Path(__file__).parents[1] / "fixtures" / "corpus"
PAGE = Image.new("RGB", (8, 8), "white")
KEY_VALUE, JSON = prompt().text, prompt("json").text
LINE = st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), min_size=1, max_size=12)


def instance(fields: dict[str, str | None]) -> dict[str, Any]:
    """Fields as a JSON answer has them."""
    return {
        name: value.split(LIST_SEPARATOR) if (value := fields.get(name)) is not None and is_list(name) else value
        for name in FIELD_NAMES
    }


ANSWERS = st.fixed_dictionaries({name: st.none() | LINE for name in FIELD_NAMES})
NOTHING = dict.fromkeys(FIELD_NAMES)


# --- the forms ---


def test_every_truth_of_the_corpus_is_an_instance_that_is_read_back():
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    checker = jsonschema.Draft202012Validator(answer_schema())
    documents = load_corpus(CORPUS).documents
    assert len(documents) >= 100
    for document in documents:
        fields = {name: document.truth.get(name) for name in FIELD_NAMES}
        written = instance(fields)
        checker.validate(written)
        for text in (json.dumps(written), render_response(fields)):
            assert parse_response(text).fields == fields, document.name
        assert satisfies(AnswerForm.SCHEMA, json.dumps(written))
        assert satisfies(AnswerForm.LINES, render_response(fields))


@given(ANSWERS)
def test_every_answer_has_the_form_that_it_is_written_in(fields):
    assert satisfies(AnswerForm.SCHEMA, json.dumps(instance(fields), indent=1))
    assert satisfies(AnswerForm.LINES, render_response(fields))
    assert not satisfies(AnswerForm.LINES, json.dumps(instance(fields)))
    assert not satisfies(AnswerForm.SCHEMA, render_response(fields))


JUNK = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
JUNK = JUNK | st.lists(JUNK, max_size=2) | st.dictionaries(st.text(max_size=2), JUNK, max_size=2)


@given(st.sampled_from([*FIELD_NAMES, "EXTRA"]), JUNK, st.sampled_from(FIELD_NAMES) | st.none())
def test_the_check_and_the_schema_agree(name, value, missing):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    answer = {**instance(NOTHING), name: value}
    answer.pop(missing, None)
    valid = jsonschema.Draft202012Validator(answer_schema()).is_valid(answer)
    assert satisfies(AnswerForm.SCHEMA, json.dumps(answer)) == valid


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "{",
        '{"TOTAL": 1}',
        json.dumps(NOTHING)[:-1],
        json.dumps(NOTHING) + " Done.",
        "[" * 10**5,
    ],
)
def test_what_is_no_object_of_the_schema(text):
    assert not satisfies(AnswerForm.SCHEMA, text)


def test_a_repeated_key_is_not_the_schema():
    assert not satisfies(AnswerForm.SCHEMA, json.dumps(NOTHING).replace("{", '{"TOTAL": null, '))


LINES = render_response(NOTHING)


@pytest.mark.parametrize(
    "text",
    [
        "",
        LINES.replace("ABN: N/A\n", ""),
        LINES.replace("GST: N/A\nTOTAL: N/A", "TOTAL: N/A\nGST: N/A"),
        LINES.replace("GST: N/A", "GST: "),
        LINES + "\n",
        LINES + "\nThat is all.",
        "Here it is:\n" + LINES,
        LINES.replace("ABN: N/A", "ABN: 1\n2"),
    ],
)
def test_what_are_no_lines(text):
    assert satisfies(AnswerForm.LINES, LINES)
    assert not satisfies(AnswerForm.LINES, text)


def test_the_schema_keeps_to_what_strict_servers_know():
    schema = answer_schema()
    assert list(schema["properties"]) == schema["required"] == list(FIELD_NAMES)
    assert schema["additionalProperties"] is False
    lists = {name for name, kind in schema["properties"].items() if "array" in kind["type"]}
    assert lists == {"DESCRIPTIONS", "QUANTITIES", "PRICES"}
    assert lists == {name for name in FIELD_NAMES if f'"{name}": ["' in JSON}, "as the prompt asks for them"


@given(st.sampled_from(AnswerForm), st.integers(0, 60))
def test_every_beginning_of_an_answer_opens_it(form, length):
    text = json.dumps(NOTHING) if form is AnswerForm.SCHEMA else LINES
    assert opens(form, text[:length])
    assert not opens(form, "Sure! " + text)


# --- the strategies ---


@dataclass
class Model:
    """Takes any form, and says what it is told to."""

    said: Sequence[Answer] = (Answer(text=""),)
    asked: list[str] = field(default_factory=list)
    forms: list[AnswerForm] = field(default_factory=list)

    def constrain(self, form: AnswerForm) -> None:
        self.forms.append(form)

    def load(self) -> dict[str, str]:
        assert self.forms, "the form is known before the model is loaded"
        return {"weights": "none"}

    def read(self, image: Image.Image, prompt: str) -> Answer:
        self.asked.append(prompt)
        return self.said[0]


class BatchModel(Model):
    def read_batch(self, images: Sequence[Image.Image], prompt: str) -> Sequence[Answer]:
        self.asked.append(prompt)
        return self.said


def read(form: AnswerForm, text: str, stop: str | None = "eos") -> Answer:
    return FormReader(Model([Answer(text=text, stop=stop, facts={"tiles": 3})]), form).read(PAGE, KEY_VALUE)


def test_the_strategy_tells_the_backend_before_it_loads():
    for strategy, form in (("schema", AnswerForm.SCHEMA), ("lines", AnswerForm.LINES)):
        reader = create_backend(BackendRequest(backend="python:tests.test_structured.Model", strategy=strategy))
        assert reader.load() == {"weights": "none", "answer_form": strategy}
        assert Strategy(strategy).form is form
    batched = create_backend(BackendRequest(backend="python:tests.test_structured.BatchModel", strategy="schema"))
    assert isinstance(batched, BatchBackend)
    assert not isinstance(reader, BatchBackend)


@pytest.mark.parametrize(
    ("form", "given_prompt", "asked"),
    [
        (AnswerForm.SCHEMA, KEY_VALUE, JSON),
        (AnswerForm.SCHEMA, JSON, JSON),
        (AnswerForm.SCHEMA, "my own", "my own"),
        (AnswerForm.LINES, KEY_VALUE, KEY_VALUE),
        (AnswerForm.LINES, "my own", "my own"),
    ],
)
def test_words_ask_for_the_form_too(form, given_prompt, asked):
    model = Model([Answer(text=LINES, stop="eos")])
    answer = FormReader(model, form).read(PAGE, given_prompt)
    assert model.asked == [asked]
    assert answer.attempts[0].prompt == {KEY_VALUE: "key-value", JSON: "json", "my own": ""}[asked]


def test_lines_are_not_asked_for_by_a_prompt_for_json():
    with pytest.raises(UnsupportedError, match="'json' does not ask for the form lines"):
        FormReader(Model(), AnswerForm.LINES).read(PAGE, JSON)


@pytest.mark.parametrize(
    ("form", "text", "stop", "fault"),
    [
        (AnswerForm.SCHEMA, json.dumps(NOTHING), "eos", None),
        (AnswerForm.SCHEMA, json.dumps(NOTHING), None, None),
        (AnswerForm.SCHEMA, json.dumps(NOTHING)[:40], "length", "truncated"),
        (AnswerForm.SCHEMA, json.dumps(NOTHING)[:40], "eos", "schema-ignored"),
        (AnswerForm.SCHEMA, LINES, "eos", "schema-ignored"),
        (AnswerForm.SCHEMA, LINES[:40], "length", "schema-ignored"),
        (AnswerForm.SCHEMA, "  ", "eos", "empty"),
        (AnswerForm.LINES, LINES, "eos", None),
        (AnswerForm.LINES, LINES, "length", "truncated"),
        (AnswerForm.LINES, LINES[:9], "length", "truncated"),
        (AnswerForm.LINES, "I cannot.", "eos", "schema-ignored"),
    ],
)
def test_what_is_said_of_an_answer(form, text, stop, fault):
    answer = read(form, text, stop)
    assert (answer.text, answer.stop, answer.path) == (text, stop, form.value)
    (attempt,) = answer.attempts
    assert (attempt.fault, attempt.text, attempt.path) == (fault, text, form.value)
    assert answer.facts == {"tiles": 3, **({"schema_ignored": True} if fault == "schema-ignored" else {})}


def test_a_batch_is_judged_answer_by_answer():
    model = BatchModel([Answer(text=json.dumps(NOTHING), stop="eos"), Answer(text=LINES, stop="eos")])
    answers = BatchFormReader(model, AnswerForm.SCHEMA).read_batch([PAGE, PAGE], KEY_VALUE)
    assert [answer.facts for answer in answers] == [{}, {"schema_ignored": True}]
    assert model.asked == [JSON]
    model.said = model.said[:1]
    with pytest.raises(ValueError, match="1 answers to 2 images"):
        BatchFormReader(model, AnswerForm.SCHEMA).read_batch([PAGE, PAGE], KEY_VALUE)


# --- who refuses ---


class Plain:
    def load(self) -> dict[str, str]:
        return {}

    def read(self, image: Image.Image, prompt: str) -> Answer:
        return Answer(text="")


LOCAL = BackendRequest(backend="transformers", strategy="lines", settings={"source": "nowhere"})
SERVED = BackendRequest(
    backend="openai", strategy="schema", settings={"source": "some/model", "base_url": "http://127.0.0.1:1/v1"}
)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (BackendRequest(backend="python:tests.test_structured.Plain", strategy="schema"), "has no method constrain"),
        (BackendRequest(backend="ocr-rules", strategy="lines"), "ocr-rules follows no prompt"),
        (replace(LOCAL, runtime="fast"), "the runtime fast cannot hold answers to the form lines: use eager"),
        (replace(LOCAL, settings={"source": "x", "min_new_tokens": 8, "max_new_tokens": 8}), "fixed length"),
        (replace(SERVED, strategy="lines"), "asked for the form schema, and not for lines"),
        (replace(SERVED, settings={**SERVED.settings, "min_new_tokens": 8}), "fixed length"),
    ],
)
def test_what_cannot_be_held_to_a_form_is_refused_before_loading(request_, says):
    with pytest.raises(UnsupportedError, match=says):
        create_backend(request_)


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match=r"llguidance: pip install \"docvlm-evals\[structured\]\""):
        create_backend(LOCAL)


# --- served models ---


@pytest.fixture
def loaded(monkeypatch):
    """Loads the served backend under the strategy `schema`."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    held: list[Any] = []

    def load(url: str) -> Any:
        request = replace(SERVED, settings={**SERVED.settings, "base_url": url, "retries": 0})
        reader = create_backend(request)
        held.append(reader._backend)
        reader.load()
        return reader

    yield load
    for backend in held:
        backend.close()


def test_the_request_holds_the_schema(loaded):
    said = json.dumps(instance({"TOTAL": "$1.00"}))
    with serving(Stream(text=said)) as server:
        answer = loaded(server.url).read(pixel_page({}), KEY_VALUE)
        bodies = [seen.body for seen in server.seen]
    wanted = {"name": "document_fields", "strict": True, "schema": answer_schema()}
    assert [body["response_format"] for body in bodies] == [{"type": "json_schema", "json_schema": wanted}] * 2
    assert bodies[1]["messages"][0]["content"][1]["text"] == JSON
    assert parse_response(answer.text).fields["TOTAL"] == "$1.00"
    assert "schema_ignored" not in answer.facts


def test_free_text_is_asked_for_without_a_schema(loaded):
    with serving(Stream()) as server:
        backend = create_backend(
            replace(SERVED, strategy="single", settings={**SERVED.settings, "base_url": server.url})
        )
        backend.load()
        backend.close()
        assert "response_format" not in server.seen[0].body


def test_a_server_that_ignores_the_schema_is_told(loaded):
    with serving(Whole(text="TOTAL: $1.00")) as server:
        answer = loaded(server.url).read(pixel_page({}), KEY_VALUE)
    assert answer.facts["schema_ignored"] is True
    assert answer.attempts[0].fault == "schema-ignored"
    assert answer.text == "TOTAL: $1.00", "what was said is kept, and read as it is"


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_refuses_the_schema_is_unsupported(loaded, status):
    def old(handler, body, number):
        refusal = Reply(status, b'{"error": {"message": "no such thing"}}')
        (refusal if "response_format" in body else Stream())(handler, body, number)

    with serving(old) as server:
        for _ in range(2):  # and asked again, it is refused again
            with pytest.raises(UnsupportedError, match=r"takes no response_format with a JSON schema: .*no such thing"):
                loaded(server.url)


@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_for_another_reason_is_not_blamed_on_the_schema(loaded, status):
    refusal = Reply(status, b'{"error": {"message": "who are you"}}')
    with serving(refusal) as server, pytest.raises(RequestRefusedError, match="who are you"):
        loaded(server.url)
