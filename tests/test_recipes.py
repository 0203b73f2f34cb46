"""The recipes for many machines: valid for what they are for, and their command runs as it is written."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.options import add_options
from harness.evidence import read_evidence
from tests.eval_options import parse_options
from tests.pixel_pages import receipts, write_corpus

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "many-machines.md"
RECIPES = ROOT / "docs" / "recipes"
SCRIPTS = sorted((RECIPES / "slurm").glob("*.sbatch"))


def jobs() -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return list(yaml.safe_load_all((RECIPES / "kubernetes" / "cells.yaml").read_text()))


def container(job: dict[str, Any]) -> dict[str, Any]:
    (found,) = job["spec"]["template"]["spec"]["containers"]
    return found


def environment(job: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(job)["env"]}


def shell_blocks() -> str:
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("version", ["1.31", "1.33"])
def test_the_jobs_are_of_the_kubernetes_api(version) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    assert len(jobs()) == 2
    for job in jobs():
        assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
        kubernetes_validate.validate(job, version, strict=True)


def test_each_job_has_a_log_of_its_own_and_all_run_one_command() -> None:
    assert len({job["metadata"]["name"] for job in jobs()}) == len({environment(job)["NAME"] for job in jobs()}) == 2
    assert len({tuple(container(job)["command"]) for job in jobs()}) == 1
    for job in jobs():
        spec = job["spec"]["template"]["spec"]
        mounts, volumes = container(job)["volumeMounts"], spec["volumes"]
        assert {mount["name"] for mount in mounts} == {volume["name"] for volume in volumes}
        places = {mount["mountPath"] for mount in mounts}
        assert {environment(job)[name] for name in ("DOCUMENTS", "REPORTS", "HOME")} <= places


def test_a_verdict_is_not_tried_again_and_an_eviction_is() -> None:
    for job in jobs():
        assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never", "which podFailurePolicy demands"
        failing, ignored = job["spec"]["podFailurePolicy"]["rules"]
        assert failing["onExitCodes"]["containerName"] == container(job)["name"]
        verdicts = {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED, 10}
        assert set(failing["onExitCodes"]["values"]) == {int(code) for code in verdicts}
        assert (ignored["action"], ignored["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")


def cells() -> list[str]:
    lines = (RECIPES / "slurm" / "cells.txt").read_text().splitlines()
    return [environment(job)["CELL"] for job in jobs()] + [line.partition(" ")[2] for line in lines]


@pytest.mark.parametrize("options", cells())
def test_the_options_of_a_cell_are_understood(options: str, tmp_path) -> None:
    words = [word for word in shlex.split(options) if word not in ("-m", "gpu")]
    root = tmp_path / "models"
    root.mkdir()
    words = [str(root) if word == "/documents/models" else word for word in words]
    found = parse_options(*words, report=tmp_path, markers="gpu" if "-m gpu" in options else "")
    assert len(found.cells) == 1


def test_the_command_of_a_job_runs_as_it_is_written(tmp_path) -> None:
    job = jobs()[0]
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "python").symlink_to(sys.executable)
    corpus = write_corpus(tmp_path / "documents", receipts(3))
    told = {
        **environment(job),
        "CELL": "--eval-models python:tests.pixel_pages.Reader --eval-determinism-documents 0",
        "DOCUMENTS": str(corpus),
        "REPORTS": str(tmp_path / "reports"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        container(job)["command"],
        cwd=ROOT,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = tmp_path / "reports" / "ocr-rules"
    evidence = read_evidence(report / "evidence.jsonl")
    assert len(evidence.readings["python:tests.pixel_pages.Reader"]) == 3
    assert (report / "report.md").exists()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_scripts_for_slurm_are_bash(script: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    subprocess.run([bash, "-n", script], check=True, capture_output=True)
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert text.index("#SBATCH") < text.index("set -euo pipefail"), "sbatch reads no directive after the first command"


def test_the_array_runs_the_line_of_its_task(tmp_path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    python = tmp_path / "python"
    python.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)

    def told(task: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHON": str(python), "REPORTS": "out", "SLURM_ARRAY_TASK_ID": task}
        return subprocess.run(
            [bash, RECIPES / "slurm" / "cells.sbatch"], cwd=ROOT, env=environment, capture_output=True, text=True
        )

    words = told("2").stdout.split()
    assert words[:5] == ["-m", "pytest", "evals", "--eval-models", "tiny-mllama"]
    assert words[words.index("--eval-report") + 1] == "out/tiny-mllama-nf4"
    beyond = told("99")
    assert beyond.returncode not in (0, 1), "no verdict"


def test_what_the_page_names_exists() -> None:
    parser = pytest.Parser(_ispytest=True)
    add_options(parser)
    known = set(re.findall(r"--eval-[a-z-]+", " ".join(str(o.names()) for g in parser._groups for o in g.options)))
    texts = [PAGE.read_text(), *(path.read_text() for path in RECIPES.rglob("*") if path.is_file())]
    named = {option for text in texts for option in re.findall(r"--eval-[a-z-]+", text)} - {"--eval-report"}
    assert named <= known
    for path in re.findall(r"docs/recipes/[\w/.]+\w", shell_blocks()):
        assert (ROOT / path).is_file()
