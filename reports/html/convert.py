"""The report's markdown as HTML: exactly what the report's own writers produce, everything else as plain text."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reports.figures import Figure

__all__ = ["Heading", "Page", "convert", "inline"]

_INLINE = re.compile(
    r"""\\(?P<escaped>[!-/:-@\[-`{-~])
      | (?P<entity>&(?:lt|gt|amp|quot|\#\d{1,7});)
      | (?P<ticks>`+)(?P<code>.+?)(?P=ticks)
      | \*\*(?=\S)(?P<strong>(?:\\.|[^\\])+?)(?<=\S)\*\*
      | \*(?=[^\s*])(?P<em>(?:\\.|[^\\*])+?)(?<=\S)\*
      | \[(?P<label>(?:\\.|[^\]\\])*)\]\((?P<url>[^()\s]*)\)
    """,
    re.VERBOSE | re.DOTALL,
)
_IMAGE = re.compile(r"!\[(?P<alt>(?:\\.|[^\]\\])*)\]\(figures/(?P<name>[\w-]+)\.png\)")
_HEADING = re.compile(r"(#{1,6}) +(.+)")
_ITEM = re.compile(r"(?:[-*]|(\d+)\.) +(.*)")
_RULE = re.compile(r"\|?( *:?-+:? *\|)+( *:?-+:? *)?")
_BAR = re.compile(r"(?<!\\)\|")
_SAFE_URL = re.compile(r"https?://|#|[\w.][\w./%-]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """One heading: where it is and what it says, as HTML."""

    level: int
    anchor: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Converted markdown and its headings, in order."""

    html: str
    headings: Sequence[Heading]


def inline(text: str) -> str:
    """Emphasis, code, links and escapes of one paragraph; anything that looks like HTML stays text."""
    found, at = [], 0
    for match in _INLINE.finditer(text):
        found += [html.escape(text[at : match.start()]), _span(match)]
        at = match.end()
    return "".join(found) + html.escape(text[at:])


def _span(match: re.Match[str]) -> str:
    for tag in ("strong", "em"):
        if match[tag] is not None:
            return f"<{tag}>{inline(match[tag])}</{tag}>"
    if match["code"] is not None:
        return f"<code>{html.escape(match['code'])}</code>"
    if match["url"] is not None:
        label = inline(match["label"])
        return f'<a href="{html.escape(match["url"])}">{label}</a>' if _SAFE_URL.match(match["url"]) else label
    return html.escape(match["escaped"] or html.unescape(match["entity"]))


def convert(markdown: str, figures: Mapping[str, Figure]) -> Page:
    """HTML of `markdown`; images are taken from `figures` by name and become part of it."""
    headings: list[Heading] = []
    return Page(html="\n".join(_blocks(markdown.split("\n"), figures, headings)), headings=headings)


def _blocks(lines: Sequence[str], figures: Mapping[str, Figure], headings: list[Heading]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line, end = lines[at], at + 1
        if line.startswith("```"):
            end = _until(lines, end, lambda s: s.startswith("```"))
            yield f"<pre><code>{html.escape(chr(10).join(lines[at + 1 : end]))}</code></pre>"
            end += 1
        elif match := _HEADING.fullmatch(line):
            yield _heading(match, headings)
        elif match := _IMAGE.fullmatch(line.strip()):
            yield _figure(match, figures)
        elif line.startswith(">"):
            end = _until(lines, end, lambda s: not s.startswith(">"))
            inner = [re.sub(r"^> ?", "", s) for s in lines[at:end]]
            yield f"<blockquote>{''.join(_blocks(inner, figures, headings))}</blockquote>"
        elif line.startswith("|") and end < len(lines) and _RULE.fullmatch(lines[end].strip()):
            end = _until(lines, end, lambda s: not s.startswith("|"))
            yield _table(lines[at:end])
        elif _ITEM.match(line):
            end = _until(lines, end, lambda s: not (s.startswith("  ") or _ITEM.match(s)))
            yield _list(lines[at:end], figures, headings)
        elif line.strip():
            end = _until(lines, end, lambda s: not s.strip() or s.startswith(("|", ">", "#", "```", "- ")))
            yield f"<p>{inline(' '.join(s.strip() for s in lines[at:end]))}</p>"
        at = end


def _until(lines: Sequence[str], start: int, stop: Callable[[str], bool]) -> int:
    return next((i for i in range(start, len(lines)) if stop(lines[i])), len(lines))


def _heading(match: re.Match[str], headings: list[Heading]) -> str:
    level, text = len(match[1]), inline(match[2])
    slug = re.sub(r"[^a-z0-9]+", "-", html.unescape(re.sub(r"<[^>]*>", "", text)).lower()).strip("-") or "section"
    taken = {h.anchor for h in headings}
    anchor = next(a for i in range(len(taken) + 1) if (a := f"{slug}-{i + 1}" if i else slug) not in taken)
    headings.append(Heading(level=level, anchor=anchor, text=text))
    return f'<h{level} id="{anchor}">{text}</h{level}>'


def _figure(match: re.Match[str], figures: Mapping[str, Figure]) -> str:
    alt, figure = inline(match["alt"]), figures.get(match["name"])
    if figure is None:
        return f"<p>Figure: {alt}</p>"
    uri = f"data:image/png;base64,{base64.b64encode(figure.png).decode('ascii')}"
    return f'<figure><img alt="{html.escape(figure.title)}" src="{uri}"></figure>'


def _table(lines: Sequence[str]) -> str:
    header, rule, *rows = ([c.strip() for c in _BAR.split(line.strip().strip("|"))] for line in lines)
    right = [' class="r"' if mark.endswith(":") else "" for mark in rule]

    def row(tag: str, cells: Sequence[str]) -> str:
        shown = zip(cells, right, strict=False)
        return f"<tr>{''.join(f'<{tag}{side}>{inline(cell)}</{tag}>' for cell, side in shown)}</tr>"

    body = "\n".join(row("td", cells) for cells in rows)
    return f'<div class="wide"><table><thead>{row("th", header)}</thead><tbody>{body}</tbody></table></div>'


def _list(lines: Sequence[str], figures: Mapping[str, Figure], headings: list[Heading]) -> str:
    starts = [i for i, line in enumerate(lines) if _ITEM.match(line)]
    items = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        match = _ITEM.match(lines[start])
        own = [match[2] if match else "", *(re.sub(r"^ {1,4}", "", line) for line in lines[start + 1 : end])]
        lead = _until(own, 1, lambda s: not s.strip() or s.startswith(("|", ">", "```")) or bool(_ITEM.match(s)))
        text = inline(" ".join(own[:lead]))
        items.append(f"<li>{text}{''.join(_blocks(own[lead:], figures, headings))}</li>")
    numbered = (first := _ITEM.match(lines[0])) is not None and first[1] is not None
    tag = "ol" if numbered else "ul"
    return f"<{tag}>{''.join(items)}</{tag}>"
