"""Accounts of drivers: by hand on the golden case, and on runs of the same travel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments import read_run, run
from experiments.cli import app
from experiments.driver_accounts import driver_accounts, gains, no_loser_per_kwh
from sim.errors import RunFolderError

SMALL = ("fleet.size=12", "output.report=false", "fleet.drivers.compensation_per_kwh=0.05")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A coordinated and an uncontrolled run of the same travel."""
    folder = tmp_path_factory.mktemp("runs")
    for policy in ("rolling", "uncontrolled"):
        run("multi-microgrid", policy=policy, overrides=[*SMALL], out=folder / policy)
    return folder / "rolling", folder / "uncontrolled"


def test_the_golden_case_by_hand(two_cars: Path) -> None:
    """Bills add up to the run's; what the first car gave and what it wore is known."""
    table = driver_accounts(two_cars)
    assert table["bill"].sum() == pytest.approx(0.82)
    assert table["bill_net"].sum() == pytest.approx(1.07)
    assert table["discharged_kwh"].tolist() == pytest.approx([4.0, 1.6])
    assert table["wear"].tolist() == pytest.approx([0.8, 0.32])
    # the first car: 10 -> 18 -> 16 -> 11 -> 9 kWh and what it charges at night, both ways over twice 20 kWh
    rows = read_run(two_cars).segments.query("vehicle_id == 0")
    moved = (rows["energy_end_kwh"] - rows["energy_start_kwh"]).abs().sum()
    assert table["full_cycles"][0] == pytest.approx(moved / 40.0)
    assert moved >= 17.0
    assert (table[["late", "unmet_kwh", "shortfall_kwh"]] == 0).all().all()


def test_accounts_add_up_to_the_runs_figures(pair: tuple[Path, Path]) -> None:
    """Bills, energies and compensation of all drivers are the key figures."""
    for folder in pair:
        table, kpis = driver_accounts(folder), read_run(folder).kpis
        assert table["bill"].sum() == pytest.approx(kpis["ev_bill_cny"])
        assert table["bill_net"].sum() == pytest.approx(kpis["ev_bill_net_cny"])
        assert table["discharged_kwh"].sum() == pytest.approx(kpis["ev_discharged_kwh"])
        assert table["charged_kwh"].sum() == pytest.approx(kpis["ev_charged_kwh"])
        assert table["compensation"].sum() == pytest.approx(kpis["compensation_cny"])
        assert table["unmet_kwh"].sum() == pytest.approx(kpis["unmet_kwh"])
        assert table["shortfall_kwh"].sum() == pytest.approx(kpis["departure_shortfall_kwh"], abs=1e-6)


def test_gains_are_what_bills_wear_and_compensation_make(pair: tuple[Path, Path]) -> None:
    """Mean, worst and the compensation at which nobody loses agree with the cars' own numbers."""
    found = gains(*pair)
    cars = found.cars
    np.testing.assert_allclose(cars["gain"], cars["bill_saved"] - cars["wear_more"] + cars["compensation"])
    assert found.mean == pytest.approx(cars["gain"].mean())
    assert found.worst == cars["gain"].min()
    assert cars.loc[cars["vehicle_id"] == found.worst_vehicle_id, "gain"].item() == found.worst
    before = cars["gain"] - cars["compensation"]
    if np.isfinite(found.no_loser_per_kwh):
        assert (before + found.no_loser_per_kwh * cars["discharged_kwh"] >= -1e-9).all()
        if found.no_loser_per_kwh > 0:
            assert (before + 0.99 * found.no_loser_per_kwh * cars["discharged_kwh"] < -1e-12).any()


def test_no_loser_by_hand() -> None:
    """The largest loss per kWh given; nothing where nobody loses; none where a loser gave nothing."""
    assert no_loser_per_kwh(np.array([-3.0, -1.0, 5.0]), np.array([10.0, 2.0, 0.0])) == pytest.approx(0.5)
    assert no_loser_per_kwh(np.array([0.0, 2.0]), np.zeros(2)) == 0.0
    assert no_loser_per_kwh(np.array([-0.1]), np.zeros(1)) == float("inf")


def test_runs_of_other_travel_are_refused(pair: tuple[Path, Path], two_cars: Path) -> None:
    """One message that names both folders."""
    with pytest.raises(RunFolderError, match="are not of the same cars and trips"):
        gains(pair[0], two_cars)


def test_the_command(pair: tuple[Path, Path]) -> None:
    """A summary for people, every car as CSV."""
    told = CliRunner().invoke(app, ["drivers", str(pair[0]), "--against", str(pair[1])])
    assert told.exit_code == 0
    assert "worst off is vehicle" in told.output
    assert "per kWh" in told.output
    table = CliRunner().invoke(app, ["drivers", str(pair[0]), "--csv"]).output.splitlines()
    assert table[0].startswith("vehicle_id,vehicle_class")
    assert len(table) == 13


def test_a_run_without_cars_has_no_drivers(tmp_path: Path) -> None:
    """Storage alone: the command says so, and its table has a header only."""
    ran = run("multi-microgrid", overrides=["fleet.size=0", "output.report=false"], out=tmp_path / "run")
    told = CliRunner().invoke(app, ["drivers", str(ran.path)])
    assert (told.exit_code, told.output) == (0, "the run has no cars\n")
    assert len(CliRunner().invoke(app, ["drivers", str(ran.path), "--csv"]).output.splitlines()) == 1
