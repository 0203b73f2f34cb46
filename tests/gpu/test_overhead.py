"""What a pass costs on a GPU beside a bare loop: NVML is read meanwhile, from another process.

At full size and by the runtime whose steps are CUDA graphs: what a step of the library's own `generate` takes hangs on
how fast the host launches kernels, which changes by a third with what else the host does.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.cells import Runtime
from tests.benchmarks.test_generate_overhead import REPOSITORY, Setup, compare

ROUNDS = int(os.environ.get("DOCVLM_GPU_ROUNDS", "3"))
PAGES = 8
"""Of each round, for which the model is loaded anew."""
ARCHITECTURE = REPOSITORY / "fixtures" / "architectures" / "Llama-3.2-11B-Vision-Instruct"


def test_a_pass_adds_little_to_a_bare_loop(device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if device == "cpu":
        pytest.skip("eleven thousand million parameters are too many for a CPU")
    setup = Setup(
        device=device,
        quantization="bf16",
        runtime=Runtime.FAST,
        max_new_tokens=384,
        checkpoint=ARCHITECTURE,
        dummy=True,
    )
    compare(tmp_path, capsys, setup, rounds=ROUNDS, count=PAGES)
