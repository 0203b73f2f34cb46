"""Intervals and tests over documents: their values, their edges, and what they promise about coverage."""

from __future__ import annotations

import gc
import math
import random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.statistics import (
    Aligned,
    bootstrap_interval,
    differences,
    documents_needed,
    holm_adjusted,
    mean_interval,
    minimum_detectable_drop,
    paired_difference,
    quantile_interval,
    ratio_interval,
    sign_flip_test,
    t_quantile,
    united,
    wilson_interval,
)

relaxed = settings(deadline=None)
confidences = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])
floats = st.floats(-1e6, 1e6)
trials = st.lists(
    st.tuples(st.integers(0, 25), st.integers(0, 25)).map(lambda pair: (min(pair), max(pair))), max_size=40
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (20, 20, 0.839, 1.0),
        (50, 50, 0.929, 1.0),
        (100, 100, 0.963, 1.0),
        (45, 50, 0.786, 0.957),
        (180, 200, 0.851, 0.934),
    ],
)
def test_wilson_known_values(successes: int, n: int, low: float, high: float) -> None:
    estimate = wilson_interval(successes, n)
    assert estimate.value == successes / n
    assert estimate.low == pytest.approx(low, abs=5e-4)
    assert estimate.high == pytest.approx(high, abs=5e-4)
    assert estimate.n == n


@pytest.mark.parametrize(
    "estimate",
    [
        wilson_interval(0, 0),
        ratio_interval([], []),
        ratio_interval([0, 0], [0, 0]),
        mean_interval([]),
        quantile_interval([], 0.5),
        bootstrap_interval([]),
    ],
)
def test_nothing_to_count_is_none_and_not_zero(estimate) -> None:
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (None, None, None, 0)


@relaxed
@given(trials, confidences)
def test_ratio_interval_is_ordered_and_within_bounds(pairs: list[tuple[int, int]], confidence: float) -> None:
    estimate = ratio_interval([n for n, _ in pairs], [d for _, d in pairs], confidence)
    counted = [pair for pair in pairs if pair[1]]
    assert estimate.n == len(counted)
    if counted:
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.value == pytest.approx(sum(n for n, _ in counted) / sum(d for _, d in counted))
        assert estimate.high - estimate.low > 0


@relaxed
@given(st.lists(st.booleans(), min_size=1, max_size=60), confidences)
def test_one_trial_a_document_is_plain_wilson(outcomes: list[bool], confidence: float) -> None:
    clustered = ratio_interval(outcomes, [1] * len(outcomes), confidence)
    plain = wilson_interval(sum(outcomes), len(outcomes), confidence)
    assert (clustered.value, clustered.low, clustered.high) == pytest.approx(
        (plain.value, plain.low, plain.high), rel=1e-9, abs=1e-12
    )


@relaxed
@given(st.lists(st.tuples(st.integers(0, 8), st.just(8)), min_size=3, max_size=12))
def test_more_documents_of_the_same_mix_narrow_the_interval(pairs: list[tuple[int, int]]) -> None:
    def width(copies: int) -> float:
        estimate = ratio_interval([n for n, _ in pairs] * copies, [d for _, d in pairs] * copies)
        return estimate.high - estimate.low

    assert width(8) < width(2) < width(1) + 1e-12


@relaxed
@given(trials, st.randoms(use_true_random=False))
def test_order_of_documents_does_not_matter(pairs: list[tuple[int, int]], shuffler: random.Random) -> None:
    shuffled = list(pairs)
    shuffler.shuffle(shuffled)
    before, after = (ratio_interval([n for n, _ in p], [d for _, d in p]) for p in (pairs, shuffled))
    assert before == after or (before.low, before.high) == pytest.approx((after.low, after.high))


def test_fields_that_fail_together_widen_the_interval() -> None:
    together = ratio_interval([10] * 18 + [0] * 2, [10] * 20)
    apart = ratio_interval([9] * 20, [10] * 20)
    mixed = ratio_interval([10, 8] * 10, [10] * 20)
    assert together.value == apart.value == mixed.value
    plain = wilson_interval(18, 20)
    assert together.high - together.low == pytest.approx(plain.high - plain.low, rel=0.1)
    assert mixed.high - mixed.low < together.high - together.low


@pytest.mark.parametrize(("numerators", "value"), [([5] * 12, 1.0), ([0] * 12, 0.0), ([3] * 12, 0.6)])
def test_without_spread_each_document_counts_as_one_trial(numerators: list[int], value: float) -> None:
    estimate = ratio_interval(numerators, [5] * 12)
    plain = wilson_interval(12 * value, 12)
    assert estimate.value == pytest.approx(value)
    assert (estimate.low, estimate.high) == pytest.approx((plain.low, plain.high))


def test_one_document_is_one_trial_however_many_fields_it_has() -> None:
    estimate = ratio_interval([20], [25])
    assert estimate.n == 1
    assert estimate.low < 0.25
    assert estimate.high > 0.98


def test_ratio_takes_fractional_numerators_and_denominators() -> None:
    estimate = ratio_interval([1.5, 2.25, 0.5], [2.5, 2.5, 1.5])
    assert estimate.value == pytest.approx(4.25 / 6.5)
    assert 0 < estimate.low < estimate.value < estimate.high < 1


@pytest.mark.parametrize(("n", "d"), [([2], [1]), ([-1], [1]), ([1, 1], [1]), ([0.1], [0])])
def test_ratio_refuses_what_is_no_share(n: list[float], d: list[float]) -> None:
    with pytest.raises(ValueError, match=r"numerator|shorter|longer"):
        ratio_interval(n, d)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1, 95])
def test_confidence_must_be_a_share(confidence: float) -> None:
    for call in (
        lambda: wilson_interval(1, 2, confidence),
        lambda: ratio_interval([1], [2], confidence),
        lambda: mean_interval([1, 2], confidence),
        lambda: quantile_interval([1, 2], 0.5, confidence),
        lambda: bootstrap_interval([1, 2], confidence=confidence),
    ):
        with pytest.raises(ValueError, match="confidence"):
            call()


def test_t_quantile_known_values() -> None:
    assert t_quantile(0.95, 1) == pytest.approx(12.7062047, abs=1e-6)
    assert t_quantile(0.95, 10) == pytest.approx(2.2281389, abs=1e-6)
    assert t_quantile(0.95, 10_000) == pytest.approx(1.9602, abs=1e-4)
    with pytest.raises(ValueError, match="degrees of freedom"):
        t_quantile(0.95, 0)


@pytest.mark.parametrize("values", [[0.7], [0.0] * 9, [3.0] * 4])
def test_without_spread_a_mean_has_no_bounds(values: list[float]) -> None:
    for estimate in (mean_interval(values), bootstrap_interval(values)):
        assert estimate.value == values[0]
        assert (estimate.low, estimate.high, estimate.n) == (None, None, len(values))


@relaxed
@given(st.lists(floats, min_size=2, max_size=30), confidences)
def test_mean_interval_surrounds_the_mean(values: list[float], confidence: float) -> None:
    estimate = mean_interval(values, confidence)
    if estimate.low is None:
        assert min(values) == max(values)
    else:
        assert estimate.low <= estimate.value <= estimate.high
        assert not math.isnan(estimate.high)


@relaxed
@given(st.lists(floats, min_size=1, max_size=120), st.floats(0.01, 0.99), confidences)
def test_quantile_interval_surrounds_the_quantile(values: list[float], q: float, confidence: float) -> None:
    estimate = quantile_interval(values, q, confidence)
    assert min(values) <= estimate.value <= max(values)
    assert estimate.low is None or estimate.low <= estimate.value
    assert estimate.high is None or estimate.high >= estimate.value


def test_quantile_bounds_are_none_where_n_is_too_small() -> None:
    assert quantile_interval(range(5), 0.5).low is None
    assert quantile_interval(range(6), 0.5).low == 0
    assert quantile_interval(range(71), 0.95).high is None
    assert quantile_interval(range(72), 0.95).high == 71
    assert quantile_interval(range(72), 0.95).low is not None
    with pytest.raises(ValueError, match="quantile"):
        quantile_interval([1.0], 1.0)


def test_bootstrap_is_reproducible_and_takes_any_statistic() -> None:
    rng = random.Random(1)
    values = [rng.gauss(0, 1) for _ in range(40)]
    first = bootstrap_interval(values, median, seed=7)
    assert first == bootstrap_interval(values, median, seed=7)
    assert first != bootstrap_interval(values, median, seed=8)
    assert first.low <= median(values) == first.value <= first.high


@pytest.mark.parametrize(
    ("differences", "alternative", "p"),
    [
        ([], "two-sided", 1.0),
        ([0.0, 0.0], "less", 1.0),
        ([-1, -1, -1], "two-sided", 0.25),
        ([-1, -1, -1], "less", 0.125),
        ([-1, -1, -1], "greater", 1.0),
        ([0, -0.1, -0.1, -0.1, 0, 0], "less", 0.125),
        ([1, -1], "two-sided", 1.0),
        ([3, 2, 1, -1], "greater", 3 / 16),
    ],
)
def test_sign_flip_exact(differences: list[float], alternative, p: float) -> None:
    assert sign_flip_test(differences, alternative) == p


def test_sign_flip_refuses_an_unknown_alternative() -> None:
    with pytest.raises(ValueError, match="alternative"):
        sign_flip_test([1.0], "lower")  # type: ignore[arg-type]


def test_sign_flip_by_monte_carlo_is_near_the_exact_value_and_never_zero() -> None:
    differences = [0.4, -0.2, 0.3, 0.1, -0.5, 0.2, 0.3, -0.1, 0.6, 0.2, -0.3, 0.1, 0.4, -0.2, 0.1, 0.2]
    exact = sign_flip_test(differences)
    assert exact > 0.1
    assert sign_flip_test([*differences, 1e-12]) == pytest.approx(exact, abs=0.05)
    shifted = [d + 0.1 for d in differences]
    assert sign_flip_test(shifted) < 0.1
    assert sign_flip_test([*shifted, 1e-12]) == pytest.approx(sign_flip_test(shifted), abs=0.005)
    assert sign_flip_test([1.0] * 60, "greater") == 1 / 20_001
    assert sign_flip_test([1.0] * 60, "greater") == sign_flip_test([1.0] * 60, "greater")


@relaxed
@given(st.lists(floats, max_size=12))
def test_sign_flip_is_symmetric(differences: list[float]) -> None:
    flipped = [-d for d in differences]
    assert sign_flip_test(differences) == sign_flip_test(flipped)
    assert sign_flip_test(differences, "less") == sign_flip_test(flipped, "greater")
    assert 0 < sign_flip_test(differences) <= 1


def test_sign_flip_keeps_its_level_when_whole_documents_collapse() -> None:
    rng = random.Random(20)

    def share() -> float:
        return 0.0 if rng.random() < 0.03 else sum(rng.random() > 0.02 for _ in range(14)) / 14

    runs = 300
    alarms = sum(sign_flip_test([share() - share() for _ in range(50)], "less", draws=999) < 0.05 for _ in range(runs))
    assert alarms / runs < 0.085  # 5 % nominal, and 2.8 standard errors; field-level McNemar has 20 %


def test_paired_difference_uses_documents_in_both() -> None:
    a = {"x": 1.0, "y": 0.5, "z": 0.75, "only-a": 0.0}
    b = {"z": 0.5, "y": 0.5, "x": 0.5, "only-b": 1.0}
    found = paired_difference(a, b)
    assert (found.n, found.changed) == (3, 2)
    assert found.mean == pytest.approx(0.25)
    assert found.low < 0 < found.mean < found.high
    assert found.p == 0.5
    back = paired_difference(b, a)
    assert (back.mean, back.low, back.high) == pytest.approx((-found.mean, -found.high, -found.low))


def test_paired_difference_at_its_edges() -> None:
    none = paired_difference({"x": 1.0}, {"y": 1.0})
    assert (none.mean, none.low, none.high, none.p, none.n, none.changed) == (None, None, None, None, 0, 0)
    one = paired_difference({"x": 1.0}, {"x": 0.5})
    assert (one.mean, one.low, one.high, one.p, one.n, one.changed) == (0.5, None, None, 1.0, 1, 1)
    same = {str(i): i / 10 for i in range(10)}
    identical = paired_difference(same, same)
    assert (identical.mean, identical.low, identical.high) == (0.0, None, None)
    assert (identical.p, identical.n, identical.changed) == (1.0, 10, 0)


@pytest.mark.parametrize(
    ("sd", "alpha", "power", "n"),
    [
        (0.03, 0.05, 0.8, 14),
        (0.055, 0.05, 0.8, 47),
        (0.10, 0.05, 0.8, 155),
        (0.20, 0.05, 0.8, 619),
        (0.04, 0.05, 0.9, 35),
        (0.10, 0.01, 0.9, 326),
    ],
)
def test_documents_needed_for_two_points(sd: float, alpha: float, power: float, n: int) -> None:
    assert documents_needed(0.02, sd, alpha=alpha, power=power) == n
    assert minimum_detectable_drop(sd=sd, n=n, alpha=alpha, power=power) == pytest.approx(0.02, rel=0.04)
    assert minimum_detectable_drop(sd=sd, n=n, alpha=alpha, power=power) <= 0.02


def test_minimum_detectable_drop_at_its_edges() -> None:
    assert minimum_detectable_drop([]) is None
    assert minimum_detectable_drop([0.1]) is None
    assert minimum_detectable_drop([0.0] * 50) is None
    assert minimum_detectable_drop([0.1, -0.1] * 50) == pytest.approx(2.487 * 0.1005 / 10, rel=1e-3)
    with pytest.raises(ValueError, match="sd and n"):
        minimum_detectable_drop(sd=0.1)
    with pytest.raises(ValueError, match="positive"):
        documents_needed(0.0, 0.1)


def _coverage(count: int, collapse: float, runs: int = 1200) -> tuple[float, float]:
    """How often the truth lies in the clustered interval, and in one that takes fields as independent.

    Documents have 5 to 15 fields and a quality of their own, 0.8 on average; a share `collapse` fails whole.
    """
    rng = random.Random(f"{count} {collapse}")
    truth = (1 - collapse) * 0.8
    clustered = naive = 0
    for _ in range(runs):
        correct, judged = [], []
        for _ in range(count):
            fields = rng.randint(5, 15)
            quality = 0.0 if rng.random() < collapse else rng.betavariate(4, 1)
            judged.append(fields)
            correct.append(sum(rng.random() < quality for _ in range(fields)))
        estimate, plain = ratio_interval(correct, judged), wilson_interval(sum(correct), sum(judged))
        clustered += estimate.low <= truth <= estimate.high
        naive += plain.low <= truth <= plain.high
    return clustered / runs, naive / runs


@pytest.mark.parametrize("count", [10, 20, 60, 120])
def test_ratio_interval_covers_the_truth_on_clustered_documents(count: int) -> None:
    covered, covered_by_fields = _coverage(count, collapse=0.0)
    assert 0.925 <= covered <= 0.98
    assert covered_by_fields < 0.85


@pytest.mark.parametrize(("count", "at_least"), [(20, 0.87), (60, 0.92), (120, 0.925)])
def test_rare_collapses_cost_coverage_only_while_documents_are_few(count: int, at_least: float) -> None:
    covered, covered_by_fields = _coverage(count, collapse=1 / 12)
    assert at_least <= covered <= 0.98
    assert covered_by_fields < 0.75


def test_quantile_interval_covers_the_truth() -> None:
    rng = random.Random(3)
    runs, covered = 1000, 0
    for _ in range(runs):
        estimate = quantile_interval([rng.expovariate(1.0) for _ in range(50)], 0.5)
        covered += estimate.low <= math.log(2) <= estimate.high
    assert 0.94 <= covered / runs <= 0.99


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@relaxed
def test_holm_agrees_with_statsmodels(p_values):
    from statsmodels.stats.multitest import multipletests

    found = holm_adjusted(p_values)
    gc.freeze()  # statsmodels collects garbage in every call, which in a long run of tests takes most of a second
    expected = multipletests(p_values, method="holm")[1]
    gc.unfreeze()
    assert found == pytest.approx(expected)
    assert all(adjusted >= p for adjusted, p in zip(found, p_values, strict=True))


def test_holm_by_hand():
    assert holm_adjusted([0.04, 0.01, 0.03, 0.5]) == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert holm_adjusted([0.03]) == [0.03]
    assert holm_adjusted([]) == []


# --- documents whose value was measured together ------------------------------------------------------------------

shared = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), floats, floats), max_size=14)


@given(shared, st.booleans())
@relaxed
def test_what_either_measured_together_is_one_difference(rows, alone: bool) -> None:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = [f"d{i:02}" for i in range(len(rows))]
    places = {name: place for place, name in enumerate(names)}
    of_a = {name: f"a{row[0]}" for name, row in zip(names, rows, strict=True)}
    of_b = None if alone else {name: f"b{row[1]}" for name, row in zip(names, rows, strict=True)}
    a = Aligned.of(places, {name: row[2] for name, row in zip(names, rows, strict=True)}, of_a)
    b = Aligned.of(places, {name: row[3] for name, row in zip(names, rows, strict=True)}, of_b)
    edges = [
        (i, j)
        for i in range(len(rows))
        for j in range(len(rows))
        if rows[i][0] == rows[j][0] or (not alone and rows[i][1] == rows[j][1])
    ]
    ones, (i, j) = [1] * len(edges), zip(*edges, strict=True) if edges else ((), ())
    count, labels = connected_components(coo_array((ones, (i, j)), shape=(len(rows),) * 2)) if rows else (0, [])
    expected = [
        math.fsum(row[2] - row[3] for row, of in zip(rows, labels, strict=True) if of == label)
        / sum(of == label for of in labels)
        for label in range(count)
    ]
    assert sorted(differences(a, b)) == pytest.approx(sorted(expected), abs=1e-6)
    assert paired_difference(a, b).n == count


def test_a_document_that_only_one_knows_leaves_its_request_to_the_others() -> None:
    places = {"a": 0, "b": 1, "c": 2}
    batched = Aligned.of(places, {"a": 1.0, "b": 3.0, "c": 8.0}, {"a": "a", "b": "a", "c": "c"})
    first, second = united(batched, {"b": 1.0, "c": 2.0})
    assert (first, second) == ({"b": 3.0, "c": 8.0}, {"b": 1.0, "c": 2.0})
    assert united(batched, {"a": 0.0, "b": 1.0}) == ({"a": 2.0}, {"a": 0.5})
