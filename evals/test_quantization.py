"""What does quantization cost? Fewer bits against the same model in 16, on the same documents."""

from fixtures.comparing import recovery_gates, weights_gates


def test_recovery(quantised, recovery_margin, check):
    """F1 stays within the margin of the 16-bit model's, document by document."""
    check(quantised.run, recovery_gates(quantised, recovery_margin))


def test_weights(vlm, check):
    """The weights take the bytes that their precision predicts, and exactly the layers asked for are quantised."""
    check(vlm, weights_gates(vlm))
