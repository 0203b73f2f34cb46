"""The generator of documents: its truth is on the page, adds up, lies where it says, and is the same every time."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import PIL
import pytest
from PIL import Image
from stdnum.au import abn as stdnum_abn

from harness.documents import load_corpus
from harness.documents.synthesis import (
    LAYOUTS,
    Composition,
    DocumentKind,
    Stratum,
    SynthesisError,
    compose,
    generate,
    plan,
    typefaces,
)
from harness.documents.synthesis.__main__ import main
from harness.documents.synthesis.geometry import Homography, rotated
from harness.documents.synthesis.layouts import Layout
from harness.documents.synthesis.numbers import abn
from harness.documents.synthesis.page import Page, Part, Value
from harness.documents.synthesis.typefaces import Style, Typeface
from harness.errors import UnsupportedError
from harness.schema import ABSENT, FIELD_NAMES, LINE_ITEM_FIELDS, LIST_SEPARATOR

CORPUS = Path(__file__).parents[1] / "fixtures" / "corpus"
STATES = {"NSW": "2", "ACT": "2", "VIC": "3", "QLD": "4", "SA": "5", "WA": "6", "TAS": "7", "NT": "08"}
FICTITIOUS_PHONE = re.compile(
    r"\((02|03|07|08)\) (5550|7010) \d{4}|(02|03|07|08) (5550|7010) \d{4}|\+61 [2378] (5550|7010) \d{4}"
    r"|(0491|\+61 491) 57\d \d{3}|(1800|1300) (160|975) \d{3}"
)
RESERVED_HOST = re.compile(r"[\w.-]+\.example(\.com\.au)?|example\.com\.au")


@pytest.fixture(scope="module")
def compositions() -> list[Composition]:
    return [compose(seed, index) for seed in (7, 2025) for index in range(78)]


def values_of(composed: Composition) -> dict[str, str]:
    return {name: text for name, text in composed.facts.truth().items() if text is not None}


def cents(text: str) -> int:
    """An amount as printed, in cents; DR and a minus are negative."""
    number = Decimal(re.sub(r"[^\d.]", "", text))
    return int(number * 100) * (-1 if "-" in text or text.endswith("DR") else 1)


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_there_are_at_least_four_layouts_of_each_kind_and_six_typefaces() -> None:
    assert all(len(layouts) >= 4 for layouts in LAYOUTS.values())
    names = [layout.name for layouts in LAYOUTS.values() for layout in layouts]
    assert len(names) == len(set(names)) >= 12
    assert len({face for layouts in LAYOUTS.values() for layout in layouts for face in layout.typefaces}) >= 6


def test_120_documents_are_balanced_over_kinds_strata_and_layouts() -> None:
    plans = [plan(index) for index in range(120)]
    assert Counter(layout.kind for layout, _ in plans) == dict.fromkeys(DocumentKind, 40)
    strata = Counter(stratum for _, stratum in plans)
    assert max(strata.values()) - min(strata.values()) <= 3
    by_kind = Counter((layout.kind, stratum) for layout, stratum in plans)
    assert min(by_kind.values()) >= 13
    by_layout = Counter((layout.name, stratum) for layout, stratum in plans)
    assert min(by_layout.values()) >= 2


# --- truth ------------------------------------------------------------------------------------------------------------


def test_every_value_is_printed_verbatim_and_nothing_else_is_marked_as_one(compositions: list[Composition]) -> None:
    for composed in compositions:
        printed: dict[str, dict[int, list[str]]] = {}
        for run in composed.page.runs:
            if run.field and not run.repeat:
                printed.setdefault(run.field, {}).setdefault(run.entry, []).append(run.text)
        shown = {
            name: LIST_SEPARATOR.join(" ".join(lines[i]) for i in sorted(lines)) for name, lines in printed.items()
        }
        assert shown == values_of(composed)
        for run in composed.page.runs:
            if run.repeat:
                assert run.text in shown[run.field or ""]


def test_unmarked_text_holds_nothing_that_would_answer_an_absent_field(compositions: list[Composition]) -> None:
    for composed in compositions:
        kind, truth = composed.layout.kind, composed.facts.truth()
        for run in composed.page.runs:
            if run.field is not None:
                continue
            where = f"{composed.layout.name}: {run.text!r}"
            assert not FICTITIOUS_PHONE.search(run.text), where
            assert not re.search(r"\b(NSW|VIC|QLD|ACT|TAS|SA|WA|NT) \d{4}\b", run.text), where
            assert not stdnum_abn.is_valid(re.sub(r"\D", "", run.text)), where
            if kind is DocumentKind.STATEMENT:
                assert not re.search(r"\b(ABN|GST|total|issued?|phone|due)\b", run.text, re.IGNORECASE), where
            else:
                assert not re.search(r"\d{1,2}[ ./-]\w{2,9}[ ./-]\d{2,4}\b", run.text), where
                assert not re.search(r"\bBSB\b", run.text) or truth["BSB_NUMBER"], where
            if "@" in run.text.strip("@ "):  # the supplier's own mailbox, on some invoices
                assert kind is DocumentKind.INVOICE, where
                assert run.text != truth["PAYER_EMAIL"], where


def test_statements_carry_no_invoice_fields_and_sales_carry_no_statement_fields(
    compositions: list[Composition],
) -> None:
    sale = {"INVOICE_DATE", "DUE_DATE", "TOTAL", "SUBTOTAL", "GST", "SUPPLIER", "ABN", "QUANTITIES", "PRICES"}
    sale |= {name for name in FIELD_NAMES if name.startswith(("PAYER_", "BUSINESS_"))}
    account = {"STATEMENT_PERIOD", "OPENING_BALANCE", "CLOSING_BALANCE"}
    for composed in compositions:
        present = set(values_of(composed))
        if composed.layout.kind is DocumentKind.STATEMENT:
            assert not present & sale
            assert present == {
                *account, "DOCUMENT_TYPE", "BANK_NAME", "BSB_NUMBER", "BANK_ACCOUNT_NUMBER", "ACCOUNT_HOLDER",
                "DESCRIPTIONS",
            }  # fmt: skip
        else:
            assert not present & account
            assert present >= {"DOCUMENT_TYPE", "SUPPLIER", "TOTAL", "INVOICE_DATE", "DESCRIPTIONS", "PRICES"}


def test_every_field_is_sometimes_present_and_all_but_two_sometimes_absent(compositions: list[Composition]) -> None:
    counts = Counter(name for composed in compositions for name in values_of(composed))
    assert set(counts) == set(FIELD_NAMES)
    assert {name for name, count in counts.items() if count == len(compositions)} == {"DOCUMENT_TYPE", "DESCRIPTIONS"}


def test_line_items_have_as_many_prices_and_quantities_as_descriptions(compositions: list[Composition]) -> None:
    for composed in compositions:
        lengths = {
            len(text.split(LIST_SEPARATOR)) for name, text in values_of(composed).items() if name in LINE_ITEM_FIELDS
        }
        assert len(lengths) == 1


# --- arithmetic -------------------------------------------------------------------------------------------------------


def test_sales_add_up(compositions: list[Composition]) -> None:
    checked = Counter[str]()
    for composed in compositions:
        if composed.layout.kind is DocumentKind.STATEMENT:
            continue
        values, items = values_of(composed), composed.facts.items
        total = cents(values["TOTAL"])
        gst = cents(values["GST"]) if "GST" in values else None
        for item in items:
            quantity = Decimal(item.quantity.text) if item.quantity else Decimal(1)
            amount = (quantity * cents(item.price.text)).quantize(Decimal(1), ROUND_HALF_UP)
            assert amount == cents(item.amount)
        items_cents = sum(cents(item.amount) for item in items)
        assert items_cents == total or items_cents + (gst or 0) == total
        if gst is not None and "SUBTOTAL" in values:
            assert cents(values["SUBTOTAL"]) + gst == total
            checked["subtotal"] += 1
        if gst is not None and not composed.facts.footnote and gst > 0:
            assert gst == (Decimal(total) / 11).quantize(Decimal(1), ROUND_HALF_UP)
            checked["eleventh"] += 1
        if gst is not None and composed.facts.footnote:
            assert gst * 11 < total + 11
            assert len({item.mark for item in items}) == 2
            checked["mixed"] += 1
        if items_cents != total:
            checked["before tax"] += 1
    assert min(checked[name] for name in ("subtotal", "eleventh", "mixed", "before tax")) >= 10


def test_statement_balances_run_from_opening_to_closing(compositions: list[Composition]) -> None:
    forms = Counter[str]()
    for composed in compositions:
        if composed.layout.kind is not DocumentKind.STATEMENT:
            continue
        values = values_of(composed)
        balance = cents(values["OPENING_BALANCE"])
        for row in composed.facts.transactions:
            assert bool(row.debit) != bool(row.credit)
            balance += cents(row.credit) if row.credit else -cents(row.debit)
            assert cents(row.signed) == (cents(row.credit) if row.credit else -cents(row.debit))
            assert cents(row.balance) == balance
        assert balance == cents(values["CLOSING_BALANCE"])
        closing = values["CLOSING_BALANCE"]
        forms.update(form for form in ("CR", "DR", "-", "A$") if form in closing)
    assert set(forms) == {"CR", "DR", "-", "A$"}


# --- identifiers ------------------------------------------------------------------------------------------------------


def test_abns_pass_the_checksum_and_start_with_11_to_99() -> None:
    rng = Random(3)
    for _ in range(500):
        number = abn(rng)
        assert stdnum_abn.is_valid(number)
        assert 11 <= int(number[:2]) <= 99


def test_identifiers_are_australian_and_belong_to_nobody(compositions: list[Composition]) -> None:
    for composed in compositions:
        values = values_of(composed)
        if "ABN" in values:
            assert stdnum_abn.is_valid(values["ABN"])
        if "BSB_NUMBER" in values:
            assert re.fullmatch(r"\d{3}[- ]?\d{3}", values["BSB_NUMBER"])
            assert 6 <= len(re.sub(r"\D", "", values["BANK_ACCOUNT_NUMBER"])) <= 10
        for name in ("BUSINESS_PHONE", "PAYER_PHONE"):
            assert name not in values or FICTITIOUS_PHONE.fullmatch(values[name])
        for name in ("BUSINESS_ADDRESS", "PAYER_ADDRESS"):
            if name in values:
                match = re.search(r" (NSW|VIC|QLD|ACT|TAS|SA|WA|NT) (\d{4})$", values[name])
                assert match
                assert match[2].startswith(STATES[match[1]])
        hosts = [values[name].split("@")[1] for name in ("PAYER_EMAIL",) if name in values]
        hosts += [values[name].removeprefix("https://") for name in ("SUPPLIER_WEBSITE",) if name in values]
        assert all(RESERVED_HOST.fullmatch(host) for host in hosts)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_nothing_overlaps_or_leaves_the_page_and_all_of_it_is_large_enough_to_read(
    compositions: list[Composition],
) -> None:
    for composed in compositions:
        page = composed.page
        assert 620 <= page.width <= 1000
        boxes = [(run.box, run) for run in page.runs]
        for i, (box, run) in enumerate(boxes):
            where = f"{composed.layout.name} {composed.typeface}: {run.text!r}"
            assert run.style.size >= 13, where
            assert 0 < box[0] < box[2] < page.width, where
            assert 0 < box[1] < box[3] < page.height, where
            for other, neighbour in boxes[i + 1 :]:
                across = min(box[2], other[2]) - max(box[0], other[0])
                down = min(box[3], other[3]) - max(box[1], other[1])
                assert across <= 0.5 or down <= 1.5, f"{where} overlaps {neighbour.text!r}"


def test_wrapped_values_join_with_single_spaces() -> None:
    page = Page(width=300)
    style = Style(typeface=Typeface.ROBOTO, size=20)
    text = "Northern Rivers Agricultural Supplies and Equipment Hire Pty Ltd"
    bottom = page.paragraph([Part("From", style), Part(Value(field="SUPPLIER", text=text), style)], 10, 250, 0)
    lines = [run for run in page.runs if run.field == "SUPPLIER"]
    assert len(lines) > 2
    assert " ".join(run.text for run in lines) == text
    assert bottom == style.line_height * len({run.baseline for run in page.runs})
    assert all(run.box[2] <= 251 for run in page.runs)


def test_a_word_wider_than_its_column_is_set_smaller() -> None:
    page = Page(width=300)
    page.paragraph(
        [Part("accounts@averyveryverylongname.example.com.au", Style(typeface=Typeface.LATO, size=24))], 10, 210, 0
    )
    [run] = page.runs
    assert run.box[2] <= 211
    assert run.style.size < 24


def test_a_layout_that_forgets_a_value_is_an_error() -> None:
    def forgetful(page: Page, facts: object, look: object, rng: Random) -> None:
        page.height = 100

    layout = Layout(
        name="forgetful",
        kind=DocumentKind.RECEIPT,
        draw=forgetful,
        typefaces=(Typeface.LATO,),
        widths=(620, 640),
        sizes=(18, 19),
    )
    with pytest.raises(SynthesisError, match="DOCUMENT_TYPE"):
        compose(1, 0, layout=layout)


def test_a_missing_typeface_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typefaces, "find_spec", lambda module: None)
    with pytest.raises(UnsupportedError, match="pip install font-caladea"):
        typefaces._path.__wrapped__(Typeface.CALADEA, False)


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_homography_takes_corners_to_corners_and_back() -> None:
    source = [(0.0, 0.0), (800.0, 0.0), (800.0, 1100.0), (0.0, 1100.0)]
    target = rotated([(12.0, 5.0), (790.0, 20.0), (805.0, 1090.0), (-3.0, 1108.0)], 2.5)
    there, back = Homography.between(source, target), Homography.between(target, source)
    for point, image in zip(source, target, strict=True):
        assert there.point(*point) == pytest.approx(image, abs=1e-6)
    assert back.point(*there.point(123.0, 456.0)) == pytest.approx((123.0, 456.0), abs=1e-6)


@pytest.mark.parametrize("stratum", list(Stratum))
@pytest.mark.parametrize("index", [0, 4, 8])
def test_boxes_lie_in_the_image_on_the_ink(index: int, stratum: Stratum) -> None:
    document = generate(31, index, stratum=stratum)
    width, height = document.image.size
    grey = np.asarray(document.image.convert("L"), dtype=int)
    boxes = document.boxes()
    assert set(boxes) == {name for name, value in document.truth.items() if value is not None}
    for name, found in boxes.items():
        text = document.truth[name] or ""
        assert len(found) >= (len(text.split(LIST_SEPARATOR)) if name in LINE_ITEM_FIELDS else 1)
        for x0, y0, x1, y1 in found:
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
            assert np.ptp(grey[y0:y1, x0:x1]) > 50, f"{name} has no ink in its box"


@pytest.mark.parametrize("stratum", list(Stratum))
def test_each_character_has_a_box_with_its_ink(stratum: Stratum) -> None:
    document = generate(31, 3, stratum=stratum)
    characters = document.character_boxes()
    printed = "".join(run.text for run in document.runs)
    assert "".join(character for character, _, _ in characters) == "".join(printed.split())
    grey = np.asarray(document.image.convert("L"), dtype=int)
    inked = 0
    for _, (x0, y0, x1, y1), _ in characters:
        assert 0 <= x0 < x1 <= document.image.width
        assert 0 <= y0 < y1 <= document.image.height
        inked += np.ptp(grey[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1]) > 40
    assert inked / len(characters) > 0.98


def test_a_character_box_matches_where_the_character_was_drawn() -> None:
    page = Page(width=400, height=60)
    page.put("AVATAR To 1,100.10", Style(typeface=Typeface.DEJAVU_SERIF, size=30), 10, 40)
    ink = np.asarray(page.raster().convert("L")) < 200
    for character, (x0, y0, x1, y1) in page.runs[0].character_boxes():
        part = ink[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1]
        assert part.any(axis=1).sum() >= (y1 - y0) - 2, character
        assert part.any(axis=0).sum() >= (x1 - x0) - 3, character


def test_the_same_seed_gives_the_same_bytes_in_any_order() -> None:
    indices = (2, 13, 24)
    first = {index: generate(5, index) for index in indices}
    for index in reversed(indices):
        again = generate(5, index)
        assert again.encoded() == first[index].encoded()
        assert again.truth == first[index].truth
        assert again.boxes() == first[index].boxes()
    assert generate(6, 2).encoded() != first[2].encoded()


def test_an_encoded_document_decodes_to_its_image() -> None:
    for stratum, mode in ((Stratum.CLEAN, "P"), (Stratum.SCANNED, "L"), (Stratum.PHOTOGRAPHED, "RGB")):
        document = generate(5, 1, stratum=stratum)
        decoded = Image.open(BytesIO(document.encoded()))
        assert document.image.mode == mode
        assert np.array_equal(np.asarray(decoded.convert("RGB")), np.asarray(document.image.convert("RGB")))


def test_stratum_and_layout_can_be_chosen_and_change_no_content_of_the_page() -> None:
    clean, scanned = generate(5, 7, stratum=Stratum.CLEAN), generate(5, 7, stratum=Stratum.SCANNED)
    assert clean.truth == scanned.truth
    assert clean.runs == scanned.runs
    layout = LAYOUTS[DocumentKind.STATEMENT][2]
    assert compose(5, 7, layout=layout).layout.kind is DocumentKind.STATEMENT


def test_no_two_documents_are_alike(compositions: list[Composition]) -> None:
    truths = {tuple(composed.facts.truth().items()) for composed in compositions}
    assert len(truths) == len(compositions)
    suppliers = Counter(values_of(c)["SUPPLIER"] for c in compositions if "SUPPLIER" in values_of(c))
    assert suppliers.most_common(1)[0][1] <= 3


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_a_corpus_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "corpus"
    assert main(["--count", "4", "--seed", "11", str(out)]) == 0
    assert "4 documents" in capsys.readouterr().out
    with (out / "ground_truth.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["image_file", *FIELD_NAMES]
    images = {path.name for path in out.iterdir() if path.suffix in (".png", ".jpg")}
    assert {row[0] for row in rows} == images
    corpus = load_corpus(out)
    by_name = {document.name: document for document in corpus.documents}
    for index in range(4):
        document = generate(11, index)
        assert by_name[document.name].truth == document.truth
        assert by_name[document.name].stratum == document.stratum
        assert (out / document.name).read_bytes() == document.encoded()
    lines = [json.loads(line) for line in (out / "documents.jsonl").read_text("utf-8").splitlines()]
    assert [line["boxes"] for line in lines] == [generate(11, index).boxes() for index in range(4)]
    recipe = json.loads((out / "corpus.json").read_text("utf-8"))
    assert recipe["command"] == "python -m harness.documents.synthesis --count 4 --seed 11"
    assert recipe["pillow"] == PIL.__version__


def test_truth_that_somebody_wrote_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "ground_truth.csv"
    own.write_text("image_file,TOTAL\na.jpg,$1.00\n")
    for force in ([], ["--force"]):
        assert main(["--count", "1", "--seed", "2", *force, str(tmp_path)]) == 2
        assert "holds a ground_truth.csv that is of no drawn corpus; name another folder" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["ground_truth.csv"]
    assert own.read_text() == "image_file,TOTAL\na.jpg,$1.00\n"


def test_a_folder_with_files_is_refused_and_force_replaces_only_the_corpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--count", "2", "--seed", "1", str(tmp_path)]) == 0
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    assert main(["--count", "1", "--seed", "1", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert (
        main(["--count", "1", "--seed", "2", "--kind", "invoice", "--stratum", "clean", "--force", str(tmp_path)]) == 0
    )
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"mine.txt", "ground_truth.csv", "documents.jsonl", "corpus.json", "invoice-0007.png"}


@pytest.mark.parametrize("arguments", [["--count", "0"], ["--count", "many"], ["--count", "2", "--kind", "cheque"]])
def test_wrong_arguments_end_with_a_usage_error(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--seed", "1", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert not (tmp_path / "out").exists()


def test_help_explains_what_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(word in text for word in ("ground_truth.csv", "documents.jsonl", "N/A", "examples"))


# --- the corpus that ships --------------------------------------------------------------------------------------------


def test_the_corpus_is_complete_and_small() -> None:
    corpus = load_corpus(CORPUS)
    assert len(corpus.documents) == 120
    assert not corpus.unjudged
    assert Counter(document.kind for document in corpus.documents) == {"receipt": 40, "invoice": 40, "statement": 40}
    assert all(set(document.truth) == set(FIELD_NAMES) for document in corpus.documents)
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < 8_000_000


def test_the_ground_truth_of_the_corpus_is_that_of_the_generator() -> None:
    seed = json.loads((CORPUS / "corpus.json").read_text("utf-8"))["seed"]
    with (CORPUS / "ground_truth.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for index in range(0, 120, 5):
        truth = compose(seed, index).facts.truth()
        assert {name: rows[index][name] for name in FIELD_NAMES} == {n: v or ABSENT for n, v in truth.items()}


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_pixels_of_the_corpus_come_out_again(index: int) -> None:
    recipe = json.loads((CORPUS / "corpus.json").read_text("utf-8"))
    here = {"pillow": PIL.__version__, "numpy": np.__version__}
    drawn = {name: recipe[name] for name in here}
    if drawn != here:
        pytest.skip(f"the corpus was drawn with {drawn}; here are {here}")
    document = generate(recipe["seed"], index)
    with Image.open(CORPUS / document.name) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(document.image.convert("RGB")))
