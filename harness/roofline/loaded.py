"""A loaded model and its device, as the evidence tells them: what an answer of it takes at least."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from harness.errors import UnsupportedError
from harness.evidence import CeilingsRecord, ReadingRecord
from harness.model_facts import image_facts, number
from harness.roofline.ceilings import DeviceCeilings
from harness.roofline.shapes import Architecture, architecture_of
from harness.roofline.work import Page, Request, StoredBytes, request_work

__all__ = ["LoadedWork", "loaded_architecture", "loaded_work", "page_of"]

_ELEMENT_BYTES = MappingProxyType({"bfloat16": 2, "float16": 2, "float32": 4})
_PARTS = MappingProxyType(
    {
        "vision": ("model.vision_tower", "model.vision_model", "model.multi_modal_projector", "model.connector"),
        "decoder": ("model.language_model", "model.text_model"),
        "head": ("lm_head",),
    }
)
"""Top-level submodules of transformers' classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedWork:
    """One model in one precision, on one device."""

    architecture: Architecture
    stored: StoredBytes
    element_bytes: int
    """Of a number in the cache."""
    ceilings: DeviceCeilings

    def request(self, pages: Sequence[Page], output_tokens: int) -> Request:
        """The work of answering `pages` together, each with `output_tokens` tokens."""
        return request_work(self.architecture, pages, output_tokens, self.stored, self.element_bytes)


def loaded_architecture(facts: Mapping[str, Any]) -> Architecture:
    """The shapes that a load recorded. Raises UnsupportedError if it recorded none, or none with a formula."""
    shapes = facts.get("shapes")
    if not isinstance(shapes, str):
        raise UnsupportedError("no shapes of a model are recorded" if facts else "no load succeeded")
    return architecture_of(json.loads(shapes))


def loaded_work(facts: Mapping[str, Any], measured: CeilingsRecord | None) -> LoadedWork:
    """From the facts of a load and what its device was measured to do.

    Raises UnsupportedError with the reason where a limit cannot be known.
    """
    architecture, dtype = loaded_architecture(facts), str(facts.get("dtype"))
    if number(facts, "offloaded_layers"):
        raise UnsupportedError("part of the weights lies in host memory, and no link to it was measured")
    if dtype not in _ELEMENT_BYTES:
        raise UnsupportedError(f"no size is known of numbers of the type {dtype}")
    if measured is None:
        raise UnsupportedError(f"what the device can do at most in {dtype} was not measured")
    if measured.failure is not None or not measured.bandwidth_bytes_per_s or not measured.matmul_flops_per_s:
        why = (measured.message or "").partition("\n")[0]
        raise UnsupportedError(f"measuring the device failed: {measured.failure}: {why}")
    if (measured.name or "") not in str(facts.get("device_name")):
        raise UnsupportedError(f"what was measured is another device, {measured.name}")
    return LoadedWork(
        architecture=architecture,
        stored=StoredBytes(**{part: _stored(facts, names) for part, names in _PARTS.items()}),
        element_bytes=_ELEMENT_BYTES[dtype],
        ceilings=DeviceCeilings(
            bandwidth_bytes_per_s=measured.bandwidth_bytes_per_s, matmul_flops_per_s=measured.matmul_flops_per_s
        ),
    )


def page_of(reading: ReadingRecord) -> Page | None:
    """How the document of a reading was given to the model; None where the reading does not tell."""
    told = image_facts(reading)
    if told.tiles is None or told.image_tokens is None or not reading.prompt_tokens:
        return None
    return Page(tiles=told.tiles, image_tokens=told.image_tokens, prompt_tokens=reading.prompt_tokens)


def _stored(facts: Mapping[str, Any], names: Sequence[str]) -> int:
    found = [size for name in names if (size := number(facts, f"linears_bytes.{name}")) is not None]
    if not found:
        raise UnsupportedError(f"no bytes are recorded of {' or '.join(names)}")
    return sum(found)
