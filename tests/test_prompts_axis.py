"""Prompts as an axis: the texts, the cells, one session with several of them, and the report that compares them."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.session import EvalSession, open_session
from harness.cells import Cell, Role
from harness.errors import EvidenceError, PromptError, UnknownNameError
from harness.evidence import CellRecord, PassRecord, ReadingRecord, Record, read_evidence
from harness.prompts import ALTERNATIVES, Prompt, prompt, prompt_name, prompts_asked, recorded_fingerprint
from harness.responses import NoteKind, parse_response
from harness.schema import FIELD_NAMES, FIELDS
from reports.identity import identity_of
from reports.prompts import compare_prompts, prompts_parts
from reports.report_json import report_json
from reports.summary import Summary, summarise
from tests import report_evidence as evidence
from tests.eval_options import parse_options
from tests.pixel_pages import receipts, write_corpus

ROOT = Path(__file__).parent.parent
BACKEND = "python:tests.prompt_backends.Obedient"
CATALOGUE = f"""
[[model]]
id = "mine"
source = "./none"
backend = "{BACKEND}"

[[model]]
id = "jason"
source = "./none"
backend = "{BACKEND}"
prompt = "json"
"""
MINE = Cell(model="mine", quantization="fp32")


# --- the texts ---------------------------------------------------------------------------------------------------


def test_the_json_prompt_names_every_field_once_and_is_itself_no_answer() -> None:
    """A changed prompt makes runs incomparable: change it knowingly."""
    asked = prompt("json")
    shape = json.loads(asked.text.partition("\n\n")[2])
    assert list(shape) == list(FIELD_NAMES)
    assert shape["TOTAL"] == f"[{FIELDS['TOTAL'].description}]"
    assert shape["PRICES"] == [f"[{FIELDS['PRICES'].description}]"]
    assert parse_response(asked.text).fields == {}, "a model that echoes the prompt has answered nothing"
    assert asked.fingerprint == "fa916ae65829"


def test_an_answer_as_the_json_prompt_wants_it_is_read() -> None:
    answer = dict.fromkeys(FIELD_NAMES) | {
        "TOTAL": "$5.00",
        "PRICES": ["$2.00", "$3.00"],
        "DESCRIPTIONS": ["a, b", "c"],
    }
    found = parse_response(json.dumps(answer, indent=2))
    assert found.has(NoteKind.JSON)
    assert found.fields == dict.fromkeys(FIELD_NAMES) | {
        "TOTAL": "$5.00",
        "PRICES": "$2.00 | $3.00",
        "DESCRIPTIONS": "a, b | c",
    }


def test_a_prompt_has_its_name_back_by_its_text() -> None:
    names = ["key-value", "key-value/dates", *ALTERNATIVES]
    assert [prompt_name(prompt(name).text) for name in names] == names
    assert prompt_name("Read this.") == ""


def test_a_prompt_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "terse-2.txt"
    path.write_text("\nWhat is the total?\n")
    assert prompts_asked(["json", str(path)]) == (prompt("json"), Prompt(name="terse-2", text="What is the total?"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.txt", None, "absent.txt: cannot be read as a prompt"),
        ("empty.txt", " \n", "an empty prompt asks nothing"),
        ("two words.txt", "x", "'two words' cannot be a prompt's name"),
        ("a@b.txt", "x", "'a@b' cannot be a prompt's name"),
        ("json.txt", "x", "json is the name of a prompt of this project"),
        ("bytes.txt", b"\xff\xfe\x00", "cannot be read as a prompt"),
    ],
)
def test_a_file_that_is_no_prompt_is_named(
    tmp_path: Path, name: str, content: str | bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(PromptError, match=message):
        prompts_asked([str(tmp_path / name)])


def test_names_are_told_from_paths_and_from_each_other(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.txt").write_text(folder)
    with pytest.raises(PromptError, match="a second prompt of the name same"):
        prompts_asked([str(tmp_path / folder / "same.txt") for folder in ("one", "two")])
    with pytest.raises(UnknownNameError, match=r"unknown prompt 'jsn'; did you mean json\?"):
        prompts_asked(["jsn"])


# --- the cells ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("catalogue") / "catalogue.toml"
    path.write_text(CATALOGUE)
    return path


@pytest.fixture
def options(catalogue: Path, tmp_path: Path):
    def parsed(*arguments: str, models: str = "mine"):
        given = ("--eval-catalogue", str(catalogue), "--eval-models", models)
        modes = ("--eval-quantization", "fp32,nf4") if "mine" in models else ()
        return parse_options(*given, *modes, *arguments, report=tmp_path)

    return parsed


def ids(cells) -> list[str]:
    return [cell.id for cell in cells]


def test_only_another_prompt_than_the_models_own_is_in_the_id(options) -> None:
    assert ids(options().cells) == ["mine-fp32", "mine-nf4"]
    assert options("--eval-prompts", "key-value").cells == options().cells
    both = options("--eval-prompts", "json,key-value", models="ocr-rules,mine,jason")
    assert ids(both.cells) == [
        "ocr-rules",  # which follows no prompt
        *("mine-fp32/json", "mine-nf4/json", "mine-fp32", "mine-nf4"),
        *("jason-fp32", "jason-nf4", "jason-fp32/key-value", "jason-nf4/key-value"),
    ]


def test_a_backend_of_your_own_is_asked_by_each_prompt(options) -> None:
    found = options("--eval-prompts", "key-value,json", models=f"{BACKEND},mine").cells
    assert ids(found)[:2] == [BACKEND, f"{BACKEND}/json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--eval-prompts", "jsn"), "--eval-prompts: unknown prompt 'jsn'; did you mean json.*; a file is given by"),
        (("--eval-prompts", ","), "--eval-prompts: name at least one prompt"),
        (("--eval-prompts", "./absent.txt"), "--eval-prompts: absent.txt: cannot be read"),
        (
            ("--eval-prompts", "key-value,json", "--eval-strategies", "single,multi"),
            r"--eval-prompts: json cannot be asked by category \(--eval-strategies multi\); only key-value can",
        ),
    ],
)
def test_mistaken_options_are_named(options, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(pytest.UsageError, match=message):
        options(*arguments)


def test_prompts_are_refused_where_nothing_follows_them(options) -> None:
    with pytest.raises(pytest.UsageError, match="--eval-prompts: ocr-rules takes no such option"):
        options("--eval-prompts", "json", models="ocr-rules")


def test_strategies_that_ask_the_whole_go_with_any_prompt(options) -> None:
    found = options("--eval-prompts", "json", "--eval-strategies", "single,ocr-fallback").cells
    assert ids(found)[-1] == "mine-nf4+ocr-fallback/json"
    assert ids(options("--eval-prompts", "key-value", "--eval-strategies", "multi").cells)[0] == "mine-fp32+multi"


@pytest.mark.parametrize(
    "cell",
    [
        replace(MINE, prompt="json"),
        replace(MINE, prompt="key-value/line-items", strategy="ocr-fallback", batch_size=8, device="cuda:0", repeat=2),
        replace(MINE, prompt="a.b-c_2", weights="dummy", sweep=True),
        replace(MINE, model="python:a.B", quantization="none", prompt="json"),
        MINE,
        Cell(model="owner/name"),
    ],
)
def test_a_report_knows_the_prompt_of_a_cell_by_its_id(cell: Cell) -> None:
    assert identity_of(_result(cell, cell.id)) == cell


@pytest.mark.parametrize("name", ["mine-fp32/json/x@b8", "imported/json", "mine/json-fp32"])
def test_an_id_that_was_written_by_others_tells_no_prompt(name: str) -> None:
    assert identity_of(_result(MINE, name)) == MINE


def _result(cell: Cell, name: str):
    from harness.results import result_of

    load = CellRecord(
        cell=name,
        model=cell.model,
        quantization=cell.quantization,
        runtime=cell.runtime,
        device=cell.device,
        role=cell.role,
        batch_size=cell.batch_size,
        strategy=cell.strategy,
        repeat=cell.repeat,
    )
    return result_of(name, cell.role, {}, [load], {})


# --- a session ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def silent(cell: str, total: int) -> Iterator[Callable[[ReadingRecord], None]]:
    yield lambda reading: None


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), receipts(8))


@pytest.fixture
def session(corpus: Path, catalogue: Path, tmp_path: Path):
    """Opens a session with more options; `mine` has a limit on quality and one on cost."""
    from harness.documents import load_corpus

    budgets = tmp_path / "budgets.toml"
    budgets.write_text(
        f'[[quality]]\nmodel = "mine"\nquantization = "fp32"\ncorpus = "{load_corpus(corpus).identity}"\nf1 = 0.9\n'
        '[[cost]]\nmodel = "mine"\nquantization = "fp32"\ndevice = "cpu"\nlatency_s = 9.0\n'
    )

    @contextlib.contextmanager
    def opened(*arguments: str) -> Iterator[EvalSession]:
        given = ("--eval-catalogue", str(catalogue), "--eval-documents", str(corpus), "--eval-models", "mine")
        given += ("--eval-budgets", str(budgets), *arguments)
        with open_session(parse_options(*given, report=tmp_path / "out"), silent) as found:
            yield found

    return opened


def test_evidence_of_the_models_own_prompt_is_as_without_the_option(session) -> None:
    with session() as found:
        found.run(MINE, found.documents_of(MINE, 1))
    (plain,) = read_evidence(found.log.path).runs
    settings = read_evidence(found.log.path).passes["mine-fp32"].settings
    assert plain.prompt == {"name": "key-value", "fingerprint": "06f52b4d1cde"}
    assert "prompts" not in plain.options
    with session("--eval-prompts", "key-value,json") as found:
        run = found.run(MINE, found.documents_of(MINE, 1))
    assert read_evidence(found.log.path).passes["mine-fp32"].settings == settings
    assert (run.quality_limits, run.cost_limits) == ({"f1": 0.9}, {"latency_s": 9.0})


def test_another_prompt_is_asked_recorded_and_has_no_limits(session, tmp_path: Path) -> None:
    path = tmp_path / "terse.txt"
    path.write_text("What is the total?")
    with session("--eval-prompts", f"json,{path}") as found:
        cells = [replace(MINE, prompt=name) for name in ("json", "terse")]
        runs = [found.run(cell) for cell in cells]
    log = read_evidence(found.log.path)
    assert [log.passes[c.id].prompt for c in cells] == ["json", "terse"]
    assert [recorded_fingerprint(log, c.id) for c in cells] == [p.fingerprint for p in found.options.prompts]
    assert log.runs[0].prompt["texts"] == {"json": prompt("json").text, "terse": "What is the total?"}
    assert str(tmp_path) not in found.log.path.read_text(), "no folder elsewhere is written down"
    json_text, terse_text = (next(iter(run.result.readings.values())).text for run in runs)
    assert json.loads(json_text or "")["SUPPLIER"] == "Shop 0"
    assert terse_text == "TOTAL: $1.00"
    assert not any((run.quality_limits, run.cost_limits, run.limits_elsewhere) != ({}, {}, {}) for run in runs)


def test_a_run_goes_on_with_one_more_prompt_and_not_with_a_changed_one(session, tmp_path: Path) -> None:
    path = tmp_path / "terse.txt"
    path.write_text("What is the total?")
    terse = replace(MINE, prompt="terse")
    with session() as found:
        found.run(MINE)
    with session("--eval-resume", "--eval-prompts", f"key-value,{path}") as found:
        assert len(found.run(MINE).fresh) == 0
        assert len(found.run(terse, found.documents_of(terse, 2)).fresh) == 2
    path.write_text("What is the total, please?")
    with (
        session("--eval-resume", "--eval-prompts", f"key-value,{path}") as found,
        pytest.raises(EvidenceError, match=r"settings of mine-fp32/terse changed .*prompt_fingerprint \w{12}, now \w"),
    ):
        found.run(terse)


def test_the_fingerprint_of_a_models_own_prompt_is_known_where_the_log_has_its_text(session) -> None:
    jason = Cell(model="jason", quantization="fp32")
    with session("--eval-models", "jason", "--eval-prompts", "json") as found:
        found.run(jason, found.documents_of(jason, 1))
    assert recorded_fingerprint(read_evidence(found.log.path), jason.id) == prompt("json").fingerprint
    with session("--eval-models", "jason") as found:
        found.run(jason, found.documents_of(jason, 1))
    assert recorded_fingerprint(read_evidence(found.log.path), jason.id) is None


def test_the_suite_runs_two_prompts_and_the_report_tells_which_is_better(corpus, catalogue, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "evals/test_accuracy.py",
                "evals/test_controls.py",
                "-p",
                "no:cacheprovider",
            ),
            *("-p", "tests.without_figures", "--eval-catalogue", str(catalogue), "--eval-models", "ocr-rules,mine"),
            *("--eval-quantization", "fp32", "--eval-documents", str(corpus), "--eval-report", str(tmp_path)),
            *("--eval-prompts", "key-value,json", "-k", "f1 or (blind and mine)"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    passes = read_evidence(tmp_path / "evidence.jsonl").passes
    assert [name for name in passes if "mine" in name] == ["mine-fp32", "mine-fp32/json", "blind:mine-fp32@b8"]
    assert passes["mine-fp32"].documents == passes["mine-fp32/json"].documents
    report = (tmp_path / "report.md").read_text()
    answer = r"- mine-fp32: \*\*json reads worse than key-value\*\*: -20.0 points of F1, p 0.0078, n 8\."
    assert re.search(answer, report), report[report.index("## Prompts") :][:900]
    assert "| mine-fp32/json | mine-fp32 | 8: TOTAL 8 | 0 |" in report


# --- the report --------------------------------------------------------------------------------------------------


def asked_by(name: str, skill: float, *, count: int = 24, seed: int = 1, random: bool = False) -> list[Record]:
    """A cell of `mine` asked by another prompt, or by its own if `name` is empty."""
    cell = replace(MINE, prompt=name).id
    how = {"model": "mine", "quantization": "fp32"}
    facts = {"random_weights": True} if random else {}
    asked = evidence.documents(count)
    told = {"how": how, "load_facts": facts, "seed": seed}
    opened, *rest = evidence.candidate(cell, asked, skill=skill, seconds=1.0, base=10**8, **told)
    assert isinstance(opened, PassRecord)
    settings = {"prompt_fingerprint": f"of {name}"} if name else {}
    return [replace(opened, prompt=name or "key-value", settings=settings), *rest]


def summary_of(folder: Path, *cells: list[Record]) -> Summary:
    records = [*evidence.opening(evidence.documents(24)), *(record for cell in cells for record in cell)]
    return summarise(read_evidence(evidence.write(folder / "log.jsonl", records)))


def test_a_worse_prompt_is_told_with_its_numbers(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, asked_by("", 0.98), asked_by("json", 0.6, seed=2))
    (found,) = compare_prompts(summary.candidates)
    assert found.told_apart
    assert found.f1 is not None
    assert (found.f1.a, found.f1.b) == ("mine-fp32/json", "mine-fp32")
    assert found.f1.high is not None
    assert found.f1.high < 0
    text = "\n".join(prompts_parts(summary))
    assert "- mine-fp32: **json reads worse than key-value**: -" in text
    assert "| mine-fp32 | key-value | abcdef012345 |" in text
    assert "| mine-fp32/json | json | of json |" in text


def test_the_first_prompt_is_what_the_others_are_measured_against(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, asked_by("json", 0.6), asked_by("", 0.98, seed=2), asked_by("terse", 0.6, seed=3))
    found = compare_prompts(summary.candidates)
    assert [(one.cell.cell, one.first.cell) for one in found] == [
        ("mine-fp32", "mine-fp32/json"),
        ("mine-fp32/terse", "mine-fp32/json"),
    ]
    assert [one.f1.family for one in found if one.f1] == [2, 2], "p adjusted for both"
    assert [one.told_apart for one in found] == [True, False]
    text = "\n".join(prompts_parts(summary))
    assert "**key-value reads better than json**" in text
    assert re.search(r"\*terse\* and \*json\* are not told apart: .*; a drop of \d+\.\d points would have", text)


def test_the_same_answers_are_no_difference(tmp_path: Path) -> None:
    (found,) = compare_prompts(summary_of(tmp_path, asked_by("", 0.9), asked_by("again", 0.9)).candidates)
    assert not found.told_apart
    assert found.f1 is not None
    assert (found.f1.value, found.f1.changed, found.detectable) == (0, 0, None)


@pytest.mark.parametrize(("count", "told_apart"), [(24, True), (2, False)])
def test_a_prompt_that_nothing_comes_of_is_told_by_p_alone(tmp_path: Path, count: int, told_apart: bool) -> None:
    """The same difference on every document has no interval."""
    silent = [
        replace(r, text="?") if isinstance(r, ReadingRecord) else r for r in asked_by("json", 1.0, count=count, seed=2)
    ]
    perfect = [
        replace(r, text="\n".join(f"{k}: {v or 'N/A'}".replace("\n", " ") for k, v in d.truth.items()))
        for r in asked_by("", 1.0, count=count)
        if isinstance(r, ReadingRecord)
        for d in evidence.documents(count)
        if d.document == r.document
    ]
    opened = [r for r in asked_by("", 1.0, count=count) if not isinstance(r, ReadingRecord)]
    (found,) = compare_prompts(summary_of(tmp_path, [*opened, *perfect], silent).candidates)
    assert found.f1 is not None
    assert (found.f1.value, found.f1.low, found.f1.n) == (-1, None, count)
    assert found.told_apart is told_apart


def test_random_weights_are_not_scored_by_prompt_either(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, asked_by("", 0.9, random=True), asked_by("json", 0.5, random=True))
    (found,) = compare_prompts(summary.candidates)
    assert found.f1 is None
    assert found.latency.value is not None
    assert "*json* and *key-value* cannot be compared: random weights." in "\n".join(prompts_parts(summary))


def test_one_prompt_is_no_section_and_no_key(tmp_path: Path) -> None:
    alone = summary_of(tmp_path, asked_by("", 0.9))
    assert prompts_parts(alone) == []
    assert "prompt" not in json.loads(report_json(alone))["cells"][0]["identity"]
    both = summary_of(tmp_path, asked_by("", 0.9), asked_by("json", 0.9, seed=2))
    assert [c["identity"].get("prompt") for c in json.loads(report_json(both))["cells"]] == [None, "json"]


def test_a_control_asked_by_two_prompts_is_not_compared(tmp_path: Path) -> None:
    cells = [asked_by(name, 0.9) for name in ("", "json")]
    controls = [
        [replace(r, role=Role.CONTROL) if isinstance(r, PassRecord | CellRecord) else r for r in cell] for cell in cells
    ]
    assert prompts_parts(summary_of(tmp_path, *controls)) == []
