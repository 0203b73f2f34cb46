"""Figures that set cells beside each other: what is drawn, what is left out, and what they say of it."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cells import Role
from harness.evidence import AggregateRecord, CellRecord, RunRecord, read_evidence
from harness.importers.device_benchmark import import_device_benchmark
from harness.schema import FIELD_NAMES
from reports.devices import device_parts
from reports.figures.devices import draw_devices, draw_imported, draw_tasks
from reports.figures.heatmap import draw_fields
from reports.figures.overview import draw_overview, draw_precisions
from reports.figures.pareto import draw_pareto, pareto_front
from reports.figures.style import drawing
from reports.summary import summarise
from tests import gpu_evidence, grid_evidence, routing_evidence
from tests import report_evidence as evidence

MIB = evidence.MIB


def summary_of(folder, records):
    return summarise(read_evidence(evidence.write(folder / "evidence.jsonl", records)))


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    return summary_of(tmp_path_factory.mktemp("grid"), grid_evidence.grid())


@pytest.fixture(scope="module")
def gpus(tmp_path_factory):
    return summary_of(tmp_path_factory.mktemp("gpus"), gpu_evidence.gpus())


@pytest.fixture(autouse=True)
def style():
    with drawing() as to_png:
        yield to_png


def words(canvas) -> list[str]:
    """Every text of a figure that is to be seen."""
    import matplotlib.text

    canvas.canvas.draw()
    return [t.get_text() for t in canvas.findobj(matplotlib.text.Text) if t.get_visible() and t.get_text()]


def overlapping(canvas) -> list[tuple[str, str]]:
    """Pairs of row labels, values or titles of one pair of axes that cover each other."""
    canvas.canvas.draw()
    renderer = canvas.canvas.get_renderer()
    found = []
    for axes in canvas.axes:
        texts = [t for t in [*axes.texts, *axes.get_yticklabels(), axes.title] if t.get_text() and t.get_visible()]
        boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts]
        for i, (one, a) in enumerate(boxes):
            found += [(one, two) for two, b in boxes[i + 1 :] if a.overlaps(b)]
    return found


# --- the front -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([(1, 1)], [0]),
        ([(1, 1), (2, 2)], [0, 1]),
        ([(1, 2), (2, 1)], [0]),
        ([(1, 1), (1, 2)], [1]),
        ([(2, 5), (1, 5)], [1]),
        ([(1, 3), (1, 3), (2, 3)], [0, 1]),
        ([(3, 9), (1, 1), (2, 0.5), (2, 4)], [1, 3, 0]),
        ([], []),
    ],
)
def test_front_is_what_nothing_beats(points, front):
    assert list(pareto_front(points)) == front


def test_front_by_definition():
    points = [((i * 7919) % 101, (i * 104729) % 97) for i in range(200)]

    def beaten(p):
        return any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points)

    assert {points[i] for i in pareto_front(points)} == {p for p in points if not beaten(p)}


def test_pareto_has_a_panel_for_each_cost_that_two_cells_have(grid, tmp_path):
    canvas, _, caption = draw_pareto(grid)
    assert [a.get_xlabel().rpartition(", ")[2] for a in canvas.axes] == ["s", "GiB"]
    assert canvas.axes[0].get_ylabel() == "F1, percent"
    assert "by median latency per document: tiny-internvl-fp32" in caption
    asked = evidence.documents(6)
    one = evidence.candidate("a", asked, skill=0.9, seconds=1, base=MIB)
    assert draw_pareto(summary_of(tmp_path, [*evidence.opening(asked), *one])) is None, "one cell is no comparison"


def test_pareto_compares_over_the_documents_that_all_read(tmp_path):
    asked = evidence.documents(12)
    cells = [
        evidence.candidate("whole", asked, skill=0.9, seconds=1, base=MIB),
        evidence.candidate("part", asked[:5], skill=0.9, seconds=2, base=MIB),
    ]
    summary = summary_of(tmp_path, [*evidence.opening(asked), *(record for cell in cells for record in cell)])
    canvas, _, caption = draw_pareto(summary)
    assert "All points are over the 5 documents that all cells were asked to read." in caption
    legend = canvas.axes[0].get_legend_handles_labels()[1]
    assert [name.rpartition("n=")[2] for name in legend] == ["5", "5"]
    drawn = {y for axes in canvas.axes for line in axes.lines if line.get_marker() != "None" for y in line.get_ydata()}
    common = {d.document for d in asked[:5]}
    assert drawn == {100 * c.result.metrics(common)["f1"].value for c in summary.candidates}
    one, two = asked[:5], asked[5:]
    cells = [
        evidence.candidate(name, read, skill=0.9, seconds=1, base=MIB) for name, read in (("one", one), ("two", two))
    ]
    records = [*evidence.opening(asked), *(record for cell in cells for record in cell)]
    assert draw_pareto(summary_of(tmp_path, records)) is None, "no document in common"


def test_pareto_leaves_out_what_was_disturbed_and_what_is_not_scored(gpus):
    canvas, _, _ = draw_pareto(gpus)
    assert not any("Llama" in word for word in words(canvas))


def test_pareto_ranks_no_energy_that_the_winners_leave_out(tmp_path):
    papers = routing_evidence.asked(10)
    cells = [gpu_evidence.gpu_cell(n, "bf16", papers, weights=4e9, slower=s) for n, s in (("a", 1.0), ("b", 1.5))]
    apart = {routing_evidence.number(d): {"power_j": 100.0} for d in papers}
    odd = gpu_evidence.gpu_cell("odd", "bf16", papers, weights=4e9, slower=0.1, unlike=apart)
    _, _, caption = draw_pareto(routing_evidence.summary_of(tmp_path, papers, odd, *cells))
    by_cost = caption.partition("On the front ")[2]
    assert "latency per document: odd-bf16@cuda" in by_cost
    assert "odd-bf16@cuda" not in by_cost.partition("energy")[2]


def test_points_differ_without_colour(grid):
    canvas, _, _ = draw_pareto(grid)
    legend = canvas.axes[0].get_legend_handles_labels()[0]
    assert len(legend) == 10
    assert len({(line.get_marker(), line.get_fillstyle()) for line in legend}) == len(legend)


# --- overview and precisions -----------------------------------------------------------------------------------


def test_overview_shows_four_panels_with_units(grid):
    canvas, _, _ = draw_overview(grid)
    assert [a.get_title(loc="left") for a in canvas.axes] == ["Quality", "Speed", "Host memory", "Throughput"]
    assert all(any(unit in a.get_xlabel() for unit in ("percent", ", s", "GiB", "per minute")) for a in canvas.axes), [
        a.get_xlabel() for a in canvas.axes
    ]
    assert "random weights" in words(canvas)


def test_overview_names_failures_and_never_draws_them_as_zero(gpus):
    canvas, _, caption = draw_overview(gpus)
    found = words(canvas)
    for failure in ("load-oom", "unsupported", "crash"):
        assert found.count(failure) == 4, failure
    assert "disturbed" in caption
    assert "output length fixed" in caption


def test_overview_of_a_log_without_an_answer_is_none(tmp_path):
    asked = evidence.documents(3)
    assert draw_overview(summary_of(tmp_path, [*evidence.opening(asked), *evidence.unloadable("x", asked)])) is None


def test_precisions_go_from_wide_to_narrow_and_need_two(grid, tmp_path):
    canvas, _, _ = draw_precisions(grid)
    assert [t.get_text() for t in canvas.axes[0].get_xticklabels()] == ["fp32", "bf16", "int8", "nf4"]
    asked = evidence.documents(6)
    alone = grid_evidence.model_cell("tiny-mllama", "bf16", asked)
    assert draw_precisions(summary_of(tmp_path, [*evidence.opening(asked), *alone])) is None


def test_precisions_of_random_weights_have_costs_alone(gpus):
    canvas, _, caption = draw_precisions(gpus)
    assert [a.get_title(loc="left") for a in canvas.axes] == ["Speed", "Device memory", "Energy"]
    assert "random weights" in caption


# --- heat maps -------------------------------------------------------------------------------------------------


def test_fields_are_all_there_for_several_cells(grid):
    canvas, _, _ = draw_fields(grid)
    rows = [t.get_text() for t in canvas.axes[0].get_yticklabels()]
    assert {row.split()[0] for row in rows} == set(FIELD_NAMES)
    assert any("not judged" in row for row in rows)


def test_many_cells_are_drawn_one_precision_of_each_model(tmp_path):
    asked = evidence.documents(3)
    cells = [
        record
        for i in range(8)
        for mode in ("fp32", "bf16", "int8", "nf4")
        for record in grid_evidence.model_cell("tiny-mllama", mode, asked, cell=f"m{i}-{mode}", how={"model": f"m{i}"})
    ]
    canvas, _, caption = draw_fields(summary_of(tmp_path, [*evidence.opening(asked), *cells]))
    assert [t.get_text() for t in canvas.axes[0].get_xticklabels()] == [f"m{i}-bf16" for i in range(8)]
    assert "8 of 32 cells" in caption


def imported(*rows, kind="device-benchmark"):
    """A log of aggregates: (model, device, metric, value, sensor)."""
    (run, *_) = evidence.opening([])
    assert isinstance(run, RunRecord)
    run = replace(run, provenance={**run.provenance, "imported": {"kind": kind}})
    cells = dict.fromkeys((model, device) for model, device, *_ in rows)
    loads = [
        CellRecord(cell=f"{m}@{d}", model=m, quantization="none", runtime="eager", device=d, role=Role.CANDIDATE)
        for m, d in cells
    ]
    numbers = [
        AggregateRecord(cell=f"{m}@{d}", metric=metric, value=v, unit="W", definition="mean power", sensor=sensor)
        for m, d, metric, v, sensor in rows
    ]
    return [run, *loads, *numbers]


def test_devices_are_drawn_where_a_cell_is_on_two(tmp_path, grid):
    assert draw_devices(grid) is None, "one device"
    rows = [("a", "one", "power", 5.0, "rail"), ("a", "two", "power", 7.0, "rail"), ("b", "one", "power", 6.0, "rail")]
    summary = summary_of(tmp_path, imported(*rows))
    assert draw_devices(summary) is None, "no metric of METRICS"
    canvas, _, caption = draw_imported(summary)
    assert [t.get_text() for t in canvas.axes[0].get_yticklabels()] == ["one", "two"]
    assert [t.get_text() for t in canvas.axes[0].get_xticklabels()] == ["a", "b"]
    assert canvas.axes[0].get_title(loc="left") == "Power, W"
    assert "Hatched grey" not in caption


def test_another_sensor_is_drawn_hatched(tmp_path):
    rows = [("a", "one", "power", 5.0, "x"), ("b", "one", "power", 6.0, "x"), ("a", "two", "power", 7.0, "y")]
    canvas, _, caption = draw_imported(summary_of(tmp_path, imported(*rows)))
    assert [p.get_hatch() for p in canvas.axes[0].patches] == ["////"]
    assert "Hatched grey" in caption


def test_tasks_need_two_devices(gpus, grid):
    assert draw_tasks(grid) is None
    canvas, _, _ = draw_tasks(gpus)
    assert [t.get_text() for t in canvas.axes[0].get_yticklabels()] == ["invoice", "receipt", "statement"]


# --- all of them -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [draw_overview, draw_pareto, draw_precisions, draw_fields])
def test_no_text_covers_another(grid, draw):
    canvas, _, _ = draw(grid)
    assert overlapping(canvas) == []


def test_the_check_for_overlaps_sees_one(grid):
    canvas, _, _ = draw_overview(grid)
    canvas.axes[0].text(0.5, 0.5, "one")
    canvas.axes[0].text(0.5, 0.5, "two")
    assert ("one", "two") in overlapping(canvas)


@pytest.mark.parametrize("draw", [draw_overview, draw_pareto])
def test_the_same_summary_gives_the_same_bytes(gpus, style, draw):
    first, second = (style(draw(gpus)[0]) for _ in range(2))
    assert first == second
    assert io.BytesIO(first).read(8) == b"\x89PNG\r\n\x1a\n"


# --- the published runs ----------------------------------------------------------------------------------------

PUBLISHED = Path(os.environ.get("DOCVLM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")) / "published"


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"the published data are not at {PUBLISHED}")
def test_published_table_gives_heat_maps_of_three_devices(tmp_path):
    records = import_device_benchmark(PUBLISHED / "device_benchmark" / "vision_model_metrics.csv")
    summary = summary_of(tmp_path, records)
    canvas, _, _ = draw_imported(summary)
    panels = {a.get_title(loc="left"): a for a in canvas.axes}
    assert {tuple(t.get_text() for t in a.get_yticklabels()) for a in canvas.axes} == {("dell", "orin", "thor")}
    refused = {title: len(a.patches) for title, a in panels.items()}
    assert refused["Latency mean, s"] == 0
    assert refused["Mean power, W"] == 18, "orin and thor measure another rail than dell, which has 11 of 29 runs"
    text = "\n".join(device_parts(summary, {}))
    assert "Latency mean" in text
    assert "sensor not told, on thor instead of not told, on dell" in text
    assert overlapping(canvas) == []
