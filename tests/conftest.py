"""The project's own tests are strict: a warning is an error."""

import os

import pytest

# Before torch is loaded: workers and the processes of -n share the cores, as in harness/worker/process.py.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def pytest_configure(config: pytest.Config) -> None:
    """Users' evaluations are not held to this: their plugins may warn as they like."""
    config.addinivalue_line("filterwarnings", "error")


@pytest.fixture(scope="session", autouse=True)
def lean_child_sessions() -> None:
    """Hypothesis is loaded at the end of every session that has its plugin: a second for each of those started here.

    anyio's is loaded at the start, and used by nothing.
    """
    unused = "-p no:hypothesispytest -p no:anyio"
    os.environ["PYTEST_ADDOPTS"] = f"{os.environ.get('PYTEST_ADDOPTS', '')} {unused}"
