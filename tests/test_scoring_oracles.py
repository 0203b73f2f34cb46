"""Agreement with other people's code and published vectors, where the definitions coincide."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Sequence

import numpy
import pytest
import scipy.stats
from anls_star import anls_score
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import proportion_confint
from stdnum.au import abn

from harness.responses import ParsedResponse
from harness.scoring import DocumentScore, rates, score_document
from harness.scoring.similarity import anls
from harness.scoring.text import squeeze
from harness.statistics import (
    Alternative,
    bootstrap_interval,
    mean_interval,
    quantile_interval,
    ratio_interval,
    sign_flip_test,
    t_quantile,
    wilson_interval,
)

relaxed = settings(deadline=None)
plain_text = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


def score(truth: dict[str, str | None], answers: dict[str, str | None]) -> DocumentScore:
    return score_document("d", truth, ParsedResponse(fields=answers, notes=(), parsable=True))


# --- ANLS ---


@relaxed
@given(plain_text, plain_text)
def test_anls_is_anls_star_of_one_leaf_but_for_the_boundary(a: str, b: str) -> None:
    outside = anls_score(a, b)
    # at a similarity of exactly one half ANLS* keeps it and the original ANLS, which is ours, gives nothing
    assert anls(a, b) == pytest.approx(0.0 if outside == 0.5 else outside)


@pytest.mark.parametrize(("a", "b"), [("ab", "ac"), ("2025", "2052")])
def test_the_boundary_at_which_anls_star_differs(a: str, b: str) -> None:
    assert (anls(a, b), anls_score(a, b)) == (0.0, 0.5)


@pytest.mark.parametrize(
    ("truth", "answer", "expected"),
    [
        ("Hello World", "Hello Wrold", 0.82),
        ("31.12.2023", "31. Dec 2023", 0.58),
        ("Coca Cola", "Coca Cola Company", 0.53),
        ("Coca Cola", "coca cola", 1.0),
        ("Coca Cola", "Pepsi", 0.0),
    ],
)
def test_published_vectors_of_anls(truth: str, answer: str, expected: float) -> None:
    assert anls(truth, answer) == pytest.approx(expected, abs=0.005)


@relaxed
@given(st.lists(st.tuples(plain_text, plain_text), min_size=1, max_size=5))
def test_the_anls_rate_is_the_mean_of_anls_star_over_the_fields(pairs: list[tuple[str, str]]) -> None:
    names = ["SUPPLIER", "PAYER_NAME", "BANK_NAME", "ACCOUNT_HOLDER", "DOCUMENT_TYPE"][: len(pairs)]
    truth, answers = dict(zip(names, pairs, strict=True)), dict(zip(names, pairs, strict=True))
    outside = [anls_score(a, b) for a, b in pairs]
    assume(0.5 not in outside)
    assume(not any(a.casefold() in ("n/a", "nan", "not_found") for a, _ in pairs))
    found = rates([score({k: v[0] for k, v in truth.items()}, {k: v[1] for k, v in answers.items()})])
    assert found["anls"].value == pytest.approx(sum(outside) / len(outside))


@relaxed
@given(st.text(max_size=20), st.text(max_size=20))
def test_anls_is_rapidfuzz_above_one_half(a: str, b: str) -> None:
    outside = Levenshtein.normalized_similarity(squeeze(a), squeeze(b))
    assert anls(a, b) == pytest.approx(outside if outside > 0.5 else 0.0)


# --- F1 ---


def test_sroie_micro_average() -> None:
    """Two documents, 8 true keys, 6 predicted, 4 equal: the official script of SROIE task 3 gives these numbers."""
    truths = [
        {"SUPPLIER": "X", "INVOICE_DATE": "1/1/2020", "BUSINESS_ADDRESS": "S", "TOTAL": "9.00"},
        {"SUPPLIER": "Y", "INVOICE_DATE": "2/1/2020", "BUSINESS_ADDRESS": "T", "TOTAL": "5.00"},
    ]
    # there a date in another form is wrong; here only another date is
    given_answers = [
        {"SUPPLIER": "X", "INVOICE_DATE": "11/01/2020", "BUSINESS_ADDRESS": "S", "TOTAL": "9.00"},
        {"SUPPLIER": "company:y", "TOTAL": "5.00"},
    ]
    found = rates([score(t, a) for t, a in zip(truths, given_answers, strict=True)])
    assert found["precision"].value == pytest.approx(2 / 3)
    assert found["recall"].value == pytest.approx(1 / 2)
    assert found["f1"].value == pytest.approx(0.5714, abs=5e-5)


def test_donut_f1_of_a_missing_line_item() -> None:
    """Donut's JSONParseEvaluator.cal_f1 on {total, menu: [cake, tea]} without tea: 0.75 over total and cells."""
    truth = {"TOTAL": "7.50", "DESCRIPTIONS": "cake | tea", "PRICES": "4.50 | 3.00"}
    result = score(truth, {"TOTAL": "7.50", "DESCRIPTIONS": "cake", "PRICES": "4.50"})
    items, total = result.line_items, result.fields["TOTAL"]
    correct = items.cells_correct + (total.error is None)
    assert 2 * correct / (items.cells_truth + 1 + items.cells_answer + 1) == 0.75


def test_f1_of_the_published_kieval_counts() -> None:
    """KIEval's entity F1: 1020 right, 167 wrong; the published P .7578, R .7840, F1 .7707 over 1301 labels."""
    right, wrong, labels, predicted = 1020, 167, 1301, 1346
    one = score({"GST": "1"}, {"GST": "1"}), score({"GST": "1"}, {"GST": "2"})
    omitted, invented = score({"GST": "1"}, {"GST": None}), score({"GST": None}, {"GST": "1"})
    scores = [one[0]] * right + [one[1]] * wrong + [omitted] * (labels - right - wrong)
    scores += [invented] * (predicted - right - wrong)
    found = rates(scores)
    assert found["precision"].value == pytest.approx(0.7578, abs=5e-5)
    assert found["recall"].value == pytest.approx(0.7840, abs=5e-5)
    assert found["f1"].value == pytest.approx(0.7707, abs=5e-5)


@relaxed
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1, max_size=5), st.data())
def test_line_item_cells_against_every_possible_assignment(rows: list[tuple[str, str]], data: st.DataObject) -> None:
    from itertools import permutations

    other = data.draw(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1, max_size=5))
    long, short = (rows, other) if len(rows) >= len(other) else (other, rows)
    best = max(
        sum((a == c) + (b == d) for (a, b), (c, d) in zip(chosen, short, strict=True))
        for chosen in permutations(long, len(short))
    )

    def columns(table: list[tuple[str, str]]) -> dict[str, str | None]:
        return {"DESCRIPTIONS": " | ".join(a for a, _ in table), "PRICES": " | ".join(b for _, b in table)}

    assert score(columns(rows), columns(other)).line_items.cells_correct == best


# --- ABN ---


@given(st.integers(10_000_000_000, 99_999_999_999))
def test_abn_checksum_is_the_sum_of_the_business_register(number: int) -> None:
    weights = (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
    digits = [int(c) for c in str(number)]
    digits[0] -= 1
    # the two check digits run from 11 to 99: 10... divides by 89 too, but is never given out
    by_hand = sum(w * d for w, d in zip(weights, digits, strict=True)) % 89 == 0 and str(number) >= "11"
    assert score({}, {"ABN": str(number)}).diagnostics["abn_checksum"] == by_hand == abn.is_valid(str(number))


# --- statistics ---


@relaxed
@given(st.integers(0, 200), st.integers(1, 200), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilson_against_statsmodels_and_scipy(successes: int, trials: int, confidence: float) -> None:
    assume(successes <= trials)
    ours = wilson_interval(successes, trials, confidence)
    assert (ours.low, ours.high) == pytest.approx(
        proportion_confint(successes, trials, alpha=1 - confidence, method="wilson"), abs=1e-9
    )
    scipys = scipy.stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((scipys.low, scipys.high), abs=1e-9)


@relaxed
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)).map(lambda p: (min(p), p[1])), min_size=2, max_size=15),
    st.sampled_from([0.9, 0.95]),
)
def test_ratio_interval_against_a_cluster_robust_regression(pairs: list[tuple[int, int]], confidence: float) -> None:
    outcomes = [float(i < n) for n, d in pairs for i in range(d)]
    groups = [document for document, (_, d) in enumerate(pairs) for _ in range(d)]
    share, total, k = sum(outcomes) / len(outcomes), len(outcomes), len(pairs)
    fit = OLS(outcomes, numpy.ones(total)).fit(cov_type="cluster", cov_kwds={"groups": numpy.array(groups)})
    variance = float(fit.bse[0]) ** 2
    assume(0 < share < 1)
    assume(variance > 1e-12)
    quantile = 0.5 + confidence / 2
    few = min(1.0, scipy.stats.t.ppf(quantile, total - 1) / scipy.stats.t.ppf(quantile, k - 1)) ** 2
    size = min(total / (total - 1) * share * (1 - share) / variance * few, total)
    ours = ratio_interval([n for n, _ in pairs], [d for _, d in pairs], confidence)
    assert (ours.low, ours.high) == pytest.approx(
        proportion_confint(share * size, size, alpha=1 - confidence, method="wilson"), abs=1e-6
    )


@pytest.mark.parametrize("df", [*range(1, 12), 30, 59, 60, 61, 62, 100, 500, 5000])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99, 0.999])
def test_t_quantile_against_scipy(df: int, confidence: float) -> None:
    assert t_quantile(confidence, df) == pytest.approx(scipy.stats.t.ppf(0.5 + confidence / 2, df), rel=1e-7)


@relaxed
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30))
def test_mean_interval_against_scipy(values: list[float]) -> None:
    assume(numpy.std(values) > 1e-6)
    ours = mean_interval(values)
    theirs = scipy.stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


@relaxed
@given(st.lists(st.integers(-4, 4), min_size=2, max_size=8), st.sampled_from(["two-sided", "less", "greater"]))
def test_sign_flip_against_scipy(differences: list[int], alternative: Alternative) -> None:
    def mean(sample: Sequence[float], axis: int = -1) -> numpy.ndarray:
        return numpy.mean(sample, axis=axis)

    theirs = scipy.stats.permutation_test(
        (differences,), mean, permutation_type="samples", alternative=alternative, n_resamples=numpy.inf
    )
    assert sign_flip_test(differences, alternative) == pytest.approx(theirs.pvalue)


@relaxed
@given(
    st.lists(st.floats(-100, 100), min_size=4, max_size=80, unique=True),
    st.sampled_from([0.1, 0.5, 0.9, 0.95]),
)
def test_quantile_interval_against_scipy(values: list[float], q: float) -> None:
    ours = quantile_interval(values, q)
    theirs = scipy.stats.quantile_test(values, q=0, p=q).confidence_interval(0.95)
    assert ours.value == pytest.approx(numpy.quantile(values, q))
    assert ours.low == (None if math.isnan(theirs.low) else min(theirs.low, ours.value))
    assert ours.high == (None if math.isnan(theirs.high) else max(theirs.high, ours.value))


def test_bootstrap_against_scipy() -> None:
    rng = random.Random(5)
    values = [rng.betavariate(8, 2) for _ in range(60)]
    ours = bootstrap_interval(values, resamples=4000)
    theirs = scipy.stats.bootstrap(
        (values,), numpy.mean, method="percentile", n_resamples=4000, rng=numpy.random.default_rng(1)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.005)


def test_bca_breaks_where_ours_says_so() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = scipy.stats.bootstrap(([0.0] * 20,), numpy.mean, method="BCa", n_resamples=99).confidence_interval
    assert math.isnan(theirs.low)
    assert bootstrap_interval([0.0] * 20).low is None
