"""What a row of `vision_model_metrics.csv` says of its run: numbers, and claims beside what the row itself gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.cells import Cell
from harness.evidence import AggregateRecord, ClaimRecord
from harness.importers.device_runs import NO_SENSOR, DeviceRun
from harness.importers.sources import Place

__all__ = ["left_out", "most_efficient", "row_aggregates", "row_claims"]

_CLOSES = 0.05
_PER_WATT = "response tokens / whole wall time / mean power"


def row_aggregates(
    row: Place, cells: Mapping[str, Cell], runs: Mapping[str, DeviceRun], sensors: Mapping[str, str]
) -> Sequence[AggregateRecord]:
    """Numbers of a run of `cells`, by its folder; `sensors` of power, by device in lower case, for runs without one."""
    key = row.value["run_dir"]
    cell, run = cells[key], runs.get(key)
    power = sensors.get(cell.device.lower(), f"not told, on {cell.device}")
    if run is not None and run.sensor != NO_SENSOR:
        power = run.sensor
    tokens = row.at("response_tokens").count()
    inferences = None if run is None else len(run.readings)
    found = [
        ("latency_mean", row.at("latency_ms_mean").number() / 1000, "s", "mean time of the inferences", None),
        (
            "response_tok_per_wall_s",
            tokens / row.at("duration_seconds").positive(),
            "1/s",
            "response tokens as the source estimates them / whole wall time of the run, idle time included",
            None,
        ),
        ("mean_power", row.at("avg_power_watts").number(), "W", "mean over inferences of their mean power", power),
        (
            "machine_ram_mean",
            row.at("avg_ram_gb").number() * 2**30,
            "B",
            "mean over inferences of the memory in use, by anybody, on the whole machine",
            "the machine",
        ),
    ]
    if tokens:
        each = row.at("total_energy_joules").number() / tokens
        found.append(("j_per_response_tok", each, "J", "energy during inferences / response tokens", power))
    if (per_watt := _per_watt(row, tokens)) is not None:
        found.append(("response_tok_per_s_per_w", per_watt, "1/s/W", _PER_WATT, power))
    return [
        AggregateRecord(cell=cell.id, metric=m, value=v, unit=unit, definition=d, n=inferences, sensor=sensor)
        for m, v, unit, d, sensor in found
    ]


def _per_watt(row: Place, tokens: int) -> float | None:
    """Of a run whose power is told."""
    watts = row.at("avg_power_watts").number()
    return tokens / row.at("duration_seconds").positive() / watts if watts > 0 else None


def row_claims(row: Place, cell: str) -> Sequence[ClaimRecord]:
    """What the row publishes, by its own definition and by response tokens alone."""
    prompts, answers = row.at("prompt_tokens").count(), row.at("response_tokens").count()
    wall_s, energy = row.at("duration_seconds").positive(), row.at("total_energy_joules").number()
    drawn = row.at("avg_power_watts").number() * wall_s
    off = abs(energy - drawn) / energy if energy else None
    counted, kind = "response tokens alone (prompt_tokens is 0)", "prompt tokens are not told"
    if prompts:
        share = 100 * prompts / (prompts + answers)
        counted, kind = "prompt and response tokens", f"{share:.1f} % of its tokens were read, not written"
    found = [
        ClaimRecord(
            name="tokens per second",
            cell=cell,
            published=row.at("tokens_per_sec").number(),
            published_definition=f"tokens_per_sec: {counted} / whole wall time",
            reproduced=(prompts + answers) / wall_s,
            recomputed=answers / wall_s,
            recomputed_definition="response tokens / whole wall time",
            unit="1/s",
            verdict=kind,
        ),
        ClaimRecord(
            name="energy closes",
            cell=cell,
            published=energy,
            published_definition="total_energy_joules",
            recomputed=drawn,
            recomputed_definition="avg_power_watts x duration_seconds",
            unit="J",
            verdict="no energy is told"
            if off is None
            else f"{energy / drawn:.2f} of power x wall time: {'closes' if off <= _CLOSES else 'DOES NOT CLOSE'}"
            if drawn
            else "no power is told",
        ),
    ]
    if (per_watt := _per_watt(row, answers)) is not None:
        found.append(
            ClaimRecord(
                name="tokens per second per watt",
                cell=cell,
                published=row.at("tps_per_watt").number(),
                published_definition=f"tps_per_watt: {counted} / whole wall time / mean power",
                reproduced=_per_watt(row, prompts + answers),
                recomputed=per_watt,
                recomputed_definition=_PER_WATT,
                unit="1/s/W",
                verdict=kind,
            )
        )
    if answers and prompts + answers:
        found.insert(
            1,
            ClaimRecord(
                name="energy per token",
                cell=cell,
                published=row.at("joules_per_token").number(),
                published_definition=f"joules_per_token: energy / {counted}",
                reproduced=energy / (prompts + answers),
                recomputed=energy / answers,
                recomputed_definition="energy / response tokens",
                unit="J",
                verdict=kind,
            ),
        )
    return found


def most_efficient(rows: Sequence[Place], cells: Mapping[str, Cell]) -> Sequence[ClaimRecord]:
    """For each device with several runs the one of the most tokens per second per watt, as published and by response
    tokens alone: one sensor, so that its runs may be ranked among each other."""
    found = []
    for device in dict.fromkeys(cells[row.value["run_dir"]].device for row in rows):
        runs = {
            cell.id: (row.at("tps_per_watt").number(), per_watt)
            for row in rows
            if (cell := cells[row.value["run_dir"]]).device == device
            and (per_watt := _per_watt(row, row.at("response_tokens").count())) is not None
        }
        if len(runs) < 2:
            continue
        published = max(runs, key=lambda cell: runs[cell][0])
        ours = max(runs, key=lambda cell: runs[cell][1])
        same = published == ours
        found.append(
            ClaimRecord(
                name=f"most tokens per second per watt on {device}",
                published=runs[published][0],
                published_definition=f"highest tps_per_watt: {published}",
                recomputed=runs[ours][1],
                recomputed_definition=f"highest of {_PER_WATT}: {ours}",
                n=len(runs),
                unit="1/s/W",
                verdict=f"holds: {ours}"
                if same
                else f"turned round: {ours}; {published} has {runs[published][1]:.2f} so counted",
            )
        )
    return found


def left_out(keys: Sequence[str], runs: Sequence[DeviceRun]) -> Sequence[ClaimRecord]:
    """What the table leaves out, of the run folders that are there."""
    missing = [run for run in runs if run.run_dir not in keys]
    told = "; ".join(f"{r.run_dir}: {len(r.answered)} of {len(r.readings)} inferences gave text" for r in missing)
    return [
        ClaimRecord(
            name="runs",
            published=len(keys),
            published_definition="rows of the table",
            recomputed=len(keys) + len(missing),
            recomputed_definition="rows of the table, and run folders that it leaves out",
            unit="",
            verdict=f"the table leaves out {told}" if missing else "every run folder is in the table",
        )
    ]
