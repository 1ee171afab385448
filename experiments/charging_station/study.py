"""The study of model 2 as an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from experiments.charging_station.plan import FULL, QUICK, Extent, parts, sheets
from experiments.charging_station.sections import sections
from experiments.experiment.conduct import Experiment, Ran
from experiments.experiment.page import Section

NAME: Final = "charging-station"
TITLE: Final = "A charging station with a building, sun and storage"
LEAD: Final = (
    "The station of Guo et al. 2024 on one simulator: its four cases beside exact optima and fronts, what a genetic "
    "algorithm leaves, how large storage should be, and what is left of it all on real days on which cars are unknown "
    "until they come."
)


def experiment(*, quick: bool = False) -> Experiment:
    """The study; quick: a few small cases, to see that all works, not to learn from."""
    return of_extent(QUICK if quick else FULL)


def of_extent(extent: Extent) -> Experiment:
    """The study at an extent."""

    def made(ran: Ran, pictures: Path) -> Iterator[Section]:
        return sections(ran, extent, pictures)

    lead = LEAD if extent is FULL else f"{LEAD} This is a quick run. Its numbers say nothing."
    return Experiment(
        name=NAME,
        title=TITLE,
        lead=lead,
        extent=extent.name,
        parts=lambda: parts(extent),
        sheets=lambda: sheets(extent),
        sections=made,
        headlines={"reach": "what cases 2 and 3 can reach", "real_days": "policies on real days"},
    )
