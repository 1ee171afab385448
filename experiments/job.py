"""One simulation: made ready, run to tables and key figures, written as a run's folder."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa

from experiments.assemble import assemble
from experiments.metrics import key_figures
from experiments.provenance import code_version, package_versions, peak_memory_mb, version
from experiments.report import write_report
from experiments.run_folder import json_bytes, table_bytes
from sim.clock import STEPS_PER_DAY
from sim.contracts import Dispatcher, Fleet
from sim.recorder import Recorder
from sim.scenario import Scenario
from sim.scenario_reading import dump_scenario
from sim.simulation import Actors, Simulation
from sim.trace import BY_NAME

OnStep = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simulated:
    """What a simulation leaves: its tables by name and its key figures."""

    tables: dict[str, pa.Table]
    figures: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One simulation, ready to run. Run it under ``threadpool_limits(limits=1)``: see ``sim.randomness``."""

    scenario: Scenario
    simulation: Simulation
    actors: Actors
    is_own_object: bool  # the policy is a Python object that no scenario can name
    started: datetime
    begin: float

    @classmethod
    def prepare(cls, scenario: Scenario, dispatcher: Dispatcher | None, on_step: OnStep | None) -> Job:
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

    def simulate(self) -> Simulated:
        """Run from the first step to the last."""
        gc.freeze()  # cars and plans live as long as the run: the collector need not look at them again and again
        try:
            recorder = self.simulation.run()
        finally:
            gc.unfreeze()
        tables = _tables(recorder, self.actors.fleet)
        world, n_steps = self.actors.world, self.scenario.simulation.days * STEPS_PER_DAY
        figures = key_figures(
            self.scenario,
            tables,
            energy_value=self.actors.site.energy_value_per_kwh,
            grid_kg_per_kwh=world.grid_kg_per_kwh[world.rows(0, n_steps)],
            clipped_kwh=recorder.clipped_kwh + recorder.cut_kwh,
        )
        return Simulated(tables=tables, figures=figures)

    def contents(self, simulated: Simulated) -> Iterator[tuple[str, bytes]]:
        """Name and contents of each file of the run's folder but the report, one at a time."""
        for name, table in simulated.tables.items():
            yield f"{name}.parquet", table_bytes(table)
        yield "scenario.toml", dump_scenario(self.scenario).encode()
        yield "kpis.json", json_bytes(simulated.figures)
        yield "manifest.json", json_bytes(self._manifest())

    def write(self, folder: Path, simulated: Simulated) -> None:
        """Write the whole run folder into a folder that exists."""
        write_run(folder, self.contents(simulated), report=self.scenario.output.report)

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


def write_run(folder: Path, contents: Iterable[tuple[str, bytes]], *, report: bool) -> None:
    """Write the files of a run, and its report where one is wanted."""
    for name, data in contents:
        (folder / name).write_bytes(data)
    if report:
        write_report(folder, folder / "report.html")


def _tables(recorder: Recorder, fleet: Fleet) -> dict[str, pa.Table]:
    columns = {
        "vehicles": fleet.vehicle_columns(),
        "trips": fleet.trip_columns(),
        "segments": fleet.segment_columns(),
        "sessions": fleet.session_columns(),
        "queue": fleet.queue_columns(),
        "domain": recorder.domain_columns(),
        "grid": recorder.grid_columns(),
        "storage": recorder.storage_columns(),
        "ties": recorder.tie_columns(),
        **recorder.network_columns(),
        "decisions": recorder.decision_columns(),
        "marginals": recorder.marginal_columns(),
        "forecasts": recorder.forecast_columns(),
    }
    return {name: BY_NAME[name].build(values) for name, values in columns.items()}
