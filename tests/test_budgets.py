"""Budgets: what a file may say, and how mistakes in it are named."""

from pathlib import Path

import pytest

from fixtures.budgets import load_budgets
from fixtures.options import BUNDLED_CORPUS
from harness.deployment.gpus import load_gpus
from harness.documents import load_corpus
from harness.errors import BudgetError

GOOD = """
[[quality]]
model = "m"
quantization = "none"
corpus = "abcabcabcabc"
f1 = 0.9
hallucination_rate = { all = 0.02, clean = 0.01, scanned = 0.05 }

[[cost]]
model = "m"
quantization = "none"
device = "cpu"
latency_p95_s = 2
peak_rss_bytes = "1.5 GiB"
"""


def write(tmp_path, text):
    path = tmp_path / "budgets.toml"
    path.write_text(text)
    return path


def test_limits_are_found_by_their_key(tmp_path):
    budgets = load_budgets(write(tmp_path, GOOD))
    assert budgets.quality("m", "none", "abcabcabcabcdef") == {
        "f1": 0.9,
        "hallucination_rate": 0.02,
        "hallucination_rate.clean": 0.01,
        "hallucination_rate.scanned": 0.05,
    }
    assert budgets.cost("m", "none", "cpu") == {"latency_p95_s": 2, "peak_rss_bytes": 1.5 * 2**30}
    assert budgets.quality("m", "none", "xyz") == {}
    assert budgets.quality("m", "int8", "abcabcabcabcdef") == {}
    assert budgets.cost("m", "none", "h200") == {}


def test_limits_for_a_model_that_is_not_here_are_told(tmp_path):
    budgets = load_budgets(write(tmp_path, GOOD.replace('model = "m"', 'model = "ocr-ruls"')))
    (told,) = budgets.for_unknown_models({"ocr-rules", "tiny-mllama"})
    assert told.startswith(
        f"{budgets.path}: limits that judge nothing: unknown model 'ocr-ruls'; did you mean ocr-rules"
    )
    assert budgets.for_unknown_models({"ocr-ruls"}) == []


def test_limits_are_for_one_way_of_running(tmp_path):
    more = """
[recovery]
margin = 0.05

[[cost]]
model = "m"
quantization = "none"
device = "cpu"
batch_size = 8
latency_s = 9

[[quality]]
model = "m"
quantization = "nf4"
corpus = "abcabcabcabc"
strategy = "multi"
f1 = 0.8
"""
    budgets = load_budgets(write(tmp_path, GOOD + more))
    assert budgets.recovery_margin == 0.05
    assert budgets.cost("m", "none", "cpu", batch_size=8) == {"latency_s": 9}
    assert "latency_s" not in budgets.cost("m", "none", "cpu"), "the limit on a batch says nothing about one document"
    assert budgets.cost("m", "none", "cpu", strategy="multi") == {}
    assert budgets.quality("m", "nf4", "abcabcabcabcdef", strategy="multi") == {"f1": 0.8}
    assert budgets.quality("m", "nf4", "abcabcabcabcdef") == {}
    assert load_budgets(write(tmp_path, GOOD)).recovery_margin == 0.02


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[[cost]]", "[recovery]\nmargin = 2\n[[cost]]", "margin = 2 is not a share of F1"),
        ("[[cost]]", "[recovery]\nmargins = 0.1\n[[cost]]", "unknown key 'margins'; did you mean margin"),
        ("[[cost]]", "[[recovery]]\nmargin = 0.1\n[[cost]]", "[recovery] is a table"),
        ('device = "cpu"', 'device = "cpu"\nbatch_size = 0', "batch_size = 0 is not a whole number"),
        ('device = "cpu"', 'device = "cpu"\nstrategy = "mult"', "unknown strategy 'mult'; did you mean multi"),
        ("f1 = 0.9", "f2 = 0.9", "unknown metric 'f2'; did you mean f1"),
        ("f1 = 0.9", "f1 = -1", "f1 = -1 is not a limit"),
        ("f1 = 0.9", 'f1 = "high"', "f1 = 'high' is not a limit"),
        ("f1 = 0.9", "value_rate = 0.9", "value_rate is descriptive"),
        ('"1.5 GiB"', '"1.5 GB"', 'write a number in B, or text: "1.5 GiB"'),
        ('corpus = "abcabcabcabc"', "", 'needs corpus = "..."'),
        ("[[cost]]", "[[costs]]", "unknown section 'costs'"),
        ("f1 = 0.9", "f1 = ", "cannot be read as TOML"),
        ("f1 = 0.9", "f1 = 90", "it is a share, from 0 to 1"),
        ("f1 = 0.9", "latency_s = 1", "latency_s is a cost metric; it belongs into [[cost]]"),
        ("latency_p95_s = 2", "recall = 0.5", "recall is a quality metric; it belongs into [[quality]]"),
        ("latency_p95_s = 2", "latency_p95_s = inf", "latency_p95_s = inf is not a limit"),
        ("latency_p95_s = 2", "latency_p95_s = { clean = 2 }", "is not a limit"),
        ('"abcabcabcabc"', '"abc"', "first 12 digits"),
        ('quantization = "none"', 'quantization = "nf5"', "unknown quantization 'nf5'; did you mean nf4"),
    ],
)
def test_mistakes_are_named(tmp_path, old, new, expected):
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(BudgetError) as caught:
        load_budgets(path)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


GPUS = """
[devices]
l4 = "23034 MiB"
h200 = "140 GiB"

[[cost]]
model = "m"
quantization = ["bf16", "int8"]
device = ["l4", "h200"]
peak_vram_bytes = "85 % of the device"

[[cost]]
model = "m"
quantization = "nf4"
device = "l4"
ttft_s = 1
latency_s = 2
output_tok_per_s = 40
peak_vram_bytes = "50 % of 16 GiB"

[[cost]]
model = "m"
quantization = "nf4"
device = "l4"
output_tokens = 128
latency_s = 3

[[sweep]]
model = "m"
quantization = "nf4"
device = "l4"
docs_per_min = 30
"""


def test_one_entry_for_several_devices_and_precisions(tmp_path):
    budgets = load_budgets(write(tmp_path, GPUS))
    assert budgets.cost("m", "int8", "l4") == {"peak_vram_bytes": pytest.approx(0.85 * 23034 * 2**20)}
    assert budgets.cost("m", "bf16", "h200") == {"peak_vram_bytes": pytest.approx(0.85 * 140 * 2**30)}
    assert budgets.cost("m", "nf4", "h200") == {}
    assert budgets.cost("m", "nf4", "l4")["peak_vram_bytes"] == 8 * 2**30


def test_the_file_need_not_tell_the_memory_of_known_devices(tmp_path):
    known = load_gpus()["h200"].memory_bytes
    assert known is not None
    budgets = load_budgets(write(tmp_path, GPUS.replace('h200 = "140 GiB"\n', "")))
    assert budgets.cost("m", "bf16", "h200") == {"peak_vram_bytes": pytest.approx(0.85 * known)}


def test_limits_on_other_devices(tmp_path):
    budgets = load_budgets(write(tmp_path, GPUS))
    assert list(budgets.elsewhere("m", "bf16", "h200")) == ["l4"]
    assert list(budgets.elsewhere("m", "bf16", "cpu")) == ["l4", "h200"]
    assert budgets.elsewhere("m", "nf4", "l4") == budgets.elsewhere("x", "bf16", "cpu") == {}


def test_answers_of_a_fixed_length_have_limits_of_their_own(tmp_path):
    budgets = load_budgets(write(tmp_path, GPUS))
    free, fixed = budgets.cost("m", "nf4", "l4"), budgets.cost("m", "nf4", "l4", output_tokens=128)
    assert free["latency_s"] == 2
    assert fixed == {"ttft_s": 1, "latency_s": 3, "peak_vram_bytes": 8 * 2**30}, "the rate is that of a free length"
    other = budgets.cost("m", "nf4", "l4", output_tokens=64)
    assert other == {"ttft_s": 1, "peak_vram_bytes": 8 * 2**30}, "what does not hang on the length holds at any"


def test_limits_of_a_sweep_are_at_one_length(tmp_path):
    budgets = load_budgets(write(tmp_path, GPUS))
    assert budgets.sweep("m", "nf4", "l4", output_tokens=128) == {"docs_per_min": 30}
    assert budgets.sweep("m", "nf4", "l4", output_tokens=64) == {}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"140 GiB"', '"140 GB"', "h200 = '140 GB' is not an amount of memory"),
        ('"140 GiB"', '"85 % of 140 GiB"', "is not an amount of memory"),
        ("[devices]", "[[devices]]", "[devices] is a table"),
        ('["l4", "h200"]', '["mine"]', "peak_vram_bytes: neither the catalogue nor [devices] tells the memory of mine"),
        ('["l4", "h200"]', '["l4", "l4"]', "a second entry for m, bf16, l4"),
        ('["l4", "h200"]', '["l4", 4]', "neither the catalogue nor [devices] tells the memory of 4"),
        ('["bf16", "int8"]', "[]", "entry 1: quantization = []: name at least one"),
        ('device = ["l4", "h200"]', "", 'entry 1: needs device = "..."'),
        ("85 % of the device", "850 % of the device", "is not a limit"),
        ("output_tokens = 128", "output_tokens = 0", "output_tokens = 0 is not a whole number"),
        ("docs_per_min = 30", "ttft_s = 30", "of a batch sweep, only docs_per_min has a limit, not ttft_s"),
    ],
)
def test_mistakes_about_devices_are_named(tmp_path, old, new, expected):
    with pytest.raises(BudgetError) as caught:
        load_budgets(write(tmp_path, GPUS.replace(old, new, 1)))
    assert expected in str(caught.value)


def test_two_entries_for_one_key(tmp_path):
    with pytest.raises(BudgetError, match="entry 2: a second entry for m, none, abcabcabcabc"):
        load_budgets(
            write(tmp_path, GOOD + '[[quality]]\nmodel = "m"\nquantization = "none"\ncorpus = "abcabcabcabc"\n')
        )


def test_the_project_s_budgets_are_for_the_bundled_corpus():
    budgets = load_budgets(Path(BUNDLED_CORPUS).parent / "budgets.toml")
    corpus = load_corpus(BUNDLED_CORPUS)
    assert budgets.quality("ocr-rules", "none", corpus.identity)["f1"] > 0
    assert budgets.cost("ocr-rules", "none", "cpu")["peak_rss_bytes"] > 0


PROJECT = load_budgets(Path(BUNDLED_CORPUS).parent / "budgets.toml")
WEIGHTS_GB = {
    ("Llama-3.2-11B-Vision-Instruct", "bf16"): 21.34,
    ("Llama-3.2-11B-Vision-Instruct", "int8"): 12.62,
    ("Llama-3.2-11B-Vision-Instruct", "nf4"): 7.18,
    ("InternVL3-2B", "bf16"): 4.178,
}


@pytest.mark.parametrize("cell", WEIGHTS_GB, ids="-".join)
def test_a_device_has_a_memory_budget_where_the_weights_leave_room(cell):
    """Nothing is listed that cannot be, and nothing left out for which there is no reason in the file."""
    limits = {place: limit["peak_vram_bytes"] / 1e9 for place, limit in PROJECT.elsewhere(*cell, "cpu").items()}
    assert all(limit > WEIGHTS_GB[cell] for limit in limits.values())
    nf4 = {place: limit["peak_vram_bytes"] / 1e9 for place, limit in PROJECT.elsewhere(cell[0], "nf4", "cpu").items()}
    assert set(nf4) == {"v100-16gb", "l4", "l40s", "a100-40gb", "h100", "h200", "jetson-orin", "jetson-thor"}
    left_out = {place for place in nf4 if place not in limits}
    assert all(place == "v100-16gb" or nf4[place] < WEIGHTS_GB[cell] for place in left_out)
