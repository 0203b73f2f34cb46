"""A whole session of a real model: measured once, and not again when it is resumed."""

from __future__ import annotations

import pytest

from fixtures.options import EvalOptions
from fixtures.session import open_session
from harness.evidence import Evidence, read_evidence
from harness.model_facts import loaded_facts
from harness.roofline.loaded import loaded_architecture
from harness.roofline.work import unquantised_bytes
from reports.summary import summarise
from tests.eval_options import parse_options
from tests.pixel_pages import receipts, write_corpus
from tests.test_session import silent

CELL = "tiny-bf16"


def run(options: EvalOptions) -> Evidence:
    with open_session(options, silent) as session:
        for cell in options.cells:
            session.run(cell)
            session.sweep(cell)
    return read_evidence(options.report / "evidence.jsonl")


def records(evidence: Evidence) -> int:
    return evidence.path.read_text().count('"record": "ceilings"')


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    pytest.importorskip("transformers")
    from tests.tiny_models import build_mllama

    folder = tmp_path_factory.mktemp("session")
    build_mllama(folder / "models" / "tiny")
    corpus = write_corpus(folder / "corpus", receipts(1))
    asked = ["--eval-models", "tiny", "--eval-quantization", "bf16", "--eval-sweep", "2"]
    return [
        *asked,
        "--eval-output-tokens",
        "6",
        "--eval-model-root",
        str(folder / "models"),
        "--eval-documents",
        str(corpus),
    ]


@pytest.fixture(scope="module")
def evidence(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return run(parse_options(*options, report=tmp_path_factory.mktemp("report")))


def test_the_device_is_measured_once(evidence: Evidence) -> None:
    assert list(evidence.ceilings) == [("cpu", "bfloat16")]
    assert records(evidence) == 1


def test_the_model_tells_shapes_and_the_bytes_that_are_stored(evidence: Evidence) -> None:
    facts = loaded_facts(evidence.cells[CELL])
    whole = unquantised_bytes(loaded_architecture(facts), 2)
    assert facts["linears_bytes.model.language_model"] == whole.decoder
    assert facts["linears_bytes.lm_head"] == whole.head
    # biases, which are no matrix
    told = facts["linears_bytes.model.vision_model"] + facts["linears_bytes.model.multi_modal_projector"]
    assert whole.vision < told < 1.02 * whole.vision


def test_every_number_has_its_distance(evidence: Evidence) -> None:
    (found,) = summarise(evidence).distances
    assert (found.cell, found.device, found.dtype, list(found.not_known)) == (CELL, "cpu", "bfloat16", [])
    assert [d.quantity for d in found.distances] == ["ttft_s", "tpot_s", "images_per_s"]
    for distance in found.distances:
        assert distance.limit > 0
        assert distance.times > 1, "no tiny model keeps a processor busy"


def test_a_resumed_session_does_not_measure_again(options: list[str], evidence: Evidence) -> None:
    again = run(parse_options(*options, "--eval-resume", report=evidence.path.parent))
    assert records(again) == 1
    assert again.ceilings == evidence.ceilings
