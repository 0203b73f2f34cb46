"""What makes large campaigns bearable changes nothing in them: sharing out, remembering, and not drawing."""

from __future__ import annotations

import importlib
import json
import math
import statistics
from pathlib import Path
from random import Random

import pytest

from harness.evidence import DocumentRecord, read_evidence
from harness.responses import parse_response
from harness.results import Scorer, cell_results
from harness.statistics import (
    Aligned,
    paired_difference,
    ratio_interval,
    ratio_interval_of,
    sign_flip_test,
    standard_deviation,
)
from reports.render import render_campaign
from reports.report_json import report_json
from reports.summary import summarise
from tests import report_evidence as evidence


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_processes_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, logs = evidence.documents(6), []
    for name, skill in (("one", 0.9), ("two", 0.6)):
        cell = evidence.candidate("ocr-rules", asked, skill=skill, seconds=1.0, base=600 * evidence.MIB)
        logs.append(evidence.write(tmp_path / name / "evidence.jsonl", [*evidence.opening(asked), *cell]))
    rendering = importlib.import_module("reports.render")
    monkeypatch.setattr(rendering, "allowed_cores", lambda: 2)
    apart = render_campaign(logs, tmp_path / "apart")
    monkeypatch.setattr(rendering, "_LARGE", 0)
    shared = render_campaign(logs, tmp_path / "shared")
    assert files(tmp_path / "shared") == files(tmp_path / "apart")
    assert shared.summary == apart.summary


def test_a_scorer_that_knows_other_logs_scores_the_same(tmp_path: Path) -> None:
    scorer = Scorer()
    for count in (5, 12):
        log = read_evidence(evidence.write(tmp_path / f"{count}.jsonl", evidence.standard(count)))
        found, fresh = cell_results(log, scorer), cell_results(log)
        assert {c: (r.responses, r.scores) for c, r in found.items()} == {
            c: (r.responses, r.scores) for c, r in fresh.items()
        }


def test_a_scorer_forgets_where_the_truth_is_another() -> None:
    scorer = Scorer()
    for total, right in (("$1.00", 1), ("$2.00", 0), ("$1.00", 1)):
        _, score = scorer(DocumentRecord(document="a", truth={"TOTAL": total}), "TOTAL: $1.00")
        assert score is not None
        assert score.counts.correct == right


def test_what_no_draw_reaches_need_not_be_drawn() -> None:
    random = Random(5)
    for shift, certain in ((0.1, False), (0.3, False), (2.0, True)):
        differences = [random.gauss(shift, 1) for _ in range(300)]
        p = sign_flip_test(differences, draws=2000)
        assert p == sign_flip_test([-d for d in differences], draws=2000)
        assert (p == 1 / 2001) is certain or not certain
        assert p == drawn(differences, 2000)


@pytest.mark.parametrize(("n", "step"), [(20, 0.1), (700, 0.1), (700, 1e-9), (9000, 0.1), (9000, 1e-9)])
def test_signs_of_few_and_many_documents_are_counted_alike(n: int, step: float) -> None:
    random = Random(n)  # of coarse steps many draws tie with what was seen
    differences = [round(random.gauss(0.02, 1) / step) * step for _ in range(n)]
    differences = [d for d in differences if d]
    assert sign_flip_test(differences, draws=203) == drawn(differences, 203)


def drawn(differences: list[float], draws: int) -> float:
    """The test in its plainest form."""
    import numpy

    eights = numpy.random.RandomState(0).randint(0, 256, size=(-(-len(differences) // 8), draws), dtype=numpy.uint8)
    signs = numpy.unpackbits(eights, axis=0, bitorder="little")[: len(differences)]
    extreme = abs(numpy.array(differences) @ (2.0 * signs - 1.0)) >= abs(sum(differences)) * (1 - 1e-9)
    first = extreme[: draws // 20]
    told = first if first.mean() > 0.1 else extreme
    return (int(told.sum()) + 1) / (len(told) + 1)


def test_sums_of_many_are_exact_to_the_last_digit() -> None:
    random = Random(6)
    for n in (2, 7, 500):
        values = [random.choice([0.0, 1e-9, random.random(), random.gauss(0, 1e6)]) for _ in range(n)]
        assert standard_deviation(values) == statistics.stdev(values)
    weights = {(1, 3): 700, (2.5, 4): 41, (0, 1): 1, (0, 0): 9}
    pairs = [pair for pair, times in weights.items() for _ in range(times)]
    assert ratio_interval_of(weights) == ratio_interval([n for n, _ in pairs], [d for _, d in pairs])
    soft = {(random.random(), 1.0): random.randrange(1, 5000) for _ in range(50)}
    sums = math.fsum(n for (n, _), times in soft.items() for _ in range(times)), sum(soft.values())
    assert ratio_interval_of(soft).value == sums[0] / sums[1]


def test_aligned_values_compare_like_plain_ones() -> None:
    random, names = Random(7), [f"{i:03}" for i in range(300)]
    a, b = ({n: random.random() for n in names if random.random() < 0.9} for _ in range(2))
    places = {n: i for i, n in enumerate(names)}
    assert dict(Aligned.of(places, a).items()) == a
    assert len(Aligned.of(places, a)) == len(a)
    assert paired_difference(Aligned.of(places, a), Aligned.of(places, b)) == paired_difference(a, b)


def test_of_many_pairs_those_of_the_leader_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = evidence.documents(12)
    cells = [
        record
        for name, skill in (("one", 0.9), ("two", 0.6), ("three", 0.3))
        for record in evidence.candidate(name, asked, skill=skill, seconds=1.0, base=600 * evidence.MIB)
    ]
    log = read_evidence(evidence.write(tmp_path / "evidence.jsonl", [*evidence.opening(asked), *cells]))
    whole = summarise(log)
    monkeypatch.setattr(importlib.import_module("reports.comparisons"), "_VALUES", 0)
    found = summarise(log)
    assert found.only_leaders
    assert not whole.only_leaders
    assert found.winners == whole.winners
    leaders = {w.metric: w.leader for w in whole.winners}
    assert found.comparisons == [c for c in whole.comparisons if leaders[c.metric] in (c.a, c.b)]
    assert len(found.comparisons) < len(whole.comparisons)
    assert "comparisons_are_of" in json.loads(report_json(found))


def test_a_text_of_answers_alone_is_read_like_any_other() -> None:
    random, read = Random(8), 0
    texts = [evidence.answer(document, 0.5, random) for document in evidence.documents(60)]
    for text in [
        *texts,
        "",
        "TOTAL:\n$5",
        "SUPPLIER:\n\nTOTAL: $5",
        "**TOTAL**\n\n$5",
        '"TOTAL": "$5",',
        "TOTAL: {'a': 1}",
    ]:
        general = parse_response(text + "\n" * 300)  # too many lines for the short way
        assert parse_response(text) == general
        read += general.parsable
    assert read > len(texts)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_line_with_a_number_that_is_none_is_damaged(tmp_path: Path, number: str) -> None:
    path = evidence.write(tmp_path / "evidence.jsonl", evidence.standard(4))
    reading = json.loads(path.read_text().splitlines()[-5 - len(evidence.GATES)])
    assert reading["record"] == "reading"
    with path.open("a") as file:
        file.write(
            json.dumps({**reading, "document": "new", "latency_s": 0}).replace('latency_s": 0', f'latency_s": {number}')
        )
    found = read_evidence(path)
    assert found.skipped_lines == 1
    assert not any("new" in readings for readings in found.readings.values())
