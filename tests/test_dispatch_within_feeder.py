"""Margins that plans leave free, and the optimum of a day within a feeder's limits."""

from pathlib import Path

import numpy as np
import pytest

from dispatch import within_feeder
from dispatch.decision import Decided
from dispatch.network import KEPT_PU
from dispatch.options import DispatchOptions
from dispatch.problem import Problem
from dispatch.session import Failure, Session
from dispatch.within_feeder import planned_site
from experiments import run
from experiments.assemble import assemble
from experiments.audit import audit
from experiments.job import Job
from experiments.reading import read_run
from experiments.shipped import load_scenario
from sim.errors import ScenarioError

CARS = ["fleet.size=150", "dispatch.window=shrinking", "simulation.seed=2"]
KEEP = "dispatch.feeder_limits=keep"


def planned(*overrides: str):
    """The shipped site, and as its plans see it."""
    scenario = load_scenario("storage-network", ["fleet.size=0", *overrides])
    _, actors = assemble(scenario)
    return actors.site, planned_site(actors.site, DispatchOptions.from_scenario(scenario))


def figures(policy: str, *overrides: str) -> dict:
    """Key figures of a day with 150 cars, its ratings those of thin lines."""
    scenario = load_scenario("storage-network", [*CARS, f"dispatch.policy={policy}", *overrides])
    return Job.prepare(scenario, None, None).simulate().figures


def test_plans_that_ignore_the_feeder_do_not_see_it() -> None:
    """The default."""
    site, seen = planned()
    assert site.network is not None
    assert seen.network is None


def test_margins_tighten_what_plans_see() -> None:
    """Ratings by a share, the band at both ends, but never past the source's own voltage."""
    site, seen = planned(KEEP, "dispatch.feeder_rating_margin=0.1", "dispatch.feeder_voltage_margin_pu=0.02")
    assert seen.network.feeder.rating_kva == pytest.approx(0.9 * site.network.feeder.rating_kva)
    assert (seen.network.voltage_min_pu, seen.network.voltage_max_pu) == pytest.approx((0.92, 1.08))
    _, narrow = planned(KEEP, "dispatch.feeder_voltage_margin_pu=0.09")
    assert (narrow.network.voltage_min_pu, narrow.network.voltage_max_pu) == pytest.approx((0.99, 1.05))


def test_the_day_ahead_optimum_keeps_limits_and_margins() -> None:
    """Cars that all charge when it is cheapest leave the ratings, within the limits they do not, nor with a margin."""
    perfect = "forecast.kind=perfect"
    free = figures("day-ahead", perfect)
    kept = figures("day-ahead", perfect, KEEP)
    margin = figures("day-ahead", perfect, KEEP, "dispatch.feeder_rating_margin=0.1")
    assert free["overloads"] > 0
    assert kept["network_violation_steps"] == margin["network_violation_steps"] == 0
    assert 0.995 < kept["loading_max"] <= 1.0 + KEPT_PU, "the limit does not bind: the test shows nothing"
    assert margin["loading_max"] <= 0.9 + KEPT_PU
    assert kept["unmet_kwh"] == 0.0


def test_a_round_without_an_answer_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The plan of the round before stands, with the failed solve among its rounds and iterations."""
    overrides = ["fleet.size=120", "dispatch.horizon_steps=24", KEEP, "output.report=false"]
    honest = within_feeder.decide
    begun: list[int] = []

    def decide(session: Session, problem: Problem, options: DispatchOptions) -> Decided | Failure:
        begun.append(problem.now_s)
        return (
            Failure(reason="lost", iterations=1000)
            if begun.count(problem.now_s) > 1
            else honest(session, problem, options)
        )

    told = []
    for folder in ("honest", "lost"):
        made = run("storage-network", policy="rolling", overrides=overrides, out=tmp_path / folder)
        told.append(read_run(made.path).table("decisions"))
        monkeypatch.setattr(within_feeder, "decide", decide)
        assert audit(made.path) == []
    good, bad = told
    assert not good["feeder_unsolved"].any()
    n_lost = len(begun) - bad["step_start_s"].nunique()
    assert bad["feeder_unsolved"].sum() == n_lost > 0
    assert not bad["fallback"].any()
    assert (bad.loc[bad["feeder_unsolved"], "feeder_rounds"] == 2).all()
    assert (bad.loc[bad["feeder_unsolved"], "iterations"] >= 1000).all()


def test_ampacities_of_single_lines() -> None:
    """By name, whatever the table gives; a name that no line has is told with the nearest."""
    site, _ = planned("feeder.line_ampacities_a.L5=123.0")
    feeder = site.network.feeder
    rated = feeder.rating_kva[feeder.branch_names.index("L5")]
    assert rated == pytest.approx(np.sqrt(3.0) * 12.66 * 123.0)
    with pytest.raises(
        ScenarioError, match=r"feeder.line_ampacities_a: no line is called 'L55'; did you mean 'L5"
    ):
        planned("feeder.line_ampacities_a.L55=123.0")
