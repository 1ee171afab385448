"""Tapering near full: its law, its inverse, and what it does to a car in a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from experiments.audit import audit
from experiments.running import resolve, run
from sim.clock import STEP_S
from sim.errors import ScenarioError
from sim.taper import Taper

TAPER = ("fleet.classes.*.taper_from_soc=0.6", "fleet.classes.*.taper_to_share=0.2")


def one(begin: float, width: float, share: float) -> Taper:
    """Tapering of one battery."""
    return Taper(from_kwh=np.array([begin]), to_kwh=np.array([begin + width]), to_share=np.array([share]))


@given(
    begin=st.floats(0, 50),
    width=st.floats(0.5, 40),
    share=st.floats(0.01, 1),
    energy=st.floats(0, 100),
    stored=st.floats(0, 5),
)
def test_before_is_the_inverse_of_full_charging(
    begin: float, width: float, share: float, energy: float, stored: float
) -> None:
    """From the energy before, full charging makes the energy after; both forms of the law agree bit for bit."""
    taper = one(begin, width, share)
    assume(stored * taper.slope_per_kwh.item() < 0.99)
    before = taper.before(np.array([energy]), np.array([stored]))
    assert before.item() + stored * taper.share(before).item() == pytest.approx(energy, abs=1e-9)
    assert taper.share_of(0, energy) == taper.share(np.array([energy])).item()


def test_an_uncontrolled_car_slows_down_step_by_step(tmp_path: Path) -> None:
    """Each step's power is the law's at the energy of its beginning, or of the plug-in; the car still gets full."""
    settings = (*TAPER, "fleet.size=10", "output.report=false")
    result = run("multi-microgrid", out=tmp_path / "run", overrides=settings, policy="uncontrolled")
    rows = pd.read_parquet(result.path / "segments.parquet")
    rows = rows[rows["power_kw"] > 0]
    battery, limit = 30.0, 5.0
    at_s = np.maximum(rows["start_s"], (rows["end_s"] - 1) // STEP_S * STEP_S)
    share = (at_s - rows["start_s"]) / (rows["end_s"] - rows["start_s"])
    energy = rows["energy_start_kwh"] + share * (rows["energy_end_kwh"] - rows["energy_start_kwh"])
    full = limit * np.interp(energy / battery, [0.6, 0.9], [1.0, 0.2])
    ends_full = rows["energy_end_kwh"] >= 0.9 * battery - 1e-6
    np.testing.assert_allclose(rows["power_kw"][~ends_full], full[~ends_full], atol=1e-6)
    assert (rows["power_kw"] <= full + 1e-6).all()
    assert (rows["power_kw"] < 0.5 * limit).any()
    assert ends_full.any()


def test_a_class_without_tapering_beside_one_with_it_keeps_its_power(tmp_path: Path) -> None:
    """What one class does near full is nothing to the other."""
    base = resolve("multi-microgrid", overrides=["fleet.size=12", "output.report=false"])
    first = base.fleet.classes[0]
    slow = first.model_copy(update={"name": "slow", "taper_from_soc": 0.6, "taper_to_share": 0.2})
    fleet = base.fleet.model_copy(update={"classes": [first, slow]})
    result = run(base.model_copy(update={"fleet": fleet}), out=tmp_path / "run", policy="uncontrolled")
    vehicles = pd.read_parquet(result.path / "vehicles.parquet").set_index("vehicle_id")["vehicle_class"]
    rows = pd.read_parquet(result.path / "segments.parquet")
    rows = rows[(rows["power_kw"] > 0) & (rows["energy_end_kwh"] < 0.9 * 30.0 - 1e-6)]
    of_class = vehicles.loc[rows["vehicle_id"]].to_numpy()
    assert set(of_class) == {first.name, "slow"}
    assert (rows["power_kw"][of_class == first.name] == first.charge_limit_kw).all()
    assert (rows["power_kw"][of_class == "slow"] < first.charge_limit_kw).any()


def test_a_taper_that_is_steeper_than_a_step_is_refused() -> None:
    """A step would overshoot it: the message says what to change."""
    steep = ("fleet.classes.*.taper_from_soc=0.89", "fleet.classes.*.taper_to_share=0.01")
    with pytest.raises(ScenarioError, match=r"fleet\.classes\[0\].*begin at a lower taper_from_soc"):
        resolve("multi-microgrid", overrides=list(steep))


def test_the_audit_finds_power_that_should_have_tapered(tmp_path: Path) -> None:
    """A run without tapering, said to have it, breaks its limits near full and nowhere else."""
    settings = ("fleet.size=6", "output.report=false")
    result = run("multi-microgrid", out=tmp_path / "run", overrides=settings, policy="uncontrolled")
    file = result.path / "scenario.toml"
    told = file.read_text(encoding="utf-8")
    assert "taper_from_soc = 1.0" in told
    told = told.replace("taper_from_soc = 1.0", "taper_from_soc = 0.6")
    file.write_text(told.replace("taper_to_share = 1.0", "taper_to_share = 0.2"), encoding="utf-8")
    rows = pd.read_parquet(result.path / "segments.parquet")
    last = np.maximum(rows["start_s"], (rows["end_s"] - 1) // STEP_S * STEP_S)
    energy = rows["energy_start_kwh"] + 0.9 * rows["power_kw"] * (last - rows["start_s"]) / 3600.0
    faulty = (rows["power_kw"] > 0) & (energy > 0.6 * 30.0 + 5.0 * 0.9 / 4)
    found = [str(one) for one in audit(result) if "[power limit]" in str(one)]
    assert faulty.any()
    assert len(found) >= 1
