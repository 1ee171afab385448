"""Sizes of a station: the bound equals another formulation's, and is one."""

from __future__ import annotations

from dataclasses import replace

import linopy
import numpy as np
import pytest

from dispatch.station.day import StationDay
from dispatch.station.optimum import StationSolver
from dispatch.station.program import Weights
from dispatch.station.sizing import Asset, Capital, Limits, Sizes, annuity, at_sizes, size
from tests.station_cases import station_day

CAPITAL = Capital(
    storage_kwh=Asset(price=300.0, life_years=12.0),
    storage_kw=Asset(price=200.0, life_years=12.0),
    pv_kw=Asset(price=3000.0, life_years=25.0),
    charger=Asset(price=4000.0, life_years=10.0),
    rate=0.06,
)
ROOF = Sizes(storage_kwh=np.inf, storage_kw=np.inf, pv_kw=90.0, chargers=np.inf)
CHARGER_KW = 7.6
PV_KW = 60.0


def days() -> list[StationDay]:
    """Two days, one with less sun, both with wear and a demand charge."""
    terms = {"wear_price_per_kwh": 0.03, "demand_price_per_kw": 1.3}
    first, second = (station_day(n_cars=6, seed=seed, **terms) for seed in (1, 2))
    return [first, replace(second, pv_kw=0.4 * second.pv_kw)]


def independent(made: list[StationDay], weights: np.ndarray) -> float:
    """Least yearly cost by linopy, every car by itself, written down anew."""
    model = linopy.Model()
    kwh, kw, pv, points = (
        model.add_variables(lower=0.0, upper=upper, name=name)
        for name, upper in (("kwh", np.inf), ("kw", np.inf), ("pv", 90.0), ("points", np.inf))
    )
    prices = CAPITAL.per_year()
    objective = prices[0] * kwh + prices[1] * kw + prices[2] * pv + prices[3] * points
    for number, (day, weight) in enumerate(zip(made, weights, strict=True)):
        unit, h = day.storage, day.step_h
        top = model.add_variables(lower=0.0, name=f"top{number}")
        objective = objective + weight * day.demand_price_per_kw * top
        energy = unit.initial_soc * kwh
        given = [0.0 * kw] * day.n_cars
        for k in range(day.n_steps):
            at = f"{number}_{k}"
            buy, sell, charge, give, waste = (
                model.add_variables(lower=0.0, name=f"{kind}{at}") for kind in ("b", "s", "c", "d", "w")
            )
            cars = [
                model.add_variables(lower=0.0, upper=float(day.car_limit_kw[k, i]), name=f"x{at}_{i}")
                for i in range(day.n_cars)
            ]
            total = sum(cars[1:], start=1.0 * cars[0])
            sun = float(day.pv_kw[k]) / PV_KW * pv
            model.add_constraints(
                buy - sell + sun - waste + give - charge - total == float(day.building_kw[k])
            )
            model.add_constraints(waste - sun <= 0)
            model.add_constraints(charge + give - kw <= 0)
            model.add_constraints(total - CHARGER_KW * points <= 0)
            model.add_constraints(buy - top <= 0)
            if not day.is_grid_charging_hour[k]:
                model.add_constraints(charge - sun <= 0)
            energy = energy + h * unit.charge_efficiency * charge - h / unit.discharge_efficiency * give
            model.add_constraints(energy - unit.soc_max * kwh <= 0)
            least = unit.initial_soc if k == day.n_steps - 1 else unit.soc_min
            model.add_constraints(energy - least * kwh >= 0)
            given = [sum_ + h * car for sum_, car in zip(given, cars, strict=True)]
            price = float(day.building_price_per_kwh[k])
            objective = objective + weight * h * (
                price * buy - float(day.sell_price_per_kwh[k]) * sell + day.wear_price_per_kwh * give
            )
        for i, need in enumerate(day.reachable_kwh().tolist()):
            model.add_constraints(given[i] == need)
    model.add_objective(objective)
    status, _ = model.solve(solver_name="highs", output_flag=False)
    assert status == "ok"
    return float(model.objective.value)


def test_bound_equals_another_formulation() -> None:
    """To a millionth; something is bought of everything."""
    made, weights = days(), np.array([200.0, 165.0])
    found = size(
        made,
        weights,
        pv_rated_kw=PV_KW,
        capital=CAPITAL,
        limits=Limits(upper=ROOF),
        charger_kw=CHARGER_KW,
    )
    assert found.bound == pytest.approx(independent(made, weights), rel=1e-6)
    assert min(found.sizes.as_array()) > 0.0
    assert found.rounds > 1  # cuts were needed


def test_no_sizes_beat_the_bound() -> None:
    """Strict plans cost no less, at the sizes found and at any other; at those found hardly more."""
    made, weights = days(), np.array([200.0, 165.0])
    found = size(
        made,
        weights,
        pv_rated_kw=PV_KW,
        capital=CAPITAL,
        limits=Limits(upper=ROOF),
        charger_kw=CHARGER_KW,
    )

    def cost(sizes: Sizes) -> float:
        operation = [
            StationSolver(
                at_sizes(day, sizes, pv_rated_kw=PV_KW, charger_kw=CHARGER_KW),
                "with storage",
                Weights(cost=1.0),
            )
            .optimum()
            .objective
            for day in made
        ]
        return float(weights @ operation + CAPITAL.per_year() @ sizes.as_array())

    assert found.bound * (1.0 - 1e-9) <= cost(found.sizes) <= found.bound * 1.01
    rng = np.random.default_rng(1)
    for factors in rng.uniform(0.7, 1.6, (4, 4)):
        values = found.sizes.as_array() * factors
        other = Sizes(
            storage_kwh=float(values[0]),
            storage_kw=float(values[1]),
            pv_kw=min(float(values[2]), ROOF.pv_kw),
            chargers=float(values[3]),
        )
        assert cost(other) >= found.bound * (1.0 - 1e-9)


def test_sizes_can_be_fixed() -> None:
    """Equal bounds fix; too few charging points leave cars unserved, and that is told."""
    made, weights = days(), np.array([1.0, 1.0])
    nothing = Sizes(storage_kwh=0.0, storage_kw=0.0, pv_kw=PV_KW, chargers=5.0)
    found = size(
        made,
        weights,
        pv_rated_kw=PV_KW,
        capital=CAPITAL,
        limits=Limits(lower=nothing, upper=nothing),
        charger_kw=CHARGER_KW,
    )
    assert found.sizes == nothing
    none = replace(nothing, chargers=0.0)
    with pytest.raises(ArithmeticError, match="no sizes serve all cars"):
        size(
            made,
            weights,
            pv_rated_kw=PV_KW,
            capital=CAPITAL,
            limits=Limits(lower=none, upper=none),
            charger_kw=CHARGER_KW,
        )


def test_what_cannot_be_sized_is_refused() -> None:
    """Prices apart, or a limit of the connection."""
    (first, _), weights = days(), np.ones(1)
    for day in (
        replace(first, station_price_per_kwh=first.building_price_per_kwh + 0.1),
        replace(first, import_limit_kw=50.0),
    ):
        with pytest.raises(ValueError, match="one price for all and a connection without limit"):
            size([day], weights, pv_rated_kw=PV_KW, capital=CAPITAL, charger_kw=CHARGER_KW)


def test_annuity_pays_back() -> None:
    """Payments discounted to today are the capital."""
    payments = annuity(0.06, 12.0) / 1.06 ** np.arange(1, 13)
    assert payments.sum() == pytest.approx(1.0)


def test_charging_points_limit_the_cars() -> None:
    """The day's own program keeps the limit; what it keeps from the cars is unmet."""
    day = replace(station_day(n_cars=6), cars_limit_kw=2.0)
    found = StationSolver(day, "with storage", Weights(cost=1.0)).optimum()
    assert found.plan.car_kw.sum(axis=1).max() <= 2.0 + 1e-6
    expected = float(day.car_need_kwh.sum()) - found.plan.car_kw.sum() * day.step_h
    assert found.reached.unmet_kwh == pytest.approx(expected)
    assert expected > 10.0
