"""All six objectives on the study's page: tables of ends and distances, points and schedules in the viewer, offline."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dispatch.planning.program import OBJECTIVES
from experiments.experiment.page import Explorer, Point, Section, render
from experiments.storage_network.explorer import explorer
from experiments.storage_network.planning import HOURS, storage_names
from experiments.storage_network.planning_tables import above_table, ends_table

N_UNITS = len(storage_names())


def row(method: str, values: list[float], bound: float, **more: Any) -> dict[str, Any]:
    """A row as `planning.evolved` makes it; the first unit charges the hour's number."""
    storage = np.zeros((HOURS, N_UNITS))
    storage[:, 0] = np.arange(HOURS)
    return {
        "method": method,
        "objective": "",
        **dict(zip(OBJECTIVES, values, strict=True)),
        "bound": bound,
        "storage_kw": storage.ravel().tolist(),
        "exchange_kw": (100.0 + np.arange(HOURS)).tolist(),
        "curtailed_kw": [0.0] * HOURS,
        **more,
    }


@pytest.fixture
def searched() -> pd.DataFrame:
    """Two points, one of them compared, and six ends."""
    rows = [
        row("NSGA-III", [10.0, 5.0, 3.0, 0.02, 1.0, 7.0], 9.0),
        row("NSGA-III", [12.0, 4.0, 3.5, 0.01, 2.0, 8.0], float("nan"), curtailed_kw=[2.5] * HOURS),
    ]
    least = [8.0, 2.0, 3.0, 0.01, 0.0, 6.0]
    rows += [
        row("exact", least, value, objective=name) for name, value in zip(OBJECTIVES, least, strict=True)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def fronts() -> pd.DataFrame:
    """One point of one exact front."""
    known = row("", [8.0, 5.0, 3.0, 0.02, 1.0, 7.0], 0.0, second="loss_kwh", gap=1e-4)
    return pd.DataFrame([known])


def test_ends_beside_their_bounds(searched: pd.DataFrame) -> None:
    """Each objective's best is of the search alone; shares of nothing are left empty."""
    table = ends_table(searched)
    cost, wear = table["cost [EUR a day]"], table["discharged [kWh a day]"]
    assert cost.tolist() == pytest.approx([10.0, 8.0, 8.0, 2.0, 25.0])
    assert wear.iloc[:4].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert np.isnan(wear.iloc[4])
    above = above_table(searched).iloc[0]
    assert (above["points"], above["compared"], above["median above [EUR]"]) == (2, 1, 1.0)
    assert above["below their bound"] == 0


def data_of(page: str) -> dict[str, Any]:
    """What the page's script reads."""
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_page_holds_points_and_schedules(searched: pd.DataFrame, fronts: pd.DataFrame) -> None:
    """Points of both kinds with units, all their hours, and nothing that is fetched from elsewhere."""
    section = Section(title="t", question="q", explorer=explorer(searched, fronts))
    page = render("title", "lead", [Section(title="before", question=""), section])
    (found,) = data_of(page)["explorers"]
    assert [label.split(" [")[0] for label in found["axes"]][:2] == ["cost", "peak less valley"]
    assert all("[" in label for label in found["axes"])
    groups = [point["group"] for point in found["points"]]
    assert groups == ["NSGA-III", "NSGA-III", "exact, cost and losses"]
    first, second, exact = found["points"]
    assert first["note"] == "1.00 EUR above its certified bound"
    assert second["note"] == ""
    assert "gap 0.01 %" in exact["note"]
    assert list(first["series"]) == [*storage_names(), "exchange with the source"]
    assert first["series"][storage_names()[0]] == list(range(HOURS))
    assert second["series"]["sun curtailed"] == [2.5] * HOURS
    assert exact["values"][:2] == [8.0, 5.0]
    assert "Plotly" in page
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(?!data:)', own)
    assert page.count('class="explorer"') == 1
    assert 'tabindex="0"' in page
    assert "aria-live" in page


def test_pages_without_points_carry_no_library() -> None:
    """Other studies' pages stay small; a name cannot end the page's data."""
    assert len(render("title", "lead", [Section(title="t", question="q")])) < 20_000
    named = Point(group="</script>", values=(1.0,), series={"a": (1.0, 2.0)})
    made = Explorer(caption="c", axes=("x [kW]",), points=(named,), step_h=1.0)
    page = render("title", "lead", [Section(title="t", question="q", explorer=made)])
    assert data_of(page)["explorers"][0]["points"][0]["group"] == "</script>"
