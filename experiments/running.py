"""The main job: a scenario becomes a run folder; several policies become a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from experiments.assemble import Faults, check_policies
from experiments.job import Job, OnStep
from experiments.reading import Run, read_run
from experiments.run_folder import check_free, default_folder, folder_name, whole_folder
from experiments.shipped import load_scenario
from sim.contracts import Dispatcher
from sim.errors import PolicyError
from sim.scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Runs of several policies on the same travel and weather."""

    path: Path
    runs: dict[str, Run]
    table: pd.DataFrame  # one row per key figure: a column per policy, then differences to the first


def run(
    scenario: str | Path | Scenario,
    *,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    policy: str | None = None,
    dispatcher: Dispatcher | None = None,
    on_step: OnStep | None = None,
) -> Run:
    """Simulate one scenario and leave a run folder.

    Parameters
    ----------
    scenario
        Name of a shipped scenario, path of a TOML file, or a validated scenario.
    out
        The folder to make; default ``runs/<scenario>-<policy>-<seed>`` with a counter.
    overrides
        ``key=value`` strings as of ``--set``.
    seed, policy
        Short for the overrides ``simulation.seed`` and ``dispatch.policy``.
    dispatcher
        An own policy object instead of a named one; its ``name`` stands in the folder's name, and the folder says so.
    on_step
        Called with (steps done, steps in all).

    Returns
    -------
    Run
        The folder, opened.

    Raises
    ------
    ScenarioError, RunFolderError, PolicyError
        Each with one clear message.
    """
    loaded = resolve(scenario, overrides=overrides, seed=seed, policy=policy)
    name = loaded.dispatch.policy if dispatcher is None else dispatcher.name
    stem = f"{loaded.scenario.name}-{name}-{loaded.simulation.seed}"
    target = Path(out) if out is not None else default_folder(Path("runs"), stem)
    check_free(target)
    with threadpool_limits(limits=1):
        job = Job.prepare(loaded, dispatcher, on_step)
        with whole_folder(target) as folder:
            job.write(folder, job.simulate())
    return read_run(target)


def compare(
    scenario: str | Path | Scenario,
    policies: Sequence[str],
    *,
    forecasters: Sequence[str] | None = None,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """Run several policies, each under one or several forecasters, on the same travel and weather.

    Parameters
    ----------
    forecasters
        Kinds as of `forecast.kind`; by default the scenario's alone.

    Returns
    -------
    Comparison
        Folder with one run folder per policy (with several forecasters: ``policy@forecaster``) and
        ``comparison.csv``.

    Raises
    ------
    ScenarioError, RunFolderError, PolicyError
        Each with one clear message; all unknown policies and forecasters at once.
    """
    check_names("policy", policies)
    if forecasters is not None:
        check_names("forecaster", forecasters)
    kinds = () if forecasters is None else forecasters
    names = comparison_names(policies, kinds)
    loaded = resolve_all(scenario, policies, kinds, overrides=overrides, seed=seed)
    first = loaded[0]
    stem = f"{first.scenario.name}-compare-{first.simulation.seed}"
    target = Path(out) if out is not None else default_folder(Path("runs"), stem)
    with threadpool_limits(limits=1), whole_folder(target) as folder:
        for name, one in zip(names, loaded, strict=True):
            inner = folder / folder_name(name)
            inner.mkdir()
            job = Job.prepare(one, None, _named(on_step, name))
            job.write(inner, job.simulate())
        runs = {name: read_run(folder / folder_name(name)) for name in names}
        table = comparison_table({name: dict(one.kpis) for name, one in runs.items()})
        table.to_csv(folder / "comparison.csv")
    return Comparison(
        path=target, runs={name: read_run(target / folder_name(name)) for name in names}, table=table
    )


def comparison_names(policies: Sequence[str], forecasters: Sequence[str] = ()) -> list[str]:
    """Name of each run of a comparison: the policy, with its forecaster where there are several.

    >>> comparison_names(["own-cost", "rolling"], ["perfect"])
    ['own-cost', 'rolling']
    >>> comparison_names(["rolling"], ["persistence", "perfect"])
    ['rolling@persistence', 'rolling@perfect']
    """
    if len(forecasters) < 2:
        return list(policies)
    return [f"{policy}@{forecaster}" for policy in policies for forecaster in forecasters]


def check_names(what: str, names: Sequence[str]) -> None:
    """Refuse a comparison without names, or with the same one twice.

    Raises
    ------
    PolicyError
        With one line.
    """
    if not names:
        raise PolicyError(f"no {what} to compare; name at least one")
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise PolicyError(f"{what} {twice[0]!r} is named twice; compare each once")


def resolve_all(
    scenario: str | Path | Scenario,
    policies: Sequence[str],
    forecasters: Sequence[str],
    *,
    overrides: Sequence[str],
    seed: int | None,
) -> list[Scenario]:
    """Scenarios of a comparison, policy by policy, the forecasters of each together.

    Raises
    ------
    ScenarioError, PolicyError
        With every fault of the scenario, its forecasters and the policies.
    """
    more = [overrides] if isinstance(overrides, str) else list(overrides)
    faults = Faults()
    base = faults.of(partial(resolve, scenario, overrides=more, seed=seed))
    if base is not None:
        faults.of(lambda: check_policies(with_policy(base, policy) for policy in policies))
    kinds = [[f'forecast.kind="{kind}"'] for kind in forecasters]
    told = [faults.of(partial(resolve, scenario, overrides=[*more, *kind], seed=seed)) for kind in kinds]
    faults.raise_any()
    sound = [one for one in told or [base] if one is not None]
    return [with_policy(one, policy) for policy in policies for one in sound]


def with_policy(scenario: Scenario, policy: str) -> Scenario:
    """The scenario under another policy."""
    return scenario.model_copy(update={"dispatch": scenario.dispatch.model_copy(update={"policy": policy})})


def comparison_table(figures: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Key figures side by side, with each policy's difference to the first.

    >>> comparison_table({"a": {"x_kwh": 3.0}, "b": {"x_kwh": 5.0}})  # doctest: +NORMALIZE_WHITESPACE
             a    b  b - a
    kpi
    x_kwh  3.0  5.0    2.0
    """
    table = pd.DataFrame(figures)
    table.index.name = "kpi"
    first, *others = list(figures)
    for name in others:
        table[f"{name} - {first}"] = table[name] - table[first]
    return table


def resolve(
    scenario: str | Path | Scenario,
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    policy: str | None = None,
) -> Scenario:
    """Scenario as it will run, with overrides, read and checked."""
    more = [overrides] if isinstance(overrides, str) else list(overrides)
    if seed is not None:
        more.append(f"simulation.seed={seed}")
    if policy is not None:
        more.append(f'dispatch.policy="{policy}"')
    return load_scenario(scenario, more)


def _named(on_step: Callable[[str, int, int], None] | None, policy: str) -> OnStep | None:
    if on_step is None:
        return None
    return lambda done, total: on_step(policy, done, total)
