"""Evaluation options as from a command line, without running pytest."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from fixtures.options import EvalOptions, add_options


def parse_options(*arguments: str, report: Path, markers: str = "") -> EvalOptions:
    """Raises pytest.UsageError as the command line does; `markers` is what it says after -m."""
    parser = pytest.Parser(_ispytest=True)
    add_options(parser)
    parser.addoption("--eval-report", type=Path, default=report)
    namespace = parser.parse_known_args(list(arguments))
    namespace.markexpr = markers
    return EvalOptions.from_config(
        SimpleNamespace(getoption=lambda name, _=None: getattr(namespace, name.lstrip("-").replace("-", "_")))
    )
