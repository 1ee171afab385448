"""Sampled travel beside the model's stated targets and the survey's statistics."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd

from agents.fleet import VehicleFleet
from experiments.shipped import load_scenario, locate
from sim.clock import DAY_S

N_CARS = 20_000
TARGETS = {  # q10 / q50 / q90 of the laws before the rule that a chain ends by 24:00, and the unit's seconds
    "first departure, h": ((5.63, 7.39, 9.47), 3600.0),
    "trip from home, min": ((8, 20, 49), 60.0),
    "trip to home, min": ((8, 20, 49), 60.0),
    "trip between, min": ((6, 15, 39), 60.0),
    "stay at W, min": ((371, 518, 643), 60.0),
    "stay at O, min": ((24, 59, 173), 60.0),
}


def _trips() -> pd.DataFrame:
    scenario = load_scenario("multi-microgrid", [f"fleet.size={N_CARS}"])
    fleet = VehicleFleet(scenario)
    trips = fleet.plan.itineraries
    types = np.array([region.place_type for region in scenario.regions])
    frame = pd.DataFrame(
        {
            "vehicle": trips.vehicle_index,
            "day": trips.day,
            "index": trips.trip_index,
            "from": types[trips.origin_index],
            "to": types[trips.destination_index],
            "depart_s": trips.depart_s,
            "arrive_s": trips.arrive_s,
            "km": trips.distance_km,
        }
    )
    return frame[frame["day"] == 0].sort_values(["vehicle", "index"], ignore_index=True)


def _samples(trips: pd.DataFrame) -> dict[str, pd.Series]:
    duration = trips["arrive_s"] - trips["depart_s"]
    follows = trips["vehicle"].eq(trips["vehicle"].shift(-1))
    stay = (trips["depart_s"].shift(-1) - trips["arrive_s"])[follows]
    from_home, to_home = trips["from"] == "H", trips["to"] == "H"
    return {
        "first departure, h": trips.loc[trips["index"] == 0, "depart_s"],
        "trip from home, min": duration[from_home],
        "trip to home, min": duration[to_home],
        "trip between, min": duration[~from_home & ~to_home],
        "stay at W, min": stay[trips["to"] == "W"],
        "stay at O, min": stay[trips["to"] == "O"],
    }


def travel_table() -> Iterator[str]:
    """Markdown: laws, chain shares, mileage and whereabouts, each beside target or survey."""
    trips = _trips()
    survey = json.loads(locate("shipped:travel_survey_statistics").read_text(encoding="utf-8"))
    survey = survey["nhts2009_tennessee_vehicles"]
    yield f"\n{N_CARS:,} cars, one weekday; sampled (a chain ends by 24:00) beside the laws' targets\n"
    yield "| law | sampled q10 / q50 / q90 | target |\n|---|---|---|"
    for name, values in _samples(trips).items():
        (low, middle, high), unit_s = TARGETS[name]
        sampled = " / ".join(f"{value:.4g}" for value in np.quantile(values / unit_s, (0.1, 0.5, 0.9)))
        yield f"| {name} | {sampled} | {low:g} / {middle:g} / {high:g} |"
    chains = trips.groupby("vehicle").agg(to=("to", "-".join)).assign(chain=lambda rows: "H-" + rows["to"])
    shares = chains["chain"].value_counts(normalize=True)
    yield "\n| chain | sampled | target (Table 2) | survey |\n|---|---:|---:|---:|"
    for chain, target in (("H-W-H", 0.525), ("H-O-H", 0.233), ("H-W-O-H", 0.243)):
        observed = survey["top_chains_weighted_share"].get(chain, float("nan"))
        yield f"| {chain} | {shares.get(chain, 0.0):.3f} | {target:.3f} | {observed:.3f} |"
    km = trips.groupby("vehicle")["km"].sum()
    yield f"\nkm per car and day: sampled mean {km.mean():.1f} (target about 29), survey mean of used vehicles "
    yield f"{survey['km_per_vehicle_day']['mean']:.1f}; a longer day, for it holds more trips (4.2 against 2.2)."
    yield "\n| hour | home | work | driving | survey home | survey work | survey driving |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for hour in range(0, 24, 2):
        home, work, driving = _whereabouts(trips, hour * 3600)
        seen = survey["share_by_hour"][str(hour)]
        yield (
            f"| {hour:02d} | {home:.3f} | {work:.3f} | {driving:.3f} "
            f"| {seen['home']:.3f} | {seen['work']:.3f} | {seen['driving']:.3f} |"
        )


def _whereabouts(trips: pd.DataFrame, instant_s: int) -> tuple[float, float, float]:
    """Shares of cars at home, at work and driving, as means over the hour that begins at an instant."""
    at = instant_s + np.arange(0, 3600, 300)
    following = trips.groupby("vehicle")["depart_s"].shift(-1).fillna(2 * DAY_S)
    stays = [(trips["arrive_s"], following, trips["to"])]
    first = trips[trips["index"] == 0]
    stays.append((pd.Series(-DAY_S, index=first.index), first["depart_s"], first["from"]))
    share = {
        place: sum(_overlap(begin[where == place], end[where == place], at) for begin, end, where in stays)
        / N_CARS
        for place in ("H", "W")
    }
    return float(share["H"]), float(share["W"]), _overlap(trips["depart_s"], trips["arrive_s"], at) / N_CARS


def _overlap(begin: pd.Series, end: pd.Series, at: np.ndarray) -> float:
    """Mean number of spans that hold the instants."""
    started = np.searchsorted(np.sort(begin.to_numpy()), at, side="right")
    ended = np.searchsorted(np.sort(end.to_numpy()), at, side="right")
    return float((started - ended).mean())
