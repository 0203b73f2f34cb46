"""What documents say, by kind: each function draws the facts of one document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType

from harness.documents.synthesis.content.invoices import invoice
from harness.documents.synthesis.content.receipts import receipt
from harness.documents.synthesis.content.statements import statement
from harness.documents.synthesis.facts import DocumentKind, Facts, Trait

__all__ = ["CONTENT"]

CONTENT: Mapping[DocumentKind, Callable[[Random, frozenset[Trait]], Facts]] = MappingProxyType(
    {DocumentKind.RECEIPT: receipt, DocumentKind.INVOICE: invoice, DocumentKind.STATEMENT: statement}
)
