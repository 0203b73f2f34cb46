"""Free text as what it says of a scene: things with their colours and counts, and how they stand to each other."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile

from harness.scenes.tasks.lexicon import Meaning, Tag, lexicon
from harness.scenes.vocabulary import Kind, Light, Pattern, RelationKind, Setting, Size

__all__ = ["Claim", "Mention", "Said", "read"]

_TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+(?:'[^\W\d_]+)?|[.;!?\n]|[,:=()&×]")
_QUOTED = re.compile(r"\b(says|saying|reads|reading|labelled|labeled|text|words?)\s*:?\s*(?:\"[^\"\n]*\"|'[^'\n]*')")
"""What a sign says is not said of the scene."""
_ENDS = frozenset(".;!?\n")
_PLAIN_QUOTES = str.maketrans("’‘“”", "''\"\"")
_ADJECTIVES = frozenset({Tag.COLOUR, Tag.PATTERN, Tag.SIZE, Tag.FILL, Tag.AND})
_LONGEST_NUMBER = 6
_REACH = 60
"""How many words on a negation may still hold."""
MAX_CHARACTERS = 8_000
"""Of an answer; what comes after is not read."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    meaning: Meaning

    @property
    def tag(self) -> Tag:
        return self.meaning.tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A thing that the text speaks of."""

    kind: Kind
    colours: frozenset[str] = frozenset()
    """Values of Colour, or `grey` for any other colour."""
    pattern: Pattern | None = None
    size: Size | None = None
    count: int | None = None
    """As stated; 1 for a singular; None for a plural without a number."""
    negated: bool = False
    """Whether the text says that there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the text says of two things; None for a relation too vague to judge, or denied."""

    subject: Mention
    kind: RelationKind | None
    target: Mention


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """All that a text says in this vocabulary, in its order."""

    mentions: tuple[Mention, ...] = ()
    """Things denied included."""
    claims: tuple[Claim, ...] = ()
    settings: tuple[Setting, ...] = ()
    lights: tuple[Light, ...] = ()
    colours: tuple[str, ...] = ()
    """All colours that are named and not denied, bound or not."""
    numbers: tuple[int, ...] = ()
    """All whole numbers, in figures or words."""
    first: str = ""
    """`yes` or `no` if the text begins with one."""

    @property
    def things(self) -> tuple[Mention, ...]:
        """What the text says is there."""
        return tuple(mention for mention in self.mentions if not mention.negated)


def _sentences(text: str) -> Iterator[list[_Token]]:
    folded = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS]).casefold()
    folded = folded.translate(_PLAIN_QUOTES)
    folded = _QUOTED.sub(r"\1", folded)
    words: list[str] = []
    for match in _TOKEN.finditer(folded):
        if match[0] in _ENDS:
            if words:
                yield _tagged(words)
            words = []
        else:
            words.append(match[0])
    if words:
        yield _tagged(words)


def _tagged(words: Sequence[str]) -> list[_Token]:
    """Words as the longest phrases that the lexicon knows."""
    known, found, at = lexicon(), [], 0
    while at < len(words):
        word = words[at]
        meaning, length = Meaning(Tag.WORD), 1
        if word[0].isdecimal():
            whole = word.isascii() and word.isdecimal() and len(word) <= _LONGEST_NUMBER
            meaning = Meaning(Tag.NUMBER, int(word)) if whole else meaning
        else:
            for phrase, meant in known.get(word, ()):
                if tuple(words[at : at + len(phrase)]) == phrase:
                    meaning, length = meant, len(phrase)
                    break
        found.append(_Token(" ".join(words[at : at + length]), meaning))
        at += length
    return found


# --- things ---


@dataclass(slots=True)
class _Adjectives:
    colours: set[str]
    pattern: Pattern | None = None
    size: Size | None = None
    count: int | None = None

    def add(self, token: _Token) -> None:
        value = token.meaning.value
        if token.tag is Tag.COLOUR:
            self.colours.add(str(value))
        elif isinstance(value, Pattern):
            self.pattern = self.pattern or value
        elif isinstance(value, Size):
            self.size = self.size or value
        elif token.tag is Tag.NUMBER and isinstance(value, int):
            self.count = value if self.count is None else self.count


def _before(tokens: Sequence[_Token], at: int, found: _Adjectives) -> int:
    """Take the adjectives, number and article before the noun at `at`; returns where the whole begins."""
    start = at
    while start > 0:
        token, tag = tokens[start - 1], tokens[start - 1].tag
        if tag is Tag.ARTICLE:
            if token.text in ("a", "an", "another"):
                found.count = 1 if found.count is None else found.count
            return start - 1
        if tag is Tag.NUMBER:
            found.add(token)
        elif tag is Tag.AND:
            joined = start >= 2 and tokens[start - 2].tag in (Tag.COLOUR, Tag.PATTERN, Tag.SIZE)
            # in `the cup is red and white plates` the colours are not joined, but nobody writes that
            if not joined or start == at:
                return start
        elif tag is Tag.MARK:
            joined = token.text == "," and start >= 2 and tokens[start - 2].tag in (Tag.COLOUR, Tag.PATTERN, Tag.SIZE)
            if not (joined and start < at) and token.text not in ("x", "×"):
                return start
        elif tag in _ADJECTIVES:
            found.add(token)
        else:
            return start
        start -= 1
    return start


def _after(tokens: Sequence[_Token], at: int, found: _Adjectives) -> None:
    """Take what is said of the noun at `at` behind it: `is red`, `: red striped`, `with white dots`, `: 2`."""
    end = at + 1
    linked = decorated = False
    while end < len(tokens) and (tokens[end].tag in (Tag.BE, Tag.MARK) or tokens[end].text in ("with", "which", "in")):
        decorated = decorated or tokens[end].text in ("with", "in")
        linked, end = True, end + 1
    run: list[_Token] = []
    while end < len(tokens) and tokens[end].tag in (*_ADJECTIVES, Tag.NUMBER, Tag.MARK, Tag.ARTICLE):
        run.append(tokens[end])
        end += 1
    if not linked:
        return
    if end < len(tokens) and tokens[end].tag is Tag.KIND:  # some or all of them belong to the next noun
        run = run[: max(0, _before(tokens, end, _Adjectives(set())) - (end - len(run)))]
    patterned = any(token.tag is Tag.PATTERN for token in run)
    for token in run:
        if decorated and patterned and token.tag is Tag.COLOUR:
            continue  # of the pattern: `with white dots`
        found.add(token)


def _denied(tokens: Sequence[_Token], start: int, end: int) -> bool:
    """Whether the noun phrase from `start` up to and with `end` is said not to be there."""
    furthest = max(0, start - _REACH)
    without = next((at for at in range(furthest, start) if tokens[at].text == "without"), start)
    for at in range(start - 1, furthest - 1, -1):
        token, following = tokens[at], tokens[at + 1]
        if token.tag is Tag.RESET:
            break
        positive = following.tag is Tag.ARTICLE or (following.tag is Tag.NUMBER and following.meaning.value != 0)
        if token.text in (",", "and") and positive and at <= without:
            break
        if token.tag is Tag.NEGATION:
            ending = token.text not in ("no", "without", "neither", "nor", "none", "lacks", "lacking")
            if ending and (
                following.tag in (*_ADJECTIVES, Tag.RELATION) or any(t.text == "," for t in tokens[at:start])
            ):
                break  # `is not red`, and what comes behind it
            return True
    rest = tokens[end + 1 : end + 5]
    tags = [token.tag for token in rest]
    if Tag.KIND in tags:
        tags = tags[: tags.index(Tag.KIND)]
    if tags[:1] == [Tag.BE] and Tag.ABSENT in tags[1:2]:
        return True
    if tags[:1] == [Tag.MARK] and rest[0].text != "," and tags[1:2] == [Tag.NEGATION]:
        return True  # `cat: none`
    negated = next((i for i, tag in enumerate(tags[:2]) if tag is Tag.NEGATION), None)
    return negated is not None and Tag.PRESENT in tags[negated + 1 : negated + 3]


@dataclass(frozen=True, slots=True)
class _Placed:
    start: int
    end: int
    mention: Mention


def _mentions(tokens: Sequence[_Token]) -> Iterator[_Placed]:
    for at, token in enumerate(tokens):
        kind = token.meaning.value
        if not isinstance(kind, Kind):
            continue
        found = _Adjectives(set())
        start = _before(tokens, at, found)
        _after(tokens, at, found)
        count = found.count if found.count is not None else None if token.meaning.many else 1
        yield _Placed(
            start,
            at,
            Mention(
                kind=kind,
                colours=frozenset(found.colours),
                pattern=found.pattern,
                size=found.size,
                count=count,
                negated=count == 0 or _denied(tokens, start, at),
            ),
        )


# --- relations ---


def _claims(tokens: Sequence[_Token], placed: Sequence[_Placed]) -> Iterator[Claim]:
    last: tuple[_Placed, _Placed] | None = None
    for at, token in enumerate(tokens):
        if token.tag is not Tag.RELATION:
            continue
        before = [p for p in placed if p.end < at]
        after = [p for p in placed if p.end > at]
        if before and after:
            subject, target = before[-1], after[0]
            between = tokens[subject.end + 1 : at]
            # `the cup is left of the dog and behind the cat`: of both it is the cup that is spoken of
            if last and last[1] is subject and any(t.tag is Tag.AND or t.text == "," for t in between):
                subject = last[0]
        elif len(after) > 1 and any(t.tag in (Tag.BE, Tag.MARK, Tag.WORD) for t in tokens[after[0].end : after[1].end]):
            target, subject = after[0], after[1]  # `to the left of the cup is the dog`
        else:
            continue
        if any(t.tag is Tag.RELATION for t in tokens[at + 1 : target.start]):
            continue
        value = token.meaning.value
        denied = any(t.tag is Tag.NEGATION for t in tokens[max(0, at - 2) : at])
        last = (subject, target)
        if not isinstance(value, tuple) or denied or subject.mention.negated or target.mention.negated:
            yield Claim(subject=subject.mention, kind=None, target=target.mention)
            continue
        kind, turned = value
        a, b = (target, subject) if turned else (subject, target)
        yield Claim(subject=a.mention, kind=kind, target=b.mention)


def _affirmed(tokens: Sequence[_Token], tag: Tag) -> Iterator[_Token]:
    """Tokens of a tag that no negation stands close before, in the same piece of the sentence."""
    for at, token in enumerate(tokens):
        if token.tag is not tag:
            continue
        near = list(takewhile(lambda t: t.tag not in (Tag.MARK, Tag.RESET), reversed(tokens[max(0, at - 3) : at])))
        if not any(t.tag is Tag.NEGATION for t in near):
            yield token


def _first(text: str) -> str:
    words = re.findall(r"[^\W\d_]+", text[:200].casefold())
    if not words:
        return ""
    if words[0] in ("yes", "yeah", "yep", "true"):
        return "yes"
    return "no" if words[0] in ("no", "nope", "false") else ""


@lru_cache(maxsize=4096)
def read(text: str) -> Said:
    """What `text` says; never raises, whatever the text."""
    mentions: list[Mention] = []
    claims: list[Claim] = []
    settings: list[Setting] = []
    lights: list[Light] = []
    colours: list[str] = []
    numbers: list[int] = []
    for tokens in _sentences(text):
        placed = list(_mentions(tokens))
        mentions += [p.mention for p in placed]
        claims += _claims(tokens, placed)
        settings += [t.meaning.value for t in _affirmed(tokens, Tag.SETTING) if isinstance(t.meaning.value, Setting)]
        lights += [t.meaning.value for t in _affirmed(tokens, Tag.LIGHT) if isinstance(t.meaning.value, Light)]
        colours += [str(t.meaning.value) for t in _affirmed(tokens, Tag.COLOUR)]
        numbers += [t.meaning.value for t in tokens if isinstance(t.meaning.value, int)]
    return Said(
        mentions=tuple(mentions),
        claims=tuple(claims),
        settings=tuple(settings),
        lights=tuple(lights),
        colours=tuple(colours),
        numbers=tuple(numbers),
        first=_first(text),
    )
