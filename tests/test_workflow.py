"""The recipe for a runner: it parses, and what it calls is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixtures.options import add_options

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def targets() -> set[str]:
    """What `make` can be asked for."""
    return set(re.findall(r"^([\w-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_workflow() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    workflow = yaml.safe_load((DOCS / "workflows" / "gpu.yml").read_text())
    triggers = workflow[True]  # YAML 1.1 reads the key `on` so
    assert set(triggers) == {"workflow_dispatch", "schedule"}, "nothing that a fork can start"
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert "gpu" in job["runs-on"]
    scripts = [step["run"] for step in job["steps"] if "run" in step]
    assert all("${{" not in script for script in scripts), "an input inside a script could be one"
    called = {target for script in scripts for target in re.findall(r"^make ([a-z][\w-]*)", script, re.MULTILINE)}
    assert called == {"gpu", "test-gpu"}
    assert called <= targets()
    assert any(".installed" in script for script in scripts)
    assert "$(VENV)/.installed" in (ROOT / "Makefile").read_text()


def test_options_and_targets_that_the_page_names_exist() -> None:
    parser = pytest.Parser(_ispytest=True)
    add_options(parser)
    page = (DOCS / "gpu-runner.md").read_text() + (DOCS / "workflows" / "gpu.yml").read_text()
    known = {name for group in parser._groups for option in group.options for name in option.names()}
    assert set(re.findall(r"--eval-[a-z-]+", page)) <= known | {"--eval-report"}
    assert set(re.findall(r"^make ([a-z][\w-]*)", page, re.MULTILINE)) <= targets()
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", page):
        assert (DOCS / link).exists(), link
