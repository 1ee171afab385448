"""Feeders whose voltage needs reactive power: the shipped one with a narrow band, and a mill behind a long line."""

from dataclasses import replace
from pathlib import Path

import pytest
from dispatch_oracle import optimum
from simulation_cases import Kept

from experiments.assemble import assemble, dispatcher_for
from experiments.shipped import load_scenario
from sim.contracts import Schedule
from sim.errors import PolicyError
from sim.simulation import Simulation

NARROW = ["feeder.voltage_min_pu=0.995", "feeder.source_pu=1.0", "feeder.voltage_max_pu=1.0"]
THIN = ["feeder.line_ampacities_a={L17=1.2,L16=2.0,L24=9.0,L32=1.0}"]
SERIES = (
    '{ file = "shipped:simbench_2016_loads", column = "*", time_column = "time", step_minutes = 15, '
    'zone = "scenario", stamp = "beginning", to_quarter_hours = "mean", wrap = "year" }'
)
BUSES = "bus,rated_kv\nstation,10\nstreet,10\nyard,10\nmill,10\n"
LINES = (
    "line,from_bus,to_bus,r_ohm,x_ohm,b_us,ampacity_a\nlong,station,mill,0.5,8.0,20,300\n"
    "one,station,street,0.5,0.2,,300\nother,station,yard,0.5,0.2,,300\n"
)
HEAD = """extends = "multi-microgrid"
[scenario]
name = "reactive"
[fleet]
size = 5
[dispatch]
horizon_steps = 12
feeder_rounds = 8
feeder_limits = "keep"
[feeder]
buses = "buses.csv"
lines = "lines.csv"
source_bus = "station"
source_pu = 1.0
voltage_min_pu = 0.98
voltage_max_pu = 1.02
[[regions]]
name = "station"
bus = "station"
place_type = "bus"
weight = 1.0
chargers = 0
import_limit_kw = "unlimited"
export_limit_kw = 0.0
"""
BATTERY = """[[regions.batteries]]
capacity_kwh = 2.0
charge_limit_kw = 2.0
discharge_limit_kw = 2.0
charge_efficiency = 0.95
discharge_efficiency = 0.95
soc_min = 0.1
soc_max = 0.95
initial_soc = 0.5
"""


def region(name: str, place_type: str, kwh_per_day: float, kvar_per_kw: float) -> str:
    """A region at the bus of its name."""
    return f"""[[regions]]
name = "{name}"
bus = "{name}"
place_type = "{place_type}"
weight = 1.0
chargers = "unlimited"
import_limit_kw = 0.0
export_limit_kw = 0.0
[regions.load]
mean_kwh_per_day = {kwh_per_day}
kvar_per_kw = {kvar_per_kw}
weights = {{ "G4-B_pload" = 1.0 }}
series = {SERIES}
"""


def write_feeder(folder: Path) -> None:
    """Tables of buses and lines."""
    (folder / "buses.csv").write_text(BUSES)
    (folder / "lines.csv").write_text(LINES)


def assert_first_decision_is_the_optimum(overrides: list[str], *, without: str) -> None:
    """The objective of the shipped feeder's first decision is that of another program; without a field it is dearer."""
    scenario = load_scenario("storage-network", overrides)
    kept = Kept(dispatcher_for(scenario))
    simulation, actors = assemble(scenario, dispatcher=kept)
    run_first_decision(kept, simulation)
    expected = optimum(actors.site, kept.snapshots[0], kept.forecasts[0], departing="lambda")
    assert kept.schedules[0].decision.turbine_bound == pytest.approx(expected, rel=1e-7)
    bare = replace(actors.site, **{without: None})
    assert optimum(bare, kept.snapshots[0], kept.forecasts[0], departing="lambda") > expected * (1 + 1e-5)


def run_first_decision(kept: Kept, simulation: Simulation) -> None:
    """Run a simulation until its second decision."""
    decide = kept.decide

    def once(snapshot, forecast) -> Schedule:
        if kept.schedules:
            raise PolicyError("enough")
        return decide(snapshot, forecast)

    kept.decide = once
    with pytest.raises(PolicyError, match="enough"):
        simulation.run()
