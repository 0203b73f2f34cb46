"""CSV files: the tables of a report without its markdown, and raw numbers that agree with report.json."""

from __future__ import annotations

import csv
import io
import json

import pytest

from harness.evidence import read_evidence
from reports.csvs import RAW, raw_csvs, table_csvs, to_csv
from reports.formatting import escape, table
from reports.markdown import report_markdown
from reports.report_json import report_json
from reports.summary import summarise
from tests import report_evidence as evidence


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    log = evidence.write(tmp_path_factory.mktemp("csv") / "evidence.jsonl", evidence.standard())
    return summarise(read_evidence(log))


def rows(content: bytes) -> list[list[str]]:
    found = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    assert len({len(row) for row in found}) == 1, "not rectangular"
    return found


def records(content: bytes) -> list[dict[str, str]]:
    header, *rest = rows(content)
    return [dict(zip(header, row, strict=True)) for row in rest]


# --- tables ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["plain", "a|b", "back\\slash", "\\|", "*bold* `code`", "[x](y)", "<b>&amp;</b>", "_a_b_", "$1 ~ #2", "ends in \\"],
)
def test_a_cell_comes_back_as_it_was(text):
    markdown = f"## Things\n\n{table(['What', 'Count'], [[escape(text), '3']], 'lr')}"
    assert rows(table_csvs(markdown)["things.csv"]) == [["What", "Count"], [text, "3"]]


def test_emphasis_and_links_are_not_part_of_a_cell():
    markdown = f"## T\n\n{table(['a', 'b', 'c'], [['**FAIL**', 'x *(control)*', '[log](a/b.md)']], 'l')}"
    assert rows(table_csvs(markdown)["t.csv"])[1] == ["FAIL", "x (control)", "log"]


def test_every_table_of_the_report_is_a_file(summary):
    markdown = report_markdown(summary, [], "log")
    found = table_csvs(markdown)
    lines = sum(line.startswith("|") for line in markdown.splitlines())
    tables = markdown.count("| ---") and sum(
        set(line) <= set("|-: ") for line in markdown.splitlines() if "---" in line
    )
    data = sum(len(rows(content)) - 1 for content in found.values())
    assert data == lines - 2 * tables > 100
    assert {"quality.csv", "fields-ocr-rules.csv", "controls.csv", "method-metrics.csv"} <= found.keys()
    assert not found.keys() & set(RAW)


def test_tables_of_the_same_columns_under_one_heading_are_one_file():
    one, two = (table(["Field", "Got"], [[name, "x"]], "l") for name in "ab")
    found = table_csvs(f"## Worst\n\n**doc 1**\n\n{one}\n**doc 2**\n\n{two}")
    assert rows(found["worst.csv"]) == [["Of", "Field", "Got"], ["doc 1", "a", "x"], ["doc 2", "b", "x"]]


def test_names_do_not_collide():
    parts = [f"## A b\n\n{table([str(i)], [['x']], 'l')}\n## A-b\n\n{table([f'{i}!'], [['y']], 'l')}" for i in range(2)]
    assert sorted(table_csvs("\n".join(parts))) == ["a-b-2.csv", "a-b-3.csv", "a-b-4.csv", "a-b.csv"]
    assert list(table_csvs(f"## Documents\n\n{table(['x'], [['y']], 'l')}")) == ["documents-2.csv"]


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-1+1|x", "\t=1", "- not a number"])
def test_text_that_a_spreadsheet_would_run_is_inert(text):
    assert rows(to_csv([[text]])) == [[f"'{text}"]]


@pytest.mark.parametrize("text", ["-1.2", "+0.0", "-1.2 [-3.4, +1.0]", "-93.2 J", "–", "-", "1=2"])
def test_numbers_stay_numbers(text):
    assert rows(to_csv([[text]])) == [[text]]


# --- raw numbers -----------------------------------------------------------------------------------------------


def test_cells_agree_with_the_json(summary):
    found = {(r["cell"], r["metric"]): r for r in records(raw_csvs(summary)["cells.csv"])}
    for cell in json.loads(report_json(summary))["cells"]:
        for name, metric in cell["metrics"].items():
            row = found[cell["cell"], name]
            for key in ("value", "low", "high"):
                assert (float(row[key]) if row[key] else None) == metric[key], (cell["cell"], name, key)
            assert row["origin"] == metric["status"]
    assert found["big-vlm", "f1"]["value"] == "", "not measured is empty, never 0"


def test_fields_agree_with_the_json(summary):
    found = {(r["cell"], r["field"]): r for r in records(raw_csvs(summary)["fields.csv"])}
    for cell in json.loads(report_json(summary))["cells"]:
        for name, field in cell["fields"].items():
            row = found[cell["cell"], name]
            assert (float(row["f1"]) if row["f1"] else None) == field["f1"]["value"]
            assert (int(row["correct"]) if row["correct"] else None) == field["correct"]


def test_documents_hold_every_document_of_every_cell(summary):
    found = records(raw_csvs(summary)["documents.csv"])
    asked = {(c.cell, d) for c in summary.cells for d in c.result.documents}
    assert {(r["cell"], r["document"]) for r in found} == asked
    assert len(found) == len(asked)
    tiny = [r for r in found if r["cell"] == "tiny-vlm"]
    assert {r["failure"] for r in tiny} >= {"", "load-oom", "run-oom", "timeout", "crash", "not-run"}
    for row in tiny:
        assert bool(row["failure"]) == (row["f1"] == "" and row["latency_s"] == ""), "a failure has no numbers"
    ours = sum(int(r["correct"]) for r in found if r["cell"] == "ocr-rules")
    assert ours == next(c for c in summary.cells if c.cell == "ocr-rules").overall.counts.correct
