"""What the study varies: each assumption with its levels, their labels and the scenario keys that they set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from experiments.monte_carlo.contracts import Cell, Level
from experiments.monte_carlo.design.factors import Factors

PRINTED_TURBINE: Final = {
    "efficiency_cubic": 0.075,
    "efficiency_square": 0.4,
    "efficiency_linear": 0.417,
    "efficiency_constant": 0.1,
}
"""Coefficients of equation (19) as the paper prints them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One assumption: a key of the scenario, and its levels by label."""

    name: str
    key: str
    levels: Mapping[str, Level]

    def label(self, level: Level) -> str:
        """Label of a level.

        Raises
        ------
        KeyError
            When the axis has no such level.
        """
        for label, known in self.levels.items():
            if known == level and isinstance(known, bool) == isinstance(level, bool):
                return label
        raise KeyError(f"{self.name}: no level {level!r}")

    def only(self, *labels: str) -> Axis:
        """The same axis with some of its levels."""
        return Axis(name=self.name, key=self.key, levels={label: self.levels[label] for label in labels})


def physical_axes(turbine: Mapping[str, Level], discharge_limit_kw: float) -> dict[str, Axis]:
    """Axes of the designed experiment, by name.

    Parameters
    ----------
    turbine
        The scenario's own turbine, whose coefficients are the physical ones.
    discharge_limit_kw
        Of the scenario's cars.
    """
    axes = (
        Axis(name="departure", key="fleet.departure_soc", levels={"0.9": 0.9, "0.5": 0.5, "none": "none"}),
        Axis(
            name="pooling",
            key="ties.*.limit_kw",
            levels={"islands": 0.0, "100 kW ties": 100.0, "free": "unlimited"},
        ),
        Axis(
            name="export",
            key="regions.*.export_limit_kw",
            levels={"none": 0.0, "100 kW": 100.0, "free": "unlimited"},
        ),
        Axis(
            name="V2G",
            key="fleet.classes.*.discharge_limit_kw",
            levels={"off": 0.0, "on": discharge_limit_kw},
        ),
        Axis(
            name="turbine",
            key="regions.*.turbine",
            levels={"physical": dict(turbine), "printed": {**turbine, **PRINTED_TURBINE}},
        ),
        Axis(name="wear", key="economics.throughput_price_per_kwh", levels={"0.12": 0.12, "0.24": 0.24}),
    )
    return {axis.name: axis for axis in axes}


def factorial(axes: Iterable[Axis]) -> Factors:
    """All combinations of the axes' levels."""
    return Factors(design="factorial", factors={axis.key: list(axis.levels.values()) for axis in axes})


def one_at_a_time(axes: Iterable[Axis]) -> Factors:
    """The scenario as it is, then each level alone."""
    return Factors(design="one-at-a-time", factors={axis.key: list(axis.levels.values()) for axis in axes})


def labelled(cells: Sequence[Cell], axes: Iterable[Axis]) -> pd.DataFrame:
    """Labels of the cells' levels: index ``cell``, a column per axis.

    >>> axis = Axis(name="pooling", key="ties.*.limit_kw", levels={"islands": 0.0, "free": "unlimited"})
    >>> labelled([Cell(index=0, levels={"ties.*.limit_kw": "unlimited"})], [axis])["pooling"].tolist()
    ['free']
    """
    known = list(axes)
    rows = [{axis.name: axis.label(cell.levels[axis.key]) for axis in known} for cell in cells]
    return pd.DataFrame(
        rows, index=pd.Index([cell.index for cell in cells], name="cell"), columns=[a.name for a in known]
    )
