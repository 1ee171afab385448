"""The fleet in its simulated days: tables, energy, shortage, queues, resets, caps."""

from __future__ import annotations

import gc
import weakref

import mesa
import numpy as np
import pandas as pd
import pytest
import simpy

from agents.columns import Columns
from agents.fleet import VehicleFleet
from agents.trip_log import TripLog
from sim.arrays import FloatArray
from sim.clock import DAY_S, NEVER_S, STEP_S
from sim.contracts import Cars, Fleet
from sim.simulation import Boundary
from tests.agents_cases import Run, region, scenario_of


def full(now_s: int, cars: Cars) -> FloatArray:
    """Charge at full power."""
    return cars.charge_limit_kw


def restless(now_s: int, cars: Cars) -> FloatArray:
    """Charge and discharge in turns, at powers that differ by car and step; keep what departures need."""
    wanted = 5.0 * np.sin(now_s / 7000.0 + cars.vehicle_id)
    rate = cars.charge_limit_kw * cars.charge_efficiency
    needed = cars.required_kwh - rate * np.maximum(cars.departure_s - now_s - STEP_S, 0) / 3600.0
    return np.where(cars.energy_kwh < needed + 2.0, cars.charge_limit_kw, wanted)


def careless(now_s: int, cars: Cars) -> FloatArray:
    """Discharge whatever is there."""
    return -cars.discharge_limit_kw


@pytest.fixture(scope="module")
def uncontrolled() -> Run:
    """Run 200 cars for two days, uncontrolled."""
    return Run(scenario_of({"fleet.size": 200, "simulation.days": 2}))


@pytest.fixture(scope="module")
def controlled() -> Run:
    """Run 60 cars under changing set-points."""
    return Run(scenario_of({"fleet.size": 60}), restless)


def assert_tiles(run: Run) -> None:
    """Segments of each car tile the run, continuous in energy, ending only where something changes."""
    for _, rows in run.segments.groupby("vehicle_id"):
        start, end = rows["start_s"].to_numpy(), rows["end_s"].to_numpy()
        assert start[0] == 0
        assert end[-1] == run.end_s
        assert (end > start).all()
        assert (start[1:] == end[:-1]).all()
        np.testing.assert_allclose(
            rows["energy_start_kwh"].to_numpy()[1:], rows["energy_end_kwh"].to_numpy()[:-1], atol=1e-9
        )
        keys = rows[["activity", "region", "plugged", "power_kw"]].fillna("none")
        assert (keys.iloc[1:].to_numpy() != keys.iloc[:-1].to_numpy()).any(axis=1).all()
    assert set(run.segments["vehicle_id"]) == set(range(run.fleet.n))


def assert_energy(run: Run) -> None:
    """Parked energy follows the one-way formula of the signed power; bounds hold."""
    rows = run.segments.merge(run.vehicles, on="vehicle_id")
    hours = (rows["end_s"] - rows["start_s"]) / 3600.0
    factor = np.where(rows["power_kw"] > 0, rows["charge_efficiency"], 1.0 / rows["discharge_efficiency"])
    expected = rows["energy_start_kwh"] + rows["power_kw"] * factor * hours
    parked = rows["activity"] == "parked"
    np.testing.assert_allclose(rows["energy_end_kwh"][parked], expected[parked], atol=1e-8)
    for side in ("energy_start_kwh", "energy_end_kwh"):
        assert (rows[side] >= rows["soc_min"] * rows["battery_kwh"] - 1e-8).all()
        assert (rows[side] <= rows["soc_max"] * rows["battery_kwh"] + 1e-8).all()
    assert (rows["power_kw"] <= rows["charge_limit_kw"] + 1e-9).all()
    assert (rows["power_kw"] >= -rows["discharge_limit_kw"] - 1e-9).all()
    assert (rows["power_kw"][~rows["plugged"]] == 0.0).all()


def assert_trips(run: Run) -> None:
    """Check that a drive takes its trips' energy less what they were helped out with, at the trips' instants.

    Trips without a second between them (a delay that lasts into the next morning) are one drive.
    """
    drives = run.segments[run.segments["activity"] == "driving"].reset_index(drop=True)
    begun = run.trips[run.trips["depart_s"].notna()].reset_index(drop=True)
    before = begun.shift(1)
    follows = (begun["vehicle_id"] == before["vehicle_id"]) & (begun["depart_s"] == before["arrive_s"])
    begun["used_kwh"] = begun["energy_kwh"] - begun["unmet_kwh"]
    groups = begun.groupby((~follows).cumsum())
    joined = groups.agg(start=("depart_s", "first"), last=("arrive_s", "last"), used=("used_kwh", "sum"))
    assert len(drives) == len(joined)
    assert (drives["start_s"].to_numpy() == joined["start"].to_numpy()).all()
    done = groups["arrive_s"].apply(lambda arrive: arrive.notna().all()).to_numpy(dtype=bool)
    assert (drives["end_s"][done].to_numpy() == joined["last"][done].to_numpy()).all()
    left = drives["energy_start_kwh"].to_numpy() - joined["used"].to_numpy()
    np.testing.assert_allclose(drives["energy_end_kwh"].to_numpy()[done], left[done], atol=1e-9)
    assert (run.trips["planned_depart_s"] >= 0).all()
    assert (run.trips["planned_depart_s"] < run.end_s).all()


def assert_step_energy(run: Run) -> None:
    """Check what close_step returned against the segments' power, integrated by brute force."""
    names = run.fleet.region_names
    charge, discharge = (np.zeros((run.end_s // STEP_S, len(names))) for _ in range(2))
    for row in run.segments[run.segments["power_kw"] != 0.0].itertuples():
        for step in range(row.start_s // STEP_S, (row.end_s - 1) // STEP_S + 1):
            span_s = min(row.end_s, (step + 1) * STEP_S) - max(row.start_s, step * STEP_S)
            energy = row.power_kw * span_s / 3600.0
            (charge if energy > 0 else discharge)[step, names.index(row.region)] += abs(energy)
    np.testing.assert_allclose([e.charge_kwh for e in run.energy], charge, atol=1e-7)
    np.testing.assert_allclose([e.discharge_kwh for e in run.energy], discharge, atol=1e-7)


def check(run: Run) -> None:
    """Everything that must hold of any run's tables."""
    assert_tiles(run)
    assert_energy(run)
    assert_trips(run)
    assert_step_energy(run)


def test_implements_the_contract() -> None:
    """A vehicle fleet is a Fleet (held by the type checker too)."""
    fleet: Fleet = VehicleFleet(scenario_of({"fleet.size": 1}))
    assert fleet.n == 1


def test_uncontrolled_tables_hold_together(uncontrolled: Run) -> None:
    """Two uncontrolled days: rows tile, energy balances, trips and step energies agree."""
    check(uncontrolled)
    assert (uncontrolled.trips["unmet_kwh"] == 0.0).all()


def test_controlled_tables_hold_together(controlled: Run) -> None:
    """The same under set-points that change at every boundary, discharging included."""
    check(controlled)
    assert (controlled.segments["power_kw"] < 0).any()


def test_uncontrolled_charges_from_the_second_of_arrival(uncontrolled: Run) -> None:
    """A stop that plugs in and finds a battery that is not full charges at once."""
    rows = uncontrolled.segments
    before = rows.shift(1)
    arrived = (
        (before["activity"] == "driving") & rows["plugged"] & (rows["vehicle_id"] == before["vehicle_id"])
    )
    assert arrived.sum() > 200
    assert (rows["power_kw"][arrived] > 0).all()


def test_scheduled_cars_wait_for_the_next_boundary(controlled: Run) -> None:
    """Without arrival power a car that comes inside a step draws nothing before the boundary."""
    rows = controlled.segments
    powered = rows[rows["power_kw"] != 0.0]
    previous = rows.shift(1).loc[powered.index]
    fresh = powered[previous["activity"] == "driving"]
    assert (fresh["start_s"] % STEP_S == 0).all()


def test_arrival_power_full_bridges_the_gap_to_the_boundary() -> None:
    """With fleet.arrival_power = full a scheduled car charges from its arrival to the next boundary only."""
    run = Run(scenario_of({"fleet.size": 40, "fleet.arrival_power": "full"}), careless)
    check(run)
    rows = run.segments
    charging = rows[rows["power_kw"] > 0]
    assert len(charging) > 20
    assert (charging["start_s"] // STEP_S == (charging["end_s"] - 1) // STEP_S).all()


def test_unchanged_power_is_one_row_until_the_last_step() -> None:
    """From 15 to 27 kWh at 5 kW and 0.9 take exactly 9,600 s: one row, though set-points come every 900 s."""
    run = Run(scenario_of({"fleet.size": 1}), full)
    first = run.segments.iloc[0]
    assert (first["start_s"], first["end_s"], first["power_kw"]) == (0, 9600, 5.0)
    assert first["energy_end_kwh"] == 27.0
    assert run.segments.iloc[1]["power_kw"] == 0.0


def test_a_battery_that_fills_midway_ends_on_a_whole_second() -> None:
    """4.9 kW into 12 kWh: 9,795.9 s, so the last step's 795.9 s become 796 s at a little less power."""
    run = Run(scenario_of({"fleet.size": 1}), lambda now_s, cars: np.full(cars.n, 4.9))
    rows = run.segments.iloc[:3]
    assert rows["end_s"].tolist()[:2] == [9000, 9796]
    gap_kwh = 12.0 - 4.9 * 0.9 * 9000 / 3600
    np.testing.assert_allclose(rows["power_kw"].iloc[1], gap_kwh * 3600 / (0.9 * 796), rtol=1e-12)
    assert rows["energy_end_kwh"].iloc[1] == 27.0


def test_a_battery_that_empties_stops_at_its_least_energy() -> None:
    """Discharging 15 kWh at 5 kW and 0.9 ends at 6 kWh after 5,832 s."""
    run = Run(scenario_of({"fleet.size": 1}), careless)
    powered = run.segments[(run.segments["power_kw"] != 0) & (run.segments["start_s"] < 2 * 3600)]
    assert powered["end_s"].max() == 9 * 3600 * 0.9 / 5
    np.testing.assert_allclose(powered["energy_end_kwh"].iloc[-1], 6.0, rtol=0, atol=0)


def test_first_cars_of_a_larger_fleet_are_the_cars_of_a_smaller_one() -> None:
    """The first 10 of 300 cars live the same lives as a fleet of 10."""
    small, large = Run(scenario_of({"fleet.size": 10})), Run(scenario_of({"fleet.size": 300}))
    for name in ("segments", "trips", "vehicles"):
        table = getattr(large, name)
        pd.testing.assert_frame_equal(
            getattr(small, name), table[table["vehicle_id"] < 10].reset_index(drop=True)
        )


@pytest.mark.parametrize("chargers", ["unlimited", 7])
def test_order_of_creation_has_no_effect(chargers: str | int) -> None:
    """Agents created in shuffled order give identical tables, queues included."""
    scenario = scenario_of({"fleet.size": 40, "regions.0.chargers": chargers, "fleet.shortage": "wait"})
    order = np.random.default_rng(3).permutation(40).tolist()
    plain, shuffled = Run(scenario, restless), Run(scenario, restless, creation_order=order)
    for name in ("segments", "trips", "vehicles"):
        pd.testing.assert_frame_equal(getattr(plain, name), getattr(shuffled, name))


def test_policies_do_not_shift_planned_travel(uncontrolled: Run) -> None:
    """Plans are the same bit for bit under another policy."""
    other = Run(scenario_of({"fleet.size": 200, "simulation.days": 2}), careless)
    columns = [
        "vehicle_id",
        "planned_depart_s",
        "planned_arrive_s",
        "distance_km",
        "destination",
        "required_kwh",
    ]
    pd.testing.assert_frame_equal(uncontrolled.trips[columns], other.trips[columns])


def test_a_short_car_is_helped_out() -> None:
    """Discharged to their least energy, cars are helped by exactly what the trip takes; none leaves late."""
    run = Run(scenario_of({"fleet.size": 50}), careless)
    check(run)
    assert (run.trips["unmet_kwh"] > 0).sum() > 40
    assert (
        run.trips["depart_s"].dropna() == run.trips["planned_depart_s"][run.trips["depart_s"].notna()]
    ).all()
    drives = run.segments[run.segments["activity"] == "driving"]
    assert (drives["energy_end_kwh"] >= 6.0 - 1e-9).all()


def test_a_driver_who_has_waited_is_not_helped() -> None:
    """Who leaves with just the energy that waiting ends at lacks nothing, not even by rounding."""
    fleet = VehicleFleet(scenario_of({"fleet.size": 200}))
    columns = Columns(fleet.population, 0)
    log = TripLog(fleet.plan, fleet.population)
    log.restart(columns, 0)
    for car in np.flatnonzero(columns.departure_s != NEVER_S).tolist():
        log.begin(car, columns.departure_s.item(car), log.waits_until_kwh(car))
    assert not log.unmet_kwh.any()


def test_a_short_car_waits_at_a_charger_and_leaves_late() -> None:
    """Waiting leaves nothing unmet: late cars leave with just what the trip needs; delays carry on."""
    run = Run(scenario_of({"fleet.size": 50, "fleet.shortage": "wait"}), careless)
    check(run)
    trips = run.trips[run.trips["depart_s"].notna()].copy()
    assert (trips["unmet_kwh"] == 0.0).all()
    trips["delay"] = trips["depart_s"] - trips["planned_depart_s"]
    assert (trips["delay"] >= 0).all()
    assert (trips["delay"] > 0).sum() > 40
    later = trips[trips["trip_index"] > 0]
    first = trips.set_index(["vehicle_id", "day", "trip_index"])["delay"]
    for row in later.itertuples():
        assert row.delay >= first[row.vehicle_id, row.day, row.trip_index - 1]
    drives = run.segments[run.segments["activity"] == "driving"].reset_index(drop=True)
    late_here = (drives["start_s"] - trips["planned_depart_s"].to_numpy() > 0) & (
        trips["trip_index"].to_numpy() == 0
    )
    spare = drives["energy_start_kwh"] - trips["energy_kwh"].to_numpy() - 6.0
    assert late_here.sum() > 20
    assert (spare[late_here] >= -1e-8).all()
    assert (spare[late_here] < 5 * 0.9 / 3600 + 1e-8).all()  # one second of charging at the most


def test_a_night_at_home_absorbs_a_delay() -> None:
    """On the second day cars that were late leave on time again when they have the energy."""

    def lazy(now_s: int, cars: Cars) -> FloatArray:
        return -cars.discharge_limit_kw if now_s < DAY_S // 2 else cars.charge_limit_kw

    run = Run(scenario_of({"fleet.size": 40, "fleet.shortage": "wait", "simulation.days": 2}), lazy)
    trips = run.trips[run.trips["trip_index"] == 0]
    late = trips["depart_s"] > trips["planned_depart_s"]
    assert late[trips["day"] == 0].sum() > 20
    assert not late[trips["day"] == 1].any()


def test_where_there_are_no_chargers_cars_are_helped() -> None:
    """No chargers anywhere: nothing is plugged in, nobody can wait, every shortage is helped out."""
    changes = {f"regions.{i}.chargers": 0 for i in range(3)}
    run = Run(scenario_of({"fleet.size": 100, "fleet.shortage": "wait", "simulation.days": 3} | changes))
    check(run)
    assert not run.segments["plugged"].any()
    assert run.trips["unmet_kwh"].sum() > 0
    assert (
        run.trips["depart_s"].dropna() == run.trips["planned_depart_s"][run.trips["depart_s"].notna()]
    ).all()


def test_fewer_chargers_than_cars_make_a_queue() -> None:
    """Never more cars plugged in than chargers; at a start the first cars have them; the queue is used."""
    run = Run(scenario_of({"fleet.size": 30, "regions.0.chargers": 4, "fleet.shortage": "wait"}))
    check(run)
    home = run.segments[run.segments["plugged"] & (run.segments["region"] == "home")]
    changes = pd.concat([pd.Series(1, index=home["start_s"]), pd.Series(-1, index=home["end_s"])])
    assert changes.groupby(level=0).sum().sort_index().cumsum().max() == 4
    assert sorted(home.loc[home["start_s"] == 0, "vehicle_id"]) == [0, 1, 2, 3]
    assert home["vehicle_id"].nunique() > 4
    assert run.cars[0].is_plugged.sum() == 4


def test_a_waiting_car_comes_before_cars_that_merely_stop() -> None:
    """One charger: of two cars in the queue the one that cannot make its next trip is served first."""
    from agents.chargers import ChargerQueue

    environment = simpy.Environment()
    served: list[int] = []
    queue = ChargerQueue(environment, 1, served.append)

    def scene() -> simpy.events.ProcessGenerator:
        queue.join(7, waits_for_energy=False)
        queue.join(5, waits_for_energy=False)
        yield environment.timeout(10)
        queue.join(6, waits_for_energy=False)
        yield environment.timeout(10)
        queue.join(9, waits_for_energy=True)
        for vehicle_id in (5, 9, 7):
            yield environment.timeout(10)
            queue.leave(vehicle_id)

    environment.process(scene())
    environment.run()
    assert served == [5, 9, 7, 6]  # 5 before 7: same second, in vehicle_id order


def test_caps_are_shared_pro_rata() -> None:
    """With a cap on the home region its total charging never exceeds it, also between boundaries."""
    caps = (np.array([40.0, np.inf, np.inf]), np.array([30.0, np.inf, np.inf]))
    for decide in (full, careless, None):
        run = Run(scenario_of({"fleet.size": 50, "fleet.arrival_power": "full"}), decide, caps=caps)
        check(run)
        home = run.segments[run.segments["region"] == "home"]
        changes = pd.concat(
            [
                pd.Series(home["power_kw"].to_numpy(), home["start_s"]),
                pd.Series(-home["power_kw"].to_numpy(), home["end_s"]),
            ]
        )
        total = changes.groupby(level=0).sum().sort_index().cumsum()
        assert total.max() <= 40.0 + 1e-6
        assert total.min() >= -30.0 - 1e-6
        at_start = home[home["start_s"] == 0]["power_kw"]
        np.testing.assert_allclose(at_start, -30.0 / 50 if decide is careless else 40.0 / 50)


def test_waiting_cars_leave_in_the_end_under_a_cap() -> None:
    """A driver who waits under a cap is woken when arrivals and departures change his power."""
    caps = (np.array([20.0, 3.0, 3.0]), np.full(3, np.inf))
    run = Run(scenario_of({"fleet.size": 40, "fleet.shortage": "wait"}), careless, caps=caps)
    check(run)
    assert (run.trips["depart_s"] > run.trips["planned_depart_s"]).sum() > 20
    assert (run.trips["unmet_kwh"] == 0).all()


def test_reset_keeps_the_nights_stays() -> None:
    """A home stay open over the reset is one stay: plugged in on day -1 with the energy of then."""
    run = Run(scenario_of({"fleet.size": 50}))
    stays = run.fleet.stays(-DAY_S)
    night = (stays.plug_s < 0) & (stays.unplug_s > 0)
    assert night.sum() == 50
    assert (stays.region_index[night] == 0).all()
    assert (stays.unplug_s[night] < DAY_S).all()
    assert not (stays.plug_s == 0).any()
    assert len(np.unique(stays.arriving_kwh[night])) > 40
    first = run.trips[run.trips["trip_index"] == 0]
    np.testing.assert_array_equal(stays.unplug_s[night], first["depart_s"])
    np.testing.assert_allclose(stays.required_kwh[night], first["required_kwh"])
    order = np.lexsort((stays.plug_s, stays.vehicle_index))
    assert (order == np.arange(len(order))).all()
    assert len(run.fleet.stays(DAY_S - 1).plug_s) == 0


def test_cars_that_a_reset_plugs_in_are_no_arrivals() -> None:
    """Cars that did not plug in on day -1 are plugged at 0 s; those stays count from the first start."""
    run = Run(scenario_of({"fleet.size": 50, "fleet.plug_in_probability.H": 0.2}))
    assert run.cars[0].is_plugged.all()
    stays = run.fleet.stays(-DAY_S)
    assert ((stays.plug_s < 0) & (stays.unplug_s > 0)).sum() < 30
    assert not (stays.plug_s == 0).any()


def test_stays_agree_with_segments(controlled: Run) -> None:
    """Stays of the run are its plugged spans."""
    stays = controlled.fleet.stays(0)
    rows = controlled.segments
    spans = rows[rows["plugged"]].copy()
    new = (spans["start_s"] != spans["end_s"].shift(1)) | (
        spans["vehicle_id"] != spans["vehicle_id"].shift(1)
    )
    first = spans[new & (spans["start_s"] > 0)]
    assert first["vehicle_id"].tolist() == stays.vehicle_index.tolist()
    assert first["start_s"].tolist() == stays.plug_s.tolist()
    np.testing.assert_allclose(first["energy_start_kwh"], stays.arriving_kwh)
    still = stays.unplug_s == NEVER_S
    last = rows.groupby("vehicle_id").last()
    assert still.sum() == (last["plugged"].to_numpy()[stays.vehicle_index[still]]).sum()


def test_true_trips_are_those_of_the_tables(uncontrolled: Run) -> None:
    """At the run's end, trips ahead are the next day's, and a trip under way is among them."""
    scenario = scenario_of({"fleet.size": 80})
    fleet = VehicleFleet(scenario)
    environment = simpy.Environment(initial_time=0)
    fleet.start(environment, charges_on_arrival=True)
    now_s = 8 * 3600
    environment.run(until=Boundary(environment, now_s))
    trips = fleet.trips(now_s, now_s + DAY_S)
    under_way = trips.depart_s < now_s
    driving = np.flatnonzero(fleet.columns.region_index < 0)
    np.testing.assert_array_equal(trips.vehicle_index[under_way], driving)
    assert (trips.arrive_s[under_way] >= now_s).all()
    plan = fleet.plan.itineraries
    wanted = (plan.arrive_s > now_s) & (plan.depart_s < now_s + DAY_S)
    np.testing.assert_array_equal(trips.depart_s, plan.depart_s[wanted])
    np.testing.assert_array_equal(trips.energy_kwh, fleet.plan.energy_kwh[wanted])


def test_true_trips_carry_delays() -> None:
    """A waiting car's trips are shifted until its night at home; what it then does is what was announced."""
    fleet = VehicleFleet(scenario_of({"fleet.size": 40, "fleet.shortage": "wait"}))
    environment = simpy.Environment(initial_time=0)
    fleet.start(environment, charges_on_arrival=False)
    fleet.apply(0, np.full(40, -5.0))
    now_s = 9 * 3600
    environment.run(until=Boundary(environment, now_s))
    ahead = fleet.trips(now_s, 2 * DAY_S)
    waiting = np.flatnonzero(fleet.columns.is_waiting)
    assert len(waiting) >= 4
    cars = fleet.cars(now_s)
    for car in waiting.tolist():
        mine = np.flatnonzero(ahead.vehicle_index == car)
        planned = fleet.plan.itineraries.depart_s[fleet.columns.next_trip[car] :][: len(mine)]
        delay = ahead.depart_s[mine] - planned
        assert delay[0] > 0
        assert ahead.depart_s[mine[0]] == cars.departure_s[car] > now_s
        assert (delay[ahead.depart_s[mine] < DAY_S] == delay[0]).all()
        assert (delay[ahead.depart_s[mine] > DAY_S + 4 * 3600] == 0).all()
    said = ahead.depart_s[[np.flatnonzero(ahead.vehicle_index == car)[0] for car in waiting.tolist()]]
    environment.run(until=Boundary(environment, DAY_S))
    fleet.finish(DAY_S)
    left = fleet.trip_columns()["depart_s"].to_numpy(zero_copy_only=False)
    first = np.flatnonzero(fleet.trip_columns()["trip_index"] == 0)
    np.testing.assert_array_equal(left[first][waiting], said)


def test_snapshot_hides_what_is_not_plugged(controlled: Run) -> None:
    """A car off the charger tells neither energy nor departure."""
    for cars in controlled.cars:
        off = ~cars.is_plugged
        assert (cars.energy_kwh[off] == 0).all()
        assert (cars.required_kwh[off] == 0).all()
        assert (cars.departure_s[off] == NEVER_S).all()
        assert (cars.departure_s[cars.is_plugged] > 0).all()


def test_domain_sums_hold_the_energy(controlled: Run) -> None:
    """By region, energy lies within the battery's limits and below the upper bound at each boundary."""
    for domain in controlled.domains:
        assert (domain.energy_kwh >= 6.0 * domain.n_plugged - 1e-6).all()
        assert (domain.energy_kwh <= domain.upper_kwh + 1e-6).all()
        assert (domain.lower_kwh <= domain.upper_kwh + 1e-6).all()
        assert (domain.lower_kwh >= 6.0 * domain.n_plugged - 1e-6).all()


def test_domain_upper_is_the_uncontrolled_energy() -> None:
    """Charging at full power at every plugged second is the upper bound: it is reached when uncontrolled."""
    run = Run(scenario_of({"fleet.size": 50}))
    for domain in run.domains:
        np.testing.assert_allclose(domain.energy_kwh, domain.upper_kwh, atol=1e-6)


def test_mixed_fleet_keeps_each_class_within_its_own_limits() -> None:
    """Two classes, drawn per car near their shares; one cannot discharge."""
    scenario = scenario_of({"fleet.size": 200})
    car = scenario.fleet.classes[0].model_dump()
    van = car | {"name": "van", "share": 3.0, "battery_kwh": 60.0, "charge_limit_kw": 11.0, "soc_max": 1.0}
    van |= {"discharge_limit_kw": 0.0, "charge_efficiency": 0.95, "consumption_kwh_per_km": 0.25}
    run = Run(scenario_of({"fleet.size": 200, "fleet.classes": [car, van]}), restless)
    check(run)
    is_van = run.vehicles["vehicle_class"] == "van"
    assert 130 <= is_van.sum() <= 170
    vans = run.segments[run.segments["vehicle_id"].isin(run.vehicles["vehicle_id"][is_van])]
    assert (vans["power_kw"] >= 0).all()
    assert vans["power_kw"].max() == 11.0


def test_fleet_of_nobody() -> None:
    """A fleet of 0 runs and gives empty tables."""
    run = Run(scenario_of({"fleet.size": 0}))
    assert len(run.segments) == len(run.trips) == len(run.vehicles) == 0
    assert all(step.charge_kwh.sum() == 0 for step in run.energy)
    assert len(run.fleet.trips(0, DAY_S).depart_s) == 0


def test_several_regions_of_a_type() -> None:
    """Homes, works and other places are spread by weight; each car has one home and one work place."""
    regions = [
        region("a", "H", weight=3.0),
        region("b", "H"),
        region("c", "W"),
        region("d", "W"),
        region("e", "O"),
        region("f", "O"),
    ]
    run = Run(scenario_of({"fleet.size": 400, "regions": regions}))
    check(run)
    assert 260 <= (run.vehicles["home_region"] == "a").sum() <= 340
    trips = run.trips.merge(run.vehicles, on="vehicle_id")
    works = trips[trips["destination"].isin(["c", "d"])]
    assert (works["destination"] == works["work_region"]).all()
    first = trips[trips["trip_index"] == 0]
    assert (first["origin"] == first["home_region"]).all()
    others = trips[trips["destination"].isin(["e", "f"])]["destination"]
    assert set(others) == {"e", "f"}
    same = trips["vehicle_id"].eq(trips["vehicle_id"].shift(1))
    assert (trips["origin"][same] == trips["destination"].shift(1)[same]).all()


def test_chain_names_the_first_days_places(uncontrolled: Run) -> None:
    """The chain column lists the place types of day 0."""
    lengths = uncontrolled.trips[uncontrolled.trips["day"] == 0].groupby("vehicle_id").size()
    chains = uncontrolled.vehicles["chain"].str.split("-")
    assert (chains.str.len() == lengths + 1).all()
    assert (chains.str[0] == "H").all()
    assert (chains.str[-1] == "H").all()


def test_mesa_forgets_the_model() -> None:
    """A fleet that nobody holds is freed: mesa's counter of ids does not keep it alive."""
    fleet = VehicleFleet(scenario_of({"fleet.size": 3}))
    assert isinstance(fleet.vehicles[0], mesa.Agent)
    assert len(fleet.agents) == 3
    gone = weakref.ref(fleet)
    del fleet
    gc.collect()
    assert gone() is None


def test_a_run_that_ends_mid_drive_leaves_the_arrival_open() -> None:
    """A trip under way at the end has no arrival, and its drive's energy is counted so far."""
    changes = {"travel.first_departure_h": {"family": "constant", "loc": 11.0}, "fleet.size": 20}
    fleet = VehicleFleet(scenario_of(changes))
    environment = simpy.Environment(initial_time=0)
    fleet.start(environment, charges_on_arrival=True)
    end_s = 11 * 3600 + 900
    environment.run(until=Boundary(environment, end_s))
    fleet.close_step(end_s)
    fleet.finish(end_s)
    trips = pd.DataFrame(
        {k: v.to_pylist() if hasattr(v, "to_pylist") else v for k, v in fleet.trip_columns().items()}
    )
    first = trips[trips["trip_index"] == 0]
    on_road = first["planned_arrive_s"] > end_s
    assert 0 < on_road.sum() < 20
    assert first["depart_s"].notna().all()
    assert first["arrive_s"][on_road].isna().all()
    assert first["arrive_s"][~on_road].notna().all()


def any_settings(seed: int) -> tuple[dict[str, object], str, tuple[FloatArray, FloatArray] | None]:
    """Draw a scenario's changes, a way to decide, and caps."""
    draw = np.random.default_rng(seed)

    def one_of(*values: object) -> object:
        return values[draw.integers(len(values))]

    car = scenario_of().fleet.classes[0].model_dump()
    small = car | {"name": "small", "battery_kwh": one_of(12.0, 30.0), "charge_limit_kw": one_of(2.3, 11.0)}
    small |= {"soc_max": one_of(0.9, 1.0), "consumption_kwh_per_km": one_of(0.15, 0.3)}
    changes: dict[str, object] = {
        "fleet.size": one_of(1, 7, 30),
        "fleet.shortage": one_of("help", "wait"),
        "fleet.arrival_power": one_of("none", "full"),
        "fleet.departure_soc": one_of("none", 0.5, 0.9),
        "fleet.plug_in_probability": {
            "H": one_of(1.0, 0.4, 0.0),
            "W": one_of(0.3, 1.0),
            "O": one_of(0.0, 1.0),
        },
        "fleet.classes": [car, small],
        "simulation.days": one_of(1, 2),
        "simulation.seed": seed,
        "travel.leave_again_probability": one_of(0.0, 0.4),
        "travel.stay_home_share_weekday": one_of(0.0, 0.3),
    }
    for index in range(3):
        changes[f"regions.{index}.chargers"] = one_of("unlimited", "unlimited", 0, 1, 3)
    caps = tuple(np.array([one_of(np.inf, 0.0, 5.0, 30.0) for _ in range(3)], dtype=float) for _ in range(2))
    return changes, str(one_of("uncontrolled", "random", "careless", "idle")), one_of(None, caps)  # type: ignore[return-value]


@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(s, marks=pytest.mark.slow) for s in range(12, 60))]
)
def test_whatever_the_settings_the_tables_hold_together(seed: int) -> None:
    """Mixed classes, queues, no chargers, caps, waiting or help, any set-points: the invariants hold."""
    changes, way, caps = any_settings(seed)
    draw = np.random.default_rng(seed + 1)
    ways = {
        "uncontrolled": None,
        "random": lambda now_s, cars: draw.uniform(-12, 12, cars.n),
        "careless": careless,
        "idle": lambda now_s, cars: np.zeros(cars.n),
    }
    run = Run(scenario_of(changes), ways[way], caps=caps)
    check(run)
    for domain in run.domains:
        assert (domain.energy_kwh <= domain.upper_kwh + 1e-6).all()
    begun = run.trips["depart_s"].notna()
    if changes["fleet.shortage"] == "help":
        assert (run.trips["depart_s"][begun] == run.trips["planned_depart_s"][begun]).all()
    else:
        assert (run.trips["depart_s"][begun] >= run.trips["planned_depart_s"][begun]).all()


def test_a_fleet_can_be_run_again() -> None:
    """A second run of the same fleet, from day -1 on, gives the same tables and stays."""
    scenario = scenario_of({"fleet.size": 20})
    run = Run(scenario, restless)
    stays = run.fleet.stays(-DAY_S)
    again = Run(scenario, restless, fleet=run.fleet)
    for name in ("segments", "trips"):
        pd.testing.assert_frame_equal(getattr(run, name), getattr(again, name))
    np.testing.assert_array_equal(again.fleet.stays(-DAY_S).plug_s, stays.plug_s)


def test_the_run_does_not_depend_on_day_minus_one() -> None:
    """Because of the reset, a run without day -1 has the same tables."""
    scenario = scenario_of({"fleet.size": 30})
    with_yesterday, without = Run(scenario, restless), Run(scenario, restless, yesterday=False)
    pd.testing.assert_frame_equal(with_yesterday.segments, without.segments)


def test_caps_that_do_not_bind_change_nothing(uncontrolled: Run) -> None:
    """A cap above everything the cars could draw leaves every table as it is without."""
    scenario = scenario_of({"fleet.size": 200, "simulation.days": 2})
    capped = Run(scenario, caps=(np.full(3, 1001.0), np.full(3, 1001.0)))
    pd.testing.assert_frame_equal(capped.segments, uncontrolled.segments)


def test_a_cap_binds_only_while_too_much_is_asked() -> None:
    """Two cars under a cap of 6 kW get 3 kW each; when one leaves, the other gets its 5 kW at once."""
    changes = {"fleet.size": 2, "travel.first_departure_h": {"family": "uniform", "loc": 4.0, "scale": 4.0}}
    run = Run(scenario_of(changes), full, caps=(np.array([6.0, 6.0, 6.0]), np.full(3, np.inf)))
    rows = run.segments[(run.segments["region"] == "home") & (run.segments["start_s"] < 4 * 3600)]
    assert rows["power_kw"].iloc[0] == 3.0
    fleet = VehicleFleet(scenario_of(changes))
    environment = simpy.Environment(initial_time=0)
    fleet.start(environment, charges_on_arrival=False)
    fleet.limit(np.array([2.0, 2.0, 2.0]), np.full(3, np.inf))
    first = int(fleet.columns.departure_s.min())
    for now_s in range(0, first + 1, STEP_S):
        environment.run(until=Boundary(environment, now_s))
        fleet.apply(now_s, np.full(2, 5.0))
    assert fleet.columns.set_kw.tolist() == [1.0, 1.0]
    environment.run(until=Boundary(environment, first))
    assert sorted(fleet.columns.set_kw.tolist()) == [0.0, 2.0]
