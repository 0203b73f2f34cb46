"""pytest plugin: collects the verdicts of evaluation tests and renders the report. Hooks only; silent when unused."""

from __future__ import annotations

import argparse
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from harness.gates import Verdict
from harness.profiling import NO_RECORDER, PROFILER, Phase, Recorder
from reports.collector import Collector, gates_of

__all__ = ["INCONCLUSIVE_STATUS"]

INCONCLUSIVE_STATUS = 10
"""Exit status of a session in which nothing failed and something is undecided, if that is asked for."""

_COLLECTOR = pytest.StashKey[Collector]()
_SESSION = "evaluation"
"""Stands for the file in the node ids of failures that belong to no test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register where the report goes."""
    group = parser.getgroup("docvlm-evals")
    group.addoption(
        "--eval-report",
        type=_folder,
        default=Path("reports/latest"),
        metavar="DIR",
        help="folder for the evidence log and the report (default: reports/latest)",
    )


def _folder(text: str) -> Path:
    """Not empty, as an unset variable of a shell is: a report would be spread over the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("name a folder")
    return Path(text)


def pytest_configure(config: pytest.Config) -> None:
    """Report from the controller only: what xdist workers find reaches it with their test reports."""
    if not hasattr(config, "workerinput"):
        collector = Collector(
            folder=config.getoption("--eval-report"), baseline=config.getoption("--eval-baseline", None)
        )
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
    """Call a test with an undecided gate inconclusive: neither green nor skipped."""
    if report.when != "call" or report.failed:
        return None
    if not any(gate.verdict == Verdict.INCONCLUSIVE for gate in gates_of(report)):
        return None
    return "inconclusive", "I", ("INCONCLUSIVE", {"yellow": True})


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Write the report while a fault of it can still be counted, so that exit status, JUnit and others agree."""
    result = yield
    collector = session.config.stash.get(_COLLECTOR, None)
    if collector is None:
        return result
    asked = session.config.getoption("--eval-inconclusive", "neutral")
    faults = list(_finish(session.config, collector))
    if asked == "fail" and collector.unread is not None:
        faults.append(collector.unread)
    for number, fault in enumerate(faults, 1):
        location = (_SESSION, None, f"{number}")
        failure = pytest.TestReport(f"{_SESSION}::{number}", location, {}, "failed", fault, "call")
        session.config.hook.pytest_runtest_logreport(report=failure)
    if asked == "exit" and (collector.undecided or collector.unread) and not session.testsfailed:
        why = f"{len(collector.undecided)} gates are inconclusive" if collector.undecided else collector.unread
        pytest.exit(str(why), returncode=INCONCLUSIVE_STATUS)
    return result


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Report on a session that was cut short too; pytest sums up no session with a status of our own."""
    collector = session.config.stash.get(_COLLECTOR, None)
    if collector is None:
        return
    _finish(session.config, collector)
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    if exitstatus == INCONCLUSIVE_STATUS and terminal is not None:
        session.config.hook.pytest_terminal_summary(
            terminalreporter=terminal, exitstatus=exitstatus, config=session.config
        )


def _finish(config: pytest.Config, collector: Collector) -> Sequence[str]:
    recorder: Recorder = getattr(config.pluginmanager.getplugin(PROFILER), "recorder", NO_RECORDER)
    so_far = recorder.record()
    with recorder.phase(Phase.RENDERING):
        return collector.finish(so_far)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print one table, what is undecided, where the report is, and what the service that runs it looks for."""
    collector = config.stash.get(_COLLECTOR, None)
    if collector is not None and collector.lines:
        terminalreporter.section("evaluation")
        for line in (*collector.lines, *collector.commands):
            terminalreporter.write_line(line)
