"""Provenance: complete enough to tell machines apart, and nothing in it that is private."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.provenance import allowed_cores, collect_provenance, device_class


def git(root: Path, *arguments: str) -> str:
    identity = [
        "-c",
        "user.name=Nobody",
        "-c",
        "user.email=nobody@example.com",
        "-c",
        "init.defaultBranch=main",
    ]
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_machine_and_packages(tmp_path: Path) -> None:
    found = collect_provenance(tmp_path)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["cpu"]["model"]
    assert 1 <= found["cpu"]["allowed_cores"] <= found["cpu"]["logical_cores"]
    assert found["cpu"]["allowed_cores"] == allowed_cores()
    assert found["memory_bytes"] > 100e6
    assert found["os"]["system"] == platform.system()
    assert found["python"]["version"] == platform.python_version()
    assert found["packages"]["pillow"] == importlib.metadata.version("pillow")
    assert all(found["packages"].values())
    assert found["git"] is None, "a folder outside git has no commit"


def test_nothing_private_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USER", "LOGNAME", "USERNAME", "HOSTNAME", "DEMO_API_KEY", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "zaphod-private")
    monkeypatch.setattr(socket, "gethostname", lambda: "zaphod-private")
    monkeypatch.setattr(platform, "node", lambda: "zaphod-private")
    text = json.dumps(collect_provenance(tmp_path))
    for private in ("zaphod-private", str(tmp_path), str(Path(sys.prefix))):
        assert private not in text


def test_thread_settings_are_numbers_or_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    threads = collect_provenance(tmp_path)["threads"]
    assert threads["OMP_NUM_THREADS"] == 3
    assert threads["MKL_NUM_THREADS"] is None


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_and_whether_the_tree_differs_from_it(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert collect_provenance(tmp_path)["git"] is None, "no commit yet"
    (tmp_path / "a.txt").write_text("one")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert collect_provenance(tmp_path)["git"] == {"commit": commit, "dirty": False}
    (tmp_path / "a.txt").write_text("two")
    assert collect_provenance(tmp_path)["git"] == {"commit": commit, "dirty": True}
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "new.txt").write_text("untracked")
    assert collect_provenance(tmp_path)["git"] == {"commit": commit, "dirty": True}


def test_it_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert collect_provenance(tmp_path / "missing")["git"] is None


class NVMLError(Exception):
    pass


def nvml(**changes: Any) -> SimpleNamespace:
    def fail(*_: object) -> None:
        raise NVMLError

    working = {
        "NVMLError": NVMLError,
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: b"580.1",
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda handle: "NVIDIA H200",
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=150_000_000_000),
        "nvmlDeviceGetCudaComputeCapability": lambda handle: (9, 0),
    }
    return SimpleNamespace(**{**working, **dict.fromkeys(changes.get("failing", ()), fail)})


def test_gpus_come_from_nvml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    found = collect_provenance(tmp_path)
    gpu = {
        "name": "NVIDIA H200",
        "memory_bytes": 150_000_000_000,
        "compute_capability": "9.0",
        "driver": "580.1",
    }
    assert found["gpus"] == [gpu, gpu]
    assert device_class(found) == "h200"
    assert device_class(found, device="cuda") == "h200"
    assert device_class(found, device="cpu") == "cpu"


@pytest.mark.parametrize("failing", ["nvmlInit", "nvmlDeviceGetName", "nvmlDeviceGetMemoryInfo"])
def test_a_driver_that_fails_is_no_gpu(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml(failing=[failing]))
    assert collect_provenance(tmp_path)["gpus"] == []


def test_without_nvml_the_class_is_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    found = collect_provenance(tmp_path)
    assert found["gpus"] == []
    assert device_class(found) == "cpu"
    assert device_class({}) == "cpu", "as read from a log of which nothing is known"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["NVIDIA H200"], "h200"),
        (["NVIDIA H200 NVL"], "h200"),
        (["NVIDIA H200 MIG 1g.18gb"], "h200"),
        (["NVIDIA H100 80GB HBM3"] * 8, "h100"),
        (["NVIDIA A100-SXM4-40GB"], "a100-40gb"),
        (["NVIDIA A100 80GB PCIe"], "a100-80gb"),
        (["Tesla V100-SXM2-16GB"], "v100-16gb"),
        (["Tesla V100-PCIE-32GB"], "v100-32gb"),
        (["Tesla V100"], "v100"),
        (["Orin (nvgpu)"], "jetson-orin"),
        (["NVIDIA Thor"], "jetson-thor"),
        (["Tesla T4"], "t4"),
        (["NVIDIA L40S"], "l40s"),
        (["NVIDIA GH200 480GB"], "gh200"),
        (["NVIDIA GeForce RTX 4090"], "rtx-4090"),
        (["NVIDIA GeForce RTX 4090 Laptop GPU"], "rtx-4090"),
        (["NVIDIA RTX 6000 Ada Generation"], "rtx-6000-ada"),
        (["Tesla T4", "NVIDIA A100-SXM4-40GB"], "a100-40gb+t4"),
        (["NVIDIA Graphics Device"], "gpu"),
    ],
)
def test_device_classes(names: list[str], expected: str) -> None:
    assert device_class({"gpus": [{"name": name} for name in names]}) == expected


@pytest.mark.parametrize(("memory_bytes", "expected"), [(16_945_512_448, "v100-16gb"), (34_089_730_048, "v100-32gb")])
def test_the_size_of_a_card_s_memory_where_its_name_does_not_tell_it(memory_bytes: int, expected: str) -> None:
    assert device_class({"gpus": [{"name": "Tesla V100", "memory_bytes": memory_bytes}]}) == expected


def test_several_gpus_that_one_cell_uses_are_a_class_of_their_own() -> None:
    machine = {"gpus": [{"name": "NVIDIA H200"}] * 4}
    assert device_class(machine, device="cuda:all") == "h200-x4"
    assert device_class(machine, device="cuda:1") == device_class(machine) == "h200"
    assert device_class({"gpus": [{"name": "NVIDIA H200"}]}, device="cuda:all") == "h200"
