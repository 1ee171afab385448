"""What the rows of each part say, as sections of the study's page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from experiments.experiment.drawing import bars_figure, draw
from experiments.experiment.kept import audit_section
from experiments.experiment.page import Section, Shown
from experiments.monte_carlo.reading import Study
from experiments.multi_microgrid import day_sections, drivers, figures, gains, survival, table5
from experiments.multi_microgrid.axes import labelled
from experiments.multi_microgrid.plan import (
    Extent,
    axes_of,
    base,
    bridge_axes,
    design_axes,
    driver_cells,
)
from experiments.multi_microgrid.regret import costs_by_forecaster


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
    yield day_sections.mobile_or_fixed(done["mobility"], extent, pictures)
    yield day_sections.forecast_scores(scores)
    rolling = day_sections.rolling_costs(done["forecasts"], done["policies"])
    yield day_sections.what_not_knowing_costs(rolling, done["optimum"], extent.split_forecasters, pictures)
    perfect = costs_by_forecaster(rolling)["perfect"]
    yield day_sections.policies_compared(done["policies"], done["stochastic"], perfect, pictures)
    yield _drivers(done["drivers"], pictures)
    yield audit_section(findings)


def _paper(study: Study, pictures: Path) -> Section:
    results = study.results
    return Section(
        title="The paper's three scenarios",
        question=(
            "Uncontrolled charging, each car alone against the tariff, and coordinated vehicle-to-grid, on "
            "the same cars, trips and weather, with perfect forecasts: beside the printed Table 5."
        ),
        tables=(
            Shown(
                name="table5",
                caption=(
                    "Table 5 and ours, a day: money in CNY, energy in kWh. The printed sums lack the "
                    "quarter of an hour of a step, so they stand a second time times 0.25; ours with 95 % "
                    "intervals over fleets (n); net: less what batteries hold more at the end, at lambda "
                    "per kWh"
                ),
                frame=table5.beside_printed(results),
            ),
            Shown(
                name="orderings",
                caption="Which orderings hold, in how many fleets (net figures)",
                frame=table5.orderings(results),
            ),
            Shown(
                name="policies",
                caption="Mean key figures a day with 95 % intervals over fleets (n)",
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
            "Each row switches one assumption and shows what it moves: the share of scenario 1's net total "
            "cost that scenario 3 (the day-ahead optimum) saves, with its 95 % interval over fleets."
        ),
        tables=(
            Shown(
                name="bridge",
                caption=(
                    "One assumption at a time. Saved: net total cost of scenario 1 less that of 3, CNY a "
                    "day and per cent of scenario 1; moves by: against the scenario as it is, the same "
                    "fleets; cost and bill 1, 2, 3: net, CNY a day; renewables: kWh a day; 95 % intervals "
                    "over fleets (n)"
                ),
                frame=table,
            ),
        ),
        figures={
            "What scenario 3 saves, by assumption": draw(
                lambda: figures.bridge_figure(table), pictures / "bridge.png"
            )
        },
        notes=(
            f"From empty to full, cars and stationary batteries can take {table5.swing_kwh(scenario):,.0f} "
            "kWh at the bus; the printed renewables of scenario 3 exceed those of scenario 1 by "
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
            f"The day-ahead optimum in all {len(labels)} combinations of departure rule, pooling, export, "
            "V2G, turbine and wear price, each with the same fleets: what V2G is worth, and which "
            "assumption explains most."
        ),
        tables=(
            Shown(
                name="gain_by_rule",
                caption="Gain of V2G: net cost saved by it, CNY a day and per cent; 95 % intervals over fleets (n)",
                frame=by_rule,
            ),
            Shown(
                name="ranking",
                caption="What matters most: share of the variance between settings; effects in CNY a day",
                frame=ranking,
                is_folded=True,
            ),
            Shown(
                name="effects",
                caption="Main effects and interactions on the net cost, CNY a day",
                frame=gains.effect_rows(results, axes),
                is_folded=True,
            ),
        ),
        figures={
            "Gain of V2G by departure rule and pooling": draw(
                lambda: figures.gain_figure(by_rule), pictures / "gain.png"
            ),
            "What explains the differences between settings": draw(
                lambda: figures.ranking_figure(ranking), pictures / "ranking.png"
            ),
        },
    )


def _rolling(study: Study, factorial: Study, extent: Extent) -> Section:
    axes = axes_of(study.scenario).values()
    optimum = labelled(factorial.cells, design_axes(factorial.scenario, extent))
    table = survival.savings_left(study.results, labelled(study.cells, axes), factorial.results, optimum)
    return Section(
        title="The same settings in the rolling simulator",
        question=(
            "A dozen of the settings with decisions every 15 minutes on yesterday's forecasts: what the "
            "rolling policy saves against uncontrolled charging (its stationary storage scheduled on the "
            "same forecasts), how much that is of what the day-ahead optimum with perfect foresight saves."
        ),
        tables=(
            Shown(
                name="rolling",
                caption=(
                    "Net cost saved against uncontrolled charging: CNY a day, per cent of the uncontrolled "
                    "cost, and share of what the optimum saves; 95 % intervals over fleets (n)"
                ),
                frame=table,
            ),
        ),
    )


def _drivers(study: Study, pictures: Path) -> Section:
    table = drivers.drivers_table(study, driver_cells(study.scenario))
    return Section(
        title="Drivers are people",
        question=(
            "What drivers gain by the rolling policy against uncontrolled charging (net bill saved less "
            "the wear of what they give back, no compensation), when they err, keep silent, insist or take "
            "no part."
        ),
        tables=(
            Shown(
                name="drivers",
                caption=(
                    "Drivers by kind, a day: gains and ageing in CNY per car, net cost saved in CNY for "
                    "the whole system, compensation in CNY per kWh given back, energy in kWh for the "
                    "fleet; 95 % intervals over fleets (n)"
                ),
                frame=table,
            ),
        ),
        figures={
            "Gain of the average driver": draw(
                lambda: bars_figure(
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
