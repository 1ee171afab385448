"""What the rows of each part say, as sections of the study's page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from experiments.experiment.page import Section
from experiments.monte_carlo.reading import Study
from experiments.multi_microgrid import figures, gains, mobility, table5
from experiments.multi_microgrid.axes import labelled
from experiments.multi_microgrid.plan import Extent, base, bridge_axes, design_axes


def sections(done: Mapping[str, Study], extent: Extent, pictures: Path) -> Iterator[Section]:
    """All sections, in the order of the page; their figures are drawn into ``pictures``."""
    yield _paper(done["table5"], pictures)
    yield _bridge(done["bridge"], extent, pictures)
    yield _design(done["factorial"], extent, pictures)
    yield _mobility(done["mobility"], extent, pictures)


def _paper(study: Study, pictures: Path) -> Section:
    results = study.results
    return Section(
        title="The paper's three scenarios",
        question=(
            "Uncontrolled charging, each car alone against the tariff, and coordinated vehicle-to-grid, on the same "
            "cars, trips and weather, with perfect forecasts: beside the printed Table 5."
        ),
        tables={
            "table5": table5.beside_printed(results),
            "orderings": table5.orderings(results),
            "policies": table5.means_of_policies(results),
        },
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
        tables={"bridge": table},
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
        tables={
            "gain_by_rule": by_rule,
            "ranking": ranking,
            "effects": gains.effect_rows(results, axes),
        },
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
        tables={"mobility": table, "mobility_by_season": mobility.by_season(study.results)},
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
