"""The parts of the report: numbers as text, who wins, and the table for the terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cells import Failure
from harness.evidence import ReadingRecord, read_evidence
from harness.metrics import Metric, Status
from reports.comparisons import compare
from reports.documents import document_doubts
from reports.formatting import (
    MISSING,
    escape,
    format_bytes,
    format_metric,
    format_seconds,
    format_value,
    plain,
    shorten,
    table,
)
from reports.markdown import report_markdown
from reports.summary import Summary, summarise
from reports.terminal import summary_lines
from tests import report_evidence as evidence
from tests import routing_evidence as routing

MIB = evidence.MIB


def summary_of(path, *cells, count: int = 40) -> Summary:
    """Summarise a log of candidates given as keyword dictionaries."""
    asked = evidence.documents(count)
    records = list(evidence.opening(asked))
    for i, cell in enumerate(cells):
        records += evidence.candidate(asked=asked, **{"seed": i, "base": 500 * MIB, "seconds": 1.0, **cell})
    return summarise(read_evidence(evidence.write(path / "log.jsonl", records)))


def answers(summary: Summary) -> dict[str, str | None]:
    return {w.metric: w.cell for w in summary.winners}


# --- who wins --------------------------------------------------------------------------------------------------


def test_one_candidate_has_nothing_to_beat(tmp_path):
    summary = summary_of(tmp_path, {"cell": "a", "skill": 0.9})
    assert set(answers(summary).values()) == {None}
    assert {w.reason for w in summary.winners} == {"one candidate: nothing to compare"}
    assert summary.comparisons == []
    assert "One candidate: nothing to compare." in report_markdown(summary, [], "log")


def test_client_and_server_time_of_served_models_have_columns_of_their_own(tmp_path):
    def timed(document):
        seconds = {"request_s": 0.5, "preprocess_s": 0.01}
        told = {} if document.document.endswith("7.png") else {"server_s": 0.3}
        return {"phases": seconds | told}

    asked = evidence.documents(20)
    records = list(evidence.opening(asked))
    for name, told in (("own", None), ("served", timed), ("silent", lambda document: {"phases": {"request_s": 2.0}})):
        more = {} if told is None else {"told": told}
        records += evidence.candidate(name, asked, seed=1, skill=0.9, base=500 * MIB, seconds=1.0, **more)
    report = report_markdown(summarise(read_evidence(evidence.write(tmp_path / "served.jsonl", records))), [], "log")
    header, _, *rows = report[report.index("| Cell | Request, client") :].split("\n\n")[0].splitlines()
    columns = ["Cell", "Request, client's clock", "Server's clock", "Difference", "Requests that the server told of"]
    assert [cell.strip() for cell in header.strip("|").split("|")] == columns
    assert [[cell.strip() for cell in row.strip("|").split("|")] for row in rows] == [
        ["served", "500 ms", "300 ms", "200 ms", "18 of 20"],
        ["silent", "2.00 s", MISSING, MISSING, "0 of 20"],
    ]
    phases = report[report.index("Median of each phase") :].split("\n\n")[1]
    assert "preprocess" in phases
    assert "server" not in phases.splitlines()[0]
    assert "silent" not in phases
    alone = summary_of(tmp_path, {"cell": "own", "skill": 0.9})
    assert "client's clock" not in report_markdown(alone, [], "log")


def test_clear_differences_have_winners(tmp_path):
    good = {"cell": "good", "skill": 0.95, "seconds": 3.0, "base": 2000 * MIB}
    fast = {"cell": "fast", "skill": 0.6, "seconds": 1.0, "base": 500 * MIB}
    summary = summary_of(tmp_path, fast, good)
    assert answers(summary) == {"f1": "good", "latency_s": "fast", "peak_rss_bytes": None, "latency_cv": None}
    quality = summary.winners[0].reason
    assert "good against fast: mean document F1 +" in quality
    assert "over 40 documents" in quality
    assert summary.winners[2].reason.startswith("lowest: fast ")


def test_a_difference_within_chance_has_no_winner_and_shows_the_interval(tmp_path):
    summary = summary_of(tmp_path, {"cell": "a", "skill": 0.8, "seed": 5}, {"cell": "b", "skill": 0.8, "seed": 6})
    assert answers(summary)["f1"] is None
    comparison = summary.comparisons[0]
    assert comparison.low < 0 < comparison.high
    assert summary.winners[0].reason.startswith("no winner: ")
    assert "] points over 40 documents" in summary.winners[0].reason


def test_the_winner_must_beat_every_other_candidate(tmp_path):
    cells = [{"cell": n, "skill": s, "seed": i} for i, (n, s) in enumerate([("a", 0.9), ("b", 0.9), ("c", 0.4)])]
    summary = summary_of(tmp_path, *cells)
    assert answers(summary)["f1"] is None
    assert len(summary.comparisons) == 6


def test_identical_candidates_are_called_identical(tmp_path):
    summary = summary_of(tmp_path, {"cell": "a", "skill": 0.8, "seed": 1}, {"cell": "b", "skill": 0.8, "seed": 1})
    assert set(answers(summary).values()) == {None}
    assert "identical on every document" in summary.winners[0].reason
    assert "has the same peak" in summary.winners[2].reason


def test_the_same_loss_on_every_document_is_told_apart(tmp_path):
    papers = routing.asked(30)
    lost = routing.cell("lost", papers, seconds=1.0, text=lambda d: "TOTAL: N/A")
    summary = routing.summary_of(tmp_path, papers, lost, routing.cell("good", papers, seconds=1.0))
    found = compare("f1", *(c.result for c in summary.candidates))
    assert (found.value, found.low, found.below, found.reversed.above) == (-1, None, True, True)
    assert answers(summary)["f1"] == "good"
    few = replace(found, p=0.25)
    assert not few.below, "of so few documents nothing is known"


def test_a_cell_cannot_win_by_failing_on_what_is_hard(tmp_path):
    """`picky` is better on what it answers, but leaves half of the documents unanswered."""
    picky = {"cell": "picky", "skill": 0.95, "seconds": 0.5, "failures": [Failure.CRASH] * 20}
    summary = summary_of(tmp_path, picky, {"cell": "steady", "skill": 0.7, "base": 900 * MIB})
    assert summary.candidates[0].metrics["f1"].value > summary.candidates[1].metrics["f1"].value
    assert set(answers(summary).values()) == {None}
    for winner in summary.winners[:3]:
        assert "it left 20 documents unanswered that steady answered" in winner.reason


def test_a_few_failures_do_not_hide_a_clear_winner(tmp_path):
    better = {"cell": "better", "skill": 0.97, "failures": [Failure.TIMEOUT]}
    summary = summary_of(tmp_path, better, {"cell": "worse", "skill": 0.4})
    assert answers(summary)["f1"] == "better"


def test_a_cell_that_was_not_measured_is_named_and_not_compared(tmp_path):
    asked = evidence.documents(20)
    records = [*evidence.opening(asked), *evidence.unloadable("big", asked)]
    for name, skill in (("a", 0.95), ("b", 0.3)):
        records += evidence.candidate(name, asked, skill=skill, seconds=1, base=500 * MIB)
    summary = summarise(read_evidence(evidence.write(tmp_path / "log.jsonl", records)))
    assert answers(summary)["f1"] == "a"
    assert summary.winners[0].reason.endswith("not measured, so not compared: big")


def test_reversed_comparison_is_the_comparison_the_other_way_round(tmp_path):
    summary = summary_of(tmp_path, {"cell": "a", "skill": 0.9}, {"cell": "b", "skill": 0.6, "seconds": 2.0})
    a, b = (c.result for c in summary.cells)
    for metric in ("f1", "latency_s"):
        there, back = compare(metric, a, b).reversed, compare(metric, b, a)
        assert (there.a, there.b, there.n, there.p) == (back.a, back.b, back.n, back.p)
        assert [there.value, there.low, there.high] == pytest.approx([back.value, back.low, back.high])


# --- numbers and foreign text ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.8234, "ratio", "82.3 %"),
        (0.0, "ratio", "0.0 %"),
        (0.0123, "s", "12.3 ms"),
        (0.9996, "s", "1000 ms"),
        (1.234, "s", "1.23 s"),
        (123.4, "s", "123 s"),
        (512 * 2**20, "B", "512 MiB"),
        (1.5 * 2**30, "B", "1.50 GiB"),
        (27972.03, "1/min", "27972/min"),
        (0.25, "J", "0.250 J"),
        (7.0, "", "7.00"),
    ],
)
def test_numbers_carry_their_unit(value, unit, text):
    assert format_value(value, unit) == text


def test_zero_and_tiny_values():
    assert format_seconds(0.0) == "0 ms"
    assert format_bytes(0) == "0 MiB"
    assert format_seconds(1.5e-6) == "0.00150 ms"


def test_a_metric_is_never_zero_when_it_was_not_measured():
    nothing = Metric(value=None, unit="s", status=Status.NOT_MEASURED)
    assert format_metric(nothing) == "not measured"


@pytest.mark.parametrize(
    ("low", "high", "status", "text"),
    [
        (0.8, 0.9, Status.MEASURED, "85.0 [80.0, 90.0]"),
        (0.8, None, Status.MEASURED, "85.0 [80.0, ?]"),
        (None, None, Status.MEASURED, "85.0"),
        (None, None, Status.PREDICTED, "85.0 (predicted)"),
        (0.8, 0.9, Status.IMPORTED, "85.0 [80.0, 90.0] (imported)"),
    ],
)
def test_a_metric_shows_its_interval_and_where_it_comes_from(low, high, status, text):
    assert format_metric(Metric(value=0.85, low=low, high=high, n=9, unit="ratio", status=status)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("a\nb\tc\r", r"a\\nb\\tc\\r"),
        ("<script>&", "&lt;script&gt;&amp;"),
        ("`x` *y* [z](u)", r"\`x\` \*y\* \[z\](u)"),
        ("_em_ BUSINESS_ADDRESS", r"\_em\_ BUSINESS_ADDRESS"),
        ("back\\slash", r"back\\slash"),
        ("\u202egpj.exe\u2028", r"\\u202egpj.exe\\u2028"),
        ("\ud800", r"\\ud800"),
        ("Zürich 日本", "Zürich 日本"),
    ],
)
def test_foreign_text_renders_as_itself(text, shown):
    assert escape(text) == shown


def test_long_text_is_cut_where_it_matters_least():
    assert plain("x" * 100, 10) == "x" * 9 + "…"
    assert shorten("internvl3-2b-some-long-name-nf4@cuda", 20) == "internvl3-…-nf4@cuda"
    assert shorten("short", 20) == "short"


def test_tables_repeat_the_last_alignment():
    assert table(["a", "b", "c"], [["1", "2", "3"]], "lr") == "| a | b | c |\n| --- | ---: | ---: |\n| 1 | 2 | 3 |\n"


# --- the terminal ----------------------------------------------------------------------------------------------


def test_terminal_table_fits_and_says_what_failed(tmp_path):
    long = "a-very-long-model-name-with-a-revision-int8@vllm@cuda"
    failing = {
        "cell": long,
        "skill": 0.7,
        "seconds": 123.0,
        "base": 90_000 * MIB,
        "failures": [Failure.CRASH] * 3,
    }
    lines = summary_lines(summary_of(tmp_path, {"cell": "ocr-rules", "skill": 0.9}, failing))
    assert len(lines) == 4
    assert max(map(len, lines)) <= 100
    assert lines[3].startswith("Images without ground truth")
    assert lines[0].split() == [
        "cell",
        "F1",
        "%",
        "[95",
        "%]",
        "halluc.",
        "%",
        "p50",
        "p95",
        "peak",
        "RSS",
        "status",
    ]
    assert lines[1].startswith("ocr-rules ")
    assert lines[1].endswith("ok 40/40")
    assert lines[2].endswith("incomplete 37/40")
    assert "@cuda" in lines[2]


def told_of(summary: Summary, beginning: str) -> list[str]:
    return [doubt for doubt in document_doubts(summary) if doubt.startswith(beginning)]


def test_documents_that_nothing_is_judged_of_are_told(tmp_path):
    asked = [replace(d, truth={}) for d in evidence.documents(4)]
    records = [
        replace(r, failure=Failure.BAD_IMAGE, text=None)
        if isinstance(r, ReadingRecord) and r.document != asked[0].document
        else r
        for r in evidence.candidate("a", asked, skill=1.0, seconds=1.0, base=MIB)
    ]
    summary = summarise(read_evidence(evidence.write(tmp_path / "log.jsonl", [*evidence.opening(asked), *records])))
    names = ", ".join(d.document for d in asked[1:])
    assert document_doubts(summary) == [
        "The ground truth names no field of the schema: nothing is scored.",
        f"Images that cannot be read, so that nothing is judged of 3 of 4 documents: {names}.",
        "Images without ground truth, which nobody was asked to read: stray_1.png, stray_2.png.",
    ]
    lines, head = " ".join(summary_lines(summary)), report_markdown(summary, [], "log.jsonl").split("## Summary")[0]
    for doubt in ("names no field", "judged of 3 of 4 documents", "without ground truth"):
        assert doubt in lines
        assert doubt in head


def test_truth_that_its_field_cannot_read_is_told(tmp_path):
    asked = evidence.documents(6)
    assert not told_of(summary_of(tmp_path, {"cell": "a", "skill": 1.0}, count=6), "Ground truth")
    strange = {"INVOICE_DATE": "12/31/2025", "TOTAL": "12.50 (incl GST)", "PRICES": "$1.00 | free"}
    spoilt = [replace(d, truth={**d.truth, **strange}) if d is asked[1] else d for d in asked]
    records = [*evidence.opening(spoilt), *evidence.candidate("a", asked=spoilt, skill=1.0, seconds=1.0, base=MIB)]
    summary = summarise(read_evidence(evidence.write(tmp_path / "strange.jsonl", records)))
    (told,) = told_of(summary, "Ground truth")
    for field, value in strange.items():
        assert f"{asked[1].document} {field} {value!r}" in told
    assert "only the same text is right" in " ".join(summary_lines(summary))
    assert max(map(len, summary_lines(summary))) <= 100
    assert "12/31/2025" in report_markdown(summary, [], "evidence.jsonl").split("## Summary")[0]


def test_terminal_table_of_a_cell_without_readings(tmp_path):
    asked = evidence.documents(5)
    records = [r for r in evidence.unloadable("big", asked) if not isinstance(r, ReadingRecord)]
    log = evidence.write(tmp_path / "log.jsonl", [*evidence.opening(asked), *records])
    lines = summary_lines(summarise(read_evidence(log)))
    assert lines[1].split() == ["big", "–", "–", "–", "–", "–", "load-oom", "0/5"]
