"""The world from a scenario: by hand from small files, and from the shipped data."""

import tomllib
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.errors import ScenarioError
from sim.generation import pv_kw
from sim.scenario import Scenario
from sim.world import World, build_world

EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"
TABLES: dict[str, Any] = tomllib.loads(
    (EXPERIMENTS / "scenarios" / "multi-microgrid.toml").read_text(encoding="utf-8")
)
ARRAYS = (
    "load_kw",
    "pv_kw",
    "wind_kw",
    "buy_price_per_kwh",
    "sell_price_per_kwh",
    "curtailment_price_per_kwh",
)


def locate(file: str) -> Path:
    """Find a shipped file by its name, or take the path."""
    name = file.removeprefix("shipped:")
    found = [path for path in (EXPERIMENTS / "data").rglob("*") if path.name.split(".")[0] == name]
    return found[0] if found else Path(file)


def scenario(**changes: dict[str, Any] | list[Any]) -> Scenario:
    """Return the shipped scenario with some sections' entries (or whole lists) changed."""
    tables = {
        name: changes.get(name, part) if isinstance(part, list) else part | changes.get(name, {})  # type: ignore[operator]
        for name, part in TABLES.items()
    }
    return Scenario.model_validate(tables)


def hourly(path: Path, column: str, values: list[float]) -> dict[str, Any]:
    """Write hourly values from 19 April 2016 on, and return the reference to them."""
    first = date(2016, 4, 19)
    lines = [f"{first + timedelta(days=i // 24)} {i % 24:02d}:00,{value}" for i, value in enumerate(values)]
    path.write_text("\n".join([f"time,{column}", *lines]) + "\n", encoding="utf-8")
    return {
        "file": str(path),
        "column": column,
        "time_column": "time",
        "step_minutes": 60,
        "zone": "scenario",
        "stamp": "beginning",
        "to_quarter_hours": "hold",
        "wrap": "none",
    }


def bare_region(**parts: dict[str, Any]) -> dict[str, Any]:
    """Return a region with nothing but what is given."""
    base = {"name": "home", "place_type": "H", "weight": 1.0, "chargers": "unlimited"}
    return base | {"import_limit_kw": "unlimited", "export_limit_kw": 0.0} | parts


def test_series_by_hand(tmp_path: Path) -> None:
    """Load, PV, wind, prices and emissions of a region land in the right steps, day -1 first."""
    hours = np.arange(72.0)
    region = bare_region(
        load={"series": hourly(tmp_path / "load.csv", "a_kw", list(hours)), "factor": 2.0},
        pv={
            "rated_kw": 450.0,
            "temperature_coefficient_per_degc": -0.0047,
            "cell_heating_degc_per_w_m2": 0.03,
            "irradiance": hourly(tmp_path / "ghi.csv", "ghi_w_m2", list(10.0 * hours)),
            "temperature": hourly(tmp_path / "t.csv", "t_degc", [15.0] * 72),
        },
        wind={
            "turbine": {"rated_kw": 200.0, "cut_in_m_s": 3.0, "rated_m_s": 10.0, "cut_out_m_s": 25.0},
            "speed": hourly(tmp_path / "v.csv", "v_m_s", list(hours / 3.0)),
        },
    )
    tariff = {
        "kind": "series",
        "series": hourly(tmp_path / "price.csv", "p_per_mwh", list(hours - 30.0)),
        "per_mwh": True,
        "buy_adder_per_kwh": 0.1,
        "sell_fraction": 0.5,
        "curtailment_per_kwh": 0.2,
    }
    world = build_world(
        Scenario.model_validate(
            TABLES
            | {
                "regions": [region],
                "tariff": tariff,
                "economics": TABLES["economics"] | {"energy_value_per_kwh": 0.1},
                "emissions": {
                    "grid_kg_per_kwh": hourly(tmp_path / "e.csv", "m_kg_per_kwh", list(hours / 100.0)),
                    "gas_kg_per_m3": 2.0,
                },
            }
        ),
        locate,
    )
    assert (world.first_step, world.end_step) == (-96, 192)
    assert not world.prices_are_published
    step = world.step(45)  # 11:15 of day 0, hour 35 of the files
    assert step.load_kw[0] == 70.0
    assert step.pv_kw[0] == pytest.approx(450.0 * 0.35 * (1 - 0.0047 * (15.0 + 0.03 * 350.0 - 25.0)))
    assert step.wind_kw[0] == pytest.approx(200.0 * (35.0 / 3.0 >= 10.0))
    assert world.step(-96 + 4 * 15).wind_kw[0] == pytest.approx(200.0 * (5.0 - 3.0) / 7.0)
    assert step.buy_price_per_kwh[0] == pytest.approx(0.105)
    assert step.sell_price_per_kwh[0] == pytest.approx(0.0025)
    assert step.curtailment_price_per_kwh[0] == 0.2
    assert world.grid_kg_per_kwh[96 + 45] == pytest.approx(0.35)


def test_supplies_as_series_and_nothing_at_all(tmp_path: Path) -> None:
    """Per-unit PV and wind are scaled by the rated power; a region may have neither, nor load."""
    per_unit = hourly(tmp_path / "u.csv", "x_pu", [0.25] * 72)
    full = bare_region(
        pv={"rated_kw": 400.0, "series": per_unit}, wind={"rated_kw": 200.0, "series": per_unit}
    )
    empty = bare_region() | {"name": "work", "place_type": "W"}
    world = build_world(scenario(regions=[full, empty]), locate)
    assert world.load_kw.shape == (288, 2)
    np.testing.assert_array_equal(world.pv_kw, np.tile([100.0, 0.0], (288, 1)))
    np.testing.assert_array_equal(world.wind_kw, np.tile([50.0, 0.0], (288, 1)))
    assert world.load_kw.max() == 0.0


def test_faults_of_all_series_at_once(tmp_path: Path) -> None:
    """A missing file in one region and a short one in another are named together."""
    short = hourly(tmp_path / "short.csv", "a_kw", [1.0] * 30)
    lost = short | {"file": str(tmp_path / "lost.csv")}
    regions = [bare_region(load={"series": lost}), bare_region(load={"series": short}) | {"name": "b"}]
    with pytest.raises(ScenarioError) as caught:
        build_world(scenario(regions=regions), locate)
    assert len(caught.value.faults) == 2
    assert "regions[0].load.series" in caught.value.faults[0]
    assert "lost.csv" in caught.value.faults[0]
    assert "regions[1].load.series" in caught.value.faults[1]
    assert "short.csv" in caught.value.faults[1]


@pytest.fixture(scope="module")
def shipped() -> World:
    """Return the shipped scenario's world."""
    return build_world(scenario(), locate)


def test_shipped_world_has_a_day_worth_dispatching(shipped: World) -> None:
    """Sun and wind exceed the load at some hour of the day in some region and fall short at most."""
    day = shipped.window(0, 96)
    surplus = day.pv_kw + day.wind_kw - day.load_kw
    assert surplus.max() > 0.0
    assert np.median(surplus) < 0.0
    assert (day.load_kw > 0.0).all()
    assert day.pv_kw[:16].max() == 0.0  # dark till 04:00
    assert day.pv_kw[48].min() > 0.0


def test_shipped_loads_are_scaled_in_the_yearly_mean() -> None:
    """Over the whole file of 2016 each region's load averages 10 MWh a day."""
    world = build_world(scenario(simulation={"start": date(2016, 1, 2), "days": 363}), locate)
    per_day = world.load_kw.mean(axis=0) * 24.0
    np.testing.assert_allclose(per_day, 10_000.0, rtol=0.01)


def test_more_days_leave_earlier_days_alone(shipped: World) -> None:
    """A run of seven days begins with the very world of one day."""
    longer = build_world(scenario(simulation={"days": 7}), locate)
    assert longer.end_step == 96 * 8
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(longer, name)[:288], getattr(shipped, name))


def test_a_further_region_leaves_the_others_alone(shipped: World) -> None:
    """A fourth region has other wind, and the first three have what they had."""
    regions = [*TABLES["regions"], TABLES["regions"][0] | {"name": "home2"}]
    wider = build_world(scenario(regions=regions), locate)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(wider, name)[:, :3], getattr(shipped, name))
    assert not np.array_equal(wider.wind_kw[:, 3], wider.wind_kw[:, 0])
    np.testing.assert_array_equal(wider.load_kw[:, 3], wider.load_kw[:, 0])


def test_seed_and_replication_change_wind_only(shipped: World) -> None:
    """Chance touches drawn wind and nothing else."""
    for change in ({"seed": 2}, {"replication": 1}):
        other = build_world(scenario(simulation=change), locate)
        assert not np.array_equal(other.wind_kw, shipped.wind_kw)
        for name in set(ARRAYS) - {"wind_kw"}:
            np.testing.assert_array_equal(getattr(other, name), getattr(shipped, name))


def test_long_horizons_see_their_end() -> None:
    """A horizon of 48 h needs a day more than one of 24 h; days before are the same."""
    longer = build_world(scenario(dispatch={"horizon_steps": 97}), locate)
    assert longer.end_step == 96 * 3


def test_published_schedules_follow_the_calendar() -> None:
    """A run from 1 October has summer prices on day -1, a Friday, and winter prices from day 0 on."""
    tariff = {
        "kind": "schedule",
        "file": "shipped:sce_tou_ev_4_march_2019",
        "sell_fraction": 0.5,
        "curtailment_per_kwh": 0.0,
    }
    tables = TABLES | {"tariff": tariff}
    tables["simulation"] = tables["simulation"] | {"start": date(2016, 10, 1)}
    world = build_world(Scenario.model_validate(tables), locate)
    noon = [world.step(96 * day + 52).buy_price_per_kwh[0] for day in (-1, 0, 1)]
    assert noon == [0.26668, 0.06087, 0.06087]  # summer weekday, then a winter weekend
    assert world.prices_are_published


def test_asking_outside_the_world_is_an_error(shipped: World) -> None:
    """Steps before day -1 and after the last day are not drawn."""
    with pytest.raises(IndexError, match=r"reach outside -96\.\.192"):
        shipped.window(150, 96)
    with pytest.raises(IndexError):
        shipped.step(-97)
    assert shipped.window(96, 96).load_kw.shape == (96, 3)


def test_the_world_cannot_be_changed(shipped: World) -> None:
    """Arrays are read-only."""
    with pytest.raises(ValueError, match="read-only"):
        shipped.load_kw[0, 0] = 1.0


def test_pv_stands_under_the_sun_against_pvlib() -> None:
    """Clear days of the shipped year peak when the sun does: within a quarter-hour of pvlib's solar noon."""
    location = pytest.importorskip("pvlib.location").Location(36.1, -79.95, "Etc/GMT+5")
    pandas = pytest.importorskip("pandas")
    world = build_world(scenario(simulation={"start": date(2016, 1, 2), "days": 363}), locate)
    power = world.pv_kw[:, 0].reshape(-1, 96)
    middle_h = (np.arange(96) + 0.5) / 4.0
    total = power.sum(axis=1)
    clear = np.flatnonzero(total > np.quantile(total, 0.8))
    centroid_h = (power[clear] @ middle_h) / total[clear]
    days = pandas.date_range("2016-01-01", periods=len(power), tz="Etc/GMT+5")[clear]
    noon = location.get_sun_rise_set_transit(days + pandas.Timedelta(hours=12), method="spa")["transit"]
    noon_h = noon.dt.hour + noon.dt.minute / 60.0
    assert np.median(centroid_h - noon_h.to_numpy()) == pytest.approx(0.0, abs=0.25)


def test_pv_equation_is_used_as_it_stands(shipped: World) -> None:
    """The three regions share one sky, so their PV is the same and no more than rated power."""
    np.testing.assert_array_equal(shipped.pv_kw[:, 0], shipped.pv_kw[:, 2])
    best = pv_kw(
        np.array([1100.0]),
        np.array([-5.0]),
        rated_kw=450.0,
        temperature_coefficient_per_degc=-0.0047,
        cell_heating_degc_per_w_m2=0.03,
    )
    assert shipped.pv_kw.max() < best[0]
