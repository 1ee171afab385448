"""The perfect forecaster: the named exception that knows the truth."""

from __future__ import annotations

from sim.clock import STEP_S, step_index
from sim.contracts import Fleet, Forecast
from sim.forecasting.cars import true_unmanaged_kw
from sim.forecasting.past import Measurements, steps_of_yesterday
from sim.world import World


class PerfectForecaster:
    """Knows the truth: the yardstick, not a method."""

    kind: str = "perfect"

    def __init__(self, world: World, fleet: Fleet, measurements: Measurements) -> None:
        self._world = world
        self._fleet = fleet
        self._measurements = measurements

    def issue(self, now_s: int, n_steps: int) -> Forecast:
        """Hand out what will happen in the ``n_steps`` from ``now_s`` on, and the cars' true trips."""
        truth = self._world.window(step_index(now_s), n_steps)
        n_regions = truth.load_kw.shape[1]
        return Forecast(
            now_s=now_s,
            kind=self.kind,
            load_kw=truth.load_kw,
            pv_kw=truth.pv_kw,
            wind_kw=truth.wind_kw,
            buy_price_per_kwh=truth.buy_price_per_kwh,
            sell_price_per_kwh=truth.sell_price_per_kwh,
            curtailment_price_per_kwh=truth.curtailment_price_per_kwh,
            measured_car_load_kw=self._measurements.net_car_load_kw(steps_of_yesterday(now_s, n_steps)),
            trips=self._fleet.trips(now_s, now_s + n_steps * STEP_S),
            unmanaged_car_load_kw=true_unmanaged_kw(self._fleet, now_s, n_steps, n_regions),
        )
