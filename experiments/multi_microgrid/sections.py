"""What the rows of each part say, as sections of the study's page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from experiments.experiment.kept import audits_by_part, decision_seconds
from experiments.experiment.page import Section, Shown
from experiments.monte_carlo.reading import Study
from experiments.multi_microgrid import drivers, figures, gains, mobility, regret, survival, table5
from experiments.multi_microgrid.axes import labelled
from experiments.multi_microgrid.plan import (
    PARTS,
    REAL_FORECASTERS,
    Extent,
    axes_of,
    base,
    bridge_axes,
    design_axes,
    driver_cells,
)
from experiments.multi_microgrid.scores import scores_table


def sections(
    done: Mapping[str, Study], scores: pd.DataFrame, findings: pd.DataFrame, extent: Extent, pictures: Path
) -> Iterator[Section]:
    """All sections, in the order of the page; their figures are drawn into ``pictures``.

    Parameters
    ----------
    done
        The parts, by name.
    scores
        Of the forecasters, by `experiments.forecast_evaluation`.
    findings
        Of the audit of all kept runs, by `experiments.experiment.kept`.
    """
    yield _paper(done["table5"], pictures)
    yield _bridge(done["bridge"], extent, pictures)
    yield _design(done["factorial"], extent, pictures)
    yield _rolling(done["rolling"], done["factorial"], extent)
    yield _mobility(done["mobility"], extent, pictures)
    yield _scores(scores)
    yield _forecasts(done["forecasts"], done["optimum"], pictures)
    yield _policies(done["policies"], done["stochastic"], done["forecasts"], pictures)
    yield _drivers(done["drivers"], pictures)
    yield _audits(findings)


def _paper(study: Study, pictures: Path) -> Section:
    results = study.results
    return Section(
        title="The paper's three scenarios",
        question=(
            "Uncontrolled charging, each car alone against the tariff, and coordinated vehicle-to-grid, on the same "
            "cars, trips and weather, with perfect forecasts: beside the printed Table 5."
        ),
        tables=(
            Shown(name="table5", caption="Table 5 and ours", frame=table5.beside_printed(results)),
            Shown(name="orderings", caption="Which orderings hold", frame=table5.orderings(results)),
            Shown(
                name="policies",
                caption="Mean key figures with intervals over fleets",
                frame=table5.means_of_policies(results),
                is_folded=True,
            ),
        ),
        figures=figures.run_figures(study.kept(0, policy="rolling"), pictures),
    )


def _bridge(study: Study, extent: Extent, pictures: Path) -> Section:
    scenario = base(extent, 'forecast.kind="perfect"')
    table = table5.bridge(study.results, labelled(study.cells, bridge_axes(scenario)))
    return Section(
        title="From their numbers to ours",
        question=(
            "Each row switches one assumption and shows what it moves: the share of scenario 1's net total cost that "
            "scenario 3 (the day-ahead optimum) saves, with its 95 % interval over fleets."
        ),
        tables=(Shown(name="bridge", caption="One assumption at a time", frame=table),),
        figures={
            "What scenario 3 saves, by assumption": figures.draw(
                lambda: figures.bridge_figure(table), pictures / "bridge.png"
            )
        },
        notes=(
            f"From empty to full, cars and stationary batteries can take {table5.swing_kwh(scenario):,.0f} kWh at the "
            f"bus; the printed renewables of scenario 3 exceed those of scenario 1 by "
            f"{table5.printed_renewables_gain_kwh():,.0f} kWh.",
        ),
    )


def _design(study: Study, extent: Extent, pictures: Path) -> Section:
    axes = design_axes(base(extent, 'forecast.kind="perfect"'), extent)
    labels = labelled(study.cells, axes)
    results = study.results
    by_rule = gains.gain_by_rule(gains.v2g_gains(results, labels))
    ranking = gains.ranking(results, labels, axes)
    return Section(
        title="What the gain depends on",
        question=(
            f"The day-ahead optimum in all {len(labels)} combinations of departure rule, pooling, export, V2G, turbine "
            "and wear price, each with the same fleets: what V2G is worth, and which assumption explains most."
        ),
        tables=(
            Shown(name="gain_by_rule", caption="Gain of V2G, CNY a day and per cent", frame=by_rule),
            Shown(name="ranking", caption="What matters most", frame=ranking, is_folded=True),
            Shown(
                name="effects",
                caption="Main effects and interactions on the net cost",
                frame=gains.effect_rows(results, axes),
                is_folded=True,
            ),
        ),
        figures={
            "Gain of V2G by departure rule and pooling": figures.draw(
                lambda: figures.gain_figure(by_rule), pictures / "gain.png"
            ),
            "What explains the differences between settings": figures.draw(
                lambda: figures.ranking_figure(ranking), pictures / "ranking.png"
            ),
        },
    )


def _mobility(study: Study, extent: Extent, pictures: Path) -> Section:
    saved = mobility.savings(study.results, mobility.cells_by_kind(study.cells, study.scenario))
    table = mobility.mobility_gains(saved, extent.n_cars)
    return Section(
        title="Mobile or fixed",
        question=(
            "The same cars where they may give back everywhere, at home only or nowhere, and fixed batteries with the "
            f"cars' energy and power beside cars that only charge; day-ahead optimum on {len(saved)} days of the year, "
            f"each with {extent.n_fleets_a_day} fleets of its own."
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
            "What each kind of storage saves": figures.draw(
                lambda: figures.bars_figure(
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


def _rolling(study: Study, factorial: Study, extent: Extent) -> Section:
    axes = axes_of(study.scenario).values()
    optimum = labelled(factorial.cells, design_axes(factorial.scenario, extent))
    table = survival.savings_left(study.results, labelled(study.cells, axes), factorial.results, optimum)
    return Section(
        title="The same settings in the rolling simulator",
        question=(
            "A dozen of the settings with decisions every 15 minutes on yesterday's forecasts: what the rolling policy "
            "saves against uncontrolled charging, and how much that is of what the day-ahead optimum with perfect "
            "foresight saves for the same fleets."
        ),
        tables=(
            Shown(
                name="rolling",
                caption=(
                    "Net cost saved against uncontrolled charging: CNY a day, per cent of the uncontrolled cost, and "
                    "share of what the optimum saves; 95 % intervals over fleets (n)"
                ),
                frame=table,
            ),
        ),
    )


def _scores(scores: pd.DataFrame) -> Section:
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


def _forecasts(study: Study, optimum: Study, pictures: Path) -> Section:
    costs = regret.costs_by_forecaster(study.results, study.cells)
    splits = {
        kind: regret.regret_split(regret.costs_by_known(study.results, study.cells, kind, PARTS), PARTS)
        for kind in REAL_FORECASTERS
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
            "Regret by forecaster": figures.draw(
                lambda: figures.bars_figure(
                    plain[plain["name"] != "perfect"],
                    label="name",
                    value="regret",
                    low="ci_low",
                    high="ci_high",
                    axis_label="net cost above perfect forecasts [CNY a day]",
                ),
                pictures / "regret.png",
            ),
            "Regret by cause": figures.draw(lambda: figures.split_figure(split), pictures / "split.png"),
        },
        notes=(
            "Perfect forecasts in a rolling horizon are not the optimum: the horizon ends, and what is stored then is "
            "valued at a price. The whole day planned at once is what remains of that.",
            "The split gives each part its Shapley share of what knowing it would save: the shares add up to the "
            "regret on every day, whatever the order in which parts become known.",
        ),
    )


def _policies(study: Study, stochastic: Study, forecasts: Study, pictures: Path) -> Section:
    perfect = regret.costs_by_forecaster(forecasts.results, forecasts.cells)["perfect"]
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
            "Policies and forecasters": figures.draw(
                lambda: figures.policies_figure(table), pictures / "policies.png"
            )
        },
    )


def _audits(findings: pd.DataFrame) -> Section:
    by_part = audits_by_part(findings)
    failing = len(findings) - int(by_part["pass"].sum())
    return Section(
        title="Audit",
        question=(
            "Every run folder that the study kept, derived again from its tables by code of its own "
            "(voltwalk audit): "
            + ("all pass." if not failing else f"{failing} of {len(findings)} have findings.")
        ),
        tables=(Shown(name="audits", caption="Kept runs audited", frame=by_part),),
    )


def _drivers(study: Study, pictures: Path) -> Section:
    table = drivers.drivers_table(study, list(driver_cells(study.scenario)))
    return Section(
        title="Drivers are people",
        question=(
            "What drivers gain by the rolling policy against uncontrolled charging (net bill saved less the wear of "
            "what they give back, no compensation), when they err, keep silent, insist or take no part."
        ),
        tables=(Shown(name="drivers", caption="Drivers by kind, CNY a day", frame=table),),
        figures={
            "Gain of the average driver": figures.draw(
                lambda: figures.bars_figure(
                    table,
                    label="drivers",
                    value="gain",
                    low="ci_low",
                    high="ci_high",
                    axis_label="gain of the average driver [CNY a day]",
                ),
                pictures / "drivers.png",
            )
        },
    )
