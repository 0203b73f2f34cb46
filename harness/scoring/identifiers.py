"""Numbers that are names (ABN, BSB, account, phone), email and web addresses: strings, never quantities."""

from __future__ import annotations

import re

from harness.scoring.text import squeeze

__all__ = ["parse_abn", "parse_account", "parse_bsb", "parse_email", "parse_phone", "parse_website"]

_LONGEST = 254
"""Characters; the longest email address there is, and it bounds the time a regular expression can take."""

_ABN = re.compile(r"(?:a\.?b\.?n\.?(?: no\.?| number)?[ :#]*)?([0-9](?:[ .-]*[0-9]){10})")
_BSB = re.compile(r"(?:bsb(?: no\.?| number)?[ :#]*)?([0-9]{3}[ -]*[0-9]{3})")
_ACCOUNT = re.compile(r"(?:(?:acc|acct|account|a/c)\.?(?: no\.?| number)?[ :#]*)?([0-9](?:[ -]*[0-9])*)")
_PHONE = re.compile(
    r"(?:(?:ph|phone|tel|telephone|mob|mobile|t|p|m)\.?[ :]*)?"
    r"(?P<number>\+?[ ]?[0-9(][0-9 ()./-]*[0-9])(?: ?(?:ext\.?|extension|x) ?(?P<extension>[0-9]{1,6}))?"
)
_EMAIL = re.compile(r"(?:mailto:)?([^@\s<>()\[\],;:]+@[^@\s<>()\[\],;:]+\.[^@\s<>()\[\],;:.]+)")
_WEBSITE = re.compile(r"(?:https?://)?(?:www\.)?((?:[\w-]+\.)+[^\W\d_][\w-]+(?::[0-9]+)?(?:[/?#]\S*)?)")


def _digits(text: str) -> str:
    return "".join(c for c in text if c in "0123456789")


def _match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    cleaned = squeeze(text)
    return pattern.fullmatch(cleaned) if len(cleaned) <= _LONGEST else None


def parse_abn(text: str) -> str | None:
    """The 11 digits of an Australian Business Number, however spaced; the checksum is not looked at here."""
    match = _match(_ABN, text)
    return _digits(match[1]) if match else None


def parse_bsb(text: str) -> str | None:
    """The 6 digits of a bank state branch number, `062-000` or `062 000` or `062000`."""
    match = _match(_BSB, text)
    return _digits(match[1]) if match else None


def parse_account(text: str) -> str | None:
    """The digits of an account number, leading zeros kept: 00123456 is not 123456."""
    match = _match(_ACCOUNT, text)
    return _digits(match[1]) if match else None


def parse_phone(text: str) -> str | None:
    """A phone number in E.164 form, as dialled from Australia; the bare digits if no plan knows the number.

    So `(02) 5550 1234` is `+61 2 5550 1234`. A number without its area code is another number.
    """
    match = _match(_PHONE, text)
    if match is None:
        return None
    number, extension = match["number"], match["extension"]
    suffix = f"x{extension}" if extension else ""
    digits = _digits(number)
    if digits.startswith("0061"):  # the international prefix of other countries; Australia's own is 0011
        number = "+" + digits[2:]
    import phonenumbers  # slow to import

    try:
        parsed = phonenumbers.parse(number, "AU")
    except phonenumbers.NumberParseException:
        parsed = None
    if parsed is not None and phonenumbers.is_possible_number(parsed):
        digits = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return digits + suffix


def parse_email(text: str) -> str | None:
    """An email address, casefolded whole, without `mailto:` or angle brackets."""
    cleaned = squeeze(text)
    if cleaned.startswith("<") and cleaned.endswith(">"):
        cleaned = cleaned[1:-1]
    match = _match(_EMAIL, cleaned)
    return match[1] if match else None


def parse_website(text: str) -> str | None:
    """A web address, casefolded, without scheme, `www.` or closing slash."""
    match = _match(_WEBSITE, text)
    return match[1].rstrip("/") if match else None
