"""Which cells are compared with which, and what their comparison is judged to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fixtures import comparing
from fixtures.comparing import Compared
from fixtures.session import CellRun
from harness.cells import Cell, Failure, Role, Runtime
from harness.evidence import CellRecord, DocumentRecord, ReadingRecord
from harness.gates import Verdict
from harness.pairing import reference_of
from harness.results import result_of

TRUTH = {"SUPPLIER": "Shop", "TOTAL": "$5.00", "GST": "$0.50", "ABN": "51824753556"}
NAMES = [f"{i:03d}.png" for i in range(30)]
NF4 = Cell(model="tiny", quantization="nf4")
BF16, FP32, FP16 = (replace(NF4, quantization=q) for q in ("bf16", "fp32", "fp16"))
LOADED = {
    "quantization": "nf4",
    "weights_bytes": 1000,
    "predicted_weights_bytes": 1000,
    "linears": 10,
    "linears_asked": 8,
    "linears_quantized": 8,
    "tokens_per_tile": 256,
}


def text(wrong: int = 0) -> str:
    """An answer with the first `wrong` fields wrong."""
    return "\n".join(f"{n}: {'nonsense' if i < wrong else v}" for i, (n, v) in enumerate(TRUTH.items()))


def run(
    cell: Cell,
    texts: Mapping[str, str | Failure],
    facts: Mapping[str, Any] | None = None,
    told: Mapping[str, Mapping[str, Any]] | None = None,
) -> CellRun:
    """A finished run: what it said of each document, facts of its load and of its readings."""
    documents = {d: DocumentRecord(document=d, truth=TRUTH) for d in texts}
    readings = {}
    for d, said in texts.items():
        failed = isinstance(said, Failure)
        readings[d] = ReadingRecord(
            cell=cell.id,
            document=d,
            failure=said if failed else None,
            text=None if failed else said,
            latency_s=None if failed else 1.0,
            facts=(told or {}).get(d, {}),
        )
    load = CellRecord(
        cell=cell.id,
        model=cell.model,
        quantization=cell.quantization,
        runtime=cell.runtime,
        device=cell.device,
        role=cell.role,
        facts=LOADED if facts is None else facts,
    )
    return CellRun(
        cell=cell,
        result=result_of(cell.id, cell.role, documents, [load], readings),
        fresh=frozenset(documents),
        fresh_loads=[load],
        quality_limits={},
        cost_limits={},
    )


def recovery(wrong: list[int], reference: list[int] | None = None, margin: float = 0.02):
    """The gate of a quantised cell with so many wrong fields on each document."""
    base = reference or [0] * len(wrong)
    runs = [
        run(c, {n: text(w) for n, w in zip(NAMES, counts, strict=False)}) for c, counts in ((NF4, wrong), (BF16, base))
    ]
    (gate,) = comparing.recovery_gates(Compared(run=runs[0], reference=runs[1]), margin)
    return gate


# --- which cells -------------------------------------------------------------------------------------------------


def test_the_reference_is_the_same_model_in_16_bits_or_else_the_widest():
    others = [Cell(model="other", quantization="bf16"), replace(BF16, device="cuda"), replace(BF16, strategy="multi")]
    assert reference_of(NF4, [FP32, NF4, BF16, FP16]) == BF16
    assert reference_of(NF4, [FP16, FP32, NF4, *others]) == FP32
    assert reference_of(NF4, [NF4, FP16]) == FP16
    assert reference_of(NF4, [NF4, replace(NF4, quantization="int8"), *others]) is None
    assert reference_of(BF16, [BF16, FP32]) == FP32, "never itself"


def test_which_cells_have_which_tests():
    rules, cells = Cell(model="ocr-rules"), [Cell(model="ocr-rules"), FP32, BF16, NF4]
    chosen = {
        name: [c.id for c in cells if getattr(comparing, name)(c, cells) is not None]
        for name in ("vlm", "quantised", "sibling", "repeated", "rebatched")
    }
    assert chosen == {
        "vlm": ["tiny-fp32", "tiny-bf16", "tiny-nf4"],
        "quantised": ["tiny-nf4"],
        "sibling": ["tiny-bf16", "tiny-nf4"],
        "repeated": ["ocr-rules", "tiny-fp32", "tiny-bf16", "tiny-nf4"],
        "rebatched": ["tiny-fp32", "tiny-bf16", "tiny-nf4"],
    }
    assert comparing.repeated(rules, cells) == replace(rules, repeat=2, role=Role.CHECK)
    assert comparing.rebatched(FP32, cells) == replace(FP32, batch_size=8, role=Role.CHECK)
    assert comparing.rebatched(replace(FP32, batch_size=4), cells) == replace(FP32, role=Role.CHECK)
    others = [replace(NF4, strategy="multi"), replace(NF4, model="other"), replace(NF4, batch_size=2)]
    assert comparing.precisions_of(NF4, [*others, *cells]) == [FP32, BF16, NF4]


# --- recovery ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "reference", "verdict"),
    [
        ([0] * 30, None, Verdict.PASS),
        ([0] * 10, None, Verdict.INCONCLUSIVE),
        ([1] * 30, [1] * 30, Verdict.PASS),
        ([0] * 25 + [1] * 5, [1] * 5 + [0] * 25, Verdict.INCONCLUSIVE),
        ([2] * 20 + [1] * 10, None, Verdict.FAIL),
        ([0] * 30, [2] * 20 + [1] * 10, Verdict.PASS),
        ([0] * 29 + [1], None, Verdict.INCONCLUSIVE),
    ],
)
def test_recovery_needs_the_interval_on_one_side_of_the_margin(wrong, reference, verdict):
    assert recovery(wrong, reference).verdict is verdict


def test_the_margin_decides():
    wrong = [0] * 29 + [1]
    assert recovery(wrong, margin=0.1).verdict is Verdict.PASS
    assert recovery([2] * 20 + [1] * 10, margin=0.9).verdict is Verdict.PASS


def test_recovery_names_what_flipped_and_against_what():
    gate = recovery([1, 0, 0] + [0] * 27, [0, 0, 2] + [0] * 27)
    assert gate.metric == "f1_difference"
    assert gate.limit == -0.02
    assert gate.estimate.n == 30
    assert "right to wrong: SUPPLIER 1 (000.png)" in gate.message
    assert "wrong to right: SUPPLIER 1 (002.png), TOTAL 1 (002.png)" in gate.message
    assert "against tiny-bf16;" in gate.message


def test_another_reference_than_16_bits_is_said():
    runs = [run(c, {n: text() for n in NAMES}) for c in (NF4, FP32)]
    (gate,) = comparing.recovery_gates(Compared(run=runs[0], reference=runs[1]), 0.02)
    assert "against tiny-fp32 (no bf16 cell is there)" in gate.message


def test_random_weights_have_no_recovery():
    runs = [run(c, {n: text() for n in NAMES}, {**LOADED, "random_weights": True}) for c in (NF4, BF16)]
    assert comparing.recovery_gates(Compared(run=runs[0], reference=runs[1]), 0.02) == []


# --- weights -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "verdicts"),
    [
        ({}, (Verdict.PASS, Verdict.PASS)),
        ({"predicted_weights_bytes": 1010}, (Verdict.PASS, Verdict.PASS)),
        ({"predicted_weights_bytes": 989}, (Verdict.FAIL, Verdict.PASS)),
        ({"linears_quantized": 7}, (Verdict.PASS, Verdict.FAIL)),
        ({"linears_quantized": 9}, (Verdict.PASS, Verdict.FAIL)),
        ({"quantization": "fp4"}, (Verdict.PASS, Verdict.FAIL)),
        ({"predicted_weights_bytes": None, "linears": None}, (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)),
    ],
)
def test_weights_are_as_predicted_and_as_asked(facts, verdicts):
    gates = comparing.weights_gates(run(NF4, {"a": text()}, {**LOADED, **facts}))
    assert tuple(g.verdict for g in gates) == verdicts
    assert [g.metric for g in gates] == ["weights_deviation", "quantized_share"]


def test_weights_of_a_cell_that_did_not_load_are_inconclusive():
    gates = comparing.weights_gates(run(NF4, {"a": text()}, {}))
    assert {g.verdict for g in gates} == {Verdict.INCONCLUSIVE}


# --- determinism -------------------------------------------------------------------------------------------------


def same_text(cell: Cell, ours: Mapping[str, str | Failure], theirs: Mapping[str, str | Failure]):
    base = replace(cell, role=Role.CANDIDATE, batch_size=1, repeat=1)
    return comparing.same_text_gate(Compared(run=run(cell, ours), reference=run(base, theirs)))


AGAIN = replace(BF16, repeat=2, role=Role.CHECK)
BATCHED = replace(FP32, batch_size=8, role=Role.CHECK)


def test_the_same_text_passes_and_another_fails():
    said = {n: text() for n in NAMES}
    assert same_text(AGAIN, dict(list(said.items())[:8]), said).verdict is Verdict.PASS
    gate = same_text(AGAIN, {**said, NAMES[3]: text(2)}, said)
    assert gate.verdict is Verdict.FAIL
    assert gate.metric == "same_text_rate.repeat"
    assert (
        "29 of 30 documents read the same by tiny-bf16#2 as by tiny-bf16; differing: 003.png (line 1)" in gate.message
    )


@pytest.mark.parametrize(("differing", "verdict"), [(0, Verdict.PASS), (1, Verdict.PASS), (2, Verdict.FAIL)])
def test_a_batch_in_fp32_may_differ_on_one_document_of_a_hundred(differing, verdict):
    said = {f"{i:03d}": text() for i in range(100)}
    other = {**said, **{f"{i:03d}": text(1) for i in range(differing)}}
    gate = same_text(BATCHED, other, said)
    assert (gate.metric, gate.verdict) == ("same_text_rate.b8", verdict)


def test_a_batch_in_bf16_is_told_and_not_judged():
    gate = same_text(replace(BATCHED, quantization="bf16"), {"a": text(1), "b": text()}, {"a": text(), "b": text()})
    assert (gate.verdict, gate.limit, gate.estimate.value) == (Verdict.RECORDED, None, 0.5)
    assert "not judged: in bf16" in gate.message
    assert "differing: a (line 1)" in gate.message


def test_a_document_that_only_one_answered_is_not_the_same():
    gate = same_text(AGAIN, {"a": text(), "b": Failure.CRASH}, {"a": text(), "b": text()})
    assert (gate.verdict, gate.estimate.value) == (Verdict.FAIL, 0.5)
    assert "answered by tiny-bf16 alone: b" in gate.message


def test_a_check_that_answered_nothing_is_inconclusive():
    gate = same_text(AGAIN, {"a": Failure.LOAD_OOM}, {"a": text()})
    assert gate.verdict is Verdict.INCONCLUSIVE


# --- runtimes ----------------------------------------------------------------------------------------------------

FAST = replace(FP32, runtime=Runtime.FAST)


def test_our_runtime_is_compared_with_the_library_s_own():
    assert comparing.rerun(FP32, [FP32, FAST]) is None
    assert comparing.rerun(FAST, [FP32, FAST]) == FP32
    assert comparing.rerun(FAST, [FAST]) == replace(FP32, role=Role.CHECK)


def by_runtimes(
    mode: str, fast: Mapping[str, str | Failure], eager: Mapping[str, str | Failure], gaps: str | None = None
):
    cell = replace(FAST, quantization=mode)
    told = None if gaps is None else {d: {"narrow_gaps": gaps} for d in fast}
    twin = replace(cell, runtime=Runtime.EAGER)
    return comparing.same_tokens_gate(Compared(run=run(twin, eager), reference=run(cell, fast, told=told)))


@pytest.mark.parametrize(
    ("mode", "differing", "verdict"),
    [
        ("fp32", 0, Verdict.PASS),
        ("fp32", 1, Verdict.FAIL),
        ("bf16", 1, Verdict.PASS),
        ("bf16", 2, Verdict.FAIL),
        ("nf4", 50, Verdict.RECORDED),
    ],
)
def test_our_runtime_says_what_the_library_says(mode, differing, verdict):
    said = {f"{i:03d}": text() for i in range(100)}
    gate = by_runtimes(mode, {**said, **{f"{i:03d}": text(1) for i in range(differing)}}, said)
    assert (gate.metric, gate.verdict) == ("same_text_rate.fast", verdict)


def test_a_difference_is_told_with_the_gap_at_the_token_where_the_answers_part():
    ours, theirs = "TOTAL: $5.00", "TOTAL: $5.90"  # they part at character 10
    gate = by_runtimes("fp32", {"a": ours}, {"a": theirs}, "[[7, 0.5], [9, 0.01], [11, 0.002]]")
    assert "differing: a (line 1), logit gap 0.01" in gate.message
    assert "a (line 1), logit gap above 1" in by_runtimes("fp32", {"a": ours}, {"a": theirs}, "[]").message


# --- preprocessing -----------------------------------------------------------------------------------------------


def seen(**facts: Any) -> dict[str, Any]:
    return {"tiles": 2, "image_tokens": 512, "pixel_crc32": "aa", **facts}


@pytest.mark.parametrize(
    ("told", "facts", "verdict", "says"),
    [
        (seen(), LOADED, Verdict.PASS, "256 tokens a tile"),
        (seen(image_tokens=511), LOADED, Verdict.FAIL, "b: 511 image tokens are not 2 tiles x 256"),
        ({}, LOADED, Verdict.FAIL, "b: tiles None"),
        (seen(tiles=0), LOADED, Verdict.FAIL, "not all told"),
        (seen(), {}, Verdict.PASS, "256 tokens a tile"),
        (seen(tiles=4), {}, Verdict.FAIL, "b: 512 image tokens are not 4 tiles x 256"),
    ],
)
def test_image_tokens_fit_the_tiles(told, facts, verdict, says):
    gate = comparing.image_gate(run(NF4, {"a": text(), "b": text()}, facts, {"a": seen(), "b": told}))
    assert gate.verdict is verdict
    assert says in gate.message


def test_an_unanswered_document_needs_no_image_facts():
    answered = {"a": text(), "b": Failure.BAD_IMAGE}
    assert comparing.image_gate(run(NF4, answered, LOADED, {"a": seen()})).verdict is Verdict.PASS
    assert comparing.image_gate(run(NF4, {"b": Failure.CRASH}, LOADED)).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (seen(), seen(), Verdict.PASS),
        (seen(pixel_crc32="bb"), seen(), Verdict.FAIL),
        ({}, {}, Verdict.FAIL),
    ],
)
def test_precisions_see_the_same_pixels(ours, theirs, verdict):
    runs = [run(c, {"a": text()}, LOADED, {"a": told}) for c, told in ((NF4, ours), (BF16, theirs))]
    gate = comparing.pixels_gate(Compared(run=runs[0], reference=runs[1]))
    assert gate.verdict is verdict
    assert ("a" in gate.message.split(": ")[-1].split(", ")) == (verdict is Verdict.FAIL)
