"""What the report says of answers that were held to a form, beside free text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.cells import Failure
from harness.evidence import DocumentRecord, PassRecord, Record, read_evidence
from harness.responses import render_response
from harness.schema import FIELD_NAMES
from reports.formatting import MISSING
from reports.structured import structured_parts
from reports.summary import summarise
from tests import report_evidence as evidence

ASKED = evidence.documents(6)
NOTHING = json.dumps(dict.fromkeys(FIELD_NAMES))


def lines(document: DocumentRecord) -> str:
    truth = {name: document.truth.get(name) for name in FIELD_NAMES}
    return render_response({name: value and value.replace("\n", " ") for name, value in truth.items()})


def cell(strategy: str, texts: Mapping[int, str | None], *, prompt: str = "key-value", stop: str = "eos", **other: Any):
    """A model that says the truth in lines, but for `texts`, by number of the document; None fails the document."""
    names = [document.document for document in ASKED]

    def told(document: DocumentRecord) -> Mapping[str, Any]:
        number = names.index(document.document)
        text = texts.get(number, lines(document))
        if text is None:
            return {"text": None, "failure": Failure.UNSUPPORTED, "latency_s": None}
        phases = {"phases": {"constraint_s": 0.5 + number}} if strategy != "single" else {}
        return {"text": text, "stop": stop if number in texts else "eos", "path": strategy, **phases}

    name = "tiny-fp32" + ("" if strategy == "single" else f"+{strategy}")
    how = {"model": "tiny", "quantization": "fp32", "strategy": strategy}
    records = evidence.candidate(name, ASKED, skill=1.0, seconds=1.0, base=2**30, how=how, told=told, **other)
    return [replace(r, prompt=prompt) if isinstance(r, PassRecord) else r for r in records]


def rows(folder: Path, *cells: list[Record]) -> dict[str, list[str]]:
    """The table by measure, of the one cell that was held to a form; none without the section."""
    records = [*evidence.opening(ASKED), *(record for one in cells for record in one)]
    log = folder / "log.jsonl"
    log.unlink(missing_ok=True)
    parts = structured_parts(summarise(read_evidence(evidence.write(log, records))))
    found = {}
    for line in "".join(parts).splitlines():
        columns = [part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]]
        if line.startswith("| tiny"):
            found[columns[1]] = columns[2:]
    return found


def test_json_that_says_nothing_is_valid_and_worth_nothing(tmp_path):
    found = rows(tmp_path, cell("single", {}), cell("schema", dict.fromkeys(range(6), NOTHING)))
    assert found["In the form asked for, documents"] == ["6 of 6", "6 of 6", "+0.0", "1", "6"]
    assert found["F1 %"][0].startswith("0.0")
    assert found["F1 %"][2:] == ["-100.0", "0.031", "6"], "each document alike: no interval, and 2 / 2 ** 6"
    assert found["Parsed %"][2] == "+0.0"
    assert found["Hallucination %"][2] == "+0.0"
    assert found["Of it, ruling tokens out, p50"] == ["3.00 s", "", "", "", ""]
    assert found["Latency p50"][2:] == ["1.000", "1", "6"]


def test_what_ignored_the_form_or_was_cut_has_not_the_form(tmp_path):
    said = {0: "no JSON", 1: NOTHING[:50], 2: NOTHING, 3: NOTHING, 4: NOTHING, 5: None}
    found = rows(tmp_path, cell("single", {}), cell("schema", said))
    assert found["In the form asked for, documents"][:2] == ["3 of 5", "6 of 6"]
    assert found["In the form asked for, documents"][2].startswith("-40.0 [")
    assert found["Parsed %"][2].startswith("-20.0 [")
    assert found["F1 %"][-1] == "5", "only documents that both answered"
    cut = rows(tmp_path, cell("single", {}), cell("lines", {0: lines(ASKED[0])}, stop="length"))
    assert cut["In the form asked for, documents"][0] == "5 of 6", "where it was cut, nobody knows what is missing"
    assert cut["Cut off at the token limit %"][2].startswith("+16.7 [")


def test_free_text_is_measured_by_the_form_that_its_words_ask_for(tmp_path):
    said = {0: "Here you are:\n" + lines(ASKED[0])}
    found = rows(tmp_path, cell("single", said), cell("lines", {}))
    assert found["In the form asked for, documents"][:2] == ["6 of 6", "5 of 6"]
    own = rows(tmp_path, cell("single", said, prompt="mine"), cell("lines", {}, prompt="mine"))
    assert own["In the form asked for, documents"] == ["6 of 6", MISSING, "", "", ""]
    assert own["F1 %"][-1] == "6"


def test_random_weights_have_times_only(tmp_path):
    random = {"load_facts": {"random_weights": True}}
    found = rows(tmp_path, cell("single", {}, **random), cell("lines", {}, **random))
    assert found["F1 %"] == ["random weights", "random weights", "", "", ""]
    assert found["Latency p50"][-1] == "6"


def test_without_free_text_beside_it_there_is_no_table(tmp_path):
    assert rows(tmp_path, cell("lines", {})) == {}
    assert rows(tmp_path, cell("single", {}), cell("multi", {})) == {}
