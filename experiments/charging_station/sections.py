"""What the study found, as sections of its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from experiments.charging_station import figures, tables
from experiments.charging_station.cases import PRINTED
from experiments.charging_station.fronts import against_exact, times_against_exact
from experiments.charging_station.plan import DAY, PEAKS, Extent
from experiments.charging_station.real_days import (
    ELSEWHERE_USD_PER_KWH,
    PARTS,
    against,
    policies_table,
    rows_of,
    sessions_a_day,
)
from experiments.experiment.conduct import Ran
from experiments.experiment.drawing import bars_figure, draw
from experiments.experiment.kept import audit_section, decision_seconds
from experiments.experiment.page import Section, Shown
from experiments.figures import write_pngs
from experiments.monte_carlo.reading import Study


def sections(ran: Ran, extent: Extent, pictures: Path) -> Iterator[Section]:
    """All sections, in the order of the page; their figures are drawn into ``pictures``."""
    sheets = ran.sheets
    yield _cases(sheets, pictures)
    yield _reach(sheets)
    yield _bridge(sheets["bridge"])
    yield _fronts(sheets, extent, pictures)
    yield _carbon(sheets, pictures)
    yield _capacity(sheets, pictures)
    yield _sizes(sheets["sizing"], extent)
    yield _execution(sheets["execution"], pictures)
    yield _real_days(ran.parts, pictures)
    yield audit_section(ran.findings)


def _cases(sheets: Mapping[str, pd.DataFrame], pictures: Path) -> Section:
    cases, curves = sheets["cases"], sheets["curves"]
    peaks = ", ".join(f"{name} {kw:,.0f} kW" for name, kw in PEAKS.items())
    return Section(
        title="The paper's four cases",
        question=(
            "Unordered charging with and without sun, ordered without storage, ordered with storage: 15 "
            f"June (day {DAY}), in hours, beside three buildings ({peaks}), each with as much sun as makes "
            "1,200 kWh useful by (3)."
        ),
        tables=(
            Shown(
                name="cases",
                caption=(
                    "The cases, at the optimum of (9) with w1 = w2 = 0.5 and at the cheapest plan; changes "
                    "against case 1 in per cent beside the printed ones. Unmet: what full power cannot "
                    "give within the stays"
                ),
                frame=cases,
            ),
        ),
        figures={
            "Load by case at the optimum of (9); below, case 3": draw(
                lambda: figures.load_figure(curves), pictures / "loads.png"
            ),
            "What is bought and sold, by case, and what it costs": draw(
                lambda: figures.purchase_figure(cases), pictures / "purchase.png"
            ),
        },
    )


def _reach(sheets: Mapping[str, pd.DataFrame]) -> Section:
    pairs = "; ".join(
        f"case {case}: cost {cost:+.1f} %, peak-valley {spread:+.1f} %"
        for case, (cost, spread) in PRINTED.items()
    )
    return Section(
        title="What can be reached",
        question=(
            f"Printed ({pairs}). On days spread over the year, each with cars of its own: the best change "
            "of each objective, and whether a plan exists that is at least as good as the printed pair in "
            "both. A pair is out of reach where a certified bound says so."
        ),
        tables=(
            Shown(
                name="reach",
                caption="Best changes against case 1 [%], means over days (n) with 95 % intervals; "
                "on how many days the printed pair is reached",
                frame=tables.reach_table(sheets["reach"]),
            ),
        ),
    )


def _bridge(changes: pd.DataFrame) -> Section:
    return Section(
        title="From their numbers to ours",
        question=(
            "The small building at the optimum of (9), one assumption switched at a time: which of them "
            "could explain the printed changes. An ordered schedule never has to cost more than the "
            "unordered one, for it could be that one: case 2's +10.3 % is a price of flatness, of a "
            "heuristic, or of another account."
        ),
        tables=(
            Shown(
                name="bridge",
                caption="Changes against case 1 [%], means over days (n); by how much the switch "
                "moves case 3, with 95 % intervals",
                frame=tables.bridge_table(changes),
            ),
        ),
    )


def _fronts(sheets: Mapping[str, pd.DataFrame], extent: Extent, pictures: Path) -> Section:
    fronts, found, cases = sheets["fronts"], sheets["searches"], sheets["cases"]
    third = fronts[fronts["case"] == "3"]
    return Section(
        title="Exact fronts beside evolutionary search",
        question=(
            f"Cost against peak-valley difference: {extent.n_points} points of each exact front with "
            "certified gaps, and what an elitist genetic algorithm (on (9)) and NSGA-II find with "
            f"populations of {extent.population} over {extent.n_seeds} seeds, ten times as long (the last "
            "table)."
        ),
        tables=(
            Shown(name="fronts", caption="The exact fronts", frame=tables.fronts_table(fronts)),
            Shown(
                name="searches",
                caption="Searches in case 3: gap to the optimum of (9), share of the exact front's hypervolume",
                frame=against_exact(third, found),
            ),
            Shown(
                name="front_points",
                caption="All points of the fronts and the optima of weighted sums",
                frame=fronts.drop(columns="seconds"),
                is_folded=True,
            ),
            Shown(
                name="front_seconds",
                caption="Seconds of a whole exact front, and of one search (median), on the machine "
                "that ran the study",
                frame=times_against_exact(third, found),
                is_of_machine=True,
            ),
        ),
        figures={
            "Fronts in hours, searches in case 3, printed pairs": draw(
                lambda: figures.front_figure(fronts, found, cases), pictures / "fronts.png"
            )
        },
    )


def _carbon(sheets: Mapping[str, pd.DataFrame], pictures: Path) -> Section:
    carbon = sheets["carbon"]
    return Section(
        title="Carbon as a third objective",
        question=(
            "Emissions of imported energy at the marginal rate of the hour (California, 2019): the front "
            "of cost and emissions in case 3, and the least cost where the peak-valley difference is "
            "bounded as well."
        ),
        tables=(
            Shown(name="carbon", caption="Fronts of cost and emissions", frame=tables.fronts_table(carbon)),
            Shown(
                name="three_objectives",
                caption="Least cost under bounds on both other objectives",
                frame=sheets["three"],
                is_folded=True,
            ),
        ),
        figures={
            "Cost against emissions, case 3": draw(
                lambda: figures.carbon_figure(carbon), pictures / "carbon.png"
            )
        },
    )


def _capacity(sheets: Mapping[str, pd.DataFrame], pictures: Path) -> Section:
    capacity, sizing = sheets["capacity"], sheets["sizing"]
    break_even = tables.columns_in_use(sizing[sizing["what"] == "break-even"].drop(columns="what"))
    return Section(
        title="How much storage: the paper's search and the price of storage",
        question=(
            "Equation (4) raises the capacity by 200 kWh as long as F falls. Operation alone never rises "
            "with capacity, so that search ends at its bound; with a price of storage it is a question of "
            "that price: the last 200 kWh pay below the break-even price (6 % interest, 12 years). Where "
            "it lies below the market's price, 1,000 kWh beat 1,200."
        ),
        tables=(
            Shown(
                name="capacity",
                caption="F of (9) by capacity, one day, exact and by the genetic algorithm",
                frame=capacity,
            ),
            Shown(
                name="break_even",
                caption="Yearly operation by capacity at 500 kW, and the price of storage below "
                "which the last 200 kWh pay",
                frame=break_even,
            ),
        ),
        figures={
            "F by capacity, and break-even price": draw(
                lambda: figures.capacity_figure(capacity, break_even), pictures / "capacity.png"
            )
        },
    )


def _sizes(sizing: pd.DataFrame, extent: Extent) -> Section:
    rows = tables.columns_in_use(sizing[sizing["what"] == "sizes"].drop(columns="what"))
    days = ", ".join(str(k) for k in extent.representative)
    return Section(
        title="Sizes with capital cost",
        question=(
            "Storage energy and power, PV (up to the roof of equation (3)) and charging points that cost "
            f"least a year, annuities, wear and a demand charge included: chosen by {days} representative "
            "days and by the days of the year, and what each choice costs on the days of the year, every "
            "one at its own optimum with all rules."
        ),
        tables=(
            Shown(
                name="sizes",
                caption="Sizes by number of days (the last row of each building: the year's own), "
                "and their cost on the year's days",
                frame=rows,
            ),
        ),
    )


def _execution(execution: pd.DataFrame, pictures: Path) -> Section:
    return Section(
        title="An hourly plan in quarter-hours",
        question=(
            "The same day planned in hours, as the paper does, and carried out in quarter-hours: how much "
            "of what the plan says it saves is there."
        ),
        tables=(
            Shown(
                name="execution",
                caption=(
                    "Changes against case 1 [%] as planned and as carried out, the difference in points "
                    "with 95 % intervals over days (n), and planned in quarter-hours"
                ),
                frame=tables.execution_table(execution),
            ),
        ),
        figures={
            "Planned in hours, carried out in quarter-hours": draw(
                lambda: figures.execution_figure(execution), pictures / "execution.png"
            )
        },
    )


def _real_days(parts: Mapping[str, Study], pictures: Path) -> Section:
    rows = rows_of(parts)
    table, sessions = policies_table(rows), sessions_a_day(rows)
    times = pd.concat(
        [decision_seconds(parts[name]).assign(part=name) for name in PARTS if name != "optimum"],
        ignore_index=True,
    )
    full = rows[(rows["name"] == "rolling")].sort_values("sessions_served", kind="stable").iloc[-1]
    run = parts["real-days"].kept(0, cell=int(full["cell"]), policy="rolling")
    drawn = {path.stem: path for path in write_pngs(run, pictures)}
    regret = table[table["policy"] != "day-ahead"]
    return Section(
        title="Real days",
        question=(
            f"Real sessions of two workplaces on {len(sessions)} weekdays of 2019 ({sessions.min():.0f} to "
            f"{sessions.max():.0f} cars a day, {sessions.median():.0f} in the median) at a site with a "
            "building, sun and storage: cars are unknown until they come, declare what their drivers "
            "declared and need what they took; every 15 minutes it is decided anew. Against the day's "
            "optimum with everything known."
        ),
        tables=(
            Shown(
                name="real_days",
                caption="Policies on real days: means a day; regret against the day-ahead optimum "
                "with its 95 % interval over days (n)",
                frame=table,
            ),
            Shown(
                name="against_first_come",
                caption="Against first-come: differences a day, paired, 95 % intervals",
                frame=against(rows, "first-come"),
            ),
            Shown(
                name="decision_times",
                caption="Time per decision on the machine that ran the study",
                frame=times,
                is_of_machine=True,
            ),
        ),
        figures={
            "Regret by policy": draw(
                lambda: bars_figure(
                    regret,
                    label="policy",
                    value="regret with lacking [USD]",
                    low="with lacking low",
                    high="with lacking high",
                    axis_label="net cost, lacking energy bought elsewhere, above the optimum [USD a day]",
                ),
                pictures / "real-regret.png",
            ),
            "Days by policy": draw(lambda: figures.real_days_figure(rows), pictures / "real-days.png"),
            f"Power balance on the fullest day ({full['day']}), rolling": drawn["balance"],
        },
        notes=(
            "Net cost: less what cars and storage hold more at the end, at lambda per kWh. What cars lack "
            f"stands beside it, and with lacking: bought elsewhere at {ELSEWHERE_USD_PER_KWH:.2f} USD per "
            "kWh.",
            "The optimum is planned once with everything known, and its chargers wait for the next "
            "quarter-hour; the others' give full power from the second of arrival to the next decision.",
        ),
    )
