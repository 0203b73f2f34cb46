"""One file: the report, the document browser, and what they need, under a policy that lets nothing else run or load."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from importlib.resources import files

from reports.figures import Figure
from reports.html.convert import Heading, convert
from reports.html.documents import browser_of
from reports.html.images import ImageSource
from reports.summary import Summary

__all__ = ["report_html"]


def report_html(summary: Summary, figures: Sequence[Figure], images: ImageSource | None, markdown: str) -> str:
    """report.html: `markdown` (the text of report.md) with its figures, and every document beside its answers.

    Ids of the page's own parts begin with `_` or `/`, which no heading's does. The same arguments and images give the
    same text; it holds no lone surrogate, so that UTF-8 can encode it.
    """
    report = convert(markdown, {f.name: f for f in figures})
    browser = browser_of(summary, images)
    style, script = _asset("report.css"), _asset("report.js")
    title = report.headings[0].text if report.headings else "Report"
    pictures = (f'<script type="text/plain" id="_picture-{i}">{uri}</script>' for i, uri in enumerate(browser.pictures))
    parts = [
        '<!DOCTYPE html>\n<html lang="en-AU">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{re.sub(r'<[^>]*>', '', title)}</title>",
        f"<style>{style}</style>\n</head>\n<body>",
        f'<nav id="_sections">{_navigation(report.headings)}</nav>',
        f'<main id="/report" class="report">\n{report.html}\n</main>',
        '<main id="/documents" class="documents"><h1>Documents</h1>',
        "<noscript><p>The document browser needs JavaScript; the report itself does not.</p></noscript></main>",
        f'<script type="application/json" id="_data">{browser.json}</script>',
        *pictures,
        f"<script>{script}</script>\n</body>\n</html>\n",
    ]
    return "\n".join(parts).encode("utf-8", "backslashreplace").decode("utf-8")


def _asset(name: str) -> str:
    return files("reports.html").joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Nothing from elsewhere, and of this file only the two parts that the project wrote."""

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"

    allowed = f"style-src {hashed(style)}; script-src {hashed(script)}"
    return html.escape(f"default-src 'none'; img-src data:; {allowed}; base-uri 'none'; form-action 'none'", quote=True)


def _navigation(headings: Sequence[Heading]) -> str:
    listed = "".join(f'<li><a href="#{h.anchor}">{h.text}</a></li>' for h in headings if h.level == 2)
    return f'<p class="views"><a href="#/report">Report</a> <a href="#/documents">Documents</a></p><ul>{listed}</ul>'
