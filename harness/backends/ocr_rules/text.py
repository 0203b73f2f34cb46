"""Folding of recognised text, so that labels are found in spite of glued words and misread letters."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["alphanumerics", "clean", "either", "fold", "label_pattern", "normalise_words", "phrases"]

_TYPOGRAPHY = str.maketrans(
    "：；，。（）［］＃％＄＋－＝／！？＆＊｜×—–−‘’“”´`·•", ":;,.()[]#%$+-=/!?&*|x---''\"\"''··"
)

# The recogniser knows many languages and sees accents in specks; those that English words carry are left alone.
_ACCENTED = re.compile(
    r"[\u00c0-\u00c8\u00ca-\u00d6\u00d9-\u00dd\u00e0-\u00e6\u00ea-\u00f0\u00f2-\u00f6\u00f9-\u00fd]|\u00c9(?=\w)"
)

# Words of labels on business documents that a recogniser tends to damage; all are long enough to be told apart.
_VOCABULARY = (
    "total", "subtotal", "rounding", "rounded", "change", "amount", "payable", "inclusive", "including",
    "included", "exclusive", "excluding", "discount", "invoice", "balance", "payment", "quantity",
    "summary", "description", "adjustment", "opening", "closing", "statement", "account", "tendered",
    "receipt", "received", "price", "customer",
)  # fmt: skip
_WORD = re.compile(r"[a-z0-9|!]{5,}")
_PART = re.compile(
    r"subtotal|grand|nett?|sub|total|amount|payable|due|inclusive|including|included|incl|inc|exclusive|excluding|excl|ex|sales|rounding|adj"
    r"|invoice|balance|gst|tax|of|rm|aud|cash|change|paid"
)
_GLUED = re.compile(rf"\b(?:{_PART.pattern}){{2,}}\b")
_DIGIT_LOOKALIKES = str.maketrans("015|!8", "oisllb")


def clean(text: str) -> str:
    """Return text with typographic variants made plain, stray accents dropped, and runs of white space squeezed."""
    plain = " ".join(text.translate(_TYPOGRAPHY).split())
    return plain if plain.isascii() else _ACCENTED.sub(lambda m: unicodedata.normalize("NFKD", m.group())[0], plain)


def fold(text: str) -> str:
    """Return text lower-cased, without accents, character for character: positions stay those of `text`."""
    if text.isascii():
        return text.lower()
    return "".join(unicodedata.normalize("NFKD", c)[0].lower()[:1] or c for c in text)


def alphanumerics(text: str) -> str:
    """Return the folded letters and digits of `text` alone."""
    return re.sub(r"[^a-z0-9]", "", fold(text))


def normalise_words(text: str) -> str:
    """Return folded words with damaged label words mended: `Total Arnt Payabie` reads `total arnt payable`.

    A word of five to seven letters may have one wrong letter, a longer one two.
    """
    from rapidfuzz.distance import Levenshtein

    def mend(match: re.Match[str]) -> str:
        word = match.group()
        if word.isdigit() or word in _VOCABULARY:
            return word
        plain = word.translate(_DIGIT_LOOKALIKES)
        for known in _VOCABULARY:
            budget = 1 if len(known) <= 7 else 2
            if (
                abs(len(known) - len(plain)) <= budget
                and Levenshtein.distance(plain, known, score_cutoff=budget) <= budget
            ):
                return known
        return word

    words = re.sub(r"[^a-z0-9|!%$&@#/]+", " ", fold(text)).strip()
    words = _GLUED.sub(lambda m: " ".join(_PART.findall(m.group())), words)
    words = re.sub(r"\bsub total\b", "subtotal", words)
    return _WORD.sub(mend, words)


def phrases(text: str) -> tuple[str, ...]:
    """Split a vocabulary at its commas; a phrase may go over the end of a line."""
    return tuple(" ".join(phrase.split()) for phrase in text.split(",") if phrase.strip())


def either(vocabulary: str) -> str:
    """Return phrases, parted by commas, as alternatives of a regular expression; they may be patterns themselves."""
    return "|".join(phrases(vocabulary))


def label_pattern(vocabulary: str) -> re.Pattern[str]:
    """Compile phrases, parted by commas, into one pattern for folded text.

    A space in a phrase matches any small separator, or none. The longest phrase wins; a match ends at the end of
    a word and takes the punctuation that follows a label. Groups: `label`, `after`.
    """
    ordered = sorted(phrases(vocabulary), key=len, reverse=True)
    alternatives = "|".join(r"[\s._/'-]*".join(re.escape(w) for w in phrase.split()) for phrase in ordered)
    return re.compile(rf"[\W_]*(?P<label>{alternatives})(?![a-z])(?P<after>[\s.:;#=-]*)")
