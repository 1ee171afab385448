"""One car's day and the fleet's table say what the run's tables say."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from experiments.car_day import car_day, car_table, fleet_table
from experiments.car_domain import CarLimits, car_domain
from experiments.reading import records
from experiments.trace import print_trace, sorted_fleet
from sim.errors import RunFolderError, VoltwalkError


def printed(
    run: Path, vehicle: int | None, *, csv: bool = False, sort: str = "vehicle_id", width: int = 200
) -> str:
    """Print a trace into a text."""
    console = Console(file=io.StringIO(), width=width)
    print_trace(run, vehicle, csv=csv, sort=sort, console=console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_car_by_hand(two_cars: Path) -> None:
    """Energies, bounds, prices and money of the commuter are those worked out by hand."""
    table = car_table(car_day(two_cars, 0))
    assert list(table["from"][:4]) == ["00:00", "02:00", "04:30", "08:00"]
    assert table["money"].to_numpy() == pytest.approx([0, 2.0, 0, 0, 0, -1.2, 0, 0, 0, 0.1, 0])
    assert table["energy_end_kwh"].iloc[-1] == 9.4
    assert table["soc_end"].iloc[1] == pytest.approx(0.9)
    assert table["lower_kwh"].to_numpy() == pytest.approx([4, 4, 10, 8 - 4, 4, 4, 6, 4, 4, 4, 4])
    assert table["upper_kwh"].iloc[0] == pytest.approx(10 + 3.2 * 2)
    assert table["buy_price_per_kwh"].iloc[2] == pytest.approx((1.5 * 0.2 + 2.0 * 0.4) / 3.5)
    assert table["note"].iloc[3] == "home to work, 10.0 km, needed 10.0 kWh"


def test_fleet_by_hand(two_cars: Path) -> None:
    """Each car's sums are those worked out by hand."""
    fleet = fleet_table(two_cars)
    assert fleet["bill"].to_numpy() == pytest.approx([0.9, -0.08])
    assert fleet["charged_kwh"].to_numpy() == pytest.approx([10.5, 2.0])
    assert fleet["discharged_kwh"].to_numpy() == pytest.approx([4.0, 1.6])
    assert fleet["distance_km"].to_numpy() == pytest.approx([20.0, 0.0])
    assert fleet["min_soc"].to_numpy() == pytest.approx([0.45, 0.4])
    assert fleet["trips"].tolist() == [2, 0]


def test_domain_kinks_where_charging_must_begin(two_cars: Path) -> None:
    """The lower line leaves the floor when full charging just suffices, the upper one stops at the cap."""
    day = car_day(two_cars, 0)
    lower, upper = day.domain.lower, day.domain.upper
    begins_s = 28_800 - (10 - 4) / 3.2 * 3600
    assert lower.at(begins_s) == pytest.approx(4.0)
    assert lower.at(begins_s + 3600) == pytest.approx(4.0 + 3.2)
    full_s = (18 - 10) / 3.2 * 3600
    assert upper.at(full_s - 3600) == pytest.approx(18 - 3.2)
    assert upper.at(full_s + 60) == pytest.approx(18.0)


def test_domain_against_brute_force() -> None:
    """The broken lines agree with stepping through the day minute by minute."""
    rng = np.random.default_rng(3)
    limits = CarLimits(energy_min_kwh=4.0, energy_max_kwh=18.0, stored_kw=3.2)
    for _ in range(20):
        cuts = np.sort(rng.choice(np.arange(1, 1440), 7, replace=False)) * 60
        edges = np.concatenate([[0], cuts, [86_400]])
        rows = [
            {"start_s": a, "end_s": b, "activity": "driving" if i % 2 else "parked", "plugged": i % 2 == 0
             and bool(rng.random() < 0.7), "energy_start_kwh": 10.0}
            for i, (a, b) in enumerate(zip(edges[:-1], edges[1:], strict=True))
        ]  # fmt: skip
        trips = pd.DataFrame(
            {"depart_s": edges[1:-1:2], "arrive_s": edges[2::2], "energy_kwh": rng.uniform(0.5, 6, 4),
             "required_kwh": rng.uniform(5, 18, 4)}
        ).astype({"depart_s": "Int64", "arrive_s": "Int64"})  # fmt: skip
        domain = car_domain(limits, records(trips), records(pd.DataFrame(rows)))
        upper, ahead = 10.0, trips.to_dict("records")
        for row in rows:
            if row["activity"] == "driving":
                upper = max(4.0, upper - ahead[0]["energy_kwh"])
                ahead = ahead[1:]
                continue
            for t in range(row["start_s"], row["end_s"], 60):
                needed = ahead[0]["required_kwh"] if ahead else 4.0
                reach = 3.2 * (row["end_s"] - t) / 3600 if row["plugged"] else 0.0
                assert domain.lower.at(t + 1e-6) == pytest.approx(max(4.0, needed - reach), abs=1e-6)
                assert domain.upper.at(t + 1e-6) == pytest.approx(upper, abs=1e-6)
                upper = min(18.0, upper + (3.2 / 60 if row["plugged"] else 0.0))


def test_printed_car_and_csv(two_cars: Path) -> None:
    """The table names car, currency and places; as CSV it can be read back."""
    text = printed(two_cars, 0)
    assert "vehicle 0, small of 20 kWh, H-W-H, home home" in text
    assert "EUR/kWh" in text
    assert "08:00  home to work, 10.0 km, needed 10.0 kWh" in text
    assert "bill 0.90 EUR" in text
    frame = pd.read_csv(io.StringIO(printed(two_cars, 0, csv=True)))
    assert len(frame) == 11
    assert frame["money"].sum() == pytest.approx(0.9)


def test_csv_with_a_picture_is_csv_alone(two_cars: Path, tmp_path: Path) -> None:
    """Comma-separated values stay readable by a program when a picture is drawn besides."""
    console = Console(file=io.StringIO(), width=200)
    print_trace(two_cars, 0, csv=True, plot=tmp_path / "day.png", console=console)
    assert console.file.getvalue() == printed(two_cars, 0, csv=True)  # type: ignore[attr-defined]
    assert (tmp_path / "day.png").is_file()


def test_late_and_short_trips_are_noted(two_cars: Path, rewrite: object) -> None:
    """Notes tell of late departures, missing energy, help, and trips that never began."""
    assert callable(rewrite)

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[0, ["planned_depart_s", "required_kwh", "unmet_kwh"]] = [27_000, 18.5, 0.25]
        frame.loc[1, ["depart_s", "arrive_s"]] = pd.NA
        return frame

    rewrite(two_cars, "trips", change)
    notes = list(car_table(car_day(two_cars, 0))["note"])
    assert notes[3] == (
        "home to work, 10.0 km, needed 18.5 kWh, had 18.0, helped with 0.25 kWh, "
        "late by 30 min (planned 07:30)"
    )
    assert notes[-1] == "trip to home planned at 17:00 not begun"
    fleet = fleet_table(two_cars)
    assert fleet["late"].tolist() == [2, 0]
    assert fleet["shortfall_kwh"].tolist() == [pytest.approx(0.5), 0.0]


def test_fleet_is_sorted(two_cars: Path) -> None:
    """Amounts come largest first, names and identities smallest first; a minus turns it round."""
    fleet = fleet_table(two_cars)
    assert sorted_fleet(fleet, "bill")["vehicle_id"].tolist() == [0, 1]
    assert sorted_fleet(fleet, "-bill")["vehicle_id"].tolist() == [1, 0]
    assert sorted_fleet(fleet, "min_soc")["vehicle_id"].tolist() == [1, 0]
    assert sorted_fleet(fleet, "-vehicle_id")["vehicle_id"].tolist() == [1, 0]
    assert "2 cars" in printed(two_cars, None, sort="chain")


def test_tables_fit_a_terminal_of_80_columns(two_cars: Path) -> None:
    """Nothing is cut off where the terminal is narrow."""
    for vehicle in (0, 1, None):
        text = printed(two_cars, vehicle, width=80)
        assert "\N{HORIZONTAL ELLIPSIS}" not in text
        assert max(len(line) for line in text.splitlines()) <= 80


def test_mistakes_are_told(two_cars: Path) -> None:
    """Unknown cars and columns, and a plot of a fleet, are refused with what there is."""
    with pytest.raises(RunFolderError, match=r"no vehicle 7, it has 0\.\.1"):
        car_day(two_cars, 7)
    with pytest.raises(VoltwalkError, match=r"--sort km: no such column; there are vehicle_id"):
        printed(two_cars, None, sort="km")
    with pytest.raises(VoltwalkError, match="name a VEHICLE"):
        print_trace(two_cars, None, plot=Path("x.png"), console=Console(file=io.StringIO()))
