"""Where storage should stand, what its schedule trades off, what reserve it can hold, how much sun the feeder takes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Final, Literal, cast

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from dispatch.planning.day import Capital, Case, FeederDay, Storage, fixed_sizes, free_sizes, one_day
from dispatch.planning.evolution import Search, compare, ends, nsga3
from dispatch.planning.front import front
from dispatch.planning.hosting import hosting
from dispatch.planning.judging import Plan
from dispatch.planning.planner import LimitsError, UnsolvedError
from dispatch.planning.program import OBJECTIVES, Objective, Reserve
from dispatch.planning.reserve import draw_activations, execute, reserve_plan
from dispatch.planning.siting import Sited, Sweep, exact_sites, greedy_sites, sweep
from dispatch.station.sizing import Asset
from experiments.job import Job
from experiments.running import resolve
from experiments.storage_network.single_day import SCENARIO, single_day
from sim.arrays import FloatArray
from sim.clock import STEPS_PER_DAY
from sim.scenario import Scenario, StationaryBattery

Charging = Literal["no cars", "uncontrolled", "coordinated"]
Method = Literal["exact", "greedy", "sweep"]

METHODS: Final[tuple[Method, ...]] = ("exact", "greedy", "sweep")
HOURS: Final = 24
CANDIDATES: Final = ("6", "8", "14", "18", "25", "31", "33", "22")
"""Buses where storage may stand: the trunk's fork, stations, and the ends of the feeder [A]."""
MOST_SITES: Final = 3
MOST_KWH, MOST_KW = 2000.0, 1000.0  # of a site
CAPITAL: Final = Capital(
    kwh=Asset(price=150.0, life_years=15.0),
    kw=Asset(price=80.0, life_years=15.0),
    site=Asset(price=10_000.0, life_years=25.0),
    rate=0.05,
)
"""EUR per kWh and per kW, and for making a place ready [A]."""
SWEPT_KWH: Final = (250.0, 500.0, 1000.0, 2000.0)
SWEPT_KW_PER_KWH: Final = 0.5
RESERVE_PER_KW_H: Final = 0.01
"""EUR for a kW held for an hour, each way [A]."""
CALLED: Final = 0.1
"""Chance that a call begins in an hour without one."""
SUSTAINED_H: Final = 1.0
"""How long a full activation lasts that reserve must be able to sustain."""
MOST_SUN_KW: Final = 20_000.0
"""Largest power of further sun in any hour that is asked about."""
CARS_MARGIN: Final = 0.001
"""Share of each rating that coordinated cars leave free: where they are planned onto a rating, by rounding above it, no
storage elsewhere on the feeder could bring the line back."""
_DAYS_A_YEAR: Final = 365.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Days of the feeder, in hours, with cars that charge in some way."""

    days: tuple[date, ...]
    charging: Charging
    n_cars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Siting:
    """One way to find sites in one setting."""

    setting: Setting
    method: Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A front between cost and another objective."""

    setting: Setting
    second: str
    n_points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """A search for schedules that trade all objectives off, some of its points compared with their bounds."""

    setting: Setting
    search: Search
    n_compared: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Reserve with or without the energy to back it, and how often it is called."""

    setting: Setting
    keeps_energy: bool
    n_draws: int
    persistences: tuple[float, ...] = (0.0, 0.5)
    """Chances that a call goes on for another hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sun:
    """How much sun a day takes beyond what there is, with storage idle or free."""

    setting: Setting
    is_idle: bool


def sited(asked: Siting) -> pd.DataFrame:
    """Sites and sizes by one method; a row, or one per place and size of a sweep.

    Returns
    -------
    DataFrame
        ``cars``, ``method``, ``sites`` (buses with kWh and kW), ``kwh``, ``kw``, ``cost`` and ``bound`` [EUR a
        year], ``gap``; ``fault`` where no sites let the limits be kept, or none were found that do, which is no proof.
    """
    case = _case(asked.setting)
    head = {"cars": asked.setting.n_cars, "method": asked.method}
    names = case.network.feeder.bus_names
    try:
        if asked.method == "sweep":
            swept = sweep(case, SWEPT_KWH, kw_per_kwh=SWEPT_KW_PER_KWH)
            rows = [
                {
                    **head,
                    "sites": names[int(bus)],
                    "kwh": size,
                    "kw": size * SWEPT_KW_PER_KWH,
                    "cost": swept.yearly_cost[place, column],
                    "bound": swept.bound[place, column],
                    "gap": _gap(swept.yearly_cost[place, column], swept.bound[place, column]),
                    "fault": _fault(swept, place, column),
                }
                for place, bus in enumerate(swept.bus)
                for column, size in enumerate(swept.kwh)
            ]
            return pd.DataFrame(rows)
        found = exact_sites(case) if asked.method == "exact" else greedy_sites(case)
    except (LimitsError, UnsolvedError) as error:
        nothing = {"sites": "", "kwh": np.nan, "kw": np.nan, "cost": np.nan, "bound": np.nan, "gap": np.nan}
        return pd.DataFrame([{**head, **nothing, "fault": str(error)}])
    return pd.DataFrame([{**head, **_told(found, names), "fault": ""}])


def traded(asked: Trade) -> pd.DataFrame:
    """Points of a front with the storage that the scenario has; a row per point, with its gap and schedule."""
    case = _with_own_storage(asked.setting)
    found = front(case, cast(Objective, asked.second), n_points=asked.n_points)
    return pd.DataFrame(
        {
            "second": asked.second,
            "cost": cost,
            "value": value,
            "gap": gap,
            "keeps_limits": plan.judged.keeps_limits,
            "is_one_way": plan.is_one_way,
            **{name: float(getattr(plan.judged.reached, name)) for name in OBJECTIVES[1:]},
            **_schedule(plan.plan, plan.judged.exchange_kw),
        }
        for (cost, value), gap, plan in zip(found.points, found.gaps, found.plans, strict=True)
    )


def evolved(asked: Many) -> pd.DataFrame:
    """What NSGA-III finds on a day with the scenario's storage, and the exact end of each objective.

    Returns
    -------
    DataFrame
        A row per point of the search (``method`` is NSGA-III) and per end (exact): the six objectives, ``bound``, and
        the schedule (``storage_kw`` by step and unit, ``exchange_kw``, ``curtailed_kw`` by step). The bound of a point
        is on its cost at no more of all else, NaN where it was not asked for; that of an end on its ``objective``.
    """
    case = _with_own_storage(asked.setting)
    with threadpool_limits(limits=1):
        found = nsga3(case, asked.search)
    by_cost = found.values[:, 0].argsort(kind="stable")
    shares = np.linspace(0, len(by_cost) - 1, min(asked.n_compared, len(by_cost))).round().astype(np.int64)
    compared = compare(case, found, by_cost[shares])
    bound = np.full(len(by_cost), np.nan)
    bound[compared.places] = compared.bound
    rows: list[dict[str, object]] = [
        {
            "method": "NSGA-III",
            "objective": "",
            **dict(zip(OBJECTIVES, found.values[place].tolist(), strict=True)),
            "bound": bound[place],
            **_schedule(found.plan(case, place), found.exchange_kw[place]),
        }
        for place in by_cost.tolist()
    ]
    for name, end in ends(case).items():
        rows.append(
            {
                "method": "exact",
                "objective": name,
                **dict(zip(OBJECTIVES, end.judged.reached.as_array().tolist(), strict=True)),
                "bound": end.bound,
                **_schedule(end.plan, end.judged.exchange_kw),
            }
        )
    return pd.DataFrame(rows)


def _schedule(plan: Plan, exchange_kw: FloatArray) -> dict[str, list[float]]:
    """What storage, source and curtailed sun do, as lists; storage step by step, all units in each."""
    return {
        "storage_kw": (plan.charge_kw - plan.discharge_kw).ravel().tolist(),
        "exchange_kw": exchange_kw.tolist(),
        "curtailed_kw": plan.curtailed_kw.sum(axis=1).tolist(),
    }


def storage_names() -> list[str]:
    """The scenario's storage units by their buses, in the order of their schedules."""
    return [f"storage at bus {region.bus}" for region in resolve(SCENARIO).regions for _ in region.batteries]


def held(asked: Holding) -> pd.DataFrame:
    """Reserve that the scenario's storage offers on a day, and what of its calls is delivered; a row per draw."""
    case = _with_own_storage(asked.setting)
    price = np.full(case.n_steps, RESERVE_PER_KW_H)
    market = Reserve(
        up_per_kw_h=price,
        down_per_kw_h=price,
        duration_h=SUSTAINED_H,
        keeps_energy=asked.keeps_energy,
    )
    planned = reserve_plan(case, market)
    # calls differ from day to day; both schedules of a day are called alike, so that what differs is theirs
    rng = np.random.default_rng([1, asked.setting.days[0].toordinal()])
    rows = []
    for persistence, draw in itertools.product(asked.persistences, range(asked.n_draws)):
        calls = draw_activations(rng, case.n_steps, probability=CALLED, persistence=persistence)
        called = execute(
            planned.plan, case.storage, calls, step_h=case.step_h, steps_per_day=case.days[0].n_steps
        )
        rows.append(
            {
                "keeps_energy": asked.keeps_energy,
                "day": asked.setting.days[0].isoformat(),
                "draw": draw,
                "call_h": 1.0 / (1.0 - persistence),
                "up_kw": float(planned.plan.up_kw.sum(axis=1).mean()),
                "down_kw": float(planned.plan.down_kw.sum(axis=1).mean()),
                "cost": planned.value,
                "gap": planned.gap,
                "asked_kwh": called.asked_kwh,
                "delivered_kwh": called.delivered_kwh,
                "activations": called.n_activations,
                "in_full": called.n_delivered,
            }
        )
    return pd.DataFrame(rows)


def lit(asked: Sun) -> pd.DataFrame:
    """Sun that a day takes beyond what there is, at the buses that have some, if all may be sold; one row.

    All of it in kW installed, of which each gives what one that stands there gives: what a day takes then compares with
    what is there, and with other days, on which the same kW see another sky.

    Returns
    -------
    DataFrame
        ``day``, ``storage`` (idle or free), ``there_kw``, ``further_kw``, ``bound_kw`` (no schedule takes more),
        ``highest_pu``, ``highest_loading``.

    Raises
    ------
    ValueError
        When no bus has sun, or the day has none.
    """
    (date_,) = asked.setting.days
    own = _with_own_storage(asked.setting)
    day = replace(own.days[0], export_limit_kw=np.inf)
    case = replace(own, days=(day,))
    installed_kw = _installed_kw(asked.setting, day.network.feeder.bus_names)
    there_kw = float(installed_kw.sum())
    if day.pv_kw.max() <= 0.0 or there_kw <= 0.0:
        raise ValueError(f"{date_}: no sun")
    profile = day.pv_kw.sum(axis=1) / there_kw
    found = hosting(
        case, installed_kw, profile, most_kw=MOST_SUN_KW / float(profile.max()), is_idle=asked.is_idle
    )
    row = {
        "day": date_.isoformat(),
        "storage": "idle" if asked.is_idle else "free",
        "there_kw": there_kw,
        "further_kw": found.kw,
        "bound_kw": found.bound_kw,
        "highest_pu": float(found.judged.voltage_pu.max()),
        "highest_loading": float(found.judged.loading.max()),
    }
    return pd.DataFrame([row])


def _installed_kw(setting: Setting, bus_names: Sequence[str]) -> FloatArray:
    """Rated power of the sun at each bus, (N,)."""
    installed_kw = np.zeros(len(bus_names))
    for region in _scenario(setting.days[0], setting.charging, setting.n_cars).regions:
        if region.pv is not None:
            installed_kw[bus_names.index(str(region.bus))] += region.pv.rated_kw
    return installed_kw


def feeder_days(setting: Setting) -> tuple[FeederDay, ...]:
    """Hours of the feeder on each day; cars charge as simulated quarter-hours say.

    Raises
    ------
    UnsolvedError
        When a decision of that simulation failed: its fallback does not charge as asked.
    """
    return tuple(_day(day, setting.charging, setting.n_cars) for day in setting.days)


@lru_cache(maxsize=64)
def _day(day: date, charging: Charging, n_cars: int) -> FeederDay:
    scenario = _scenario(day, charging, n_cars)
    with threadpool_limits(limits=1):
        job = Job.prepare(scenario, None, None)
        site, world = job.actors.site, job.actors.world
        cars_kw = np.zeros((STEPS_PER_DAY, site.n_regions))
        if charging != "no cars":
            simulated = job.simulate()
            if simulated.figures["fallbacks"]:
                raise UnsolvedError(
                    f"{day}: no plan of {n_cars} cars that charge {charging}: a decision failed"
                )
            grid = simulated.tables["grid"]
            net = np.asarray(grid["ev_charge_kw"]) - np.asarray(grid["ev_discharge_kw"])
            cars_kw = net.astype(np.float64).reshape(STEPS_PER_DAY, -1)
    network = site.network
    assert network is not None
    rows, source = world.rows(0, STEPS_PER_DAY), network.feeder.source_index
    load_kw = world.load_kw[rows]
    return FeederDay(
        network=network,
        step_h=1.0,
        demand_kw=_hourly(load_kw + cars_kw),
        demand_kvar=_hourly(load_kw * network.load_kvar_per_kw),
        pv_kw=_hourly(world.pv_kw[rows]),
        buy_per_kwh=_hourly(world.buy_price_per_kwh[rows])[:, source],
        sell_per_kwh=_hourly(world.sell_price_per_kwh[rows])[:, source],
        grid_kg_per_kwh=world.grid_kg_per_kwh[rows].reshape(HOURS, -1).mean(axis=1),
        export_limit_kw=float(site.export_limit_kw[source]),
    )


def _scenario(day: date, charging: Charging, n_cars: int) -> Scenario:
    ways = {
        "no cars": ("dispatch.policy=uncontrolled",),
        "uncontrolled": ("dispatch.policy=uncontrolled",),
        "coordinated": (
            "dispatch.policy=day-ahead",
            "forecast.kind=perfect",
            "dispatch.feeder_limits=keep",
            f"dispatch.feeder_rating_margin={CARS_MARGIN}",
        ),
    }
    return single_day(
        n_cars,
        f"simulation.start={day}",
        "regions.*.batteries=[]",  # it is they that are asked about
        *ways[charging],
    )


def _hourly(quarters: FloatArray) -> FloatArray:
    return np.asarray(quarters.reshape(HOURS, -1, quarters.shape[1]).mean(axis=1))


def _case(setting: Setting) -> Case:
    """Representative days of a year with candidates; all on one network."""
    days = feeder_days(setting)
    network = days[0].network
    bus = [network.feeder.bus_names.index(name) for name in CANDIDATES]
    design = free_sizes(bus, kwh_max=MOST_KWH, kw_max=MOST_KW, most_sites=MOST_SITES)
    return Case(
        days=tuple(replace(day, network=network) for day in days),
        weight=np.full(len(days), _DAYS_A_YEAR / len(days)),
        storage=_own_storage(),
        design=design,
        capital=CAPITAL,
    )


def _with_own_storage(setting: Setting) -> Case:
    """A day with the storage that stands in the scenario."""
    (day,) = feeder_days(setting)
    units = _own_units()
    names = day.network.feeder.bus_names
    design = fixed_sizes(
        [names.index(bus) for bus, _ in units],
        [unit.capacity_kwh for _, unit in units],
        [unit.discharge_limit_kw for _, unit in units],
    )
    return one_day(day, _own_storage(), design)


def _own_storage() -> Storage:
    """The scenario's kind of storage, of which its first unit stands for all; so are those that are to be sited."""
    first = _own_units()[0][1]
    return Storage(
        charge_efficiency=first.charge_efficiency,
        discharge_efficiency=first.discharge_efficiency,
        self_discharge_per_day=first.self_discharge_per_day,
        soc_min=first.soc_min,
        soc_max=first.soc_max,
        initial_soc=first.initial_soc,
        wear_price_per_kwh=_wear_price(),
    )


def _own_units() -> list[tuple[str, StationaryBattery]]:
    """The scenario's storage with the buses at which it stands."""
    return [(str(region.bus), unit) for region in resolve(SCENARIO).regions for unit in region.batteries]


def _wear_price() -> float:
    """What a kWh discharged costs in the scenario: its wear, and operation of that kWh both ways (losses left out)."""
    economics = resolve(SCENARIO).economics
    return economics.throughput_price_per_kwh + 2.0 * economics.battery_operation_per_kwh


def _told(found: Sited, names: Sequence[str]) -> dict[str, object]:
    places = zip(found.bus, found.kwh, found.kw, strict=True)
    return {
        "sites": "; ".join(f"{names[int(bus)]}: {kwh:,.0f} kWh, {kw:,.0f} kW" for bus, kwh, kw in places),
        "kwh": float(found.kwh.sum()),
        "kw": float(found.kw.sum()),
        "cost": found.yearly_cost,
        "bound": found.bound,
        "gap": found.gap,
    }


def _fault(swept: Sweep, place: int, column: int) -> str:
    if np.isfinite(swept.yearly_cost[place, column]):
        return ""
    if swept.is_impossible[place, column]:
        return "limits cannot be kept"
    return "no plan was found that keeps the limits by AC power flow"


def _gap(cost: float, bound: float) -> float:
    return (cost - bound) / abs(cost) if np.isfinite(cost) else float("nan")


def methods(settings: Sequence[Setting]) -> Iterator[Siting]:
    """Every method in every setting."""
    for setting in settings:
        for method in METHODS:
            yield Siting(setting=setting, method=method)
