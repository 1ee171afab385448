"""Regions whose chargers only charge."""

from __future__ import annotations

import pytest

from experiments import run
from experiments.audit import audit
from sim.contracts import Forecast, Schedule, Site, Snapshot

SMALL = (
    "fleet.size=20",
    "output.report=false",
    "regions.work.bidirectional=false",
    "regions.other.bidirectional=false",
)


class Drain:
    """Asks every car away from home to discharge at full power."""

    name = "drain"
    needs_own_chain = False
    charges_on_arrival = False

    def start(self, site: Site) -> None:
        """Nothing to get ready."""

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Full discharging away from the first region."""
        cars = snapshot.cars
        return Schedule(car_power_kw=-cars.discharge_limit_kw * (cars.region_index > 0))


@pytest.mark.parametrize("kind", ["persistence", "perfect"])
def test_cars_give_back_only_where_chargers_can(kind: str, tmp_path) -> None:  # noqa: ANN001
    """The program does not plan it, nothing has to be cut, the audit agrees; at home cars still give back."""
    result = run("multi-microgrid", overrides=[*SMALL, f"forecast.kind={kind}"], out=tmp_path / "run")
    given = result.segments[result.segments["power_kw"] < 0]
    assert set(given["region"]) == {"home"}
    assert audit(result.path) == []
    assert result.kpis["max_gap"] <= 1e-6


def test_discharging_elsewhere_is_cut_and_counted(tmp_path) -> None:  # noqa: ANN001
    """A policy that asks for it gets nothing, and the energy asked counts in `clipped_kwh`."""
    everywhere, home = (
        run("multi-microgrid", overrides=settings, dispatcher=Drain(), out=tmp_path / name)
        for name, settings in (("all", SMALL[:2]), ("home", SMALL))
    )
    assert (home.segments["power_kw"] >= 0).all()
    assert (everywhere.segments["power_kw"] < 0).any()
    assert home.kpis["clipped_kwh"] > everywhere.kpis["clipped_kwh"]
