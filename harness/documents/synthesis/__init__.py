"""Australian receipts, tax invoices and bank statements, drawn with their truth: see `generate`."""

from __future__ import annotations

from harness.documents.synthesis.degradation import Stratum
from harness.documents.synthesis.facts import DocumentKind
from harness.documents.synthesis.generator import (
    GENERATOR_VERSION,
    Composition,
    SynthesisError,
    SynthesizedDocument,
    compose,
    generate,
    plan,
)
from harness.documents.synthesis.layouts import LAYOUTS
from harness.documents.synthesis.writer import write_corpus

__all__ = [
    "GENERATOR_VERSION",
    "LAYOUTS",
    "Composition",
    "DocumentKind",
    "Stratum",
    "SynthesisError",
    "SynthesizedDocument",
    "compose",
    "generate",
    "plan",
    "write_corpus",
]
