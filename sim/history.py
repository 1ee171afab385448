"""How many days of measured past a scenario's forecaster needs before day 0; pure."""

from __future__ import annotations

from typing import Final

from sim.scenario import Scenario

POLICIES_WITH_QUANTILES: Final = frozenset({"margin", "stochastic"})
POLICIES_WITH_PATHS: Final = frozenset({"stochastic"})
_KINDS_WITH_HISTORY: Final = frozenset({"seasonal-naive", "learned"})

_LEAST_DAYS: Final = {"perfect": 1, "persistence": 1, "seasonal-naive": 7, "learned": 14}
"""A day or a week to repeat; the learner looks back two weeks and trains from the second on."""
_ERROR_DAYS: Final = 7
"""Days of errors that quantiles need at least, beside what is repeated."""
LEAST_LEVELS: Final = 2  # of quantiles, to draw a line through


def wants_quantiles(scenario: Scenario) -> bool:
    """Whether forecasts carry quantiles: where the policy uses them, or ``forecast.spread`` says always."""
    forecast, policy = scenario.forecast, scenario.dispatch.policy
    is_used = forecast.spread == "always" or policy in POLICIES_WITH_QUANTILES
    return is_used and forecast.kind != "perfect" and len(forecast.quantile_levels) > 0


def wants_paths(scenario: Scenario) -> bool:
    """Whether forecasts carry joint paths: as quantiles, and ``forecast.n_paths`` is above 0."""
    is_used = scenario.forecast.spread == "always" or scenario.dispatch.policy in POLICIES_WITH_PATHS
    return is_used and wants_quantiles(scenario) and scenario.forecast.n_paths > 0


def needs_history(scenario: Scenario) -> bool:
    """Whether the forecaster looks back further than a day: its kind does, or errors have to be counted."""
    return scenario.forecast.kind in _KINDS_WITH_HISTORY or wants_quantiles(scenario)


def least_history_days(scenario: Scenario) -> int:
    """Fewest ``forecast.history_days`` that the forecaster can work with."""
    kind = scenario.forecast.kind
    counts_errors = wants_quantiles(scenario) and kind != "learned"
    return _LEAST_DAYS[kind] + (_ERROR_DAYS if counts_errors else 0)


def days_before(scenario: Scenario) -> int:
    """Days of the world before day 0: ``forecast.history_days`` where a history is needed, else 1.

    Sections may be left out while faults are collected: then 1.
    """
    is_whole = all(hasattr(scenario, name) for name in ("forecast", "dispatch"))
    return scenario.forecast.history_days if is_whole and needs_history(scenario) else 1
