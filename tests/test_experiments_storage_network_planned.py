"""What the study of the feeder plans for days in hours, computed for one day: what must hold, and that it is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dispatch.planning.program import OBJECTIVES
from experiments.experiment.page import Section, render
from experiments.experiment.sheets import run_sheets
from experiments.storage_network import planning, sections
from experiments.storage_network.plan import QUICK, planning_sheets

pytestmark = pytest.mark.slow

ROUNDING = 1e-6
"""Relative, by which a solver may miss."""


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """All planned sheets of the quick extent with more draws of calls; they are only read."""
    extent = replace(QUICK, n_draws=30)
    folder = tmp_path_factory.mktemp("planned")
    return run_sheets(folder, planning_sheets(extent), workers=0, on_sheet=lambda _: None)


def test_no_sites_undercut_the_certified_ones(sheets: dict[str, pd.DataFrame]) -> None:
    """Exact sites have no gap to speak of and are not beaten by greed or by any swept place."""
    rows = sheets["siting"]
    exact, greedy = (rows[rows["method"] == method].iloc[0] for method in ("exact", "greedy"))
    assert exact["fault"] == greedy["fault"] == ""
    assert exact["sites"].count(":") <= planning.MOST_SITES
    assert 0.0 < exact["kwh"] <= planning.MOST_SITES * planning.MOST_KWH, "1,600 cars need some storage"
    assert abs(exact["gap"]) < 1e-4
    assert greedy["cost"] >= exact["bound"] * (1.0 - ROUNDING)
    assert greedy["bound"] <= exact["cost"] * (1.0 + ROUNDING)
    swept = rows[rows["method"] == "sweep"]
    assert len(swept) == len(planning.CANDIDATES) * len(planning.SWEPT_KWH)
    assert ((swept["fault"] == "") == swept["cost"].notna()).all()
    found = swept.dropna(subset="cost")
    assert (found["cost"] >= exact["bound"] * (1.0 - ROUNDING)).all()
    assert (found["cost"] >= found["bound"] * (1.0 - ROUNDING)).all()
    assert set(found["sites"]) == {"31", "33"}, "only at the end of the branch does storage make room"


def test_points_of_a_front_trade_off_within_all_limits(sheets: dict[str, pd.DataFrame]) -> None:
    """Cost rises and the other objective falls; each point has its certified gap and could be carried out."""
    rows = sheets["fronts"]
    assert len(rows) == QUICK.n_points
    assert (np.diff(rows["cost"]) > 0.0).all()
    assert (np.diff(rows["value"]) < 0.0).all()
    assert rows["gap"].between(-ROUNDING, 1e-3).all()
    assert rows[["keeps_limits", "is_one_way"]].to_numpy().all()


def test_no_schedule_that_was_searched_is_below_a_bound(sheets: dict[str, pd.DataFrame]) -> None:
    """Neither in one objective, nor in cost at no more of all else; ends lie above their own bounds."""
    rows = sheets["many"]
    search, ends = (rows[rows["method"] == method] for method in ("NSGA-III", "exact"))
    assert ends["objective"].tolist() == list(OBJECTIVES)
    for end in ends.to_dict("records"):
        name = end["objective"]
        least = end["bound"] - ROUNDING * abs(end["bound"]) - 1e-9
        assert end[name] >= least, name
        assert (search[name] >= least).all(), name
    compared = search.dropna(subset="bound")
    assert len(compared) == QUICK.n_compared
    assert (compared["cost"] >= compared["bound"] * (1.0 - ROUNDING)).all()


def test_reserve_with_its_energy_is_there_when_it_is_called(sheets: dict[str, pd.DataFrame]) -> None:
    """A lone call of an hour, for which the energy is kept, is delivered in full; power alone is less and cheaper."""
    rows = sheets["reserve"]
    kept, alone = (rows[rows["keeps_energy"] == keeps].reset_index(drop=True) for keeps in (True, False))
    lone = kept[(kept["call_h"] == 1.0) & (kept["activations"] == 1)]
    assert len(lone) > 0
    assert (lone["in_full"] == 1).all()
    np.testing.assert_allclose(lone["delivered_kwh"], lone["asked_kwh"], rtol=1e-5)
    assert (rows["delivered_kwh"] <= rows["asked_kwh"] * (1.0 + ROUNDING)).all()
    for call_h in (1.0, 2.0):
        with_energy, without = (
            own[own["call_h"] == call_h][["delivered_kwh", "asked_kwh"]].sum() for own in (kept, alone)
        )
        share, other = (own["delivered_kwh"] / own["asked_kwh"] for own in (with_energy, without))
        assert share > other + 0.1
    assert alone["cost"].iloc[0] < kept["cost"].iloc[0], "rows on energy can only cost"
    assert (kept["gap"] < 1e-3).all()


def test_storage_makes_room_for_sun(sheets: dict[str, pd.DataFrame]) -> None:
    """Free storage hosts no less than idle storage, neither more than the bound, and a limit is what stops it."""
    rows = sheets["sun"]
    wide = rows.pivot_table(index="day", columns="storage", values="further_kw")
    assert (wide["free"] >= wide["idle"] - 0.1).all()
    assert (rows["further_kw"] <= rows["bound_kw"] * (1.0 + ROUNDING)).all()
    assert (rows["further_kw"] > 0.95 * rows["bound_kw"]).all()
    assert (rows["there_kw"] == 1250.0).all()
    np.testing.assert_allclose(rows["highest_loading"], 1.0, atol=2e-5)


def test_all_that_is_planned_is_shown(sheets: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    """Sections with their tables and figures, and a page of them."""
    made: list[Section] = [
        sections._sites(sheets["siting"]),
        sections._fronts(sheets["fronts"], tmp_path),
        sections._many(sheets["many"], sheets["fronts"], QUICK),
        sections._reserve(sheets["reserve"]),
        sections._sun(sheets["sun"]),
    ]
    tables = {table.name: table.frame for section in made for table in section.tables}
    assert tables["siting"]["above exact"].tolist()[0] == 0.0
    assert (tables["siting"]["above exact"] >= -1.0).all()
    assert tables["fronts"]["keep the limits"].tolist() == [QUICK.n_points]
    assert tables["many_above"]["below their bound"].tolist() == [0]
    reserve = tables["reserve"]
    assert len(reserve) == 4
    told = reserve[(reserve["schedule"] == "power alone") & (reserve["calls last [h]"] == 1.0)].iloc[0]
    assert told["energy low"] < told["energy delivered [%]"] < told["energy high"]
    sun = tables["sun"].set_index("storage")
    assert (
        sun.loc["free", "on every day [kW]"] == sheets["sun"].query("storage == 'free'")["further_kw"].min()
    )
    assert (sun["on every day [kW]"] <= sun["mean [kW]"]).all()
    page = render("title", "lead", made)
    for section in made:
        assert section.title in page
    assert (tmp_path / "fronts.png").stat().st_size > 0
