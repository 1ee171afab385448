"""Forecasters beyond persistence: what they repeat, learn, how sure they are, and that none of them peeks."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from simulation_cases import later_truth, simulate
from threadpoolctl import threadpool_limits

from experiments.shipped import load_scenario
from sim.arrays import FloatArray, IntArray
from sim.clock import STEP_S
from sim.contracts import Forecast
from sim.forecasting.errors import clock_quantiles
from sim.forecasting.features import OF_LIFE
from sim.forecasting.learned import LearnedMethod, learned
from sim.forecasting.learner import train
from sim.forecasting.method import Likeness, PriceRule
from sim.forecasting.past import Past
from sim.forecasting.paths import copula_normals, through_quantiles
from sim.forecasting.quantities import stacked
from sim.forecasting.repeat import RepeatMethod
from sim.scenario import Learner
from sim.world import World

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
HISTORY_DAYS = 21
N_AFTER = 3
LEARNER = Learner(
    retrain_days=7,
    iterations=20,
    leaf_nodes=8,
    min_samples_leaf=40,
    learning_rate=0.2,
    origin_step=5,
    lead_step=7,
)
RULE = PriceRule(buy_adder_per_kwh=0.1, sell_fraction=0.5, curtailment_per_kwh=0.0)


class Clock:
    """A meter set to a step."""

    def __init__(self, next_step: int) -> None:
        self.next_step = next_step

    def net_car_load_kw(self, steps: IntArray) -> FloatArray:
        """No cars."""
        return np.zeros((len(steps), 2))


def make_world(seed: int = 0, noise: float = 0.3) -> World:
    """Two regions whose days follow a clock and a week, with persistent noise."""
    rng = np.random.default_rng(seed)
    n = (HISTORY_DAYS + N_AFTER) * 96
    step = np.arange(n) - HISTORY_DAYS * 96
    clock = 2 * np.pi * (step % 96) / 96

    def noisy(shape: FloatArray) -> FloatArray:
        walk = np.zeros((n, 2))
        for k in range(1, n):
            walk[k] = 0.9 * walk[k - 1] + rng.standard_normal(2)
        return np.maximum(shape[:, None] * (1.0 + noise * walk / 3.0), 0.0)

    weekend = np.where((step // 96) % 7 >= 5, 0.6, 1.0)
    load = noisy(100.0 * weekend * (1.5 - np.cos(clock)))
    price = noisy(0.3 + 0.1 * np.sin(clock)) + 0.1
    price[:, 1] = price[:, 0]
    return World(
        first_step=-HISTORY_DAYS * 96,
        load_kw=load,
        pv_kw=noisy(80.0 * np.maximum(-np.cos(clock), 0.0)),
        wind_kw=noisy(np.full(n, 30.0)),
        buy_price_per_kwh=price,
        sell_price_per_kwh=RULE.sell_per_kwh(price),
        curtailment_price_per_kwh=np.zeros((n, 2)),
        grid_kg_per_kwh=np.ones(n),
        prices_are_published=False,
    )


def method(kind: str, world: World, step: int, levels: tuple[float, ...] = LEVELS) -> Any:
    """Build a method to which the steps before ``step`` are known."""
    past = Past(world, Clock(step))
    if kind != "learned":
        return RepeatMethod(past, kind, np.array(levels), HISTORY_DAYS)
    return LearnedMethod(
        past,
        LEARNER,
        levels,
        history_days=HISTORY_DAYS,
        horizon=96,
        start=date(2016, 4, 18),
        price_rule=RULE,
    )


def issued(kind: str, world: World, step: int) -> tuple[FloatArray, FloatArray, Likeness]:
    """Means (4, K, R), quantiles (L, 4, K, R) and likeness."""
    made = method(kind, world, step)
    now_s = step * STEP_S
    return stacked(made.expect(now_s, 96)), made.quantiles(now_s, 96), made.likeness(now_s)


def test_seasonal_naive_is_last_week_by_hand() -> None:
    """Each step of the horizon is the one 672 steps before, prices as well; the 673rd is the first again."""
    world = make_world()
    row = HISTORY_DAYS * 96 + 10
    found = method("seasonal-naive", world, 10).expect(10 * STEP_S, 673)
    for name in ("load_kw", "pv_kw", "wind_kw", "buy_price_per_kwh", "sell_price_per_kwh"):
        values = getattr(world, name)
        np.testing.assert_array_equal(getattr(found, name)[:672], values[row - 672 : row])
        np.testing.assert_array_equal(getattr(found, name)[672], values[row - 672])


@pytest.mark.parametrize("kind", ["persistence", "seasonal-naive", "learned"])
@pytest.mark.parametrize("step", [0, 50, 100])
def test_no_kind_sees_what_is_to_come(kind: str, step: int) -> None:
    """Another truth from now on moves neither means nor quantiles nor likeness by a bit."""
    world, other = make_world(), make_world(1)
    row = step - world.first_step
    changed = replace(
        world,
        **{
            item.name: np.concatenate([getattr(world, item.name)[:row], getattr(other, item.name)[row:]])
            for item in fields(world)
            if isinstance(getattr(world, item.name), np.ndarray)
        },
    )
    assert not np.array_equal(world.load_kw, changed.load_kw)
    learned.cache_clear()
    ours = issued(kind, world, step)
    learned.cache_clear()
    theirs = issued(kind, changed, step)
    for mine, yours in zip(ours[:2], theirs[:2], strict=True):
        np.testing.assert_array_equal(mine, yours)
    np.testing.assert_array_equal(ours[2].persistence, theirs[2].persistence)


@pytest.mark.parametrize("kind", ["persistence", "seasonal-naive", "learned"])
def test_a_method_that_is_asked_too_early_fails(kind: str) -> None:
    """A forecast for an instant that is not reached needs steps that are not over: the past refuses."""
    made = method(kind, make_world(), 10)
    with pytest.raises(LookupError, match="is not measured"):
        made.expect(12 * STEP_S, 672)


def test_the_past_is_the_only_door() -> None:
    """A thief that asks for the present, or for all there is, gets an error and no value; a copy is harmless."""
    world = make_world()
    past = Past(world, Clock(5))
    for wanted in ([5], [0, 96], list(range(-10, 6))):
        with pytest.raises(LookupError, match="is not measured"):
            past.window(np.array(wanted))
    assert past.published_prices(0, 96) is None
    with pytest.raises(ValueError, match="read-only"):
        world.load_kw[0, 0] = 1.0


@pytest.mark.parametrize("kind", ["persistence", "seasonal-naive", "learned"])
def test_quantiles_rise_and_powers_are_not_negative(kind: str) -> None:
    """Levels never cross; no quantile of a power is below 0."""
    _, quantiles, _ = issued(kind, make_world(noise=0.8), 30)
    assert quantiles.shape == (5, 4, 96, 2)
    assert (np.diff(quantiles, axis=0) >= 0.0).all()
    assert (quantiles[:, :3] >= 0.0).all()


def test_there_is_no_sun_at_night() -> None:
    """Where the past has only 0, the learner's PV is exactly 0 in mean and all quantiles."""
    world = make_world()
    means, quantiles, _ = issued("learned", world, 30)
    dark = world.pv_kw[-96:, 0][(30 + np.arange(96)) % 96] == 0.0
    assert 30 < dark.sum() < 60
    assert (means[1][dark] == 0.0).all()
    assert (quantiles[:, 1][:, dark] == 0.0).all()
    assert (means[1][~dark] > 0.0).mean() > 0.9


@pytest.mark.parametrize(
    "kind", ["persistence", "seasonal-naive", pytest.param("learned", marks=pytest.mark.slow)]
)
def test_quantiles_cover_about_their_level(kind: str) -> None:
    """Over six made-up pasts the shares of wind below each quantile come near its level."""
    below = []
    for seed in range(6):
        world = make_world(seed)
        truth = stacked(world.window(0, 96))
        below.append((truth <= issued(kind, world, 0)[1]).mean(axis=(2, 3)))
    off = np.abs(np.mean(below, axis=0)[:, 2] - LEVELS)
    assert (off <= [0.06, 0.10, 0.10, 0.10, 0.06]).all()


@pytest.mark.slow
def test_the_learner_beats_seasonal_naive_on_a_pattern_that_can_be_learned() -> None:
    """On days of one shape and noise, last week carries its noise along and the learner does not."""
    errors: dict[str, list[float]] = {"seasonal-naive": [], "learned": []}
    for seed in range(3):
        world = make_world(seed)
        truth = stacked(world.window(0, 96))
        for kind, found in errors.items():
            found.append(float(np.abs(issued(kind, world, 0)[0] - truth)[[1, 2]].mean()))
    assert np.mean(errors["learned"]) < 0.85 * np.mean(errors["seasonal-naive"])


def test_training_does_not_depend_on_threads() -> None:
    """One or two OpenMP threads around a training give the same predictions to the bit."""
    values = make_world().load_kw[: HISTORY_DAYS * 96]
    found = []
    for limit in (1, 2):
        with threadpool_limits(limits=limit):
            trained = train(values, 0, LEARNER, (0.25, 0.75), 96, OF_LIFE)
            found.append(trained.predict(values, 96, 0))
    np.testing.assert_array_equal(found[0], found[1])


def test_error_quantiles_by_hand() -> None:
    """Errors 0, 1, .., 4 on five days at every clock time: quantiles of those five numbers."""
    errors = np.broadcast_to(np.arange(5.0)[None, :, None, None], (4, 5, 96, 2))
    found = clock_quantiles(errors, np.array([0.25, 0.5]))
    assert found.shape == (2, 4, 96, 2)
    assert np.unique(found[0]).tolist() == [1.0]
    assert np.unique(found[1]).tolist() == [2.0]


def normals(n_paths: int, step: int = 7, n_steps: int = 96) -> FloatArray:
    """Normals of a fixed likeness."""
    likeness = Likeness(persistence=np.full(4, 0.9), correlation=np.full(4, 0.6))
    return copula_normals(
        likeness, seed=1, replication=0, step=step, n_paths=n_paths, n_steps=n_steps, n_regions=2
    )


def test_paths_hang_together_as_asked() -> None:
    """Over 4,000 paths: standard normal, 0.9 from step to step, 0.6 between regions, nothing between quantities."""
    z = normals(4000)
    assert z.shape == (4, 4000, 96, 2)
    assert z.std() == pytest.approx(1.0, abs=0.02)
    assert (z[:, :, 1:] * z[:, :, :-1]).mean() == pytest.approx(0.9, abs=0.02)
    assert (z[..., 0] * z[..., 1]).mean() == pytest.approx(0.6, abs=0.02)
    assert abs((z[0] * z[1]).mean()) < 0.02


@pytest.mark.parametrize("n_paths", [1, 2, 3, 4, 5, 20])
def test_paths_are_balanced(n_paths: int) -> None:
    """Few or many, odd or even: the mean of the paths' normals is 0 everywhere, and their mean square is 1."""
    drawn = [normals(n_paths, step=step) for step in range(30)]
    assert all(z.shape == (4, n_paths, 96, 2) for z in drawn)
    np.testing.assert_allclose([z.mean(axis=1) for z in drawn], 0.0, atol=1e-12)
    squares = np.mean([z**2 for z in drawn])
    assert squares == (0.0 if n_paths == 1 else pytest.approx(1.0, abs=0.1))


def test_paths_reproduce_the_quantiles() -> None:
    """The share of paths below each quantile is its level, whatever the marginal law."""
    quantiles = np.sort(np.random.default_rng(0).uniform(5.0, 9.0, (5, 4, 96, 2)), axis=0)
    paths = through_quantiles(normals(2000), quantiles, np.array(LEVELS))
    below = (paths[None] <= quantiles[:, :, None]).mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(below, LEVELS, atol=0.02)


def test_draws_depend_on_the_decision_alone() -> None:
    """Again the same; another step, another draw."""
    np.testing.assert_array_equal(normals(20), normals(20))
    assert not np.array_equal(normals(20), normals(20, step=8))


def kept(*overrides: str, alter: Any = None) -> list[Forecast]:
    """Forecasts of a small run."""
    return simulate(("fleet.size=8", "forecast.learner.iterations=5", *overrides), alter=alter)[0].forecasts


@pytest.mark.slow
def test_a_run_with_the_learner_issues_all_there_is_and_does_not_peek() -> None:
    """In a run, other truth from 10:00 on leaves forecasts, quantiles and paths up to then as they were."""
    asked = (
        "forecast.kind=learned",
        "forecast.spread=always",
        "forecast.cars=statistics",
        "forecast.n_paths=4",
    )
    ours, theirs = kept(*asked), kept(*asked, alter=later_truth(40))
    for mine, yours in zip(ours[:41], theirs[:41], strict=True):
        assert mine.paths is not None
        assert yours.paths is not None
        assert mine.quantiles is not None
        assert yours.quantiles is not None
        np.testing.assert_array_equal(mine.load_kw, yours.load_kw)
        np.testing.assert_array_equal(mine.quantiles.wind_kw, yours.quantiles.wind_kw)
        np.testing.assert_array_equal(mine.paths.load_kw, yours.paths.load_kw)
    assert not np.array_equal(ours[60].load_kw, theirs[60].load_kw)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["load", "weather", "cars"])
def test_known_parts_are_true_and_the_rest_is_not(part: str) -> None:
    """A known part equals the perfect forecast's, also in quantiles; other parts stay as forecast."""
    usual = kept("forecast.spread=always", "forecast.n_paths=2")[50]
    perfect = kept("forecast.kind=perfect")[50]
    partly = kept("forecast.spread=always", "forecast.n_paths=2", f'forecast.known=["{part}"]')[50]
    names = {"load_kw": "load", "pv_kw": "weather", "wind_kw": "weather"}
    for name, of in names.items():
        source = perfect if of == part else usual
        np.testing.assert_array_equal(getattr(partly, name), getattr(source, name))
        assert partly.quantiles is not None
        spread = np.ptp(getattr(partly.quantiles, name), axis=0)
        assert (spread.max() == 0.0) == (of == part)
    assert (partly.trips is None) == (part != "cars")
    assert (partly.stores is None) == (part == "cars")


def test_no_history_is_drawn_where_none_is_used() -> None:
    """The shipped default has neither quantiles nor paths, nor prices of departures."""
    forecast = kept()[0]
    assert load_scenario("multi-microgrid").forecast.quantile_levels
    assert (forecast.quantiles, forecast.paths, forecast.departing_price_per_kwh) == (None, None, None)
