"""The report of a grid: models in several precisions, strategies, checks, random weights, parts of a corpus."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cells import Failure, Role
from harness.evidence import CellRecord, PassRecord, ReadingRecord, Record, read_evidence
from reports import render
from reports.comparisons import adjusted, against_leaders
from reports.figures.quality import draw_groups
from reports.figures.style import looks
from reports.markdown import report_markdown
from reports.recovery import Change
from reports.summary import Summary, summarise
from reports.terminal import summary_lines
from tests import grid_evidence as grid
from tests import report_evidence as evidence
from tests.test_report import RENEW, SNAPSHOTS, section, stable

SECTIONS = ("Summary", "Models", "Quantization", "Strategies", "Preprocessing", "Determinism")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    return render(evidence.write(folder / "evidence.jsonl", grid.grid()), folder)


@pytest.fixture(scope="module")
def markdown(rendered):
    return rendered.markdown.read_text()


@pytest.fixture(scope="module")
def report(rendered):
    return json.loads(rendered.json.read_text())


@pytest.fixture(scope="module")
def summary(rendered):
    return summarise(read_evidence(rendered.markdown.parent / "evidence.jsonl"))


def summary_of(folder: Path, records: list[Record]) -> Summary:
    return summarise(read_evidence(evidence.write(folder / "log.jsonl", records)))


def row(text: str, name: str) -> list[str]:
    """The cells of the first table row that begins with `name`."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_sections_are_as_they_were(markdown):
    """After a wanted change, look at the difference that DOCVLM_RENEW_SNAPSHOTS=1 makes to tests/snapshots."""
    head = markdown[: markdown.index("## Summary")]
    found = stable(head + "\n".join(f"## {title}\n{section(markdown, title)}" for title in SECTIONS))
    snapshot = SNAPSHOTS / "report_grid.md"
    if os.environ.get(RENEW):
        snapshot.write_text(found)
    assert found == snapshot.read_text()


def test_tables_are_rectangular(markdown):
    for block in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


# --- the summary -------------------------------------------------------------------------------------------------


def test_every_candidate_is_a_row_of_the_main_table(markdown, summary):
    told = section(markdown, "Summary")
    assert len(summary.candidates) == 11
    for cell in summary.candidates:
        f1, hallucination, p50, p95, rss, weights, answered = row(told, cell.cell)[1:]
        assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]", f1) or f1 == "random weights", cell.cell
        assert all("B" in size for size in (rss, weights)), cell.cell
        assert all("s" in time for time in (p50, p95)), cell.cell
        assert answered == "24/24"
        assert (hallucination == "random weights") == (f1 == "random weights")


def test_a_part_of_the_corpus_is_said_to_be_one(markdown):
    assert "- **Documents:** 24 of the 120 documents of made-up" in markdown
    assert "a sample of a larger corpus of 120 documents" in markdown


def test_the_summary_stays_short_with_many_cells(markdown):
    for question in re.findall(r"^- \*\*(?:Best|Fastest|Least).*$", markdown, re.MULTILINE):
        assert len(question) < 500, question
    told = section(markdown, "Summary")
    pairs = re.findall(r"^\| (\S+) against (\S+) \| (document F1|latency)", told, re.MULTILINE)
    assert len(pairs) == 9 + 10, "each of the others against the leader, not every pair"
    assert len({a for a, _, what in pairs if what == "latency"}) == 1


def test_p_of_the_leader_is_adjusted_for_the_number_of_its_rivals(summary):
    leaders = {w.metric: w.leader for w in summary.winners}
    shown = {c.b: c for c in against_leaders(summary.comparisons, leaders) if c.metric == "f1"}
    alone = next(c for c in summary.comparisons if {c.a, c.b} == {"tiny-internvl-fp32", "tiny-internvl-bf16+multi"})
    many = shown["tiny-internvl-fp32"]
    assert alone.low < alone.high < 0, "apart if nothing else had been compared"
    assert many.p > 0.05 > many.p / 8
    assert not many.above
    assert summary.winners[0].cell is None
    assert "p 0.38 for 9 comparisons" in summary.winners[0].reason


def test_one_comparison_is_not_adjusted(summary):
    (one,) = adjusted(summary.comparisons[:1])
    assert one == summary.comparisons[0]


def test_the_terminal_shows_no_checks(summary):
    lines = "\n".join(summary_lines(summary))
    assert "tiny-mllama-nf4" in lines
    assert "@b8" not in lines
    assert "#2" not in lines


# --- quantization ------------------------------------------------------------------------------------------------


def test_each_precision_is_compared_with_16_bits(summary):
    changes = {r.cell: (r.reference, r.change) for r in summary.recoveries}
    assert changes["tiny-internvl-bf16"] == ("tiny-internvl-bf16", Change.REFERENCE)
    assert changes["tiny-internvl-fp32"] == ("tiny-internvl-bf16", Change.NONE)
    assert changes["tiny-internvl-nf4"] == ("tiny-internvl-bf16", Change.LOWER)
    assert changes["tiny-mllama-nf4"] == ("tiny-mllama-bf16", Change.LOWER)
    assert "ocr-rules" not in changes
    assert not any("+multi" in (r.reference or "") for r in summary.recoveries if "+multi" not in r.cell)


def test_flips_of_the_table_are_those_of_the_scores(markdown, summary):
    cells = {c.cell: c.result for c in summary.candidates}
    ours, theirs = cells["tiny-internvl-nf4"].scores, cells["tiny-internvl-bf16"].scores
    right = ("correct", "absent")
    lost = [
        name
        for d in theirs
        for name, f in theirs[d].fields.items()
        if f.outcome in right and ours[d].fields[name].outcome not in right
    ]
    told = section(markdown, "Quantization").partition("### What changed")[2]
    shown = row(told, "tiny-internvl-nf4")[2]
    assert shown.startswith(f"{len(lost)}: ")
    assert {n.split()[0]: int(n.split()[1]) for n in shown.partition(": ")[2].split(", ")} == {
        name: lost.count(name) for name in lost
    }


def test_without_16_bits_the_widest_precision_is_the_reference(tmp_path):
    asked = evidence.documents(6)
    records = [*evidence.opening(asked)]
    for mode in ("nf4", "fp32"):
        records += grid.model_cell("tiny-internvl", mode, asked)
    found = {r.cell: r.reference for r in summary_of(tmp_path, records).recoveries}
    assert found == dict.fromkeys(["tiny-internvl-nf4", "tiny-internvl-fp32"], "tiny-internvl-fp32")


def test_one_precision_alone_is_compared_with_nothing(tmp_path):
    asked = evidence.documents(6)
    summary = summary_of(tmp_path, [*evidence.opening(asked), *grid.model_cell("tiny-internvl", "nf4", asked)])
    assert [(r.reference, r.change) for r in summary.recoveries] == [(None, Change.NOT_COMPARED)]
    assert "No two precisions of a model have scored answers to compare." in report_markdown(summary, [], "log")


def test_cells_that_read_different_documents_are_compared_on_the_common_ones(tmp_path):
    """The second reads a part of what the first does, and that on which both do equally well."""
    asked = evidence.documents(20)
    records = [*evidence.opening(asked), *grid.model_cell("tiny-internvl", "bf16", asked)]
    records += grid.model_cell("tiny-internvl", "nf4", asked[:5])
    summary = summary_of(tmp_path, records)
    (recovery,) = [r for r in summary.recoveries if r.f1 is not None]
    assert recovery.f1.n == 5
    assert list(recovery.pairing.documents) == sorted(d.document for d in asked[:5])
    common = {w.metric: w for w in summary.winners}["f1"]
    f1 = summary.candidates[0].result.metrics({d.document for d in asked[:5]})["f1"].value
    assert f"tiny-internvl-bf16 {100 * f1:.1f} %" in common.reason, "ranked on the documents of both"
    assert "on the 5 documents that all of them read" in common.reason
    markdown = report_markdown(summary, [], "log")
    assert "all 20 documents: 20 by tiny-internvl-bf16; 5 by tiny-internvl-nf4. Each rate is" in markdown
    assert row(section(markdown, "Summary"), "tiny-internvl-nf4")[-1] == "5/5, a part of 20"


def test_documents_that_a_cell_was_not_asked_to_read_are_no_failures_of_it(tmp_path):
    asked = evidence.documents(30)
    good = evidence.candidate("good", asked[:15], skill=0.99, seconds=1, base=2**28)
    poor = evidence.candidate("poor", asked, skill=0.3, seconds=1, base=2**28)
    summary = summary_of(tmp_path, [*evidence.opening(asked), *good, *poor])
    assert summary.winners[0].cell == "good"


# --- random weights ----------------------------------------------------------------------------------------------


def test_random_weights_never_show_an_accuracy(markdown, report, summary):
    (cell,) = [c for c in report["cells"] if c["cell"] == "big-dummy-bf16"]
    for name in ("f1", "accuracy", "recall", "hallucination_rate", "anls", "parse_rate"):
        assert cell["metrics"][name]["value"] is None, name
    assert cell["unjudged"].startswith("random weights")
    assert cell["metrics"]["latency_s"]["value"] > 0
    assert cell["answered"] == 24
    assert {f["f1"]["value"] for f in cell["fields"].values()} == {None}
    assert not [c for c in report["comparisons"] if c["metric"] == "f1" and "big-dummy-bf16" in (c["a"], c["b"])]
    assert row(section(markdown, "Quantization"), "big-dummy-bf16")[1] == "random weights"
    assert "only times and bytes mean anything: big-dummy-bf16" in markdown
    assert "Without a single answer" not in markdown
    assert "big-dummy" not in {c.cell for c in summary.shown}


# --- strategies, images, checks ----------------------------------------------------------------------------------


def test_strategies_tell_paths_and_calls(markdown):
    cells = row(section(markdown, "Strategies"), "tiny-internvl-bf16+multi")
    assert cells[1:4] == ["multi 16, pattern 8", "7.7 (at most 9)", "8.7 (unparsable 8, empty 8)"]
    assert row(section(markdown, "Strategies"), "tiny-internvl-bf16")[2:4] == ["1.0 (at most 1)", "1.0"]
    assert cells[-1] == "24"
    assert "ocr-rules" not in section(markdown, "Strategies"), "a backend that follows no prompt has no strategy"


def test_one_strategy_is_no_section(tmp_path):
    asked = evidence.documents(6)
    summary = summary_of(tmp_path, [*evidence.opening(asked), *grid.model_cell("tiny-internvl", "nf4", asked)])
    titles = re.findall(r"^## (.*)$", report_markdown(summary, [], "log"), re.MULTILINE)
    assert "Strategies" not in titles
    assert "Determinism" not in titles
    assert {"Quantization", "Preprocessing"} <= set(titles)


def test_tiles_are_told_by_cell_and_by_number(markdown):
    told = section(markdown, "Preprocessing")
    assert row(told, "tiny-mllama-nf4")[1:6] == ["24/24", "3 (1 to 5)", "768 (256 to 1280)", "256", "100.0 of 24"]
    assert row(told, "tiny-internvl") == ["tiny-internvl", "1", "256", "8", "448 × 448 (8)"]


def test_other_pixels_in_another_precision_show(tmp_path):
    asked = evidence.documents(4)
    other = [
        replace(r, facts={**r.facts, "pixel_crc32": "f" * 64})
        if isinstance(r, ReadingRecord) and r.document == asked[0].document
        else r
        for r in grid.model_cell("tiny-internvl", "nf4", asked)
    ]
    records = [*evidence.opening(asked), *grid.model_cell("tiny-internvl", "bf16", asked), *other]
    told = section(report_markdown(summary_of(tmp_path, records), [], "log"), "Preprocessing")
    assert row(told, "tiny-internvl-nf4")[5] == "75.0 of 4"


def test_checks_are_compared_and_rank_nowhere(markdown, report, summary):
    told = section(markdown, "Determinism")
    assert row(told, "tiny-internvl-fp32@b8")[1:5] == ["tiny-internvl-fp32", "read, batches of 8", "8", "100.0"]
    assert row(told, r"tiny-internvl-bf16\#2")[1:5] == ["tiny-internvl-bf16", "read again one by one", "8", "100.0"]
    assert row(told, "tiny-internvl-bf16@b8")[4] == "87.5"
    assert "| tiny-internvl-bf16@b8 | statement_002.png | 21 |" in told
    assert not [c["cell"] for c in report["cells"] if "@b8" in c["cell"] or "#2" in c["cell"]]
    assert "@b8" not in section(markdown, "Controls")
    assert {w.leader for w in summary.winners} <= {c.cell for c in summary.candidates}
    models = "tiny-internvl-int8, tiny-internvl-nf4, " + ", ".join(f"tiny-mllama-{mode}" for mode in grid.MODES)
    for how in ("again", "in batches of another size"):
        assert f"\n- to read {how}: ocr-rules, {models}, tiny-internvl-bf16+multi, big-dummy-bf16\n" in told


def test_cells_that_were_not_checked_are_named(tmp_path):
    """Each way of checking by itself; a cell without an answer has nothing to be checked."""
    asked = evidence.documents(4)
    candidates = [*grid.model_cell("tiny-internvl", "fp32", asked), *grid.model_cell("tiny-internvl", "nf4", asked)]
    unsupported = [
        replace(r, cell="tiny-internvl-int8", quantization="int8", failure=Failure.UNSUPPORTED)
        for r in grid.model_cell("tiny-internvl", "fp32", asked)
        if isinstance(r, CellRecord)
    ]
    check = {"role": Role.CHECK, "cell": "tiny-internvl-nf4#2", "how": {"repeat": 2}}
    checks = grid.model_cell("tiny-internvl", "nf4", asked, **check)
    records = [*evidence.opening(asked), *candidates, *unsupported, *checks]
    told = section(report_markdown(summary_of(tmp_path, records), [], "log"), "Determinism")
    assert "\n- to read again: tiny-internvl-fp32\n" in told
    assert "\n- to read in batches of another size: tiny-internvl-fp32, tiny-internvl-nf4\n" in told


def test_a_check_without_its_candidate_is_listed(tmp_path):
    asked = evidence.documents(4)
    records = grid.model_cell("tiny-internvl", "fp32", asked, cell="orphan#2", how={"repeat": 2}, role=Role.CHECK)
    summary = summary_of(tmp_path, [*evidence.opening(asked), *records])
    assert summary.repeats[0].pairing is None
    assert row(section(report_markdown(summary, [], "log"), "Determinism"), r"orphan\#2")[1] == "not measured"


@pytest.mark.parametrize("keep", [PassRecord, CellRecord])
def test_a_log_cut_inside_a_check_renders(tmp_path, keep):
    records = grid.grid(6)
    at = max(i for i, r in enumerate(records) if isinstance(r, keep))
    told = section(report_markdown(summary_of(tmp_path, records[: at + 1]), [], "log"), "Determinism")
    assert "tiny-internvl-bf16@b8" in told


# --- details and figures -----------------------------------------------------------------------------------------


def test_details_are_of_one_precision_of_each_model(markdown, summary):
    assert [c.cell for c in summary.detailed] == ["ocr-rules", "tiny-internvl-bf16", "tiny-mllama-bf16"]
    assert re.findall(r"^### (.*)$", section(markdown, "Fields"), re.MULTILINE) == [c.cell for c in summary.detailed]
    assert "told of one precision of each model: ocr-rules, tiny-internvl-bf16, tiny-mllama-bf16" in markdown
    assert len(markdown.splitlines()) < 1200


def test_the_figure_of_precisions_is_drawn_where_there_are_several(rendered, markdown, tmp_path):
    assert "quantization" in {p.stem for p in rendered.figures}
    assert "![F1 against weight bytes by model and precision](figures/quantization.png)" in markdown
    asked = evidence.documents(4)
    log = [*evidence.opening(asked), *grid.model_cell("tiny-internvl", "nf4", asked)]
    alone = render(evidence.write(tmp_path / "log.jsonl", log), tmp_path)
    assert "quantization" not in {p.stem for p in alone.figures}


def test_no_two_cells_of_a_figure_look_alike(summary):
    found = looks(summary.candidates)
    assert set(found) == {c.cell for c in summary.candidates}
    assert len(set(found.values())) == len(summary.candidates)
    colours = {found[f"tiny-internvl-{mode}"][0] for mode in grid.MODES}
    assert len(colours) == 1, "a model has one colour"


def test_points_of_the_groups_figure_belong_to_their_cells(summary):
    figure, _, _ = draw_groups(summary)
    drawn = {
        (round(line.get_xdata()[0], 6), line.get_color(), line.get_marker())
        for line in figure.axes[0].lines
        if len(line.get_xdata()) == 1
    }
    found = looks(summary.shown)
    for cell in summary.shown:
        for group in cell.strata.values():
            assert (round(100 * group.metrics["f1"].value, 6), *found[cell.cell]) in drawn, cell.cell


def test_many_gates_leave_only_the_unsettled_ones_in_the_summary(tmp_path):
    fine = [replace(evidence.GATES[0], test=f"evals/test_{i}.py::test", cell=f"cell-{i}") for i in range(20)]
    markdown = report_markdown(summary_of(tmp_path, [*evidence.standard(6), *fine]), [], "log")
    told = section(markdown, "Summary")
    assert "**FAIL**" in told
    assert "cell-7" not in told
    assert "All 24 are listed under Gates." in told
    assert [f"cell-{i}" in section(markdown, "Gates") for i in range(20)] == [True] * 20


def test_a_blind_control_of_random_weights_is_not_judged(tmp_path):
    asked = evidence.documents(6)
    blind = evidence.candidate(
        "blind:big", asked, skill=0.9, seconds=1, base=1, role=Role.CONTROL, load_facts={"random_weights": True}
    )
    markdown = report_markdown(summary_of(tmp_path, [*evidence.opening(asked), *blind]), [], "log")
    assert row(section(markdown, "Controls"), "blind:big *(control)*")[-1] == "not judged"
