"""Sections of the study's page on days of the year: mobility, forecasts, policies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from experiments.experiment.drawing import bars_figure, draw
from experiments.experiment.kept import decision_seconds
from experiments.experiment.page import Section, Shown
from experiments.monte_carlo.reading import Study
from experiments.multi_microgrid import figures, mobility, regret
from experiments.multi_microgrid.plan import PARTS, Extent
from experiments.multi_microgrid.scores import scores_table


def mobile_or_fixed(study: Study, extent: Extent, pictures: Path) -> Section:
    """Compare cars that give back with fixed batteries of their size."""
    saved = mobility.savings(study.results, mobility.cells_by_kind(study.cells, study.scenario))
    table = mobility.mobility_gains(saved, extent.n_cars)
    return Section(
        title="Mobile or fixed",
        question=(
            "The same cars where they may give back everywhere, at home only or nowhere, and fixed batteries with the "
            f"cars' energy and power beside cars that only charge; day-ahead optimum on {len(saved)} days of the year, "
            f"{extent.n_fleets_a_day} of its own fleets on each."
        ),
        tables=(
            Shown(
                name="mobility",
                caption=(
                    "Net cost saved against cars that only charge: CNY a day for the fleet, CNY per car and year; "
                    "95 % intervals over days (n)"
                ),
                frame=table,
            ),
            Shown(
                name="mobility_by_season",
                caption="By season, CNY a day for the fleet; 95 % intervals over its days (n)",
                frame=mobility.by_season(saved),
                is_folded=True,
            ),
        ),
        figures={
            "What each kind of storage saves": draw(
                lambda: bars_figure(
                    table,
                    label="storage",
                    value="gain",
                    low="ci_low",
                    high="ci_high",
                    axis_label="saved against cars that only charge [CNY a day]",
                ),
                pictures / "mobility.png",
            )
        },
        notes=(
            "Fixed batteries pay what all stationary storage pays for operation, "
            f"{study.scenario.economics.battery_operation_per_kwh:g} CNY per kWh charged or discharged, which cars do "
            "not; both pay the same wear per kWh discharged.",
        ),
    )


def forecast_scores(scores: pd.DataFrame) -> Section:
    """Show the scores of the forecasters on real series."""
    return Section(
        title="How well tomorrow is known",
        question=(
            "Forecasts issued every 6 hours for 24 hours on days spread over a year: real loads, sun, wind speeds and "
            "day-ahead prices. The learned forecaster against the naive ones."
        ),
        tables=(
            Shown(
                name="forecast_scores",
                caption=(
                    "Scores by quantity: MAE, RMSE and pinball loss in the quantity's unit (kW; currency per kWh), "
                    "MASE in units of yesterday's error; share of values below a quantile, which should be its level; "
                    "paired difference of the MAE with its 95 % interval over days (n)"
                ),
                frame=scores_table(scores),
            ),
        ),
    )


def rolling_costs(forecasts: Study, policies: Study) -> pd.DataFrame:
    """Net costs of the rolling policy under every forecaster: two of them are run where policies are compared."""
    parts = (regret.with_levels(part.results, part.cells) for part in (forecasts, policies))
    both = pd.concat(parts, ignore_index=True)
    return both[both["policy"] == "rolling"]


def what_not_knowing_costs(
    rolling: pd.DataFrame, optimum: Study, split_forecasters: Iterable[str], pictures: Path
) -> Section:
    """Show the regret of each forecaster, and what causes some's; ``rolling`` is of `rolling_costs`."""
    costs = regret.costs_by_forecaster(rolling)
    splits = {
        kind: regret.regret_split(regret.costs_by_known(rolling, kind, PARTS), PARTS)
        for kind in split_forecasters
    }
    plain = regret.regrets(costs, "perfect")
    table = regret.with_optimum(plain, costs, regret.day_costs(optimum.results))
    split = pd.concat([rows.assign(forecaster=kind) for kind, rows in splits.items()], ignore_index=True)
    return Section(
        title="What not knowing costs",
        question=(
            f"The rolling policy on {len(costs)} days of the year (real loads, sun and wind speeds; a fleet of its own "
            "each day) under each forecaster: its net cost above that with perfect forecasts, and which part of the "
            "forecast that is due to."
        ),
        tables=(
            Shown(
                name="regret",
                caption=(
                    "Net cost and regret by forecaster: CNY a day, per cent of the net cost with perfect forecasts; "
                    "95 % intervals over days (n)"
                ),
                frame=table,
            ),
            Shown(
                name="regret_split",
                caption=(
                    f"Regret by cause on {int(split['n'].iloc[0])} of these days, CNY a day; 95 % intervals over days "
                    "(n)"
                ),
                frame=split,
            ),
        ),
        figures={
            "Regret by forecaster": draw(
                lambda: bars_figure(
                    plain[plain["name"] != "perfect"],
                    label="name",
                    value="regret",
                    low="ci_low",
                    high="ci_high",
                    axis_label="net cost above perfect forecasts [CNY a day]",
                ),
                pictures / "regret.png",
            ),
            "Regret by cause": draw(lambda: figures.split_figure(split), pictures / "split.png"),
        },
        notes=(
            "Perfect forecasts in a rolling horizon are not the optimum: the horizon ends, and what is stored then is "
            "valued at a price. The whole day planned at once is what remains of that.",
            "The split gives each part its Shapley share of what knowing it would save: the shares add up to the "
            "regret on every day, whatever the order in which parts become known.",
        ),
    )


def policies_compared(study: Study, stochastic: Study, perfect: pd.Series[float], pictures: Path) -> Section:
    """Compare policies under the same forecasts, and their times; ``perfect`` is the yardstick's net cost by day."""
    rows = pd.concat([study.results, stochastic.results], ignore_index=True)
    table = regret.policies_table(rows, perfect)
    times = pd.concat([decision_seconds(part, regret.KIND) for part in (study, stochastic)])
    return Section(
        title="Policies under the same forecasts",
        question=(
            "Net cost of each policy above the rolling policy with perfect forecasts, on the same days; and what "
            "margins and the two-stage stochastic program change against the deterministic one, paired by day. The "
            f"two-stage program plans on {stochastic.scenario.forecast.n_paths} paths, on a subset of the days."
        ),
        tables=(
            Shown(
                name="policies_regret",
                caption=(
                    "Regret by policy and forecaster: CNY a day, per cent of the net cost with perfect forecasts; "
                    "unmet energy and energy short at departure in kWh, late departures, a day; 95 % intervals over "
                    "days (n)"
                ),
                frame=table,
            ),
            Shown(
                name="under_uncertainty",
                caption=(
                    "Against the deterministic rolling policy: mean difference a day (CNY, kWh, departures), paired by "
                    "day (n), 95 % intervals"
                ),
                frame=regret.against_rolling(rows, ("margin", "stochastic")),
            ),
            Shown(
                name="decision_times",
                caption="Time per decision on the machine that ran the study",
                frame=times.sort_values("forecaster", kind="stable", ignore_index=True),
                is_of_machine=True,
            ),
        ),
        figures={
            "Policies and forecasters": draw(
                lambda: figures.policies_figure(table), pictures / "policies.png"
            )
        },
    )
