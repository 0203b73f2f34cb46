"""What the nodes of a cluster are, told without naming one, and what ran side by side."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import harness
from harness.provenance import collect_provenance

__all__ = [
    "NodeFacts",
    "NodeGroup",
    "Shift",
    "describe_node",
    "disturbance_of",
    "grouped_nodes",
    "hardware_of",
    "machine_mark",
    "sources_fingerprint",
]

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_HARDWARE = ("cpu", "memory_bytes", "limits", "gpus")
_OWN = ("os", "python", "packages", "threads", "container", *_HARDWARE)
"""What of a provenance is the machine's that models run on; the rest is of the sources and the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """One node."""

    node: str
    machine: str
    sources: str
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroup:
    """Nodes of which everything recorded is the same."""

    nodes: Sequence[str]
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A worker's life, on the session's monotonic clock."""

    worker: int
    machine: str
    began: float
    ended: float


def machine_mark(boot: Path = _BOOT) -> str:
    """Eight digits that are the same for all containers and nodes of one machine, and name nobody.

    The kernel's boot id; where there is none, the address of the network interface.
    """
    try:
        identity = boot.read_text(encoding="ascii").strip()
    except OSError:
        identity = f"{uuid.getnode():x}"
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


def sources_fingerprint(root: Path | None = None) -> str:
    """SHA-256 over the names and contents of this library's modules, or of those below `root`."""
    base = Path(harness.__file__).parent if root is None else root
    digest = hashlib.sha256()
    for path in sorted(base.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(base).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def describe_node(node: str) -> NodeFacts:
    """This node, called `node` by its cluster."""
    found = collect_provenance(Path(harness.__file__).parents[1])
    return NodeFacts(
        node=node,
        machine=machine_mark(),
        sources=sources_fingerprint(),
        provenance={name: found[name] for name in _OWN},
    )


def grouped_nodes(nodes: Iterable[NodeFacts]) -> Sequence[NodeGroup]:
    """Nodes that do not differ in anything recorded, together; the largest group first."""
    groups: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for facts in nodes:
        _, names = groups.setdefault(json.dumps(facts.provenance, sort_keys=True), (facts.provenance, []))
        names.append(facts.node)
    found = [NodeGroup(nodes=sorted(names), provenance=provenance) for provenance, names in groups.values()]
    return sorted(found, key=lambda group: -len(group.nodes))


def hardware_of(provenance: Mapping[str, Any]) -> str:
    """What of a node decides times, to be compared."""
    return json.dumps({name: provenance.get(name) for name in _HARDWARE}, sort_keys=True)


def disturbance_of(shifts: Sequence[Shift], hardware: Mapping[str, str]) -> str | None:
    """Why times of a pass judge nothing; None if they do.

    `shifts` are those of workers that read or loaded, `hardware` is by machine. Workers that never lived on one
    machine at the same time, on machines that are all alike, measure what one worker would.
    """
    together: set[int] = set()
    for one, other in combinations(shifts, 2):
        if one.machine == other.machine and one.began < other.ended and other.began < one.ended:
            together |= {one.worker, other.worker}
    machines = sorted({shift.machine for shift in shifts})
    reasons = []
    if together:
        crowded = len({shift.machine for shift in shifts if shift.worker in together})
        where = "one machine" if crowded == 1 else f"{crowded} machines"
        reasons.append(f"{len(together)} workers (--eval-executor ray) ran side by side on {where}")
    if len({hardware.get(machine) for machine in machines}) > 1:
        reasons.append(f"read on {len(machines)} machines of different hardware")
    return "; ".join(reasons) or None
