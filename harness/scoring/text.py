"""Free text: what counts as the same words."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["fold_text", "squeeze"]

_ASCII_PUNCTUATION = r"[\x00-/:-@\[-`{-\x7f]+"
_BETWEEN_DIGITS = re.compile(rf"(?<=\d){_ASCII_PUNCTUATION}(?=\d)")
_PUNCTUATION = re.compile(rf"(?<!\d){_ASCII_PUNCTUATION}|{_ASCII_PUNCTUATION}(?!\d)")


def squeeze(text: str) -> str:
    """Unicode-fold (NFKC), casefold, and squeeze whitespace; punctuation stays."""
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def _plain(character: str) -> str:
    """Keep letters, marks and numbers; give dashes, slashes and other punctuation one ASCII form each."""
    category = unicodedata.category(character)
    if category[0] in "LNM":
        return character
    if category == "Pd" or character == "−":
        return "-"
    if character in "⁄∕":
        return "/"
    return "" if category == "Cf" else " "


def _boundary(match: re.Match[str]) -> str:
    run = match[0]
    if "/" in run:
        return "/"
    return "-" if run.strip().strip("-") == "" and "-" in run else " "


@lru_cache(maxsize=16384)
def fold_text(text: str) -> str:
    """Reduce text to its sequence of letters and digits; texts with the same fold are the same words.

    Case, spacing and punctuation do not count, since labels differ from print in all three; `&` is the word
    'and'. One thing does: where punctuation or space parts two digits, that boundary is kept, as `/`, `-` or
    (comma, point, space, anything else) a blank. So `12-14 Main St`, `12/14 Main St` and `1214 Main St` all
    differ, and `1.5kg` is not `15kg`. Empty for text without any letter or digit.
    """
    folded = squeeze(text).replace("&", " and ")
    if folded.isascii():
        return _PUNCTUATION.sub("", _BETWEEN_DIGITS.sub(_boundary, folded))
    folded = "".join(c if c.isascii() else _plain(c) for c in folded)
    folded = _PUNCTUATION.sub("", _BETWEEN_DIGITS.sub(_boundary, folded))
    return unicodedata.normalize("NFKC", folded)  # an accent may have lost the space that kept it apart
