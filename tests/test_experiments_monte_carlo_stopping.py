"""Stopping rules are read as written, and judged on the first replications alone, whatever came first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.monte_carlo.analysis.stopping import Judge, Rule, read_rule
from experiments.monte_carlo.contracts import Cell, Row
from sim.errors import StudyError

POLICIES = ("uncontrolled", "own-cost", "rolling")
COST = "total_cost_net_cny"

Value = Callable[[int, str, int], float]


def row(cell: int, policy: str, replication: int, **figures: float) -> Row:
    """Make a row with nothing but the figures."""
    return Row(
        cell=Cell(index=cell),
        policy=policy,
        replication=replication,
        figures=figures,
        wall_seconds=0.1,
        peak_memory_mb=1.0,
    )


def rows_of(value: Value, n: int, n_cells: int = 1, policies: Sequence[str] = POLICIES) -> list[Row]:
    """Rows of a study whose cost is a function of cell, policy and replication."""
    return [
        row(cell, policy, k, **{COST: value(cell, policy, k)})
        for k, cell, policy in product(range(n), range(n_cells), policies)
    ]


def stop(rule: str, values: Sequence[float], minimum: int = 2) -> int | None:
    """Where one policy's rule stops a study with these costs."""
    judge = Judge([read_rule(rule, ["rolling"], "CNY")], 1, ["rolling"], minimum, len(values))
    for one in rows_of(lambda _, __, k: values[k], len(values), policies=["rolling"]):
        judge.add(one)
    return judge.stop_at


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("total_cost_net[rolling-uncontrolled] < 2%", (COST, "rolling", "uncontrolled", "<", 2.0, "%")),
        ("total_cost_net[rolling-own-cost]<2 %", (COST, "rolling", "own-cost", "<", 2.0, "%")),
        ("total_cost_net_cny[own-cost-rolling] <= 0.5", (COST, "own-cost", "rolling", "<=", 0.5, "")),
        (" total_cost_net [ own-cost ] <1e3 ", (COST, "own-cost", None, "<", 1000.0, "")),
        ("ev_charged_kwh < 12.5", ("ev_charged_kwh", None, None, "<", 12.5, "")),
        ("lambda_per_kwh < 7%", ("lambda_cny_per_kwh", None, None, "<", 7.0, "%")),
    ],
)
def test_rules_are_read(text: str, expected: tuple[str, str | None, str | None, str, float, str]) -> None:
    """Figure, policies, relation and width are found, with or without currency, blanks and minus within a name."""
    rule = read_rule(text, POLICIES, "CNY")
    assert (rule.figure, rule.policy, rule.minus, rule.relation, rule.width, rule.unit) == expected


@settings(deadline=None)
@given(
    figure=st.sampled_from([COST, "unmet_kwh"]),
    pair=st.sampled_from(
        [(None, None), ("own", None), ("own", "cost"), ("own-cost", "m.x:A"), ("cost", "own")]
    ),
    relation=st.sampled_from(["<", "<="]),
    width=st.floats(min_value=1e-6, max_value=1e12),
    unit=st.sampled_from(["", "%"]),
)
def test_a_rule_written_is_read_back(
    figure: str, pair: tuple[str | None, str | None], relation: str, width: float, unit: str
) -> None:
    """``str`` of a rule is read as the same rule, also among policies whose names can be parted in two ways."""
    rule = Rule(figure=figure, policy=pair[0], minus=pair[1], relation=relation, width=width, unit=unit)  # type: ignore[arg-type]
    assert read_rule(str(rule), ["own", "cost", "own-cost", "m.x:A"], "CNY") == rule


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("total_cost_net", ["write FIGURE < WIDTH"]),
        ("< 2%", ["write FIGURE"]),
        ("total_cost_net > 2%", ["write FIGURE"]),
        ("total_cost_net[rolling < 2%", ["write FIGURE"]),
        (
            "total_cost_nett < 2%",
            ["'total_cost_nett'", "did you mean 'total_cost_net'?", "known: total_cost_cny,"],
        ),
        ("total_cost_net_eur < 2%", ["unknown figure 'total_cost_net_eur'"]),
        ("total_cost[roling] < 2%", ["[roling]", "did you mean 'rolling'?", "own-cost, rolling"]),
        ("total_cost[rolling-uncontroled] < 2%", ["did you mean 'rolling-uncontrolled'?"]),
        ("total_cost[] < 2%", ["[]", "policies: uncontrolled"]),
        ("total_cost[rolling-rolling] < 2%", ["from itself"]),
        ("total_cost < 0", ["width '0'", "positive"]),
        ("total_cost < -2%", ["width '-2%'"]),
        ("total_cost < nan", ["width 'nan'"]),
        ("total_cost < inf", ["width 'inf'"]),
        ("total_cost < 20 CNY", ["width '20 CNY'"]),
        ("total_cost < ", ["width ''"]),
    ],
)
def test_bad_rules_are_told(text: str, faults: list[str]) -> None:
    """One line names the rule, the part that is wrong, what is near and what is known."""
    with pytest.raises(StudyError) as caught:
        read_rule(text, POLICIES, "CNY")
    line = str(caught.value)
    assert "\n" not in line
    assert all(fault in line for fault in [repr(text), *faults]), line


def test_a_rule_of_two_readings_is_refused() -> None:
    """Where ``own-cost`` is a policy and also ``own`` minus ``cost``, blanks around the minus decide."""
    policies = ["own", "cost", "own-cost"]
    with pytest.raises(StudyError, match="2 ways"):
        read_rule("total_cost[own-cost] < 2%", policies, "CNY")
    assert read_rule("total_cost[own - cost] < 2%", policies, "CNY").minus == "cost"


def test_a_stop_by_hand() -> None:
    """1, 3: half-width 12.71; 1, 3, 2: 2.484; with 2 also: 1.299 - each first below the next of these widths."""
    values = [1.0, 3.0, 2.0, 2.0]
    assert [stop(f"total_cost_net < {width}", values) for width in (13, 12, 2.49, 2.48, 1.3, 1.29)] == [
        *(2, 3, 3, 4),
        *(4, None),
    ]
    assert stop("total_cost_net < 65%", values) == 4  # 1.299 / 2
    assert stop("total_cost_net < 64%", values) is None


def test_the_minimum_is_kept() -> None:
    """A rule that would hold at two replications is first judged at the minimum."""
    assert stop("total_cost_net < 1", [5.0] * 30, minimum=20) == 20
    assert stop("total_cost_net < 1", [5.0] * 19 + [math.inf], minimum=20) is None


@pytest.mark.parametrize(
    ("values", "rule", "expected"),
    [
        ([0.1] * 5, "total_cost_net < 1e-9", 2),
        ([0.1] * 5, "total_cost_net <= 1e-9%", 2),
        ([0.0] * 5, "total_cost_net < 1", 2),
        ([0.0] * 5, "total_cost_net < 50%", None),
        ([0.0] * 5, "total_cost_net <= 50%", None),
        ([-1.0, 1.0, 0.0], "total_cost_net < 50%", None),
        ([-7.0, -7.0, -7.0], "total_cost_net < 50%", 2),
        ([1.0, math.nan, 1.0, 1.0], "total_cost_net < 1", None),
        ([1.0, math.inf, 1.0, 1.0], "total_cost_net < 1", None),
        ([1e308, -1e308, 1e308], "total_cost_net < 1e308", None),
    ],
)
def test_what_cannot_be_judged_does_not_hold(values: list[float], rule: str, expected: int | None) -> None:
    """No share of a mean of 0, nothing that is not finite; a constant has half-width 0, which is below any number."""
    assert stop(rule, values) == expected


def test_a_paired_difference_is_judged_by_its_own_spread() -> None:
    """Two policies that move together stop at once on their difference, and not on either cost."""
    value: Value = lambda _, policy, k: 1000.0 * (k % 7) + (25.0 if policy == "rolling" else 0.0)  # noqa: E731
    for text, expected in (("[rolling-uncontrolled]", 3), ("[rolling]", None), ("", None)):
        judge = Judge([read_rule(f"total_cost_net{text} < 10%", POLICIES, "CNY")], 1, POLICIES, 3)
        for one in rows_of(value, 30):
            judge.add(one)
        assert judge.stop_at == expected


def test_every_rule_must_hold_in_every_cell() -> None:
    """The last cell and the stricter rule decide."""
    spread = [1.0, 4.0]
    value: Value = lambda cell, _, k: 100.0 + spread[cell] * (-1) ** k  # noqa: E731
    rules = [
        read_rule(text, POLICIES, "CNY") for text in ("total_cost_net < 5", "total_cost_net[rolling] < 2%")
    ]
    judge = Judge(rules, 2, POLICIES, 2)
    for one in rows_of(value, 100, n_cells=2):
        judge.add(one)
    halves = {n: t * np.std([(-1) ** k for k in range(n)], ddof=1) * 4 / np.sqrt(n)
              for n in range(2, 100) if (t := stats.t.ppf(0.975, n - 1))}  # fmt: skip
    limit = 0.02 * 100.0
    near = [n for n, half in halves.items() if half < limit]
    assert judge.stop_at is not None
    assert abs(judge.stop_at - near[0]) <= 1  # the mean of odd prefixes is not quite 100
    assert judge.stop_at > 10


def test_the_prefix_needs_every_cell_and_policy() -> None:
    """A replication counts when its last row is there and none before it lacks one; a row twice is a row."""
    rows = rows_of(lambda *_: 1.0, 3, n_cells=2)
    judge = Judge([], 2, POLICIES)
    hole = rows.pop(8)  # replication 1
    for one in rows + rows:
        judge.add(one)
    assert (judge.complete, judge.stop_at) == (1, None)
    judge.add(hole)
    assert (judge.complete, judge.stop_at) == (3, None)


def test_rows_beyond_the_maximum_are_left_aside() -> None:
    """Rows that an earlier, longer study left change nothing."""
    judge = Judge([], 1, POLICIES, maximum=4)
    for one in rows_of(lambda *_: 1.0, 10):
        judge.add(one)
    assert judge.complete == 4


def test_the_first_of_two_rows_stays() -> None:
    """A row that comes again is ignored, also with other figures."""
    judge = Judge([read_rule("total_cost_net < 1", ["rolling"], "CNY")], 1, ["rolling"], 2)
    for replication, cost in ((1, 5.0), (1, 500.0), (0, 5.0), (0, 900.0)):
        judge.add(row(0, "rolling", replication, **{COST: cost}))
    assert judge.stop_at == 2


@pytest.mark.parametrize(("minimum", "maximum", "fault"), [(1, 50, "at least 2"), (20, 19, "only 19")])
def test_an_impossible_minimum_is_refused(minimum: int, maximum: int, fault: str) -> None:
    """A spread needs two replications, and the rule a chance to be judged."""
    rule = read_rule("total_cost_net < 2%", POLICIES, "CNY")
    with pytest.raises(StudyError, match=fault):
        Judge([rule], 1, POLICIES, minimum, maximum)
    Judge([], 1, POLICIES, minimum, maximum)  # with no rule there is nothing to judge


costs = st.lists(st.integers(-40, 40).map(lambda n: 100.0 + n / 8), min_size=2, max_size=24)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(3, 16),
    order=st.randoms(use_true_random=False),
    width=st.floats(0.05, 3.0),
)
def test_the_order_of_completion_never_matters(seed: int, n: int, order: object, width: float) -> None:
    """Shuffled and doubled rows give the same stop, to the last bit of every sum."""
    noise = np.random.default_rng(seed).normal(size=(2, 3, n))
    value: Value = lambda cell, policy, k: float(10 + noise[cell, POLICIES.index(policy), k])  # noqa: E731
    rules = [read_rule(f"total_cost_net[rolling-own-cost] < {width}", POLICIES, "CNY")]
    rules.append(read_rule(f"total_cost_net < {10 * width}%", POLICIES, "CNY"))
    rows = rows_of(value, n, n_cells=2)
    judges = [Judge(rules, 2, POLICIES, 2, n) for _ in range(2)]
    for one in rows:
        judges[0].add(one)
    shuffled = rows * 2
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    for one in shuffled:
        judges[1].add(one)
    assert judges[0].complete == judges[1].complete == n
    assert judges[0].stop_at == judges[1].stop_at
    for name in ("_n", "_mean", "_squares"):
        assert np.array_equal(*(getattr(judge._widths, name) for judge in judges))  # noqa: SLF001


@settings(deadline=None)
@given(values=costs, width=st.floats(0.05, 20.0), unit=st.sampled_from(["", "%"]), minimum=st.integers(2, 6))
def test_the_stop_against_scipy(values: list[float], width: float, unit: str, minimum: int) -> None:
    """The stop is the first prefix whose interval by scipy is narrow enough."""
    assume(minimum <= len(values))
    expected = None
    for n in range(minimum, len(values) + 1):
        mean, sem = float(np.mean(values[:n])), float(stats.sem(values[:n]))
        half = float(stats.t.ppf(0.975, n - 1)) * sem
        limit = width / 100 * abs(mean) if unit else width
        assume(abs(half - limit) > 1e-9)  # either side of a tie is right
        if half < limit and expected is None:
            expected = n
    assert stop(f"total_cost_net < {width!r}{unit}", values, minimum) == expected
