"""Which architectures were loaded: read from what the loaded models told of themselves, never typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from harness.model_facts import loaded_facts, number
from reports.formatting import MISSING, escape, table
from reports.summary import CellSummary

__all__ = ["LoadedModel", "loaded_models", "models_parts"]

_INTRODUCTION = """\
As the loaded models tell it. Dtype: of every weight that the precision leaves alone.
"""
_RANDOM = """\
Random weights give the exact shapes of an architecture and none of its knowledge: bytes, times and energy are those of
the real model, except that LLM.int8 multiplies outlying activations in 16 bits, and random weights may have fewer of
them: its times can be too short. Where an accuracy would stand, the report says *random weights*.
"""
_WORDS = MappingProxyType(
    {
        "real": "of the checkpoint",
        "dummy": "**random weights** (dummy, no checkpoint)",
        "random": "**random weights** (the checkpoint says so)",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """What one cell loaded; None for what its backend does not tell."""

    cell: str
    architecture: str | None
    parameters: int | None
    dtype: str | None
    """Of the weights that are not quantised."""
    weights: str
    """`real`, `dummy` (drawn at random in place of a checkpoint), or `random` (a checkpoint that was never trained)."""

    @property
    def is_random(self) -> bool:
        """Whether its answers say nothing."""
        return self.weights != "real"


def loaded_models(candidates: Sequence[CellSummary]) -> Sequence[LoadedModel]:
    """Every candidate that was loaded and tells what it is, or that its weights are random."""
    found = [_loaded(c.cell, facts) for c in candidates if (facts := loaded_facts(c.result.loads))]
    return [m for m in found if m.is_random or m.architecture is not None or m.parameters is not None]


def _loaded(cell: str, facts: Mapping[str, Any]) -> LoadedModel:
    def text(name: str) -> str | None:
        return value if isinstance(value := facts.get(name), str) else None

    dummy = facts.get("weights") == "dummy"
    return LoadedModel(
        cell=cell,
        architecture=text("architecture"),
        parameters=number(facts, "parameters"),
        dtype=text("dtype"),
        weights="dummy" if dummy else "random" if facts.get("random_weights") is True else "real",
    )


def models_parts(candidates: Sequence[CellSummary]) -> Sequence[str]:
    """The section, in parts; empty if no candidate tells what it loaded."""
    found = loaded_models(candidates)
    if not found:
        return []
    rows = [
        [
            escape(m.cell),
            MISSING if m.architecture is None else escape(m.architecture),
            MISSING if m.parameters is None else f"{m.parameters:,}",
            MISSING if m.dtype is None else escape(m.dtype),
            _WORDS[m.weights],
        ]
        for m in found
    ]
    header = ["Cell", "Architecture", "Parameters", "Dtype", "Weights"]
    random = any(m.is_random for m in found)
    return [_INTRODUCTION, table(header, rows, "llrll"), *([_RANDOM] if random else [])]
