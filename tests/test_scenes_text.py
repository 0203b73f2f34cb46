"""Reading free text: what it says is there, of which colour, how many, and how it stands to the rest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scenes import Colour, Kind, Light, Pattern, RelationKind, Setting, Size, pools
from harness.scenes.tasks.detecting import boxes_in
from harness.scenes.tasks.lexicon import plural
from harness.scenes.tasks.reading import transcription
from harness.scenes.tasks.reading_text import MAX_CHARACTERS, Mention, read
from harness.scenes.tasks.task import text_facts

WORDS = (
    "no not without cat dogs red striped with white dots the a two and or , . : is are left of in front 3 x ( ) box on "
    "kitchen night missing visible but there from = grey 0.5 1000"
)
quick = settings(deadline=None, max_examples=150)


def kinds(text: str) -> list[Kind]:
    return [mention.kind for mention in read(text).things]


def only(text: str) -> Mention:
    (mention,) = read(text).things
    return mention


# --- what is there, and what is not ---


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("There is no cat.", []),
        ("There is no cat, dog or bird.", []),
        ("There are no cats and dogs.", []),
        ("No cats and a dog.", ["dog"]),
        ("There is no cat, but a dog.", ["dog"]),
        ("No cat, only a dog", ["dog"]),
        ("There is no cat; a dog is there", ["dog"]),
        ("A street without a car, a dog or a bird; three flowers", ["flower"]),
        ("There isn't a cat. There is a dog.", ["dog"]),
        ("I don't see any cat", []),
        ("The cat is not visible, the dog is.", ["dog"]),
        ("The cat isn't there", []),
        ("The cat is missing", []),
        ("cat: none\ndog: 2", ["dog"]),
        ("cat: 0\ndog: 1", ["dog"]),
        ("zero cats", []),
        ("Neither a cat nor a dog", []),
        ("Not only a cat but also a dog", ["cat", "dog"]),
        ("The cup is not red, the apple is green", ["cup", "apple"]),
        ("Nothing but a cat", ["cat"]),
        ("a car park with flower pots and a street lamp", []),
        ("cars", ["car"]),
        ("an automobile, two mugs and a parasol", ["car", "cup", "umbrella"]),
        ("Teddies and unicorns", []),
        ("The catalogue of carpets", []),
        ("CAT! DOG? BIRD...", ["cat", "dog", "bird"]),
        ("a ｃａｔ", ["cat"]),
        ("", []),
    ],
)
def test_things_that_are_there(text: str, there: list[str]) -> None:
    assert kinds(text) == there


@pytest.mark.parametrize("kind", list(Kind))
def test_plurals_articles_and_case_do_not_matter(kind: Kind) -> None:
    for text in (
        kind.value,
        plural(kind.value),
        f"The {kind}",
        f"Several {plural(kind.value).upper()}.",
        f"**{kind}**",
    ):
        assert kinds(text) == [kind]


@pytest.mark.parametrize(
    ("text", "colours", "pattern"),
    [
        ("a red cup", {"red"}, None),
        ("The cup is red.", {"red"}, None),
        ("cup: red, striped", {"red"}, Pattern.STRIPED),
        ("a red and white striped cup", {"red", "white"}, Pattern.STRIPED),
        ("a large, light blue cup", {"blue"}, None),
        ("a blue cup with white polka dots", {"blue"}, Pattern.DOTTED),
        ("a grey cup", {"grey"}, None),
        ("a gray cup", {"grey"}, None),
        ("cup: blue chequered", {"blue"}, Pattern.CHECKED),
        ("cup: blue checkered", {"blue"}, Pattern.CHECKED),
        ("cup (violet, plain)", {"purple"}, Pattern.SOLID),
        ("The cup has a red and black check pattern", {"red", "black"}, Pattern.CHECKED),
        ("a light-coloured cup", set(), None),
        ("cup", set(), None),
    ],
)
def test_attributes_of_one_thing(text: str, colours: set[str], pattern: Pattern | None) -> None:
    assert (set(only(text).colours), only(text).pattern) == (colours, pattern)


def test_what_a_sign_says_is_not_said_of_the_scene() -> None:
    assert kinds('A sign that says "BOOKS" and a cat') == ["sign", "cat"]
    assert kinds("A sign reading “No Dogs”, and a cat") == ["sign", "cat"]
    words = [word.casefold() for word in pools.SIGN_WORDS.split()]
    assert not [word for word in words if read(word).mentions or read(word).settings or read(word).colours]


def test_attributes_belong_to_their_own_things() -> None:
    for text in (
        "A red cup and a blue ball.",
        "The cup is red and the ball is blue.",
        "The cup is red, the blue ball is round.",
        "a red cup, blue ball",
        "cup: red\nball: blue",
        "Red cup. Blue ball!",
    ):
        assert [(m.kind, set(m.colours)) for m in read(text).things] == [("cup", {"red"}), ("ball", {"blue"})], text
    assert only("a tiny cup").size is Size.SMALL


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a cat", 1),
        ("cat", 1),
        ("cats", None),
        ("some cats", None),
        ("two cats", 2),
        ("2 cats", 2),
        ("2x cats", 2),
        ("a pair of cats", 2),
        ("cats: 3", 3),
        ("Cats (3)", 3),
        ("cats x 3", 3),
        ("cats = 3", 3),
        ("three small brown cats", 3),
        ("twelve cats", 12),
    ],
)
def test_counts(text: str, count: int | None) -> None:
    assert only(text).count == count


# --- relations, settings, light ---


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("cat left of dog", [("cat", "left of", "dog")]),
        ("The cat is to the right of the dog.", [("dog", "left of", "cat")]),
        ("The cat is behind the dog", [("dog", "in front of", "cat")]),
        ("The cat is under the table", [("table", "above", "cat")]),
        ("The cat sits on top of the red box", [("cat", "on", "box")]),
        ("The basket contains an apple", [("apple", "inside", "basket")]),
        ("To the left of the cup is the dog.", [("dog", "left of", "cup")]),
        ("The cat is left of the dog and behind the box.", [("cat", "left of", "dog"), ("box", "in front of", "cat")]),
        ("cat left of dog\ndog left of box", [("cat", "left of", "dog"), ("dog", "left of", "box")]),
        ("The cat is next to the dog", [("cat", None, "dog")]),
        ("The cat is not left of the dog", [("cat", None, "dog")]),
        ("The cat is on the left. The dog is on the right", []),
        ("A cat in the park", []),
    ],
)
def test_claims(text: str, claims: list[tuple[str, str | None, str]]) -> None:
    assert [(c.subject.kind, c.kind, c.target.kind) for c in read(text).claims] == claims
    assert all(c.kind is None or isinstance(c.kind, RelationKind) for c in read(text).claims)


def test_settings_and_light() -> None:
    assert read("A sunny day at the beach").settings == (Setting.SEA,)
    assert read("A sunny day at the beach").lights == (Light.DAY, Light.DAY)
    assert read("It isn't a kitchen, it's a park by night").settings == (Setting.PARK,)
    assert read("setting: desk\ntime: sunset").lights == (Light.SUNSET,)
    assert read("a street sign in the garden").settings == (Setting.PARK,)


# --- any text ---


@quick
@given(st.one_of(st.text(max_size=300), st.lists(st.sampled_from(WORDS.split()), max_size=40).map(" ".join)))
def test_readers_never_raise(text: str) -> None:
    said = read(text)
    assert set(said.things) <= set(said.mentions)
    assert all(mention.kind in Kind for mention in said.mentions)
    assert all(set(mention.colours) <= {*(c.value for c in Colour), "grey"} for mention in said.mentions)
    assert all(number >= 0 for number in said.numbers)
    assert all(len(box.corners) == 4 for box in boxes_in(text))
    assert transcription(text).strip() == transcription(text)
    facts = text_facts(text)
    assert 0 <= facts.repetition < 1 or facts.words == 0
    assert facts.characters == len(text)


@quick
@given(st.lists(st.sampled_from([k.value for k in Kind]), unique=True, min_size=1, max_size=6), st.randoms())
def test_order_case_and_plurals_do_not_change_what_is_there(names: list[str], random: object) -> None:
    shuffled = sorted(names, key=lambda _: random.random())  # type: ignore[attr-defined]
    text = ", ".join(plural(name).title() for name in shuffled)
    assert set(kinds(text)) == set(kinds("\n".join(names))) == set(names)
    assert kinds(f"There is no {', '.join(names[:-1])} or {names[-1]}.") == []


def test_a_text_without_end_is_read_in_no_time() -> None:
    assert len(read("cat " * 500_000).mentions) == MAX_CHARACTERS // 4
    assert len(boxes_in("1 " * 200_000)) <= MAX_CHARACTERS


def test_length_is_described_and_nothing_else() -> None:
    facts = text_facts("A cat. A cat! A dog?")
    assert (facts.words, facts.sentences) == (6, 3)
    assert facts.repetition == pytest.approx(2 / 5)
