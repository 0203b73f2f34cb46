"""How much can it read? Documents a minute and tokens a second as it is run, and at the best batch size."""

from fixtures.judging import cost_gates, sweep_gate


def test_rate(candidate, check):
    """Documents a minute, and output tokens a second of generation, at the batch size of the cell."""
    check(candidate, cost_gates(candidate, "docs_per_min", "output_tok_per_s"))


def test_sweep(sweep, check):
    """Documents a minute at the best batch size, every answer of the same length."""
    check(sweep.run, [sweep_gate(sweep)])
