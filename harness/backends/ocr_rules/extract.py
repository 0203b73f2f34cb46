"""From recognised lines to the 25 fields, by rules about labels, forms and positions."""

from __future__ import annotations

from collections.abc import Sequence

from harness.backends.ocr_rules.banking import find_banking
from harness.backends.ocr_rules.dates import find_dates, find_period
from harness.backends.ocr_rules.identifiers import Abn, abns_in, has_abn_label, websites_in
from harness.backends.ocr_rules.layout import Line, Page, build_page
from harness.backends.ocr_rules.line_items import find_line_items
from harness.backends.ocr_rules.parties import Party, find_payer
from harness.backends.ocr_rules.statements import find_statement, is_statement
from harness.backends.ocr_rules.suppliers import find_supplier
from harness.backends.ocr_rules.titles import find_title
from harness.backends.ocr_rules.totals import find_totals
from harness.schema import FIELD_NAMES

__all__ = ["extract_fields"]


def extract_fields(lines: Sequence[Line], width: float, height: float) -> dict[str, str | None]:
    """Return a value or None for each of the 25 fields of a page of `width` x `height` pixels."""
    page = build_page(lines, width, height)
    fields: dict[str, str | None] = dict.fromkeys(FIELD_NAMES)
    fields["DOCUMENT_TYPE"] = find_title(page)
    if is_statement(page):
        fields.update(_statement(page))
    else:
        fields.update(_sale(page))
    return fields


def _statement(page: Page) -> dict[str, str | None]:
    banking, statement = find_banking(page, statement=True), find_statement(page)
    return {
        "BANK_NAME": banking.bank,
        "BSB_NUMBER": banking.bsb,
        "BANK_ACCOUNT_NUMBER": banking.account,
        "ACCOUNT_HOLDER": banking.holder,
        "STATEMENT_PERIOD": find_period(page),
        "OPENING_BALANCE": statement.opening,
        "CLOSING_BALANCE": statement.closing,
        "DESCRIPTIONS": statement.descriptions,
    }


def _sale(page: Page) -> dict[str, str | None]:
    payer = find_payer(page)
    supplier = find_supplier(page, payer)
    totals, dates, items = find_totals(page), find_dates(page), find_line_items(page)
    banking = find_banking(page, statement=False)
    return {
        "SUPPLIER": supplier.name,
        "ABN": _abn(page, payer),
        "PAYER_NAME": payer.name,
        "PAYER_ADDRESS": payer.address,
        "PAYER_PHONE": payer.phone,
        "PAYER_EMAIL": payer.email,
        "INVOICE_DATE": dates.issued,
        "DUE_DATE": dates.due,
        "GST": totals.gst,
        "TOTAL": totals.total,
        "SUBTOTAL": totals.subtotal,
        "SUPPLIER_WEBSITE": next(
            (w for c in page.cells if id(c) not in payer.cells for w in websites_in(c.text)), None
        ),
        "QUANTITIES": items.quantities,
        "PRICES": items.prices,
        "BUSINESS_ADDRESS": supplier.address,
        "BUSINESS_PHONE": supplier.phone,
        "BANK_NAME": banking.bank,
        "BSB_NUMBER": banking.bsb,
        "BANK_ACCOUNT_NUMBER": banking.account,
        "ACCOUNT_HOLDER": banking.holder,
        "DESCRIPTIONS": items.descriptions,
    }


def _abn(page: Page, payer: Party) -> str | None:
    """Return the supplier's ABN: labelled in its cell or on its left or above, else one with valid check digits."""
    found: list[Abn] = []
    for cell in page.cells:
        if id(cell) in payer.cells:
            continue
        left = next(iter(page.left_of(cell)), None)
        labelled = left is not None and has_abn_label(left.text)
        found.extend(abns_in(cell.text, labelled=labelled))
        if not found and has_abn_label(cell.text) and (below := page.below(cell)) is not None:
            found.extend(abns_in(below.text, labelled=True))
    valid = [a for a in found if a.valid]
    return next(iter(valid or found), None)
