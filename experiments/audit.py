"""Audit of a run's folder: everything derived again from its tables, by code of its own.

Nothing here is shared with the simulator but the schema of the tables (``sim.trace``); there are no stored
checksums, so a folder whose tables were rewritten with the same rows passes. Tolerances: ``audit_findings``.
"""

from __future__ import annotations

from pathlib import Path

from experiments.audit_cars import (
    check_energy,
    check_states,
    check_tiling,
    check_vehicles,
    life_of,
)
from experiments.audit_decisions import check_decisions, check_exclusivity, check_manifest
from experiments.audit_domain import check_declarations, check_domain
from experiments.audit_feeder import check_charger_kvar, check_feeder
from experiments.audit_figures import check_figures
from experiments.audit_findings import Finding, Findings
from experiments.audit_folder import Folder, check_signs, read_folder
from experiments.audit_forecasts import check_forecasts
from experiments.audit_grid import (
    Grid,
    check_balance,
    check_car_load,
    check_connections,
    check_curtailment,
    check_grid_keys,
)
from experiments.audit_marginals import check_marginals
from experiments.audit_plugs import check_chargers, check_instants, check_plugs
from experiments.audit_prices import check_prices
from experiments.audit_queue import check_queue
from experiments.audit_required import check_required
from experiments.audit_sessions import check_sessions
from experiments.audit_trips import (
    check_drives,
    check_places,
    check_plan,
    check_realised,
    check_unmet,
    itinerary_of,
)
from experiments.audit_units import check_storage, check_ties
from experiments.reading import Run, read_run

__all__ = ["Finding", "audit"]


def audit(run: str | Path | Run) -> list[Finding]:
    """Audit a run's folder.

    Parameters
    ----------
    run
        The folder, or a run already open.

    Returns
    -------
    list of Finding
        One per fault, each a readable line; empty when nothing is wrong. Where tables are not whole, the
        checks that build on them are left out.

    Raises
    ------
    RunFolderError
        When the folder is not a run's.
    """
    findings = Findings()
    opened = read_run(run)
    try:
        folder = read_folder(opened, findings)
        if folder is not None:
            _check(folder, findings)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        claim = f"lacks what a run has, or holds it in another form ({type(error).__name__}: {error})"
        findings.add("readable", "scenario.toml", claim)
    return findings.items


def _check(folder: Folder, findings: Findings) -> None:
    check_signs(folder, findings)
    check_manifest(folder, findings)
    check_decisions(folder, findings)
    grid_whole, cars_whole = check_grid_keys(folder, findings), check_vehicles(folder, findings)
    life, trips = life_of(folder), itinerary_of(folder)
    if cars_whole and check_tiling(folder, life, findings):
        check_states(folder, life, findings)
        check_energy(folder, life, findings)
        check_chargers(folder, life, findings)
        check_plugs(folder, life, findings)
        check_instants(folder, life, findings)
        check_queue(folder, life, trips, findings)
        check_sessions(folder, trips, findings)
        check_plan(folder, trips, findings)
        check_realised(folder, trips, findings)
        check_places(folder, life, trips, findings)
        check_drives(folder, life, trips, findings)
        check_unmet(folder, life, trips, findings)
        check_required(folder, life, trips, findings)
        check_domain(folder, life, trips, findings)
        check_declarations(folder, life, trips, findings)
        check_marginals(folder, life, findings)
    if grid_whole:
        grid = Grid(folder, findings)
        check_balance(grid)
        check_connections(grid)
        check_curtailment(grid)
        check_storage(grid)
        check_ties(grid)
        check_feeder(grid)
        check_prices(grid)
        check_car_load(grid, life)
        if cars_whole:
            check_charger_kvar(grid, life)
        check_forecasts(folder, findings)
        check_exclusivity(folder, findings)
        check_figures(folder, life, trips, findings)
