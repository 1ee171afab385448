"""The capacity domain of cars: between which energies a planned itinerary keeps a car.

Zhang 2025, section 2.6. The lower bound runs backward from the departures, the upper bound forward as if
charging at full power at every plugged second; the domain is empty exactly where the lower exceeds the upper. The
power is the whole limit, as in the paper: near full, where charging may taper, the upper bound is one still, but not
the least.
"""

from __future__ import annotations

import numpy as np

from sim.arrays import BoolArray, FloatArray, IntArray

HOUR_S = 3600.0


def required_at_departure(
    *,
    first_trip: IntArray,
    depart_s: IntArray,
    arrive_s: IntArray,
    energy_kwh: FloatArray,
    wanted_kwh: FloatArray,
    plugs_in: BoolArray,
    charge_kw: FloatArray,
    energy_min_kwh: FloatArray,
    energy_max_kwh: FloatArray,
) -> FloatArray:
    """Return the stored energy that each departure needs: the domain's lower bound there.

    Solves L_dep = max(E_min, wanted, L_arr + e) and, over the stay after the trip,
    L_arr = max(E_min, L_dep,next - p (dep,next - arr)) backward over each car's trips, capped at E_max.

    Parameters
    ----------
    first_trip
        Shape (n + 1,): trips of car i are ``first_trip[i]:first_trip[i + 1]``.
    depart_s, arrive_s, energy_kwh, wanted_kwh, plugs_in
        Shape (n_trips,): the trip, its energy, the driver's own wish at its departure (0 for none), and
        whether the stop at its destination can charge.
    charge_kw
        Shape (n,): rate at which energy enters the battery at full power, eta_c P.
    energy_min_kwh, energy_max_kwh
        Shape (n,).

    Returns
    -------
    ndarray, shape (n_trips,)

    >>> one = dict(first_trip=np.array([0, 2]), depart_s=np.array([0, 7200]), arrive_s=np.array([3600, 9000]),
    ...            energy_kwh=np.array([3.0, 8.0]), wanted_kwh=np.zeros(2), charge_kw=np.array([4.0]),
    ...            energy_min_kwh=np.array([1.0]), energy_max_kwh=np.array([20.0]))
    >>> required_at_departure(plugs_in=np.array([True, False]), **one).tolist()
    [8.0, 9.0]
    >>> required_at_departure(plugs_in=np.array([False, False]), **one).tolist()
    [12.0, 9.0]
    """
    required = np.zeros(len(depart_s))
    count = np.diff(first_trip)
    car = np.argsort(-count, kind="stable")  # cars with many trips first, so that each sweep is a slice
    after = np.array(energy_min_kwh, dtype=np.float64)  # L_arr of the trip in hand
    for back in range(1, int(count.max(initial=0)) + 1):
        cars = car[: int((count >= back).sum())]
        trip = first_trip[cars + 1] - back
        if back > 1:
            gain = charge_kw[cars] * (depart_s[trip + 1] - arrive_s[trip]) / HOUR_S * plugs_in[trip]
            after[cars] = np.maximum(energy_min_kwh[cars], required[trip + 1] - gain)
        needed = np.maximum(wanted_kwh[trip], after[cars] + energy_kwh[trip])
        required[trip] = np.minimum(np.maximum(needed, energy_min_kwh[cars]), energy_max_kwh[cars])
    return required


def lower_bound(
    now_s: int,
    departure_s: IntArray,
    required_kwh: FloatArray,
    charge_kw: FloatArray,
    energy_min_kwh: FloatArray,
) -> FloatArray:
    """Least energy of a plugged car that full charging can still bring to its requirement; elementwise.

    >>> lower_bound(0, np.array([1800]), np.array([6.0]), np.array([4.0]), np.array([1.0])).tolist()
    [4.0]
    """
    remaining_s = np.maximum(departure_s - now_s, 0)
    return np.maximum(energy_min_kwh, required_kwh - charge_kw * remaining_s / HOUR_S)


def upper_bound(
    now_s: int,
    plugged_since_s: IntArray,
    then_kwh: FloatArray,
    charge_kw: FloatArray,
    energy_max_kwh: FloatArray,
) -> FloatArray:
    """Energy after full charging since a plug-in at which the bound was ``then_kwh``; elementwise.

    >>> upper_bound(1800, np.array([0]), np.array([3.0]), np.array([4.0]), np.array([4.5])).tolist()
    [4.5]
    """
    return np.minimum(energy_max_kwh, then_kwh + charge_kw * (now_s - plugged_since_s) / HOUR_S)


def highest_at_departure(
    *,
    first_trip: IntArray,
    depart_s: IntArray,
    arrive_s: IntArray,
    energy_kwh: FloatArray,
    plugs_in: BoolArray,
    plugged_at_start: BoolArray,
    start_s: int,
    start_kwh: FloatArray,
    charge_kw: FloatArray,
    energy_min_kwh: FloatArray,
    energy_max_kwh: FloatArray,
) -> FloatArray:
    """Return the upper bound U at each departure, from ``start_kwh`` at ``start_s`` on.

    U = min(E_max, U + p dt) while plugged, U = max(U - e, E_min) over a trip; arrays as in
    `required_at_departure`.

    >>> highest_at_departure(
    ...     first_trip=np.array([0, 1]), depart_s=np.array([1800]), arrive_s=np.array([3600]),
    ...     energy_kwh=np.array([2.0]), plugs_in=np.array([True]), plugged_at_start=np.array([True]),
    ...     start_s=0, start_kwh=np.array([5.0]), charge_kw=np.array([4.0]),
    ...     energy_min_kwh=np.array([1.0]), energy_max_kwh=np.array([20.0])).tolist()
    [7.0]
    """
    highest = np.zeros(len(depart_s))
    count = np.diff(first_trip)
    car = np.argsort(-count, kind="stable")
    bound = np.array(start_kwh, dtype=np.float64)
    since = np.full(len(count), start_s, dtype=np.int64)
    can_charge = np.array(plugged_at_start, dtype=np.bool_)
    for forward in range(int(count.max(initial=0))):
        cars = car[: int((count > forward).sum())]
        trip = first_trip[cars] + forward
        gain = charge_kw[cars] * (depart_s[trip] - since[cars]) / HOUR_S * can_charge[cars]
        highest[trip] = np.minimum(energy_max_kwh[cars], bound[cars] + gain)
        bound[cars] = np.maximum(highest[trip] - energy_kwh[trip], energy_min_kwh[cars])
        since[cars], can_charge[cars] = arrive_s[trip], plugs_in[trip]
    return highest
