"""The dispatcher never sees the future truth; the perfect forecaster, by name, does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulation_cases import Kept, later_truth, same_decision, simulate

from dispatch.options import DispatchOptions
from dispatch.stationary import WithStationary
from experiments import run
from experiments.assemble import dispatcher_for
from sim.contracts import Dispatcher, Forecast, Schedule, Site, Snapshot
from sim.scenario import Scenario

STEP = 40  # 10:00
SMALL = ("fleet.size=15",)


class ChargeWhenSunny:
    """A user's policy: cars charge when more PV than load is forecast for now."""

    name = "charge-when-sunny"
    needs_own_chain = False
    charges_on_arrival = False

    def start(self, site: Site) -> None:
        """Nothing to get ready."""

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Full power where the forecast says surplus, a third elsewhere."""
        cars = snapshot.cars
        sunny = forecast.pv_kw[0] + forecast.wind_kw[0] > forecast.load_kw[0]
        share = np.where(sunny[np.maximum(cars.region_index, 0)], 1.0, 0.3)
        return Schedule(car_power_kw=np.where(cars.is_plugged, share * cars.charge_limit_kw, 0.0))


def users(scenario: Scenario) -> Dispatcher:
    """The user's policy with the common program for batteries and turbines."""
    return WithStationary(ChargeWhenSunny(), DispatchOptions.from_scenario(scenario))


def named(policy: str) -> Callable[[Scenario], Dispatcher]:
    """A shipped policy."""
    return lambda scenario: dispatcher_for(
        scenario.model_copy(update={"dispatch": scenario.dispatch.model_copy(update={"policy": policy})})
    )


def agreeing(ours: Kept, theirs: Kept) -> int:
    """Number of first decisions that agree."""
    pairs = zip(ours.schedules, theirs.schedules, strict=True)
    return next((k for k, pair in enumerate(pairs) if not same_decision(*pair)), len(ours.schedules))


@pytest.mark.parametrize(
    "dispatcher", [named("rolling"), named("uncontrolled"), users], ids=["rolling", "uncontrolled", "users"]
)
def test_later_loads_and_weather_do_not_reach_decisions(dispatcher: Callable[[Scenario], Dispatcher]) -> None:
    """Under persistence, the truth from step t on leaves every decision up to t as it was, and shows a day later."""
    settings = (*SMALL, "simulation.days=2")
    ours, _ = simulate(settings, dispatcher=dispatcher)
    theirs, _ = simulate(settings, dispatcher=dispatcher, alter=later_truth(STEP))
    assert agreeing(ours, theirs) > STEP
    assert agreeing(ours, theirs) < len(ours.schedules)


@pytest.mark.parametrize(
    ("policy", "settings"),
    [
        ("rolling", ("forecast.kind=seasonal-naive", "simulation.days=8")),
        ("rolling", ("forecast.kind=learned", "forecast.learner.iterations=10")),
        ("rolling", ('forecast.cars="statistics"',)),
        ("margin", ("simulation.days=2",)),
        ("stochastic", ("forecast.n_paths=2", "simulation.days=2")),
        ("valley-first", ("simulation.days=2",)),
    ],
    ids=["seasonal-naive", "learned", "statistics", "margin", "stochastic", "valley-first"],
)
@pytest.mark.slow
def test_no_forecaster_and_no_policy_sees_what_is_to_come(policy: str, settings: tuple[str, ...]) -> None:
    """However far back it looks, whatever it adds for uncertainty: decisions up to t do not move."""
    settings = ("fleet.size=4", f"dispatch.policy={policy}", *settings)
    ours, _ = simulate(settings)
    theirs, _ = simulate(settings, alter=later_truth(STEP))
    assert agreeing(ours, theirs) > STEP
    if "forecast.cars" not in settings[-1]:
        assert agreeing(ours, theirs) < len(ours.schedules)


def test_perfect_foresight_sees_them() -> None:
    """Under the perfect forecaster the same change moves earlier decisions."""
    settings = (*SMALL, "forecast.kind=perfect")
    ours, _ = simulate(settings)
    theirs, _ = simulate(settings, alter=later_truth(STEP))
    assert agreeing(ours, theirs) < STEP


@pytest.fixture(scope="module")
def itineraries(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two itinerary files that differ only in trips that nobody has announced by step t.

    A trip is announced while the car stands plugged in before it; those whose stay begins after t are moved by
    20 minutes, unless the chain is too tight.
    """
    folder = tmp_path_factory.mktemp("itineraries")
    trips = run("multi-microgrid", out=folder / "run", overrides=SMALL, policy="uncontrolled").trips
    plan = trips.rename(
        columns={"vehicle_id": "vehicle", "planned_depart_s": "depart", "planned_arrive_s": "arrive"}
    )
    plan = plan.rename(columns={"origin": "from", "destination": "to", "distance_km": "km"})
    plan = plan[["vehicle", "depart", "arrive", "from", "to", "km"]]
    plan.to_csv(folder / "ours.csv", index=False)
    moved = plan.copy()
    stay_begins = moved.groupby("vehicle")["arrive"].shift(1)
    is_last = moved["vehicle"].ne(moved["vehicle"].shift(-1))
    unannounced = (stay_begins > STEP * 900) & is_last & (moved["arrive"] < 85_000)
    assert unannounced.any()
    moved.loc[unannounced, ["depart", "arrive"]] += 1200
    moved.to_csv(folder / "theirs.csv", index=False)
    return folder / "ours.csv", folder / "theirs.csv"


@pytest.mark.parametrize("policy", ["rolling", "uncontrolled"])
@pytest.mark.parametrize("kind", ["persistence", "perfect"])
def test_unannounced_departures_do_not_reach_decisions(
    itineraries: tuple[Path, Path], policy: str, kind: str
) -> None:
    """Moved departures that no driver has declared by t leave decisions up to t alone, unless foresight is perfect."""

    def kept(file: Path) -> Kept:
        settings = (*SMALL, "travel.source=itineraries", f'travel.itineraries="{file}"')
        settings += (
            'travel.itineraries_outside="stay"',
            f"forecast.kind={kind}",
            f"dispatch.policy={policy}",
        )
        return simulate(settings)[0]

    ours, theirs = (kept(file) for file in itineraries)
    declared = [
        np.array_equal(mine.cars.departure_s, other.cars.departure_s)
        and np.allclose(mine.cars.required_kwh, other.cars.required_kwh)
        for mine, other in zip(ours.snapshots[: STEP + 1], theirs.snapshots[: STEP + 1], strict=True)
    ]
    assert all(declared), "the case is wrong: what is declared by t must not differ"
    if kind == "persistence":
        assert agreeing(ours, theirs) > STEP
    elif policy == "rolling":
        assert agreeing(ours, theirs) < STEP


def test_own_cost_is_the_other_named_exception() -> None:
    """Only policies that declare it are handed true chains, and uncontrolled is not one of them."""
    for policy, expected in (("own-cost", True), ("rolling", False), ("uncontrolled", False)):
        kept, _ = simulate((*SMALL, f"dispatch.policy={policy}"))
        assert all((snapshot.own_trips is not None) == expected for snapshot in kept.snapshots)
        assert all(forecast.trips is None for forecast in kept.forecasts)


def test_the_world_of_the_test_differs_only_later() -> None:
    """The alteration itself is honest: equal before t, different after."""
    pristine, altered = simulate(SMALL)[1], simulate(SMALL, alter=later_truth(STEP))[1]
    ours, theirs = (pd.DataFrame(recorder.grid_columns()) for recorder in (pristine, altered))
    before = ours["step_start_s"] < STEP * 900
    for name in ("load_kw", "pv_kw", "wind_kw"):
        assert (ours[name][before] == theirs[name][before]).all()
        assert (ours[name][~before] != theirs[name][~before]).any()
