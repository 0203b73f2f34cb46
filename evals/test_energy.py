"""What does an answer take from the mains? Energy per document and per token, once the two ways to measure it agree."""

from fixtures.judging import closure_gate, energy_gates


def test_closure(accelerated, check):
    """The energy counter and mean power times time agree within 5 %."""
    check(accelerated, [closure_gate(accelerated)])


def test_energy(accelerated, check):
    """Joules per document and per output token, and output tokens a second and watt."""
    check(accelerated, energy_gates(accelerated, "energy_j", "j_per_output_tok", "output_tok_per_s_per_w"))
