"""An explanation says what the run recorded, in sentences that a person can check."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from experiments import Run, read_run, run
from experiments.explain import Explanation, explain, explain_at, instant_of, print_explanation
from experiments.explain_facts import open_book, planned_for_s, step_facts
from experiments.explain_words import minute
from experiments.report_data import report_data
from sim.clock import DAY_S, STEP_H, STEP_S
from sim.errors import RunFolderError, VoltwalkError

Rewrite = Callable[[Path, str, Callable[[pd.DataFrame], pd.DataFrame]], None]
NOON = 12 * 3600
SMALL = ("fleet.size=6", "output.report=false")


WANTED = {
    "rolling": ("multi-microgrid", ()),
    "perfect": ("multi-microgrid", ("forecast.kind=perfect",)),
    "limited": ("import-limited", ()),
    "one way": ("multi-microgrid", ("economics.throughput_price_per_kwh=0",)),
    "unsure": (
        "multi-microgrid",
        (
            'fleet.drivers.departure_error_min={family="norm", scale=45.0}',
            "fleet.drivers.missing_share=0.3",
            "dispatch.departing_energy_value=0.2",
        ),
    ),
    "unsure margin": (
        "multi-microgrid",
        (
            'fleet.drivers.departure_error_min={family="norm", scale=45.0}',
            "dispatch.policy=margin",
            "dispatch.departure_margin_min=40",
            "dispatch.departing_energy_value=0.2",
        ),
    ),
    "day-ahead": ("multi-microgrid", ("dispatch.policy=day-ahead", "forecast.kind=perfect")),
    "own-cost": ("multi-microgrid", ("dispatch.policy=own-cost",)),
    "uncontrolled": ("multi-microgrid", ("dispatch.policy=uncontrolled",)),
}
"""Small runs of several policies and programs."""


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Give the function that makes one of these runs, once."""
    folder = tmp_path_factory.mktemp("explained")

    @cache
    def made(name: str) -> Run:
        scenario, more = WANTED[name]
        return run(scenario, out=folder / name.replace(" ", "-"), overrides=(*SMALL, *more))

    return made


def told(rewrite: Rewrite, folder: Path, **numbers: object) -> None:
    """Record other duals of car 0 at noon, and of the region where it is."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        here = frame["step_start_s"] == NOON
        frame.loc[here & (frame["vehicle_id"] == 0), list(numbers)] = list(numbers.values())
        frame.loc[here & frame["vehicle_id"].isna(), "marginal_value_per_kwh"] = 1.0
        return frame

    rewrite(folder, "marginals", change)


@pytest.mark.parametrize("name", ["rolling", "perfect", "limited", "one way"])
def test_values_add_up_in_every_row(run_of: Callable[[str], Run], name: str) -> None:
    """Terminal value plus prices of what must be held less prices of being full is the marginal value, to 1e-6."""
    rows = run_of(name).marginals
    cars = rows[rows["vehicle_id"].notna()]
    assert len(cars) > 200
    total = cars["terminal_value_per_kwh"] + cars["requirement_duals_per_kwh"] - cars["full_duals_per_kwh"]
    assert np.abs(total - cars["marginal_value_per_kwh"]).max() <= 1e-6
    assert (cars["requirement_duals_per_kwh"] > 0.01).any()
    assert (cars["full_duals_per_kwh"] > 0.01).any()


@pytest.mark.parametrize("name", ["rolling", "perfect", "limited"])
def test_worth_of_a_charger_is_the_margin(run_of: Callable[[str], Run], name: str) -> None:
    """Where a limit binds through a whole step, a kW more of it is worth the margin times a quarter of an hour."""
    opened = run_of(name)
    book = open_book(opened, opened.vehicles["vehicle_id"])
    checked = 0
    for car in book.cars.values():
        for step_s, row in car.marginals.items():
            facts = step_facts(car, step_s)
            assert facts is not None
            if facts.plugged_until_s < step_s + STEP_S or not row.binding_limit.endswith("charge limit"):
                continue
            made = explain_at(book, car, step_s).numbers
            way = "charging" if row.set_point_kw > 0 else "discharging"
            assert row.limit_worth_per_kw == pytest.approx(STEP_H * made[f"{way}_margin_per_kwh"], abs=1e-6)
            checked += 1
    assert checked > 20


@pytest.mark.slow
def test_every_word_of_why_occurs(run_of: Callable[[str], Run]) -> None:
    """Reasons agree with the set-point; fixed directions are named."""
    rows = pd.concat([run_of(name).marginals for name in ("rolling", "perfect", "limited")])
    cars = rows[rows["vehicle_id"].notna()]
    power = cars["set_point_kw"]
    assert (power[cars["reason"].isin(["cheap", "departure"])] > 0).all()
    assert (power[cars["reason"] == "dear"] < 0).all()
    assert np.abs(power[cars["reason"].isin(["full", "kept", "waits"])]).max() <= 1e-6
    assert set(cars["reason"]) == {"departure", "cheap", "dear", "full", "kept", "waits"}
    assert run_of("one way").marginals["program"].str.contains("one way").any()


def test_sentences_by_hand(two_cars: Path, rewrite: Rewrite) -> None:
    """What is decided, done, worth and needed at noon is told with the numbers of the tables."""
    told(
        rewrite,
        two_cars,
        marginal_value_per_kwh=0.4,
        terminal_value_per_kwh=0.3,
        requirement_duals_per_kwh=0.3,
        full_duals_per_kwh=0.2,
        set_point_kw=-4.0,
        limit_worth_per_kw=0.075,
        binding_limit="discharge limit",
        reason="dear",
        dearest_departure_s=64_800,
        protected_departure_s=64_800,
        departure_dual_per_kwh=0.25,
        full_s=50_400,
    )
    made = explain(two_cars, 0, "12:05")
    text = "\n".join(made.sentences)
    assert made.step_start_s == NOON
    assert made.sentences[0] == "12:00-12:15 at work: gave back 4.00 kW, 16.00 -> 14.75 kWh."
    assert "It gives back because a kWh is worth more here and now than in the battery." in text
    assert "A kWh at the bus of work is worth 1.000 EUR now" in text
    assert (
        "0.400: 0.300 for what is left in the end + 0.300 for energy it must hold - 0.200 for being full"
        in text
    )
    assert "A kWh given back brings 1.000 - 0.200 wear - 0.400 / 0.8 = +0.300 EUR." in text
    assert (
        "It is at its discharge limit: one more kW for this quarter of an hour would be worth 0.075 EUR."
        in text
    )
    assert "It would be full, at a price, at 14:00." in text
    assert made.check == "0.300000 + 0.300000 - 0.200000 = 0.400000, recorded 0.400000"


@pytest.mark.parametrize("name", ["unsure", "unsure margin"])
def test_what_counts_is_what_was_declared(run_of: Callable[[str], Run], name: str) -> None:
    """A need that has a price is that of the departure as declared (less the margin), wherever the true one is."""
    book = open_book(run_of(name), run_of(name).vehicles["vehicle_id"])
    n_wrong = 0
    for car in book.cars.values():
        for step_s, row in car.marginals.items():
            facts = step_facts(car, step_s)
            assert facts is not None
            if row.dearest_departure_s is None or facts.departure is None:
                continue
            planned_s = planned_for_s(book, facts.departure, step_s)
            assert planned_s is not None
            assert abs(row.dearest_departure_s - planned_s) < STEP_S
            text = " ".join(explain_at(book, car, step_s).sentences)
            assert "The dearest need is that of" not in text
            said_s, true_s = facts.departure.declared_depart_s, facts.departure.planned_depart_s
            assert (f"it was declared for {minute(said_s)}" in text) == (said_s != true_s)
            n_wrong += abs(row.dearest_departure_s - true_s) >= STEP_S
    assert n_wrong > 10


def test_a_departure_that_nobody_declared_is_told(run_of: Callable[[str], Run]) -> None:
    """Where the driver is silent the words say so, and what was wanted instead."""
    book = open_book(run_of("unsure"), run_of("unsure").vehicles["vehicle_id"])
    silent = 0
    for car in book.cars.values():
        for step_s in car.marginals:
            facts = step_facts(car, step_s)
            assert facts is not None
            if facts.departure is not None and facts.departure.declared_depart_s is None:
                text = " ".join(explain_at(book, car, step_s).sentences)
                assert "no departure was declared, so 0 % of the battery" not in text
                assert "of the battery was wanted as soon as possible" in text
                silent += 1
    assert silent > 10


def test_a_set_point_that_was_not_kept_is_told(two_cars: Path, rewrite: Rewrite) -> None:
    """Decided and real power are told apart where they differ."""
    told(rewrite, two_cars, set_point_kw=2.0)
    text = "\n".join(explain(two_cars, 0, "12:00").sentences)
    assert "Decided were +2.00 kW; it became -4.00 kW" in text


def test_cars_that_no_decision_reaches(two_cars: Path) -> None:
    """A car that drives is said to, with its trip; the next decision's time is given to one that just plugged in."""
    assert explain(two_cars, 0, "08:10").sentences == (
        "It was driving to work, from 08:00 to 08:30; there was nothing to decide.",
    )


@pytest.mark.parametrize(
    ("vehicle", "time", "expected"),
    [
        (9, "08:15", "no vehicle 9, it has 0..1"),
        (0, "1+08:15", "1+08:15 is not in the run"),
        (0, "2025-05-07T08:15", "not in the run"),
        (0, "noon", "write HH:MM"),
        (0, "25:00", "write HH:MM"),
        (0, "08:75", "write HH:MM"),
        (0, "2025-05-06T08:15+02:00", "without a zone"),
    ],
)
def test_cars_and_times_outside_the_run(two_cars: Path, vehicle: int, time: str, expected: str) -> None:
    """What is not in the run is refused with a plain message."""
    with pytest.raises(VoltwalkError, match=expected.replace("+", r"\+")):
        explain(two_cars, vehicle, time)


def test_times_in_three_forms(two_cars: Path) -> None:
    """A clock time, one of a later day, and an ISO date and time mean what they say."""
    opened = read_run(two_cars)
    for text in ("08:15", "0+08:15", "2025-05-06T08:15", "2025-05-06 08:15:00"):
        assert instant_of(opened, text) == 8 * 3600 + 900
    assert instant_of(opened, "2+00:00:30") == 2 * DAY_S + 30


@pytest.mark.parametrize(
    ("name", "rule"),
    [("own-cost", "Rule own-cost"), ("uncontrolled", "Rule uncontrolled"), ("day-ahead", "Plan day-ahead")],
)
def test_rules_and_the_facts_that_made_them_act(run_of: Callable[[str], Run], name: str, rule: str) -> None:
    """A policy without prices is explained by its rule, the price against the stay's, and the departure."""
    sentences = explain(run_of(name), 0, "00:00").sentences
    assert any(sentence.startswith(rule) for sentence in sentences)
    assert any(sentence.startswith("Next departure at") for sentence in sentences)
    if name == "own-cost":
        assert any("less than now in" in sentence and "01:00 (0.350)" in sentence for sentence in sentences)


def test_own_policies_and_fallbacks_are_named(two_cars: Path, rewrite: Rewrite) -> None:
    """A step the fallback decided says so; a policy of one's own is said to give no reasons."""
    rewrite(two_cars, "marginals", lambda frame: frame.iloc[:0])
    rewrite(two_cars, "decisions", lambda frame: frame.assign(status="fallback:charge"))
    assert "fallback charge decided: cars charge at full power" in " ".join(
        explain(two_cars, 0, "12:00").sentences
    )
    rewrite(two_cars, "decisions", lambda frame: frame.assign(status="none"))
    manifest = json.loads((two_cars / "manifest.json").read_text(encoding="utf-8"))
    (two_cars / "manifest.json").write_text(
        json.dumps({**manifest, "policy_is_own_object": True}), encoding="utf-8"
    )
    assert "gives no reasons" in " ".join(explain(two_cars, 0, "12:00").sentences)


@pytest.mark.slow
def test_every_step_of_every_car_has_an_explanation(run_of: Callable[[str], Run]) -> None:
    """Nothing that happens in a run is without words, whatever the policy."""
    for opened in map(run_of, WANTED):
        book = open_book(opened, opened.vehicles["vehicle_id"])
        made: list[Explanation] = [
            explain_at(book, car, step_s) for car in book.cars.values() for step_s in range(0, DAY_S, STEP_S)
        ]
        assert all(one.sentences and all(one.sentences) for one in made)


def test_the_report_tells_the_same(run_of: Callable[[str], Run]) -> None:
    """The page holds the command's sentences, each once."""
    inside = report_data(run_of("rolling"))["explanations"]
    assert len(set(inside["sentences"])) == len(inside["sentences"])
    for vehicle in range(6):
        for step in (0, 30, 48, 80):
            sentences = tuple(inside["sentences"][i] for i in inside["cars"][vehicle][step])
            assert sentences == explain(run_of("rolling"), vehicle, step * STEP_S).sentences


def test_json_holds_the_numbers(two_cars: Path) -> None:
    """With ``--json`` the sentences and the numbers behind them are one object."""
    console = Console(file=io.StringIO(), width=200)
    print_explanation(two_cars, 0, "12:00", as_json=True, console=console)
    numbers = json.loads(console.file.getvalue())  # type: ignore[attr-defined]
    assert numbers["power_kw"] == -4.0
    assert numbers["required_kwh"] == pytest.approx(6.0)
    assert numbers["sentences"]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """A folder without a run is a plain mistake."""
    with pytest.raises(RunFolderError, match="not a run"):
        explain(tmp_path, 0, "08:00")
