"""The main job: a scenario becomes a run folder; several policies become a comparison."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import pyarrow as pa
from threadpoolctl import threadpool_limits

from experiments.assemble import assemble, check_policies
from experiments.metrics import key_figures
from experiments.provenance import code_version, package_versions, peak_memory_mb, version
from experiments.reading import Run, read_run
from experiments.report import write_report
from experiments.run_folder import check_free, default_folder, whole_folder, write_json, write_table
from experiments.shipped import load_scenario
from sim.clock import STEPS_PER_DAY
from sim.contracts import Dispatcher, Fleet
from sim.errors import PolicyError
from sim.recorder import Recorder
from sim.scenario import Scenario
from sim.scenario_reading import dump_scenario
from sim.simulation import Actors, Simulation

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
    with threadpool_limits(limits=1):
        job = _Job.prepare(loaded, dispatcher, on_step)
        with whole_folder(target) as folder:
            job.run_into(folder)
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

    Raises
    ------
    ScenarioError, RunFolderError, PolicyError
        Each with one clear message.
    """
    if not policies:
        raise PolicyError("no policy to compare; name at least one")
    if twice := [policy for i, policy in enumerate(policies) if policy in policies[:i]]:
        raise PolicyError(f"policy {twice[0]!r} is named twice; compare each once")
    loaded = [resolve(scenario, overrides=overrides, seed=seed, policy=policy) for policy in policies]
    check_policies(loaded)
    first = loaded[0]
    stem = f"{first.scenario.name}-compare-{first.simulation.seed}"
    target = Path(out) if out is not None else default_folder(Path("runs"), stem)
    with threadpool_limits(limits=1), whole_folder(target) as folder:
        for policy, one in zip(policies, loaded, strict=True):
            inner = folder / folder_name(policy)
            inner.mkdir()
            _Job.prepare(one, None, _named(on_step, policy)).run_into(inner)
        runs = {policy: read_run(folder / folder_name(policy)) for policy in policies}
        table = comparison_table({policy: dict(one.kpis) for policy, one in runs.items()})
        table.to_csv(folder / "comparison.csv")
    return Comparison(
        path=target, runs={policy: read_run(target / folder_name(policy)) for policy in policies}, table=table
    )


def comparison_table(figures: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Key figures side by side, with each policy's difference to the first.

    >>> comparison_table({"a": {"x_kwh": 3.0}, "b": {"x_kwh": 5.0}})  # doctest: +NORMALIZE_WHITESPACE
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
    more = [overrides] if isinstance(overrides, str) else list(overrides)
    if seed is not None:
        more.append(f"simulation.seed={seed}")
    if policy is not None:
        more.append(f'dispatch.policy="{policy}"')
    return load_scenario(scenario, more)


def _named(on_step: Callable[[str, int, int], None] | None, policy: str) -> OnStep | None:
    if on_step is None:
        return None
    return lambda done, total: on_step(policy, done, total)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One simulation, ready to run."""

    scenario: Scenario
    simulation: Simulation
    actors: Actors
    is_own_object: bool  # the policy is a Python object that no scenario can name
    started: datetime
    begin: float

    @classmethod
    def prepare(cls, scenario: Scenario, dispatcher: Dispatcher | None, on_step: OnStep | None) -> _Job:
        """Build all parts; every fault of the inputs shows here, before any folder is made."""
        started, begin = datetime.now(UTC), perf_counter()
        simulation, actors = assemble(scenario, dispatcher=dispatcher, on_step=on_step)
        return cls(
            scenario=scenario,
            simulation=simulation,
            actors=actors,
            is_own_object=dispatcher is not None,
            started=started,
            begin=begin,
        )

    def run_into(self, folder: Path) -> None:
        """Simulate and write the whole folder."""
        gc.freeze()  # cars and plans live as long as the run: the collector need not look at them again and again
        try:
            recorder = self.simulation.run()
        finally:
            gc.unfreeze()
        tables = _write_tables(folder, recorder, self.actors.fleet)
        (folder / "scenario.toml").write_text(dump_scenario(self.scenario), encoding="utf-8")
        world, n_steps = self.actors.world, self.scenario.simulation.days * STEPS_PER_DAY
        figures = key_figures(
            self.scenario,
            tables,
            energy_value=self.actors.site.energy_value_per_kwh,
            grid_kg_per_kwh=world.grid_kg_per_kwh[world.rows(0, n_steps)],
            clipped_kwh=recorder.clipped_kwh + recorder.cut_kwh,
        )
        write_json(folder / "kpis.json", figures)
        write_json(folder / "manifest.json", self._manifest())
        if self.scenario.output.report:
            write_report(folder, folder / "report.html")

    def _manifest(self) -> dict[str, Any]:
        simulation = self.scenario.simulation
        return {
            "version": version(),
            "code_version": code_version(),
            "packages": package_versions(),
            "scenario": self.scenario.scenario.name,
            "policy": self.actors.dispatcher.name,
            "policy_is_own_object": self.is_own_object,
            "seed": simulation.seed,
            "replication": simulation.replication,
            "start": simulation.start.isoformat(),
            "started_at": self.started.isoformat(timespec="seconds"),
            "wall_seconds": perf_counter() - self.begin,
            "peak_memory_mb": peak_memory_mb(),
            "status": "complete",
            "reproducible": not self.is_own_object,
        }


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
