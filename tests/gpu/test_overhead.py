"""What a pass costs on a GPU beside a bare `generate` loop: NVML is read meanwhile, from another process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.test_generate_overhead import Setup, compare

ROUNDS = int(os.environ.get("DOCVLM_GPU_ROUNDS", "3"))
MAX_NEW_TOKENS = 96
"""A small model's answer in about a second: what a pass adds is a fixed time, so that its share is overstated."""


CORES = 4


@pytest.fixture
def few_cores() -> Iterator[None]:
    """Pass and loop take turns on the same few cores: small kernels wait for the processor, and cores are not alike."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:CORES])
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("few_cores")
def test_a_pass_adds_little_to_a_bare_generate_loop(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = Setup(device=device, quantization="bf16", max_new_tokens=MAX_NEW_TOKENS)
    compare(tmp_path, capsys, setup, rounds=ROUNDS)
