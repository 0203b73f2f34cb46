"""126 real answers of published models, by their shape. The folder beside the project holds them; see its README."""

import json
import os
import re
from pathlib import Path

import pytest

from harness.responses import NoteKind, parse_response, render_response
from harness.schema import FIELD_NAMES

_BESIDE = Path(__file__).resolve().parents[1].parent / "shared" / "data"
PUBLISHED = Path(os.environ.get("DOCVLM_SHARED_DATA", _BESIDE)) / "published" / "model_responses.jsonl"
pytestmark = pytest.mark.skipif(not PUBLISHED.is_file(), reason=f"no published responses at {PUBLISHED}")

LISTS = ("QUANTITIES", "PRICES", "DESCRIPTIONS")
# What a person finds in the answers that were given to other prompts, whose keys are not all of this schema.
OTHER_PROMPTS = {
    "rr001": {"DOCUMENT_TYPE"},
    **dict.fromkeys(("rr003", "rr004", "rr005", "rr006", "rr007"), frozenset({"SUBTOTAL", "TOTAL"})),
    "rr008": {"DOCUMENT_TYPE", "BUSINESS_ADDRESS", "PAYER_NAME", "PAYER_ADDRESS", "INVOICE_DATE"},
    **dict.fromkeys(("rr080", "rr081", "rr082"), frozenset({"ABN"})),
}
LOOPS = {"rr136", "rr140", "rr141", "rr143"}
DUPLICATES = {"rr040": {"GST", "SUBTOTAL"}, "rr046": {"BSB_NUMBER"}, "rr049": {"BSB_NUMBER"}}


@pytest.fixture(scope="module")
def rows():
    with PUBLISHED.open(encoding="utf-8") as file:
        return {row["id"]: row for row in map(json.loads, file)}


@pytest.fixture(scope="module")
def parsed(rows):
    return {name: parse_response(row["response"]) for name, row in rows.items()}


def _with(parsed, kind):
    return {name for name, response in parsed.items() if response.has(kind)}


def _shaped(rows, words):
    return {name for name, row in rows.items() if words in row["shape"].casefold()}


def test_an_answer_is_parsable_exactly_if_it_answers_a_field(rows, parsed):
    flattened = _shaped(rows, "25-field")
    assert len(flattened) == 40
    assert {name for name, response in parsed.items() if response.parsable} == flattened | set(OTHER_PROMPTS)
    for name in parsed.keys() - flattened:
        assert set(parsed[name].fields) == OTHER_PROMPTS.get(name, set()), name


def test_flattened_answers_lose_nothing(rows, parsed):
    """Against the plainest splitter there is: at every `KEY: ` of the 25, in the order in which they come."""
    key = re.compile(rf"\b({'|'.join(FIELD_NAMES)}):")
    for name in _shaped(rows, "25-field"):
        pieces = key.split(rows[name]["response"])[1:]
        given: dict[str, list[str]] = {}
        for field, text in zip(pieces[::2], map(str.strip, pieces[1::2]), strict=True):
            given.setdefault(field, []).append(text)
        response = parsed[name]
        assert set(response.fields) == set(given), name
        for field, texts in given.items():
            first = next((text for text in texts if text not in {"", "N/A"}), None)
            value = response.fields[field]
            if field in LISTS and first is not None:
                assert value is not None
                assert re.sub(r"[\s|]", "", value) == re.sub(r"[\s,]", "", first), (name, field)
            else:
                assert value == first, (name, field)


def test_comma_lists_become_entries(rows, parsed):
    entries = {
        name: [len((parsed[name].fields.get(field) or "").split(" | ")) for field in LISTS]
        for name in ("rr017", "rr020", "rr027", "rr034", "rr037", "rr042", "rr045", "rr046")
    }
    assert entries == {
        "rr017": [4, 5, 5],
        "rr020": [3, 3, 4],
        "rr027": [3, 4, 4],
        "rr034": [1, 1, 9],
        "rr037": [6, 4, 1],
        "rr042": [5, 6, 6],
        "rr045": [2, 2, 4],
        "rr046": [1, 1, 1],
    }


def test_what_is_odd_is_noted(rows, parsed):
    assert _with(parsed, NoteKind.LOOP) == LOOPS >= _shaped(rows, "degenerate loop")
    assert _with(parsed, NoteKind.TRUNCATED) == _shaped(rows, "truncated")
    assert _with(parsed, NoteKind.EMPTY) == _shaped(rows, "empty generation")
    assert _with(parsed, NoteKind.ARTEFACT) == _shaped(rows, "special tokens")
    assert _with(parsed, NoteKind.THINKING) == _with(parsed, NoteKind.ECHO) == set()
    json_answers = {name for name in OTHER_PROMPTS if name not in {"rr001", "rr008"}}
    assert _with(parsed, NoteKind.JSON) == json_answers
    noted = {
        name: {note.field for note in parsed[name].notes if note.kind is NoteKind.DUPLICATE}
        for name in _with(parsed, NoteKind.DUPLICATE)
    }
    assert noted == DUPLICATES


def test_a_note_after_the_answer_overwrites_nothing(rows, parsed):
    for name in ("rr006", "rr007"):
        answer = json.loads(rows[name]["response"].split("```")[1])
        for field in ("TOTAL", "SUBTOTAL"):
            said = answer[field.casefold()]
            assert parsed[name].fields[field] == (None if said == "NOT_FOUND" else said)


def test_reading_what_was_read_changes_nothing(parsed):
    for name, response in parsed.items():
        assert parse_response(render_response(response.fields)).fields == response.fields, name
