"""The day-ahead policy: one optimum, carried out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulation_cases import Kept

from dispatch.day_ahead import DayAheadOptions, day_ahead_optimum
from experiments import run
from experiments.assemble import assemble, dispatcher_for
from experiments.audit import audit
from experiments.job import Job
from experiments.shipped import load_scenario
from sim.errors import PolicyError

SMALL = (
    "forecast.kind=perfect",
    "dispatch.policy=day-ahead",
    "fleet.size=15",
    "output.report=false",
    "output.forecasts_max_days=0",
)
OPTIONS = DayAheadOptions(
    turbine="off",
    pieces=8,
    is_cyclic=False,
    is_strict=False,
    mip_relative_gap=1e-6,
    mip_node_limit=None,
    iteration_limit=10**7,
)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_planned_is_what_happens_against_the_optimum(seed: int) -> None:
    """Key figures of the simulated plan cost what the optimum of the same program promises (1e-6)."""
    settings = [*SMALL, f"simulation.seed={seed}", "dispatch.turbine=off"]
    scenario = load_scenario("multi-microgrid", settings)
    kept = Kept(dispatcher_for(scenario))
    _, actors = assemble(scenario, dispatcher=kept)
    figures = Job.prepare(scenario, kept, None).simulate().figures
    first = kept.snapshots[0]
    stored = float(first.cars.energy_kwh.sum() + first.battery_energy_kwh.sum())
    optimum = day_ahead_optimum(actors.site, first, kept.forecasts[0], OPTIONS)
    promised = optimum.objective + actors.site.energy_value_per_kwh * stored
    assert figures["total_cost_net_cny"] == pytest.approx(promised, rel=1e-6)
    assert figures["unmet_kwh"] == 0.0
    assert figures["clipped_kwh"] < 1e-6


def test_one_program_is_solved() -> None:
    """The first decision has the iterations; all rows name the program whose set-points they execute."""
    scenario = load_scenario("multi-microgrid", list(SMALL))
    tables = Job.prepare(scenario, None, None).simulate().tables
    rows = tables["decisions"].to_pandas()
    assert rows["iterations"].iloc[0] > 0
    assert (rows["iterations"].iloc[1:] == 0).all()
    assert rows["objective"].nunique() == 1
    assert set(rows["status"]) == {"optimal"}


def test_no_policy_costs_less() -> None:
    """It bounds what rolling, own-cost and uncontrolled reach with the same foresight."""
    cost = {}
    for policy in ("day-ahead", "rolling", "own-cost", "uncontrolled"):
        scenario = load_scenario("multi-microgrid", [*SMALL, f"dispatch.policy={policy}"])
        cost[policy] = Job.prepare(scenario, None, None).simulate().figures["total_cost_net_cny"]
    assert min(cost, key=lambda name: cost[name]) == "day-ahead"
    assert cost["day-ahead"] < cost["rolling"] - 1e-6  # which serves the day after the run too


def test_a_run_of_two_days_is_planned_once_and_audits_clean(tmp_path) -> None:  # noqa: ANN001
    """With a horizon of the run's length."""
    settings = [*SMALL, "simulation.days=2", "dispatch.horizon_steps=192"]
    result = run("multi-microgrid", overrides=settings, out=tmp_path / "two")
    assert audit(result.path) == []
    assert result.decisions["objective"].nunique() == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            ("forecast.kind=persistence",),
            r'policy day-ahead: plans with the truth; set forecast.kind = "perfect"',
        ),
        (("simulation.days=2",), r"set dispatch.horizon_steps to 192 or more, is 96"),
        (("dispatch.max_exact_cars=3",), r"15 cars exceed dispatch.max_exact_cars = 3"),
    ],
)
def test_what_it_cannot_do_is_told(settings: tuple[str, ...], told: str) -> None:
    """One message that names the field."""
    scenario = load_scenario("multi-microgrid", [*SMALL, *settings])
    with pytest.raises(PolicyError, match=told):
        Job.prepare(scenario, None, None).simulate()


def test_each_decision_is_the_plans_own_step() -> None:
    """Set-points over the day are the plan's, not those of its first step."""
    scenario = load_scenario("multi-microgrid", list(SMALL))
    kept = Kept(dispatcher_for(scenario))
    Job.prepare(scenario, kept, None).simulate()
    power = np.stack([schedule.battery_power_kw for schedule in kept.schedules])
    assert (np.ptp(power, axis=0) > 0).all()
    assert replace(kept.schedules[1].decision, iterations=0) == kept.schedules[2].decision
