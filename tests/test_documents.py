"""The corpus loader: what it accepts, what it refuses and how it says so."""

import json

import pytest
from PIL import Image

from harness.documents import load_corpus
from harness.errors import CorpusError


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(("a.png", "b.jpg", "c.tiff", "d.webp")):
        Image.new("RGB", (4 + i, 4), "white").save(tmp_path / name)
    return tmp_path


def truth(folder, text, name="ground_truth.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_fields_are_named_in_any_case(folder):
    corpus = load_corpus(truth(folder, "image_file,total,Supplier\na.png,$9.00,Shop\n"))
    assert corpus.documents[0].truth == {"TOTAL": "$9.00", "SUPPLIER": "Shop"}


def test_csv_absent_present_and_not_judged(folder):
    corpus = load_corpus(truth(folder, "image_file,TOTAL,GST,SUPPLIER\na.png,$9.00,N/A, Shop \nb.jpg,nan,,NOT_FOUND\n"))
    a, b = corpus.documents
    assert a.truth == {"TOTAL": "$9.00", "GST": None, "SUPPLIER": "Shop"}
    assert b.truth == {"TOTAL": None, "GST": None, "SUPPLIER": None}
    assert "ABN" not in a.truth
    assert corpus.unjudged == ("c.tiff", "d.webp")


def test_no_value_is_guessed(folder):
    corpus = load_corpus(truth(folder, "image_name,BANK_ACCOUNT_NUMBER,QUANTITIES,SUPPLIER\na,00123456,1 | 2,NA\n"))
    assert corpus.documents[0].truth == {
        "BANK_ACCOUNT_NUMBER": "00123456",
        "QUANTITIES": "1 | 2",
        "SUPPLIER": "NA",
    }


def test_jsonl_lists_null_and_metadata(folder):
    row = {
        "image": "a.png",
        "fields": {"PRICES": ["$1.00", "$1,200.00"], "GST": None},
        "kind": "receipt",
        "source": "x",
    }
    (document,) = load_corpus(truth(folder, json.dumps(row) + "\n", "ground_truth.jsonl")).documents
    assert document.truth == {"PRICES": "$1.00 | $1,200.00", "GST": None}
    assert document.kind == "receipt"


def test_documents_jsonl_adds_what_is_known(folder):
    truth(folder, "image_file,TOTAL\na.png,1.00\n")
    truth(
        folder,
        '{"image": "a.png", "kind": "invoice", "layout": "grid", "stratum": "clean", "boxes": {}}\n',
        "documents.jsonl",
    )
    (document,) = load_corpus(folder).documents
    assert (document.kind, document.layout, document.stratum) == ("invoice", "grid", "clean")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image_file,TOTAL\nmissing.png,1.00\n", ["line 2", "missing.png", "no such image"]),
        ("image_file,TOTAL\na.png,1.00\na.png,2.00\n", ["line 3", "a.png", "twice"]),
        ("image_file,TOTLA\na.png,1.00\n", ["column 'TOTLA'", "did you mean TOTAL"]),
        ("file,TOTAL\na.png,1.00\n", ["no image column", "image_file"]),
        ("image_file,TOTAL\na.png,1,200.00\n", ["line 2", "3 cells", "quote"]),
        ("image_file,TOTAL\n,1.00\n", ["line 2", "no image is named"]),
        ("image_file,TOTAL,TOTAL\na.png,1,1\n", ["'TOTAL'", "twice"]),
        ("image_file,TOTAL\n../a.png,1.00\n", ["line 2", "outside the folder"]),
        ("image_file,TOTAL\n", ["no rows"]),
        ("image_file,image_name,TOTAL\na.png,b.jpg,1\n", ["image_file and image_name", "keep one"]),
        ("image_file,TOTAL,total\na.png,1,2\n", ["'TOTAL' and 'total' are the same field"]),
        ("", ["no image column"]),
        ('image_file,TOTAL\n"a.png,1.00\n', ["not valid CSV"]),
    ],
)
def test_csv_mistakes_are_named(folder, text, expected):
    with pytest.raises(CorpusError) as caught:
        load_corpus(truth(folder, text))
    for part in ("ground_truth.csv", *expected):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "not valid JSON"),
        ("[]", "JSON object"),
        ('{"fields": {}}', '"image"'),
        ('{"image": "a.png"}', '"fields"'),
        ('{"image": "a.png", "fields": {"TOTAL": 9.0}}', "field TOTAL"),
        ('{"image": "a.png", "fields": {"PRICES": ["1", 2]}}', "field PRICES"),
        ('{"image": "a.png", "fields": {"TOTALS": "1"}}', "did you mean TOTAL"),
        ('{"image": "a.png", "fields": {"TOTAL": "1", "TOTAL": "2"}}', "a key is given twice"),
        ('{"image": "a.png", "fields": {"TOTAL": "1", "total": "2"}}', "given twice, in two spellings"),
    ],
)
def test_jsonl_mistakes_are_named(folder, line, expected):
    with pytest.raises(CorpusError) as caught:
        load_corpus(truth(folder, "\n" + line + "\n", "ground_truth.jsonl"))
    assert "line 2" in str(caught.value)
    assert expected in str(caught.value)


def test_all_disagreements_come_at_once(folder):
    rows = "".join(f"missing-{i}.png,1.00\n" for i in range(30))
    with pytest.raises(CorpusError) as caught:
        load_corpus(truth(folder, "image_file,TOTAL\n" + rows))
    assert "missing-0.png" in str(caught.value)
    assert "(+20 more)" in str(caught.value)


def test_folder_without_truth_or_with_two(folder):
    with pytest.raises(CorpusError, match="no ground truth; add"):
        load_corpus(folder)
    truth(folder, "image_file,TOTAL\na.png,1\n")
    truth(folder, "{}", "ground_truth.jsonl")
    with pytest.raises(CorpusError, match="keep one"):
        load_corpus(folder)
    with pytest.raises(CorpusError, match="not a folder"):
        load_corpus(folder / "a.png")


def test_not_utf8_says_where(folder):
    (folder / "ground_truth.csv").write_bytes(b"image_file,SUPPLIER\na.png,Caf\xe9\n")
    with pytest.raises(CorpusError, match="not UTF-8 at byte 29"):
        load_corpus(folder)


def test_identity_follows_images_and_truth_only(folder):
    truth(folder, "image_file,TOTAL\na.png,1.00\nb.jpg,2.00\n")
    first = load_corpus(folder).identity
    truth(folder, "image_file,TOTAL\nb.jpg,2.00\na.png,1.00\n")
    assert load_corpus(folder).identity == first, "row order is no part of it"
    truth(folder, "image_file,TOTAL\na.png,1.01\nb.jpg,2.00\n")
    changed_truth = load_corpus(folder).identity
    Image.new("RGB", (4, 5), "white").save(folder / "a.png")
    assert len({first, changed_truth, load_corpus(folder).identity}) == 3


def test_sample_is_spread_seeded_and_remembers_where_it_comes_from(tmp_path):
    rows, known = ["image_file,TOTAL"], []
    for i in range(36):
        Image.new("L", (2, 2), i).save(tmp_path / f"{i:02d}.png")
        rows.append(f"{i:02d}.png,{i}.00")
        known.append(json.dumps({"image": f"{i:02d}.png", "kind": "abc"[i % 3], "stratum": "xy"[i % 2]}))
    truth(tmp_path, "\n".join(rows))
    truth(tmp_path, "\n".join(known), "documents.jsonl")
    corpus = load_corpus(tmp_path)
    sample = corpus.sample(12, seed=1)
    groups = [(d.kind, d.stratum) for d in sample.documents]
    assert all(groups.count(g) == 2 for g in set(groups))
    assert len(set(groups)) == 6
    assert sample == corpus.sample(12, seed=1)
    assert sample != corpus.sample(12, seed=2)
    assert sample.sampled_from == corpus.identity != sample.identity
    assert corpus.sample(99) == corpus
    with pytest.raises(CorpusError, match="at least one"):
        corpus.sample(0)
