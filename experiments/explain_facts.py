"""What a run's tables say of one car in one step, gathered once for many questions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dispatch.baselines import OwnCost
from dispatch.margin import Margin
from experiments.reading import Run, records
from sim.arrays import FloatArray
from sim.clock import STEP_S
from sim.trace import MARGINALS

NOTHING_KWH = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class CarBook:
    """One car's rows, in order; absent entries are None."""

    vehicle: Any
    trips: tuple[Any, ...]
    segments: tuple[Any, ...]
    starts_s: tuple[int, ...]  # of the segments
    marginals: dict[int, Any]  # by the step's beginning

    def at(self, instant_s: int) -> Any:
        """Segment that holds an instant."""
        return self.segments[max(0, bisect_right(self.starts_s, instant_s) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Book:
    """A run's tables by car, region and step."""

    run: Run
    policy: str
    is_own_policy: bool
    knows_trips: bool  # whether its decisions are given the true trips, not what drivers declare
    foresees_prices: bool  # whether they go by prices that are foreseen, not published
    departure_margin_s: float  # by which declared departures are taken to be earlier
    undeclared_soc: float  # wanted as soon as possible where no departure is declared
    currency: str
    wear_per_kwh: float
    n_steps: int
    buy_price_per_kwh: dict[str, FloatArray]  # by region, one entry per step
    bus: dict[tuple[int, str], Any]  # regions' rows of marginals, by the step's beginning and region
    status: dict[int, str]  # of each decision
    cars: dict[int, CarBook]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """What happened to a car that was plugged in at the beginning of a step."""

    step_s: int
    region: str
    plugged_until_s: int  # at most the step's end
    power_kw: float  # mean while plugged in this step
    energy_start_kwh: float
    energy_end_kwh: float  # when it left, or at the step's end
    stay_end_s: int | None  # when the plugged stay ended; None when it outlasts the run
    departure: Any  # next trip, None when the tables have none
    is_full: bool  # at the end
    is_empty: bool


def open_book(run: Run, vehicle_ids: Iterable[int]) -> Book:
    """Gather the rows of some cars and of all regions."""
    wanted = list(vehicle_ids)
    grid = run.grid.sort_values("step_start_s", kind="stable")
    marginals = run.marginals.reindex(
        columns=[column.name for column in MARGINALS.columns]
    )  # of an older run, too
    own = marginals["vehicle_id"].isna()
    dispatch, forecast = run.scenario["dispatch"], run.scenario["forecast"]
    policy = str(dispatch["policy"])
    return Book(
        run=run,
        policy=policy,
        knows_trips=policy == OwnCost.name or forecast["kind"] == "perfect" or "cars" in forecast["known"],
        foresees_prices=(
            run.scenario["tariff"]["kind"] == "series"
            and forecast["kind"] != "perfect"
            and "price" not in forecast["known"]
        ),
        departure_margin_s=60.0 * dispatch["departure_margin_min"] if policy == Margin.name else 0.0,
        undeclared_soc=float(run.scenario["fleet"]["drivers"]["undeclared_soc"]),
        is_own_policy=":" in policy or bool(run.manifest.get("policy_is_own_object")),
        currency=run.currency,
        wear_per_kwh=float(run.scenario["economics"]["throughput_price_per_kwh"]),
        n_steps=int(grid["step_start_s"].nunique()),
        buy_price_per_kwh={
            str(name): here["buy_price_per_kwh"].to_numpy(np.float64) for name, here in grid.groupby("region")
        },
        bus={(row.step_start_s, row.region): row for row in _rows(marginals[own])},
        status=dict(zip(run.decisions["step_start_s"], run.decisions["status"], strict=True)),
        cars=_car_books(run, marginals[~own], wanted),
    )


def _car_books(run: Run, marginals: pd.DataFrame, wanted: list[int]) -> dict[int, CarBook]:
    tables = ((run.trips, "planned_depart_s"), (run.segments, "start_s"), (marginals, "step_start_s"))
    trips, segments, duals = (_by_car(frame, wanted, order) for frame, order in tables)
    vehicles = run.vehicles[run.vehicles["vehicle_id"].isin(wanted)]
    books = {}
    for vehicle in records(vehicles):
        life = segments.get(vehicle.vehicle_id, [])
        books[int(vehicle.vehicle_id)] = CarBook(
            vehicle=vehicle,
            trips=tuple(trips.get(vehicle.vehicle_id, [])),
            segments=tuple(life),
            starts_s=tuple(row.start_s for row in life),
            marginals={row.step_start_s: row for row in duals.get(vehicle.vehicle_id, [])},
        )
    return books


def _by_car(frame: pd.DataFrame, wanted: list[int], order: str) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    kept = frame[frame["vehicle_id"].isin(wanted)]
    for row in _rows(kept.sort_values(["vehicle_id", order])):
        found.setdefault(row.vehicle_id, []).append(row)
    return found


def _rows(frame: pd.DataFrame) -> list[Any]:
    """Rows with None where nothing is."""
    plain = frame.astype(object)
    return records(plain.where(plain.notna(), None))


def step_facts(car: CarBook, step_s: int) -> StepFacts | None:
    """Facts of a step at whose beginning the car is plugged in; None when it is not."""
    first = car.at(step_s)
    if not first.plugged:
        return None
    end_s, kwh_at_bus, until_s, last = step_s + STEP_S, 0.0, step_s, first
    for row in car.segments[max(0, bisect_right(car.starts_s, step_s) - 1) :]:
        if row.start_s >= end_s or not row.plugged:
            break
        span_s = min(row.end_s, end_s) - max(row.start_s, step_s)
        kwh_at_bus += row.power_kw * span_s / 3600.0
        until_s, last = min(row.end_s, end_s), row
    hours = (until_s - step_s) / 3600.0
    energy = _energy(last, until_s)
    vehicle = car.vehicle
    return StepFacts(
        step_s=step_s,
        region=str(first.region),
        plugged_until_s=until_s,
        power_kw=kwh_at_bus / hours if hours else 0.0,
        energy_start_kwh=_energy(first, step_s),
        energy_end_kwh=energy,
        stay_end_s=_stay_end(car, step_s),
        departure=next((trip for trip in car.trips if _departs_s(trip) > step_s), None),
        is_full=energy >= vehicle.soc_max * vehicle.battery_kwh - NOTHING_KWH,
        is_empty=energy <= vehicle.soc_min * vehicle.battery_kwh + NOTHING_KWH,
    )


def planned_for_s(book: Book, trip: Any, step_s: int) -> float | None:
    """Instant of a departure that a decision planned with; None where the driver had declared none.

    A departure that is overdue is taken to be at the next boundary, and no margin brings one before it.
    """
    said_s = trip.planned_depart_s if book.knows_trips else trip.declared_depart_s
    if said_s is None:
        return None
    due_s = said_s if said_s > step_s else step_s + STEP_S
    return float(max(due_s - book.departure_margin_s, min(due_s, step_s + STEP_S)))


def _departs_s(trip: Any) -> int:
    return int(trip.planned_depart_s if trip.depart_s is None else trip.depart_s)


def _stay_end(car: CarBook, instant_s: int) -> int | None:
    for row in car.segments[max(0, bisect_right(car.starts_s, instant_s) - 1) :]:
        if not row.plugged:
            return int(row.start_s)
    return None


def _energy(row: Any, instant_s: int) -> float:
    """Energy within a segment: power is constant, so it is a straight line."""
    span_s = row.end_s - row.start_s
    share = (instant_s - row.start_s) / span_s if span_s else 1.0
    return float(row.energy_start_kwh + share * (row.energy_end_kwh - row.energy_start_kwh))
