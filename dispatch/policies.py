"""Policies by name: the built-in ones, and a user's own as ``package.module:Class``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from difflib import get_close_matches

from dispatch.baselines import OwnCost, Uncontrolled
from dispatch.each_alone import EachAlone
from dispatch.margin import Margin
from dispatch.options import DispatchOptions
from dispatch.rolling_horizon import RollingHorizon
from dispatch.rules import EarliestDeadline, FirstCome, LeastLaxity, ValleyFirst
from dispatch.stochastic import Stochastic
from dispatch.whole_run import DayAhead
from sim.contracts import Dispatcher
from sim.errors import PolicyError, VoltwalkError, told

BUILT_IN: dict[str, Callable[[DispatchOptions], Dispatcher]] = {
    "day-ahead": DayAhead,
    "each-alone": EachAlone,
    "earliest-deadline": EarliestDeadline,
    "first-come": FirstCome,
    "least-laxity": LeastLaxity,
    "margin": Margin,
    "own-cost": lambda options: OwnCost(options.window),
    "rolling": RollingHorizon,
    "stochastic": Stochastic,
    "uncontrolled": lambda _: Uncontrolled(),
    "valley-first": lambda _: ValleyFirst(),
}


def load_policy(spec: str, options: DispatchOptions) -> Dispatcher:
    """Make the dispatcher that a name stands for.

    Parameters
    ----------
    spec
        A built-in name, or ``package.module:Class`` (a class or function that makes a dispatcher without arguments).
    options
        The scenario's `dispatch` part, for the built-in policies.

    Raises
    ------
    PolicyError
        When the name is unknown (with the nearest known one), the module cannot be imported, or what it gives is not
        a dispatcher.
    """
    if ":" in spec:
        return _own(spec)
    if spec in BUILT_IN:
        return BUILT_IN[spec](options)
    near = get_close_matches(spec, BUILT_IN, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    known = ", ".join(sorted(BUILT_IN))
    raise PolicyError(f"unknown policy {spec!r}{hint} (known: {known}, or package.module:Class)")


def _own(spec: str) -> Dispatcher:
    module_name, _, class_name = spec.partition(":")
    if not module_name or not class_name:
        raise PolicyError(f"policy {spec!r}: write package.module:Class")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise PolicyError(f"policy {spec!r}: cannot import {module_name}: {error}") from error
    except Exception as error:  # a user's module may raise anything, a syntax error among them
        raise PolicyError(f"policy {spec!r}: cannot import {module_name}: {told(error)}") from error
    if not hasattr(module, class_name):
        names = [name for name in vars(module) if not name.startswith("_")]
        near = get_close_matches(class_name, names, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise PolicyError(f"policy {spec!r}: {module_name} has no {class_name}{hint}")
    maker = getattr(module, class_name)
    if not callable(maker):
        raise PolicyError(
            f"policy {spec!r}: {class_name} is a {type(maker).__name__}, not a class or a function that makes one"
        )
    try:
        made = maker()
    except VoltwalkError:
        raise
    except Exception as error:  # a user's code may raise anything
        raise PolicyError(f"policy {spec!r}: cannot be made: {told(error)}") from error
    if not isinstance(made, Dispatcher):
        missing = [
            name
            for name in ("name", "needs_own_chain", "charges_on_arrival", "start", "decide")
            if not hasattr(made, name)
        ]
        raise PolicyError(f"policy {spec!r}: not a dispatcher, lacks {', '.join(missing)}")
    if not isinstance(made.name, str):
        raise PolicyError(f"policy {spec!r}: its name must be a text, is {made.name!r}")
    return made
