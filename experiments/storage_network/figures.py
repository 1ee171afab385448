"""Figures of the study that are not of a single run."""

from __future__ import annotations

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from experiments.experiment.drawing import blank

LABELS: Final = {
    "cost": "cost [EUR a day]",
    "peak_valley_kw": "peak less valley [kW]",
    "loss_kwh": "losses [kWh a day]",
    "voltage_deviation_pu": "deviation of voltages [p.u.]",
    "wear_kwh": "discharged [kWh a day]",
    "emission_kg": "emissions [kg CO2 a day]",
}


def fronts_figure(rows: pd.DataFrame) -> Figure:
    """Each front in a panel of its own: cost above the cheapest plan, over the other objective."""
    names = list(dict.fromkeys(rows["second"]))
    n_rows = -(-len(names) // 3)
    figure, axes = blank(10.0, 3.0 * n_rows, n_columns=min(3, len(names)), n_rows=n_rows)
    for axis, name in zip(axes, names, strict=False):
        own = rows[rows["second"] == name]
        axis.plot(own["value"], own["cost"] - own["cost"].min(), marker="o", markersize=3.5, linewidth=1.2)
        axis.set_xlabel(LABELS[name])
        axis.set_ylabel("cost above least [EUR a day]")
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    return figure
