"""The study of model 3 as an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from experiments.experiment.conduct import Experiment, Ran
from experiments.experiment.page import Section
from experiments.storage_network.plan import FULL, QUICK, Extent, parts, sheets
from experiments.storage_network.sections import sections

NAME: Final = "storage-network"
TITLE: Final = "Distributed storage in a charging network on a feeder"
LEAD: Final = (
    "cars, homes, offices and shops on a feeder of 33 buses at real day-ahead prices: what coordination does to "
    "voltages and lines, what it costs to keep their limits, how many cars the feeder takes, where storage should "
    "stand and how large, and what is left of it when forecasts are wrong. Every state is judged by AC power flow."
)


def experiment(*, quick: bool = False) -> Experiment:
    """The study; quick: a few small cases, to see that all works, not to learn from."""
    return of_extent(QUICK if quick else FULL)


def of_extent(extent: Extent) -> Experiment:
    """The study at an extent."""

    def made(ran: Ran, pictures: Path) -> Iterator[Section]:
        return sections(ran, extent, pictures)

    lead = f"{extent.n_cars} {LEAD}"
    if extent is not FULL:
        lead += " This is a quick run. Its numbers say nothing."
    return Experiment(
        name=NAME,
        title=TITLE,
        lead=lead,
        extent=extent.name,
        parts=lambda: parts(extent),
        sheets=lambda: sheets(extent),
        sections=made,
        headlines={
            "policies": "policies and forecasts over the days",
            "hosting": "cars that the feeder takes",
        },
    )
