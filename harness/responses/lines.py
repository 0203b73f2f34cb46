"""Reading a text from top to bottom: key lines, table rows, JSON objects, and lines that continue a value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from harness.responses.continuation import OpenValue
from harness.responses.findings import Findings, Pair
from harness.responses.jsonlike import JsonObject, Reader
from harness.responses.keys import KeyLine, field_of, inline_keys, is_shouted, key_line
from harness.responses.meaning import is_list
from harness.schema import FIELDS, LIST_SEPARATOR

__all__ = ["read_text"]

_OBJECT = re.compile(r"\{\s*[\"']")
_FENCE = re.compile(r"```[\w+-]*")
_RULE = re.compile(r"[-*_=~#\s|:+]*")
_CELL = re.compile(r"(?<!\\)\|")
_PLAIN = 200
"""Lines: a longer text is read in the general way, which knows when it has read enough."""
_KEYS = "\n".join(["", *FIELDS])


def read_text(text: str, findings: Findings) -> None:
    """Collect the pairs of a text, in the order in which they stand there."""
    reader = _Lines(text, findings)
    if (answers := _only_answers(text)) is None:
        reader.read()
    else:
        findings.pairs.extend(answers)
    reader.look_for_cuts()


def _only_answers(text: str) -> Sequence[Pair] | None:
    """The pairs of a text in which every line is an answer or blank, as most are; None for any other."""
    lines = text.split("\n")
    if len(lines) > _PLAIN:
        return None
    found = []
    for line in lines:
        if not line or line.isspace():
            continue
        if (pair := _answer(line)) is None:
            return None
        found.append(pair)
    return found


@lru_cache(maxsize=4096)
def _answer(line: str) -> Pair | None:
    """What a line with a key says if none continues it; None where more than its key tells how to read it."""
    stripped = line.strip()
    if stripped.startswith(("|", "```")) or "{" in stripped:
        return None
    found = key_line(stripped)
    if found is None or found.field is None or found.quoted:
        return None
    return OpenValue(found.field, found).pair()


class _Lines:
    def __init__(self, text: str, findings: Findings) -> None:
        self._text = text
        self._found = findings
        self._value: OpenValue | None = None
        self._columns: list[str | None] = []
        """The fields that head the columns of the table being read."""
        self._rows: list[list[str]] = []
        self._fences = 0

    def read(self) -> None:
        """Go through the text once."""
        starts = [match.start() for match in _OBJECT.finditer(self._text)]
        position, objects = 0, iter([*starts, len(self._text)])
        next_object, end = next(objects), -1
        while position < len(self._text) and not self._found.full:
            if end < position:
                end = self._text.find("\n", position)
                end = len(self._text) if end < 0 else end
            while next_object < position:
                next_object = next(objects)
            if next_object < end and not self._is_answer(self._text[position : min(end, position + 200)]):
                self._read_line(self._text[position:next_object])
                self._close()
                position, cut = self._read_object(next_object)
                if cut:
                    next_object = len(self._text)  # one attempt at an unfinished object: reading stays linear
                continue
            self._read_line(self._text[position:end])
            position = end + 1
        self._close()

    def _is_answer(self, line: str) -> bool:
        found = key_line(line)
        return found is not None and found.field is not None

    def _read_object(self, start: int) -> tuple[int, bool]:
        """Read one JSON object; returns where to go on, and whether the text ended inside it."""
        reader = Reader(self._text, start)
        self._found.add_object(reader.read_object())
        if not reader.truncated:
            return reader.position, False
        self._found.cuts.append("inside JSON")
        line_end = self._text.find("\n", reader.position)
        return (len(self._text) if line_end < 0 else line_end + 1), True

    def _read_line(self, line: str) -> None:
        stripped = line.strip()
        if (fence := _FENCE.match(stripped)) is not None:
            self._fences += 1
            self._close()
            stripped = stripped[fence.end() :]
        if stripped.startswith("|"):
            self._read_row(stripped)
        elif not stripped:
            if self._value:
                self._value.skip_blank()
            self._end_table()
        elif (found := key_line(stripped)) is not None and found.field is not None:
            self._open(found.field, found)
        elif not (self._value and self._value.take(stripped, labelled=found is not None)):
            self._close()
            self._other(stripped)

    def _open(self, field: str, line: KeyLine) -> None:
        self._close()
        if line.quoted:
            reader = Reader(f"{line.value}\n")  # the line has an end, even where the text has none
            value = reader.read_value()
            if not reader.truncated and not reader.text[reader.position :].strip(" \t\n,}]"):
                self._found.add_object(JsonObject([(field, value)]))
                return
        self._value = OpenValue(field, line)

    def _close(self) -> None:
        """The value that was being read is complete."""
        if self._value:
            self._found.add(self._value.pair())
            self._value = None
        self._end_table()

    def _other(self, line: str) -> None:
        """A line that is no answer by itself: another schema's key, prose, or prose that leads to inline keys."""
        keys = [key for key in inline_keys(line) if key.field]
        if keys:
            # `GRAND TOTAL: $5` is not TOTAL, and a remark about one field is not its value
            lead = line[: keys[0].start].rstrip()
            label = lead.split(":", 1)[0] if ":" in lead else ""
            if len(keys) > 1 or not lead[-1:].isalnum() or is_shouted(label):
                self._found.add(Pair(field=keys[0].field or "", text=line[keys[0].end :]))
                line = lead
        label_line = key_line(line)
        if label_line is not None and is_shouted(label_line.label):
            self._found.add_extra(label_line.label)
        elif not _RULE.fullmatch(line):
            self._found.add_prose(line)

    # --- tables ---

    def _read_row(self, row: str) -> None:
        cells = [cell.strip().replace("\\|", "|") for cell in _CELL.split(row.strip().strip("|"))]
        if all(_RULE.fullmatch(cell) for cell in cells):
            return
        if self._columns:
            self._rows.append(cells)
            return
        self._close()
        fields = [field_of(cell) for cell in cells]
        if len(fields) > 1 and fields[0] and fields[1]:
            self._columns = fields
            return
        key = next((i for i, name in enumerate(fields[:2]) if name), None)
        if key is None or key + 1 >= len(cells) or (name := fields[key]) is None:
            self._read_line(row.strip("|\\ \t"))  # a framed line, if it is an answer at all
            return
        rest = cells[key + 1 :]
        self._found.add(Pair(field=name, text=LIST_SEPARATOR.join(filter(None, rest)) if is_list(name) else rest[0]))

    def _end_table(self) -> None:
        """Turn a table whose columns are headed by fields into pairs: scalars from its first row, lists from all."""
        if not self._columns:
            return
        for i, name in enumerate(self._columns):
            entries = [row[i] for row in self._rows if i < len(row)]
            if name and entries:
                text = LIST_SEPARATOR.join(entries) if is_list(name) else entries[0]
                self._found.add(Pair(field=name, text=text, listed=len(entries) > 1))
        self._columns, self._rows = [], []

    # --- the end of the text ---

    def look_for_cuts(self) -> None:
        """Note what shows that the text was cut; a cut inside plain text shows nothing."""
        lines = self._text.rstrip().rsplit("\n", 2)
        last = lines[-1].strip()
        previous = lines[-2].strip() if len(lines) > 1 else ""
        if last.startswith("|") and not last.endswith("|") and previous.startswith("|") and previous.endswith("|"):
            self._found.cuts.append("inside a table row")
        elif self._found.pairs and len(last) > 2 and f"\n{last}" in _KEYS:
            self._found.cuts.append("inside a key")
        elif self._found.pairs and (text := self._found.pairs[-1].text.strip()).startswith("[") and "]" not in text:
            self._found.cuts.append("inside a list")
        elif self._fences == 1 and not self._found.objects and self._found.pairs:
            self._found.cuts.append("inside a code fence")
