"""What a run means to each driver: bill, compensation, wear and ageing, and what another policy would have meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from experiments.ageing import cars_wear
from experiments.metrics import energy_at_departure_kwh, segment_bills
from experiments.reading import Run, read_run
from sim.errors import RunFolderError
from sim.scenario import Ageing

TRAVEL: Final = ("vehicle_id", "day", "trip_index", "planned_depart_s", "planned_arrive_s", "distance_km")
"""Columns of trips that two runs of the same travel share."""

NOTHING: Final = 1e-9
"""Money or energy below this is rounding."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gains:
    """What each driver gains by a run against another of the same travel."""

    cars: pd.DataFrame  # vehicle_id, takes_part, bill_saved, wear_more, compensation, gain, discharged_kwh
    mean: float
    worst: float
    worst_vehicle_id: int
    losing_share: float
    no_loser_per_kwh: (
        float  # compensation per kWh discharged at which nobody loses; inf when a loser gave nothing
    )


def driver_accounts(run: str | Path | Run) -> pd.DataFrame:
    """Account of each car over a run.

    Returns
    -------
    DataFrame
        One row per car: ``takes_part``, ``bill`` (bought less sold), ``bill_net`` (less lambda times the
        change of stored energy), ``charged_kwh``, ``discharged_kwh``, ``compensation``, ``wear`` (price times kWh
        discharged), ``full_cycles``, ``cycle_life``, ``calendar_life``, ``ageing_cost``, ``late``, ``unmet_kwh``,
        ``shortfall_kwh``; money in the scenario's currency.

    Raises
    ------
    RunFolderError
        When the folder is not a run.
    """
    opened = read_run(run)
    economics, drivers = opened.scenario["economics"], opened.scenario["fleet"]["drivers"]
    vehicles = opened.vehicles.sort_values("vehicle_id").reset_index(drop=True)
    table = vehicles[["vehicle_id", "vehicle_class", "chain", "takes_part"]].set_index("vehicle_id")
    segments = opened.segments.sort_values(["vehicle_id", "start_s"])
    value = opened.kpis[f"lambda_{opened.currency.lower()}_per_kwh"]
    hours = (segments["end_s"] - segments["start_s"]).to_numpy(np.float64) / 3600.0
    energy = segments["power_kw"].to_numpy(np.float64) * hours
    rows = segments[["vehicle_id"]].assign(
        bill=segment_bills(segments, opened.grid),
        charged_kwh=np.maximum(energy, 0.0),
        discharged_kwh=np.maximum(-energy, 0.0),
    )
    sums = rows.groupby("vehicle_id")[["bill", "charged_kwh", "discharged_kwh"]].sum()
    ends = segments.groupby("vehicle_id").agg(
        first=("energy_start_kwh", "first"), last=("energy_end_kwh", "last")
    )
    table = table.join(sums).join(_departures(opened))
    table["bill_net"] = table["bill"] - value * (ends["last"] - ends["first"])
    table["compensation"] = float(drivers["compensation_per_kwh"]) * table["discharged_kwh"]
    table["wear"] = float(economics["throughput_price_per_kwh"]) * table["discharged_kwh"]
    ageing = Ageing.model_validate(economics["ageing"])
    aged = cars_wear(segments, vehicles, ageing).set_index("vehicle_id")
    columns = ["vehicle_class", "chain", "takes_part", "bill", "bill_net", "charged_kwh", "discharged_kwh"]
    columns += ["compensation", "wear", *aged.columns, "late", "unmet_kwh", "shortfall_kwh"]
    return table.join(aged)[columns].reset_index()


def gains(run: str | Path | Run, against: str | Path | Run) -> Gains:
    """What each driver gains by a run against another of the same travel, such as uncontrolled charging.

    gain = net bill saved - wear more + compensation

    Raises
    ------
    RunFolderError
        When a folder is not a run, or the runs are of different cars or trips.
    """
    one, other = read_run(run), read_run(against)
    _require_same_travel(one, other)
    ours, theirs = (driver_accounts(opened).set_index("vehicle_id") for opened in (one, other))
    cars = pd.DataFrame(
        {
            "takes_part": ours["takes_part"].astype(bool),
            "bill_saved": theirs["bill_net"] - ours["bill_net"],
            "wear_more": ours["wear"] - theirs["wear"],
            "ageing_more": ours["ageing_cost"] - theirs["ageing_cost"],
            "compensation": ours["compensation"],
            "discharged_kwh": ours["discharged_kwh"],
        }
    )
    cars["gain"] = cars["bill_saved"] - cars["wear_more"] + cars["compensation"]
    return _of_cars(cars.reset_index())


def taking_part(found: Gains) -> Gains:
    """Gains of those drivers alone who take part."""
    return _of_cars(found.cars[found.cars["takes_part"]].reset_index(drop=True))


def _of_cars(cars: pd.DataFrame) -> Gains:
    """Sums over cars; zeros where there are none."""
    gain = cars["gain"].to_numpy(np.float64)
    worst = int(gain.argmin()) if len(cars) else 0
    return Gains(
        cars=cars,
        mean=float(gain.mean()) if len(cars) else 0.0,
        worst=float(gain[worst]) if len(cars) else 0.0,
        worst_vehicle_id=int(cars["vehicle_id"].iloc[worst]) if len(cars) else -1,
        losing_share=float((gain < -NOTHING).mean()) if len(cars) else 0.0,
        no_loser_per_kwh=no_loser_per_kwh(
            (cars["bill_saved"] - cars["wear_more"]).to_numpy(np.float64),
            cars["discharged_kwh"].to_numpy(np.float64),
        ),
    )


def no_loser_per_kwh(gain_before: np.ndarray, discharged_kwh: np.ndarray) -> float:
    """Least compensation per kWh discharged at which nobody loses; inf when somebody loses who gave nothing.

    Parameters
    ----------
    gain_before : ndarray, shape (n,)
        Gain of each driver without compensation [currency].
    discharged_kwh : ndarray, shape (n,)

    >>> no_loser_per_kwh(np.array([1.0, -0.5, -0.2]), np.array([0.0, 5.0, 1.0]))
    0.2
    >>> no_loser_per_kwh(np.array([-1.0]), np.array([0.0]))
    inf
    """
    loses = gain_before < -NOTHING
    if not loses.any():
        return 0.0
    gave = discharged_kwh[loses]
    if (gave <= NOTHING).any():
        return float("inf")
    return float((-gain_before[loses] / gave).max())


def _departures(run: Run) -> pd.DataFrame:
    """Late departures, energy unmet and energy short of what was needed, by car."""
    trips = run.trips
    short = trips["required_kwh"].to_numpy(np.float64) - energy_at_departure_kwh(trips, run.segments)
    begun = trips["depart_s"].notna().to_numpy()
    depart_s = trips["depart_s"].to_numpy(np.float64, na_value=np.inf)
    frame = trips[["vehicle_id", "unmet_kwh"]].assign(
        late=depart_s > trips["planned_depart_s"].to_numpy(np.float64),
        shortfall_kwh=np.where(begun, np.maximum(np.nan_to_num(short), 0.0), 0.0),
    )
    sums = frame.groupby("vehicle_id")[["late", "unmet_kwh", "shortfall_kwh"]].sum()
    return sums.reindex(sorted(run.vehicles["vehicle_id"]), fill_value=0)


def _require_same_travel(one: Run, other: Run) -> None:
    mine, theirs = (
        run.trips.sort_values(list(TRAVEL[:3]))[list(TRAVEL)].reset_index(drop=True) for run in (one, other)
    )
    if not mine.equals(theirs) or len(one.vehicles) != len(other.vehicles):
        raise RunFolderError(
            f"{one.path} and {other.path} are not of the same cars and trips; compare policies of one scenario and seed"
        )
