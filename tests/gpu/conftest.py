"""These tests run where there is a GPU.

DOCVLM_TEST_DEVICE names another device than `cuda`; `cpu` tries the tests themselves where there is no GPU, leaving
out what a CPU cannot show.
"""

from __future__ import annotations

import os

import pytest

from harness.instruments.gpu import why_no_gpu
from tests.library_warnings import MLLAMA_WARNS, NUMPY_WARNS


@pytest.fixture(scope="session")
def device() -> str:
    """Where the tests run."""
    return os.environ.get("DOCVLM_TEST_DEVICE", "cuda")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and skip it where its device is not."""
    reason = None if os.environ.get("DOCVLM_TEST_DEVICE") == "cpu" else why_no_gpu()
    for item in items:
        if item.path.parent.name == "gpu":
            item.add_marker("gpu")
            item.add_marker(MLLAMA_WARNS)
            item.add_marker(NUMPY_WARNS)
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=f"no GPU can be used here: {reason}"))
