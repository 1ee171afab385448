"""The main job: a scenario becomes a run folder; several policies become a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from experiments.assemble import check_policies
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
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """Run several policies on the same travel and weather.

    Returns
    -------
    Comparison
        Folder with one run folder per policy and ``comparison.csv``.

    Raises
    ------
    ScenarioError, RunFolderError, PolicyError
        Each with one clear message.
    """
    if not policies:
        raise PolicyError("no policy to compare; name at least one")
    if twice := [policy for i, policy in enumerate(policies) if policy in policies[:i]]:
        raise PolicyError(f"policy {twice[0]!r} is named twice; compare each once")
    loaded = [resolve(scenario, overrides=overrides, seed=seed, policy=policy) for policy in policies]
    check_policies(loaded)
    first = loaded[0]
    stem = f"{first.scenario.name}-compare-{first.simulation.seed}"
    target = Path(out) if out is not None else default_folder(Path("runs"), stem)
    with threadpool_limits(limits=1), whole_folder(target) as folder:
        for policy, one in zip(policies, loaded, strict=True):
            inner = folder / folder_name(policy)
            inner.mkdir()
            job = Job.prepare(one, None, _named(on_step, policy))
            job.write(inner, job.simulate())
        runs = {policy: read_run(folder / folder_name(policy)) for policy in policies}
        table = comparison_table({policy: dict(one.kpis) for policy, one in runs.items()})
        table.to_csv(folder / "comparison.csv")
    return Comparison(
        path=target, runs={policy: read_run(target / folder_name(policy)) for policy in policies}, table=table
    )


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
