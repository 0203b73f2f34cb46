"""One run of the suite over all fake backends, and its table of lamps at the end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evals.selftest.lamps import Panel, light, table
from fixtures.option_values import parse_limit

_TABLE = pytest.StashKey[tuple[Path, str]]()
_DOCUMENTS = 50


@pytest.fixture(scope="session")
def panel(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Panel:
    """What every fake lit on 50 pages, or as many as `--eval-limit` says; the table goes to the report folder."""
    limit, read_all = parse_limit(pytestconfig.getoption("--eval-limit"))
    found = light(tmp_path_factory.mktemp("lamps"), sys.maxsize if read_all else limit or _DOCUMENTS)
    path = pytestconfig.getoption("--eval-report") / "selftest.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table(found), encoding="utf-8")
    pytestconfig.stash[_TABLE] = path, table(found)
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table and where it is."""
    if (found := config.stash.get(_TABLE, None)) is not None:
        path, text = found
        terminalreporter.section("lamps")
        terminalreporter.write(text)
        terminalreporter.write_line(f"table: {path}")
