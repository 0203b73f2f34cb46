"""The report as a whole: from a log to files, whatever state the log is in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cells import Failure, Role
from harness.errors import EvidenceError
from harness.evidence import ReadingRecord, read_evidence
from harness.metrics import METRICS
from harness.schema import FIELD_NAMES
from reports import render
from reports.markdown import report_markdown
from reports.report_json import report_json
from reports.summary import summarise
from tests import report_evidence as evidence

SNAPSHOTS = Path(__file__).parent / "snapshots"
RENEW = "DOCVLM_RENEW_SNAPSHOTS"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The standard log, rendered into its own folder."""
    folder = tmp_path_factory.mktemp("report")
    return render(evidence.write(folder / "evidence.jsonl", evidence.standard()), folder)


@pytest.fixture(scope="module")
def report(rendered):
    return json.loads(rendered.json.read_text())


@pytest.fixture(scope="module")
def markdown(rendered):
    return rendered.markdown.read_text()


def texts(log: Path) -> tuple[str, dict]:
    """Markdown and JSON without the figures, which cost most of the time."""
    summary = summarise(read_evidence(log))
    return report_markdown(summary, [], "log"), json.loads(report_json(summary), parse_constant=pytest.fail)


def section(markdown: str, title: str) -> str:
    """The part of the report under a second-level heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", markdown, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title!r}"
    return found[1]


# --- the files -------------------------------------------------------------------------------------------------


def test_report_json_is_indented_with_one_metric_a_line(rendered):
    text = rendered.json.read_text()
    plain = json.dumps(json.loads(text), indent=1)
    assert text == re.sub(r"\{[^{}\[\]]*\}", lambda flat: re.sub(r"\n\s*", " ", flat[0]), plain) + "\n"


def stable(text: str) -> str:
    """Without what may differ between machines (the last digits of floats) and between schemas (the log's hash)."""
    rounded = re.sub(r"\b\d+\.\d{8,}(?:e-?\d+)?\b", lambda number: f"{float(number[0]):.6g}", text)
    return re.sub(r"\b[0-9a-f]{64}\b", "(hash)", rounded)


@pytest.mark.parametrize("name", ["report.md", "report.json"])
def test_report_is_as_it_was(rendered, name):
    """After a wanted change, look at the difference that DOCVLM_RENEW_SNAPSHOTS=1 makes to tests/snapshots."""
    found = stable((rendered.markdown.parent / name).read_text())
    snapshot = SNAPSHOTS / name
    if os.environ.get(RENEW):
        snapshot.write_text(found)
    assert found == snapshot.read_text(), (
        f"{name} changed; if that is wanted, run again with {RENEW}=1 and read the diff"
    )


def test_rendering_twice_gives_the_same_bytes(rendered, tmp_path):
    log = rendered.markdown.parent / "evidence.jsonl"
    (tmp_path / "evidence.jsonl").write_bytes(log.read_bytes())
    again = render(tmp_path / "evidence.jsonl", tmp_path)
    assert [p.relative_to(tmp_path) for p in again.paths] == [
        p.relative_to(rendered.markdown.parent) for p in rendered.paths
    ]
    for first, second in zip(rendered.paths, again.paths, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_every_figure_is_a_png_that_the_markdown_shows(rendered, markdown):
    shown = re.findall(r"!\[[^\]]+\]\((figures/\w+\.png)\)", markdown)
    assert sorted(shown) == sorted(p.relative_to(rendered.markdown.parent).as_posix() for p in rendered.figures)
    assert len(shown) == 8
    for path in rendered.figures:
        content = path.read_bytes()
        assert content.startswith(PNG)
        assert b"Software" not in content
        assert b"tIME" not in content


def test_figures_of_an_earlier_report_do_not_stay(tmp_path):
    asked = evidence.documents(6, bare=True)
    (tmp_path / "figures").mkdir()
    stale, foreign = tmp_path / "figures" / "groups.png", tmp_path / "figures" / "mine.png"
    stale.write_bytes(PNG)
    foreign.write_bytes(PNG)
    log = evidence.write(tmp_path / "log.jsonl", [*evidence.opening(asked), *evidence.control("all-na", asked)])
    rendered = render(log, tmp_path)
    assert not stale.exists(), "documents without kind and stratum have no such figure"
    assert foreign.exists()
    assert stale not in rendered.paths


def test_tables_are_rectangular_whatever_the_documents_say(markdown):
    """A pipe, newline or backtick from a document must not break a row."""
    blocks = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    assert len(blocks) > 20
    for block in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block


def test_foreign_text_is_shown_and_harmless(tmp_path):
    asked = evidence.documents(3)
    wrong = evidence.candidate("ocr-rules", asked, skill=0, seconds=1, base=1)
    markdown, _ = texts(evidence.write(tmp_path / "log.jsonl", [*evidence.opening(asked), *wrong]))
    assert r"| SUPPLIER | Tom \| \`Jerry\` &lt;b&gt;&amp;\\nCo\\u001b\[2J \*bold\* \\u202e\$1\$" in markdown
    assert not set(markdown) & {"\x1b", "\u202e"}
    assert "example.org" in markdown
    assert "long " * 30 not in markdown, "long values are cut"


# --- report.json -----------------------------------------------------------------------------------------------


def test_json_has_its_schema(report):
    assert report["schema"] == 2
    assert {"provenance", "corpus", "cells", "gates", "comparisons"} <= report.keys()
    assert [c["cell"] for c in report["cells"]] == [
        "ocr-rules",
        "tiny-vlm",
        "big-vlm",
        "all-na",
        "blind:ocr-rules",
    ]
    assert [c["role"] for c in report["cells"]] == ["candidate"] * 3 + ["control"] * 2
    for cell in report["cells"]:
        assert cell["metrics"].keys() == METRICS.keys()
        assert list(cell["fields"]) == [n for n in FIELD_NAMES if n in evidence.FIELDS]
        assert set(cell["strata"]) == set(evidence.STRATA)
        assert set(cell["kinds"]) == set(evidence.KINDS)
        for field in cell["fields"].values():
            assert field.keys() == {
                "f1",
                "correct",
                "wrong",
                "omitted",
                "hallucinated",
                "absent",
                "unanswered",
            }
        for group in (*cell["strata"].values(), *cell["kinds"].values(), *cell["categories"].values()):
            assert {"f1", "hallucination_rate", "omission_rate"} <= group.keys()


def test_a_metric_without_a_value_is_null_and_says_so(report):
    """Never 0: a cell that did not load has no F1 and no peak."""
    for cell in report["cells"]:
        for name, metric in cell["metrics"].items():
            assert metric.keys() == {"value", "low", "high", "n", "unit", "status", "contaminated"}
            assert (metric["value"] is None) == (metric["status"] == "not_measured"), (cell["cell"], name)
    broken = report["cells"][2]
    assert broken["status"] == "load-oom"
    assert {m["value"] for name, m in broken["metrics"].items() if name != "answer_rate"} == {None}
    assert broken["metrics"]["answer_rate"]["value"] == 0.0, "that it answered nothing was measured"
    assert broken["fields"]["TOTAL"]["correct"] is None
    few_samples = report["cells"][3]["metrics"]["peak_rss_bytes"]
    assert few_samples["status"] == "not_measured"


def test_outcomes_add_up(report):
    outcomes = ("correct", "wrong", "omitted", "hallucinated", "absent", "unanswered")
    for cell in report["cells"]:
        if cell["answered"]:
            for name, field in cell["fields"].items():
                assert sum(field[o] for o in outcomes) == cell["answered"], (cell["cell"], name)


def test_every_failure_is_counted(report):
    assert report["cells"][1]["failures"] == {f.value: 1 for f in Failure}
    assert report["cells"][1]["status"] == "incomplete"
    assert report["cells"][2]["failures"] == {"load-oom": 30}
    assert report["cells"][0]["failures"] == {}


def test_json_ends_with_a_newline_and_has_no_nan(rendered):
    text = rendered.json.read_text()
    assert text.endswith("}\n")
    json.loads(text, parse_constant=pytest.fail)


# --- report.md -------------------------------------------------------------------------------------------------


def test_sections_come_in_the_order_of_a_decision(markdown):
    titles = re.findall(r"^## (.*)$", markdown, re.MULTILINE)
    assert titles == [
        "Summary",
        "Recommendations",
        "Quality",
        "Where it is good and where not",
        "Fields",
        "Mistakes",
        "Failures",
        "Latency and memory",
        "Quality against cost",
        "Deployment",
        "Hybrid routing",
        "Controls",
        "Provenance",
        "Method",
    ]


def test_gates_show_the_worst_first(markdown):
    verdicts = re.findall(r"^\| (\**[A-Z ]+\**) \| (?:ocr-rules|tiny-vlm) ", section(markdown, "Summary"), re.MULTILINE)
    assert verdicts == ["**FAIL**", "INCONCLUSIVE", "NO BUDGET", "PASS"]


def test_a_cell_that_failed_to_load_is_a_row(markdown):
    row = next(line for line in section(markdown, "Quality").splitlines() if line.startswith("| big-vlm"))
    assert "load-oom" in row
    assert "0/30" in row
    assert row.count("not measured") == 5
    assert " 0.0 " not in row


def test_failures_name_document_kind_and_message(markdown):
    failures = section(markdown, "Failures")
    for i, failure in enumerate(Failure):
        name = f"{evidence.KINDS[(22 + i) % 3]}_{22 + i:03d}.png"
        assert f"| tiny-vlm | {failure.value} | 1 | {name} | ended as {failure.value} \\| see log |" in failures
    assert "needs 21.3 GB of memory" in failures
    assert "and 10 more" in failures, "a cell that never loaded does not fill the page with 30 names"


def test_worst_documents_show_expected_and_got(markdown, rendered):
    mistakes = section(markdown, "Mistakes")
    summary = summarise(read_evidence(rendered.markdown.parent / "evidence.jsonl"))
    for cell in summary.candidates[:2]:
        listed = mistakes[mistakes.index(f"#### {cell.cell}") :].split("####")[1]
        shown = [float(x) for x in re.findall(r"\(F1 ([\d.]+) %", listed)]
        lowest = sorted(100 * v for v in cell.result.document_f1().values())[:10]
        assert shown == pytest.approx(lowest, abs=0.05)
    assert "| *absent* |" in mistakes
    assert "| *nothing* | omitted |" in mistakes


def test_controls_are_judged(markdown):
    rows = {line.split(" *")[0]: line for line in section(markdown, "Controls").splitlines() if "*(control)*" in line}
    assert rows["| all-na"].endswith("| as it must be |")
    assert rows["| blind:ocr-rules"].endswith("| too few documents to tell |")


def test_a_control_that_is_off_is_called_so(tmp_path):
    asked = evidence.documents(12)
    seeing = evidence.candidate("blind:ocr-rules", asked, skill=0.9, seconds=1, base=1, role=Role.CONTROL)
    guessing = [
        replace(r, text=f"{r.text}\nSUPPLIER: x") if isinstance(r, ReadingRecord) else r
        for r in evidence.control("all-na", asked)
    ]
    guessing = [replace(r, text="TOTAL: $1.00") if isinstance(r, ReadingRecord) else r for r in guessing]
    log = evidence.write(tmp_path / "log.jsonl", [*evidence.opening(asked), *seeing, *guessing])
    controls = section(texts(log)[0], "Controls")
    assert "**OFF: right without seeing the page**" in controls
    assert "**OFF: do not trust the scores**" in controls


def test_every_metric_is_defined(markdown):
    method = section(markdown, "Method")
    for name in METRICS:
        assert f"| `{name}` |" in method


def test_images_without_truth_and_provenance_are_listed(markdown, rendered):
    provenance = section(markdown, "Provenance")
    assert "stray_1.png, stray_2.png" in provenance
    assert "[evidence.jsonl](evidence.jsonl)" in provenance
    assert "| prompt.fingerprint | abcdef012345 |" in provenance
    assert str(rendered.markdown.parent) not in markdown


# --- logs that are not whole -----------------------------------------------------------------------------------


def test_a_log_cut_anywhere_renders(tmp_path):
    whole = evidence.write(tmp_path / "whole.jsonl", evidence.standard(9)).read_bytes()
    ends = [m.end() for m in re.finditer(b"\n", whole)]
    cuts = {
        0,
        1,
        25,
        len(whole) - 1,
        *ends[::8],
        *(e + 40 for e in ends[3::9]),
        *(e - 1 for e in ends[5::11]),
    }
    log = tmp_path / "cut.jsonl"
    for cut in sorted(c for c in cuts if c < len(whole)):
        log.write_bytes(whole[:cut])
        markdown, data = texts(log)
        assert section(markdown, "Method")
        torn = cut > 0 and whole[cut - 1 : cut] != b"\n" and whole[cut : cut + 1] != b"\n"
        assert ("torn" in markdown) == torn, cut
        assert data["provenance"]["evidence"]["skipped_lines"] == int(torn)
        asked = sum(c["documents"] for c in data["cells"])
        assert asked == sum(c["answered"] + sum(c["failures"].values()) for c in data["cells"]), cut


def test_every_number_of_whole_lines_renders(tmp_path):
    """With the next test, a log cut at any byte."""
    lines = evidence.write(tmp_path / "whole.jsonl", evidence.standard(3)).read_bytes().splitlines(keepends=True)
    log = tmp_path / "cut.jsonl"
    for kept in range(len(lines) + 1):
        log.write_bytes(b"".join(lines[:kept]))
        markdown, data = texts(log)
        assert section(markdown, "Method")
        assert data["provenance"]["evidence"]["skipped_lines"] == 0


def test_a_line_cut_at_any_byte_leaves_the_lines_before_it(tmp_path):
    lines = evidence.write(tmp_path / "whole.jsonl", evidence.standard(3)).read_bytes().splitlines()
    kinds = {json.loads(line)["record"]: line for line in reversed(lines)}
    log = tmp_path / "cut.jsonl"
    log.write_bytes(lines[0] + b"\n")
    alone = read_evidence(log)
    assert len(kinds) > 3
    for line in kinds.values():
        for cut in range(1, len(line)):
            log.write_bytes(lines[0] + b"\n" + line[:cut])
            assert read_evidence(log) == replace(alone, skipped_lines=1), line[:cut]


@pytest.mark.parametrize("share", [0.1, 0.4, 0.97])
def test_figures_of_a_cut_log(tmp_path, share):
    log = evidence.write(tmp_path / "evidence.jsonl", evidence.standard(9))
    log.write_bytes(log.read_bytes()[: int(share * log.stat().st_size)])
    rendered = render(log, tmp_path / "out")
    assert all(p.stat().st_size for p in rendered.paths)


def test_a_cut_run_says_what_is_missing(tmp_path):
    records = evidence.standard(9)
    first = next(i for i, r in enumerate(records) if isinstance(r, ReadingRecord))
    log = evidence.write(tmp_path / "log.jsonl", records[: first + 4])
    markdown, data = texts(log)
    assert "Partial: ocr-rules was not run on 5 of 9 documents." in markdown
    assert data["cells"][0]["status"] == "incomplete"
    assert data["cells"][0]["failures"] == {"not-run": 5}


def test_zero_readings(tmp_path):
    asked = evidence.documents(3)
    log = evidence.write(tmp_path / "log.jsonl", evidence.opening(asked))
    rendered = render(log, tmp_path / "out")
    markdown = rendered.markdown.read_text()
    assert "The log holds no readings: nothing was measured." in markdown
    assert "No control was run" in markdown
    assert rendered.figures == []
    assert list(rendered.summary) == ["no cell was run"]
    assert json.loads(rendered.json.read_text())["cells"] == []


def test_documents_without_kind_or_stratum(tmp_path):
    asked = evidence.documents(12, bare=True)
    records = [
        *evidence.opening(asked),
        *evidence.candidate("ocr-rules", asked, skill=0.8, seconds=1, base=2**28),
    ]
    markdown, data = texts(evidence.write(tmp_path / "log.jsonl", records))
    assert data["cells"][0]["strata"] == {}
    assert data["cells"][0]["kinds"] == {}
    assert list(data["cells"][0]["fields"]) == ["SUPPLIER", "INVOICE_DATE", "TOTAL"]
    assert "The documents carry no stratum" in markdown


def test_a_resumed_run_says_what_changed(tmp_path):
    asked = evidence.documents(6)
    second = evidence.opening(asked, started="2025-03-02T10:00:00+00:00")
    second[0] = replace(second[0], provenance={**second[0].provenance, "cpu": {"model": "Another CPU"}})
    records = [*evidence.opening(asked), *second, *evidence.control("all-na", asked)]
    markdown, data = texts(evidence.write(tmp_path / "log.jsonl", records))
    assert data["provenance"]["evidence"]["runs"] == 2
    assert re.search(r"2 runs: it was resumed\. \*\*Between .* differ: .*cpu\.model", markdown)


def test_readings_that_nobody_asked_for_are_mentioned(tmp_path):
    asked = evidence.documents(3)
    records = [
        *evidence.opening(asked),
        ReadingRecord(cell="ghost", document=asked[0].document, text="TOTAL: 1"),
    ]
    markdown, data = texts(evidence.write(tmp_path / "log.jsonl", records))
    assert data["cells"] == []
    assert "does not say what they were asked: ghost" in markdown


def test_damaged_numbers_and_broken_text_give_valid_files(tmp_path):
    asked = evidence.documents(4)
    log = evidence.write(
        tmp_path / "log.jsonl", [*evidence.opening(asked), *evidence.control("a$b_$\ud800日本", asked)]
    )
    text = log.read_text().replace('"latency_s": 0.00202', '"latency_s": Infinity')
    assert "Infinity" in text
    log.write_text(text)
    rendered = render(log, tmp_path / "out")
    data = json.loads(rendered.json.read_text(), parse_constant=pytest.fail)
    assert data["provenance"]["evidence"]["skipped_lines"] == 1, "JSON has no infinity: that line is damaged"
    assert data["cells"][0]["failures"] == {"not-run": 1}
    assert r"a\$b\_\$\\ud800日本" in rendered.markdown.read_text(encoding="utf-8")


# --- errors and the command line -------------------------------------------------------------------------------


def test_errors_name_the_file(tmp_path):
    with pytest.raises(EvidenceError, match=r"missing\.jsonl: cannot read the evidence log"):
        render(tmp_path / "missing.jsonl", tmp_path)
    log = evidence.write(tmp_path / "log.jsonl", evidence.opening(evidence.documents(1)))
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(EvidenceError, match=r"file.*: cannot write the report"):
        render(log, blocked)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reports", *arguments],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_command_line_writes_a_report(tmp_path):
    log = evidence.write(tmp_path / "evidence.jsonl", evidence.opening(evidence.documents(1)))
    done = command("render", str(log), "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (0, "")
    assert str(tmp_path / "out" / "report.md") in done.stdout.splitlines()
    assert (tmp_path / "out" / "report.json").exists()


def test_command_line_reports_one_line_and_exits_2(tmp_path):
    done = command("render", str(tmp_path / "none.jsonl"), "--out", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'none.jsonl'}: cannot read the evidence log: No such file or directory\n"


def test_images_that_are_not_there_are_refused(tmp_path):
    log = evidence.write(tmp_path / "evidence.jsonl", evidence.opening(evidence.documents(1)))
    done = command("render", str(log), "--images", str(tmp_path / "none"))
    assert (done.returncode, done.stderr) == (2, f"error: --images: {tmp_path / 'none'}: there is no such folder\n")


def test_importing_reports_does_not_import_matplotlib():
    code = "import sys, reports; print([m for m in ('matplotlib', 'scipy', 'torch') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent.parent, capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr
