"""Whole runs of every policy: clean by the audit, also where chargers only charge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dispatch.policies import BUILT_IN
from experiments import run
from experiments.audit import audit
from experiments.reading import Run
from sim.contracts import Forecast, Schedule, Site, Snapshot

SMALL = ("fleet.size=6", "output.report=false", "forecast.n_paths=3")
EVERYWHERE = (*SMALL, "fleet.plug_in_probability={H=1.0, W=1.0, O=1.0}")
HOME_ONLY = ("regions.1.bidirectional=false", "regions.2.bidirectional=false")


def discharged_outside_home(result: Run) -> float:
    """Energy that cars gave at chargers of work and other [kWh]."""
    rows = result.segments
    away = rows[(rows["region"] != "home") & (rows["power_kw"] < 0)]
    return float((-away["power_kw"] * (away["end_s"] - away["start_s"]) / 3600).sum())


@pytest.mark.parametrize("policy", sorted(BUILT_IN))
def test_a_day_passes_the_audit(policy: str, tmp_path: Path) -> None:
    """A day of any policy has no fault and no fallback."""
    truth = ("forecast.kind=perfect",) if policy == "day-ahead" else ()
    result = run("multi-microgrid", out=tmp_path / "run", overrides=[*SMALL, *truth], policy=policy)
    assert [str(finding) for finding in audit(result)] == []
    assert result.kpis["fallbacks"] == 0
    assert set(result.decisions["status"]) == {"optimal"}


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["rolling", "margin", "stochastic"])
def test_home_only_vehicle_to_grid(policy: str, tmp_path: Path) -> None:
    """Where only home's chargers discharge cars, none does elsewhere, and the audit agrees."""
    result = run("multi-microgrid", out=tmp_path / "run", overrides=[*SMALL, *HOME_ONLY], policy=policy)
    assert [str(finding) for finding in audit(result)] == []
    assert discharged_outside_home(result) == 0.0
    assert result.kpis["ev_discharged_kwh"] > 1.0
    assert result.kpis["clipped_kwh"] < 1e-6


class Discharger:
    """Charges at home and wants to discharge everywhere else."""

    name = "discharger"
    needs_own_chain = False
    charges_on_arrival = False

    def start(self, site: Site) -> None:
        """Nothing to get ready."""

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Full power, one way or the other."""
        cars = snapshot.cars
        power = np.where(cars.region_index == 0, cars.charge_limit_kw, -cars.discharge_limit_kw)
        return Schedule(car_power_kw=np.where(cars.is_plugged, power, 0.0))


def test_discharging_where_chargers_cannot_is_cut_and_counted(tmp_path: Path) -> None:
    """A set-point that would discharge a car at such a charger is cut to nothing and stands in `clipped_kwh`."""
    free = run("multi-microgrid", out=tmp_path / "free", overrides=EVERYWHERE, dispatcher=Discharger())
    cut = run(
        "multi-microgrid", out=tmp_path / "cut", overrides=[*EVERYWHERE, *HOME_ONLY], dispatcher=Discharger()
    )
    assert discharged_outside_home(free) > 0.0
    assert discharged_outside_home(cut) == 0.0
    plugged = cut.segments[(cut.segments["region"] != "home") & cut.segments["plugged"]]
    assert len(plugged)
    assert cut.kpis["clipped_kwh"] > free.kpis["clipped_kwh"]
    assert [str(finding) for finding in audit(cut)] == []


def test_the_audit_finds_discharging_where_chargers_cannot(tmp_path: Path) -> None:
    """A folder whose scenario says that no charger discharges, while its cars do, has power-limit faults."""
    run("multi-microgrid", out=tmp_path / "run", overrides=EVERYWHERE, dispatcher=Discharger())
    path = tmp_path / "run" / "scenario.toml"
    text = path.read_text()
    assert text.count("bidirectional = true") == 3
    path.write_text(text.replace("bidirectional = true", "bidirectional = false"))
    assert any("power limit" in str(finding) for finding in audit(tmp_path / "run"))
