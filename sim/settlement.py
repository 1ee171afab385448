"""Settlement of one step by what really happened, at least cost; pure.

Set-points of batteries and turbines stand, and the cars have drawn what they drew. What is left to choose is
flows over ties, import, export and curtailment. Where no choice balances a region, cuts follow in a fixed
order: with too little power battery charging, then load (cars were cut before, by ``charging_caps``); with
too much battery discharging, then turbines. Balance per region (``sim.trace``)::

    load - unserved + battery + ev_charge - ev_discharge + export
        = pv - pv_curtailed + wind - wind_curtailed + turbine + import + tie

On a feeder (``Site.network``) ties are its branches: what they lose is that of the exact power flow, and stands
as demand at the source's region while the step is balanced.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np

from sim.arrays import FloatArray, IntArray, freeze
from sim.contracts import Site
from sim.feeder.exact import ExactFlow, exact_flow
from sim.feeder.model import Network
from sim.ties import HEADROOM_KW, Need, exchange, net_inflow_kw, tie_loss_kw

_LOSS_ROUNDS: Final = 50  # to balance a step with the losses that this causes
ROUNDING_KW: Final = 1e-10  # a lack, an excess or a flow below this is floating-point rounding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepTruth:
    """What the world brings: means over a step, arrays (R,), or over the steps of a window, (K, R)."""

    load_kw: FloatArray
    pv_kw: FloatArray
    wind_kw: FloatArray
    buy_price_per_kwh: FloatArray
    sell_price_per_kwh: FloatArray
    curtailment_price_per_kwh: FloatArray


def admitted(truth: StepTruth, feed_in_cap_kw: FloatArray) -> StepTruth:
    """A step in which PV and wind of each region give no more than a cap together, (R,), pro rata; inf: all.

    >>> kw = np.array([60.0, 60.0])
    >>> truth = StepTruth(load_kw=kw, pv_kw=kw, wind_kw=kw / 3, buy_price_per_kwh=kw, sell_price_per_kwh=kw,
    ...     curtailment_price_per_kwh=kw)
    >>> capped = admitted(truth, np.array([40.0, np.inf]))
    >>> capped.pv_kw.tolist(), capped.wind_kw.tolist()
    ([30.0, 60.0], [10.0, 20.0])
    """
    renewable_kw = truth.pv_kw + truth.wind_kw
    is_held = renewable_kw > feed_in_cap_kw
    if not is_held.any():
        return truth
    share = np.divide(feed_in_cap_kw, renewable_kw, out=np.ones_like(renewable_kw), where=is_held)
    return replace(truth, pv_kw=truth.pv_kw * share, wind_kw=truth.wind_kw * share)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settled:
    """How a step was balanced; means over the step, (R,) unless stated."""

    import_kw: FloatArray
    export_kw: FloatArray  # import_kw * export_kw = 0
    pv_curtailed_kw: FloatArray
    wind_curtailed_kw: FloatArray
    unserved_kw: FloatArray
    tie_kw: FloatArray  # net into the region
    tie_flow_kw: FloatArray  # (T,), signed, leaving tie_from_index
    tie_loss_kw: FloatArray  # (T,)
    battery_kw: FloatArray  # (B,), after cuts
    turbine_kw: FloatArray  # after cuts
    battery_cut_kw: FloatArray  # (B,), part of the set-point that could not be kept
    turbine_cut_kw: FloatArray
    over_limit_kw: FloatArray  # import or export above its limit; 0 when the cars kept to their caps
    battery_kvar: FloatArray  # (B,), reactive power taken from the feeder
    charger_kvar: FloatArray  # the same of the cars' chargers

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def cut_kw(self) -> float:
        """Battery and turbine power that could not be kept, summed."""
        return float(self.battery_cut_kw.sum() + self.turbine_cut_kw.sum())


def settle(  # noqa: PLR0917 - the order of the simulation's facts
    site: Site,
    truth: StepTruth,
    ev_charge_kw: FloatArray,
    ev_discharge_kw: FloatArray,
    battery_kw: FloatArray,
    turbine_kw: FloatArray,
    battery_kvar: FloatArray | None = None,
    charger_kvar: FloatArray | None = None,
) -> Settled:
    """Balance one step.

    What a feeder loses is fed in at its source. Where no state of it carries the balance, or import limits and losses
    find none together, losses are left out: the tables of voltages and branches tell that there is no state.

    Parameters
    ----------
    truth
        Load, PV, wind and prices of the step.
    ev_charge_kw, ev_discharge_kw : ndarray, shape (R,)
        What the cars took and gave, means over the step.
    battery_kw : ndarray, shape (B,)
        Admissible set-points, charging positive.
    turbine_kw : ndarray, shape (R,)
        Admissible set-points.
    battery_kvar : ndarray, shape (B,)
        Admissible reactive power, taken from the feeder positive; it changes what a feeder loses. None is 0.
    charger_kvar : ndarray, shape (R,)
        The same of the cars' chargers.
    """
    car_kw = ev_charge_kw - ev_discharge_kw
    of_batteries = np.zeros_like(battery_kw) if battery_kvar is None else battery_kvar
    of_chargers = np.zeros(site.n_regions) if charger_kvar is None else charger_kvar
    settled = _balanced(site, truth, car_kw, battery_kw, turbine_kw)
    settled = replace(settled, battery_kvar=of_batteries, charger_kvar=of_chargers)
    network, without_losses = site.network, settled
    if network is None:
        return settled
    loss_kw, source = 0.0, network.feeder.source_index
    for _ in range(_LOSS_ROUNDS):
        state = exact_flow(network, settled.tie_kw, reactive_demand_kvar(site, truth, settled))
        if state is None:
            return without_losses
        before_kw, loss_kw = loss_kw, float(state.loss_kw.sum())
        more_kw = loss_kw - before_kw
        now_kw = float(settled.import_kw[source])
        if now_kw + min(more_kw, 0.0) > 0.0 and now_kw + max(more_kw, 0.0) < site.import_limit_kw[source]:
            # who imports, and not up to a limit, imports what is lost, and nothing else changes
            import_kw = settled.import_kw.copy()
            import_kw[source] += more_kw
            return _with_losses(network, replace(settled, import_kw=import_kw), state)
        if abs(loss_kw - before_kw) <= ROUNDING_KW:
            return _with_losses(network, settled, state)
        lost_kw = np.zeros(site.n_regions)
        lost_kw[source] = loss_kw
        again = _balanced(site, truth, car_kw + lost_kw, battery_kw, turbine_kw)
        settled = replace(again, battery_kvar=of_batteries, charger_kvar=of_chargers)
    return without_losses


def reactive_demand_kvar(site: Site, truth: StepTruth, settled: Settled) -> FloatArray:
    """Reactive power that each region's loads, batteries and chargers take from the feeder, (R,)."""
    assert site.network is not None
    of_loads: FloatArray = (truth.load_kw - settled.unserved_kw) * site.network.load_kvar_per_kw
    of_batteries = np.bincount(site.battery_region_index, settled.battery_kvar, site.n_regions)
    return of_loads + of_batteries + settled.charger_kvar


def _with_losses(network: Network, settled: Settled, state: ExactFlow) -> Settled:
    """Flows that lose what they lose; what the source's region imports for it goes out over its branches."""
    tie_kw = settled.tie_kw.copy()
    tie_kw[network.feeder.source_index] -= state.loss_kw.sum()
    return replace(settled, tie_kw=tie_kw, tie_flow_kw=state.leaving_kw, tie_loss_kw=state.loss_kw)


def _balanced(
    site: Site, truth: StepTruth, car_kw: FloatArray, battery_kw: FloatArray, turbine_kw: FloatArray
) -> Settled:
    """Balance a step; ``car_kw`` is what the cars take less what they give."""
    charging_kw, discharging_kw = _by_region(site, battery_kw)
    demand_kw = truth.load_kw + car_kw + charging_kw - discharging_kw - turbine_kw
    flow_kw = _flow_kw(site, truth, demand_kw, (charging_kw, discharging_kw), turbine_kw)
    tie_kw = net_inflow_kw(site, flow_kw)
    net_kw = demand_kw - tie_kw
    renewable_kw = truth.pv_kw + truth.wind_kw
    lack_kw = _beyond_rounding(net_kw - renewable_kw - site.import_limit_kw)
    excess_kw = _beyond_rounding(-site.export_limit_kw - net_kw)
    charge_cut_kw, lack_kw = _take(lack_kw, charging_kw)
    unserved_kw, lack_kw = _take(lack_kw, truth.load_kw)
    discharge_cut_kw, excess_kw = _take(excess_kw, discharging_kw)
    turbine_cut_kw, excess_kw = _take(excess_kw, turbine_kw)
    net_kw = net_kw - charge_cut_kw - unserved_kw + discharge_cut_kw + turbine_cut_kw
    curtailed = _least_cost_curtailed_kw(site, truth, net_kw - renewable_kw, renewable_kw)
    grid_kw = net_kw - renewable_kw + curtailed
    grid_kw = np.where(np.abs(grid_kw) > ROUNDING_KW, grid_kw, 0.0)  # no export of 1e-13 kW where none may be
    share = np.divide(curtailed, renewable_kw, out=np.zeros_like(curtailed), where=renewable_kw > 0.0)
    cut_fraction = _cut_fraction(site, battery_kw, charge_cut_kw, discharge_cut_kw)
    return Settled(
        import_kw=np.maximum(grid_kw, 0.0),
        export_kw=np.maximum(-grid_kw, 0.0),
        pv_curtailed_kw=truth.pv_kw * share,
        wind_curtailed_kw=truth.wind_kw * share,
        unserved_kw=unserved_kw,
        tie_kw=tie_kw,
        tie_flow_kw=flow_kw,
        tie_loss_kw=tie_loss_kw(site, flow_kw),
        battery_kw=battery_kw * (1.0 - cut_fraction),
        turbine_kw=turbine_kw - turbine_cut_kw,
        battery_cut_kw=np.abs(battery_kw) * cut_fraction,
        turbine_cut_kw=turbine_cut_kw,
        over_limit_kw=lack_kw + excess_kw,
        battery_kvar=np.zeros_like(battery_kw),
        charger_kvar=np.zeros(site.n_regions),
    )


def charging_caps(  # noqa: PLR0917 - as ``settle``
    site: Site,
    truth: StepTruth,
    battery_kw: FloatArray,
    turbine_kw: FloatArray,
    requested_charge_kw: FloatArray,
    requested_discharge_kw: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Caps on each region's car charging and discharging for the coming step, ``inf`` where nothing can bind.

    Set-points of batteries and turbines stand; PV and wind may be curtailed to nothing. With car powers
    within the caps (and what was requested of the other direction delivered) settlement cuts neither load nor
    a set-point because of cars. In regions without ties the caps are all that the connection can carry, so
    cars that arrive within the step find room; with ties, discharging that fits is not capped, for it begins
    at boundaries only.

    Parameters
    ----------
    battery_kw : ndarray, shape (B,)
        Set-points, charging positive.
    turbine_kw : ndarray, shape (R,)
        Set-points.
    requested_charge_kw, requested_discharge_kw : ndarray, shape (R,)
        What the cars are to take and give.

    Returns
    -------
    charge_cap_kw, discharge_cap_kw : ndarray, shape (R,)
    """
    batteries = _by_region(site, battery_kw)
    base_kw = truth.load_kw + batteries[0] - batteries[1] - turbine_kw
    renewable_kw = truth.pv_kw + truth.wind_kw
    most_charge = site.import_limit_kw + renewable_kw - base_kw + requested_discharge_kw
    most_discharge = site.export_limit_kw + base_kw + requested_charge_kw
    charge_cap, discharge_cap = np.maximum(most_charge, 0.0), np.maximum(most_discharge, 0.0)
    too_much = (requested_charge_kw > charge_cap) | (requested_discharge_kw > discharge_cap)
    tied = _joined(site)
    if not too_much[tied].any():
        return charge_cap, discharge_cap
    demand_kw = base_kw + requested_charge_kw - requested_discharge_kw
    requested = (requested_charge_kw, requested_discharge_kw)
    need = _free_of_charge(_need(truth, demand_kw, batteries, turbine_kw, requested))
    fitting = exchange(site, need)
    charge_kw = requested_charge_kw - fitting.car_charge_cut_kw
    discharge_kw = requested_discharge_kw - fitting.car_discharge_cut_kw
    room_kw = _headroom_kw(site, need, charge_kw, discharge_kw)
    charge_cap[tied] = np.where(np.isfinite(site.import_limit_kw), charge_kw + room_kw, np.inf)[tied]
    is_cut = fitting.car_discharge_cut_kw > ROUNDING_KW
    discharge_cap[tied] = np.where(is_cut, discharge_kw, np.inf)[tied]
    return charge_cap, discharge_cap


def discharge_caps(  # noqa: PLR0917 - as ``settle``
    site: Site,
    truth: StepTruth,
    battery_kw: FloatArray,
    turbine_kw: FloatArray,
    charge_kw: FloatArray,
    discharge_kw: FloatArray,
) -> FloatArray:
    """Most that the cars of each region can give in the mean of a step beside what they take, (R,); inf: all of it.

    As the second of ``charging_caps``, for means of a whole step.
    """
    batteries = _by_region(site, battery_kw)
    base_kw = truth.load_kw + batteries[0] - batteries[1] - turbine_kw
    cap_kw = np.maximum(site.export_limit_kw + base_kw + charge_kw, 0.0)
    too_much, tied = discharge_kw > cap_kw, _joined(site)
    if too_much[tied].any():
        fixed = np.zeros(site.n_regions), discharge_kw  # what was charged is charged: only giving can be cut
        demand_kw = base_kw + charge_kw - discharge_kw
        fitting = exchange(site, _free_of_charge(_need(truth, demand_kw, batteries, turbine_kw, fixed)))
        cut_kw = fitting.car_discharge_cut_kw
        cap_kw[tied] = np.where(cut_kw > ROUNDING_KW, discharge_kw - cut_kw, np.inf)[tied]
    else:
        cap_kw[tied] = np.inf
    return np.where(discharge_kw <= cap_kw, np.inf, cap_kw)


@lru_cache(maxsize=8)
def _joined(site: Site) -> IntArray:
    """Regions that ties join; those of no capacity join nothing."""
    carries = site.tie_limit_kw > 0.0
    return np.union1d(site.tie_from_index[carries], site.tie_to_index[carries])


def _headroom_kw(site: Site, need: Need, charge_kw: FloatArray, discharge_kw: FloatArray) -> FloatArray:
    """Car charging that fits beside the given car powers, in all regions at once; ``inf`` beyond measure."""
    fitting = replace(
        need,
        net_kw=need.net_kw - need.car_charge_kw + need.car_discharge_kw + charge_kw - discharge_kw,
        car_charge_kw=charge_kw,
        car_discharge_kw=discharge_kw,
    )
    room_kw = exchange(site, fitting, headroom_value=1.0).headroom_kw
    return np.where(room_kw < HEADROOM_KW / 2.0, room_kw, np.inf)


def _flow_kw(
    site: Site,
    truth: StepTruth,
    demand_kw: FloatArray,
    batteries: tuple[FloatArray, FloatArray],
    turbine_kw: FloatArray,
) -> FloatArray:
    """Least-cost flow over each tie, shape (T,), when the cars' powers stand as they were."""
    if not (site.tie_limit_kw > 0.0).any():
        return np.zeros(len(site.tie_limit_kw))
    none = np.zeros(site.n_regions)
    return exchange(site, _need(truth, demand_kw, batteries, turbine_kw, (none, none))).flow_kw


def _by_region(site: Site, battery_kw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Charging and discharging of stationary batteries, summed by region."""
    index, n = site.battery_region_index, site.n_regions
    charging_kw, discharging_kw = np.zeros(n), np.zeros(n)
    np.add.at(charging_kw, index, np.maximum(battery_kw, 0.0))
    np.add.at(discharging_kw, index, np.maximum(-battery_kw, 0.0))
    return charging_kw, discharging_kw


def _beyond_rounding(power_kw: FloatArray) -> FloatArray:
    return np.where(power_kw > ROUNDING_KW, power_kw, 0.0)


def _take(wanted_kw: FloatArray, available_kw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Take what is wanted of the available; returns it and what is still wanted then."""
    taken_kw = np.minimum(wanted_kw, available_kw)
    return taken_kw, wanted_kw - taken_kw


def _cut_fraction(
    site: Site, battery_kw: FloatArray, charge_cut_kw: FloatArray, discharge_cut_kw: FloatArray
) -> FloatArray:
    """Part of each battery's power that is cut, shape (B,): the same for all of a region that do the same."""
    charging_kw, discharging_kw = _by_region(site, battery_kw)
    index = site.battery_region_index
    is_charging = battery_kw > 0.0
    cut_kw = np.where(is_charging, charge_cut_kw[index], discharge_cut_kw[index])
    total_kw = np.where(is_charging, charging_kw[index], discharging_kw[index])
    return np.divide(cut_kw, total_kw, out=np.zeros_like(cut_kw), where=total_kw > 0.0)


def _least_cost_curtailed_kw(
    site: Site, truth: StepTruth, net_kw: FloatArray, renewable_kw: FloatArray
) -> FloatArray:
    """Curtailment that balances at least cost, each region on its own.

    With net power m = n + c (import positive) the cost buy max(m, 0) - sell max(-m, 0) + phi c is linear
    between the least curtailment, the one that stops export, and the most: the cheapest of these three is the
    optimum, whatever the signs of the prices. Among equals the least curtailment is taken.
    """
    least = np.clip(-site.export_limit_kw - net_kw, 0.0, renewable_kw)
    most = np.clip(site.import_limit_kw - net_kw, least, renewable_kw)
    candidates = np.stack([least, np.clip(-net_kw, least, most), most])
    grid_kw = net_kw + candidates
    cost = (
        truth.buy_price_per_kwh * np.maximum(grid_kw, 0.0)
        - truth.sell_price_per_kwh * np.maximum(-grid_kw, 0.0)
        + truth.curtailment_price_per_kwh * candidates
    )
    best: FloatArray = np.take_along_axis(candidates, np.argmin(cost, axis=0)[None, :], axis=0)[0]
    return best


def _need(
    truth: StepTruth,
    demand_kw: FloatArray,
    batteries: tuple[FloatArray, FloatArray],
    turbine_kw: FloatArray,
    cars: tuple[FloatArray, FloatArray],
) -> Need:
    renewable_kw = truth.pv_kw + truth.wind_kw
    return Need(
        net_kw=demand_kw - renewable_kw,
        renewable_kw=renewable_kw,
        load_kw=truth.load_kw,
        battery_charge_kw=batteries[0],
        battery_discharge_kw=batteries[1],
        turbine_kw=turbine_kw,
        car_charge_kw=cars[0],
        car_discharge_kw=cars[1],
        buy_price_per_kwh=truth.buy_price_per_kwh,
        sell_price_per_kwh=truth.sell_price_per_kwh,
        curtailment_price_per_kwh=truth.curtailment_price_per_kwh,
    )


def _free_of_charge(need: Need) -> Need:
    """Set prices so low that they settle nothing: what is possible, not what is cheap."""
    free = np.zeros_like(need.net_kw)
    trifle = free + 1e-3  # buying to sell is no use
    return replace(need, buy_price_per_kwh=trifle, sell_price_per_kwh=free, curtailment_price_per_kwh=free)
