"""A decision's program by another route: written down variable by variable from snapshot, forecast and site.

It shares no code with `dispatch`: stays, fractions, bounds and equations are worked out here with plain loops,
nothing is left out or eliminated, the fuel cost is an epigraph instead of pieces, and scipy's solver interfaces are
used.
"""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from sim.contracts import Forecast, Site, Snapshot


class Model:
    """Variables with costs and bounds, and rows, one by one."""

    def __init__(self) -> None:
        self.cost, self.lower, self.upper, self.integer = [], [], [], []
        self.rows, self.row_lower, self.row_upper = [], [], []
        self.first_stage = []  # powers of cars, batteries and turbines in the first step
        self.battery = {}  # powers of each battery and step
        self.plugged_kw = defaultdict(float)  # charge limits of the cars known at each region and step

    def variable(self, cost: float, lower: float, upper: float, *, integer: bool = False) -> int:
        """Add a variable and give its number."""
        self.cost.append(cost)
        self.lower.append(lower)
        self.upper.append(upper)
        self.integer.append(integer)
        return len(self.cost) - 1

    def row(self, terms: list[tuple[float, int]], lower: float, upper: float) -> None:
        """Add lower <= sum of terms <= upper."""
        self.rows.append(terms)
        self.row_lower.append(lower)
        self.row_upper.append(upper)

    def solve(self, gap: float = 1e-9) -> tuple[float, np.ndarray]:
        """Minimise."""
        entries = [(i, column, value) for i, terms in enumerate(self.rows) for value, column in terms]
        row, column, value = (np.array(part) for part in zip(*entries, strict=True))
        matrix = csr_array(
            (value, (row.astype(int), column.astype(int))), shape=(len(self.rows), len(self.cost))
        )
        answer = milp(
            np.array(self.cost),
            integrality=np.array(self.integer, dtype=int),
            bounds=Bounds(np.array(self.lower), np.array(self.upper)),
            constraints=LinearConstraint(matrix, np.array(self.row_lower), np.array(self.row_upper)),
            options={"mip_rel_gap": gap},
        )
        assert answer.status == 0, answer.message
        return float(answer.fun), answer.x


def optimum(
    site: Site,
    snapshot: Snapshot,
    forecast: Forecast,
    *,
    departing: str | float = "median_price",
    exclusive: bool = False,
    turbines: bool = True,
    run_end_s: int | None = None,
    gap: float = 1e-9,
) -> float:
    """Optimal objective of a decision.

    `run_end_s` says that nothing beyond it counts; `exclusive` adds a binary per unit, tie and step.
    """
    model = written_down(
        site,
        snapshot,
        forecast,
        departing=departing,
        exclusive=exclusive,
        turbines=turbines,
        run_end_s=run_end_s,
    )
    return model.solve(gap)[0]


def expected_optimum(
    site: Site, snapshot: Snapshot, paths: list[Forecast], probability: list[float], *, turbines: bool = True
) -> float:
    """Optimal expected objective over paths: whole copies of the model, their first powers set equal row by row."""
    whole, firsts = Model(), []
    for path, weight in zip(paths, probability, strict=True):
        one, offset = written_down(site, snapshot, path, turbines=turbines), len(whole.cost)
        whole.cost += [weight * cost for cost in one.cost]
        whole.lower, whole.upper = whole.lower + one.lower, whole.upper + one.upper
        whole.integer += one.integer
        for terms, low, high in zip(one.rows, one.row_lower, one.row_upper, strict=True):
            whole.row([(value, column + offset) for value, column in terms], low, high)
        firsts.append([column + offset for column in one.first_stage])
    for other in firsts[1:]:
        for one_column, other_column in zip(firsts[0], other, strict=True):
            whole.row([(1.0, one_column), (-1.0, other_column)], 0, 0)
    return whole.solve()[0]


def written_down(
    site: Site,
    snapshot: Snapshot,
    forecast: Forecast,
    *,
    departing: str | float = "median_price",
    exclusive: bool = False,
    turbines: bool = True,
    run_end_s: int | None = None,
) -> Model:
    """All variables and rows of a decision."""
    model, h, n_steps = Model(), site.step_s / 3600, forecast.n_steps
    balance: dict[tuple[int, int], list[tuple[float, int]]] = defaultdict(list)
    for car in range(snapshot.cars.n):
        _car(model, balance, site, snapshot, forecast, car, departing, exclusive, run_end_s)
    for unit in range(len(site.battery_region_index)):
        _battery(model, balance, site, snapshot, n_steps, unit, exclusive)
    if forecast.stores is not None:
        for region in range(site.n_regions):
            _store(model, balance, site, forecast, region, departing, exclusive)
    slope = _fuel_slope(site)
    for region in range(site.n_regions):
        last = None
        for k in range(n_steps):
            here = balance[region, k]
            here.append(
                (
                    1.0,
                    model.variable(
                        h * forecast.buy_price_per_kwh[k, region], 0, site.import_limit_kw[region]
                    ),
                )
            )
            here.append(
                (
                    -1.0,
                    model.variable(
                        -h * forecast.sell_price_per_kwh[k, region], 0, site.export_limit_kw[region]
                    ),
                )
            )
            supply = forecast.pv_kw[k, region] + forecast.wind_kw[k, region]
            here.append((-1.0, model.variable(h * forecast.curtailment_price_per_kwh[k, region], 0, supply)))
            here.append(
                (1.0, model.variable(h * site.unserved_price_per_kwh, 0, max(forecast.load_kw[k, region], 0)))
            )
            here.append((-1.0, model.variable(h * site.unserved_price_per_kwh, 0, np.inf)))
            ramp = site.turbine_ramp_kw_per_step[region]
            down = max(snapshot.turbine_kw[region] - (k + 1) * ramp, 0.0)
            most = site.turbine_limit_kw[region] if turbines else down
            power = model.variable(h * site.turbine_operation_per_kwh, 0 if turbines else down, most)
            if k == 0:
                model.first_stage.append(power)
            fuel = model.variable(h, 0, np.inf)
            model.row([(1.0, fuel), (-slope, power)], 0, np.inf)
            here.append((1.0, power))
            start = snapshot.turbine_kw[region] if last is None else 0.0
            model.row([(1.0, power)] + ([] if last is None else [(-1.0, last)]), start - ramp, start + ramp)
            last = power
    flows = _ties(model, balance, site, n_steps, exclusive)
    if site.network is not None:
        for k in range(n_steps):
            _feeder(model, site, forecast.load_kw[k], flows[k], _inverters(model, site, k))
    for (region, k), terms in balance.items():
        net = forecast.load_kw[k, region] - forecast.pv_kw[k, region] - forecast.wind_kw[k, region]
        model.row(terms, net, net)
    return model


def _ties(model, balance, site: Site, n_steps: int, exclusive: bool) -> list[list[tuple[int, int]]]:
    """Flows forth and back of each tie, by step."""
    flows = [[] for _ in range(n_steps)]
    for tie, (begin, end) in enumerate(zip(site.tie_from_index, site.tie_to_index, strict=True)):
        most = site.tie_limit_kw[tie]
        for k in range(n_steps):
            pair = model.variable(0, 0, most), model.variable(0, 0, most)
            flows[k].append(pair)
            for flow, one, other in ((pair[0], begin, end), (pair[1], end, begin)):
                balance[one, k].append((-1.0, flow))
                balance[other, k].append((1.0 - site.tie_loss_fraction[tie], flow))
            if exclusive:
                forth = model.variable(0, 0, 1, integer=True)
                model.row([(1.0, pair[0]), (-most, forth)], -np.inf, 0)
                model.row([(1.0, pair[1]), (most, forth)], -np.inf, most)
    return flows


def _inverters(model: Model, site: Site, k: int) -> dict[int, list[int]]:
    """Reactive power of inverters in a step by region, at a trifle.

    Of rated batteries within a polygon with 16 corners, of chargers between bounds.
    """
    by_region = defaultdict(list)
    for unit, rating in enumerate([] if site.battery_apparent_kva is None else site.battery_apparent_kva):
        if rating > 0:
            kvar = _sized(model, site, np.inf)
            charge, discharge = model.battery[unit, k]
            _in_polygon(model, rating, [(1.0, charge), (-1.0, discharge)], [(1.0, kvar)], 0.0)
            by_region[int(site.battery_region_index[unit])].append(kvar)
    for region, per_kw in enumerate([] if site.charger_kvar_per_kw is None else site.charger_kvar_per_kw):
        most = per_kw * model.plugged_kw[region, k]
        if most > 0:
            by_region[region].append(_sized(model, site, most))
    return by_region


def _sized(model: Model, site: Site, most: float) -> int:
    """A reactive power up to a size either way, which costs a trifle."""
    price = site.step_s / 3600 * site.unserved_price_per_kwh * 1e-6
    kvar, size = model.variable(0, -most, most), model.variable(price, 0, np.inf)
    model.row([(1.0, size), (-1.0, kvar)], 0, np.inf)
    model.row([(1.0, size), (1.0, kvar)], 0, np.inf)
    return kvar


def _in_polygon(model: Model, radius: float, active: list, reactive: list, known: float) -> None:
    """A point, part of its reactive power known, is a mean of 16 corners on the circle, one of them (radius, 0)."""
    angles = [2 * math.pi * i / 16 for i in range(16)]
    weights = [model.variable(0, 0, 1) for _ in angles]
    model.row([(1.0, weight) for weight in weights], 1, 1)
    for terms, right, part in ((active, 0.0, math.cos), (reactive, -known, math.sin)):
        corners = [(-radius * part(angle), weight) for angle, weight in zip(angles, weights, strict=True)]
        model.row([*terms, *corners], right, right)


def _feeder(
    model: Model,
    site: Site,
    load_kw: np.ndarray,
    flows: list[tuple[int, int]],
    inverters: dict[int, list[int]],
) -> None:
    """Voltage of every bus from the source along its path, nothing lost yet; squared, thousandths of per unit."""
    network = site.network
    feeder = network.feeder
    branch_into = {int(child): m for m, child in enumerate(feeder.child_index)}
    paths = {feeder.source_index: []}
    for bus in range(feeder.n_buses):
        at, path = bus, []
        while at != feeder.source_index:
            path.append(branch_into[at])
            at = int(feeder.parent_index[branch_into[at]])
        paths[bus] = path
    kvar = [
        sum(load_kw[bus] * network.load_kvar_per_kw[bus] for bus in paths if m in paths[bus])
        for m in range(len(flows))
    ]
    below = [
        [q for bus in paths if m in paths[bus] for q in inverters.get(bus, [])] for m in range(len(flows))
    ]
    for m, (forth, back) in enumerate(flows):
        held = (1.0 - 2e-4) * feeder.rating_kva[m]  # of GUARD
        rating = held * (1.0 if feeder.is_transformer[m] else network.source_pu)
        if not below[m]:
            model.upper[forth] = model.upper[back] = math.sqrt(max(rating**2 - kvar[m] ** 2, 0.0))
        elif math.isfinite(rating):
            _in_polygon(model, rating, [(1.0, forth), (-1.0, back)], [(1.0, q) for q in below[m]], kvar[m])
    price = site.step_s / 3600 * site.unserved_price_per_kwh * 10.0  # of BEYOND_BAND_KW
    low, high = (1000 * pu**2 for pu in (network.voltage_min_pu, network.voltage_max_pu))
    for path in paths.values():
        if not path:
            continue
        known = 1000 * network.source_pu**2 - sum(2.0 * feeder.x_pu[m] * kvar[m] for m in path)
        terms = [(1.0, model.variable(price, 0, np.inf)), (-1.0, model.variable(price, 0, np.inf))]
        for m in path:
            terms += [(-2.0 * feeder.r_pu[m], flows[m][0]), (2.0 * feeder.r_pu[m], flows[m][1])]
            terms += [(-2.0 * feeder.x_pu[m], q) for q in below[m]]
        model.row(terms, low - known, high - known)


def _fuel_slope(site: Site) -> float:
    power = np.repeat(np.linspace(0.01, 65, 5000)[:, None], site.n_regions, axis=1)
    return float(np.min(site.turbine_fuel_cost_per_h(power) / power))


def _unit(
    model: Model, terms: list, wear: float, most: tuple[float, float], exclusive: bool, operation: float = 0.0
):
    """Charge and discharge variables of a unit in a step, entered in a balance."""
    charge, discharge = model.variable(operation, 0, most[0]), model.variable(operation + wear, 0, most[1])
    terms += [(-1.0, charge), (1.0, discharge)]
    if exclusive and min(most) > 0:
        way = model.variable(0, 0, 1, integer=True)
        model.row([(1.0, charge), (-most[0], way)], -np.inf, 0)
        model.row([(1.0, discharge), (most[1], way)], -np.inf, most[1])
    return charge, discharge


def _timeline(site: Site, snapshot: Snapshot, forecast: Forecast, car: int):
    """Plugged stays (begin, end, region, requirement at its end) and trips (instant, energy, requirement) of a car."""
    cars, now = snapshot.cars, snapshot.now_s
    never = now + 10**9
    if forecast.trips is None:
        if not cars.is_plugged[car]:
            return [], [], None
        end = int(cars.departure_s[car])
        return [(now, end if end > now else now + site.step_s, int(cars.region_index[car]))], [], end
    trips = forecast.trips
    mine = [j for j in range(len(trips.depart_s)) if trips.vehicle_index[j] == car]
    moves = [(int(trips.depart_s[j]), int(trips.arrive_s[j]), j) for j in mine]
    stays, begin, region, plugged = [], now, int(cars.region_index[car]), bool(cars.is_plugged[car])
    for depart, arrive, j in moves:
        if plugged and depart > now:
            stays.append((begin, depart, region))
        begin, region, plugged = arrive, int(trips.region_index[j]), bool(trips.is_plugged[j])
    if plugged:
        end = never if moves else int(cars.departure_s[car])
        stays.append((begin, end, region))
    taken = [
        (max(d, now), float(trips.energy_kwh[j]), 0.0 if d <= now else float(trips.required_kwh[j]))
        for d, _, j in moves
    ]
    return stays, taken, None


def _car(model, balance, site, snapshot, forecast, car, departing, exclusive, run_end_s) -> None:  # noqa: PLR0912
    cars, now, h, n_steps = snapshot.cars, snapshot.now_s, site.step_s / 3600, forecast.n_steps
    stays, trips, declared_end = _timeline(site, snapshot, forecast, car)
    perfect = forecast.trips is not None
    if not perfect and not stays:
        return
    fraction, region = np.zeros(n_steps), np.zeros(n_steps, int)
    for begin, end, place in stays:
        for k in range(n_steps):
            opens = now + k * site.step_s
            if opens >= begin and opens < end:
                fraction[k], region[k] = min(1.0, (end - opens) / site.step_s), place
    followed = n_steps if perfect else min(n_steps, math.ceil((stays[0][1] - now) / site.step_s))
    least, most = cars.energy_min_kwh[car], cars.energy_max_kwh[car]
    floor, leaving = np.full(n_steps, least), np.zeros(n_steps)
    horizon_end = now + n_steps * site.step_s
    for depart, energy, required in trips:
        if depart > horizon_end:
            continue
        k = max(math.ceil((depart - now) / site.step_s) - 1, 0)
        floor[k] = max(floor[k] - energy, required - energy, least)
        leaving[k] += energy
    if not perfect and followed * site.step_s + now >= stays[0][1]:
        floor[followed - 1] = max(floor[followed - 1], cars.required_kwh[car])
    rate = cars.charge_efficiency[car] * cars.charge_limit_kw[car] * h
    stays_on = cars.is_plugged[car] and not trips if perfect else stays[0][1] > horizon_end
    if stays_on and (run_end_s is None or run_end_s > horizon_end) and cars.departure_s[car] > horizon_end:
        tail = _enough(cars, car, rate, (cars.departure_s[car] - horizon_end) / site.step_s)
        floor[n_steps - 1] = max(floor[n_steps - 1], tail)
    start = cars.energy_kwh[car]
    if perfect and forecast.trips.car_energy_kwh is not None:
        start = forecast.trips.car_energy_kwh[car]
    highest = start
    for k in range(n_steps):
        gain = rate * fraction[k] * _share(cars, car, highest)
        highest = max(min(highest + gain, most), highest) - leaving[k]
        if leaving[k] > 0 and highest < least:
            leaving[k] -= least - highest
            highest = least
        floor[k] = min(floor[k], highest)
    lacks = bool(np.isfinite(site.import_limit_kw).any())
    last = None
    for k in range(followed):
        value = 0.0
        if k == followed - 1:
            value = site.energy_value_per_kwh
            if not perfect and stays[0][1] <= horizon_end:
                value = _departing(
                    forecast, int(cars.region_index[car]), departing, cars.discharge_efficiency[car], site
                )
        hard = min(floor[k], least) if lacks else floor[k]
        energy = model.variable(-value, hard, max(most - max(leaving[k], 0.0), floor[k]))
        gives = fraction[k] * site.can_discharge_cars[region[k]]
        limits = (cars.charge_limit_kw[car] * fraction[k], cars.discharge_limit_kw[car] * gives)
        terms = [(1.0, energy)] + ([] if last is None else [(-1.0, last)])
        if fraction[k] > 0:
            counted = 1.0 if k == 0 else fraction[k]
            model.plugged_kw[int(region[k]), k] += counted * cars.charge_limit_kw[car]
            wear = h * site.throughput_price_per_kwh
            charge, discharge = _unit(model, balance[int(region[k]), k], wear, limits, exclusive)
            model.first_stage += [charge, discharge] if k == 0 else []
            _tapered(model, cars, car, charge, fraction[k], last, start)
            terms += [
                (-h * cars.charge_efficiency[car], charge),
                (h / cars.discharge_efficiency[car], discharge),
            ]
        if lacks:
            missed = model.variable(site.shortfall_price_per_kwh, 0, np.inf)
            model.row([(1.0, energy), (1.0, missed)], floor[k], np.inf)
        if lacks and leaving[k] > 0:
            price = (
                site.shortfall_price_per_kwh + site.unserved_price_per_kwh / cars.discharge_efficiency.min()
            )
            terms.append((-1.0, model.variable(price, 0, np.inf)))
        right = (start if last is None else 0.0) - leaving[k]
        model.row(terms, right, right)
        last = energy


def _share(cars, car, energy) -> float:
    """Share of the charging limit that is left at an energy."""
    if cars.taper is None:
        return 1.0
    begin, end, least = (a[car] for a in (cars.taper.from_kwh, cars.taper.to_kwh, cars.taper.to_share))
    return float(np.interp(energy, [begin, end], [1.0, least]))


def _enough(cars, car, rate, steps) -> float:
    """Energy from which full charging just reaches what is required, by bisection."""
    low, high = cars.required_kwh[car] - rate * steps, cars.required_kwh[car]
    while high - low > 1e-12 * max(abs(high), 1.0):
        energy = middle = (low + high) / 2
        for k in range(math.ceil(steps)):
            energy += rate * min(1.0, steps - k) * _share(cars, car, energy)
        low, high = (low, middle) if energy >= cars.required_kwh[car] else (middle, high)
    return high


def _tapered(model, cars, car, charge, fraction, last, start) -> None:
    """Limit a step's charging by the energy before it."""
    if cars.taper is None:
        return
    limit, begin = cars.charge_limit_kw[car] * fraction, cars.taper.from_kwh[car]
    if last is None:
        model.upper[charge] = limit * _share(cars, car, start)
        return
    slope = (1.0 - cars.taper.to_share[car]) / (cars.taper.to_kwh[car] - begin)
    model.row([(1.0, charge), (limit * slope, last)], -np.inf, limit * (1.0 + slope * begin))


def _departing(
    forecast: Forecast, region: int, departing: str | float, efficiency: float, site: Site
) -> float:
    if departing == "median_price":
        return efficiency * float(np.median(forecast.buy_price_per_kwh[:96, region]))
    return site.energy_value_per_kwh if departing == "lambda" else float(departing)


def _battery(model, balance, site, snapshot, n_steps, unit, exclusive) -> None:
    h, last = site.step_s / 3600, None
    operation = h * site.battery_operation_per_kwh
    for k in range(n_steps):
        value = site.energy_value_per_kwh if k == n_steps - 1 else 0.0
        kept = site.battery_kept_per_step[unit]
        least = min(site.battery_energy_min_kwh[unit], snapshot.battery_energy_kwh[unit] * kept ** (k + 1))
        energy = model.variable(-value, least, site.battery_energy_max_kwh[unit])
        limits = (site.battery_charge_limit_kw[unit], site.battery_discharge_limit_kw[unit])
        here = balance[int(site.battery_region_index[unit]), k]
        charge, discharge = _unit(
            model, here, h * site.throughput_price_per_kwh, limits, exclusive, operation
        )
        model.first_stage += [charge, discharge] if k == 0 else []
        model.battery[unit, k] = charge, discharge
        terms = [(1.0, energy), (-h * site.battery_charge_efficiency[unit], charge)]
        terms += [(h / site.battery_discharge_efficiency[unit], discharge)] + (
            [] if last is None else [(-kept, last)]
        )
        right = kept * snapshot.battery_energy_kwh[unit] if last is None else 0.0
        model.row(terms, right, right)
        last = energy


def _store(model, balance, site, forecast, region, departing, exclusive) -> None:
    stores, h, last, n_steps = forecast.stores, site.step_s / 3600, None, forecast.n_steps
    gives = stores.discharge_limit_kw[:, region] * site.can_discharge_cars[region]
    value = _departing(forecast, region, departing, stores.discharge_efficiency, site)
    for k in range(n_steps):
        at_end = site.energy_value_per_kwh if k == n_steps - 1 else 0.0
        energy = model.variable(-at_end, stores.energy_min_kwh[k, region], stores.energy_max_kwh[k, region])
        leaving = model.variable(-value, stores.leaving_min_kwh[k, region], stores.leaving_max_kwh[k, region])
        lacking = model.variable(site.shortfall_price_per_kwh + value, 0, stores.leaving_min_kwh[k, region])
        limits = (stores.charge_limit_kw[k, region], gives[k])
        charge, discharge = _unit(
            model, balance[region, k], h * site.throughput_price_per_kwh, limits, exclusive
        )
        terms = [(1.0, energy), (1.0, leaving), (-1.0, lacking), (-h * stores.charge_efficiency, charge)]
        terms += [(h / stores.discharge_efficiency, discharge)] + ([] if last is None else [(-1.0, last)])
        model.row(terms, stores.arriving_kwh[k, region], stores.arriving_kwh[k, region])
        last = energy
