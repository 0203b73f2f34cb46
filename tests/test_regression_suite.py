"""A session against a stored baseline: what is not the same has a status and a message, and is never green."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.gating import Inconclusive
from fixtures.machines import machine_differences
from fixtures.options import add_options
from fixtures.sharing import Sharing, held, sharing_of
from harness.errors import DocvlmError, EvidenceError
from harness.evidence import GateRecord, read_evidence
from harness.gates import Verdict
from harness.regression import Baseline, compare, load_baseline, save_baseline
from reports.baseline_commands import add_commands
from reports.regression import comparison_lines, comparison_markdown, regression_parts, uncompared
from tests.eval_options import parse_options
from tests.pixel_pages import receipts, write_corpus
from tests.report_evidence import MIB, candidate, documents, opening, write
from tests.test_ci import ROOT, agree, session

NAMES = ("First", "Second", "Third", "Fourth", "Fifth")
CELLS = {name: f"python:tests.changing_pages.{name}" for name in NAMES}
DOCUMENTS = 12


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), receipts(DOCUMENTS))


@pytest.fixture(scope="module")
def saved(tmp_path_factory, corpus) -> dict:
    """The baseline of five models that read alike, as JSON."""
    folder = tmp_path_factory.mktemp("before")
    session(folder, corpus, "-k", "is_answered", models=",".join(CELLS.values()))
    path = save_baseline(Baseline.from_evidence(read_evidence(folder / "report" / "evidence.jsonl")), folder / "b.json")
    return json.loads(path.read_text())


def test_each_mismatch_has_its_own_status(tmp_path, corpus, saved):
    content = json.loads(json.dumps(saved))
    cells = content["cells"]
    (run,) = cells.pop(CELLS["First"])
    cells["older-name"] = [run | {"cell": "older-name"}]
    cells[CELLS["Second"]][0] |= {"device_class": "h200", "hardware": "NVIDIA H200"}
    content["documents"]["page-99.png"] = content["documents"]["page-00.png"] | {"document": "page-99.png"}
    (third,) = cells[CELLS["Third"]]
    third["readings"]["page-99.png"] = third["readings"]["page-00.png"]
    cells[CELLS["Fourth"]][0] |= {"prompt_fingerprint": "0" * 12}
    cells[CELLS["Fifth"]][0] |= {"scorer": "0", "f1": 0.5}
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(content))
    # times are not what this is about, and those of answers so short are noise on a busy machine
    asked = ("-k", "test_regression", "--eval-baseline", str(path), "--eval-latency-margin", "400")
    found = session(tmp_path, corpus, *asked, models=",".join(CELLS.values()))
    said = {name: {g["metric"]: g for g in found.gates if g["cell"] == cell} for name, cell in CELLS.items()}
    quality = {name: gates["regression.f1_difference"] for name, gates in said.items()}
    assert "renamed: not in the baseline, which knows it as older-name" in quality["First"]["message"]
    assert quality["First"]["verdict"] == "inconclusive"
    assert "other-device: on cpu" in quality["Second"]["message"]
    latency = said["Second"]["regression.latency_ratio"]
    assert (latency["verdict"], "NVIDIA H200" in latency["message"]) == ("inconclusive", True)
    assert "missing-document: page-99.png of the baseline was not read" in quality["Third"]["message"]
    assert quality["Third"]["verdict"] == "fail"
    assert "changed-prompt: asked otherwise than the baseline: fingerprint 000000000000" in quality["Fourth"]["message"]
    assert quality["Fourth"]["verdict"] == "inconclusive"
    assert "stale-scorer: saved with scorer 0" in quality["Fifth"]["message"]
    assert "scored again (mean F1 was 0.5000 by the old one)" in quality["Fifth"]["message"]
    assert found.status == 1, "a document is missing"
    assert agree(found)
    assert found.junit["failures"] == 1


def test_a_changed_truth_fails_by_name(tmp_path, corpus, saved):
    content = json.loads(json.dumps(saved))
    content["documents"]["page-03.png"]["truth"]["TOTAL"] = "$0.05"
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(content))
    quality = ("-k", "test_regression and test_quality")
    found = session(tmp_path, corpus, *quality, "--eval-baseline", str(path), models=",".join(CELLS.values()))
    assert [g["verdict"] for g in found.gates] == ["fail"] * len(CELLS)
    assert all("changed-truth: the ground truth of page-03.png is not that" in g["message"] for g in found.gates)
    assert (found.status, found.junit["failures"]) == (1, len(CELLS))
    assert agree(found)


def test_without_a_baseline_nothing_is_compared(tmp_path, corpus):
    found = session(tmp_path, corpus, "-k", "test_regression")
    assert found.status == 5, "no test was selected"
    assert found.junit["tests"] == 0


@pytest.mark.parametrize("way", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_damaged_baseline_ends_the_session_before_a_model_runs(tmp_path, corpus, way):
    path = tmp_path / "baseline.json"
    path.write_text("{")
    found = session(tmp_path, corpus, "-k", "is_answered or test_regression", "--eval-baseline", str(path), *way)
    assert found.status == (1 if way else 4)
    assert agree(found)
    assert "damaged, or no baseline" in found.output
    assert not (found.report / "evidence.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(
            ([option, "nowhere"], f"{option}: nowhere: there is no such file")
            for option in ("--eval-baseline", "--eval-budgets", "--eval-catalogue")
        ),
        (["--eval-margin", "0"], "--eval-margin: must be more than 0 and less than 100"),
        (["--eval-margin", "nan"], "--eval-margin: must be more than 0"),
        (["--eval-latency-margin", "-1"], "--eval-latency-margin: must be more than 0"),
    ],
)
def test_mistaken_options_are_named(tmp_path, options, message):
    with pytest.raises(pytest.UsageError, match=message):
        parse_options(*options, report=tmp_path)


def test_the_older_name_of_neutral(tmp_path):
    assert parse_options(report=tmp_path).inconclusive is Inconclusive.NEUTRAL
    assert parse_options("--eval-inconclusive", "report", report=tmp_path).inconclusive is Inconclusive.NEUTRAL
    found = parse_options("--eval-margin", "3", "--eval-inconclusive", "exit", report=tmp_path)
    assert (found.margin_points, found.latency_margin_percent, found.inconclusive) == (3, 10, Inconclusive.EXIT)


# --- workers that share a folder -----------------------------------------------------------------------------


def header(log: Path, run: str | None) -> None:
    shared = {} if run is None else {"shared": {"run": run, "workers": 2}}
    with log.open("a") as file:
        file.write(json.dumps({"record": "run", "options": shared}) + "\n")


def test_workers_of_one_session_join_and_strangers_do_not(tmp_path, monkeypatch):
    monkeypatch.setattr("fixtures.sharing._JOIN_S", 0.2)
    log, ours = tmp_path / "evidence.jsonl", Sharing(run="a", workers=2)
    with held(tmp_path, log, ours) as first:
        assert not first.joined
        with pytest.raises(EvidenceError, match="another run is writing here"), held(tmp_path, log, ours):
            pytest.fail("the first has not opened it yet")
        header(log, "a")
        first.share()
        with held(tmp_path, log, ours) as second:
            assert second.joined
        for stranger in (None, Sharing(run="b", workers=2)):
            with pytest.raises(EvidenceError, match="another run is writing here"), held(tmp_path, log, stranger):
                pytest.fail("a stranger came in")
    with held(tmp_path, log, ours) as late:
        assert late.joined, "the others have finished, and the log is still that of this session"
    with held(tmp_path, log, Sharing(run="b", workers=2)) as another:
        assert not another.joined
    header(log, None)
    with held(tmp_path, log, ours) as after:
        assert not after.joined, "a run of its own came between"


def test_one_worker_disturbs_nobody():
    assert Sharing(run="a", workers=1).disturbance is None
    assert "3 workers" in (Sharing(run="a", workers=3).disturbance or "")
    assert sharing_of(argparse.Namespace()) is None


# --- machines ------------------------------------------------------------------------------------------------


def test_machines_that_differ():
    here = {"cpu": {"count": 8, "brand_raw": "X"}, "machine": "x86_64", "system": "Linux", "node": "a", "gpus": []}
    assert machine_differences(here, here | {"node": "b", "release": "6"}) == []
    assert machine_differences(here, here | {"cpu": {"count": 4, "brand_raw": "X"}}) == [
        "processor: 8 x X here, 4 x X there"
    ]
    unknown = {name: value for name, value in here.items() if name != "gpus"}
    assert machine_differences(here, unknown) == ["GPUs: none here, not recorded there"]


# --- commands and reports ------------------------------------------------------------------------------------


def log(
    folder: Path, skill: float, *, seconds: float = 1.0, cell: str = "m", seed: int = 1, workers: int | None = None
) -> Path:
    asked = documents(60)
    run, *rest = opening(asked)
    if workers is not None:
        run = replace(run, options={"shared": {"run": "a", "workers": workers}})
    read = candidate(cell, asked, skill=skill, seconds=seconds, base=500 * MIB, seed=seed)
    return write(folder / f"{cell}-{skill}-{seconds}-{seed}-{workers}.jsonl", [run, *rest, *read])


def run(*arguments: str | Path) -> list[str]:
    """What the command prints."""
    parser = argparse.ArgumentParser(prog="python -m reports")
    add_commands(parser.add_subparsers(required=True))
    options = parser.parse_args([str(a) for a in arguments])
    return list(options.run(options))


def test_save_merges_logs_and_baselines(tmp_path):
    first, second = log(tmp_path, 0.9), log(tmp_path, 0.9, seed=2)
    out = tmp_path / "b.json.gz"
    assert "60 documents, cpu: m" in run("baseline", "save", first, "--out", out)[0]
    assert "m (x2)" in run("baseline", "save", out, second, "--out", out)[0]
    assert [len(runs) for runs in load_baseline(out).cells.values()] == [2]
    with pytest.raises(DocvlmError, match="cannot read"):
        run("baseline", "save", tmp_path / "nowhere.jsonl", "--out", out)


def test_compare_prints_and_writes(tmp_path):
    before, now = log(tmp_path, 0.95), log(tmp_path, 0.75, seconds=1.5)
    out = tmp_path / "deep" / "changes.md"
    printed = run("compare", now, before, "--out", out)
    assert printed[0].startswith("FAIL")
    assert printed[-2:] == ["FAIL", str(out)]
    text = out.read_text()
    assert text.splitlines()[0].startswith("## ")
    assert text.splitlines()[0].endswith("-1-None.jsonl: **FAIL**")
    assert "| Field | Worse on | Better on | p (Holm) | Documents |" in text
    assert "**FAIL** +50.0 % [+50.0, +50.0]" in text
    same = run("compare", before, before)
    assert same[-1] == "PASS", same
    assert all(line.startswith("PASS") for line in same[:-2])


@pytest.mark.parametrize(("workers", "verdict"), [(None, "FAIL"), (1, "FAIL"), (2, "INCONCLUSIVE")])
def test_times_of_models_that_ran_side_by_side_judge_nothing(tmp_path, workers, verdict):
    printed = run("compare", log(tmp_path, 0.9, seconds=1.5, workers=workers), log(tmp_path, 0.9))
    (latency,) = [line for line in printed if "latency: " in line]
    assert latency.startswith(verdict)


def test_compare_pairs_other_cells(tmp_path):
    now, before = log(tmp_path, 0.9, cell="m-nf4"), log(tmp_path, 0.9, cell="m-bf16")
    assert any("new: " in line or "renamed: " in line for line in run("compare", now, before))
    paired = run("compare", now, before, "--pair", "m-nf4=m-bf16")
    assert not any("new: " in line or "renamed: " in line or "missing" in line for line in paired)
    with pytest.raises(DocvlmError, match="unknown cell 'm-int8'"):
        run("compare", now, before, "--pair", "m-int8=m-bf16")
    with pytest.raises(SystemExit):
        run("compare", now, before, "--pair", "m-nf4")


def test_markdown_is_one_table_and_safe(tmp_path):
    evidence = read_evidence(log(tmp_path, 0.8, cell="a|b<i>"))
    found = compare(evidence, read_evidence(log(tmp_path, 0.9, cell="a|b<i>", seed=3)))
    text = comparison_markdown(found, "now", "before")
    assert "<i>" not in text
    rows = [line for line in text.splitlines() if line.startswith("| a")]
    assert len(rows) == 1
    assert rows[0].count(" | ") == 4
    assert len(comparison_lines(found)) == len(found.gates)


def test_what_was_not_compared(tmp_path):
    evidence = read_evidence(log(tmp_path, 0.9))
    baseline = Baseline.from_evidence(evidence)
    told = GateRecord(test="t", cell="m", metric="regression.f1_difference", verdict="pass")
    assert uncompared(evidence, baseline, [told]) == []
    assert "was run, and not compared" in uncompared(evidence, baseline, [replace(told, metric="f1")])[0]
    other = read_evidence(log(tmp_path, 0.5, cell="other", seed=9))
    (missing,) = uncompared(other, baseline, [replace(told, cell="other")])
    assert missing.startswith("m: missing: ")
    renamed = read_evidence(log(tmp_path, 0.9, cell="n"))
    assert uncompared(renamed, baseline, [replace(told, cell="n")]) == [], "its verdict says that it was renamed"


def test_the_section_of_a_report():
    assert regression_parts([GateRecord(test="t", cell="m", metric="f1", verdict="fail")]) == []
    gates = [
        GateRecord(test="t", cell="m", metric="regression.latency_ratio", verdict=verdict.value, message=verdict.name)
        for verdict in (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)
    ]
    rows = regression_parts(gates)[1].splitlines()[2:]
    assert [row.split(" | ")[-1].removesuffix(" |") for row in rows] == ["FAIL", "INCONCLUSIVE", "PASS"]
    assert all("| latency |" in row for row in rows)


# --- recipes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["docs/workflows/evals.yml", "docs/gitlab-ci.yml"])
def test_recipes_parse_and_name_options_that_exist(name):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    text = (ROOT / name).read_text()
    recipe = yaml.safe_load(text)
    jobs = recipe["jobs"].values() if "jobs" in recipe else [j for j in recipe.values() if "script" in j]
    scripts = [
        line for job in jobs for line in job.get("script") or [s["run"] for s in job["steps"] if "run" in s]
    ]  # fmt: skip
    assert scripts
    assert all("${{" not in script for script in scripts), "an input inside a script could be one"
    parser = pytest.Parser(_ispytest=True)
    add_options(parser)
    known = {n for group in parser._groups for option in group.options for n in option.names()} | {"--eval-report"}
    page = text + (ROOT / "docs" / "ci.md").read_text()
    assert set(re.findall(r"--eval-[a-z-]+", page)) <= known
    targets = set(re.findall(r"^([\w-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {t for s in scripts for t in re.findall(r"^make ([a-z][\w-]*)", s, re.MULTILINE)}
    assert called <= targets
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", page):
        assert (ROOT / "docs" / link).exists(), link


def test_the_workflow_on_pull_requests():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    workflow = yaml.safe_load((ROOT / "docs/workflows/evals.yml").read_text())
    triggers = workflow[True]  # YAML 1.1 reads the key `on` so
    assert set(triggers) == {"pull_request", "push"}, "never pull_request_target, which hands secrets to forks"
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert job["runs-on"] == "ubuntu-latest", "forks run nothing on a machine of one's own"
