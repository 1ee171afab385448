"""Key figures equal what a small case gives by hand."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.metrics import READ, emissions_kg, energy_at_departure_kwh, ev_bill, grid_arrays, key_figures
from experiments.reading import read_run
from sim.key_figures import KEY_FIGURES
from sim.scenario import Scenario

GOLDEN = Path(__file__).parent / "golden"


def figures_of(folder: Path) -> dict[str, float]:
    """Compute the key figures of a folder."""
    run = read_run(folder)
    scenario = Scenario.model_validate(tomllib.loads((folder / "scenario.toml").read_text(encoding="utf-8")))
    tables = {name: getattr(run, name) for name in READ}
    return key_figures(scenario, tables, energy_value=0.25)


def test_every_figure_of_the_golden_case(two_cars: Path) -> None:
    """The key figures of two cars are those worked out by hand, in the documented order."""
    expected = json.loads((GOLDEN / "two_cars" / "kpis.json").read_text(encoding="utf-8"))
    figures = figures_of(two_cars)
    assert list(figures) == list(expected) == [figure.name_in("EUR") for figure in KEY_FIGURES]
    assert figures == pytest.approx(expected, abs=1e-9)


def test_bill_over_a_price_change(two_cars: Path, rewrite: Any) -> None:
    """A segment that spans a price change is billed to the second: 10 s at 0.2 and 50 s at 0.4."""
    segments = pd.DataFrame({"start_s": [21_590], "end_s": [21_650], "region": ["home"], "power_kw": [3.6]})
    grid = read_run(two_cars).grid
    assert ev_bill(segments, grid) == pytest.approx(3.6 * (10 * 0.2 + 50 * 0.4) / 3600)
    assert ev_bill(segments.assign(power_kw=-3.6), grid) == pytest.approx(-3.6 * (10 * 0.1 + 50 * 0.3) / 3600)


@given(
    st.lists(
        st.tuples(st.integers(0, 86_399), st.integers(1, 7200), st.floats(-5, 5)), min_size=1, max_size=5
    ),
    st.lists(st.floats(-0.1, 1.0), min_size=96, max_size=96),
)
def test_bill_against_second_by_second(rows: list[tuple[int, int, float]], prices: list[float]) -> None:
    """Bills equal the sum over every second of power times the price of its step."""
    segments = pd.DataFrame(
        {
            "start_s": [start for start, _, _ in rows],
            "end_s": [min(start + length, 86_400) for start, length, _ in rows],
            "region": "home",
            "power_kw": [power for _, _, power in rows],
        }
    )
    sell = [0.5 * price for price in prices]
    grid = pd.DataFrame({"step_start_s": np.arange(96) * 900, "region": "home"}).assign(
        buy_price_per_kwh=prices, sell_price_per_kwh=sell
    )
    per_second = np.repeat(prices, 900)
    expected = 0.0
    for row in segments.itertuples():
        price_h = per_second[row.start_s : row.end_s].sum() / 3600
        expected += row.power_kw * price_h * (1.0 if row.power_kw > 0 else 0.5)
    assert ev_bill(segments, grid) == pytest.approx(expected, abs=1e-9)


def test_energy_at_departure_of_trips_without_a_stay() -> None:
    """Two trips in one driving row: the second leaves with what the first left over, help included."""
    trips = pd.DataFrame(
        {
            "vehicle_id": [4, 4, 5],
            "depart_s": [100, 200, None],
            "energy_kwh": [2.0, 3.0, 1.0],
            "unmet_kwh": [0.5, 0.0, 0.0],
        }
    ).astype({"depart_s": "Int64"})
    segments = pd.DataFrame(
        {
            "vehicle_id": [4, 5],
            "activity": ["driving", "parked"],
            "start_s": [100, 0],
            "end_s": [300, 86_400],
            "energy_start_kwh": [10.0, 7.0],
        }
    )
    energy = energy_at_departure_kwh(trips, segments)
    assert energy[:2] == pytest.approx([10.0, 8.5])
    assert np.isnan(energy[2])


def test_late_short_and_unbegun_trips_are_counted(two_cars: Path, rewrite: Any) -> None:
    """A trip begun late, one never begun, and energy below what was needed show in the figures."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[0, ["planned_depart_s", "required_kwh"]] = [27_000, 18.5]
        frame.loc[1, ["depart_s", "arrive_s"]] = pd.NA
        return frame

    rewrite(two_cars, "trips", change)
    figures = figures_of(two_cars)
    assert figures["late_departures"] == 2
    assert figures["departure_shortfall_kwh"] == pytest.approx(0.5)
    assert figures["departures_met_share"] == 0.0  # of one begun: 18 of 18.5 kWh
    assert figures["departures_jain"] == pytest.approx(1.0)
    assert (figures["trips"], figures["distance_km"]) == (1, 10.0)


def test_fairness_among_departures(two_cars: Path, rewrite: Any) -> None:
    """18 of 18 kWh and 11 of 22: one of two served, Jain's index (1 + 0.5)^2 / (2 (1 + 0.25)) = 0.9."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame["required_kwh"] = [18.0, 22.0]
        return frame

    rewrite(two_cars, "trips", change)
    figures = figures_of(two_cars)
    assert figures["departures_met_share"] == pytest.approx(0.5)
    assert figures["departures_jain"] == pytest.approx(0.9)
    rewrite(two_cars, "trips", lambda frame: frame.assign(required_kwh=0.0))
    nothing = figures_of(two_cars)
    assert (nothing["departures_met_share"], nothing["departures_jain"]) == (1.0, 1.0)


def test_rows_in_any_order(two_cars: Path, rewrite: Any) -> None:
    """The order of rows does not matter."""
    before = figures_of(two_cars)
    for table in ("trips", "segments", "grid", "storage", "decisions"):
        rewrite(two_cars, table, lambda frame: frame.sample(frac=1.0, random_state=2))
    assert figures_of(two_cars) == pytest.approx(before)


def test_missing_grid_rows_are_refused(two_cars: Path, rewrite: Any) -> None:
    """Figures of a grid table with a hole are not computed."""
    rewrite(two_cars, "grid", lambda frame: frame.iloc[1:])
    with pytest.raises(ValueError, match="exactly one row in every step"):
        figures_of(two_cars)


def test_emission_series(two_cars: Path) -> None:
    """A series of factors weighs each step's import; without its values the figure is refused."""
    run = read_run(two_cars)
    scenario = Scenario.model_validate(run.scenario)
    grid = grid_arrays(run.grid, scenario.region_names)
    factors = np.where(np.arange(96) < 24, 1.0, 0.0)
    by_hand = 16 * 6 + 4 * 2.5 + 2.0 * 0.4  # 16 kW for six hours, car 0 charging, gas
    assert emissions_kg(grid, scenario, factors) == pytest.approx(by_hand)
