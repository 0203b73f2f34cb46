"""What the runtime `fast` gives on a processor, beside the library's own `generate`: the same pages, round by round."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from harness.backends import BackendRequest
from harness.backends.generative import TransformersBackend
from harness.prompts import prompt
from harness.statistics import mean_interval
from tests.library_warnings import MLLAMA_WARNS

ROUNDS = int(os.environ.get("DOCVLM_BENCHMARK_ROUNDS", "3"))
PAGES = 8
REPOSITORY = Path(__file__).parents[2]


def opened(model: str, runtime: str, slots: int = 0) -> TransformersBackend:
    source = str(REPOSITORY / "fixtures" / "checkpoints" / model)
    settings: dict[str, str | int] = {"source": source, "max_new_tokens": 600, "slots": slots}
    backend = TransformersBackend.from_request(
        BackendRequest(backend="transformers", quantization="fp32", runtime=runtime, settings=settings)
    )
    backend.load()
    return backend


def timed(backend: TransformersBackend, groups: Sequence[Sequence[Image.Image]]) -> tuple[float, list[str]]:
    start = time.perf_counter()
    said = [answer.text for group in groups for answer in backend.read_batch(group, prompt().text)]
    return time.perf_counter() - start, said


@pytest.mark.parametrize("model", ["tiny-internvl", "tiny-mllama"])
@MLLAMA_WARNS
def test_it_is_no_slower_and_says_the_same(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = sorted((REPOSITORY / "fixtures" / "corpus").glob("*.png"))
    pages = [Image.open(path).convert("RGB") for path in found[:: len(found) // PAGES][:PAGES]]
    alone, together = [[page] for page in pages], [pages]
    library = opened(model, "eager")
    ours = {
        "fast, alone": (opened(model, "fast"), alone),
        "fast, 4 slots": (opened(model, "fast", 4), together),
        f"fast, {PAGES} slots": (opened(model, "fast"), together),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ("eager, alone", *ours)}
    for _ in range(ROUNDS):
        spent, wanted = timed(library, alone)
        seconds["eager, alone"].append(spent)
        for name, (backend, groups) in ours.items():
            spent, said = timed(backend, groups)
            seconds[name].append(spent)
            assert said == wanted, name
    lines = [f"{model}, fp32, {PAGES} pages, {ROUNDS} rounds: seconds a page, and times as fast as eager"]
    for name, values in seconds.items():
        faster = mean_interval([plain / own for plain, own in zip(seconds["eager, alone"], values, strict=True)])
        ends = "" if faster.low is None else f" [{faster.low:.2f}, {faster.high:.2f}]"
        lines.append(f"  {name}: {statistics.median(values) / PAGES:.2f} s, {faster.value:.2f}{ends}")
        assert faster.high is None or faster.high >= 1, lines[-1]
    with capsys.disabled():
        print("\n" + "\n".join(lines))  # noqa: T201 - the measurement is the point
