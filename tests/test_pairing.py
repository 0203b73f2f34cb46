"""Two cells on the same documents: against oracles made by hand, and what must hold whatever they answered."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cells import Failure, Role
from harness.errors import PairingError
from harness.evidence import DocumentRecord, ReadingRecord
from harness.pairing import common_documents, pair
from harness.results import CellResult, result_of

TRUTH = {"SUPPLIER": "Shop", "TOTAL": "$5.00", "GST": None, "ABN": "51824753556"}


def result(
    cell: str,
    answers: Mapping[str, str | Failure],
    truths: Mapping[str, Mapping[str, str | None]] | None = None,
    image: str = "00",
) -> CellResult:
    """A cell that was asked to read the documents of `answers` and said that; a Failure is no answer."""
    truths = truths or {}
    documents = {d: DocumentRecord(document=d, truth=truths.get(d, TRUTH), image_sha256=image) for d in answers}
    readings = {
        d: ReadingRecord(cell=cell, document=d, failure=a)
        if isinstance(a, Failure)
        else ReadingRecord(cell=cell, document=d, text=a, latency_s=1.0)
        for d, a in answers.items()
    }
    return result_of(cell, Role.CANDIDATE, documents, [], readings)


def said(supplier: str = "Shop", total: str = "$5.00", gst: str = "N/A", abn: str = "51824753556") -> str:
    return f"SUPPLIER: {supplier}\nTOTAL: {total}\nGST: {gst}\nABN: {abn}"


def test_a_table_made_by_hand():
    """Four fields, three of them printed. On a: one value lost, one gained; on b: GST invented; c: both right."""
    nf4 = result("nf4", {"a": said(supplier="Shap"), "b": said(gst="$1.00"), "c": said()})
    bf16 = result("bf16", {"a": said(total="$6.00"), "b": said(), "c": said()})
    found = pair(nf4, bf16)
    assert (found.cell, found.reference, found.documents) == ("nf4", "bf16", ["a", "b", "c"])
    assert found.right_to_wrong == {"SUPPLIER": ["a"], "GST": ["b"]}
    assert list(found.right_to_wrong) == ["SUPPLIER", "GST"], "in the order of the schema"
    assert found.wrong_to_right == {"TOTAL": ["a"]}
    # F1 of a: 2 of 3 in both; of b: 2*3/(2*3+1) = 6/7 against 1; of c: 1 in both
    spread = math.sqrt(((1 / 7) ** 2 * (2 / 3)) / 2)
    half = 4.302653 * spread / math.sqrt(3)
    assert found.f1.mean == pytest.approx(-1 / 21)
    assert (found.f1.low, found.f1.high) == pytest.approx((-1 / 21 - half, -1 / 21 + half), abs=1e-6)
    assert (found.f1.n, found.f1.changed, found.f1.p) == (3, 1, 1.0)
    assert found.same_text_rate == pytest.approx(1 / 3)
    assert [(d.document, d.line, d.cell, d.reference) for d in found.differing] == [
        ("a", 1, "SUPPLIER: Shap", "SUPPLIER: Shop"),
        ("b", 3, "GST: $1.00", "GST: N/A"),
    ]


def test_an_unanswered_field_is_not_right():
    silent, told = result("a", {"d": "TOTAL: $5.00"}), result("b", {"d": said()})
    assert pair(silent, told).right_to_wrong == {"SUPPLIER": ["d"], "ABN": ["d"], "GST": ["d"]}


@pytest.mark.parametrize(
    ("ours", "theirs", "line", "cell", "reference"),
    [
        ("TOTAL: 1", "TOTAL: 1\n", 2, None, ""),
        ("TOTAL: 1\nGST: 2", "TOTAL: 1", 2, "GST: 2", None),
        ("TOTAL: 1\r\nGST: 2", "TOTAL: 1\nGST: 2", 1, "TOTAL: 1\r", "TOTAL: 1"),
        ("", "x", 1, "", "x"),
    ],
)
def test_the_first_line_that_differs(ours, theirs, line, cell, reference):
    (found,) = pair(result("a", {"d": ours}), result("b", {"d": theirs})).differing
    assert (found.line, found.cell, found.reference) == (line, cell, reference)


def test_documents_without_an_answer_do_not_enter():
    ours = result("a", {"1": said(), "2": Failure.TIMEOUT, "3": said(), "4": Failure.CRASH})
    theirs = result("b", {"1": said(), "2": said(), "3": Failure.CRASH, "4": Failure.CRASH})
    found = pair(ours, theirs)
    assert (found.documents, found.only_cell, found.only_reference) == (["1"], ["3"], ["2"])
    assert found.f1.n == 1


def test_nothing_in_common_to_answer():
    found = pair(result("a", {"1": Failure.CRASH}), result("b", {"1": said()}))
    assert (found.documents, found.f1.mean, found.same_text_rate) == ([], None, None)


def test_different_documents_are_an_error():
    ours, theirs = result("a", {"1": said(), "2": said()}), result("b", {"2": said(), "3": said()})
    with pytest.raises(PairingError, match="a and b cannot be compared on 1, 3: not read by both"):
        pair(ours, theirs)
    assert common_documents(ours, theirs) == ["2"]
    assert pair(ours, theirs, ["2"]).documents == ["2"], "a part that both read can be named"
    with pytest.raises(PairingError, match="on 9"):
        pair(ours, theirs, ["2", "9"])


@pytest.mark.parametrize("other", [{"image": "ff"}, {"truths": {"1": {**TRUTH, "TOTAL": "$7.00"}}}])
def test_the_same_name_for_another_document_is_an_error(other):
    with pytest.raises(PairingError, match="1 differ in image or ground truth"):
        pair(result("a", {"1": said()}), result("b", {"1": said()}, **other))


answers = st.one_of(
    st.just(Failure.CRASH),
    st.builds(
        said,
        supplier=st.sampled_from(["Shop", "Shap", "N/A"]),
        total=st.sampled_from(["$5.00", "$6.00", "N/A"]),
        gst=st.sampled_from(["N/A", "$1.00"]),
        abn=st.sampled_from(["51824753556", "N/A"]),
    ),
)
both = st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(answers, answers), min_size=1)


@given(both)
@settings(deadline=None, max_examples=60)
def test_swapping_the_cells_turns_everything_round(given_answers):
    ours, theirs = (result(name, {d: a[i] for d, a in given_answers.items()}) for i, name in enumerate("xy"))
    there, back = pair(ours, theirs), pair(theirs, ours)
    assert there.documents == back.documents
    assert (there.only_cell, there.only_reference) == (back.only_reference, back.only_cell)
    assert (there.right_to_wrong, there.wrong_to_right) == (back.wrong_to_right, back.right_to_wrong)
    assert (there.f1.n, there.f1.changed, there.f1.p) == (back.f1.n, back.f1.changed, back.f1.p)
    for one, other in ((there.f1.mean, back.f1.mean), (there.f1.low, back.f1.high), (there.f1.high, back.f1.low)):
        assert (one is None) == (other is None)
        assert one is None or other is None or one == pytest.approx(-other, abs=1e-12)
    assert [(d.document, d.line, d.cell, d.reference) for d in there.differing] == [
        (d.document, d.line, d.reference, d.cell) for d in back.differing
    ]


@given(both)
@settings(deadline=None, max_examples=40)
def test_a_cell_does_not_differ_from_itself(given_answers):
    cell = result("x", {d: a[0] for d, a in given_answers.items()})
    found = pair(cell, cell)
    assert (found.right_to_wrong, found.wrong_to_right, found.differing, found.only_cell) == ({}, {}, [], [])
    assert found.f1.changed == 0
    if found.documents:
        assert (found.f1.mean, found.f1.p, found.same_text_rate) == (0, 1, 1)
