"""Random letters and digits in place of words: text that can only be read, never guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from harness.documents.synthesis.facts import Facts
from harness.documents.synthesis.page import Value
from harness.schema import FIELDS, Kind

__all__ = ["scramble"]

_WORD = re.compile(r"[A-Za-z0-9]+")
# without I, l and O: many type faces draw them like 1 or 0, and no context tells which it was
_LOWER = "abcdefghijkmnopqrstuvwxyz"
_UPPER = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_DIGITS = "0123456789"
_ALPHABETS = (_LOWER, _UPPER, _LOWER + _UPPER, _UPPER + _DIGITS, _LOWER + _UPPER + _DIGITS)
_WEB = frozenset({Kind.EMAIL, Kind.WEBSITE})
_TEXT = frozenset({Kind.TEXT, Kind.ADDRESS, Kind.TEXT_LIST}) | _WEB


def scramble(facts: Facts, rng: Random, share: float) -> Facts:
    """Replace each word of each text value with probability `share` by as many random letters and digits.

    Amounts, dates, identifiers and titles stay: they are drawn at random already, or from a closed set.
    """
    return replace(
        facts,
        values={
            name: _value(value, rng, share) if FIELDS[name].kind in _TEXT else value
            for name, value in facts.values.items()
        },
        items=[replace(item, description=_value(item.description, rng, share)) for item in facts.items],
        transactions=[replace(row, description=_value(row.description, rng, share)) for row in facts.transactions],
    )


def _value(value: Value, rng: Random, share: float) -> Value:
    alphabets: Sequence[str] = (_LOWER + _DIGITS,) if FIELDS[value.field].kind in _WEB else _ALPHABETS

    def substitute(match: re.Match[str]) -> str:
        if rng.random() >= share:
            return match[0]
        alphabet = rng.choice(alphabets)
        return "".join(rng.choice(alphabet) for _ in match[0])

    lines = tuple(_WORD.sub(substitute, line) for line in value.lines or (value.text,))
    return replace(value, text=" ".join(lines), lines=lines if value.lines else ())
