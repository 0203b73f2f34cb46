"""Values picked out of prose by their form: a few kinds, and only what can be nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

from harness.backends.ocr_rules.amounts import amounts_in
from harness.backends.ocr_rules.dates import dates_in
from harness.backends.ocr_rules.identifiers import abns_in, emails_in, phones_in, websites_in
from harness.backends.ocr_rules.text import fold, label_pattern
from harness.responses.artefacts import spoken
from harness.schema import FIELDS, Kind
from harness.scoring.amounts import parse_money
from harness.scoring.dates import parse_date, parse_period
from harness.scoring.identifiers import parse_abn, parse_account, parse_bsb, parse_email, parse_phone, parse_website

__all__ = ["unmistakable_values"]

_LONGEST = 8_000
"""Characters; an answer that has not come to a value by then is rambling."""
_LONGEST_SENTENCE = 500
"""Characters; a longer one is a list or a loop, and the recognisers take time quadratic in this."""
_SENTENCE = re.compile(r"\n+|(?<=[.;!?])\s+(?=[A-Z*])")
_HEDGE = re.compile(
    r"(?<![\w@.-])(?:not|never|cannot|unclear|illegible|unreadable|e\.g|example|such as|like|would|could|might|maybe"
    r"|perhaps|possibly|probably|appears?|seems?|either|or|if|assum\w+|format)\b(?![@.-]\w)"
    r"|n['’]t\b|\bno\b(?!\s*[.:#]?\s*\d)|\?"
)
"""A sentence with one of these does not say what is on the page."""
_LINK = re.compile(
    r"[\s:=*_\"'|–—-]*(?:(?:is|was|of|on|by|as|amount|number|no|value|shown|printed|given)\b[\s:=*_\"'.|–—-]*)*"
)
"""All that may stand between a label and its value, in folded text."""
_BSB = re.compile(r"(?<![\d-])\d{3}[ -]?\d{3}(?![\d-])")
_HYPHENED_BSB = re.compile(r"(?<![\d-])\d{3}-\d{3}(?![\d-])(?! ?\d)")
_BSB_INSIDE = re.compile(r"(?<!\d)\d{3}-\d{3}(?!\d)")
_ACCOUNT = re.compile(r"(?<![\d/.,$-])\d[\d -]{3,18}\d(?![\d/-]|[.,]\d)")

_LABELS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        name: re.compile(rf"(?<![a-z])(?:{label_pattern(labels).pattern})")
        for name, labels in {
            "INVOICE_DATE": "invoice date, date of invoice, date of issue, issue date, issued, dated",
            "DUE_DATE": "due date, payment due date, payment due, due",
            "GST": "gst, gst amount, goods and services tax",
            "TOTAL": "total, total amount, total payable, total amount payable, total due, amount payable, amount due",
            "SUBTOTAL": "subtotal, sub total, amount before tax",
            "OPENING_BALANCE": "opening balance",
            "CLOSING_BALANCE": "closing balance",
            "BSB_NUMBER": "bsb, bsb number, bsb no, bank state branch number",
            "BANK_ACCOUNT_NUMBER": "account number, account no, bank account number, acc no, acct no, a/c no",
        }.items()
    }
)
"""Fields whose values look like those of other fields: their value is the one right behind such a label."""

_Value = tuple[str, int]
"""A value as written, and its place in the sentence."""


def _dates(sentence: str) -> list[_Value]:
    return [(found.text, found.start) for found in dates_in(sentence)]


def _amounts(sentence: str) -> list[_Value]:
    # A dash that stands alone before a sum may be a minus or may not.
    found = ((amount.text, sentence.find(amount.text, amount.start)) for amount in amounts_in(sentence))
    return [(text, start) for text, start in found if start >= 0 and not text.startswith("- ")]


def _matches(pattern: re.Pattern[str]) -> Callable[[str], list[_Value]]:
    return lambda sentence: [(match.group(), match.start()) for match in pattern.finditer(sentence)]


def _accounts(sentence: str) -> list[_Value]:
    # A number that has swallowed a BSB is not known to be the rest of itself.
    return [value for value in _matches(_ACCOUNT)(sentence) if not _BSB_INSIDE.search(value[0])]


_LABELLED: Mapping[Kind, Callable[[str], list[_Value]]] = MappingProxyType(
    {Kind.DATE: _dates, Kind.MONEY: _amounts, Kind.BSB: _matches(_BSB), Kind.ACCOUNT: _accounts}
)


def _periods(sentence: str) -> list[str]:
    found = dates_in(sentence)
    spans = (sentence[first.start : last.end] for first, last in pairwise(found))
    return [span for span in spans if parse_period(span) is not None]


_ALONE: Mapping[Kind, Callable[[str], Sequence[str]]] = MappingProxyType(
    {
        Kind.ABN: abns_in,
        Kind.BSB: _HYPHENED_BSB.findall,
        Kind.PHONE: phones_in,
        Kind.EMAIL: emails_in,
        Kind.WEBSITE: websites_in,
        Kind.PERIOD: _periods,
    }
)
"""Kinds whose values are known by their form alone, where only one field of the kind was asked for."""

_NORMAL: Mapping[Kind, Callable[[str], object]] = MappingProxyType(
    {
        Kind.DATE: parse_date,
        Kind.MONEY: parse_money,
        Kind.PERIOD: parse_period,
        Kind.ABN: parse_abn,
        Kind.BSB: parse_bsb,
        Kind.ACCOUNT: parse_account,
        Kind.PHONE: parse_phone,
        Kind.EMAIL: parse_email,
        Kind.WEBSITE: parse_website,
    }
)


def unmistakable_values(text: str, names: Sequence[str]) -> dict[str, str]:
    """The values of the fields `names` that prose gives beyond doubt; often none.

    A value counts if it is behind a label of its field, or of a form that no other field of `names` has. Two
    different values for a field, and sentences that deny, doubt or give examples, count for nothing.
    """
    found: dict[str, dict[object, str]] = {name: {} for name in names}
    for written in _SENTENCE.split(spoken(text[:_LONGEST]).text):
        sentence = " ".join(written.split())
        if len(sentence) > _LONGEST_SENTENCE or _HEDGE.search(fold(sentence)):
            continue
        for name, value in (*_alone(sentence, names), *_behind_labels(sentence, names)):
            # The recognisers mend what OCR breaks, such as a space in an address; a model's text is taken as it is.
            if value in sentence and (normal := _NORMAL[FIELDS[name].kind](value)) is not None:
                found[name].setdefault(normal, value)
    return {name: next(iter(values.values())) for name, values in found.items() if len(values) == 1}


def _alone(sentence: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    kinds = [FIELDS[name].kind for name in names]
    for name, kind in zip(names, kinds, strict=True):
        if kind in _ALONE and kinds.count(kind) == 1:
            yield from ((name, value) for value in _ALONE[kind](sentence))


def _behind_labels(sentence: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Values with one label, of one field, between them and the value before, and right before them."""
    labels = _labels(fold(sentence), names)
    for kind in dict.fromkeys(FIELDS[name].kind for name, _, _ in labels):
        after = 0
        for value, start in _LABELLED[kind](sentence):
            near = [label for label in labels if after <= label[1] < start]
            after = start + len(value)
            if len({name for name, _, _ in near}) != 1:
                continue
            name, _, end = near[-1]
            if FIELDS[name].kind is kind and _LINK.fullmatch(fold(sentence[end:start])):
                yield name, value


def _labels(folded: str, names: Sequence[str]) -> list[tuple[str, int, int]]:
    """Field, start and end of each label, without those that are part of another, in order."""
    found = [
        (name, match.start("label"), match.end("label"))
        for name in names
        if name in _LABELS
        for match in _LABELS[name].finditer(folded)
    ]
    inner = [a for a in found for b in found if a != b and b[1] <= a[1] and a[2] <= b[2]]
    return sorted((label for label in found if label not in inner), key=lambda label: label[1])
