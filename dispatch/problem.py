"""What a decision is about, as plain arrays: snapshot, forecast and site become one `Problem`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dispatch.itinerary import Itinerary, by_trips, declared
from dispatch.network import Expansion, NetworkNumbers, lossless, network_numbers
from dispatch.options import DepartingValue
from dispatch.reactive import has_reactive, planned_charger_room_kvar
from sim.arrays import BoolArray, FloatArray, freeze
from sim.clock import DAY_S, STEPS_PER_DAY, label
from sim.contracts import Cars, Forecast, Site, Snapshot, Stores
from sim.errors import ScenarioError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pools:
    """Cars still to come, as one store per region and step; arrays (K, R), bounds that can be kept."""

    charge_limit_kw: FloatArray
    discharge_limit_kw: FloatArray
    arriving_kwh: FloatArray
    leaving_min_kwh: FloatArray
    leaving_max_kwh: FloatArray
    lower_kwh: FloatArray  # at the step's end
    upper_kwh: FloatArray
    charge_efficiency: float
    discharge_efficiency: float
    lowered_kwh: float

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """All numbers of one decision's program; arrays over steps are (K, ...), powers are means over a step."""

    site: Site
    cars: Cars
    now_s: int
    itinerary: Itinerary
    car_value_per_kwh: FloatArray  # (n,) of the energy at the end of the car's last step
    pools: Pools | None
    pool_departing_value_per_kwh: FloatArray  # (K, R), or (1, R) for all steps
    load_kw: FloatArray
    supply_kw: FloatArray  # PV and wind
    buy_price_per_kwh: FloatArray
    sell_price_per_kwh: FloatArray
    curtailment_price_per_kwh: FloatArray
    battery_energy_kwh: FloatArray  # (B,)
    turbine_kw: FloatArray  # (R,)
    peak_import_kw: FloatArray  # (R,) largest import of a step of this day so far
    network: NetworkNumbers | None = None  # where the site has a network; its losses are part of the load
    charger_room_kvar: FloatArray | None = None  # (K, R) most reactive power of chargers, where it is decided

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def n_steps(self) -> int:
        """Steps of the horizon, K."""
        return len(self.load_kw)

    def day_ends(self) -> BoolArray:
        """Whether each step is the last of its day in the horizon, (K,); the horizon's last is."""
        day = (self.now_s + np.arange(self.n_steps) * self.site.step_s) // DAY_S
        ends: BoolArray = np.append(day[1:] != day[:-1], True)
        return ends

    def least_battery_kwh(self) -> FloatArray:
        """Least energy of each battery after each step, (K, B): its own, or what it has less its self-discharge."""
        after = 1 + np.arange(self.n_steps)[:, None]
        at_rest = self.battery_energy_kwh * self.site.battery_kept_per_step**after
        return np.minimum(self.site.battery_energy_min_kwh, at_rest)

    @property
    def step_h(self) -> float:
        """Length of a step, h [h]."""
        return self.site.step_s / 3600.0

    @property
    def help_price_per_kwh(self) -> float:
        """Price of a kWh that a trip lacks under an import limit: no source of energy even for load unserved."""
        least = float(self.cars.discharge_efficiency.min(initial=1.0))
        return self.site.shortfall_price_per_kwh + self.site.unserved_price_per_kwh / least

    @property
    def lowered_kwh(self) -> float:
        """By how much unreachable requirements were lowered."""
        return self.itinerary.lowered_kwh + (0.0 if self.pools is None else self.pools.lowered_kwh)


def build(
    site: Site,
    snapshot: Snapshot,
    forecast: Forecast,
    *,
    departing_energy_value: DepartingValue,
    is_shrinking: bool = False,
) -> Problem:
    """Arrays of the program for the cars and the microgrids.

    Under true trips every later stay is explicit and all energy is valued at the horizon's end; otherwise current
    stays are as declared, the energy that leaves has the departing value, and cars still to come are the forecast's
    stores.

    Parameters
    ----------
    is_shrinking
        The horizon stops at the run's end, and nothing beyond it binds.
    """
    (problem,) = build_paths(
        site, snapshot, [forecast], departing_energy_value=departing_energy_value, is_shrinking=is_shrinking
    )
    return problem


def build_paths(
    site: Site,
    snapshot: Snapshot,
    paths: Sequence[Forecast],
    *,
    departing_energy_value: DepartingValue,
    is_shrinking: bool = False,
) -> tuple[Problem, ...]:
    """One problem per path that the world may take, all with the same cars (those of the first path's forecast)."""
    forecast = paths[0]
    to_end = max(1, (site.end_s - snapshot.now_s) // site.step_s)
    n_steps = min(forecast.n_steps, to_end) if is_shrinking else forecast.n_steps
    keeps_tail = not (is_shrinking and n_steps == to_end)
    cars, now_s = snapshot.cars, snapshot.now_s
    if forecast.trips is not None:
        itinerary = by_trips(cars, forecast.trips, now_s, n_steps, step_s=site.step_s, keeps_tail=keeps_tail)
    else:
        itinerary = declared(cars, now_s, n_steps, step_s=site.step_s, keeps_tail=keeps_tail)
    pools = None
    if forecast.stores is not None:
        gives = np.where(site.can_discharge_cars, forecast.stores.discharge_limit_kw, 0.0)
        stores = replace(forecast.stores, discharge_limit_kw=gives)
        pools = reachable_pools(stores, n_steps, site.step_s)
    return tuple(_problem(site, snapshot, path, itinerary, pools, departing_energy_value) for path in paths)


def _problem(
    site: Site,
    snapshot: Snapshot,
    forecast: Forecast,
    itinerary: Itinerary,
    pools: Pools | None,
    departing_energy_value: DepartingValue,
) -> Problem:
    cars, n_steps = snapshot.cars, itinerary.n_steps
    price = departing_price(forecast, departing_energy_value, site.energy_value_per_kwh)[:n_steps]
    is_at_bus = departing_energy_value in {"median_price", "chain_statistics"}
    pool_efficiency = 1.0 if pools is None or not is_at_bus else pools.discharge_efficiency
    car_efficiency = cars.discharge_efficiency if is_at_bus else np.ones(cars.n)
    last_step, region = np.clip(itinerary.last_step, 0, len(price) - 1), np.maximum(cars.region_index, 0)
    car_departing = car_efficiency * price[last_step, region]
    pool_departing = pool_efficiency * price
    value = np.where(itinerary.departs_with_value, car_departing, site.energy_value_per_kwh)
    numbers, room_kvar = None, planned_charger_room_kvar(site, cars, itinerary)
    if site.network is not None:
        load_kvar = forecast.load_kw[:n_steps] * site.network.load_kvar_per_kw
        start, inverters = lossless(site.network, n_steps), site if has_reactive(site) else None
        numbers = network_numbers(site.network, load_kvar, start, inverters, room_kvar)
    return Problem(
        site=site,
        cars=cars,
        now_s=snapshot.now_s,
        itinerary=itinerary,
        car_value_per_kwh=value,
        pools=pools,
        pool_departing_value_per_kwh=pool_departing,
        load_kw=total_load_kw(forecast)[:n_steps],
        supply_kw=(forecast.pv_kw + forecast.wind_kw)[:n_steps],
        buy_price_per_kwh=forecast.buy_price_per_kwh[:n_steps],
        sell_price_per_kwh=forecast.sell_price_per_kwh[:n_steps],
        curtailment_price_per_kwh=forecast.curtailment_price_per_kwh[:n_steps],
        battery_energy_kwh=snapshot.battery_energy_kwh,
        turbine_kw=snapshot.turbine_kw,
        peak_import_kw=(
            np.zeros(site.n_regions) if snapshot.peak_import_kw is None else snapshot.peak_import_kw
        ),
        network=numbers,
        charger_room_kvar=room_kvar,
    )


def expanded(problem: Problem, expansion: Expansion) -> Problem:
    """The same problem around another state of its feeder, whose losses are part of its load."""
    numbers, site, network = problem.network, problem.site, problem.site.network
    assert numbers is not None
    assert network is not None
    inverters = site if has_reactive(site) else None
    moved = network_numbers(network, numbers.load_kvar, expansion, inverters, problem.charger_room_kvar)
    load_kw = problem.load_kw - numbers.loss_at_bus_kw + moved.loss_at_bus_kw
    return replace(problem, load_kw=load_kw, network=moved)


def total_load_kw(forecast: Forecast) -> FloatArray:
    """Load that no set-point moves: the regions' own, and cars that do not take part; (K, R)."""
    if forecast.unmanaged_car_load_kw is None:
        return forecast.load_kw
    return forecast.load_kw + forecast.unmanaged_car_load_kw


def refuse_free_money(problem: Problem) -> None:
    """Refuse prices at which buying here and selling there, both without a cap, would earn without end.

    Raises
    ------
    ScenarioError
        Naming the first such step and the two regions.
    """
    site = problem.site
    sells = np.flatnonzero(np.isinf(site.export_limit_kw))
    if len(sells) == 0:
        return
    arrives = _uncapped_arrival(site)
    for begin in np.flatnonzero(np.isinf(site.import_limit_kw)):
        kept = arrives[begin, sells]
        gain = np.where(kept > 0, problem.sell_price_per_kwh[:, sells] * kept, -np.inf)
        step, end = np.nonzero(gain > problem.buy_price_per_kwh[:, begin, None] + 1e-9)
        if len(step):
            k, there = int(step[0]), int(sells[end[0]])
            raise ScenarioError(
                [
                    f"prices at {label(problem.now_s + k * site.step_s)}: selling in {site.region_names[there]} brings "
                    f"{gain[k, end[0]]:g} per kWh bought in {site.region_names[begin]} at "
                    f"{problem.buy_price_per_kwh[k, begin]:g}, and neither is limited; set a limit or mend the tariff"
                ]
            )


def _uncapped_arrival(site: Site) -> FloatArray:
    """Most of a kWh sent from each region that arrives in each other over ties without a limit, shape (R, R)."""
    arrives = np.eye(site.n_regions)
    for tie in np.flatnonzero(np.isinf(site.tie_limit_kw)):
        one, other, kept = site.tie_from_index[tie], site.tie_to_index[tie], 1.0 - site.tie_loss_fraction[tie]
        arrives[one, other] = max(arrives[one, other], kept)
        arrives[other, one] = max(arrives[other, one], kept)
    for middle in range(site.n_regions):
        arrives = np.maximum(arrives, arrives[:, middle, None] * arrives[None, middle, :])
    return arrives


def departing_price(forecast: Forecast, value: DepartingValue, energy_value_per_kwh: float) -> FloatArray:
    """Price behind energy that drives away, (K, R), or (1, R) where it is the same in all steps.

    A number, lambda, the next 24 hours' median buying price, or what the forecast says of departures in each step.
    The last two are prices of energy at the bus: they still have to be multiplied by the discharge efficiency.

    Raises
    ------
    ScenarioError
        When the forecast has no prices of departures.
    """
    n_regions = forecast.load_kw.shape[1]
    if value == "lambda":
        return np.full((1, n_regions), energy_value_per_kwh)
    if value == "median_price":
        return np.asarray(np.median(forecast.buy_price_per_kwh[:STEPS_PER_DAY], axis=0))[None]
    if value == "chain_statistics":
        if forecast.departing_price_per_kwh is None and forecast.trips is None:
            raise ScenarioError(["dispatch.departing_energy_value: the forecast has no prices of departures"])
        if forecast.departing_price_per_kwh is None:  # under true trips nothing leaves unseen
            return np.full((1, n_regions), energy_value_per_kwh)
        return forecast.departing_price_per_kwh
    return np.full((1, n_regions), float(value))


def reachable_pools(stores: Stores, n_steps: int, step_s: int) -> Pools:
    """Stores of a forecast with bounds that full charging can keep; the kWh lowered are counted."""
    part = slice(0, n_steps)
    gain = stores.charge_efficiency * stores.charge_limit_kw[part] * step_s / 3600.0
    loss = stores.discharge_limit_kw[part] * step_s / 3600.0 / stores.discharge_efficiency
    leaving_min, leaving_max = stores.leaving_min_kwh[part].copy(), stores.leaving_max_kwh[part].copy()
    lower, upper = stores.energy_min_kwh[part].copy(), stores.energy_max_kwh[part].copy()
    highest, lowest = np.zeros(lower.shape[1]), np.zeros(lower.shape[1])
    for k in range(len(lower)):
        full = highest + gain[k] + stores.arriving_kwh[k]
        leaving_min[k] = np.minimum(leaving_min[k], full)
        lower[k] = np.minimum(lower[k], full - leaving_min[k])
        empty = np.maximum(lowest - loss[k], 0.0) + stores.arriving_kwh[k]
        leaving_max[k] = np.maximum(leaving_max[k], leaving_min[k])
        upper[k] = np.maximum(np.maximum(upper[k], lower[k]), empty - leaving_max[k])
        highest = np.minimum(full - leaving_min[k], upper[k])
        lowest = np.maximum(lower[k], empty - leaving_max[k])
    short = stores.leaving_min_kwh[part] - leaving_min + stores.energy_min_kwh[part] - lower
    return Pools(
        charge_limit_kw=stores.charge_limit_kw[part],
        discharge_limit_kw=stores.discharge_limit_kw[part],
        arriving_kwh=stores.arriving_kwh[part],
        leaving_min_kwh=leaving_min,
        leaving_max_kwh=leaving_max,
        lower_kwh=lower,
        upper_kwh=upper,
        charge_efficiency=stores.charge_efficiency,
        discharge_efficiency=stores.discharge_efficiency,
        lowered_kwh=float(short[short > 1e-9].sum()),
    )
