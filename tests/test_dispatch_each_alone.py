"""Every region by itself: what one does depends on no other, and limits of the connection are not its."""

from dataclasses import replace

import numpy as np
import pytest

from dispatch.each_alone import EachAlone, own_meters
from dispatch.options import DispatchOptions
from dispatch.policies import load_policy
from experiments.assemble import assemble
from experiments.job import Job
from experiments.shipped import load_scenario

SMALL = ["fleet.size=12", "dispatch.horizon_steps=24", 'dispatch.policy="each-alone"']


class Watched(EachAlone):
    """Keeps what it was told and what it said at the first decisions."""

    def __init__(self, options: DispatchOptions) -> None:
        super().__init__(options)
        self.seen: list[tuple] = []

    def decide(self, snapshot, forecast):
        """Remember."""
        said = super().decide(snapshot, forecast)
        self.seen.append((snapshot, forecast, said))
        return said


def test_meters_of_their_own() -> None:
    """Nothing joins the regions, and nothing limits what they buy and sell."""
    _, actors = assemble(load_scenario("storage-network", ["fleet.size=3"]))
    site = own_meters(actors.site)
    assert site.network is None
    assert len(site.tie_from_index) == len(site.tie_limit_kw) == 0
    assert np.isinf(site.import_limit_kw).all()
    assert np.isinf(site.export_limit_kw).all()
    assert actors.site.network is not None, "the site itself is as it was"


def test_no_region_heeds_another() -> None:
    """What loads of two regions cost together is what each costs alone; pooled, they share sun and storage."""
    ties = 'ties=[{from_region="home", to_region="work", limit_kw=500}]'
    scenario = load_scenario("multi-microgrid", [*SMALL, ties])
    policy = Watched(DispatchOptions.from_scenario(scenario))
    Job.prepare(scenario, policy, None).simulate()
    _, actors = assemble(scenario)
    interacts = 0.0
    for snapshot, forecast, _ in policy.seen[28:60:8]:
        for kind in ("each-alone", "rolling"):
            costs = {}
            for where in ((), (0,), (1,), (0, 1)):
                load_kw = forecast.load_kw.copy()
                load_kw[:, list(where)] += 300.0
                one = load_policy(kind, DispatchOptions.from_scenario(scenario))
                one.start(actors.site)
                costs[where] = one.decide(snapshot, replace(forecast, load_kw=load_kw)).decision.objective
            together, apart = costs[0, 1] - costs[()], costs[(0,)] + costs[(1,)] - 2.0 * costs[()]
            if kind == "each-alone":
                assert together == pytest.approx(apart, abs=1e-6)
            else:
                interacts = max(interacts, abs(together - apart))
    assert interacts > 1.0, "the coordinated policy shares nothing here: the test shows nothing"


def test_runs_record_no_duals_of_meters_that_are_not_there() -> None:
    """Its marginals would be of another site."""
    scenario = load_scenario("storage-network", [*SMALL, "fleet.size=5"])
    tables = Job.prepare(scenario, None, None).simulate().tables
    assert len(tables["marginals"]["step_start_s"]) == 0
    imported = np.asarray(tables["grid"]["import_kw"]).reshape(96, -1)
    assert imported.any(axis=0).sum() == 1, "what is really bought is bought at the source"


@pytest.mark.parametrize("kind", ["perfect", "persistence"])
def test_its_own_bill_is_least(kind: str) -> None:
    """Where each region can buy and sell without limit at one price, coordination has nothing to add."""
    free = [
        "fleet.size=10",
        "regions.*.import_limit_kw=unlimited",
        "regions.*.export_limit_kw=unlimited",
        "dispatch.window=shrinking",
        f"forecast.kind={kind}",
    ]
    costs = [
        Job.prepare(load_scenario("multi-microgrid", [*free, f"dispatch.policy={policy}"]), None, None)
        .simulate()
        .figures["total_cost_net_cny"]
        for policy in ("each-alone", "rolling")
    ]
    assert costs[0] == pytest.approx(costs[1], rel=1e-9)
