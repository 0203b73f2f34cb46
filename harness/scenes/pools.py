"""What scenes draw from: which kinds of things are found where, what holds what, and what signs say."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from harness.scenes.vocabulary import Kind, Setting, Stratum

__all__ = ["AIRBORNE", "CARRIED", "CONTENTS", "FLOATING", "GROUPED", "KINDS", "SIGN_WORDS", "sign_text"]

K = Kind

KINDS: Mapping[Setting, tuple[Kind, ...]] = MappingProxyType(
    {
        Setting.KITCHEN: (
            *(K.APPLE, K.BANANA, K.BASKET, K.BOTTLE, K.BOWL, K.BOX, K.CAT, K.CLOCK, K.CUP, K.TEAPOT),
            *(K.FLOWER, K.LAMP, K.FISH, K.BOOK, K.BALLOON, K.BALL),
        ),
        Setting.DESK: (
            *(K.BOOK, K.CUP, K.LAMP, K.CLOCK, K.BOX, K.BALL, K.BOTTLE, K.FLOWER, K.APPLE, K.CAT),
            *(K.TEAPOT, K.BASKET, K.BOWL, K.BANANA, K.BALLOON, K.CAR),
        ),
        Setting.SHELF: (
            *(K.BOOK, K.CUP, K.BOTTLE, K.BOWL, K.BOX, K.CLOCK, K.TEAPOT, K.APPLE, K.BANANA, K.BALL, K.LAMP),
            *(K.FLOWER, K.CAT, K.CAR, K.BOAT, K.BASKET, K.BIRD, K.FISH, K.CHAIR, K.DOG, K.UMBRELLA),
        ),
        Setting.STREET: (
            *(K.CAR, K.DOG, K.CAT, K.TREE, K.CHAIR, K.UMBRELLA, K.BIRD, K.BALLOON, K.BALL, K.BOX, K.FLOWER),
            *(K.TABLE, K.BOTTLE, K.LAMP, K.CLOCK, K.BASKET),
        ),
        Setting.PARK: (
            *(K.TREE, K.DOG, K.CAT, K.BIRD, K.BALL, K.KITE, K.BALLOON, K.CHAIR, K.TABLE, K.UMBRELLA, K.FLOWER),
            *(K.BASKET, K.BOX, K.APPLE, K.BOOK, K.BOTTLE),
        ),
        Setting.SEA: (
            *(K.BOAT, K.FISH, K.UMBRELLA, K.BALL, K.CHAIR, K.DOG, K.BIRD, K.KITE, K.BASKET, K.TABLE, K.BOX),
            *(K.BOTTLE, K.CAT, K.BALLOON, K.BANANA, K.BOOK),
        ),
    }
)
"""What may stand, lie or fly in a setting, signs aside."""
AIRBORNE: Mapping[Setting, frozenset[Kind]] = MappingProxyType(
    {setting: frozenset({K.BALLOON, K.KITE, K.BIRD}) for setting in (Setting.STREET, Setting.PARK, Setting.SEA)}
    | {setting: frozenset({K.BALLOON}) for setting in (Setting.KITCHEN, Setting.DESK)}
    | {Setting.SHELF: frozenset()}
)
"""What flies there, and never stands."""
FLOATING = frozenset({K.BOAT, K.FISH})
"""What is in the water where there is any."""
GROUPED = frozenset(
    {
        K.APPLE,
        K.BALL,
        K.BANANA,
        K.BIRD,
        K.BOOK,
        K.BOTTLE,
        K.CAR,
        K.CUP,
        K.FISH,
        K.FLOWER,
        K.BALLOON,
        K.TREE,
        K.CAT,
        K.DOG,
        K.BOAT,
        K.CHAIR,
    }
)
"""What there may be several of."""
CONTENTS: Mapping[Kind, tuple[Kind, ...]] = MappingProxyType(
    {
        K.BASKET: (K.APPLE, K.BALL, K.BANANA, K.CAT, K.BOTTLE, K.FLOWER, K.BOOK),
        K.BOWL: (K.APPLE, K.BALL, K.FISH, K.BANANA),
    }
)
"""What may lie in what."""
CARRIED: Mapping[Kind, tuple[Kind, ...]] = MappingProxyType(
    {
        K.BOX: (K.CUP, K.APPLE, K.BALL, K.CAT, K.LAMP, K.TEAPOT, K.BOWL, K.BIRD),
        K.CHAIR: (K.CAT, K.BALL, K.CUP, K.APPLE, K.BIRD),
        K.TABLE: (K.CUP, K.TEAPOT, K.BOTTLE, K.BOWL, K.LAMP, K.BOOK, K.CLOCK, K.FLOWER, K.APPLE, K.BASKET),
    }
)
"""What may stand on what."""

SIGN_WORDS = (
    "OPEN EXIT STOP SALE TAXI CAFE BAKERY LIBRARY MARKET STATION HARBOUR MUSEUM SCHOOL HOTEL TICKETS "
    "PARKING WELCOME DANGER PRIVATE KEEP NORTH SOUTH PLATFORM FERRY GATE BRIDGE CINEMA TOYS FRUIT "
    "COFFEE PIZZA BIKES FRESH QUIET"
)
"""None of them is a word of the lexicon: a caption that quotes a sign names no other thing."""
_LETTERS = "ABCDEFHJKLMNPRSTUVWXYZ"


def _code(rng: np.random.Generator, letters: int, digits: int) -> str:
    spelt = "".join(_LETTERS[i] for i in rng.integers(len(_LETTERS), size=letters))
    return spelt + "".join(str(i) for i in rng.integers(2, 10, size=digits))


def sign_text(stratum: Stratum, rng: np.random.Generator) -> str:
    """What a sign says. Half of it could not be guessed: random letters and digits."""
    words = SIGN_WORDS.split()
    word = words[int(rng.integers(len(words)))]
    if stratum is Stratum.EASY:
        return word if rng.random() < 0.5 else _code(rng, 3, 0)
    if stratum is Stratum.MEDIUM:
        return f"{word} {int(rng.integers(2, 100))}" if rng.random() < 0.5 else _code(rng, 2, 3)
    return f"{word}\n{_code(rng, 2, 2)}" if rng.random() < 0.5 else f"{_code(rng, 3, 1)} {_code(rng, 0, 3)}"
