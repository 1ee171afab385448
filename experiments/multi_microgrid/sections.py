"""What the rows of each part say, as sections of the study's page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from experiments.experiment.page import Section, Shown
from experiments.monte_carlo.reading import Study
from experiments.multi_microgrid import drivers, figures, gains, mobility, regret, table5
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


def sections(done: Mapping[str, Study], extent: Extent, pictures: Path) -> Iterator[Section]:
    """All sections, in the order of the page; their figures are drawn into ``pictures``."""
    yield _paper(done["table5"], pictures)
    yield _bridge(done["bridge"], extent, pictures)
    yield _design(done["factorial"], extent, pictures)
    yield _rolling(done["rolling"])
    yield _mobility(done["mobility"], extent, pictures)
    yield _forecasts(done["forecasts"], pictures)
    yield _policies(done["policies"], done["stochastic"], done["forecasts"], pictures)
    yield _drivers(done["drivers"], pictures)


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
    table = mobility.mobility_gains(study.results, extent.n_cars)
    return Section(
        title="Mobile or fixed",
        question=(
            "The same cars where they may give back everywhere, at home only or nowhere, and fixed batteries with the "
            "cars' energy and power beside cars that only charge; four seasonal days, day-ahead optimum."
        ),
        tables=(
            Shown(name="mobility", caption="Saved against cars that only charge", frame=table),
            Shown(
                name="mobility_by_season",
                caption="By seasonal day",
                frame=mobility.by_season(study.results),
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
    )


def _rolling(study: Study) -> Section:
    scenario = study.scenario
    labels = labelled(study.cells, axes_of(scenario).values())
    return Section(
        title="The same settings in the rolling simulator",
        question=(
            "A dozen of the settings with decisions every 15 minutes on yesterday's forecasts: what the rolling policy "
            "saves against uncontrolled charging, with its interval over fleets."
        ),
        tables=(
            Shown(
                name="rolling",
                caption="Saved against uncontrolled charging, CNY a day and per cent",
                frame=gains.rolling_gains(study.results, labels),
            ),
        ),
    )


def _forecasts(study: Study, pictures: Path) -> Section:
    costs = regret.costs_by_forecaster(study.results, study.cells)
    splits = {
        kind: regret.regret_split(regret.costs_by_known(study.results, study.cells, kind), PARTS)
        for kind in REAL_FORECASTERS
    }
    table = regret.regrets(costs, "perfect")
    split = pd.concat([rows.assign(forecaster=kind) for kind, rows in splits.items()], ignore_index=True)
    return Section(
        title="What not knowing costs",
        question=(
            f"The rolling policy on {len(costs)} days of the year (real loads, sun and wind speeds) under each "
            "forecaster: its net cost above that with perfect forecasts, and which part of the forecast that is due to."
        ),
        tables=(
            Shown(name="regret", caption="Net cost and regret by forecaster, CNY a day", frame=table),
            Shown(name="regret_split", caption="Regret by cause, CNY a day", frame=split),
        ),
        figures={
            "Regret by forecaster": figures.draw(
                lambda: figures.bars_figure(
                    table[table["name"] != "perfect"],
                    label="name",
                    value="regret",
                    low="ci_low",
                    high="ci_high",
                    axis_label="net cost above perfect forecasts [CNY a day]",
                ),
                pictures / "regret.png",
            ),
            "Regret by cause": figures.draw(lambda: figures.split_figure(splits), pictures / "split.png"),
        },
        notes=(
            "The split gives each part its Shapley share of what knowing it would save: the shares add up to the "
            "regret on every day, whatever the order in which parts become known.",
        ),
    )


def _policies(study: Study, stochastic: Study, forecasts: Study, pictures: Path) -> Section:
    perfect = regret.costs_by_forecaster(forecasts.results, forecasts.cells)["perfect"]
    table = regret.policies_table(study.results, perfect)
    paired = regret.against_rolling(stochastic.results)
    return Section(
        title="Policies under the same forecasts",
        question=(
            "Net cost of each policy above the rolling optimum with perfect forecasts, on the same days; and what "
            "margins and the stochastic program change against the deterministic one, paired by day."
        ),
        tables=(
            Shown(name="policies_regret", caption="Regret by policy and forecaster, CNY a day", frame=table),
            Shown(
                name="under_uncertainty",
                caption="Against the deterministic rolling policy, paired by day",
                frame=paired,
            ),
        ),
        figures={
            "Policies and forecasters": figures.draw(
                lambda: figures.policies_figure(table), pictures / "policies.png"
            )
        },
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
