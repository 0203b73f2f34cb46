"""The report's section on tasks about pictures, from a log that is written here."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from fixtures.picture_options import BUNDLED_SCENES
from harness.cells import Failure, Role
from harness.evidence import (
    CellRecord,
    DeviceUse,
    EvidenceLog,
    MemoryPeak,
    PassRecord,
    ReadingRecord,
    RunRecord,
    read_evidence,
)
from harness.scenes import load_scenes
from harness.scenes.records import picture_record, picture_set_record, question_record
from harness.scenes.results import BLIND_PRIOR, PERFECT
from harness.scenes.sampling import sample
from harness.scenes.tasks import TASKS, Question
from harness.scenes.tasks.controls import blind_prior
from reports import render
from reports.figures import draw_figures
from reports.markdown import report_markdown
from reports.render import render_campaign
from reports.scene_data import scenes_csvs, scenes_json
from reports.summary import Summary, summarise
from reports.terminal import summary_lines

SNAPSHOT = Path(__file__).parent / "snapshots" / "report_scenes.md"
RENEW = "DOCVLM_RENEW_SNAPSHOTS"
ASKED = ("caption_brief", "counting", "reading")
GOOD, RANDOM = "good-bf16@cuda~tasks", "random-bf16@cuda~tasks~dummy"


def answer(question: Question, number: int) -> str:
    """Mostly right: every fourth answer is wrong."""
    return "nothing at all" if number % 4 == 3 else question.target


def reading(cell: str, question: Question, number: int, text: str) -> ReadingRecord:
    seconds = 0.2 + 0.01 * (number % 7)
    return ReadingRecord(
        cell=cell,
        document=question.key,
        text=text,
        latency_s=seconds,
        phases={"ttft_s": 0.05, "tpot_s": 0.01, "generate_s": seconds - 0.02},
        output_tokens=5 + number % 9,
        stop="length" if number == 5 else "eos",
        memory=MemoryPeak(rss_bytes=(900 + number) * 2**20, samples=6),
        devices=[
            DeviceUse(
                device="cuda:0",
                name="GPU",
                seconds=seconds,
                samples=5,
                before_bytes=0,
                used_bytes=(3 << 30) + number,
                energy_j=40.0 * seconds,
                power_j=39.0 * seconds,
            )
        ],
    )


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    """A good model with two failures and a question not asked, once more on some; random weights; two controls."""
    path = tmp_path_factory.mktemp("scenes") / "evidence.jsonl"
    folder = load_scenes(BUNDLED_SCENES)
    pictures = sample(folder.pictures, 16)
    questions = [q for name in ASKED for q in TASKS[name].questions(pictures)]
    keys = [q.key for q in questions]
    with EvidenceLog(path) as out:
        corpus = {"name": "none", "identity": "0" * 64, "documents": 0}
        run = RunRecord(started="2025-01-01T00:00:00+00:00", corpus=corpus, prompt={}, provenance={})
        for record in (run, picture_set_record(folder, pictures, ASKED)):
            out.append(record)
        for record in (*map(picture_record, pictures), *map(question_record, questions)):
            out.append(record)
        for cell, role, facts in (
            (GOOD, Role.CANDIDATE, {}),
            ("good-bf16@cuda#2~tasks", Role.CHECK, {}),
            (RANDOM, Role.CANDIDATE, {"random_weights": True}),
        ):
            of_cell = questions[:9] if role is Role.CHECK else questions
            out.append(PassRecord(cell=cell, role=role, documents=[q.key for q in of_cell], tasks=list(ASKED)))
            loaded = {"model": cell.partition("-")[0], "quantization": "bf16", "runtime": "eager", "device": "cuda"}
            out.append(CellRecord(cell=cell, **loaded, role=role, load_s=2.5, spawn_s=0.5, facts=facts))
            for number, question in enumerate(of_cell):
                if cell == GOOD and number in (4, 6):
                    failure = Failure.TIMEOUT if number == 4 else Failure.ERROR
                    out.append(ReadingRecord(cell=cell, document=question.key, failure=failure, message="no"))
                elif cell != GOOD or number != len(questions) - 1:
                    text = answer(question, number) + (" indeed" if role is Role.CHECK and number == 0 else "")
                    out.append(reading(cell, question, number, text))
        for cell in (BLIND_PRIOR, PERFECT):
            out.append(PassRecord(cell=cell, role=Role.CONTROL, documents=keys, tasks=list(ASKED)))
            for name in ASKED:
                prior = blind_prior(TASKS[name], TASKS[name].questions(folder.pictures))
                for q in (q for q in questions if q.task == name):
                    text = prior.policy(q) if cell == BLIND_PRIOR else q.target
                    out.append(ReadingRecord(cell=cell, document=q.key, text=text))
    return path


@pytest.fixture(scope="module")
def summary(log: Path) -> Summary:
    return summarise(read_evidence(log))


def test_the_section_is_as_it_was(summary: Summary) -> None:
    """After a wanted change, look at the difference that DOCVLM_RENEW_SNAPSHOTS=1 makes to tests/snapshots."""
    markdown = report_markdown(summary, [], "log")
    found = "## Picture understanding\n" + markdown.partition("## Picture understanding\n")[2].partition("\n## ")[0]
    if os.environ.get(RENEW):
        SNAPSHOT.write_text(found)
    assert found == SNAPSHOT.read_text()


def test_numbers_for_programs(summary: Summary) -> None:
    found = {(r["cell"], r["task"]): r for r in scenes_json(summary)["pictures"]["results"]}
    json.dumps(list(found.values()), allow_nan=False)
    good = found[GOOD, "caption_brief"]
    assert good["failures"] == {"error": 1, "timeout": 1}
    assert found[GOOD, "reading"]["failures"] == {"not-run": 1}
    assert good["answered"] == good["questions"] - 2
    assert 0.5 < good["metrics"]["object_f1"]["value"] < 1, "what failed is not among the answers"
    assert good["costs"]["j_per_output_tok"]["value"] > 0
    assert good["costs"]["load_s"]["value"] == 2.5
    assert good["mean_rss_bytes"] > 900 * 2**20
    random = found[RANDOM, "counting"]
    assert (random["metrics"], random["above_blind_prior"]) == ({}, None)
    assert random["costs"]["latency_s"]["value"] > 0
    (again,) = [c for c in scenes_json(summary)["pictures"]["consistency"] if c["task"] == "caption_brief"]
    assert (again["questions"], again["same_text"]) == (7, 6)


def test_every_question_has_a_row(summary: Summary) -> None:
    tables = scenes_csvs(summary)
    rows = list(csv.DictReader(io.StringIO(tables["picture_answers.csv"].decode())))
    asked = {r["question"] for r in rows if r["cell"] == GOOD}
    assert asked == set(summary.evidence.questions)
    assert {r["failure"] for r in rows if r["cell"] == GOOD} == {"", "timeout", "error", "not-run"}
    numbers = list(csv.DictReader(io.StringIO(tables["picture_tasks.csv"].decode())))
    assert {r["task"] for r in numbers} == set(ASKED)
    assert not [r for r in numbers if r["cell"] == RANDOM and r["metric"] == "object_f1"]


def test_a_terminal_is_told(summary: Summary) -> None:
    lines = summary_lines(summary)
    assert len(lines) == 2
    assert all(line.startswith("PICTURES: ") and len(line) <= 100 for line in lines)
    assert "not judged" in lines[1]


def test_figures_and_a_whole_report(summary: Summary, log: Path, tmp_path: Path) -> None:
    drawn = {f.name: f for f in draw_figures(summary)}
    assert {"picture_tasks", "picture_speed"} <= drawn.keys()
    assert "percent" not in drawn["picture_tasks"].title
    rendered = render(log, tmp_path)
    assert "figures/picture_speed.png" in rendered.markdown.read_text()
    assert (tmp_path / "tables" / "picture_tasks.csv").exists()


def test_a_log_whose_truth_was_lost_still_renders(log: Path, tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    lines = [line for line in log.read_bytes().splitlines(keepends=True) if b'"record": "picture"' not in line]
    path.write_bytes(b"".join(lines))
    found = summarise(read_evidence(path))
    assert found.tasks == []
    assert "Picture understanding" not in report_markdown(found, [], "log")


@pytest.fixture(scope="module")
def campaign(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log, the same of another device, and one whose questions are worded otherwise, with a model that is not
    supported."""
    folder, text = tmp_path_factory.mktemp("campaign"), log.read_text()
    changed = {
        "here": text,
        "there": text.replace('"name": "GPU"', '"name": "Other GPU"'),
        "worded": text.replace('"prompt": "', '"prompt": "Please: '),
    }
    for name, lines in changed.items():
        (folder / name).mkdir()
        (folder / name / "evidence.jsonl").write_text(lines)
    silent = "silent-bf16@cuda~tasks"
    with EvidenceLog(folder / "worded" / "evidence.jsonl") as out:
        key = next(iter(read_evidence(log).questions))
        out.append(PassRecord(cell=silent, role=Role.CANDIDATE, documents=[key], tasks=list(ASKED)))
        loaded = {"model": "silent", "quantization": "bf16", "runtime": "eager", "device": "cuda"}
        why = {"failure": Failure.UNSUPPORTED, "message": "no adapter for it"}
        out.append(CellRecord(cell=silent, **loaded, role=Role.CANDIDATE, **why))
    render_campaign([folder / name / "evidence.jsonl" for name in changed], folder / "out")
    return folder / "out"


def test_a_campaign_compares_pictures_where_questions_agree(campaign: Path) -> None:
    told = {m["metric"]: m for m in json.loads((campaign / "report.json").read_text())["pictures"]}
    speed = {(v["log"], v["cell"]): v for v in told["picture_output_tok_per_s"]["values"]}
    assert speed["here", "good-bf16@cuda"]["value"] == speed["there", "good-bf16@cuda"]["value"] > 0
    assert speed["there", "good-bf16@cuda"]["device"] == "Other GPU"
    assert speed["here", "good-bf16@cuda"]["refused"] is None
    assert speed["worded", "good-bf16@cuda"]["refused"].startswith("questions ")
    assert speed["worded", "silent-bf16@cuda"]["missing"] == "unsupported"
    quality = {(v["log"], v["cell"]): v for v in told["picture_caption_brief"]["values"]}
    assert 0.5 < quality["here", "good-bf16@cuda"]["value"] < 1
    assert quality["here", "random-bf16@cuda~dummy"]["value"] is None
    assert quality["here", "random-bf16@cuda~dummy"]["missing"] == "not judged"
    assert told["picture_energy_j"]["basis"]["sensor"] == "counter"


def test_a_campaign_tells_of_pictures(campaign: Path) -> None:
    report = (campaign / "report.md").read_text()
    section = report.partition("\n## Pictures\n")[2].partition("\n## ")[0]
    assert "Tokens/s/W" in section
    assert "Energy closure" in section
    assert "| silent-bf16@cuda | worded | unsupported | no adapter for it |" in section
    assert "figures/pictures.png" in section
    assert (campaign / "figures" / "pictures.png").exists()
    assert "No document was read." in report
