"""Tasks about pictures in a session: who is asked, each question by its own prompt, failures apart, resumed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from fixtures.budgets import load_budgets
from fixtures.catalogue import load_catalogue
from fixtures.options import EvalOptions
from fixtures.picture_options import PictureOptions
from fixtures.picture_tasks import PictureTasks, above_gate, answered_gate, main_gate, same_gate
from fixtures.session import open_session
from harness.cells import Cell, Failure
from harness.errors import BudgetError, CatalogueError, EvidenceError
from harness.evidence import EvidenceLog, ReadingRecord, read_evidence
from harness.gates import Verdict
from harness.prompts import prompt
from harness.running import PassRequest, run_pass
from harness.scenes.results import BLIND_PRIOR, CONTROLS, ENUMERATOR, PERFECT, consistency, task_results
from harness.scenes.sampling import sample
from harness.scenes.tasks import CAPTION, TASKS
from harness.scenes.tasks.controls import answered
from harness.worker.supervisor import CellWorker
from tests.eval_options import parse_options
from tests.inline_cluster import InlineExecutor
from tests.pixel_pages import receipts, write_corpus

ROOT = Path(__file__).parent.parent
BACKENDS = "python:tests.scene_backends"


@contextlib.contextmanager
def silent(cell: str, total: int) -> Iterator[Callable[[ReadingRecord], None]]:
    yield lambda reading: None


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), receipts(2))


def picture_options(
    options: EvalOptions | None = None, *, tasks: str | None = None, pictures: str | None = None
) -> PictureOptions:
    """`options`: those of the whole session, in which documents are read if they are not given."""
    given = {"--eval-tasks": tasks, "--eval-pictures": pictures}
    return PictureOptions.from_config(SimpleNamespace(getoption=given.get), options or SimpleNamespace(cells=("any",)))


@pytest.fixture
def opened(corpus: Path, tmp_path: Path):
    """Opens a session with tasks about six pictures, in one report folder."""

    @contextlib.contextmanager
    def open_tasks(*options: str, tasks: str = "all", pictures: str = "6") -> Iterator[PictureTasks]:
        asked = picture_options(tasks=tasks, pictures=pictures)
        given = parse_options("--eval-documents", str(corpus), *options, report=tmp_path / "out")
        with open_session(given, silent) as session:
            yield PictureTasks.opened(session, asked)

    return open_tasks


def cell(name: str) -> Cell:
    return Cell(model=f"{BACKENDS}.{name}", tasks=True)


# --- what is asked of whom ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tasks": "countin"}, "unknown task 'countin'; did you mean counting"),
        ({"tasks": " , "}, "name at least one task"),
        ({"pictures": "0"}, "--eval-pictures: must be at least 1, or all"),
        ({"pictures": "some"}, "--eval-pictures: must be at least 1, or all"),
    ],
)
def test_what_cannot_be_asked_is_said(given: dict[str, str], said: str) -> None:
    with pytest.raises(pytest.UsageError, match=said):
        picture_options(**given)


def test_names_are_asked_in_their_order_and_once() -> None:
    found = picture_options(tasks="colour, counting,colour", pictures="all")
    assert (found.tasks, found.pictures) == (("colour", "counting"), None)
    assert picture_options(tasks="none").tasks == ()
    assert picture_options().tasks == tuple(TASKS)


def test_models_made_for_pictures_are_asked_and_others_when_named(tmp_path: Path) -> None:
    catalogue = tmp_path / "catalogue.toml"
    entry = '[[model]]\nid = "{}"\nsource = "./none"\nbackend = "python:tests.pixel_pages.Model"\n{}\n'
    catalogue.write_text(entry.format("reader", "") + entry.format("seer", 'tasks = ["documents", "pictures"]'))
    models = ("--eval-catalogue", str(catalogue), "--eval-models", "reader,seer")
    precisions = ("--eval-quantization", "fp32", "--eval-strategies", "single,multi", "--eval-batch-size", "4")
    options = parse_options(*models, *precisions, report=tmp_path)
    assert [c.id for c in picture_options().cells(options)] == ["seer-fp32~tasks"], "one by one, by its own prompt"
    assert [c.id for c in picture_options(tasks="ocr").cells(options)] == ["reader-fp32~tasks", "seer-fp32~tasks"]
    assert picture_options(tasks="none").cells(options) == []
    random = parse_options(*models, *precisions, "--eval-weights", "dummy", report=tmp_path)
    assert picture_options().cells(random) == [], "random weights are asked when tasks are named"
    assert len(picture_options(tasks="ocr").cells(random)) == 2


def test_a_model_made_for_pictures_alone_reads_no_documents(tmp_path: Path) -> None:
    options = parse_options("--eval-models", "ocr-rules,tiny-pictures", "--eval-quantization", "fp32", report=tmp_path)
    assert [c.id for c in options.cells] == ["ocr-rules"]
    assert [c.id for c in picture_options().cells(options)] == ["tiny-pictures-fp32~tasks"]
    named = picture_options(tasks="ocr").cells(options)
    assert [c.id for c in named] == ["ocr-rules~tasks", "tiny-pictures-fp32~tasks"]
    alone = ("--eval-models", "tiny-pictures")
    with pytest.raises(pytest.UsageError, match="tiny-pictures: made for tasks about pictures alone, and asked none"):
        picture_options(parse_options(*alone, report=tmp_path), tasks="none")
    with pytest.raises(pytest.UsageError, match="asked none of them"):
        picture_options(parse_options(*alone, "--eval-weights", "dummy", report=tmp_path))


def test_the_catalogue_says_what_a_model_is_for(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text('[[model]]\nid = "a"\nsource = "x/y"\ntasks = ["pictures", "music"]\n')
    with pytest.raises(CatalogueError, match="is not a list of documents and pictures"):
        load_catalogue(path)
    shipped = load_catalogue(ROOT / "fixtures" / "catalogue.toml")
    assert shipped.resolve("tiny-internvl").tasks == ("documents",)
    assert "pictures" in shipped.resolve("InternVL3-2B").tasks


def test_samples_are_nested_and_stratified() -> None:
    from fixtures.picture_options import BUNDLED_SCENES
    from harness.scenes import Figure, load_scenes

    pictures = load_scenes(BUNDLED_SCENES).pictures
    few, more = sample(pictures, 24), sample(pictures, 48)
    assert set(few) < set(more)
    assert sample(pictures, 24, seed=1) != few
    assert sample(pictures, 999) == tuple(pictures)
    counted = [(isinstance(p, Figure), p.stratum.value) for p in few]
    assert {key: counted.count(key) for key in counted} == {
        **{(False, stratum): 6 for stratum in ("easy", "medium", "hard")},
        **{(True, stratum): 2 for stratum in ("easy", "medium", "hard")},
    }
    with pytest.raises(ValueError, match="at least one"):
        sample(pictures, 0)


# --- one prompt an item ------------------------------------------------------------------------------------------


def test_a_request_asks_its_own_prompt(tmp_path: Path, corpus: Path) -> None:
    images = [(name, corpus / name) for name in receipts(2)]
    with CellWorker(Cell(model="python:tests.fake_backends.Echo"), prompt="own", threads=1) as worker:
        told = [json.loads(worker.read_batch(images[:1], prompt=asked)[0].text) for asked in (None, "other", None)]
    assert [answer["prompt"] for answer in told] == ["own", "other", "own"]


def test_only_what_is_asked_the_same_is_read_together(tmp_path: Path, corpus: Path) -> None:
    path = corpus / next(iter(receipts(1)))
    items = [SimpleNamespace(name=f"q{i}", path=path) for i in range(6)]
    prompts = {"q0": "a", "q1": "a", "q2": "a", "q3": "b"}
    batched = Cell(model="python:tests.fake_backends.EchoBatch", batch_size=2)
    request = PassRequest(
        cell=batched, documents=items, prompt=prompt(), prompts=prompts, read_timeout_s=60, load_timeout_s=60
    )
    with EvidenceLog(tmp_path / "evidence.jsonl") as log:
        done = run_pass(request, log=log)
    assert [r.batch_size for r in done.readings.values()] == [2, 2, 1, 1, 2, 2]
    asked = [json.loads(r.text or "")["prompt"] for r in done.readings.values()]
    assert asked == ["a", "a", "a", "b", prompt().text, prompt().text]


# --- answers, controls, failures ---------------------------------------------------------------------------------


def test_a_perfect_reader_is_perfect_and_the_log_alone_says_so(opened) -> None:
    with opened() as tasks:
        runs = {name: tasks.run(cell("Seer"), name) for name in TASKS}
        for name, run in runs.items():
            assert run.result.main.value == 1.0, name
            assert not run.result.failures
            assert main_gate(run)[0].verdict is Verdict.NO_BUDGET
            prior = tasks.control(BLIND_PRIOR, name)
            expected = answered(run.result.task, list(run.result.questions.values()), tasks.policy(BLIND_PRIOR, name))
            assert prior.main == expected.metrics[run.result.task.main]
            assert tasks.control(PERFECT, name).main.value == 1.0
        assert above_gate(runs["attributes"])[0].verdict is Verdict.PASS
        assert tasks.control(ENUMERATOR, CAPTION.name).summary.metrics["object_recall"].value == 1.0
        log = tasks.session.log.path
        identity = tasks.folder.identity
    evidence = read_evidence(log)
    assert evidence.passes == {}, "no pass over documents"
    assert evidence.picture_set is not None
    assert (evidence.picture_set.identity, len(evidence.picture_set.pictures)) == (identity, 6)
    found = {(r.cell, r.task.name): r for r in task_results(evidence)}
    assert {c for c, _ in found} == {cell("Seer").id, *CONTROLS}
    assert {key for key in found if key[0] == ENUMERATOR} == {(ENUMERATOR, CAPTION.name)}
    for name, run in runs.items():
        again = found[cell("Seer").id, name]
        assert again.main == run.result.main
        assert again.costs["latency_s"].value == run.result.costs["latency_s"].value
        assert again.costs["output_tok_per_s"].value == pytest.approx(250)


def test_failures_are_typed_and_no_wrong_answers(opened) -> None:
    with opened(tasks="colour,caption_brief") as tasks:
        run = tasks.run(cell("Fainter"), "colour")
        every, lost = len(run.result.questions), sum(q.number % 2 for q in run.result.questions.values())
        assert 0 < lost < every
        assert run.result.failures == {Failure.ERROR: lost}
        assert run.result.main.value == 1.0, "what was answered was right"
        assert run.result.success.value == pytest.approx((every - lost) / every)
        assert answered_gate(run)[0].verdict is Verdict.FAIL
        assert answered_gate(tasks.run(cell("Fainter"), "caption_brief"))[0].verdict is Verdict.PASS


def test_who_does_not_look_is_said_to_be_no_better_than_blind(opened) -> None:
    with opened(tasks="common_sense,caption_brief") as tasks:
        for name in ("common_sense", "caption_brief"):
            (gate,) = above_gate(tasks.run(cell("Guesser"), name))
            assert gate.verdict is Verdict.RECORDED
            assert "not shown to be above" in gate.message


def test_random_weights_have_costs_and_no_score(opened) -> None:
    with opened(tasks="counting") as tasks:
        run = tasks.run(cell("Random"), "counting")
    assert run.result.unjudged is not None
    assert not run.result.judgements
    assert (main_gate(run), above_gate(run)) == ([], [])
    assert run.result.costs["latency_s"].value is not None


def test_asked_once_more(opened) -> None:
    with opened(tasks="counting") as tasks:
        for name, verdict in (("Seer", Verdict.PASS), ("Changing", Verdict.FAIL)):
            again, first = tasks.repeat(cell(name), "counting", 3)
            assert len(again.result.questions) < len(first.result.questions)
            assert same_gate(again, first)[0].verdict is verdict
        log = tasks.session.log.path
    told = {c.reference: c for c in consistency(task_results(read_evidence(log)))}
    assert told[cell("Seer").id].same_text == told[cell("Seer").id].questions > 0
    assert told[cell("Changing").id].same_text == 0


def test_a_question_that_failed_when_asked_once_more_is_not_the_same(opened) -> None:
    with opened(tasks="counting") as tasks:
        again, first = tasks.repeat(cell("Seer"), "counting", 3)
    failed = {key: replace(r, text=None, failure=Failure.CRASH) for key, r in again.result.readings.items()}
    one = next(iter(failed))
    for answers, verdict in ((1, Verdict.FAIL), (0, Verdict.INCONCLUSIVE)):
        readings = failed if not answers else {**failed, one: again.result.readings[one]}
        run = replace(again, result=replace(again.result, readings=readings))
        (gate,) = same_gate(run, first)
        assert gate.verdict is verdict
        assert gate.message.endswith(f"; {len(failed) - answers} had no answer this time")
        assert same_gate(first, run)[0].verdict is Verdict.FAIL, "nor is one that failed at first"


# --- shared out --------------------------------------------------------------------------------------------------


def test_questions_are_shared_out_by_the_executor_of_the_session(opened) -> None:
    with opened(tasks="counting,colour,reading") as tasks:
        here = {name: tasks.run(cell("Fainter"), name).result for name in tasks.options.tasks}
    with opened(tasks="counting,colour,reading") as tasks:
        tasks.session.executor = cluster = InlineExecutor(2)
        there = {name: tasks.run(cell("Fainter"), name).result for name in tasks.options.tasks}
        log = tasks.session.log.path
    (asked,) = cluster.passes
    assert asked.tasks == tasks.options.tasks, "one pass, and no control is a worker's"
    for name, result in there.items():
        assert result.summary == here[name].summary
        assert result.failures == here[name].failures
        assert [r.text for r in result.readings.values()] == [r.text for r in here[name].readings.values()]
    written = [json.loads(line) for line in log.read_text().splitlines() if '"record": "reading"' in line]
    own = [r for r in written if r["cell"] == cell("Fainter").id]
    assert sorted(r["document"] for r in own) == sorted(tasks.questions), "each once"
    assert {r["facts"]["worker"] for r in own} == {0, 1}


def test_a_run_that_was_cut_goes_on_elsewhere(opened) -> None:
    with opened(tasks="counting") as tasks:
        whole = tasks.run(cell("Seer"), "counting").result
        log = tasks.session.log.path
    lines = log.read_bytes().splitlines(keepends=True)
    own = [i for i, line in enumerate(lines) if b'"record": "reading"' in line and b"Seer" in line]
    log.write_bytes(b"".join(lines[: own[2]]))
    with opened("--eval-resume", tasks="counting") as tasks:
        tasks.session.executor = InlineExecutor(2)
        again = tasks.run(cell("Seer"), "counting").result
    assert again.main == whole.main
    assert sum("worker" not in r.facts for r in again.readings.values()) == 2, "what had been read here is kept"


# --- resuming ----------------------------------------------------------------------------------------------------


def test_a_run_that_was_cut_goes_on_where_it_ended(opened) -> None:
    with opened(tasks="counting,colour") as tasks:
        whole = tasks.run(cell("Seer"), "colour").result
        log = tasks.session.log.path
    lines = log.read_bytes().splitlines(keepends=True)
    own = [i for i, line in enumerate(lines) if b'"record": "reading"' in line and b"Seer" in line]
    log.write_bytes(b"".join(lines[: own[2]]) + lines[own[2]][:40])
    with opened("--eval-resume", tasks="counting,colour") as tasks:
        again = tasks.run(cell("Seer"), "colour").result
    assert again.main == whole.main
    evidence = log.read_bytes().splitlines()
    readings = [line for line in evidence if b'"record": "reading"' in line and b"Seer" in line]
    assert len(readings) == len(own), "no question was asked twice"
    assert sum(b'"record": "question"' in line for line in evidence) == len(read_evidence(log).questions)


def test_a_larger_sample_asks_only_what_was_not_asked(opened) -> None:
    with opened(tasks="counting") as tasks:
        few = tasks.run(cell("Seer"), "counting").result
        log = tasks.session.log.path
    with opened("--eval-resume", tasks="counting", pictures="9") as tasks:
        more = tasks.run(cell("Seer"), "counting").result
    assert few.questions.keys() < more.questions.keys() == more.answered.keys()
    readings = [line for line in log.read_bytes().splitlines() if b'"record": "reading"' in line and b"Seer" in line]
    assert len(readings) == len(more.questions)


def test_nobody_is_asked_anything(opened) -> None:
    with opened(tasks="none") as tasks:
        log = tasks.session.log.path
    assert read_evidence(log).picture_set is None


def test_other_pictures_cannot_be_gone_on_with(opened) -> None:
    with opened(tasks="counting") as tasks:
        tasks.run(cell("Seer"), "counting")
        log, target = tasks.session.log.path, next(iter(tasks.questions.values())).prompt
    log.write_text(log.read_text().replace(json.dumps(target), json.dumps("Something else?")))
    refused = pytest.raises(EvidenceError, match=r"cannot resume: counting/\S+ is not what was asked about then")
    with refused, opened("--eval-resume", tasks="counting"):
        pass


# --- budgets -----------------------------------------------------------------------------------------------------


def test_a_budget_is_for_the_pictures_that_it_names(opened, tmp_path: Path) -> None:
    path = tmp_path / "budgets.toml"
    entry = '[[tasks]]\nmodel = "{}"\nquantization = "none"\npictures = "{}"\n{} = {}\n'
    with opened(tasks="caption_brief") as tasks:
        identity = tasks.folder.identity
    path.write_text(entry.format(cell("Seer").model, identity[:12], "caption_brief", 0.4))
    with opened("--eval-budgets", str(path), tasks="caption_brief") as tasks:
        (gate,) = main_gate(tasks.run(cell("Seer"), "caption_brief"))
    assert (gate.metric, gate.verdict, gate.limit) == ("caption_brief.object_f1", Verdict.PASS, 0.4)
    assert load_budgets(path).tasks(cell("Seer").model, "none", "0" * 64) == {}
    for name, limit, said in (("countin", 0.5, "did you mean counting"), ("counting", 3, "from 0 to 1")):
        path.write_text(entry.format("x", identity[:12], name, limit))
        with pytest.raises(BudgetError, match=said):
            load_budgets(path)


# --- the whole suite ---------------------------------------------------------------------------------------------


def test_the_suite_asks_judges_and_reports(corpus: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "evals/test_scenes.py", "-p", "no:cacheprovider"),
            *("-p", "tests.without_figures", "--eval-models", f"{BACKENDS}.Seer,{BACKENDS}.Guesser"),
            *("--eval-tasks", "caption_brief,reading", "--eval-pictures", "8", "--eval-determinism-documents", "0"),
            *("--eval-documents", str(corpus), "--eval-report", str(tmp_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Seer: above the blind prior in 1 of 2 tasks, 8/8 answered" in done.stdout
    assert "Guesser: above the blind prior in 0 of 2 tasks, 8/8 answered" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    scores = {(r["cell"], r["task"]): r for r in report["pictures"]["results"]}
    assert scores[cell("Seer").id, "caption_brief"]["metrics"]["object_f1"]["value"] == 1.0
    assert scores[cell("Seer").id, "caption_brief"]["above_blind_prior"] is True
    assert scores[cell("Guesser").id, "caption_brief"]["above_blind_prior"] is False
    assert {g["metric"] for g in report["gates"]} >= {"caption_brief.object_f1", "reading.above_blind_prior"}
    assert "## Picture understanding" in (tmp_path / "report.md").read_text()
    assert "Picture understanding" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "tables" / "picture_answers.csv").exists()
