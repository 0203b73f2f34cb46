"""What a worker does on a node, with a real process behind it and without Ray; and what the options allow."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.session import open_session
from harness.cells import Cell, Failure
from harness.documents import Corpus, load_corpus
from harness.executors import ExecutorError, RayOptions
from harness.executors.nodes import sources_fingerprint
from harness.executors.shard_worker import ShardWorker
from harness.executors.sharding import requests_of
from harness.executors.transport import Absent, Finished, Order, Place, Read, Shard
from harness.worker.supervisor import request_for
from tests.eval_options import parse_options
from tests.pixel_pages import receipts, write_corpus
from tests.test_session import silent

CELL = Cell(model="python:tests.pixel_pages.Reader")
PLACE = Place(node="n1", machine="m1")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return load_corpus(write_corpus(tmp_path_factory.mktemp("corpus"), receipts(4)))


def order(**more: object) -> Order:
    found = Order(
        cell=CELL,
        request=request_for(CELL),
        prompt="?",
        read_timeout_s=30,
        load_timeout_s=60,
        threads=1,
        sources=sources_fingerprint(),
    )
    return replace(found, **more)


def test_shards_of_a_cell_are_read_by_one_process(corpus) -> None:
    requests = requests_of(corpus.documents, 1)
    worker = ShardWorker(order(), 7, PLACE)
    try:
        (load,) = worker.load().loads
        events = [event for part in (requests[:3], requests[3:]) for event in worker.read(Shard(requests=part))]
    finally:
        worker.close()
    assert [type(event) for event in events] == [Read, Read, Read, Finished, Read, Finished]
    assert (load.facts["node"], load.facts["machine"], load.facts["worker"], load.restart) == ("n1", "m1", 7, 0)
    readings = [reading for event in events if isinstance(event, Read) for reading in event.readings]
    assert [r.document for r in readings] == [d.name for d in corpus.documents]
    assert all("SUPPLIER: Shop" in str(r.text) for r in readings)
    assert {(r.facts["node"], r.facts["worker"]) for r in readings} == {("n1", 7)}
    assert not any(event.loads for event in events if isinstance(event, Read)), "none was started anew"


def test_images_that_the_node_lacks_or_has_otherwise_are_asked_for_and_checked(corpus, tmp_path) -> None:
    first, second, third, _ = (request[0] for request in requests_of(corpus.documents, 1))
    missing = replace(first, path=tmp_path / "nowhere" / first.path.name)
    other = replace(second, path=third.path)  # another file under that path
    shard = Shard(requests=[(missing, third), (other,)])
    true = {page.document: page.path.read_bytes() for page in (first, second, third)}
    worker = ShardWorker(order(cell=replace(CELL)), 0, PLACE)
    try:
        worker.load()
        absent = list(worker.read(shard))
        sent = list(worker.read(shard, true.__getitem__))
        changed = list(worker.read(Shard(requests=[(missing,)]), lambda document: b"no image"))
    finally:
        worker.close()
    assert [e.documents for e in absent if isinstance(e, Absent)] == [[first.document], [second.document]]
    read = {r.document: r.text for e in sent if isinstance(e, Read) for r in e.readings}
    assert read.keys() == true.keys()
    for page, number in ((first, 0), (second, 1), (third, 2)):
        assert f"SUPPLIER: Shop {number}" in str(read[page.document])
    (refused,) = (r for e in changed if isinstance(e, Read) for r in e.readings)
    assert refused.failure is Failure.ERROR
    assert "no longer the one that the run began with" in str(refused.message)


def test_a_node_with_other_sources_is_refused() -> None:
    with pytest.raises(ExecutorError, match="install the same version on every node"):
        ShardWorker(order(sources="0" * 64), 0, PLACE)


def test_a_fingerprint_is_of_names_and_contents(tmp_path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    one = sources_fingerprint(tmp_path)
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    renamed = sources_fingerprint(tmp_path)
    (tmp_path / "b.py").write_text("x = 2\n")
    assert len({one, renamed, sources_fingerprint(tmp_path)}) == 3
    (tmp_path / "notes.txt").write_text("not a module")
    assert len({one, renamed, sources_fingerprint(tmp_path)}) == 3


def test_the_default_is_this_machine_and_no_ray(tmp_path) -> None:
    assert parse_options(report=tmp_path).ray is None


def test_options_of_ray(tmp_path) -> None:
    given = (
        "--eval-executor",
        "ray",
        "--eval-ray-address",
        "auto",
        "--eval-ray-workers",
        "6",
        "--eval-ray-cpus",
        "0.5",
    )
    found = parse_options(*given, report=tmp_path)
    assert found.ray == RayOptions(address="auto", workers=6, cpus=0.5)
    assert found.ray.gpus_for("cpu") == 0
    assert found.ray.gpus_for("cuda") == 1
    on_gpus = parse_options("--eval-executor", "ray", "--eval-device", "cuda", "--eval-ray-gpus", "2", report=tmp_path)
    assert on_gpus.ray is not None
    assert on_gpus.ray.gpus_for("cuda") == 2
    assert on_gpus.sweep == (), "a sweep measures one device"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--eval-ray-workers", "2"), "only with --eval-executor ray"),
        (("--eval-executor", "ray", "--eval-ray-address", "ray://head:10001"), "node of the cluster"),
        (("--eval-executor", "ray", "--eval-ray-workers", "0"), "at least 1"),
        (("--eval-executor", "ray", "--eval-ray-cpus", "0"), "more than 0"),
        (("--eval-executor", "ray", "--eval-ray-gpus", "1"), "--eval-device cuda"),
        (("--eval-executor", "ray", "--eval-device", "cuda", "--eval-ray-gpus", "1.5"), "a share of one GPU"),
        (("--eval-executor", "ray", "--eval-device", "cuda:1"), "Ray chooses the GPU"),
        (("--eval-executor", "ray", "--eval-device", "cuda:all"), "--eval-ray-gpus"),
        (("--eval-executor", "ray", "--eval-sweep", "1,2"), "measures one device"),
        (("--eval-executor", "ray", "--eval-models", "tiny-internvl-served"), "this machine alone"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message, tmp_path) -> None:
    with pytest.raises(pytest.UsageError, match=message):
        parse_options(*arguments, report=tmp_path)


def test_without_ray_the_error_says_what_to_install(monkeypatch, corpus, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    options = parse_options("--eval-executor", "ray", "--eval-documents", str(corpus.root), report=tmp_path / "out")
    with pytest.raises(ExecutorError, match=r"pip install 'docvlm-evals\[ray\]'"), open_session(options, silent):
        pass
    assert not Path(tmp_path / "out").exists(), "nothing was begun"
