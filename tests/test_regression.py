"""Baselines as files, and what is not the same as in the baseline: each its own status, none a silent pass."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cells import Failure
from harness.errors import EvidenceError, UnknownNameError
from harness.evidence import CellRecord, DocumentRecord, PassRecord, ReadingRecord, Record, RunRecord
from harness.gates import Verdict
from harness.regression import Baseline, Kind, Margins, Status, compare, load_baseline, save_baseline
from harness.scoring import SCORER_VERSION
from tests.regression_evidence import edited, evidence, log, readings, right, sized, weighing, without_document
from tests.report_evidence import MIB, control, documents

H200 = {"name": "NVIDIA H200", "memory_bytes": 143 * 2**30, "driver": "570.1"}


# --- files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["b.json", "b.json.gz"])
def test_a_baseline_comes_back_as_it_was_saved(tmp_path: Path, name: str) -> None:
    baseline = Baseline.from_evidence(evidence(tmp_path, log(30, "a", "b")))
    path = save_baseline(baseline, tmp_path / "kept" / name)
    assert load_baseline(path) == baseline
    assert load_baseline(path).logs == baseline.logs != []
    first = path.read_bytes()
    assert save_baseline(baseline, path).read_bytes() == first
    if path.suffix == ".gz":
        assert first[4:8] == bytes(4)  # no time of writing


def test_a_baseline_is_much_smaller_than_its_log(tmp_path: Path) -> None:
    found = evidence(tmp_path, log(30))
    path = save_baseline(Baseline.from_evidence(found), tmp_path / "b.json.gz")
    assert path.stat().st_size < found.path.stat().st_size / 8


def test_what_is_no_baseline_is_refused(tmp_path: Path) -> None:
    def refused(content: bytes, words: str) -> None:
        path = tmp_path / "x.json.gz"
        path.write_bytes(content)
        with pytest.raises(EvidenceError, match=words):
            load_baseline(path)

    saved = save_baseline(Baseline.from_evidence(evidence(tmp_path, log(12))), tmp_path / "b.json")
    good = json.loads(saved.read_bytes())
    refused(b"", "damaged, or no baseline")
    refused(b"[]", "no baseline; make one with")
    refused(gzip.compress(saved.read_bytes())[:-40], "damaged, or no baseline")
    zipped = bytearray(gzip.compress(saved.read_bytes()))
    zipped[20:60] = b"\xff" * 40
    refused(bytes(zipped), "damaged, or no baseline")
    refused(json.dumps({**good, "schema": 99}).encode(), "schema 99")
    refused(json.dumps({**good, "documents": {}}).encode(), "does not belong")
    refused(json.dumps({**good, "device_class": 5}).encode(), "damaged")
    good["cells"]["tiny-vlm"][0]["readings"]["receipt_000.png"]["failure"] = "bored"
    refused(json.dumps(good).encode(), "bored")
    with pytest.raises(EvidenceError, match="cannot read"):
        load_baseline(tmp_path / "nowhere.json")


def test_a_log_without_a_candidate_is_no_baseline(tmp_path: Path) -> None:
    found = Baseline.from_evidence(evidence(tmp_path, log(6)[:7]))
    with pytest.raises(EvidenceError, match="no candidate"):
        save_baseline(found, tmp_path / "b.json")


def test_merging_adds_cells_and_repeats_and_counts_a_log_once(tmp_path: Path) -> None:
    a = Baseline.from_evidence(evidence(tmp_path / "1", log(30, "a")))
    again = Baseline.from_evidence(evidence(tmp_path / "2", log(30, "a", told=readings(seconds=1.01))))
    b = Baseline.from_evidence(evidence(tmp_path / "3", log(30, "b")))
    merged = a.merged(again).merged(b).merged(a)
    assert {cell: len(runs) for cell, runs in merged.cells.items()} == {"a": 2, "b": 1}
    assert load_baseline(save_baseline(merged, tmp_path / "m.json.gz")) == merged


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: log(30, run=_on(H200)), "keep one file"),
        (lambda: edited(log(30), DocumentRecord, lambda d: replace(d, truth={**d.truth, "TOTAL": "$1.00"})), "truth"),
        (lambda: log(30, load_facts={"weights_sha256": "new"}), "their weights differ"),
        (lambda: log(27), "the documents they read differ"),
    ],
)
def test_what_is_no_repeat_is_not_merged(tmp_path: Path, other: Callable[[], Sequence[Record]], words: str) -> None:
    a = Baseline.from_evidence(evidence(tmp_path / "1", log(30)))
    b = Baseline.from_evidence(evidence(tmp_path / "2", other()))
    with pytest.raises(EvidenceError, match=words):
        a.merged(b)


def test_controls_and_checks_are_no_part_of_a_baseline(tmp_path: Path) -> None:
    found = evidence(tmp_path, [*log(12), *control("all-na", documents(12))])
    assert list(Baseline.from_evidence(found).cells) == ["tiny-vlm"]


def test_a_document_that_was_not_run_is_kept_as_such(tmp_path: Path) -> None:
    records = edited(log(12), ReadingRecord, lambda r: None if r.document == "receipt_003.png" else r)
    run = Baseline.from_evidence(evidence(tmp_path, records)).cells["tiny-vlm"][0]
    assert run.readings["receipt_003.png"].failure is Failure.NOT_RUN


# --- statuses -------------------------------------------------------------------------------------------------


def _on(gpu: dict[str, object]) -> dict[str, object]:
    return {"provenance": {**_provenance(), "gpus": [gpu]}}


def _provenance() -> dict[str, object]:
    (run,) = (r for r in log(1) if isinstance(r, RunRecord))
    return dict(run.provenance)


def test_a_run_against_itself_passes_and_nothing_is_said_to_have_changed(tmp_path: Path) -> None:
    found = evidence(tmp_path, log(30, "a", "b"))
    comparison = compare(found, load_baseline(save_baseline(Baseline.from_evidence(found), tmp_path / "b.json.gz")))
    assert comparison.verdict is Verdict.PASS
    assert [cell.status for cell in comparison.cells.values()] == [Status.SAME, Status.SAME]
    assert {gate.kind for gate in comparison.gates} == set(Kind)
    assert all(gate.verdict is Verdict.PASS for gate in comparison.gates)


def _packages(records: Sequence[Record]) -> list[Record]:
    return edited(records, RunRecord, lambda r: replace(r, provenance={**r.provenance, "packages": {"numpy": "3.0.0"}}))


def _truth(d: DocumentRecord) -> DocumentRecord:
    return replace(d, truth={**d.truth, "TOTAL": "$1.00"}) if d.document == "receipt_003.png" else d


CHANGES: Sequence[tuple[Status, Verdict, str, Callable[[], Sequence[Record]]]] = [
    (Status.RENAMED, Verdict.INCONCLUSIVE, "knows it as tiny-vlm", lambda: log(30, "tiny-reader")),
    (
        Status.CHANGED_TRUTH,
        Verdict.FAIL,
        "ground truth of receipt_003.png",
        lambda: edited(log(), DocumentRecord, _truth),
    ),
    (
        Status.CHANGED_IMAGE,
        Verdict.FAIL,
        "the image of",
        lambda: edited(log(), DocumentRecord, lambda d: replace(d, image_sha256="new")),
    ),
    (
        Status.MISSING_DOCUMENT,
        Verdict.FAIL,
        "receipt_003.png of the baseline was not read",
        lambda: without_document(log(), "receipt_003.png"),
    ),
    (Status.NEW_DOCUMENT, Verdict.INCONCLUSIVE, "is not in the baseline", lambda: log(31)),
    (
        Status.CHANGED_PROMPT,
        Verdict.INCONCLUSIVE,
        "fingerprint abcdef012345 -> 999",
        lambda: log(30, run={"prompt": {"name": "key-value", "fingerprint": "999"}}),
    ),
    (
        Status.CHANGED_PROMPT,
        Verdict.INCONCLUSIVE,
        "chat template cafe -> beef",
        lambda: log(30, load_facts={"chat_template_sha256": "beef"}),
    ),
    (
        Status.CHANGED_SETTINGS,
        Verdict.INCONCLUSIVE,
        "max_new_tokens not told -> 64",
        lambda: edited(log(), PassRecord, lambda p: replace(p, settings={"max_new_tokens": 64, "source": "x"})),
    ),
    (
        Status.CHANGED_WEIGHTS,
        Verdict.INCONCLUSIVE,
        "weights_sha256 tiny-vlm-0123456789ab -> tiny-vlm-new",
        lambda: log(30, load_facts={"weights_sha256": "new"}),
    ),
    (
        Status.CHANGED_PIXELS,
        Verdict.INCONCLUSIVE,
        "30 images were prepared otherwise",
        lambda: edited(log(), ReadingRecord, lambda r: replace(r, facts={"pixel_crc32": "new"})),
    ),
    (
        Status.OTHER_DEVICE,
        Verdict.PASS,
        "on h200",
        lambda: log(30, run=_on(H200), how={"device": "cuda"}),
    ),
    (Status.CHANGED_PACKAGES, Verdict.PASS, "numpy 2.0.0 -> 3.0.0", lambda: _packages(log())),
    (
        Status.SAMPLED,
        Verdict.PASS,
        "15 of the baseline's 30 documents",
        lambda: log(15, run={"corpus": {"identity": "sample", "sampled_from": "0123456789abcdef" * 4}}),
    ),
]


@pytest.mark.parametrize(("status", "verdict", "words", "records"), CHANGES, ids=[str(c[0]) for c in CHANGES])
def test_each_change_has_its_status_its_message_and_its_best_verdict(
    tmp_path: Path, status: Status, verdict: Verdict, words: str, records: Callable[[], Sequence[Record]]
) -> None:
    baseline = Baseline.from_evidence(evidence(tmp_path / "then", log()))
    (cell,) = compare(evidence(tmp_path / "now", records()), baseline).cells.values()
    assert cell.status is status
    assert cell.quality is not None
    assert cell.quality.verdict is verdict, cell.quality.message
    assert cell.quality.message.startswith(f"{status}: ")
    assert words in cell.quality.message


def test_a_stale_scorer_is_told_and_its_answers_are_scored_again(tmp_path: Path) -> None:
    found = evidence(tmp_path, log())
    baseline = Baseline.from_evidence(found)
    old = replace(baseline, cells={c: [replace(r, scorer="0", f1=0.5) for r in v] for c, v in baseline.cells.items()})
    cell = compare(found, load_baseline(save_baseline(old, tmp_path / "b.json"))).cells["tiny-vlm"]
    assert cell.status is Status.STALE_SCORER
    assert cell.quality is not None
    assert cell.quality.verdict is Verdict.PASS
    assert cell.quality.difference == 0
    assert f"saved with scorer 0, this is {SCORER_VERSION}" in cell.quality.message
    assert "0.5000" in cell.quality.message


def test_a_missing_and_a_new_cell_are_rows_of_their_own(tmp_path: Path) -> None:
    baseline = evidence(tmp_path / "then", log(30, "a", "b"))
    now = evidence(tmp_path / "now", log(30, "a", "c", load_facts={"weights_sha256": "x"}, told=readings(text=_other)))
    comparison = compare(now, baseline)
    assert {cell: c.status for cell, c in comparison.cells.items()} == {
        "a": Status.CHANGED_WEIGHTS,
        "c": Status.NEW,
        "b": Status.MISSING,
    }
    verdicts = {cell: c.quality.verdict for cell, c in comparison.cells.items() if c.quality is not None}
    assert verdicts["c"] is Verdict.INCONCLUSIVE
    assert verdicts["b"] is Verdict.FAIL
    assert comparison.verdict is Verdict.FAIL


def _other(document: DocumentRecord) -> str:
    return right(document, SUPPLIER="Somebody Else")


def test_a_renamed_cell_that_reads_worse_fails_all_the_same(tmp_path: Path) -> None:
    now = evidence(tmp_path / "now", log(30, "new-name", told=readings(text=_other), load_facts={}))
    records = edited(log(30), CellRecord, lambda c: replace(c, facts={"weights_sha256": "new-name-0123456789ab"}))
    cell = compare(now, evidence(tmp_path / "then", records)).cells["new-name"]
    assert (cell.status, cell.baseline_cell) == (Status.RENAMED, "tiny-vlm")
    assert cell.quality is not None
    assert cell.quality.verdict is Verdict.FAIL
    assert cell.quality.fields[0].field == "SUPPLIER"


def test_a_renamed_cell_is_never_green_in_anything(tmp_path: Path) -> None:
    cell = compare(evidence(tmp_path / "now", log(30, "new-name")), evidence(tmp_path / "then", log())).cells[
        "new-name"
    ]
    assert {gate.kind for gate in cell.gates} == set(Kind)
    assert {gate.verdict for gate in cell.gates} == {Verdict.INCONCLUSIVE}


def test_another_precision_of_the_same_weights_is_no_renamed_cell(tmp_path: Path) -> None:
    now = evidence(tmp_path / "now", log(30, "tiny-vlm-nf4", how={"quantization": "nf4"}))
    comparison = compare(now, evidence(tmp_path / "then", log()))
    assert {cell: c.status for cell, c in comparison.cells.items()} == {
        "tiny-vlm-nf4": Status.NEW,
        "tiny-vlm": Status.MISSING,
    }


def test_changes_on_purpose_are_told_and_may_pass(tmp_path: Path) -> None:
    now = evidence(tmp_path / "now", log(30, load_facts={"weights_sha256": "new"}))
    margins = Margins(accepted=frozenset({Status.CHANGED_WEIGHTS}))
    cell = compare(now, evidence(tmp_path / "then", log()), margins).cells["tiny-vlm"]
    assert cell.status is Status.CHANGED_WEIGHTS
    assert cell.quality is not None
    assert cell.quality.verdict is Verdict.PASS
    assert "tiny-vlm-new" in cell.quality.message


def test_two_cells_of_one_log_compare_when_asked_to(tmp_path: Path) -> None:
    found = evidence(tmp_path, log(30, "a", "b"))
    comparison = compare(found, found, pairs={"b": "a"})
    assert comparison.cells["b"].baseline_cell == "a"
    assert comparison.cells["b"].quality is not None
    assert comparison.cells["b"].quality.verdict is Verdict.PASS
    with pytest.raises(UnknownNameError, match="did you mean"):
        compare(found, found, pairs={"b": "aa"})


def test_the_worst_verdict_of_all_gates_is_the_comparisons(tmp_path: Path) -> None:
    then, now = sized(log(), 600 * MIB), sized(log(), 700 * MIB)
    comparison = compare(evidence(tmp_path / "now", now), evidence(tmp_path / "then", then))
    assert {g.metric: g.verdict for g in comparison.gates if g.verdict is not Verdict.PASS} == {
        "peak_rss_bytes": Verdict.FAIL
    }
    assert comparison.verdict is Verdict.FAIL


# --- memory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("then", "now", "verdict"),
    [
        (600, 655, Verdict.PASS),
        (600, 665, Verdict.FAIL),
        (600, 300, Verdict.PASS),
        (600, None, Verdict.INCONCLUSIVE),
        (None, 600, None),
    ],
)
def test_peak_memory_may_grow_by_the_margin(
    tmp_path: Path, then: int | None, now: int | None, verdict: Verdict | None
) -> None:
    ours, theirs = (sized(log(), size and size * MIB) for size in (now, then))
    cell = compare(evidence(tmp_path / "now", ours), evidence(tmp_path / "then", theirs)).cells["tiny-vlm"]
    found = {gate.metric: gate.verdict for gate in cell.memory}
    assert found.get("peak_rss_bytes") is verdict


def test_peaks_over_other_documents_judge_nothing(tmp_path: Path) -> None:
    then = weighing(sized(without_document(log(), "invoice_004.png"), 600 * MIB), 100 * MIB)
    now = weighing(sized(log(), 900 * MIB), 100 * MIB)
    cell = compare(evidence(tmp_path / "now", now), evidence(tmp_path / "then", then)).cells["tiny-vlm"]
    assert {gate.metric: gate.verdict for gate in cell.memory} == {
        "weights_bytes": Verdict.PASS,
        "peak_rss_bytes": Verdict.INCONCLUSIVE,
    }
    assert "not judged: " in cell.memory[1].message


def test_what_changed_of_answers_that_are_not_scored_is_told_by_other_gates(tmp_path: Path) -> None:
    then = log(60, load_facts={"random_weights": True})
    fewer = without_document(then, "invoice_004.png")
    for now, before, status, verdict in (
        (fewer, then, Status.MISSING_DOCUMENT, Verdict.FAIL),
        (then, fewer, Status.NEW_DOCUMENT, Verdict.INCONCLUSIVE),
    ):
        found = compare(evidence(tmp_path / "now", now), evidence(tmp_path / "then", before))
        cell = found.cells["tiny-vlm"]
        assert (cell.quality, cell.status) == (None, status)
        assert found.verdict is verdict
        assert cell.latency is not None
        assert cell.latency.message.startswith(f"{status}: ")


def test_weights_may_hardly_grow_and_peaks_elsewhere_judge_nothing(tmp_path: Path) -> None:
    then = weighing(sized(log(), 600 * MIB), 100 * MIB)
    now = weighing(sized(log(30, run=_on(H200), how={"device": "cuda"}), 900 * MIB), 102 * MIB)
    cell = compare(evidence(tmp_path / "now", now), evidence(tmp_path / "then", then)).cells["tiny-vlm"]
    assert {gate.metric: gate.verdict for gate in cell.memory} == {
        "weights_bytes": Verdict.FAIL,
        "peak_rss_bytes": Verdict.INCONCLUSIVE,
    }
