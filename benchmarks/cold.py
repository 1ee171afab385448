"""``voltwalk run`` with the policy born anew before each decision: rebuilt program, cold solve."""

from __future__ import annotations

import argparse

from experiments import run
from experiments.assemble import dispatcher_for
from experiments.running import resolve
from sim.contracts import Forecast, Schedule, Site, Snapshot
from sim.scenario import Scenario


class Reborn:
    """The scenario's policy, made and started again before each decision."""

    def __init__(self, scenario: Scenario) -> None:
        first = dispatcher_for(scenario)
        self.name, self.needs_own_chain, self.charges_on_arrival = (
            first.name,
            first.needs_own_chain,
            first.charges_on_arrival,
        )
        self._scenario = scenario

    def start(self, site: Site) -> None:
        """Keep the site for every later birth."""
        self._site = site

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Build and solve from nothing."""
        fresh = dispatcher_for(self._scenario)
        fresh.start(self._site)
        return fresh.decide(snapshot, forecast)


def main() -> None:
    """Take the arguments that ``benchmarks.measure`` gives."""
    parser = argparse.ArgumentParser(prog="benchmarks.cold", description=__doc__)
    parser.add_argument("command", choices=["run"])
    parser.add_argument("scenario")
    parser.add_argument("--out", required=True)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    arguments = parser.parse_args()
    scenario = resolve(arguments.scenario, overrides=arguments.overrides)
    run(scenario, out=arguments.out, dispatcher=Reborn(scenario))


if __name__ == "__main__":
    main()
