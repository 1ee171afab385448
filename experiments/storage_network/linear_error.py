"""By how much the linear power flow misses AC voltages in the states that the study's runs went through."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from experiments.monte_carlo.reading import Study
from experiments.reading import Run
from experiments.shipped import locate
from experiments.storage_network.days import NAMES, forecasts_of
from sim.arrays import FloatArray
from sim.feeder.linear import linear_flow
from sim.feeder.model import Feeder, Network
from sim.feeder.placing import build_network


def linear_errors(parts: Mapping[str, Study]) -> pd.DataFrame:
    """Voltages by the linear power flow less those by AC, over all buses and steps of the kept runs.

    Returns
    -------
    DataFrame
        A row per policy, those with perfect forecasts by themselves: forecasts, states; of the lossless form the
        largest error, the mean, and how much more voltage it promises at most; of the form with the state's own
        losses, as plans have them when they stand, the largest error [p.u.].
    """
    return pd.DataFrame(
        {"policy": words, "forecasts": ", ".join(forecasts_of(name, parts[name])), **_errors(parts[name])}
        for name, words in NAMES.items()
    )


def _errors(study: Study) -> dict[str, object]:
    network = build_network(study.scenario, locate)
    assert network is not None
    found = [run_errors(run, network) for _, _, run in study.kept_runs()]
    lossless, own = (np.concatenate([pair[k] for pair in found]) for k in (0, 1))
    return {
        "states": len(lossless),
        "lossless, largest [p.u.]": float(np.abs(lossless).max()),
        "lossless, mean [p.u.]": float(np.abs(lossless).mean()),
        "lossless, promises too much by [p.u.]": float(lossless.max()),
        "with own losses, largest [p.u.]": float(np.abs(own).max()),
    }


def run_errors(run: Run, network: Network) -> tuple[FloatArray, FloatArray]:
    """Errors of both forms in a run, (K, N) each; states without power flow are left out."""
    feeder = network.feeder
    ac_pu = _by_step(run.table("voltages"), "voltage_pu", feeder.n_buses)
    table = run.table("branches")
    sent_kw, sent_kvar, loss_kw, loss_kvar = (
        _by_step(table, name, feeder.n_branches) for name in ("sent_kw", "sent_kvar", "loss_kw", "loss_kvar")
    )
    exists = np.isfinite(ac_pu).all(axis=1)
    demand_kw, demand_kvar = (
        taken(feeder, sent, loss)[exists] for sent, loss in ((sent_kw, loss_kw), (sent_kvar, loss_kvar))
    )
    # series losses, and what cables give at the voltages that there are: losses told are those less this
    series_kvar = loss_kvar[exists] + feeder.branch_charging_kvar(ac_pu[exists])
    beyond_rated_kvar = feeder.charging_kvar * (ac_pu[exists] ** 2 - 1.0)
    lossless = linear_flow(feeder, demand_kw, demand_kvar, source_pu=network.source_pu)
    own = linear_flow(
        feeder,
        demand_kw,
        demand_kvar - beyond_rated_kvar,
        source_pu=network.source_pu,
        loss_kw=loss_kw[exists],
        loss_kvar=series_kvar,
    )
    return lossless.voltage_pu - ac_pu[exists], own.voltage_pu - ac_pu[exists]


def taken(feeder: Feeder, sent: FloatArray, loss: FloatArray) -> FloatArray:
    """What each bus takes, from what branches send and lose, (K, N); the source's is what it passes on, negative."""
    at_bus = np.zeros((len(sent), feeder.n_buses))
    np.add.at(at_bus.T, feeder.child_index, (sent - loss).T)
    np.add.at(at_bus.T, feeder.parent_index, -sent.T)
    return at_bus


def _by_step(table: pd.DataFrame, column: str, n: int) -> FloatArray:
    return np.asarray(table[column], dtype=np.float64).reshape(-1, n)
