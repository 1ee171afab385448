"""Settlement: hand cases in every order of cuts, invariants, and brute force as an oracle over ties."""

from dataclasses import fields, replace
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from sim.arrays import FloatArray
from sim.contracts import Site
from sim.feeder.model import Feeder, Network
from sim.settlement import Settled, StepTruth, charging_caps, settle

INF = np.inf
UNBOUNDED = 3  # of scipy's linprog
Case = tuple[Site, StepTruth, FloatArray, FloatArray]  # with battery and turbine set-points
SEEDS = st.integers(0, 2**32 - 1)


def site(
    import_kw: list[float],
    export_kw: list[float],
    battery_region: list[int] | None = None,
    ties: list[tuple[int, int, float, float]] | None = None,
) -> Site:
    """Build a site whose settlement-relevant fields are as given."""
    n, batteries, ties = len(import_kw), battery_region or [], ties or []
    per_battery = np.ones(len(batteries))
    return Site(
        step_s=900,
        end_s=86_400,
        region_names=tuple(f"r{i}" for i in range(n)),
        import_limit_kw=np.array(import_kw, dtype=float),
        export_limit_kw=np.array(export_kw, dtype=float),
        can_discharge_cars=np.ones(n, bool),
        turbine_limit_kw=np.full(n, 65.0),
        turbine_ramp_kw_per_step=np.full(n, 5.0),
        turbine_fuel_cost_per_h=lambda power_kw: power_kw,
        battery_region_index=np.array(batteries, dtype=np.int64),
        battery_energy_min_kwh=50 * per_battery,
        battery_energy_max_kwh=200 * per_battery,
        battery_charge_limit_kw=45 * per_battery,
        battery_discharge_limit_kw=45 * per_battery,
        battery_charge_efficiency=0.9 * per_battery,
        battery_kept_per_step=per_battery,
        battery_discharge_efficiency=0.9 * per_battery,
        tie_from_index=np.array([tie[0] for tie in ties], dtype=np.int64),
        tie_to_index=np.array([tie[1] for tie in ties], dtype=np.int64),
        tie_limit_kw=np.array([tie[2] for tie in ties], dtype=float),
        tie_loss_fraction=np.array([tie[3] for tie in ties], dtype=float),
        battery_operation_per_kwh=0.0018,
        turbine_operation_per_kwh=0.0648,
        throughput_price_per_kwh=0.12,
        unserved_price_per_kwh=50.0,
        shortfall_price_per_kwh=10.0,
        energy_value_per_kwh=0.4,
    )


def truth(  # noqa: PLR0917
    load: list[float],
    pv: list[float],
    wind: list[float] | None = None,
    buy: float | list[float] = 0.68,
    sell: float | list[float] = 0.55,
    phi: float = 0.2,
) -> StepTruth:
    """Build the truth of a step."""
    n = len(load)
    return StepTruth(
        load_kw=np.array(load, dtype=float),
        pv_kw=np.array(pv, dtype=float),
        wind_kw=np.array(wind if wind is not None else [0.0] * n, dtype=float),
        buy_price_per_kwh=np.broadcast_to(np.array(buy, dtype=float), n).copy(),
        sell_price_per_kwh=np.broadcast_to(np.array(sell, dtype=float), n).copy(),
        curtailment_price_per_kwh=np.full(n, phi),
    )


def settle_one(
    at: Site,
    step: StepTruth,
    *,
    charge: float = 0.0,
    discharge: float = 0.0,
    battery: list[float] | None = None,
    turbine: float = 0.0,
) -> Settled:
    """Settle one region."""
    powers = np.array(battery or [], dtype=float)
    return settle(at, step, np.array([charge]), np.array([discharge]), powers, np.array([turbine]))


def imbalance_kw(
    at: Site, step: StepTruth, charge: FloatArray, discharge: FloatArray, done: Settled
) -> FloatArray:
    """Left less right side of the run folder's balance identity."""
    battery = np.bincount(at.battery_region_index, weights=done.battery_kw, minlength=at.n_regions)
    left = step.load_kw - done.unserved_kw + battery + charge - discharge + done.export_kw
    used = step.pv_kw - done.pv_curtailed_kw + step.wind_kw - done.wind_curtailed_kw
    return left - (used + done.turbine_kw + done.import_kw + done.tie_kw)


def cost(step: StepTruth, done: Settled) -> float:
    """Return what settlement minimises, per hour."""
    curtailed = done.pv_curtailed_kw + done.wind_curtailed_kw
    return float(
        step.buy_price_per_kwh @ done.import_kw
        - step.sell_price_per_kwh @ done.export_kw
        + step.curtailment_price_per_kwh @ curtailed
    )


# -- one region, by hand ---------------------------------------------------------------------------


def test_deficit_is_imported() -> None:
    """400 kW of load and 30 of charging, less 100 kW of supply and 10 of turbine: 320 kW are imported."""
    done = settle_one(site([INF], [0.0]), truth([400.0], [60.0], [40.0]), charge=30.0, turbine=10.0)
    assert done.import_kw[0] == pytest.approx(320.0)
    assert done.export_kw[0] == done.unserved_kw[0] == done.pv_curtailed_kw[0] == 0.0


def test_surplus_is_curtailed_pro_rata_where_export_is_barred() -> None:
    """120 kW too much of 300 PV and 100 wind: 90 and 30 are curtailed."""
    done = settle_one(site([INF], [0.0]), truth([280.0], [300.0], [100.0]))
    assert done.pv_curtailed_kw[0] == pytest.approx(90.0)
    assert done.wind_curtailed_kw[0] == pytest.approx(30.0)
    assert done.export_kw[0] == done.import_kw[0] == 0.0


def test_surplus_is_exported_up_to_the_cap_then_curtailed() -> None:
    """Of 120 kW too much, 50 may be exported."""
    done = settle_one(site([INF], [50.0]), truth([280.0], [300.0], [100.0]))
    assert done.export_kw[0] == pytest.approx(50.0)
    assert done.pv_curtailed_kw[0] + done.wind_curtailed_kw[0] == pytest.approx(70.0)


def test_exporting_at_a_loss_worse_than_curtailment_is_not_done() -> None:
    """Selling at -0.3 with curtailment at 0.2: curtail; with curtailment at 0.4: export."""
    surplus = truth([100.0], [150.0], buy=0.1, sell=-0.3, phi=0.2)
    assert settle_one(site([INF], [INF]), surplus).pv_curtailed_kw[0] == pytest.approx(50.0)
    dear = replace(surplus, curtailment_price_per_kwh=np.array([0.4]))
    assert settle_one(site([INF], [INF]), dear).export_kw[0] == pytest.approx(50.0)


def test_negative_buying_price_is_worth_curtailing_for() -> None:
    """At -0.3 to buy and 0.2 to curtail, all PV is curtailed and the load imported; at -0.1 nothing is."""
    step = truth([100.0], [60.0], buy=-0.3, sell=-0.35, phi=0.2)
    done = settle_one(site([INF], [0.0]), step)
    assert done.pv_curtailed_kw[0] == pytest.approx(60.0)
    assert done.import_kw[0] == pytest.approx(100.0)
    mild = replace(step, buy_price_per_kwh=np.array([-0.1]))
    assert settle_one(site([INF], [0.0]), mild).pv_curtailed_kw[0] == 0.0


def test_negative_price_and_a_limit_curtail_up_to_the_limit() -> None:
    """With 70 kW of import only 30 kW of curtailment can be replaced."""
    step = truth([100.0], [60.0], buy=-0.3, sell=-0.35, phi=0.2)
    done = settle_one(site([70.0], [0.0]), step)
    assert done.import_kw[0] == pytest.approx(70.0)
    assert done.pv_curtailed_kw[0] == pytest.approx(30.0)


def test_selling_above_the_buying_price_never_does_both() -> None:
    """A cap on export and a selling price above the buying price: the surplus is sold, nothing is bought."""
    done = settle_one(site([INF], [80.0]), truth([100.0], [150.0], buy=-0.5, sell=-0.1, phi=0.0))
    assert done.import_kw[0] * done.export_kw[0] == 0.0
    assert done.import_kw[0] == pytest.approx(100.0)  # buying at -0.5 for all the load beats selling 50 kW


def test_shortage_cuts_battery_charging_before_load() -> None:
    """100 kW may be imported: 30 kW of battery charging is cut first, then 20 kW of load."""
    done = settle_one(site([100.0], [0.0], [0, 0]), truth([120.0], [0.0]), battery=[20.0, 10.0])
    np.testing.assert_allclose(done.battery_cut_kw, [20.0, 10.0])
    assert done.unserved_kw[0] == pytest.approx(20.0)
    assert done.import_kw[0] == pytest.approx(100.0)


def test_battery_charging_is_cut_pro_rata() -> None:
    """6 kW too much: batteries charging 20 and 10 give up 4 and 2; one that discharges is left alone."""
    done = settle_one(site([100.0], [0.0], [0, 0, 0]), truth([81.0], [0.0]), battery=[20.0, 10.0, -5.0])
    np.testing.assert_allclose(done.battery_kw, [16.0, 8.0, -5.0])
    assert done.unserved_kw[0] == 0.0


def test_excess_cuts_battery_discharging_before_the_turbine() -> None:
    """30 kW of load take neither 20 kW of discharging nor 40 of the turbine: 20 and 10 are cut."""
    done = settle_one(site([INF], [0.0], [0]), truth([30.0], [25.0]), battery=[-20.0], turbine=40.0)
    assert done.battery_cut_kw[0] == pytest.approx(20.0)
    assert done.turbine_cut_kw[0] == pytest.approx(10.0)
    assert done.turbine_kw[0] == pytest.approx(30.0)
    assert done.pv_curtailed_kw[0] == pytest.approx(25.0)
    assert done.cut_kw == pytest.approx(30.0)


def test_what_nothing_can_balance_is_counted_not_hidden() -> None:
    """Cars that drew more than the connection carries show as power above its limit."""
    done = settle_one(site([100.0], [0.0]), truth([20.0], [0.0]), charge=130.0)
    assert done.unserved_kw[0] == pytest.approx(20.0)
    assert done.over_limit_kw[0] == pytest.approx(30.0)
    assert done.import_kw[0] == pytest.approx(130.0)
    done = settle_one(site([100.0], [0.0]), truth([20.0], [0.0]), discharge=50.0)
    assert done.over_limit_kw[0] == pytest.approx(30.0)


# -- ties, by hand ---------------------------------------------------------------------------------


def test_free_pooling_shares_a_surplus() -> None:
    """One region's surplus of 50 kW serves the other before anything is imported or curtailed."""
    at = site([INF, INF], [0.0, 0.0], ties=[(0, 1, INF, 0.0)])
    done = settle(at, truth([50.0, 80.0], [100.0, 0.0]), np.zeros(2), np.zeros(2), np.zeros(0), np.zeros(2))
    assert done.tie_flow_kw[0] == pytest.approx(50.0)
    np.testing.assert_allclose(done.import_kw, [0.0, 30.0], atol=1e-9)
    assert done.pv_curtailed_kw.sum() == pytest.approx(0.0, abs=1e-9)


def test_what_a_feeder_cannot_carry_is_balanced_without_losses() -> None:
    """At 500 kW a state with losses exists; at a hundredfold none does, and nothing is fed in for its losses."""
    feeder = Feeder(
        bus_names=("source", "end"),
        load_kw=np.zeros(2),
        load_kvar=np.zeros(2),
        source_index=0,
        branch_names=("line",),
        parent_index=np.array([0]),
        child_index=np.array([1]),
        r_pu=np.array([0.05]),
        x_pu=np.array([0.05]),
        b_pu=np.zeros(1),
        rating_kva=np.array([INF]),
        is_transformer=np.zeros(1, dtype=np.bool_),
    )
    network = Network(
        feeder=feeder, source_pu=1.0, voltage_min_pu=0.9, voltage_max_pu=1.1, load_kvar_per_kw=np.zeros(2)
    )
    at = replace(site([INF, 0.0], [INF, 0.0], ties=[(0, 1, INF, 0.0)]), network=network)
    for load_kw, loses in ((500.0, True), (50_000.0, False)):
        step = truth([0.0, load_kw], [0.0, 0.0])
        done = settle(at, step, np.zeros(2), np.zeros(2), np.zeros(0), np.zeros(2))
        assert done.import_kw.sum() == pytest.approx(load_kw + done.tie_loss_kw.sum())
        assert (done.tie_loss_kw.sum() > 10.0) == loses


def test_loss_is_borne_at_the_receiving_end() -> None:
    """Of 50 kW sent backwards over a tie losing 10 %, 45 kW arrive."""
    at = site([INF, INF], [0.0, 0.0], ties=[(1, 0, INF, 0.1)])
    done = settle(at, truth([50.0, 80.0], [100.0, 0.0]), np.zeros(2), np.zeros(2), np.zeros(0), np.zeros(2))
    assert done.tie_flow_kw[0] == pytest.approx(-50.0)
    assert done.tie_loss_kw[0] == pytest.approx(5.0)
    np.testing.assert_allclose(done.tie_kw, [-50.0, 45.0])
    assert done.import_kw[1] == pytest.approx(35.0)


def test_a_capped_tie_carries_its_limit() -> None:
    """A tie of 20 kW takes 20 of 50 kW; the rest is curtailed."""
    at = site([INF, INF], [0.0, 0.0], ties=[(0, 1, 20.0, 0.0)])
    done = settle(at, truth([50.0, 80.0], [100.0, 0.0]), np.zeros(2), np.zeros(2), np.zeros(0), np.zeros(2))
    assert done.tie_flow_kw[0] == pytest.approx(20.0)
    assert done.pv_curtailed_kw[0] == pytest.approx(30.0)


def test_a_tie_does_not_burn_surplus_by_flowing_both_ways() -> None:
    """Where both regions curtail at a price and the tie loses power, it may not circulate to lose it."""
    at = site([INF, INF], [0.0, 0.0], ties=[(0, 1, INF, 0.2)])
    done = settle(at, truth([50.0, 50.0], [60.0, 60.0]), np.zeros(2), np.zeros(2), np.zeros(0), np.zeros(2))
    curtailed = float((done.pv_curtailed_kw + done.wind_curtailed_kw).sum())
    assert curtailed + done.tie_loss_kw.sum() == pytest.approx(20.0)
    assert done.tie_loss_kw[0] == pytest.approx(0.2 * abs(done.tie_flow_kw[0]))
    assert abs(done.tie_flow_kw[0]) <= 60.0 + 1e-6


def test_equal_prices_move_nothing() -> None:
    """Without a reason to flow, ties rest."""
    at = site([INF, INF], [0.0, 0.0], ties=[(0, 1, INF, 0.0)])
    done = settle(at, truth([50.0, 80.0], [10.0, 0.0]), np.zeros(2), np.zeros(2), np.zeros(0), np.zeros(2))
    assert done.tie_flow_kw[0] == 0.0


# -- random cases ----------------------------------------------------------------------------------


def random_case(seed: int, *, n_regions: int, n_ties: int, generous: bool = False) -> Case:
    """Draw a site, a step and admissible set-points; ``generous``: no import limit binds."""
    rng = np.random.default_rng(seed)
    pick = rng.choice
    imports = [INF] * n_regions if generous else pick([INF, 0.0, 60.0, 150.0], n_regions).tolist()
    exports = pick([0.0, 40.0, 200.0], n_regions).tolist()
    batteries = rng.integers(0, n_regions, rng.integers(0, 4)).tolist()
    pairs = [rng.permutation(n_regions)[:2] for _ in range(n_ties)]
    ties = [(int(a), int(b), float(pick([INF, 15.0, 60.0])), float(pick([0.0, 0.05]))) for a, b in pairs]
    at = site(imports, exports, batteries, ties)
    buy = rng.uniform(-0.4, 1.2, n_regions)
    step = StepTruth(
        load_kw=rng.uniform(0.0, 120.0, n_regions),
        pv_kw=rng.uniform(0.0, 150.0, n_regions) * rng.integers(0, 2, n_regions),
        wind_kw=rng.uniform(0.0, 80.0, n_regions) * rng.integers(0, 2, n_regions),
        buy_price_per_kwh=buy,
        sell_price_per_kwh=buy * rng.uniform(0.5, 1.2, n_regions),
        curtailment_price_per_kwh=np.full(n_regions, pick([0.0, 0.1, 0.5])),
    )
    battery = rng.uniform(-45.0, 45.0, len(batteries))
    return at, step, battery, rng.uniform(0.0, 65.0, n_regions) * rng.integers(0, 2, n_regions)


def check_invariants(case: Case, charge: FloatArray, discharge: FloatArray, done: Settled) -> None:
    """Assert what must hold of every settled step."""
    at, step, battery, turbine = case
    np.testing.assert_allclose(imbalance_kw(at, step, charge, discharge, done), 0.0, atol=1e-9)
    assert (done.import_kw * done.export_kw == 0.0).all()
    for part, whole in (
        (done.pv_curtailed_kw, step.pv_kw),
        (done.wind_curtailed_kw, step.wind_kw),
        (done.unserved_kw, step.load_kw),
        (done.turbine_cut_kw, turbine),
        (done.battery_cut_kw, np.abs(battery)),
    ):
        assert (part >= 0.0).all()
        assert (part <= whole + 1e-9).all()
    assert (done.import_kw <= at.import_limit_kw + done.over_limit_kw + 1e-6).all()
    assert (done.export_kw <= at.export_limit_kw + done.over_limit_kw + 1e-6).all()
    assert (np.abs(done.tie_flow_kw) <= at.tie_limit_kw + 1e-6).all()
    assert (done.battery_kw * battery >= 0.0).all()
    assert done.tie_kw.sum() == pytest.approx(-done.tie_loss_kw.sum(), abs=1e-9)
    charging_left = np.bincount(
        at.battery_region_index, weights=np.maximum(done.battery_kw, 0.0), minlength=at.n_regions
    )
    lacking = done.unserved_kw > 1e-6
    assert (charging_left[lacking] < 1e-6).all()  # load is cut last
    assert (done.import_kw[lacking] >= at.import_limit_kw[lacking] - 1e-6).all()


@settings(deadline=None)
@given(seed=SEEDS, n_regions=st.integers(1, 4))
def test_invariants_without_ties(seed: int, n_regions: int) -> None:
    """Balance, signs, limits and the order of cuts hold in every region that stands alone."""
    case = random_case(seed, n_regions=n_regions, n_ties=0)
    rng = np.random.default_rng(seed + 1)
    charge, discharge = rng.uniform(0.0, 80.0, (2, n_regions)) * rng.integers(0, 2, (2, n_regions))
    check_invariants(case, charge, discharge, settle(case[0], case[1], charge, discharge, *case[2:]))


@settings(deadline=None)
@given(seed=SEEDS, n_regions=st.integers(2, 4), n_ties=st.integers(1, 4))
def test_invariants_with_ties(seed: int, n_regions: int, n_ties: int) -> None:
    """The same with ties, capped and free, lossless and lossy."""
    case = random_case(seed, n_regions=n_regions, n_ties=n_ties)
    rng = np.random.default_rng(seed + 1)
    charge, discharge = rng.uniform(0.0, 80.0, (2, n_regions)) * rng.integers(0, 2, (2, n_regions))
    check_invariants(case, charge, discharge, settle(case[0], case[1], charge, discharge, *case[2:]))


def brute_force_cost(case: Case) -> float:
    """Least cost over every choice of directions, one linear program each; inf where nothing balances.

    -inf where a loop of ties without limits loses energy at negative prices: more is always cheaper.
    """
    at, step, battery, turbine = case
    n, n_ties = at.n_regions, len(at.tie_from_index)
    total = np.bincount(at.battery_region_index, weights=battery, minlength=n)
    net = step.load_kw + total - turbine - step.pv_kw - step.wind_kw
    renewable = step.pv_kw + step.wind_kw
    best = INF
    for buys in product((True, False), repeat=n):
        grid_price = np.where(buys, step.buy_price_per_kwh, -step.sell_price_per_kwh)
        grid_limit = np.where(buys, at.import_limit_kw, at.export_limit_kw)
        grid_sign = np.where(buys, 1.0, -1.0)
        for along in product((True, False), repeat=n_ties):
            sending = np.where(along, at.tie_from_index, at.tie_to_index)
            receiving = np.where(along, at.tie_to_index, at.tie_from_index)
            flows = np.zeros((n, n_ties))
            for tie in range(n_ties):
                flows[sending[tie], tie] -= 1.0
                flows[receiving[tie], tie] += 1.0 - at.tie_loss_fraction[tie]
            result = linprog(
                np.concatenate([grid_price, step.curtailment_price_per_kwh, np.zeros(n_ties)]),
                A_eq=np.hstack([np.diag(grid_sign), -np.eye(n), flows]),
                b_eq=net,
                bounds=[(0.0, x) for x in np.concatenate([grid_limit, renewable, at.tie_limit_kw])],
            )
            if result.status == UNBOUNDED:
                return -INF
            if result.success:
                best = min(best, float(result.fun))
    return best


@settings(deadline=None)
@given(seed=SEEDS, n_regions=st.integers(1, 3))
def test_settle_against_brute_force_without_ties(seed: int, n_regions: int) -> None:
    """Regions alone cost the least that any choice of directions can, also at negative prices."""
    case = random_case(seed, n_regions=n_regions, n_ties=0, generous=True)
    done = settle(case[0], case[1], np.zeros(n_regions), np.zeros(n_regions), *case[2:])
    expected = brute_force_cost(case)
    if done.cut_kw == 0.0 and done.over_limit_kw.sum() == 0.0:
        assert cost(case[1], done) == pytest.approx(expected, abs=1e-6)
    else:
        assert expected == INF


def has_free_loop(at) -> bool:
    """Whether two ties without a limit join the same regions: energy can circulate and be lost (docs/status.md)."""
    pairs = [
        frozenset((one, other))
        for one, other, limit in zip(at.tie_from_index, at.tie_to_index, at.tie_limit_kw, strict=True)
        if np.isinf(limit)
    ]
    return len(set(pairs)) < len(pairs)


def test_a_loop_of_free_ties_is_known_to_circulate() -> None:
    """The case that the comparison leaves out: where buying is paid for, both ties are busy losing energy."""
    case = random_case(17056, n_regions=3, n_ties=2)
    assert has_free_loop(case[0])
    done = settle(case[0], case[1], np.zeros(3), np.zeros(3), *case[2:])
    check_invariants(case, np.zeros(3), np.zeros(3), done)
    assert done.tie_loss_kw.min() > 40.0


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, n_ties=st.integers(1, 2))
def test_settle_against_brute_force_with_ties(seed: int, n_ties: int) -> None:
    """Tied regions cost the least of all choices of directions, but for a trifle that stops idle flows."""
    case = random_case(seed, n_regions=3, n_ties=n_ties)
    assume(not has_free_loop(case[0]))
    done = settle(case[0], case[1], np.zeros(3), np.zeros(3), *case[2:])
    expected = brute_force_cost(case)
    assume(expected > -INF)
    if done.cut_kw + done.unserved_kw.sum() + done.over_limit_kw.sum() < 1e-6:
        assert cost(case[1], done) == pytest.approx(expected, abs=5e-3)
    else:
        assert expected == INF


@settings(deadline=None)
@given(seed=SEEDS, n_ties=st.integers(0, 2), share=st.floats(0.0, 1.0))
def test_charging_within_its_caps_costs_nobody_load(seed: int, n_ties: int, share: float) -> None:
    """Cars that charge within the caps leave no load unserved and cut no set-point that would stand."""
    case = random_case(seed, n_regions=3, n_ties=n_ties)
    wanted, none = np.random.default_rng(seed + 1).uniform(0.0, 200.0, 3), np.zeros(3)
    at, step, *set_points = case
    caps, _ = charging_caps(at, step, *set_points, wanted, none)
    charge = np.minimum(wanted, caps) * share
    alone, done = (settle(at, step, cars, none, *set_points) for cars in (none, charge))
    check_invariants(case, charge, none, done)
    assert done.unserved_kw.sum() <= alone.unserved_kw.sum() + 1e-5
    assert done.over_limit_kw.sum() <= alone.over_limit_kw.sum() + 1e-5
    assert done.cut_kw <= alone.cut_kw + 1e-5


@settings(deadline=None)
@given(seed=SEEDS, n_ties=st.integers(0, 2), share=st.floats(0.0, 1.0))
def test_discharging_within_its_caps_cuts_nothing(seed: int, n_ties: int, share: float) -> None:
    """Cars that discharge within the caps push out no battery and no turbine that would run without them.

    Without loops of free ties: what circulates there is lost, by as much as settlement likes, which no cap foresees.
    """
    case = random_case(seed, n_regions=3, n_ties=n_ties)
    assume(not has_free_loop(case[0]))
    wanted, none = np.random.default_rng(seed + 1).uniform(0.0, 200.0, 3), np.zeros(3)
    at, step, *set_points = case
    _, caps = charging_caps(at, step, *set_points, none, wanted)
    discharge = np.minimum(wanted, caps) * share
    alone, done = (settle(at, step, none, cars, *set_points) for cars in (none, discharge))
    check_invariants(case, none, discharge, done)
    assert done.cut_kw <= alone.cut_kw + 1e-5
    assert done.over_limit_kw.sum() <= alone.over_limit_kw.sum() + 1e-5


def test_caps_by_hand() -> None:
    """Import 100, PV 50, load 80, battery 20, turbine 10: 60 kW for cars; with export 5: 95 kW from cars."""
    at = site([100.0], [5.0], [0])
    step = truth([80.0], [50.0])
    charge, discharge = charging_caps(
        at, step, np.array([20.0]), np.array([10.0]), np.array([75.0]), np.zeros(1)
    )
    assert charge[0] == pytest.approx(60.0)
    charge, discharge = charging_caps(
        at, step, np.array([20.0]), np.array([10.0]), np.zeros(1), np.array([200.0])
    )
    assert discharge[0] == pytest.approx(95.0)


def test_caps_count_what_the_other_direction_brings() -> None:
    """Cars that discharge 40 kW let 60 charge where 20 could; such as charge 30 let 80 discharge, not 50."""
    none = np.zeros(0), np.zeros(1)
    charge, _ = charging_caps(
        site([100.0], [0.0]), truth([80.0], [0.0]), *none, np.array([70.0]), np.array([40.0])
    )
    assert charge[0] == pytest.approx(60.0)
    _, discharge = charging_caps(
        site([INF], [0.0]), truth([50.0], [0.0]), *none, np.array([30.0]), np.array([100.0])
    )
    assert discharge[0] == pytest.approx(80.0)


def test_caps_are_infinite_where_nothing_can_bind() -> None:
    """Without import limit charging has no cap; with free export discharging has none."""
    charge, discharge = charging_caps(
        site([INF], [INF]), truth([10.0], [0.0]), np.zeros(0), np.zeros(1), np.full(1, 500.0), np.zeros(1)
    )
    assert charge[0] == discharge[0] == INF


def test_caps_over_a_tie() -> None:
    """A region with 50 kW of import and a free tie to one with 100 charges 150 kW in all, load being 0."""
    at = site([50.0, 100.0], [0.0, 0.0], ties=[(0, 1, INF, 0.0)])
    charge, _ = charging_caps(
        at, truth([0.0, 0.0], [0.0, 0.0]), np.zeros(0), np.zeros(2), np.array([120.0, 80.0]), np.zeros(2)
    )
    assert charge.sum() == pytest.approx(150.0)
    charge, _ = charging_caps(
        at, truth([0.0, 0.0], [0.0, 0.0]), np.zeros(0), np.zeros(2), np.array([120.0, 10.0]), np.zeros(2)
    )
    assert charge[0] >= 120.0 - 1e-6
    assert charge[1] >= 10.0 - 1e-6


def test_rounding_is_no_shortage() -> None:
    """A lack of a billionth of a kW is rounding: nothing is cut."""
    done = settle_one(site([0.3], [0.0]), truth([0.1 + 0.2], [0.0]))
    assert done.unserved_kw[0] == 0.0


def test_rounding_is_no_export() -> None:
    """Cars that give just what the load takes export nothing where nothing may be exported."""
    done = settle_one(site([INF], [0.0]), truth([0.3], [0.0]), discharge=0.1 + 0.2)
    assert 0.1 + 0.2 > 0.3
    assert done.export_kw[0] == 0.0


@settings(deadline=None)
@given(seed=SEEDS)
def test_order_of_regions_does_not_matter(seed: int) -> None:
    """Regions that stand alone are settled alike in whatever order they come."""
    at, step, battery, turbine = random_case(seed, n_regions=4, n_ties=0)
    order = np.random.default_rng(seed).permutation(4)
    mixed = replace(
        at,
        import_limit_kw=at.import_limit_kw[order],
        export_limit_kw=at.export_limit_kw[order],
        battery_region_index=np.argsort(order)[at.battery_region_index],
    )
    other = StepTruth(**{item.name: getattr(step, item.name)[order] for item in fields(step)})
    charge = np.arange(4.0)
    one = settle(at, step, charge, np.zeros(4), battery, turbine)
    two = settle(mixed, other, charge[order], np.zeros(4), battery, turbine[order])
    np.testing.assert_allclose(two.import_kw, one.import_kw[order])
    np.testing.assert_allclose(two.pv_curtailed_kw, one.pv_curtailed_kw[order])
    np.testing.assert_allclose(two.battery_kw, one.battery_kw)


def test_settling_twice_is_settling_once() -> None:
    """The same step gives the same bits."""
    case = random_case(7, n_regions=4, n_ties=3)
    first, second = (settle(case[0], case[1], np.ones(4), np.zeros(4), *case[2:]) for _ in range(2))
    np.testing.assert_array_equal(first.tie_flow_kw, second.tie_flow_kw)
    np.testing.assert_array_equal(first.import_kw, second.import_kw)


@pytest.mark.parametrize("powers", [(0.0, 0.0), (120.0, 0.0), (0.0, 90.0)])
def test_ties_of_no_capacity_join_nothing(powers: tuple[float, float]) -> None:
    """Regions joined by a tie of 0 kW settle, and cap their cars, as regions without ties do; to the last bit."""
    step = truth([100.0, 40.0], [20.0, 90.0])
    charge, discharge = np.array([powers[0], 0.0]), np.array([0.0, powers[1]])
    apart, joined = (site([60.0, INF], [0.0, 5.0], ties=ties) for ties in ([], [(0, 1, 0.0, 0.1)]))
    none = np.zeros(0)
    rest = np.zeros(2)
    for one, other in zip(
        charging_caps(apart, step, none, rest, charge, discharge),
        charging_caps(joined, step, none, rest, charge, discharge),
        strict=True,
    ):
        assert np.array_equal(one, other)
    one, other = (settle(at, step, charge, discharge, none, rest) for at in (apart, joined))
    assert other.tie_flow_kw.tolist() == [0.0]
    for item in fields(Settled):
        if not item.name.startswith("tie_flow") and not item.name.startswith("tie_loss"):
            assert np.array_equal(getattr(one, item.name), getattr(other, item.name)), item.name
