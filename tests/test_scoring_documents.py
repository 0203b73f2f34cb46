"""Outcomes of whole documents, line items, diagnostics, and the rates over many documents."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UnknownNameError
from harness.responses import ParsedResponse, parse_response, render_response
from harness.schema import FIELD_NAMES, FIELDS, Category
from harness.scoring import (
    RATES,
    Counts,
    DocumentScore,
    ErrorClass,
    Outcome,
    counts,
    document_f1,
    rates,
    score_document,
)

relaxed = settings(deadline=None)

INVOICE: Mapping[str, str | None] = MappingProxyType(
    {
        "DOCUMENT_TYPE": "TAX INVOICE",
        "SUPPLIER": "Wattle & Sons Pty Ltd",
        "ABN": "51 824 753 556",
        "PAYER_NAME": "Jane Citizen",
        "INVOICE_DATE": "05/09/2025",
        "DUE_DATE": "19/10/2025",
        "GST": "$10.00",
        "TOTAL": "$110.00",
        "SUBTOTAL": "$100.00",
        "DESCRIPTIONS": "Tea | Cake | Jam",
        "QUANTITIES": "1 | 2 | 3",
        "PRICES": "$10.00 | $30.00 | $10.00",
        "BANK_NAME": None,
        "BSB_NUMBER": None,
    }
)


def response(fields: Mapping[str, str | None], *, parsable: bool = True) -> ParsedResponse:
    return ParsedResponse(fields=fields, notes=(), parsable=parsable)


def score(truth: Mapping[str, str | None], answers: Mapping[str, str | None], **kwargs: bool) -> DocumentScore:
    return score_document("d", truth, response(answers, **kwargs))


def items(descriptions: str | None, quantities: str | None, prices: str | None) -> dict[str, str | None]:
    return {"DESCRIPTIONS": descriptions, "QUANTITIES": quantities, "PRICES": prices}


# --- outcomes ---


@pytest.mark.parametrize(
    ("truth", "answers", "outcome"),
    [
        ("$9.00", {"TOTAL": "9.00"}, Outcome.CORRECT),
        ("$9.00", {"TOTAL": "9.01"}, Outcome.WRONG),
        ("$9.00", {"TOTAL": None}, Outcome.OMITTED),
        ("$9.00", {}, Outcome.OMITTED),
        (None, {"TOTAL": "9.00"}, Outcome.HALLUCINATED),
        (None, {"TOTAL": None}, Outcome.ABSENT),
        (None, {}, Outcome.UNANSWERED),
        ("N/A", {"TOTAL": None}, Outcome.ABSENT),
        ("nan", {"TOTAL": "9.00"}, Outcome.HALLUCINATED),
    ],
)
def test_outcome(truth: str | None, answers: Mapping[str, str | None], outcome: Outcome) -> None:
    result = score({"TOTAL": truth}, answers).fields["TOTAL"]
    assert result.outcome is outcome
    assert (result.similarity is None) == (outcome in (Outcome.HALLUCINATED, Outcome.ABSENT, Outcome.UNANSWERED))


def test_nan_answered_where_the_truth_is_absent_is_correctly_absent() -> None:
    result = score_document("d", {"TOTAL": None}, parse_response("TOTAL: nan"))
    assert result.fields["TOTAL"].outcome is Outcome.ABSENT


def test_an_unparsable_response_earns_nothing() -> None:
    result = score(INVOICE, dict(INVOICE), parsable=False)
    assert result.counts == Counts(omitted=12, unanswered=2)
    assert result.diagnostics == {}
    assert not result.parsable


def test_fields_that_the_truth_does_not_mention_are_not_judged() -> None:
    result = score({"TOTAL": "9.00"}, {"TOTAL": "9.00", "SUPPLIER": "Invented"})
    assert list(result.fields) == ["TOTAL"]
    assert result.counts == Counts(correct=1)
    assert result.line_items is None


def test_truth_outside_the_schema_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="TOTAL"):
        score({"TOTALS": "9.00"}, {})


def test_notes_of_the_response_are_kept() -> None:
    parsed = parse_response("TOTAL: 9.00\nTOTAL: 8.00\nCOLOUR: red")
    assert parsed.notes
    notes = score_document("d", {"TOTAL": "9.00"}, parsed).notes
    assert len(notes) == len(parsed.notes)
    assert all(note.startswith(kind.kind) for note, kind in zip(notes, parsed.notes, strict=True))


# --- values of other fields ---


@pytest.mark.parametrize(
    ("field", "answer"),
    [
        ("TOTAL", "$100"),  # the subtotal, written otherwise
        ("SUPPLIER", "JANE CITIZEN"),
        ("PAYER_NAME", "51 824 753 556"),  # of another kind
        ("BANK_NAME", "Wattle and Sons Pty. Ltd."),  # invented
        ("INVOICE_DATE", "2025-10-19"),
        ("GST", "$100.00"),
    ],
)
def test_the_value_of_another_field_is_called_so(field: str, answer: str) -> None:
    result = score(INVOICE, {**INVOICE, field: answer}).fields[field]
    assert result.outcome in (Outcome.WRONG, Outcome.HALLUCINATED)
    assert result.error is ErrorClass.OTHER_FIELD


@pytest.mark.parametrize(
    ("field", "answer", "error"),
    [
        ("TOTAL", "$111.00", ErrorClass.VALUE),
        ("BANK_NAME", "Big Bank", None),
        ("BANK_NAME", "...", None),
        ("GST", "-$10.00", ErrorClass.SIGN),
        ("TOTAL", "$110 00", ErrorClass.FORMAT),
        ("INVOICE_DATE", "09/05/2025", ErrorClass.DAY_MONTH_SWAP),
        ("QUANTITIES", "3 | 2 | 1", ErrorClass.ITEM_ORDER),
    ],
)
def test_other_errors_keep_their_class(field: str, answer: str, error: ErrorClass | None) -> None:
    assert score(INVOICE, {**INVOICE, field: answer}).fields[field].error is error


def test_a_swap_of_day_and_month_is_nearer_than_another_field() -> None:
    truth = {"INVOICE_DATE": "05/09/2025", "DUE_DATE": "09/05/2025"}
    assert score(truth, dict.fromkeys(truth, "09/05/2025")).fields["INVOICE_DATE"].error is ErrorClass.DAY_MONTH_SWAP


# --- line items ---

ROWS = items("Tea | Cake | Jam", "1 | 2 | 3", "$1.00 | $2.00 | $3.00")


def test_line_items_in_full() -> None:
    found = score(ROWS, items("TEA|CAKE|JAM", "1|2|3", "1.00|2.00|3.00")).line_items
    assert (found.cells_correct, found.cells_truth, found.cells_answer) == (9, 9, 9)
    assert (found.rows_exact, found.rows_truth, found.rows_answer, found.rows_matched) == (3, 3, 3, 3)
    assert found.in_order


def test_a_missing_row_does_not_spoil_those_after_it() -> None:
    found = score(ROWS, items("Cake | Jam", "2 | 3", "$2.00 | $3.00")).line_items
    assert (found.cells_correct, found.cells_answer, found.rows_exact, found.rows_matched) == (6, 6, 2, 2)
    assert found.in_order


def test_an_inserted_row_costs_its_own_cells_only() -> None:
    found = score(ROWS, items("Milk | Tea | Cake | Jam", "9 | 1 | 2 | 3", "$9 | $1 | $2 | $3")).line_items
    assert (found.cells_correct, found.cells_answer, found.rows_exact, found.rows_answer) == (9, 12, 3, 4)
    assert found.in_order


def test_swapped_prices_are_wrong_cells() -> None:
    found = score(ROWS, {**ROWS, "PRICES": "$2.00 | $1.00 | $3.00"}).line_items
    assert (found.cells_correct, found.rows_exact) == (7, 1)
    assert found.in_order


def test_rows_in_another_order_are_right_but_not_in_order() -> None:
    found = score(ROWS, items("Jam | Tea | Cake", "3 | 1 | 2", "$3.00 | $1.00 | $2.00")).line_items
    assert (found.cells_correct, found.rows_exact) == (9, 3)
    assert not found.in_order


def test_equal_rows_are_paired_in_order() -> None:
    truth = items("Tea | Tea | Tea | Jam", "1 | 1 | 1 | 2", "$1 | $1 | $1 | $2")
    found = score(truth, items("Milk | Tea | Tea | Tea | Jam", "4|1|1|1|2", "$9|$1|$1|$1|$2")).line_items
    assert (found.rows_exact, found.in_order) == (4, True)


def test_of_pairings_as_good_the_one_in_order_is_taken() -> None:
    truth = items("b | b | a | b", "1 | 2 | 1 | 2", "$1 | $1 | $2 | $2")
    found = score(truth, items("a | a | a", "2 | 2 | 2", "$1 | $1 | $2")).line_items
    assert (found.cells_correct, found.rows_matched, found.in_order) == (5, 3, True)


def test_ragged_columns_lose_cells_not_rows() -> None:
    found = score(ROWS, {**ROWS, "PRICES": "$1.00 | $2.00"}).line_items
    assert (found.cells_correct, found.cells_answer, found.rows_exact, found.rows_answer) == (8, 8, 2, 3)


def test_columns_without_truth_count_what_was_invented() -> None:
    found = score({**ROWS, "QUANTITIES": None}, ROWS).line_items
    assert (found.cells_correct, found.cells_truth, found.cells_answer, found.rows_exact) == (6, 6, 9, 0)
    unjudged = score({"DESCRIPTIONS": ROWS["DESCRIPTIONS"]}, ROWS).line_items
    assert (unjudged.cells_correct, unjudged.cells_truth, unjudged.cells_answer, unjudged.rows_exact) == (
        3,
        3,
        3,
        3,
    )


def test_no_answer_and_nothing_to_answer() -> None:
    found = score(ROWS, items(None, None, None)).line_items
    assert (found.cells_correct, found.cells_truth, found.cells_answer, found.rows_matched) == (0, 9, 0, 0)
    assert rates([score(items(None, None, None), items(None, None, None))])["line_item_f1"].value is None


row_lists = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=7)


def as_items(rows: list[tuple[str, int, int]]) -> dict[str, str | None]:
    return items(*(" | ".join(map(str, column)) for column in zip(*rows, strict=True)))


@relaxed
@given(row_lists, row_lists)
def test_line_items_are_symmetric_and_bounded(a: list[tuple[str, int, int]], b: list[tuple[str, int, int]]) -> None:
    there, back = score(as_items(a), as_items(b)).line_items, score(as_items(b), as_items(a)).line_items
    assert there.cells_correct == back.cells_correct
    assert there.cells_correct <= min(there.cells_truth, there.cells_answer)
    assert there.rows_exact <= there.rows_matched <= min(there.rows_truth, there.rows_answer)


@relaxed
@given(row_lists, st.integers(0, 6))
def test_a_table_with_one_row_removed_keeps_its_order(rows: list[tuple[str, int, int]], index: int) -> None:
    kept = [row for i, row in enumerate(rows) if i != index % len(rows)]
    if kept:
        found = score(as_items(rows), as_items(kept)).line_items
        assert (found.rows_exact, found.in_order) == (len(kept), True)


# --- diagnostics ---


@pytest.mark.parametrize(
    ("abn", "valid"),
    [
        ("11223491505", True), ("20561300000", True), ("31010111200", True), ("90000100000", True),
        ("60231941111", True), ("65118220001", True), ("51 824 753 556", True), ("ABN 51 824 753 556", True),
        ("11223493504", False), ("51 824 753", False), ("unknown", False),
    ],
)  # fmt: skip
def test_abn_checksum(abn: str, valid: bool) -> None:
    assert score({}, {"ABN": abn}).diagnostics == {"abn_checksum": valid}


@pytest.mark.parametrize(
    ("gst", "total", "subtotal", "eleventh", "adds_up"),
    [
        ("$10.00", "$110.00", "$100.00", True, True),
        ("$0.83", "$9.10", "$8.27", True, True),  # 9.10 / 11 = 0.8272...: to the nearest cent
        ("$0.82", "$9.10", "$8.28", False, True),
        ("$10.00", "$150.00", "$140.00", False, True),
        ("$10.00", "$110.00", "$110.00", True, False),
    ],
)
def test_gst_checks(gst: str, total: str, subtotal: str, eleventh: bool, adds_up: bool) -> None:
    found = score({}, {"GST": gst, "TOTAL": total, "SUBTOTAL": subtotal}).diagnostics
    assert found == {"gst_is_total_over_11": eleventh, "subtotal_plus_gst_is_total": adds_up}


def test_checks_apply_only_to_what_was_answered_and_can_be_read() -> None:
    assert score(INVOICE, {"GST": "$10.00", "TOTAL": None}).diagnostics == {}
    assert score(INVOICE, {"GST": "$10.00", "TOTAL": "FREE"}).diagnostics == {}
    assert score(INVOICE, {"GST": "$10", "TOTAL": "$110"}).diagnostics == {"gst_is_total_over_11": True}


def test_a_check_never_makes_a_field_right() -> None:
    result = score(INVOICE, {**INVOICE, "ABN": "11223491505"})
    assert result.diagnostics["abn_checksum"]
    assert result.fields["ABN"].outcome is Outcome.WRONG


# --- rates ---


def test_rates_by_hand() -> None:
    truth = dict.fromkeys(("ABN", "GST", "TOTAL", "SUBTOTAL"), "1.00") | dict.fromkeys(
        ("DUE_DATE", "BANK_NAME", "PAYER_NAME")
    )
    truth["ABN"] = "51824753556"
    answers = {
        "ABN": "51824753556", "GST": "1.00",  # correct
        "TOTAL": "2.00",  # wrong
        "SUBTOTAL": None,  # omitted
        "DUE_DATE": "1/1/2025",  # hallucinated
        "BANK_NAME": None,  # absent; PAYER_NAME unanswered
    }  # fmt: skip
    result = score(truth, answers)
    assert result.counts == Counts(correct=2, wrong=1, omitted=1, hallucinated=1, absent=1, unanswered=1)
    found = {name: estimate.value for name, estimate in rates([result]).items()}
    assert tuple(found) == RATES
    assert found == pytest.approx(
        {
            "precision": 2 / 4,
            "recall": 2 / 4,
            "f1": 4 / (4 + 2 + 1 + 1),
            "accuracy": 3 / 7,
            "floor_accuracy": 3 / 7,
            "hallucination_rate": 1 / 2,
            "omission_rate": 1 / 4,
            "value_rate": 4 / 7,
            "parse_rate": 1.0,
            "anls": (1 + 1 + 0.75 + 0) / 4,
            "line_item_f1": None,
            "line_item_row_exact": None,
            "line_item_order": None,
        },
        nan_ok=False,
    )
    assert document_f1(result) == found["f1"]


def test_rates_of_named_fields_only() -> None:
    result = score(INVOICE, {**INVOICE, "TOTAL": "$1.00", "BSB_NUMBER": "062-000"})
    assert rates([result], ["TOTAL"])["f1"].value == 0.0
    assert rates([result], {"GST", "SUBTOTAL"})["f1"].value == 1.0
    assert rates([result], ["BSB_NUMBER"])["hallucination_rate"].value == 1.0
    assert counts([result, result], ["TOTAL", "GST"]) == Counts(correct=2, wrong=2)
    line_items = [name for name, spec in FIELDS.items() if spec.category is Category.LINE_ITEMS]
    assert rates([result], line_items)["line_item_f1"].value == 1.0
    assert rates([result], ["PRICES"])["line_item_f1"].value is None
    with pytest.raises(UnknownNameError, match="TOTAL"):
        rates([result], ["TOTALS"])


def test_rates_of_nothing_are_none() -> None:
    assert {(e.value, e.low, e.high, e.n) for e in rates([]).values()} == {(None, None, None, 0)}
    nothing = score({"BANK_NAME": None}, {"BANK_NAME": None})
    assert document_f1(nothing) is None
    assert rates([nothing])["f1"].value is None
    assert rates([nothing])["accuracy"].value == 1.0


def test_n_counts_documents() -> None:
    right, wrong = score(INVOICE, INVOICE), score(INVOICE, {**INVOICE, "TOTAL": "$1.00"})
    found = rates([right, wrong, score({"BANK_NAME": None}, {"BANK_NAME": None})])
    assert (found["f1"].n, found["hallucination_rate"].n, found["parse_rate"].n) == (2, 3, 3)
    assert found["f1"].low < found["f1"].value < found["f1"].high <= 1


def test_line_item_rates() -> None:
    swapped = score(ROWS, items("Jam | Tea | Cake", "3 | 1 | 2", "$3.00 | $1.00 | $2.00"))
    short = score(ROWS, items("Tea", "1", "$1.00"))
    found = rates([score(ROWS, ROWS), swapped, short])
    assert found["line_item_f1"].value == pytest.approx((9 + 9 + 3) / (9 + 9 + 6))
    assert found["line_item_row_exact"].value == pytest.approx((3 + 3 + 1) / (3 + 3 + 2))
    assert (found["line_item_order"].value, found["line_item_order"].n) == (0.5, 2)


# --- properties ---

values = st.one_of(
    st.none(),
    st.text("abcXYZ019 .,-/|$&", min_size=1, max_size=20).filter(lambda t: t.strip(" .,-/|$&")),
    st.decimals(0, 9999, places=2).map(lambda d: f"${d:,}"),
    st.dates().map(lambda d: d.isoformat()),
)
truths = st.dictionaries(st.sampled_from(FIELD_NAMES), values, min_size=1)
answers = st.dictionaries(st.sampled_from(FIELD_NAMES), values)


@relaxed
@given(truths)
def test_truth_against_itself_is_perfect(truth: dict[str, str | None]) -> None:
    result = score(truth, truth)
    assert result.counts.correct + result.counts.absent == result.counts.judged == len(truth)
    found = rates([result])
    assert all(found[name].value in (1.0, None) for name in ("precision", "recall", "f1", "accuracy", "anls"))
    assert all(found[name].value in (1.0, None) for name in RATES if name.startswith("line_item"))
    assert all(found[name].value in (0.0, None) for name in ("hallucination_rate", "omission_rate"))
    assert document_f1(result) == (1.0 if result.counts.correct else None)


@relaxed
@given(truths)
def test_answering_absent_to_everything_invents_nothing_and_scores_the_floor(
    truth: dict[str, str | None],
) -> None:
    result = score_document("d", truth, parse_response(render_response(dict.fromkeys(FIELD_NAMES))))
    assert result.counts.hallucinated == result.counts.correct == result.counts.wrong == 0
    found = rates([result])
    assert found["accuracy"].value == found["floor_accuracy"].value
    assert found["value_rate"].value == 0.0


@relaxed
@given(truths, answers, st.booleans())
def test_outcomes_sum_to_the_judged_fields(truth, given_answers, parsable: bool) -> None:
    result = score(truth, given_answers, parsable=parsable)
    assert result.counts.judged == len(truth) == len(result.fields)
    for estimate in rates([result]).values():
        assert estimate.value is None or 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    if not parsable:
        assert result.counts.absent == result.counts.hallucinated == 0


@relaxed
@given(truths, answers, st.sampled_from(FIELD_NAMES))
def test_mending_one_field_never_lowers_f1_or_accuracy(truth, given_answers, name: str) -> None:
    if name not in truth:
        return
    before, after = score(truth, given_answers), score(truth, {**given_answers, name: truth[name]})
    assert (document_f1(after) or 0.0) >= (document_f1(before) or 0.0)
    assert rates([after])["accuracy"].value >= rates([before])["accuracy"].value
