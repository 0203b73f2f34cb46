"""One evaluation session: which documents a cell reads, what its worker constructs, what is run once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.judging import quality_gates
from fixtures.session import BLIND_DOCUMENTS, EvalSession, open_session
from harness.cells import Cell, Role
from harness.errors import EvidenceError
from harness.evidence import ReadingRecord, read_evidence
from harness.gates import Verdict, judge_blind
from harness.metrics import measured
from harness.results import cell_results
from harness.statistics import ratio_interval
from tests.eval_options import parse_options
from tests.pixel_pages import receipts, write_corpus

CATALOGUE = """
[[model]]
id = "pixels"
source = "./none"
backend = "python:tests.pixel_pages.Model"
default_documents = 24
max_new_tokens = 99
"""
PIXELS = Cell(model="pixels", quantization="fp32")
OWN = Cell(model="python:tests.pixel_pages.Reader")


@contextlib.contextmanager
def silent(cell: str, total: int) -> Iterator[Callable[[ReadingRecord], None]]:
    yield lambda reading: None


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), receipts(40))


@pytest.fixture
def session(corpus: Path, tmp_path: Path):
    """Opens a session with more options."""
    path = tmp_path / "catalogue.toml"
    path.write_text(CATALOGUE)

    @contextlib.contextmanager
    def opened(*arguments: str) -> Iterator[EvalSession]:
        given = ("--eval-catalogue", str(path), "--eval-documents", str(corpus), "--eval-models", "pixels")
        with open_session(parse_options(*given, *arguments, report=tmp_path / "out"), silent) as found:
            yield found

    return opened


def test_samples_are_nested_so_that_cells_can_be_compared(session) -> None:
    with session() as found:
        whole, sample = set(found.documents_of(OWN)), set(found.documents_of(PIXELS))
        few = set(found.documents_of(PIXELS, 8))
        blind = set(found.documents_of(replace(PIXELS, model="blind:pixels", role=Role.CONTROL)))
        assert len(found.documents_of(PIXELS, 99)) == 24, "never more than the cell's own"
    assert (len(whole), len(blind), len(sample), len(few)) == (40, BLIND_DOCUMENTS, 24, 8)
    assert few < sample < blind < whole


@pytest.mark.parametrize(("limit", "expected"), [("all", 40), ("12", 12), ("30", 30)])
def test_a_limit_is_for_every_model(session, limit: str, expected: int) -> None:
    with session("--eval-limit", limit) as found:
        assert len(found.documents_of(PIXELS)) == len(found.documents_of(OWN)) == expected
        assert found.log.path.exists()
    (run,) = read_evidence(found.log.path).runs
    assert (run.corpus["documents"], run.corpus["whole"]) == (expected, 40)


def test_a_worker_constructs_what_the_catalogue_says(session) -> None:
    with session("--eval-allow-network", "--eval-trust-remote-code", "pixels") as found:
        request = found.request(replace(PIXELS, model="blind:pixels", device="cuda:1", strategy="multi"))
        assert request.backend == "blind:python:tests.pixel_pages.Model"
        assert (request.quantization, request.device, request.strategy) == ("fp32", "cuda:1", "multi")
        assert request.settings["allow_network"] is request.settings["trust_remote_code"] is True
        assert request.settings["max_new_tokens"] == 99
        assert found.request(OWN).settings == {}
    with session() as found:
        assert not {"allow_network", "trust_remote_code"} & set(found.request(PIXELS).settings)


def test_a_cell_runs_once_and_over_the_documents_it_is_given(session) -> None:
    check = replace(PIXELS, repeat=2, role=Role.CHECK)
    with session() as found:
        few = found.documents_of(PIXELS, 3)
        run = found.run(check, few)
        assert list(run.result.documents) == list(few)
        assert found.run(check) is found.run(check, few[:1]) is run
        with pytest.raises(ValueError, match=r"pixels-fp32#2 was run without page"):
            found.run(check, found.documents_of(PIXELS, 4))
    evidence = read_evidence(found.log.path)
    assert (evidence.passes[check.id].role, evidence.passes[check.id].prompt) == (Role.CHECK, "key-value")
    assert evidence.cells[check.id][0].repeat == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max_new_tokens = 99", "max_new_tokens = 98", "max_new_tokens 99, now 98"),
        ("max_new_tokens = 99", 'settings = { shape = "a" }', "max_new_tokens 99, now 1024; shape not set, now a"),
        ("max_new_tokens = 99", 'max_new_tokens = 99\nfamily = "mllama"', "family not set, now mllama"),
        ("max_new_tokens = 99", 'prompt = "key-value/dates"\nmax_new_tokens = 99', "prompt key-value, now .*/dates"),
        ("./none", "owner/name", r"source none \(folder \w{6}\), now owner/name"),
        ("./none", "./elsewhere/none", r"source none \(folder (\w{6})\), now none \(folder (?!\1)\w{6}\)"),
    ],
)
def test_a_run_under_other_settings_is_not_continued(session, tmp_path: Path, old: str, new: str, message: str) -> None:
    catalogue = tmp_path / "catalogue.toml"
    with session() as found:
        found.run(PIXELS, found.documents_of(PIXELS, 2))
    before = found.log.path.read_text()
    assert str(tmp_path) not in before, "no folder elsewhere is written down"
    catalogue.write_text(CATALOGUE.replace(old, new))
    with session("--eval-resume") as found:
        with pytest.raises(EvidenceError, match=rf"the settings of pixels-fp32 changed since that run \({message}\);"):
            found.run(PIXELS, found.documents_of(PIXELS, 3))
        assert found.run(replace(PIXELS, quantization="nf4"), found.documents_of(PIXELS, 1)).loaded, "a cell of its own"
    catalogue.write_text(CATALOGUE)
    with session("--eval-resume", "--eval-allow-network") as found:  # a permission changes no answer
        run = found.run(PIXELS, found.documents_of(PIXELS, 3))
        assert (len(run.fresh), len(run.result.answered)) == (1, 3)


def test_answers_under_unknown_settings_are_not_continued(session) -> None:
    """Of a log that does not tell its settings, or whose line was lost."""
    with session() as found:
        found.run(PIXELS, found.documents_of(PIXELS, 1))
        found.run(OWN, found.documents_of(PIXELS, 1))
    log = found.log.path
    passes = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps({k: v for k, v in p.items() if k != "settings"}) + "\n" for p in passes))
    with session("--eval-resume") as found:
        assert found.run(OWN, found.documents_of(PIXELS, 1)).fresh == frozenset(), "a backend without any"
        with pytest.raises(EvidenceError, match=r"max_new_tokens not recorded, now 99; source not recorded, now none"):
            found.run(PIXELS, found.documents_of(PIXELS, 2))


def test_settings_under_which_nothing_was_answered_may_change(session, tmp_path: Path) -> None:
    int8 = replace(PIXELS, quantization="int8")
    with session() as found:
        assert not found.run(int8, found.documents_of(PIXELS, 1)).loaded
    (tmp_path / "catalogue.toml").write_text(CATALOGUE.replace("99", "98"))
    with session("--eval-resume") as found:
        assert len(found.run(int8, found.documents_of(PIXELS, 1)).fresh) == 1


def test_another_chat_template_is_not_continued(session, monkeypatch) -> None:
    with session() as found:
        found.run(PIXELS, found.documents_of(PIXELS, 1))
    monkeypatch.setenv("PIXEL_TEMPLATE", "b")
    said = r"the chat template of pixels changed since that run \(a, now b\)"
    with session("--eval-resume") as found, pytest.raises(EvidenceError, match=said):
        found.run(PIXELS, found.documents_of(PIXELS, 2))


def test_answers_of_a_fixed_length_are_not_scored(session) -> None:
    with session("--eval-output-tokens", "8") as found:
        run = found.run(PIXELS, found.documents_of(PIXELS, 2))
    assert run.result.fixed_length == 8
    assert "made exactly 8 tokens long" in (run.result.unjudged or "")
    assert quality_gates(run, "f1") == []
    (cell,) = cell_results(read_evidence(found.log.path)).values()
    assert cell.unjudged == run.result.unjudged, "the log says so too"
    with session("--eval-resume") as found, pytest.raises(EvidenceError, match="max_new_tokens 8, now 99"):
        found.run(PIXELS, found.documents_of(PIXELS, 2))


def test_as_many_blind_documents_as_a_proof_takes() -> None:
    def verdict(right: int, documents: int) -> Verdict:
        """Ten values are printed on each page; `right` of the pages give one of them away."""
        hits = [1.0] * right + [0.0] * (documents - right)
        return judge_blind({"recall": measured("recall", ratio_interval(hits, [10.0] * documents))}).verdict

    assert verdict(0, 21) is Verdict.INCONCLUSIVE
    assert verdict(0, 22) is Verdict.PASS
    assert verdict(2, BLIND_DOCUMENTS) is Verdict.PASS
