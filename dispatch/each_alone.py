"""Every region by itself: each minimises its own bill for energy at its own meter, as if no other were there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dispatch.options import DispatchOptions
from dispatch.rolling_horizon import RollingHorizon
from sim.contracts import Forecast, Schedule, Site, Snapshot


class EachAlone(RollingHorizon):
    """What stations do that do not speak with each other: the baseline of every coordination.

    The program is that of `rolling` on a site without ties, feeder and limits of the connection, at whose meters every
    region buys and sells at its prices. No term joins two regions but cars that drive, so its optimum is that of every
    region by itself; a demand charge, which is of the true connections, it does not see. What the regions then
    really exchange and buy together, settlement works out. Where trips are
    known (forecast.kind = "perfect"), a car's energy is planned for all its stays.

    Parameters
    ----------
    options
        The scenario's `dispatch` part.
    """

    def __init__(self, options: DispatchOptions) -> None:
        super().__init__(options, name="each-alone")

    def start(self, site: Site) -> None:
        """Forget the last run."""
        super().start(own_meters(site))

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Set-points of each region's own optimum.

        Its duals are of meters that the site does not have: they are not recorded.
        """
        return replace(super().decide(snapshot, forecast), marginals=None)


def own_meters(site: Site) -> Site:
    """The site as each region by itself sees it: a meter of its own, nothing between regions."""
    nowhere, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
    free = np.full(site.n_regions, np.inf)
    return replace(
        site,
        network=None,
        import_limit_kw=free,
        export_limit_kw=free,
        tie_from_index=nowhere,
        tie_to_index=nowhere,
        tie_limit_kw=nothing,
        tie_loss_fraction=nothing,
        demand_price_per_kw_day=0.0,
    )
