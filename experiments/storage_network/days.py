"""What policies and forecasts come to on the study's days: costs, violations, and what storage and sun are used for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from experiments.ageing import storage_wear
from experiments.experiment.sums import mean_row
from experiments.monte_carlo.reading import Study
from experiments.reading import Run
from experiments.storage_network.plan import DEMAND, KIND, KNOWN, START, TARIFF
from sim.clock import STEP_H
from sim.scenario import Ageing

COST: Final = "total_cost_net_eur"
STEPS: Final = "network_violation_steps"
FAILED: Final = "fallbacks"
OVERLOADS, VOLTAGES = "overloads", "voltage_violations"
REPORTED_PU: Final = 0.95
"""Voltage below which buses are counted beside the scenario's own band."""

NAMES: Final = {
    "optimum": "coordinated, network rows",
    "pooled": "coordinated, no network rows",
    "uncontrolled": "uncontrolled",
    "alone": "each station alone",
    "ignored": "coordinated, no network rows",
    "kept": "coordinated, network rows",
    "margin": "coordinated, network rows, margin",
}
"""Policies by the part that runs them; two of them stand for the perfect forecasts of others."""
BASELINE: Final = NAMES["optimum"]
"""Under perfect forecasts: what the others are measured against."""
ORDER: Final = tuple(
    dict.fromkeys(NAMES[part] for part in ("uncontrolled", "alone", "ignored", "kept", "margin"))
)
SERVED: Final = (
    "highest loading of all",
    "lowest voltage of all",
    "losses [kWh]",
    "cars lack [kWh]",
    "load unserved [kWh]",
    "late, all days",
    "set-points cut [kWh]",
    "largest gap of all",
)
"""Columns of `compared` that stand apart from costs and violations."""
STORED: Final = ("storage cycles", "storage moves [%]", "storage ageing [EUR]", "of cycles [%]", "V2G [kWh]")
"""Columns of `uses` that tell of storage."""
_REACTIVE: Final = {
    VOLTAGES: "buses outside the band, all quarter-hours",
    STEPS: "quarter-hours with a violation",
    OVERLOADS: "lines overloaded, all quarter-hours",
    "voltage_min_pu": "lowest voltage [p.u.]",
    COST: "net cost [EUR]",
    "feeder_loss_kwh": "losses [kWh]",
    FAILED: "fallbacks",
}
"""What `reactive` compares, in words."""
_PERFECT: Final = ("optimum", "pooled")
_MOVES_KW: Final = 1e-6


def rows_of(parts: Mapping[str, Study]) -> pd.DataFrame:
    """Results of all days: a row per run, with ``policy``, ``forecasts`` and ``day``."""
    frames = []
    for part, name in NAMES.items():
        results = parts[part].results
        kinds = results[KIND] if KIND in results else ("perfect" if part in _PERFECT else "persistence")
        frames.append(_dated(results).assign(policy=name, forecasts=kinds))
    return pd.concat(frames, ignore_index=True)


def forecasts_of(part: str, study: Study) -> tuple[str, ...]:
    """Under which forecasts a part's days were run."""
    if KIND in study.results:
        return tuple(dict.fromkeys(study.results[KIND]))
    return ("perfect",) if part in _PERFECT else ("persistence",)


def compared(rows: pd.DataFrame) -> pd.DataFrame:
    """Each policy under each forecaster against the plan with foresight within the feeder's limits, day by day.

    Programs take a feeder's losses as given numbers, so that no plan heeds what it adds to them: what is measured
    against is no lower bound, and others may cost a few cents less. A day on which that plan failed measures nothing.

    Parameters
    ----------
    rows
        Of `rows_of`.

    Returns
    -------
    DataFrame
        A row per policy and forecaster, n days: mean net cost of a day, what it is above the plan with foresight with
        its 95 % interval over days, quarter-hours of a day with a violation and lines overloaded in them with theirs,
        on how many days there was any, highest loading and lowest voltage of all, losses, energy that cars lacked and
        load not served, trips begun late on all days, energy of set-points that the simulation cut; decisions of all
        days that failed, so that the scenario's fallback took them, and the largest gap of all others.
    """
    best = _solved_cost(_of(rows, BASELINE, "perfect"))
    table = []
    for policy, kind in _pairs(rows):
        at = _of(rows, policy, kind)
        regret, steps, overloads = (
            mean_row((at[COST] - best).dropna()),
            mean_row(at[STEPS]),
            mean_row(at[OVERLOADS]),
        )
        table.append(
            {
                "policy": policy,
                "forecasts": kind,
                "cost [EUR]": float(at[COST].mean()),
                "above foresight [EUR]": regret["mean"],
                "above low": regret["ci_low"],
                "above high": regret["ci_high"],
                "violating quarter-hours": steps["mean"],
                "quarter-hours low": steps["ci_low"],
                "quarter-hours high": steps["ci_high"],
                "overloaded lines": overloads["mean"],
                "lines low": overloads["ci_low"],
                "lines high": overloads["ci_high"],
                "buses outside": float(at[VOLTAGES].mean()),
                "days with any": int((at[STEPS] > 0).sum()),
                "highest loading of all": float(at["loading_max"].max()),
                "lowest voltage of all": float(at["voltage_min_pu"].min()),
                "losses [kWh]": float(at["feeder_loss_kwh"].mean()),
                "cars lack [kWh]": float(at["unmet_kwh"].mean()),
                "load unserved [kWh]": float(at["unserved_kwh"].mean()),
                "late, all days": int(at["late_departures"].sum()),
                "set-points cut [kWh]": float(at["clipped_kwh"].mean()),
                "fallbacks, all days": int(at[FAILED].sum()),
                "largest gap of all": float(at["max_gap"].max()),
                "n": regret["n"],
            }
        )
    return pd.DataFrame(table)


def halves(table: pd.DataFrame, columns: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table by policy and forecasts without some columns, and these alone: both fit a page."""
    return table.drop(columns=list(columns)), table[["policy", "forecasts", *columns, "n"]]


def pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """What forecasts, the margin and the network rows change, paired by day.

    Intervals of two policies may overlap though they differ on every day: days differ more than policies.

    Parameters
    ----------
    rows
        Of `rows_of`.

    Returns
    -------
    DataFrame
        A row per pair: learned less persistence forecasts under each policy, a margin less none under each forecaster,
        no network rows less network rows with foresight; differences of net cost and of quarter-hours with a violation
        with their 95 % intervals over n days, those left out on which a decision of either failed.
    """
    there = _pairs(rows)
    kept, margin, pooled = (NAMES[part] for part in ("kept", "margin", "pooled"))
    asked = [((policy, "learned"), (policy, "persistence")) for policy in ORDER]
    asked += [((margin, kind), (kept, kind)) for kind in ("persistence", "learned")]
    asked.append(((pooled, "perfect"), (BASELINE, "perfect")))
    table = []
    for one, other in asked:
        if one not in there or other not in there:
            continue
        ours, theirs = _of(rows, *one), _of(rows, *other)
        is_solved = (ours[FAILED] == 0) & (theirs[FAILED] == 0)
        row: dict[str, object] = {"of": ", ".join(one), "less": ", ".join(other)}
        for name, words in ((COST, "EUR"), (STEPS, "quarter-hours")):
            row |= _more((ours[name] - theirs[name])[is_solved], words)
        table.append({**row, "n": float(is_solved.sum())})
    return pd.DataFrame(table)


def uses(rows: pd.DataFrame, parts: Mapping[str, Study]) -> pd.DataFrame:
    """What the grid, the storage and the sun are used for, by policy under its forecasts.

    Returns
    -------
    DataFrame
        A row per policy and forecaster, means over days: peak of the import, peak less valley, mean over peak (load
        factor); storage's throughput in full cycles and share of hours in which it moves, what its ageing costs and
        the part of it that is cycles' (rainflow counting, and time at a state of charge); self-consumption (sun used
        on the feeder over sun there was), self-sufficiency (of the energy used on the feeder, what it did not
        import), buses below 0.95 p.u. in all steps, emissions.
    """
    told = pd.concat(
        [
            _told(part, name, study)
            for (part, name), study in ((item, parts[item[0]]) for item in NAMES.items())
        ],
        ignore_index=True,
    )
    both = rows.merge(told, on=["policy", "forecasts", "day"])
    table = []
    for policy, kind in _pairs(rows):
        at = _of(both, policy, kind)
        sun = at["renewables_used_kwh"] + at["curtailed_kwh"]
        on_feeder = at["renewables_used_kwh"] - at["energy_export_kwh"]
        used = at["energy_import_kwh"] + on_feeder
        table.append(
            {
                "policy": policy,
                "forecasts": kind,
                "peak import [kW]": float(at["peak_import_kw"].mean()),
                "peak-valley [kW]": float(at["peak_valley_kw"].mean()),
                "load factor": float((at["energy_import_kwh"] / 24.0 / at["peak_import_kw"]).mean()),
                "storage cycles": float(at["cycles"].mean()),
                "storage moves [%]": 100.0 * float(at["moves"].mean()),
                "storage ageing [EUR]": float(at["ageing"].mean()),
                "of cycles [%]": 100.0 * float(at["ageing_of_cycles"].sum() / at["ageing"].sum()),
                "self-consumption [%]": 100.0 * float(on_feeder.sum() / sun.sum()),
                "self-sufficiency [%]": 100.0 * float(on_feeder.sum() / used.sum()),
                "curtailed [kWh]": float(at["curtailed_kwh"].mean()),
                "V2G [kWh]": float(at["ev_discharged_kwh"].mean()),
                f"buses below {REPORTED_PU}, all steps": float(at["low_buses"].mean()),
                "emissions [kg]": float(at["emissions_kg"].mean()),
                "n": float(len(at)),
            }
        )
    return pd.DataFrame(table)


_FORECAST: Final = ("load", "weather", "cars", "price")


def forecast_parts(kept: Study, known: Study) -> pd.DataFrame:
    """What the error of each forecast costs: days with a part known as it will be against days without, paired.

    Parameters
    ----------
    kept
        The days under persistence, the price known.
    known
        Days on which another part is known too, and on which nothing is.

    Returns
    -------
    DataFrame
        A row per part: net cost, quarter-hours with a violation and lines overloaded in them where it is foreseen, and
        what they are more than where it is known, with 95 % intervals over n days.
    """
    ours = kept.results[kept.results[KIND] == "persistence"]
    base = _dated(ours).set_index("day").sort_index()
    levels = {cell.index: tuple(cell.levels[KNOWN]) for cell in known.cells}
    results = _dated(known.results).assign(known=known.results["cell"].map(levels))
    table = []
    for part in _FORECAST:
        told = () if part == "price" else ("price", part)
        other = results[[own == told for own in results["known"]]].set_index("day").sort_index()
        foreseen, better = (other, base) if part == "price" else (base, other)
        foreseen = foreseen.loc[other.index]
        row: dict[str, object] = {"forecast of": part}
        for name, words in ((COST, "EUR"), (STEPS, "quarter-hours"), (OVERLOADS, "lines")):
            row |= {words: float(foreseen[name].mean())}
            row |= _more((foreseen[name] - better[name]).dropna(), words)
        failed = int(foreseen[FAILED].sum() + better[FAILED].loc[foreseen.index].sum())
        table.append({**row, "fallbacks, both": failed, "n": float(len(other))})
    return pd.DataFrame(table)


def reactive(without: Study, within: Mapping[str, Study]) -> pd.DataFrame:
    """What reactive power changes where the band is narrow, paired by day.

    Parameters
    ----------
    without
        The days on which none is given.
    within
        The same days, by what gives it.

    Returns
    -------
    DataFrame
        A row per key figure and giver: means without and with it, difference with its 95 % interval over days (n).
    """
    tables = [_reactive(without, study).assign(**{"reactive power of": by}) for by, study in within.items()]
    table = pd.concat(tables, ignore_index=True)
    return table[["reactive power of", *table.columns[:-1]]]


def _reactive(without: Study, within: Study) -> pd.DataFrame:
    one, other = (_dated(study.results).set_index("day").sort_index() for study in (without, within))
    table = []
    for name, words in _REACTIVE.items():
        change = mean_row((other[name] - one[name]).dropna())
        table.append(
            {
                "figure": words,
                "active power only": float(one[name].mean()),
                "reactive power too": float(other[name].mean()),
                "difference": change["mean"],
                "low": change["ci_low"],
                "high": change["ci_high"],
                "n": change["n"],
            }
        )
    return pd.DataFrame(table)


def markets(study: Study) -> pd.DataFrame:
    """Coordinated against uncontrolled charging at different prices, paired by day.

    Returns
    -------
    DataFrame
        A row per tariff: net cost of both, what coordination saves with its 95 % interval over days, and the largest
        import of both; n days.
    """
    results = _dated(study.results)
    levels = {cell.index: _market(cell.levels) for cell in study.cells}
    results = results.assign(market=results["cell"].map(levels))
    table = []
    for market, own in results.groupby("market", sort=False):
        base, ours = (
            own[own["policy"] == policy].set_index("day").sort_index()
            for policy in ("uncontrolled", "rolling")
        )
        saved = mean_row(base[COST] - ours[COST])
        table.append(
            {
                "prices": market,
                "uncontrolled [EUR]": float(base[COST].mean()),
                "coordinated [EUR]": float(ours[COST].mean()),
                "saved [EUR]": saved["mean"],
                "low": saved["ci_low"],
                "high": saved["ci_high"],
                "peak, uncontrolled [kW]": float(base["peak_import_kw"].mean()),
                "peak, coordinated [kW]": float(ours["peak_import_kw"].mean()),
                "demand charge, coordinated [EUR]": float(ours["demand_cost_eur"].mean()),
                "V2G [kWh]": float(ours["ev_discharged_kwh"].mean()),
                "fallbacks, both": int(base[FAILED].sum() + ours[FAILED].sum()),
                "n": saved["n"],
            }
        )
    return pd.DataFrame(table)


def _dated(results: pd.DataFrame) -> pd.DataFrame:
    """Results with the ``day`` of each run."""
    return results.assign(day=pd.to_datetime(results[START]).dt.date)


def _market(levels: Mapping[str, object]) -> str:
    tariff = levels[TARIFF]
    assert isinstance(tariff, dict)
    name = "time of use" if tariff["kind"] == "periods" else "day-ahead"
    return f"{name}, demand charge" if levels[DEMAND] else name


def _pairs(rows: pd.DataFrame) -> list[tuple[str, str]]:
    there = set(zip(rows["policy"], rows["forecasts"], strict=True))
    kinds = ("perfect", "persistence", "learned")
    return [(policy, kind) for policy in ORDER for kind in kinds if (policy, kind) in there]


def _of(rows: pd.DataFrame, policy: str, kind: str) -> pd.DataFrame:
    own = rows[(rows["policy"] == policy) & (rows["forecasts"] == kind)]
    return own.set_index("day").sort_index()


def _more(differences: pd.Series[float], words: str) -> dict[str, float]:
    """Columns of a difference: its mean, and the ends of its 95 % interval."""
    more = mean_row(differences)
    return {
        f"more {words}": more["mean"],
        f"{words} low": more["ci_low"],
        f"{words} high": more["ci_high"],
    }


def _solved_cost(at: pd.DataFrame) -> pd.Series[float]:
    """Cost of each day; NaN where a decision failed: what its fallback costs is no yardstick."""
    return at[COST].where(at[FAILED] == 0)


def _told(part: str, name: str, study: Study) -> pd.DataFrame:
    """What key figures do not tell of a part's kept runs."""
    levels = {cell.index: cell.levels for cell in study.cells}
    known = "perfect" if part in _PERFECT else "persistence"
    return pd.DataFrame(
        {
            "policy": name,
            "forecasts": levels[cell].get(KIND, known),
            "day": pd.Timestamp(str(levels[cell][START])).date(),
            **storage_use(run),
            "low_buses": float((run.table("voltages")["voltage_pu"] < REPORTED_PU).sum()),
        }
        for cell, _, run in study.kept_runs()
    )


def storage_use(run: Run) -> dict[str, float]:
    """Full cycles of all stationary storage together, share of steps in which a unit moves (mean over units), ageing.

    Energy taken out is what arrives at the bus over the discharge efficiency, the least of all units.
    """
    storage = run.storage
    power = storage["power_kw"].to_numpy(np.float64)
    units = [unit for region in run.scenario["regions"] for unit in region["batteries"]]
    usable = sum(unit["capacity_kwh"] * (unit["soc_max"] - unit["soc_min"]) for unit in units)
    efficiency = {unit["discharge_efficiency"] for unit in units}
    taken = float(-power[power < 0.0].sum()) * STEP_H / min(efficiency)
    capacity = {number: unit["capacity_kwh"] for number, unit in enumerate(units)}
    initial = {number: unit["capacity_kwh"] * unit["initial_soc"] for number, unit in enumerate(units)}
    ageing = Ageing.model_validate(run.scenario["economics"]["ageing"])
    wear = storage_wear(storage, capacity, initial, ageing)
    of_cycles = wear["cycle_life"] * wear["unit_id"].map(capacity) * ageing.replacement_cost_per_kwh
    return {
        "cycles": taken / usable,
        "moves": float((np.abs(power) > _MOVES_KW).mean()),
        "ageing": float(wear["ageing_cost"].sum()),
        "ageing_of_cycles": float(of_cycles.sum()),
    }
