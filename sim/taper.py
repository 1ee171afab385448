"""Tapering of charging power near full (pure): the one place that knows its law.

Between two energies the largest charging power falls linearly, from the whole limit to a share of it, as under the
constant-voltage phase of a lithium-ion cell. The power of a step is limited by the energy at the step's beginning (or
at the plug-in, if that is later), so that a set-point stays what it is until the next one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Taper:
    """Tapering of many batteries; every array has shape (n,), those without have a share of 1."""

    from_kwh: FloatArray  # energy up to which the whole limit holds
    to_kwh: FloatArray  # above from_kwh; energy from which on only the share is left
    to_share: FloatArray  # of the limit, above 0

    def of(self, which: IntArray) -> Taper:
        """Tapering of some of the batteries."""
        return Taper(from_kwh=self.from_kwh[which], to_kwh=self.to_kwh[which], to_share=self.to_share[which])

    @property
    def slope_per_kwh(self) -> FloatArray:
        """Share of the limit that each kWh between the two energies takes."""
        return (1.0 - self.to_share) / (self.to_kwh - self.from_kwh)

    def share(self, energy_kwh: FloatArray) -> FloatArray:
        """Share of the limit that is left at given energies.

        >>> one = Taper(from_kwh=np.array([8.0]), to_kwh=np.array([10.0]), to_share=np.array([0.2]))
        >>> [one.share(np.array([kwh])).round(3).item() for kwh in (3.0, 8.0, 9.0, 10.0)]
        [1.0, 1.0, 0.6, 0.2]
        """
        left: FloatArray = np.clip(
            1.0 - self.slope_per_kwh * (energy_kwh - self.from_kwh), self.to_share, 1.0
        )
        return left

    def before(self, after_kwh: FloatArray, stored_kwh: FloatArray) -> FloatArray:
        """Energies from which full charging makes given ones: E with E + stored share(E) = after.

        Parameters
        ----------
        after_kwh
            Energy afterwards.
        stored_kwh
            What the whole limit stores meanwhile; times the slope it must be below 1 (a scenario's check).

        >>> one = Taper(from_kwh=np.array([8.0]), to_kwh=np.array([10.0]), to_share=np.array([0.2]))
        >>> [one.before(np.array([kwh]), np.array([1.0])).round(3).item() for kwh in (5.0, 9.0, 9.6, 11.0)]
        [4.0, 8.0, 9.0, 10.8]
        """
        bent = stored_kwh * self.slope_per_kwh
        on_slope = (after_kwh - stored_kwh - bent * self.from_kwh) / (1.0 - bent)
        above = after_kwh - stored_kwh * self.to_share
        is_below, is_above = after_kwh <= self.from_kwh + stored_kwh, above > self.to_kwh
        energy: FloatArray = np.where(is_below, after_kwh - stored_kwh, np.where(is_above, above, on_slope))
        return energy

    def share_of(self, index: int, energy_kwh: float) -> float:
        """`share` of one battery."""
        begins, ends = self.from_kwh.item(index), self.to_kwh.item(index)
        least = self.to_share.item(index)
        left = 1.0 - (1.0 - least) / (ends - begins) * (energy_kwh - begins)
        return min(max(left, least), 1.0)
