"""Verdicts: green only when the whole interval is on the right side."""

import pytest

from harness.gates import Verdict, judge, judge_blind
from harness.metrics import Metric, Status, not_measured


def metric(value, low=None, high=None, unit="ratio"):
    return Metric(value=value, low=low, high=high, n=50, unit=unit, status=Status.MEASURED)


@pytest.mark.parametrize(
    ("name", "estimate", "limit", "verdict"),
    [
        ("f1", metric(0.95, 0.92, 0.97), 0.90, Verdict.PASS),
        ("f1", metric(0.95, 0.92, 0.97), 0.92, Verdict.PASS),
        ("f1", metric(0.95, 0.92, 0.97), 0.93, Verdict.INCONCLUSIVE),
        ("f1", metric(0.91, 0.88, 0.94), 0.95, Verdict.FAIL),
        ("f1", metric(0.95, 0.92, 0.97), None, Verdict.NO_BUDGET),
        ("f1", not_measured("f1"), 0.9, Verdict.INCONCLUSIVE),
        ("hallucination_rate", metric(0.01, 0.0, 0.02), 0.05, Verdict.PASS),
        ("hallucination_rate", metric(0.04, 0.02, 0.07), 0.05, Verdict.INCONCLUSIVE),
        ("hallucination_rate", metric(0.10, 0.06, 0.15), 0.05, Verdict.FAIL),
        ("peak_rss_bytes", metric(100.0, unit="B"), 100, Verdict.PASS),
        ("peak_rss_bytes", metric(101.0, unit="B"), 100, Verdict.FAIL),
        ("latency_p95_s", metric(1.0, 0.9, None, unit="s"), 2.0, Verdict.INCONCLUSIVE),
        ("latency_s", metric(1.0, unit="s"), 2.0, Verdict.INCONCLUSIVE),
        ("latency_p95_s", metric(3.0, 2.5, None, unit="s"), 2.0, Verdict.FAIL),
        ("docs_per_min", metric(50.0, 45.0, 55.0, unit="1/min"), 40, Verdict.PASS),
        ("calls_per_document", metric(1.0, unit="calls"), 1, Verdict.PASS),
        ("calls_per_document", metric(1.2, 0.9, 1.5, unit="calls"), 1.1, Verdict.FAIL),
    ],
)
def test_verdict(name, estimate, limit, verdict):
    assert judge(name, estimate, limit).verdict is verdict


def test_message_carries_the_evidence():
    gate = judge("f1", metric(0.95, 0.92, 0.97), 0.93, of="clean")
    assert gate.metric == "f1.clean"
    for part in ("0.95", "[0.92, 0.97]", "at least 0.93", "n=50", "a larger sample"):
        assert part in gate.message


def test_no_interval_is_not_one_that_reaches_across():
    message = judge("latency_s", metric(1.0, unit="s"), 2.0).message
    assert message.endswith("n=50: too few values, or all the same, so that they have no interval")
    assert "reaches across" in judge("latency_p95_s", metric(1.0, 0.9, None, unit="s"), 2.0).message


@pytest.mark.parametrize(
    ("recall", "verdict"),
    [
        (metric(0.0, 0.0, 0.114), Verdict.PASS),
        (metric(0.0, 0.0, 0.24), Verdict.INCONCLUSIVE),
        (metric(1.0, 0.89, 1.0), Verdict.FAIL),
    ],
)
def test_a_blind_model_is_judged_by_what_it_gets_right(recall, verdict):
    assert judge_blind({"recall": recall}).verdict is verdict
