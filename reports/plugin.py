"""pytest plugin: collects the verdicts of evaluation tests and renders the report. Hooks only; silent when unused."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.gates import Verdict
from reports.collector import Collector, gates_of

_COLLECTOR = pytest.StashKey[Collector]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register where the report goes."""
    group = parser.getgroup("docvlm-evals")
    group.addoption(
        "--eval-report",
        type=Path,
        default=Path("reports/latest"),
        metavar="DIR",
        help="folder for the evidence log and the report (default: reports/latest)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Report from the controller only: what xdist workers find reaches it with their test reports."""
    if not hasattr(config, "workerinput"):
        collector = Collector(folder=config.getoption("--eval-report"))
        config.stash[_COLLECTOR] = collector
        config.pluginmanager.register(_Listener(collector), "docvlm-reporter")


class _Listener:
    """The one hook that pytest calls without a config."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the gates of a finished test."""
        self._collector.collect(report)


def pytest_report_teststatus(
    report: pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Call a passed test with an undecided gate inconclusive: neither green nor red."""
    if report.when != "call" or not report.passed:
        return None
    if not any(gate.verdict == Verdict.INCONCLUSIVE for gate in gates_of(report)):
        return None
    return "inconclusive", "I", ("INCONCLUSIVE", {"yellow": True})


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report; a report that cannot be written fails the session."""
    collector = session.config.stash.get(_COLLECTOR, None)
    if collector is not None and not collector.finish() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print one table, what is undecided, and where the report is."""
    collector = config.stash.get(_COLLECTOR, None)
    if collector is not None and collector.lines:
        terminalreporter.section("evaluation")
        for line in collector.lines:
            terminalreporter.write_line(line)
