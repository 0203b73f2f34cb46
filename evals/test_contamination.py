"""Was the device ours alone? Processes of others and clocks held down make times worthless."""

from fixtures.judging import contamination_gate


def test_uncontaminated(accelerated, check):
    """No request had company on its device or lowered clocks; where one had, this is told and no time is judged."""
    check(accelerated, [contamination_gate(accelerated)])
