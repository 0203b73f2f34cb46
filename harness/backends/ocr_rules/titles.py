"""Titles: what a document calls itself."""

from __future__ import annotations

import re

from harness.backends.ocr_rules.layout import Page
from harness.backends.ocr_rules.text import fold

__all__ = ["find_title", "is_title"]

_TITLE = re.compile(
    r"\W*(?P<title>((simplified|tax|sales?|cash|official|purchase|bank|account|transaction|savings|e|copy of|original"
    r"|credit|debit|pro ?forma|electronic|payment|duplicate)[\s-]*)*"
    r"(invoice|receipt|statement( of (account|transactions))?|docket|(credit|debit) note|bill)"
    r"(\s*[/&]\s*(tax\s*)?(invoice|receipt))?)(?P<rest>\W*|\W*(no|number|#|num)\W.*)"
)
_WHOLE = re.compile(r"\W*(tax|bank|account|transaction)\s*(invoice|receipt|statement)\W*")
_STAMP = re.compile(
    r"\W*(cash\s*(sale|bill)s?|delivery\s*order|quotation|duplicate|copy|original|reprint"
    r"|(customer|merchant|store|office) copy|welcome.*|thank you.*"
    r"|paid|posted|\(?p\)?|member|tax invoice /|statement of|eftpos.*)\W*"
)


def is_title(text: str) -> bool:
    """Whether a cell is a title or a stamp, such as `TAX INVOICE` or `CUSTOMER COPY`, and nothing else."""
    folded = fold(text)
    match = _TITLE.fullmatch(folded)
    return (match is not None and not match["rest"].strip(" *-:.~=")) or bool(_STAMP.fullmatch(folded))


def find_title(page: Page) -> str | None:
    """Return the title of the document as printed: the tallest cell that is one, the topmost of equals.

    A title may go on in the cell beneath: `STATEMENT OF` / `ACCOUNT`.
    """
    best: tuple[float, str] | None = None
    for cell in page.cells:
        text, match = cell.text, None
        below = page.below(cell, reach=0.8)
        if (
            below is not None
            and abs(below.height - cell.height) < 0.25 * cell.height
            and not _WHOLE.fullmatch(fold(below.text))
        ):
            text = f"{cell.text} {below.text}"
            match = _TITLE.fullmatch(fold(text))
            match = match if match is not None and not match["rest"].strip() else None
        if match is None:
            text = cell.text
            match = _TITLE.fullmatch(fold(text))
        if match is None or (match["title"] in ("bill", "docket") and match["rest"].strip()):
            continue
        start, end = match.span("title")
        prominence = cell.height / page.text_height - (0.5 if match["rest"].strip(" *-:") else 0.0)
        if best is None or prominence > best[0] + 0.3:
            best = prominence, text[start:end]
    return best[1] if best else None
