"""What does an answer take? Latency and memory against the budgets of this class of device."""

from fixtures.judging import cost_gates


def test_latency(candidate, check, replay):
    """Median and 95th percentile per document; the measured durations also enter pytest-benchmark's tables."""
    fresh = [r for d, r in candidate.result.readings.items() if d in candidate.fresh]
    if durations := [r.latency_s for r in fresh if r.latency_s is not None]:
        replay(durations)
    check(candidate, cost_gates(candidate, "latency_s", "latency_p95_s"))


def test_first_token(candidate, check):
    """Time until the first token is there."""
    check(candidate, cost_gates(candidate, "ttft_s"))


def test_memory(candidate, check):
    """Peak resident memory while loading and while reading."""
    check(candidate, cost_gates(candidate, "peak_rss_bytes", "load_peak_rss_bytes"))


def test_load_time(candidate, check):
    """Time until the model is ready to answer."""
    check(candidate, cost_gates(candidate, "load_s"))
