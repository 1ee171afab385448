"""Sampled travel: the model's stated targets, independence of draws, the day's end."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from agents.itineraries import Itineraries
from agents.population import draw_population
from agents.travel_chain import sample_itineraries
from sim.clock import DAY_S
from sim.errors import ScenarioError
from sim.laws import quantile
from sim.regions import place_choices
from sim.scenario import Scenario
from tests.agents_cases import region, scenario_of

H, W, O = 0, 1, 2  # noqa: E741
FIELDS = ("vehicle_index", "day", "trip_index", "origin_index", "destination_index", "depart_s", "arrive_s",
          "distance_km", "plugs_in", "is_first_from_home")  # fmt: skip


def sampled(changes: dict[str, object] | None = None) -> Itineraries:
    """Sample a scenario's itineraries."""
    scenario = scenario_of(changes)
    return sample_itineraries(
        scenario, draw_population(scenario, place_choices(scenario), scenario.fleet.size)
    )


def chains(trips: Itineraries, days: int = 3) -> list[str]:
    """Chain of each car-day as letters."""
    words: dict[tuple[int, int], str] = {}
    for car, day, stop in zip(
        trips.vehicle_index.tolist(), trips.day.tolist(), trips.destination_index.tolist(), strict=True
    ):
        words[car, day] = words.get((car, day), "H") + "HWO"[stop]
    return list(words.values())


@pytest.fixture(scope="module")
def many() -> Itineraries:
    """Sample 10,000 cars for three days."""
    return sampled({"fleet.size": 10_000})


def class_of(trips: Itineraries) -> np.ndarray:
    """Trip class I, II or III as 1, 2, 3."""
    return np.where(trips.origin_index == H, 1, np.where(trips.destination_index == H, 3, 2))


def test_chain_shares(many: Itineraries) -> None:
    """H-W-H 0.525, H-O-H 0.233, H-W-O-H 0.243 within four standard errors, and nothing else."""
    words = chains(many)
    assert len(words) == 30_000
    for word, share in (("HWH", 0.7674 * 0.6837), ("HOH", 0.2326), ("HWOH", 0.7674 * 0.3163)):
        error = np.sqrt(share * (1 - share) / len(words))
        assert abs(words.count(word) / len(words) - share) < 4 * error
    assert set(words) == {"HWH", "HOH", "HWOH"}


def test_kilometres_per_car_and_day(many: Itineraries) -> None:
    """About 29 km, as the model states."""
    assert many.distance_km.sum() / 30_000 == pytest.approx(29.0, abs=1.0)


@pytest.mark.parametrize(
    ("what", "targets"),
    [
        ("first departure, h", (5.63, 7.39, 9.47)),
        ("trip from home, min", (8, 20, 49)),
        ("trip between, min", (6, 15, 39)),
        ("trip to home, min", (8, 20, 49)),
        ("dwell at W, min", (371, 518, 643)),
        ("dwell at O, min", (24, 59, 173)),
    ],
)
def test_quantiles_of_the_stated_table(many: Itineraries, what: str, targets: tuple[float, ...]) -> None:
    """10, 50 and 90 % quantiles lie within 2.5 % (or 0.6 min) of the model's table of laws.

    The stay at O is that of H-O-H chains: in H-W-O-H the rule that days end by 24:00 takes long stays away.
    """
    duration = (many.arrive_s - many.depart_s) / 60.0
    kind = class_of(many)
    stays = many.trip_index[1:] > 0
    dwell, place = ((many.depart_s[1:] - many.arrive_s[:-1]) / 60.0)[stays], many.origin_index[1:][stays]
    values = {
        "first departure, h": many.depart_s[many.trip_index == 0] % DAY_S / 3600.0,
        "trip from home, min": duration[kind == 1],
        "trip between, min": duration[kind == 2],
        "trip to home, min": duration[kind == 3],
        "dwell at W, min": dwell[place == W],
        "dwell at O, min": dwell[(place == O) & (many.trip_index[1:][stays] == 1)],
    }[what]
    np.testing.assert_allclose(np.quantile(values, [0.1, 0.5, 0.9]), targets, rtol=0.025, atol=0.6)


def test_dwell_at_home_between_trips() -> None:
    """Returning cars leave again with the stated probability, after a stay by the Weibull law."""
    short = {name: {"family": "constant", "loc": 30.0} for name in "WO"}  # so that days rarely end too late
    law = scenario_of().travel.dwell_min["H"]
    trips = sampled({
        "fleet.size": 4000, "travel.leave_again_probability": 0.3,
        "travel.dwell_min": short | {"H": law.model_dump()},
    })  # fmt: skip
    words = chains(trips)
    assert max(len(word) for word in words) <= 9
    again = sum("H" in word[1:-1] for word in words) / len(words)
    assert again == pytest.approx(0.3, abs=0.02)
    at_home = (trips.trip_index[1:] > 0) & (trips.origin_index[1:] == H)
    dwell = ((trips.depart_s[1:] - trips.arrive_s[:-1]) / 60.0)[at_home]
    np.testing.assert_allclose(np.quantile(dwell, [0.1, 0.5]), quantile(law, [0.1, 0.5]), rtol=0.05)


def test_distances_are_possible(many: Itineraries) -> None:
    """0 < d <= 130 km, 5 to 120 km/h."""
    speed = many.distance_km / ((many.arrive_s - many.depart_s) / 3600.0)
    assert (many.distance_km > 0).all()
    assert many.distance_km.max() <= 130.0
    assert speed.min() >= 5.0 - 1e-9
    assert speed.max() <= 120.0 + 1e-9


def test_distance_follows_the_durations_window(many: Itineraries) -> None:
    """Class I trips of 30 to 40 minutes average the window's 18.71 km (its truncation moves it by little)."""
    minutes = (many.arrive_s - many.depart_s) / 60.0
    here = (class_of(many) == 1) & (minutes >= 30) & (minutes < 40)
    assert many.distance_km[here].mean() == pytest.approx(18.9, abs=0.6)


def test_days_chain_up(many: Itineraries) -> None:
    """Each day begins and ends at home before midnight; trips do not overlap; stops follow each other."""
    same = np.diff(many.vehicle_index) == 0
    assert (many.depart_s[1:][same] > many.arrive_s[:-1][same]).all()
    assert (many.origin_index[1:][same] == many.destination_index[:-1][same]).all()
    assert (many.arrive_s // DAY_S == many.day).all()
    assert (many.depart_s // DAY_S == many.day).all()
    first = many.trip_index == 0
    assert (many.origin_index[first] == H).all()
    assert (many.destination_index[np.append(first[1:], True)] == H).all()
    assert (many.is_first_from_home == first).all()
    assert (many.follows_night_at_home == first).all()
    assert many.first_trip[-1] == many.n_trips
    assert many.compressed_days == 0
    assert 0 < many.redrawn_days < 1000


def test_plug_in_draws(many: Itineraries) -> None:
    """Home stops always plug in, other stops with 0.3."""
    assert many.plugs_in[many.destination_index == H].all()
    for place in (W, O):
        assert many.plugs_in[many.destination_index == place].mean() == pytest.approx(0.3, abs=0.02)


def test_adding_cars_or_days_changes_no_draw() -> None:
    """The first 10 cars of 1,000, and the first day of a week, are those of a smaller and shorter world."""
    small, large = sampled({"fleet.size": 10}), sampled({"fleet.size": 1000})
    long = sampled({"fleet.size": 10, "simulation.days": 7})
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(small, name), getattr(large, name)[large.vehicle_index < 10])
        np.testing.assert_array_equal(getattr(small, name), getattr(long, name)[long.day <= 1])


def test_plug_in_probability_moves_nothing_else() -> None:
    """Another probability changes the plug-in draws of some stops, only upwards, and no trip."""
    low, high = sampled({"fleet.size": 500}), sampled({"fleet.size": 500, "fleet.plug_in_probability.W": 0.6})
    for name in set(FIELDS) - {"plugs_in"}:
        np.testing.assert_array_equal(getattr(low, name), getattr(high, name))
    assert (high.plugs_in >= low.plugs_in).all()
    assert high.plugs_in.sum() > low.plugs_in.sum()


def test_replications_and_seeds_differ() -> None:
    """Another seed or replication is another world."""
    base = sampled({"fleet.size": 20})
    for change in ({"simulation.seed": 2}, {"simulation.replication": 1}):
        other = sampled({"fleet.size": 20, **change})
        assert not np.array_equal(base.depart_s, other.depart_s)


def test_weekend_matrix_and_stay_home_share() -> None:
    """Saturday and Sunday use the weekend matrix and share, by the calendar of the scenario's start."""
    trips = sampled({
        "fleet.size": 1000,
        "simulation.start": date(2016, 4, 22),  # a Friday; day -1 is Thursday
        "simulation.days": 3,
        "travel.chain.weekend": {"H": {"O": 1.0}, "O": {"H": 1.0}},
        "travel.stay_home_share_weekend": 0.4,
    })  # fmt: skip
    for day, weekend in ((-1, False), (0, False), (1, True), (2, True), (3, False)):
        here = trips.day == day
        assert bool((trips.destination_index[here] == W).any()) is not weekend
        used = len(np.unique(trips.vehicle_index[here])) / 1000
        assert used == pytest.approx(0.6 if weekend else 1.0, abs=0.06)


def test_the_longest_chains_are_sent_home() -> None:
    """A chain that never goes home by itself has max_trips_per_day trips, the last of them home."""
    restless = {"H": {"O": 1.0}, "W": {"O": 1.0}, "O": {"W": 0.5, "O": 0.49, "H": 0.01}}
    for most in (2, 5, 12):
        trips = sampled({
            "fleet.size": 200, "travel.chain.weekday": restless, "travel.chain.weekend": restless,
            "travel.max_trips_per_day": most,
            "travel.dwell_min.W": {"family": "constant", "loc": 20.0},
            "travel.dwell_min.O": {"family": "constant", "loc": 20.0},
        })  # fmt: skip
        words = chains(trips)
        assert max(len(word) for word in words) == most + 1
        assert sum(len(word) == most + 1 for word in words) > 0.85 * len(words)
        assert all(word.endswith("H") for word in words)


def test_chains_that_cannot_end_in_time_are_compressed_and_counted() -> None:
    """Stays of 20 hours after a departure at 10:00 make every day too long: chains stay, stays shrink."""
    long = {"family": "constant", "loc": 1200.0}
    trips = sampled({
        "fleet.size": 50, "travel.dwell_min.W": long, "travel.dwell_min.O": long,
        "travel.first_departure_h": {"family": "constant", "loc": 10.0},
    })  # fmt: skip
    assert trips.compressed_days == 150
    assert trips.redrawn_days == 150
    last = np.append(np.diff(trips.vehicle_index * 9 + trips.day) != 0, True)
    assert (trips.arrive_s[last] % DAY_S > DAY_S - 10).all()
    assert (trips.depart_s[trips.trip_index == 0] % DAY_S == 36_000).all()
    assert (trips.arrive_s > trips.depart_s).all()


def test_redrawn_days_take_further_uniforms() -> None:
    """Under a tight day most car-days are drawn again, in later slices and blocks, and still end by 24:00."""
    tight = {"travel.first_departure_h": {"family": "uniform", "loc": 8.0, "scale": 8.0}, "fleet.size": 300}
    trips = sampled(tight)
    assert trips.redrawn_days > 150
    assert (trips.arrive_s // DAY_S == trips.day).all()
    large = sampled(tight | {"fleet.size": 310})
    np.testing.assert_array_equal(trips.depart_s, large.depart_s[large.vehicle_index < 300])


def road_town(**changes: object) -> Scenario:
    """Make a town of two homes, a work place and two others, with roads."""
    regions = [region("a", "H"), region("b", "H"), region("c", "W"), region("d", "O"), region("e", "O")]
    pairs = [("a", "c", 12.0, 40.0), ("b", "c", 20.0, 80.0), ("c", "d", 6.0, 30.0), ("a", "e", 3.0, 30.0)]
    roads = [{"from_region": a, "to_region": b, "km": km, "speed_kmh": v} for a, b, km, v in pairs]
    return scenario_of(
        {"fleet.size": 200, "travel.distance": "road", "regions": regions, "roads": roads, **changes}
    )


def test_road_distances_and_durations() -> None:
    """Kilometres and minutes are the graph's: from a to d 18 km in 30 minutes, by c."""
    scenario = road_town()
    trips = sample_itineraries(
        scenario, draw_population(scenario, place_choices(scenario), scenario.fleet.size)
    )
    here = (trips.origin_index == 0) & (trips.destination_index == 3)
    assert here.sum() > 5
    assert (trips.distance_km[here] == 18.0).all()
    assert (trips.arrive_s[here] - trips.depart_s[here] == 1800).all()


def test_a_missing_road_is_a_fault() -> None:
    """Regions that cars travel between and no road joins are named."""
    scenario = road_town(roads=[{"from_region": "a", "to_region": "c", "km": 1.0, "speed_kmh": 30.0}])
    with pytest.raises(ScenarioError, match="no road leads from 'a' to 'd'") as caught:
        sample_itineraries(scenario, draw_population(scenario, place_choices(scenario), scenario.fleet.size))
    assert len(caught.value.faults) > 3
