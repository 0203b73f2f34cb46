"""Identifiers with a form of their own: ABN, BSB, account, phone, email, website, registration numbers."""

from __future__ import annotations

import re

from harness.backends.ocr_rules.text import fold

__all__ = [
    "Abn",
    "abns_in",
    "bsb_in",
    "emails_in",
    "is_registration",
    "phones_in",
    "websites_in",
]

_ABN = re.compile(r"(?<![\d-])\d{2}[ .]?\d{3}[ .]?\d{3}[ .]?\d{3}(?!\d)")
_ABN_LABEL = re.compile(r"\ba\.?\s?b\.?\s?n\b")
_BSB = re.compile(r"(?<!\d)\d{3}[ -]?\d{3}(?!\d)")
_EMAIL = re.compile(r"[A-Za-z0-9][\w.+'-]*\s?@\s?[A-Za-z0-9-]+(?:\s?\.\s?[A-Za-z0-9-]+)+")
_SITE = re.compile(
    r"(?<![@\w.-])(?:https?:/{1,2})?(?:www\s?\.\s?)?(?:[a-z0-9'-]+\.)+(?:com|net|org|edu|gov|asn|id|io|biz|info|shop|store|example|co|test)"
    r"(?:\.(?:au|my|nz|sg|uk))?(?:\.[a-z]{2})?(?![\w@])(?:/[\w./-]*)?",
    re.IGNORECASE,
)
_PHONE = re.compile(
    r"(?<![\d.$/-])(?:\+\s?\d{2,3}[\s.-]?(?:\(0\)\s?)?\d?[\s.-]?)?(?:\(\s?0\d{1,2}\s?\)|\(\d{2}\)|\d{2,5})(?:[\s.-]?\d{2,4}){1,4}(?![\d/])"
)
_PHONE_LABEL = re.compile(r"\b(tel|telephone|ph|phone|mobile|mob|call|contact|hotline|m|p|t)\b\s?(no|number)?[\s.:]*")
_FAX = re.compile(r"\b(fax|facsimile|f)\b[\s.:no]*")
_REGISTRATION = re.compile(
    r"\b(co(mpany)?\.?\s*reg\w*|reg\w*\.?\s*(no|number|#)|br\s*no|gst\s*(/tax)?\s*(id|no|reg\w*|ref)|gst\s*[:#]|sst\s*(id|no|reg\w*)"
    r"|a\.?b\.?n\b|a\.?c\.?n\b|roc\s*no|tax\s*(id|no|reg)|licen[cs]e\s*no|brn|uen|gst1?\s*:|co\W{0,2}\s*(\w{2,4}\W{0,2}\s*)?no|business\s*reg\w*|co\s*[rk]eg)",
)
_COMPANY_NUMBER = re.compile(r"\W*[\[(<{]?\s*[a-z]{0,3}\d{4,12}\s?-?\s?[a-z0-9]?\s*[\])>}]?\W*")


class Abn(str):
    """An ABN as printed. `valid` tells whether its check digits are right."""

    __slots__ = ()

    @property
    def valid(self) -> bool:
        """Whether the weighted sum is a multiple of 89 (Australian Business Register, format of the ABN)."""
        digits = [int(c) for c in self if c.isdigit()]
        weights = (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
        digits[0] -= 1
        return len(digits) == 11 and sum(w * d for w, d in zip(weights, digits, strict=True)) % 89 == 0


def abns_in(text: str, *, labelled: bool = False) -> tuple[Abn, ...]:
    """Return 11-digit numbers that are labelled ABN, or that carry an ABN's check digits."""
    folded = fold(text)
    labelled = labelled or bool(_ABN_LABEL.search(folded))
    found = (Abn(m.group()) for m in _ABN.finditer(text))
    return tuple(a for a in found if labelled or (a.valid and " " in a))


def has_abn_label(text: str) -> bool:
    """Whether `text` says ABN."""
    return bool(_ABN_LABEL.search(fold(text)))


def bsb_in(text: str) -> str | None:
    """Return the first number of BSB form, `123-456`."""
    match = _BSB.search(text)
    return match.group() if match else None


def emails_in(text: str) -> tuple[str, ...]:
    """Return email addresses; spaces that recognition put about `@` and dots are dropped."""
    return tuple(re.sub(r"\s", "", m.group()).rstrip(".") for m in _EMAIL.finditer(text.replace(",.", ".")))


def websites_in(text: str) -> tuple[str, ...]:
    """Return addresses of web sites, email domains left out."""
    bare = _EMAIL.sub(" ", text)
    return tuple(re.sub(r"\s", "", m.group()).rstrip("./") for m in _SITE.finditer(bare))


def phones_in(text: str, *, labelled: bool = False) -> tuple[str, ...]:
    """Return phone numbers other than fax numbers: 8 to 12 digits, or 6 and 10 with a 13, 1300 or 1800 prefix.

    Without a label (`labelled`, or one in the text) only forms that nothing else has are taken.
    """
    folded = fold(text)
    found = []
    fax_from = [m.start() for m in _FAX.finditer(folded)]
    for match in _PHONE.finditer(text):
        number = match.group().strip(" .-")
        digits = re.sub(r"\D", "", number)
        before = folded[: match.start()]
        last_label = max((m.end() for m in _PHONE_LABEL.finditer(before)), default=-1)
        last_fax = max((m for m in fax_from if m < match.start()), default=-1)
        if last_fax > last_label:
            continue
        known = labelled or last_label >= 0
        if _phone_like(number, digits, known=known):
            found.append(number)
    return tuple(found)


def _phone_like(number: str, digits: str, *, known: bool) -> bool:
    if re.fullmatch(r"1[38]00\d{6}|13\d{4}", digits):
        return known or " " in number
    if number.startswith("+"):
        return 9 <= len(digits) <= 13
    if known:
        return 8 <= len(digits) <= 12
    return bool(
        re.fullmatch(
            r"\(0\d\)\s?\d{4}\s?\d{4}|\(\d{2}\)\s?\d{4}\s\d{4}|0[2-578]\s\d{4}\s\d{4}|04\d{2}\s\d{3}\s\d{3}",
            number,
        )
    )


def is_registration(text: str) -> bool:
    """Whether a line carries a registration number of a company or for a tax, and nothing else of interest."""
    folded = fold(text)
    if _REGISTRATION.search(folded):
        return True
    return bool(_COMPANY_NUMBER.fullmatch(folded)) and sum(c.isdigit() for c in folded) >= (
        5 if re.search("[a-z]", folded) else 6
    )
