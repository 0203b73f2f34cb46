"""The pipeline from a raw response to its fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from harness.responses.artefacts import Speech, spoken
from harness.responses.findings import Findings, Pair
from harness.responses.keys import InlineKey, inline_keys
from harness.responses.lines import read_text
from harness.responses.lists import comma_separated, normalise_list
from harness.responses.loops import repeated_tail
from harness.responses.markup import without_markup
from harness.responses.meaning import Meaning, is_list, meaning
from harness.responses.result import Note, NoteKind, ParsedResponse
from harness.schema import ABSENT, FIELD_NAMES

__all__ = ["parse_response"]

_MAX_CHARACTERS = 250_000
_MAX_DUPLICATES = 5


def parse_response(text: str) -> ParsedResponse:
    """Read the fields out of a raw response. Never raises; takes time linear in the length of the text.

    1. Keep what the model says: no special tokens, no other turns, no thinking (`artefacts`).
    2. Read key lines, table rows and JSON objects as raw pairs (`lines`, `keys`, `continuation`, `jsonlike`).
    3. Split pairs that hold further keys on the same line.
    4. Clean each text and tell values from absences and echoed placeholders (`markup`, `lists`, `meaning`).
    5. Merge: the first value of a field wins over later ones, and any value over an absence.

    A value that is trimmed, on one line and without markup comes back verbatim. What is read as something else:

    - words for absence (`N/A`, `none`, `-`, ...), placeholders, and text that is all quotes and brackets;
    - text all in `**bold**` or in a code span, a link, `<br>`, special tokens and chat roles;
    - quotes or brackets around a whole value, except in names and addresses; brackets around a list;
    - commas between numbers in a list, and between descriptions where the response shows that it separates them so;
    - `KEY:` in upper case, of this field or of one that has no line of its own.

    Characters after the first 250,000 are not read.
    """
    speech = spoken(text[:_MAX_CHARACTERS])
    findings = Findings()
    read_text(speech.text, findings)
    for passage in findings.passages:
        inside = Findings()  # what surrounds an answer in there is of no interest
        read_text(spoken(passage).text, inside)
        findings.pairs.extend(inside.pairs)
    pairs = _split(findings.pairs, findings)
    commas_from = _commas_from(pairs)
    fields, notes = _merge([(pair.field, *_judge(pair, commas_from)) for pair in pairs])
    if len(text) > _MAX_CHARACTERS:
        findings.cuts.append(f"only the first {_MAX_CHARACTERS:,} characters were read")
    return ParsedResponse(
        fields=fields, notes=(*_notes_on_text(speech, findings), *notes), parsable=bool(findings.pairs)
    )


def _judge(pair: Pair, commas_from: int | None = None) -> tuple[str, Meaning]:
    """Clean the text of a pair and say what it means."""
    return _judge_text(pair.field, pair.text, None if pair.listed else commas_from)


@lru_cache(maxsize=4096)
def _judge_text(field: str, text: str, commas_from: int | None) -> tuple[str, Meaning]:
    text = without_markup(field, text)
    if meaning(field, text) is Meaning.ECHO:
        return text, Meaning.ECHO
    if is_list(field):
        text = normalise_list(field, text, commas_from=commas_from)
    return text, meaning(field, text)


def _commas_from(pairs: Iterable[Pair]) -> int | None:
    """From how many entries on the commas in descriptions separate them, by what the other lists look like.

    From 2 on where quantities or prices are separated by commas; never where they are not; and from 4 on where there
    are none to go by, as on most bank statements.
    """
    others = [
        pair
        for pair in pairs
        if is_list(pair.field) and pair.field != "DESCRIPTIONS" and _judge(pair)[1] is Meaning.VALUE
    ]
    if any(comma_separated(pair.field, without_markup(pair.field, pair.text)) for pair in others):
        return 2
    return None if others else 4


def _split(pairs: Sequence[Pair], findings: Findings) -> Sequence[Pair]:
    """Split texts such as `RECEIPT SUPPLIER: ALDI ABN: 12 ...` at the keys inside.

    A text is left whole when each key in it also has an answer of its own elsewhere: `DESCRIPTIONS: GIFT CARD TOTAL: 5`
    beside a line for TOTAL is a description.
    """
    keys = [_keys_inside(pair.field, pair.text) for pair in pairs]
    if not any(keys):
        return pairs
    texts = [without_markup(pair.field, pair.text) for pair in pairs]
    heads = [
        _judge(Pair(field=pair.field, text=_trimmed(text[: found[0].start]) if found else text))[1]
        for pair, text, found in zip(pairs, texts, keys, strict=True)
    ]
    answered = {pair.field for pair, head in zip(pairs, heads, strict=True) if head is not Meaning.ECHO}
    split: list[Pair] = []
    for pair, text, found, head in zip(pairs, texts, keys, heads, strict=True):
        inside = {key.field for key in found if key.field}
        if not inside or (inside <= answered - {pair.field} and Meaning.ECHO not in {head, _judge(pair)[1]}):
            split.append(pair)
        else:
            split += _split_one(pair, text, found, findings)
    return split


@lru_cache(maxsize=4096)
def _keys_inside(field: str, text: str) -> Sequence[InlineKey]:
    return inline_keys(without_markup(field, text))


def _split_one(pair: Pair, text: str, keys: Sequence[InlineKey], findings: Findings) -> Iterator[Pair]:
    field: str | None = pair.field
    start, mark = 0, ""
    for key in keys:
        if field:
            yield Pair(field=field, text=_trimmed(text[start : key.start], mark))
        field, start, mark = key.field, key.end, key.mark
        if field is None:
            findings.add_extra(key.label)
    if field:
        rest = text[start:].rstrip()
        yield Pair(field=field, text=rest.removesuffix(mark) if keys else rest, listed=pair.listed and not keys)


def _trimmed(text: str, mark: str = "") -> str:
    """Take off what separates a pair from the next on its line."""
    text = text.rstrip()
    if text.endswith((" -", " *", " •")):
        text = text[:-2].rstrip()
    return text.rstrip(",;|").rstrip().removesuffix(mark)


def _merge(judged: Iterable[tuple[str, str, Meaning]]) -> tuple[dict[str, str | None], list[Note]]:
    """Keep the first value of each field, or an absence if that is all there is; note what was not kept."""
    answers: dict[str, dict[str | None, None]] = {}
    notes: list[Note] = []
    for name, text, means in judged:
        if means is Meaning.ECHO:
            if not any(note.field == name for note in notes):
                notes.append(Note(kind=NoteKind.ECHO, field=name, detail=text[:80]))
            continue
        value = text if means is Meaning.VALUE else None
        # an empty place after a key contradicts nothing
        if (given := answers.get(name)) is None:
            answers[name] = {value: None} if text else {}
        elif text:
            given[value] = None
    fields: dict[str, str | None] = {}
    for name in FIELD_NAMES:
        if (given := answers.get(name)) is None:
            continue
        if len(given) == 1:
            (fields[name],) = given
            continue
        fields[name] = kept = next((value for value in given if value is not None), None)
        others = [value or ABSENT for value in given if value != kept]
        notes += (Note(kind=NoteKind.DUPLICATE, field=name, detail=other[:80]) for other in others[:_MAX_DUPLICATES])
    return fields, notes


def _notes_on_text(speech: Speech, findings: Findings) -> Iterator[Note]:
    """Remarks about the text as a whole."""
    if not speech.text.strip():
        yield Note(kind=NoteKind.EMPTY)
    if speech.artefacts:
        yield Note(kind=NoteKind.ARTEFACT)
    if speech.thinking:
        yield Note(kind=NoteKind.THINKING)
    if findings.objects:
        yield Note(kind=NoteKind.JSON)
    if findings.prose is not None:
        yield Note(kind=NoteKind.PROSE, detail=findings.prose)
    for label in findings.extra_keys:
        yield Note(kind=NoteKind.EXTRA_KEY, detail=label)
    if speech.unfinished_thought:
        yield Note(kind=NoteKind.TRUNCATED, detail="inside thinking")
    for place in dict.fromkeys(findings.cuts):
        yield Note(kind=NoteKind.TRUNCATED, detail=place)
    if (unit := repeated_tail(speech.text)) is not None:
        yield Note(kind=NoteKind.LOOP, detail=unit.strip()[:80])
