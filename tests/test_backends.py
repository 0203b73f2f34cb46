"""Backends by name and request, and the names of cells."""

from __future__ import annotations

import pytest
from PIL import Image

from harness.backends import Answer, BackendRequest, BatchBackend, check_own_backend, create_backend
from harness.cells import Cell
from harness.errors import UnknownNameError, UnsupportedError
from tests.fake_backends import Configured, Echo, EchoBatch

FAKES = "python:tests.fake_backends."


def request(name: str, **values) -> BackendRequest:
    return BackendRequest(backend=name, **values)


def test_a_class_is_constructed_by_its_request_if_it_takes_one():
    asked = request(f"{FAKES}Configured", quantization="nf4", device="cuda:1", settings={"source": "./x"})
    backend = create_backend(asked)
    assert isinstance(backend, Configured)
    assert backend.request == asked
    assert isinstance(create_backend(request(f"{FAKES}Echo")), Echo)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"quantization": "nf4"}, "takes no quantization: nf4 was asked, it knows only none"),
        ({"device": "cuda"}, "takes no device: cuda was asked, it knows only cpu"),
        ({"runtime": "compiled"}, "takes no runtime: compiled was asked"),
        ({"settings": {"source": "x", "family": "y"}}, "takes no settings; given: family, source"),
    ],
)
@pytest.mark.parametrize("name", [f"{FAKES}Echo", "all-na", "ocr-rules", f"blind:{FAKES}Echo"])
def test_a_plain_backend_refuses_what_it_would_ignore(name, values, message):
    with pytest.raises(UnsupportedError, match=message.partition(";")[0]):
        create_backend(request(name, **values))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nope.Reader", "there is no module nope"),
        ("tests.nope.Reader", "there is no module tests.nope"),
        ("json.decoder.inner.Reader", "there is no module json.decoder.inner"),
        ("tests.pixel_pages.Readr", "there is no Readr in tests.pixel_pages; did you mean Reader"),
        ("json.Reader", "there is no Reader in json"),
    ],
)
def test_an_own_backend_that_is_not_there_is_told_before_it_is_asked_for(name, why):
    with pytest.raises(UnknownNameError, match=why):
        check_own_backend(f"python:{name}")


@pytest.mark.parametrize(
    "name",
    [
        "tests.pixel_pages.Reader",
        "evals.selftest.backends.Perfect",
        "json.JSONDecoder",
        "math.sqrt",
        "tests.chromium.Path",
    ],
)
def test_an_own_backend_is_taken_where_its_source_names_it_or_tells_nothing(name):
    check_own_backend(f"python:{name}")


@pytest.mark.parametrize(
    "name",
    [
        "ocr-rule",
        "blind:ocr-rule",
        "blind:blind:ocr-rules",
        "python:nothing",
        "python:.Reader",
        "python:a..B",
        "python:a b.C",
    ],
)
def test_unknown_names(name):
    with pytest.raises(UnknownNameError, match="unknown backend"):
        create_backend(request(name))


def test_a_backend_of_one_s_own_is_named_by_module_and_class():
    with pytest.raises(UnknownNameError, match=r"unknown backend 'python:nothing'.* python:module.Class"):
        create_backend(request("python:nothing"))


@pytest.mark.parametrize(("name", "batches"), [("Echo", False), ("EchoBatch", True)])
def test_a_blindfold_hides_the_page_and_nothing_else(name, batches):
    class Seen(EchoBatch if batches else Echo):
        def read(self, image, prompt):
            seen.append((image.size, image.mode, image.getextrema()))
            return Answer(text=prompt)

    seen: list = []
    blind = create_backend(request(f"blind:{FAKES}{name}"))
    assert isinstance(blind, BatchBackend) is batches
    blind._backend = blind._batch_backend = Seen()
    pages = [Image.new("RGB", (5, 7), "red"), Image.new("RGB", (9, 3), "blue")]
    answers = blind.read_batch(pages, "p") if batches else [blind.read(page, "p") for page in pages]
    assert [answer.text for answer in answers] == ["p", "p"]
    white = ((255, 255),) * 3
    assert seen == [((5, 7), "RGB", white), ((9, 3), "RGB", white)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "tiny"),
        ({"quantization": "nf4"}, "tiny-nf4"),
        ({"quantization": "fp32", "strategy": "multi"}, "tiny-fp32+multi"),
        ({"quantization": "fp32", "batch_size": 8, "device": "cuda:1", "repeat": 2}, "tiny-fp32@b8@cuda:1#2"),
    ],
)
def test_a_cell_is_named_by_what_differs_from_the_default(values, expected):
    assert Cell(model="tiny", **values).id == expected
