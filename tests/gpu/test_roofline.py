"""What a GPU can do at most, measured twice."""

from __future__ import annotations

import pytest

from harness.roofline.ceilings import measured_device
from harness.roofline.measuring import measure_ceilings


def test_two_measurements_agree(device: str) -> None:
    if device == "cpu":
        pytest.skip("a processor shared with others does not repeat itself")
    first, second = (measure_ceilings(measured_device(device), "float16") for _ in range(2))
    assert first.failure is None, first.message
    assert second.failure is None, second.message
    assert first.name != "CPU"
    for found in (first, second):
        assert found.seconds is not None
        assert found.seconds < 4
        assert found.how is not None
        assert "device events" in found.how
    assert first.bandwidth_bytes_per_s == pytest.approx(second.bandwidth_bytes_per_s, rel=0.1)
    assert first.matmul_flops_per_s == pytest.approx(second.matmul_flops_per_s, rel=0.1)
