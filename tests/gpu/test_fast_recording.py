"""Steps are recorded as graphs while pages are being prepared."""

from __future__ import annotations

import threading

import pytest
import torch

from harness.backends.generative.fast.engine import recorded


def test_other_threads_may_take_pinned_memory_while_a_step_is_recorded(device: str) -> None:
    if not device.startswith("cuda"):
        pytest.skip("graphs are CUDA's")
    counter = torch.zeros((), dtype=torch.int64, device=device)
    over = threading.Event()
    taken = threading.Event()

    def take() -> None:
        kept = []
        while not over.is_set():
            kept.append(torch.empty(1 << 20, dtype=torch.uint8, pin_memory=True))  # kept: each is asked of the driver
            taken.set()

    def step() -> None:
        taken.clear()
        assert taken.wait(10), "the other thread takes memory during every step"
        counter.add_(1)

    thread = threading.Thread(target=take)
    thread.start()
    try:
        replay = recorded(step)
        replay()
        replay()
    finally:
        over.set()
        thread.join()
    torch.cuda.synchronize()
    assert int(counter) == 3 + 2
