"""What a measurement was made on: machine, interpreter, packages, source revision.

Nothing here names a person, a host or a place: no host or user name, no path, and of the environment only
thread counts.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

__all__ = ["allowed_cores", "collect_provenance", "device_class"]

_PACKAGES = (
    "docvlm-evals",
    "accelerate",
    "bitsandbytes",
    "einops",
    "numpy",
    "nvidia-ml-py",
    "onnxruntime",
    "onnxruntime-gpu",
    "opencv-python-headless",
    "phonenumbers",
    "pillow",
    "psutil",
    "pytest",
    "pytest-benchmark",
    "python-stdnum",
    "rapidfuzz",
    "rapidocr",
    "scipy",
    "timm",
    "torch",
    "torchvision",
    "transformers",
    "vllm",
)
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

# Words of a GPU's marketing name that do not tell its class: maker, brand, memory, form factor, MIG slice.
_GPU_NOISE = re.compile(
    r"nvidia|tesla|quadro|geforce|generation|graphics|device|laptop|gpu|mig"
    r"|sxm\d?|pcie|nvl|hbm\w*|\d+gi?b?|\dg\.\d+gb|\(nvgpu\)"
)
_GPU_SIZES = MappingProxyType({"v100": (16, 32), "a100": (40, 80)})
"""GB of the cards that are sold under one name with several sizes of memory."""
_JETSON = MappingProxyType({"orin": "jetson-orin", "thor": "jetson-thor"})


def collect_provenance(root: Path) -> dict[str, Any]:
    """Describe this machine, this interpreter and the sources at `root`, ready for JSON. Never raises.

    Bytes and counts are integers; what cannot be found out is None.
    """
    return {
        "cpu": _cpu(),
        "memory_bytes": psutil.virtual_memory().total,
        "limits": _limits(),
        "os": _os(),
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "packages": _packages(),
        "git": _git(root),
        "gpus": _gpus(),
        "threads": _threads(),
        "container": _container(),
    }


def device_class(provenance: Mapping[str, Any], *, device: str | None = None) -> str:
    """The class of hardware that budgets are written for: `cpu`, or a GPU such as `h200` or `rtx-4090`.

    The class of the machine, or of the `device` that a cell runs on: a cell on `cpu` is `cpu` beside any GPU, and one
    on `cuda:all` of two such GPUs is `h200-x2`. A GPU that is sold with several sizes of memory is named with its own
    (`a100-40gb`). A machine with several kinds of GPU is `a100-40gb+t4`.
    """
    gpus = provenance.get("gpus") or []
    if device == "cpu" or not gpus:
        return "cpu"
    found = "+".join(sorted({_gpu_class(str(gpu["name"]), gpu.get("memory_bytes")) for gpu in gpus}))
    return f"{found}-x{len(gpus)}" if device == "cuda:all" and len(gpus) > 1 else found


def allowed_cores() -> int:
    """The number of logical cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpu_class(name: str, memory_bytes: int | None = None) -> str:
    words = re.split(r"[\s\-/]+", name.casefold())
    kept = "-".join(word for word in words if word and not _GPU_NOISE.fullmatch(word)) or "gpu"
    if kept not in _GPU_SIZES:
        return _JETSON.get(kept, kept)
    told = re.search(r"(\d+)\s?gi?b\b", name.casefold())
    size = int(told[1]) if told else None if memory_bytes is None else memory_bytes / 1e9
    if size is None:
        return kept
    return f"{kept}-{min(_GPU_SIZES[kept], key=lambda nominal: abs(nominal - size))}gb"


def _cpu() -> dict[str, Any]:
    return {
        "model": _cpu_model(),
        "architecture": platform.machine(),
        "physical_cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(logical=True),
        "allowed_cores": allowed_cores(),
    }


def _cpu_model() -> str | None:
    found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    if found:
        return found[1].strip()
    if platform.system() == "Darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or None


def _os() -> dict[str, Any]:
    try:
        distribution = platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        distribution = None
    return {"system": platform.system(), "release": platform.release(), "distribution": distribution}


def _limits() -> dict[str, Any]:
    """What the control group (version 2) allows, in cores and bytes; None where no limit is known."""
    cpu = re.fullmatch(r"(\d+) (\d+)", _text(Path("/sys/fs/cgroup/cpu.max")).strip())
    memory = _text(Path("/sys/fs/cgroup/memory.max")).strip()
    return {
        "cpu_cores": int(cpu[1]) / int(cpu[2]) if cpu else None,
        "memory_bytes": int(memory) if memory.isdecimal() else None,
    }


def _packages() -> dict[str, str]:
    """Versions of the installed ones among the packages that results depend on."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _git(root: Path) -> dict[str, Any] | None:
    """Commit of `root`, and whether anything in it differs from that commit; None outside git."""
    top = _output("git", "-C", str(root), "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():  # installed into somebody else's repository
        return None
    commit = _output("git", "-C", str(root), "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    changes = _output("git", "-C", str(root), "status", "--porcelain", "--", ".")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _gpus() -> list[dict[str, Any]]:
    """NVIDIA GPUs by NVML; empty without GPU, driver or nvidia-ml-py."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        driver = _plain(pynvml.nvmlSystemGetDriverVersion())
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [
            {
                "name": _plain(pynvml.nvmlDeviceGetName(handle)),
                "memory_bytes": int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                "compute_capability": "{}.{}".format(*pynvml.nvmlDeviceGetCudaComputeCapability(handle)),
                "driver": driver,
            }
            for handle in handles
        ]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _plain(text: str | bytes) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def _threads() -> dict[str, int | None]:
    """Thread counts that libraries were told by environment; None where they choose for themselves."""
    values = {name: os.environ.get(name, "") for name in _THREAD_VARIABLES}
    return {name: int(value) if value.isdecimal() else None for name, value in values.items()}


def _container() -> str | None:
    """The kind of container this runs in, as far as it shows."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    if Path("/run/.containerenv").exists():
        return "podman"
    if Path("/.dockerenv").exists():
        return "docker"
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _output(*command: str) -> str | None:
    """What a command prints, stripped; None if it is missing, fails or hangs."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10, env=environment)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
