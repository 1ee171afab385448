from __future__ import annotations

import numpy as np
import pytest
from dispatch_cases import OPTIONS

from dispatch.baselines import OwnCost, Uncontrolled
from dispatch.conformance import check_dispatcher
from dispatch.margin import Margin
from dispatch.policies import BUILT_IN, load_policy
from dispatch.rolling_horizon import RollingHorizon
from dispatch.rules import EarliestDeadline, FirstCome, LeastLaxity, ValleyFirst
from dispatch.stationary import WithStationary
from dispatch.stochastic import Stochastic
from sim.contracts import Dispatcher, Forecast, Schedule, Site, Snapshot
from sim.errors import ForecastLacksError, PolicyError


class Base:
    """A policy without faults; the others below each have one."""

    name = "base"
    needs_own_chain = False
    charges_on_arrival = False

    def start(self, site: Site) -> None:
        """Forget."""
        self.count = 0

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Half power."""
        return Schedule(car_power_kw=self.power(snapshot))

    def power(self, snapshot: Snapshot) -> np.ndarray:
        """Half power."""
        return np.where(snapshot.cars.is_plugged, 0.5 * snapshot.cars.charge_limit_kw, 0.0)


class TooMuch(Base):
    def power(self, snapshot: Snapshot) -> np.ndarray:
        """Above the limit."""
        return 2.0 * snapshot.cars.charge_limit_kw


class WrongShape(Base):
    def power(self, snapshot: Snapshot) -> np.ndarray:
        """One short."""
        return super().power(snapshot)[1:]


class WholeNumbers(Base):
    def power(self, snapshot: Snapshot) -> np.ndarray:
        """Integers."""
        return np.zeros(snapshot.cars.n, np.int64)


class NotFinite(Base):
    def power(self, snapshot: Snapshot) -> np.ndarray:
        """Divides by zero energy."""
        return np.full(snapshot.cars.n, np.nan)


class Meddler(Base):
    def power(self, snapshot: Snapshot) -> np.ndarray:
        """Writes into its inputs."""
        snapshot.cars.energy_kwh[:] = 0.0
        return super().power(snapshot)


class Moody(Base):
    mood = 0

    def power(self, snapshot: Snapshot) -> np.ndarray:
        """Remembers what it must forget."""
        type(self).mood += 1
        return super().power(snapshot) / self.mood


class OnceOnly(Base):
    starts = 0

    def start(self, site: Site) -> None:
        """Cannot be made again after a run: every second start fails."""
        type(self).starts += 1
        if self.starts % 2 == 0:
            raise RuntimeError("busy")


class Nothing(Base):
    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Forgets to answer."""
        return None  # type: ignore[return-value]


class BadBattery(Base):
    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Sets batteries beyond their limits."""
        power = np.full(len(snapshot.battery_energy_kwh), 99.0)
        return Schedule(car_power_kw=self.power(snapshot), battery_power_kw=power)


class Crasher(Base):
    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Does not expect an empty fleet."""
        snapshot.cars.energy_kwh.max()
        return super().decide(snapshot, forecast)


class Nameless(Base):
    name = 7  # type: ignore[assignment]


class AlwaysRefuses(Base):
    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Refuses whatever the forecast carries."""
        raise ForecastLacksError("base", "paths")


@pytest.mark.parametrize(
    "make",
    [
        Base,
        Uncontrolled,
        OwnCost,
        ValleyFirst,
        lambda: LeastLaxity(OPTIONS),
        lambda: EarliestDeadline(OPTIONS),
        lambda: FirstCome(OPTIONS),
        lambda: RollingHorizon(OPTIONS),
        lambda: Margin(OPTIONS),
        lambda: Stochastic(OPTIONS),
    ],
)
def test_sound_dispatchers_pass(make) -> None:
    """The built-in policies and a user's sound one keep the contract, alone and completed by the common program."""
    check_dispatcher(make)
    check_dispatcher(lambda: WithStationary(make(), OPTIONS))


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (TooMuch, r"car_power_kw\[0\] = 10 is outside -5..5"),
        (WrongShape, r"car_power_kw must have shape \(1,\), has \(0,\)"),
        (WholeNumbers, r"car_power_kw must be a float64 array, is int64"),
        (NotFinite, r"not finite"),
        (Meddler, r"raised ValueError: .*read-only"),
        (Moody, r"the same inputs after a fresh start gave another schedule"),
        (OnceOnly, r"after a fresh start with the same inputs raised RuntimeError: busy"),
        (Nothing, r"must return a Schedule, gave NoneType"),
        (BadBattery, r"battery_power_kw\[0\] = 99 is outside"),
        (AlwaysRefuses, r"quantiles and paths: policy base: the forecasts carry no paths"),
        (Crasher, r"0 cars .* raised ValueError"),
        (Nameless, r"attribute name must be a str, is 7"),
        (object, r"methods start\(site\) and decide"),
    ],
)
def test_each_fault_is_found(make, fault: str) -> None:
    """A dispatcher that breaks the contract is refused with the fault."""
    with pytest.raises(PolicyError, match=fault):
        check_dispatcher(make)


def test_all_faults_are_listed() -> None:
    """Faults of several cases come together, a line each."""
    with pytest.raises(PolicyError) as caught:
        check_dispatcher(NotFinite)
    assert len(str(caught.value).splitlines()) >= 3


def test_policies_by_name(tmp_path, monkeypatch) -> None:
    """Built-in names and a user's class load; both are dispatchers."""
    for name in BUILT_IN:
        policy = load_policy(name, OPTIONS)
        assert isinstance(policy, Dispatcher)
        assert policy.name == name
    (tmp_path / "my_policy_module.py").write_text(
        "class Mine:\n    name = 'mine'\n    needs_own_chain = False\n    charges_on_arrival = False\n"
        "    def start(self, site): pass\n    def decide(self, snapshot, forecast): pass\n"
        "class Half:\n    name = 'half'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert load_policy("my_policy_module:Mine", OPTIONS).name == "mine"
    with pytest.raises(PolicyError, match="did you mean 'Mine'"):
        load_policy("my_policy_module:Mien", OPTIONS)
    with pytest.raises(PolicyError, match="not a dispatcher, lacks needs_own_chain"):
        load_policy("my_policy_module:Half", OPTIONS)


def test_policies_that_cannot_be_made_are_told(tmp_path, monkeypatch) -> None:
    """A module or class of a user's own that raises, and a name that makes nothing, are policy errors."""
    (tmp_path / "unmade_policies.py").write_text(
        "class Raises:\n    def __init__(self): raise KeyError('tariff')\n"
        "class Wants:\n    def __init__(self, site): pass\n"
        "made = 3\n"
        "class Numbered:\n    name = 3\n    needs_own_chain = False\n    charges_on_arrival = False\n"
        "    def start(self, site): pass\n    def decide(self, snapshot, forecast): pass\n"
    )
    (tmp_path / "open_bracket.py").write_text("x = (\n")
    (tmp_path / "raises_at_once.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    for spec, fault in (
        ("unmade_policies:Raises", r"cannot be made: KeyError: 'tariff' \(.*unmade_policies\.py, line 2\)"),
        (
            "unmade_policies:Wants",
            r"cannot be made: TypeError: .*missing 1 required positional argument: 'site'",
        ),
        ("unmade_policies:made", "made is a int, not a class"),
        ("unmade_policies:Numbered", "its name must be a text, is 3"),
        ("open_bracket:X", r"cannot import open_bracket: SyntaxError: .*\(open_bracket\.py, line 1\)"),
        ("raises_at_once:X", r"ZeroDivisionError: division by zero \(.*raises_at_once\.py, line 1\)"),
        ("./here:X", r"cannot import \./here"),
    ):
        with pytest.raises(PolicyError, match=fault):
            load_policy(spec, OPTIONS)


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("roling", "unknown policy 'roling'; did you mean 'rolling'"),
        (
            "zzz",
            r"unknown policy 'zzz' \(known: day-ahead, each-alone, earliest-deadline, first-come, least-laxity, ",
        ),
        ("no_such_module:Class", "cannot import no_such_module"),
        (":Class", "write package.module:Class"),
    ],
)
def test_unknown_policies_are_told_with_help(spec: str, fault: str) -> None:
    """What cannot be loaded is named, with the nearest known name."""
    with pytest.raises(PolicyError, match=fault):
        load_policy(spec, OPTIONS)
