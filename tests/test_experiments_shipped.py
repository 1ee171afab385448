"""What is installed with the program is found by name, and says where it comes from."""

import json
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.shipped import (
    DATA_DIR,
    copy_scenario,
    data_files,
    faults,
    load_scenario,
    locate,
    scenario_names,
    scenario_path,
)
from sim.errors import ScenarioError


def test_every_data_file_is_found_by_name_and_has_its_origin_stated() -> None:
    """Each shipped file has a name of its own, and SOURCES.md tells origin, licence and columns."""
    files = [
        path for path in DATA_DIR.rglob("*") if path.is_file() and path.suffix not in {".md", ".py", ".pyc"}
    ]
    assert sorted(data_files().values()) == sorted(files)
    sources = (DATA_DIR / "SOURCES.md").read_text(encoding="utf-8")
    for name, path in data_files().items():
        stem = (
            "tariffs/sce_*" if name.startswith("sce") else "tariffs/pge_*" if name.startswith("pge") else name
        )
        assert stem in sources
        assert locate(f"shipped:{name}") == path
    tables = [path for path in files if path.suffix in {".csv", ".parquet"}]
    for path in tables:
        frame = pd.read_csv(path, nrows=1) if path.suffix == ".csv" else pd.read_parquet(path)
        for column in frame.columns:
            assert f"`{column}`" in sources


def test_the_load_profiles_are_a_whole_year_of_quarter_hours() -> None:
    """2016 in even steps, no value missing or negative, households and businesses alike."""
    frame = pd.read_parquet(data_files()["simbench_2016_loads"])
    assert len(frame) == 366 * 96
    assert (np.diff(frame["time"]) == np.timedelta64(15, "m")).all()
    assert str(frame["time"].iloc[0]) == "2016-01-01 00:00:00"
    values = frame.drop(columns="time").to_numpy()
    assert np.isfinite(values).all()
    assert values.min() >= 0.0
    assert values.max() <= 1.5  # per unit of rated power


def test_the_weather_is_a_whole_year_of_hours_with_sun_by_day() -> None:
    """2015 in hours stamped at their end; the diffuse and direct parts make up the global irradiance."""
    frame = pd.read_csv(data_files()["tmy3_greensboro"], parse_dates=["time"])
    assert len(frame) == 8760
    assert (np.diff(frame["time"]) == np.timedelta64(1, "h")).all()
    assert str(frame["time"].iloc[-1]) == "2016-01-01 00:00:00"
    assert frame["ghi_w_m2"].sum() / 1000 == pytest.approx(1566, abs=1)  # kWh/m2 a year
    assert (frame["dhi_w_m2"] <= frame["ghi_w_m2"] + 1).all()


def test_the_prices_are_two_whole_years_of_utc_hours() -> None:
    """2019 and 2020 without a gap, negative prices among them."""
    frame = pd.read_csv(data_files()["dayahead_nl_2019_2020"], parse_dates=["time_utc"])
    assert len(frame) == 24 * (365 + 366)
    assert (np.diff(frame["time_utc"]) == np.timedelta64(1, "h")).all()
    assert frame["price_eur_per_mwh"].min() < 0.0


def test_the_marginal_emissions_are_a_year_of_quarter_hours() -> None:
    """366 days without a gap from a midnight of Pacific standard time; between nothing and coal."""
    frame = pd.read_parquet(data_files()["moer_sce_may_2019_to_april_2020"])
    time = pd.to_datetime(frame["time_utc"])
    assert len(frame) == 366 * 96
    assert str(time.iloc[0]) == "2019-05-01 08:00:00"
    assert (np.diff(time) == np.timedelta64(15, "m")).all()
    assert frame["moer_kg_per_kwh"].between(0.0, 1.2).all()


@pytest.mark.parametrize("name", [name for name in data_files() if name.startswith(("sce_", "pge_"))])
def test_every_shipped_tariff_serves_a_scenario(name: str) -> None:
    """A published schedule is read, and covers every day of a year once."""
    tariff = f'tariff={{kind="schedule",file="shipped:{name}",sell_fraction=0.5,curtailment_per_kwh=0.0}}'
    assert faults("multi-microgrid", ["simulation.days=365", tariff]) == ()


def test_the_survey_statistics_can_be_read() -> None:
    """They are quantiles by name."""
    content = json.loads(data_files()["travel_survey_statistics"].read_text(encoding="utf-8"))
    assert content["nhts2009_tennessee_vehicles"]["km_per_vehicle_day"]["p50"] == 47.097


def test_unknown_names_are_told_with_what_exists() -> None:
    """A misspelt scenario or data file is met with the nearest name."""
    with pytest.raises(ScenarioError, match="did you mean 'tmy3_greensboro'"):
        locate("shipped:tmy3_greensborough")
    with pytest.raises(ScenarioError, match="did you mean 'multi-microgrid'"):
        scenario_path("multimicrogrid")


def test_a_file_goes_before_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of that name in the working folder is meant first."""
    monkeypatch.chdir(tmp_path)
    Path("multi-microgrid").write_text("", encoding="utf-8")
    assert scenario_path("multi-microgrid").resolve() == tmp_path / "multi-microgrid"


@pytest.mark.parametrize("source", scenario_names())
def test_a_copy_is_a_commented_scenario_of_ones_own(source: str, tmp_path: Path) -> None:
    """The copy carries its new name and the comments, runs as it is, and is never written over."""
    path = copy_scenario("mine", source, tmp_path)
    assert path == tmp_path / "mine.toml"
    assert path.read_text(encoding="utf-8").startswith("# ")
    copied, original = load_scenario(path).model_dump(), load_scenario(source).model_dump()
    assert copied["scenario"].pop("name") == "mine"
    assert original["scenario"].pop("name") == source
    assert copied == original
    with pytest.raises(ScenarioError, match="exists already"):
        copy_scenario("mine", source, tmp_path)


def test_a_copy_needs_a_fit_name_and_a_shipped_source(tmp_path: Path) -> None:
    """Names that could leave the folder, and unknown sources, are refused."""
    with pytest.raises(ScenarioError, match="a scenario's name has letters"):
        copy_scenario("../mine", "multi-microgrid", tmp_path)
    with pytest.raises(ScenarioError, match="no shipped scenario is called 'micro'"):
        copy_scenario("mine", "micro", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_distribution_holds_every_folder_of_the_sources() -> None:
    """What a plain install copies is what the checkout has: no package of ours is left out of the patterns."""
    root = Path(__file__).parent.parent
    find = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"][
        "find"
    ]
    folders = {
        ".".join(path.parent.relative_to(root).parts)
        for package in ("sim", "agents", "dispatch", "experiments")
        for path in (root / package).rglob("*.*")
        if "__pycache__" not in path.parts
    }
    left_out = [
        folder
        for folder in sorted(folders)
        if not any(fnmatchcase(folder, pattern) for pattern in find["include"])
    ]
    assert "sim.forecasting" in folders
    assert left_out == []
