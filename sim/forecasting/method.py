"""What every forecaster of series offers; cars, known parts and paths are added by others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sim.arrays import FloatArray, freeze
from sim.scenario import Scenario, SeriesTariff
from sim.settlement import StepTruth


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Likeness:
    """How errors hang together, per quantity (4,): from step to step, and between regions."""

    persistence: FloatArray
    correlation: FloatArray

    def __post_init__(self) -> None:
        freeze(self)


class Method(Protocol):
    """Means and, where wanted, marginal quantiles of load, PV, wind and prices."""

    kind: str

    def expect(self, now_s: int, n_steps: int) -> StepTruth:
        """Expected means of the steps from now on, arrays (K, R)."""
        ...

    def quantiles(self, now_s: int, n_steps: int) -> FloatArray:
        """Quantiles (L, 4, K, R) at the scenario's levels, rising along L."""
        ...

    def likeness(self, now_s: int) -> Likeness:
        """How past errors hang together."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRule:
    """Selling and curtailment price that belong to a buying price of a series tariff."""

    buy_adder_per_kwh: float
    sell_fraction: float
    curtailment_per_kwh: float

    @classmethod
    def of(cls, scenario: Scenario) -> PriceRule | None:
        """Rule of a price series; a published table has none, and needs none."""
        tariff = scenario.tariff
        if not isinstance(tariff, SeriesTariff):
            return None
        return cls(
            buy_adder_per_kwh=tariff.buy_adder_per_kwh,
            sell_fraction=tariff.sell_fraction,
            curtailment_per_kwh=tariff.curtailment_per_kwh,
        )

    def sell_per_kwh(self, buy_per_kwh: FloatArray) -> FloatArray:
        """Selling price, sell = (buy - adder) x fraction.

        >>> import numpy as np
        >>> rule = PriceRule(buy_adder_per_kwh=0.25, sell_fraction=0.5, curtailment_per_kwh=0.0)
        >>> rule.sell_per_kwh(np.array([0.75]))
        array([0.25])
        """
        return (buy_per_kwh - self.buy_adder_per_kwh) * self.sell_fraction
