"""The main job: a scenario becomes a run folder; several policies become a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import pyarrow as pa
from threadpoolctl import threadpool_limits

from experiments.assemble import assemble
from experiments.metrics import key_figures
from experiments.provenance import code_version, package_versions, peak_memory_mb, version
from experiments.reading import Run, read_run
from experiments.report import write_report
from experiments.run_folder import check_free, default_folder, whole_folder, write_json, write_table
from experiments.shipped import load_scenario
from sim.clock import STEPS_PER_DAY
from sim.contracts import Dispatcher, Fleet
from sim.recorder import Recorder
from sim.scenario import Scenario
from sim.scenario_reading import dump_scenario

OnStep = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Runs of several policies on the same travel and weather."""

    path: Path
    runs: dict[str, Run]
    table: pd.DataFrame  # one row per key figure: a column per policy, then differences to the first


def run(
    scenario: str | Path | Scenario,
    *,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    policy: str | None = None,
    dispatcher: Dispatcher | None = None,
    on_step: OnStep | None = None,
) -> Run:
    """Simulate one scenario and leave a run folder.

    Parameters
    ----------
    scenario
        Name of a shipped scenario, path of a TOML file, or a validated scenario.
    out
        The folder to make; default ``runs/<scenario>-<policy>-<seed>`` with a counter.
    overrides
        ``key=value`` strings as of ``--set``.
    seed, policy
        Short for the overrides ``simulation.seed`` and ``dispatch.policy``.
    dispatcher
        An own policy object instead of a named one; its ``name`` stands in the folder's name, and the folder says so.
    on_step
        Called with (steps done, steps in all).

    Returns
    -------
    Run
        The folder, opened.

    Raises
    ------
    ScenarioError, RunFolderError, PolicyError
        Each with one clear message.
    """
    loaded = resolve(scenario, overrides=overrides, seed=seed, policy=policy)
    name = loaded.dispatch.policy if dispatcher is None else dispatcher.name
    stem = f"{loaded.scenario.name}-{name}-{loaded.simulation.seed}"
    target = Path(out) if out is not None else default_folder(Path("runs"), stem)
    check_free(target)
    with threadpool_limits(limits=1), whole_folder(target) as folder:
        _simulate_into(folder, loaded, dispatcher, on_step)
    return read_run(target)


def compare(
    scenario: str | Path | Scenario,
    policies: Sequence[str],
    *,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """Run several policies on the same travel and weather.

    Returns
    -------
    Comparison
        Folder with one run folder per policy and ``comparison.csv``.
    """
    loaded = [resolve(scenario, overrides=overrides, seed=seed, policy=policy) for policy in policies]
    first = loaded[0]
    stem = f"{first.scenario.name}-compare-{first.simulation.seed}"
    target = Path(out) if out is not None else default_folder(Path("runs"), stem)
    with threadpool_limits(limits=1), whole_folder(target) as folder:
        for policy, one in zip(policies, loaded, strict=True):
            inner = folder / folder_name(policy)
            inner.mkdir()
            _simulate_into(inner, one, None, _named(on_step, policy))
        runs = {policy: read_run(folder / folder_name(policy)) for policy in policies}
        table = comparison_table({policy: dict(one.kpis) for policy, one in runs.items()})
        table.to_csv(folder / "comparison.csv")
    return Comparison(
        path=target, runs={policy: read_run(target / folder_name(policy)) for policy in policies}, table=table
    )


def comparison_table(figures: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Key figures side by side, with each policy's difference to the first.

    >>> comparison_table({"a": {"x_kwh": 3.0}, "b": {"x_kwh": 5.0}})
             a    b  b - a
    kpi
    x_kwh  3.0  5.0    2.0
    """
    table = pd.DataFrame(figures)
    table.index.name = "kpi"
    first, *others = list(figures)
    for name in others:
        table[f"{name} - {first}"] = table[name] - table[first]
    return table


def folder_name(policy: str) -> str:
    """Name of a policy's folder within a comparison.

    >>> folder_name("own-cost"), folder_name("mine.rules:ValleyFirst")
    ('own-cost', 'mine.rules-ValleyFirst')
    """
    return policy.replace(":", "-")


def resolve(
    scenario: str | Path | Scenario,
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    policy: str | None = None,
) -> Scenario:
    """Scenario as it will run, with overrides, read and checked."""
    more = list(overrides)
    if seed is not None:
        more.append(f"simulation.seed={seed}")
    if policy is not None:
        more.append(f'dispatch.policy="{policy}"')
    return load_scenario(scenario, more)


def _named(on_step: Callable[[str, int, int], None] | None, policy: str) -> OnStep | None:
    if on_step is None:
        return None
    return lambda done, total: on_step(policy, done, total)


def _simulate_into(
    folder: Path, scenario: Scenario, dispatcher: Dispatcher | None, on_step: OnStep | None
) -> None:
    started, begin = datetime.now(UTC), perf_counter()
    simulation, actors = assemble(scenario, dispatcher=dispatcher, on_step=on_step)
    recorder = simulation.run()
    tables = _write_tables(folder, recorder, actors.fleet)
    (folder / "scenario.toml").write_text(dump_scenario(scenario), encoding="utf-8")
    world, n_steps = actors.world, scenario.simulation.days * STEPS_PER_DAY
    figures = key_figures(
        scenario,
        tables,
        energy_value=actors.site.energy_value_per_kwh,
        grid_kg_per_kwh=world.grid_kg_per_kwh[world.rows(0, n_steps)],
        clipped_kwh=recorder.clipped_kwh + recorder.cut_kwh,
    )
    write_json(folder / "kpis.json", figures)
    manifest: dict[str, Any] = {
        "version": version(),
        "code_version": code_version(),
        "packages": package_versions(),
        "scenario": scenario.scenario.name,
        "policy": actors.dispatcher.name,
        "policy_object": dispatcher is not None,
        "seed": scenario.simulation.seed,
        "replication": scenario.simulation.replication,
        "start": scenario.simulation.start.isoformat(),
        "started_at": started.isoformat(timespec="seconds"),
        "wall_seconds": perf_counter() - begin,
        "peak_memory_mb": peak_memory_mb(),
        "status": "complete",
        "reproducible": dispatcher is None,
    }
    write_json(folder / "manifest.json", manifest)
    if scenario.output.report:
        write_report(folder, folder / "report.html")


def _write_tables(folder: Path, recorder: Recorder, fleet: Fleet) -> dict[str, pa.Table]:
    columns = {
        "vehicles": fleet.vehicle_columns(),
        "trips": fleet.trip_columns(),
        "segments": fleet.segment_columns(),
        "domain": recorder.domain_columns(),
        "grid": recorder.grid_columns(),
        "storage": recorder.storage_columns(),
        "ties": recorder.tie_columns(),
        "decisions": recorder.decision_columns(),
        "marginals": recorder.marginal_columns(),
        "forecasts": recorder.forecast_columns(),
    }
    return {name: write_table(folder, name, values) for name, values in columns.items()}
