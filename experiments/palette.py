"""Colours of all figures: Okabe and Ito's palette, which people with colour-blindness can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PV: Final = "#E69F00"
WIND: Final = "#56B4E9"
TURBINE: Final = "#3B3B3B"
BATTERY: Final = "#009E73"
CARS: Final = "#CC79A7"
GRID: Final = "#0072B2"
TIES: Final = "#D55E00"
LOAD: Final = "#C4C8CC"
LOSSES: Final = "#F0E442"
PRICE: Final = "#D55E00"
DRIVING: Final = "#BDBDBD"
REGIONS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#6B6B6B")
"""Of regions, in the scenario's order, repeated when there are more."""

VOLTAGE: Final = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
"""Scale of voltages from low to high (viridis); even in grey the low ones are the dark ones."""
LOADING: Final = ("#cfdbe6", "#7fa8cd", "#3a74ab", "#123a66")
"""Scale of loading from nothing to the rating."""
OVER: Final = "#D55E00"
"""Beyond a rating or a limit."""
UNRATED: Final = "#B9BEC4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of the power balance: columns added less columns taken off, above or below the axis."""

    group: str  # what the legend says
    name: str
    colour: str
    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()
    part: str = "all"  # all | positive | negative part of the sum
    supplies: bool


LAYERS: Final[tuple[Layer, ...]] = (
    Layer(group="PV", name="PV", colour=PV, plus=("pv_kw",), minus=("pv_curtailed_kw",), supplies=True),
    Layer(
        group="wind", name="wind", colour=WIND, plus=("wind_kw",), minus=("wind_curtailed_kw",), supplies=True
    ),
    Layer(group="turbine", name="turbine", colour=TURBINE, plus=("turbine_kw",), supplies=True),
    Layer(
        group="battery",
        name="battery out",
        colour=BATTERY,
        plus=("battery_kw",),
        part="negative",
        supplies=True,
    ),
    Layer(group="cars", name="cars out", colour=CARS, plus=("ev_discharge_kw",), supplies=True),
    Layer(group="ties", name="ties in", colour=TIES, plus=("tie_kw",), part="positive", supplies=True),
    Layer(group="grid", name="import", colour=GRID, plus=("import_kw",), supplies=True),
    Layer(group="load", name="load", colour=LOAD, plus=("load_kw",), minus=("unserved_kw",), supplies=False),
    Layer(group="cars", name="cars in", colour=CARS, plus=("ev_charge_kw",), supplies=False),
    Layer(
        group="battery",
        name="battery in",
        colour=BATTERY,
        plus=("battery_kw",),
        part="positive",
        supplies=False,
    ),
    Layer(group="ties", name="ties out", colour=TIES, plus=("tie_kw",), part="negative", supplies=False),
    Layer(group="grid", name="export", colour=GRID, plus=("export_kw",), supplies=False),
)
"""Supply is stacked upwards, use downwards; both reach equally far."""


def colour_at(scale: Sequence[str], share: float) -> str:
    """Colour of a scale at a share of its length, between its colours in proportion.

    >>> colour_at(("#000000", "#ffffff"), 0.5), colour_at(("#000000", "#ffffff"), 2.0)
    ('#808080', '#ffffff')
    """
    place = min(max(share, 0.0), 1.0) * (len(scale) - 1)
    first = min(int(place), len(scale) - 2)
    ends = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in scale[first : first + 2]]
    mixed = [round(one + (place - first) * (other - one)) for one, other in zip(*ends, strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)
