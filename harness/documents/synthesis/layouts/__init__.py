"""The layouts by kind of document, in the order in which the generator cycles through them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.documents.synthesis.facts import DocumentKind
from harness.documents.synthesis.layouts.invoices import INVOICES
from harness.documents.synthesis.layouts.receipts import RECEIPTS
from harness.documents.synthesis.layouts.statements import STATEMENTS
from harness.documents.synthesis.layouts.toolkit import Layout, Look

__all__ = ["LAYOUTS", "Layout", "Look"]

LAYOUTS: Mapping[DocumentKind, tuple[Layout, ...]] = MappingProxyType(
    {DocumentKind.RECEIPT: RECEIPTS, DocumentKind.INVOICE: INVOICES, DocumentKind.STATEMENT: STATEMENTS}
)
