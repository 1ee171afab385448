"""Prices of each kind of tariff by hand, the value of stored energy, and bills."""

import json
import tomllib
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import ScenarioError
from sim.scenario import PeriodTariff, Scenario, ScheduleTariff, SeriesTariff
from sim.tariff import (
    energy_value_per_kwh,
    mean_charge_efficiency,
    net_cost,
    period_faults,
    period_prices,
    read_schedule,
    schedule_prices,
    series_prices,
)

ROOT = Path(__file__).resolve().parent.parent / "experiments"


def shipped() -> Scenario:
    """Return the shipped scenario."""
    text = (ROOT / "scenarios" / "multi-microgrid.toml").read_text(encoding="utf-8")
    return Scenario.model_validate(tomllib.loads(text))


def periods(*hours: tuple[float, float], buy: float = 1.0) -> PeriodTariff:
    """Build one period that holds in the given hours."""
    period = {
        "name": "all",
        "hours": list(hours),
        "buy_per_kwh": buy,
        "sell_per_kwh": 0.5,
        "curtailment_per_kwh": 0.1,
    }
    return PeriodTariff.model_validate({"kind": "periods", "periods": [period]})


def entry(**changes: object) -> dict[str, object]:
    """Build one entry of a published schedule."""
    base: dict[str, object] = {
        "id": "all",
        "effective_start": "01-01",
        "effective_end": "12-31",
        "dow_mask": "ALL",
        "times": [0, 8.5],
        "tariffs": [0.1, 0.3],
    }
    return base | changes


def schedule_file(folder: Path, *entries: dict[str, object]) -> Path:
    """Write a published schedule."""
    path = folder / "schedule.json"
    path.write_text(json.dumps({"name": "X", "schedule": list(entries)}), encoding="utf-8")
    return path


SCHEDULE = ScheduleTariff(kind="schedule", file="x", sell_fraction=0.5, curtailment_per_kwh=0.0)


def test_shipped_periods_by_step() -> None:
    """The shipped table has its valley in steps 4-27 and its peak in 44-59 and 76-83, flat elsewhere."""
    tariff = shipped().tariff
    assert isinstance(tariff, PeriodTariff)
    prices = period_prices(tariff, 2)
    expected = np.full(96, 0.68)
    expected[4:28] = 0.35
    expected[44:60] = expected[76:84] = 1.18
    np.testing.assert_array_equal(prices.buy_per_kwh, np.tile(expected, 2))
    np.testing.assert_array_equal(np.unique(prices.sell_per_kwh), [0.28, 0.55, 1.00])
    assert prices.curtailment_per_kwh[50] == 0.50


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        ([(0, 23.75)], "clock hour 23.75 has no period"),
        ([(0, 24), (3, 4)], "clock hour 3 has more than one period"),
        ([(0, 12.1), (12.1, 24)], r"\[0, 12.1\] of all"),
        ([(22, 6), (6, 22)], r"\[22, 6\] of all"),
    ],
)
def test_periods_that_do_not_tile_the_day_are_faults(hours: list[tuple[float, float]], words: str) -> None:
    """A gap, an overlap, a broken quarter-hour and reversed hours each name their place."""
    with pytest.raises(ScenarioError, match=words):
        period_prices(periods(*hours), 1)


@settings(deadline=None)
@given(cuts=st.sets(st.integers(1, 95), max_size=10))
def test_any_partition_of_the_day_is_a_table(cuts: set[int]) -> None:
    """Periods that partition the day have no fault, in whatever pieces."""
    edges = [0, *sorted(cuts), 96]
    assert period_faults(periods(*((a / 4, b / 4) for a, b in zip(edges, edges[1:], strict=False)))) == []


def test_schedule_by_season_and_weekday(tmp_path: Path) -> None:
    """Summer weekdays, summer weekends and a winter across the new year each have their hours."""
    seasons = read_schedule(
        schedule_file(
            tmp_path,
            entry(id="a", effective_start="06-01", effective_end="9-30", dow_mask="WEEKDAYS"),
            entry(
                id="b",
                effective_start="06-01",
                effective_end="9-30",
                dow_mask="WEEKENDS",
                times=[0],
                tariffs=[0.2],
            ),
            entry(id="c", effective_start="10-01", effective_end="5-31", times=[0, 12], tariffs=[0.5, 0.6]),
        )
    )
    summer = schedule_prices(SCHEDULE, seasons, date(2016, 9, 30), 3)  # Friday, then October
    np.testing.assert_array_equal(summer.buy_per_kwh[:96], [0.1] * 34 + [0.3] * 62)
    np.testing.assert_array_equal(summer.buy_per_kwh[96:192], [0.5] * 48 + [0.6] * 48)
    np.testing.assert_array_equal(summer.sell_per_kwh, summer.buy_per_kwh * 0.5)
    weekend = schedule_prices(SCHEDULE, seasons, date(2016, 7, 23), 1)  # Saturday
    np.testing.assert_array_equal(weekend.buy_per_kwh, np.full(96, 0.2))
    new_year = schedule_prices(SCHEDULE, seasons, date(2016, 12, 31), 2)
    assert set(new_year.buy_per_kwh) == {0.5, 0.6}


def test_schedule_must_say_one_price_on_every_day(tmp_path: Path) -> None:
    """Days without an entry and days with two are faults, each with its date."""
    seasons = read_schedule(
        schedule_file(
            tmp_path,
            entry(id="a", effective_end="06-30"),
            entry(id="b", effective_start="06-30", effective_end="07-01"),
        )
    )
    with pytest.raises(ScenarioError) as caught:
        schedule_prices(SCHEDULE, seasons, date(2016, 6, 29), 5)
    assert caught.value.faults == (
        "tariff.file: on 2016-06-30 2 entries hold, not one: a, b",
        "tariff.file: on 2016-07-02 0 entries hold, not one: -",
        "tariff.file: on 2016-07-03 0 entries hold, not one: -",
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ("{}", "has no `schedule` list"),
        (json.dumps({"schedule": [entry(times=[0, 8.1])]}), "hour 8.1 is not a quarter"),
        (json.dumps({"schedule": [entry(times=[0])]}), "1 times but 2 tariffs"),
        (json.dumps({"schedule": [entry(times=[8, 0])]}), "times must ascend from 0"),
        (json.dumps({"schedule": [entry(dow_mask="MON")]}), "dow_mask"),
    ],
)
def test_broken_schedules_are_named(tmp_path: Path, content: str, words: str) -> None:
    """Broken JSON, missing lists and impossible hours are errors that a person can mend."""
    path = tmp_path / "broken.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ScenarioError, match=words):
        read_schedule(path)
    with pytest.raises(ScenarioError, match="none.json"):
        read_schedule(tmp_path / "none.json")


@pytest.mark.parametrize("path", sorted((ROOT / "data" / "tariffs").glob("sce_*.json")), ids=lambda p: p.stem)
def test_shipped_schedules_cover_any_year(path: Path) -> None:
    """Each shipped utility schedule has exactly one entry on every day of a year."""
    prices = schedule_prices(SCHEDULE, read_schedule(path), date(2019, 1, 1), 365)
    assert prices.buy_per_kwh.shape == (365 * 96,)
    assert prices.buy_per_kwh.min() > 0.0


def test_series_prices_keep_negative_prices() -> None:
    """A price of -20 per MWh is -0.02 per kWh, to which fees are added when buying."""
    tariff = SeriesTariff.model_construct(
        per_mwh=True, buy_adder_per_kwh=0.05, sell_fraction=0.9, curtailment_per_kwh=0.1
    )
    prices = series_prices(tariff, np.array([100.0, -20.0]))
    np.testing.assert_allclose(prices.buy_per_kwh, [0.15, 0.03])
    np.testing.assert_allclose(prices.sell_per_kwh, [0.09, -0.018])
    np.testing.assert_array_equal(prices.curtailment_per_kwh, [0.1, 0.1])


def test_lambda_of_the_shipped_scenario() -> None:
    """Lambda `auto` is the valley price over the charge efficiency, 0.35 / 0.9, with whatever fleet size."""
    scenario = shipped()
    assert energy_value_per_kwh(scenario, Path) == pytest.approx(0.35 / 0.9)
    empty = scenario.model_copy(update={"fleet": scenario.fleet.model_copy(update={"size": 0})})
    assert energy_value_per_kwh(empty, Path) == pytest.approx(0.35 / 0.9)


def test_lambda_kinds(tmp_path: Path) -> None:
    """A number stands; a negative lowest price gives 0; a schedule's table is read; a series has none."""
    scenario = shipped()

    def with_tariff(tariff: object, value: object = "auto") -> Scenario:
        economics = scenario.economics.model_copy(update={"energy_value_per_kwh": value})
        return scenario.model_copy(update={"tariff": tariff, "economics": economics})

    assert energy_value_per_kwh(with_tariff(periods((0, 24)), 0.25), Path) == 0.25
    assert energy_value_per_kwh(with_tariff(periods((0, 24), buy=-0.2)), Path) == 0.0
    path = schedule_file(tmp_path, entry())
    assert energy_value_per_kwh(with_tariff(SCHEDULE), lambda _: path) == pytest.approx(0.1 / 0.9)
    with pytest.raises(ScenarioError, match="auto needs a tariff table"):
        energy_value_per_kwh(with_tariff(SeriesTariff.model_construct(kind="series")), Path)


def test_mean_charge_efficiency_weighs_by_share() -> None:
    """Shares 3 and 1 of efficiencies 0.9 and 0.8 average 0.875, whatever the shares' sum."""
    scenario = shipped()
    car = scenario.fleet.classes[0]
    classes = [
        car.model_copy(update={"share": 3.0}),
        car.model_copy(update={"share": 1.0, "charge_efficiency": 0.8}),
    ]
    mixed = scenario.model_copy(update={"fleet": scenario.fleet.model_copy(update={"classes": classes})})
    assert mean_charge_efficiency(mixed) == pytest.approx(0.875)


def test_shares_that_sum_to_nothing_are_a_fault() -> None:
    """No class has a share: there is no mean."""
    scenario = shipped()
    nobody = [scenario.fleet.classes[0].model_copy(update={"share": 0.0})]
    fleet = scenario.fleet.model_copy(update={"classes": nobody})
    with pytest.raises(ScenarioError, match="shares sum to 0"):
        mean_charge_efficiency(scenario.model_copy(update={"fleet": fleet}))


def test_net_cost_by_hand() -> None:
    """Four kW for a quarter-hour at 0.68 cost 0.68; selling 8 kW at 1.00 earns 2."""
    buy, sell = np.array([0.68, 1.18]), np.array([0.55, 1.00])
    assert net_cost(np.array([4.0, 0.0]), np.array([0.0, 8.0]), buy, sell) == pytest.approx(0.68 - 2.0)
