"""Several logs in one report: what is compared, what is refused and why; files written, removed and the same again."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cells import Failure
from harness.errors import EvidenceError
from harness.evidence import CellRecord, PassRecord, ReadingRecord, RunRecord
from reports.__main__ import main
from reports.campaign import labels
from reports.render import FILES, render, render_campaign
from tests import gpu_evidence
from tests import report_evidence as evidence

MIB = evidence.MIB


@pytest.fixture(scope="module", autouse=True)
def _no_figures_of_single_logs():
    """They have tests of their own, and take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("reports.render"), "draw_figures", lambda summary, routed=None: [])
        yield


def machine(folder: Path, name: str, slower: float, *, modes=("bf16", "nf4"), count=8, seed=1, **run) -> Path:
    """A log of one machine: a model in `modes` on its GPU, a baseline on its processor."""
    asked = evidence.documents(count)
    first, *truths = evidence.opening(asked)
    assert isinstance(first, RunRecord)
    gpu = {"name": name, "memory_bytes": 80 * 2**30, "compute_capability": "9.0", "driver": "1"}
    first = replace(first, provenance={**first.provenance, "gpus": [gpu]}, **run)
    cells = []
    for mode in modes:
        weights, more = gpu_evidence.MODES[mode]
        for record in gpu_evidence.gpu_cell("Small", mode, asked, weights=weights / 5, slower=slower * more):
            if isinstance(record, CellRecord | ReadingRecord):
                record = replace(record, devices=[replace(d, name=name) for d in record.devices])
            if isinstance(record, ReadingRecord) and record.latency_s is not None and slower > 1:
                # the slow machine is slower by another factor on every second document, as real ones are
                uneven = 1.05 if record.document.removesuffix(".png")[-1] in "02468" else 1.0
                record = replace(record, latency_s=uneven * record.latency_s)
            cells.append(record)
    baseline = evidence.candidate("ocr-rules", asked, skill=0.9, seconds=9 * slower, base=600 * MIB, seed=seed)
    return evidence.write(folder / "evidence.jsonl", [first, *truths, *cells, *baseline])


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """Three machines; the third was asked with another prompt."""
    folder = tmp_path_factory.mktemp("campaign")
    logs = [
        machine(folder / "fast", "NVIDIA Fast", 0.5),
        machine(folder / "slow", "NVIDIA Slow", 2.0),
        machine(folder / "other", "NVIDIA Other", 0.1, prompt={"name": "key-value", "fingerprint": "ffff"}),
    ]
    return logs, render_campaign(logs, folder / "out")


@pytest.fixture(scope="module")
def told(campaign):
    return json.loads(campaign[1].json.read_text())


def metric(told, name):
    return next(m for m in told["metrics"] if m["metric"] == name)


def values(told, name):
    return {(v["log"], v["cell"]): v for v in metric(told, name)["values"]}


# --- labels ----------------------------------------------------------------------------------------------------


def test_labels_are_the_folders_of_the_logs_made_unique():
    paths = ["/a/h200/e.jsonl", "/b/H200/e.jsonl", "/b/x y/e.jsonl", "/c/figures/e.jsonl", "/e.jsonl", "/../e2.jsonl"]
    assert labels([Path(p) for p in paths]) == ["h200", "H200-2", "x-y", "figures-2", "log", "log-2"]


def test_a_log_given_twice_is_refused(campaign, tmp_path):
    log = campaign[0][0]
    with pytest.raises(EvidenceError, match="twice"):
        render_campaign([log, log.parent / ".." / log.parent.name / log.name], tmp_path)


# --- what is compared ------------------------------------------------------------------------------------------


def test_every_log_has_its_own_report(campaign):
    out = campaign[1].markdown.parent
    for label in ("fast", "slow", "other"):
        assert (out / label / "report.md").read_text().startswith("# Evaluation")
        assert f"[{label}]({label}/report.md)" in (out / "report.md").read_text()


def test_own_reports_are_what_rendering_alone_gives(campaign, tmp_path):
    alone = render(campaign[0][0], tmp_path)
    for path in alone.paths:
        there = campaign[1].markdown.parent / "fast" / path.relative_to(tmp_path)
        assert path.read_bytes() == there.read_bytes(), path.name


def test_another_prompt_is_refused_with_the_reason(told, campaign):
    for name in ("f1", "latency_s", "peak_vram_bytes"):
        for (log, _), value in values(told, name).items():
            assert (value["refused"] is not None) == (log == "other" and value["value"] is not None)
    refused = values(told, "latency_s")["other", "Small-bf16@cuda"]["refused"]
    assert refused == "prompt ffff instead of abcdef012345"
    assert "prompt ffff instead of abcdef012345" in campaign[1].markdown.read_text()


def test_a_refused_value_does_not_win(told):
    fastest = next(w for w in told["winners"] if w["metric"] == "latency_s")
    assert values(told, "latency_s")["other", "Small-bf16@cuda"]["value"] < min(
        v["value"] for (log, _), v in values(told, "latency_s").items() if log != "other"
    ), "it is the fastest of all"
    assert fastest["cell"] == "fast: Small-bf16@cuda"
    assert "3 not compared" in fastest["reason"]


def test_the_same_answers_on_two_machines_win_nothing(told):
    best = next(w for w in told["winners"] if w["metric"] == "f1")
    assert best["cell"] is None
    assert "no winner" in best["reason"]


def test_the_same_cell_is_paired_by_document(told):
    pairs = {(p["metric"], p["a"], p["b"]): p for p in told["pairs"]}
    ratio = pairs["latency_s", "slow: Small-bf16@cuda", "fast: Small-bf16@cuda"]
    assert ratio["value"] == pytest.approx(4 * 1.05**0.5)
    assert ratio["low"] > 4
    assert ratio["n"] == 8
    assert pairs["f1", "slow: ocr-rules", "fast: ocr-rules"]["value"] == 0
    assert not any("other" in name for _, *names in pairs for name in names)


BASES = {
    "corpus": {"corpus": {"name": "made-up", "identity": "another"}},
    "documents": {"count": 7},
    "prompt": {"prompt": {"name": "key-value", "fingerprint": "ffff"}},
}


@pytest.mark.parametrize("what", BASES)
def test_what_must_agree(what, tmp_path):
    logs = [machine(tmp_path / "a", "A", 1.0), machine(tmp_path / "b", "B", 1.0, modes=(), **BASES[what])]
    told = json.loads(render_campaign(logs, tmp_path / "out").json.read_text())
    refused = values(told, "f1")["b", "ocr-rules"]["refused"]
    assert refused is not None
    assert refused.startswith(what)
    assert told["pairs"] == []


def test_fixed_length_and_imported_times_are_refused_beside_others(tmp_path):
    asked = evidence.documents(4)
    (run, *truths) = evidence.opening(asked)
    assert isinstance(run, RunRecord)
    cell = evidence.candidate("ocr-rules", asked, skill=0.9, seconds=1.0, base=600 * MIB)
    fixed = [replace(r, settings={"min_new_tokens": 64}) if isinstance(r, PassRecord) else r for r in cell]
    imported = replace(run, provenance={"imported": {"kind": "field-comparison"}})
    logs = [
        evidence.write(tmp_path / name / "e.jsonl", [first, *truths, *records])
        for name, first, records in (
            ("a", run, cell),
            ("b", run, cell),
            ("fixed", run, fixed),
            ("imported", imported, cell),
        )
    ]
    told = json.loads(render_campaign(logs, tmp_path / "out").json.read_text())
    found = values(told, "latency_s")
    assert found["b", "ocr-rules"]["refused"] is None
    assert found["fixed", "ocr-rules"]["refused"] == "output length 64 tokens instead of free"
    assert found["imported", "ocr-rules"]["refused"].startswith(
        "origin imported (field-comparison) instead of measured"
    )
    assert values(told, "f1")["fixed", "ocr-rules"]["missing"] == "fixed length"


def test_logs_without_a_run_record_agree_with_nothing(tmp_path):
    logs = []
    for name in ("a", "b"):
        log = machine(tmp_path / name, name, 1.0, modes=())
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[1:]))
        logs.append(log)
    told = json.loads(render_campaign(logs, tmp_path / "out").json.read_text())
    assert sum(v["refused"] is None for v in metric(told, "f1")["values"]) == 1
    assert told["pairs"] == []


def test_failed_cells_are_told(tmp_path):
    asked = evidence.documents(4)
    logs = [
        evidence.write(
            tmp_path / name / "e.jsonl",
            [
                *evidence.opening(asked),
                *evidence.candidate("x", asked, skill=1, seconds=1, base=MIB, failures=failures),
            ],
        )
        for name, failures in (("a", ()), ("b", [Failure.TIMEOUT] * 4))
    ]
    rendered = render_campaign(logs, tmp_path / "out")
    told = json.loads(rendered.json.read_text())
    assert values(told, "f1")["b", "x"]["value"] is None
    assert values(told, "f1")["b", "x"]["missing"] == "timeout"
    assert "| timeout |" in rendered.markdown.read_text()


# --- files -----------------------------------------------------------------------------------------------------


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_rendering_again_gives_the_same_bytes(campaign, tmp_path):
    logs, rendered = campaign
    render_campaign(logs, tmp_path)
    first = tree(rendered.markdown.parent)
    assert tree(tmp_path) == first
    render_campaign(logs, tmp_path)
    assert tree(tmp_path) == first
    listed = {p.relative_to(rendered.markdown.parent).as_posix() for p in rendered.paths}
    assert listed == {name for name in first if not name.endswith(FILES)}


def test_what_is_stale_goes_and_what_is_foreign_stays(campaign, tmp_path):
    logs, _ = campaign
    render_campaign(logs, tmp_path)
    notes = tmp_path / "tables" / "mine.csv"
    notes.write_text("mine")
    render_campaign(logs[:2], tmp_path)
    assert not (tmp_path / "other").exists()
    assert notes.exists()
    render(logs[0], tmp_path)
    written = ["deployment", FILES, "report.html", "report.json", "report.md", "tables"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(written)
    assert notes.exists()


def test_a_report_beside_its_own_log_is_not_removed_by_a_campaign_without_it(tmp_path):
    logs = [machine(tmp_path / name, name, 1.0, modes=(), count=3) for name in "abc"]
    render_campaign(logs[:2], tmp_path)
    assert (tmp_path / "b" / "report.md").exists(), "it lies beside its log"
    render_campaign([logs[0], logs[2]], tmp_path)
    assert (tmp_path / "b" / "report.md").exists()
    assert all(log.exists() for log in logs)


@pytest.mark.parametrize("listed", ['["../victim.md", "/victim.md", "notes.txt", 3]', '{"a": 1}', '["tables/x.csv"'])
def test_a_list_of_files_that_is_not_ours_removes_nothing(tmp_path, listed):
    out = tmp_path / "out"
    log = machine(tmp_path / "log", "x", 1.0, modes=(), count=3)
    (out / "tables").mkdir(parents=True)
    kept = [tmp_path / "victim.md", out / "notes.txt", out / "tables" / "x.csv"]
    for path in kept:
        path.write_text("keep")
    (out / FILES).write_text(listed)
    render(log, out)
    assert all(path.read_text() == "keep" for path in kept)


def test_logs_cut_at_any_byte_render(tmp_path, campaign):
    whole = machine(tmp_path / "whole", "A", 1.0, modes=("bf16",), count=3)
    content = whole.read_bytes()
    (tmp_path / "cut").mkdir()
    cut = tmp_path / "cut" / "evidence.jsonl"
    for end in [0, 1, 40, *range(97, len(content), len(content) // 6), len(content) - 1]:
        cut.write_bytes(content[:end])
        rendered = render_campaign([whole, cut], tmp_path / "out")
        told = json.loads(rendered.json.read_text(), parse_constant=pytest.fail)
        assert [log["label"] for log in told["logs"]] == ["whole", "cut"]
        blocks = re.findall(r"(?:^\|.*\n)+", rendered.markdown.read_text(), re.MULTILINE)
        for block in blocks:
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


# --- the command line ------------------------------------------------------------------------------------------


def test_command_line_renders_one_and_several(campaign, tmp_path, capsys):
    logs, _ = campaign
    assert main(["render", str(logs[0]), "--out", str(tmp_path / "one")]) == 0
    assert (tmp_path / "one" / "report.md").exists()
    assert main(["render", *map(str, logs[:2]), "--out", str(tmp_path / "two")]) == 0
    assert str(tmp_path / "two" / "report.md") in capsys.readouterr().out


def test_command_line_explains_what_is_wrong(campaign, tmp_path, capsys):
    logs, _ = campaign
    assert main(["render", *map(str, logs[:2])]) == 2
    assert "several logs need --out" in capsys.readouterr().err
    assert main(["render", str(logs[0]), str(tmp_path / "none.jsonl"), "--out", str(tmp_path / "x")]) == 2
    assert "none.jsonl" in capsys.readouterr().err
    assert not (tmp_path / "x").exists(), "nothing is written before every log was read"
