"""Which of the sums of a page are the total, the tax and the subtotal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from harness.backends.ocr_rules.amounts import CURRENCY, Amount, amounts_in, only_amount
from harness.backends.ocr_rules.layout import Line, Page
from harness.backends.ocr_rules.tables import is_heading
from harness.backends.ocr_rules.text import normalise_words, phrases

__all__ = ["Totals", "find_totals"]

_NOT_TOTAL = re.compile(
    r"\b(qty|qtys|quantity|items?|disc|discount|savings?|saved|points?|stamps?|tender|tendered|change|units?|pieces|pcs"
    r"|count|paid|received|deposits?|credits?|debits?|withdrawals?|before|weight|fees|interest|rounding)\b"
)
_EXCLUSIVE = re.compile(r"\b(exclusive|excluding|excl?|ex|before|net of|without)\b")
_TAX_START = re.compile(r"^(gst|tax|sst|vat|add|plus|less|incl\w* gst|includes? gst|of which)\b(?! invoice)")
_TOTAL_CLASSES = (
    (5.0, re.compile(r"\b(total after|rounded total|total rounded|total (amount )?after)\b")),
    (4.0, re.compile(r"\b(grand|nett?|final|invoice|bill) total\b")),
    (4.0, re.compile(r"\btotal (amt|amount|amnt|arnt|sum|sales)? ?(due|payable|to pay|owing)\b")),
    (
        4.0,
        re.compile(r"\b(amt|amount|sum) (payable|to pay)\b|\btotal payable\b|\bpay this amount\b|\bplease pay\b"),
    ),
    (3.5, re.compile(r"\b(amt|amount) (due|owing)\b")),
    (3.0, re.compile(r"\btotal\b.*\b(inclusive|including|included|includes|incl?|inc)\b")),
    (3.0, re.compile(r"^\W*total( (amt|amount|sales?|price|sum|cost))?( (in )?(rm|aud|a ?\$|\$|myr))?$")),
    (2.0, re.compile(r"\bbalance (due|owing|payable)\b")),
    (1.0, re.compile(r"\btotal\b|^(nett?|bill) (amount|amt)( rm)?$")),
)
_TAX_WORDS = frozenset({"gst", "tax", "sst", "vat"})
_TAX_LABEL_WORDS = _TAX_WORDS | frozenset(
    phrases(
        """
        plus, total, add, includes, include, including, included, incl, inc, amount, amt, payable, component, content,
        in, of, at, @, the, is, rm, aud, a$, $, sr, 10%, 6%, 0%, %, price, prices, paid, s, &, above, which, this
        """
    )
)
_SUBTOTAL = re.compile(
    r"^sub ?total\b|^(total|amount|net|net amount|net total) (before|ex\w*) ?(of )?(gst|tax)?|^taxable amount$"
)
_PAYMENT = re.compile(
    r"\b(cash|visa|master ?card|amex|eftpos|card|debit|paid|payment|tendered|tender|received|amount)\b"
)
_CHANGE = re.compile(r"\bchange\b")
_ROUNDING = re.compile(r"\b(rounding|round)\b")
_SUMMARY = re.compile(r"\b(gst|tax|sst) (summary|analysis|breakdown)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The closing sums of a document, as printed."""

    total: str | None = None
    gst: str | None = None
    subtotal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labelled:
    label: str
    amount: Amount
    row: int
    alone: bool
    """Whether the label has this one amount, not a row of several as in a summary table."""


def _label_of(text: str, amounts: tuple[Amount, ...]) -> str:
    return normalise_words(text[: amounts[0].start] if amounts else text)


def _labelled(page: Page) -> Iterator[_Labelled]:
    """Yield every label with the amount that it stands for: in its own cell, else on its right, else beneath."""
    for cell in page.cells:
        own = amounts_in(cell.text)
        label = _label_of(cell.text, own)
        if not re.search("[a-z]{2}", label):
            continue
        row = page.row_index(cell)
        if own:
            yield _Labelled(label=label, amount=own[-1], row=row, alone=len(own) == 1)
            continue
        found: list[Amount] = []
        for right in page.right_of(cell):
            inside = amounts_in(right.text)
            if inside:
                found.extend(inside)
            elif re.search("[a-z]{3}", normalise_words(right.text)) and not _unit(right.text):
                break
        if found:
            yield _Labelled(label=label, amount=found[0], row=row, alone=len(found) == 1)
        elif (orphan := _orphan(page, cell)) is not None:
            yield _Labelled(label=label, amount=orphan, row=row, alone=True)
        elif (carried := _beneath_currency(page, cell)) is not None:
            yield _Labelled(label=label, amount=carried, row=row + 1, alone=True)
        elif (
            not is_heading(cell.text)
            and (beneath := page.below(cell)) is not None
            and (amount := only_amount(beneath.text)) is not None
            and not any(re.search("[A-Za-z]{3}", c.text) for c in page.left_of(beneath))
        ):
            yield _Labelled(label=label, amount=amount, row=page.row_index(beneath), alone=True)


def _orphan(page: Page, label: Line) -> Amount | None:
    """Return a sum on the right that fell into a row of its own, because its box or the label's is unusually tall."""
    for row in page.rows[max(page.row_index(label) - 1, 0) : page.row_index(label) + 2]:
        for cell in row[:1]:
            level = abs(cell.cy - label.cy) < 0.8 * max(cell.height, label.height)
            if level and cell.x0 > label.x1 and (amount := only_amount(cell.text)) is not None:
                return amount
    return None


def _beneath_currency(page: Page, label: Line) -> Amount | None:
    """Return the sum in the row beneath a label when that row says nothing but a currency and the sum."""
    below = page.below(label)
    if below is None or not _unit(below.text) or page.right_of(label):
        return None
    return next((a for c in page.right_of(below)[:1] if (a := only_amount(c.text)) is not None), None)


def _unit(text: str) -> bool:
    return bool(re.fullmatch(r"\W*(rm|myr|aud|a?\$|gst|sr|incl?|inc gst|:)\W*", text, re.IGNORECASE))


def _is_tax(label: str) -> bool:
    """Whether a label names the tax alone: `GST (10%)`, `GST included in total`, `Total includes GST of`."""
    words = [w for w in label.split() if re.search("[a-z$%&@]", w)]
    if not _TAX_WORDS & set(words) or not set(words) <= _TAX_LABEL_WORDS:
        return False
    return not _total_class(label) or label.endswith(" of")


def _total_class(label: str) -> float:
    if _NOT_TOTAL.search(label) or _EXCLUSIVE.search(label) or _TAX_START.search(label) or "subtotal" in label:
        return 0.0
    if re.search(r"\btotal (gst|tax|sst|vat)\b", label) and "incl" not in label:
        return 0.0
    return next((rank for rank, pattern in _TOTAL_CLASSES if pattern.search(label)), 0.0)


def find_totals(page: Page) -> Totals:
    """Find TOTAL, GST and SUBTOTAL by label, and let what was paid, and what was added up, support a total."""
    evidence = _Evidence.of(page)
    candidates = []
    for entry in evidence.entries:
        rank = _total_class(entry.label)
        if rank and entry.amount.value > 0:
            score = 2 * rank + evidence.support(entry.amount.value) - (0.0 if entry.alone else 3.0)
            candidates.append((score, entry.row, entry))
    candidates.extend(_after_rounding(page, candidates, evidence.rounding))
    best = max(candidates, key=lambda c: (c[0], c[1]), default=None)
    total = best[2] if best else _fallback(page, evidence) or _repeated(page)
    below = [s for s in evidence.subtotals if total is None or s.amount.value <= total.amount.value]
    return Totals(
        total=total.amount.text if total else None,
        gst=_tax(evidence.taxes, total),
        subtotal=below[0].amount.text if below else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """The labelled sums of a page by what they are, and what they say about each other."""

    entries: Sequence[_Labelled]
    paid: Sequence[Decimal]
    change: Sequence[Decimal]
    subtotals: Sequence[_Labelled]
    taxes: Sequence[_Labelled]
    rounding: frozenset[Decimal]
    totals: frozenset[Decimal]
    counts: Mapping[Decimal, int]
    """How often each sum is printed."""

    @classmethod
    def of(cls, page: Page) -> Self:
        """Sort the labelled sums of a page; those of a tax summary are left out."""
        entries = list(_labelled(page))
        texts = (normalise_words(" ".join(c.text for c in row)) for row in page.rows)
        summary = next((i for i, text in enumerate(texts) if _SUMMARY.search(text)), len(page.rows))
        entries = [e for e in entries if e.row < summary] or entries
        values = [(e, e.amount.value) for e in entries]
        return cls(
            entries=entries,
            paid=[v for e, v in values if _PAYMENT.search(e.label) and not _total_class(e.label)],
            change=[v for e, v in values if _CHANGE.search(e.label)],
            subtotals=[e for e in entries if _SUBTOTAL.search(e.label)],
            taxes=[e for e in entries if _is_tax(e.label) and e.alone],
            rounding=frozenset(v for e, v in values if _ROUNDING.search(e.label) and 0 < abs(v) < 1),
            totals=frozenset(v for e, v in values if _total_class(e.label)),
            counts=Counter(abs(a.value) for cell in page.cells for a in amounts_in(cell.text)),
        )

    def support(self, value: Decimal) -> float:
        """Weigh how the other sums agree with `value` as the total."""
        points = 0.25 * min(self.counts[abs(value)] - 1, 4)
        if any(abs(p) - abs(c) == value for p in self.paid for c in self.change if c):
            points += 3.0
        elif any(abs(p) == value for p in self.paid):
            points += 1.5
        if any(s.amount.value + t.amount.value == value for s in self.subtotals for t in self.taxes):
            points += 1.5
        if any(value - r in self.totals for r in self.rounding):
            points += 2.0
        return points


def _after_rounding(
    page: Page, candidates: list[tuple[float, int, _Labelled]], rounding: frozenset[Decimal]
) -> list[tuple[float, int, _Labelled]]:
    """Return the rounded total where it is printed beneath with no label but a currency or `rounding`."""
    found = []
    for score, row, entry in candidates:
        for below in range(row + 1, min(row + 4, len(page.rows))):
            text = " ".join(c.text for c in page.rows[below])
            amounts = amounts_in(text)
            if len(amounts) != 1 or not re.fullmatch(r"(rounding|rm|rh|aud|\$| )*", _label_of(text, amounts)):
                continue
            if amounts[0].value - entry.amount.value in rounding:
                found.append((score + 1.0, below, _Labelled(label="", amount=amounts[0], row=below, alone=True)))
    return found


def _fallback(page: Page, evidence: _Evidence) -> _Labelled | None:
    """Without a label that can be read: what was paid less the change, where it is printed; else the subtotal."""
    due = {abs(p) - abs(c) for p in evidence.paid for c in evidence.change}
    for row, cells in enumerate(page.rows):
        for amount in (a for c in cells for a in amounts_in(c.text)):
            if amount.value > 0 and amount.value in due:
                return _Labelled(label="", amount=amount, row=row, alone=True)
    if (pointless := _without_point(page)) is not None:
        return pointless
    if evidence.subtotals:
        return evidence.subtotals[-1]
    payments = (e for e in reversed(evidence.entries) if _PAYMENT.search(e.label) and not _CHANGE.search(e.label))
    return next((e for e in payments if e.amount.value > 0), None)


def _without_point(page: Page) -> _Labelled | None:
    """Return a labelled total whose decimal point was not read, `1200` for 12.00, where other sums have cents."""
    if not any(amounts_in(c.text) for c in page.cells):
        return None
    for cell in reversed(page.cells):
        if _total_class(normalise_words(cell.text)):
            for right in page.right_of(cell)[-1:]:
                if match := re.fullmatch(rf"\W*(?:{CURRENCY})?\s?(\d{{1,4}})(\d{{2}})\W*", right.text):
                    amount = Amount(text=f"{match[1]}.{match[2]}", value=Decimal(f"{match[1]}.{match[2]}"))
                    return _Labelled(label="", amount=amount, row=page.row_index(cell), alone=True)
    return None


def _repeated(page: Page) -> _Labelled | None:
    """Without any label at all: the largest sum that is printed more than once, as totals are."""
    found = [(a, i) for i, row in enumerate(page.rows) for c in row for a in amounts_in(c.text) if a.value > 0]
    counts = Counter(a.value for a, _ in found)
    again = [(a, i) for a, i in found if counts[a.value] > 1]
    if not again:
        return None
    amount, row = max(again, key=lambda f: f[0].value)
    return _Labelled(label="", amount=amount, row=row, alone=True)


def _tax(taxes: Sequence[_Labelled], total: _Labelled | None) -> str | None:
    """Return the tax that fits the total best; at most a ninth of it, which no rate in use exceeds."""
    if total is not None:
        due = total.amount.value
        fitting = (t for t in taxes if 0 <= t.amount.value <= due / 9)
        taxes = sorted(fitting, key=lambda t: abs(t.amount.value - due / 11) > Decimal("0.02"))
    return taxes[0].amount.text if taxes else None
