"""Single days of the study's scenario, and their simulation in memory."""

from __future__ import annotations

from typing import Final

from threadpoolctl import threadpool_limits

from experiments.job import Job, Simulated
from experiments.running import resolve
from sim.scenario import Scenario

SCENARIO: Final = "storage-network"


def single_day(n_cars: int, *overrides: str) -> Scenario:
    """The shipped scenario, its horizon ending with the run: what is stored then has its one value for all.

    Prices of a day are known on it: they were published at noon of the day before.
    """
    return resolve(
        SCENARIO,
        overrides=[
            f"fleet.size={n_cars}",
            'dispatch.window="shrinking"',
            'forecast.known=["price"]',
            "output.report=false",
            "output.forecasts_max_days=0",
            *overrides,
        ],
    )


def simulated(scenario: Scenario) -> Simulated:
    """Tables and key figures of a run that leaves no folder."""
    with threadpool_limits(limits=1):
        return Job.prepare(scenario, None, None).simulate()
