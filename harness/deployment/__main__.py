"""`python -m harness.deployment COMMAND`."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cells import Role
from harness.deployment.figures import DeploymentError
from harness.errors import DocvlmError

if TYPE_CHECKING:
    from harness.deployment.manifest import Workload

_DESCRIPTION = """\
From an evidence log to a deployment. Every figure is measured, predicted (measured on another device, or from a
formula) or assumed (prices, utilisation, what the price file says), and says which.
"""
_FIT = """\
Judges every cell that ran on a GPU against every GPU of the catalogue: its peak of device memory within 85 % of the
GPU's memory, its precision supported by the compute capability, its kernels there. Says why not, and on what condition.
"""
_PODS = """\
Memory of a pod: request = ceil(1.1 x peak), limit = ceil(1.3 x peak) in GiB, of the highest resident memory measured
while loading and reading. A cell with fewer than 3 samples during inference is refused. With --out, also writes one
Kubernetes Deployment a cell. Give your image: this project has no server.
"""
_COST = """\
Documents an hour at the assumed utilisation, replicas and GPUs for the assumed load, cost of 1,000 documents, and of
the whole over the assumed years, rented and bought. The assumptions are in the price file: copy the default (its path
is printed), change it, and name it with --prices.
"""


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m harness.deployment", description=_DESCRIPTION, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str, description: str, example: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=summary, description=description, epilog=f"example: {example}", formatter_class=raw
        )

    run = "python -m harness.deployment"
    command("gpus", "the GPU catalogue, with sources", "The GPU catalogue, with the source of each.", f"{run} gpus")
    fit = command("fit", "which GPUs each cell fits, and why not", _FIT, f"{run} fit reports/latest/evidence.jsonl")
    pods = command(
        "pods", "memory of each cell's pod, and Kubernetes YAML", _PODS, f"{run} pods LOG --out k8s --image reader:1.4"
    )
    cost = command(
        "cost", "capacity, replicas and cost of each cell", _COST, f"{run} cost LOG --load 2500 --prices mine.toml"
    )
    for sub in (fit, pods, cost):
        sub.add_argument("log", type=Path, metavar="LOG", help="the evidence.jsonl that a run of the evals wrote")
    fit.add_argument("--attention", metavar="NAME", help="transformers' attention, such as flash_attention_2")
    pods.add_argument("--out", type=Path, metavar="DIR", help="write the Deployments there")
    pods.add_argument("--image", help="container image of your server")
    pods.add_argument("--replicas", type=_replicas, metavar="N", help="replicas of each Deployment; default: 1")
    cost.add_argument("--prices", type=Path, metavar="FILE", help="your price file; default: the dated one here")
    cost.add_argument("--load", type=_load, metavar="N", help="documents per hour to be served")
    cost.add_argument("--utilisation", type=float, metavar="SHARE", help="share of an hour spent answering, up to 1")
    return parser


def _load(text: str) -> float:
    try:
        load = float(text)
    except ValueError:
        load = -1.0
    if not 0 < load < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of documents an hour above 0")
    return load


def _replicas(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of replicas of at least 1")
    return int(text)


def _run(options: argparse.Namespace) -> Iterator[str]:
    """Lines to print. Raises DocvlmError."""
    from harness.deployment.gpus import load_gpus
    from harness.deployment.plan import plan_cell, workload_of
    from harness.deployment.prices import PRICES, load_prices
    from harness.deployment.text import cost_lines, fit_lines, gpu_lines, pod_line
    from harness.evidence import read_evidence
    from harness.results import cell_results

    gpus = load_gpus()
    if options.command == "gpus":
        yield from gpu_lines(gpus.values())
        return
    source = getattr(options, "prices", None) or PRICES
    prices = load_prices(source)
    if options.command == "cost":
        given = {"documents_per_hour": options.load, "utilisation": options.utilisation}
        changed = {name: value for name, value in given.items() if value is not None}
        prices = replace(prices, assumptions=replace(prices.assumptions, **changed))
        yield f"assumptions: {source}"
    evidence = read_evidence(options.log)
    provenance = evidence.runs[-1].provenance if evidence.runs else {}
    attention = getattr(options, "attention", None)
    for result in cell_results(evidence).values():
        if result.role is not Role.CANDIDATE:
            continue
        plan = plan_cell(result, result.metrics(), provenance=provenance, gpus=gpus, prices=prices, attention=attention)
        match options.command:
            case "fit":
                yield from fit_lines(plan, gpus)
            case "cost":
                yield from cost_lines(plan, prices)
            case _:
                yield pod_line(plan)
                workload = workload_of(plan, result)
                if options.out is not None and workload is not None:
                    chosen = {"image": options.image, "replicas": options.replicas}
                    workload = replace(workload, **{k: v for k, v in chosen.items() if v is not None})
                    yield f"  {_write(options.out, workload)}"


def _write(folder: Path, workload: Workload) -> Path:
    from harness.deployment.manifest import manifest, resource_name

    path = folder / f"{resource_name(workload.cell)}.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(manifest(workload), encoding="utf-8")
    except OSError as error:
        raise DeploymentError(f"--out: {error.filename}: cannot be written: {error.strerror}") from error
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 with one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        for line in _run(options):
            print(line)
    except (DocvlmError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
