"""Does it fit? Device memory at its peak against the budgets, on this device and, by prediction, on others."""

from fixtures.judging import cost_gates, fit_gates


def test_peak(accelerated, check):
    """The peak during inference, all devices summed, stays within the budget of this class of device."""
    check(accelerated, cost_gates(accelerated, "peak_vram_bytes"))


def test_other_devices(vlm, check):
    """Other classes of device that have a budget for this model would hold it too: predicted, they are not here."""
    check(vlm, fit_gates(vlm), otherwise="no budget is set for its memory on another class of device")
