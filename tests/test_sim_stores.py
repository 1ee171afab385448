"""Stores of cars still to come: semantics by hand, and a feasible trajectory for any stays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from sim.clock import DAY_S, NEVER_S
from sim.contracts import Stays, Stores
from sim.stores import stores_from_stays

NOW_S = DAY_S


def stays(*rows: tuple[int, int, int, float, float], region: int = 0, limit_kw: float = 5.0) -> Stays:
    """Build stays of (vehicle, plug, unplug, arriving kWh, required kWh), seconds relative to now."""
    table = np.array(rows, dtype=float).reshape(-1, 5)
    n = len(table)
    unplug = np.array([row[2] for row in rows], dtype=np.int64)
    return Stays(
        vehicle_index=table[:, 0].astype(np.int64),
        region_index=np.full(n, region, dtype=np.int64),
        plug_s=table[:, 1].astype(np.int64) + NOW_S,
        unplug_s=np.where(unplug >= NEVER_S, NEVER_S, np.minimum(unplug, NEVER_S - NOW_S) + NOW_S),
        arriving_kwh=table[:, 3],
        required_kwh=table[:, 4],
        energy_min_kwh=np.full(n, 6.0),
        energy_max_kwh=np.full(n, 27.0),
        charge_limit_kw=np.full(n, limit_kw),
        discharge_limit_kw=np.full(n, limit_kw),
    )


def stores(of: Stays, n_steps: int = 96, n_regions: int = 1) -> Stores:
    """Build stores of a fleet of efficiencies 0.9."""
    n = int(of.vehicle_index.max(initial=-1)) + 1
    return stores_from_stays(
        of,
        now_s=NOW_S,
        n_steps=n_steps,
        n_regions=n_regions,
        charge_efficiency=np.full(n, 0.9),
        discharge_efficiency=np.full(n, 0.9),
    )


def test_one_stay_by_hand() -> None:
    """Plugged from 01:55 to 04:10: enters at step 8, leaves in step 16, two thirds of which count."""
    plug = -DAY_S + 2 * 3600 - 300
    made = stores(stays((0, plug, plug + 8100, 10.0, 20.0)))
    assert np.flatnonzero(made.n_plugged[:, 0]).tolist() == list(range(8, 17))
    assert made.arriving_n[8, 0] == 1.0
    assert made.arriving_n.sum() == 1.0
    assert made.arriving_kwh[8, 0] == 10.0
    assert made.charge_limit_kw[15, 0] == 5.0
    assert made.charge_limit_kw[16, 0] == pytest.approx(5.0 * 600 / 900)
    assert made.discharge_limit_kw[16, 0] == pytest.approx(5.0 * 600 / 900)
    reachable = 10.0 + 0.9 * 5.0 * (2.0 + 1.0 / 6.0)
    assert made.leaving_min_kwh[16, 0] == pytest.approx(min(20.0, reachable))
    assert made.leaving_max_kwh[16, 0] == 27.0
    assert np.flatnonzero(made.energy_max_kwh[:, 0]).tolist() == list(range(8, 16))
    assert made.energy_min_kwh[8, 0] == 6.0


def test_a_bound_out_of_reach_is_lowered_to_what_full_charging_reaches() -> None:
    """With 27 kWh required after one hour from 10 kWh, 14.5 kWh is the least leaving."""
    plug = -DAY_S + 3600
    made = stores(stays((0, plug, plug + 3600, 10.0, 27.0)))
    assert made.leaving_min_kwh[7, 0] == pytest.approx(
        14.5
    )  # leaves at a boundary: in the step that ends there
    assert made.charge_limit_kw[7, 0] == 5.0


def test_stays_without_a_whole_boundary_are_left_out() -> None:
    """From 01:01 to 01:14 no boundary is met; from 01:00 to 01:01 one is."""
    out = stores(stays((0, -DAY_S + 3660, -DAY_S + 4440, 10.0, 12.0)))
    assert out.n_plugged.sum() == out.leaving_max_kwh.sum() == 0.0
    made = stores(stays((0, -DAY_S + 3600, -DAY_S + 3660, 10.0, 12.0)))
    assert made.n_plugged[4, 0] == 1.0
    assert made.charge_limit_kw[4, 0] == pytest.approx(5.0 / 15.0)
    assert made.energy_max_kwh.sum() == 0.0


def test_only_the_last_day_counts() -> None:
    """A stay that began exactly a day ago, or before, is not expected again; one a second later is."""
    assert stores(stays((0, -DAY_S, -3600, 10.0, 12.0))).arriving_n.sum() == 0.0
    assert stores(stays((0, -DAY_S + 1, -3600, 10.0, 12.0))).arriving_n[1, 0] == 1.0
    assert stores(stays((0, 0, NEVER_S, 10.0, 12.0))).arriving_n.sum() == 0.0  # enters at the horizon's end


def test_a_stay_that_lasts_does_not_leave() -> None:
    """An ongoing stay of an hour is expected to enter tomorrow at its time and to stay beyond the horizon."""
    made = stores(stays((0, -3600, NEVER_S, 10.0, 20.0)))
    assert np.flatnonzero(made.n_plugged[:, 0]).tolist() == list(range(92, 96))
    assert made.leaving_min_kwh.sum() == made.leaving_max_kwh.sum() == 0.0
    assert made.energy_max_kwh[95, 0] == 27.0


def test_regions_are_apart_and_sums_are_sums() -> None:
    """Two cars at once in region 1 of 3 add up; the others have nothing."""
    rows = ((0, -7200, -3600, 10.0, 12.0), (1, -7200, -3600, 8.0, 11.0))
    made = stores(stays(*rows, region=1), n_regions=3)
    assert made.n_plugged[:, [0, 2]].sum() == 0.0
    assert made.arriving_kwh[88, 1] == 18.0
    assert made.charge_limit_kw[90, 1] == 10.0
    assert made.leaving_min_kwh[91, 1] == pytest.approx(min(12.0, 14.5) + min(11.0, 12.5))


def test_longer_horizons_repeat_the_day_and_shorter_ones_are_a_prefix() -> None:
    """48 h hold the day twice, an ongoing stay never twice at once; 3 h are the first 12 steps."""
    of = stays((0, -80_000, -40_000, 10.0, 20.0), (1, -20_000, NEVER_S, 12.0, 25.0))
    day, two, short = stores(of), stores(of, 192), stores(of, 12)
    for name in ("n_plugged", "arriving_kwh", "charge_limit_kw", "energy_max_kwh", "leaving_min_kwh"):
        np.testing.assert_allclose(getattr(two, name)[:96], getattr(day, name))
        np.testing.assert_allclose(getattr(short, name), getattr(day, name)[:12])
    assert two.arriving_n.sum() == 4.0
    np.testing.assert_array_equal(two.n_plugged[150:, 0], 1.0)  # the ongoing car's two days do not overlap
    np.testing.assert_allclose(two.arriving_kwh[96:], day.arriving_kwh)


def test_efficiencies_are_weighted_by_limits() -> None:
    """A 15 kW stay at 0.8 and a 5 kW stay at 1.0 make 0.85; discharging has weights of its own."""
    of = stays((0, -7200, -3600, 10.0, 12.0), (1, -7200, -3600, 8.0, 11.0))
    of = Stays(
        **{name: getattr(of, name) for name in of.__slots__}
        | {"charge_limit_kw": np.array([15.0, 5.0]), "discharge_limit_kw": np.array([0.0, 5.0])}
    )
    made = stores_from_stays(
        of,
        now_s=NOW_S,
        n_steps=96,
        n_regions=1,
        charge_efficiency=np.array([0.8, 1.0]),
        discharge_efficiency=np.array([0.8, 0.95]),
    )
    assert made.charge_efficiency == pytest.approx(0.85)
    assert made.discharge_efficiency == pytest.approx(0.95)


def test_no_stays_no_store() -> None:
    """An empty fleet has empty stores with efficiencies of 1."""
    made = stores(stays())
    assert made.n_plugged.shape == (96, 1)
    assert made.n_plugged.sum() == 0.0
    assert made.charge_efficiency == made.discharge_efficiency == 1.0


@st.composite
def random_stays(draw: st.DrawFn) -> Stays:
    """Draw stays of the last day and a half, of any length, in two regions, of mixed limits."""
    n = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    plug = rng.integers(-DAY_S - 20_000, 1, n)
    length = rng.integers(1, 60_000, n)
    ongoing = (plug + length > 0) | (rng.random(n) < 0.1)
    low, high = np.full(n, 6.0), rng.uniform(20.0, 60.0, n)
    return Stays(
        vehicle_index=np.arange(n),
        region_index=rng.integers(0, 2, n),
        plug_s=plug + NOW_S,
        unplug_s=np.where(ongoing, NEVER_S, plug + length + NOW_S),
        arriving_kwh=low + rng.random(n) * (high - low),
        required_kwh=low + rng.random(n) * (high - low),
        energy_min_kwh=low,
        energy_max_kwh=high,
        charge_limit_kw=rng.uniform(1.0, 22.0, n),
        discharge_limit_kw=rng.uniform(0.0, 22.0, n),
    )


@settings(deadline=None, max_examples=40)
@given(of=random_stays(), n_steps=st.sampled_from([1, 50, 96, 150]), seed=st.integers(0, 99))
def test_every_store_has_a_feasible_trajectory(of: Stays, n_steps: int, seed: int) -> None:
    """A linear program finds charging, discharging and energies within all of the store's bounds."""
    rng = np.random.default_rng(seed)
    n = len(of.vehicle_index)
    made = stores_from_stays(
        of,
        now_s=NOW_S,
        n_steps=n_steps,
        n_regions=2,
        charge_efficiency=rng.uniform(0.7, 1.0, n),
        discharge_efficiency=rng.uniform(0.7, 1.0, n),
    )
    k = n_steps
    eye, h = np.eye(k), 0.25
    # energy[k] - energy[k-1] - h eta_c charge + h discharge / eta_d + leaving = arriving
    balance = np.hstack(
        [
            eye - np.eye(k, k=-1),
            -h * made.charge_efficiency * eye,
            h / made.discharge_efficiency * eye,
            eye,
        ]
    )
    for region in range(2):
        low = np.concatenate(
            [made.energy_min_kwh[:, region], np.zeros(2 * k), made.leaving_min_kwh[:, region]]
        )
        high = np.concatenate(
            [
                made.energy_max_kwh[:, region],
                made.charge_limit_kw[:, region],
                made.discharge_limit_kw[:, region],
                made.leaving_max_kwh[:, region],
            ]
        )
        assert (low <= high + 1e-9).all()
        result = linprog(
            np.zeros(4 * k),
            A_eq=balance,
            b_eq=made.arriving_kwh[:, region],
            bounds=np.column_stack([low, np.maximum(low, high)]),
        )
        assert result.status == 0, result.message


@settings(deadline=None)
@given(of=random_stays())
def test_sums_are_never_negative_and_vanish_with_the_cars(of: Stays) -> None:
    """Where nobody is plugged in nothing is left over, not even rounding."""
    n = len(of.vehicle_index)
    made = stores_from_stays(
        of,
        now_s=NOW_S,
        n_steps=96,
        n_regions=2,
        charge_efficiency=np.full(n, 0.9),
        discharge_efficiency=np.full(n, 0.9),
    )
    nobody = made.n_plugged == 0.0
    for name in ("charge_limit_kw", "discharge_limit_kw", "energy_min_kwh", "energy_max_kwh"):
        values = getattr(made, name)
        assert (values >= 0.0).all()
        assert (values[nobody] == 0.0).all()
    assert (made.leaving_min_kwh <= made.leaving_max_kwh).all()
    np.testing.assert_array_equal(
        made.n_plugged.sum(axis=1)[1:] - made.n_plugged.sum(axis=1)[:-1] <= made.arriving_n.sum(axis=1)[1:],
        True,
    )


def test_order_of_stays_does_not_matter() -> None:
    """Shuffled stays make the same store."""
    of = stays((0, -80_000, -40_000, 10.0, 20.0), (1, -70_000, -30_000, 12.0, 25.0))
    back = Stays(**{name: getattr(of, name)[::-1] for name in of.__slots__})
    for name in ("n_plugged", "charge_limit_kw", "leaving_min_kwh", "energy_min_kwh"):
        np.testing.assert_allclose(getattr(stores(of), name), getattr(stores(back), name))
