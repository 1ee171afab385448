"""The rolling policy against optima: day-ahead, cold, other policies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulation_cases import Kept, simulate

from dispatch.day_ahead import DayAheadOptions, day_ahead_optimum
from experiments.assemble import assemble, dispatcher_for
from experiments.metrics import key_figures
from experiments.shipped import load_scenario
from sim.contracts import Forecast, Schedule, Site, Snapshot
from sim.simulation import Simulation
from sim.trace import BY_NAME

PERFECT = ("forecast.kind=perfect", "output.report=false")
TURBINE_OFF = ("dispatch.turbine=off",)
# A turbine of constant efficiency: its fuel cost is a line, which the convex program follows exactly.
TURBINE_CONVEX = tuple(
    f"regions.{region}.turbine.efficiency_{part}={value}"
    for region in ("home", "work", "other")
    for part, value in (("cubic", 0.0), ("square", 0.0), ("linear", 0.0), ("constant", 0.3))
)
OPTIONS = DayAheadOptions(
    turbine="convex",
    pieces=8,
    is_cyclic=False,
    is_strict=False,
    mip_relative_gap=1e-6,
    mip_node_limit=None,
    iteration_limit=10**7,
)


def figures(overrides: tuple[str, ...]) -> tuple[dict[str, float], float, Kept, Site]:
    """Key figures of a simulation, the energy stored at its start, what passed through its policy, its site."""
    scenario = load_scenario("multi-microgrid", list(overrides))
    kept = Kept(dispatcher_for(scenario))
    simulation, actors = assemble(scenario, dispatcher=kept)
    numbers = key_figures_of(simulation, scenario, actors)
    first = kept.snapshots[0]
    stored = float(first.cars.energy_kwh.sum() + first.battery_energy_kwh.sum())
    return numbers, stored, kept, actors.site


def key_figures_of(simulation: Simulation, scenario, actors) -> dict[str, float]:  # noqa: ANN001
    """Run a simulation and compute its key figures without a folder."""
    recorder = simulation.run()
    columns = {
        "trips": actors.fleet.trip_columns(),
        "segments": actors.fleet.segment_columns(),
        "sessions": actors.fleet.session_columns(),
        "queue": actors.fleet.queue_columns(),
        "grid": recorder.grid_columns(),
        "storage": recorder.storage_columns(),
        **recorder.network_columns(),
        "decisions": recorder.decision_columns(),
    }
    tables = {name: BY_NAME[name].build(values) for name, values in columns.items()}
    return key_figures(scenario, tables, energy_value=actors.site.energy_value_per_kwh)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("turbine", [TURBINE_OFF, TURBINE_CONVEX], ids=["turbine-off", "turbine-convex"])
def test_shrinking_horizon_with_foresight_against_the_day_ahead_optimum(
    seed: int, turbine: tuple[str, ...]
) -> None:
    """What happened, settled to the second, costs what a single optimum over the day promises (1e-6)."""
    settings = (*PERFECT, "dispatch.window=shrinking", f"simulation.seed={seed}", "fleet.size=40", *turbine)
    numbers, stored, kept, site = figures(settings)
    options = replace(OPTIONS, turbine="off") if turbine is TURBINE_OFF else OPTIONS
    optimum = day_ahead_optimum(site, kept.snapshots[0], kept.forecasts[0], options)
    if turbine is TURBINE_CONVEX:
        assert numbers["fuel_cost_cny"] > 0
    assert optimum.status == "optimal"
    promised = optimum.objective + site.energy_value_per_kwh * stored
    assert numbers["total_cost_net_cny"] == pytest.approx(promised, rel=1e-6)
    assert kept.schedules[0].decision.objective == pytest.approx(optimum.objective, rel=1e-6)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_policies_order_as_they_must_under_foresight(seed: int) -> None:
    """Net total cost: rolling <= own-cost and rolling <= uncontrolled; bills fall from 1 to 3."""
    cost, bill = {}, {}
    for policy in ("uncontrolled", "own-cost", "rolling"):
        numbers, *_ = figures(
            (*PERFECT, f"simulation.seed={seed}", f"dispatch.policy={policy}", "fleet.size=25")
        )
        cost[policy], bill[policy] = numbers["total_cost_net_cny"], numbers["ev_bill_net_cny"]
    assert cost["rolling"] <= cost["own-cost"] + 1e-6
    assert cost["rolling"] <= cost["uncontrolled"] + 1e-6
    assert bill["rolling"] < bill["own-cost"] < bill["uncontrolled"]


@pytest.mark.slow
def test_every_decision_is_exact_without_fallback() -> None:
    """The four seasonal days: optimal, gap below 1e-6, no overlap; set-points within limits.

    With foresight the balance allows all of them too.
    """
    for day in ("2016-01-20", "2016-04-20", "2016-07-20", "2016-10-19"):
        for kind in ("persistence", "perfect"):
            kept, recorder = simulate([f"simulation.start={day}", f"forecast.kind={kind}", "fleet.size=30"])
            for schedule in kept.schedules:
                decision = schedule.decision
                assert decision.status == "optimal"
                assert decision.gap <= 1e-6
                assert not decision.fallback
                assert decision.max_overlap_kw <= 1e-6
            assert recorder.clipped_kwh < 1e-6
            assert recorder.cut_kwh < 1e-6 or kind == "persistence"


class Mirror:
    """The rolling policy, each decision compared with the same policy born anew."""

    needs_own_chain = False
    charges_on_arrival = False
    name = "mirror"

    def __init__(self, scenario) -> None:  # noqa: ANN001
        self._scenario = scenario
        self._warm = dispatcher_for(scenario)
        self.differences: list[float] = []

    def start(self, site: Site) -> None:
        """Start the warm one; the cold ones start when they are born."""
        self._site = site
        self._warm.start(site)

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Decide warm, and compare its objective with a cold solve of the same snapshot."""
        warm = self._warm.decide(snapshot, forecast)
        born = dispatcher_for(self._scenario)
        born.start(self._site)
        cold = born.decide(snapshot, forecast)
        scale = max(1.0, abs(cold.decision.objective))
        self.differences.append(abs(warm.decision.objective - cold.decision.objective) / scale)
        return warm


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["persistence", "perfect"])
def test_each_warm_decision_against_a_cold_one(kind: str) -> None:
    """The kept program and basis give the objective of a program built and solved from nothing (1e-6)."""
    scenario = load_scenario("multi-microgrid", [f"forecast.kind={kind}", "fleet.size=25"])
    mirror = Mirror(scenario)
    simulation, _ = assemble(scenario, dispatcher=mirror)
    simulation.run()
    assert len(mirror.differences) == 96
    assert np.max(mirror.differences) <= 1e-6
