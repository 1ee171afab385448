"""The feeder in a decision's program: against another program, against its own power flow, and in whole days."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dispatch_oracle import optimum
from simulation_cases import Kept

from dispatch.network import GUARD, KAPPA, KEPT_PU, MILLI, judged, lossless, network_numbers, shifted
from dispatch.options import DispatchOptions
from dispatch.plan import bus_demand_kw
from dispatch.rolling_horizon import RollingHorizon
from dispatch.session import Solved
from experiments.assemble import assemble, dispatcher_for
from experiments.shipped import load_scenario
from sim.contracts import Schedule
from sim.errors import PolicyError
from sim.feeder.ac import ac_power_flow
from sim.feeder.linear import linear_flow, losses_kw_kvar
from sim.feeder.model import Network
from sim.feeder.reading import FeederFiles, read_feeder

CABLES = Path(__file__).parent / "golden" / "feeder_pandapower"
SHORT = ["dispatch.horizon_steps=24", "fleet.size=120", "dispatch.feeder_limits=keep"]
"""Six hours ahead: enough to fill a car, and quick."""
UNRATED = ["feeder.line_ampacity_a=unlimited", "feeder.line_ampacities_a={}"]
WIDE = ["feeder.voltage_min_pu=0.8", "feeder.voltage_max_pu=1.2", *UNRATED]
NARROW = ["feeder.voltage_min_pu=0.995", "feeder.source_pu=1.0", "feeder.voltage_max_pu=1.0"]


def network() -> Network:
    """The shipped feeder as its site has it."""
    _, actors = assemble(load_scenario("storage-network", ["fleet.size=0"]))
    assert actors.site.network is not None
    return actors.site.network


class FirstPlans(RollingHorizon):
    """Keeps each decision's problem and answer, and stops moving after the first few."""

    def __init__(self, options: DispatchOptions) -> None:
        super().__init__(options)
        self.solved: list[Solved] = []

    def _within_feeder(self, session, problem):
        decided = super()._within_feeder(session, problem)
        self.solved.append(decided.executed)
        return decided


def test_numbers_are_those_of_the_linear_flow() -> None:
    """Drops and losses put into the program give the squared voltages of the linear power flow, losses included."""
    net, rng = network(), np.random.default_rng(4)
    feeder = net.feeder
    demand_kw = feeder.load_kw * rng.uniform(-1.0, 1.5, (5, 33))
    load_kvar = feeder.load_kvar * rng.uniform(0.0, 1.2, (5, 33))
    around = linear_flow(feeder, demand_kw, load_kvar, source_pu=net.source_pu)
    loss_kw, loss_kvar = losses_kw_kvar(feeder, around)
    expansion = replace(lossless(net, 5), loss_kw=loss_kw, loss_kvar=loss_kvar)
    numbers = network_numbers(net, load_kvar, expansion)
    flow = linear_flow(
        feeder, demand_kw, load_kvar, source_pu=net.source_pu, loss_kw=loss_kw, loss_kvar=loss_kvar
    )
    squared = MILLI * flow.voltage_pu**2
    along = squared[:, feeder.child_index] - squared[:, feeder.parent_index]
    assert np.abs(along + KAPPA * feeder.r_pu * flow.flow_kw - numbers.drop).max() < 1e-9
    assert numbers.loss_at_bus_kw.sum() == pytest.approx(loss_kw.sum())
    received = (demand_kw + numbers.loss_at_bus_kw) @ feeder.feeds.T.astype(float)
    assert np.abs(received - flow.flow_kw).max() < 1e-9


def cables() -> Network:
    """A feeder with cables at 20 kV and a street behind a transformer."""
    files = FeederFiles(
        buses=CABLES / "mv_lv_buses.csv",
        lines=CABLES / "mv_lv_lines.csv",
        transformers=CABLES / "mv_lv_transformers.csv",
    )
    feeder = read_feeder(files, "station")
    nothing = np.zeros(feeder.n_buses)
    return Network(
        feeder=feeder, source_pu=1.02, voltage_min_pu=0.9, voltage_max_pu=1.1, load_kvar_per_kw=nothing
    )


def test_cables_charge_by_the_voltage_that_they_have() -> None:
    """Around its own AC power flow the program has its voltages, also where cables give reactive power."""
    net = cables()
    feeder = net.feeder
    rng = np.random.default_rng(6)
    rated_kw = np.array([0.0, 900.0, 0.0, 110.0, 60.0, 120.0])
    demand_kw = rated_kw * rng.uniform(-1.0, 1.2, (6, feeder.n_buses))
    demand_kvar = rated_kw * rng.uniform(-0.4, 0.4, (6, feeder.n_buses))
    state = judged(net, demand_kw, demand_kvar).expansion
    numbers = network_numbers(net, demand_kvar, state)
    flow_kw = (demand_kw + numbers.loss_at_bus_kw) @ feeder.below.T
    squared = MILLI * net.source_pu**2 + (numbers.drop - KAPPA * feeder.r_pu * flow_kw) @ feeder.below
    assert feeder.b_pu.max() > 0.0
    assert np.abs(np.sqrt(squared / MILLI) - state.voltage_pu).max() < 1e-9


@pytest.mark.parametrize("charging", [0.0, 1.0, 20.0])
@pytest.mark.parametrize("towards", [1.0, -1.0])
def test_a_flow_at_its_limit_is_a_branch_at_its_rating(charging: float, towards: float) -> None:
    """Around its own AC power flow the program's bound is the rating, less its guard, at the busier end, either way."""
    net = cables()
    feeder = replace(net.feeder, b_pu=charging * net.feeder.b_pu)
    rng = np.random.default_rng(8)
    rated_kw = np.array([0.0, 900.0, 0.0, 110.0, 60.0, 120.0])
    demand_kw = towards * rated_kw * rng.uniform(0.5, 1.2, (1, feeder.n_buses))
    demand_kvar = rated_kw * rng.uniform(-0.4, 0.4, (1, feeder.n_buses))
    free = replace(net, feeder=replace(feeder, rating_kva=np.full(feeder.n_branches, np.inf)))
    state = judged(free, demand_kw, demand_kvar).expansion
    flow_kw = (demand_kw @ feeder.below.T + state.loss_kw @ feeder.above.T)[0]
    unit = replace(feeder, rating_kva=np.ones(feeder.n_branches))
    loading = ac_power_flow(unit, demand_kw, demand_kvar, source_pu=net.source_pu).loading[0]
    rating_kva = loading / (1.0 - GUARD)
    full = replace(net, feeder=replace(feeder, rating_kva=rating_kva), voltage_min_pu=0.5, voltage_max_pu=1.5)
    numbers = network_numbers(full, demand_kvar, state)
    limit_kw = (numbers.forth_limit_kw if towards > 0.0 else numbers.back_limit_kw)[0]
    assert judged(full, demand_kw, demand_kvar).beyond == 0.0
    assert (towards * flow_kw > 0.0).all()
    assert limit_kw == pytest.approx(np.abs(flow_kw), rel=1e-7)


def test_states_move_on_with_the_window() -> None:
    """A later decision begins with the last one's states of the same steps; beyond them the last is held."""
    expansion = replace(lossless(network(), 4), loss_kw=np.arange(4.0)[:, None] * np.ones(32))
    assert shifted(expansion, 4, 1).loss_kw[:, 0].tolist() == [1.0, 2.0, 3.0, 3.0]
    assert shifted(expansion, 2, 0).loss_kw[:, 0].tolist() == [0.0, 1.0]
    assert shifted(expansion, 3, 9).loss_kw[:, 0].tolist() == [3.0, 3.0, 3.0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["persistence", "perfect"])
@pytest.mark.parametrize(("band", "binds"), [(WIDE, False), (NARROW, True)])
def test_first_decision_against_another_program(kind: str, band: list[str], binds: bool) -> None:
    """The lossless program's objective is that of one with every voltage written as a sum along its path."""
    overrides = [*SHORT, *band, f"forecast.kind={kind}", "dispatch.feeder_rounds=1", "fleet.size=25"]
    scenario = load_scenario("storage-network", overrides)
    kept = Kept(dispatcher_for(scenario))
    simulation, actors = assemble(scenario, dispatcher=kept)
    kept.decide = _first_only(kept)
    with pytest.raises(PolicyError, match="enough"):
        simulation.run()
    free = replace(actors.site, network=None)
    expected = optimum(actors.site, kept.snapshots[0], kept.forecasts[0], departing="lambda")
    assert kept.schedules[0].decision.turbine_bound == pytest.approx(expected, rel=1e-6)
    loose = optimum(free, kept.snapshots[0], kept.forecasts[0], departing="lambda")
    assert (expected > loose * (1 + 1e-6)) == binds


def _first_only(kept: Kept):
    decide = kept.decide

    def once(snapshot, forecast) -> Schedule:
        if kept.schedules:
            raise PolicyError("enough")
        return decide(snapshot, forecast)

    return once


@pytest.mark.slow
def test_a_plan_keeps_the_limits_by_ac_or_says_where_it_does_not() -> None:
    """Within half of what a run counts, or priced, and then at the very voltages that it says."""
    overrides = [*SHORT, "feeder.voltage_min_pu=0.985", "dispatch.feeder_rounds=6", "fleet.size=60"]
    scenario = load_scenario("storage-network", overrides)
    policy = FirstPlans(DispatchOptions.from_scenario(scenario))
    simulation, actors = assemble(scenario, dispatcher=policy)
    simulation.run()
    net = actors.site.network
    assert net is not None
    assert len(policy.solved) == 96
    n_kept, n_priced = 0, 0
    for solved in policy.solved[::4]:
        problem, plan = solved.problem, solved.plan
        assert problem.network is not None
        state = judged(net, bus_demand_kw(problem, plan), problem.network.load_kvar)
        planned_pu = np.sqrt(plan.voltage / MILLI)
        slack_pu = (np.sqrt((plan.voltage + plan.voltage_low) / MILLI) - planned_pu).max()
        if slack_pu < KEPT_PU:
            n_kept += 1
            assert state.beyond <= KEPT_PU
        else:
            n_priced += 1
            assert state.beyond == pytest.approx(slack_pu, rel=1e-4)
            assert np.abs(planned_pu - state.expansion.voltage_pu).max() < 1e-8
    assert min(n_kept, n_priced) > 2


@pytest.mark.slow
def test_with_foresight_no_step_leaves_the_limits() -> None:
    """Plans that keep the limits keep them in every step of the day by AC power flow; plans that ignore them do not."""
    days = {}
    for limits in ("keep", "ignore"):
        overrides = [*SHORT, f"dispatch.feeder_limits={limits}", "forecast.kind=perfect", "fleet.size=200"]
        scenario = load_scenario("storage-network", overrides)
        simulation, actors = assemble(scenario)
        tables = simulation.run().network_columns()
        pu = np.asarray(tables["voltages"]["voltage_pu"])
        loading = np.asarray(tables["branches"]["loading"])
        net = actors.site.network
        assert net is not None
        outside = (pu > net.voltage_max_pu + KEPT_PU) | (pu < net.voltage_min_pu - KEPT_PU)
        days[limits] = int(outside.sum() + (loading > 1.0 + KEPT_PU).sum())
    assert days["keep"] == 0
    assert days["ignore"] > 0
