"""The reference lists every key of a scenario, with its unit, meaning and an example."""

import re

from pydantic import BaseModel

import sim.scenario
from experiments.shipped import load_scenario
from sim.scenario import Part
from sim.scenario_reference import scenario_reference, unit_of


def models() -> list[type[BaseModel]]:
    """All models of a scenario."""
    found = [
        value for value in vars(sim.scenario).values() if isinstance(value, type) and issubclass(value, Part)
    ]
    return [model for model in found if model is not Part]


def test_every_field_has_a_description() -> None:
    """No field is left to guessing."""
    bare = [
        f"{m.__name__}.{name}" for m in models() for name, f in m.model_fields.items() if not f.description
    ]
    assert bare == []


def test_every_field_is_listed() -> None:
    """Each model's fields appear as rows of its section."""
    page = scenario_reference()
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    sections = {"scenario", "simulation", "dispatch", "tariff", "travel", "fleet", "output", "economics"}
    fields = {name for m in models() for name in m.model_fields} - set(sim.scenario.Scenario.model_fields)
    assert fields - rows == set()
    for name in sections:
        assert f"## `[{name}]`" in page


def test_the_example_shows_the_shipped_values() -> None:
    """With a scenario the page has its values, and lists stand by their first entry."""
    page = scenario_reference(load_scenario("multi-microgrid"))
    assert '| `size` | whole number >= 0, <= 5000000 or "sessions" |  | Number of cars; 0 is legal.' in page
    assert re.search(r"^\| `rated_kw` \| number >= 0 \| kW \|.*\| `450` \|$", page, re.MULTILINE)


def test_units_follow_from_names() -> None:
    """A name's ending is its unit."""
    expected = {"battery_kwh": "kWh", "consumption_kwh_per_km": "kWh/km", "soc_min": "0..1", "weight": ""}
    assert {name: unit_of(name) for name in expected} == expected
