"""A small world of its own for the tests of `dispatch`: sites, cars on chains, snapshots, forecasts, a stepper.

It shares nothing with the simulator but the contracts, so that the dispatchers are tested without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from dispatch.options import DispatchOptions
from sim.clock import DAY_S, NEVER_S, STEP_H, STEP_S, STEPS_PER_DAY
from sim.contracts import Cars, Forecast, Schedule, Site, Snapshot, Stores, Trips
from sim.taper import Taper

OPTIONS = DispatchOptions(
    departing_energy_value="median_price",
    exclusivity="relaxation",
    mip_relative_gap=1e-3,
    mip_node_limit=200,
    turbine="convex",
    iteration_limit=1_000_000,
    fallback="charge",
    max_exact_cars=2000,
    window="rolling",
    margin_level=0.7,
    departure_margin_min=0.0,
    required_margin_soc=0.0,
    car_limit_kw=100.0,
    feeder_limits="ignore",
    feeder_rounds=3,
    feeder_rating_margin=0.0,
    feeder_voltage_margin_pu=0.0,
)


def fuel_cost_per_h(power_kw: np.ndarray) -> np.ndarray:
    """Cost of the well-known 65 kW machine, Eqs. (18) and (19)."""
    x = np.asarray(power_kw) / 65.0
    return 2.9 * np.asarray(power_kw) / (10.1 * (0.0753 * x**3 - 0.3095 * x**2 + 0.4174 * x + 0.1068))


def printed_fuel_cost_per_h(power_kw: np.ndarray) -> np.ndarray:
    """Cost with the coefficients as printed."""
    x = np.asarray(power_kw) / 65.0
    return 2.9 * np.asarray(power_kw) / (10.1 * (0.075 * x**3 - 0.4 * x**2 + 0.417 * x + 0.1))


def site(n_regions: int = 3, n_batteries: int = 3, *, days: int = 1, ties: int = 0, **changes) -> Site:
    """Build the paper's microgrids, without export; `changes` replace fields."""
    ones_r, ones_b = np.ones(n_regions), np.ones(n_batteries)
    made = Site(
        step_s=STEP_S,
        end_s=days * DAY_S,
        region_names=tuple(f"region {i}" for i in range(n_regions)),
        import_limit_kw=np.inf * ones_r,
        export_limit_kw=0.0 * ones_r,
        can_discharge_cars=np.ones(n_regions, bool),
        turbine_limit_kw=65.0 * ones_r,
        turbine_ramp_kw_per_step=5.0 * ones_r,
        turbine_fuel_cost_per_h=fuel_cost_per_h,
        battery_region_index=np.arange(n_batteries, dtype=np.int64) % max(n_regions, 1),
        battery_energy_min_kwh=50.0 * ones_b,
        battery_energy_max_kwh=237.5 * ones_b,
        battery_charge_limit_kw=45.0 * ones_b,
        battery_discharge_limit_kw=45.0 * ones_b,
        battery_charge_efficiency=0.9 * ones_b,
        battery_kept_per_step=ones_b,
        battery_discharge_efficiency=0.9 * ones_b,
        tie_from_index=np.arange(ties, dtype=np.int64),
        tie_to_index=np.arange(1, ties + 1, dtype=np.int64),
        tie_limit_kw=np.full(ties, np.inf),
        tie_loss_fraction=np.zeros(ties),
        battery_operation_per_kwh=0.0018,
        turbine_operation_per_kwh=0.0648,
        throughput_price_per_kwh=0.12,
        unserved_price_per_kwh=50.0,
        shortfall_price_per_kwh=10.0,
        energy_value_per_kwh=0.35 / 0.9,
    )
    return replace(made, **changes)


def tariff(n_steps: int, n_regions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Buying, selling and curtailment prices of the paper; shapes (n_steps, n_regions)."""
    hour = np.arange(n_steps) % STEPS_PER_DAY // 4
    valley, peak = (hour >= 1) & (hour < 7), ((hour >= 11) & (hour < 15)) | ((hour >= 19) & (hour < 21))
    tables = ((0.35, 0.68, 1.18), (0.28, 0.55, 1.0), (0.10, 0.20, 0.50))
    prices = (np.where(valley, low, np.where(peak, high, flat)) for low, flat, high in tables)
    return tuple(np.repeat(price[:, None], n_regions, axis=1) for price in prices)


@dataclass
class World:
    """Cars on chains over three days, loads and supplies, and the state of a run that a test steps through."""

    site: Site
    n_cars: int
    seed: int
    days: int = 3
    supply_factor: float = 1.0
    taper: Taper | None = None
    n_unlike: bool = False  # whether cars differ in batteries and efficiencies
    trips: Trips = field(init=False)
    step: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        n, n_regions = self.n_cars, self.site.n_regions
        self.charge_efficiency, self.discharge_efficiency = np.full(n, 0.9), np.full(n, 0.9)
        self.size = np.full(n, 30.0)
        self.limit_kw = np.full(n, 5.0)
        if self.n_unlike:
            self.charge_efficiency = rng.choice([0.85, 0.9, 0.95], n)
            self.discharge_efficiency = rng.choice([0.88, 0.93], n)
            self.size, self.limit_kw = rng.choice([24.0, 30.0, 60.0], n), rng.choice([3.7, 5.0, 11.0], n)
        self.energy_min, self.energy_max = 0.2 * self.size, 0.9 * self.size
        self.energy = 0.5 * self.size
        self.battery = np.full(len(self.site.battery_region_index), 125.0)
        self.turbine = np.zeros(n_regions)
        self.trips = self._draw_trips(rng)
        total = self.days * STEPS_PER_DAY
        clock = np.arange(total) % STEPS_PER_DAY / STEPS_PER_DAY
        day_shape = 1 + 0.35 * np.sin(2 * np.pi * (clock[:, None] - 0.3 - 0.1 * np.arange(n_regions)))
        self.load = 380 * day_shape * rng.uniform(0.95, 1.05, (total, n_regions))
        sun = np.maximum(np.sin(2 * np.pi * (clock - 0.25)), 0.0)[:, None]
        self.pv = 450 * sun * rng.uniform(0.6, 1.0, (total, n_regions)) * self.supply_factor
        self.wind = 200 * rng.uniform(0.0, 1.0, (total, n_regions)) ** 2 * self.supply_factor
        self.buy, self.sell, self.phi = tariff(total, n_regions)

    def _draw_trips(self, rng: np.random.Generator) -> Trips:
        rows: list[tuple[int, int, int, int, bool, float]] = []
        n_regions = self.site.n_regions
        for car in range(self.n_cars):
            for day in range(self.days):
                at = day * DAY_S + int(rng.gamma(24, 0.3125) * 3600)
                stops = 1 + int(rng.random() < 0.3)
                places = [int(rng.integers(1, n_regions)) if n_regions > 1 else 0 for _ in range(stops)]
                for place in [*places, 0]:
                    duration = int(60 * min(rng.lognormal(3.0, 0.6), 90))
                    energy = 0.15 * max(1.0, duration / 60 * rng.uniform(0.4, 0.9))
                    is_home = place == 0
                    rows.append((car, at, at + duration, place, is_home or bool(rng.random() < 0.4), energy))
                    at += duration + int(rng.uniform(20, 500 / stops) * 60)
        car, depart, arrive, region, plugged, energy = (
            (np.array(c) for c in zip(*rows, strict=True)) if rows else [np.zeros(0, np.int64)] * 6
        )
        required = self._required(car, depart, arrive, plugged.astype(bool), energy.astype(float))
        return Trips(
            vehicle_index=car.astype(np.int64),
            depart_s=depart.astype(np.int64),
            arrive_s=arrive.astype(np.int64),
            region_index=region.astype(np.int64),
            is_plugged=plugged.astype(bool),
            energy_kwh=energy.astype(float),
            required_kwh=required,
        )

    def _required(self, car, depart, arrive, plugged, energy) -> np.ndarray:
        required = np.zeros(len(car))
        for j in reversed(range(len(car))):
            here = car[j]
            needed = self.energy_min[here]
            if j + 1 < len(car) and car[j + 1] == here:
                stay_h = max(depart[j + 1] - arrive[j], 0) / 3600 * plugged[j]
                gain = self.charge_efficiency[here] * self.limit_kw[here] * stay_h
                needed = max(needed, required[j + 1] - gain)
            first_of_day = j == 0 or car[j - 1] != here or depart[j] // DAY_S != depart[j - 1] // DAY_S
            user = 0.5 * self.size[here] if first_of_day else 0.0
            required[j] = min(max(needed + energy[j], user), self.energy_max[here])
        return required

    @property
    def now_s(self) -> int:
        """The present boundary."""
        return self.step * STEP_S

    def _status(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Region, plugged, next departure and its requirement of every car now."""
        n, now, t = self.n_cars, self.now_s, self.trips
        region, plugged = np.zeros(n, np.int64), np.ones(n, bool)
        departure, required = np.full(n, NEVER_S), np.zeros(n)
        for j in range(len(t.depart_s)):
            car = t.vehicle_index[j]
            if t.depart_s[j] <= now < t.arrive_s[j]:
                region[car], plugged[car] = -1, False
            elif t.arrive_s[j] <= now:
                region[car], plugged[car] = t.region_index[j], t.is_plugged[j]
            if t.depart_s[j] > now and departure[car] == NEVER_S:
                departure[car], required[car] = t.depart_s[j], t.required_kwh[j]
        return region, plugged, departure, required

    def cars(self) -> Cars:
        """Build what plugged cars show now."""
        region, plugged, departure, required = self._status()
        return Cars(
            vehicle_id=np.arange(self.n_cars),
            region_index=region,
            is_plugged=plugged,
            energy_kwh=np.where(plugged, self.energy, 0.0),
            departure_s=np.where(plugged, departure, NEVER_S),
            required_kwh=np.where(plugged, required, 0.0),
            energy_min_kwh=self.energy_min,
            energy_max_kwh=self.energy_max,
            charge_limit_kw=self.limit_kw,
            discharge_limit_kw=self.limit_kw,
            charge_efficiency=self.charge_efficiency,
            discharge_efficiency=self.discharge_efficiency,
            taper=self.taper,
        )

    def true_trips(self, until_s: int) -> Trips:
        """Select the trips under way and to come."""
        t = self.trips
        keep = (t.arrive_s > self.now_s) & (t.depart_s < until_s)
        names = (
            "vehicle_index",
            "depart_s",
            "arrive_s",
            "region_index",
            "is_plugged",
            "energy_kwh",
            "required_kwh",
        )
        return Trips(**{name: getattr(t, name)[keep] for name in names}, car_energy_kwh=self.energy)

    def snapshot(self, *, n_steps: int = 96, own: bool = False) -> Snapshot:
        """Measure now."""
        return Snapshot(
            now_s=self.now_s,
            cars=self.cars(),
            battery_energy_kwh=self.battery,
            turbine_kw=self.turbine,
            own_trips=self.true_trips(self.now_s + n_steps * STEP_S) if own else None,
        )

    def forecast(self, n_steps: int = 96, *, perfect: bool = True) -> Forecast:
        """Forecast from now: true, or with cars still to come as stores of yesterday's stays."""
        part = slice(self.step, self.step + n_steps)
        return Forecast(
            now_s=self.now_s,
            kind="perfect" if perfect else "persistence",
            load_kw=self.load[part],
            pv_kw=self.pv[part],
            wind_kw=self.wind[part],
            buy_price_per_kwh=self.buy[part],
            sell_price_per_kwh=self.sell[part],
            curtailment_price_per_kwh=self.phi[part],
            measured_car_load_kw=np.zeros_like(self.load[part]),
            trips=self.true_trips(self.now_s + n_steps * STEP_S) if perfect else None,
            stores=None if perfect else self._stores(n_steps),
        )

    def _stores(self, n_steps: int) -> Stores:
        """Stays that begin after now, as one store per region (each arrives with its least energy + 4 kWh)."""
        t, shape = self.trips, (n_steps, self.site.n_regions)
        names = (
            "n_plugged",
            "arriving_n",
            "charge_limit_kw",
            "discharge_limit_kw",
            "arriving_kwh",
            "leaving_min_kwh",
        )
        names += ("leaving_max_kwh", "energy_min_kwh", "energy_max_kwh")
        made = {name: np.zeros(shape) for name in names}
        for j in range(len(t.depart_s)):
            car, region = t.vehicle_index[j], t.region_index[j]
            follows = j + 1 < len(t.depart_s) and t.vehicle_index[j + 1] == car
            end = (t.depart_s[j + 1] if follows else NEVER_S) - self.now_s
            first = -((self.now_s - t.arrive_s[j]) // STEP_S)
            if (
                t.arrive_s[j] <= self.now_s
                or not t.is_plugged[j]
                or first * STEP_S >= end
                or first >= n_steps
            ):
                continue
            last = min(-(-end // STEP_S), n_steps)
            made["arriving_n"][first, region] += 1
            made["arriving_kwh"][first, region] += min(self.energy_min[car] + 4.0, self.energy_max[car])
            for k in range(first, last):
                fraction = min(end / STEP_S - k, 1.0)
                made["n_plugged"][k, region] += 1
                made["charge_limit_kw"][k, region] += fraction * self.limit_kw[car]
                made["discharge_limit_kw"][k, region] += fraction * self.limit_kw[car]
                if (k + 1) * STEP_S < end:
                    made["energy_min_kwh"][k, region] += self.energy_min[car]
                    made["energy_max_kwh"][k, region] += self.energy_max[car]
                else:
                    made["leaving_min_kwh"][k, region] += t.required_kwh[j + 1]
                    made["leaving_max_kwh"][k, region] += self.energy_max[car]
        return Stores(**made, charge_efficiency=0.9, discharge_efficiency=0.9)

    def advance(self, schedule: Schedule) -> None:
        """Live one step: cars charge as set while plugged, trips take their energy, shortages are helped."""
        cars, t, now = self.cars(), self.trips, self.now_s
        seconds = np.clip(cars.departure_s - now, 0, STEP_S) * cars.is_plugged
        power = np.where(cars.is_plugged, schedule.car_power_kw, 0.0)
        gain = (
            np.where(power > 0, power * self.charge_efficiency, power / self.discharge_efficiency)
            * seconds
            / 3600
        )
        self.energy = np.clip(self.energy + gain, self.energy_min - 1e-6, self.energy_max + 1e-6)
        self.energy = np.clip(self.energy, self.energy_min, self.energy_max)
        for j in np.flatnonzero((t.arrive_s > now) & (t.arrive_s <= now + STEP_S)):
            car = t.vehicle_index[j]
            self.energy[car] = max(self.energy[car] - t.energy_kwh[j], self.energy_min[car])
        if schedule.battery_power_kw is not None:
            p, s = schedule.battery_power_kw, self.site
            stored = (
                np.where(p > 0, p * s.battery_charge_efficiency, p / s.battery_discharge_efficiency) * STEP_H
            )
            kept = s.battery_kept_per_step * self.battery
            least = np.minimum(s.battery_energy_min_kwh, kept)
            self.battery = np.clip(kept + stored, least, s.battery_energy_max_kwh)
        if schedule.turbine_kw is not None:
            self.turbine = schedule.turbine_kw.copy()
        self.step += 1


def world(
    n_cars: int = 6, seed: int = 1, *, supply_factor: float = 1.0, unlike: bool = False, **changes
) -> World:
    """Build a world with the paper's site; `changes` replace the site's fields."""
    return World(site(**changes), n_cars, seed, supply_factor=supply_factor, n_unlike=unlike)
