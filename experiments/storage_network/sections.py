"""What the study found, as sections of its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from experiments.experiment.conduct import Ran
from experiments.experiment.drawing import bars_figure, draw
from experiments.experiment.kept import audit_section, decision_seconds
from experiments.experiment.page import Section, Shown
from experiments.feeder_facts import Band
from experiments.feeder_figures import loading_figure, map_figure, voltage_figure
from experiments.monte_carlo.reading import Study
from experiments.reading import Run
from experiments.storage_network import days, figures
from experiments.storage_network.explorer import explorer
from experiments.storage_network.forecast_scores import scores_table
from experiments.storage_network.hosting import hosting_table
from experiments.storage_network.linear_error import linear_errors
from experiments.storage_network.plan import (
    CHARGER_KVAR_PER_KW,
    DEMAND_PRICE,
    EVERY_DAYS,
    INVERTER_KVA,
    KIND,
    TIGHT_PU,
    Extent,
)
from experiments.storage_network.planning import (
    CALLED,
    CANDIDATES,
    MOST_KWH,
    MOST_SITES,
    RESERVE_PER_KW_H,
    SUSTAINED_H,
)
from experiments.storage_network.planning_tables import (
    above_table,
    ends_table,
    fronts_table,
    reserve_table,
    siting_table,
    sun_table,
)


def sections(ran: Ran, extent: Extent, pictures: Path) -> Iterator[Section]:
    """All sections, in the order of the page; their figures are drawn into ``pictures``."""
    rows = days.rows_of(ran.parts)
    yield _policies(rows, ran.parts, extent, pictures)
    yield _one_day(ran.parts, pictures)
    yield _uses(rows, ran.parts)
    yield _hosting(ran.sheets["hosting"], extent, pictures)
    yield _reactive(ran.parts)
    yield _markets(ran.parts["markets"])
    yield _sites(ran.sheets["siting"])
    yield _fronts(ran.sheets["fronts"], pictures)
    yield _many(ran.sheets["many"], ran.sheets["fronts"], extent)
    yield _reserve(ran.sheets["reserve"])
    yield _sun(ran.sheets["sun"])
    yield _forecasts(ran.sheets)
    yield _known(ran.parts)
    yield _linear(ran.parts)
    yield audit_section(ran.findings)


def _policies(rows: pd.DataFrame, parts: Mapping[str, Study], extent: Extent, pictures: Path) -> Section:
    table, served = days.halves(days.compared(rows), days.SERVED)
    bars = table.assign(label=table["policy"] + ", " + table["forecasts"])
    return Section(
        title="Policies and forecasts",
        question=(
            f"{extent.n_days} days of 2019, {extent.n_cars} cars, a fleet of its own each day: uncontrolled charging "
            "beside storage that is scheduled; each station at its own meter; coordinated charging without and with "
            "the feeder's limits among the program's rows; and with a tenth of each rating left free for what "
            "forecasts miss. With perfect forecasts one plan is made for the whole day, all else is decided anew "
            "every 15 minutes; prices of the day are known to all. Cars and storage begin the day full. Costs are "
            "compared with the plan with foresight within the limits; no plan heeds the losses that it adds, so that "
            "others may cost some cents less. A decision whose program has no usable answer lets every car charge at "
            "full power: such fallbacks are counted, and a day on which the plan with foresight has one measures "
            "nothing."
        ),
        tables=(
            Shown(
                name="policies",
                caption=(
                    "Net cost and violations by policy and forecasts, means over days (n) with 95 % intervals but "
                    "where a column says all; violations by AC power flow, lines and buses counted in each quarter-hour"
                ),
                frame=table,
            ),
            Shown(
                name="policies_served",
                caption=(
                    "Loading, voltages, losses, what was not served and what the simulation cut of plans, by policy "
                    "and forecasts, means over days (n) but where a column says all"
                ),
                frame=served,
            ),
            Shown(
                name="pairs",
                caption=(
                    "What learned forecasts, the margin and leaving the feeder's limits out change: differences of a "
                    "day, paired by day, with 95 % intervals over days (n) on which no decision of either failed"
                ),
                frame=days.pairs(rows),
            ),
            Shown(
                name="decision_times",
                caption="Seconds of single decisions of coordinated charging within the limits",
                frame=decision_seconds(parts["kept"], KIND),
                is_of_machine=True,
            ),
        ),
        figures={
            "Quarter-hours of a day with a violation": draw(
                lambda: bars_figure(
                    bars,
                    label="label",
                    value="violating quarter-hours",
                    low="quarter-hours low",
                    high="quarter-hours high",
                    axis_label="quarter-hours of a day with a violation",
                ),
                pictures / "violations.png",
            ),
            "Cost above the plan with foresight": draw(
                lambda: bars_figure(
                    bars,
                    label="label",
                    value="above foresight [EUR]",
                    low="above low",
                    high="above high",
                    axis_label="cost above the plan with foresight [EUR a day]",
                ),
                pictures / "costs.png",
            ),
        },
    )


def _one_day(parts: Mapping[str, Study], pictures: Path) -> Section:
    """The first day under uncontrolled charging, and with foresight without and within the limits."""
    drawn: dict[str, Path] = {}
    for part, words in (
        ("uncontrolled", "uncontrolled"),
        ("pooled", "foresight without network rows"),
        ("optimum", "foresight within the limits"),
    ):
        run = next(run for _, _, run in parts[part].kept_runs())
        drawn |= _day_figures(run, words, pictures, part)
    return Section(
        title="One day on the feeder",
        question=(
            "The study's first day: voltages and loading over the day, and the feeder coloured by the largest loading "
            "of its lines and the lowest voltage of its buses."
        ),
        figures=drawn,
    )


def _day_figures(run: Run, words: str, pictures: Path, part: str) -> dict[str, Path]:
    voltages, branches = run.table("voltages"), run.table("branches")
    feeder = run.scenario["feeder"]
    band = Band(low_pu=feeder["voltage_min_pu"], high_pu=feeder["voltage_max_pu"])
    return {
        f"Voltages, {words}": draw(lambda: voltage_figure(voltages, band), pictures / f"voltages-{part}.png"),
        f"Loading, {words}": draw(
            lambda: loading_figure(voltages, branches), pictures / f"loading-{part}.png"
        ),
        f"Map, {words}": draw(lambda: map_figure(voltages, branches, band), pictures / f"map-{part}.png"),
    }


def _uses(rows: pd.DataFrame, parts: Mapping[str, Study]) -> Section:
    used, stored = days.halves(days.uses(rows, parts), days.STORED)
    return Section(
        title="Peaks, storage and sun",
        question=(
            "What the grid, the storage and the sun are used for. All regions together are an energy community behind "
            "one meter: what one has left over, another uses, and only what all have left over is curtailed."
        ),
        tables=(
            Shown(
                name="uses",
                caption=(
                    "Peaks, self-consumption of the community (of the sums over the days), voltages and emissions, by "
                    "policy and forecasts; means over days (n)"
                ),
                frame=used,
            ),
            Shown(
                name="uses_storage",
                caption="Use of storage and of cars as storage, by policy and forecasts; means over days (n)",
                frame=stored,
            ),
        ),
    )


def _hosting(rows: pd.DataFrame, extent: Extent, pictures: Path) -> Section:
    table = hosting_table(rows)
    return Section(
        title="How many cars the feeder takes",
        question=(
            "On the study's first day, which respects every limit without cars: the largest fleet before the first "
            "quarter-hour with a voltage, a line or a driver out of bounds, by way of charging. Fleets grow car by "
            f"car; the search halves, to {extent.hosting_step} cars, and ends at {extent.hosting_most:,} cars that "
            f"charge when they come and at {extent.coordinated_most:,} others. A decision that failed ends a search "
            "too, and is not taken as the feeder's limit."
        ),
        tables=(
            Shown(
                name="hosting",
                caption="Cars that the feeder takes, mean over fleets (n) with 95 % intervals. Counts are floors in "
                f"steps of {extent.hosting_step:,} cars; at least: a search ended without a violation, and the mean is "
                "a lower bound without an interval (as there is none of fewer than three fleets, or of equal ones)",
                frame=table,
            ),
        ),
        figures={
            "Cars before the first violation": draw(
                lambda: bars_figure(
                    table, label="charging", value="cars", low="low", high="high", axis_label="cars"
                ),
                pictures / "hosting.png",
            )
        },
    )


def _reactive(parts: Mapping[str, Study]) -> Section:
    return Section(
        title="What inverters add",
        question=(
            f"The plan with foresight where no voltage shall be below {TIGHT_PU:g} p.u., a band that loads alone leave "
            f"on many days: with active power only, with {INVERTER_KVA:g} kVA inverters of storage that give reactive "
            f"power besides, and with cars' chargers that give {CHARGER_KVAR_PER_KW:g} kvar per kW too."
        ),
        tables=(
            Shown(
                name="reactive",
                caption="Voltages outside the narrower band, cost and losses, means over days (n); paired differences "
                "with 95 % intervals",
                is_mixed=True,
                frame=days.reactive(
                    parts["tight"],
                    {"storage": parts["tight-reactive"], "storage, chargers": parts["tight-chargers"]},
                ),
            ),
        ),
    )


def _sites(rows: pd.DataFrame) -> Section:
    return Section(
        title="Where storage should stand",
        question=(
            f"More cars than the feeder takes, all charging when they come, and storage to make room for them: at most "
            f"{MOST_SITES} sites among buses {', '.join(CANDIDATES)}, up to {MOST_KWH:,.0f} kWh each, for days that "
            "stand for a year, in hours; capital as annuities. Limits are hard, for hourly means. Exact: a "
            "mixed-integer program whose bound is certified; greedy: one site at a time, as long as the limits are "
            "kept; sweep: each place alone at a grid of sizes, its best shown. Gaps below 1e-6 are the solver's."
        ),
        tables=(
            Shown(
                name="siting",
                caption="Sites and sizes, cost and bound [EUR a year], gap; cost includes all energy of the feeder",
                is_mixed=True,
                frame=siting_table(rows),
            ),
            Shown(
                name="sweep",
                caption="Every place alone at every size; empty: no plan keeps the limits, or none was found, as the "
                "fault tells",
                frame=rows[rows["method"] == "sweep"].drop(columns=["method"]),
                is_folded=True,
            ),
        ),
    )


def _fronts(rows: pd.DataFrame, pictures: Path) -> Section:
    return Section(
        title="What a schedule trades off",
        question=(
            "The scenario's storage on the study's first day with coordinated cars: least cost under a bound on each "
            "other objective; a relaxation of the AC power flow bounds what any schedule can reach, and the gap to "
            "it is "
            "told."
        ),
        tables=(
            Shown(
                name="fronts",
                caption="Ends and knees of the fronts, largest gap, points that keep the limits with storage that "
                "never charges beside discharging",
                is_mixed=True,
                frame=fronts_table(rows),
            ),
            Shown(
                name="front_points",
                caption="All points",
                frame=rows[["second", "cost", "value", "gap", "keeps_limits", "is_one_way"]],
                is_folded=True,
            ),
        ),
        figures={
            "Fronts between cost and each other objective": draw(
                lambda: figures.fronts_figure(rows), pictures / "fronts.png"
            )
        },
    )


def _many(rows: pd.DataFrame, fronts: pd.DataFrame, extent: Extent) -> Section:
    search = extent.search
    return Section(
        title="All six objectives at once",
        question=(
            "NSGA-III looks for schedules of the same storage on the same day that no other beats in all six "
            f"objectives: {search.end_generations} generations of {search.end_population} schedules for each alone, "
            f"then {search.generations} of {search.population} for all, each by AC power flow; in each step one share "
            "of all sun is curtailed. Beside it, what is certified: the exact end of each objective, and for points "
            "along the cost the least that any plan costs with no more of all else."
        ),
        tables=(
            Shown(
                name="many_ends",
                caption="Best of NSGA-III in each objective, exact end, and the bound that no plan undercuts",
                is_mixed=True,
                frame=ends_table(rows),
            ),
            Shown(
                name="many_above",
                caption="Cost of points above their certified bounds; none may be below",
                frame=above_table(rows),
            ),
        ),
        explorer=explorer(rows, fronts),
    )


def _reserve(rows: pd.DataFrame) -> Section:
    return Section(
        title="Reserve that is there when it is called",
        question=(
            f"The scenario's storage also offers power held ready, at {RESERVE_PER_KW_H:g} EUR per kW and hour each "
            f"way. A schedule that keeps the energy for one full activation of {SUSTAINED_H:g} h beside one that keeps "
            f"only the power; both are then called at random (in a free hour with {CALLED:.0%}), for an hour or for "
            f"two "
            "in the mean, and go back to their schedule in between. Costs are planned ones, reserve's income taken "
            "off and nothing paid for what is missed. Each day has calls of its own, the same for both schedules."
        ),
        tables=(
            Shown(
                name="reserve",
                caption="Reserve held, cost of the day, share of called energy and of activations delivered, with 95 % "
                "intervals over draws (n), each draw of each day one: they tell what chance of calls does on these "
                "days, which are chosen to stand for a year and too few for an interval over days; the least day "
                "stands beside. None where every draw has the same share",
                frame=reserve_table(rows),
            ),
        ),
    )


def _sun(rows: pd.DataFrame) -> Section:
    return Section(
        title="How much more sun the feeder takes",
        question=(
            "Sun beyond what there is, at the buses that have some and in their proportions, if what the feeder does "
            "not use may be sold and nothing is curtailed: with the scenario's storage idle and with storage free, on "
            f"every {EVERY_DAYS}th day from May to July, clear or not. In kW installed, under each day's own sky: a "
            "dark day takes more of them than a clear one, and what may stand there is what the least of the days "
            "takes. A relaxation bounds what no schedule can exceed."
        ),
        tables=(
            Shown(
                name="sun",
                caption="Further sun [kW installed] by use of storage: what each of the days (n) takes, that is the "
                "least day, beside the mean over days with its 95 % interval; free less idle: the day on which "
                "storage makes least room",
                frame=sun_table(rows),
            ),
        ),
    )


def _markets(study: Study) -> Section:
    return Section(
        title="What prices do",
        question=(
            "Coordinated charging within the limits (with the margin) against uncontrolled charging at two prices a "
            f"day, at day-ahead prices, and with a demand charge of {DEMAND_PRICE:g} EUR per kW of each day's largest "
            "quarter-hour; persistence forecasts."
        ),
        tables=(
            Shown(
                name="markets",
                caption="Net cost and peaks by prices, means over days (n), the saving with its 95 % interval",
                frame=days.markets(study),
            ),
        ),
    )


def _forecasts(sheets: Mapping[str, pd.DataFrame]) -> Section:
    scores = pd.concat([sheets["forecast-scores"], sheets["charging-scores"]], ignore_index=True)
    return Section(
        title="How well the day is foreseen",
        question=(
            "Forecasts for the 24 hours after midnight, 6, 12 and 18 o'clock, at single buses and for the feeder in "
            "sum: single buses are harder. Charging is that of cars that charge when they come, foreseen by one day of "
            "another fleet or by the mean of several; wind is that of two turbines that the feeder does not have."
        ),
        tables=(
            Shown(
                name="forecasts",
                caption="Errors by quantity (kW, EUR/kWh), means over days (n), the MAE with its 95 % interval",
                is_mixed=True,
                frame=scores_table(scores),
            ),
        ),
    )


def _known(parts: Mapping[str, Study]) -> Section:
    return Section(
        title="What each forecast's error costs",
        question=(
            "Coordinated charging within the limits under persistence, with one part more known as it will be. "
            "Elsewhere in this study the prices of a day are known on it, as a day-ahead market publishes them; here "
            "they are foreseen too, for comparison."
        ),
        tables=(
            Shown(
                name="forecast_parts",
                caption="What a day comes to where a part is foreseen, and how much more that is than where it is "
                "known; means over days (n) with 95 % intervals",
                frame=days.forecast_parts(parts["kept"], parts["known"]),
            ),
        ),
    )


def _linear(parts: Mapping[str, Study]) -> Section:
    return Section(
        title="What the linear power flow misses",
        question=(
            "Voltages by the linear power flow against AC in every state that the runs went through. The lossless form "
            "promises more voltage than there is; with a state's own losses the form is exact, and plans are solved "
            "again until their losses are their own."
        ),
        tables=(
            Shown(
                name="linear_errors",
                caption="Errors of the linear power flow over the study's states",
                frame=linear_errors(parts),
            ),
        ),
    )
