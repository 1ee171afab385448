from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dispatch_cases import OPTIONS, world

from dispatch.assembly import Assembly
from dispatch.extension import extended
from dispatch.highs import LinearProgram, Solver
from dispatch.plan import cost, piecewise_fuel, violation
from dispatch.problem import Problem, build
from dispatch.program import Program
from dispatch.session import Failure, Session, Solved, check, fuel_envelopes


def small(*, bound: float = 4.0, limit: float = 5.0) -> LinearProgram:
    """Minimise -x - 2y, x + y <= limit, 0 <= x, y <= bound."""
    return LinearProgram(
        cost=np.array([-1.0, -2.0]),
        lower=np.zeros(2),
        upper=np.full(2, bound),
        row_lower=np.array([-np.inf]),
        row_upper=np.array([limit]),
        starts=np.array([0, 1, 2], np.int32),
        rows=np.zeros(2, np.int32),
        values=np.ones(2),
    )


def assembled(seed: int = 1, n_cars: int = 4) -> tuple[Problem, Assembly]:
    """Assemble a world's first decision."""
    made = world(n_cars, seed)
    problem = build(made.site, made.snapshot(), made.forecast(), departing_energy_value="lambda")
    return problem, Program(made.site, made.cars(), 96, fuel_envelopes(made.site)).assemble(problem)


def test_a_small_program_by_hand() -> None:
    """Values, objective, bound and duals of a program solved in the head."""
    outcome = Solver(iteration_limit=100).solve(small())
    assert outcome.status == "optimal"
    assert outcome.values.tolist() == [1.0, 4.0]
    assert outcome.objective == outcome.bound == -9.0
    assert outcome.row_duals.tolist() == [-1.0]
    assert outcome.reduced_costs.tolist() == [0.0, -1.0]


def test_what_is_not_unique_by_hand() -> None:
    """A kink in the cost is told of the row's dual, a tie in the costs of the columns' values; else nothing is."""
    tied = replace(small(), cost=np.array([-1.0, -1.0]))
    for program, duals, values in (
        (small(), [0], [0, 0]),
        (small(limit=4.0), [1], [0, 0]),
        (tied, [0], [1, 1]),
    ):
        found = Solver(iteration_limit=100).solve(program).ambiguity
        assert found is not None
        assert found.row_duals.tolist() == duals
        assert found.values.tolist() == values


def test_other_bounds_are_handed_over_in_place() -> None:
    """After a solve the same program with other bounds is re-solved from its basis, as a fresh solver would."""
    solver, first = Solver(iteration_limit=100), small()
    start = solver.solve(first)
    changed = replace(first, upper=np.array([4.0, 2.0]))
    again = solver.solve(changed, start.basis)
    assert again.values.tolist() == [3.0, 2.0]
    assert again.objective == Solver(iteration_limit=100).solve(changed).objective
    unrelated = solver.solve(small(limit=3.0), again.basis)
    assert unrelated.values.tolist() == [0.0, 3.0]


def test_failures_are_data() -> None:
    """Infeasible, unbounded and stopped solves have a status and no values."""
    crossed = replace(small(), row_lower=np.array([20.0]), row_upper=np.array([30.0]))
    assert Solver(iteration_limit=100).solve(crossed).status == "infeasible"
    endless = replace(small(), upper=np.full(2, np.inf), row_upper=np.array([np.inf]))
    outcome = Solver(iteration_limit=100, presolve=False).solve(endless)
    assert outcome.status == "unbounded"
    assert not outcome.has_values
    assert outcome.values.size == 0
    _, assembly = assembled()
    stopped = Solver(iteration_limit=3).solve(assembly.program)
    assert stopped.status == "iteration_limit"
    assert stopped.iterations <= 5


def test_solver_can_go_on_after_a_failure() -> None:
    """A failed solve leaves the solver fit for the next program."""
    solver = Solver(iteration_limit=100)
    solver.solve(replace(small(), row_lower=np.array([20.0]), row_upper=np.array([30.0])))
    assert solver.solve(small()).objective == -9.0


def test_integer_program_by_hand() -> None:
    """X + y <= 5 with y <= 4 u, x <= 4 (1 - u): the better of two corners, and its bound."""
    program = extended(
        small(),
        n_binaries=1,
        row_lower=np.full(2, -np.inf),
        row_upper=np.array([0.0, 4.0]),
        columns=np.array([1, 2, 0, 2]),
        rows=np.array([0, 0, 1, 1]),
        values=np.array([1.0, -4.0, 1.0, 4.0]),
    )
    outcome = Solver(iteration_limit=1000).solve_integer(program, relative_gap=1e-9, node_limit=None)
    assert outcome.status == "optimal"
    np.testing.assert_allclose(outcome.values, [0.0, 4.0, 1.0], atol=1e-9)
    assert outcome.bound == pytest.approx(-8.0)


@pytest.mark.parametrize("seed", [1, 2])
def test_presolve_does_not_change_the_optimum(seed: int) -> None:
    """With and without presolve a decision's program has the same optimum."""
    _, assembly = assembled(seed)
    with_it = Solver(iteration_limit=10**6).solve(assembly.program)
    without = Solver(iteration_limit=10**6, presolve=False).solve(assembly.program)
    assert with_it.objective == pytest.approx(without.objective, rel=1e-9)


def test_a_solver_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither birth nor solve of a solver writes to the terminal."""
    Solver(iteration_limit=100).solve(small())
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_objective_against_the_plans_own_price() -> None:
    """The solver's objective is what the plan costs, priced from the problem without matrices."""
    made = world(5, 3, ties=2, export_limit_kw=np.full(3, 30.0))
    problem = build(
        made.site, made.snapshot(), made.forecast(perfect=False), departing_energy_value="median_price"
    )
    session = Session(made.site, made.cars(), 96, iteration_limit=10**6)
    solved = session.solve(problem)
    assert isinstance(solved, Solved)
    assert solved.outcome.objective == pytest.approx(
        cost(problem, solved.plan, piecewise_fuel(session.fuel)), rel=1e-9
    )
    assert violation(problem, solved.plan) < 1e-7


@pytest.mark.parametrize(
    "part",
    [
        "charge_kw",
        "discharge_kw",
        "energy_kwh",
        "battery_charge_kw",
        "battery_energy_kwh",
        "import_kw",
        "export_kw",
    ]
    + ["curtailed_kw", "unserved_kw", "turbine_kw", "pool_charge_kw", "pool_energy_kwh", "pool_leaving_kwh"],
)
def test_every_damage_to_a_plan_is_seen(part: str) -> None:
    """A change of one number anywhere in a plan is a violation, and a violated answer is not accepted."""
    made = world(5, 1)
    problem = build(made.site, made.snapshot(), made.forecast(perfect=False), departing_energy_value="lambda")
    solved = Session(made.site, made.cars(), 96, iteration_limit=10**6).solve(problem)
    assert isinstance(solved, Solved)
    values = getattr(solved.plan, part).copy()
    values[1, 0] += 0.01
    assert violation(problem, replace(solved.plan, **{part: values})) > 1e-4
    spoilt = replace(solved.outcome, values=solved.outcome.values + 0.01)
    assert isinstance(check(problem, solved.assembly, spoilt), Failure)


def test_options_of_the_solver_are_checked() -> None:
    """An option that the installed solver does not take is an error, not a default."""
    with pytest.raises(RuntimeError, match="does not take option"):
        Solver(iteration_limit=1)._set("no_such_option", 1)


def test_options_come_from_the_scenario() -> None:
    """Every field of the options has its field in the scenario."""
    from sim.scenario import Dispatch

    assert set(OPTIONS.__slots__) <= set(Dispatch.model_fields)
