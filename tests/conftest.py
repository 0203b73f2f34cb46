"""The project's own tests are strict: a warning is an error."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Users' evaluations are not held to this: their plugins may warn as they like."""
    config.addinivalue_line("filterwarnings", "error")
