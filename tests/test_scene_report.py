"""The report's section on tasks about pictures, from a log that is written here."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from reports.picture_measures import picture_measures, unanswered
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


def logs_of(folder: Path, log: Path, change: dict[str, Callable[[str], str]]) -> list[Path]:
    """The log as it is, as `here`, and changed ones beside it."""
    for name, changed in {"here": str, **change}.items():
        (folder / name).mkdir()
        (folder / name / "evidence.jsonl").write_text(changed(log.read_text()))
    return [folder / name / "evidence.jsonl" for name in ("here", *change)]


@pytest.fixture(scope="module")
def campaign(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log, the same of another device, and one whose questions are worded otherwise, with a model that is not
    supported."""
    folder = tmp_path_factory.mktemp("campaign")
    change = {
        "there": lambda text: text.replace('"name": "GPU"', '"name": "Other GPU"'),
        "worded": lambda text: text.replace('"prompt": "', '"prompt": "Please: '),
    }
    logs = logs_of(folder, log, change)
    with EvidenceLog(logs[-1]) as out:
        key = next(iter(read_evidence(log).questions))
        silent = "silent-bf16@cuda~tasks"
        out.append(PassRecord(cell=silent, role=Role.CANDIDATE, documents=[key], tasks=list(ASKED)))
        loaded = {"model": "silent", "quantization": "bf16", "runtime": "eager", "device": "cuda"}
        why = {"failure": Failure.UNSUPPORTED, "message": "no adapter for it"}
        out.append(CellRecord(cell=silent, **loaded, role=Role.CANDIDATE, **why))
    render_campaign(logs, folder / "out")
    return folder / "out"


def pictures_of(folder: Path) -> dict[str, dict[tuple[str, str], dict[str, Any]]]:
    """Values of the campaign's metrics of pictures by log and cell."""
    told = json.loads((folder / "report.json").read_text())["pictures"]
    return {m["metric"]: {(v["log"], v["cell"]): v for v in m["values"]} for m in told}


def test_a_campaign_compares_pictures_where_questions_agree(campaign: Path) -> None:
    told = pictures_of(campaign)
    speed, good = told["picture_output_tok_per_s"], "good-bf16@cuda"
    assert speed["here", good]["value"] == speed["there", good]["value"] > 0
    assert speed["there", good]["device"] == "Other GPU"
    assert speed["here", good]["refused"] is None
    assert speed["worded", good]["refused"].startswith("questions ")
    assert told["picture_load_s"]["worded", good]["refused"] is None, "loading knows of no question"
    assert speed["worded", "silent-bf16@cuda"]["missing"] == "unsupported"
    quality = told["picture_caption_brief"]
    assert 0.5 < quality["here", good]["value"] < 1
    assert quality["here", BLIND_PRIOR.replace("~tasks", "")]["value"] < quality["here", good]["value"]
    assert quality["here", "random-bf16@cuda~dummy"]["value"] is None
    assert quality["here", "random-bf16@cuda~dummy"]["missing"] == "not judged"


def test_a_campaign_tells_of_pictures(campaign: Path) -> None:
    report = (campaign / "report.md").read_text()
    section = report.partition("\n## Pictures\n")[2].partition("\n## ")[0]
    assert "Tokens/s/W" in section
    assert "| silent-bf16@cuda | worded | 0 of 1 | unsupported | no adapter for it |" in section
    assert re.search(r"\| good-bf16@cuda \| here \| \d+ of \d+ \|", section), "of whom some questions failed"
    for line in section.partition("### Not compared\n")[2].splitlines():
        cells = line.split(" | ")[-1].split(", ")
        assert len(cells) == len(set(cells)), line
    assert "figures/pictures.png" in section
    assert (campaign / "figures" / "pictures.png").exists()
    assert "No document was read." in report


def test_what_of_pictures_must_agree(log: Path, tmp_path: Path) -> None:
    def cut(text: str) -> str:
        mine = [line for line in text.splitlines(True) if f'"record": "reading", "cell": "{GOOD}"' in line]
        return "".join(line for line in text.splitlines(True) if line not in mine[9:])

    identity = re.compile(r'("record": "picture-set", .*?"identity": ")\w{4}')
    marked = re.compile(r'"high_water_bytes": null')
    change = {
        "cut": cut,
        "drawn": lambda text: identity.sub(r"\1ffff", text),
        "marked": lambda text: marked.sub('"high_water_bytes": 2000000000', text),
        "lost": lambda text: "".join(line for line in text.splitlines(True) if '"record": "picture"' not in line),
    }
    render_campaign(logs_of(tmp_path, log, change), tmp_path / "out")
    told, good = pictures_of(tmp_path / "out"), "good-bf16@cuda"
    speed, memory, quality = (told[f"picture_{n}"] for n in ("latency_s", "peak_rss_bytes", "counting"))
    assert [speed[name, good]["refused"] for name in ("here", "marked")] == [None, None]
    assert "answered" in speed["cut", good]["refused"]
    assert "pictures ffff" in speed["drawn", good]["refused"]
    assert "pictures ffff" in quality["drawn", good]["refused"]
    assert "sensor" in memory["marked", good]["refused"]
    report = (tmp_path / "out" / "report.md").read_text()
    assert "| good-bf16@cuda | lost | 0 of 0 | incomplete |" in report


def test_a_cell_without_answers_is_named_after_what_failed_most(log: Path, tmp_path: Path) -> None:
    summary = summarise(read_evidence(log))
    failing = [r for r in summary.tasks if r.cell == GOOD]
    reasons = iter([Failure.TIMEOUT, *[Failure.CRASH] * 99])
    for result in failing:
        for key, told in result.readings.items():
            result.readings[key] = replace(told, failure=next(reasons), message="m", text=None)
    found = next(u for u in unanswered(replace(summary, tasks=failing), "here") if u.cell == "good-bf16@cuda")
    assert (found.answered, found.failure) == (0, "crash")
    assert {
        m.missing for m in picture_measures(replace(summary, tasks=failing), "here").costs if m.cell == found.cell
    } == {None, "crash"}
