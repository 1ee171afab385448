"""Made-up worlds through which the conformance checker leads a dispatcher."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sim.arrays import FloatArray, IntArray
from sim.clock import DAY_S, NEVER_S, STEP_S
from sim.contracts import Cars, Forecast, Paths, Quantiles, Site, Snapshot, Stores, Trips


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One decision to be made."""

    snapshot: Snapshot
    forecast: Forecast

    @property
    def now_s(self) -> int:
        """Instant of the decision."""
        return self.snapshot.now_s


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """A site and decisions in order."""

    label: str
    site: Site
    steps: tuple[Step, ...]

    @property
    def n_steps(self) -> int:
        """Steps of the horizon."""
        return self.steps[0].forecast.n_steps

    @property
    def has_paths(self) -> bool:
        """Whether the forecasts carry quantiles and paths."""
        return self.steps[0].forecast.paths is not None


def cases(*, needs_own_chain: bool) -> tuple[Case, ...]:
    """Worlds with no car, one, many, none plugged; one region and several; forecasts of all kinds."""
    sizes = ((0, 1, 0, 1.0), (1, 1, 1, 1.0), (12, 3, 2, 0.6), (5, 2, 0, 0.0))
    plain = [
        _case(n_cars, n_regions, n_batteries, share, perfect, needs_own_chain)
        for n_cars, n_regions, n_batteries, share in sizes
        for perfect in (False, True)
    ]
    return (*plain, *map(_with_paths, plain))


def _with_paths(case: Case) -> Case:
    """The same case, its forecasts with quantiles and three paths."""
    steps = tuple(replace(step, forecast=_unsure(step.forecast)) for step in case.steps)
    return replace(case, label=f"{case.label}, quantiles and paths", steps=steps)


def _unsure(forecast: Forecast) -> Forecast:
    """Forecast with quantiles around the point, and paths of a dull, a fair and a stormy day."""
    level, spread = np.array([0.1, 0.5, 0.9]), np.array([0.8, 1.0, 1.2])[:, None, None]
    same = np.ones(3)[:, None, None]
    quantiles = Quantiles(
        level=level,
        load_kw=spread * forecast.load_kw,
        pv_kw=spread * forecast.pv_kw,
        wind_kw=spread * forecast.wind_kw,
        buy_price_per_kwh=same * forecast.buy_price_per_kwh,
    )
    paths = Paths(
        probability=np.array([0.3, 0.5, 0.2]),
        load_kw=spread * forecast.load_kw,
        pv_kw=spread * forecast.pv_kw,
        wind_kw=spread[::-1] * forecast.wind_kw,
        buy_price_per_kwh=same * forecast.buy_price_per_kwh,
        sell_price_per_kwh=same * forecast.sell_price_per_kwh,
    )
    return replace(forecast, quantiles=quantiles, paths=paths)


def _case(
    n_cars: int, n_regions: int, n_batteries: int, share: float, perfect: bool, needs_own_chain: bool
) -> Case:
    site, n_steps, rng = _site(n_regions, n_batteries), 24, np.random.default_rng(n_cars)
    plugged = np.arange(n_cars) < share * n_cars
    region = np.where(plugged, rng.integers(0, n_regions, n_cars), -1)
    steps = []
    for now_s in (0, STEP_S, 40 * STEP_S):
        departure = now_s + rng.integers(600, 20 * STEP_S, n_cars)
        cars = _cars(plugged, region, rng.uniform(6.0, 27.0, n_cars), departure)
        trips = _trips(cars, departure, n_regions)
        snapshot = Snapshot(
            now_s=now_s,
            cars=cars,
            battery_energy_kwh=rng.uniform(60.0, 200.0, n_batteries),
            turbine_kw=np.zeros(n_regions),
            own_trips=trips if needs_own_chain else None,
        )
        forecast = _forecast(now_s, n_steps, n_regions, rng, trips if perfect else None)
        steps.append(Step(snapshot=snapshot, forecast=forecast))
    kind = "true trips" if perfect else "declared stays"
    label = f"{n_cars} cars ({int(plugged.sum())} plugged), {n_regions} regions, {kind}"
    return Case(label=label, site=site, steps=tuple(steps))


def _site(n_regions: int, n_batteries: int) -> Site:
    region, unit, no_tie = np.ones(n_regions), np.ones(n_batteries), np.zeros(0, np.int64)
    return Site(
        step_s=STEP_S,
        end_s=DAY_S,
        region_names=tuple(f"region {i}" for i in range(n_regions)),
        import_limit_kw=np.inf * region,
        export_limit_kw=0.0 * region,
        can_discharge_cars=np.arange(n_regions) != 1,
        turbine_limit_kw=30.0 * region,
        turbine_ramp_kw_per_step=5.0 * region,
        turbine_fuel_cost_per_h=np.asarray,
        battery_region_index=np.arange(n_batteries) % n_regions,
        battery_energy_min_kwh=50.0 * unit,
        battery_energy_max_kwh=230.0 * unit,
        battery_charge_limit_kw=45.0 * unit,
        battery_discharge_limit_kw=45.0 * unit,
        battery_charge_efficiency=0.9 * unit,
        battery_kept_per_step=unit,
        battery_discharge_efficiency=0.9 * unit,
        tie_from_index=no_tie,
        tie_to_index=no_tie,
        tie_limit_kw=np.zeros(0),
        tie_loss_fraction=np.zeros(0),
        battery_operation_per_kwh=0.002,
        turbine_operation_per_kwh=0.06,
        throughput_price_per_kwh=0.15,
        unserved_price_per_kwh=50.0,
        shortfall_price_per_kwh=10.0,
        energy_value_per_kwh=0.3,
    )


def _cars(plugged: np.ndarray, region: IntArray, energy: FloatArray, departure: IntArray) -> Cars:
    n, one = len(plugged), np.ones(len(plugged))
    return Cars(
        vehicle_id=np.arange(n),
        region_index=region,
        is_plugged=plugged,
        energy_kwh=np.where(plugged, energy, 0.0),
        departure_s=np.where(plugged, departure, NEVER_S),
        required_kwh=np.where(plugged, 15.0, 0.0),
        energy_min_kwh=6.0 * one,
        energy_max_kwh=27.0 * one,
        charge_limit_kw=5.0 * one,
        discharge_limit_kw=5.0 * one,
        charge_efficiency=0.9 * one,
        discharge_efficiency=0.9 * one,
    )


def _trips(cars: Cars, departure: IntArray, n_regions: int) -> Trips:
    n = cars.n
    return Trips(
        vehicle_index=np.arange(n),
        depart_s=departure,
        arrive_s=departure + 1500,
        region_index=np.arange(n) % n_regions,
        is_plugged=np.arange(n) % 2 == 0,
        energy_kwh=np.full(n, 2.0),
        required_kwh=np.full(n, 15.0),
        car_energy_kwh=np.maximum(cars.energy_kwh, 10.0),
    )


def _forecast(
    now_s: int, n_steps: int, n_regions: int, rng: np.random.Generator, trips: Trips | None
) -> Forecast:
    shape = (n_steps, n_regions)
    return Forecast(
        now_s=now_s,
        kind="persistence" if trips is None else "perfect",
        load_kw=rng.uniform(50.0, 150.0, shape),
        pv_kw=rng.uniform(0.0, 120.0, shape),
        wind_kw=rng.uniform(0.0, 60.0, shape),
        buy_price_per_kwh=np.repeat(rng.choice([0.3, 0.6, 1.1], n_steps)[:, None], n_regions, axis=1),
        sell_price_per_kwh=np.full(shape, 0.2),
        curtailment_price_per_kwh=np.full(shape, 0.1),
        measured_car_load_kw=np.zeros(shape),
        trips=trips,
        stores=_stores(shape) if trips is None else None,
    )


def _stores(shape: tuple[int, int]) -> Stores:
    """One car that comes at the sixth step and stays."""
    here, comes, nothing = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    here[5:, 0], comes[5, 0] = 1.0, 1.0
    return Stores(
        n_plugged=here,
        arriving_n=comes,
        charge_limit_kw=5.0 * here,
        discharge_limit_kw=5.0 * here,
        arriving_kwh=12.0 * comes,
        leaving_min_kwh=nothing,
        leaving_max_kwh=nothing,
        energy_min_kwh=6.0 * here,
        energy_max_kwh=27.0 * here,
        charge_efficiency=0.9,
        discharge_efficiency=0.9,
    )
