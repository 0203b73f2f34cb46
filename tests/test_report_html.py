"""report.html: the whole report, and a browser of documents that a real browser sorts, filters and opens."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence import DocumentRecord, ReadingRecord, Record, RunRecord, read_evidence
from harness.schema import FIELD_NAMES
from harness.scoring import document_f1
from harness.scoring.outcomes import Outcome
from reports.figures import Figure
from reports.formatting import escape, plain, table
from reports.html import ImageSource, image_source, report_html
from reports.html import documents as browser_documents
from reports.html.convert import convert, inline
from reports.markdown import report_markdown
from reports.summary import Summary, summarise
from tests.chromium import Browser, chromium, find_chromium
from tests.report_evidence import candidate, documents, opening, standard, write

_SMALLEST_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
_FIGURE = Figure(name="quality", title='F1 "and" more', caption="*", png=_SMALLEST_PNG)
_ALL = 10**6
_HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"


class _Reader(HTMLParser):
    """Text of each table cell, ids, and what the page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.cells: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self._inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        self.ids += [value for name, value in attrs if name == "id" and value]
        assert not any(name.startswith("on") or name == "style" for name in found), "no inline script or style"
        if tag in ("td", "th"):
            self._inside = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._inside:
            self.cells[-1] += data


def _summary(path: Path, records: Sequence[Record]) -> Summary:
    return summarise(read_evidence(write(path, records)))


def _page(summary: Summary, images: ImageSource | None = None) -> str:
    markdown = report_markdown(summary, [_FIGURE], "evidence.jsonl")
    return report_html(summary, [_FIGURE], images, markdown)


def _data(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="_data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def _png(width: int, height: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.effect_noise((width, height), 90).save(buffer, format="PNG")
    return buffer.getvalue()


# ---- markdown to HTML


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("a *b* **c \\* d** `e*f`", "<p>a <em>b</em> <strong>c * d</strong> <code>e*f</code></p>"),
        ("2 * 3 * 4 and snake_case", "<p>2 * 3 * 4 and snake_case</p>"),
        ("<b> &amp; &lt;i&gt; &nbsp;", "<p>&lt;b&gt; &amp; &lt;i&gt; &amp;nbsp;</p>"),
        ("one\ntwo\n\nthree", "<p>one two</p>\n<p>three</p>"),
        ("- a\n- b\n  c", "<ul><li>a</li><li>b c</li></ul>"),
        ("1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"),
        ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
        ("> **Read**\n>\n> - this", "<blockquote><p><strong>Read</strong></p><ul><li>this</li></ul></blockquote>"),
        ("```yaml\na: *b*\n# c\n```\nd", "<pre><code>a: *b*\n# c</code></pre>\n<p>d</p>"),
        ("[log](a/b%20c.jsonl)", '<p><a href="a/b%20c.jsonl">log</a></p>'),
        ("[x](javascript:alert`1`)", "<p>x</p>"),
        ("# A\n## A\n## <i>", '<h1 id="a">A</h1>\n<h2 id="a-2">A</h2>\n<h2 id="i">&lt;i&gt;</h2>'),
        ("![no such](figures/other.png)", "<p>Figure: no such</p>"),
    ],
)
def test_each_construct_of_the_report_becomes_its_html(markdown: str, expected: str) -> None:
    assert convert(markdown, {}).html == expected


def test_a_figure_becomes_part_of_the_page() -> None:
    page = convert("![F1](figures/quality.png)", {"quality": _FIGURE}).html
    uri = base64.b64encode(_SMALLEST_PNG).decode()
    assert page == f'<figure><img alt="F1 &quot;and&quot; more" src="data:image/png;base64,{uri}"></figure>'


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_foreign_text_comes_out_as_the_report_wrote_it(text: str) -> None:
    reader = _Reader(inline(escape(text, _ALL)).encode("utf-8", "replace").decode())
    assert reader.text == plain(text, _ALL)


@given(st.lists(st.lists(st.text(max_size=20), min_size=2, max_size=2), min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_every_cell_of_a_table_keeps_its_text_and_place(rows: list[list[str]]) -> None:
    markdown = table(["A", "B"], [[escape(cell, _ALL) for cell in row] for row in rows], "lr")
    cells = _Reader(convert(markdown, {}).html).cells
    assert [cell.strip() for cell in cells] == ["A", "B", *(plain(c, _ALL).strip() for row in rows for c in row)]


# ---- the page


@dataclass(frozen=True, slots=True)
class Example:
    """A page on disk, with what it was made from."""

    path: Path
    summary: Summary
    text: str


def _with_images(records: Sequence[Record], folder: Path) -> list[Record]:
    """The same records, the documents with an image each in `folder`."""
    found: list[Record] = []
    for i, record in enumerate(records):
        if isinstance(record, DocumentRecord):
            content = _png(30 + i, 40)
            (folder / record.document).write_bytes(content)
            record = replace(record, image_sha256=hashlib.sha256(content).hexdigest())
        found.append(record)
    return found


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    folder = tmp_path_factory.mktemp("html")
    summary = _summary(folder / "evidence.jsonl", _with_images(standard(30), folder))
    text = _page(summary, ImageSource(folder=folder, chosen=False))
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8")
    return Example(path, summary, text)


def test_the_page_holds_every_table_of_the_report(example: Example) -> None:
    markdown = report_markdown(example.summary, [_FIGURE], "evidence.jsonl")
    lines = [line for line in markdown.split("\n") if line.startswith("|") and not line.startswith("| ---")]
    written = sum(len(re.findall(r"(?<!\\)\|", line)) - 1 for line in lines)
    reader = _Reader(example.text)
    assert len(reader.cells) == written > 1000
    assert "ocr-rules" in reader.cells
    assert len(reader.ids) == len(set(reader.ids))


def test_the_page_refers_to_nothing_outside_itself(example: Example) -> None:
    links = _Reader(example.text).links
    outside = {link for link in links if not link.startswith(("#", "data:image/png;base64,"))}
    assert {link for link in outside if not link.startswith("deployment/")} <= {"evidence.jsonl"}
    anchors = {link.removeprefix("#") for link in links if link.startswith("#")}
    assert anchors <= set(_Reader(example.text).ids)


def test_the_policy_lets_the_page_s_own_style_and_script_run_and_nothing_else(example: Example) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', example.text)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in html.unescape(policy[1]).split(";"))
    for rule, pattern in (("style-src", r"<style>(.*?)</style>"), ("script-src", r"<script>(.*?)</script>")):
        parts = re.findall(pattern, example.text, re.DOTALL)
        assert len(parts) == 1
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(parts[0].encode()).digest()).decode()}'"
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"


def test_outcomes_answers_and_failures_are_those_of_the_scores(example: Example) -> None:
    data, letters = _data(example.text), {"C": "correct", "W": "wrong", "O": "omitted", "H": "hallucinated"}
    letters |= {"A": "absent", "U": "unanswered"}
    assert data["fields"] == [f for f in FIELD_NAMES if f in data["fields"]]
    assert len(data["documents"]) == data["total"] == 30
    judged = 0
    for document in data["documents"]:
        for cell, answer in zip(example.summary.cells, document["answers"], strict=True):
            result = cell.result
            score = result.scores.get(document["name"])
            if document["name"] not in result.documents:
                assert answer is None
            elif score is None:
                assert answer["failure"] in {"not-run", *(f.value for f in result.failures)}
            else:
                assert answer["f1"] == document_f1(score)
                for i, (field, letter) in enumerate(zip(data["fields"], answer["outcomes"], strict=True)):
                    of = score.fields[field]
                    assert letters[letter] == of.outcome
                    assert document["truth"][i] == of.truth
                    told = answer["values"].get(str(i), of.truth if letter == "C" else None)
                    assert told == of.answer
                    assert answer["errors"].get(str(i)) == of.error
                    judged += 1
    assert judged > 1000


def test_of_too_many_documents_the_worst_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = _summary(tmp_path / "log", standard(30))
    monkeypatch.setattr(browser_documents, "_ANSWERS", 35)
    monkeypatch.setattr(browser_documents, "_FEWEST", 5)
    data = _data(_page(summary))
    assert data["total"] == 30
    kept = [d["name"] for d in data["documents"]]
    assert len(kept) == 7  # 35 answers of 5 cells
    scored = [c.result for c in summary.detailed]
    f1 = [r.document_f1() for r in scored]
    means = {d: sum(f.get(d, 0.0) for f in f1) / len(f1) for d in summary.documents}
    assert kept == sorted(means, key=lambda d: (means[d], d))[:7]


def test_long_responses_are_cut_and_say_so(tmp_path: Path) -> None:
    asked = documents(1)
    endless = "TOTAL: " + "9" * 50_000
    records = candidate("loop", asked, skill=1, seconds=1, base=2**20, told=lambda d: {"text": endless})
    data = _data(_page(_summary(tmp_path / "log", [*opening(asked), *records])))
    (answer,) = data["documents"][0]["answers"]
    assert answer["length"] == len(endless) > len(answer["text"]) == 20_000
    assert len(answer["values"][str(data["fields"].index("TOTAL"))]) < 2_100


def test_answers_that_are_not_scored_have_no_outcomes(tmp_path: Path) -> None:
    asked = documents(2)
    random = candidate("dummy", asked, skill=1, seconds=1, base=2**20, load_facts={"random_weights": True})
    data = _data(_page(_summary(tmp_path / "log", [*opening(asked), *random])))
    assert data["cells"][0]["unscored"].startswith("random weights")
    for document in data["documents"]:
        (answer,) = document["answers"]
        assert answer["values"]
        assert not {"outcomes", "f1"} & answer.keys()


def test_the_same_log_gives_the_same_bytes(example: Example) -> None:
    again = summarise(read_evidence(example.summary.evidence.path))
    assert _page(again, ImageSource(folder=example.path.parent, chosen=False)) == example.text


def test_a_log_cut_anywhere_still_gives_a_page(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", standard(9)).read_bytes()
    for i in range(0, 12):
        cut = tmp_path / f"cut-{i}"
        cut.write_bytes(whole[: len(whole) * i // 12 + i])
        summary = summarise(read_evidence(cut))
        assert len(_data(_page(summary))["documents"]) == len(summary.documents)


# ---- images


def _record(name: str, content: bytes | None) -> DocumentRecord:
    digest = None if content is None else hashlib.sha256(content).hexdigest()
    return DocumentRecord(document=name, truth={}, image_sha256=digest)


def test_a_small_image_is_embedded_as_it_is(tmp_path: Path) -> None:
    content = _png(20, 30)
    (tmp_path / "a.png").write_bytes(content)
    picture = ImageSource(folder=tmp_path, chosen=False).picture(_record("a.png", content))
    assert picture.uri == f"data:image/png;base64,{base64.b64encode(content).decode()}"
    assert not picture.note


def test_a_large_image_is_reduced(tmp_path: Path) -> None:
    from PIL import Image

    content = _png(3200, 1000)
    assert len(content) > 400_000
    (tmp_path / "a.png").write_bytes(content)
    uri = ImageSource(folder=tmp_path, chosen=False).picture(_record("a.png", content)).uri
    assert uri is not None
    kind, _, data = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (1600, 500)


def test_an_image_that_was_not_read_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_png(20, 30))
    picture = ImageSource(folder=tmp_path, chosen=True).picture(_record("a.png", b"another"))
    assert picture.uri is None
    assert "SHA-256 differs" in picture.note


def test_an_image_without_a_hash_is_shown_only_from_a_folder_that_the_user_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_png(20, 30))
    recorded = ImageSource(folder=tmp_path, chosen=False).picture(_record("a.png", None))
    assert recorded.uri is None
    named = ImageSource(folder=tmp_path, chosen=True).picture(_record("a.png", None))
    assert named.uri is not None
    assert "does not hold the hash" in named.note


@pytest.mark.parametrize("name", ["missing.png", "../secret.png", "/etc/hostname", "nul\0.png", "", "a" * 5000])
def test_a_name_that_is_no_image_of_the_folder_gives_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(_png(2, 2))
    folder = tmp_path / "images"
    folder.mkdir()
    picture = ImageSource(folder=folder, chosen=True).picture(_record(name, None))
    assert picture.uri is None
    assert picture.note


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"no image")
    picture = ImageSource(folder=tmp_path, chosen=True).picture(_record("a.tif", b"no image"))
    assert picture.uri is None
    assert "cannot be decoded" in picture.note


def test_images_are_looked_for_where_the_run_read_them(tmp_path: Path) -> None:
    def summary(where: object) -> Summary:
        run, *rest = opening(documents(1))
        assert isinstance(run, RunRecord)
        path = tmp_path / str(len(list(tmp_path.iterdir())))
        return _summary(path, [replace(run, options={"documents": where}), *rest])

    folder = tmp_path / "corpus"
    folder.mkdir()
    assert image_source(summary(str(folder)), None) == ImageSource(folder=folder, chosen=False)
    assert image_source(summary(str(folder)), tmp_path) == ImageSource(folder=tmp_path, chosen=True)
    for where in ("no/such/folder", 7, "nul\0"):
        assert image_source(summary(where), None) is None


# ---- in a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium), nor named by CHROMIUM")
    with chromium(executable, tmp_path_factory.mktemp("profile")) as found:
        yield found


def _listed(browser: Browser) -> list[str]:
    return browser.texts("#_list tbody td:first-child")


def _opens(browser: Browser, name: str) -> None:
    """Wait until the document is open."""
    browser.wait(f"location.hash === '#/document={name}'")
    browser.wait(f"document.querySelector('#_one h2 bdi')?.textContent === {json.dumps(name)}")


def _wanted(example: Example, wanted: Callable[[DocumentRecord, Mapping[str, Any]], bool]) -> set[str]:
    """Names of the documents for which the scores of the open cells are as wanted."""
    found = set()
    for name in example.summary.documents:
        scores = {c.cell: c.result.scores[name] for c in example.summary.candidates if name in c.result.scores}
        if wanted(example.summary.evidence.documents[name], scores):
            found.add(name)
    return found


def test_the_page_opens_from_a_file_without_a_request_or_an_error(browser: Browser, example: Example) -> None:
    browser.open(example.path)
    assert browser.errors == []
    assert {url for url in browser.requests if not url.startswith(("data:", "about:"))} == {example.path.as_uri()}
    assert browser.evaluate("getComputedStyle(document.querySelector('.documents')).display") == "none"
    assert browser.evaluate("document.querySelector('.report figure img').naturalWidth") == 1
    browser.click('.views a[href="#/documents"]')
    browser.wait("document.body.dataset.view === 'documents'")
    assert browser.evaluate("getComputedStyle(document.querySelector('.report')).display") == "none"
    assert _listed(browser) == list(example.summary.documents)
    browser.click('#_sections a[href="#quality"]')
    browser.wait("document.body.dataset.view === 'report'")
    assert browser.evaluate("Math.abs(document.getElementById('quality').getBoundingClientRect().top)") < 200
    assert browser.errors == []


def test_a_click_on_a_head_sorts_the_documents(browser: Browser, example: Example) -> None:
    browser.open(example.path, "#/documents")
    heads = browser.texts("#_list th")
    assert heads == ["Document", "Kind", "Stratum", "ocr-rules", "tiny-vlm", "big-vlm"]
    f1 = next(c for c in example.summary.cells if c.cell == "tiny-vlm").result.document_f1()
    order = list(example.summary.documents)
    unscored = [d for d in order if d not in f1]
    browser.click("#_list th:nth-child(5)")
    assert _listed(browser) == [*sorted(f1, key=lambda d: (f1[d], order.index(d))), *unscored]
    assert browser.evaluate("document.querySelectorAll('#_list th')[4].ariaSort") == "ascending"
    browser.click("#_list th:nth-child(5)")
    values = [f1[d] for d in _listed(browser)[: len(f1)]]
    assert values == sorted(values, reverse=True)
    assert _listed(browser)[len(f1) :] == unscored
    browser.evaluate("document.querySelector('#_list th').focus()")
    browser.press("Enter")
    assert _listed(browser) == sorted(order)


def test_a_click_on_a_head_sorts_a_table_of_the_report(browser: Browser, tmp_path: Path) -> None:
    asked = documents(6)
    slow, quick = (candidate(n, asked, skill=1, seconds=s, base=2**b) for n, s, b in [("a", 4, 31), ("b", 0.2, 28)])
    broken = candidate("c", asked, skill=1, seconds=1, base=2**29, failures=[], told=lambda d: {"latency_s": None})
    path = tmp_path / "report.html"
    path.write_text(_page(_summary(tmp_path / "log", [*opening(asked), *slow, *broken, *quick])), encoding="utf-8")
    browser.open(path)
    main = "[...document.querySelectorAll('.report table')].find((t) => t.textContent.includes('Latency p50'))"
    browser.evaluate(f"{main}.id = 'main'")
    heads = browser.texts("#main th")
    column = heads.index("Latency p50") + 1
    browser.click(f"#main th:nth-child({column})")
    assert browser.texts("#main td:first-child") == ["b", "a", "c"]  # milliseconds, seconds, not measured
    browser.click(f"#main th:nth-child({column})")
    assert browser.texts("#main td:first-child") == ["a", "b", "c"]
    browser.click(f"#main th:nth-child({heads.index('Peak RSS') + 1})")
    assert browser.texts("#main td:first-child") == ["b", "c", "a"]  # MiB before GiB


def test_filters_keep_exactly_the_documents_that_they_name(browser: Browser, example: Example) -> None:
    browser.open(example.path, "#/documents")

    def any_outcome(*wanted: Outcome, field: str | None = None) -> set[str]:
        return _wanted(
            example,
            lambda _, scores: any(
                f.outcome in wanted for s in scores.values() for f in s.fields.values() if field in (None, f.field)
            ),
        )

    browser.choose("#_outcome", "H")
    assert set(_listed(browser)) == any_outcome(Outcome.HALLUCINATED)
    gst = _data(example.text)["fields"].index("GST")
    browser.choose("#_field", str(gst))
    assert set(_listed(browser)) == any_outcome(Outcome.HALLUCINATED, field="GST")
    browser.choose("#_outcome", "bad")
    bad = any_outcome(Outcome.WRONG, Outcome.OMITTED, Outcome.HALLUCINATED, Outcome.UNANSWERED, field="GST")
    assert set(_listed(browser)) == bad
    assert 0 < len(bad) < 30
    browser.choose("#_kind", "=receipt")
    assert set(_listed(browser)) == {name for name in bad if name.startswith("receipt")}
    assert browser.texts("#_status") == [f"{len(_listed(browser))} of 30 documents."]
    for control in ("#_kind", "#_field", "#_outcome"):
        browser.choose(control, "")
    browser.choose("#_outcome", "error:day-month-swap")
    assert set(_listed(browser)) == _wanted(
        example, lambda _, scores: any(f.error == "day-month-swap" for s in scores.values() for f in s.fields.values())
    )
    browser.choose("#_outcome", "")
    browser.choose("#_search", "harbour goods 12 ")
    assert _listed(browser) == ["receipt_012.png"]


def test_cells_that_disagree_are_found_and_cells_can_be_hidden(browser: Browser, example: Example) -> None:
    browser.open(example.path, "#/documents")
    browser.choose("#_outcome", "split")
    right = (Outcome.CORRECT, Outcome.ABSENT)
    split = _wanted(
        example,
        lambda d, scores: (
            len(scores) > 1 and any(len({s.fields[f].outcome in right for s in scores.values()}) > 1 for f in d.truth)
        ),
    )
    assert set(_listed(browser)) == split
    browser.click("#_cell-0")
    assert browser.texts("#_list th") == ["Document", "Kind", "Stratum", "tiny-vlm", "big-vlm"]
    assert _listed(browser) == []


def test_a_document_opens_with_image_truth_and_answers_side_by_side(browser: Browser, example: Example) -> None:
    browser.open(example.path, "#/documents")
    name = "invoice_016.png"
    row = list(example.summary.documents).index(name) + 1
    browser.click(f"#_list tbody tr:nth-child({row}) td:nth-child(2)")
    _opens(browser, name)
    assert browser.texts("#_fields thead th") == ["Field", "Truth", "ocr-rules", "tiny-vlm", "big-vlm"]
    image, fields = (
        browser.evaluate(f"document.querySelector('{part}').getBoundingClientRect().toJSON()")
        for part in (".page img", "#_fields")
    )
    assert image["right"] <= fields["left"]
    assert browser.evaluate("document.querySelector('.page img').naturalHeight") == 40
    letters = {Outcome.CORRECT: "C", Outcome.WRONG: "W", Outcome.OMITTED: "O", Outcome.HALLUCINATED: "H"}
    letters |= {Outcome.ABSENT: "A", Outcome.UNANSWERED: "U"}
    wrong = 0
    for i, cell in enumerate(example.summary.candidates[:2]):
        marks = browser.evaluate(
            f"[...document.querySelectorAll('#_fields tbody tr')].map((r) => [r.cells[0].textContent, "
            f"r.cells[{i + 2}].className, r.cells[{i + 2}].textContent])"
        )
        for field, mark, text in marks:
            of = cell.result.scores[name].fields[field]
            assert mark == letters[of.outcome]
            if of.outcome is Outcome.WRONG:
                assert of.answer is not None
                assert text.endswith(of.answer)
                assert f"wrong: {of.error}" in text
                wrong += 1
    assert wrong > 0
    assert browser.texts("#_fields tbody tr:first-child td:nth-child(5)") == ["load-oom"]
    browser.click("#_only")
    rows = browser.texts("#_fields tbody tr:not(.right-only) th")
    right = (Outcome.CORRECT, Outcome.ABSENT)
    scores = [c.result.scores[name] for c in example.summary.candidates[:2]]
    assert rows == [f for f in _data(example.text)["fields"] if any(s.fields[f].outcome not in right for s in scores)]


def test_one_document_leads_to_the_next_as_found_and_back(browser: Browser, example: Example) -> None:
    browser.open(example.path, "#/documents")
    browser.choose("#_kind", "=statement")
    found = _listed(browser)
    browser.click("#_list tbody a")
    _opens(browser, found[0])
    browser.press("ArrowRight")
    _opens(browser, found[1])
    browser.click("#_next")
    _opens(browser, found[2])
    browser.click("#_previous")
    _opens(browser, found[1])
    browser.press("Escape")
    browser.wait("location.hash === '#/documents' && document.querySelector('#_one').hidden")
    assert _listed(browser) == found


def test_hostile_text_is_shown_and_does_nothing(browser: Browser, tmp_path: Path) -> None:
    name = f"a/{_HOSTILE}\u202e\ud800.png"
    document = DocumentRecord(document=name, truth={"SUPPLIER": _HOSTILE, "TOTAL": "$1.00"}, kind=_HOSTILE)
    answer = f"SUPPLIER: \u202egnp.exe\u0007 {_HOSTILE} \u2066مرحبا\nTOTAL: $2.00\x00\u2028"
    run, *_ = opening([])
    cell = f"vlm\u202e{_HOSTILE}"
    records = candidate(cell, [document], skill=1, seconds=1, base=2**20, told=lambda d: {"text": answer})
    path = tmp_path / "report.html"
    path.write_text(_page(_summary(tmp_path / "log", [run, document, *records])), encoding="utf-8")
    browser.open(path, "#/documents")
    title = browser.evaluate("document.title")
    browser.click("#_list tbody a")
    browser.wait("document.querySelector('#_fields') !== null")
    supplier = browser.texts("#_fields tbody tr:first-child td:last-child")[0]
    assert supplier.endswith(f"U+202Egnp.exeU+0007 {_HOSTILE} U+2066مرحبا")
    assert browser.texts("#_fields tbody tr:first-child td:nth-child(2)") == [_HOSTILE]
    assert "$2.00U+0000U+2028" in browser.texts(".answers pre")[0]
    assert browser.texts("#_one h2 bdi")[0] == f"a/{_HOSTILE}U+202EU+D800.png"
    assert browser.evaluate("document.title") == title != "taken"
    assert browser.evaluate("document.querySelectorAll('img[onerror], main script').length") == 0
    assert browser.errors == []


def test_of_too_many_documents_the_page_says_which_it_holds(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser_documents, "_ANSWERS", 1)
    monkeypatch.setattr(browser_documents, "_FEWEST", 5)
    path = tmp_path / "report.html"
    path.write_text(_page(_summary(tmp_path / "log", standard(30))), encoding="utf-8")
    browser.open(path, "#/documents")
    assert browser.texts("#_status")[0].startswith(
        "5 of 5 documents. The page holds the 5 of 30 documents with the lowest F1 (mean of what ocr-rules, tiny-vlm"
    )


def test_the_page_follows_dark_mode_and_prints_without_its_controls(browser: Browser, example: Example) -> None:
    def background() -> str:
        found: str = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        return found

    try:
        browser.open(example.path)
        browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        assert background() == "rgb(20, 23, 26)"
        browser.send("Emulation.setEmulatedMedia", media="print", features=[])
        assert background() == "rgb(255, 255, 255)"
        assert browser.evaluate("getComputedStyle(document.querySelector('#_sections')).display") == "none"
    finally:
        browser.send("Emulation.setEmulatedMedia", media="", features=[])


def test_retried_and_failed_readings_say_what_happened(browser: Browser, tmp_path: Path) -> None:
    records = standard(30)
    failed = next(r for r in records if isinstance(r, ReadingRecord) and r.failure == "timeout")
    path = tmp_path / "report.html"
    path.write_text(_page(_summary(tmp_path / "log", records)), encoding="utf-8")
    browser.open(path, f"#/document={failed.document}")
    told = browser.texts(".answers section:nth-child(2) dd")
    assert told == ["timeout", failed.message]
    assert browser.texts(".page p") == [
        "The images are not at hand: render the log with --images DIR to have them here."
    ]
