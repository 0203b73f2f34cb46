"""A Kubernetes Deployment of one cell, with the memory that was measured."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass

from harness.deployment.figures import DeploymentError
from harness.deployment.pods import LIMIT_PERCENT, REQUEST_PERCENT, Pod

__all__ = ["Workload", "manifest", "resource_name"]

_PROBE_S = 10
_STARTUP_FACTOR = 3
"""A start may take this many times the measured one before the pod is given up."""
_LONGEST_NAME = 63
"""RFC 1123 label: the name is a label's value and the name of the container too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a Deployment is made of. Only `pod`, `gpus` and `start_s` come from measurements."""

    cell: str
    pod: Pod
    gpus: int
    """Of one pod."""
    start_s: float | None
    """Seconds until a worker can answer: starting the process and loading. None if it was not measured."""
    weights: str = "real"
    image: str = "registry.example.com/document-reader:latest"
    """Container image of the server: there is none in this project."""
    replicas: int = 1
    port: int = 8000
    """On which the image answers."""
    cpus: int = 2


def resource_name(cell: str) -> str:
    """A cell's id as a name that Kubernetes accepts: an RFC 1123 label, different for different cells."""
    words = re.sub(r"[^a-z0-9]+", "-", cell.lower()).strip("-")
    if words and words == cell and len(words) <= _LONGEST_NAME:
        return words
    mark = hashlib.sha256(cell.encode()).hexdigest()[:6]
    return f"{words[: _LONGEST_NAME - len(mark) - 1].strip('-') or 'cell'}-{mark}"


def manifest(workload: Workload) -> str:
    """The Deployment as YAML (apps/v1), ending in a newline. Raises DeploymentError for counts that make no sense."""
    w = workload
    if w.replicas < 1 or w.gpus < 0 or w.cpus < 1 or not 0 < w.port < 65536:
        raise DeploymentError(f"{w.cell}: {w.replicas} replicas of {w.gpus} GPUs and {w.cpus} CPUs at port {w.port}")
    start = _PROBE_S if w.start_s is None else w.start_s
    origin = "assumed" if w.start_s is None else "measured"
    attempts = max(_STARTUP_FACTOR, math.ceil(_STARTUP_FACTOR * start / _PROBE_S))
    name, peak = resource_name(w.cell), f"{w.pod.peak_bytes / 2**30:.2f} GiB"
    lines = [
        "apiVersion: apps/v1",
        "kind: Deployment",
        "metadata:",
        f"  name: {_text(name)}",
        "  labels:",
        f"    app.kubernetes.io/name: {_text(name)}",
        "  annotations:",
        f"    docvlm-evals/cell: {_text(w.cell)}",
        f"    docvlm-evals/weights: {_text(w.weights)}",
        "spec:",
        f"  replicas: {w.replicas} # assumed",
        "  selector:",
        "    matchLabels:",
        f"      app.kubernetes.io/name: {_text(name)}",
        "  template:",
        "    metadata:",
        "      labels:",
        f"        app.kubernetes.io/name: {_text(name)}",
        "    spec:",
        "      automountServiceAccountToken: false",
        "      securityContext:",
        "        runAsNonRoot: true",
        "        seccompProfile:",
        "          type: RuntimeDefault",
        *_tolerations(w.gpus),
        "      containers:",
        "        - name: reader",
        f"          image: {_text(w.image)} # assumed",
        "          ports:",
        "            - name: http",
        f"              containerPort: {w.port} # assumed",
        f"          startupProbe: # {origin} start of {start:.1f} s, times {_STARTUP_FACTOR}",
        "            tcpSocket:",
        "              port: http",
        f"            periodSeconds: {_PROBE_S}",
        f"            failureThreshold: {attempts}",
        "          readinessProbe:",
        "            tcpSocket:",
        "              port: http",
        f"            periodSeconds: {_PROBE_S}",
        "          securityContext:",
        "            allowPrivilegeEscalation: false",
        "            capabilities:",
        "              drop:",
        '                - "ALL"',
        "          resources:",
        "            requests:",
        f'              cpu: "{w.cpus}" # assumed',
        f"              memory: {w.pod.request_gib}Gi # {w.pod.origin}: {REQUEST_PERCENT} % of a peak of {peak}",
        *_gpu_line(w.gpus),
        "            limits:",
        f"              memory: {w.pod.limit_gib}Gi # {w.pod.origin}: {LIMIT_PERCENT} % of a peak of {peak}",
        *_gpu_line(w.gpus),
    ]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """A YAML string: JSON's are. What is not ASCII is written as an escape, so that no character can end the line."""
    return json.dumps(value.encode("ascii", "backslashreplace").decode())


def _gpu_line(gpus: int) -> list[str]:
    return [f'              nvidia.com/gpu: "{gpus}"'] if gpus else []


def _tolerations(gpus: int) -> list[str]:
    """Clusters keep other pods off their GPU nodes with this taint."""
    if not gpus:
        return []
    return [
        "      tolerations:",
        "        - key: nvidia.com/gpu",
        "          operator: Exists",
        "          effect: NoSchedule",
    ]
