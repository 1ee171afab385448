"""The study of model 1 as an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from experiments.experiment.conduct import Experiment, Ran
from experiments.experiment.page import Section
from experiments.experiment.sheets import Sheet
from experiments.forecast_evaluation import FORECASTERS, day_scores, evaluation_scenario, origin_days, summary
from experiments.multi_microgrid.plan import FULL, QUICK, Extent, parts
from experiments.multi_microgrid.sections import sections

NAME: Final = "multi-microgrid"
TITLE: Final = "What mobile storage is worth"
LEAD: Final = (
    "Cars as mobile storage across three microgrids: the three scenarios of Zhang et al. 2025 on one simulator, what "
    "their result depends on, and how much of it survives forecasts and drivers as they are."
)


def experiment(*, quick: bool = False) -> Experiment:
    """The study; quick: a few small fleets and days, to see that all works, not to learn from."""
    return of_extent(QUICK if quick else FULL)


def of_extent(extent: Extent) -> Experiment:
    """The study at an extent."""

    def made(ran: Ran, pictures: Path) -> Iterator[Section]:
        return sections(ran.parts, summary(ran.sheets["forecast-scores"]), ran.findings, extent, pictures)

    return Experiment(
        name=NAME,
        title=TITLE,
        lead=_lead(extent),
        extent=extent.name,
        parts=lambda: parts(extent),
        sheets=lambda: [_scores(extent)],
        sections=made,
        headlines={"table5": "Table 5 beside ours", "bridge": "from their numbers to ours"},
    )


def _scores(extent: Extent) -> Sheet:
    """Scores of the forecasters, day by day."""
    scenario = evaluation_scenario()
    return Sheet(
        name="forecast-scores",
        call=partial(day_scores, scenario, FORECASTERS),
        inputs=origin_days(scenario, extent.n_days),
    )


def _lead(extent: Extent) -> str:
    if extent is FULL:
        return LEAD
    return f"{LEAD} This is a quick run: {extent.n_fleets} fleets of {extent.n_cars} cars. Its numbers say nothing."
