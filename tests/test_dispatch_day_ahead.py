from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dispatch_cases import printed_fuel_cost_per_h, world

from dispatch.day_ahead import DayAhead, DayAheadOptions, day_ahead_optimum

OFF = DayAheadOptions(
    turbine="off", pieces=8, is_cyclic=False, is_strict=False, mip_relative_gap=1e-5, mip_node_limit=None,
    iteration_limit=10**6,
)  # fmt: skip


def optimum(made, **changes) -> DayAhead:
    """Optimise a world's day."""
    return day_ahead_optimum(made.site, made.snapshot(), made.forecast(), replace(OFF, **changes))


def test_strict_exclusivity_costs_nothing_at_the_default_price() -> None:
    """With a binary everywhere the optimum is that of the relaxation: burning does not pay."""
    made = world(3, 1, supply_factor=2.0)
    loose, strict = optimum(made), optimum(made, is_strict=True)
    assert strict.binaries > 500
    assert strict.objective == pytest.approx(loose.objective, rel=1e-5)
    assert strict.plan.max_overlap_kw < 1e-6


def test_cyclic_condition_holds_and_costs() -> None:
    """Cars and batteries end with at least what they began with, and never for less money."""
    made = world(6, 2, energy_value_per_kwh=0.0)
    free, cyclic = optimum(made), optimum(made, is_cyclic=True)
    assert free.plan.energy_kwh[-1].sum() < made.energy.sum()
    assert np.all(cyclic.plan.energy_kwh[-1] >= made.energy - 1e-6)
    assert np.all(cyclic.plan.battery_energy_kwh[-1] >= made.battery - 1e-6)
    assert cyclic.objective > free.objective


@pytest.mark.parametrize("fuel", [None, printed_fuel_cost_per_h])
def test_turbine_treatments_are_ordered(fuel) -> None:
    """Under-estimator <= pieces <= off, in objective; the pieces' plan costs truly what its program says, nearly."""
    changes = {"import_limit_kw": np.full(3, 420.0)}
    made = world(2, 1, **changes) if fuel is None else world(2, 1, **changes, turbine_fuel_cost_per_h=fuel)
    below, off = optimum(made, turbine="convex"), optimum(made)
    pieces = optimum(made, turbine="piecewise", mip_relative_gap=1e-3)
    slack = 1.4 * 0.25 * 96 * 3
    assert below.objective <= pieces.objective + slack
    assert pieces.bound <= off.objective + 1e-6
    assert pieces.gap <= 1e-3
    assert pieces.binaries == 7 * 96 * 3
    assert pieces.true_cost == pytest.approx(pieces.objective, abs=slack)
    assert below.objective <= below.true_cost


def test_no_solution_is_data() -> None:
    """A horizon without an answer within its iterations has a status and no plan."""
    answer = optimum(world(2, 1), iteration_limit=1)
    assert answer.status == "iteration_limit"
    assert answer.plan is None


def test_a_start_from_a_neighbour_changes_the_way_not_the_optimum() -> None:
    """A basis of other prices, sun or export limits leads to the cold optimum, each time by the same plan."""
    made = world(8, 3)
    first = optimum(made)
    dearer, less_sun = world(8, 3), world(8, 3, supply_factor=0.7)
    dearer.buy = dearer.buy * 1.2
    fewer = world(8, 3, export_limit_kw=np.full(3, 40.0))
    for other in (dearer, less_sun, fewer):
        cold = optimum(other)
        warm, again = (
            day_ahead_optimum(other.site, other.snapshot(), other.forecast(), OFF, start=first.basis)
            for _ in range(2)
        )
        assert warm.objective == pytest.approx(cold.objective, rel=1e-9)
        assert warm.plan.charge_kw.tobytes() == again.plan.charge_kw.tobytes()


def test_a_start_of_another_shape_is_refused() -> None:
    """A basis of a program with import limits does not fit one without."""
    limited = optimum(world(2, 1, import_limit_kw=np.full(3, 420.0)))
    made = world(2, 1)
    with pytest.raises(ValueError, match="start has"):
        day_ahead_optimum(made.site, made.snapshot(), made.forecast(), OFF, start=limited.basis)


def test_home_only_vehicle_to_grid_lies_between_none_and_all() -> None:
    """The fewer regions let cars discharge, the dearer the optimum, and nothing is discharged elsewhere."""
    none, home, everywhere = (
        optimum(world(6, 2, can_discharge_cars=np.array(flags)))
        for flags in ([False] * 3, [True, False, False], [True] * 3)
    )
    assert everywhere.objective < home.objective < none.objective
    assert not none.plan.discharge_kw.any()
