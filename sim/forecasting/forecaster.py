"""A forecaster put together: a method for series, cars still to come, quantiles, paths and known parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np

from sim.arrays import FloatArray
from sim.clock import STEP_S, step_index
from sim.contracts import Fleet, Forecast, Paths, Quantiles
from sim.forecasting.cars import CarsAhead, true_unmanaged_kw
from sim.forecasting.departing import DepartingPrices
from sim.forecasting.method import Method, PriceRule
from sim.forecasting.past import Past, steps_of_yesterday
from sim.forecasting.paths import copula_normals, through_quantiles
from sim.forecasting.quantities import LOAD, PRICE, PV, WIND
from sim.settlement import StepTruth
from sim.world import World

Spread = TypeVar("Spread", Quantiles, Paths)
_FIELDS: Final = {
    "load": ("load_kw",),
    "weather": ("pv_kw", "wind_kw"),
    "price": ("buy_price_per_kwh", "sell_price_per_kwh", "curtailment_price_per_kwh"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a forecast carries beside its means."""

    levels: tuple[float, ...]  # of quantiles; empty: none
    n_paths: int
    seed: int
    replication: int


class MeasuredForecaster:
    """Knows the past only.

    Parameters
    ----------
    past
        Measurements.
    method
        Of load, PV, wind and prices.
    cars
        Of cars still to come.
    wanted
        Quantiles and paths.
    price_rule
        How selling follows buying where prices are a series.
    departing
        Of energy that drives away, where the scenario asks for it.
    """

    def __init__(
        self,
        past: Past,
        method: Method,
        cars: CarsAhead,
        wanted: Wanted,
        price_rule: PriceRule | None,
        departing: DepartingPrices | None,
    ) -> None:
        self.kind = method.kind
        self._past, self._method, self._cars = past, method, cars
        self._wanted, self._price_rule, self._departing = wanted, price_rule, departing

    def issue(self, now_s: int, n_steps: int) -> Forecast:
        """Forecast for the ``n_steps`` from ``now_s`` on."""
        expected = self._method.expect(now_s, n_steps)
        quantiles = self._method.quantiles(now_s, n_steps) if self._wanted.levels else None
        buy = expected.buy_price_per_kwh
        return Forecast(
            now_s=now_s,
            kind=self.kind,
            load_kw=expected.load_kw,
            pv_kw=expected.pv_kw,
            wind_kw=expected.wind_kw,
            buy_price_per_kwh=buy,
            sell_price_per_kwh=expected.sell_price_per_kwh,
            curtailment_price_per_kwh=expected.curtailment_price_per_kwh,
            measured_car_load_kw=self._past.net_car_load_kw(steps_of_yesterday(now_s, n_steps)),
            stores=self._cars.stores(now_s, n_steps, self._past.n_regions),
            quantiles=None if quantiles is None else self._quantiles(quantiles),
            paths=None
            if quantiles is None or self._wanted.n_paths == 0
            else self._paths(now_s, quantiles, expected),
            unmanaged_car_load_kw=self._past.unmanaged_kw(steps_of_yesterday(now_s, n_steps)),
            departing_price_per_kwh=None if self._departing is None else self._departing.price(now_s, buy),
        )

    def _quantiles(self, values: FloatArray) -> Quantiles:
        return Quantiles(
            level=np.array(self._wanted.levels),
            load_kw=values[:, LOAD],
            pv_kw=values[:, PV],
            wind_kw=values[:, WIND],
            buy_price_per_kwh=values[:, PRICE],
        )

    def _paths(self, now_s: int, quantiles: FloatArray, expected: StepTruth) -> Paths:
        wanted, (n_steps, n_regions) = self._wanted, expected.load_kw.shape
        normals = copula_normals(
            self._method.likeness(now_s),
            seed=wanted.seed,
            replication=wanted.replication,
            step=step_index(now_s),
            n_paths=wanted.n_paths,
            n_steps=n_steps,
            n_regions=n_regions,
        )
        drawn = through_quantiles(normals, quantiles, np.array(wanted.levels))
        buy, rule = drawn[PRICE], self._price_rule
        sell = (
            np.broadcast_to(expected.sell_price_per_kwh, buy.shape)
            if rule is None
            else rule.sell_per_kwh(buy)
        )
        return Paths(
            probability=np.full(wanted.n_paths, 1.0 / wanted.n_paths),
            load_kw=drawn[LOAD],
            pv_kw=drawn[PV],
            wind_kw=drawn[WIND],
            buy_price_per_kwh=buy,
            sell_price_per_kwh=sell,
        )


class PartlyKnown:
    """Another forecaster, with some parts handed over as they will be: splits regret, is not a method.

    Parameters
    ----------
    forecaster
        Of the parts that are not known.
    world, fleet
        The truth.
    known
        Of ``load``, ``weather``, ``price`` and ``cars``.
    """

    def __init__(
        self, forecaster: MeasuredForecaster, world: World, fleet: Fleet, known: frozenset[str]
    ) -> None:
        self.kind = forecaster.kind
        self._forecaster, self._world, self._fleet, self._known = forecaster, world, fleet, known

    def issue(self, now_s: int, n_steps: int) -> Forecast:
        """Issue the other's forecast with the known parts true, in quantiles and paths too."""
        forecast = self._forecaster.issue(now_s, n_steps)
        truth = self._world.window(step_index(now_s), n_steps)
        names = [
            name for part in ("load", "weather", "price") if part in self._known for name in _FIELDS[part]
        ]
        true = {name: getattr(truth, name) for name in names}
        forecast = replace(
            forecast,
            quantiles=_certain(forecast.quantiles, true),
            paths=_certain(forecast.paths, true),
            **true,
        )
        if "cars" not in self._known:
            return forecast
        return replace(
            forecast,
            stores=None,
            trips=self._fleet.trips(now_s, now_s + n_steps * STEP_S),
            unmanaged_car_load_kw=true_unmanaged_kw(self._fleet, now_s, n_steps, truth.load_kw.shape[1]),
        )


def _certain(spread: Spread | None, true: dict[str, FloatArray]) -> Spread | None:
    """Quantiles or paths whose known quantities are all equal to the truth."""
    if spread is None:
        return None
    n = len(spread.load_kw)
    taken = {name: values for name, values in true.items() if hasattr(spread, name)}
    return replace(spread, **{name: np.repeat(values[None], n, axis=0) for name, values in taken.items()})
