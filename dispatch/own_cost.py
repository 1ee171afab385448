"""Cheapest charging of cars that each know their own chain: an exact greedy instead of one linear program per car.

Per car, with x[k] the energy stored in step k, 0 <= x[k] <= u[k], and bounds on every prefix sum, lower[k] <= x[0] +
... + x[k] <= upper[k], the feasible set is a generalized polymatroid: taking the steps from the cheapest to the
dearest, each as far as the others can still keep all bounds, is optimal (Frank & Tardos 1988). Steps that pay come
first; then the total is fixed at the least that the bounds still need, and the others fill it, so that ties take
fewest kWh, then the earliest step.
"""

from __future__ import annotations

import numpy as np

from sim.arrays import BoolArray, FloatArray, IntArray

ROUNDING_KWH = 1e-9


def cheapest_charging(
    price: FloatArray, value: float, capacity: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray:
    """Energy stored in each step, minimising sum (price - value) x, then sum x, then sum k x.

    Parameters
    ----------
    price : ndarray, shape (K, n)
        Cost of storing a kWh in each step, per car.
    value
        Of a kWh stored at the end.
    capacity : ndarray, shape (K, n)
        Most that can be stored in each step [kWh].
    lower, upper : ndarray, shape (K, n)
        Bounds of what is stored up to each step's end [kWh]; some x keeps them.

    >>> price = np.array([[3.0], [1.0], [2.0]])
    >>> ones = np.ones((3, 1))
    >>> cheapest_charging(price, 0.0, ones, np.array([[0.0], [1.0], [1.5]]), 3 * ones).ravel().tolist()
    [0.0, 1.0, 0.5]
    """
    order = np.argsort(price, axis=0, kind="stable")
    greedy = _Greedy(capacity, lower, upper)
    pays = price < value - 1e-12
    greedy.fill(order, pays)
    if greedy.hold_total().any():
        greedy.fill(order, ~pays)
    return greedy.stored


class _Greedy:
    """Bounds and capacities that remain while steps are being decided, for all cars at once."""

    def __init__(self, capacity: FloatArray, lower: FloatArray, upper: FloatArray) -> None:
        self.stored = np.zeros_like(capacity)
        self._capacity = capacity
        self._open = np.cumsum(capacity, axis=0)  # capacity of the undecided steps up to each step's end
        self._lower, self._upper = lower.copy(), upper.copy()
        self._step = np.arange(len(capacity))[:, None]

    def fill(self, order: IntArray, chosen: BoolArray) -> None:
        """Decide the chosen steps in order, each as large as the bounds of all steps allow."""
        cars = np.arange(order.shape[1])
        for step in order:
            takes = chosen[step, cars] & (self._capacity[step, cars] > 0)
            who = np.flatnonzero(takes)
            if len(who) == 0:
                continue
            if len(who) == len(cars) and np.all(step == step[0]):
                self._decide_together(int(step[0]))
            else:
                self._decide(step[who], who)

    def _decide(self, step: IntArray, who: IntArray) -> None:
        lower, upper, left = self._lower[:, who], self._upper[:, who], self._open[:, who]
        capacity = self._capacity[step, who]
        after = self._step >= step
        upto = left[step, np.arange(len(who))]
        most = np.minimum(np.where(after, upper, np.inf).min(axis=0), upto)
        most = np.minimum(most, np.where(after, np.inf, upper - left).min(axis=0) + upto)
        least = np.maximum(np.where(after, -np.inf, lower).max(axis=0), 0.0)
        least = np.maximum(least, np.where(after, lower - left, -np.inf).max(axis=0) + upto - capacity)
        amount = np.clip(most - least, 0.0, capacity)
        self.stored[step, who] = amount
        self._lower[:, who] -= after * amount
        self._upper[:, who] -= after * amount
        self._open[:, who] -= after * capacity

    def _decide_together(self, step: int) -> None:
        """The same for all cars at one step, on slices."""
        lower, upper, left, capacity = self._lower, self._upper, self._open, self._capacity[step]
        upto = left[step]
        most = np.minimum(upper[step:].min(axis=0), upto)
        least = np.maximum((lower[step:] - left[step:]).max(axis=0) + upto - capacity, 0.0)
        if step:
            most = np.minimum(most, (upper[:step] - left[:step]).min(axis=0) + upto)
            least = np.maximum(least, lower[:step].max(axis=0))
        amount = np.clip(most - least, 0.0, capacity)
        self.stored[step] = amount
        lower[step:] -= amount
        upper[step:] -= amount
        left[step:] -= capacity

    def hold_total(self) -> BoolArray:
        """Let the undecided steps store no more than the bounds still need; tells which cars need any."""
        least = np.maximum(self._lower.max(axis=0), 0.0)
        self._upper = np.minimum(self._upper, least)
        needs: BoolArray = least > ROUNDING_KWH
        return needs
