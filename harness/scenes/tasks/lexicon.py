"""The closed vocabulary in which answers are read: every word and phrase that means something here, and what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from types import MappingProxyType
from typing import Any

from harness.scenes.vocabulary import Colour, Kind, Light, Pattern, RelationKind, Setting, Size

__all__ = ["GREY", "Meaning", "Tag", "lexicon", "plural"]

GREY = "grey"
"""What all colours are called that no object has."""


class Tag(Enum):
    """What a word or phrase does."""

    KIND = auto()
    COLOUR = auto()
    PATTERN = auto()
    SIZE = auto()
    SETTING = auto()
    LIGHT = auto()
    RELATION = auto()
    """A way in which one thing stands to another; None where it is too vague to be right or wrong."""
    NUMBER = auto()
    NEGATION = auto()
    """`no`, `without` and `not`: what follows is not there."""
    RESET = auto()
    """Where a negation ends."""
    FILL = auto()
    """May stand among adjectives and changes nothing."""
    ARTICLE = auto()
    BE = auto()
    AND = auto()
    MARK = auto()
    """A comma, colon or the like."""
    ABSENT = auto()
    """`missing`."""
    PRESENT = auto()
    """`visible`: what `not` takes back."""
    YES = auto()
    WORD = auto()
    """Anything else."""


Value = Kind | Colour | Pattern | Size | Setting | Light | tuple[RelationKind, bool] | int | str | None


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a phrase means; of a relation, its kind and whether subject and target change places."""

    tag: Tag
    value: Value = None
    many: bool = False
    """Whether it is a plural."""


_KINDS: Mapping[Kind, str] = {
    Kind.APPLE: "apple",
    Kind.BALL: "ball|beach ball|beachball|football|soccer ball|basketball|tennis ball|baseball",
    Kind.BALLOON: "balloon",
    Kind.BANANA: "banana",
    Kind.BASKET: "basket|picnic basket|hamper",
    Kind.BIRD: "bird|pigeon|sparrow|dove|parrot|seagull|gull",
    Kind.BOAT: "boat|sailboat|sailing boat|sail boat|ship|yacht",
    Kind.BOOK: "book|notebook|textbook",
    Kind.BOTTLE: "bottle|wine bottle|water bottle",
    Kind.BOWL: "bowl",
    Kind.BOX: "box|cardboard box|gift box|parcel|package|carton",
    Kind.CAR: "car|automobile|motor car|motorcar|toy car|sedan",
    Kind.CAT: "cat|kitten",
    Kind.CHAIR: "chair",
    Kind.CLOCK: "clock|wall clock|alarm clock",
    Kind.CUP: "cup|mug|teacup|tea cup|coffee cup|coffee mug",
    Kind.DOG: "dog|puppy",
    Kind.FISH: "fish|goldfish",
    Kind.FLOWER: "flower|blossom|daisy",
    Kind.KITE: "kite",
    Kind.LAMP: "lamp|table lamp|desk lamp|bedside lamp",
    Kind.SIGN: "sign|signboard|sign board|signpost|sign post|street sign|road sign|billboard|placard",
    Kind.TABLE: "table|picnic table|coffee table|side table|dining table",
    Kind.TEAPOT: "teapot|tea pot|kettle",
    Kind.TREE: "tree",
    Kind.UMBRELLA: "umbrella|parasol|beach umbrella",
}
_COLOURS: Mapping[str, str] = {
    Colour.RED: "red|crimson|scarlet",
    Colour.ORANGE: "orange",
    Colour.YELLOW: "yellow",
    Colour.GREEN: "green",
    Colour.BLUE: "blue|navy|azure",
    Colour.PURPLE: "purple|violet",
    Colour.PINK: "pink",
    Colour.BROWN: "brown",
    Colour.BLACK: "black",
    Colour.WHITE: "white",
    GREY: "grey|gray|silver|beige|teal|turquoise|cyan|tan|gold|golden|maroon|magenta|cream",
}
_PATTERNS: Mapping[Pattern, str] = {
    Pattern.SOLID: "solid|plain|unpatterned|single coloured|single colored",
    Pattern.STRIPED: "striped|stripy|stripey|stripe|stripes",
    Pattern.DOTTED: "dotted|dot|dots|spotted|spot|spots|polka dot|polka dots|polka dotted",
    Pattern.CHECKED: "checked|chequered|checkered|check|checks|checkerboard|chequerboard|plaid|gingham",
}
_SIZES: Mapping[Size, str] = {
    Size.SMALL: "small|tiny|little|mini",
    Size.MEDIUM: "medium|medium sized|mid sized",
    Size.LARGE: "large|big|huge|giant",
}
_SETTINGS: Mapping[Setting, str] = {
    Setting.KITCHEN: "kitchen|kitchen counter|countertop|kitchenette",
    Setting.STREET: "street|road|city|town|urban|roadside|pavement|sidewalk|avenue",
    Setting.SHELF: "shelf|shelves|bookshelf|book shelf|bookshelves|bookcase|shelving",
    Setting.DESK: "desk|office|workspace|workstation",
    Setting.PARK: "park|garden|meadow|lawn|countryside|grassy field",
    Setting.SEA: "sea|beach|seaside|ocean|coast|shore|seashore|coastal|sandy beach",
}
_LIGHTS: Mapping[Light, str] = {
    Light.DAY: "day|by day|daytime|daylight|midday|noon|sunny|afternoon",
    Light.SUNSET: "sunset|dusk|dawn|sunrise|twilight|evening",
    Light.NIGHT: "night|by night|at night|nighttime|night time|midnight|moonlit|moon|moonlight|starry",
}
_LEFT, _ABOVE, _FRONT = RelationKind.LEFT_OF, RelationKind.ABOVE, RelationKind.IN_FRONT_OF
_IN, _ON = RelationKind.INSIDE, RelationKind.ON
_RELATIONS: tuple[tuple[RelationKind | None, bool, str], ...] = (
    (_LEFT, False, "left of|to the left of|on the left of|on the left side of|at the left of"),
    (_LEFT, True, "right of|to the right of|on the right of|on the right side of|at the right of"),
    (_ABOVE, False, "above|over|higher than"),
    (_ABOVE, True, "below|beneath|under|underneath|lower than"),
    (_FRONT, False, "in front of|nearer than|closer than|closer to the viewer than|nearer to the viewer than"),
    (_FRONT, True, "behind|in back of|farther than|further than|farther away than|further away than"),
    (_IN, False, "inside|inside of|in|within|contained in"),
    (_IN, True, "contains|containing"),
    (_ON, False, "on|on top of|atop|upon"),
    (_ON, True, "supports|supporting|carries|carrying"),
    (None, False, "next to|beside|near|close to|by|alongside|around|between|among|opposite"),
)
_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_OTHERS: Mapping[Tag, str] = {
    Tag.NEGATION: (
        "no|not|without|never|neither|nor|cannot|isn't|aren't|wasn't|weren't|don't|doesn't|can't|lacks|lacking|none"
    ),
    Tag.RESET: "but|however|though|although|yet|except|besides|while|whereas|only|instead|apart from|other than"
    "|not only|nothing but|and there|there is|there are",
    Tag.FILL: "light|dark|bright|pale|deep|vivid|coloured|colored|colour|color|pattern|patterned|very|mostly|toy|round"
    "|colourful|colorful|multicoloured|multicolored|empty|wooden|sized",
    Tag.ARTICLE: "a|an|the|this|that|these|those|some|its|another",
    Tag.BE: "is|are|was|were|has|looks|appears",
    Tag.AND: "and|or|&",
    Tag.MARK: ",|:|=|(|)|x|×",
    Tag.ABSENT: "absent|missing",
    Tag.PRESENT: "visible|present|there|shown|seen|pictured|depicted|here",
    Tag.YES: "yes|yeah|yep|true|correct",
    Tag.WORD: (
        # compounds that only sound like a thing, and turns of phrase that only sound like a relation
        "car park|flower pot|flowerpot|lamp post|lamppost|street lamp|streetlamp|lamp shade|lampshade"
        "|table top|tabletop|table cloth|tablecloth|bottle cap|tree trunk|fish tank|bird house|birdhouse"
        "|dog house|doghouse|signs of|sign of|clock face|apple tree|apple trees|ball game|box office"
        "|street light|streetlight|night stand|nightstand|on the left|on the right|on the left side"
        "|on the right side|in the foreground|in the background|in the middle|in the centre"
        "|in the center|in the picture|in the image|in the scene|in total|in colour|in color|no doubt"
        "|no one|the left of the picture|the right of the picture|at|of|with"
    ),
}
_IRREGULAR = {"fish": "fish", "goldfish": "goldfish"}


def plural(noun: str) -> str:
    """The English plural of a noun of this vocabulary; of a phrase, that of its last word."""
    head, _, last = noun.rpartition(" ")
    if last in _IRREGULAR:
        ending = _IRREGULAR[last]
    elif last.endswith(("x", "ch", "sh", "s")):
        ending = last + "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        ending = last[:-1] + "ies"
    else:
        ending = last + "s"
    return f"{head} {ending}".strip()


def _phrases() -> Iterator[tuple[str, Meaning]]:
    for tag, text in _OTHERS.items():
        yield from ((phrase, Meaning(tag, phrase)) for phrase in text.split("|"))
    yield from ((plural(phrase), Meaning(Tag.WORD)) for phrase in _OTHERS[Tag.WORD].split("|"))
    tables: Iterable[tuple[Tag, Mapping[Any, str]]] = (
        (Tag.COLOUR, _COLOURS),
        (Tag.PATTERN, _PATTERNS),
        (Tag.SIZE, _SIZES),
        (Tag.SETTING, _SETTINGS),
        (Tag.LIGHT, _LIGHTS),
    )
    for tag, table in tables:
        for value, text in table.items():
            yield from ((phrase, Meaning(tag, value)) for phrase in text.split("|"))
    for relation, turned, text in _RELATIONS:
        sense = None if relation is None else (relation, turned)
        yield from ((phrase, Meaning(Tag.RELATION, sense)) for phrase in text.split("|"))
    for number, word in enumerate(_NUMBERS.split()):
        yield word, Meaning(Tag.NUMBER, number)
    for phrase, number in (("a pair of", 2), ("a couple of", 2), ("a dozen", 12), ("a single", 1)):
        yield phrase, Meaning(Tag.NUMBER, number)
    for kind, text in _KINDS.items():
        for noun in text.split("|"):
            yield plural(noun), Meaning(Tag.KIND, kind, many=True)
            yield noun, Meaning(Tag.KIND, kind)
    for cup in ("cup of coffee", "cup of tea", "mug of coffee"):
        yield cup, Meaning(Tag.KIND, Kind.CUP)


@cache
def lexicon() -> Mapping[str, tuple[tuple[tuple[str, ...], Meaning], ...]]:
    """By first word, the phrases that begin with it, the longest first, and what they mean."""
    found: dict[str, dict[tuple[str, ...], Meaning]] = {}
    for phrase, meaning in _phrases():
        words = tuple(phrase.split())
        found.setdefault(words[0], {})[words] = meaning
    return MappingProxyType(
        {first: tuple(sorted(phrases.items(), key=lambda pair: -len(pair[0]))) for first, phrases in found.items()}
    )
